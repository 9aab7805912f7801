/* SPDX-License-Identifier: BSD-3-Clause
 * lab_control.c - the control server's connections
 *
 * A connection starts as HTTP/1.1. GET /key is answered and closed; POST
 * /ts2021 carries a Noise initiation, and after the 101 the connection is a
 * stream of Noise records: the early payload, then HTTP/2. The machine key
 * that the handshake proved goes along with every request.
 *
 * Whatever a client sends, the worst that happens is that its connection is
 * closed.
 * Source: control/controlhttp/controlhttpserver, hs:hscontrol/noise.go
 */
#include "tests/lab/lab_control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/byte_queue.h"
#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/wire.h"
#include "core/control/ts2021_noise.h"
#include "core/crypto/secret.h"
#include "tests/lab/h2_server.h"
#include "tests/lab/lab_http1.h"
#include "tests/lab/lab_listener.h"
#include "tests/lab/lab_routes.h"

enum {
	INPUT_MAX = 256 << 10, /* bytes not yet understood */
	EARLY_CAP = 256,
	KEY_ANSWER_CAP = 256,
};

struct conn {
	struct lab_control *ctl;
	struct conn *next, **pprev;
	unsigned id;
	struct lab_stream *stream;
	struct ts_byte_queue in;
	struct ts_noise_session noise;
	struct lab_h2 *h2; /* NULL: still HTTP/1.1 */
	bool closing;      /* answered in HTTP/1.1, ignores the rest */
};

struct lab_control {
	struct lab *lab;
	struct ts_private_key key;
	struct ts_public_key public;
	struct lab_listener *plain, *tls;
	SSL_CTX *tls_ctx;
	struct conn *conns;
	unsigned last_conn_id;
	bool stalled;
	uint64_t key_requests, upgrades, requests;
};

static void conn_free(struct conn *c)
{
	*c->pprev = c->next;
	if (c->next)
		c->next->pprev = c->pprev;
	lab_h2_free(c->h2);
	ts_noise_session_deinit(&c->noise);
	lab_stream_free(c->stream);
	ts_byte_queue_deinit(&c->in);
	free(c);
}

static void conn_fail(struct conn *c, const char *what, int err)
{
	log_info("control-%u: %s: %s", c->id, what, ts_strerror(err));
	conn_free(c);
}

/* -- Noise and HTTP/2 ----------------------------------------------------- */

static int h2_send(void *ctx, const uint8_t *data, size_t len)
{
	struct conn *c = ctx;
	uint8_t record[TS_NOISE_FRAME_MAX];

	while (len) {
		size_t n = len < TS_NOISE_PLAIN_MAX ? len : TS_NOISE_PLAIN_MAX;
		int err = ts_noise_seal_record(&c->noise, data, n, record);

		if (!err)
			err = lab_stream_write(c->stream, record,
					       n + TS_NOISE_RECORD_OVERHEAD);
		if (err)
			return err;
		data += n;
		len -= n;
	}
	return 0;
}

static size_t h2_queued(void *ctx)
{
	struct conn *c = ctx;

	return lab_stream_queued(c->stream);
}

static void h2_request(void *ctx, struct lab_h2_stream *stream,
		       const struct lab_h2_request *req)
{
	struct conn *c = ctx;

	c->ctl->requests++;
	log_debug("control-%u: %s %s, %zu bytes", c->id, req->method, req->path,
		  req->body_len);
	lab_route(c->ctl->lab, stream, &c->noise.remote, req);
}

static const struct lab_h2_ops H2_OPS = {
	.send = h2_send,
	.queued = h2_queued,
	.request = h2_request,
};

/* The challenge is a fresh key's public half; no client answers it. */
static int send_early_payload(struct conn *c)
{
	struct ts_private_key key;
	struct ts_public_key challenge;
	char text[TS_KEY_TEXT_CAP], json[EARLY_CAP];
	uint8_t buf[EARLY_CAP + 16];
	struct ts_writer w = ts_writer_init(buf, sizeof(buf));
	size_t len;

	ts_private_key_generate(&key);
	ts_public_key_from_private(&key, &challenge);
	ts_wipe(&key, sizeof(key));
	len = (size_t)snprintf(
		json, sizeof(json), "{\"nodeKeyChallenge\":\"%s\"}",
		ts_public_key_format(&challenge, TS_PREFIX_CHALLENGE, text));
	ts_write_bytes(&w, "\xff\xff\xffTS", 5);
	ts_write_be32(&w, (uint32_t)len);
	ts_write_bytes(&w, json, len);
	return h2_send(c, buf, w.len);
}

static int start_noise(struct conn *c,
		       const uint8_t msg[static TS_NOISE_INITIATION_LEN])
{
	static const char HEAD[] = "HTTP/1.1 101 Switching Protocols\r\n"
				   "Upgrade: tailscale-control-protocol\r\n"
				   "Connection: upgrade\r\n\r\n";
	uint8_t response[TS_NOISE_RESPONSE_LEN];
	int err =
		ts_noise_respond(&c->ctl->key, NULL, msg, response, &c->noise);

	if (err)
		return err;
	c->h2 = lab_h2_new(&H2_OPS, c);
	if (!c->h2)
		return -ENOMEM;
	c->ctl->upgrades++;
	err = lab_stream_write(c->stream, HEAD, strlen(HEAD));
	if (!err)
		err = lab_stream_write(c->stream, response, sizeof(response));
	if (!err)
		err = send_early_payload(c);
	if (!err)
		err = lab_h2_pump(c->h2);
	return err;
}

/* Takes all whole records out of c->in. */
static int read_records(struct conn *c)
{
	uint8_t plain[TS_NOISE_PLAIN_MAX];
	size_t plain_len;
	int err = 0;

	while (!err) {
		int n = ts_noise_open_record(
			&c->noise, ts_byte_queue_data(&c->in),
			ts_byte_queue_len(&c->in), plain, &plain_len);

		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return n;
		ts_byte_queue_drop(&c->in, (size_t)n);
		err = lab_h2_input(c->h2, plain, plain_len);
	}
	return err;
}

/* -- HTTP/1.1 ------------------------------------------------------------- */

static void answer(struct conn *c, int status, const char *type,
		   const char *body)
{
	c->closing = true;
	lab_http1_respond(c->stream, status, type, NULL, body);
}

static void serve_key(struct conn *c)
{
	const struct ts_public_key zero = {0};
	char key[TS_KEY_TEXT_CAP], legacy[TS_KEY_TEXT_CAP];
	char body[KEY_ANSWER_CAP];

	c->ctl->key_requests++;
	snprintf(body, sizeof(body),
		 "{\"legacyPublicKey\":\"%s\",\"publicKey\":\"%s\"}\n",
		 ts_public_key_format(&zero, TS_PREFIX_MACHINE, legacy),
		 ts_public_key_format(&c->ctl->public, TS_PREFIX_MACHINE, key));
	answer(c, 200, "application/json", body);
}

/* 0 when the answer (or refusal) is written. */
static int serve_upgrade(struct conn *c, const struct ts_http1_head *head)
{
	const struct ts_http1_field *upgrade = ts_http1_find(head, "Upgrade");
	const struct ts_http1_field *field =
		ts_http1_find(head, "X-Tailscale-Handshake");
	uint8_t *msg = NULL;
	size_t msg_len = 0;
	int err;

	if (!lab_http1_is(head, "POST") || !upgrade || !field ||
	    !ts_http1_value_is(upgrade, "tailscale-control-protocol")) {
		answer(c, 400, "text/plain", "no ts2021 upgrade\n");
		return 0;
	}
	err = ts_base64_decode(field->value, field->value_len, &msg, &msg_len);
	if (!err && msg_len != TS_NOISE_INITIATION_LEN)
		err = -EBADMSG;
	if (!err)
		err = start_noise(c, msg);
	free(msg);
	return err;
}

static int serve_http1(struct conn *c, const struct ts_http1_head *head)
{
	if (lab_http1_path_is(head, "/ts2021"))
		return serve_upgrade(c, head);
	if (!lab_http1_is(head, "GET") && !lab_http1_is(head, "HEAD"))
		answer(c, 405, "text/plain", "method not allowed\n");
	else if (lab_http1_path_is(head, "/key"))
		serve_key(c);
	else if (lab_http1_path_is(head, "/health"))
		answer(c, 200, "application/json", "{\"status\":\"pass\"}\n");
	else if (lab_http1_path_is(head, "/generate_204"))
		answer(c, 204, "text/plain", "");
	else if (lab_http1_path_below(head, "/auth"))
		answer(c, 200, "text/plain",
		       "This login waits for: tsnet-lab --command SOCKET "
		       "approve ID\n");
	else
		answer(c, 404, "text/plain", "404 page not found\n");
	return 0;
}

static int read_http1(struct conn *c)
{
	struct ts_http1_head head;
	int err = ts_http1_read_request(ts_byte_queue_data(&c->in),
					ts_byte_queue_len(&c->in), &head);

	if (err == -EAGAIN)
		return 0;
	if (!err)
		err = serve_http1(c, &head);
	if (err)
		return err;
	ts_byte_queue_drop(&c->in, head.head_len);
	return c->h2 ? read_records(c) : 0;
}

/* -- the stream ----------------------------------------------------------- */

static void on_input(void *ctx, const uint8_t *data, size_t len)
{
	struct conn *c = ctx;
	int err;

	if (c->closing)
		return;
	err = ts_byte_queue_push(&c->in, data, len);
	if (!err)
		err = c->h2 ? read_records(c) : read_http1(c);
	if (err)
		conn_fail(c, c->h2 ? "connection" : "request", err);
}

static void on_closed(void *ctx, int err)
{
	struct conn *c = ctx;

	log_debug("control-%u: closed: %s", c->id, ts_strerror(err));
	conn_free(c);
}

static void on_drained(void *ctx)
{
	struct conn *c = ctx;
	int err = c->h2 ? lab_h2_pump(c->h2) : 0;

	if (err)
		conn_fail(c, "write", err);
}

static const struct lab_stream_ops STREAM_OPS = {
	.input = on_input,
	.closed = on_closed,
	.drained = on_drained,
};

static void accepted(struct lab_control *ctl, int fd, SSL_CTX *tls)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return;
	}
	c->ctl = ctl;
	c->id = ++ctl->last_conn_id;
	ts_byte_queue_init(&c->in, INPUT_MAX);
	c->stream = lab_stream_new(ctl->lab->loop, fd, tls, &STREAM_OPS, c);
	if (!c->stream) {
		free(c);
		return;
	}
	c->next = ctl->conns;
	c->pprev = &ctl->conns;
	if (c->next)
		c->next->pprev = &c->next;
	ctl->conns = c;
	if (ctl->stalled)
		lab_stream_stall(c->stream, true);
}

static void accepted_plain(void *ctx, int fd)
{
	accepted(ctx, fd, NULL);
}

static void accepted_tls(void *ctx, int fd)
{
	struct lab_control *ctl = ctx;

	accepted(ctl, fd, ctl->tls_ctx);
}

/* -- the server ----------------------------------------------------------- */

static int open_tls(struct lab_control *ctl)
{
	struct lab *lab = ctl->lab;

	if (!lab->opt.has_tls_listen)
		return 0;
	ctl->tls_ctx = lab_tls_context(&lab->tls, NULL);
	if (!ctl->tls_ctx)
		return -EIO;
	return lab_listener_open(lab->loop, &lab->opt.tls_listen, accepted_tls,
				 ctl, &ctl->tls);
}

int lab_control_open(struct lab *lab, struct lab_control **out)
{
	struct lab_control *ctl = calloc(1, sizeof(*ctl));
	int err;

	if (!ctl)
		return -ENOMEM;
	ctl->lab = lab;
	ts_private_key_generate(&ctl->key);
	ts_public_key_from_private(&ctl->key, &ctl->public);
	err = lab_listener_open(lab->loop, &lab->opt.listen, accepted_plain,
				ctl, &ctl->plain);
	if (!err)
		err = open_tls(ctl);
	if (err)
		lab_control_close(ctl);
	else
		*out = ctl;
	return err;
}

void lab_control_close(struct lab_control *ctl)
{
	if (!ctl)
		return;
	lab_listener_close(ctl->plain);
	lab_listener_close(ctl->tls);
	lab_control_drop_all(ctl);
	SSL_CTX_free(ctl->tls_ctx);
	ts_wipe(&ctl->key, sizeof(ctl->key));
	free(ctl);
}

uint16_t lab_control_port(const struct lab_control *ctl)
{
	return lab_listener_port(ctl->plain);
}

uint16_t lab_control_tls_port(const struct lab_control *ctl)
{
	return ctl->tls ? lab_listener_port(ctl->tls) : 0;
}

void lab_control_pump(struct lab_control *ctl)
{
	struct conn *next;

	for (struct conn *c = ctl->conns; c; c = next) {
		int err = c->h2 ? lab_h2_pump(c->h2) : 0;

		next = c->next;
		if (err)
			conn_fail(c, "write", err);
	}
}

size_t lab_control_drop_all(struct lab_control *ctl)
{
	size_t count = 0;

	for (; ctl->conns; count++)
		conn_free(ctl->conns);
	return count;
}

int lab_control_refuse(struct lab_control *ctl, bool on)
{
	int err = lab_listener_refuse(ctl->plain, on);

	if (!err && ctl->tls)
		err = lab_listener_refuse(ctl->tls, on);
	return err;
}

void lab_control_stall(struct lab_control *ctl, bool on)
{
	ctl->stalled = on;
	for (struct conn *c = ctl->conns; c; c = c->next)
		lab_stream_stall(c->stream, on);
}

json_t *lab_control_stats(const struct lab_control *ctl)
{
	json_int_t count = 0;

	for (const struct conn *c = ctl->conns; c; c = c->next)
		count++;
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "connections", count,
			 "accepted", (json_int_t)ctl->last_conn_id,
			 "key_requests", (json_int_t)ctl->key_requests,
			 "upgrades", (json_int_t)ctl->upgrades, "requests",
			 (json_int_t)ctl->requests);
}
