/* SPDX-License-Identifier: BSD-3-Clause
 * derp_map_json.c - read a DERPMap and merge it with the one before
 *
 * The merge is made on the JSON, field by field, and the result is read anew:
 * an absent or null Regions keeps the old set, a present one replaces all of
 * it; HomeParams likewise, and RegionScore in it.
 * Source: tailcfg/derpmap.go, control/controlclient/map.go
 */
#include "core/control/derp_map_json.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/json_fields.h"
#include "core/model/netmap_edit.h"

enum {
	STUN_PORT_DEFAULT = 3478,
	STUN_PORT_OFF = -1,
	DERP_PORT_DEFAULT = 443,
};

static int keep_old(json_t *merged, const json_t *old, const char *name)
{
	json_t *value = ts_json_get(old, name);

	return value && !ts_json_get(merged, name) &&
			       json_object_set(merged, name, value)
		       ? -ENOMEM
		       : 0;
}

static int merge_home_params(json_t *merged, const json_t *old)
{
	json_t *params = ts_json_object(merged, "HomeParams");
	json_t *copy;
	int err;

	if (!params)
		return keep_old(merged, old, "HomeParams");
	copy = json_copy(params);
	if (!copy)
		return -ENOMEM;
	err = keep_old(copy, ts_json_object(old, "HomeParams"),
		       "RegionScore");
	if (json_object_set_new(merged, "HomeParams", copy))
		err = -ENOMEM;
	return err;
}

static json_t *merge(json_t *json, const json_t *old)
{
	json_t *merged = json_copy(json);
	int err = 0;

	if (!merged)
		return NULL;
	if (old && !ts_json_object(merged, "Regions")) {
		/* With the regions goes the statement about them. */
		json_object_del(merged, "omitDefaultRegions");
		err = keep_old(merged, old, "Regions");
		if (!err)
			err = keep_old(merged, old, "omitDefaultRegions");
	}
	if (!err && old)
		err = merge_home_params(merged, old);
	if (!err)
		return merged;
	json_decref(merged);
	return NULL;
}

static int read_node(const json_t *json, struct ts_derp_node *node)
{
	int err = ts_json_dup(json, "Name", &node->name);

	if (!err)
		err = ts_json_dup(json, "HostName", &node->host_name);
	if (!err)
		err = ts_json_dup(json, "CertName", &node->cert_name);
	if (!err)
		err = ts_json_dup(json, "IPv4", &node->ipv4);
	if (!err)
		err = ts_json_dup(json, "IPv6", &node->ipv6);
	if (!err)
		err = ts_json_dup(json, "STUNTestIP", &node->stun_test_ip);
	node->region_id = ts_json_small(json, "RegionID", 0, INT_MAX);
	node->stun_port =
		ts_json_small(json, "STUNPort", STUN_PORT_OFF, UINT16_MAX);
	if (node->stun_port == 0)
		node->stun_port = STUN_PORT_DEFAULT;
	node->derp_port = ts_json_small(json, "DERPPort", 0, UINT16_MAX);
	if (node->derp_port == 0)
		node->derp_port = DERP_PORT_DEFAULT;
	node->stun_only = ts_json_bool(json, "STUNOnly");
	node->insecure_for_tests = ts_json_bool(json, "InsecureForTests");
	node->can_port80 = ts_json_bool(json, "CanPort80");
	return err;
}

static int read_region(const json_t *json, int id,
		       struct ts_derp_region *region)
{
	json_t *nodes = ts_json_array(json, "Nodes"), *node;
	size_t i;
	int err = ts_json_dup(json, "RegionCode", &region->code);

	region->id = id;
	if (!err)
		err = ts_json_dup(json, "RegionName", &region->name);
	region->avoid = ts_json_bool(json, "Avoid");
	region->no_measure_no_home = ts_json_bool(json, "NoMeasureNoHome");
	region->nodes =
		calloc(json_array_size(nodes) + 1, sizeof(*region->nodes));
	if (!region->nodes)
		return -ENOMEM;
	json_array_foreach (nodes, i, node)
		if (!err && json_is_object(node))
			err = read_node(node,
					&region->nodes[region->node_count++]);
	return err;
}

static int by_id(const void *a, const void *b)
{
	const struct ts_derp_region *ra = a, *rb = b;

	return (ra->id > rb->id) - (ra->id < rb->id);
}

static bool has_region(const struct ts_derp_map *map, int id)
{
	for (size_t i = 0; i < map->region_count; i++)
		if (map->regions[i].id == id)
			return true;
	return false;
}

static int read_regions(json_t *regions, struct ts_derp_map *map)
{
	const char *key;
	json_t *json;
	int64_t id;
	int err = 0;

	map->regions =
		calloc(json_object_size(regions) + 1, sizeof(*map->regions));
	if (!map->regions)
		return -ENOMEM;
	json_object_foreach (regions, key, json) {
		/* A null region is as if not listed; headscale sends some. */
		if (err || !json_is_object(json) || ts_int_parse(key, &id) ||
		    id <= 0 || id > INT_MAX || has_region(map, (int)id))
			continue;
		err = read_region(json, (int)id,
				  &map->regions[map->region_count++]);
	}
	if (map->region_count > 0)
		qsort(map->regions, map->region_count, sizeof(*map->regions),
		      by_id);
	return err;
}

static int read_scores(const json_t *raw, struct ts_derp_map *map)
{
	json_t *scores = ts_json_object(ts_json_object(raw, "HomeParams"),
					"RegionScore");
	const char *key;
	json_t *value;
	int64_t id;

	map->region_scores =
		calloc(map->region_count + 1, sizeof(*map->region_scores));
	if (!map->region_scores)
		return -ENOMEM;
	json_object_foreach (scores, key, value) {
		double score = ts_json_number(value);

		for (size_t i = 0; i < map->region_count; i++)
			if (score > 0 && !ts_int_parse(key, &id) &&
			    map->regions[i].id == id)
				map->region_scores[i] = score;
	}
	return 0;
}

int ts_derp_map_from_json(json_t *json, const struct ts_derp_map *old,
			  struct ts_derp_map **out)
{
	struct ts_derp_map *map;
	int err;

	if (!json_is_object(json))
		return -EBADMSG;
	map = calloc(1, sizeof(*map));
	if (!map)
		return -ENOMEM;
	map->raw = merge(json, old ? old->raw : NULL);
	err = map->raw ? read_regions(ts_json_object(map->raw, "Regions"), map)
		       : -ENOMEM;
	if (!err)
		err = read_scores(map->raw, map);
	if (err)
		ts_derp_map_free(map);
	else
		*out = map;
	return err;
}
