/* SPDX-License-Identifier: BSD-3-Clause
 * proxy_head.h - heads of messages that a proxy handler passes on
 *
 * A backend trusts what these heads say of who is calling: so all that a client
 * could say of that by itself is taken out, before it is put in.
 * Source: ipn/ipnlocal/serve.go (addProxyForwardedHeaders,
 *   addTailscaleIdentityHeaders, addAppCapabilitiesHeader,
 *   encTailscaleHeaderValue), net/http/httputil (ReverseProxy), mime (QEncoding)
 */
#ifndef CORE_SERVE_PROXY_HEAD_H
#define CORE_SERVE_PROXY_HEAD_H

#include "core/base/byte_queue.h"
#include "core/serve/web_route.h"

/* Who is calling. Texts may be NULL. */
struct ts_serve_caller {
	const char *ip;
	bool is_tls, is_funnel;
	bool has_user; /* a person's node: the three below */
	const char *login, *name, *picture;
	const char *app_caps; /* JSON of what the handler accepts, or NULL */
};

/* The request, for a backend at target; path: ts_serve_target_path()'s. 0,
 * -EMSGSIZE or -ENOMEM. */
int ts_serve_write_request(struct ts_byte_queue *out,
			   const struct ts_serve_request *req,
			   const struct ts_serve_target *target,
			   const char *path,
			   const struct ts_serve_caller *caller);

/* The backend's answer, for the client. */
struct ts_serve_answer {
	const struct ts_http1_head *head;
	const struct ts_http_body *body;
	bool is_upgrade;  /* 101: what it is upgraded to is said as well */
	bool is_chunked;  /* the length is not known; the client knows chunks */
	bool keeps_alive; /* another request may follow */
};
int ts_serve_write_answer(struct ts_byte_queue *out,
			  const struct ts_serve_answer *answer);

/* RFC 2047, where it needs to be; heap. NULL: no memory. What is not UTF-8 is
 * "". */
char *ts_serve_encode_value(const char *text);

#endif
