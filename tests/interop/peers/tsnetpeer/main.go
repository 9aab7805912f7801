// tsnetpeer is a tailnet program written with Go's tsnet, the other end of the
// interoperability tests.
//
//	tsnetpeer [flags] serve          HTTP on :80; answers with the caller's identity
//	tsnetpeer [flags] get PATH URL   prints what an HTTP server on the tailnet says,
//	                                 when its path is that: direct or derp
//	tsnetpeer [flags] up             joins, prints its address, leaves its state
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/tsnet"
)

func main() {
	hostname := flag.String("hostname", "tsnetpeer", "name on the tailnet")
	dir := flag.String("dir", "", "state directory")
	control := flag.String("control-url", "", "control server")
	verbose := flag.Bool("verbose", false, "log the backend")
	flag.Parse()

	server := &tsnet.Server{Hostname: *hostname, Dir: *dir, ControlURL: *control}
	if *verbose {
		server.Logf = log.Printf
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	status, err := server.Up(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("up", status.TailscaleIPs[0], status.Self.PublicKey)
	switch flag.Arg(0) {
	case "serve":
		serve(server)
	case "get":
		get(ctx, server, flag.Arg(1), flag.Arg(2))
	case "up":
	default:
		log.Fatalf("unknown verb %q", flag.Arg(0))
	}
	server.Close()
}

func serve(server *tsnet.Server) {
	listener, err := server.Listen("tcp", ":80")
	if err != nil {
		log.Fatal(err)
	}
	local, err := server.LocalClient()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("serving")
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := local.WhoIs(r.Context(), r.RemoteAddr)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if r.Method == http.MethodPost {
			n, _ := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, "took %d bytes\n", n)
			return
		}
		fmt.Fprintf(w, "hello %s from tsnet\n", who.Node.ComputedName)
	})))
}

func get(ctx context.Context, server *tsnet.Server, path, from string) {
	var last error
	u, err := url.Parse(from)
	if err != nil {
		log.Fatal(err)
	}
	awaitPath(ctx, server, netip.MustParseAddr(u.Hostname()), path)
	for ctx.Err() == nil {
		response, err := server.HTTPClient().Get(from)
		if err == nil {
			io.Copy(os.Stdout, response.Body)
			response.Body.Close()
			return
		}
		last = err
		time.Sleep(200 * time.Millisecond)
	}
	log.Fatal(last)
}

func awaitPath(ctx context.Context, server *tsnet.Server, ip netip.Addr, path string) {
	local, err := server.LocalClient()
	if err != nil {
		log.Fatal(err)
	}
	for ctx.Err() == nil {
		pong, err := local.Ping(ctx, ip, tailcfg.PingDisco)
		if err == nil && pong.Err == "" && (pong.Endpoint != "") == (path == "direct") {
			fmt.Println("path", path)
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	log.Fatalf("no %s path to %v", path, ip)
}
