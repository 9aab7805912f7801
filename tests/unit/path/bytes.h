/* SPDX-License-Identifier: BSD-3-Clause
 * bytes.h - hex text to bytes, for vectors
 */
#ifndef TESTS_UNIT_PATH_BYTES_H
#define TESTS_UNIT_PATH_BYTES_H

#include "unit/test.h"

#include <string.h>

#include "core/base/encode.h"

/* The number of bytes. */
static inline size_t from_hex(const char *hex, uint8_t *out, size_t cap)
{
	size_t len = strlen(hex) / 2;

	assert_true(len <= cap);
	assert_int_equal(ts_hex_decode(hex, 2 * len, out, len), 0);
	return len;
}

#endif
