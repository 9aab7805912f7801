/* SPDX-License-Identifier: BSD-3-Clause
 * acme_key.h - ECDSA P-256 keys: of an ACME account, and of a certificate
 */
#ifndef CORE_ACME_ACME_KEY_H
#define CORE_ACME_ACME_KEY_H

#include <stddef.h>
#include <stdint.h>

struct ts_acme_key; /* private; wiped when freed */
struct evp_pkey_st;

enum {
	TS_ES256_LEN = 64, /* r and s */
	TS_SHA256_LEN = 32,
	TS_ACME_COORD_LEN = 32,
};

struct ts_acme_key *ts_acme_key_new(void); /* NULL: out of memory */
void ts_acme_key_free(struct ts_acme_key *key);
/* "EC PRIVATE KEY", as upstream stores it; also PKCS#8. 0, -EBADMSG (no key),
 * -EPROTO (another kind of key), -ENOMEM. */
int ts_acme_key_read(const char *pem, size_t len, struct ts_acme_key **out);
/* Heap text, which the caller wipes and frees. */
char *ts_acme_key_write(const struct ts_acme_key *key);
/* 0 or -EIO */
int ts_acme_key_sign(const struct ts_acme_key *key, const void *data,
		     size_t len, uint8_t out[static TS_ES256_LEN]);
/* RFC 7517: {"crv":"P-256","kty":"EC","x":"...","y":"..."}, in the one form
 * that RFC 7638 hashes. Heap text, NULL: out of memory. */
char *ts_acme_key_jwk(const struct ts_acme_key *key);
/* For who hands it to OpenSSL; stays the key's. */
struct evp_pkey_st *ts_acme_key_pkey(const struct ts_acme_key *key);

/* RFC 4648 5, without padding. Heap text, NULL: out of memory. */
char *ts_base64url_encode(const void *data, size_t len);
int ts_sha256(const void *data, size_t len, uint8_t out[static TS_SHA256_LEN]);

#endif
