/* SPDX-License-Identifier: BSD-3-Clause
 * app_splice.c - bytes between a program's loopback socket and the tunnel
 *
 *   down: tunnel -> program   read views go out by sendmsg, in place
 *   up:   program -> tunnel   one recv into the scratch buffer, one copy into
 *                             the stack's send queue
 *
 * Back-pressure: down stops when the socket is full, so the window is not
 * returned to the peer; up stops when the stack is full, so the program's
 * writes block. Each end of stream becomes a FIN on the other side, each
 * reset a reset. The splice is over when the stack says that the connection
 * is; our socket may be closed long before.
 *
 * The stack calls readable() and writable() per packet. Acting right then
 * would cost a system call per packet, and call the stack from inside itself;
 * so connections that can go on line up and are served once the loop has
 * taken in all that arrived, before it sleeps. A timer at 0 ms keeps it from
 * sleeping while there are any.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "core/host/app_splice.h"

enum {
	VIEWS_MAX = 128,
	/* Read at least this much even if the stack takes less: its refusal
	 * is what makes it call writable() later. */
	READ_MIN_BYTES = 2048,
	KEEPALIVE_S = 60, /* finds orphans in FIN_WAIT2: see look_for_orphan() */
};

/* -- ends ----------------------------------------------------------------- */

static void close_fd(struct ts_splice *s, bool reset)
{
	ts_watch_free(s->watch);
	s->watch = NULL;
	ts_hup_remove(s->host, &s->hup);
	if (reset)
		ts_sock_reset(s->fd);
	else
		ts_sock_finish(s->fd);
	s->fd = -1;
}

static void free_splice(struct ts_splice *s)
{
	ts_list_remove(&s->link);
	ts_list_remove(&s->ready);
	ts_entry_end(s->host, s->entry, HOST_ENTRY_LINGER_MS);
	if (s->ended)
		s->ended(s->ended_ctx);
	free(s->rest);
	free(s);
}

static void end(struct ts_splice *s)
{
	if (s->is_pumping)
		s->is_over = true;
	else
		free_splice(s);
}

/* The program is gone, or reset its end. */
static void abort_tunnel(struct ts_splice *s)
{
	struct stack_tcp *tcp = s->tcp;

	s->tcp = NULL;
	ts_tunnel_attach(s->entry, NULL);
	close_fd(s, true);
	if (tcp)
		stack_tcp_abort(tcp);
	end(s);
}

static void after_direction(struct ts_splice *s)
{
	if (s->is_up_done && s->is_down_done)
		close_fd(s, false);
}

static void finish_down(struct ts_splice *s)
{
	s->is_down_done = true;
	if (!s->is_up_done) /* else it is closed now */
		(void)shutdown(s->fd, SHUT_WR);
	after_direction(s);
}

/* A program that closed everything looks like one that closed its writing
 * side only, until we write. Its kernel forgets it after a minute, and a
 * keepalive gets a reset then; one on the tunnel's side finds a dead peer. */
static void look_for_orphan(struct ts_splice *s)
{
	const int on = 1, interval_s = KEEPALIVE_S;

	(void)setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPIDLE, &interval_s,
			 sizeof(interval_s));
	(void)setsockopt(s->fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s,
			 sizeof(interval_s));
	(void)setsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	ts_tunnel_half_closed(s->entry);
}

static void finish_up(struct ts_splice *s)
{
	s->is_up_done = true;
	/* After a reset the end of the data is not an orderly one. */
	if (s->is_broken)
		return;
	if (!s->is_down_done) /* else it is closed now */
		look_for_orphan(s);
	stack_tcp_shutdown_write(s->tcp);
	after_direction(s);
}

/* -- up: program -> tunnel ------------------------------------------------ */

static void drop_rest(struct ts_splice *s)
{
	free(s->rest);
	s->rest = NULL;
	s->rest_at = s->rest_len = 0;
}

/* false: out of memory. */
static bool keep_rest(struct ts_splice *s, const uint8_t *data, size_t len)
{
	s->rest = malloc(len);
	if (!s->rest)
		return false;
	memcpy(s->rest, data, len);
	s->rest_at = 0;
	s->rest_len = len;
	return true;
}

/* true: nothing is left over. */
static bool flush_rest(struct ts_splice *s)
{
	size_t took;

	if (!s->rest || !s->tcp)
		return true;
	took = stack_tcp_write(s->tcp, s->rest + s->rest_at, s->rest_len);
	s->rest_at += took;
	s->rest_len -= took;
	if (s->rest_len > 0)
		return false;
	drop_rest(s);
	return true;
}

static size_t read_size(const struct ts_splice *s)
{
	size_t room = stack_tcp_send_room(s->tcp);

	if (room < READ_MIN_BYTES)
		return READ_MIN_BYTES;
	return room < HOST_TURN_BYTES ? room : HOST_TURN_BYTES;
}

/* Bytes moved, up to size; less: stop. */
static size_t read_once(struct ts_splice *s, size_t size)
{
	uint8_t *scratch = s->host->scratch;
	ssize_t n = recv(s->fd, scratch, size, 0);
	size_t took;

	if (n == 0) {
		finish_up(s);
		return 0;
	}
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			abort_tunnel(s);
		return 0;
	}
	took = stack_tcp_write(s->tcp, scratch, (size_t)n);
	if (s->is_over || took == (size_t)n)
		return (size_t)n;
	s->is_up_full = true;
	if (!keep_rest(s, scratch + took, (size_t)n - took))
		abort_tunnel(s);
	return 0;
}

static bool can_read(const struct ts_splice *s)
{
	return s->tcp && s->fd >= 0 && !s->is_up_done && !s->is_up_full;
}

static void pump_up(struct ts_splice *s)
{
	size_t moved = 0;

	while (moved < HOST_TURN_BYTES && can_read(s)) {
		size_t size = read_size(s);
		size_t n = read_once(s, size);

		moved += n;
		if (n < size) /* a recv more would only say EAGAIN */
			break;
	}
	if (s->tcp)
		stack_tcp_flush(s->tcp);
}

/* -- down: tunnel -> program ---------------------------------------------- */

static void line_up(struct ts_splice *s)
{
	struct ts_host *host = s->host;

	if (s->ready.next != &s->ready)
		return;
	if (ts_list_is_empty(&host->ready))
		ts_timer_set(host->ready_timer, ts_host_now_ms(host));
	ts_list_insert(&host->ready, &s->ready);
}

/* What the program sent before it went is still for the peer. */
static void program_went(struct ts_splice *s)
{
	pump_up(s);
	if (s->tcp)
		abort_tunnel(s);
}

/* Bytes moved; 0: stop. */
static size_t write_once(struct ts_splice *s)
{
	struct iovec views[VIEWS_MAX];
	struct msghdr msg = {.msg_iov = views};
	int count = stack_tcp_read_view(s->tcp, views, VIEWS_MAX);
	ssize_t n;

	if (count < 0)
		finish_down(s);
	if (count <= 0)
		return 0;
	msg.msg_iovlen = (size_t)count;
	n = sendmsg(s->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		s->is_down_full = true;
	else if (n < 0 && errno != EINTR)
		program_went(s);
	if (n <= 0)
		return 0;
	stack_tcp_consume(s->tcp, (size_t)n);
	return (size_t)n;
}

static bool can_write(const struct ts_splice *s)
{
	return s->tcp && s->fd >= 0 && !s->is_down_done && !s->is_down_full;
}

static void pump_down(struct ts_splice *s)
{
	size_t moved = 0, n;

	while (can_write(s)) {
		if (moved >= HOST_TURN_BYTES) {
			line_up(s);
			return;
		}
		n = write_once(s);
		if (n == 0)
			return;
		moved += n;
	}
}

/* -- events --------------------------------------------------------------- */

static void on_hup(void *ctx);

/* A watch tells of errors only while it waits for something. false: it cannot
 * be done. */
static bool watch_errors(struct ts_splice *s)
{
	s->hup.fn = on_hup;
	s->hup.ctx = s;
	return s->hup.fd >= 0 ||
	       ts_hup_add(s->host, &s->hup, s->fd, HUP_ONLY) == 0;
}

static void watch_again(struct ts_splice *s)
{
	unsigned events = 0;

	if (!s->watch)
		return;
	if (!s->is_up_done && !s->is_up_full)
		events |= TS_READABLE;
	if (s->is_down_full)
		events |= TS_WRITABLE;
	ts_watch_set(s->watch, events);
	if (events == 0 && !watch_errors(s))
		abort_tunnel(s);
}

/* Runs pump; whatever the stack calls meanwhile, s is freed here at the
 * earliest. */
static void run(struct ts_splice *s, void (*pump)(struct ts_splice *))
{
	stack_set_now(ts_node_stack(s->member->node), ts_host_now_ms(s->host));
	s->is_pumping = true;
	pump(s);
	s->is_pumping = false;
	if (s->is_over)
		free_splice(s);
	else
		watch_again(s);
}

static void pump_events(struct ts_splice *s)
{
	pump_up(s);
	pump_down(s);
}

static void on_socket(void *ctx, unsigned events)
{
	struct ts_splice *s = ctx;

	if (events & TS_WRITABLE)
		s->is_down_full = false;
	run(s, pump_events);
}

static void pump_lined_up(struct ts_splice *s)
{
	if (s->is_up_full) {
		s->is_up_full = !flush_rest(s);
		pump_up(s);
	}
	pump_down(s);
}

static void on_hup(void *ctx)
{
	struct ts_splice *s = ctx;

	/* HUP without an error: both directions ended in order, and what was
	 * not read yet is there still. */
	if (ts_sock_error(s->fd)) {
		s->is_broken = true;
		run(s, program_went);
	}
}

void ts_splices_pump_ready(void *ctx)
{
	struct ts_host *host = ctx;
	struct ts_link turn;

	if (ts_list_is_empty(&host->ready))
		return;
	/* Who lines up again waits for the next turn of the loop. */
	ts_list_init(&turn);
	ts_timer_set(host->ready_timer, UINT64_MAX);
	while (!ts_list_is_empty(&host->ready)) {
		struct ts_link *first = host->ready.next;

		ts_list_remove(first);
		ts_list_insert(&turn, first);
	}
	while (!ts_list_is_empty(&turn)) {
		struct ts_splice *s =
			TS_LINK_OWNER(turn.next, struct ts_splice, ready);

		ts_list_remove(&s->ready);
		run(s, pump_lined_up);
	}
}

static void on_connected(void *user)
{
	(void)user; /* it was, before the splice began */
}

static void on_tunnel_readable(void *user)
{
	struct ts_splice *s = user;

	if (can_write(s))
		line_up(s);
}

static void on_tunnel_writable(void *user)
{
	struct ts_splice *s = user;

	if (s->is_up_full)
		line_up(s);
}

/* The program's kernel knows of our end only as a reset: SO_ERROR tells it from
 * the table. */
static void note_timeout(struct ts_splice *s)
{
	if (!s->entry)
		return;
	s->entry->value.state = TS_FLOW_FAILED;
	s->entry->value.error = ETIMEDOUT;
	ts_entry_publish(s->host, s->entry);
}

static void on_gone(void *user, int err)
{
	struct ts_splice *s = user;

	s->tcp = NULL;
	ts_tunnel_attach(s->entry, NULL);
	if (err == -ETIMEDOUT)
		note_timeout(s);
	close_fd(s, err != 0);
	end(s);
}

static const struct stack_tcp_ops splice_ops = {
	.connected = on_connected,
	.readable = on_tunnel_readable,
	.writable = on_tunnel_writable,
	.gone = on_gone,
};

/* -- for the other files -------------------------------------------------- */

/* NULL: out of memory, and all is closed. */
static struct ts_splice *new_splice(struct ts_member *member, int fd,
				    struct stack_tcp *tcp,
				    struct ts_entry *entry)
{
	struct ts_splice *s = calloc(1, sizeof(*s));
	struct ts_host *host = member->host;

	if (!s) {
		stack_tcp_abort(tcp);
		ts_sock_reset(fd);
		ts_entry_end(host, entry, HOST_ENTRY_LINGER_MS);
		return NULL;
	}
	s->host = host;
	s->member = member;
	s->fd = fd;
	s->hup.fd = -1;
	s->tcp = tcp;
	s->entry = entry;
	ts_sock_break_at_death(fd);
	ts_list_init(&s->ready);
	ts_list_insert(&host->splices, &s->link);
	stack_tcp_set_user(tcp, &splice_ops, s);
	stack_tcp_set_nodelay(tcp, true);
	ts_tunnel_attach(entry, tcp);
	ts_tunnel_bound_buffers(entry, fd, -1);
	return s;
}

static void start(struct ts_splice *s)
{
	s->watch = ts_watch_new(s->host->loop, s->fd, TS_READABLE, on_socket,
				s);
	if (s->watch)
		line_up(s); /* bytes may have come before us */
	else
		abort_tunnel(s);
}

void ts_splice_start(struct ts_member *member, int fd, struct stack_tcp *tcp,
		     struct ts_entry *entry)
{
	struct ts_splice *s = new_splice(member, fd, tcp, entry);

	if (s)
		start(s);
}

void ts_splice_forward(struct ts_member *member, int fd, struct stack_tcp *tcp,
		       void (*ended)(void *ctx), void *ctx)
{
	struct ts_splice *s = new_splice(member, fd, tcp, NULL);

	if (!s) {
		ended(ctx);
		return;
	}
	s->ended = ended;
	s->ended_ctx = ctx;
	start(s);
}

static void finish_if_read(struct ts_splice *s)
{
	pump_up(s);
	if (can_read(s) && ts_sock_unread(s->fd) == 0)
		finish_up(s);
}

void ts_splice_finish(struct ts_splice *s)
{
	run(s, finish_if_read);
}

void ts_splices_close(struct ts_member *member)
{
	const struct ts_link *head = &member->host->splices;
	struct ts_link *next;

	for (struct ts_link *at = head->next; at != head; at = next) {
		struct ts_splice *s = TS_LINK_OWNER(at, struct ts_splice, link);

		next = at->next; /* it frees itself at most */
		if (s->member == member)
			abort_tunnel(s);
	}
}
