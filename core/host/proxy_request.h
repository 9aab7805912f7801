/* SPDX-License-Identifier: BSD-3-Clause
 * proxy_request.h - what a client asks of the proxy: SOCKS5 and HTTP
 *
 * Both on one port, told apart by the first byte. A request of HTTP for a path
 * and not for another server is one for the LocalAPI, where that is served.
 * Bytes in, a step out; no I/O. Source: RFC 1928, RFC 1929, RFC 9110 section
 * 9.3.6, RFC 9112; the LocalAPI's part: tsnet/tsnet.go (Loopback)
 */
#ifndef CORE_HOST_PROXY_REQUEST_H
#define CORE_HOST_PROXY_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"

enum {
	PROXY_HOST_CAP = 256,
	PROXY_SECRET_CAP = 64,
	PROXY_INPUT_MAX = 16384,
	PROXY_ANSWER_CAP = 256,
};

enum ts_proxy_kind { PROXY_SOCKS, PROXY_HTTP_CONNECT, PROXY_HTTP_FORWARD,
		     PROXY_LOCALAPI };

enum ts_proxy_step {
	PROXY_MORE,  /* bytes are missing */
	PROXY_SAY,   /* send the answer, then go on with what is left */
	PROXY_CALL,  /* connect to host and port, or to the LocalAPI */
	PROXY_ASSOCIATE, /* carry datagrams; host and port as the client has
			  * it, perhaps zeros: where it sends from */
	PROXY_FAIL,  /* send the answer, if any, and close */
};

struct ts_proxy_parser {
	const char *user, *password;
	const char *local_password; /* of the LocalAPI; NULL: not served */
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
/* The same with the address at which datagrams are taken. */
void ts_proxy_answer_at(struct ts_proxy_parser *p, const struct ts_addr *at);
/* The head of a PROXY_HTTP_FORWARD as its server wants it; *used: bytes of data
 * that it replaces.
 * Length, or -ENOBUFS, -EBADMSG. */
int ts_proxy_forward(const uint8_t *data, size_t len, uint8_t *out, size_t cap,
		     size_t *used);
/* The same for a PROXY_LOCALAPI. */
int ts_proxy_forward_local(const uint8_t *data, size_t len, uint8_t *out,
			   size_t cap, size_t *used);

/* -- datagrams (RFC 1928 section 7) --------------------------------------- */
enum { PROXY_DATAGRAM_HEAD_MAX = 4 + 1 + 255 + 2 };
/* What a client sent: where to and which bytes. 0; -EBADMSG, or -ENOTSUP for
 * one of a train of fragments, which nobody reassembles. */
int ts_proxy_read_datagram(const uint8_t *in, size_t len,
			   char host[static PROXY_HOST_CAP], uint16_t *port,
			   const uint8_t **data, size_t *data_len);
/* What goes before the bytes that came from from: its length. */
size_t
ts_proxy_write_datagram_head(const struct ts_addr *from,
			     uint8_t out[static PROXY_DATAGRAM_HEAD_MAX]);

#endif
