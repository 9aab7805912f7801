/* SPDX-License-Identifier: BSD-3-Clause
 * decimal.h - numbers that others write
 */
#ifndef CORE_BASE_DECIMAL_H
#define CORE_BASE_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

/* All of text is digits, no sign and no space, so that nobody else counts
 * otherwise; at most 18 of them. 0; -EBADMSG: it is not, or above max. */
int ts_decimal_parse(const char *text, size_t len, uint64_t max,
		     uint64_t *out);

#endif
