/* SPDX-License-Identifier: BSD-3-Clause
 * dns_routes.c - GET dns-query, dns-config, dns-osconfig
 *
 * A query goes the same way as a program's at 100.100.100.100, by "TCP", and
 * the answer is the message itself; beside it stands who was, or would be,
 * asked. Names that somebody looks up are his business: that takes the right to
 * change things, as upstream has it.
 * Source: ipn/localapi/localapi.go, ipn/ipnlocal/local.go (QueryDNS),
 * client/tailscale/apitype (DNSQueryResponse, DNSOSConfig)
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/dns/dns_wire.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"
#include "core/node/node_dns.h"

static const struct {
	const char *name;
	uint16_t type;
} types[] = {
	{"A", DNS_TYPE_A},     {"AAAA", DNS_TYPE_AAAA}, {"ALL", DNS_TYPE_ANY},
	{"CNAME", DNS_TYPE_CNAME}, {"HINFO", DNS_TYPE_HINFO}, {"MINFO", 14},
	{"MX", DNS_TYPE_MX},   {"NS", DNS_TYPE_NS},	{"OPT", DNS_TYPE_OPT},
	{"PTR", DNS_TYPE_PTR}, {"SOA", DNS_TYPE_SOA},	{"SRV", DNS_TYPE_SRV},
	{"TXT", DNS_TYPE_TXT}, {"WKS", 11},
};

struct pending_query {
	struct localapi_call call;
	json_t *resolvers;
};

static const char *query(const struct localapi_call *call, const char *name)
{
	return call->request->query(call->request->query_ctx, name);
}

/* "" is A. */
static bool read_type(const char *text, uint16_t *out)
{
	*out = DNS_TYPE_A;
	if (!text || !*text)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (strcasecmp(types[i].name, text) != 0)
			continue;
		*out = types[i].type;
		return true;
	}
	return false;
}

/* -- who is asked --------------------------------------------------------- */

static void add_resolver(json_t *list, const char *addr)
{
	json_array_append_new(list, json_pack("{s:s}", "Addr", addr));
}

/* A bare name is looked for below the search domains first. */
static void add_searched(const struct ts_node *node, const uint8_t *msg,
			 size_t len, json_t *list)
{
	char full[TS_DNS_NAME_CAP];
	struct ts_dns_query q;
	const char *domain;
	size_t i = 0;

	if (ts_dns_read_query(msg, len, &q) || q.is_odd || !*q.name ||
	    strchr(q.name, '.'))
		return;
	while ((domain = ts_node_search_domain(node, i++))) {
		const struct ts_dns_resolvers *found;
		int n = snprintf(full, sizeof(full), "%.*s.%s", DNS_LABEL_MAX,
				 q.name, domain);

		found = n > 0 && (size_t)n < sizeof(full)
				? ts_dns_routes_find_text(
					  ts_node_dns_routes(node), full)
				: NULL;
		for (size_t k = 0; found && k < found->count; k++)
			add_resolver(list, found->list[k].text);
	}
}

/* Of a query of len bytes; nobody, for what the netmap knows. */
static json_t *resolvers_of(const struct ts_node *node, const uint8_t *msg,
			    size_t len)
{
	const struct ts_node_dns_host *host;
	const struct ts_dns_resolvers *found;
	json_t *list = json_array();
	struct ts_dns_system system;
	uint8_t answer[DNS_EDNS_MAX];
	char text[TS_IP_TEXT_CAP];
	void *ctx;

	if (ts_node_dns_answer(node, msg, len, true, answer,
			       sizeof(answer)) != 0)
		return list;
	found = ts_dns_routes_find(ts_node_dns_routes(node),
				   msg + DNS_HEADER_LEN, len - DNS_HEADER_LEN);
	for (size_t i = 0; found && i < found->count; i++)
		add_resolver(list, found->list[i].text);
	if (!found)
		add_searched(node, msg, len, list);
	host = ts_node_dns_host(node, &ctx);
	if (found || !host)
		return list;
	host->read_system(ctx, &system);
	for (size_t i = 0; i < system.server_count; i++)
		add_resolver(list, ts_ip_format(&system.servers[i], text));
	return list;
}

/* -- dns-query ------------------------------------------------------------ */

static void on_answer(void *ctx, const uint8_t *answer, size_t len)
{
	struct pending_query *pending = ctx;
	json_t *body = json_object();
	json_t *bytes = answer ? ts_json_base64(answer, len) : NULL;

	if (bytes) {
		json_object_set_new(body, "Bytes", bytes);
		json_object_set_new(body, "Resolvers", pending->resolvers);
		localapi_reply_json(&pending->call, 200, body);
	} else {
		json_decref(body);
		json_decref(pending->resolvers);
		localapi_reply_error(&pending->call, 500, "no answer");
	}
	free(pending);
}

void localapi_dns_query(const struct localapi_call *call)
{
	const char *name = query(call, "name"), *type = query(call, "type");
	const struct ts_node_dns_host *host;
	uint8_t msg[DNS_PLAIN_QUERY_CAP];
	struct pending_query *pending;
	uint16_t number;
	char error[96];
	void *ctx;
	int len;

	if (!read_type(type, &number)) {
		snprintf(error, sizeof(error),
			 "unknown DNS message type: %.60s", type);
		localapi_reply_error(call, 400, error);
		return;
	}
	len = name && *name ? ts_dns_write_query((uint16_t)ts_random_u32(),
						 name, number, msg, sizeof(msg))
			    : -1;
	if (len < 0) {
		localapi_reply_error(call, 400, "'name' is no name of DNS");
		return;
	}
	host = ts_node_dns_host(call->node, &ctx);
	pending = host ? calloc(1, sizeof(*pending)) : NULL;
	if (!pending) {
		localapi_reply_failure(call, "nobody asks for names here");
		return;
	}
	pending->call = *call;
	pending->call.request = NULL;
	pending->resolvers = resolvers_of(call->node, msg, (size_t)len);
	host->ask(ctx, msg, (size_t)len, on_answer, pending);
}

/* -- what is configured --------------------------------------------------- */

void localapi_dns_config(const struct localapi_call *call)
{
	const struct ts_netmap *map = ts_node_netmap(call->node);

	if (!map || !map->self) {
		localapi_reply_error(call, 503, "no netmap");
		return;
	}
	localapi_reply_json(call, 200,
			    map->dns ? json_incref(map->dns->raw)
				     : json_object());
}

void localapi_dns_osconfig(const struct localapi_call *call)
{
	const struct ts_node_dns_host *host;
	struct ts_dns_system system = {.server_count = 0};
	json_t *servers = json_array(), *search = json_array();
	char text[TS_IP_TEXT_CAP];
	void *ctx;

	host = ts_node_dns_host(call->node, &ctx);
	if (host)
		host->read_system(ctx, &system);
	for (size_t i = 0; i < system.server_count; i++)
		json_array_append_new(
			servers,
			json_string(ts_ip_format(&system.servers[i], text)));
	for (size_t i = 0; i < system.search_count; i++)
		json_array_append_new(search, json_string(system.search[i]));
	localapi_reply_json(call, 200,
			    json_pack("{s:o, s:o, s:[]}", "Nameservers",
				      servers, "SearchDomains", search,
				      "MatchDomains"));
}
