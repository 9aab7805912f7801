/* SPDX-License-Identifier: BSD-3-Clause
 * node_input.c - what the owner's sockets, timers and look-ups have for a node
 *
 * Each call says what time it is, and goes on to the core that it is for.
 */
#include "core/node/node_internal.h"

/* -- the control server --------------------------------------------------- */

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

/* -- peers ---------------------------------------------------------------- */

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

/* -- the network ---------------------------------------------------------- */

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
