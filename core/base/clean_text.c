/* SPDX-License-Identifier: BSD-3-Clause
 * clean_text.c - text of others that goes to logs, terminals and header lines
 */
#include "core/base/clean_text.h"

#include <stdint.h>

static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

bool ts_is_clean_text(const char *text)
{
	for (; *text; text++)
		if (is_control(*text))
			return false;
	return true;
}

void ts_clean_text(char *text, char mark)
{
	for (; *text; text++)
		if (is_control(*text))
			*text = mark;
}

size_t ts_utf8_len(const unsigned char *text, size_t left)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = text[0] < 0x80   ? 1
		     : text[0] < 0xc0 ? 0
		     : text[0] < 0xe0 ? 2
		     : text[0] < 0xf0 ? 3
		     : text[0] < 0xf8 ? 4
				      : 0;
	uint32_t c = len > 1 ? text[0] & (0x7fu >> len) : text[0];

	if (len == 0 || len > left)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (text[i] & 0x3f);
	}
	if (len > 1 && (c < least[len] || c > 0x10ffff ||
			(c >= 0xd800 && c <= 0xdfff)))
		return 0;
	return len;
}
