/* SPDX-License-Identifier: BSD-3-Clause
 * lab_ping.c - PingRequests: ask a node something through its map stream
 *
 * The request carries a URL with a token; the client posts its answer there
 * over Noise.
 * Source: tailcfg/tailcfg.go (PingRequest), control/controlclient/direct.go
 */
#include "tests/lab/lab_ping.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/crypto/secret.h"
#include "tests/lab/lab_map.h"
#include "tests/lab/lab_routes.h"

enum { TOKEN_LEN = 8, TOKEN_CAP = 2 * TOKEN_LEN + 1 };

struct asked {
	struct lab_ping *ping;
	struct asked *next, **pprev;
	char token[TOKEN_CAP];
	struct ts_timer *timer;
	lab_ping_fn fn;
	void *ctx;
};

struct lab_ping {
	struct lab *lab;
	struct asked *asked;
};

static void asked_free(struct asked *a)
{
	*a->pprev = a->next;
	if (a->next)
		a->next->pprev = a->pprev;
	ts_timer_free(a->timer);
	free(a);
}

static void finish(struct asked *a, const char *answer)
{
	lab_ping_fn fn = a->fn;
	void *ctx = a->ctx;

	asked_free(a);
	fn(ctx, answer);
}

static void on_timeout(void *ctx)
{
	finish(ctx, NULL);
}

static struct asked *asked_new(struct lab_ping *ping, uint64_t timeout_ms,
			       lab_ping_fn fn, void *ctx)
{
	struct asked *a = calloc(1, sizeof(*a));
	uint8_t token[TOKEN_LEN];

	if (!a)
		return NULL;
	a->timer = ts_timer_new(ping->lab->loop, on_timeout, a);
	if (!a->timer) {
		free(a);
		return NULL;
	}
	ts_random_bytes(token, sizeof(token));
	ts_hex_encode(token, sizeof(token), a->token);
	a->ping = ping;
	a->fn = fn;
	a->ctx = ctx;
	a->next = ping->asked;
	a->pprev = &ping->asked;
	if (a->next)
		a->next->pprev = &a->next;
	ping->asked = a;
	ts_timer_set(a->timer, ts_loop_now_ms(ping->lab->loop) + timeout_ms);
	return a;
}

static char *request_text(const struct asked *a, const char *types,
			  const char *ip, const char *payload)
{
	json_t *req =
		json_pack("{s:o, s:b, s:b, s:s}", "URL",
			  json_sprintf("https://unused/ping/%s", a->token),
			  "URLIsNoise", 1, "Log", 1, "Types", types);
	char *base64 =
		payload ? ts_base64_encode(payload, strlen(payload)) : NULL;
	json_t *msg;
	char *text;

	if (ip)
		json_object_set_new(req, "IP", json_string(ip));
	if (base64)
		json_object_set_new(req, "Payload", json_string(base64));
	msg = json_pack("{s:o}", "PingRequest", req);
	text = msg ? json_dumps(msg, JSON_COMPACT) : NULL;
	json_decref(msg);
	free(base64);
	return text;
}

int lab_ping_send(struct lab_ping *ping, const struct lab_node *node,
		  const char *types, const char *ip, const char *payload,
		  uint64_t timeout_ms, lab_ping_fn fn, void *ctx)
{
	struct asked *a = asked_new(ping, timeout_ms, fn, ctx);
	char *text = a ? request_text(a, types, ip, payload) : NULL;
	int err = -ENOMEM;

	if (text)
		err = lab_map_send_json(ping->lab->map, node, text) ? 0
								    : -ENOTCONN;
	free(text);
	if (err && a)
		asked_free(a);
	return err;
}

void lab_ping_cancel(struct lab_ping *ping, const void *ctx)
{
	struct asked *next;

	for (struct asked *a = ping->asked; a; a = next) {
		next = a->next;
		if (a->ctx == ctx)
			asked_free(a);
	}
}

void lab_ping_answer(struct lab *lab, struct lab_h2_stream *stream,
		     const struct ts_public_key *machine,
		     const struct lab_h2_request *req)
{
	const char *token = strrchr(req->path, '/') + 1;
	struct asked *a = lab->ping->asked;

	(void)machine;
	while (a && strcmp(a->token, token))
		a = a->next;
	if (!a) {
		lab_respond_error(stream, 404, "unknown token\n");
		return;
	}
	lab_h2_respond(stream, 204, NULL, NULL, NULL, 0);
	finish(a, (const char *)req->body);
}

int lab_ping_new(struct lab *lab, struct lab_ping **out)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	(*out)->lab = lab;
	return 0;
}

void lab_ping_free(struct lab_ping *ping)
{
	if (!ping)
		return;
	while (ping->asked)
		asked_free(ping->asked);
	free(ping);
}
