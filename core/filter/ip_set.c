/* SPDX-License-Identifier: BSD-3-Clause
 * ip_set.c - a set of addresses of one family, as sorted ranges
 *
 * IPv4 lives inside the 16-byte form as ::ffff:0:0/96, so an IPv6 ::/0 would
 * seem to hold every IPv4 address. Sets of the two families are kept apart
 * instead, and each is only ever asked about its own.
 */
#include "core/filter/ip_set.h"

#include <errno.h>
#include <stdlib.h>

enum ts_ip_family ts_ip_family_of(const struct ts_ip *ip)
{
	return ts_ip_is_v4(ip) ? TS_FAMILY_V4 : TS_FAMILY_V6;
}

struct ts_ip_range ts_ip_range_of_prefix(const struct ts_prefix *prefix)
{
	struct ts_ip_range range;

	for (unsigned i = 0; i < TS_IP_LEN; i++) {
		unsigned bits = prefix->bits > 8 * i ? prefix->bits - 8 * i : 0;
		unsigned host = bits >= 8 ? 0 : 0xffu >> bits;
		unsigned byte = prefix->ip.bytes[i];

		range.first.bytes[i] = (uint8_t)(byte & ~host);
		range.last.bytes[i] = (uint8_t)(byte | host);
	}
	return range;
}

bool ts_ip_range_is_valid(const struct ts_ip_range *range)
{
	return ts_ip_family_of(&range->first) ==
		       ts_ip_family_of(&range->last) &&
	       ts_ip_compare(&range->first, &range->last) <= 0;
}

bool ts_ip_range_contains(const struct ts_ip_range *range,
			  const struct ts_ip *ip)
{
	return ts_ip_compare(&range->first, ip) <= 0 &&
	       ts_ip_compare(ip, &range->last) <= 0;
}

int ts_ip_set_add(struct ts_ip_set *set, const struct ts_ip_range *range)
{
	if (set->count == set->cap) {
		size_t cap = set->cap ? set->cap * 2 : 8;
		struct ts_ip_range *grown =
			reallocarray(set->ranges, cap, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		set->ranges = grown;
		set->cap = cap;
	}
	set->ranges[set->count++] = *range;
	return 0;
}

static int by_first(const void *a, const void *b)
{
	const struct ts_ip_range *x = a, *y = b;

	return ts_ip_compare(&x->first, &y->first);
}

void ts_ip_set_seal(struct ts_ip_set *set)
{
	size_t kept = 0;

	if (set->count == 0)
		return;
	qsort(set->ranges, set->count, sizeof(*set->ranges), by_first);
	for (size_t i = 1; i < set->count; i++) {
		struct ts_ip_range *last = &set->ranges[kept];
		const struct ts_ip_range *next = &set->ranges[i];

		if (ts_ip_compare(&next->first, &last->last) > 0)
			set->ranges[++kept] = *next;
		else if (ts_ip_compare(&next->last, &last->last) > 0)
			last->last = next->last;
	}
	set->count = kept + 1;
}

/* The first range that ends at or after ip; count when there is none. */
static size_t lower_bound(const struct ts_ip_set *set, const struct ts_ip *ip)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (ts_ip_compare(&set->ranges[mid].last, ip) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool ts_ip_set_contains(const struct ts_ip_set *set, const struct ts_ip *ip)
{
	size_t i = lower_bound(set, ip);

	return i < set->count && ts_ip_range_contains(&set->ranges[i], ip);
}

bool ts_ip_set_overlaps(const struct ts_ip_set *set,
			const struct ts_ip_range *range)
{
	size_t i = lower_bound(set, &range->first);

	return i < set->count &&
	       ts_ip_compare(&set->ranges[i].first, &range->last) <= 0;
}

void ts_ip_set_deinit(struct ts_ip_set *set)
{
	free(set->ranges);
	*set = (struct ts_ip_set){0};
}
