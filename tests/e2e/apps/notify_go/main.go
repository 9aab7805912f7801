// What Go programs do with the network, both ways.
//
// usage: notify serve ADDRESS | get URL [COUNT [AT-ONCE]] | echo ADDRESS |
// send ADDRESS | sendto ADDRESS | look NAME
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
	"time"
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

// Datagrams are answered with the address that they came from.
func echo(address string) error {
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		return err
	}
	fmt.Println("listening", conn.LocalAddr())
	buf := make([]byte, 65536)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		answer := fmt.Sprintf("%s %d", from, n)
		if _, err = conn.WriteTo([]byte(answer), from); err != nil {
			return err
		}
	}
}

// By a connected socket.
func send(address string, size int) error {
	conn, err := net.Dial("udp", address)
	if err != nil {
		return err
	}
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err = conn.Write(make([]byte, size)); err != nil {
		return err
	}
	buf := make([]byte, 2000)
	n, err := conn.Read(buf)
	if err != nil {
		return err
	}
	fmt.Println(conn.LocalAddr(), conn.RemoteAddr(), string(buf[:n]))
	return nil
}

// By one that is not connected, and says so again in the answer.
func sendTo(address string, size int) error {
	conn, err := net.ListenUDP("udp", nil)
	if err != nil {
		return err
	}
	to, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return err
	}
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err = conn.WriteToUDP(make([]byte, size), to); err != nil {
		return err
	}
	buf := make([]byte, 2000)
	n, _, _, from, err := conn.ReadMsgUDP(buf, nil)
	if err != nil {
		return err
	}
	fmt.Println(from, string(buf[:n]))
	return nil
}

func look(name string) error {
	addresses, err := net.LookupHost(name)
	if err != nil {
		return err
	}
	fmt.Println(addresses)
	return nil
}

func number(n, otherwise int) int {
	if len(os.Args) > n {
		otherwise, _ = strconv.Atoi(os.Args[n])
	}
	return otherwise
}

func main() {
	if len(os.Args) < 3 {
		os.Exit(64)
	}
	var err error
	switch arg := os.Args[2]; os.Args[1] {
	case "serve":
		err = serve(arg)
	case "get":
		get(arg, number(3, 1), number(4, 1))
	case "echo":
		err = echo(arg)
	case "send":
		err = send(arg, number(3, 10))
	case "sendto":
		err = sendTo(arg, number(3, 10))
	case "look":
		err = look(arg)
	default:
		os.Exit(64)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
