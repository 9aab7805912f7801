/* SPDX-License-Identifier: BSD-3-Clause
 * node_serve.c - what the node serves by itself, and what it hosts for others
 *
 * A service is hosted when we offer it (by the configuration or by the
 * preference) and the control server has given it addresses here. Those then
 * count as networks that we route (node_forward.c), for the filter and for the
 * stack; nothing is forwarded for them, as core/host asks for the service
 * first.
 * Source: ipn/ipnlocal/serve.go (maybeUpdateHostinfo...), ipn/ipnlocal/local.go
 *   (addServiceIPs)
 */
#include "core/node/node_serve.h"

#include <stdlib.h>
#include <string.h>

#include "core/model/json_fields.h"
#include "core/node/node_internal.h"
#include "core/serve/funnel_rule.h"
#include "core/serve/vip_services.h"

enum { VIPS_MAX = 256 };

const json_t *ts_node_serve(const struct ts_node *node)
{
	return node->serve.config;
}

static const json_t *advertised(const struct ts_node *node)
{
	return ts_json_array(node->prefs.unknown, "AdvertiseServices");
}

json_t *ts_node_vip_services(const struct ts_node *node)
{
	return ts_vip_services(node->serve.config, advertised(node));
}

/* -- what the server hears ------------------------------------------------ */

static void tell_server(struct ts_node *node)
{
	const json_t *config = node->serve.config;
	struct ts_control_serve serve = {
		.ingress_enabled = ts_serve_is_funnel_on(config),
	};
	json_t *services = ts_node_vip_services(node);

	serve.wire_ingress = !serve.ingress_enabled &&
			     ts_serve_has_funnel(config);
	if (!services || ts_vip_services_hash(services, serve.services_hash))
		log_error("node-%s: the control server does not learn of all "
			  "services: out of memory", node->prefs.hostname);
	json_decref(services);
	ts_control_set_serve(node->control, &serve, node->now_ms);
}

/* -- addresses of services ------------------------------------------------ */

static const json_t *mapping(const struct ts_node *node)
{
	const struct ts_peer *self = ts_node_netmap(node)->self;

	return self ? ts_vip_mapping(self->cap_map) : NULL;
}

static bool is_offered(const struct ts_node *node, const char *name)
{
	json_t *item;
	size_t i;

	if (json_object_get(json_object_get(node->serve.config, "Services"),
			    name))
		return true;
	json_array_foreach((json_t *)(uintptr_t)advertised(node), i, item)
		if (json_is_string(item) &&
		    strcmp(json_string_value(item), name) == 0)
			return true;
	return false;
}

static size_t collect(const struct ts_node *node,
		      struct ts_prefix out[static VIPS_MAX])
{
	const char *name;
	json_t *list, *item;
	size_t i, count = 0;

	json_object_foreach((json_t *)(uintptr_t)mapping(node), name, list) {
		if (!is_offered(node, name))
			continue;
		json_array_foreach(list, i, item) {
			struct ts_prefix p = {.bits = 128};

			if (count == VIPS_MAX || !json_is_string(item) ||
			    ts_ip_parse(json_string_value(item), &p.ip) ||
			    !ts_ip_is_tailscale(&p.ip))
				continue;
			out[count++] = p;
		}
	}
	return count;
}

static bool is_same(const struct node_serve *s, const struct ts_prefix *vips,
		    size_t count)
{
	if (s->vip_count != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!ts_prefix_equal(&s->vips[i], &vips[i]))
			return false;
	return true;
}

bool node_serve_update(struct ts_node *node)
{
	struct node_serve *s = &node->serve;
	struct ts_prefix vips[VIPS_MAX], *copy;
	size_t count = collect(node, vips);

	if (is_same(s, vips, count))
		return false;
	copy = calloc(count + 1, sizeof(*copy));
	if (!copy) {
		log_error("node-%s: hosts no other services than before: out "
			  "of memory", node->prefs.hostname);
		return false;
	}
	memcpy(copy, vips, count * sizeof(*copy));
	free(s->vips);
	s->vips = copy;
	s->vip_count = count;
	log_info("node-%s: hosts services at %zu addresses",
		 node->prefs.hostname, count);
	return true;
}

const char *ts_node_vip_name(const struct ts_node *node,
			     const struct ts_ip *ip)
{
	for (size_t i = 0; i < node->serve.vip_count; i++)
		if (ts_ip_equal(&node->serve.vips[i].ip, ip))
			return ts_vip_name_of(mapping(node), ip);
	return NULL;
}

/* -- changes -------------------------------------------------------------- */

void node_serve_follow(struct ts_node *node)
{
	tell_server(node);
	if (!node_serve_update(node))
		return;
	node_filter_refresh(node);
	stack_routes_changed(node->stack);
}

void ts_node_set_serve(struct ts_node *node, json_t *config, uint64_t now_ms)
{
	node->now_ms = now_ms;
	json_decref(node->serve.config);
	node->serve.config = config;
	node_serve_follow(node);
	if (node->io.serve_changed)
		node->io.serve_changed(node->io_ctx);
}

void node_serve_deinit(struct ts_node *node)
{
	json_decref(node->serve.config);
	free(node->serve.vips);
	free(node->serve.nets);
	memset(&node->serve, 0, sizeof(node->serve));
}

/* Without memory the services are not reached. */
struct ts_local_routes node_serve_nets(struct ts_node *node,
				       struct ts_local_routes routes)
{
	struct node_serve *s = &node->serve;

	free(s->nets);
	s->nets = NULL;
	if (s->vip_count == 0)
		return routes;
	s->nets = calloc(routes.route_count + s->vip_count, sizeof(*s->nets));
	if (!s->nets)
		return routes;
	if (routes.route_count > 0)
		memcpy(s->nets, routes.routes,
		       routes.route_count * sizeof(*s->nets));
	memcpy(s->nets + routes.route_count, s->vips,
	       s->vip_count * sizeof(*s->nets));
	routes.routes = s->nets;
	routes.route_count += s->vip_count;
	return routes;
}
