/* SPDX-License-Identifier: BSD-3-Clause
 * c2n.h - requests of the control server to this node
 *
 * An HTTP request comes as text in a PingRequest, its response goes back as
 * text. What there is to answer is the owner's business; here are the two
 * forms.
 * Source: PROTOCOL 4.6; feature/c2n/c2n.go, ipn/ipnlocal/c2n.go
 */
#ifndef CORE_CONTROL_C2N_H
#define CORE_CONTROL_C2N_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TS_C2N_METHOD_CAP = 16, TS_C2N_PATH_CAP = 256, TS_C2N_QUERY_CAP = 1024 };

struct ts_c2n_request {
	char method[TS_C2N_METHOD_CAP], path[TS_C2N_PATH_CAP];
	char query[TS_C2N_QUERY_CAP]; /* behind the '?', as it came */
	const uint8_t *body;
	size_t body_len;
};

struct ts_c2n_reply {
	int status;
	const char *type; /* static; NULL: no body */
	char *body;	  /* heap, taken over */
	size_t body_len;
};

/* Fills in the reply. */
typedef void (*ts_c2n_fn)(void *ctx, const struct ts_c2n_request *request,
			  struct ts_c2n_reply *reply);

/* text: an HTTP/1.x request. *out gets the complete response (heap). fn NULL:
 * no path is known. 0, -EBADMSG (no request), -EMSGSIZE, -ENOMEM. */
int ts_c2n_answer(const uint8_t *text, size_t len, ts_c2n_fn fn, void *ctx,
		  char **out, size_t *out_len);
/* The value of a parameter, decoded; false, and "": not there, too long, or
 * malformed. */
bool ts_c2n_query(const struct ts_c2n_request *request, const char *name,
		  char *out, size_t cap);
/* text and a newline; type: static. A lack of memory is status 500. */
void ts_c2n_reply_text(struct ts_c2n_reply *reply, int status,
		       const char *type, const char *text);

#endif
