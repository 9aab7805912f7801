/* SPDX-License-Identifier: BSD-3-Clause
 * peerapi_server.c - connections of peers to our PeerAPI
 *
 * Its port belongs to the address (core/node/peerapi_port.c), and the filter
 * lets every peer of the netmap come: who may have what is decided request by
 * request. One request of a connection is answered at a time; what comes
 * meanwhile waits in the tunnel. Silence, slowness and numbers are bounded.
 *
 * A body that is taken as it comes may be of any length. Its connection ends
 * with the answer, which may come early; then what the peer still sends is
 * passed over for a while, as a reset could overtake the answer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/host/dns_service.h"
#include "core/host/peerapi.h"

enum {
	SWEEP_MS = 5000,
	VIEWS = 16,
	OUT_MAX = 128 * 1024,
	OUT_LOW = 16 * 1024,
	LINGER_MS = 5000,
};

struct ts_peerapi {
	struct ts_link conns;
	size_t count;
	struct ts_timer *sweep, *turn;
};

/* -- ends ------------------------------------------------------------------ */

static void leave_taker(struct ts_peerapi_conn *conn)
{
	const struct ts_peerapi_taker *taker = conn->taker;

	conn->taker = NULL;
	if (taker)
		taker->gone(conn->taker_ctx);
}

static void close_source(struct ts_peerapi_conn *conn)
{
	const struct ts_peerapi_source *source = conn->source;

	conn->source = NULL;
	if (source)
		source->close(conn->source_ctx);
}

static void free_conn(struct ts_peerapi_conn *conn)
{
	struct ts_peerapi *api = conn->member->peerapi;

	leave_taker(conn);
	close_source(conn);
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

static void linger(struct ts_peerapi_conn *conn)
{
	if (conn->is_lingering)
		return;
	conn->is_lingering = true;
	stack_tcp_shutdown_write(conn->tcp);
	set_due(conn, LINGER_MS);
}

/* In order, once all is said. */
static void close_if_done(struct ts_peerapi_conn *conn)
{
	struct stack_tcp *tcp = conn->tcp;

	if (!tcp || !conn->closes || conn->is_busy || conn->source ||
	    ts_byte_queue_len(&conn->out) > 0)
		return;
	if (conn->in_body && !conn->body.is_done) {
		linger(conn);
		return;
	}
	conn->tcp = NULL;
	stack_tcp_close(tcp);
	end(conn);
}

/* -- bytes ----------------------------------------------------------------- */

/* The next piece of an answer, with its frame. 0, or -errno. */
static int push_piece(struct ts_peerapi_conn *conn)
{
	char piece[PEERAPI_PIECE_MAX], head[24];
	ssize_t n = conn->source->read(conn->source_ctx, piece);
	int len, err;

	if (n < 0)
		return (int)n;
	len = snprintf(head, sizeof(head), "%zx\r\n", (size_t)n);
	err = ts_byte_queue_push(&conn->out, head, (size_t)len);
	if (!err && n > 0)
		err = ts_byte_queue_push(&conn->out, piece, (size_t)n);
	if (!err)
		err = ts_byte_queue_push(&conn->out, "\r\n", 2);
	if (n == 0)
		close_source(conn);
	return err;
}

/* A piece at a time, as each may be work for the disk. */
static void send_some(struct ts_peerapi_conn *conn)
{
	bool had_source = conn->source != NULL;
	size_t len, took = 0;

	if (!conn->tcp || !conn->is_up)
		return;
	if (had_source && ts_byte_queue_len(&conn->out) < OUT_LOW &&
	    push_piece(conn)) {
		abort_conn(conn);
		return;
	}
	len = ts_byte_queue_len(&conn->out);
	if (len > 0)
		took = stack_tcp_write(conn->tcp,
				       ts_byte_queue_data(&conn->out), len);
	if (!conn->tcp)
		return;
	ts_byte_queue_drop(&conn->out, took);
	if (took > 0) {
		stack_tcp_flush(conn->tcp);
		set_due(conn, PEERAPI_REQUEST_MS);
	}
	if (had_source && took == len) /* else it will be writable */
		ts_peerapi_want_turn(conn);
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
	case 409:
		return "Conflict";
	case 413:
		return "Content Too Large";
	case 416:
		return "Range Not Satisfiable";
	case 501:
		return "Not Implemented";
	case 507:
		return "Insufficient Storage";
	default:
		return "Internal Server Error";
	}
}

static void work(struct ts_peerapi_conn *conn);

/* An answer has begun. */
static void say(struct ts_peerapi_conn *conn, const char *head, size_t head_len,
		const void *body, size_t len)
{
	conn->is_busy = false;
	conn->taker = NULL;
	if (ts_byte_queue_push(&conn->out, head, head_len) ||
	    (!conn->is_head && ts_byte_queue_push(&conn->out, body, len))) {
		abort_conn(conn);
		return;
	}
	set_due(conn, PEERAPI_IDLE_MS);
	if (!conn->is_deep) /* the next one may be waiting */
		work(conn);
}

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

	say(conn, head, (size_t)n, body, len);
}

void ts_peerapi_reply_source(struct ts_peerapi_conn *conn, const char *type,
			     const struct ts_peerapi_source *source, void *ctx)
{
	char head[256];
	int n = snprintf(head, sizeof(head),
			 "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n"
			 "Transfer-Encoding: chunked\r\n"
			 "X-Content-Type-Options: nosniff\r\n%s\r\n",
			 type, conn->closes ? "Connection: close\r\n" : "");

	if (conn->is_head) {
		source->close(ctx);
	} else {
		conn->source = source;
		conn->source_ctx = ctx;
	}
	say(conn, head, (size_t)n, "", 0);
}

void ts_peerapi_take_body(struct ts_peerapi_conn *conn,
			  const struct ts_peerapi_taker *taker, void *ctx)
{
	conn->taker = taker;
	conn->taker_ctx = ctx;
}

void ts_peerapi_want_turn(struct ts_peerapi_conn *conn)
{
	conn->wants_turn = true;
	ts_timer_set(conn->member->peerapi->turn,
		     ts_host_now_ms(conn->member->host));
}

static void refuse(struct ts_peerapi_conn *conn, int status, const char *text)
{
	conn->closes = true;
	ts_peerapi_reply(conn, status, "text/plain; charset=utf-8", text,
			 strlen(text));
}

static void begin(struct ts_peerapi_conn *conn,
		  const struct ts_peerapi_request *req)
{
	conn->closes = !req->keep_alive;
	conn->is_head = ts_peerapi_method_is(req, "HEAD");
	conn->is_busy = true;
	set_due(conn, PEERAPI_REQUEST_MS);
}

/* Whoever waits for leave to send gets it. */
static void let_it_come(struct ts_peerapi_conn *conn,
			const struct ts_peerapi_request *req)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (conn->taker &&
	    ts_http1_value_is(ts_http1_find(&req->head, "Expect"),
			      "100-continue") &&
	    ts_byte_queue_push(&conn->out, go_on, sizeof(go_on) - 1))
		abort_conn(conn);
}

static void serve_head(struct ts_peerapi_conn *conn,
		       const struct ts_peerapi_request *req)
{
	begin(conn, req);
	conn->body = req->framing;
	conn->in_body = !conn->body.is_done ||
			ts_peerapi_method_is(req, "PUT");
	conn->closes |= conn->in_body;
	ts_peerapi_serve(conn, req);
	if (conn->is_over)
		return;
	let_it_come(conn, req);
	if (!conn->is_over)
		ts_byte_queue_drop(&conn->in, req->head.head_len);
}

/* false: no whole request is there. */
static bool serve_one(struct ts_peerapi_conn *conn)
{
	const uint8_t *data = ts_byte_queue_data(&conn->in);
	size_t len = ts_byte_queue_len(&conn->in);
	struct ts_peerapi_request req;
	int err = ts_peerapi_read_head(data, len, &req);

	if (!err && ts_peerapi_takes_body(&req)) {
		serve_head(conn, &req);
		return true;
	}
	if (!err)
		err = ts_peerapi_read(data, len, &req);
	if (err == -EAGAIN)
		return false;
	if (err) {
		refuse(conn, err == -EMSGSIZE ? 413 :
			     err == -EOPNOTSUPP ? 501 : 400, "bad request\n");
		return false;
	}
	begin(conn, &req);
	ts_peerapi_serve(conn, &req);
	if (!conn->is_over)
		ts_byte_queue_drop(&conn->in, req.len);
	return true;
}

/* -- bodies that are taken as they come ------------------------------------ */

/* false: it makes no sense, or the connection is over. */
static bool feed(struct ts_peerapi_conn *conn, const uint8_t *at, size_t left)
{
	const uint8_t *piece;
	size_t len;
	ssize_t n;

	while (left > 0 && !conn->body.is_done && !conn->is_over) {
		n = ts_http_body_next(&conn->body, at, left, &piece, &len);
		if (n < 0) {
			abort_conn(conn);
			return false;
		}
		if (len > 0 && conn->taker)
			conn->taker->data(conn->taker_ctx, piece, len);
		at += n;
		left -= (size_t)n;
	}
	return !conn->is_over;
}

static void give_up(struct ts_peerapi_conn *conn)
{
	struct stack_tcp *tcp = conn->tcp;

	if (!conn->is_lingering) {
		abort_conn(conn);
		return;
	}
	conn->tcp = NULL;
	stack_tcp_close(tcp);
	end(conn);
}

/* What is read already, then what is in the tunnel. */
static void read_body(struct ts_peerapi_conn *conn)
{
	struct iovec view;
	int count = 0;

	if (ts_byte_queue_len(&conn->in) > 0) {
		if (!feed(conn, ts_byte_queue_data(&conn->in),
			  ts_byte_queue_len(&conn->in)))
			return;
		ts_byte_queue_clear(&conn->in);
	}
	while (!conn->body.is_done && conn->tcp &&
	       (count = stack_tcp_read_view(conn->tcp, &view, 1)) > 0) {
		if (!feed(conn, view.iov_base, view.iov_len) || !conn->tcp)
			return;
		stack_tcp_consume(conn->tcp, view.iov_len);
		if (!conn->is_lingering)
			set_due(conn, PEERAPI_BODY_MS);
	}
	if (count < 0) /* less than it said */
		give_up(conn);
}

static void take_body(struct ts_peerapi_conn *conn)
{
	read_body(conn);
	if (!conn->is_over && conn->taker && !conn->is_ended &&
	    conn->body.is_done) {
		conn->is_ended = true;
		conn->taker->end(conn->taker_ctx);
	}
}

static void read_some(struct ts_peerapi_conn *conn)
{
	struct iovec views[VIEWS];
	int count;

	while (conn->tcp && !conn->is_busy && !conn->source &&
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
		if (conn->in_body)
			take_body(conn);
		else
			read_some(conn);
	} while (!conn->is_over && conn->tcp && !conn->in_body &&
		 !conn->is_busy && !conn->source && serve_one(conn));
	if (!conn->is_over)
		send_some(conn);
	if (!conn->is_over)
		close_if_done(conn);
	conn->is_deep = false;
	if (conn->is_over)
		free_conn(conn);
}

/* A route goes on with long work; its answer may end the connection. */
static void take_turn(struct ts_peerapi_conn *conn)
{
	conn->is_deep = true;
	if (conn->taker) {
		set_due(conn, PEERAPI_BODY_MS);
		conn->taker->turn(conn->taker_ctx);
	}
	conn->is_deep = false;
	if (conn->is_over)
		free_conn(conn);
	else
		work(conn);
}

/* -- events ---------------------------------------------------------------- */

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

static void on_turn(void *ctx)
{
	struct ts_member *member = ctx;
	struct ts_peerapi *api = member->peerapi;
	struct ts_link *next;

	for (struct ts_link *at = api->conns.next; at != &api->conns;
	     at = next) {
		struct ts_peerapi_conn *conn =
			TS_LINK_OWNER(at, struct ts_peerapi_conn, link);

		next = at->next;
		if (!conn->wants_turn)
			continue;
		conn->wants_turn = false;
		take_turn(conn);
	}
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
	api->turn = ts_timer_new(member->host->loop, on_turn, member);
	return api->sweep && api->turn ? 0 : -ENOMEM;
}

void ts_peerapi_leave_node(struct ts_member *member)
{
	struct ts_peerapi *api = member->peerapi;

	while (api && !ts_list_is_empty(&api->conns))
		abort_conn(TS_LINK_OWNER(api->conns.next,
					 struct ts_peerapi_conn, link));
}

void ts_peerapi_close(struct ts_member *member)
{
	struct ts_peerapi *api = member->peerapi;

	if (!api)
		return;
	ts_peerapi_leave_node(member);
	ts_timer_free(api->sweep);
	ts_timer_free(api->turn);
	free(api);
	member->peerapi = NULL;
}
