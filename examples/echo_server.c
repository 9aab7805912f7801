/* SPDX-License-Identifier: BSD-3-Clause
 * echo_server.c - a server on a tailnet that says to all what they say, and
 *		   tells on stdout who they are
 *
 *	cc echo_server.c -ltsnet -o echo_server
 *	TS_AUTHKEY=tskey-auth-... ./echo_server [PORT]
 *
 * One thread serves all: the listener and the connections are descriptors that
 * poll() takes.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tsnet.h"

enum { CLIENTS_MAX = 64 };

static void greet(struct tsnet *ts, const char *peer)
{
	char *who = tsnet_whois(ts, peer);

	printf("%s %s\n", peer, who ? who : "nobody knows");
	fflush(stdout);
	free(who);
}

/* 0: it has ended. */
static int echo(int fd)
{
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));

	return n > 0 && write(fd, buf, (size_t)n) == n;
}

static int serve(struct tsnet *ts, int listener)
{
	struct pollfd fds[1 + CLIENTS_MAX] = {{listener, POLLIN, 0}};
	nfds_t count = 1;

	for (;;) {
		char peer[TSNET_ADDR_CAP];

		fds[0].events = count <= CLIENTS_MAX ? POLLIN : 0;
		if (poll(fds, count, -1) < 0)
			return -1;
		for (nfds_t i = 1; i < count; i++) {
			if (!fds[i].revents || echo(fds[i].fd))
				continue;
			close(fds[i].fd);
			fds[i--] = fds[--count];
		}
		if (!fds[0].revents)
			continue;
		fds[count].fd = tsnet_accept(ts, listener, peer, sizeof(peer));
		if (fds[count].fd < 0)
			return -1;
		fds[count].events = POLLIN;
		fds[count++].revents = 0;
		greet(ts, peer);
	}
}

int main(int argc, char **argv)
{
	struct tsnet *ts = tsnet_new();
	char address[32];
	int listener = -1;

	if (!ts)
		return 1;
	snprintf(address, sizeof(address), ":%s", argc > 1 ? argv[1] : "1999");
	if (tsnet_set(ts, "hostname", "echo") == 0 && tsnet_up(ts, 60) == 0)
		listener = tsnet_listen(ts, "tcp", address);
	if (listener < 0 || serve(ts, listener) < 0)
		fprintf(stderr, "echo_server: %s\n", tsnet_errmsg(ts));
	tsnet_close(ts);
	return 1;
}
