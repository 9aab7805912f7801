/* SPDX-License-Identifier: BSD-3-Clause
 * tka_hash.c - BLAKE2s-256 over an encoding
 */
#include "core/tka/tka_hash.h"

#include <string.h>

#include "core/crypto/blake2s.h"
#include "core/tka/cbor.h"

enum { HEAD_MAX = 9 };

void ts_tka_hash_of(const void *data, size_t len, struct ts_tka_hash *out)
{
	ts_blake2s(out->bytes, TS_TKA_HASH_LEN, NULL, 0, data, len);
}

void ts_tka_hash_without(const uint8_t *data, size_t len,
			 const struct ts_tka_cut *cut, struct ts_tka_hash *out)
{
	uint8_t head[HEAD_MAX];
	struct ts_writer w = ts_writer_init(head, sizeof(head));
	struct ts_blake2s s;

	ts_cbor_write_map(&w, cut->pairs - (cut->to > cut->from ? 1 : 0));
	ts_blake2s_init(&s, TS_TKA_HASH_LEN, NULL, 0);
	ts_blake2s_update(&s, head, w.len);
	ts_blake2s_update(&s, data + cut->head_len, cut->from - cut->head_len);
	ts_blake2s_update(&s, data + cut->to, len - cut->to);
	ts_blake2s_final(&s, out->bytes);
}

bool ts_tka_hash_equal(const struct ts_tka_hash *a,
		       const struct ts_tka_hash *b)
{
	return memcmp(a->bytes, b->bytes, TS_TKA_HASH_LEN) == 0;
}

char *ts_tka_hash_format(const struct ts_tka_hash *hash,
			 char out[static TS_TKA_HASH_TEXT_CAP])
{
	return ts_base32_encode(hash->bytes, TS_TKA_HASH_LEN, out);
}

int ts_tka_hash_parse(const char *text, struct ts_tka_hash *out)
{
	return ts_base32_decode(text, strlen(text), out->bytes,
				TS_TKA_HASH_LEN);
}
