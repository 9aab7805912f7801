/* SPDX-License-Identifier: BSD-3-Clause
 * base32.h - base32 as in RFC 4648, upper case and without padding
 */
#ifndef CORE_BASE_BASE32_H
#define CORE_BASE_BASE32_H

#include <stddef.h>
#include <stdint.h>

#define TS_BASE32_TEXT_CAP(len) (((len) * 8 + 4) / 5 + 1)

/* out: TS_BASE32_TEXT_CAP(len) bytes, NUL-terminated. Returns out. */
char *ts_base32_encode(const void *data, size_t len, char *out);
/* Exactly len bytes, nothing over in the last letter: 0 or -EBADMSG. */
int ts_base32_decode(const char *text, size_t text_len, void *out, size_t len);

#endif
