/* SPDX-License-Identifier: BSD-3-Clause
 * bulk.c - how many bytes a second
 *
 *	bulk serve PORT
 *	bulk send|take HOST PORT FLOWS SECONDS [CONGESTION-CONTROL]
 *
 * Every flow's sender - the client with send, the server with take - writes as
 * fast as it can until the time is up; the receiver counts. The clock stops only
 * when the last byte is counted, so that what still sits in buffers is not a
 * gain. All bytes are 0 but the last: proxies do not pass on that one side is
 * shut down. Whoever sends names the congestion control to its own kernel.
 */
#include "net.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK_BYTES = 128 * 1024, FLOWS_MAX = 64 };

/* The client's first bytes; for_ms is 0 when the client sends. */
struct request {
	uint32_t for_ms;
	char congestion_control[16];
};

struct flow {
	pthread_t thread;
	int fd;
	uint32_t for_ms;
	int is_sender;
	uint64_t bytes;
	uint64_t longest_write_ns;
	int failed;
};

/* Up to the last byte; 0, or -1 when it did not come. */
static int count_bytes(int fd, uint64_t *count)
{
	static _Thread_local char chunk[CHUNK_BYTES];
	ssize_t n;

	while ((n = read(fd, chunk, sizeof(chunk))) > 0) {
		*count += (uint64_t)n;
		if (chunk[n - 1])
			return 0;
	}
	return -1;
}

static int write_for(struct flow *flow)
{
	static const char chunk[CHUNK_BYTES];
	uint64_t now = now_ns();
	uint64_t until = now + flow->for_ms * (uint64_t)1000000;

	while (now < until) {
		ssize_t n = write(flow->fd, chunk, sizeof(chunk));
		uint64_t after = now_ns();

		if (after - now > flow->longest_write_ns)
			flow->longest_write_ns = after - now;
		if (n <= 0) {
			perror("write");
			return -1;
		}
		flow->bytes += (uint64_t)n;
		now = after;
	}
	flow->bytes++;
	return write_all(flow->fd, "\1", 1);
}

static void serve_flow(int fd)
{
	struct flow flow = {.fd = fd};
	struct request request;

	if (read_all(fd, &request, sizeof(request)) < 0)
		return;
	request.congestion_control[15] = '\0';
	flow.for_ms = request.for_ms;
	if (!flow.for_ms) {
		if (!count_bytes(fd, &flow.bytes))
			write_all(fd, &flow.bytes, sizeof(flow.bytes));
		return;
	}
	/* A client whose wish was not granted sees no last byte. */
	if (set_congestion_control(fd, request.congestion_control) < 0)
		perror("congestion control");
	else if (!write_for(&flow))
		read(fd, &request, 1); /* until the client has it all */
}

static void *run_flow(void *arg)
{
	struct flow *flow = arg;
	uint64_t counted = 0;

	if (!flow->is_sender) {
		flow->failed = count_bytes(flow->fd, &flow->bytes) < 0;
		close(flow->fd);
		return NULL;
	}
	if (write_for(flow) < 0 ||
	    read_all(flow->fd, &counted, sizeof(counted)) < 0)
		perror("send");
	flow->failed = counted != flow->bytes;
	return NULL;
}

static int open_flow(struct flow *flow, char **argv, const char *control)
{
	struct request request = {0};

	flow->is_sender = !strcmp(argv[1], "send");
	flow->for_ms = (uint32_t)(atof(argv[5]) * 1000);
	if (!flow->is_sender) {
		request.for_ms = flow->for_ms;
		strncpy(request.congestion_control, control, 15);
	}
	flow->fd = dial(argv[2], argv[3]);
	if (flow->fd < 0 ||
	    (flow->is_sender && set_congestion_control(flow->fd, control) < 0))
		return -1;
	return write_all(flow->fd, &request, sizeof(request));
}

static int run(char **argv, int flows, const char *control)
{
	static struct flow flow[FLOWS_MAX];
	uint64_t longest = 0, bytes = 0, start = now_ns();
	int errors = 0;
	double took;

	for (int i = 0; i < flows; i++)
		if (open_flow(&flow[i], argv, control) < 0) {
			perror("connect");
			return 1;
		}
	if (flow[0].is_sender)
		start = now_ns();
	for (int i = 0; i < flows; i++)
		pthread_create(&flow[i].thread, NULL, run_flow, &flow[i]);
	for (int i = 0; i < flows; i++) {
		pthread_join(flow[i].thread, NULL);
		bytes += flow[i].bytes;
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
		accept_forever(listen_on(argv[2]), serve_flow);
	if ((argc == 6 || argc == 7) &&
	    (!strcmp(argv[1], "send") || !strcmp(argv[1], "take")) &&
	    atoi(argv[4]) > 0 && atoi(argv[4]) <= FLOWS_MAX)
		return run(argv, atoi(argv[4]), argc == 7 ? argv[6] : "");
	fprintf(stderr, "usage: bulk serve PORT | send|take HOST PORT FLOWS "
			"SECONDS [CONGESTION-CONTROL]\n");
	return 64;
}
