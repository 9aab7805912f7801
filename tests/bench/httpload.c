/* SPDX-License-Identifier: BSD-3-Clause
 * httpload.c - requests a second over kept connections, through SOCKS5
 *
 *	httpload run HOST PORT CONNECTIONS SECONDS
 *
 * wrk knows no proxy; this is what asks in its place where one is needed. A
 * thread a connection, one request under way on each.
 */
#include "net.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, SAMPLES_MAX = 256 * 1024 };

static const char request[] = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";

struct asker {
	pthread_t thread;
	int fd;
	uint64_t until_ns;
	uint64_t *samples;
	size_t count;
	int failed;
};

/* One answer with a Content-Length; 0, or -1. */
static int read_answer(int fd)
{
	char text[8192];
	size_t len = 0, want = 0;

	while (!want || len < want) {
		ssize_t n = read(fd, text + len, sizeof(text) - 1 - len);
		char *end, *length;

		if (n <= 0)
			return -1;
		len += (size_t)n;
		text[len] = '\0';
		end = strstr(text, "\r\n\r\n");
		length = strstr(text, "Content-Length: ");
		if (end && !length)
			return -1;
		if (end)
			want = (size_t)(end + 4 - text) +
			       (size_t)atoi(length + 16);
	}
	return 0;
}

static void *work(void *arg)
{
	struct asker *a = arg;
	uint64_t now = now_ns();

	while (now < a->until_ns && a->count < SAMPLES_MAX) {
		uint64_t asked = now;

		if (write_all(a->fd, request, sizeof(request) - 1) < 0 ||
		    read_answer(a->fd) < 0) {
			a->failed = 1;
			break;
		}
		now = now_ns();
		a->samples[a->count++] = now - asked;
	}
	return NULL;
}

static int run(char **argv, int connections, double s)
{
	static struct asker asker[CONNECTIONS_MAX];
	uint64_t *samples = calloc((size_t)connections * SAMPLES_MAX, 8);
	size_t count = 0;
	uint64_t start;
	int errors = 0;
	double took;

	for (int i = 0; i < connections; i++) {
		asker[i].fd = dial(argv[2], argv[3]);
		asker[i].samples = samples + (size_t)i * SAMPLES_MAX;
		if (asker[i].fd < 0) {
			perror("connect");
			return 1;
		}
	}
	start = now_ns();
	for (int i = 0; i < connections; i++) {
		asker[i].until_ns = start + (uint64_t)(s * 1e9);
		pthread_create(&asker[i].thread, NULL, work, &asker[i]);
	}
	for (int i = 0; i < connections; i++) {
		pthread_join(asker[i].thread, NULL);
		memmove(samples + count, asker[i].samples,
			asker[i].count * sizeof(*samples));
		count += asker[i].count;
		errors += asker[i].failed;
	}
	took = (double)(now_ns() - start) / 1e9;
	sort_ns(samples, count);
	printf("{\"requests\": %zu, \"per_second\": %.1f, \"p99_us\": %.1f, "
	       "\"errors\": %d}\n",
	       count, (double)count / took, percentile_us(samples, count, 99),
	       errors);
	free(samples);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 6 && !strcmp(argv[1], "run") && atoi(argv[4]) > 0 &&
	    atoi(argv[4]) <= CONNECTIONS_MAX)
		return run(argv, atoi(argv[4]), atof(argv[5]));
	fprintf(stderr, "usage: httpload run HOST PORT CONNECTIONS SECONDS\n");
	return 64;
}
