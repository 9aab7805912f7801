/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_dns_routes.c - a control server's resolvers, and names looked up in them
 *
 * JSON of a DNSConfig, a NUL, and a name as it is on the wire.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/dns/dns_routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const struct ts_dns_resolvers *r)
{
	if (!r)
		return;
	if (r->count > TS_DNS_UPSTREAMS_MAX)
		abort();
	for (size_t i = 0; i < r->count; i++)
		if (!r->list[i].text || r->list[i].ip_count > TS_DOH_IPS_MAX)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *end = memchr(data, 0, len);
	size_t json_len = end ? (size_t)(end - data) : len;
	const uint8_t *name = end ? end + 1 : NULL;
	size_t name_len = end ? len - json_len - 1 : 0;
	struct ts_dns_config config = {
		.raw = json_loadb((const char *)data, json_len, 0, NULL)};
	struct ts_dns_routes_input in = {.config = &config, .accepts = true};

	if (!config.raw)
		return 0;
	in.exit_node_resolvers =
		json_object_get(config.raw, "ExitNodeDNSResolvers");
	for (int i = 0; i < 2; i++) {
		struct ts_dns_routes *routes = ts_dns_routes_new(&in);

		if (routes) {
			check(ts_dns_routes_find(routes, name, name_len));
			check(ts_dns_routes_find_text(routes,
						      "a.corp.example"));
		}
		ts_dns_routes_free(routes);
		in.exit_node_doh = "http://100.64.0.9:1/dns-query";
	}
	json_decref(config.raw);
	return 0;
}
