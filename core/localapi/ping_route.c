/* SPDX-License-Identifier: BSD-3-Clause
 * ping_route.c - POST ping: one answer, up to five seconds later
 * Source: ipn/ipnstate/ipnstate.go (PingResult), ipn/localapi/localapi.go
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/localapi/localapi_internal.h"
#include "core/path/disco_wire.h"

/* Lives from the request to the pong; the request itself does not. */
struct pending_ping {
	struct localapi_call call;
	struct ts_ip ip;
	enum ts_ping_kind kind;
};

/* Only disco pings tell the path: that of the others may change under way. */
static void set_path(json_t *body, const struct pending_ping *ping,
		     const struct ts_ping_result *result)
{
	const struct ts_derp_map *map =
		ts_node_netmap(ping->call.node)->derp_map;
	bool is_disco = ping->kind == TS_PING_DISCO;
	int id = is_disco ? result->derp_region : 0;
	const struct ts_derp_region *region =
		map && id ? ts_derp_map_region(map, id) : NULL;
	const struct ts_path_addr *to = &result->endpoint;
	char text[TS_PATH_ADDR_TEXT_CAP] = "";

	if (is_disco && ts_path_addr_is_set(to))
		ts_path_addr_format(to, text);
	json_object_set_new(body, "Endpoint", json_string(to->vni ? "" : text));
	json_object_set_new(body, "PeerRelay",
			    json_string(to->vni ? text : ""));
	json_object_set_new(body, "DERPRegionID", json_integer(id));
	json_object_set_new(body, "DERPRegionCode",
			    json_string(region && region->code ? region->code
							       : ""));
	if (result->peerapi_port)
		json_object_set_new(body, "PeerAPIPort",
				    json_integer(result->peerapi_port));
}

static void set_error(json_t *body, const char *ip,
		      const struct ts_ping_result *result)
{
	char text[TS_IP_TEXT_CAP + 32] = "";

	if (result->is_local_ip)
		snprintf(text, sizeof(text), "%s is local Tailscale IP", ip);
	else if (result->err == -EHOSTUNREACH)
		snprintf(text, sizeof(text), "no matching peer");
	else if (result->err == -EOPNOTSUPP)
		snprintf(text, sizeof(text), "the peer has no PeerAPI");
	else if (result->err == -EAGAIN)
		snprintf(text, sizeof(text), "too many pings under way");
	else if (result->err)
		snprintf(text, sizeof(text), "%s", ts_strerror(result->err));
	json_object_set_new(body, "Err", json_string(text));
	if (result->is_local_ip)
		json_object_set_new(body, "IsLocalIP", json_true());
}

static void on_pong(void *ctx, const struct ts_ping_result *result)
{
	struct pending_ping *ping = ctx;
	json_t *body = json_object();
	char ip[TS_IP_TEXT_CAP], node_ip[TS_IP_TEXT_CAP] = "";

	ts_ip_format(&ping->ip, ip);
	if (!ts_ip_is_zero(&result->node_ip))
		ts_ip_format(&result->node_ip, node_ip);
	json_object_set_new(body, "IP", json_string(ip));
	json_object_set_new(body, "NodeIP", json_string(node_ip));
	json_object_set_new(body, "NodeName", json_string(result->node_name));
	set_error(body, ip, result);
	json_object_set_new(body, "LatencySeconds",
			    json_real((double)result->latency_us / 1e6));
	set_path(body, ping, result);
	if (result->peerapi.port) {
		char addr[TS_ADDR_TEXT_CAP];

		json_object_set_new(
			body, "PeerAPIURL",
			json_sprintf("http://%s",
				     ts_addr_format(&result->peerapi, addr)));
	}
	localapi_reply_json(&ping->call, 200, body);
	free(ping);
}

static void start(const struct localapi_call *call, const struct ts_ip *ip,
		  enum ts_ping_kind kind, size_t size)
{
	struct pending_ping *ping = calloc(1, sizeof(*ping));

	if (!ping) {
		localapi_reply_failure(call, "out of memory");
		return;
	}
	ping->call = *call;
	ping->call.request = NULL;
	ping->ip = *ip;
	ping->kind = kind;
	ts_node_ping(call->node, ip, kind, size, call->now_ms, on_pong, ping);
}

/* "": 0. False: answered with an error already. A size below the shortest
 * ping's is that one's, as with tailscaled. */
static bool read_size(const struct localapi_call *call, const char *text,
		      bool is_disco, size_t *size)
{
	char *end;
	long value;

	*size = 0;
	if (!text || !*text)
		return true;
	errno = 0;
	value = strtol(text, &end, 10);
	if (*end || errno) {
		localapi_reply_error(call, 400, "invalid 'size' parameter");
		return false;
	}
	if (value != 0 && !is_disco) {
		localapi_reply_error(call, 400, "'size' parameter is only "
						"supported with disco pings");
		return false;
	}
	if (value > DISCO_PING_MAX_LEN) {
		char error[64];

		snprintf(error, sizeof(error),
			 "maximum value for 'size' is %d", DISCO_PING_MAX_LEN);
		localapi_reply_error(call, 400, error);
		return false;
	}
	*size = value > 0 ? (size_t)value : 0;
	return true;
}

void localapi_ping(const struct localapi_call *call)
{
	const struct ts_localapi_request *rq = call->request;
	const char *ip = rq->query(rq->query_ctx, "ip");
	const char *type = rq->query(rq->query_ctx, "type");
	const char *size = rq->query(rq->query_ctx, "size");
	int kind = type ? ts_ping_kind_parse(type, strlen(type)) : -1;
	struct ts_ip addr;
	size_t bytes;

	if (!ip || !*ip)
		localapi_reply_error(call, 400, "missing 'ip' parameter");
	else if (ts_ip_parse(ip, &addr))
		localapi_reply_error(call, 400, "invalid IP");
	else if (!type || !*type)
		localapi_reply_error(call, 400, "missing 'type' parameter");
	else if (!read_size(call, size, kind == TS_PING_DISCO, &bytes))
		return;
	else if (kind < 0)
		localapi_reply_failure(call, "this node serves pings of the "
					     "types disco, TSMP, ICMP and "
					     "peerapi");
	else
		start(call, &addr, (enum ts_ping_kind)kind, bytes);
}
