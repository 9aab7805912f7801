/* SPDX-License-Identifier: BSD-3-Clause
 * localapi.h - answers to the tailscale CLI, without the socket
 *
 * A request in, a status and a body out, once. core/engine/local_server puts
 * it on a Unix socket; core/localapi never sees one.
 * Source: ipn/localapi/, ipn/ipnstate/ipnstate.go; PROTOCOL 17
 */
#ifndef CORE_LOCALAPI_LOCALAPI_H
#define CORE_LOCALAPI_LOCALAPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/node/node.h"

struct ts_localapi_request {
	const char *method; /* "GET", ... */
	const char *path;   /* "/localapi/v0/status", without the query */
	/* Value of a query parameter, or NULL. */
	const char *(*query)(void *query_ctx, const char *name);
	void *query_ctx;
	const char *host, *origin, *referer; /* header values or NULL */
	const char *body;
	size_t body_len;
	bool may_write; /* by the peer's credentials */
};

struct ts_localapi_reply {
	int status;
	const char *content_type; /* static */
	char *body;		  /* heap: whoever gets the reply frees it */
	size_t body_len;
};
/* Called exactly once per request, inside ts_localapi_handle() or later on
 * the same thread (ping). */
typedef void (*ts_localapi_done_fn)(void *ctx,
				    const struct ts_localapi_reply *reply);

void ts_localapi_handle(struct ts_node *node,
			const struct ts_localapi_request *request,
			uint64_t now_ms, int64_t now_unix,
			ts_localapi_done_fn done, void *ctx);

#endif
