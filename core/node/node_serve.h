/* SPDX-License-Identifier: BSD-3-Clause
 * node_serve.h - what the node serves by itself, and what it hosts for others
 *
 * The serve configuration is stored and checked by whoever sets it
 * (core/localapi/serve_routes.c, core/engine/serve_store.c); here it takes
 * effect: the control server hears of Funnel and of services, and packets for
 * the addresses of services that we host are let in.
 */
#ifndef CORE_NODE_NODE_SERVE_H
#define CORE_NODE_NODE_SERVE_H

#include <jansson.h>

#include "core/base/addr.h"

struct ts_node;

/* As core/serve/serve_config.h has it; NULL: none. Whoever keeps it for longer
 * than a call takes a reference. */
const json_t *ts_node_serve(const struct ts_node *node);
/* Takes config, which may be NULL. */
void ts_node_set_serve(struct ts_node *node, json_t *config, uint64_t now_ms);
/* [VIPService], as the control server asks for them. New; NULL: no memory. */
json_t *ts_node_vip_services(const struct ts_node *node);
/* The service ("svc:...") that we host at this address; NULL: none. */
const char *ts_node_vip_name(const struct ts_node *node,
			     const struct ts_ip *ip);

#endif
