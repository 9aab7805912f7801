/* SPDX-License-Identifier: BSD-3-Clause
 * log_routes.c - the log, as it is written; more of it; a line into it
 *
 * Each reader has a queue of its own. What does not fit is counted, and said
 * in its place: the node never waits for a reader.
 * Source: ipn/localapi/localapi.go (serveLogTap, serveGoroutines), debug.go
 *   (serveComponentDebugLogging, serveDebugLog), logtail (the form of a line)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/byte_queue.h"
#include "core/base/err.h"
#include "core/base/log_json.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"

/* -- a reader ------------------------------------------------------------- */
enum { QUEUE_MAX = 256 * 1024, READERS_MAX = 8 };

struct log_reader {
	struct ts_log_tap tap; /* the first: a tap is its reader */
	struct ts_localapi_stream stream;
	struct ts_localapi *api;
	struct ts_byte_queue queue;
	unsigned long dropped;
};

static void push(struct log_reader *r, json_t *line)
{
	char *text = json_dumps(line, JSON_COMPACT);
	char *whole = NULL;

	json_decref(line);
	if (!text || asprintf(&whole, "%s\n", text) < 0)
		whole = NULL;
	if (!whole || ts_byte_queue_push(&r->queue, whole, strlen(whole)))
		r->dropped++;
	free(text);
	free(whole);
}

static json_t *make_line(enum ts_log_level level, const char *text)
{
	struct timespec now;
	char stamp[TS_LOG_TIME_CAP];

	clock_gettime(CLOCK_REALTIME, &now);
	return json_pack("{s:{s:s}, s:i, s:o}", "logtail", "client_time",
			 ts_log_format_time(&now, stamp), "v",
			 level == TS_LOG_DEBUG, "text",
			 json_sprintf("%s\n", text));
}

static void on_line(struct ts_log_tap *tap, enum ts_log_level level,
		    const char *text)
{
	struct log_reader *r = (struct log_reader *)(void *)tap;
	json_t *line = make_line(level, text);
	char lost[64];

	if (!line) /* it is not UTF-8 */
		line = make_line(level, "(a line that cannot be shown)");
	if (r->dropped && ts_byte_queue_len(&r->queue) < QUEUE_MAX / 2) {
		snprintf(lost, sizeof(lost), "[%lu lines were lost]",
			 r->dropped);
		r->dropped = 0;
		push(r, make_line(TS_LOG_WARN, lost));
	}
	push(r, line);
	if (r->stream.wake)
		r->stream.wake(r->stream.wake_ctx);
}

static ssize_t read_log(void *ctx, char *out, size_t cap)
{
	struct log_reader *r = ctx;
	size_t len = ts_byte_queue_len(&r->queue);

	if (len > cap)
		len = cap;
	if (len == 0)
		return 0;
	memcpy(out, ts_byte_queue_data(&r->queue), len);
	ts_byte_queue_drop(&r->queue, len);
	return (ssize_t)len;
}

static void close_log(void *ctx)
{
	struct log_reader *r = ctx;
	struct ts_localapi *api = r->api;

	api->env.log_untap(api->env_ctx, &r->tap);
	api->log_readers--;
	ts_byte_queue_deinit(&r->queue);
	free(r);
}

void localapi_log_tap(const struct localapi_call *call)
{
	struct ts_localapi *api = call->api;
	struct ts_localapi_reply reply = {.status = 200,
					  .content_type = "application/json"};
	struct log_reader *r;

	if (!api->env.log_tap || api->log_readers >= READERS_MAX) {
		localapi_reply_error(call, 503, "too many readers");
		return;
	}
	r = calloc(1, sizeof(*r));
	if (!r) {
		localapi_reply_failure(call, "out of memory");
		return;
	}
	r->api = api;
	r->tap.line = on_line;
	r->stream = (struct ts_localapi_stream){.read = read_log,
						.close = close_log, .ctx = r};
	ts_byte_queue_init(&r->queue, QUEUE_MAX);
	push(r, json_pack("{s:s}", "text", "[logtap connected]\n"));
	api->log_readers++;
	api->env.log_tap(api->env_ctx, &r->tap);
	reply.stream = &r->stream;
	call->done(call->ctx, &reply);
}

/* -- more of it ----------------------------------------------------------- */
int localapi_show_component(const struct ts_localapi_env *env, void *env_ctx,
			    const char *component, int64_t secs,
			    char err[static 128])
{
	int code = env && env->log_component
			   ? env->log_component(env_ctx, component, secs)
			   : -ENOENT;

	if (code == -ENOENT)
		snprintf(err, 128, "unknown component \"%.80s\"", component);
	else
		snprintf(err, 128, "%s", code ? ts_strerror(code) : "");
	return code;
}

void localapi_component_logging(const struct localapi_call *call)
{
	const char *component = localapi_query(call, "component");
	const char *text = localapi_query(call, "secs");
	int64_t secs = 0;
	char err[128];
	json_t *body;

	if (text && ts_int_parse(text, &secs))
		secs = 0;
	localapi_show_component(&call->api->env, call->api->env_ctx,
				component ? component : "", secs, err);
	body = json_pack("{s:s}", "Error", err);
	if (!body)
		body = json_pack("{s:s}", "Error", "unknown component");
	localapi_reply_json(call, 200, body);
}

/* -- a line into it ------------------------------------------------------- */
enum { LINES_PER_S = 60, LINE_MAX = 512 };

bool localapi_may_log(struct ts_localapi *api, uint64_t now_ms)
{
	if (now_ms - api->log_quota_ms >= 1000) {
		api->log_quota_ms = now_ms;
		api->log_quota_used = 0;
	}
	return api->log_quota_used++ < LINES_PER_S;
}

void localapi_debug_log(const struct localapi_call *call)
{
	json_t *body = localapi_body_object(call), *line;
	const char *prefix = ts_json_text(body, "Prefix");
	bool all = true;
	size_t i;

	if (!body)
		return;
	json_array_foreach (json_object_get(body, "Lines"), i, line) {
		const char *text = json_string_value(line);

		all = all && localapi_may_log(call->api, call->now_ms);
		if (all && text)
			log_info("%.40s: %.*s",
				 prefix && *prefix ? prefix : "debug-log",
				 (int)LINE_MAX, text);
	}
	json_decref(body);
	if (all)
		localapi_reply_empty(call, 204);
	else
		localapi_reply_error(call, 429, "too many lines at once");
}

/* -- what runs ------------------------------------------------------------ */
void localapi_threads(const struct localapi_call *call)
{
	const struct ts_localapi *api = call->api;

	if (api->env.threads)
		localapi_reply_text(call, 200, "text/plain",
				    api->env.threads(api->env_ctx));
	else
		localapi_reply_error(call, 501, "this node has no goroutines");
}
