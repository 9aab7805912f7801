/* SPDX-License-Identifier: BSD-3-Clause
 * lab_map_update.c - what a client publishes about itself
 *
 * NetInfo stays out of the Hostinfo that others get: it changes with every
 * measurement, and all that matters of it is the home DERP.
 * Source: tailcfg/tailcfg.go (MapRequest)
 */
#include "tests/lab/lab_map_update.h"

#include "core/base/addr.h"
#include "core/base/log.h"
#include "tests/lab/lab_routes.h"

enum { ENDPOINTS_MAX = 64 };

static json_t *usable_endpoints(const json_t *list)
{
	json_t *out = json_array();
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		struct ts_addr addr;

		if (i < ENDPOINTS_MAX && json_is_string(item) &&
		    !ts_addr_parse(json_string_value(item), &addr) &&
		    (ts_ip_is_v4(&addr.ip) || !ts_ip_is_link_local(&addr.ip)))
			json_array_append(out, item);
	}
	return out;
}

static bool take_network(struct lab_node *node, const json_t *body)
{
	json_t *endpoints =
		usable_endpoints(json_object_get(body, "Endpoints"));
	const json_t *net =
		json_object_get(json_object_get(body, "Hostinfo"), "NetInfo");
	int derp =
		(int)json_integer_value(json_object_get(net, "PreferredDERP"));
	bool changed = !json_equal(endpoints, node->endpoints);
	struct ts_public_key disco;

	lab_json_replace(&node->endpoints, endpoints);
	if (!lab_json_key(body, "DiscoKey", TS_PREFIX_DISCO, &disco) &&
	    !ts_public_key_is_zero(&disco) &&
	    !ts_public_key_equal(&disco, &node->disco)) {
		node->disco = disco;
		changed = true;
	}
	if (derp > 0 && derp != node->home_derp) {
		node->home_derp = derp;
		changed = true;
	}
	return changed;
}

static bool take_hostinfo(struct lab_node *node, const json_t *body)
{
	json_t *hostinfo = json_object_get(body, "Hostinfo");
	json_t *net_info = json_object_get(hostinfo, "NetInfo");

	if (!json_is_object(hostinfo))
		return false;
	if (json_is_object(net_info))
		lab_json_replace(&node->net_info, json_incref(net_info));
	hostinfo = json_deep_copy(hostinfo);
	json_object_del(hostinfo, "NetInfo");
	if (json_equal(hostinfo, node->hostinfo)) {
		json_decref(hostinfo);
		return false;
	}
	lab_json_replace(&node->hostinfo, hostinfo);
	return true;
}

void lab_map_update(struct lab_state *st, struct lab_node *node,
		    const json_t *body)
{
	json_int_t version =
		json_integer_value(json_object_get(body, "Version"));
	bool network = take_network(node, body);
	bool full = take_hostinfo(node, body);

	if (version > 0 && version != node->cap_version) {
		node->cap_version = (int)version;
		full = true;
	}
	if (full)
		lab_node_changed(st, node, LAB_CHANGE_FULL);
	else if (network)
		lab_node_changed(st, node, LAB_CHANGE_PATCH);
	if (network)
		log_debug("node-%lld: %s: %zu endpoints, DERP %d",
			  (long long)node->id, node->name,
			  json_array_size(node->endpoints), node->home_derp);
}
