/* SPDX-License-Identifier: BSD-3-Clause
 * table_info.c - what the table's header says about the tailnet
 *
 * The two tailnet ranges stand for all peers: 10,000 single addresses would
 * not fit, and a program that asks for an unused one learns from the host
 * that nobody is there. Beside them stand the addresses and accepted routes
 * outside these ranges.
 *
 * While an exit node is used (or wanted, and not there) all else is the
 * tailnet's, too; but this machine's own addresses are not, and the networks
 * that it is in are not where the user says so. Those have the other end of the
 * table.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/packet.h"
#include "core/host/host_internal.h"
#include "core/node/node_dns.h"

static const char *const TAILNET_RANGES[] = {"100.64.0.0/10",
					     "fd7a:115c:a1e0::/48"};

struct prefix_list {
	struct ts_prefix *at;
	uint8_t count;
	size_t dropped; /* did not fit */
};

static bool is_covered(const struct prefix_list *list,
		       const struct ts_prefix *prefix)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->at[i].bits <= prefix->bits &&
		    ts_prefix_contains(&list->at[i], &prefix->ip))
			return true;
	return false;
}

static void add_prefix(struct prefix_list *list, const struct ts_prefix *prefix)
{
	if (ts_prefix_is_default(prefix) || is_covered(list, prefix))
		return;
	if (list->count == TS_TABLE_PREFIX_MAX) {
		list->dropped++;
		return;
	}
	list->at[list->count++] = *prefix;
}

static void add_prefixes(struct prefix_list *list, const struct ts_peer *peer,
			 bool with_routes)
{
	for (size_t i = 0; i < peer->address_count; i++)
		add_prefix(list, &peer->addresses[i]);
	for (size_t i = 0; with_routes && i < peer->allowed_ip_count; i++)
		add_prefix(list, &peer->allowed_ips[i]);
}

static void fill_prefixes(struct prefix_list *list, const struct ts_node *node)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	const struct ts_prefs *prefs = ts_node_prefs(node);
	size_t pos = 0;
	const struct ts_peer *peer;

	for (size_t i = 0; i < 2; i++)
		(void)ts_prefix_parse(TAILNET_RANGES[i],
				      &list->at[list->count++]);
	if (!map || !map->self)
		return;
	add_prefixes(list, map->self, false);
	while ((peer = ts_netmap_next_peer(map, &pos)))
		add_prefixes(list, peer, prefs && prefs->route_all);
	if (list->dropped > 0)
		log_warn("host: %zu routes stay on the host network: the table "
			 "holds %d", list->dropped, (int)TS_TABLE_PREFIX_MAX);
}

static void fill_suffix(struct ts_table_info *info, const struct ts_node *node)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	char *suffix = map && map->self ? ts_netmap_magic_suffix(map) : NULL;

	memset(info->suffix, 0, sizeof(info->suffix));
	if (suffix && strlen(suffix) < sizeof(info->suffix))
		memcpy(info->suffix, suffix, strlen(suffix));
	free(suffix);
}

/* Without a network of their own: what the host's network alone can carry. */
static const char *const LINK_RANGES[] = {"169.254.0.0/16", "fe80::/10",
					  "255.255.255.255"};

static void add_direct(struct ts_table_info *info,
		       struct ts_prefix prefixes[TS_TABLE_PREFIX_MAX],
		       const struct ts_prefix *prefix)
{
	if (info->prefix_count + info->direct_count < TS_TABLE_PREFIX_MAX)
		prefixes[TS_TABLE_PREFIX_MAX - ++info->direct_count] = *prefix;
}

static void fill_direct(struct ts_table_info *info,
			struct ts_prefix prefixes[TS_TABLE_PREFIX_MAX],
			const struct ts_node *node)
{
	const struct ts_peer *exit_node;
	const struct ts_prefix *lans;
	size_t count = ts_node_lans(node, &lans);
	bool with_lans = ts_node_prefs(node)->routes.allow_lan;

	info->direct_count = 0;
	info->claims_rest = ts_node_uses_exit(node, &exit_node);
	if (!info->claims_rest)
		return;
	for (size_t i = 0; i < count; i++) {
		struct ts_prefix own = {lans[i].ip, 128};

		add_direct(info, prefixes, with_lans ? &lans[i] : &own);
	}
	for (size_t i = 0; with_lans && i < ARRAY_LEN(LINK_RANGES); i++) {
		struct ts_prefix range;

		if (ts_prefix_parse(LINK_RANGES[i], &range) == 0)
			add_direct(info, prefixes, &range);
	}
}

void ts_table_info_from_node(struct ts_table_info *info,
			     struct ts_prefix prefixes[TS_TABLE_PREFIX_MAX],
			     const struct ts_node *node)
{
	struct prefix_list list = {.at = prefixes};

	info->node_state = (uint8_t)ts_node_state(node);
	info->mtu = TS_INNER_MTU;
	info->own_v4 = ts_node_ip(node, false);
	info->own_v6 = ts_node_ip(node, true);
	fill_prefixes(&list, node);
	info->prefix_count = list.count;
	info->routes_names =
		ts_node_state(node) != TS_STOPPED &&
		(ts_node_has_other_names(node) ||
		 (info->resolver_count > 0 &&
		  !ts_dns_routes_are_empty(ts_node_dns_routes(node))));
	fill_direct(info, prefixes, node);
	fill_suffix(info, node);
}
