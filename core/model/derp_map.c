/* SPDX-License-Identifier: BSD-3-Clause
 * derp_map.c - the map of the relay servers: memory and look-up
 */
#include <stdlib.h>

#include "core/model/json_fields.h"
#include "core/model/netmap.h"
#include "core/model/netmap_edit.h"

static void node_deinit(struct ts_derp_node *node)
{
	free(node->name);
	free(node->host_name);
	free(node->cert_name);
	free(node->ipv4);
	free(node->ipv6);
	free(node->stun_test_ip);
}

static void region_deinit(struct ts_derp_region *region)
{
	for (size_t i = 0; i < region->node_count; i++)
		node_deinit(&region->nodes[i]);
	free(region->nodes);
	free(region->code);
	free(region->name);
}

void ts_derp_map_free(struct ts_derp_map *map)
{
	if (!map)
		return;
	for (size_t i = 0; i < map->region_count; i++)
		region_deinit(&map->regions[i]);
	free(map->regions);
	free(map->region_scores);
	json_decref(map->raw);
	free(map);
}

const struct ts_derp_region *ts_derp_map_region(const struct ts_derp_map *map,
						int id)
{
	size_t low = 0, high = map ? map->region_count : 0;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (map->regions[mid].id == id)
			return &map->regions[mid];
		if (map->regions[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}
