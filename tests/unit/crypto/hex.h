/* SPDX-License-Identifier: BSD-3-Clause
 * hex.h - test vectors as they are printed
 */
#ifndef TESTS_UNIT_CRYPTO_HEX_H
#define TESTS_UNIT_CRYPTO_HEX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/encode.h"

/* Decodes text into out (room for cap bytes); returns the length. */
static inline size_t from_hex(const char *text, uint8_t *out, size_t cap)
{
	size_t len = strlen(text) / 2;

	assert_true(len <= cap);
	assert_int_equal(ts_hex_decode(text, strlen(text), out, len), 0);
	return len;
}

static inline void assert_hex(const uint8_t *bytes, const char *text)
{
	uint8_t want[512];
	size_t len = from_hex(text, want, sizeof(want));

	assert_memory_equal(bytes, want, len);
}

#endif
