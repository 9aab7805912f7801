/* SPDX-License-Identifier: BSD-3-Clause
 * proxy_request.h - what a client asks of the proxy: SOCKS5 and HTTP
 *
 * Both on one port, told apart by the first byte. Bytes in, a step out; no
 * I/O. Source: RFC 1928, RFC 1929, RFC 9110 section 9.3.6, RFC 9112
 */
#ifndef CORE_HOST_PROXY_REQUEST_H
#define CORE_HOST_PROXY_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PROXY_HOST_CAP = 256,
	PROXY_SECRET_CAP = 64,
	PROXY_INPUT_MAX = 16384,
	PROXY_ANSWER_CAP = 256,
};

enum ts_proxy_kind { PROXY_SOCKS, PROXY_HTTP_CONNECT, PROXY_HTTP_FORWARD };

enum ts_proxy_step {
	PROXY_MORE,  /* bytes are missing */
	PROXY_SAY,   /* send the answer, then go on with what is left */
	PROXY_CALL,  /* connect to host and port */
	PROXY_FAIL,  /* send the answer, if any, and close */
};

struct ts_proxy_parser {
	const char *user, *password;
	enum ts_proxy_kind kind;
	bool is_known; /* SOCKS or HTTP */
	bool is_greeted, is_authorized;
	char host[PROXY_HOST_CAP]; /* a name, or an address as text */
	uint16_t port;
	uint8_t answer[PROXY_ANSWER_CAP];
	size_t answer_len;
};

/* *used: bytes of data that are done with. With PROXY_CALL of kind
 * PROXY_HTTP_FORWARD the whole head stays, for ts_proxy_forward. */
enum ts_proxy_step ts_proxy_parse(struct ts_proxy_parser *p,
				  const uint8_t *data, size_t len,
				  size_t *used);
/* What to tell the client when the call has ended: 0 or -errno. */
void ts_proxy_answer(struct ts_proxy_parser *p, int err);
/* The head as its server wants it; *used: bytes of data that it replaces.
 * Length, or -ENOBUFS, -EBADMSG. */
int ts_proxy_forward(const uint8_t *data, size_t len, uint8_t *out, size_t cap,
		     size_t *used);

#endif
