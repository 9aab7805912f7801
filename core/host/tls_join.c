/* SPDX-License-Identifier: BSD-3-Clause
 * tls_join.c - a program's socket, and the TLS that is ended in front of it
 *
 * What app_splice.c is for plain connections. Bytes that the program does not
 * take wait here, one record at most; the rest stays in the tunnel. Each end of
 * a stream becomes one on the other side, a broken connection a reset. When a
 * process with its node in it ends, what it wrote is taken here first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/host/tls_conn.h"

struct tls_join {
	struct ts_link link; /* in server->joins */
	struct ts_host *host;
	const struct ts_entry *near; /* the program's; NULL: none of ours */
	struct ts_tls_conn *conn; /* NULL: over */
	int fd;			  /* the program's connection */
	struct ts_watch *watch;
	bool is_ready;
	bool up_done, down_done; /* up: from the program */
	size_t rest_at, rest_len;
	uint8_t rest[TLS_RECORD]; /* for the program, who is slow */
	void (*ended)(void *ctx);
	void *ctx;
};

static void free_join(struct tls_join *j)
{
	void (*ended)(void *ctx) = j->ended;
	void *ctx = j->ctx;

	ts_list_remove(&j->link);
	ts_watch_free(j->watch);
	free(j);
	if (ended)
		ended(ctx);
}

static void break_off(struct tls_join *j)
{
	struct ts_tls_conn *conn = j->conn;

	ts_sock_reset(j->fd);
	if (conn)
		ts_tls_conn_abort(conn);
	free_join(j);
}

static void finish(struct tls_join *j)
{
	ts_sock_finish(j->fd);
	if (j->conn)
		ts_tls_conn_close(j->conn);
	free_join(j);
}

/* -- down: to the program ------------------------------------------------- */

/* false: it waits, or it is broken (then errno is not EAGAIN). */
static bool send_rest(struct tls_join *j)
{
	while (j->rest_len > 0) {
		ssize_t n = send(j->fd, j->rest + j->rest_at, j->rest_len,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		j->rest_at += (size_t)n;
		j->rest_len -= (size_t)n;
	}
	return true;
}

/* 0, or why the connection is broken. */
static int pump_down(struct tls_join *j)
{
	while (!j->down_done) {
		ssize_t n;

		if (!send_rest(j))
			return errno == EAGAIN ? 0 : -errno;
		n = ts_tls_conn_read(j->conn, j->rest, sizeof(j->rest));
		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return (int)n;
		j->rest_at = 0;
		j->rest_len = (size_t)n;
		if (n == 0) {
			j->down_done = true;
			(void)shutdown(j->fd, SHUT_WR);
		}
	}
	return 0;
}

/* -- up: from the program ------------------------------------------------- */

static int pump_up(struct tls_join *j)
{
	size_t moved = 0;

	while (!j->up_done && moved < HOST_TURN_BYTES) {
		size_t room = ts_tls_conn_room(j->conn);
		ssize_t n;

		if (room > TLS_RECORD)
			room = TLS_RECORD;
		if (room == 0)
			return 0;
		n = recv(j->fd, j->host->scratch, room, MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		if (n == 0) {
			j->up_done = true;
			ts_tls_conn_shutdown_write(j->conn);
			return 0;
		}
		if (ts_tls_conn_write(j->conn, j->host->scratch, (size_t)n) !=
		    (size_t)n)
			return -EPROTO;
		moved += (size_t)n;
	}
	return 0;
}

/* -- the end of the program ----------------------------------------------- */

static bool is_ours(const struct tls_join *j)
{
	return j->near && (j->near->pid == 0 || j->near->pid == getpid());
}

static struct tls_join *join_at(struct ts_link *at)
{
	return TS_LINK_OWNER(at, struct tls_join, link);
}

static void finish_if_read(struct tls_join *j)
{
	if (pump_up(j)) {
		break_off(j);
		return;
	}
	if (j->up_done || ts_sock_unread(j->fd) > 0)
		return;
	j->up_done = true;
	ts_tls_conn_shutdown_write(j->conn);
}

void ts_tls_joins_finish(struct ts_host *host)
{
	struct ts_link *head = &host->tls->joins, *next;

	for (struct ts_link *at = head->next; at != head; at = next) {
		struct tls_join *j = join_at(at);

		next = at->next; /* it frees itself at most */
		if (j->is_ready && is_ours(j))
			finish_if_read(j);
	}
}

size_t ts_tls_joins_undelivered(const struct ts_host *host)
{
	struct ts_link *head = &host->tls->joins;
	size_t total = 0;

	for (struct ts_link *at = head->next; at != head; at = at->next)
		if (join_at(at)->near)
			total += join_at(at)->rest_len +
				 ts_sock_unread(join_at(at)->fd);
	return total;
}

bool ts_tls_joins_linger(const struct ts_host *host)
{
	struct ts_link *head = &host->tls->joins;

	for (struct ts_link *at = head->next; at != head; at = at->next)
		if (join_at(at)->up_done)
			return true;
	return false;
}

/* -- events --------------------------------------------------------------- */

static void watch_again(struct tls_join *j)
{
	unsigned events = 0;

	if (!j->up_done && ts_tls_conn_room(j->conn) > 0)
		events |= TS_READABLE;
	if (j->rest_len > 0)
		events |= TS_WRITABLE;
	ts_watch_set(j->watch, events);
}

static void pump(struct tls_join *j)
{
	int err = j->is_ready ? pump_down(j) : 0;

	if (!err && j->is_ready)
		err = pump_up(j);
	if (err)
		break_off(j);
	else if (j->up_done && j->down_done)
		finish(j);
	else if (j->is_ready)
		watch_again(j);
}

static void on_socket(void *ctx, unsigned events)
{
	(void)events;
	pump(ctx);
}

static void on_ready(void *user)
{
	struct tls_join *j = user;

	j->is_ready = true;
}

static void on_news(void *user)
{
	pump(user);
}

static void on_gone(void *user, int err)
{
	struct tls_join *j = user;

	j->conn = NULL;
	if (err)
		break_off(j);
	else
		finish(j);
}

static const struct ts_tls_conn_ops join_ops = {
	.ready = on_ready,
	.readable = on_news,
	.writable = on_news,
	.gone = on_gone,
};

static struct tls_join *new_join(struct ts_host *host, int fd,
				 const struct ts_entry *near,
				 void (*ended)(void *ctx), void *ctx)
{
	struct tls_join *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->host = host;
	j->fd = fd;
	j->watch = ts_watch_new(host->loop, fd, 0, on_socket, j);
	if (!j->watch) {
		free(j);
		return NULL;
	}
	j->near = near;
	j->ended = ended;
	j->ctx = ctx;
	ts_list_insert(&host->tls->joins, &j->link);
	return j;
}

void ts_tls_join(struct ts_member *member, struct stack_tcp *tcp, int cipher_fd,
		 const struct ts_addr *remote, const struct ts_tls_wish *wish,
		 int plain_fd, const struct ts_entry *near,
		 void (*ended)(void *ctx), void *ctx)
{
	struct tls_join *j = new_join(member->host, plain_fd, near, ended, ctx);

	if (!j) {
		if (tcp)
			stack_tcp_abort(tcp);
		ts_sock_reset(cipher_fd);
		ts_sock_reset(plain_fd);
		if (ended)
			ended(ctx);
		return;
	}
	j->conn = tcp ? ts_tls_accept_tcp(member, tcp, remote, wish, &join_ops,
					  j)
		      : ts_tls_accept_fd(member, cipher_fd, remote, wish,
					 &join_ops, j);
	if (!j->conn)
		break_off(j);
}
