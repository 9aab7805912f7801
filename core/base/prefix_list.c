/* SPDX-License-Identifier: BSD-3-Clause
 * prefix_list.c - lists of prefixes: what is in one, are two the same
 */
#include "core/base/prefix_list.h"

#include <stdlib.h>

bool ts_prefix_list_has(const struct ts_prefix *list, size_t count,
			const struct ts_prefix *p)
{
	for (size_t i = 0; i < count; i++)
		if (ts_prefix_equal(&list[i], p))
			return true;
	return false;
}

bool ts_prefix_list_equal(const struct ts_prefix *a, size_t a_count,
			  const struct ts_prefix *b, size_t b_count)
{
	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++)
		if (!ts_prefix_equal(&a[i], &b[i]))
			return false;
	return true;
}

struct ts_prefix *ts_prefix_list_copy(const struct ts_prefix *list,
				      size_t count)
{
	struct ts_prefix *copy = calloc(count + 1, sizeof(*copy));

	for (size_t i = 0; copy && i < count; i++)
		copy[i] = list[i];
	return copy;
}
