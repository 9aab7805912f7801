/* SPDX-License-Identifier: BSD-3-Clause
 * control_call.c - requests to the control server on behalf of others
 *
 * They wait until the map may be polled, are answered over the link that is up
 * then, and end with an error when that link is lost or after their time. A
 * few are under way at a time; one too many is refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/control/control_state.h"
#include "core/crypto/secret.h"

/* The rpc is the first member: where done() is called with it, it is the call
 * as well. */
static struct ts_call *call_of(struct ts_rpc *rpc)
{
	return (struct ts_call *)rpc;
}

/* The slot is free before the caller hears of it, and may ask again. */
static void finish(struct ts_control *c, struct ts_call *call,
		   const char *error)
{
	struct ts_control_reply reply = {.error = error};
	struct ts_byte_queue body = call->rpc.body;
	ts_control_reply_fn fn = call->fn;
	void *ctx = call->ctx;

	if (!error && call->rpc.is_truncated)
		reply.error = "the answer is too long";
	if (!reply.error) {
		reply.status = call->rpc.status;
		reply.len = ts_byte_queue_len(&body);
		reply.body = reply.len ? (const char *)ts_byte_queue_data(&body)
				       : "";
	}
	memset(&call->rpc.body, 0, sizeof(call->rpc.body));
	ts_rpc_cancel(c, &call->rpc);
	free(call->path);
	ts_wipe_free_text(call->body);
	memset(call, 0, sizeof(*call));
	fn(ctx, &reply);
	ts_byte_queue_deinit(&body);
}

static void on_done(struct ts_control *c, struct ts_rpc *rpc,
		    const char *error)
{
	finish(c, call_of(rpc), error);
}

static struct ts_call *free_slot(struct ts_control *c)
{
	for (size_t i = 0; i < TS_CALL_SLOTS; i++)
		if (!c->calls[i].fn)
			return &c->calls[i];
	return NULL;
}

int ts_control_call(struct ts_control *c,
		    const struct ts_control_request *request,
		    ts_control_reply_fn fn, void *ctx, uint64_t now_ms)
{
	struct ts_call *call = free_slot(c);

	if (!call)
		return -EAGAIN;
	call->path = strdup(request->path);
	call->body = strdup(request->body ? request->body : "");
	if (!call->path || !call->body) {
		free(call->path);
		ts_wipe_free_text(call->body);
		memset(call, 0, sizeof(*call));
		return -ENOMEM;
	}
	ts_control_enter(c, now_ms);
	call->method = request->method;
	call->limit = request->reply_max;
	call->deadline_ms = c->now_ms + request->timeout_ms;
	call->fn = fn;
	call->ctx = ctx;
	call->rpc.done = on_done;
	ts_control_leave(c);
	return 0;
}

static int start(struct ts_control *c, struct ts_call *call)
{
	char lb_text[TS_KEY_TEXT_CAP];
	const char *lb[TS_H2_LB_MAX] = {lb_text, NULL};
	struct ts_public_key key;

	ts_public_key_from_private(&c->config.node_key, &key);
	ts_public_key_format(&key, TS_PREFIX_NODE, lb_text);
	return ts_rpc_start(c, &call->rpc, call->method, call->path, lb,
			    *call->body ? call->body : NULL,
			    strlen(call->body), call->limit);
}

void ts_calls_step(struct ts_control *c)
{
	for (size_t i = 0; i < TS_CALL_SLOTS; i++) {
		struct ts_call *call = &c->calls[i];
		int err;

		if (!call->fn || call->is_sent)
			continue;
		err = start(c, call);
		call->is_sent = true;
		if (err)
			finish(c, call, ts_strerror(err));
	}
}

void ts_calls_tick(struct ts_control *c)
{
	for (size_t i = 0; i < TS_CALL_SLOTS; i++)
		if (c->calls[i].fn && c->now_ms >= c->calls[i].deadline_ms)
			finish(c, &c->calls[i],
			       "no answer from the control server");
}

void ts_calls_link_lost(struct ts_control *c)
{
	for (size_t i = 0; i < TS_CALL_SLOTS; i++)
		if (c->calls[i].fn && c->calls[i].is_sent)
			finish(c, &c->calls[i],
			       "lost the connection to the control server");
}

void ts_calls_deinit(struct ts_control *c)
{
	for (size_t i = 0; i < TS_CALL_SLOTS; i++)
		if (c->calls[i].fn)
			finish(c, &c->calls[i], "the node stops");
}

uint64_t ts_calls_deadline_ms(const struct ts_control *c)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < TS_CALL_SLOTS; i++)
		if (c->calls[i].fn && c->calls[i].deadline_ms < next)
			next = c->calls[i].deadline_ms;
	return next;
}
