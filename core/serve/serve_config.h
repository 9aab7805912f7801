/* SPDX-License-Identifier: BSD-3-Clause
 * serve_config.h - what a node serves by itself: ipn.ServeConfig
 *
 * The configuration is a JSON value in a form of its own kind: known fields
 * only, of the right types, in upstream's order, without what is empty. So its
 * text, and the ETag that is made of it, are those that upstream would have.
 * "tcp" says what a port does, "web" what is where on a web server; entries of
 * the foreground belong to a watcher of the bus, and come first. NULL stands
 * for none at all.
 * Source: ipn/serve.go, ipn/ipnlocal/serve.go; PROTOCOL 15
 */
#ifndef CORE_SERVE_SERVE_CONFIG_H
#define CORE_SERVE_SERVE_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/serve/go_json.h"

enum { TS_SERVE_ERROR_CAP = 192, TS_SERVE_TEXT_MAX = 1024 * 1024 };

/* 0; -EBADMSG, -EMSGSIZE (err says what is wrong), -ENOMEM. "null" is NULL in
 * *out. */
int ts_serve_parse(const char *text, size_t len, json_t **out,
		   char err[static TS_SERVE_ERROR_CAP]);
/* The same of a value; it stays the caller's. */
int ts_serve_normalise(const json_t *value, json_t **out,
		       char err[static TS_SERVE_ERROR_CAP]);
/* Heap; NULL: out of memory. */
char *ts_serve_format(const json_t *config);
/* 0 or -ENOMEM */
int ts_serve_etag(const json_t *config, char out[static TS_GO_HASH_CAP]);
/* May next take the place of now? false: err says why not, in upstream's
 * words. */
bool ts_serve_may_follow(const json_t *now, const json_t *next,
			 char err[static TS_SERVE_ERROR_CAP]);
/* Files or Unix sockets are served: not for everybody to ask for. */
bool ts_serve_needs_admin(const json_t *config);

/* What a TCP port does. Texts are the configuration's. */
struct ts_serve_tcp {
	bool https, http;
	const char *forward;	   /* "host:port", "unix:path", or NULL */
	const char *terminate_tls; /* with forward: name of the certificate */
	int proxy_protocol;	   /* 0, 1, 2 */
};
/* service: "svc:...", or NULL for the node itself. */
bool ts_serve_find_tcp(const json_t *config, const char *service,
		       uint16_t port, struct ts_serve_tcp *out);
/* {mount: HTTPHandler} of that name and port; NULL: none. */
const json_t *ts_serve_find_web(const json_t *config, const char *service,
				const char *host, uint16_t port);
/* Is there any handler for this port (of the node itself)? */
bool ts_serve_has_port(const json_t *config, uint16_t port);

/* Calls fn with each name that a certificate is shown for: of web servers
 * behind TLS and of ports that end it, services' and the foreground's too. Some
 * more than once. */
void ts_serve_tls_names(const json_t *config,
			void (*fn)(void *ctx, const char *name), void *ctx);

/* -- foreground ----------------------------------------------------------- */
bool ts_serve_has_session(const json_t *config, const char *session);
/* Without it, or without any (NULL). New; NULL: out of memory. */
json_t *ts_serve_without_session(const json_t *config, const char *session);

#endif
