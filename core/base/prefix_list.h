/* SPDX-License-Identifier: BSD-3-Clause
 * prefix_list.h - lists of prefixes: what is in one, are two the same
 */
#ifndef CORE_BASE_PREFIX_LIST_H
#define CORE_BASE_PREFIX_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/addr.h"

/* This very prefix, not one around it. */
bool ts_prefix_list_has(const struct ts_prefix *list, size_t count,
			const struct ts_prefix *p);
/* In the same order, too. */
bool ts_prefix_list_equal(const struct ts_prefix *a, size_t a_count,
			  const struct ts_prefix *b, size_t b_count);
/* On the heap, also when it is empty. NULL: out of memory. */
struct ts_prefix *ts_prefix_list_copy(const struct ts_prefix *list,
				      size_t count);

#endif
