/* SPDX-License-Identifier: BSD-3-Clause
 * clean_text.c - text of others that goes to logs, terminals and header lines
 */
#include "core/base/clean_text.h"

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
