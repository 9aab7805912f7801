/* SPDX-License-Identifier: BSD-3-Clause
 * control_rpc.c - one request over the link whose whole answer is collected
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clean_text.h"
#include "core/control/control_state.h"

enum { BODY_TEXT_MAX = 200, PATH_CAP = 1024 };

static void on_head(void *ctx, int status, const char *retry_after)
{
	struct ts_rpc *rpc = ctx;

	rpc->status = status;
	snprintf(rpc->retry_after, sizeof(rpc->retry_after), "%s",
		 retry_after);
}

static void on_body(void *ctx, const uint8_t *data, size_t len)
{
	struct ts_rpc *rpc = ctx;
	size_t room = rpc->body.limit - ts_byte_queue_len(&rpc->body);
	size_t n = len < room ? len : room;

	if (n < len)
		rpc->is_truncated = true;
	if (ts_byte_queue_push(&rpc->body, data, n))
		rpc->is_truncated = true;
}

static void on_end(void *ctx, const char *error)
{
	struct ts_rpc *rpc = ctx;

	rpc->stream_id = 0;
	if (!error && rpc->status == 0)
		error = "no response";
	rpc->done(rpc->owner, rpc, error);
}

static const struct ts_h2_reply_ops REPLY_OPS = {
	.head = on_head, .body = on_body, .end = on_end};

int ts_rpc_start(struct ts_control *c, struct ts_rpc *rpc, const char *method,
		 const char *path, const char *const lb[static TS_H2_LB_MAX],
		 const void *body, size_t body_len, size_t limit)
{
	char full_path[PATH_CAP];
	struct ts_h2_request request = {
		.method = method,
		.path = full_path,
		.authority = c->url.authority,
		.lb = {lb[0], lb[1]},
		.body = body,
		.body_len = body_len,
		.ops = &REPLY_OPS,
		.ctx = rpc,
	};
	int n = snprintf(full_path, sizeof(full_path), "%s%s", c->url.path,
			 path);
	int32_t id;

	if (n < 0 || (size_t)n >= sizeof(full_path))
		return -EMSGSIZE;
	ts_byte_queue_deinit(&rpc->body);
	ts_byte_queue_init(&rpc->body, limit);
	rpc->owner = c;
	rpc->status = 0;
	rpc->retry_after[0] = '\0';
	rpc->is_truncated = false;
	id = ts_h2_submit(c->link.h2, &request);
	if (id < 0)
		return id;
	rpc->stream_id = id;
	return 0;
}

void ts_rpc_cancel(struct ts_control *c, struct ts_rpc *rpc)
{
	if (rpc->stream_id && c->link.h2)
		ts_h2_cancel(c->link.h2, rpc->stream_id);
	rpc->stream_id = 0;
	ts_byte_queue_deinit(&rpc->body);
}

void ts_rpc_body_text(const struct ts_rpc *rpc, char out[static 208])
{
	size_t len = ts_byte_queue_len(&rpc->body);

	if (len > BODY_TEXT_MAX)
		len = BODY_TEXT_MAX;
	snprintf(out, 208, "%.*s", (int)len,
		 len ? (const char *)ts_byte_queue_data(&rpc->body) : "");
	ts_clean_text(out, ' ');
	for (len = strlen(out); len > 0 && out[len - 1] == ' '; len--)
		out[len - 1] = '\0';
}
