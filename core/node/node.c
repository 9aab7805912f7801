/* SPDX-License-Identifier: BSD-3-Clause
 * node.c - one tailnet node: who it is and what state it is in
 *
 * Owns the cores and passes time and bytes to them; the way of a packet is in
 * node_packets.c, the netmap's news in node_netmap.c. The state is computed,
 * never set along the way: node_update_state() looks at control, netmap and
 * DERP and tells the engine when the answer differs.
 *
 *   NoState -> Starting -> [NeedsLogin] -> [NeedsMachineAuth] -> Running
 *   any -> Stopped, and back, as the user wants (node_prefs.c)
 *
 * Once Running, a lost control connection changes nothing: the tunnel lives
 * on what it knows.
 * Source: ipn/ipnlocal/local.go (nextStateLocked)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/control/netmap_apply.h"
#include "core/crypto/secret.h"
#include "core/node/node_internal.h"

enum { EXPIRY_CHECK_MAX_S = 600 };

static const char *const state_names[] = {
	[TS_NO_STATE] = "NoState",
	[TS_NEEDS_LOGIN] = "NeedsLogin",
	[TS_NEEDS_MACHINE_AUTH] = "NeedsMachineAuth",
	[TS_STOPPED] = "Stopped",
	[TS_STARTING] = "Starting",
	[TS_RUNNING] = "Running",
};

const char *ts_node_state_name(enum ts_node_state state)
{
	return state_names[state] ? state_names[state] : "NoState";
}

static struct ts_control *new_control(struct ts_node *node,
				      const struct ts_node_config *config)
{
	const struct ts_prefs *prefs = &node->prefs;
	struct ts_control_config cc = {
		.control_url = ts_node_control_url(node),
		.machine_key = config->machine_key,
		.node_key = prefs->persist.node_key,
		.old_node_key = prefs->persist.old_node_key,
		.nl_key = prefs->persist.nl_key,
		.auth_key = config->auth_key,
		.mints_auth_key = config->mints_auth_key,
		.backend_log_id = config->backend_log_id,
		.hostname = prefs->hostname,
		.os_version = config->os_version,
		.machine_arch = config->machine_arch,
		.app = config->app,
		.ipn_version = TSNET_VERSION,
		.distro = config->distro,
		.distro_version = config->distro_version,
		.container = config->container,
		.ephemeral = config->ephemeral,
		.force_login = config->force_login,
		.shields_up = prefs->shields_up,
		.tags = (const char *const *)prefs->advertise_tags,
		.tag_count = prefs->advertise_tag_count,
		.routes = prefs->routes.advertise,
		.route_count = prefs->routes.advertise_count,
	};
	struct ts_control *control;

	ts_public_key_from_private(&node->disco_key, &cc.disco_key);
	control = ts_control_new(&cc, &node_control_ops, node);
	ts_wipe(&cc, sizeof(cc));
	return control;
}

static bool make_cores(struct ts_node *node,
		       const struct ts_node_config *config, uint64_t now_ms)
{
	struct ts_path_config pc = {
		.node_key = node->prefs.persist.node_key,
		.disco_key = node->disco_key,
		.disable_direct = !config->direct,
		.measure_mtu = config->path_mtu,
		.port_is_fixed = config->fixed_port,
		.endpoints = config->endpoints,
		.endpoint_count = config->endpoint_count,
	};

	/* Until the first login: nobody will hear of this one. */
	if (ts_private_key_is_zero(&pc.node_key))
		ts_private_key_generate(&pc.node_key);

	node->filter = ts_filter_new();
	node->dns = ts_magic_dns_new();
	node->stack = stack_new(&node_stack_ops, node, now_ms);
	if (node->stack && config->congestion)
		stack_set_congestion(node->stack, config->congestion);
	node->wg = ts_wg_new(&pc.node_key, &node_wg_ops, node);
	node->path = ts_path_new(&pc, &node_path_ops, node);
	node->control = new_control(node, config);
	if (node->filter)
		ts_filter_set_shields(node->filter, node->prefs.shields_up);
	ts_wipe(&pc, sizeof(pc));
	return node->filter && node->dns && node->stack && node->wg &&
	       node->path && node->control && node_ping_open(node) == 0;
}

struct ts_node *ts_node_new(struct ts_node_config *config,
			    const struct ts_node_io *io, void *ctx,
			    uint64_t now_ms)
{
	struct ts_node *node = calloc(1, sizeof(*node));
	struct ts_persist *persist;

	if (!node)
		return NULL;
	node->io = *io;
	node->io_ctx = ctx;
	node->now_ms = now_ms;
	node->measures_mtu = config->path_mtu;
	node->net_info.os_has_ipv6 = config->os_has_ipv6 ? TS_YES : TS_NO;
	node->prefs = *config->prefs;
	ts_prefs_init_default(config->prefs);
	if (node->prefs.hostname)
		node->own_hostname = strdup(node->prefs.hostname);
	if (config->control_url)
		node->own_control_url = strdup(config->control_url);
	node->expiry_check_ms = UINT64_MAX;
	node->moved_round = 1; /* no peer's, at first */
	persist = &node->prefs.persist;
	if (!ts_private_key_is_zero(&persist->node_key))
		ts_public_key_from_private(&persist->node_key,
					   &node->node_public);
	ts_private_key_generate(&node->disco_key);
	route_table_init(&node->routes, ts_random_u64());
	ts_key_map_init(&node->disco_ids, TS_KEY_LEN, ts_random_u64());
	if (!make_cores(node, config, now_ms)) {
		ts_tka_chonk_free(config->tka);
		config->tka = NULL;
		ts_node_free(node);
		return NULL;
	}
	node_lock_init(node, config->tka, config->tka_is_damaged);
	config->tka = NULL;
	return node;
}

void ts_node_free(struct ts_node *node)
{
	size_t pos = 0;
	struct ts_peer *peer;

	if (!node)
		return;
	node_ping_forget_all(node);
	node->lock.is_closing = true;
	node_capture_end(node);
	if (node->control) {
		const struct ts_netmap *map = ts_control_netmap(node->control);

		while (map && (peer = ts_netmap_next_known_peer(map, &pos)))
			node_peer_forget(node, peer);
	}
	stack_free(node->stack);
	ts_path_free(node->path);
	ts_wg_free(node->wg);
	ts_control_free(node->control);
	node_lock_deinit(node);
	ts_magic_dns_free(node->dns);
	node_dns_deinit(node);
	ts_filter_free(node->filter);
	route_table_deinit(&node->routes);
	node_forward_deinit(node);
	node_serve_deinit(node);
	node_exit_deinit(node);
	ts_key_map_deinit(&node->disco_ids);
	free(node->error);
	free(node->auth_url);
	free(node->derp_problem);
	free(node->own_hostname);
	free(node->own_control_url);
	ts_prefs_deinit(&node->prefs);
	ts_wipe(node, sizeof(*node));
	free(node);
}

static bool has_derp_region(const struct ts_netmap *map)
{
	return map->derp_map && map->derp_map->region_count > 0;
}

int64_t node_wall_s(const struct ts_node *node)
{
	return (int64_t)(node->io.wall_clock_ns(node->io_ctx) / 1000000000u);
}

static enum ts_node_state compute_state(const struct ts_node *node)
{
	const struct ts_netmap *map = ts_node_netmap(node);

	switch (node->control_state) {
	case TS_CONTROL_STOPPED:
		if (node->prefs.logged_out)
			return TS_NEEDS_LOGIN;
		return node->prefs.want_running ? TS_NO_STATE : TS_STOPPED;
	case TS_CONTROL_NEEDS_LOGIN:
	case TS_CONTROL_LOGGED_OUT:
	case TS_CONTROL_FAILED:
		return TS_NEEDS_LOGIN;
	default:
		break;
	}
	if (!map->self)
		return TS_STARTING;
	if (ts_netmap_self_expired(map, node_wall_s(node)))
		return TS_NEEDS_LOGIN;
	if (!map->self->machine_authorized)
		return TS_NEEDS_MACHINE_AUTH;
	/* Who may be spoken with is about to be known. */
	if (node->state != TS_RUNNING && node_lock_is_pending(node))
		return TS_STARTING;
	if (node->state == TS_RUNNING || node->derp_tried ||
	    !has_derp_region(map))
		return TS_RUNNING;
	return TS_STARTING;
}

/* With a key that has run out, or none, we are nobody, and so we are when the
 * user wants us to be: sessions end at once, and whatever comes in is dropped
 * until the next login. */
static void follow_gate(struct ts_node *node)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	bool is_open = map->self &&
		       node->control_state != TS_CONTROL_LOGGED_OUT &&
		       node->control_state != TS_CONTROL_STOPPED &&
		       !ts_netmap_self_expired(map, node_wall_s(node));

	if (is_open == node->is_open)
		return;
	node->is_open = is_open;
	if (!is_open)
		node_peers_close_unusable(node);
	node_dns_update_routes(node);
}

/* Control looks at the clock too, but only while it has a stream. */
static void plan_expiry_check(struct ts_node *node)
{
	const struct ts_netmap *map = ts_node_netmap(node);
	int64_t left_s;

	node->expiry_check_ms = UINT64_MAX;
	if (!node->is_open || map->self->key_expiry_unix == 0)
		return;
	left_s = map->self->key_expiry_unix - map->control_time_delta_s -
		 node_wall_s(node);
	if (left_s > EXPIRY_CHECK_MAX_S) /* the wall clock may be set */
		left_s = EXPIRY_CHECK_MAX_S;
	node->expiry_check_ms = node->now_ms + (uint64_t)left_s * 1000;
}

void node_update_state(struct ts_node *node)
{
	enum ts_node_state next = compute_state(node);

	follow_gate(node);
	plan_expiry_check(node);
	if (next == node->state)
		return;
	log_info("node-%s: %s -> %s", node->prefs.hostname,
		 ts_node_state_name(node->state), ts_node_state_name(next));
	node->state = next;
	if (next == TS_RUNNING) {
		free(node->auth_url);
		node->auth_url = NULL;
	}
	node->io.state_changed(node->io_ctx, next, node->error);
}

void ts_node_start(struct ts_node *node, uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_control_start(node->control, now_ms);
}

void ts_node_stay_stopped(struct ts_node *node, uint64_t now_ms)
{
	node->now_ms = now_ms;
	node_update_state(node);
}

const char *ts_node_control_url(const struct ts_node *node)
{
	const char *wanted = node->prefs.control_url;

	return wanted && *wanted ? wanted : node->own_control_url;
}

void ts_node_logout(struct ts_node *node, uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_control_logout(node->control, now_ms);
}

void ts_node_login_interactive(struct ts_node *node, uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_control_login_interactive(node->control, now_ms);
}

int ts_node_login(struct ts_node *node, const char *auth_key,
		  bool force_new_key, uint64_t now_ms)
{
	node->now_ms = now_ms;
	return ts_control_login(node->control, auth_key, force_new_key,
				now_ms);
}

void ts_node_auth_key_made(struct ts_node *node, const char *auth_key,
			   uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_control_auth_key_made(node->control, auth_key, now_ms);
}

void ts_node_auth_key_failed(struct ts_node *node, const char *error,
			     bool is_refused, uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_control_auth_key_failed(node->control, error, is_refused, now_ms);
}

void ts_node_control_key_fetched(struct ts_node *node, int http_status,
				 const char *body, size_t len,
				 const char *error, uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_control_key_fetched(node->control, http_status, body, len, error,
			       now_ms);
}

void ts_node_control_connected(struct ts_node *node, uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_control_connected(node->control, now_ms);
}

void ts_node_control_input(struct ts_node *node, const uint8_t *data,
			   size_t len, uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_control_input(node->control, data, len, now_ms);
}

void ts_node_control_closed(struct ts_node *node, const char *error,
			    uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_control_closed(node->control, error, now_ms);
}

void ts_node_udp_input(struct ts_node *node, const struct ts_addr *from,
		       struct ts_packet *pkt, uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_path_input_udp(node->path, from, pkt, now_ms);
}

void ts_node_udp_reuse(struct ts_node *node)
{
	stack_release(node->stack);
}

void ts_node_derp_opened(struct ts_node *node, int region,
			 const struct ts_public_key *meta_cert_key,
			 uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_path_derp_opened(node->path, region, meta_cert_key, now_ms);
}

void ts_node_derp_input(struct ts_node *node, int region, const uint8_t *data,
			size_t len, uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_path_derp_input(node->path, region, data, len, now_ms);
}

void ts_node_derp_closed(struct ts_node *node, int region, const char *error,
			 uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_path_derp_closed(node->path, region, error, now_ms);
}

void ts_node_derp_drained(struct ts_node *node, int region, uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_path_derp_drained(node->path, region, now_ms);
}

void ts_node_resolved(struct ts_node *node, const char *host,
		      const struct ts_ip *ips, size_t count, uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_path_resolved(node->path, host, ips, count, now_ms);
}

void ts_node_derp_latency(struct ts_node *node, int region,
			  uint64_t latency_us, uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_path_derp_latency(node->path, region, latency_us, now_ms);
}

const struct ts_net_info *ts_node_net_info(const struct ts_node *node)
{
	return &node->net_info;
}

int ts_node_netcheck(struct ts_node *node, uint64_t now_ms,
		     ts_path_report_fn fn, void *fn_ctx)
{
	node->now_ms = now_ms;
	return ts_path_check(node->path, now_ms, fn, fn_ctx);
}

void ts_node_local_endpoints(struct ts_node *node, const struct ts_addr *addrs,
			     size_t count, uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_path_set_local_endpoints(node->path, addrs, count, now_ms);
}

void node_tell_net_info(struct ts_node *node)
{
	if (node->has_net_info)
		ts_control_set_net_info(node->control, &node->net_info,
					node->now_ms);
}

void ts_node_port_mapping(struct ts_node *node, const struct ts_addr *external,
			  uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_path_set_port_mapping(node->path, external, now_ms);
	node->net_info.has_port_mapping = external != NULL;
	node->port_mapping = external ? *external : (struct ts_addr){0};
	node_tell_net_info(node);
}

bool ts_node_port_mapped(const struct ts_node *node, struct ts_addr *out)
{
	*out = node->port_mapping;
	return out->port != 0;
}

void ts_node_portmap_found(struct ts_node *node,
			   const struct ts_portmap_found *found,
			   uint64_t now_ms)
{
	node->now_ms = now_ms;
	node->net_info.pmp = found->by_kind[PORTMAP_PMP];
	node->net_info.pcp = found->by_kind[PORTMAP_PCP];
	node->net_info.upnp = found->by_kind[PORTMAP_UPNP];
	node_tell_net_info(node);
}

void ts_node_udp_refused(struct ts_node *node, const struct ts_addr *to,
			 uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_path_refused(node->path, to, now_ms);
}

void ts_node_network_changed(struct ts_node *node, uint64_t now_ms)
{
	node->now_ms = now_ms;
	ts_path_network_changed(node->path, now_ms);
	ts_control_network_changed(node->control, now_ms);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t ts_node_deadline_ms(const struct ts_node *node)
{
	uint64_t at = ts_control_deadline_ms(node->control);

	at = earlier(at, ts_wg_deadline_ms(node->wg));
	at = earlier(at, ts_path_deadline_ms(node->path));
	at = earlier(at, stack_deadline_ms(node->stack));
	at = earlier(at, node->expiry_check_ms);
	at = earlier(at, node_lock_deadline_ms(node));
	if (node->has_moved)
		at = earlier(at, node->now_ms);
	return earlier(at, node_ping_deadline_ms(node));
}

void ts_node_tick(struct ts_node *node, uint64_t now_ms)
{
	node->now_ms = now_ms;
	if (ts_control_deadline_ms(node->control) <= now_ms)
		ts_control_tick(node->control, now_ms);
	if (ts_wg_deadline_ms(node->wg) <= now_ms)
		ts_wg_tick(node->wg, now_ms);
	if (ts_path_deadline_ms(node->path) <= now_ms)
		ts_path_tick(node->path, now_ms);
	node_moved_tick(node);
	if (stack_deadline_ms(node->stack) <= now_ms)
		stack_tick(node->stack, now_ms);
	if (node->expiry_check_ms <= now_ms)
		node_update_state(node);
	node_lock_tick(node);
	node_ping_tick(node);
}

enum ts_node_state ts_node_state(const struct ts_node *node)
{
	return node->state;
}

const char *ts_node_error(const struct ts_node *node)
{
	return node->error;
}

const char *ts_node_auth_url(const struct ts_node *node)
{
	return node->auth_url;
}

const struct ts_netmap *ts_node_netmap(const struct ts_node *node)
{
	return ts_control_netmap(node->control);
}

struct stack *ts_node_stack(const struct ts_node *node)
{
	return node->stack;
}

struct ts_ip ts_node_ip(const struct ts_node *node, bool v6)
{
	const struct ts_netmap *map = ts_node_netmap(node);

	return map->self ? ts_peer_ip(map->self, v6) : TS_IP_ZERO;
}

const struct ts_prefs *ts_node_prefs(const struct ts_node *node)
{
	return &node->prefs;
}

void ts_node_public_key(const struct ts_node *node, struct ts_public_key *out)
{
	*out = node->node_public;
}

size_t ts_node_endpoints(const struct ts_node *node,
			 const struct ts_addr **out)
{
	return ts_path_endpoints(node->path, out);
}

int ts_node_home_region(const struct ts_node *node)
{
	return ts_path_home_region(node->path);
}

json_t *ts_node_peer_caps(const struct ts_node *node, const struct ts_ip *src)
{
	struct ts_ip own = ts_node_ip(node, !ts_ip_is_v4(src));

	return ts_filter_caps(node->filter, src, &own);
}

bool ts_node_in_map_poll(const struct ts_node *node)
{
	return node->control_state == TS_CONTROL_RUNNING;
}

json_t *ts_node_peer_caps_to(const struct ts_node *node,
			     const struct ts_ip *src, const struct ts_ip *dst)
{
	return ts_filter_caps(node->filter, src, dst);
}

bool ts_node_is_refused(const struct ts_node *node)
{
	return node->control_state == TS_CONTROL_FAILED;
}

bool ts_node_is_logged_out(const struct ts_node *node)
{
	return node->control_state == TS_CONTROL_LOGGED_OUT;
}

size_t ts_node_live_derps(const struct ts_node *node)
{
	const struct ts_derp_map *map = ts_node_netmap(node)->derp_map;
	size_t count = 0;

	for (size_t i = 0; map && i < map->region_count; i++)
		count += ts_path_derp_is_connected(node->path,
						   map->regions[i].id);
	return count;
}

int ts_node_request(struct ts_node *node, const char *path, const char *body,
		    ts_control_reply_fn fn, void *fn_ctx, uint64_t now_ms)
{
	node->now_ms = now_ms;
	return ts_control_request(node->control, path, body, fn, fn_ctx,
				  now_ms);
}

int ts_node_expire_at(struct ts_node *node, int64_t expiry_unix,
		      ts_control_reply_fn fn, void *fn_ctx, uint64_t now_ms)
{
	node->now_ms = now_ms;
	return ts_control_expire_at(node->control, expiry_unix, fn, fn_ctx,
				    now_ms);
}
