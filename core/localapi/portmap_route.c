/* SPDX-License-Identifier: BSD-3-Clause
 * portmap_route.c - GET debug-portmap: ask a gateway for a port, line by line
 * Source: feature/debugportmapper/debugportmapper.go
 *
 * What the engine says, and between it what the log says of port mapping down to
 * debug, as upstream's "portmapper: ...". Lines that a slow reader has no room
 * for are left out.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/byte_queue.h"
#include "core/base/err.h"
#include "core/localapi/go_duration.h"
#include "core/localapi/localapi_internal.h"
#include "core/path/portmap.h"

enum { QUEUE_MAX = 64 * 1024, DURATION_MAX_S = 60 };
#define LOG_PREFIX "portmap: "

struct portmap_reader {
	struct ts_log_tap tap; /* the first: a tap is its reader */
	struct ts_localapi_stream stream;
	struct ts_localapi *api;
	struct ts_byte_queue queue;
	bool is_over;
};

static void push(struct portmap_reader *r, const char *prefix,
		 const char *text)
{
	char *line;

	if (asprintf(&line, "%s%s\n", prefix, text) < 0)
		return;
	(void)ts_byte_queue_push(&r->queue, line, strlen(line));
	free(line);
	if (r->stream.wake)
		r->stream.wake(r->stream.wake_ctx);
}

static void on_log(struct ts_log_tap *tap, enum ts_log_level level,
		   const char *line)
{
	struct portmap_reader *r = (struct portmap_reader *)(void *)tap;

	(void)level;
	if (strncmp(line, LOG_PREFIX, strlen(LOG_PREFIX)) == 0)
		push(r, "portmapper: ", line + strlen(LOG_PREFIX));
}

static void on_line(void *ctx, const char *text)
{
	struct portmap_reader *r = ctx;

	if (text) {
		push(r, "", text);
		return;
	}
	r->is_over = true;
	if (r->stream.wake)
		r->stream.wake(r->stream.wake_ctx);
}

static ssize_t read_lines(void *ctx, char *out, size_t cap)
{
	struct portmap_reader *r = ctx;
	size_t len = ts_byte_queue_len(&r->queue);

	if (len > cap)
		len = cap;
	if (len == 0)
		return r->is_over ? -1 : 0;
	memcpy(out, ts_byte_queue_data(&r->queue), len);
	ts_byte_queue_drop(&r->queue, len);
	return (ssize_t)len;
}

static void close_lines(void *ctx)
{
	struct portmap_reader *r = ctx;
	struct ts_localapi *api = r->api;

	if (!r->is_over)
		api->env.portmap_leave(api->env_ctx);
	if (api->env.log_untap)
		api->env.log_untap(api->env_ctx, &r->tap);
	ts_byte_queue_deinit(&r->queue);
	free(r);
}

/* -- the request ---------------------------------------------------------- */

/* "GATEWAY/SELF" */
static int read_addresses(const char *text, struct ts_localapi_portmap *wish)
{
	const char *slash = text ? strchr(text, '/') : NULL;
	char gateway[TS_IP_TEXT_CAP];

	if (!text || !*text)
		return 0;
	if (!slash || (size_t)(slash - text) >= sizeof(gateway))
		return -EINVAL;
	snprintf(gateway, sizeof(gateway), "%.*s", (int)(slash - text), text);
	return ts_ip_parse(gateway, &wish->gateway) ||
			       ts_ip_parse(slash + 1, &wish->own)
		       ? -EINVAL
		       : 0;
}

static int read_kind(const char *text, struct ts_localapi_portmap *wish)
{
	static const char *const names[PORTMAP_KINDS] = {
		[PORTMAP_PMP] = "pmp", [PORTMAP_PCP] = "pcp",
		[PORTMAP_UPNP] = "upnp"};

	wish->kind = -1;
	if (!text || !*text)
		return 0;
	for (int i = 0; i < PORTMAP_KINDS; i++)
		if (strcmp(text, names[i]) == 0)
			wish->kind = i;
	return wish->kind < 0 ? -EINVAL : 0;
}

/* NULL, or what is wrong with it. */
static const char *read_wish(const struct localapi_call *call,
			     struct ts_localapi_portmap *wish)
{
	const char *duration = localapi_query(call, "duration");
	int64_t seconds = 0;

	if (!duration || localapi_read_duration(duration, &seconds) ||
	    seconds < 0)
		return "invalid duration";
	wish->duration_s = seconds < DURATION_MAX_S ? (unsigned)seconds
						    : DURATION_MAX_S;
	if (read_kind(localapi_query(call, "type"), wish))
		return "unknown portmap debug type";
	if (read_addresses(localapi_query(call, "gateway_and_self"), wish))
		return "gateway_and_self has to be two addresses: A/B";
	return NULL;
}

static void begin(const struct localapi_call *call,
		  const struct ts_localapi_portmap *wish)
{
	struct ts_localapi *api = call->api;
	struct ts_localapi_reply reply = {.status = 200,
					  .content_type = "text/plain"};
	struct portmap_reader *r = calloc(1, sizeof(*r));
	int err = r ? 0 : -ENOMEM;

	if (!err) {
		r->api = api;
		r->tap.line = on_log;
		r->stream = (struct ts_localapi_stream){
			.read = read_lines, .close = close_lines, .ctx = r};
		ts_byte_queue_init(&r->queue, QUEUE_MAX);
		err = api->env.portmap(api->env_ctx, wish, on_line, r);
	}
	if (err) {
		free(r);
		localapi_reply_error(call, err == -EBUSY ? 503 : 500,
				     err == -EBUSY
					     ? "another one is under way"
					     : ts_strerror(err));
		return;
	}
	if (api->env.log_tap)
		api->env.log_tap(api->env_ctx, &r->tap);
	reply.stream = &r->stream;
	call->done(call->ctx, &reply);
}

void localapi_debug_portmap(const struct localapi_call *call)
{
	struct ts_localapi_portmap wish = {.kind = -1};
	const char *why = read_wish(call, &wish);

	if (why)
		localapi_reply_error(call, 400, why);
	else if (!call->api->env.portmap)
		localapi_reply_error(call, 501, "this node maps no ports");
	else
		begin(call, &wish);
}
