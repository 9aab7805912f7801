package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

func serveHTTP(port string) {
	listener, err := server.Listen("tcp", ":"+port)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("{\"serving\": %s}\n", port)
	http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "page\n")
	}))
}

// -- httpload: HOST PORT CONNECTIONS SECONDS

func loadHTTP(args []string) {
	connections := number(args[2])
	client := &http.Client{Timeout: giveUp, Transport: &http.Transport{
		MaxIdleConnsPerHost: connections,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return server.Dial(ctx, network, address)
		},
	}}
	url := "http://" + net.JoinHostPort(args[0], args[1]) + "/"
	var lock sync.Mutex
	var samples []time.Duration
	errors := 0
	start := time.Now()
	until := start.Add(duration(args[3]))
	var done sync.WaitGroup
	for range connections {
		done.Go(func() {
			var own []time.Duration
			for now := time.Now(); now.Before(until); {
				err := getPage(client, url)
				after := time.Now()
				if err != nil {
					log.Print(err)
					lock.Lock()
					errors++
					lock.Unlock()
					break
				}
				own = append(own, after.Sub(now))
				now = after
			}
			lock.Lock()
			samples = append(samples, own...)
			lock.Unlock()
		})
	}
	done.Wait()
	took := time.Since(start).Seconds()
	slices.Sort(samples)
	fmt.Printf("{\"requests\": %d, \"per_second\": %.1f, \"p99_us\": %.1f, \"errors\": %d}\n",
		len(samples), float64(len(samples))/took, percentileUs(samples, 99), errors)
}

func getPage(client *http.Client, url string) error {
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
