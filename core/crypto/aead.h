/* SPDX-License-Identifier: BSD-3-Clause
 * aead.h - ChaCha20-Poly1305 (RFC 8439) and XChaCha20-Poly1305
 *
 * A ts_aead holds one key ready for use (the expensive part), for the data
 * path; the one-shot functions are for handshakes. All sealing and opening
 * may be done in place (in == out).
 *
 * A ts_aead_unit is what the fast implementation works with; it and all keys
 * made with it belong to one thread.
 */
#ifndef CORE_CRYPTO_AEAD_H
#define CORE_CRYPTO_AEAD_H

#include <stddef.h>
#include <stdint.h>

enum { TS_AEAD_KEY_LEN = 32, TS_AEAD_TAG_LEN = 16, TS_AEAD_NONCE_LEN = 12,
       TS_XAEAD_NONCE_LEN = 24 };

struct ts_aead_unit;
/* NULL where there is no fast implementation, or no memory for it. */
struct ts_aead_unit *ts_aead_unit_new(void);
void ts_aead_unit_free(struct ts_aead_unit *unit);

struct ts_aead; /* heap; wiped when freed */
/* unit must outlive the key; NULL: with the ordinary implementation. */
struct ts_aead *ts_aead_new(struct ts_aead_unit *unit,
			    const uint8_t key[static TS_AEAD_KEY_LEN]);
void ts_aead_free(struct ts_aead *aead);
/* out has len + 16 bytes: ciphertext and tag. */
void ts_aead_seal(struct ts_aead *aead,
		  const uint8_t nonce[static TS_AEAD_NONCE_LEN],
		  const void *ad, size_t ad_len, const uint8_t *in, size_t len,
		  uint8_t *out);
/* len counts the tag; out gets len - 16 bytes. 0 or -EACCES. */
int ts_aead_unseal(struct ts_aead *aead,
		   const uint8_t nonce[static TS_AEAD_NONCE_LEN],
		   const void *ad, size_t ad_len, const uint8_t *in, size_t len,
		   uint8_t *out);

void ts_aead_seal_once(const uint8_t key[static TS_AEAD_KEY_LEN],
		       const uint8_t nonce[static TS_AEAD_NONCE_LEN],
		       const void *ad, size_t ad_len, const uint8_t *in,
		       size_t len, uint8_t *out);
int ts_aead_unseal_once(const uint8_t key[static TS_AEAD_KEY_LEN],
			const uint8_t nonce[static TS_AEAD_NONCE_LEN],
			const void *ad, size_t ad_len, const uint8_t *in,
			size_t len, uint8_t *out);
void ts_xaead_seal(const uint8_t key[static TS_AEAD_KEY_LEN],
		   const uint8_t nonce[static TS_XAEAD_NONCE_LEN],
		   const void *ad, size_t ad_len, const uint8_t *in, size_t len,
		   uint8_t *out);
int ts_xaead_unseal(const uint8_t key[static TS_AEAD_KEY_LEN],
		    const uint8_t nonce[static TS_XAEAD_NONCE_LEN],
		    const void *ad, size_t ad_len, const uint8_t *in,
		    size_t len, uint8_t *out);
/* Nonce of WireGuard: 4 zero bytes, counter little-endian. */
void ts_nonce_le(uint64_t counter, uint8_t out[static TS_AEAD_NONCE_LEN]);
/* Nonce of Tailscale's control records: counter big-endian. */
void ts_nonce_be(uint64_t counter, uint8_t out[static TS_AEAD_NONCE_LEN]);

#endif
