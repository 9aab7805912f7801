// SPDX-License-Identifier: BSD-3-Clause

// gogrpc serve ADDRESS | call ADDRESS: gRPC's health service, unary and
// streaming. The server prints each caller's address.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	pb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "gogrpc:", err)
		os.Exit(1)
	}
}

func serve(address string) {
	l, err := net.Listen("tcp", address)
	check(err)
	s := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context,
		req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		if p, ok := peer.FromContext(ctx); ok {
			fmt.Println("caller", p.Addr)
		}
		return next(ctx, req)
	}))
	pb.RegisterHealthServer(s, health.NewServer())
	check(s.Serve(l))
}

func call(address string) {
	c, err := grpc.NewClient(address,
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client := pb.NewHealthClient(c)
	for i := 0; i < 100; i++ {
		_, err = client.Check(ctx, &pb.HealthCheckRequest{},
			grpc.WaitForReady(true))
		check(err)
	}
	stream, err := client.Watch(ctx, &pb.HealthCheckRequest{})
	check(err)
	answer, err := stream.Recv()
	check(err)
	fmt.Println("100 calls,", answer.Status)
}

func main() {
	if os.Args[1] == "serve" {
		serve(os.Args[2])
	}
	call(os.Args[2])
}
