/* SPDX-License-Identifier: BSD-3-Clause
 * encode.h - hex and base64 (RFC 4648, standard, padded)
 */
#ifndef CORE_BASE_ENCODE_H
#define CORE_BASE_ENCODE_H

#include <stddef.h>
#include <stdint.h>

/* out: 2 * len + 1 bytes, NUL-terminated lower case. Returns out. */
char *ts_hex_encode(const void *data, size_t len, char *out);
/* 0 to 15, either case; -1: none. */
int ts_hex_digit(char c);
/* Two of them, of which text has that many: 0 to 255; -1: they are none. */
int ts_hex_byte(const char *text);
/* Exactly 2 * len hex digits (either case) at text; 0 or -EBADMSG. */
int ts_hex_decode(const char *text, size_t text_len, void *out, size_t len);

/* Heap string, caller frees; NULL when out of memory. */
char *ts_base64_encode(const void *data, size_t len);
/* Strict decode; *out is heap (caller frees, one spare NUL byte), 0,
 * -EBADMSG or -ENOMEM. */
int ts_base64_decode(const char *text, size_t text_len, uint8_t **out,
		     size_t *out_len);

#endif
