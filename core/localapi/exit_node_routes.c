/* SPDX-License-Identifier: BSD-3-Clause
 * exit_node_routes.c - which exit node is used, and which would be good
 * Source: ipn/ipnstate/ipnstate.go (ExitNodeStatus),
 * client/tailscale/apitype/apitype.go (ExitNodeSuggestionResponse)
 */
#include "core/localapi/localapi_internal.h"

bool localapi_is_exit_node(const struct localapi_call *call,
			   const struct ts_peer *peer)
{
	const struct ts_peer *used = NULL;

	return ts_node_uses_exit(call->node, &used) && used == peer;
}

json_t *localapi_exit_node_status(const struct localapi_call *call)
{
	const struct ts_peer *peer = NULL;
	json_t *status;

	if (!ts_node_uses_exit(call->node, &peer) || !peer)
		return NULL;
	status = json_object();
	json_object_set_new(status, "ID",
			    json_string(peer->stable_id ? peer->stable_id
							: ""));
	json_object_set_new(status, "Online",
			    json_boolean(peer->online == TS_YES));
	json_object_set_new(status, "TailscaleIPs",
			    localapi_prefixes(peer->addresses,
					      peer->address_count));
	return status;
}

/* Without a candidate it is an answer without a node, as the CLI expects it. */
void localapi_suggest_exit_node(const struct localapi_call *call)
{
	const struct ts_peer *peer = NULL;
	json_t *body;

	if (ts_node_suggest_exit(call->node, &peer)) {
		localapi_reply_failure(call,
				       "no preferred DERP, try again later");
		return;
	}
	body = json_object();
	json_object_set_new(body, "ID",
			    json_string(peer && peer->stable_id
						? peer->stable_id
						: ""));
	json_object_set_new(body, "Name",
			    json_string(peer && peer->name ? peer->name : ""));
	if (peer && peer->location)
		json_object_set(body, "Location", peer->location);
	localapi_reply_json(call, 200, body);
}
