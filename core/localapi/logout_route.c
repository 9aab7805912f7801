/* SPDX-License-Identifier: BSD-3-Clause
 * logout_route.c - log out
 *
 * Answered when the server has been told, or has refused, or has not answered
 * in time: who asks wants to know that the node's key is worth nothing now.
 * Source: ipn/localapi/localapi.go (serveLogout)
 */
#include <stdlib.h>

#include "core/localapi/localapi_internal.h"

enum { PATIENCE_MS = 20000, LOGOUTS_MAX = 8 };

struct pending_logout {
	struct localapi_call call;
	uint64_t deadline_ms;
	struct pending_logout *next;
};

static void answer(struct pending_logout *l, const char *problem)
{
	if (problem)
		localapi_reply_error(&l->call, 500, problem);
	else
		localapi_reply_empty(&l->call, 204);
	free(l);
}

void localapi_logouts_settle(struct ts_localapi *api, uint64_t now_ms)
{
	struct pending_logout **at = &api->logouts;
	bool is_out = ts_node_is_logged_out(api->node);
	const char *error = ts_node_is_refused(api->node)
				    ? ts_node_error(api->node)
				    : NULL;

	while (*at) {
		struct pending_logout *l = *at;
		bool is_late = now_ms >= l->deadline_ms;

		if (!is_out && !error && !is_late) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		if (is_out)
			answer(l, NULL);
		else
			answer(l, error ? error
					: "the control server did not answer "
					  "the logout in time");
	}
}

void localapi_logouts_end(struct ts_localapi *api)
{
	while (api->logouts) {
		struct pending_logout *l = api->logouts;

		api->logouts = l->next;
		answer(l, "the node was stopped");
	}
}

uint64_t localapi_logouts_deadline_ms(const struct ts_localapi *api)
{
	uint64_t at = UINT64_MAX;

	for (struct pending_logout *l = api->logouts; l; l = l->next)
		if (l->deadline_ms < at)
			at = l->deadline_ms;
	return at;
}

static size_t pending_count(const struct ts_localapi *api)
{
	size_t n = 0;

	for (struct pending_logout *l = api->logouts; l; l = l->next)
		n++;
	return n;
}

void localapi_logout(const struct localapi_call *call)
{
	struct ts_localapi *api = call->api;
	struct pending_logout *l = NULL;

	if (pending_count(api) < LOGOUTS_MAX)
		l = calloc(1, sizeof(*l));
	if (!l) {
		localapi_reply_failure(call, "too many logouts at once");
		return;
	}
	l->call = *call;
	l->call.request = NULL;
	l->deadline_ms = call->now_ms + PATIENCE_MS;
	l->next = api->logouts;
	ts_node_logout(call->node, call->now_ms);
	api->logouts = l; /* after it: an old refusal is none of this one */
	if (ts_node_is_logged_out(call->node))
		localapi_logouts_settle(api, call->now_ms);
}
