/* SPDX-License-Identifier: BSD-3-Clause
 * route_table.h - longest-prefix match over the peers' subnet routes
 *
 * Peers' own addresses are found in the netmap's index; here are only the
 * prefixes behind them. One hash table over {bits, masked address}; a lookup
 * probes each prefix length in use, longest first.
 *
 * Several peers may have one prefix, for a moment at least: when a router
 * takes over, its update may come before that of the one it follows. All of
 * them are kept, and the lowest node ID is used.
 */
#ifndef CORE_NODE_ROUTE_TABLE_H
#define CORE_NODE_ROUTE_TABLE_H

#include <stdbool.h>

#include "core/base/addr.h"
#include "core/base/key_map.h"

struct route_table {
	struct ts_key_map by_prefix;
	unsigned count[129]; /* of each length */
};

void route_table_init(struct route_table *t, uint64_t seed);
void route_table_deinit(struct route_table *t);
/* owner: a node ID; adding it twice changes nothing. 0 or -ENOMEM. */
int route_table_add(struct route_table *t, const struct ts_prefix *prefix,
		    int64_t owner);
/* Only if owner has it. */
void route_table_remove(struct route_table *t, const struct ts_prefix *prefix,
			int64_t owner);
/* Who has the longest prefix that contains ip; 0: nobody. */
int64_t route_table_find(const struct route_table *t, const struct ts_ip *ip);
/* Is owner one of those who have that prefix? */
bool route_table_is_owner(const struct route_table *t, const struct ts_ip *ip,
			  int64_t owner);

#endif
