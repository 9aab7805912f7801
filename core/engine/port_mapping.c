/* SPDX-License-Identifier: BSD-3-Clause
 * port_mapping.c - when the gateway is asked for a port, and who hears of it
 *
 * From the first netmap on, so that the node's attributes count from the
 * first packet, and nobody waits for it: the node is up meanwhile. At the end
 * the mapping is given back while an ephemeral node logs out.
 */
#include "core/engine/engine_internal.h"

#include <errno.h>

static void on_changed(void *ctx, const struct ts_addr *external)
{
	struct ts_engine *engine = ctx;

	/* Who leaves need not tell anybody that the port has gone. */
	if (engine->phase == ENGINE_UP)
		ts_node_port_mapping(engine->node, external,
				     ts_loop_now_ms(engine->loop));
}

static void on_found(void *ctx, const struct ts_portmap_found *found)
{
	struct ts_engine *engine = ctx;

	if (engine->phase == ENGINE_UP)
		ts_node_portmap_found(engine->node, found,
				      ts_loop_now_ms(engine->loop));
}

static const struct ts_port_mapper_ops mapper_ops = {
	.changed = on_changed,
	.found = on_found,
};

int engine_open_mapper(struct ts_engine *engine)
{
	if (!engine->udp || !engine->config.direct ||
	    engine->config.disable_portmapper)
		return 0;
	engine->mapper = ts_port_mapper_new(engine->loop, engine->http,
					    &mapper_ops, engine);
	return engine->mapper ? 0 : -ENOMEM;
}

/* Nobody's, or TCP only: nothing to map. */
static uint16_t port_to_map(const struct ts_engine *engine)
{
	const struct ts_peer *self = ts_node_netmap(engine->node)->self;

	if (!self || ts_peer_has_cap(self, "only-tcp-443"))
		return 0;
	return ts_udp_port_number(engine->udp);
}

void engine_update_mapper(struct ts_engine *engine)
{
	if (!engine->mapper || engine->phase != ENGINE_UP)
		return;
	engine->mapper_port = port_to_map(engine);
	ts_port_mapper_update(engine->mapper, engine->mapper_port);
}

void engine_follow_mapper_attrs(void *ctx)
{
	struct ts_engine *engine = ctx;
	const struct ts_peer *self = ts_node_netmap(engine->node)->self;

	if (!engine->mapper || engine->phase != ENGINE_UP)
		return;
	ts_port_mapper_allow_upnp(
		engine->mapper,
		!engine->config.disable_upnp &&
			!(self && ts_peer_has_cap(self, "debug-disable-upnp")));
	if (port_to_map(engine) != engine->mapper_port)
		engine_update_mapper(engine);
}

void engine_release_mapper(struct ts_engine *engine)
{
	if (engine->mapper)
		ts_port_mapper_release(engine->mapper);
}

bool engine_is_unmapped(const struct ts_engine *engine)
{
	return !engine->mapper || ts_port_mapper_is_released(engine->mapper);
}
