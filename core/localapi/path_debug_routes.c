/* SPDX-License-Identifier: BSD-3-Clause
 * path_debug_routes.c - what became of a peer's paths, for people who look
 * Source: ipn/localapi/debug.go (serveDebugPeerEndpointChanges)
 */
#include <stdlib.h>

#include "core/base/err.h"
#include "core/localapi/localapi_internal.h"

/* What upstream calls by the names of its functions, in words. */
static const char *name_of(enum ts_path_change_kind kind)
{
	static const char *const names[] = {
		[TS_PATH_NEW_CANDIDATE] = "new-endpoint",
		[TS_PATH_NEW_BEST] = "bestAddr-update",
		[TS_PATH_LOST] = "bestAddr-lost",
		[TS_PATH_NEW_HOME] = "DERP-home",
		[TS_PATH_RESTARTED] = "disco-key-changed",
	};

	return names[kind];
}

static void set_addr(json_t *out, const char *name,
		     const struct ts_path_addr *addr)
{
	char text[TS_PATH_ADDR_TEXT_CAP];

	if (ts_path_addr_is_set(addr))
		json_object_set_new(
			out, name,
			json_string(ts_path_addr_format(addr, text)));
}

static json_t *change_json(const struct localapi_call *call,
			   const struct ts_path_change *change)
{
	int64_t ago_s = (int64_t)((call->now_ms - change->at_ms) / 1000);
	json_t *out = json_pack("{s:o, s:s}", "When",
				localapi_time(call->now_unix - ago_s), "What",
				name_of(change->kind));

	set_addr(out, "From", &change->from);
	set_addr(out, "To", &change->to);
	return out;
}

void localapi_peer_endpoint_changes(const struct localapi_call *call)
{
	struct ts_path_change changes[TS_PATH_CHANGES_MAX];
	const char *text = localapi_query(call, "ip");
	const struct ts_peer *peer;
	json_t *list;
	struct ts_ip ip;
	size_t count;

	if (!text || !*text || ts_ip_parse(text, &ip)) {
		localapi_reply_error(call, 400,
				     text && *text ? "invalid IP"
						   : "missing 'ip' parameter");
		return;
	}
	peer = ts_node_whois(call->node, &ip);
	if (!peer) {
		localapi_reply_error(call, 500, "unknown peer");
		return;
	}
	list = json_array();
	count = ts_node_peer_changes(call->node, peer, changes);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, change_json(call, &changes[i]));
	localapi_reply_json(call, 200, list);
}
