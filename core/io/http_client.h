/* SPDX-License-Identifier: BSD-3-Clause
 * http_client.h - HTTPS requests of the engine (libcurl multi on the loop)
 */
#ifndef CORE_IO_HTTP_CLIENT_H
#define CORE_IO_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/loop/loop.h"

struct ts_http_client;
struct ts_http_request;

/* status 0 and error text on transport failure. body is NUL-terminated. */
typedef void (*ts_http_fn)(void *ctx, int status, const char *body, size_t len,
			   const char *error);

struct ts_http_client *ts_http_client_new(struct ts_loop *loop);
void ts_http_client_free(struct ts_http_client *client);
/* A network beside the host's, for ts_http_ask_dns(). */
struct ts_http_tunnel {
	bool (*claims)(void *ctx, const struct ts_ip *ip);
	/* A socket, the caller's to close, that leads to `to` when it is
	 * connected to *via, which is done at once; or -errno. */
	int (*call)(void *ctx, const struct ts_addr *to, struct ts_addr *via);
};
void ts_http_client_set_tunnel(struct ts_http_client *client,
			       const struct ts_http_tunnel *ops, void *ctx);
/* GET; verified TLS; answers over body_max fail. fn is never called inside. */
struct ts_http_request *ts_http_get(struct ts_http_client *client,
				    const char *url, size_t body_max,
				    unsigned timeout_ms, ts_http_fn fn,
				    void *ctx);
/* To a device of the own network: plain HTTP to an address, no proxy, no
 * redirect, the connection is not kept. soap_action NULL: GET; else a POST of
 * soap_body. Otherwise as ts_http_get(). */
struct ts_http_request *ts_http_call_near(struct ts_http_client *client,
					  const char *url,
					  const char *soap_action,
					  const char *soap_body,
					  size_t body_max, unsigned timeout_ms,
					  ts_http_fn fn, void *ctx);
/* DNS over HTTPS: a POST of a query, by HTTP/2 if the server speaks it; the
 * connection is kept for the next one. ips: where the server is; none: its name
 * is looked up. By the tunnel if that is the way, then by no proxy. An answer
 * of another type than DNS fails. Otherwise as ts_http_get(). */
struct ts_http_request *ts_http_ask_dns(struct ts_http_client *client,
					const char *url,
					const struct ts_ip *ips, size_t count,
					const uint8_t *query, size_t len,
					unsigned timeout_ms, ts_http_fn fn,
					void *ctx);
enum { TS_HTTP_WANT_MAX = 3, TS_HTTP_FIELD_CAP = 1025 };
/* A request with a method, fields and a body of its own, all copied (and wiped
 * after). No redirect is followed: what is in it is meant for that host. */
struct ts_http_call {
	const char *method, *url;
	const char *const *fields; /* "Name: value" */
	size_t field_count;
	const char *body; /* NULL: none; "": an empty one */
	bool is_near; /* the own network: no proxy, no kept connection */
	const char *ca_pem; /* the only roots to believe; NULL: the usual */
	const char *want_fields[TS_HTTP_WANT_MAX]; /* of the answer; or NULL */
	size_t body_max;
	unsigned timeout_ms;
};
/* status 0 and error on transport failure; body is NUL-terminated. fields,
 * as wanted: "" when the answer has none, or one that is longer. */
struct ts_http_reply {
	int status;
	const char *body, *error;
	const char *fields[TS_HTTP_WANT_MAX];
	size_t len;
};
typedef void (*ts_http_reply_fn)(void *ctx, const struct ts_http_reply *reply);
/* As ts_http_get() otherwise. */
struct ts_http_request *ts_http_call(struct ts_http_client *client,
				     const struct ts_http_call *call,
				     ts_http_reply_fn fn, void *ctx);
void ts_http_cancel(struct ts_http_request *request);

#endif
