/* SPDX-License-Identifier: BSD-3-Clause
 * peerapi_server.c - connections of peers to our PeerAPI
 *
 * Its port belongs to the address (core/node/peerapi_port.c), and the filter
 * lets every peer of the netmap come: who may have what is decided request by
 * request. One request of a connection is answered at a time; what comes
 * meanwhile waits in the tunnel. Silence, slowness and numbers are bounded.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/host/dns_service.h"
#include "core/host/peerapi.h"

enum { SWEEP_MS = 5000, VIEWS = 16, OUT_MAX = 128 * 1024 };

struct ts_peerapi {
	struct ts_link conns;
	size_t count;
	struct ts_timer *sweep;
};

/* -- ends ------------------------------------------------------------------- */

static void free_conn(struct ts_peerapi_conn *conn)
{
	struct ts_peerapi *api = conn->member->peerapi;

	ts_dns_service_cancel(conn->member->host, conn);
	ts_list_remove(&conn->link);
	api->count--;
	ts_byte_queue_deinit(&conn->in);
	ts_byte_queue_deinit(&conn->out);
	free(conn);
}

static void end(struct ts_peerapi_conn *conn)
{
	if (conn->is_deep)
		conn->is_over = true;
	else
		free_conn(conn);
}

static void abort_conn(struct ts_peerapi_conn *conn)
{
	struct stack_tcp *tcp = conn->tcp;

	conn->tcp = NULL;
	if (tcp)
		stack_tcp_abort(tcp);
	end(conn);
}

/* In order, once all is said. */
static void close_if_done(struct ts_peerapi_conn *conn)
{
	struct stack_tcp *tcp = conn->tcp;

	if (!tcp || !conn->closes || conn->is_busy ||
	    ts_byte_queue_len(&conn->out) > 0)
		return;
	conn->tcp = NULL;
	stack_tcp_close(tcp);
	end(conn);
}

struct stack_tcp *ts_peerapi_hijack(struct ts_peerapi_conn *conn)
{
	struct stack_tcp *tcp = conn->tcp;

	conn->tcp = NULL;
	end(conn);
	return tcp;
}

static void set_due(struct ts_peerapi_conn *conn, uint64_t in_ms)
{
	conn->due_ms = ts_host_now_ms(conn->member->host) + in_ms;
}

/* -- bytes ------------------------------------------------------------------ */

static void send_some(struct ts_peerapi_conn *conn)
{
	size_t len = ts_byte_queue_len(&conn->out), took;

	if (!conn->tcp || !conn->is_up || len == 0)
		return;
	took = stack_tcp_write(conn->tcp, ts_byte_queue_data(&conn->out), len);
	if (!conn->tcp)
		return;
	ts_byte_queue_drop(&conn->out, took);
	stack_tcp_flush(conn->tcp);
	if (took > 0)
		set_due(conn, PEERAPI_REQUEST_MS);
}

static const char *reason_of(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 413:
		return "Content Too Large";
	default:
		return "Internal Server Error";
	}
}

static void work(struct ts_peerapi_conn *conn);

void ts_peerapi_reply(struct ts_peerapi_conn *conn, int status,
		      const char *type, const void *body, size_t len)
{
	char head[256];
	int n = snprintf(head, sizeof(head),
			 "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n"
			 "Content-Length: %zu\r\n"
			 "X-Content-Type-Options: nosniff\r\n%s\r\n",
			 status, reason_of(status), type, len,
			 conn->closes ? "Connection: close\r\n" : "");

	conn->is_busy = false;
	if (ts_byte_queue_push(&conn->out, head, (size_t)n) ||
	    ts_byte_queue_push(&conn->out, body, len)) {
		abort_conn(conn);
		return;
	}
	set_due(conn, PEERAPI_IDLE_MS);
	if (!conn->is_deep) /* the next one may be waiting */
		work(conn);
}

static void refuse(struct ts_peerapi_conn *conn, int status, const char *text)
{
	conn->closes = true;
	ts_peerapi_reply(conn, status, "text/plain; charset=utf-8", text,
			 strlen(text));
}

/* false: no whole request is there. */
static bool serve_one(struct ts_peerapi_conn *conn)
{
	struct ts_peerapi_request req;
	int err = ts_peerapi_read(ts_byte_queue_data(&conn->in),
				  ts_byte_queue_len(&conn->in), &req);

	if (err == -EAGAIN)
		return false;
	if (err) {
		refuse(conn, err == -EMSGSIZE ? 413 : 400, "bad request\n");
		return false;
	}
	conn->closes = !req.keep_alive;
	conn->is_busy = true;
	set_due(conn, PEERAPI_REQUEST_MS);
	ts_peerapi_serve(conn, &req);
	if (!conn->is_over)
		ts_byte_queue_drop(&conn->in, req.len);
	return true;
}

static void read_some(struct ts_peerapi_conn *conn)
{
	struct iovec views[VIEWS];
	int count;

	while (conn->tcp && !conn->is_busy &&
	       (count = stack_tcp_read_view(conn->tcp, views, VIEWS)) != 0) {
		if (count < 0) { /* it asks for nothing more */
			conn->closes = true;
			return;
		}
		for (int i = 0; i < count; i++) {
			if (ts_byte_queue_push(&conn->in, views[i].iov_base,
					       views[i].iov_len)) {
				abort_conn(conn);
				return;
			}
			stack_tcp_consume(conn->tcp, views[i].iov_len);
		}
		if (ts_byte_queue_len(&conn->in) >= PEERAPI_INPUT_MAX / 2)
			return; /* what is here first */
	}
}

static void work(struct ts_peerapi_conn *conn)
{
	conn->is_deep = true;
	do {
		read_some(conn);
	} while (!conn->is_over && conn->tcp && !conn->is_busy &&
		 serve_one(conn));
	send_some(conn);
	if (!conn->is_over)
		close_if_done(conn);
	conn->is_deep = false;
	if (conn->is_over)
		free_conn(conn);
}

/* -- events ----------------------------------------------------------------- */

static void on_connected(void *user)
{
	struct ts_peerapi_conn *conn = user;

	conn->is_up = true;
	work(conn);
}

static void on_readable(void *user)
{
	struct ts_peerapi_conn *conn = user;

	if (conn->is_up && !conn->is_deep)
		work(conn);
}

static void on_gone(void *user, int err)
{
	struct ts_peerapi_conn *conn = user;

	(void)err;
	conn->tcp = NULL;
	end(conn);
}

static const struct stack_tcp_ops conn_ops = {
	.connected = on_connected,
	.readable = on_readable,
	.writable = on_readable,
	.gone = on_gone,
};

static size_t count_of(const struct ts_peerapi *api, int64_t peer_id)
{
	size_t count = 0;

	for (const struct ts_link *at = api->conns.next; at != &api->conns;
	     at = at->next)
		count += TS_LINK_OWNER(at, struct ts_peerapi_conn, link)
				 ->peer_id == peer_id;
	return count;
}

static struct ts_peerapi_conn *new_conn(struct ts_member *member,
					const struct ts_addr *remote)
{
	struct ts_peerapi *api = member->peerapi;
	const struct ts_peer *peer = ts_node_whois(member->node, &remote->ip);
	struct ts_peerapi_conn *conn;

	if (!peer || api->count >= PEERAPI_CONNS_MAX ||
	    count_of(api, peer->id) >= PEERAPI_CONNS_EACH)
		return NULL;
	conn = calloc(1, sizeof(*conn));
	if (!conn)
		return NULL;
	conn->member = member;
	conn->remote = *remote;
	conn->peer_id = peer->id;
	ts_byte_queue_init(&conn->in, PEERAPI_INPUT_MAX);
	ts_byte_queue_init(&conn->out, OUT_MAX);
	set_due(conn, PEERAPI_REQUEST_MS);
	ts_list_insert(&api->conns, &conn->link);
	if (api->count++ == 0)
		ts_timer_set(api->sweep,
			     ts_host_now_ms(member->host) + SWEEP_MS);
	return conn;
}

bool ts_peerapi_owns(const struct ts_member *member,
		     const struct ts_addr *local)
{
	return local->port != 0 &&
	       local->port == ts_node_peerapi_port(member->node,
						   !ts_ip_is_v4(&local->ip)) &&
	       !ts_listener_for(member, IPPROTO_TCP, local);
}

void ts_peerapi_syn(struct ts_member *member, struct stack_syn *syn,
		    const struct ts_addr *remote)
{
	struct ts_peerapi_conn *conn = new_conn(member, remote);

	if (!conn) {
		stack_syn_refuse(syn);
		return;
	}
	conn->tcp = stack_syn_accept(syn, &conn_ops, conn,
				     ts_host_now_ms(member->host));
	if (!conn->tcp)
		end(conn);
}

static void on_sweep(void *ctx)
{
	struct ts_member *member = ctx;
	struct ts_peerapi *api = member->peerapi;
	uint64_t now_ms = ts_host_now_ms(member->host);
	struct ts_link *next;

	for (struct ts_link *at = api->conns.next; at != &api->conns;
	     at = next) {
		struct ts_peerapi_conn *conn =
			TS_LINK_OWNER(at, struct ts_peerapi_conn, link);

		next = at->next;
		if (now_ms >= conn->due_ms)
			abort_conn(conn);
	}
	if (api->count > 0)
		ts_timer_set(api->sweep, now_ms + SWEEP_MS);
}

int ts_peerapi_open(struct ts_member *member)
{
	struct ts_peerapi *api = calloc(1, sizeof(*api));

	if (!api)
		return -ENOMEM;
	member->peerapi = api;
	ts_list_init(&api->conns);
	api->sweep = ts_timer_new(member->host->loop, on_sweep, member);
	return api->sweep ? 0 : -ENOMEM;
}

void ts_peerapi_close(struct ts_member *member)
{
	struct ts_peerapi *api = member->peerapi;

	if (!api)
		return;
	while (!ts_list_is_empty(&api->conns))
		abort_conn(TS_LINK_OWNER(api->conns.next,
					 struct ts_peerapi_conn, link));
	ts_timer_free(api->sweep);
	free(api);
	member->peerapi = NULL;
}
