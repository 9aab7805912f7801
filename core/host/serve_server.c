/* SPDX-License-Identifier: BSD-3-Clause
 * serve_server.c - connections to ports that the node serves by itself
 *
 * Looked up when a connection comes, and again for each request: a change of
 * the configuration is felt by whoever is connected. Numbers are bounded, for
 * all and for each peer; so is the time that a silent or slow client may take.
 * A client whose backend has something to say later may wait as long as that
 * takes.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/http_trailers.h"
#include "core/host/serve_backend.h"
#include "core/host/serve_internal.h"

/* A step moves what a buffer holds at most. */
enum { SWEEP_MS = 1000, TURN_STEPS = 4 };

/* -- ends ----------------------------------------------------------------- */

static void free_conn(struct serve_conn *conn)
{
	struct ts_serve *serve = conn->member->serve;

	serve_h2_close(conn);
	serve_stream_abort(&conn->stream);
	serve_backend_free(conn->backend);
	serve_http_forget(conn);
	serve_files_close(conn);
	ts_list_remove(&conn->link);
	ts_list_remove(&conn->ready);
	ts_byte_queue_deinit(&conn->in);
	ts_byte_queue_deinit(&conn->out);
	ts_byte_queue_deinit(&conn->trailers);
	serve_place_leave(serve, &conn->place);
	free(conn);
}

void serve_conn_kill(struct serve_conn *conn)
{
	conn->is_over = true;
	serve_conn_line_up(conn);
}

void serve_conn_set_due(struct serve_conn *conn, uint64_t in_ms)
{
	conn->due_ms = in_ms == UINT64_MAX
			       ? UINT64_MAX
			       : ts_host_now_ms(conn->member->host) + in_ms;
}

/* -- work ----------------------------------------------------------------- */

void serve_conn_line_up(struct serve_conn *conn)
{
	struct ts_serve *serve = conn->member->serve;

	if (conn->ready.next != &conn->ready)
		return;
	if (ts_list_is_empty(&serve->ready))
		ts_timer_set(serve->ready_timer, ts_host_now_ms(serve->member->host));
	ts_list_insert(&serve->ready, &conn->ready);
}

static bool fill(struct serve_conn *conn)
{
	uint8_t *scratch = conn->member->host->scratch;
	size_t len = ts_byte_queue_len(&conn->in), n;

	if (len >= SERVE_BUFFER_BYTES || conn->stream.has_ended)
		return false;
	n = serve_stream_read(&conn->stream, scratch,
			      SERVE_BUFFER_BYTES - len);
	if (n > 0 && ts_byte_queue_push(&conn->in, scratch, n))
		conn->is_over = true;
	return n > 0 || conn->stream.has_ended;
}

static bool drain(struct serve_conn *conn)
{
	size_t len = ts_byte_queue_len(&conn->out), n;

	if (len == 0)
		return false;
	n = serve_stream_write(&conn->stream, ts_byte_queue_data(&conn->out),
			       len);
	ts_byte_queue_drop(&conn->out, n);
	return n > 0;
}

/* A call of gRPC that both ends know to be under way may be silent, as what was
 * upgraded may. */
static bool is_call(const struct serve_conn *conn)
{
	return conn->backend && conn->backend->h2 && conn->backend->has_head;
}

/* While an answer is awaited or sent: who is waited for? Backends may take
 * their time; a client that neither sends nor takes may not. */
static void follow_due(struct serve_conn *conn, bool has_moved)
{
	bool is_clients_turn = ts_byte_queue_len(&conn->out) > 0 ||
			       (conn->state == SERVE_PROXY &&
				!conn->req.body.is_done && !is_call(conn)) ||
			       (conn->state == SERVE_LAST &&
				serve_stream_is_pending(&conn->stream));

	if (conn->state == SERVE_HEAD || conn->state == SERVE_LINGER)
		return;
	if (!is_clients_turn)
		serve_conn_set_due(conn, UINT64_MAX);
	else if (has_moved || conn->due_ms == UINT64_MAX)
		serve_conn_set_due(conn, SERVE_STALL_MS);
}

static void work(struct serve_conn *conn)
{
	bool more = true, has_moved = false;
	int steps = 0;

	stack_set_now(ts_node_stack(conn->member->node),
		      ts_host_now_ms(conn->member->host));
	while (more && !conn->is_over && steps++ < TURN_STEPS) {
		more = fill(conn);
		if (!conn->is_over)
			more |= serve_http_step(conn);
		more |= drain(conn);
		has_moved |= more;
	}
	serve_stream_flush(&conn->stream);
	if (conn->is_over) {
		free_conn(conn);
		return;
	}
	if (conn->state == SERVE_H2)
		serve_h2_follow_due(conn, has_moved);
	else
		follow_due(conn, has_moved);
	serve_backend_watch(conn->backend);
	serve_stream_watch(&conn->stream,
			   !conn->stream.has_ended &&
				   ts_byte_queue_len(&conn->in) <
					   SERVE_BUFFER_BYTES,
			   ts_byte_queue_len(&conn->out) > 0);
	if (more) /* the others' turn */
		serve_conn_line_up(conn);
}

static void work_on_ready(void *ctx)
{
	struct ts_serve *serve = ctx;
	struct ts_link turn;

	if (ts_list_is_empty(&serve->ready))
		return;
	ts_list_init(&turn);
	ts_timer_set(serve->ready_timer, UINT64_MAX);
	while (!ts_list_is_empty(&serve->ready)) {
		struct ts_link *first = serve->ready.next;

		ts_list_remove(first);
		ts_list_insert(&turn, first);
	}
	while (!ts_list_is_empty(&turn)) {
		struct serve_conn *conn =
			TS_LINK_OWNER(turn.next, struct serve_conn, ready);

		ts_list_remove(&conn->ready);
		work(conn);
	}
}

static void on_sweep(void *ctx)
{
	struct ts_serve *serve = ctx;
	uint64_t now_ms = ts_host_now_ms(serve->member->host);
	struct ts_link *next;

	for (struct ts_link *at = serve->conns.next; at != &serve->conns;
	     at = next) {
		struct serve_conn *conn =
			TS_LINK_OWNER(at, struct serve_conn, link);

		next = at->next;
		if (now_ms < conn->due_ms)
			continue;
		if ((conn->state == SERVE_HEAD && !conn->has_begun) ||
		    serve_h2_end(conn))
			serve_stream_close(&conn->stream); /* in order */
		free_conn(conn);
	}
	if (!ts_list_is_empty(&serve->conns))
		ts_timer_set(serve->sweep, now_ms + SWEEP_MS);
}

/* -- new ones ------------------------------------------------------------- */

static struct serve_conn *new_conn(struct ts_member *member,
				   const struct ts_addr *remote,
				   const struct ts_ip *peer)
{
	struct ts_serve *serve = member->serve;
	struct serve_conn *conn = calloc(1, sizeof(*conn));

	if (!conn ||
	    !serve_place_take(serve, &conn->place, peer, &remote->ip)) {
		free(conn);
		return NULL;
	}
	conn->member = member;
	conn->id = ++member->host->next_id;
	conn->remote = *remote;
	conn->file_fd = -1;
	conn->stream.owner = conn;
	conn->stream.fd = -1;
	ts_byte_queue_init(&conn->in, SERVE_QUEUE_BYTES);
	ts_byte_queue_init(&conn->out, TS_SERVE_TEXT_MAX + SERVE_QUEUE_BYTES);
	ts_byte_queue_init(&conn->trailers, TS_HTTP_TRAILERS_MAX);
	ts_list_init(&conn->ready);
	if (ts_list_is_empty(&serve->conns))
		ts_timer_set(serve->sweep, ts_host_now_ms(member->host) + SWEEP_MS);
	ts_list_insert(&serve->conns, &conn->link);
	serve_conn_set_due(conn, SERVE_HEAD_MS);
	return conn;
}

struct serve_conn *serve_conn_new_stream(struct serve_conn *carrier)
{
	struct serve_conn *conn = new_conn(carrier->member, &carrier->remote,
					   &carrier->place.peer);

	if (!conn)
		return NULL;
	conn->port = carrier->port;
	memcpy(conn->service, carrier->service, sizeof(conn->service));
	conn->is_tls = carrier->is_tls;
	conn->is_funnel = carrier->is_funnel;
	return conn;
}

static void serve_web(struct ts_member *member, struct stack_syn *syn,
		      const struct ts_addr *local,
		      const struct ts_addr *remote, const char *service,
		      bool is_tls)
{
	struct serve_conn *conn = new_conn(member, remote, &remote->ip);
	char text[TS_ADDR_TEXT_CAP];

	if (!conn) {
		stack_syn_refuse(syn);
		return;
	}
	conn->port = local->port;
	conn->is_tls = is_tls;
	if (service)
		snprintf(conn->service, sizeof(conn->service), "%s", service);
	log_debug("serve-%llu: connection from %s to port %u",
		  (unsigned long long)conn->id, ts_addr_format(remote, text),
		  local->port);
	if (serve_stream_accept(&conn->stream, syn, is_tls))
		free_conn(conn);
}

void serve_web_funnel(struct ts_member *member, struct stack_tcp *up,
		      const struct ts_addr *src, const struct ts_ip *peer,
		      uint16_t port)
{
	struct serve_conn *conn = new_conn(member, src, peer);

	if (!conn) {
		stack_tcp_abort(up);
		return;
	}
	conn->port = port;
	conn->is_tls = true;
	conn->is_funnel = true;
	if (serve_stream_adopt(&conn->stream, up))
		free_conn(conn);
}

static void serve_web_local(struct ts_member *member, int fd,
			    const struct ts_addr *local,
			    const struct ts_addr *remote, bool is_tls)
{
	struct serve_conn *conn = new_conn(member, remote, &remote->ip);

	if (!conn) {
		ts_sock_close(fd);
		return;
	}
	conn->port = local->port;
	conn->is_tls = is_tls;
	if (serve_stream_take(&conn->stream, fd, is_tls))
		free_conn(conn);
}

bool ts_serve_has(const struct ts_member *member, const struct ts_addr *local)
{
	return ts_node_route(member->node, &local->ip, NULL) ==
		       TS_ROUTE_SELF &&
	       ts_serve_has_port(ts_node_serve(member->node), local->port);
}

void ts_serve_local(struct ts_member *member, int fd,
		    const struct ts_addr *local, const struct ts_addr *remote)
{
	struct ts_serve_tcp tcp;

	if (!ts_serve_find_tcp(ts_node_serve(member->node), NULL, local->port,
			       &tcp))
		ts_sock_close(fd);
	else if (tcp.http || tcp.https)
		serve_web_local(member, fd, local, remote, tcp.https);
	else if (tcp.forward)
		serve_forward_fd(member, fd, remote, &tcp);
	else
		ts_sock_close(fd);
}

bool ts_serve_hosts(const struct ts_member *member, const struct ts_ip *ip)
{
	return ts_node_vip_name(member->node, ip) != NULL;
}

bool ts_serve_syn(struct ts_member *member, struct stack_syn *syn,
		  const struct ts_addr *local, const struct ts_addr *remote)
{
	const char *service = ts_node_vip_name(member->node, &local->ip);
	struct ts_serve_tcp tcp;

	if (!ts_serve_find_tcp(ts_node_serve(member->node), service,
			       local->port, &tcp))
		return false;
	if (tcp.http || tcp.https)
		serve_web(member, syn, local, remote, service, tcp.https);
	else if (tcp.forward)
		serve_forward_syn(member, syn, remote, &tcp);
	else
		stack_syn_refuse(syn);
	return true;
}

bool ts_serve_syn_gone(struct ts_member *member, const struct stack_syn *syn)
{
	return serve_forward_syn_gone(member, syn);
}

size_t ts_serve_undelivered(const struct ts_host *host)
{
	size_t total = 0;

	for (unsigned i = 0; i < host->member_count; i++) {
		const struct ts_link *head = &host->members[i].serve->conns;

		for (const struct ts_link *at = head->next; at != head;
		     at = at->next) {
			const struct serve_conn *conn =
				TS_LINK_OWNER(at, struct serve_conn, link);

			total += ts_byte_queue_len(&conn->out);
			if (conn->stream.h2)
				total += ts_h2_stream_waiting(conn->stream.h2);
			if (conn->stream.tcp)
				total += stack_tcp_pending(conn->stream.tcp);
		}
	}
	return total;
}

/* -- life ----------------------------------------------------------------- */

int ts_serve_open(struct ts_member *member)
{
	struct ts_serve *serve = calloc(1, sizeof(*serve));

	if (!serve)
		return -ENOMEM;
	member->serve = serve;
	serve->member = member;
	serve->count_max = serve_places_max();
	ts_list_init(&serve->conns);
	ts_list_init(&serve->ready);
	ts_list_init(&serve->forwards);
	ts_list_init(&serve->places);
	serve->ready_timer = ts_timer_new(member->host->loop, work_on_ready, serve);
	serve->sweep = ts_timer_new(member->host->loop, on_sweep, serve);
	if (!serve->ready_timer || !serve->sweep)
		return -ENOMEM;
	return ts_loop_before_sleep(member->host->loop, work_on_ready, serve);
}

void ts_serve_end(struct ts_member *member)
{
	struct ts_serve *serve = member->serve;

	serve_forwards_end(member);
	while (!ts_list_is_empty(&serve->conns)) {
		struct serve_conn *conn = TS_LINK_OWNER(
			serve->conns.next, struct serve_conn, link);

		if (serve_h2_end(conn))
			serve_stream_close(&conn->stream);
		free_conn(conn);
	}
}

void ts_serve_close(struct ts_member *member)
{
	struct ts_serve *serve = member->serve;

	if (!serve)
		return;
	ts_serve_end(member);
	ts_loop_before_sleep_remove(member->host->loop, work_on_ready, serve);
	ts_timer_free(serve->ready_timer);
	ts_timer_free(serve->sweep);
	free(serve);
	member->serve = NULL;
}
