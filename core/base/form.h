/* SPDX-License-Identifier: BSD-3-Clause
 * form.h - the fields behind the question mark of a URL
 *
 * Source: WHATWG URL, application/x-www-form-urlencoded
 */
#ifndef CORE_BASE_FORM_H
#define CORE_BASE_FORM_H

#include <stdbool.h>
#include <stddef.h>

/* The first value of a field of "a=b&c=d", still encoded; NULL: it is not
 * there. form may be NULL when len is 0. */
const char *ts_form_find(const char *form, size_t len, const char *field,
			 size_t *value_len);
/* Into out, with a NUL; false: too long, malformed, or a NUL inside. */
bool ts_form_decode(const char *value, size_t len, char *out, size_t cap);

#endif
