/* SPDX-License-Identifier: BSD-3-Clause
 * node_prefs.c - the user's preferences, changed while the node runs
 *
 * Whatever differs from before takes effect at once, in this order: what
 * concerns us alone, what the server has to know, and last whether we run at
 * all. Stopped means silent: the link to the server is closed, sessions and
 * relays end, nothing is let in or out. The netmap stays, so that the way back
 * is short.
 * Source: ipn/ipnlocal/local.go (setPrefsLocked, enterStateLocked)
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/prefix_list.h"
#include "core/node/node_internal.h"

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_tags(const struct ts_prefs *a, const struct ts_prefs *b)
{
	if (a->advertise_tag_count != b->advertise_tag_count)
		return false;
	for (size_t i = 0; i < a->advertise_tag_count; i++)
		if (strcmp(a->advertise_tags[i], b->advertise_tags[i]) != 0)
			return false;
	return true;
}

void node_prefs_changed(struct ts_node *node, bool is_login)
{
	if (node->io.prefs_changed)
		node->io.prefs_changed(node->io_ctx, is_login);
}

/* Without a wish of the user's: the name that the node was started with. */
static void complete_hostname(struct ts_node *node)
{
	if (!node->prefs.hostname && node->own_hostname)
		node->prefs.hostname = strdup(node->own_hostname);
}

static void follow_shields(struct ts_node *node, const struct ts_prefs *old)
{
	bool is_up = node->prefs.shields_up;

	if (is_up == old->shields_up)
		return;
	ts_filter_set_shields(node->filter, is_up);
	ts_control_set_shields_up(node->control, is_up, node->now_ms);
}

static void follow_routes(struct ts_node *node, const struct ts_prefs *old)
{
	if (node->prefs.route_all == old->route_all)
		return;
	node_peers_update_routes(node);
	node->io.netmap_changed(node->io_ctx, TS_CHANGED_PEERS);
}

static void follow_dns(struct ts_node *node, const struct ts_prefs *old)
{
	if (node->prefs.corp_dns == old->corp_dns)
		return;
	node_dns_update(node);
	node->io.netmap_changed(node->io_ctx, TS_CHANGED_DNS);
}

static bool same_route(const struct ts_route_prefs *a,
		       const struct ts_route_prefs *b)
{
	return same_text(a->auto_exit_node, b->auto_exit_node) &&
	       same_text(a->exit_node_id, b->exit_node_id) &&
	       same_text(a->exit_node_name, b->exit_node_name) &&
	       ts_ip_equal(&a->exit_node_ip, &b->exit_node_ip) &&
	       a->allow_lan == b->allow_lan &&
	       ts_prefix_list_equal(a->advertise, a->advertise_count,
				    b->advertise, b->advertise_count);
}

static void follow_offers(struct ts_node *node, const struct ts_prefs *old)
{
	if (!same_route(&node->prefs.routes, &old->routes))
		node_routes_follow_prefs(node);
}

static void tell_server(struct ts_node *node, const struct ts_prefs *old)
{
	const struct ts_prefs *now = &node->prefs;
	int err = 0;

	if (now->hostname && !same_text(now->hostname, old->hostname))
		err |= ts_control_set_hostname(node->control, now->hostname,
					       node->now_ms);
	if (!same_tags(now, old))
		err |= ts_control_set_tags(node->control, now->advertise_tags,
					   now->advertise_tag_count,
					   node->now_ms);
	if (err)
		log_error("node-%s: the control server does not learn of all "
			  "changes: out of memory", now->hostname);
}

static void go_down(struct ts_node *node)
{
	ts_control_stop(node->control, node->now_ms);
	ts_path_set_derp_map(node->path, NULL, node->now_ms);
	node->derp_map = NULL;
	node->derp_tried = false;
	node_update_state(node);
}

static void come_up(struct ts_node *node)
{
	const struct ts_netmap *map = ts_node_netmap(node);

	ts_control_start(node->control, node->now_ms);
	node_update_state(node);
	if (map->derp_map && !node->derp_map) {
		node->derp_map = map->derp_map;
		ts_path_set_derp_map(node->path, map->derp_map, node->now_ms);
	}
}

void ts_node_edit_prefs(struct ts_node *node, struct ts_prefs *next,
			uint64_t now_ms)
{
	struct ts_prefs old = node->prefs;

	node->now_ms = now_ms;
	node->prefs = *next;
	ts_prefs_init_default(next);
	complete_hostname(node);
	follow_shields(node, &old);
	follow_routes(node, &old);
	follow_dns(node, &old);
	follow_offers(node, &old);
	tell_server(node, &old);
	node_serve_follow(node);
	if (node->prefs.want_running != old.want_running) {
		if (node->prefs.want_running)
			come_up(node);
		else
			go_down(node);
	}
	ts_prefs_deinit(&old);
	node->io.persist(node->io_ctx);
	node_prefs_changed(node, false);
}
