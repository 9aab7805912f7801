/* SPDX-License-Identifier: BSD-3-Clause
 * web_route.h - which handler answers a path, and where it leads
 * Source: ipn/ipnlocal/serve.go (getServeHandler, parseRedirectWithCode,
 *   expandProxyArg, ServeHTTP), net/http/httputil (SetURL)
 */
#ifndef CORE_SERVE_WEB_ROUTE_H
#define CORE_SERVE_WEB_ROUTE_H

#include <jansson.h>

#include "core/serve/http_request.h"

/* One is set, or none; texts are the configuration's. */
struct ts_serve_handler {
	const char *text, *redirect, *path, *proxy;
	const char *mount; /* with its slash, if it has one */
	const json_t *caps; /* AcceptAppCaps, or NULL */
};
/* handlers: {mount: HTTPHandler}. false: nothing is there (nor
 * is there without memory). */
bool ts_serve_find_handler(const json_t *handlers, const char *path,
			   struct ts_serve_handler *out);
/* As Go's path.Clean does it, of an absolute path. Heap, or NULL. */
char *ts_serve_clean_path(const char *path);
/* The name under which a plain HTTP request is looked up: without port, with
 * the tailnet's suffix. */
void ts_serve_web_name(const char *host, const char *suffix,
		       char out[static TS_SERVE_HOST_CAP]);

/* "301:https://${HOST}/${REQUEST_URI}" -> status and target; heap or NULL. */
char *ts_serve_redirect(const char *redirect,
			const struct ts_serve_request *req, int *status);

enum ts_serve_scheme {
	TS_SERVE_HTTP,
	TS_SERVE_HTTPS,
	TS_SERVE_HTTPS_INSECURE, /* whatever its certificate says */
	TS_SERVE_UNIX,
};
enum { TS_SERVE_UNIX_CAP = 108 };
/* Where a proxy handler leads. */
struct ts_serve_target {
	enum ts_serve_scheme scheme;
	char host[TS_SERVE_HOST_CAP]; /* or the socket's path */
	uint16_t port;
	const char *path; /* of the URL, as it is written; in the handler */
	size_t path_len;
	const char *query; /* with the question mark, or NULL */
	size_t query_len;
};
/* 0 or -EINVAL */
int ts_serve_target_parse(const char *proxy, struct ts_serve_target *out);
/* "host:port" or "unix:path" of TCPForward. 0 or -EINVAL */
int ts_serve_forward_parse(const char *forward, struct ts_serve_target *out);
/* The target of the request to the backend; heap. NULL: the path does not
 * begin with the mount (404), or no memory. */
char *ts_serve_target_path(const struct ts_serve_target *target,
			   const char *mount,
			   const struct ts_serve_request *req);

#endif
