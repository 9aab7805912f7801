/* SPDX-License-Identifier: BSD-3-Clause
 * control_request.c - requests to the server on behalf of others
 *
 * A few at a time, each with its answer, also when the link goes or the server
 * stays silent. Nothing is repeated: who asked hears why and may ask again.
 * Source: ipn/ipnlocal/local.go (DoNoiseRequest, SetExpirySooner)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/control/control_state.h"
#include "core/control/register_json.h"
#include "core/crypto/secret.h"

enum { REQUEST_TIMEOUT_MS = 15000, REPLY_MAX = 256 * 1024 };

static struct ts_control_request *slot_of(struct ts_control *c,
					  const struct ts_rpc *rpc)
{
	for (size_t i = 0; i < TS_REQUEST_SLOTS; i++)
		if (&c->requests[i].rpc == rpc)
			return &c->requests[i];
	return NULL;
}

/* The slot is free before the caller hears of it, and may ask again. */
static void answer(struct ts_control_request *r, int status,
		   struct ts_byte_queue *body, const char *error)
{
	ts_control_reply_fn fn = r->fn;

	r->fn = NULL;
	free(r->path);
	ts_wipe_free_text(r->body);
	r->path = r->body = NULL;
	fn(r->fn_ctx, status, body ? ts_byte_queue_data(body) : NULL,
	   body ? ts_byte_queue_len(body) : 0, error);
}

static void on_reply(struct ts_control *c, struct ts_rpc *rpc,
		     const char *error)
{
	struct ts_control_request *r = slot_of(c, rpc);
	struct ts_byte_queue body = rpc->body;

	memset(&rpc->body, 0, sizeof(rpc->body));
	if (!error && rpc->is_truncated)
		error = "the server's answer is too long";
	if (r && r->fn)
		answer(r, error ? 0 : rpc->status, error ? NULL : &body,
		       error);
	ts_byte_queue_deinit(&body);
}

static void end_all(struct ts_control *c, const char *why)
{
	for (size_t i = 0; i < TS_REQUEST_SLOTS; i++) {
		struct ts_control_request *r = &c->requests[i];

		ts_rpc_cancel(c, &r->rpc);
		if (r->fn)
			answer(r, 0, NULL, why);
	}
}

void ts_request_link_lost(struct ts_control *c)
{
	end_all(c, "the connection to the control server was lost");
}

void ts_request_deinit(struct ts_control *c)
{
	end_all(c, "the node has stopped");
}

void ts_request_tick(struct ts_control *c)
{
	for (size_t i = 0; i < TS_REQUEST_SLOTS; i++) {
		struct ts_control_request *r = &c->requests[i];

		if (!r->fn || c->now_ms < r->deadline_ms)
			continue;
		ts_rpc_cancel(c, &r->rpc);
		answer(r, 0, NULL, "the control server does not answer");
	}
}

uint64_t ts_request_deadline_ms(const struct ts_control *c)
{
	uint64_t at = UINT64_MAX;

	for (size_t i = 0; i < TS_REQUEST_SLOTS; i++)
		if (c->requests[i].fn && c->requests[i].deadline_ms < at)
			at = c->requests[i].deadline_ms;
	return at;
}

static struct ts_control_request *free_slot(struct ts_control *c)
{
	for (size_t i = 0; i < TS_REQUEST_SLOTS; i++)
		if (!c->requests[i].fn)
			return &c->requests[i];
	return NULL;
}

static int send_request(struct ts_control *c, struct ts_control_request *r)
{
	char key_text[TS_KEY_TEXT_CAP];
	const char *lb[TS_H2_LB_MAX] = {key_text, NULL};
	struct ts_public_key key;

	ts_public_key_from_private(&c->config.node_key, &key);
	ts_public_key_format(&key, TS_PREFIX_NODE, key_text);
	r->rpc.done = on_reply;
	return ts_rpc_start(c, &r->rpc, r->method, r->path, lb, r->body,
			    strlen(r->body), r->reply_max);
}

/* Not when it is asked for: that may be inside of the link's own callbacks. */
void ts_request_step(struct ts_control *c)
{
	for (size_t i = 0; i < TS_REQUEST_SLOTS; i++) {
		struct ts_control_request *r = &c->requests[i];
		int err;

		if (!r->fn || r->is_sent)
			continue;
		r->is_sent = true;
		err = send_request(c, r);
		if (err)
			answer(r, 0, NULL, ts_strerror(err));
	}
}

static int enqueue(struct ts_control *c, const struct ts_control_ask *ask,
		   ts_control_reply_fn fn, void *fn_ctx)
{
	struct ts_control_request *r = free_slot(c);

	if (c->link.step != LINK_UP || c->link.has_failed ||
	    ts_private_key_is_zero(&c->config.node_key))
		return -ENETDOWN;
	if (!r)
		return -EAGAIN;
	r->path = strdup(ask->path);
	r->body = strdup(ask->body);
	if (!r->path || !r->body) {
		free(r->path);
		ts_wipe_free_text(r->body);
		r->path = r->body = NULL;
		return -ENOMEM;
	}
	r->fn = fn;
	r->fn_ctx = fn_ctx;
	r->method = ask->method;
	r->reply_max = ask->reply_max;
	r->is_sent = false;
	r->deadline_ms = c->now_ms + ask->timeout_ms;
	return 0;
}

int ts_control_ask(struct ts_control *c, const struct ts_control_ask *ask,
		   ts_control_reply_fn fn, void *fn_ctx, uint64_t now_ms)
{
	int err;

	ts_control_enter(c, now_ms);
	err = enqueue(c, ask, fn, fn_ctx);
	ts_control_leave(c);
	return err;
}

int ts_control_request(struct ts_control *c, const char *path,
		       const char *body, ts_control_reply_fn fn, void *fn_ctx,
		       uint64_t now_ms)
{
	const struct ts_control_ask ask = {
		.method = "POST",
		.path = path,
		.body = body,
		.reply_max = REPLY_MAX,
		.timeout_ms = REQUEST_TIMEOUT_MS,
	};

	return ts_control_ask(c, &ask, fn, fn_ctx, now_ms);
}

int ts_control_expire_at(struct ts_control *c, int64_t expiry_unix,
			 ts_control_reply_fn fn, void *fn_ctx, uint64_t now_ms)
{
	struct ts_hostinfo hostinfo = ts_control_hostinfo(c);
	struct ts_register_request request = {
		.expiry_unix = expiry_unix,
		.ephemeral = c->config.ephemeral,
		.hostinfo = &hostinfo,
	};
	char *body;
	int err;

	if (ts_private_key_is_zero(&c->config.node_key))
		return -ENETDOWN;
	ts_public_key_from_private(&c->config.node_key, &request.node_key);
	ts_nl_public(&c->config.nl_key, &request.nl_key);
	body = ts_register_request_write(&request);
	if (!body)
		return -ENOMEM;
	err = ts_control_request(c, "/machine/register", body, fn, fn_ctx,
				 now_ms);
	ts_wipe_free_text(body);
	return err;
}
