/* SPDX-License-Identifier: BSD-3-Clause
 * http1.h - the head of one HTTP/1.1 message
 *
 * Start line and header lines up to the empty line; http_body.h has what comes
 * then. What two readers could understand in two ways is no head: folded lines,
 * a space before the colon, a CR or NUL within a line. Requests, which may be
 * passed on, end each line by CR LF and have no other control characters
 * either; of servers a bare LF is taken, as their devices and proxies are.
 * Source: RFC 9112 sections 2 to 5.
 */
#ifndef CORE_BASE_HTTP1_H
#define CORE_BASE_HTTP1_H

#include <stdbool.h>
#include <stddef.h>

enum { TS_HTTP1_HEAD_MAX = 16384, TS_HTTP1_HEADERS_MAX = 64 };

struct ts_http1_field {
	const char *name, *value; /* not NUL-terminated: see the lengths */
	size_t name_len, value_len;
};

/* Views into the caller's bytes. */
struct ts_http1_head {
	int status; /* response: 100..599; request: 0 */
	int minor;  /* of the version: HTTP/1.minor */
	const char *method, *target; /* request only */
	size_t method_len, target_len;
	struct ts_http1_field fields[TS_HTTP1_HEADERS_MAX];
	size_t field_count;
	size_t head_len; /* bytes up to and with the empty line */
};

/* 0, -EAGAIN when the empty line is not there yet, -EBADMSG, -EMSGSIZE. */
int ts_http1_read_response(const void *data, size_t len,
			   struct ts_http1_head *out);
int ts_http1_read_request(const void *data, size_t len,
			  struct ts_http1_head *out);
/* The field of that name (case-insensitive) or NULL. */
const struct ts_http1_field *ts_http1_find(const struct ts_http1_head *head,
					   const char *name);
/* How many fields of that name there are. */
size_t ts_http1_count(const struct ts_http1_head *head, const char *name);
bool ts_http1_is_named(const struct ts_http1_field *field, const char *name);
/* Does the field's name begin so, or in a way that a program would take for it?
 * CGI and WSGI give fields as variables, whose names have an underscore for all
 * that is no letter or digit: Tailscale_User_Login is Tailscale-User-Login
 * there. */
bool ts_http1_begins_alike(const struct ts_http1_field *field,
			   const char *name);
/* Case-insensitive compare of a field's value with text. */
bool ts_http1_value_is(const struct ts_http1_field *field, const char *text);

#endif
