/* SPDX-License-Identifier: BSD-3-Clause
 * form.c - the fields behind the question mark of a URL
 */
#include "core/base/form.h"

#include <string.h>

#include "core/base/encode.h"

const char *ts_form_find(const char *form, size_t len, const char *field,
			 size_t *value_len)
{
	size_t field_len = strlen(field);

	while (len > 0) {
		const char *end = memchr(form, '&', len);
		size_t n = end ? (size_t)(end - form) : len;

		if (n > field_len && form[field_len] == '=' &&
		    memcmp(form, field, field_len) == 0) {
			*value_len = n - field_len - 1;
			return form + field_len + 1;
		}
		len -= end ? n + 1 : n;
		form = end ? end + 1 : form;
	}
	return NULL;
}

bool ts_form_decode(const char *value, size_t len, char *out, size_t cap)
{
	size_t n = 0;

	for (size_t at = 0; at < len; at++) {
		char c = value[at] == '+' ? ' ' : value[at];

		if (c == '%') {
			if (len - at < 3 ||
			    ts_hex_decode(value + at + 1, 2, &c, 1))
				return false;
			at += 2;
		}
		if (c == '\0' || n + 1 >= cap)
			return false;
		out[n++] = c;
	}
	if (cap == 0)
		return false;
	out[n] = '\0';
	return true;
}
