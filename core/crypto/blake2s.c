/* SPDX-License-Identifier: BSD-3-Clause
 * blake2s.c - BLAKE2s (RFC 7693), HMAC-BLAKE2s and Noise's HKDF
 *
 * OpenSSL's EVP_blake2s256 has neither a key nor a shorter output, and
 * WireGuard's MACs need both, so the hash is here; it runs a few times a
 * handshake and never on data. HMAC is the usual RFC 2104 one over the
 * unkeyed hash, as Noise wants it, not BLAKE2's own keyed mode.
 */
#include "core/crypto/blake2s.h"

#include <stdbool.h>
#include <string.h>

#include "core/crypto/secret.h"

enum { ROUNDS = 10, HMAC_IPAD = 0x36, HMAC_OPAD = 0x5c };

static const uint32_t iv[8] = {
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
	0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

/* RFC 7693 section 2.7: which message word each step takes. */
static const uint8_t sigma[ROUNDS][16] = {
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	{14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
	{11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
	{7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
	{9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
	{2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
	{12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
	{13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
	{6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
	{10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static inline uint32_t rotr(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

static inline uint32_t load_le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	       (uint32_t)p[3] << 24;
}

static inline void mix(uint32_t v[static 16], int a, int b, int c, int d,
		       uint32_t x, uint32_t y)
{
	v[a] += v[b] + x;
	v[d] = rotr(v[d] ^ v[a], 16);
	v[c] += v[d];
	v[b] = rotr(v[b] ^ v[c], 12);
	v[a] += v[b] + y;
	v[d] = rotr(v[d] ^ v[a], 8);
	v[c] += v[d];
	v[b] = rotr(v[b] ^ v[c], 7);
}

static void add_to_counter(struct ts_blake2s *s, size_t len)
{
	s->t[0] += (uint32_t)len;
	s->t[1] += s->t[0] < (uint32_t)len;
}

/* RFC 7693 section 3.2, function F. */
static void compress(struct ts_blake2s *s, const uint8_t *block, bool is_last)
{
	uint32_t m[16], v[16];

	for (int i = 0; i < 16; i++)
		m[i] = load_le32(block + 4 * i);
	memcpy(v, s->h, sizeof(s->h));
	memcpy(v + 8, iv, sizeof(iv));
	v[12] ^= s->t[0];
	v[13] ^= s->t[1];
	if (is_last)
		v[14] = ~v[14];
	for (int r = 0; r < ROUNDS; r++) {
		const uint8_t *p = sigma[r];

		mix(v, 0, 4, 8, 12, m[p[0]], m[p[1]]);
		mix(v, 1, 5, 9, 13, m[p[2]], m[p[3]]);
		mix(v, 2, 6, 10, 14, m[p[4]], m[p[5]]);
		mix(v, 3, 7, 11, 15, m[p[6]], m[p[7]]);
		mix(v, 0, 5, 10, 15, m[p[8]], m[p[9]]);
		mix(v, 1, 6, 11, 12, m[p[10]], m[p[11]]);
		mix(v, 2, 7, 8, 13, m[p[12]], m[p[13]]);
		mix(v, 3, 4, 9, 14, m[p[14]], m[p[15]]);
	}
	for (int i = 0; i < 8; i++)
		s->h[i] ^= v[i] ^ v[i + 8];
	ts_wipe(m, sizeof(m));
	ts_wipe(v, sizeof(v));
}

void ts_blake2s_init(struct ts_blake2s *s, size_t out_len, const void *key,
		     size_t key_len)
{
	memset(s, 0, sizeof(*s));
	memcpy(s->h, iv, sizeof(iv));
	s->h[0] ^= 0x01010000 ^ (uint32_t)key_len << 8 ^ (uint32_t)out_len;
	s->out_len = out_len;
	if (key_len > 0) {
		memcpy(s->buf, key, key_len);
		s->buf_len = TS_BLAKE2S_BLOCK;
	}
}

void ts_blake2s_update(struct ts_blake2s *s, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len > 0) {
		size_t room = TS_BLAKE2S_BLOCK - s->buf_len;
		size_t take = len < room ? len : room;

		/* Only when more follows: the last block is marked. */
		if (room == 0) {
			add_to_counter(s, TS_BLAKE2S_BLOCK);
			compress(s, s->buf, false);
			s->buf_len = 0;
			continue;
		}
		memcpy(s->buf + s->buf_len, p, take);
		s->buf_len += take;
		p += take;
		len -= take;
	}
}

void ts_blake2s_final(struct ts_blake2s *s, uint8_t *out)
{
	add_to_counter(s, s->buf_len);
	memset(s->buf + s->buf_len, 0, TS_BLAKE2S_BLOCK - s->buf_len);
	compress(s, s->buf, true);
	for (size_t i = 0; i < s->out_len; i++)
		out[i] = (uint8_t)(s->h[i / 4] >> (8 * (i % 4)));
	ts_wipe(s, sizeof(*s));
}

void ts_blake2s(uint8_t *out, size_t out_len, const void *key, size_t key_len,
		const void *data, size_t len)
{
	struct ts_blake2s s;

	ts_blake2s_init(&s, out_len, key, key_len);
	ts_blake2s_update(&s, data, len);
	ts_blake2s_final(&s, out);
}

void ts_blake2s_mix(uint8_t out[static TS_BLAKE2S_LEN], const void *a,
		    size_t a_len, const void *b, size_t b_len)
{
	struct ts_blake2s s;

	ts_blake2s_init(&s, TS_BLAKE2S_LEN, NULL, 0);
	ts_blake2s_update(&s, a, a_len);
	ts_blake2s_update(&s, b, b_len);
	ts_blake2s_final(&s, out);
}

static void hmac_pass(uint8_t out[static TS_BLAKE2S_LEN],
		      const uint8_t key_block[static TS_BLAKE2S_BLOCK],
		      uint8_t pad, const void *data, size_t len)
{
	uint8_t block[TS_BLAKE2S_BLOCK];

	for (int i = 0; i < TS_BLAKE2S_BLOCK; i++)
		block[i] = key_block[i] ^ pad;
	ts_blake2s_mix(out, block, sizeof(block), data, len);
	ts_wipe(block, sizeof(block));
}

void ts_hmac_blake2s(uint8_t out[static TS_BLAKE2S_LEN], const void *key,
		     size_t key_len, const void *data, size_t len)
{
	uint8_t key_block[TS_BLAKE2S_BLOCK] = {0};
	uint8_t inner[TS_BLAKE2S_LEN];

	if (key_len > TS_BLAKE2S_BLOCK)
		ts_blake2s(key_block, TS_BLAKE2S_LEN, NULL, 0, key, key_len);
	else if (key_len > 0)
		memcpy(key_block, key, key_len);
	hmac_pass(inner, key_block, HMAC_IPAD, data, len);
	hmac_pass(out, key_block, HMAC_OPAD, inner, sizeof(inner));
	ts_wipe(key_block, sizeof(key_block));
	ts_wipe(inner, sizeof(inner));
}

void ts_noise_hkdf(const uint8_t ck[static TS_BLAKE2S_LEN], const void *ikm,
		   size_t ikm_len, uint8_t *o1, uint8_t *o2, uint8_t *o3)
{
	uint8_t *const outs[3] = {o1, o2, o3};
	uint8_t prk[TS_BLAKE2S_LEN], t[TS_BLAKE2S_LEN + 1];
	size_t t_len = 0;

	ts_hmac_blake2s(prk, ck, TS_BLAKE2S_LEN, ikm, ikm_len);
	for (int i = 0; i < 3 && outs[i]; i++) {
		t[t_len] = (uint8_t)(i + 1);
		ts_hmac_blake2s(t, prk, sizeof(prk), t, t_len + 1);
		t_len = TS_BLAKE2S_LEN;
		memcpy(outs[i], t, t_len);
	}
	ts_wipe(prk, sizeof(prk));
	ts_wipe(t, sizeof(t));
}
