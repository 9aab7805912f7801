/* SPDX-License-Identifier: BSD-3-Clause
 * byte_ranges.c - the parts of a file that a client asks for
 */
#include "core/serve/byte_ranges.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/base/decimal.h"

#define UNIT "bytes="

/* -- reading -------------------------------------------------------------- */

/* -1: it is none. */
static int64_t number(const char *text, size_t len)
{
	uint64_t n;

	return ts_decimal_parse(text, len, INT64_MAX, &n) ? -1 : (int64_t)n;
}

static void trim(const char **text, size_t *len)
{
	while (*len > 0 && (**text == ' ' || **text == '\t')) {
		++*text;
		--*len;
	}
	while (*len > 0 && ((*text)[*len - 1] == ' ' ||
			    (*text)[*len - 1] == '\t'))
		--*len;
}

/* The last so many bytes. */
static int read_suffix(const char *text, size_t len, uint64_t size,
		       struct ts_byte_range *out)
{
	int64_t n = number(text, len);

	if (n < 0)
		return -EBADMSG;
	out->len = (uint64_t)n < size ? (uint64_t)n : size;
	out->first = size - out->len;
	return out->len > 0 ? 0 : -ERANGE;
}

/* "0-499", "500-", "-500". 0; -ERANGE: beyond the end; -EBADMSG: none. */
static int read_one(const char *text, size_t len, uint64_t size,
		    struct ts_byte_range *out)
{
	const char *dash = memchr(text, '-', len);
	size_t before = dash ? (size_t)(dash - text) : 0, after;
	int64_t first, last;

	if (!dash)
		return -EBADMSG;
	after = len - before - 1;
	if (before == 0)
		return read_suffix(dash + 1, after, size, out);
	first = number(text, before);
	last = after > 0 ? number(dash + 1, after) : INT64_MAX;
	if (first < 0 || last < first)
		return -EBADMSG;
	if ((uint64_t)first >= size)
		return -ERANGE;
	if ((uint64_t)last >= size)
		last = (int64_t)(size - 1);
	out->first = (uint64_t)first;
	out->len = (uint64_t)(last - first) + 1;
	return 0;
}

/* The next of a list that commas divide, without the space around it. */
static bool next_item(const char **at, const char *end, const char **item,
		      size_t *len)
{
	const char *comma;

	if (*at >= end)
		return false;
	comma = memchr(*at, ',', (size_t)(end - *at));
	*item = *at;
	*len = (size_t)((comma ? comma : end) - *at);
	*at = comma ? comma + 1 : end;
	trim(item, len);
	return true;
}

static int read_list(const char *at, const char *end,
		     struct ts_byte_ranges *out)
{
	struct ts_byte_range range;
	uint64_t sum = 0;
	bool is_beyond = false, is_too_much = false;
	const char *item;
	size_t len;

	while (next_item(&at, end, &item, &len)) {
		int err = len > 0 ? read_one(item, len, out->size, &range) : 0;

		if (err == -EBADMSG)
			return 416;
		is_beyond |= err == -ERANGE;
		if (err || len == 0)
			continue;
		is_too_much |= out->count == TS_BYTE_RANGES_MAX ||
			       range.len > out->size - sum;
		if (is_too_much)
			continue; /* one behind it may make no sense */
		sum += range.len;
		out->list[out->count++] = range;
	}
	if (out->count == 0 && is_beyond && out->size > 0)
		return 416;
	if (is_too_much)
		out->count = 0;
	return out->count > 0 ? 206 : 200;
}

int ts_byte_ranges_read(const struct ts_http1_field *field, uint64_t size,
			struct ts_byte_ranges *out)
{
	const size_t unit_len = sizeof(UNIT) - 1;

	out->count = 0;
	out->size = size;
	/* Other units are to be passed over. */
	if (!field || field->value_len < unit_len ||
	    memcmp(field->value, UNIT, unit_len) != 0 || size > INT64_MAX)
		return 200;
	return read_list(field->value + unit_len,
			 field->value + field->value_len, out);
}

/* -- writing -------------------------------------------------------------- */

void ts_byte_range_text(const struct ts_byte_range *range, uint64_t size,
			char out[static TS_BYTE_RANGE_TEXT_CAP])
{
	snprintf(out, TS_BYTE_RANGE_TEXT_CAP, "bytes %llu-%llu/%llu",
		 (unsigned long long)range->first,
		 (unsigned long long)(range->first + range->len - 1),
		 (unsigned long long)size);
}

size_t ts_byte_ranges_part(const struct ts_byte_ranges *ranges, size_t i,
			   const char *boundary, const char *type,
			   char out[static TS_BYTE_RANGES_PART_CAP])
{
	char text[TS_BYTE_RANGE_TEXT_CAP];
	int n;

	if (i == ranges->count) {
		n = snprintf(out, TS_BYTE_RANGES_PART_CAP, "\r\n--%.32s--\r\n",
			     boundary);
		return (size_t)n;
	}
	ts_byte_range_text(&ranges->list[i], ranges->size, text);
	n = snprintf(out, TS_BYTE_RANGES_PART_CAP,
		     "%s--%.32s\r\nContent-Range: %s\r\n"
		     "Content-Type: %.100s\r\n\r\n",
		     i > 0 ? "\r\n" : "", boundary, text, type);
	return (size_t)n;
}

uint64_t ts_byte_ranges_length(const struct ts_byte_ranges *ranges,
			       const char *boundary, const char *type)
{
	char part[TS_BYTE_RANGES_PART_CAP];
	uint64_t len = 0;

	for (size_t i = 0; i <= ranges->count; i++)
		len += ts_byte_ranges_part(ranges, i, boundary, type, part);
	for (size_t i = 0; i < ranges->count; i++)
		len += ranges->list[i].len;
	return len;
}
