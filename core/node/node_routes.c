/* SPDX-License-Identifier: BSD-3-Clause
 * node_routes.c - what the user, and this machine, say about routes
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/node/node_internal.h"

void ts_node_set_lans(struct ts_node *node, const struct ts_prefix *lans,
		      size_t count, uint64_t now_ms)
{
	node->now_ms = now_ms;
	if (!node_forward_set_lans(node, lans, count))
		return;
	if (ts_node_is_router(node)) {
		node_filter_refresh(node);
		stack_routes_changed(node->stack);
	}
	if (node->exit.is_wanted)
		node->io.netmap_changed(node->io_ctx, 0);
}

size_t ts_node_lans(const struct ts_node *node, const struct ts_prefix **out)
{
	*out = node->forward.lans;
	return node->forward.lan_count;
}

static char *copy_text(const char *text, bool *is_whole)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		*is_whole = false;
	return copy;
}

static int copy_prefs(const struct ts_route_prefs *from,
		      struct ts_route_prefs *to)
{
	bool is_whole = true;

	*to = (struct ts_route_prefs){
		.exit_node_id = copy_text(from->exit_node_id, &is_whole),
		.exit_node_ip = from->exit_node_ip,
		.exit_node_name = copy_text(from->exit_node_name, &is_whole),
		.auto_exit_node = copy_text(from->auto_exit_node, &is_whole),
		.exit_node_prior = copy_text(from->exit_node_prior, &is_whole),
		.allow_lan = from->allow_lan,
	};
	if (ts_route_prefs_set_advertised(to, from->advertise,
					  from->advertise_count))
		is_whole = false;
	if (is_whole)
		return 0;
	ts_route_prefs_deinit(to);
	return -ENOMEM;
}

/* Who listens for a changed netmap looks at routes, too. */
void node_routes_follow_prefs(struct ts_node *node)
{
	const struct ts_route_prefs *prefs = &node->prefs.routes;

	ts_control_set_routes(node->control, prefs->advertise,
			      prefs->advertise_count, node->now_ms);
	if (node_forward_update(node)) {
		node_filter_refresh(node);
		stack_routes_changed(node->stack);
	}
	if (node_exit_update(node))
		stack_path_changed(node->stack);
	node->io.persist(node->io_ctx);
	node->io.netmap_changed(node->io_ctx, 0);
}

int ts_node_set_route_prefs(struct ts_node *node,
			    const struct ts_route_prefs *prefs,
			    uint64_t now_ms)
{
	struct ts_route_prefs next;
	int err = copy_prefs(prefs, &next);

	if (err)
		return err;
	node->now_ms = now_ms;
	ts_route_prefs_deinit(&node->prefs.routes);
	node->prefs.routes = next;
	node_routes_follow_prefs(node);
	return 0;
}

bool ts_node_uses_exit(const struct ts_node *node, const struct ts_peer **peer)
{
	*peer = ts_netmap_peer_by_id(ts_node_netmap(node),
				     node->exit.peer_id);
	return node->exit.is_wanted;
}

void node_exit_home_changed(struct ts_node *node)
{
	if (!node->prefs.routes.auto_exit_node || !node_exit_update(node))
		return;
	stack_path_changed(node->stack);
	node->io.netmap_changed(node->io_ctx, 0);
}

int ts_node_suggest_exit(struct ts_node *node, const struct ts_peer **out)
{
	struct node_exit_view view = node_exit_view(node);

	return node_exit_suggest(&view, out);
}
