/* SPDX-License-Identifier: BSD-3-Clause
 * ip_set.h - a set of addresses of one family, as sorted ranges
 */
#ifndef CORE_FILTER_IP_SET_H
#define CORE_FILTER_IP_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/addr.h"

enum ts_ip_family { TS_FAMILY_V4, TS_FAMILY_V6, TS_FAMILY_COUNT };

struct ts_ip_range {
	struct ts_ip first, last; /* both in it; same family, in order */
};

/* Zero-initialise. Sealed: sorted and without overlaps. */
struct ts_ip_set {
	struct ts_ip_range *ranges;
	size_t count, cap;
};

enum ts_ip_family ts_ip_family_of(const struct ts_ip *ip);
static inline int ts_ip_compare(const struct ts_ip *a, const struct ts_ip *b)
{
	return __builtin_memcmp(a->bytes, b->bytes, TS_IP_LEN);
}
struct ts_ip_range ts_ip_range_of_prefix(const struct ts_prefix *prefix);
/* Does it end after it starts, in one family? */
bool ts_ip_range_is_valid(const struct ts_ip_range *range);
bool ts_ip_range_contains(const struct ts_ip_range *range,
			  const struct ts_ip *ip);

/* 0 or -ENOMEM; the set is unsealed after. */
int ts_ip_set_add(struct ts_ip_set *set, const struct ts_ip_range *range);
void ts_ip_set_seal(struct ts_ip_set *set);
/* For sealed sets. */
bool ts_ip_set_contains(const struct ts_ip_set *set, const struct ts_ip *ip);
bool ts_ip_set_overlaps(const struct ts_ip_set *set,
			const struct ts_ip_range *range);
void ts_ip_set_deinit(struct ts_ip_set *set);

#endif
