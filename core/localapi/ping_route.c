/* SPDX-License-Identifier: BSD-3-Clause
 * ping_route.c - POST ping: one answer, up to five seconds later
 * Source: ipn/ipnstate/ipnstate.go (PingResult), ipn/localapi/localapi.go
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/localapi/localapi_internal.h"

/* Lives from the request to the pong; the request itself does not. */
struct pending_ping {
	struct localapi_call call;
	struct ts_ip ip;
	bool peer_known;
	char name[256];
};

static const struct {
	const char *name;
	enum ts_ping_kind kind;
} kinds[] = {
	{"disco", TS_PING_DISCO},
	{"TSMP", TS_PING_TSMP},
	{"ICMP", TS_PING_ICMP},
};

static void set_path(json_t *body, const struct ts_netmap *map,
		     const struct ts_ping_result *result)
{
	char text[TS_ADDR_TEXT_CAP] = "";
	const struct ts_derp_region *region =
		map->derp_map
			? ts_derp_map_region(map->derp_map, result->derp_region)
			: NULL;

	if (result->endpoint.port)
		ts_addr_format(&result->endpoint, text);
	json_object_set_new(body, "Endpoint", json_string(text));
	json_object_set_new(body, "PeerRelay", json_string(""));
	json_object_set_new(body, "DERPRegionID",
			    json_integer(result->derp_region));
	json_object_set_new(body, "DERPRegionCode",
			    json_string(region && region->code ? region->code
							       : ""));
	if (result->peerapi_port)
		json_object_set_new(body, "PeerAPIPort",
				    json_integer(result->peerapi_port));
}

static const char *failure(const struct ts_ping_result *result)
{
	if (result->err == -EHOSTUNREACH)
		return "no matching peer";
	if (result->err == -EAGAIN)
		return "too many pings under way";
	return ts_strerror(result->err);
}

static void on_pong(void *ctx, const struct ts_ping_result *result)
{
	struct pending_ping *ping = ctx;
	json_t *body = json_object();
	char ip[TS_IP_TEXT_CAP];

	ts_ip_format(&ping->ip, ip);
	json_object_set_new(body, "IP", json_string(ip));
	json_object_set_new(body, "NodeIP",
			    json_string(ping->peer_known ? ip : ""));
	json_object_set_new(body, "NodeName", json_string(ping->name));
	if (result->is_local_ip) {
		json_object_set_new(body, "Err",
				    json_string("is local Tailscale IP"));
		json_object_set_new(body, "IsLocalIP", json_true());
	} else {
		json_object_set_new(body, "Err",
				    json_string(result->err ? failure(result)
							    : ""));
	}
	json_object_set_new(body, "LatencySeconds",
			    json_real((double)result->latency_us / 1e6));
	set_path(body, ts_node_netmap(ping->call.node), result);
	localapi_reply_json(&ping->call, 200, body);
	free(ping);
}

/* "name.tailnet.ts.net." -> "name" */
static void set_name(struct pending_ping *ping, const struct ts_peer *peer)
{
	if (!peer || !peer->name)
		return;
	snprintf(ping->name, sizeof(ping->name), "%.*s",
		 (int)strcspn(peer->name, "."), peer->name);
}

void localapi_ping(const struct localapi_call *call)
{
	const struct ts_localapi_request *rq = call->request;
	const char *ip = rq->query(rq->query_ctx, "ip");
	const char *type = rq->query(rq->query_ctx, "type");
	const struct ts_peer *peer = NULL;
	struct pending_ping *ping;
	struct ts_ip addr;
	size_t kind = 0;

	if (!ip || ts_ip_parse(ip, &addr)) {
		localapi_reply_error(call, 400, "missing or bad 'ip' parameter");
		return;
	}
	while (kind < ARRAY_LEN(kinds) &&
	       strcmp(type ? type : "", kinds[kind].name) != 0)
		kind++;
	if (kind == ARRAY_LEN(kinds)) {
		localapi_reply_error(call, 400,
				     "'type' must be disco, TSMP or ICMP");
		return;
	}
	ping = calloc(1, sizeof(*ping));
	if (!ping) {
		localapi_reply_error(call, 500, "out of memory");
		return;
	}
	ping->call = *call;
	ping->call.request = NULL;
	ping->ip = addr;
	ping->peer_known =
		ts_node_route(call->node, &addr, &peer) == TS_ROUTE_PEER;
	set_name(ping, peer);
	ts_node_ping(call->node, &addr, kinds[kind].kind, call->now_ms, on_pong,
		     ping);
}
