/* SPDX-License-Identifier: BSD-3-Clause
 * bulk.c - how many bytes a second
 *
 *	bulk serve PORT
 *	bulk send|take HOST PORT FLOWS SECONDS [CONGESTION-CONTROL [MBIT_S]]
 *
 * Every flow's sender - the client with send, the server with take - writes as
 * fast as it can; with send, no faster than MBIT_S when that is given. The
 * receiver counts for that time, from the request on, says what it has, and the
 * flow is reset: what still sits in buffers is no gain, and does not travel on
 * into the next measurement. Whoever sends names the congestion control to its
 * own kernel.
 */
#include "net.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum {
	CHUNK_BYTES = 128 * 1024,
	FLOWS_MAX = 64,
	POLL_MS = 50,
	PATIENCE_MS = 10000, /* for the answer, beyond the time itself */
	GOODBYE_MS = 1000,
};

/* The client's first bytes, and the server's answer when it received. */
struct request {
	uint32_t for_ms, server_sends;
	char congestion_control[16];
};

struct count {
	uint64_t bytes, ns;
};

struct flow {
	pthread_t thread;
	int fd;
	struct request request;
	int is_sender;
	struct count count;
	uint64_t longest_wait_ns;
	int failed;
};

static uint64_t after_ms(uint64_t now, uint64_t ms)
{
	return now + ms * 1000000;
}

/* Counts until the time is up; -1 when the flow ends before. */
static int count_for(int fd, uint32_t for_ms, struct count *count)
{
	static _Thread_local char chunk[CHUNK_BYTES];
	struct timeval soon = {.tv_usec = POLL_MS * 1000};
	uint64_t start = now_ns(), until = after_ms(start, for_ms);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	while ((count->ns = now_ns() - start) < until - start) {
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n > 0)
			count->bytes += (uint64_t)n;
		else if (n == 0 || errno != EAGAIN)
			return -1;
	}
	return 0;
}

/* Writes until the other end says its count; -1 when it does not. */
static int write_until_told(struct flow *flow)
{
	static const char chunk[CHUNK_BYTES];
	uint64_t wrote = now_ns(), now = wrote;
	uint64_t until = after_ms(now, flow->request.for_ms + PATIENCE_MS);

	fcntl(flow->fd, F_SETFL, O_NONBLOCK);
	while (now < until) {
		struct pollfd wait = {flow->fd, POLLIN | POLLOUT, 0};

		poll(&wait, 1, POLL_MS);
		if (wait.revents & POLLIN) {
			fcntl(flow->fd, F_SETFL, 0);
			return read_all(flow->fd, &flow->count,
					sizeof(flow->count));
		}
		now = now_ns();
		if (now - wrote > flow->longest_wait_ns)
			flow->longest_wait_ns = now - wrote;
		if (wait.revents & POLLOUT) {
			if (write(flow->fd, chunk, sizeof(chunk)) > 0)
				wrote = now;
			else if (errno != EAGAIN)
				return -1;
		}
	}
	errno = ETIMEDOUT;
	return -1;
}

static void reset_at_close(int fd)
{
	struct linger none = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
}

/* Until the client, which has counted, resets the flow. */
static void write_on(int fd, uint32_t for_ms)
{
	static const char chunk[CHUNK_BYTES];
	uint64_t until = after_ms(now_ns(), for_ms + PATIENCE_MS);
	struct timeval limit = {.tv_sec = GIVE_UP_SECONDS};

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	while (now_ns() < until)
		if (write(fd, chunk, sizeof(chunk)) <= 0)
			return;
}

static void serve_flow(int fd)
{
	struct count count = {0}, rest = {0};
	struct request request;

	if (read_all(fd, &request, sizeof(request)) < 0)
		return;
	request.congestion_control[15] = '\0';
	reset_at_close(fd);
	if (!request.server_sends) {
		/* Answered before the reset, which could overtake it. */
		if (!count_for(fd, request.for_ms, &count) &&
		    !write_all(fd, &count, sizeof(count)))
			count_for(fd, GOODBYE_MS, &rest);
	} else if (set_congestion_control(fd, request.congestion_control) < 0) {
		perror("congestion control"); /* the client sees an end */
	} else {
		write_on(fd, request.for_ms);
	}
}

/* The request goes out when every flow is open: what is sent before the count
 * begins would be counted as well.
 */
static int run_flow(struct flow *flow)
{
	if (write_all(flow->fd, &flow->request, sizeof(flow->request)) < 0)
		return -1;
	return flow->is_sender ? write_until_told(flow)
			       : count_for(flow->fd, flow->request.for_ms,
					   &flow->count);
}

static void *flow_thread(void *arg)
{
	struct flow *flow = arg;

	flow->failed = run_flow(flow) < 0;
	if (flow->failed)
		perror("bulk");
	reset_at_close(flow->fd);
	close(flow->fd);
	return NULL;
}

/* The kernel paces the program's own socket. */
static int set_rate(int fd, unsigned mbit_s)
{
	unsigned bytes_s = mbit_s * 125000;

	return mbit_s ? setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE,
				   &bytes_s, sizeof(bytes_s))
		      : 0;
}

static int open_flow(struct flow *flow, char **argv, const char *control,
		     unsigned mbit_s)
{
	flow->is_sender = !strcmp(argv[1], "send");
	flow->request.for_ms = (uint32_t)(atof(argv[5]) * 1000);
	flow->request.server_sends = !flow->is_sender;
	strncpy(flow->request.congestion_control, control, 15);
	flow->fd = dial(argv[2], argv[3]);
	if (flow->fd < 0)
		return -1;
	if (!flow->is_sender)
		return 0;
	return set_congestion_control(flow->fd, control) < 0
		       ? -1
		       : set_rate(flow->fd, mbit_s);
}

static int run(char **argv, int flows, const char *control, unsigned mbit_s)
{
	static struct flow flow[FLOWS_MAX];
	uint64_t wait_ns = 0, bytes = 0;
	double sum_mbit_s = 0;
	int errors = 0;

	for (int i = 0; i < flows; i++)
		if (open_flow(&flow[i], argv, control, mbit_s) < 0) {
			perror("connect");
			return 1;
		}
	for (int i = 0; i < flows; i++)
		pthread_create(&flow[i].thread, NULL, flow_thread, &flow[i]);
	for (int i = 0; i < flows; i++) {
		struct count *count = &flow[i].count;

		pthread_join(flow[i].thread, NULL);
		bytes += count->bytes;
		if (count->ns)
			sum_mbit_s += (double)count->bytes * 8e3 /
				  (double)count->ns;
		errors += flow[i].failed;
		if (flow[i].longest_wait_ns > wait_ns)
			wait_ns = flow[i].longest_wait_ns;
	}
	printf("{\"bytes\": %llu, \"mbit_s\": %.1f, \"longest_wait_ms\": %.1f, "
	       "\"errors\": %d}\n",
	       (unsigned long long)bytes, sum_mbit_s, (double)wait_ns / 1e6,
	       errors);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		accept_forever(listen_on(argv[2]), serve_flow);
	if (argc >= 6 && argc <= 8 &&
	    (!strcmp(argv[1], "send") || !strcmp(argv[1], "take")) &&
	    atoi(argv[4]) > 0 && atoi(argv[4]) <= FLOWS_MAX)
		return run(argv, atoi(argv[4]), argc > 6 ? argv[6] : "",
			   argc > 7 ? (unsigned)atoi(argv[7]) : 0);
	fprintf(stderr, "usage: bulk serve PORT | send|take HOST PORT FLOWS "
			"SECONDS [CONGESTION-CONTROL [MBIT_S]]\n");
	return 64;
}
