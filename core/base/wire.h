/* SPDX-License-Identifier: BSD-3-Clause
 * wire.h - bounds-checked cursors over wire bytes
 *
 * A read past the end sets `bad`, yields zeros and makes every later read
 * fail, so a parser reads like its specification and checks once at the end.
 * The writer does the same for a buffer that is too small.
 */
#ifndef CORE_BASE_WIRE_H
#define CORE_BASE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

struct ts_reader ts_reader_init(const void *data, size_t len);
uint8_t ts_read_u8(struct ts_reader *r);
uint16_t ts_read_be16(struct ts_reader *r);
uint32_t ts_read_be24(struct ts_reader *r);
uint32_t ts_read_be32(struct ts_reader *r);
uint64_t ts_read_be64(struct ts_reader *r);
uint32_t ts_read_le32(struct ts_reader *r);
uint64_t ts_read_le64(struct ts_reader *r);
void ts_read_bytes(struct ts_reader *r, void *out, size_t len);
void ts_read_skip(struct ts_reader *r, size_t len);
/* The next len bytes in place; NULL (and bad) when fewer are left. */
const uint8_t *ts_read_view(struct ts_reader *r, size_t len);
/* A reader over the next len bytes; the outer cursor moves past them. */
struct ts_reader ts_read_block(struct ts_reader *r, size_t len);

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
