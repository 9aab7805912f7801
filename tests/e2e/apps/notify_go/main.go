// A Go program's HTTP, both ways.
//
// usage: notify serve ADDRESS | get URL [COUNT [AT-ONCE]]
//
// "serve" answers with the client's address as the server saw it; "get" asks
// COUNT times and prints how often which answer came.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"sync"
)

func serve(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("listening", listener.Addr())
	return http.Serve(listener, http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			host, _, _ := net.SplitHostPort(r.RemoteAddr)
			local := r.Context().Value(http.LocalAddrContextKey)
			fmt.Fprintf(w, "from %s at %s", host, local)
		}))
}

func ask(client *http.Client, url string) string {
	response, err := client.Get(url)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

func get(url string, count, atOnce int) {
	var wait sync.WaitGroup
	var lock sync.Mutex
	answers := map[string]int{}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	slots := make(chan bool, atOnce)
	for i := 0; i < count; i++ {
		slots <- true
		wait.Add(1)
		go func() {
			defer wait.Done()
			answer := ask(client, url)
			lock.Lock()
			answers[answer]++
			lock.Unlock()
			<-slots
		}()
	}
	wait.Wait()
	lines := []string{}
	for answer, n := range answers {
		lines = append(lines, fmt.Sprintf("%d %s", n, answer))
	}
	sort.Strings(lines)
	for _, line := range lines {
		fmt.Println(line)
	}
}

func number(n, otherwise int) int {
	if len(os.Args) > n {
		otherwise, _ = strconv.Atoi(os.Args[n])
	}
	return otherwise
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == "serve" {
		if err := serve(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	} else if len(os.Args) > 2 && os.Args[1] == "get" {
		get(os.Args[2], number(3, 1), number(4, 1))
	} else {
		os.Exit(64)
	}
}
