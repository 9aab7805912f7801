/* SPDX-License-Identifier: BSD-3-Clause
 * secret_text.h - a text with keys in it, put together piece by piece
 *
 * What jansson writes cannot be wiped; this leaves no copy behind as it grows.
 */
#ifndef CORE_STATE_SECRET_TEXT_H
#define CORE_STATE_SECRET_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct ts_secret_text {
	char *at; /* NUL-terminated once there is anything */
	size_t len, cap;
	int err; /* the first error, which makes what follows do nothing */
};

void ts_secret_text_add(struct ts_secret_text *t, const char *text);
/* In quotes, with escapes where JSON wants them. */
void ts_secret_text_add_quoted(struct ts_secret_text *t, const char *text);
/* In quotes, as base64. */
void ts_secret_text_add_base64(struct ts_secret_text *t, const uint8_t *data,
			       size_t len);
/* The text, which the caller wipes and frees; NULL when out of memory, and all
 * is wiped. t is empty again. */
char *ts_secret_text_take(struct ts_secret_text *t, size_t *len);

#endif
