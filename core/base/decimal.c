/* SPDX-License-Identifier: BSD-3-Clause
 * decimal.c - numbers that others write
 */
#include "core/base/decimal.h"

#include <errno.h>

enum { DIGITS_MAX = 18 }; /* which 64 bits always hold */

int ts_decimal_parse(const char *text, size_t len, uint64_t max,
		     uint64_t *out)
{
	uint64_t n = 0;

	if (len == 0 || len > DIGITS_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EBADMSG;
		n = n * 10 + (uint64_t)(text[i] - '0');
	}
	if (n > max)
		return -EBADMSG;
	*out = n;
	return 0;
}
