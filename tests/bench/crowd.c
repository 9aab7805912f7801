/* SPDX-License-Identifier: BSD-3-Clause
 * crowd.c - many connections at once
 *
 *	crowd serve PORT
 *	crowd hold HOST PORT COUNT		opens them, and stays
 *	crowd talk HOST PORT COUNT SECONDS	one byte to and fro on each
 *
 * One thread and one epoll set, as busy servers have it. As many connects as
 * WINDOW are under way at a time.
 */
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	WINDOW = 64,
	COUNT_MAX = 60000,
	SAMPLES_MAX = 4 << 20,
	WAIT_MS = 1000,
	STALL_MS = 20000, /* nothing at all happens: give up */
};

struct crowd {
	int epoll_fd;
	int fds[COUNT_MAX];
	uint64_t began_ns[COUNT_MAX];
	int opened, pending, errors, last_error;
	uint64_t *samples;
	size_t sample_count;
};

static void raise_limit(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void watch(int epoll_fd, int op, int fd, uint32_t events, int number)
{
	struct epoll_event event = {.events = events,
				    .data.u32 = (uint32_t)number};

	epoll_ctl(epoll_fd, op, fd, &event);
}

static _Noreturn void serve(const char *port)
{
	int listener = listen_on(port), epoll_fd = epoll_create1(0);
	struct epoll_event got[256];
	char bytes[4096];

	watch(epoll_fd, EPOLL_CTL_ADD, listener, EPOLLIN, listener);
	for (;;) {
		int n = epoll_wait(epoll_fd, got, 256, -1);

		for (int i = 0; i < n; i++) {
			int fd = (int)got[i].data.u32;
			ssize_t len;

			if (fd == listener) {
				fd = accept(listener, NULL, NULL);
				if (fd >= 0)
					watch(epoll_fd, EPOLL_CTL_ADD, fd,
					      EPOLLIN, fd);
				continue;
			}
			len = read(fd, bytes, sizeof(bytes));
			if (len <= 0 || write_all(fd, bytes, (size_t)len) < 0)
				close(fd);
		}
	}
}

static void begin_one(struct crowd *c, int number, const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (fd < 0 || (connect(fd, (const struct sockaddr *)to, sizeof(*to)) &&
		       errno != EINPROGRESS)) {
		c->errors++;
		c->last_error = errno;
		close(fd);
		return;
	}
	c->fds[number] = fd;
	c->pending++;
	watch(c->epoll_fd, EPOLL_CTL_ADD, fd, EPOLLOUT, number);
}

static void finish_one(struct crowd *c, int number)
{
	int err = 0;
	socklen_t len = sizeof(err);

	getsockopt(c->fds[number], SOL_SOCKET, SO_ERROR, &err, &len);
	c->pending--;
	if (!err) {
		c->opened++;
		watch(c->epoll_fd, EPOLL_CTL_MOD, c->fds[number], EPOLLIN,
		      number);
		return;
	}
	c->errors++;
	c->last_error = err;
	close(c->fds[number]);
	c->fds[number] = 0;
}

static void open_all(struct crowd *c, int count, const struct sockaddr_in *to)
{
	struct epoll_event got[WINDOW];
	uint64_t last_ns = now_ns();
	int begun = 0;

	while (begun < count || c->pending > 0) {
		int n;

		while (begun < count && c->pending < WINDOW)
			begin_one(c, begun++, to);
		n = epoll_wait(c->epoll_fd, got, WINDOW, WAIT_MS);
		for (int i = 0; i < n; i++)
			finish_one(c, (int)got[i].data.u32);
		if (n > 0)
			last_ns = now_ns();
		else if (now_ns() - last_ns > STALL_MS * 1000000ull)
			break;
	}
}

static void send_one(struct crowd *c, int number)
{
	c->began_ns[number] = now_ns();
	if (write(c->fds[number], "x", 1) != 1)
		c->errors++;
}

static void take_one(struct crowd *c, int number)
{
	char byte;

	if (read(c->fds[number], &byte, 1) != 1) {
		c->errors++;
		c->last_error = errno;
		watch(c->epoll_fd, EPOLL_CTL_DEL, c->fds[number], 0, 0);
		return;
	}
	if (c->sample_count < SAMPLES_MAX)
		c->samples[c->sample_count++] =
			now_ns() - c->began_ns[number];
	send_one(c, number);
}

static void talk(struct crowd *c, int count, double s)
{
	struct epoll_event got[256];
	uint64_t until_ns = now_ns() + (uint64_t)(s * 1e9);

	for (int i = 0; i < count; i++)
		if (c->fds[i] > 0)
			send_one(c, i);
	while (now_ns() < until_ns) {
		int n = epoll_wait(c->epoll_fd, got, 256, WAIT_MS);

		for (int i = 0; i < n; i++)
			take_one(c, (int)got[i].data.u32);
	}
}

static int run(const char *host, const char *port, int count, double s)
{
	static struct crowd c;
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)atoi(port))};
	uint64_t began_ns = now_ns();
	double opening;

	c.epoll_fd = epoll_create1(0);
	c.samples = calloc(SAMPLES_MAX, sizeof(*c.samples));
	if (inet_pton(AF_INET, host, &to.sin_addr) != 1 || !c.samples)
		return 1;
	open_all(&c, count, &to);
	opening = (double)(now_ns() - began_ns) / 1e9;
	if (s > 0)
		talk(&c, count, s);
	sort_ns(c.samples, c.sample_count);
	printf("{\"opened\": %d, \"errors\": %d, \"last_error\": \"%s\", "
	       "\"open_per_second\": %.0f, \"round_trips\": %zu, "
	       "\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}\n",
	       c.opened, c.errors, c.last_error ? strerror(c.last_error) : "",
	       c.opened / opening, c.sample_count,
	       percentile_us(c.samples, c.sample_count, 50),
	       percentile_us(c.samples, c.sample_count, 99),
	       percentile_us(c.samples, c.sample_count, 100));
	fflush(stdout);
	while (s == 0)
		pause();
	return 0;
}

int main(int argc, char **argv)
{
	int count = argc > 4 ? atoi(argv[4]) : 0;

	raise_limit();
	if (argc == 3 && !strcmp(argv[1], "serve"))
		serve(argv[2]);
	if (count > 0 && count <= COUNT_MAX) {
		if (argc == 5 && !strcmp(argv[1], "hold"))
			return run(argv[2], argv[3], count, 0);
		if (argc == 6 && !strcmp(argv[1], "talk"))
			return run(argv[2], argv[3], count, atof(argv[5]));
	}
	fprintf(stderr, "usage: crowd serve PORT | hold HOST PORT COUNT | "
			"talk HOST PORT COUNT SECONDS\n");
	return 64;
}
