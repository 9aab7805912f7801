/* SPDX-License-Identifier: BSD-3-Clause
 * blake2s.h - BLAKE2s (RFC 7693), HMAC-BLAKE2s and Noise's HKDF
 */
#ifndef CORE_CRYPTO_BLAKE2S_H
#define CORE_CRYPTO_BLAKE2S_H

#include <stddef.h>
#include <stdint.h>

enum { TS_BLAKE2S_LEN = 32, TS_BLAKE2S_BLOCK = 64 };

struct ts_blake2s {
	uint32_t h[8], t[2];
	uint8_t buf[TS_BLAKE2S_BLOCK];
	size_t buf_len, out_len;
};

/* out_len 1..32, key_len 0..32 */
void ts_blake2s_init(struct ts_blake2s *s, size_t out_len, const void *key,
		     size_t key_len);
void ts_blake2s_update(struct ts_blake2s *s, const void *data, size_t len);
void ts_blake2s_final(struct ts_blake2s *s, uint8_t *out); /* wipes s */
void ts_blake2s(uint8_t *out, size_t out_len, const void *key, size_t key_len,
		const void *data, size_t len);
/* out = H(a || b), 32 bytes; out may alias a. */
void ts_blake2s_mix(uint8_t out[static TS_BLAKE2S_LEN], const void *a,
		    size_t a_len, const void *b, size_t b_len);
void ts_hmac_blake2s(uint8_t out[static TS_BLAKE2S_LEN], const void *key,
		     size_t key_len, const void *data, size_t len);
/* Noise HKDF with 1..3 outputs: o2 and o3 may be NULL. Outputs may alias ck. */
void ts_noise_hkdf(const uint8_t ck[static TS_BLAKE2S_LEN], const void *ikm,
		   size_t ikm_len, uint8_t *o1, uint8_t *o2, uint8_t *o3);

#endif
