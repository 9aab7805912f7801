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
#include <sys/types.h>

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

/* A reply without an end of its own. The route makes it; it lives until
 * close(). All on the loop's thread. */
struct ts_localapi_stream {
	/* Up to cap bytes into out: how many; 0: none at the moment, wake()
	 * will be called; -1: it ends here. */
	ssize_t (*read)(void *ctx, char *out, size_t cap);
	/* The reader has gone, or has read the end. Once. */
	void (*close)(void *ctx);
	void *ctx;
	/* The server's: there is something to read, or the end. */
	void (*wake)(void *wake_ctx);
	void *wake_ctx;
};

struct ts_localapi_reply {
	int status;
	const char *content_type; /* static */
	char *body;		  /* heap: whoever gets the reply frees it */
	size_t body_len;
	struct ts_localapi_stream *stream; /* in place of a body, or NULL */
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
