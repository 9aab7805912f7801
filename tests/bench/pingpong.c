/* SPDX-License-Identifier: BSD-3-Clause
 * pingpong.c - how long until an answer
 *
 *	pingpong serve PORT
 *	pingpong ping HOST PORT SIZE SECONDS
 *
 * One connection, one message of SIZE bytes under way at a time.
 */
#include "net.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIZE_MAX_BYTES = 64 * 1024, SAMPLES_MAX = 4 << 20 };

static void echo(int fd)
{
	static _Thread_local char message[SIZE_MAX_BYTES];
	int on = 1;
	ssize_t n;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	while ((n = read(fd, message, sizeof(message))) > 0)
		if (write_all(fd, message, (size_t)n) < 0)
			return;
}

static int ping(const char *host, const char *port, size_t size, double s)
{
	static uint64_t samples[SAMPLES_MAX];
	static char message[SIZE_MAX_BYTES];
	uint64_t now, until;
	size_t count = 0;
	int failed = 0;
	int fd = dial(host, port);

	if (fd < 0) {
		perror("connect");
		return 1;
	}
	now = now_ns();
	until = now + (uint64_t)(s * 1e9);
	while (now < until && count < SAMPLES_MAX && !failed) {
		uint64_t sent = now;

		failed = write_all(fd, message, size) < 0 ||
			 read_all(fd, message, size) < 0;
		now = now_ns();
		samples[count++] = now - sent;
	}
	if (failed)
		perror("ping");
	sort_ns(samples, count);
	printf("{\"round_trips\": %zu, \"p50_us\": %.1f, \"p99_us\": %.1f, "
	       "\"max_us\": %.1f, \"errors\": %d}\n",
	       count, percentile_us(samples, count, 50),
	       percentile_us(samples, count, 99),
	       percentile_us(samples, count, 100), failed);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		accept_forever(listen_on(argv[2]), echo);
	if (argc == 6 && !strcmp(argv[1], "ping") && atoi(argv[4]) > 0 &&
	    atoi(argv[4]) <= SIZE_MAX_BYTES)
		return ping(argv[2], argv[3], (size_t)atoi(argv[4]),
			    atof(argv[5]));
	fprintf(stderr, "usage: pingpong serve PORT | "
			"ping HOST PORT SIZE SECONDS\n");
	return 64;
}
