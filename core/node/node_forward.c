/* SPDX-License-Identifier: BSD-3-Clause
 * node_forward.c - which networks we route for others
 *
 * The user offers networks (prefs), an admin approves some of them: those are
 * in the AllowedIPs of our own node. Only what both have said is let in, so a
 * peer that sends to anything else is stopped by the filter, whatever its rules
 * say. A default route is for the internet: networks of this machine are left
 * out (core/filter/local_nets.h), and need a route of their own.
 *
 * Where a packet goes that was let in is decided here once more, for it leaves
 * as this machine's own: never to the machine itself, nor back into the
 * tailnet. A 4via6 address stands for an IPv4 one of the site that it names.
 * Source: ipn/ipnlocal/local.go (updateFilterLocked), ipn/ipnlocal/via.go
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/prefix_list.h"
#include "core/filter/local_nets.h"
#include "core/node/node_internal.h"

static const uint32_t METADATA_IP4 = 0xa9fea9fe; /* of clouds */
static const uint32_t BROADCAST_IP4 = 0xffffffff;

static bool is_within(const struct ts_prefix *inner,
		      const struct ts_prefix *outer)
{
	return ts_ip_is_v4(&inner->ip) == ts_ip_is_v4(&outer->ip) &&
	       inner->bits >= outer->bits &&
	       ts_prefix_contains(outer, &inner->ip);
}

/* A default route covers nothing but itself: who offers the internet has not
 * offered each network in it. */
static bool is_offered(const struct ts_node *node, const struct ts_prefix *p)
{
	const struct ts_route_prefs *prefs = &node->prefs.routes;

	for (size_t i = 0; i < prefs->advertise_count; i++) {
		const struct ts_prefix *offer = &prefs->advertise[i];

		if (ts_prefix_equal(offer, p) ||
		    (!ts_prefix_is_default(offer) && is_within(p, offer)))
			return true;
	}
	return false;
}

/* Into out, when that is not NULL. */
static size_t approved(const struct ts_node *node, struct ts_prefix *out)
{
	const struct ts_peer *self = ts_node_netmap(node)->self;
	size_t count = 0;

	for (size_t i = 0; self && i < self->allowed_ip_count; i++) {
		const struct ts_prefix *p = &self->allowed_ips[i];

		if (ts_peer_has_address(self, p) || !is_offered(node, p))
			continue;
		if (out)
			out[count] = *p;
		count++;
	}
	return count;
}

static void tell(const struct ts_node *node)
{
	size_t offered = node->prefs.routes.advertise_count;
	size_t count = node->forward.route_count;

	log_info("node-%s: routes %zu of the %zu networks that it offers%s",
		 node->prefs.hostname, count, offered,
		 count < offered ? "; an admin has not approved the others"
				 : "");
}

bool node_forward_update(struct ts_node *node)
{
	struct node_forward *f = &node->forward;
	size_t count = approved(node, NULL);
	struct ts_prefix *routes;

	if (count == 0 && f->route_count == 0)
		return false;
	routes = calloc(count + 1, sizeof(*routes));
	if (!routes) {
		log_error("node-%s: routes nothing for others: out of memory",
			  node->prefs.hostname);
		count = 0;
	} else {
		approved(node, routes);
	}
	if (routes && ts_prefix_list_equal(f->routes, f->route_count, routes,
					   count)) {
		free(routes);
		return false;
	}
	free(f->routes);
	f->routes = routes;
	f->route_count = count;
	tell(node);
	return true;
}

void node_forward_deinit(struct ts_node *node)
{
	free(node->forward.routes);
	free(node->forward.lans);
	memset(&node->forward, 0, sizeof(node->forward));
}

struct ts_local_routes node_forward_nets(const struct ts_node *node)
{
	return (struct ts_local_routes){
		.routes = node->forward.routes,
		.route_count = node->forward.route_count,
		.lans = node->forward.lans,
		.lan_count = node->forward.lan_count,
	};
}

bool node_forward_set_lans(struct ts_node *node, const struct ts_prefix *lans,
			   size_t count)
{
	struct node_forward *f = &node->forward;
	struct ts_prefix *copy;

	if (count == f->lan_count &&
	    (count == 0 || memcmp(lans, f->lans, count * sizeof(*lans)) == 0))
		return false;
	copy = calloc(count + 1, sizeof(*copy));
	if (!copy) /* what it was is nearer to the truth than nothing */
		return false;
	for (size_t i = 0; i < count; i++)
		copy[i] = lans[i];
	free(f->lans);
	f->lans = copy;
	f->lan_count = count;
	return true;
}

/* -- where to ------------------------------------------------------------- */

static bool is_somewhere(const struct ts_ip *ip)
{
	uint32_t v4 = ts_ip_v4_host(ip);

	if (ts_ip_is_unspecified(ip) || ts_ip_is_loopback(ip) ||
	    ts_ip_is_multicast(ip) || ts_ip_is_tailscale(ip) ||
	    v4 == BROADCAST_IP4)
		return false;
	return !ts_ip_is_link_local(ip) || v4 == METADATA_IP4;
}

/* A site's addresses behind us, by the prefix that was approved. */
static bool is_our_site(const struct ts_node *node, const struct ts_ip *ip)
{
	const struct node_forward *f = &node->forward;

	for (size_t i = 0; i < f->route_count; i++)
		if (is_within(&f->routes[i], &TS_VIA_RANGE) &&
		    ts_prefix_contains(&f->routes[i], ip))
			return true;
	return false;
}

int ts_node_forward_target(const struct ts_node *node, const struct ts_ip *dst,
			   struct ts_ip *out)
{
	bool is_via =
		!ts_ip_is_v4(dst) && ts_prefix_contains(&TS_VIA_RANGE, dst);

	if (!node->is_open || node->forward.route_count == 0 ||
	    !ts_filter_is_local(node->filter, dst) || node_is_self(node, dst))
		return -EHOSTUNREACH;
	*out = *dst;
	if (is_via) {
		if (!is_our_site(node, dst))
			return -EHOSTUNREACH;
		*out = ts_ip_from_v4(dst->bytes + TS_IP_V4_AT);
		if (ts_ip_v4_host(out) == METADATA_IP4)
			return -EHOSTUNREACH; /* as every link-local one */
	}
	return is_somewhere(out) ? 0 : -EHOSTUNREACH;
}

bool ts_node_is_router(const struct ts_node *node)
{
	return node->forward.route_count > 0;
}
