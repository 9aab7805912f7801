/* SPDX-License-Identifier: BSD-3-Clause
 * check_routes.c - small questions about this host and this node
 *
 * Three of them are about a kernel that forwards packets or marks sockets for
 * a daemon. This node does all of that by itself, as tailscaled does in
 * userspace mode, and answers as that does.
 * Source: ipn/localapi/localapi.go, ipn/ipnlocal/local.go (CheckIPForwarding)
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"

static void reply_no_warning(const struct localapi_call *call)
{
	localapi_reply_json(call, 200, json_pack("{s:s}", "Warning", ""));
}

void localapi_check_ip_forwarding(const struct localapi_call *call)
{
	reply_no_warning(call);
}

void localapi_check_udp_gro(const struct localapi_call *call)
{
	reply_no_warning(call);
}

void localapi_check_so_mark(const struct localapi_call *call)
{
	localapi_reply_json(call, 200, json_pack("{s:b}", "UseSOMark", 1));
}

/* Services that the tailnet lets us see: entries of our own CapMap, whose keys
 * mean nothing beyond their prefix. */
void localapi_services(const struct localapi_call *call)
{
	static const char prefix[] = "services/";
	const struct ts_peer *self = ts_node_netmap(call->node)->self;
	json_t *out = json_object(), *values;
	const char *cap;

	if (!self) {
		json_decref(out);
		localapi_reply_error(call, 503, "no netmap");
		return;
	}
	json_object_foreach (self->cap_map, cap, values) {
		json_t *details = json_array_get(values, 0);
		const char *name = ts_json_text(details, "Name");

		if (strncmp(cap, prefix, sizeof(prefix) - 1) == 0 && name)
			json_object_set(out, name, details);
	}
	localapi_reply_json(call, 200, out);
}

/* No log leaves this machine, so there is nothing that a marker could be looked
 * up in; upstream says it in these words when its upload is switched off. */
void localapi_bugreport(const struct localapi_call *call)
{
	enum { NOTE_MAX = 512 };
	const struct ts_peer *self = ts_node_netmap(call->node)->self;
	const char *note = localapi_query(call, "note");

	log_info("bugreport: node %s, state %s, version %s",
		 self && self->stable_id ? self->stable_id : "(none)",
		 ts_node_state_name(ts_node_state(call->node)),
		 TSNET_VERSION);
	if (note && *note)
		log_info("bugreport: note: %.*s", NOTE_MAX, note);
	localapi_reply_error(call, 200,
			     "BUG-NO-LOGS-NO-SUPPORT-this-node-has-had-its-"
			     "logging-disabled");
}
