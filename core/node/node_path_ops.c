/* SPDX-License-Identifier: BSD-3-Clause
 * node_path_ops.c - what the path asks of its node, and tells it
 *
 * Packets that arrived go to node_packets.c; the sockets and relays are the
 * owner's (struct ts_node_io).
 */

#include "core/base/log.h"
#include "core/node/node_internal.h"
#include "core/path/netcheck.h"

/* -- sockets and relays --------------------------------------------------- */

static void on_udp_send(void *ctx, const struct ts_addr *to,
			const uint8_t *pkt, size_t len)
{
	struct ts_node *node = ctx;

	node->io.udp_send(node->io_ctx, to, pkt, len);
}

static void on_udp_send_whole(void *ctx, const struct ts_addr *to,
			      const uint8_t *pkt, size_t len)
{
	struct ts_node *node = ctx;

	node->io.udp_send_whole(node->io_ctx, to, pkt, len);
}

static void on_derp_write(void *ctx, int region, const uint8_t *data,
			  size_t len)
{
	struct ts_node *node = ctx;

	node->io.derp_write(node->io_ctx, region, data, len);
}

static void on_derp_open(void *ctx, int region,
			 const struct ts_derp_node *derp_node)
{
	struct ts_node *node = ctx;

	node->io.derp_open(node->io_ctx, region, derp_node);
}

static void on_derp_close(void *ctx, int region)
{
	struct ts_node *node = ctx;

	node->io.derp_close(node->io_ctx, region);
}

static size_t on_derp_queued(void *ctx, int region)
{
	struct ts_node *node = ctx;

	return node->io.derp_queued(node->io_ctx, region);
}

static void on_derp_latency(void *ctx, int region,
			    const struct ts_derp_node *derp_node)
{
	struct ts_node *node = ctx;

	node->io.derp_latency(node->io_ctx, region, derp_node);
}

static void on_derp_latency_cancel(void *ctx)
{
	struct ts_node *node = ctx;

	node->io.derp_latency_cancel(node->io_ctx);
}

static void on_resolve(void *ctx, const char *host)
{
	struct ts_node *node = ctx;

	node->io.resolve(node->io_ctx, host);
}

/* -- news ----------------------------------------------------------------- */

static void on_derp_health(void *ctx, int region, const char *problem)
{
	node_health_derp(ctx, region, problem);
	if (problem)
		log_warn("derp-%d: %s", region, problem);
}

static void on_endpoints_changed(void *ctx, const struct ts_addr *endpoints,
				 const int *types, size_t count)
{
	struct ts_node *node = ctx;

	ts_control_set_endpoints(node->control, endpoints, types, count,
				 node->now_ms);
}

static void add_latency(struct ts_net_info *info, int region, bool v6,
			uint64_t us)
{
	if (info->latency_count < TS_DERP_LATENCIES_MAX)
		info->latencies[info->latency_count++] =
			(struct ts_derp_latency){region, v6, (uint32_t)us};
}

static void set_latencies(struct ts_net_info *info,
			  const struct ts_netcheck_report *report)
{
	info->latency_count = 0;
	for (size_t i = 0; i < report->region_count; i++) {
		const struct ts_netcheck_region *r = &report->regions[i];

		if (r->has_v4)
			add_latency(info, r->id, false, r->v4_us);
		if (r->has_v6)
			add_latency(info, r->id, true, r->v6_us);
	}
}

static void on_net_info_changed(void *ctx, int home_region,
				const struct ts_netcheck_report *report)
{
	struct ts_node *node = ctx;
	struct ts_net_info *info = &node->net_info;

	info->preferred_derp = home_region;
	info->mapping_varies = report->mapping_varies;
	info->working_udp = report->working_udp;
	info->working_ipv6 = report->working_ipv6;
	set_latencies(info, report);
	node->has_net_info = true;
	node_tell_net_info(node);
	node_exit_home_changed(node);
}

static void on_derp_ready(void *ctx, int region, bool connected)
{
	struct ts_node *node = ctx;

	log_debug("derp-%d: first connect %s", region,
		  connected ? "succeeded" : "failed");
	node->derp_tried = true;
	node_update_state(node);
}

static void on_peer_mtu_changed(void *ctx, struct ts_path_peer *peer,
				size_t mtu)
{
	const struct ts_node *node = ctx;

	(void)peer;
	(void)mtu;
	stack_path_changed(node->stack);
}

static void on_peer_moved(void *ctx, struct ts_path_peer *peer)
{
	node_peer_moved(ctx, ts_path_peer_ctx(peer));
}

/* -- who sends ------------------------------------------------------------ */

static struct ts_path_peer *on_unknown_sender(void *ctx,
					      const struct ts_public_key *key)
{
	struct ts_node *node = ctx;
	struct ts_peer *peer =
		ts_netmap_peer_by_key(ts_node_netmap(node), key);
	struct node_peer *np = peer ? node_peer_get(node, peer) : NULL;

	return np ? np->path : NULL;
}

static struct ts_path_peer *on_unknown_disco(void *ctx,
					     const struct ts_public_key *key)
{
	struct ts_node *node = ctx;
	struct node_peer *np = ts_key_map_get(&node->disco_ids, key->bytes);

	np = np ? node_peer_get(node, np->peer) : NULL;
	return np ? np->path : NULL;
}

static void on_disco_seen(void *ctx, const struct ts_path_peer *peer,
			  const struct ts_path_addr *from,
			  const uint8_t *payload, size_t len)
{
	struct ts_node *node = ctx;

	if (node->capture)
		node_capture_disco(node, peer, from, payload, len);
}

const struct ts_path_ops node_path_ops = {
	.disco_seen = on_disco_seen,
	.udp_send = on_udp_send,
	.udp_send_whole = on_udp_send_whole,
	.derp_write = on_derp_write,
	.derp_open = on_derp_open,
	.derp_close = on_derp_close,
	.derp_queued = on_derp_queued,
	.derp_health = on_derp_health,
	.derp_latency = on_derp_latency,
	.derp_latency_cancel = on_derp_latency_cancel,
	.peer_mtu_changed = on_peer_mtu_changed,
	.peer_moved = on_peer_moved,
	.resolve = on_resolve,
	.wireguard = node_path_input,
	.unknown_sender = on_unknown_sender,
	.unknown_disco = on_unknown_disco,
	.endpoints_changed = on_endpoints_changed,
	.net_info_changed = on_net_info_changed,
	.derp_ready = on_derp_ready,
};
