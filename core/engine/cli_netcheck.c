/* SPDX-License-Identifier: BSD-3-Clause
 * cli_netcheck.c - tsrun netcheck: what this network lets through
 */
#include "core/engine/cli_internal.h"

#include "core/base/err.h"

static const char *yes_no(const json_t *value)
{
	if (!json_is_boolean(value))
		return "unknown";
	return json_is_true(value) ? "yes" : "no";
}

static const char *region_text(const json_t *map, const char *id,
			       const char *key)
{
	const json_t *regions = json_object_get(map, "Regions");

	return cli_text(json_object_get(regions, id), key);
}

static void print_family(const char *name, const json_t *body, const char *key,
			 const char *global)
{
	const char *addr = cli_text(body, global);

	printf("%s: %s%s%s\n", name, yes_no(json_object_get(body, key)),
	       *addr ? ", " : "", addr);
}

static void print_mapping(const json_t *body)
{
	static const char *const kinds[] = {"UPnP", "PMP", "PCP"};
	const char *mapped = cli_text(body, "PortMapped");
	bool any = false;

	printf("Port mapping:");
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (!json_is_true(json_object_get(body, kinds[i])))
			continue;
		printf(" %s", kinds[i]);
		any = true;
	}
	if (*mapped)
		printf("; %s leads here", mapped);
	puts(any ? "" : " none");
}

static void print_report(const json_t *body, const json_t *map)
{
	json_int_t home = json_integer_value(
		json_object_get(body, "PreferredDERP"));
	const char *id;
	char key[24];
	json_t *ns;

	printf("UDP: %s\n", yes_no(json_object_get(body, "UDP")));
	print_family("IPv4", body, "IPv4", "GlobalV4");
	print_family("IPv6", body, "IPv6", "GlobalV6");
	printf("Mapping varies by destination: %s\n",
	       yes_no(json_object_get(body, "MappingVariesByDestIP")));
	print_mapping(body);
	snprintf(key, sizeof(key), "%lld", (long long)home);
	printf("Home DERP: %s (%s)\n", region_text(map, key, "RegionCode"),
	       key);
	json_object_foreach(json_object_get(body, "RegionLatency"), id, ns)
		printf("  %-8s %8.2f ms  %s\n",
		       region_text(map, id, "RegionCode"),
		       (double)json_integer_value(ns) / 1e6,
		       region_text(map, id, "RegionName"));
}

int cli_netcheck(const struct cli *cli)
{
	json_t *body = NULL, *map = NULL;
	int code = cli_ask(cli, "POST", "/localapi/v0/netcheck", &body);

	if (code || cli->json)
		return code ? code : cli_print_json(body);
	code = cli_ask(cli, "GET", "/localapi/v0/derpmap", &map);
	if (!code)
		print_report(body, map);
	json_decref(map);
	json_decref(body);
	return code;
}
