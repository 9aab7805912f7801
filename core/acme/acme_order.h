/* SPDX-License-Identifier: BSD-3-Clause
 * acme_order.h - one certificate, obtained from an ACME server (RFC 8555)
 *
 * No I/O: next() says what to send, or which DNS record to have set (or what to
 * show, by TLS), and is told what came of it. One thing at a time. The account is made when the
 * server does not know its key yet.
 */
#ifndef CORE_ACME_ACME_ORDER_H
#define CORE_ACME_ACME_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/acme/cert_pair.h"

#define TS_ACME_LETS_ENCRYPT "https://acme-v02.api.letsencrypt.org/directory"

enum { TS_ACME_ORDER_MS = 300 * 1000 }; /* all of it may take */

struct ts_acme_order;

struct ts_acme_want {
	const char *directory_url;
	const char *domain;   /* "*.x": x as well */
	const char *replaces; /* RFC 9773: what is renewed; NULL: nothing */
	bool by_alpn;	      /* tls-alpn-01 (RFC 8737); else dns-01 */
};

enum ts_acme_step_kind {
	TS_ACME_IDLE, /* an answer is awaited, or the deadline */
	TS_ACME_CALL,
	TS_ACME_DNS,
	TS_ACME_ALPN, /* the digest is to be shown to who asks for it */
	TS_ACME_DONE,
	TS_ACME_FAILED,
};

/* CALL: url and accept are the order's, body is the caller's to free. DNS: both
 * texts are the order's. */
struct ts_acme_step {
	enum ts_acme_step_kind kind;
	const char *method, *url, *accept; /* accept may be NULL */
	char *body;			   /* NULL: none */
	size_t answer_max;
	const char *dns_name, *dns_value;
	const uint8_t *digest; /* ALPN: TS_SHA256_LEN bytes, the order's */
};

/* status 0: none came, error says why. Texts are "" when the answer lacks
 * them. */
struct ts_acme_reply {
	int status;
	const char *body, *error;
	size_t len;
	const char *nonce, *location, *retry_after;
};

/* account stays the caller's, and outlives the order. NULL: out of memory. */
struct ts_acme_order *ts_acme_order_new(const struct ts_acme_want *want,
					const struct ts_acme_key *account,
					uint64_t now_ms);
void ts_acme_order_free(struct ts_acme_order *o);

void ts_acme_order_next(struct ts_acme_order *o, uint64_t now_ms,
			struct ts_acme_step *out);
void ts_acme_order_reply(struct ts_acme_order *o,
			 const struct ts_acme_reply *reply, uint64_t now_ms,
			 int64_t now_unix);
/* error NULL: the record is there, or the digest is shown. */
void ts_acme_order_proof_reply(struct ts_acme_order *o, const char *error);
/* Ask next() again then; UINT64_MAX: after the answer. */
uint64_t ts_acme_order_deadline_ms(const struct ts_acme_order *o);

/* DONE: the pair, which is the caller's from then on. */
void ts_acme_order_take(struct ts_acme_order *o, struct ts_cert_pair *out);
/* FAILED: why, in the server's words where it has any. */
const char *ts_acme_order_error(const struct ts_acme_order *o);
/* The server has had too many from us: it named so many seconds to wait, or
 * 0. */
bool ts_acme_order_is_limited(const struct ts_acme_order *o,
			      int64_t *retry_after_s);

#endif
