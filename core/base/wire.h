/* SPDX-License-Identifier: BSD-3-Clause
 * wire.h - bounds-checked cursors over wire bytes
 *
 * A read past the end sets `bad`, yields zeros and makes every later read
 * fail, so a parser reads like its specification and checks once at the end.
 * The writer does the same for a buffer that is too small. Reading is in here,
 * as each packet is read several times. Lengths are subtracted only, so that no
 * sum can overflow.
 */
#ifndef CORE_BASE_WIRE_H
#define CORE_BASE_WIRE_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ts_reader {
	const uint8_t *at;
	size_t left;
	bool bad;
};

struct ts_writer {
	uint8_t *at;
	size_t room;
	size_t len; /* bytes written so far */
	bool bad;
};

static inline struct ts_reader ts_reader_init(const void *data, size_t len)
{
	return (struct ts_reader){.at = data, .left = len};
}

static inline const uint8_t *ts_read_view(struct ts_reader *r, size_t len)
{
	const uint8_t *at = r->at;

	if (r->bad || len > r->left) {
		r->bad = true;
		r->left = 0;
		return NULL;
	}
	if (len > 0)
		r->at += len;
	r->left -= len;
	return at;
}

static inline void ts_read_bytes(struct ts_reader *r, void *out, size_t len)
{
	const uint8_t *at = ts_read_view(r, len);

	if (len == 0)
		return;
	if (at)
		memcpy(out, at, len);
	else
		memset(out, 0, len);
}

static inline uint8_t ts_read_u8(struct ts_reader *r)
{
	const uint8_t *at = ts_read_view(r, 1);

	return at ? *at : 0;
}

static inline uint16_t ts_read_be16(struct ts_reader *r)
{
	uint16_t v;

	ts_read_bytes(r, &v, sizeof(v));
	return be16toh(v);
}

static inline uint32_t ts_read_be32(struct ts_reader *r)
{
	uint32_t v;

	ts_read_bytes(r, &v, sizeof(v));
	return be32toh(v);
}

static inline uint32_t ts_read_be24(struct ts_reader *r)
{
	const uint8_t *at = ts_read_view(r, 3);

	return at ? (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2] : 0;
}

static inline uint64_t ts_read_be64(struct ts_reader *r)
{
	uint64_t v;

	ts_read_bytes(r, &v, sizeof(v));
	return be64toh(v);
}

static inline uint32_t ts_read_le32(struct ts_reader *r)
{
	uint32_t v;

	ts_read_bytes(r, &v, sizeof(v));
	return le32toh(v);
}

static inline uint64_t ts_read_le64(struct ts_reader *r)
{
	uint64_t v;

	ts_read_bytes(r, &v, sizeof(v));
	return le64toh(v);
}

static inline void ts_read_skip(struct ts_reader *r, size_t len)
{
	ts_read_view(r, len);
}

static inline struct ts_reader ts_read_block(struct ts_reader *r, size_t len)
{
	const uint8_t *at = ts_read_view(r, len);
	struct ts_reader block = ts_reader_init(at, r->bad ? 0 : len);

	block.bad = r->bad;
	return block;
}

struct ts_writer ts_writer_init(void *data, size_t room);
void ts_write_u8(struct ts_writer *w, uint8_t v);
void ts_write_be16(struct ts_writer *w, uint16_t v);
void ts_write_be24(struct ts_writer *w, uint32_t v);
void ts_write_be32(struct ts_writer *w, uint32_t v);
void ts_write_be64(struct ts_writer *w, uint64_t v);
void ts_write_le32(struct ts_writer *w, uint32_t v);
void ts_write_le64(struct ts_writer *w, uint64_t v);
void ts_write_bytes(struct ts_writer *w, const void *data, size_t len);
void ts_write_zeros(struct ts_writer *w, size_t len);

#endif
