/* SPDX-License-Identifier: BSD-3-Clause
 * cbor.c - the CBOR of Tailnet Lock: CTAP2's canonical form, and no other
 *
 * An array or a map says how many values it has; more than there are bytes
 * left cannot come, and is refused before anybody allocates for it.
 */
#include "core/tka/cbor.h"

enum major {
	MAJOR_UINT = 0,
	MAJOR_NEGATIVE = 1,
	MAJOR_BYTES = 2,
	MAJOR_TEXT = 3,
	MAJOR_ARRAY = 4,
	MAJOR_MAP = 5,
	MAJOR_SIMPLE = 7,
};
enum {
	MAJOR_SHIFT = 5,
	INFO_MASK = 0x1f,
	INFO_8 = 24,
	INFO_16 = 25,
	INFO_32 = 26,
	INFO_64 = 27,
	SIMPLE_FALSE = 20,
	SIMPLE_NULL = 22,
};

void ts_cbor_fail(struct ts_reader *r)
{
	r->bad = true;
	r->left = 0;
}

static uint64_t at_least(struct ts_reader *r, uint64_t v, uint64_t least)
{
	if (v < least)
		ts_cbor_fail(r); /* a shorter form would have done */
	return v;
}

static uint64_t read_argument(struct ts_reader *r, uint8_t info)
{
	switch (info) {
	case INFO_8:
		return at_least(r, ts_read_u8(r), INFO_8);
	case INFO_16:
		return at_least(r, ts_read_be16(r), 0x100);
	case INFO_32:
		return at_least(r, ts_read_be32(r), 0x10000);
	case INFO_64:
		return at_least(r, ts_read_be64(r), 0x100000000);
	default: /* 28 to 31: reserved, or of indefinite length */
		if (info > INFO_64)
			ts_cbor_fail(r);
		return info;
	}
}

static uint8_t read_any_head(struct ts_reader *r, uint64_t *argument)
{
	uint8_t first = ts_read_u8(r);

	*argument = read_argument(r, first & INFO_MASK);
	if (r->bad)
		*argument = 0;
	return first >> MAJOR_SHIFT;
}

static uint64_t read_head(struct ts_reader *r, enum major wanted)
{
	uint64_t argument;

	if (read_any_head(r, &argument) != wanted)
		ts_cbor_fail(r);
	return r->bad ? 0 : argument;
}

uint64_t ts_cbor_read_uint(struct ts_reader *r)
{
	return read_head(r, MAJOR_UINT);
}

static struct ts_cbor_bytes view(struct ts_reader *r, uint64_t len)
{
	struct ts_cbor_bytes out = {NULL, 0};

	if (len > r->left)
		ts_cbor_fail(r);
	if (r->bad)
		return out;
	out.len = (size_t)len;
	out.data = ts_read_view(r, out.len);
	return out;
}

struct ts_cbor_bytes ts_cbor_read_bytes(struct ts_reader *r)
{
	return view(r, read_head(r, MAJOR_BYTES));
}

struct ts_cbor_bytes ts_cbor_read_text(struct ts_reader *r)
{
	return view(r, read_head(r, MAJOR_TEXT));
}

void ts_cbor_read_fixed(struct ts_reader *r, void *out, size_t len)
{
	if (read_head(r, MAJOR_BYTES) != len)
		ts_cbor_fail(r);
	ts_read_bytes(r, out, len);
}

bool ts_cbor_read_null(struct ts_reader *r)
{
	struct ts_reader ahead = *r;

	if (ts_read_u8(&ahead) != (MAJOR_SIMPLE << MAJOR_SHIFT | SIMPLE_NULL))
		return false;
	*r = ahead;
	return true;
}

static size_t checked_count(struct ts_reader *r, uint64_t count, size_t max,
			    size_t values)
{
	if (count > max || count * values > r->left)
		ts_cbor_fail(r);
	return r->bad ? 0 : (size_t)count;
}

size_t ts_cbor_read_array(struct ts_reader *r)
{
	return checked_count(r, read_head(r, MAJOR_ARRAY), TS_CBOR_ARRAY_MAX,
			     1);
}

size_t ts_cbor_read_pairs(struct ts_reader *r)
{
	return checked_count(r, read_head(r, MAJOR_MAP), TS_CBOR_MAP_MAX, 2);
}

void ts_cbor_map_open(struct ts_reader *r, struct ts_cbor_map *map)
{
	map->count = ts_cbor_read_pairs(r);
	map->left = map->count;
	map->last = 0;
}

bool ts_cbor_map_next(struct ts_reader *r, struct ts_cbor_map *map,
		      uint64_t *key)
{
	if (r->bad || map->left == 0)
		return false;
	*key = ts_cbor_read_uint(r);
	if (map->left < map->count && *key <= map->last)
		ts_cbor_fail(r);
	map->last = *key;
	map->left--;
	return !r->bad;
}

/* Of values inside of one another; without recursion, as it is a stranger who
 * says how deep they go. */
void ts_cbor_skip(struct ts_reader *r)
{
	size_t left[TS_CBOR_DEPTH_MAX] = {1};
	size_t depth = 0;

	while (!r->bad) {
		uint64_t argument;
		uint8_t major;
		size_t inside = 0;

		while (left[depth] == 0) {
			if (depth == 0)
				return;
			depth--;
		}
		left[depth]--;
		major = read_any_head(r, &argument);
		switch (major) {
		case MAJOR_UINT:
		case MAJOR_NEGATIVE:
			break;
		case MAJOR_BYTES:
		case MAJOR_TEXT:
			view(r, argument);
			break;
		case MAJOR_ARRAY:
			inside = checked_count(r, argument, TS_CBOR_ARRAY_MAX,
					       1);
			break;
		case MAJOR_MAP:
			inside = 2 * checked_count(r, argument,
						   TS_CBOR_MAP_MAX, 2);
			break;
		default: /* false, true and null; no tags, no floats */
			if (major != MAJOR_SIMPLE || argument < SIMPLE_FALSE ||
			    argument > SIMPLE_NULL)
				ts_cbor_fail(r);
		}
		if (inside && depth + 1 == TS_CBOR_DEPTH_MAX)
			ts_cbor_fail(r);
		else if (inside)
			left[++depth] = inside;
	}
}

/* -- writing -------------------------------------------------------------- */

static void write_head(struct ts_writer *w, enum major major, uint64_t v)
{
	uint8_t top = (uint8_t)(major << MAJOR_SHIFT);

	if (v < INFO_8) {
		ts_write_u8(w, (uint8_t)(top | v));
	} else if (v <= 0xff) {
		ts_write_u8(w, top | INFO_8);
		ts_write_u8(w, (uint8_t)v);
	} else if (v <= 0xffff) {
		ts_write_u8(w, top | INFO_16);
		ts_write_be16(w, (uint16_t)v);
	} else if (v <= 0xffffffff) {
		ts_write_u8(w, top | INFO_32);
		ts_write_be32(w, (uint32_t)v);
	} else {
		ts_write_u8(w, top | INFO_64);
		ts_write_be64(w, v);
	}
}

void ts_cbor_write_uint(struct ts_writer *w, uint64_t v)
{
	write_head(w, MAJOR_UINT, v);
}

void ts_cbor_write_bytes(struct ts_writer *w, const void *data, size_t len)
{
	write_head(w, MAJOR_BYTES, len);
	ts_write_bytes(w, data, len);
}

void ts_cbor_write_text(struct ts_writer *w, const char *text, size_t len)
{
	write_head(w, MAJOR_TEXT, len);
	ts_write_bytes(w, text, len);
}

void ts_cbor_write_null(struct ts_writer *w)
{
	write_head(w, MAJOR_SIMPLE, SIMPLE_NULL);
}

void ts_cbor_write_array(struct ts_writer *w, size_t count)
{
	write_head(w, MAJOR_ARRAY, count);
}

void ts_cbor_write_map(struct ts_writer *w, size_t pairs)
{
	write_head(w, MAJOR_MAP, pairs);
}
