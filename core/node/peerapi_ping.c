/* SPDX-License-Identifier: BSD-3-Clause
 * peerapi_ping.c - is the peer's own HTTP server there?
 *
 * HEAD of its root, by a connection of our own stack. Whatever it answers
 * counts, if it is HTTP; the time is that of connecting and answering.
 * Source: ipn/ipnlocal/local.go (pingPeerAPI)
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/node/node_internal.h"

static const char http[] = "HTTP/1.";

static void on_connected(void *user)
{
	static const char request[] = "HEAD / HTTP/1.1\r\n"
				      "Host: peer\r\n"
				      "Connection: close\r\n\r\n";
	struct node_ping *ping = user;

	/* A new connection has room for more than this. */
	stack_tcp_write(ping->tcp, request, sizeof(request) - 1);
	stack_tcp_flush(ping->tcp);
}

static void on_readable(void *user)
{
	struct node_ping *ping = user;
	struct iovec iov;
	int n = stack_tcp_read_view(ping->tcp, &iov, 1);

	if (n < 0)
		node_ping_fail(ping, -ECONNRESET);
	else if (n == 0 || iov.iov_len < sizeof(http) - 1)
		return; /* more will come */
	else if (memcmp(iov.iov_base, http, sizeof(http) - 1) != 0)
		node_ping_fail(ping, -EPROTO);
	else
		node_ping_succeed(ping);
}

static void on_writable(void *user)
{
	(void)user;
}

static void on_gone(void *user, int err)
{
	struct node_ping *ping = user;

	ping->tcp = NULL;
	node_ping_fail(ping, err ? err : -ECONNRESET);
}

static const struct stack_tcp_ops ping_ops = {
	.connected = on_connected,
	.readable = on_readable,
	.writable = on_writable,
	.gone = on_gone,
};

void node_peerapi_ping(struct ts_node *node, struct node_ping *ping,
		       const struct ts_peer *peer)
{
	int err = 0;

	if (!ts_node_peerapi_of(node, peer, &ping->peerapi)) {
		node_ping_fail(ping, -EOPNOTSUPP);
		return;
	}
	ping->tcp = stack_tcp_dial(node->stack, &ping->peerapi, 0, &ping_ops,
				   ping, node->now_ms, &err);
	if (!ping->tcp)
		node_ping_fail(ping, err);
}
