/* SPDX-License-Identifier: BSD-3-Clause
 * net.c - sockets that give up, and a clock
 */
#include "net.h"
#include "socks.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int listen_on(const char *port)
{
	struct sockaddr_in any = {.sin_family = AF_INET,
				  .sin_port = htons((uint16_t)atoi(port))};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	signal(SIGPIPE, SIG_IGN);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 ||
	    listen(fd, 1024) < 0) {
		perror("listen");
		exit(1);
	}
	printf("{\"serving\": %s}\n", port);
	fflush(stdout);
	return fd;
}

static int dial_plainly(const char *host, const char *port)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,
				 .ai_socktype = SOCK_STREAM};
	struct timeval limit = {.tv_sec = GIVE_UP_SECONDS};
	struct addrinfo *found;
	int on = 1;
	int err;
	int fd;

	if (getaddrinfo(host, port, &hints, &found)) {
		errno = EADDRNOTAVAIL;
		return -1;
	}
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* SO_SNDTIMEO bounds connect() as well. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	err = connect(fd, found->ai_addr, found->ai_addrlen) < 0 ? errno : 0;
	freeaddrinfo(found);
	if (err) {
		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

int dial_proxy(void)
{
	const char *proxy = getenv("SOCKS5");
	size_t host_len = strcspn(proxy, ":");
	char host[64];

	snprintf(host, sizeof(host), "%.*s", (int)host_len, proxy);
	return dial_plainly(host, proxy + host_len + 1);
}

int dial(const char *host, const char *port)
{
	int fd;

	signal(SIGPIPE, SIG_IGN);
	if (!getenv("SOCKS5"))
		return dial_plainly(host, port);
	fd = dial_proxy();
	if (fd >= 0 && socks_connect(fd, host, port) < 0) {
		close(fd);
		errno = ECONNREFUSED;
		return -1;
	}
	return fd;
}

int set_congestion_control(int fd, const char *name)
{
	if (!*name)
		return 0;
	return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name,
			  (socklen_t)strlen(name));
}

int write_all(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n <= 0)
			return -1;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int read_all(int fd, void *bytes, size_t len)
{
	char *at = bytes;

	while (len > 0) {
		ssize_t n = read(fd, at, len);

		if (n <= 0)
			return -1;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

struct guest {
	void (*serve)(int fd);
	int fd;
};

static void *serve_guest(void *arg)
{
	struct guest *guest = arg;

	guest->serve(guest->fd);
	close(guest->fd);
	free(guest);
	return NULL;
}

void accept_forever(int listener, void (*serve)(int fd))
{
	for (;;) {
		struct guest *guest = malloc(sizeof(*guest));
		pthread_t thread;

		guest->serve = serve;
		guest->fd = accept(listener, NULL, NULL);
		if (guest->fd < 0 ||
		    pthread_create(&thread, NULL, serve_guest, guest)) {
			perror("accept");
			free(guest);
			continue;
		}
		pthread_detach(thread);
	}
}

static int compare_ns(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

void sort_ns(uint64_t *samples, size_t count)
{
	qsort(samples, count, sizeof(*samples), compare_ns);
}

double percentile_us(const uint64_t *sorted, size_t count, double percent)
{
	size_t at = (size_t)((double)count * percent / 100);

	if (count == 0)
		return 0;
	return (double)sorted[at < count ? at : count - 1] / 1000;
}
