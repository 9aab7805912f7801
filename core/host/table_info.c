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
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/packet.h"
#include "core/host/host_internal.h"
#include "core/host/node_choice.h"
#include "core/host/stand_ins.h"
#include "core/node/node_dns.h"

static const char *const TAILNET_RANGES[] = {"100.64.0.0/10",
					     "fd7a:115c:a1e0::/48"};

enum { INTERFACES_MAX = 1000 };

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

static void fill_ranges(struct prefix_list *list)
{
	for (size_t i = 0; i < ARRAY_LEN(TAILNET_RANGES); i++)
		(void)ts_prefix_parse(TAILNET_RANGES[i],
				      &list->at[list->count++]);
}

static void fill_prefixes(struct prefix_list *list, const struct ts_node *node)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	const struct ts_prefs *prefs = ts_node_prefs(node);
	size_t pos = 0;
	const struct ts_peer *peer;

	if (!map || !map->self)
		return;
	add_prefixes(list, map->self, false);
	while ((peer = ts_netmap_next_peer(map, &pos)))
		add_prefixes(list, peer, prefs && prefs->route_all);
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
	const struct ts_prefix *lans;
	size_t count = ts_node_lans(node, &lans);
	bool with_lans = ts_node_prefs(node)->routes.allow_lan;

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

/* Names that the host alone knows whose they are. With several nodes one suffix
 * is told, and what is under another's is found by asking. */
static bool routes_names(const struct ts_member *member, bool intercepts)
{
	const struct ts_node *node = member->node;

	return ts_node_state(node) != TS_STOPPED &&
	       (ts_node_has_other_names(node) ||
		(intercepts &&
		 !ts_dns_routes_are_empty(ts_node_dns_routes(node))));
}

static uint8_t state_of(const struct ts_member *members, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (ts_node_state(members[i].node) == TS_RUNNING)
			return TS_RUNNING;
	return (uint8_t)ts_node_state(members[0].node);
}

void ts_table_info_from_nodes(struct ts_table_info *info,
			      struct ts_prefix prefixes[TS_TABLE_PREFIX_MAX],
			      const struct ts_member *members, unsigned count)
{
	struct prefix_list list = {.at = prefixes};
	const struct ts_member *exit = ts_choose_exit(members, count);

	info->node_state = state_of(members, count);
	info->mtu = TS_INNER_MTU;
	info->own_v4 = ts_node_ip(members[0].node, false);
	info->own_v6 = ts_node_ip(members[0].node, true);
	fill_ranges(&list);
	if (count > 1)
		ts_stand_ins_fill(members[0].host, list.at + list.count);
	if (count > 1)
		list.count += 2;
	info->routes_names = count > 1;
	for (unsigned i = 0; i < count; i++) {
		fill_prefixes(&list, members[i].node);
		if (routes_names(&members[i], info->resolver_count > 0))
			info->routes_names = true;
	}
	if (list.dropped > 0)
		log_warn("host: %zu routes stay on the host network: the table "
			 "holds %d",
			 list.dropped, (int)TS_TABLE_PREFIX_MAX);
	info->prefix_count = list.count;
	info->direct_count = 0;
	info->claims_rest = exit != NULL;
	if (exit)
		fill_direct(info, prefixes, exit->node);
	fill_suffix(info, members[0].node);
	/* While another suffix may come, names with dots are asked of libc
	 * first, as before the netmap of a node that is alone. */
	if (count > 1 && ts_members_awaited(members[0].host)) {
		info->routes_names = false;
		memset(info->suffix, 0, sizeof(info->suffix));
	}
}

/* -- interfaces ----------------------------------------------------------- */

static bool is_taken(const char *name,
		     const struct ts_table_interface *interfaces,
		     unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(interfaces[i].name, name) == 0)
			return true;
	return if_nametoindex(name) != 0;
}

/* The first that nothing real has, from its order on. */
static void choose_name(struct ts_table_interface *interfaces, unsigned i,
			const struct ts_member *member)
{
	unsigned number = member->interface ? 0 : member->index;
	char name[24] = ""; /* tailscaleN; programs see what is behind it */

	if (member->interface && !is_taken(member->interface, interfaces, i)) {
		snprintf(interfaces[i].name, sizeof(interfaces[i].name), "%s",
			 member->interface);
		return;
	}
	do {
		snprintf(name, sizeof(name), "tailscale%u", number++);
	} while (is_taken(name, interfaces, i) && number < INTERFACES_MAX);
	memcpy(interfaces[i].name, name, sizeof(interfaces[i].name));
}

void ts_table_fill_interfaces(
	struct ts_table_info *info,
	struct ts_table_interface interfaces[TS_TABLE_NODES_MAX],
	const struct ts_member *members, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		interfaces[i] = (struct ts_table_interface){
			.v4 = ts_node_ip(members[i].node, false),
			.v6 = ts_node_ip(members[i].node, true)};
		choose_name(interfaces, i, &members[i]);
	}
	info->interface_count = (uint8_t)count;
}
