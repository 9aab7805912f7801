/* SPDX-License-Identifier: BSD-3-Clause
 * tka_hash.h - BLAKE2s-256 over an encoding: an update's name, and what is
 * signed
 */
#ifndef CORE_TKA_TKA_HASH_H
#define CORE_TKA_TKA_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/base32.h"

enum {
	TS_TKA_HASH_LEN = 32,
	TS_TKA_HASH_TEXT_CAP = TS_BASE32_TEXT_CAP(32),
};

struct ts_tka_hash {
	uint8_t bytes[TS_TKA_HASH_LEN];
};

/* One field of an encoded map, to be left out: where the map lies and what it
 * has is counted from its start. */
struct ts_tka_cut {
	size_t pairs;	 /* of the map */
	size_t head_len; /* of the map's own head */
	size_t from, to; /* the field; from == to: it is not there */
};

void ts_tka_hash_of(const void *data, size_t len, struct ts_tka_hash *out);
/* Over the encoding as it would be without the field. */
void ts_tka_hash_without(const uint8_t *data, size_t len,
			 const struct ts_tka_cut *cut,
			 struct ts_tka_hash *out);
bool ts_tka_hash_equal(const struct ts_tka_hash *a,
		       const struct ts_tka_hash *b);
/* As text it is a file's name, too: base32 has nothing that a path minds. */
char *ts_tka_hash_format(const struct ts_tka_hash *hash,
			 char out[static TS_TKA_HASH_TEXT_CAP]);
/* 0 or -EBADMSG. */
int ts_tka_hash_parse(const char *text, struct ts_tka_hash *out);

#endif
