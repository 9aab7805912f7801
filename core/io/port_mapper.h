/* SPDX-License-Identifier: BSD-3-Clause
 * port_mapper.h - the port mapping's sockets, requests and timer
 *
 * Carries out what core/path/portmap.h decides. Nothing is opened, and nothing
 * sent, where there is no private IPv4 gateway.
 */
#ifndef CORE_IO_PORT_MAPPER_H
#define CORE_IO_PORT_MAPPER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/io/http_client.h"
#include "core/loop/loop.h"
#include "core/path/portmap.h"

struct ts_port_mapper_ops {
	/* As in ts_portmap_ops. */
	void (*changed)(void *ctx, const struct ts_addr *external);
	void (*found)(void *ctx, const struct ts_portmap_found *found);
};

struct ts_port_mapper;
/* NULL: out of memory. Does nothing until it is told of a port. */
struct ts_port_mapper *
ts_port_mapper_new(struct ts_loop *loop, struct ts_http_client *http,
		   const struct ts_port_mapper_ops *ops, void *ctx);
void ts_port_mapper_free(struct ts_port_mapper *m); /* NULL is fine */
/* Our UDP port (0: nothing to map), at the start and whenever the network may
 * have changed: looks for the gateway. */
void ts_port_mapper_update(struct ts_port_mapper *m, uint16_t port);
/* The same with a gateway that was named, whoever is the default one. */
void ts_port_mapper_set_network(struct ts_port_mapper *m,
				const struct ts_portmap_network *network);
/* As in portmap.h. */
void ts_port_mapper_allow_only(struct ts_port_mapper *m,
			       enum ts_portmap_kind kind);
void ts_port_mapper_allow_upnp(struct ts_port_mapper *m, bool allowed);
void ts_port_mapper_release(struct ts_port_mapper *m);
bool ts_port_mapper_is_released(const struct ts_port_mapper *m);

#endif
