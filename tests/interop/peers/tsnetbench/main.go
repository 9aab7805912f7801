// tsnetbench is a tailnet program written with Go's tsnet that makes the same
// traffic as tests/bench/*.c, for figures side by side. It takes the command
// lines of those programs on standard input, one at a time, and prints the
// same JSON; it ends with its input.
//
//	tsnetbench [flags]               those programs' commands, and "http serve", from stdin
//	tsnetbench [flags] get HOST:PORT one HTTP/1.0 request, for the time to the first byte
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tailscale.com/ipn/ipnstate"
	"tailscale.com/tsnet"
)

const giveUp = 6 * time.Second

var server *tsnet.Server

func main() {
	hostname := flag.String("hostname", "tsnetbench", "name on the tailnet")
	dir := flag.String("dir", "", "state directory")
	control := flag.String("control-url", "", "control server")
	flag.Parse()

	server = &tsnet.Server{Hostname: *hostname, Dir: *dir, ControlURL: *control}
	if flag.Arg(0) == "get" {
		get(flag.Arg(1))
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	status, err := server.Up(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("{\"up\": %q}\n", status.TailscaleIPs[0])
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		run(strings.Fields(strings.TrimSuffix(lines.Text(), "&")))
	}
	server.Close()
}

func run(words []string) {
	if len(words) < 2 {
		return
	}
	args := words[2:]
	switch filepath.Base(words[0]) + " " + words[1] {
	case "bulk serve":
		go serve(args[0], serveFlow)
	case "bulk send":
		bulk(args, true)
	case "bulk take":
		bulk(args, false)
	case "pingpong serve":
		go serve(args[0], echo)
	case "pingpong ping":
		ping(args)
	case "connrate serve":
		go serve(args[0], answerer(args[1] == "server"))
	case "connrate run":
		connrate(args)
	case "datagrams serve":
		go serveDatagrams(args[0])
	case "datagrams send":
		sendDatagrams(args)
	case "http serve":
		go serveHTTP(args[0])
	case "httpload run":
		loadHTTP(args)
	case "path to":
		path(args[0])
	}
}

func dial(host, port string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), giveUp)
	defer cancel()
	return server.Dial(ctx, "tcp", net.JoinHostPort(host, port))
}

func serve(port string, handle func(net.Conn)) {
	listener, err := server.Listen("tcp", ":"+port)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("{\"serving\": %s}\n", port)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			handle(conn)
			conn.Close()
		}()
	}
}

// path prints how packets to a peer travel.
func path(ip string) {
	local, err := server.LocalClient()
	if err != nil {
		log.Fatal(err)
	}
	status, err := local.Status(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	direct := ""
	for _, peer := range status.Peer {
		if has(peer, ip) {
			direct = peer.CurAddr
		}
	}
	fmt.Printf("{\"direct\": %q}\n", direct)
}

func has(peer *ipnstate.PeerStatus, ip string) bool {
	for _, addr := range peer.TailscaleIPs {
		if addr.String() == ip {
			return true
		}
	}
	return false
}

func get(address string) {
	host, port, _ := net.SplitHostPort(address)
	ctx, cancel := context.WithTimeout(context.Background(), giveUp)
	defer cancel()
	if _, err := server.Up(ctx); err != nil {
		log.Fatal(err)
	}
	// Up does not mean that the peers are known.
	conn, err := dial(host, port)
	for err != nil && ctx.Err() == nil {
		time.Sleep(2 * time.Millisecond)
		conn, err = dial(host, port)
	}
	if err != nil {
		log.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(giveUp))
	fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
	if n, _ := io.Copy(os.Stdout, conn); n == 0 {
		log.Fatal("no answer")
	}
	server.Close()
}
