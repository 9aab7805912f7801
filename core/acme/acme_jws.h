/* SPDX-License-Identifier: BSD-3-Clause
 * acme_jws.h - what an account signs: requests, and answers to challenges
 */
#ifndef CORE_ACME_ACME_JWS_H
#define CORE_ACME_ACME_JWS_H

#include "core/acme/acme_key.h"

/* RFC 8555 6.2: the flattened JSON of payload ("": POST-as-GET), signed for
 * this URL and nonce. kid NULL: with the key itself in it, as long as the
 * account has no URL. Heap text; NULL: out of memory. */
char *ts_acme_jws(const struct ts_acme_key *key, const char *kid,
		  const char *nonce, const char *url, const char *payload);
/* What protected header and payload are signed as: base64url, '.', base64url.
 */
char *ts_acme_signing_input(const char *header, const char *payload);
/* SHA-256 of the key authorization (RFC 8555 8.1). 0 or -ENOMEM. */
int ts_acme_challenge_digest(const struct ts_acme_key *key, const char *token,
			     uint8_t out[static TS_SHA256_LEN]);
/* RFC 8555 8.4: the TXT record that answers a dns-01 challenge. Heap text. */
char *ts_acme_dns_record(const struct ts_acme_key *key, const char *token);

#endif
