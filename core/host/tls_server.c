/* SPDX-License-Identifier: BSD-3-Clause
 * tls_server.c - TLS that this node terminates
 * Source: ipn/ipnlocal/serve.go (serveTLSConfig), tsnet/tsnet.go (ListenTLS)
 *
 * All work is done once a turn of the loop, for those who have lined up: so
 * nothing is called back inside of what the stack or an owner calls here.
 *
 * The end of the wire is taken for the end of the stream, with a close_notify
 * or without: most clients just close.
 */
#include "core/host/tls_server.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "core/host/tls_conn.h"

enum { SWEEP_MS = 1000 };

/* -- life ----------------------------------------------------------------- */

void ts_tls_line_up(struct ts_tls_conn *conn)
{
	struct ts_tls_server *server = conn->host->tls;

	if (conn->ready.next != &conn->ready)
		return;
	if (ts_list_is_empty(&server->ready))
		ts_timer_set(server->pump, ts_host_now_ms(conn->host));
	ts_list_insert(&server->ready, &conn->ready);
}

void ts_tls_break(struct ts_tls_conn *conn, int err)
{
	if (conn->step == TLS_OVER)
		return;
	conn->step = TLS_OVER;
	conn->err = err;
	ts_tls_line_up(conn);
}

static void free_conn(struct ts_tls_conn *conn)
{
	struct ts_tls_server *server = conn->host->tls;

	if (conn->is_deep) {
		conn->is_freed = true;
		return;
	}
	if (conn->cert_request)
		conn->member->certs->cancel(conn->cert_request);
	ts_list_remove(&conn->link);
	ts_list_remove(&conn->ready);
	server->count--;
	SSL_free(conn->ssl);
	ts_byte_queue_deinit(&conn->early);
	ts_byte_queue_deinit(&conn->out);
	free(conn);
}

static void end(struct ts_tls_conn *conn, bool in_order)
{
	ts_tls_wire_close(conn, in_order);
	free_conn(conn);
}

void ts_tls_conn_abort(struct ts_tls_conn *conn)
{
	conn->ops = NULL;
	end(conn, false);
}

void ts_tls_conn_close(struct ts_tls_conn *conn)
{
	conn->ops = NULL;
	if (conn->step != TLS_OPEN) {
		end(conn, false);
		return;
	}
	ts_tls_conn_shutdown_write(conn);
	conn->step = TLS_CLOSING;
	conn->due_ms = ts_host_now_ms(conn->host) + TLS_LINGER_MS;
	ts_tls_line_up(conn);
}

/* -- plain bytes ---------------------------------------------------------- */

ssize_t ts_tls_conn_read(struct ts_tls_conn *conn, void *out, size_t cap)
{
	size_t done = 0;
	int ret, err;

	if (conn->step == TLS_OVER)
		return conn->err ? conn->err : -EPIPE;
	if (conn->read_ended)
		return 0;
	if (conn->step == TLS_HANDSHAKE)
		return -EAGAIN;
	ERR_clear_error();
	ret = SSL_read_ex(conn->ssl, out, cap, &done);
	if (ret == 1)
		return (ssize_t)done;
	if (SSL_get_error(conn->ssl, ret) == SSL_ERROR_ZERO_RETURN) {
		conn->read_ended = true;
		ts_tls_line_up(conn);
		return 0;
	}
	err = ts_tls_failure_of(conn, ret);
	ERR_clear_error();
	if (err != -EAGAIN)
		ts_tls_break(conn, err);
	return err;
}

static size_t room_of(const struct ts_tls_conn *conn)
{
	size_t waiting = ts_byte_queue_len(&conn->out);

	if (conn->step != TLS_OPEN || conn->wants_fin ||
	    waiting >= TLS_OUT_HIGH)
		return 0;
	return TLS_OUT_HIGH - waiting;
}

size_t ts_tls_conn_room(struct ts_tls_conn *conn)
{
	size_t room = room_of(conn);

	conn->wants_room |= room == 0;
	return room;
}

size_t ts_tls_conn_write(struct ts_tls_conn *conn, const void *data, size_t len)
{
	const uint8_t *from = data;
	size_t at = 0, room;

	while (at < len && (room = room_of(conn)) > 0) {
		size_t want = len - at < room ? len - at : room;
		size_t done = 0;

		if (want > TLS_RECORD)
			want = TLS_RECORD;
		ERR_clear_error();
		if (SSL_write_ex(conn->ssl, from + at, want, &done) != 1) {
			ts_tls_break(conn, conn->err ? conn->err : -EPROTO);
			break;
		}
		at += done;
	}
	ERR_clear_error();
	conn->wants_room |= at < len;
	if (at > 0)
		ts_tls_line_up(conn);
	return at;
}

size_t ts_tls_conn_pending(const struct ts_tls_conn *conn)
{
	return ts_byte_queue_len(&conn->out) +
	       (conn->tcp ? stack_tcp_pending(conn->tcp) : 0);
}

void ts_tls_conn_shutdown_write(struct ts_tls_conn *conn)
{
	if (conn->step != TLS_OPEN || conn->wants_fin)
		return;
	ERR_clear_error();
	(void)SSL_shutdown(conn->ssl);
	ERR_clear_error();
	conn->wants_fin = true;
	ts_tls_line_up(conn);
}

const char *ts_tls_conn_name(const struct ts_tls_conn *conn)
{
	return conn->name;
}

const char *ts_tls_conn_protocol(const struct ts_tls_conn *conn)
{
	return conn->protocol;
}

struct ts_addr ts_tls_conn_remote(const struct ts_tls_conn *conn)
{
	return conn->remote;
}

/* -- a turn --------------------------------------------------------------- */

/* Nobody wants it any more; a reset before it is read would take from the
 * client what it has not read yet. */
static void discard(struct ts_tls_conn *conn)
{
	char scratch[4096];
	size_t done;

	while (SSL_read_ex(conn->ssl, scratch, sizeof(scratch), &done) == 1)
		;
	ERR_clear_error();
	if (ts_byte_queue_len(&conn->out) == 0 && conn->has_fin &&
	    (conn->wire_ended || conn->err))
		end(conn, true);
}

static void tell_gone(struct ts_tls_conn *conn, int err)
{
	const struct ts_tls_conn_ops *ops = conn->ops;
	void *user = conn->user;

	conn->ops = NULL;
	/* An alert is for the client to read. */
	end(conn, err == 0 || err == -EACCES || err == -EPROTO);
	if (ops)
		ops->gone(user, err);
}

static bool is_owned(const struct ts_tls_conn *conn)
{
	return !conn->is_freed && conn->ops && conn->step == TLS_OPEN;
}

static void tell_news(struct ts_tls_conn *conn)
{
	if (is_owned(conn) && !conn->told_ready) {
		conn->told_ready = true;
		conn->ops->ready(conn->user);
	}
	if (is_owned(conn) && !conn->read_ended)
		conn->ops->readable(conn->user);
	if (is_owned(conn) && conn->wants_room && room_of(conn) > 0) {
		conn->wants_room = false;
		conn->ops->writable(conn->user);
	}
}

static void work(struct ts_tls_conn *conn)
{
	conn->is_deep = true;
	conn->budget = HOST_TURN_BYTES;
	if (conn->step == TLS_HANDSHAKE && conn->is_up)
		ts_tls_shake_hands(conn);
	ts_tls_wire_flush(conn);
	tell_news(conn);
	if (!conn->is_freed && conn->step == TLS_CLOSING)
		discard(conn);
	if (!conn->is_freed)
		ts_tls_wire_flush(conn);
	conn->is_deep = false;
	if (conn->is_freed)
		free_conn(conn);
	else if (conn->step == TLS_OVER)
		tell_gone(conn, conn->err);
	else if (conn->step == TLS_OPEN && conn->read_ended && conn->has_fin)
		tell_gone(conn, 0);
}

static void pump(void *ctx)
{
	struct ts_host *host = ctx;
	struct ts_tls_server *server = host->tls;
	struct ts_link turn;

	if (ts_list_is_empty(&server->ready))
		return;
	for (unsigned i = 0; i < host->member_count; i++)
		stack_set_now(ts_node_stack(host->members[i].node),
			      ts_host_now_ms(host));
	ts_timer_set(server->pump, UINT64_MAX);
	/* Who lines up again waits for the next turn. */
	turn = server->ready;
	turn.next->prev = turn.prev->next = &turn;
	ts_list_init(&server->ready);
	while (!ts_list_is_empty(&turn)) {
		struct ts_tls_conn *conn =
			TS_LINK_OWNER(turn.next, struct ts_tls_conn, ready);

		ts_list_remove(&conn->ready);
		work(conn);
	}
}

static void on_sweep(void *ctx)
{
	struct ts_host *host = ctx;
	struct ts_tls_server *server = host->tls;
	uint64_t now_ms = ts_host_now_ms(host);
	struct ts_link *next;

	for (struct ts_link *at = server->conns.next; at != &server->conns;
	     at = next) {
		struct ts_tls_conn *conn =
			TS_LINK_OWNER(at, struct ts_tls_conn, link);

		next = at->next;
		if (now_ms >= conn->due_ms)
			ts_tls_break(conn, -ETIMEDOUT);
	}
	if (server->count > 0)
		ts_timer_set(server->sweep, now_ms + SWEEP_MS);
}

/* -- beginning ------------------------------------------------------------ */

struct census {
	size_t all, shaking;
};

static void count(struct census *c, const struct ts_tls_conn *conn, bool counts)
{
	c->all += counts;
	c->shaking += counts && conn->step == TLS_HANDSHAKE;
}

/* Peers of the tailnet are each one address. */
static bool is_same(const struct ts_tls_conn *a, const struct ts_tls_conn *b)
{
	if (a->is_public != b->is_public)
		return false;
	return a->is_public ? ts_ip_is_same_caller(&a->remote.ip, &b->remote.ip)
			    : ts_ip_equal(&a->remote.ip, &b->remote.ip);
}

/* All that an ingress brings comes from its one address: there whoever calls
 * is counted, so that one of them does not shut the others out, and all of them
 * together, so that they do not shut out the tailnet. */
static bool has_room(const struct ts_tls_server *server,
		     const struct ts_tls_conn *wanted)
{
	struct census each = {0, 0}, public = {0, 0};

	for (const struct ts_link *at = server->conns.next;
	     at != &server->conns; at = at->next) {
		const struct ts_tls_conn *conn =
			TS_LINK_OWNER(at, const struct ts_tls_conn, link);

		count(&each, conn, is_same(conn, wanted));
		count(&public, conn, conn->is_public);
	}
	return server->count < TS_TLS_CONNS_MAX &&
	       each.all < TS_TLS_CONNS_EACH &&
	       each.shaking < TS_TLS_HANDSHAKES_EACH &&
	       (!wanted->is_public ||
		(public.all < TS_TLS_PUBLIC_MAX &&
		 public.shaking < TS_TLS_PUBLIC_HANDSHAKES));
}

static int open_ssl(struct ts_tls_conn *conn)
{
	struct ts_tls_server *server = conn->host->tls;
	BIO *bio;

	conn->ssl = SSL_new(server->ctx);
	bio = conn->ssl ? BIO_new(server->bio_method) : NULL;
	if (!bio)
		return -ENOMEM;
	BIO_set_data(bio, conn);
	BIO_set_init(bio, 1);
	SSL_set_bio(conn->ssl, bio, bio);
	SSL_set_app_data(conn->ssl, conn);
	SSL_set_accept_state(conn->ssl);
	return 0;
}

static bool is_public(const struct stack_tcp *tcp, const struct ts_addr *remote)
{
	struct ts_addr end = tcp ? stack_tcp_remote(tcp) : *remote;

	return !ts_ip_equal(&end.ip, &remote->ip);
}

static struct ts_tls_conn *begin(struct ts_member *member,
				 struct stack_tcp *tcp,
				 int fd, const struct ts_addr *remote,
				 const struct ts_tls_wish *wish,
				 const struct ts_tls_conn_ops *ops, void *user)
{
	struct ts_host *host = member->host;
	struct ts_tls_server *server = host->tls;
	struct ts_tls_conn *conn = calloc(1, sizeof(*conn));

	if (conn) {
		conn->remote = *remote;
		conn->is_public = is_public(tcp, remote);
	}
	if (!conn || !has_room(server, conn)) {
		free(conn);
		if (tcp)
			stack_tcp_abort(tcp);
		ts_sock_reset(fd);
		return NULL;
	}
	conn->host = host;
	conn->member = member;
	conn->tcp = tcp;
	conn->fd = fd;
	conn->alpn = wish->alpn;
	conn->has_fixed_name = wish->name != NULL;
	snprintf(conn->name, sizeof(conn->name), "%s",
		 wish->name ? wish->name : "");
	conn->due_ms = ts_host_now_ms(host) + TS_TLS_HANDSHAKE_MS;
	ts_list_init(&conn->ready);
	ts_list_insert(&server->conns, &conn->link);
	if (server->count++ == 0)
		ts_timer_set(server->sweep, ts_host_now_ms(host) + SWEEP_MS);
	if (ts_tls_wire_open(conn, wish) || open_ssl(conn)) {
		end(conn, false);
		return NULL;
	}
	conn->ops = ops;
	conn->user = user;
	ts_tls_line_up(conn);
	return conn;
}

struct ts_tls_conn *ts_tls_accept_tcp(struct ts_member *member,
				      struct stack_tcp *tcp,
				      const struct ts_addr *remote,
				      const struct ts_tls_wish *wish,
				      const struct ts_tls_conn_ops *ops,
				      void *user)
{
	return begin(member, tcp, -1, remote, wish, ops, user);
}

struct ts_tls_conn *ts_tls_accept_fd(struct ts_member *member, int fd,
				     const struct ts_addr *remote,
				     const struct ts_tls_wish *wish,
				     const struct ts_tls_conn_ops *ops,
				     void *user)
{
	return begin(member, NULL, fd, remote, wish, ops, user);
}

/* -- the server ----------------------------------------------------------- */

int ts_tls_server_open(struct ts_host *host)
{
	struct ts_tls_server *server = calloc(1, sizeof(*server));

	if (!server)
		return -ENOMEM;
	host->tls = server;
	ts_list_init(&server->conns);
	ts_list_init(&server->ready);
	ts_list_init(&server->joins);
	server->ctx = ts_tls_make_ctx();
	server->bio_method = ts_tls_wire_method();
	server->tickets = ts_tls_tickets_new(host->loop);
	server->pump = ts_timer_new(host->loop, pump, host);
	server->sweep = ts_timer_new(host->loop, on_sweep, host);
	ERR_clear_error();
	if (!server->ctx || !server->bio_method || !server->tickets ||
	    !server->pump || !server->sweep)
		return -ENOMEM;
	return ts_loop_before_sleep(host->loop, pump, host);
}

void ts_tls_server_leave_node(struct ts_member *member)
{
	struct ts_host *host = member->host;
	struct ts_link *next;

	/* Its names may be another node's from now on. */
	ts_tls_tickets_forget(host->tls->tickets);
	for (struct ts_link *at = host->tls->conns.next;
	     at != &host->tls->conns; at = next) {
		struct ts_tls_conn *conn =
			TS_LINK_OWNER(at, struct ts_tls_conn, link);

		next = at->next;
		if (conn->member != member || !conn->tcp)
			continue;
		ts_tls_wire_close(conn, false);
		ts_tls_break(conn, -ENETDOWN);
	}
}

size_t ts_tls_undelivered(const struct ts_host *host)
{
	size_t total = 0;

	for (const struct ts_link *at = host->tls->conns.next;
	     at != &host->tls->conns; at = at->next)
		total += ts_tls_conn_pending(
			TS_LINK_OWNER(at, const struct ts_tls_conn, link));
	return total;
}

void ts_tls_server_close(struct ts_host *host)
{
	struct ts_tls_server *server = host->tls;

	if (!server)
		return;
	while (!ts_list_is_empty(&server->conns)) {
		struct ts_tls_conn *conn = TS_LINK_OWNER(
			server->conns.next, struct ts_tls_conn, link);

		tell_gone(conn, -ENETDOWN);
	}
	ts_loop_before_sleep_remove(host->loop, pump, host);
	ts_timer_free(server->pump);
	ts_timer_free(server->sweep);
	BIO_meth_free(server->bio_method);
	ts_tls_tickets_free(server->tickets);
	SSL_CTX_free(server->ctx);
	free(server);
	host->tls = NULL;
}
