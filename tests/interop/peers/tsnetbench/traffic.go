package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	chunkBytes = 128 * 1024
	request    = "GET / HTTP/1.0\r\n\r\n"
	answer     = "HTTP/1.0 200 OK\r\n\r\nx\n"
)

func number(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		log.Fatal(err)
	}
	return n
}

func duration(seconds string) time.Duration {
	s, err := strconv.ParseFloat(seconds, 64)
	if err != nil {
		log.Fatal(err)
	}
	return time.Duration(s * float64(time.Second))
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

func percentileUs(sorted []time.Duration, percent int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := min(len(sorted)*percent/100, len(sorted)-1)
	return float64(sorted[at].Nanoseconds()) / 1e3
}

// -- bulk: HOST PORT FLOWS SECONDS. As tests/bench/bulk.c has it; congestion
// controls are the kernel's.

type bulkRequest struct {
	ForMs, ServerSends uint32
	CongestionControl  [16]byte
}

type bulkCount struct{ Bytes, Ns uint64 }

const patience, goodbye = 10 * time.Second, time.Second

func countFor(conn net.Conn, d time.Duration) (count bulkCount, err error) {
	chunk := make([]byte, chunkBytes)
	start := time.Now()
	conn.SetReadDeadline(start.Add(d))
	for err == nil {
		var n int
		n, err = conn.Read(chunk)
		count.Bytes += uint64(n)
	}
	count.Ns = uint64(time.Since(start))
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		err = nil
	}
	return count, err
}

// writeOn ends when the connection does.
func writeOn(conn net.Conn, d time.Duration) (longest time.Duration) {
	chunk := make([]byte, chunkBytes)
	conn.SetWriteDeadline(time.Now().Add(d + patience))
	for {
		start := time.Now()
		if _, err := conn.Write(chunk); err != nil {
			return longest
		}
		longest = max(longest, time.Since(start))
	}
}

func serveFlow(conn net.Conn) {
	var request bulkRequest
	if binary.Read(conn, binary.LittleEndian, &request) != nil {
		return
	}
	d := time.Duration(request.ForMs) * time.Millisecond
	if request.ServerSends != 0 {
		writeOn(conn, d)
		return
	}
	count, err := countFor(conn, d)
	if err == nil && binary.Write(conn, binary.LittleEndian, count) == nil {
		countFor(conn, goodbye)
	}
}

// sendFlow writes until the other end says its count.
func sendFlow(conn net.Conn, d time.Duration) (count bulkCount, longest time.Duration, err error) {
	wrote := make(chan time.Duration)
	go func() { wrote <- writeOn(conn, d) }()
	conn.SetReadDeadline(time.Now().Add(d + patience))
	err = binary.Read(conn, binary.LittleEndian, &count)
	conn.SetWriteDeadline(time.Now())
	return count, <-wrote, err
}

func bulk(args []string, isSender bool) {
	conns := make([]net.Conn, number(args[2]))
	d := duration(args[3])
	request := bulkRequest{ForMs: uint32(d.Milliseconds())}
	if !isSender {
		request.ServerSends = 1
	}
	for i := range conns {
		conn, err := dial(args[0], args[1])
		if err != nil {
			fmt.Printf("{\"error\": %q}\n", err)
			return
		}
		defer conn.Close()
		conns[i] = conn
	}
	var done sync.WaitGroup
	var lock sync.Mutex
	var bytes uint64
	var mbits float64
	var longest time.Duration
	failed := 0
	for _, conn := range conns {
		done.Go(func() {
			var count bulkCount
			var wait time.Duration
			err := binary.Write(conn, binary.LittleEndian, request)
			if err == nil && isSender {
				count, wait, err = sendFlow(conn, d)
			} else if err == nil {
				count, err = countFor(conn, d)
			}
			lock.Lock()
			defer lock.Unlock()
			if err != nil {
				log.Print(err)
				failed++
				return
			}
			bytes += count.Bytes
			mbits += float64(count.Bytes) * 8e3 / float64(count.Ns)
			longest = max(longest, wait)
		})
	}
	done.Wait()
	fmt.Printf("{\"bytes\": %d, \"mbit_s\": %.1f, \"longest_wait_ms\": %.1f, \"errors\": %d}\n",
		bytes, mbits, milliseconds(longest), failed)
}

// -- pingpong: HOST PORT SIZE SECONDS

func echo(conn net.Conn) {
	message := make([]byte, 64*1024)
	for {
		n, err := conn.Read(message)
		if err != nil {
			return
		}
		if _, err := conn.Write(message[:n]); err != nil {
			return
		}
	}
}

func ping(args []string) {
	conn, err := dial(args[0], args[1])
	if err != nil {
		fmt.Printf("{\"error\": %q}\n", err)
		return
	}
	defer conn.Close()
	message := make([]byte, number(args[2]))
	var samples []time.Duration
	now := time.Now()
	until := now.Add(duration(args[3]))
	conn.SetDeadline(until.Add(giveUp))
	for now.Before(until) && err == nil {
		sent := now
		if _, err = conn.Write(message); err == nil {
			_, err = io.ReadFull(conn, message)
		}
		now = time.Now()
		samples = append(samples, now.Sub(sent))
	}
	errors := 0
	if err != nil {
		log.Print(err)
		errors = 1
	}
	slices.Sort(samples)
	fmt.Printf("{\"round_trips\": %d, \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, \"errors\": %d}\n",
		len(samples), percentileUs(samples, 50), percentileUs(samples, 99), percentileUs(samples, 100), errors)
}

// -- connrate: HOST PORT client|server THREADS SECONDS

// answerer answers one request and, when the client closes first, waits for it.
func answerer(serverCloses bool) func(net.Conn) {
	return func(conn net.Conn) {
		text := make([]byte, 4096)
		n := 0
		for !strings.Contains(string(text[:n]), "\r\n\r\n") {
			more, err := conn.Read(text[n:])
			if err != nil {
				return
			}
			n += more
		}
		io.WriteString(conn, answer)
		if !serverCloses {
			io.Copy(io.Discard, conn)
		}
	}
}

func oneConnection(host, port string, serverCloses bool) error {
	conn, err := dial(host, port)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(giveUp))
	if _, err := io.WriteString(conn, request); err != nil {
		return err
	}
	text := make([]byte, len(answer))
	if _, err := io.ReadFull(conn, text); err != nil {
		return err
	}
	if serverCloses {
		if _, err := conn.Read(text); err != io.EOF {
			return fmt.Errorf("no end of file: %w", err)
		}
	}
	return nil
}

func connrate(args []string) {
	serverCloses := args[2] == "server"
	threads := number(args[3])
	start := time.Now()
	until := start.Add(duration(args[4]))
	var lock sync.Mutex
	var samples []time.Duration
	var last error
	errors, stalls := 0, 0
	var done sync.WaitGroup
	for range threads {
		done.Go(func() {
			for now := time.Now(); now.Before(until); {
				err := oneConnection(args[0], args[1], serverCloses)
				after := time.Now()
				lock.Lock()
				samples = append(samples, after.Sub(now))
				if after.Sub(now) > time.Second {
					stalls++
				}
				if err != nil {
					errors, last = errors+1, err
				}
				lock.Unlock()
				now = after
			}
		})
	}
	done.Wait()
	took := time.Since(start).Seconds()
	slices.Sort(samples)
	said := ""
	if last != nil {
		said = last.Error()
	}
	good := len(samples) - errors
	fmt.Printf("{\"connections\": %d, \"per_second\": %.1f, \"errors\": %d, \"last_error\": %q, \"stalls\": %d, \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}\n",
		good, float64(good)/took, errors, said, stalls,
		percentileUs(samples, 50), percentileUs(samples, 99), percentileUs(samples, 100))
}
