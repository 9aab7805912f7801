/* SPDX-License-Identifier: BSD-3-Clause
 * watch_route.c - watch-ipn-bus: the bus as a stream of lines
 * Source: ipn/localapi/localapi.go (serveWatchIPNBus)
 */
#include <stdlib.h>

#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"

enum {
	NOT_WITH_RATE_LIMIT = BUS_PEER_CHANGES | BUS_NO_NETMAP |
			      BUS_INITIAL_STATUS | BUS_PEER_PATCHES,
};

struct watch {
	struct ts_localapi_stream stream;
	struct bus_watcher *watcher;
};

static ssize_t read_watch(void *ctx, char *out, size_t cap)
{
	struct watch *w = ctx;

	return bus_read(w->watcher, out, cap);
}

static void close_watch(void *ctx)
{
	struct watch *w = ctx;

	bus_unwatch(w->watcher);
	free(w);
}

static void on_news(void *ctx)
{
	struct watch *w = ctx;

	if (w->stream.wake) /* not yet, while the watch begins */
		w->stream.wake(w->stream.wake_ctx);
}

/* False: answered already. */
static bool read_mask(const struct localapi_call *call, uint64_t *mask)
{
	const char *text = localapi_query(call, "mask");
	int64_t value = 0;

	*mask = 0;
	if (text && *text && (ts_int_parse(text, &value) || value < 0)) {
		localapi_reply_error(call, 400, "bad mask");
		return false;
	}
	*mask = (uint64_t)value;
	if (*mask & BUS_IN_PROCESS) {
		localapi_reply_error(call, 400,
				     "NotifyInProcessNoDisconnect is only "
				     "valid for in-process IPN bus "
				     "subscribers");
		return false;
	}
	if (*mask & BUS_RATE_LIMIT && *mask & NOT_WITH_RATE_LIMIT) {
		localapi_reply_error(call, 400,
				     "NotifyRateLimit is incompatible with "
				     "new-style IPN bus subscription bits");
		return false;
	}
	return true;
}

void localapi_watch_ipn_bus(const struct localapi_call *call)
{
	char session[LOCALAPI_SESSION_CAP];
	struct ts_localapi_reply reply = {
		.status = 200, .content_type = "application/json"};
	struct watch *w;
	uint64_t mask;

	if (!read_mask(call, &mask))
		return;
	localapi_random_hex(session);
	w = calloc(1, sizeof(*w));
	if (w)
		w->watcher = bus_watch(call->api->bus, mask, session,
				       call->now_ms, call->now_unix, on_news,
				       w);
	if (!w || !w->watcher) {
		free(w);
		localapi_reply_error(call, 503, "too many watchers");
		return;
	}
	w->stream.read = read_watch;
	w->stream.close = close_watch;
	w->stream.ctx = w;
	reply.stream = &w->stream;
	call->done(call->ctx, &reply);
}
