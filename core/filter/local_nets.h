/* SPDX-License-Identifier: BSD-3-Clause
 * local_nets.h - which destinations of packets are ours to take
 *
 * Our own addresses, and those that we route for others. A default route is
 * meant for the internet: what it must not reach is kept apart, and can be
 * routed only by a route of its own.
 * Source: ipn/ipnlocal/local.go (shrinkDefaultRoute)
 */
#ifndef CORE_FILTER_LOCAL_NETS_H
#define CORE_FILTER_LOCAL_NETS_H

#include "core/filter/ip_set.h"

/* What the node decided; the lists are the caller's. */
struct ts_local_routes {
	const struct ts_prefix *routes; /* perhaps default routes, too */
	size_t route_count;
	/* Not by a default route: the networks that this machine is in. Those
	 * that are nobody's internet (private ones, the tailnet's) need not be
	 * named. */
	const struct ts_prefix *lans;
	size_t lan_count;
};

struct ts_local_nets {
	struct ts_ip_set all[TS_FAMILY_COUNT];	/* default routes too */
	struct ts_ip_set near[TS_FAMILY_COUNT]; /* without them */
	struct ts_ip_set kept[TS_FAMILY_COUNT]; /* not by a default route */
};

/* nets is zero before. routes may be NULL. 0 or -ENOMEM (then nets is to be
 * deinited as well). */
int ts_local_nets_init(struct ts_local_nets *nets, const struct ts_prefix *own,
		       size_t own_count, const struct ts_local_routes *routes);
void ts_local_nets_deinit(struct ts_local_nets *nets);
bool ts_local_nets_contain(const struct ts_local_nets *nets,
			   const struct ts_ip *ip);
/* Each prefix into the set of its family, sealed afterwards. 0 or -ENOMEM. */
int ts_ip_sets_add(struct ts_ip_set sets[static TS_FAMILY_COUNT],
		   const struct ts_prefix *prefixes, size_t count);

#endif
