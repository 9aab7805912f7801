package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"log"
	"net"
	"sync"
	"time"
)

const lastArrives = 300 * time.Millisecond

// counter has the datagrams of the latest run; see tests/bench/datagrams.c.
type counter struct {
	sync.Mutex
	run         uint64
	received    uint64
	first, last time.Time
}

func (c *counter) receive(socket net.PacketConn) {
	datagram := make([]byte, 9000)
	for {
		n, _, err := socket.ReadFrom(datagram)
		if err != nil {
			log.Print(err)
			return
		}
		if n < 8 {
			continue
		}
		run := binary.LittleEndian.Uint64(datagram)
		now := time.Now()
		c.Lock()
		if run != c.run {
			c.run, c.received, c.first = run, 0, now
		}
		c.received++
		c.last = now
		c.Unlock()
	}
}

func (c *counter) tell(conn net.Conn) {
	var run uint64
	var answer [2]uint64
	if binary.Read(conn, binary.LittleEndian, &run) != nil {
		return
	}
	c.Lock()
	if run == c.run {
		answer = [2]uint64{c.received, uint64(c.last.Sub(c.first))}
	}
	c.Unlock()
	binary.Write(conn, binary.LittleEndian, answer)
}

func serveDatagrams(port string) {
	ip4, _ := server.TailscaleIPs()
	socket, err := server.ListenPacket("udp", net.JoinHostPort(ip4.String(), port))
	if err != nil {
		log.Fatal(err)
	}
	c := &counter{}
	go c.receive(socket)
	serve(port, c.tell)
}

// sendFor sends until the time is up. A write may hang beyond its deadline; who
// asked us then gives up.
func sendFor(conn net.Conn, run uint64, size, perSecond int, d time.Duration) (int, error) {
	datagram := make([]byte, size)
	binary.LittleEndian.PutUint64(datagram, run)
	start := time.Now()
	sent := 0
	for now := start; now.Before(start.Add(d)); now = time.Now() {
		conn.SetWriteDeadline(now.Add(giveUp))
		if _, err := conn.Write(datagram); err != nil {
			return sent, err
		}
		sent++
		if perSecond == 0 {
			continue
		}
		next := start.Add(time.Duration(sent) * time.Second / time.Duration(perSecond))
		if pause := time.Until(next); pause > 200*time.Microsecond {
			time.Sleep(pause)
		}
	}
	return sent, nil
}

func askCount(host, port string, run uint64) (answer [2]uint64, err error) {
	time.Sleep(lastArrives)
	conn, err := dial(host, port)
	if err != nil {
		return answer, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(giveUp))
	if err := binary.Write(conn, binary.LittleEndian, run); err != nil {
		return answer, err
	}
	return answer, binary.Read(conn, binary.LittleEndian, &answer)
}

// -- datagrams: HOST PORT SIZE PER-SECOND SECONDS

func sendDatagrams(args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), giveUp)
	defer cancel()
	conn, err := server.Dial(ctx, "udp", net.JoinHostPort(args[0], args[1]))
	if err != nil {
		fmt.Printf("{\"error\": %q}\n", err)
		return
	}
	defer conn.Close()
	run := uint64(time.Now().UnixNano())
	start := time.Now()
	sent, err := sendFor(conn, run, number(args[2]), number(args[3]), duration(args[4]))
	took := time.Since(start)
	var answer [2]uint64
	if err == nil {
		answer, err = askCount(args[0], args[1], run)
	}
	if err != nil {
		fmt.Printf("{\"error\": %q}\n", err)
		return
	}
	span := max(took, time.Duration(answer[1]))
	fmt.Printf("{\"sent\": %d, \"received\": %d, \"seconds\": %.3f, \"sent_per_second\": %.0f, \"received_per_second\": %.0f, \"loss_percent\": %.3f}\n",
		sent, answer[0], took.Seconds(), float64(sent)/took.Seconds(),
		float64(answer[0])/span.Seconds(),
		100*(float64(sent)-float64(answer[0]))/float64(sent))
}
