/* SPDX-License-Identifier: BSD-3-Clause
 * ping_answer_json.c - a ping's result as the control server wants it
 * Source: tailcfg/tailcfg.go (PingResponse)
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "core/base/err.h"
#include "core/node/node_internal.h"

static void set_text(json_t *body, const char *name, const char *text)
{
	if (text && *text)
		json_object_set_new(body, name, json_string(text));
}

static void set_number(json_t *body, const char *name, int64_t number)
{
	if (number)
		json_object_set_new(body, name, json_integer(number));
}

static void set_error(json_t *body, const char *ip,
		      const struct ts_ping_result *result)
{
	char text[TS_IP_TEXT_CAP + 32];

	snprintf(text, sizeof(text), "%s is local Tailscale IP", ip);
	if (result->is_local_ip)
		set_text(body, "Err", text);
	else if (result->err == -EHOSTUNREACH)
		set_text(body, "Err", "no matching peer");
	else if (result->err == -EOPNOTSUPP)
		set_text(body, "Err", "the peer has no PeerAPI");
	else if (result->err)
		set_text(body, "Err", ts_strerror(result->err));
	if (result->is_local_ip)
		json_object_set_new(body, "IsLocalIP", json_true());
}

static void set_path(json_t *body, const struct ts_derp_map *map,
		     const struct ts_ping_result *result)
{
	const struct ts_derp_region *region =
		map ? ts_derp_map_region(map, result->derp_region) : NULL;
	char text[TS_PATH_ADDR_TEXT_CAP];

	if (ts_path_addr_is_set(&result->endpoint))
		set_text(body, result->endpoint.vni ? "PeerRelay" : "Endpoint",
			 ts_path_addr_format(&result->endpoint, text));
	set_number(body, "DERPRegionID", result->derp_region);
	if (region)
		set_text(body, "DERPRegionCode", region->code);
}

char *node_ping_answer(const struct ts_node *node, const char *type,
		       const struct ts_ip *ip,
		       const struct ts_ping_result *result)
{
	json_t *body = json_object();
	char text[TS_IP_TEXT_CAP];
	char *answer;

	set_text(body, "Type", type);
	set_text(body, "IP", ts_ip_format(ip, text));
	set_error(body, text, result);
	if (!ts_ip_is_zero(&result->node_ip))
		set_text(body, "NodeIP", ts_ip_format(&result->node_ip, text));
	set_text(body, "NodeName", result->node_name);
	if (!result->err)
		json_object_set_new(body, "LatencySeconds",
				    json_real((double)result->latency_us /
					      1e6));
	set_path(body, ts_node_netmap(node)->derp_map, result);
	set_number(body, "PeerAPIPort", result->peerapi_port);
	answer = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	return answer;
}
