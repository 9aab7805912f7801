/* SPDX-License-Identifier: BSD-3-Clause
 * bridge.c - two nodes in one process: whoever calls the first, on its tailnet,
 *	      is connected to a server of the second one's
 *
 *	cc bridge.c -ltsnet -lpthread -o bridge
 *	FRONT_URL=https://... FRONT_KEY=... BACK_URL=https://... BACK_KEY=... \
 *		./bridge 8080 db:5432
 *
 * The tailnets may be different ones, of the same addresses even: a server
 * shares nothing with the other.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tsnet.h"

struct way {
	int from, to;
};

static struct tsnet *new_node(const char *name, const char *url,
			      const char *key, const char *dir)
{
	struct tsnet *ts = tsnet_new();

	if (!ts)
		exit(1);
	if (tsnet_set(ts, "hostname", name) ||
	    tsnet_set(ts, "control_url", url) ||
	    tsnet_set(ts, "auth_key", key) || tsnet_set(ts, "state_dir", dir) ||
	    tsnet_up(ts, 60)) {
		fprintf(stderr, "bridge: %s: %s\n", name, tsnet_errmsg(ts));
		exit(1);
	}
	return ts;
}

static void *copy(void *ctx)
{
	const struct way *way = ctx;
	char buf[65536];
	ssize_t n;

	while ((n = read(way->from, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0, sent; at < n; at += sent) {
			sent = send(way->to, buf + at, (size_t)(n - at),
				    MSG_NOSIGNAL);
			if (sent < 0)
				return NULL;
		}
	shutdown(way->to, SHUT_WR);
	return NULL;
}

/* One connection at a time, which is enough to show. */
static void join(int a, int b)
{
	struct way there = {a, b}, back = {b, a};
	pthread_t thread;

	if (pthread_create(&thread, NULL, copy, &there) == 0) {
		copy(&back);
		pthread_join(thread, NULL);
	}
}

int main(int argc, char **argv)
{
	struct tsnet *front, *back;
	char address[32], v4[2][TSNET_ADDR_CAP], v6[TSNET_ADDR_CAP];
	int listener;

	if (argc != 3) {
		fprintf(stderr, "usage: bridge PORT HOST:PORT\n");
		return 64;
	}
	front = new_node("front", getenv("FRONT_URL"), getenv("FRONT_KEY"),
			 "front");
	back = new_node("back", getenv("BACK_URL"), getenv("BACK_KEY"), "back");
	snprintf(address, sizeof(address), ":%s", argv[1]);
	listener = tsnet_listen(front, "tcp", address);
	tsnet_ips(front, v4[0], v6, sizeof(v6));
	tsnet_ips(back, v4[1], v6, sizeof(v6));
	printf("front %s, back %s\n", v4[0], v4[1]);
	fflush(stdout);
	for (;;) {
		int near = tsnet_accept(front, listener, NULL, 0), far;

		if (near < 0)
			break;
		far = tsnet_dial(back, "tcp", argv[2], 30);
		if (far < 0)
			fprintf(stderr, "bridge: %s\n", tsnet_errmsg(back));
		else
			join(near, far);
		close(near);
		if (far >= 0)
			close(far);
	}
	fprintf(stderr, "bridge: %s\n", tsnet_errmsg(front));
	tsnet_close(back);
	tsnet_close(front);
	return 1;
}
