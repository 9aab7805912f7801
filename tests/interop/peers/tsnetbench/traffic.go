package main

import (
	"encoding/binary"
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

// -- bulk: HOST PORT FLOWS SECONDS. The client's first bytes are those of
// struct request in tests/bench/bulk.c; congestion controls are the kernel's.
// All bytes are 0 but the last.

type bulkRequest struct {
	ForMs             uint32
	CongestionControl [16]byte
}

type flow struct {
	conn    net.Conn
	bytes   uint64
	longest time.Duration
	failed  bool
}

func (f *flow) count() error {
	chunk := make([]byte, chunkBytes)
	for {
		n, err := f.conn.Read(chunk)
		f.bytes += uint64(n)
		if n > 0 && chunk[n-1] != 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (f *flow) writeFor(d time.Duration) error {
	chunk := make([]byte, chunkBytes)
	now := time.Now()
	for until := now.Add(d); now.Before(until); {
		f.conn.SetWriteDeadline(now.Add(giveUp))
		n, err := f.conn.Write(chunk)
		f.bytes += uint64(n)
		if err != nil {
			return err
		}
		after := time.Now()
		f.longest = max(f.longest, after.Sub(now))
		now = after
	}
	f.bytes++
	_, err := f.conn.Write([]byte{1})
	return err
}

func serveFlow(conn net.Conn) {
	var request bulkRequest
	f := flow{conn: conn}
	if binary.Read(conn, binary.LittleEndian, &request) != nil {
		return
	}
	if request.ForMs == 0 {
		if f.count() == nil {
			binary.Write(conn, binary.LittleEndian, f.bytes)
		}
		return
	}
	if f.writeFor(time.Duration(request.ForMs)*time.Millisecond) == nil {
		conn.SetReadDeadline(time.Now().Add(time.Minute))
		io.ReadFull(conn, make([]byte, 1)) // until the client has it all
	}
}

func (f *flow) send(d time.Duration) {
	var counted uint64
	err := f.writeFor(d)
	if err == nil {
		f.conn.SetReadDeadline(time.Now().Add(giveUp))
		err = binary.Read(f.conn, binary.LittleEndian, &counted)
	}
	if err != nil {
		log.Print(err)
	}
	f.failed = counted != f.bytes
}

func (f *flow) take() {
	f.conn.SetReadDeadline(time.Now().Add(time.Minute))
	f.failed = f.count() != nil
	f.conn.Close()
}

func bulk(args []string, isSender bool) {
	flows := make([]flow, number(args[2]))
	d := duration(args[3])
	var request bulkRequest
	if !isSender {
		request.ForMs = uint32(d.Milliseconds())
	}
	start := time.Now()
	for i := range flows {
		conn, err := dial(args[0], args[1])
		if err == nil {
			err = binary.Write(conn, binary.LittleEndian, request)
		}
		if err != nil {
			fmt.Printf("{\"error\": %q}\n", err)
			return
		}
		defer conn.Close()
		flows[i].conn = conn
	}
	if isSender {
		start = time.Now()
	}
	var done sync.WaitGroup
	for i := range flows {
		if isSender {
			done.Go(func() { flows[i].send(d) })
		} else {
			done.Go(flows[i].take)
		}
	}
	done.Wait()
	took := time.Since(start).Seconds()
	var bytes uint64
	var longest time.Duration
	errors := 0
	for i := range flows {
		bytes += flows[i].bytes
		longest = max(longest, flows[i].longest)
		if flows[i].failed {
			errors++
		}
	}
	fmt.Printf("{\"bytes\": %d, \"seconds\": %.4f, \"mbit_s\": %.1f, \"longest_write_ms\": %.1f, \"errors\": %d}\n",
		bytes, took, float64(bytes)*8e-6/took, milliseconds(longest), errors)
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
