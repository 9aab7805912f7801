/* SPDX-License-Identifier: BSD-3-Clause
 * drop_name.c - names of files that others send
 *
 * Upstream takes what Go calls graphic. That follows from a table of Unicode's
 * whole repertoire; the one here has what matters: all that is there but
 * cannot be seen, and so can make a name look like another one, and what will
 * never be a character. Code points that Unicode has yet to give away inside of
 * its scripts count as visible.
 */
#include "core/drop/drop_name.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/base/err.h"

#define PARTIAL ".partial"
#define DELETED ".deleted"
enum { EXTENSION_SIDE = 3, NUMBER_DIGITS_MAX = 18, BAD = -1 };

/* -- characters ----------------------------------------------------------- */

/* One code point; BAD: not UTF-8. */
static int32_t next_char(const char **at)
{
	static const int32_t least[] = {0, 0x80, 0x800, 0x10000};
	const uint8_t *p = (const uint8_t *)*at;
	int more = *p < 0x80 ? 0 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;
	int32_t c = more == 0 ? *p : *p & (0x3f >> more);

	if ((*p >= 0x80 && *p < 0xc0) || *p >= 0xf8)
		return BAD;
	for (int i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80) /* the end, too */
			return BAD;
		c = c << 6 | (p[i] & 0x3f);
	}
	*at += more + 1;
	if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return BAD;
	return c;
}

/* Controls, formats, separators of lines, private use, no characters. */
static const struct {
	int32_t first, last;
} unseen[] = {
	{0x0000, 0x001f},   {0x007f, 0x009f},	{0x00ad, 0x00ad},
	{0x0600, 0x0605},   {0x061c, 0x061c},	{0x06dd, 0x06dd},
	{0x070f, 0x070f},   {0x0890, 0x0891},	{0x08e2, 0x08e2},
	{0x180e, 0x180e},   {0x200b, 0x200f},	{0x2028, 0x202e},
	{0x2060, 0x206f},   {0xd800, 0xf8ff},	{0xfdd0, 0xfdef},
	{0xfeff, 0xfeff},   {0xfff0, 0xfffb},	{0xfffe, 0xffff},
	{0x110bd, 0x110bd}, {0x110cd, 0x110cd}, {0x13430, 0x1343f},
	{0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0x1fffe, 0x1ffff},
	{0x2fffe, 0x2ffff}, {0x323b0, 0xe00ff}, {0xe01f0, 0x10ffff},
};

static bool is_good_char(int32_t c)
{
	if (c < 0x80 && strchr("/\\:*\"<>|", (int)c)) /* NUL, too */
		return false;
	for (size_t i = 0; i < ARRAY_LEN(unseen); i++)
		if (c >= unseen[i].first && c <= unseen[i].last)
			return false;
	return true;
}

static bool is_space(int32_t c)
{
	return (c >= '\t' && c <= '\r') || c == ' ' || c == 0x85 ||
	       c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
	       c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
	       c == 0x3000;
}

/* One part of a path. */
static bool is_part(const char *name)
{
	const char *at = name;
	int32_t c = ' ';

	if (!*name || strlen(name) > TS_DROP_NAME_MAX ||
	    strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	while (*at) {
		bool is_first = at == name;

		c = next_char(&at);
		if (c == BAD || !is_good_char(c) || (is_first && is_space(c)))
			return false;
	}
	return !is_space(c);
}

static bool ends_with(const char *text, const char *tail)
{
	size_t len = strlen(text), tail_len = strlen(tail);

	return len >= tail_len && strcmp(text + len - tail_len, tail) == 0;
}

bool ts_drop_name_is_internal(const char *name)
{
	return ends_with(name, PARTIAL) || ends_with(name, DELETED);
}

bool ts_drop_name_is_good(const char *name)
{
	return is_part(name) && !ts_drop_name_is_internal(name);
}

/* -- of what is not whole ------------------------------------------------- */

int ts_drop_name_partial(const char *name, const char *node,
			 char out[static TS_DROP_NAME_CAP])
{
	int len = snprintf(out, TS_DROP_NAME_CAP, "%s%s%s" PARTIAL, name,
			   *node ? "." : "", node);

	if (!ts_drop_name_is_good(name) || len > TS_DROP_NAME_MAX ||
	    !is_part(out))
		return -EINVAL;
	return 0;
}

bool ts_drop_name_is_partial(const char *file)
{
	return ends_with(file, PARTIAL);
}

bool ts_drop_name_is_partial_of(const char *file, const char *node)
{
	char tail[TS_DROP_NAME_CAP];
	int len = snprintf(tail, sizeof(tail), ".%s" PARTIAL, node);

	return len < TS_DROP_NAME_CAP && ends_with(file, tail);
}

/* -- of what is there already --------------------------------------------- */

/* ".gz", ".mp3": up to three letters or digits on each side of a letter. */
static bool is_extension(const char *text, size_t len)
{
	bool has_letter = false;

	if (len < 2 || *text != '.' || len > 2 * EXTENSION_SIDE + 2)
		return false;
	for (size_t i = 1; i < len; i++) {
		bool is_near = i - 1 <= EXTENSION_SIDE &&
			       len - 1 - i <= EXTENSION_SIDE;

		if ((uint8_t)text[i] >= 0x80 || !isalnum((uint8_t)text[i]))
			return false;
		has_letter |= is_near && isalpha((uint8_t)text[i]);
	}
	return has_letter;
}

/* All of them: ".tar.gz". A name's first dot begins none. */
static size_t stem_of(const char *name)
{
	size_t end = strlen(name), at = end;

	while (at > 1) {
		if (name[--at] != '.')
			continue;
		if (!is_extension(name + at, end - at))
			break;
		end = at;
	}
	return end;
}

/* Of " (N)" at the end of len bytes; 0: there is none. */
static unsigned long long number_at_end(const char *name, size_t *len)
{
	size_t at = *len;
	char digits[NUMBER_DIGITS_MAX + 1] = "";

	if (at < 4 || name[at - 1] != ')')
		return 0;
	for (at--; at > 0 && isdigit((uint8_t)name[at - 1]);)
		at--;
	if (at < 2 || name[at - 1] != '(' || name[at - 2] != ' ' ||
	    *len - 1 - at > NUMBER_DIGITS_MAX || *len - 1 == at)
		return 0;
	memcpy(digits, name + at, *len - 1 - at);
	*len = at - 2;
	return strtoull(digits, NULL, 10);
}

int ts_drop_name_next(const char *name, char out[static TS_DROP_NAME_CAP])
{
	size_t stem = stem_of(name), end = stem;
	unsigned long long n = number_at_end(name, &end);

	if (n == 0) /* "(0)" is none either */
		end = stem;
	if (snprintf(out, TS_DROP_NAME_CAP, "%.*s (%llu)%s", (int)end, name,
		     n + 1, name + stem) >= TS_DROP_NAME_CAP)
		return -ENAMETOOLONG;
	return 0;
}

/* -- in a URL ------------------------------------------------------------- */

void ts_drop_name_escape(const char *name, char out[static TS_DROP_ESCAPED_CAP])
{
	static const char digits[] = "0123456789ABCDEF";

	for (const uint8_t *p = (const uint8_t *)name; *p; p++) {
		if (*p < 0x80 && (isalnum(*p) || strchr("-_.~$&+=:@", *p))) {
			*out++ = (char)*p;
			continue;
		}
		*out++ = '%';
		*out++ = digits[*p >> 4];
		*out++ = digits[*p & 15];
	}
	*out = '\0';
}

int ts_drop_name_unescape(const char *text, size_t len,
			  char out[static TS_DROP_NAME_CAP])
{
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		int c = (uint8_t)text[i];

		if (c == '%') {
			c = len - i > 2 ? ts_hex_byte(text + i + 1) : BAD;
			i += 2;
		}
		if (c == BAD || c == '\0' || used == TS_DROP_NAME_MAX)
			return -EINVAL;
		out[used++] = (char)c;
	}
	out[used] = '\0';
	return ts_drop_name_is_good(out) ? 0 : -EINVAL;
}
