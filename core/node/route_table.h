/* SPDX-License-Identifier: BSD-3-Clause
 * route_table.h - longest-prefix match over the peers' subnet routes
 *
 * Peers' own addresses are found in the netmap's index; here are only the
 * prefixes behind them. One hash table over {bits, masked address}; a lookup
 * probes each prefix length in use, longest first.
 */
#ifndef CORE_NODE_ROUTE_TABLE_H
#define CORE_NODE_ROUTE_TABLE_H

#include "core/base/addr.h"
#include "core/base/key_map.h"

struct route_table {
	struct ts_key_map by_prefix;
	unsigned count[129]; /* of each length */
};

void route_table_init(struct route_table *t, uint64_t seed);
void route_table_deinit(struct route_table *t);
/* An earlier owner of the same prefix keeps it (the server lists a prefix at
 * its primary router only). 0 or -ENOMEM. */
int route_table_add(struct route_table *t, const struct ts_prefix *prefix,
		    void *owner);
/* Only if owner has it. */
void route_table_remove(struct route_table *t, const struct ts_prefix *prefix,
			const void *owner);
void *route_table_find(const struct route_table *t, const struct ts_ip *ip);

#endif
