/* SPDX-License-Identifier: BSD-3-Clause
 * cbor.h - the CBOR of Tailnet Lock: CTAP2's canonical form, and no other
 *
 * Numbers in their shortest form, definite lengths, no tags, and the keys of a
 * map in ascending order: so every value has one encoding, no key comes twice,
 * and the bytes that were signed can be hashed as they came. What is not
 * canonical is malformed: the reader is `bad` from then on (wire.h).
 * A map is read by a struct ts_cbor_map, which hands out key after key:
 *
 *	ts_cbor_map_open(r, &map);
 *	while (ts_cbor_map_next(r, &map, &key))
 *		switch (key) { ... default: ts_cbor_skip(r); }
 * Source: tka/tka.go (cborDecOpts), RFC 8949, CTAP2 section 8
 */
#ifndef CORE_TKA_CBOR_H
#define CORE_TKA_CBOR_H

#include "core/base/wire.h"

enum {
	TS_CBOR_ARRAY_MAX = 4096,
	TS_CBOR_MAP_MAX = 1024,
	TS_CBOR_DEPTH_MAX = 16,
};

struct ts_cbor_bytes { /* a view into what is read */
	const uint8_t *data;
	size_t len;
};

struct ts_cbor_map {
	size_t count, left;
	uint64_t last; /* the key before; ignored while left == count */
};

uint64_t ts_cbor_read_uint(struct ts_reader *r);
struct ts_cbor_bytes ts_cbor_read_bytes(struct ts_reader *r);
/* Exactly len bytes. */
void ts_cbor_read_fixed(struct ts_reader *r, void *out, size_t len);
struct ts_cbor_bytes ts_cbor_read_text(struct ts_reader *r);
/* True, and read, when null comes next. */
bool ts_cbor_read_null(struct ts_reader *r);
size_t ts_cbor_read_array(struct ts_reader *r);
/* How many pairs, of whatever keys: the caller reads and compares them. */
size_t ts_cbor_read_pairs(struct ts_reader *r);
/* A map whose keys are numbers. */
void ts_cbor_map_open(struct ts_reader *r, struct ts_cbor_map *map);
bool ts_cbor_map_next(struct ts_reader *r, struct ts_cbor_map *map,
		      uint64_t *key);
/* Over one value of any kind. */
void ts_cbor_skip(struct ts_reader *r);
/* What was read makes no sense. */
void ts_cbor_fail(struct ts_reader *r);

void ts_cbor_write_uint(struct ts_writer *w, uint64_t v);
void ts_cbor_write_bytes(struct ts_writer *w, const void *data, size_t len);
void ts_cbor_write_text(struct ts_writer *w, const char *text, size_t len);
void ts_cbor_write_null(struct ts_writer *w);
void ts_cbor_write_array(struct ts_writer *w, size_t count);
void ts_cbor_write_map(struct ts_writer *w, size_t pairs);

#endif
