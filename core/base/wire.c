/* SPDX-License-Identifier: BSD-3-Clause
 * wire.c - bounds-checked writing of wire bytes
 *
 * Every access goes through put(): the one place where a length is compared.
 * Subtraction only, so that no sum can overflow.
 */
#include "core/base/wire.h"

#include <string.h>

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
