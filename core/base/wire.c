/* SPDX-License-Identifier: BSD-3-Clause
 * wire.c - bounds-checked cursors over wire bytes
 *
 * Every access goes through take() or put(): the one place where a length is
 * compared. Subtraction only, so that no sum can overflow.
 */
#include "core/base/wire.h"

#include <string.h>

struct ts_reader ts_reader_init(const void *data, size_t len)
{
	return (struct ts_reader){.at = data, .left = len};
}

static const uint8_t *take(struct ts_reader *r, size_t len)
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

static uint64_t read_be(struct ts_reader *r, size_t len)
{
	const uint8_t *at = take(r, len);
	uint64_t v = 0;

	for (size_t i = 0; at && i < len; i++)
		v = v << 8 | at[i];
	return v;
}

static uint64_t read_le(struct ts_reader *r, size_t len)
{
	const uint8_t *at = take(r, len);
	uint64_t v = 0;

	for (size_t i = len; at && i > 0; i--)
		v = v << 8 | at[i - 1];
	return v;
}

uint8_t ts_read_u8(struct ts_reader *r)
{
	return (uint8_t)read_be(r, 1);
}

uint16_t ts_read_be16(struct ts_reader *r)
{
	return (uint16_t)read_be(r, 2);
}

uint32_t ts_read_be24(struct ts_reader *r)
{
	return (uint32_t)read_be(r, 3);
}

uint32_t ts_read_be32(struct ts_reader *r)
{
	return (uint32_t)read_be(r, 4);
}

uint64_t ts_read_be64(struct ts_reader *r)
{
	return read_be(r, 8);
}

uint32_t ts_read_le32(struct ts_reader *r)
{
	return (uint32_t)read_le(r, 4);
}

uint64_t ts_read_le64(struct ts_reader *r)
{
	return read_le(r, 8);
}

void ts_read_bytes(struct ts_reader *r, void *out, size_t len)
{
	const uint8_t *at = take(r, len);

	if (len == 0)
		return;
	if (at)
		memcpy(out, at, len);
	else
		memset(out, 0, len);
}

void ts_read_skip(struct ts_reader *r, size_t len)
{
	take(r, len);
}

const uint8_t *ts_read_view(struct ts_reader *r, size_t len)
{
	return take(r, len);
}

struct ts_reader ts_read_block(struct ts_reader *r, size_t len)
{
	const uint8_t *at = take(r, len);
	struct ts_reader block = ts_reader_init(at, r->bad ? 0 : len);

	block.bad = r->bad;
	return block;
}

struct ts_writer ts_writer_init(void *data, size_t room)
{
	return (struct ts_writer){.at = data, .room = room};
}

static uint8_t *put(struct ts_writer *w, size_t len)
{
	uint8_t *at = w->at;

	if (w->bad || len > w->room) {
		w->bad = true;
		w->room = 0;
		return NULL;
	}
	if (len > 0)
		w->at += len;
	w->room -= len;
	w->len += len;
	return at;
}

static void write_be(struct ts_writer *w, uint64_t v, size_t len)
{
	uint8_t *at = put(w, len);

	for (size_t i = len; at && i > 0; i--) {
		at[i - 1] = (uint8_t)v;
		v >>= 8;
	}
}

static void write_le(struct ts_writer *w, uint64_t v, size_t len)
{
	uint8_t *at = put(w, len);

	for (size_t i = 0; at && i < len; i++) {
		at[i] = (uint8_t)v;
		v >>= 8;
	}
}

void ts_write_u8(struct ts_writer *w, uint8_t v)
{
	write_be(w, v, 1);
}

void ts_write_be16(struct ts_writer *w, uint16_t v)
{
	write_be(w, v, 2);
}

void ts_write_be24(struct ts_writer *w, uint32_t v)
{
	write_be(w, v, 3);
}

void ts_write_be32(struct ts_writer *w, uint32_t v)
{
	write_be(w, v, 4);
}

void ts_write_be64(struct ts_writer *w, uint64_t v)
{
	write_be(w, v, 8);
}

void ts_write_le32(struct ts_writer *w, uint32_t v)
{
	write_le(w, v, 4);
}

void ts_write_le64(struct ts_writer *w, uint64_t v)
{
	write_le(w, v, 8);
}

void ts_write_bytes(struct ts_writer *w, const void *data, size_t len)
{
	uint8_t *at = put(w, len);

	if (at && len > 0)
		memcpy(at, data, len);
}

void ts_write_zeros(struct ts_writer *w, size_t len)
{
	uint8_t *at = put(w, len);

	if (at && len > 0)
		memset(at, 0, len);
}
