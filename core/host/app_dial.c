/* SPDX-License-Identifier: BSD-3-Clause
 * app_dial.c - the far end of an outgoing connection
 *
 * A peer by the stack, our own address by app_inbound.c, the name server by
 * nobody: it is here. What comes of it moves the connection in app_connect.c.
 */
#include <errno.h>
#include <netinet/in.h>

#include "core/host/app_connect.h"
#include "core/host/dns_service.h"

/* -- what it says --------------------------------------------------------- */

static void on_connected(void *user)
{
	struct ts_conn *conn = user;

	ts_conn_set_state(conn, CONN_RELEASING);
	ts_conn_advance(conn);
}

/* The splice looks for bytes when it starts. */
static void on_bytes(void *user)
{
	(void)user;
}

static void on_gone(void *user, int err)
{
	struct ts_conn *conn = user;

	conn->tcp = NULL;
	ts_conn_fail(conn, err ? err : -ECONNRESET);
}

static const struct stack_tcp_ops dial_ops = {
	.connected = on_connected,
	.readable = on_bytes,
	.writable = on_bytes,
	.gone = on_gone,
};

void ts_conn_far_end_up(struct ts_conn *conn)
{
	on_connected(conn);
}

void ts_conn_far_end_gone(struct ts_conn *conn, int err)
{
	conn->inbound = NULL;
	ts_conn_fail(conn, err);
}

/* -- dialling ------------------------------------------------------------- */

/* What the program bound in the tailnet, where the native address is ours. */
static bool find_bound(const struct ts_conn *conn, struct ts_addr *out)
{
	const struct ts_flow_key key = {.proto = IPPROTO_TCP,
					.local = conn->key.local};
	const struct ts_entry *entry = ts_entry_find(conn->host, &key);

	if (!entry || entry->value.kind != TS_FLOW_BIND)
		return false;
	*out = entry->value.tailnet_local;
	return true;
}

/* The program's own port is tried first: a number that stays the same from bind
 * to connect surprises nobody. One that was bound in the tailnet is kept, or
 * the connect fails, as the kernel has it. */
static int dial_peer(struct ts_conn *conn, struct ts_addr *local)
{
	struct ts_host *host = conn->host;
	struct stack *stack = ts_node_stack(conn->member->node);
	struct ts_addr bound = {.port = conn->key.local.port};
	bool is_bound = find_bound(conn, &bound);
	int err = 0;

	if (!ts_ip_is_unspecified(&bound.ip) &&
	    ts_ip_is_v4(&bound.ip) != ts_ip_is_v4(&conn->dest.ip))
		return -ENETUNREACH;
	conn->tcp = stack_tcp_dial(stack, &conn->dest, bound.port, &dial_ops,
				   conn, ts_host_now_ms(host), &err);
	if (!conn->tcp && err == -EADDRINUSE && is_bound)
		return -EADDRNOTAVAIL;
	if (!conn->tcp && err == -EADDRINUSE)
		conn->tcp = stack_tcp_dial(stack, &conn->dest, 0, &dial_ops,
					   conn, ts_host_now_ms(host), &err);
	if (!conn->tcp)
		return err;
	*local = stack_tcp_local(conn->tcp);
	return 0;
}

static int dial_self(struct ts_conn *conn, struct ts_addr *local)
{
	bool v6 = !ts_ip_is_v4(&conn->dest.ip);
	struct ts_addr bound = {.port = conn->key.local.port};
	int err = 0;

	(void)find_bound(conn, &bound);
	local->ip = ts_node_ip(conn->member->node, v6);
	local->port = bound.port;
	conn->inbound = ts_inbound_from_self(conn->member, conn, &conn->dest,
					     local, &err);
	return conn->inbound ? 0 : err;
}

/* The name server needs no node: names of the host's network are served
 * without one. The socket is to be released once it has knocked. */
static int dial_dns(struct ts_conn *conn, struct ts_addr *local)
{
	struct ts_member *named = ts_choose_named(conn->host, conn->by.node);

	if (named)
		conn->member = named;
	*local = conn->key.local;
	if (ts_ip_is_tailscale(&conn->dest.ip))
		local->ip = ts_node_ip(conn->member->node,
				       !ts_ip_is_v4(&conn->dest.ip));
	if (ts_ip_is_unspecified(&local->ip))
		local->ip = conn->key.local.ip;
	conn->is_to_dns = true;
	ts_conn_set_state(conn, CONN_RELEASING);
	return 0;
}

static int conn_dial(struct ts_conn *conn, struct ts_addr *local)
{
	int err = -ENETUNREACH;

	switch (ts_node_route(conn->member->node, &conn->dest.ip, NULL)) {
	case TS_ROUTE_PEER:
		err = dial_peer(conn, local);
		break;
	case TS_ROUTE_SELF:
		err = dial_self(conn, local);
		break;
	case TS_ROUTE_SERVICE:
		err = -ECONNREFUSED;
		break;
	case TS_ROUTE_NONE:
		err = -EHOSTUNREACH;
		break;
	case TS_ROUTE_HOST:
		break;
	}
	return err;
}

/* A stand-in leads to its node; but not for a program that has another alone,
 * or when it is none any more. */
static int choose(struct ts_conn *conn)
{
	struct ts_member *named = ts_choose_named(conn->host, conn->by.node);

	conn->member = conn->stand_in ? conn->stand_in->member
				      : ts_choose(conn->host, &conn->by,
						  &conn->dest.ip);
	if (named && named != conn->member)
		return -EHOSTUNREACH;
	return ts_stand_ins_cover(conn->host, &conn->dest.ip) &&
			       !ts_choice_knows(conn->member, &conn->dest.ip)
		       ? -EHOSTUNREACH
		       : 0;
}

int ts_conn_begin(struct ts_conn *conn, struct ts_addr *local)
{
	if (ts_dns_service_owns(conn->host, &conn->dest))
		return dial_dns(conn, local);
	if (choose(conn))
		return -EHOSTUNREACH;
	if (ts_member_is_down(conn->member))
		return -ENETDOWN;
	if (ts_node_state(conn->member->node) != TS_RUNNING) {
		ts_conn_set_state(conn, CONN_WAITING);
		return 0;
	}
	ts_conn_set_state(conn, CONN_DIALLING);
	return conn_dial(conn, local);
}

void ts_conns_node_changed(struct ts_host *host)
{
	struct ts_link *at, *next;

	for (at = host->conns.next; at != &host->conns; at = next) {
		struct ts_conn *conn = TS_LINK_OWNER(at, struct ts_conn, link);
		int err;

		next = at->next;
		if (conn->state != CONN_WAITING)
			continue;
		err = ts_conn_begin(conn, &conn->entry->value.tailnet_local);
		ts_entry_publish(host, conn->entry);
		if (err)
			ts_conn_fail(conn, err);
	}
}
