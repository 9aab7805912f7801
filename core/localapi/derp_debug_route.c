/* SPDX-License-Identifier: BSD-3-Clause
 * derp_debug_route.c - POST debug-derp-region: what is wrong with a region
 * Source: ipn/localapi/debugderp.go (serveDebugDERPRegion)
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"

/* By its number or its code. */
static const struct ts_derp_region *find(const struct ts_derp_map *map,
					 const char *text)
{
	int64_t id;

	if (ts_int_parse(text, &id) == 0)
		return id > 0 && id <= INT32_MAX
			       ? ts_derp_map_region(map, (int)id)
			       : NULL;
	for (size_t i = 0; i < map->region_count; i++)
		if (map->regions[i].code &&
		    strcmp(map->regions[i].code, text) == 0)
			return &map->regions[i];
	return NULL;
}

static void say(json_t *report, const char *list, json_t *line)
{
	json_t *lines = json_object_get(report, list);

	if (!json_is_array(lines)) {
		lines = json_array();
		json_object_set_new(report, list, lines);
	}
	json_array_append_new(lines, line);
}

static void on_report(void *ctx, json_t *report)
{
	struct localapi_call *call = ctx;

	localapi_reply_json(call, 200, report);
	free(call);
}

static void test(const struct localapi_call *call,
		 const struct ts_derp_region *region, json_t *report)
{
	struct localapi_call *kept = malloc(sizeof(*kept));

	if (!kept || !call->api->env.derp_report) {
		free(kept);
		say(report, "Errors", json_string("it cannot be tried here"));
		localapi_reply_json(call, 200, report);
		return;
	}
	*kept = *call;
	kept->request = NULL;
	call->api->env.derp_report(call->api->env_ctx, region, report,
				   on_report, kept);
}

void localapi_derp_region(const struct localapi_call *call)
{
	const struct ts_derp_map *map = ts_node_netmap(call->node)->derp_map;
	const char *text = localapi_query(call, "region");
	const struct ts_derp_region *region =
		map && text ? find(map, text) : NULL;
	json_t *report = json_pack("{s:n, s:n, s:n}", "Info", "Warnings",
				   "Errors");

	if (!map)
		say(report, "Errors",
		    json_string("no DERP map (not connected?)"));
	else if (!region)
		say(report, "Errors",
		    json_sprintf("no such region \"%.64s\" in DERP map",
				 text ? text : ""));
	if (!region) {
		localapi_reply_json(call, 200, report);
		return;
	}
	say(report, "Info",
	    json_sprintf("Region %d == \"%s\"", region->id,
			 region->code ? region->code : ""));
	if (map->region_count == 1)
		say(report, "Warnings",
		    json_string("Having only a single DERP region is a single "
				"point of failure"));
	if (region->avoid)
		say(report, "Warnings",
		    json_string("Region is marked with Avoid bit"));
	if (region->node_count == 0)
		say(report, "Errors",
		    json_string("Region has no nodes defined"));
	test(call, region, report);
}
