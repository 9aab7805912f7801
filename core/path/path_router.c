/* SPDX-License-Identifier: BSD-3-Clause
 * path_router.c - the router as a whole: set-up, time, what others ask
 */
#include "core/path/path_router.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/path/path_internal.h"

enum {
	RX_BUF_LEN =
		TS_PACKET_HEADROOM + DERP_PACKET_MAX_LEN + TS_PACKET_TAILROOM,
};

/* -- DERP pool: mostly handed on ------------------------------------------ */

static void pool_open(void *ctx, int region, const struct ts_derp_node *node)
{
	struct ts_path *path = ctx;

	path->ops->derp_open(path->ctx, region, node);
}

static void pool_close(void *ctx, int region)
{
	struct ts_path *path = ctx;

	path->ops->derp_close(path->ctx, region);
}

static void pool_write(void *ctx, int region, const uint8_t *data, size_t len)
{
	struct ts_path *path = ctx;

	path->ops->derp_write(path->ctx, region, data, len);
}

static size_t pool_queued(void *ctx, int region)
{
	struct ts_path *path = ctx;

	return path->ops->derp_queued
		       ? path->ops->derp_queued(path->ctx, region)
		       : 0;
}

static void pool_peer_gone(void *ctx, int region,
			   const struct ts_public_key *key)
{
	struct ts_path_peer *peer = ts_path_find_node(ctx, key);

	if (peer && peer->route.region == region)
		peer->route = (struct ts_derp_route){0};
}

static void pool_health(void *ctx, int region, const char *problem)
{
	struct ts_path *path = ctx;

	if (path->ops->derp_health)
		path->ops->derp_health(path->ctx, region, problem);
}

static const struct ts_derp_pool_ops pool_ops = {
	.open = pool_open,
	.close = pool_close,
	.write = pool_write,
	.queued = pool_queued,
	.up = ts_path_region_up,
	.down = ts_path_region_down,
	.packet = ts_path_derp_packet,
	.peer_gone = pool_peer_gone,
	.health = pool_health,
};

void ts_path_derp_opened(struct ts_path *path, int region,
			 const struct ts_public_key *meta_cert_key,
			 uint64_t now_ms)
{
	path->now_ms = now_ms;
	ts_derp_pool_opened(&path->pool, region, meta_cert_key, now_ms);
}

void ts_path_derp_input(struct ts_path *path, int region, const uint8_t *data,
			size_t len, uint64_t now_ms)
{
	path->now_ms = now_ms;
	ts_derp_pool_input(&path->pool, region, data, len, now_ms);
	ts_path_flush_probes(path);
}

void ts_path_derp_closed(struct ts_path *path, int region, const char *error,
			 uint64_t now_ms)
{
	path->now_ms = now_ms;
	ts_derp_pool_closed(&path->pool, region, error, now_ms);
}

void ts_path_derp_drained(struct ts_path *path, int region, uint64_t now_ms)
{
	path->now_ms = now_ms;
	ts_derp_pool_drained(&path->pool, region, now_ms);
}

/* -- set-up --------------------------------------------------------------- */

struct ts_path *ts_path_new(const struct ts_path_config *config,
			    const struct ts_path_ops *ops, void *ctx)
{
	struct ts_path *path = calloc(1, sizeof(*path));

	if (!path)
		return NULL;
	path->rx_buf = malloc(RX_BUF_LEN);
	if (!path->rx_buf) {
		free(path);
		return NULL;
	}
	path->config = *config;
	path->ops = ops;
	path->ctx = ctx;
	path->config.endpoints = NULL;
	ts_endpoints_set_static(&path->endpoints, config->endpoints,
				config->endpoint_count);
	path->next_check_ms = UINT64_MAX;
	ts_public_key_from_private(&config->node_key, &path->node_public);
	ts_public_key_from_private(&config->disco_key, &path->disco_public);
	ts_key_map_init(&path->by_node_key, TS_KEY_LEN, ts_random_u64());
	ts_key_map_init(&path->by_disco_key, TS_KEY_LEN, ts_random_u64());
	ts_key_map_init(&path->by_source, PATH_SOURCE_KEY_LEN, ts_random_u64());
	ts_relay_client_init(&path->relays, &TS_PATH_RELAY_OPS, path);
	ts_derp_pool_init(&path->pool, &config->node_key, &pool_ops, path);
	ts_netcheck_init(&path->netcheck, &TS_PATH_NETCHECK_OPS, path);
	return path;
}

void ts_path_free(struct ts_path *path)
{
	struct ts_path_peer *peer;
	size_t pos = 0;

	if (!path)
		return;
	while ((peer = ts_key_map_next(&path->by_node_key, &pos)))
		ts_path_peer_free(peer);
	ts_path_flush_probes(path);
	ts_path_end_asked(path, NULL);
	ts_derp_pool_deinit(&path->pool);
	ts_netcheck_deinit(&path->netcheck);
	ts_derp_names_deinit(&path->names);
	ts_relay_client_deinit(&path->relays);
	ts_home_history_deinit(&path->history);
	ts_timer_heap_deinit(&path->timers);
	ts_key_map_deinit(&path->by_node_key);
	ts_key_map_deinit(&path->by_disco_key);
	ts_key_map_deinit(&path->by_source);
	free(path->rx_buf);
	ts_wipe(path, sizeof(*path));
	free(path);
}

void ts_path_set_node_key(struct ts_path *path,
			  const struct ts_private_key *node_key,
			  uint64_t now_ms)
{
	path->now_ms = now_ms;
	path->config.node_key = *node_key;
	ts_public_key_from_private(node_key, &path->node_public);
	ts_derp_pool_set_key(&path->pool, node_key, now_ms);
}

void ts_path_set_disco_key(struct ts_path *path,
			   const struct ts_private_key *disco_key)
{
	path->config.disco_key = *disco_key;
	ts_public_key_from_private(disco_key, &path->disco_public);
}

void ts_path_set_derp_map(struct ts_path *path, const struct ts_derp_map *map,
			  uint64_t now_ms)
{
	path->now_ms = now_ms;
	path->map = map;
	path->race.count = 0;
	ts_netcheck_cancel(&path->netcheck);
	if (ts_derp_names_set_map(&path->names, map) != 0)
		log_warn("path: some relays are not measured: out of memory");
	ts_derp_pool_set_map(&path->pool, map, now_ms);
	path->next_check_ms = UINT64_MAX;
	if (map)
		ts_path_check_network(path, true);
	else
		ts_path_tell_net_info(path);
	if (!map)
		ts_path_end_asked(path, NULL);
}

void ts_path_set_local_endpoints(struct ts_path *path,
				 const struct ts_addr *addrs, size_t count,
				 uint64_t now_ms)
{
	path->now_ms = now_ms;
	if (ts_endpoints_set_local(&path->endpoints, addrs, count))
		ts_path_tell_endpoints(path);
}

void ts_path_configure(struct ts_path *path,
		       const struct ts_path_settings *settings,
		       uint64_t now_ms)
{
	bool was_tcp_only = path->settings.tcp_only;
	struct ts_path_peer *peer;
	size_t pos = 0;

	path->now_ms = now_ms;
	path->settings = *settings;
	while ((peer = ts_key_map_next(&path->by_node_key, &pos))) {
		ts_path_peer_configure(peer);
		ts_path_peer_rearm(peer);
	}
	ts_path_flush_probes(path);
	if (was_tcp_only == settings->tcp_only)
		return;
	ts_netcheck_cancel(&path->netcheck);
	ts_path_check_network(path, true);
}

bool ts_path_is_direct_allowed(const struct ts_path *path)
{
	return !path->config.disable_direct && !path->settings.tcp_only;
}

void ts_path_set_relays(struct ts_path *path,
			const struct ts_relay_server *relays, size_t count)
{
	ts_relay_client_set_servers(&path->relays, relays, count);
}

void ts_path_set_port_mapping(struct ts_path *path, const struct ts_addr *addr,
			      uint64_t now_ms)
{
	path->now_ms = now_ms;
	if (ts_endpoints_set_port_mapping(&path->endpoints, addr))
		ts_path_tell_endpoints(path);
}

void ts_path_set_control_up(struct ts_path *path, bool up)
{
	path->control_up = up;
}

void ts_path_network_changed(struct ts_path *path, uint64_t now_ms)
{
	struct ts_path_peer *peer;
	size_t pos = 0;

	path->now_ms = now_ms;
	ts_endpoints_network_changed(&path->endpoints);
	ts_derp_pool_check(&path->pool, now_ms);
	ts_netcheck_cancel(&path->netcheck);
	path->next_full_ms = now_ms; /* the check that a call waits for, too */
	while ((peer = ts_key_map_next(&path->by_node_key, &pos))) {
		ts_disco_peer_network_changed(&peer->disco, now_ms);
		ts_path_peer_rearm(peer);
	}
	ts_path_resolve_names(path, true);
	ts_path_check_network(path, true);
}

void ts_path_refused(struct ts_path *path, const struct ts_addr *to,
		     uint64_t now_ms)
{
	struct ts_path_addr from = {.addr = *to};
	struct ts_path_peer *peer = ts_path_find_source(path, &from);

	path->now_ms = now_ms;
	if (peer && ts_disco_peer_refused(&peer->disco, to, now_ms))
		ts_path_peer_rearm(peer);
}

/* -- time ----------------------------------------------------------------- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t ts_path_deadline_ms(const struct ts_path *path)
{
	uint64_t at_ms = ts_timer_heap_deadline_ms(&path->timers);

	at_ms = earlier(at_ms, ts_derp_pool_deadline_ms(&path->pool));
	at_ms = earlier(at_ms, ts_netcheck_deadline_ms(&path->netcheck));
	at_ms = earlier(at_ms, ts_relay_client_deadline_ms(&path->relays));
	return earlier(at_ms, path->next_check_ms);
}

static struct ts_path_peer *timer_peer(struct ts_heap_timer *t)
{
	return (struct ts_path_peer *)(void *)((char *)t -
					       offsetof(struct ts_path_peer,
							timer));
}

void ts_path_tick(struct ts_path *path, uint64_t now_ms)
{
	struct ts_heap_timer *due;

	path->now_ms = now_ms;
	ts_derp_pool_tick(&path->pool, now_ms);
	ts_netcheck_tick(&path->netcheck, now_ms);
	ts_relay_client_tick(&path->relays, now_ms);
	while ((due = ts_timer_heap_take_due(&path->timers, now_ms))) {
		struct ts_path_peer *peer = timer_peer(due);

		ts_disco_peer_tick(&peer->disco, now_ms);
		ts_path_peer_rearm(peer);
	}
	if (now_ms >= path->next_check_ms)
		ts_path_check_network(path, false);
	ts_path_flush_probes(path);
}

/* -- ping ----------------------------------------------------------------- */

struct ping_call {
	ts_path_ping_fn cb;
	void *cb_ctx;
	int region; /* that a ping through DERP went to */
};

static void ping_ended(void *ctx, int err, uint64_t latency_us,
		       const struct ts_path_addr *to, bool is_derp)
{
	struct ping_call *call = ctx;
	struct ts_path_pong pong = {
		.latency_us = latency_us,
		.from = *to,
		.derp_region = is_derp ? call->region : 0,
	};

	if (is_derp)
		pong.from.addr = ts_path_derp_addr(call->region);

	call->cb(call->cb_ctx, err, err ? NULL : &pong);
	free(call);
}

static int start_ping(struct ts_path_peer *peer, size_t size,
		      ts_path_ping_fn cb, void *cb_ctx)
{
	struct ts_path *path = peer->path;
	struct ping_call *call;
	int err;

	if (!ts_path_peer_box(peer))
		return -EHOSTUNREACH;
	call = calloc(1, sizeof(*call));
	if (!call)
		return -ENOMEM;
	call->cb = cb;
	call->cb_ctx = cb_ctx;
	call->region =
		ts_derp_pool_pick(&path->pool, peer->home_derp, &peer->route);
	/* It is traffic: a direct path is looked for, and kept. */
	ts_path_note_activity(path);
	ts_disco_peer_sent(&peer->disco, path->now_ms);
	err = ts_disco_peer_probe(&peer->disco, call->region != 0, size,
				  ping_ended, call, path->now_ms);
	if (err)
		free(call);
	ts_path_peer_rearm(peer);
	return err;
}

void ts_path_ping(struct ts_path *path, struct ts_path_peer *peer, size_t size,
		  uint64_t now_ms, ts_path_ping_fn cb, void *cb_ctx)
{
	int err;

	path->now_ms = now_ms;
	err = start_ping(peer, size, cb, cb_ctx);
	if (err)
		cb(cb_ctx, err, NULL);
	ts_path_flush_probes(path);
}

/* -- what others ask ------------------------------------------------------ */

/* The endpoint that packets go to, while it answers. */
static void plain_status(const struct ts_path_peer *peer, uint64_t now_ms,
			 struct ts_path_peer_status *out)
{
	const struct ts_disco_candidates *c = &peer->disco.candidates;

	if (peer->plain_index >= c->count || peer->plain_heard_ms == 0 ||
	    now_ms >= peer->plain_heard_ms + PATH_PLAIN_HEARD_MS)
		return;
	out->is_direct = true;
	out->best = c->at[peer->plain_index].to;
}

void ts_path_peer_status(const struct ts_path *path,
			 const struct ts_path_peer *peer, uint64_t now_ms,
			 struct ts_path_peer_status *out)
{
	int region =
		ts_derp_pool_pick(&path->pool, peer->home_derp, &peer->route);

	bool is_trusted = ts_disco_peer_is_trusted(&peer->disco, now_ms);

	*out = (struct ts_path_peer_status){
		.is_direct = is_trusted && peer->disco.best.to.vni == 0,
		.is_relayed = is_trusted && peer->disco.best.to.vni != 0,
		.derp_region = region ? region : peer->home_derp,
		.last_send_ms = peer->last_send_ms,
	};
	out->active = peer->last_send_ms != 0 &&
		      now_ms < peer->last_send_ms + DISCO_SESSION_ACTIVE_MS;
	if (is_trusted)
		out->best = peer->disco.best.to;
	if (peer->is_wireguard_only)
		plain_status(peer, now_ms, out);
}

size_t ts_path_peer_mtu(const struct ts_path_peer *peer)
{
	return ts_disco_peer_mtu(&peer->disco);
}

int ts_path_home_region(const struct ts_path *path)
{
	return path->pool.home;
}

bool ts_path_derp_is_connected(const struct ts_path *path, int region)
{
	return ts_derp_pool_is_ready(&path->pool, region);
}

uint64_t ts_path_home_lost_ms(const struct ts_path *path)
{
	return path->home_lost_ms;
}

size_t ts_path_endpoints(const struct ts_path *path, const struct ts_addr **out)
{
	*out = path->endpoints.addrs;
	return ts_path_is_direct_allowed(path) ? path->endpoints.count : 0;
}
