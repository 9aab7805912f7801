/* SPDX-License-Identifier: BSD-3-Clause
 * connrate.c - how many connections a second
 *
 *	connrate serve PORT client|server
 *	connrate run HOST PORT client|server THREADS SECONDS
 *
 * Each connection carries one HTTP/1.0 request and its answer; the last word
 * says who closes first (and has the TIME_WAIT). Any HTTP client can speak to
 * a server that closes first.
 */
#include "net.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	THREADS_MAX = 64,
	SAMPLES_MAX = 256 * 1024,
	STALL_NS = 1000000000,
};

static const char request[] = "GET / HTTP/1.0\r\n\r\n";
static const char answer[] = "HTTP/1.0 200 OK\r\n\r\nx\n";

struct worker {
	pthread_t thread;
	const char *host, *port;
	uint64_t until_ns;
	uint64_t *samples;
	size_t count;
	int server_closes;
	int errors;
	int last_error;
};

/* Reads up to the empty line that ends a request. */
static int read_request(int fd)
{
	char text[4096];
	size_t len = 0;

	while (len < sizeof(text)) {
		ssize_t n = read(fd, text + len, sizeof(text) - len);

		if (n <= 0)
			return -1;
		len += (size_t)n;
		if (memmem(text, len, "\r\n\r\n", 4))
			return 0;
	}
	return -1;
}

static void answer_and_close(int fd)
{
	if (!read_request(fd))
		write_all(fd, answer, sizeof(answer) - 1);
}

static void answer_and_wait(int fd)
{
	char byte;

	answer_and_close(fd);
	while (read(fd, &byte, 1) > 0)
		;
}

struct service {
	int listener;
	void (*serve)(int fd);
};

static void *serve_one_by_one(void *arg)
{
	const struct service *s = arg;

	for (;;) {
		int fd = accept(s->listener, NULL, NULL);

		if (fd < 0) {
			perror("accept");
			continue;
		}
		s->serve(fd);
		close(fd);
	}
	return NULL;
}

static void serve(const char *port, void (*fn)(int fd))
{
	struct service s = {.listener = listen_on(port), .serve = fn};
	pthread_t thread;

	for (int i = 1; i < THREADS_MAX; i++)
		if (pthread_create(&thread, NULL, serve_one_by_one, &s))
			perror("pthread_create");
	serve_one_by_one(&s);
}

static int one_connection(const struct worker *w)
{
	char text[sizeof(answer)];
	int fd = dial(w->host, w->port);
	int failed;
	int err;

	if (fd < 0)
		return errno;
	errno = EPIPE; /* what an early end of file counts as */
	failed = write_all(fd, request, sizeof(request) - 1) < 0 ||
		 read_all(fd, text, sizeof(answer) - 1) < 0 ||
		 (w->server_closes && read(fd, text, 1) != 0);
	err = errno;
	close(fd);
	return failed ? err : 0;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t now = now_ns();

	while (now < w->until_ns && w->count < SAMPLES_MAX) {
		uint64_t start = now;
		int err = one_connection(w);

		now = now_ns();
		w->samples[w->count++] = now - start;
		if (err) {
			w->errors++;
			w->last_error = err;
		}
	}
	return NULL;
}

static int run(struct worker *model, int threads, double s)
{
	static struct worker worker[THREADS_MAX];
	uint64_t *samples = calloc((size_t)threads * SAMPLES_MAX, 8);
	uint64_t start = now_ns();
	size_t count = 0, stalls = 0;
	int errors = 0, last_error = 0;
	double took;

	for (int i = 0; i < threads; i++) {
		worker[i] = *model;
		worker[i].samples = samples + (size_t)i * SAMPLES_MAX;
		worker[i].until_ns = start + (uint64_t)(s * 1e9);
		pthread_create(&worker[i].thread, NULL, work, &worker[i]);
	}
	for (int i = 0; i < threads; i++) {
		pthread_join(worker[i].thread, NULL);
		memmove(samples + count, worker[i].samples,
			worker[i].count * sizeof(*samples));
		count += worker[i].count;
		errors += worker[i].errors;
		if (worker[i].last_error)
			last_error = worker[i].last_error;
	}
	took = (double)(now_ns() - start) / 1e9;
	for (size_t i = 0; i < count; i++)
		stalls += samples[i] > STALL_NS;
	sort_ns(samples, count);
	printf("{\"connections\": %zu, \"per_second\": %.1f, \"errors\": %d, "
	       "\"last_error\": \"%s\", \"stalls\": %zu, \"p50_us\": %.1f, "
	       "\"p99_us\": %.1f, \"max_us\": %.1f}\n",
	       count - (size_t)errors, ((double)count - errors) / took, errors,
	       last_error ? strerror(last_error) : "", stalls,
	       percentile_us(samples, count, 50),
	       percentile_us(samples, count, 99),
	       percentile_us(samples, count, 100));
	free(samples);
	return 0;
}

int main(int argc, char **argv)
{
	int last = argc == 4 ? 3 : 4;
	int server_closes = argc > last && !strcmp(argv[last], "server");

	if (argc == 4 && !strcmp(argv[1], "serve"))
		serve(argv[2],
		      server_closes ? answer_and_close : answer_and_wait);
	if (argc == 7 && !strcmp(argv[1], "run") && atoi(argv[5]) > 0 &&
	    atoi(argv[5]) <= THREADS_MAX) {
		struct worker model = {.host = argv[2],
				       .port = argv[3],
				       .server_closes = server_closes};

		return run(&model, atoi(argv[5]), atof(argv[6]));
	}
	fprintf(stderr, "usage: connrate serve PORT client|server | "
			"run HOST PORT client|server THREADS SECONDS\n");
	return 64;
}
