/* SPDX-License-Identifier: BSD-3-Clause
 * udp_attributes.c - what the tailnet says of this node's UDP sockets
 * Source: tailcfg/tailcfg.go (NodeAttrDisableUDPGRO and its kin),
 * wgengine/magicsock/magicsock.go
 *
 * A kernel may be bad at bundles of datagrams; the tailnet's admin, or
 * Tailscale, can have a node do without. Upstream appends a byte to bundles of
 * equal datagrams; ours go one by one then.
 */
#include "core/engine/engine_internal.h"

void engine_follow_udp_attributes(void *ctx)
{
	struct ts_engine *engine = ctx;
	const struct ts_peer *self = ts_node_netmap(engine->node)->self;
	struct ts_udp_offload offload = {0};

	if (!engine->udp)
		return;
	if (self)
		offload = (struct ts_udp_offload){
			.no_bundles_in =
				ts_peer_has_cap(self, "disable-udp-gro"),
			.no_bundles_out =
				ts_peer_has_cap(self, "disable-udp-gso"),
			.no_equal_bundles =
				ts_peer_has_cap(self, "never-gso-equal-tail"),
		};
	ts_udp_port_set_offload(engine->udp, &offload);
}
