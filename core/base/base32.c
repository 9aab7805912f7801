/* SPDX-License-Identifier: BSD-3-Clause
 * base32.c - base32 as in RFC 4648, upper case and without padding
 */
#include "core/base/base32.h"

#include <errno.h>

enum { BITS = 5 };

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

char *ts_base32_encode(const void *data, size_t len, char *out)
{
	const uint8_t *from = data;
	char *to = out;
	unsigned held = 0, bits = 0;

	for (size_t i = 0; i < len; i++) {
		held = held << 8 | from[i];
		for (bits += 8; bits >= BITS; bits -= BITS)
			*to++ = letters[held >> (bits - BITS) & 31];
		held &= (1u << bits) - 1;
	}
	if (bits > 0)
		*to++ = letters[held << (BITS - bits) & 31];
	*to = '\0';
	return out;
}

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= '2' && c <= '7')
		return c - '2' + 26;
	return -1;
}

int ts_base32_decode(const char *text, size_t text_len, void *out, size_t len)
{
	uint8_t *to = out;
	unsigned held = 0, bits = 0;

	if (text_len != TS_BASE32_TEXT_CAP(len) - 1)
		return -EBADMSG;
	for (size_t i = 0; i < text_len; i++) {
		int value = value_of(text[i]);

		if (value < 0)
			return -EBADMSG;
		held = held << BITS | (unsigned)value;
		bits += BITS;
		if (bits >= 8) {
			bits -= 8;
			*to++ = (uint8_t)(held >> bits);
			held &= (1u << bits) - 1;
		}
	}
	return held ? -EBADMSG : 0;
}
