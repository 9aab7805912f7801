/* SPDX-License-Identifier: BSD-3-Clause
 * http_request.h - what a client asks of a web server of ours
 *
 * Bytes in, a request out; no I/O. Stricter than core/base/http1.h where a
 * backend might read the same bytes otherwise: line ends are CR LF, there is
 * one Host, and the target has no control characters.
 * Source: RFC 9112; Go's net/http (readRequest)
 */
#ifndef CORE_SERVE_HTTP_REQUEST_H
#define CORE_SERVE_HTTP_REQUEST_H

#include "core/base/http_body.h"

enum { TS_SERVE_HOST_CAP = 262 };

/* Views into the caller's bytes, but for path and host. */
struct ts_serve_request {
	struct ts_http1_head head;
	char *path; /* decoded, heap; "" for "*" and CONNECT's target */
	const char *raw_path; /* as it came */
	size_t raw_path_len;
	const char *query; /* with the question mark, or NULL */
	size_t query_len;
	char host[TS_SERVE_HOST_CAP]; /* perhaps with a port */
	struct ts_http_body body;
	bool is_http10, keep_alive, is_head, expects_continue, is_upgrade;
};

/* 0; -EAGAIN: not all of the head is there; -EBADMSG; -EMSGSIZE: too long, or
 * too many fields; -EOPNOTSUPP: a body's coding, or -ERANGE an HTTP version,
 * that we do not know; -ENOMEM. On 0 to be deinited. */
int ts_serve_request_read(const void *data, size_t len,
			  struct ts_serve_request *out);
void ts_serve_request_deinit(struct ts_serve_request *req);
bool ts_serve_request_is(const struct ts_serve_request *req,
			 const char *method);
/* The field as text, or ""; cut if it is longer than cap. */
const char *ts_serve_request_field(const struct ts_serve_request *req,
				   const char *name, char *out, size_t cap);

#endif
