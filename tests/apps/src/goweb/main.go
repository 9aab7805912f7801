// SPDX-License-Identifier: BSD-3-Clause

// goweb serve ADDRESS | get URL COUNT | echo ADDRESS | send ADDRESS | look NAME:
// net/http and net, both ways. A server answers with the caller's address.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "goweb:", err)
		os.Exit(1)
	}
}

func host(address string) string {
	h, _, err := net.SplitHostPort(address)
	check(err)
	return strings.TrimPrefix(h, "::ffff:")
}

func serve(address string) {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "seen %s\n", host(r.RemoteAddr))
	})
	http.HandleFunc("/sum", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d %v\n", n, err)
	})
	check(http.ListenAndServe(address, nil))
}

// get: COUNT requests at once; each different answer once.
func get(url string, count int) {
	var wg sync.WaitGroup
	var lock sync.Mutex
	answers := map[string]int{}
	client := &http.Client{Timeout: 30 * time.Second}
	for i := 0; i < count; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r, err := client.Get(url)
			check(err)
			body, err := io.ReadAll(r.Body)
			check(err)
			r.Body.Close()
			lock.Lock()
			answers[string(body)]++
			lock.Unlock()
		}()
	}
	wg.Wait()
	var lines []string
	for text := range answers {
		lines = append(lines, strings.TrimSpace(text))
	}
	sort.Strings(lines)
	fmt.Println(count, strings.Join(lines, " "))
}

func echo(address string) {
	c, err := net.ListenPacket("udp", address)
	check(err)
	fmt.Println("ready")
	buf := make([]byte, 65536)
	for {
		n, from, err := c.ReadFrom(buf)
		check(err)
		text := fmt.Sprintf("%s %s", host(from.String()), buf[:n])
		_, err = c.WriteTo([]byte(text), from)
		check(err)
	}
}

func send(address string) {
	c, err := net.Dial("udp", address)
	check(err)
	buf := make([]byte, 65536)
	for i := 0; i < 20; i++ {
		_, err = c.Write([]byte("hello"))
		check(err)
		c.SetReadDeadline(time.Now().Add(time.Second))
		n, err := c.Read(buf)
		if err == nil {
			fmt.Printf("%s\n", buf[:n])
			return
		}
	}
	check(fmt.Errorf("no answer"))
}

func look(name string) {
	r := &net.Resolver{PreferGo: true}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	addrs, err := r.LookupHost(ctx, name)
	check(err)
	sort.Strings(addrs)
	fmt.Println(strings.Join(addrs, " "))
}

func main() {
	switch os.Args[1] {
	case "serve":
		serve(os.Args[2])
	case "get":
		count, err := strconv.Atoi(os.Args[3])
		check(err)
		get(os.Args[2], count)
	case "echo":
		echo(os.Args[2])
	case "send":
		send(os.Args[2])
	case "look":
		look(os.Args[2])
	}
}
