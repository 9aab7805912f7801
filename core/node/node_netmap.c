/* SPDX-License-Identifier: BSD-3-Clause
 * node_netmap.c - what control says, into the cores
 *
 * Per peer: its name, and what node_peers.c keeps of it. Per message: filter
 * (always before anything else is let in), own addresses, DERP map, names -
 * each only when something that it reads has changed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/node/node_internal.h"

/* The old map is freed before we hear of the new one, and the path layer keeps
 * it by reference: so this comes before anything is asked of that layer. */
static void follow_derp_map(struct ts_node *node)
{
	const struct ts_derp_map *map = ts_node_netmap(node)->derp_map;

	if (map == node->derp_map || node->state == TS_STOPPED)
		return;
	node->derp_map = map;
	ts_path_set_derp_map(node->path, map, node->now_ms);
}

void node_peer_enter(struct ts_node *node, struct ts_peer *peer)
{
	if (ts_magic_dns_upsert(node->dns, peer))
		log_error("node-%s: no name for peer %s: out of memory",
			  node->prefs.hostname, peer->name);
	node_peer_update(node, peer);
	if (node->io.peer_changed)
		node->io.peer_changed(node->io_ctx, peer);
}

void node_peer_leave(struct ts_node *node, struct ts_peer *peer)
{
	ts_magic_dns_remove(node->dns, peer);
	node_peer_forget(node, peer);
	if (node->io.peer_removed)
		node->io.peer_removed(node->io_ctx, peer);
}

static void on_peer_upserted(void *ctx, struct ts_peer *peer)
{
	struct ts_node *node = ctx;

	follow_derp_map(node);
	if (node_lock_admits(node, peer))
		node_peer_enter(node, peer);
	else
		node_peer_leave(node, peer);
}

static void on_peer_removed(void *ctx, struct ts_peer *peer)
{
	struct ts_node *node = ctx;

	follow_derp_map(node);
	node_lock_forget_peer(node, peer);
	node_peer_leave(node, peer);
}

static void set_addresses(struct ts_node *node)
{
	struct ts_ip v4 = ts_node_ip(node, false);
	struct ts_ip v6 = ts_node_ip(node, true);

	stack_set_addrs(node->stack, &v4, &v6);
}

void node_filter_refresh(struct ts_node *node)
{
	const struct ts_local_routes nets =
		node_serve_nets(node, node_forward_nets(node));

	node->filter_is_stale = false;
	if (ts_filter_set_routing(node->filter, ts_node_netmap(node), &nets))
		log_error("node-%s: out of memory for the packet filter; it "
			  "drops everything until the next one",
			  node->prefs.hostname);
	node_relays_judge(node);
}

/* The rules read ourselves and the unsigned peers, none of the others. */
static void set_filter(struct ts_node *node, unsigned changes)
{
	if (!(changes & (TS_CHANGED_FILTER | TS_CHANGED_SELF |
			 TS_CHANGED_FIRST)) &&
	    !node->filter_is_stale)
		return;
	node_filter_refresh(node);
}

/* Whom everything else goes through; only the routes of that one change. */
static void follow_exit(struct ts_node *node, unsigned changes)
{
	if (changes & (TS_CHANGED_PEERS | TS_CHANGED_SELF | TS_CHANGED_DNS |
		       TS_CHANGED_FIRST) &&
	    node_exit_update(node))
		stack_path_changed(node->stack);
}

static void on_netmap_changed(void *ctx, unsigned changes)
{
	struct ts_node *node = ctx;
	bool has_new_routes;

	follow_derp_map(node);
	node_lock_settle_peers(node);
	if (changes & (TS_CHANGED_SELF | TS_CHANGED_FIRST))
		node_lock_judge_self(node);
	has_new_routes = changes & TS_CHANGED_SELF && node_forward_update(node);
	if (changes & TS_CHANGED_SELF)
		has_new_routes |= node_serve_update(node);
	set_filter(node, changes);
	node_relays_tell(node);
	if (changes & TS_CHANGED_SELF) {
		set_addresses(node);
		node_peerapi_publish(node);
		node_paths_configure(node);
	}
	if (changes & (TS_CHANGED_DNS | TS_CHANGED_SELF | TS_CHANGED_FIRST))
		node_dns_update(node);
	if (changes & (TS_CHANGED_TKA | TS_CHANGED_SELF | TS_CHANGED_FIRST))
		node_lock_follow(node);
	if (has_new_routes)
		stack_routes_changed(node->stack);
	node_update_state(node);
	follow_exit(node, changes); /* once we may speak to peers at all */
	ts_path_map_changed(node->path, node->now_ms);
	node->io.netmap_changed(node->io_ctx, changes);
}

static void replace_text(char **to, const char *from)
{
	char *copy = from ? strdup(from) : NULL;

	free(*to);
	*to = copy;
}

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static void on_state_changed(void *ctx, enum ts_control_state state,
			     const char *error)
{
	struct ts_node *node = ctx;
	enum ts_node_state before = node->state;
	bool is_news = error && !is_same_text(error, node->error);

	node->control_state = state;
	node_health_follow_poll(node);
	ts_path_set_control_up(node->path, state == TS_CONTROL_RUNNING);
	if (error || state == TS_CONTROL_RUNNING ||
	    state == TS_CONTROL_LOGGED_OUT)
		replace_text(&node->error, error);
	node_update_state(node);
	/* Who waits for a login wants to know why there is none. */
	if (is_news && node->state == before && before == TS_NEEDS_LOGIN)
		node->io.state_changed(node->io_ctx, before, node->error);
}

static void on_auth_url(void *ctx, const char *url)
{
	struct ts_node *node = ctx;

	replace_text(&node->auth_url, url);
	node->io.auth_url(node->io_ctx, url);
}

static void on_want_auth_key(void *ctx)
{
	struct ts_node *node = ctx;

	node->io.want_auth_key(node->io_ctx);
}

static void take_texts(struct ts_persist *persist,
		       const struct ts_control_identity *id)
{
	persist->user_id = id->user_id;
	replace_text(&persist->node_id, id->stable_id);
	replace_text(&persist->login_name, id->login_name);
	replace_text(&persist->display_name, id->display_name);
	replace_text(&persist->profile_pic_url, id->profile_pic_url);
}

/* Sessions under the old key end here; the DERP connections too, as they are
 * named by it. */
static void use_node_key(struct ts_node *node)
{
	const struct ts_private_key *key = &node->prefs.persist.node_key;

	ts_public_key_from_private(key, &node->node_public);
	ts_wg_set_key(node->wg, key);
	ts_path_set_node_key(node->path, key, node->now_ms);
}

/* A register succeeded: the keys are the server's now, keep them. No key:
 * we have logged out. */
static void on_persist_changed(void *ctx)
{
	struct ts_node *node = ctx;
	struct ts_persist *persist = &node->prefs.persist;
	struct ts_control_identity id;
	bool has_key, is_new;

	ts_control_identity(node->control, &id);
	has_key = !ts_private_key_is_zero(&id.node_key);
	is_new = !ts_secret_equal(id.node_key.bytes, persist->node_key.bytes,
				  TS_KEY_LEN);
	persist->node_key = id.node_key;
	persist->old_node_key = id.old_node_key;
	persist->nl_key = id.nl_key;
	take_texts(persist, &id);
	ts_wipe(&id, sizeof(id));
	if (has_key && ts_node_control_url(node) != node->prefs.control_url)
		replace_text(&node->prefs.control_url, node->own_control_url);
	node->prefs.want_running = has_key;
	node->prefs.logged_out = !has_key;
	replace_text(&node->auth_url, NULL); /* somebody has been there */
	/* Stored before it is used: a key that peers have seen and a restart
	 * has forgotten would be a stranger's. */
	node->io.persist(node->io_ctx);
	if (has_key && is_new)
		use_node_key(node);
	else if (!has_key)
		memset(&node->node_public, 0, sizeof(node->node_public));
	node_prefs_changed(node, has_key);
}

static void on_fetch_key(void *ctx, const char *url)
{
	struct ts_node *node = ctx;

	node->io.control_fetch_key(node->io_ctx, url);
}

static void on_dial(void *ctx, const struct ts_control_target *targets,
		    size_t count)
{
	struct ts_node *node = ctx;

	node->io.control_dial(node->io_ctx, targets, count);
}

static void on_write(void *ctx, const uint8_t *data, size_t len)
{
	struct ts_node *node = ctx;

	node->io.control_write(node->io_ctx, data, len);
}

static void on_hangup(void *ctx)
{
	struct ts_node *node = ctx;

	node->io.control_hangup(node->io_ctx);
}

static int64_t on_wall_clock(void *ctx)
{
	return node_wall_s(ctx);
}

static char *on_sign_node_key(void *ctx, const struct ts_public_key *key,
			      const char *old_signature, const char *auth_key)
{
	return node_lock_sign_key(ctx, key, old_signature, auth_key);
}

static void on_ping_request(void *ctx, const char *url, const char *types,
			    const struct ts_ip *ip)
{
	node_ping_request(ctx, url, types, ip);
}

static void on_c2n(void *ctx, const struct ts_c2n_request *request,
		   struct ts_c2n_reply *reply)
{
	struct ts_node *node = ctx;

	if (node->io.c2n)
		node->io.c2n(node->io_ctx, request, reply);
}

static void on_browse(void *ctx, const char *url)
{
	struct ts_node *node = ctx;

	log_warn("node-%s: the control server asks you to visit %s",
		 node->prefs.hostname, url);
}

const struct ts_control_ops node_control_ops = {
	.fetch_key = on_fetch_key,
	.dial = on_dial,
	.write = on_write,
	.hangup = on_hangup,
	.state_changed = on_state_changed,
	.auth_url = on_auth_url,
	.want_auth_key = on_want_auth_key,
	.persist_changed = on_persist_changed,
	.peer_upserted = on_peer_upserted,
	.peer_removed = on_peer_removed,
	.netmap_changed = on_netmap_changed,
	.wall_clock = on_wall_clock,
	.sign_node_key = on_sign_node_key,
	.ping_request = on_ping_request,
	.c2n = on_c2n,
	.browse = on_browse,
};
