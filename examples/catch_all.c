/* SPDX-License-Identifier: BSD-3-Clause
 * catch_all.c - answer at every port of a tailnet node that nobody listens at,
 *		 but for the low ones, and say which it was
 *
 *	cc catch_all.c $(pkg-config --cflags --libs tsnet) -o catch_all
 *	TS_AUTHKEY=tskey-auth-... ./catch_all
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tsnet.h"

/* Whom we say no to is refused, as if there was nothing. */
static int wants(void *ctx, const char *src, const char *dst)
{
	(void)ctx, (void)src;
	return atoi(strrchr(dst, ':') + 1) >= 1024;
}

static void answer(struct tsnet *ts, int fd, const char *peer)
{
	char here[TSNET_ADDR_CAP] = "";

	if (tsnet_local_addr(ts, fd, here, sizeof(here)) == 0)
		dprintf(fd, "hello %s, you called %s\n", peer, here);
	close(fd);
}

int main(void)
{
	struct tsnet *ts = tsnet_new();
	char peer[TSNET_ADDR_CAP];
	int listener = -1, fd;

	if (!ts)
		return 1;
	if (tsnet_set(ts, "hostname", "catch-all") == 0 &&
	    tsnet_up(ts, 60) == 0)
		listener = tsnet_listen_fallback(ts, wants, NULL);
	while (listener >= 0 &&
	       (fd = tsnet_accept(ts, listener, peer, sizeof(peer))) >= 0)
		answer(ts, fd, peer);
	fprintf(stderr, "catch_all: %s\n", tsnet_errmsg(ts));
	tsnet_close(ts);
	return 1;
}
