/* SPDX-License-Identifier: BSD-3-Clause
 * serve_proxy.c - a request goes to a backend, and its answer back
 *
 * Both bodies stream, each as fast as its reader takes it. A backend's
 * connection that stands from an earlier request may have been given up by the
 * backend just now. A request that may be made twice is then made once more, on
 * a new one. Any other might have been heard, so it goes by a connection that
 * was used a moment ago, or by a new one. An answer that breaks off breaks the
 * client's connection, as there is no other way to say so.
 * Source: ipn/ipnlocal/serve.go (reverseProxy), net/http/httputil
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/http_trailers.h"
#include "core/host/serve_backend.h"
#include "core/host/serve_internal.h"
#include "core/model/json_fields.h"

/* -- who is calling ------------------------------------------------------- */

/* What the handler accepts of the peer's capabilities, as JSON; heap or NULL. */
static char *app_caps(const struct serve_conn *conn, const json_t *accepted)
{
	json_t *caps, *some = json_object(), *sorted, *item;
	char *text = NULL;
	size_t i;

	caps = accepted ? ts_node_peer_caps(conn->member->node,
					    &conn->remote.ip)
			: NULL;
	json_array_foreach((json_t *)(uintptr_t)accepted, i, item) {
		const char *name = json_string_value(item);
		json_t *values = name ? json_object_get(caps, name) : NULL;

		if (values)
			json_object_set(some, name, values);
	}
	sorted = caps ? ts_go_json_sorted(some) : NULL;
	if (sorted)
		text = ts_go_json(sorted);
	json_decref(sorted);
	json_decref(some);
	json_decref(caps);
	return text;
}

static void find_user(const struct serve_conn *conn,
		      struct ts_serve_caller *caller)
{
	const struct ts_netmap *map = ts_node_netmap(conn->member->node);
	const struct ts_peer *peer =
		ts_node_whois(conn->member->node, &conn->remote.ip);
	const struct ts_user_profile *user =
		peer && peer->tag_count == 0 ? ts_netmap_user(map, peer->user)
					     : NULL;

	if (!user)
		return;
	caller->has_user = true;
	caller->login = user->login_name;
	caller->name = user->display_name;
	caller->picture = user->profile_pic_url;
}

static int write_head(struct serve_conn *conn,
		      const struct ts_serve_target *target, const char *path,
		      const json_t *accepted)
{
	char ip[TS_IP_TEXT_CAP];
	struct ts_serve_caller caller = {
		.ip = ts_ip_format(&conn->remote.ip, ip),
		.is_tls = conn->is_tls,
		.is_funnel = conn->is_funnel,
	};
	char *caps = NULL;
	int err;

	if (!conn->is_funnel) {
		find_user(conn, &caller);
		caps = app_caps(conn, accepted);
		caller.app_caps = caps;
	}
	err = ts_serve_write_request(&conn->backend->out, &conn->req, target,
				     path, &caller);
	free(caps);
	return err;
}

/* -- failures ------------------------------------------------------------- */

static void drop_backend(struct serve_conn *conn)
{
	serve_backend_free(conn->backend);
	conn->backend = NULL;
}

/* A new connection, and the same head again: it is all that was sent. */
static bool try_again(struct serve_conn *conn)
{
	struct serve_backend *old = conn->backend, *b;
	bool ok;

	if (!old->is_reused || old->has_spoken || !old->resend)
		return false;
	b = serve_backend_new(conn, &old->dial.target, old->wants_h2);
	ok = b && ts_byte_queue_push(&b->out, old->resend,
				     old->resend_len) == 0;
	if (!ok) {
		serve_backend_free(b);
		return false;
	}
	b->body_is_sent = true;
	serve_backend_free(old);
	conn->backend = b;
	return true;
}

static int keep_for_resend(struct serve_backend *b)
{
	b->resend_len = ts_byte_queue_len(&b->out);
	b->resend = malloc(b->resend_len);
	if (!b->resend)
		return -ENOMEM;
	memcpy(b->resend, ts_byte_queue_data(&b->out), b->resend_len);
	return 0;
}

/* Before the first byte of an answer. */
static bool fail(struct serve_conn *conn, int err)
{
	if (try_again(conn))
		return true;
	log_debug("serve-%llu: backend %s: %s", (unsigned long long)conn->id,
		  conn->backend->dial.target.host,
		  err ? strerror(-err) : "no answer");
	drop_backend(conn);
	serve_answer_status(conn, err == -ETIMEDOUT ? 504 : 502);
	return true;
}

/* -- the beginning -------------------------------------------------------- */

static void reset_exchange(struct serve_backend *b)
{
	b->has_spoken = b->has_head = b->is_chunked = false;
	b->keeps_alive = b->body_is_sent = false;
	ts_byte_queue_clear(&b->trailers);
	free(b->resend);
	b->resend = NULL;
	if (b->h2)
		ts_h2_backend_begin(b->h2);
}

/* "application/grpc", or that and a suffix or a parameter. */
static bool is_grpc(const struct ts_serve_request *req)
{
	const struct ts_http1_field *f =
		ts_http1_find(&req->head, "Content-Type");
	size_t len = strlen("application/grpc");

	return f && f->value_len >= len &&
	       memcmp(f->value, "application/grpc", len) == 0 &&
	       (f->value_len == len || f->value[len] == '+' ||
		f->value[len] == ';');
}

/* By the method, or as the client says (net/http does the same). */
static bool may_be_made_twice(const struct ts_serve_request *req)
{
	static const char *const methods[] = {"GET", "HEAD", "OPTIONS",
					      "TRACE"};

	if (!req->body.is_done)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (ts_serve_request_is(req, methods[i]))
			return true;
	return ts_http1_find(&req->head, "Idempotency-Key") ||
	       ts_http1_find(&req->head, "X-Idempotency-Key");
}

static bool may_reuse(const struct serve_conn *conn,
		      const struct ts_serve_target *target, bool wants_h2)
{
	const struct serve_backend *b = conn->backend;

	if (!b || !serve_backend_fits(b, target, wants_h2))
		return false;
	return may_be_made_twice(&conn->req) ||
	       ts_host_now_ms(conn->member->host) - b->idle_from_ms <
		       SERVE_FRESH_MS;
}

static int connect_backend(struct serve_conn *conn,
			   const struct ts_serve_target *target)
{
	bool wants_h2 = conn->stream.h2 && is_grpc(&conn->req);
	struct serve_backend *b = conn->backend;

	if (!b)
		b = conn->backend = serve_h2_take_backend(conn, target,
							  wants_h2);
	if (may_reuse(conn, target, wants_h2)) {
		b->is_reused = true;
	} else {
		serve_backend_free(b);
		b = conn->backend = serve_backend_new(conn, target, wants_h2);
	}
	if (!b)
		return -ENOMEM;
	reset_exchange(b);
	return 0;
}

void serve_proxy(struct serve_conn *conn, const struct ts_serve_handler *h)
{
	struct ts_serve_target target;
	char *path;
	int err = ts_serve_target_parse(h->proxy, &target);

	if (err) {
		serve_answer_status(conn, 500);
		return;
	}
	path = ts_serve_target_path(&target, h->mount, &conn->req);
	if (!path) {
		serve_answer_status(conn, 404);
		return;
	}
	err = connect_backend(conn, &target);
	if (!err)
		err = write_head(conn, &target, path, h->caps);
	if (!err && conn->backend->is_reused &&
	    may_be_made_twice(&conn->req))
		err = keep_for_resend(conn->backend);
	free(path);
	if (err) {
		drop_backend(conn);
		serve_answer_status(conn, err == -EMSGSIZE ? 431 : 500);
		return;
	}
	conn->req.body.trailers = &conn->trailers;
	conn->state = SERVE_PROXY;
}

/* -- the request's body --------------------------------------------------- */

static int put_chunk(struct ts_byte_queue *to, const uint8_t *data, size_t len)
{
	char size[24];
	int n = snprintf(size, sizeof(size), "%zx\r\n", len);

	if (ts_byte_queue_push(to, size, (size_t)n) ||
	    ts_byte_queue_push(to, data, len) ||
	    ts_byte_queue_push(to, "\r\n", 2))
		return -ENOMEM;
	return 0;
}

static void say_continue(struct serve_conn *conn)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

	conn->has_continued = true;
	if (ts_byte_queue_push(&conn->out, text, sizeof(text) - 1))
		conn->is_over = true;
}

static void end_upload(struct serve_conn *conn)
{
	struct serve_backend *b = conn->backend;

	b->body_is_sent = true;
	if (conn->req.body.kind == TS_BODY_CHUNKED &&
	    ts_http_trailers_write(&b->out, &conn->trailers))
		conn->is_over = true;
}

/* true: bytes moved. A body that makes no sense ends both connections. */
static bool upload(struct serve_conn *conn)
{
	struct serve_backend *b = conn->backend;
	struct ts_http_body *body = &conn->req.body;
	const uint8_t *payload;
	size_t len;
	ssize_t n;
	int err = 0;

	if (b->body_is_sent || ts_byte_queue_len(&b->out) >= SERVE_BUFFER_BYTES)
		return false;
	if (body->is_done) {
		end_upload(conn);
		return true;
	}
	if (conn->req.expects_continue && !conn->has_continued)
		say_continue(conn);
	n = ts_http_body_next(body, ts_byte_queue_data(&conn->in),
			      ts_byte_queue_len(&conn->in), &payload, &len);
	if (n > 0 && len > 0)
		err = body->kind == TS_BODY_CHUNKED
			      ? put_chunk(&b->out, payload, len)
			      : ts_byte_queue_push(&b->out, payload, len);
	if (n < 0 || err || (n == 0 && conn->stream.has_ended))
		conn->is_over = true;
	if (n > 0)
		ts_byte_queue_drop(&conn->in, (size_t)n);
	return n > 0;
}

/* -- the answer ----------------------------------------------------------- */

static int write_answer(struct serve_conn *conn,
			const struct ts_http1_head *head)
{
	struct serve_backend *b = conn->backend;
	struct ts_serve_answer answer = {.head = head, .body = &b->body};
	enum ts_http_body_kind kind = b->body.kind;

	answer.is_upgrade = head->status == 101;
	if (kind == TS_BODY_CHUNKED || kind == TS_BODY_TO_END) {
		b->is_chunked = !conn->req.is_http10;
		if (conn->req.is_http10)
			conn->closes = true;
	}
	if (!conn->req.body.is_done && head->status >= 200)
		conn->closes = true;
	answer.is_chunked = b->is_chunked;
	answer.keeps_alive = !conn->closes || head->status < 200;
	return ts_serve_write_answer(&conn->out, &answer);
}

static bool is_kept(const struct ts_http1_head *head)
{
	return head->minor == 1 && !ts_http_lists(head, "Connection", "close");
}

/* An interim answer goes on, but for 100, which was ours to say. */
static int take_head(struct serve_conn *conn, const struct ts_http1_head *head)
{
	struct serve_backend *b = conn->backend;
	int err = 0;

	if (head->status == 101 && !conn->req.is_upgrade)
		return -EPROTO;
	err = ts_http_body_of_response(head, conn->req.is_head, &b->body);
	if (err)
		return err;
	b->body.trailers = &b->trailers;
	b->keeps_alive = is_kept(head);
	if (head->status != 100 &&
	    !(head->status < 200 && conn->req.is_http10))
		err = write_answer(conn, head);
	if (err)
		return err;
	b->has_head = head->status >= 200 || head->status == 101;
	if (head->status == 101)
		conn->state = SERVE_TUNNEL;
	ts_byte_queue_drop(&b->in, head->head_len);
	return 0;
}

static bool read_head(struct serve_conn *conn)
{
	struct serve_backend *b = conn->backend;
	struct ts_http1_head head;
	size_t len = ts_byte_queue_len(&b->in);
	int err = len ? ts_http1_read_response(ts_byte_queue_data(&b->in), len,
					       &head)
		      : -EAGAIN;

	if (err == -EAGAIN && !b->has_ended)
		return false;
	if (!err) {
		b->has_spoken = true;
		err = take_head(conn, &head);
	}
	return err ? fail(conn, err == -EAGAIN ? b->err : err) : true;
}

static void finish(struct serve_conn *conn)
{
	struct serve_backend *b = conn->backend;

	if (!b->keeps_alive || !b->body_is_sent || b->has_ended ||
	    b->body.kind == TS_BODY_TO_END) {
		drop_backend(conn);
	} else {
		b->idle_from_ms = ts_host_now_ms(conn->member->host);
		serve_h2_keep_backend(conn);
	}
	serve_http_answered(conn);
}

/* true: bytes moved, or the answer is whole. */
static bool download(struct serve_conn *conn)
{
	struct serve_backend *b = conn->backend;
	const uint8_t *payload;
	size_t len, have = ts_byte_queue_len(&b->in);
	ssize_t n;
	int err = 0;

	if (ts_byte_queue_len(&conn->out) >= SERVE_BUFFER_BYTES)
		return false;
	n = ts_http_body_next(&b->body, ts_byte_queue_data(&b->in), have,
			      &payload, &len);
	if (n > 0 && len > 0)
		err = b->is_chunked
			      ? put_chunk(&conn->out, payload, len)
			      : ts_byte_queue_push(&conn->out, payload, len);
	if (n > 0)
		ts_byte_queue_drop(&b->in, (size_t)n);
	if (b->body.kind == TS_BODY_TO_END && n == 0 && b->has_ended &&
	    !b->err)
		b->body.is_done = true;
	if (n < 0 || err || (n == 0 && b->has_ended && !b->body.is_done)) {
		conn->is_over = true;
		return false;
	}
	if (!b->body.is_done)
		return n > 0;
	if (b->is_chunked && ts_http_trailers_write(&conn->out, &b->trailers))
		conn->is_over = true;
	finish(conn);
	return true;
}

bool serve_proxy_step(struct serve_conn *conn)
{
	struct serve_backend *b = conn->backend;
	bool more;

	if (!b->is_up && serve_backend_shake(b))
		return true;
	if (!b->is_up)
		return b->has_ended ? fail(conn, b->err) : false;
	more = upload(conn);
	more |= serve_backend_drain(b);
	more |= serve_backend_fill(b);
	if (conn->is_over)
		return false;
	return (b->has_head ? download(conn) : read_head(conn)) || more;
}

/* -- after a switch of protocols ------------------------------------------ */

static bool move(struct ts_byte_queue *from, struct ts_byte_queue *to)
{
	size_t len = ts_byte_queue_len(from);

	if (len == 0 || ts_byte_queue_len(to) >= SERVE_BUFFER_BYTES ||
	    ts_byte_queue_push(to, ts_byte_queue_data(from), len))
		return false;
	ts_byte_queue_drop(from, len);
	return true;
}

/* Whoever ends first ends both, once all that was said is passed on. */
bool serve_tunnel_step(struct serve_conn *conn)
{
	struct serve_backend *b = conn->backend;
	bool more = move(&conn->in, &b->out);

	more |= serve_backend_drain(b);
	more |= serve_backend_fill(b);
	more |= move(&b->in, &conn->out);
	if (b->err && ts_byte_queue_len(&b->in) == 0) {
		conn->is_over = true;
	} else if ((b->has_ended && ts_byte_queue_len(&b->in) == 0) ||
		   (conn->stream.has_ended &&
		    ts_byte_queue_len(&conn->in) == 0 &&
		    ts_byte_queue_len(&b->out) == 0)) {
		conn->closes = true;
		conn->state = SERVE_LAST;
		return true;
	}
	return more;
}
