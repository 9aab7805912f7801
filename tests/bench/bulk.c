/* SPDX-License-Identifier: BSD-3-Clause
 * bulk.c - how many bytes a second
 *
 *	bulk serve PORT
 *	bulk send HOST PORT FLOWS SECONDS
 *
 * Every flow writes as fast as it can until its time is up, shuts its side
 * down and waits for the receiver's count of bytes. The clock stops only when
 * all counts are back, so that what still sits in buffers is not a gain.
 */
#include "net.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK_BYTES = 128 * 1024, FLOWS_MAX = 64 };

struct flow {
	pthread_t thread;
	int fd;
	uint64_t until_ns;
	uint64_t sent_bytes;
	uint64_t longest_write_ns;
	int failed;
};

static void count_bytes(int fd)
{
	static _Thread_local char chunk[CHUNK_BYTES];
	uint64_t count = 0;
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		count += (uint64_t)n;
	if (n == 0)
		write_all(fd, &count, sizeof(count));
}

static void *send_flow(void *arg)
{
	static const char chunk[CHUNK_BYTES];
	struct flow *flow = arg;
	uint64_t counted = 0;
	uint64_t now;

	while ((now = now_ns()) < flow->until_ns) {
		ssize_t n = write(flow->fd, chunk, sizeof(chunk));
		uint64_t took = now_ns() - now;

		if (took > flow->longest_write_ns)
			flow->longest_write_ns = took;
		if (n <= 0) {
			perror("write");
			flow->failed = 1;
			return NULL;
		}
		flow->sent_bytes += (uint64_t)n;
	}
	shutdown(flow->fd, SHUT_WR);
	if (read_all(flow->fd, &counted, sizeof(counted)) < 0)
		perror("read the count");
	flow->failed = counted != flow->sent_bytes;
	return NULL;
}

static int send_all(const char *host, const char *port, int flows, double s)
{
	static struct flow flow[FLOWS_MAX];
	uint64_t longest = 0;
	uint64_t bytes = 0;
	uint64_t start;
	int errors = 0;
	double took;

	for (int i = 0; i < flows; i++) {
		flow[i].fd = dial(host, port);
		if (flow[i].fd < 0) {
			perror("connect");
			return 1;
		}
	}
	start = now_ns();
	for (int i = 0; i < flows; i++) {
		flow[i].until_ns = start + (uint64_t)(s * 1e9);
		pthread_create(&flow[i].thread, NULL, send_flow, &flow[i]);
	}
	for (int i = 0; i < flows; i++) {
		pthread_join(flow[i].thread, NULL);
		bytes += flow[i].sent_bytes;
		errors += flow[i].failed;
		if (flow[i].longest_write_ns > longest)
			longest = flow[i].longest_write_ns;
	}
	took = (double)(now_ns() - start) / 1e9;
	printf("{\"bytes\": %llu, \"seconds\": %.4f, \"mbit_s\": %.1f, "
	       "\"longest_write_ms\": %.1f, \"errors\": %d}\n",
	       (unsigned long long)bytes, took, (double)bytes * 8e-6 / took,
	       (double)longest / 1e6, errors);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		accept_forever(listen_on(argv[2]), count_bytes);
	if (argc == 6 && !strcmp(argv[1], "send") && atoi(argv[4]) > 0 &&
	    atoi(argv[4]) <= FLOWS_MAX)
		return send_all(argv[2], argv[3], atoi(argv[4]), atof(argv[5]));
	fprintf(stderr, "usage: bulk serve PORT | "
			"send HOST PORT FLOWS SECONDS\n");
	return 64;
}
