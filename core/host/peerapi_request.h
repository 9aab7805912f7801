/* SPDX-License-Identifier: BSD-3-Clause
 * peerapi_request.h - what a peer asks of our PeerAPI
 *
 * Bytes in, a request out; no I/O. HTTP/1.1.
 * Source: RFC 9112, RFC 8484; ipn/ipnlocal/peerapi.go
 */
#ifndef CORE_HOST_PEERAPI_REQUEST_H
#define CORE_HOST_PEERAPI_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/http_body.h"

enum {
	PEERAPI_BODY_MAX = 65535, /* the longest DNS message */
	PEERAPI_INPUT_MAX = TS_HTTP1_HEAD_MAX + PEERAPI_BODY_MAX,
};

/* Views into the caller's bytes. */
struct ts_peerapi_request {
	struct ts_http1_head head;
	const char *path, *query; /* query: behind the question mark, or NULL */
	size_t path_len, query_len;
	struct ts_http_body framing;
	const uint8_t *body; /* by ts_peerapi_read(), as the next two */
	size_t body_len;
	size_t len; /* bytes of the whole request */
	bool keep_alive;
};

/* 0; -EAGAIN: not all of it is there; -EBADMSG, -EMSGSIZE, -EOPNOTSUPP: no
 * request of ours. */
int ts_peerapi_read(const uint8_t *data, size_t len,
		    struct ts_peerapi_request *out);
/* The head alone: its body comes bit by bit. */
int ts_peerapi_read_head(const uint8_t *data, size_t len,
			 struct ts_peerapi_request *out);
bool ts_peerapi_method_is(const struct ts_peerapi_request *req,
			  const char *method);
bool ts_peerapi_path_is(const struct ts_peerapi_request *req,
			const char *path);
/* The host that it is for, without port; false: it has none, or a strange one.
 */
bool ts_peerapi_host(const struct ts_peerapi_request *req, char *out,
		     size_t cap);
/* Does it come from a page in a browser? */
bool ts_peerapi_is_of_browser(const struct ts_peerapi_request *req);

bool ts_peerapi_is_get(const struct ts_peerapi_request *req);
/* A DNS query in it. 0 and heap bytes; -EBADMSG (*problem says why), -ENOMEM. */
int ts_peerapi_dns_query(const struct ts_peerapi_request *req, uint8_t **out,
			 size_t *len, const char **problem);

#endif
