/* SPDX-License-Identifier: BSD-3-Clause
 * debug_routes.c - actions of `tailscale debug`
 *
 * A table of actions; each replies itself, or returns why it could not.
 * Source: ipn/localapi/debug.go (serveDebug)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/localapi/localapi_internal.h"

static void reply_done(const struct localapi_call *call)
{
	localapi_reply_text(call, 200, "text/plain", strdup("done\n"));
}

static void reply_not_here(const struct localapi_call *call)
{
	localapi_reply_error(call, 400, "not served by this node");
}

static void rebind(const struct localapi_call *call)
{
	const struct ts_localapi *api = call->api;
	int err = api->env.rebind ? api->env.rebind(api->env_ctx) : -ENOSYS;

	if (err)
		localapi_reply_error(call, 400, ts_strerror(err));
	else
		reply_done(call);
}

static void on_report(void *ctx, const struct ts_netcheck_report *report,
		      int home_region)
{
	(void)ctx;
	(void)report;
	(void)home_region;
}

static void restun(const struct localapi_call *call)
{
	int err = ts_node_netcheck(call->node, call->now_ms, on_report, NULL);

	if (err == -ENETDOWN)
		localapi_reply_error(call, 400, "no DERP map yet");
	else /* -EAGAIN: one is under way */
		reply_done(call);
}

static void break_derps(const struct localapi_call *call)
{
	const struct ts_localapi *api = call->api;

	if (!api->env.break_derps) {
		reply_not_here(call);
		return;
	}
	api->env.break_derps(api->env_ctx);
	reply_done(call);
}

/* The map comes anew with a new link. */
static void begin_anew(const struct localapi_call *call)
{
	if (ts_node_state(call->node) == TS_STOPPED) {
		localapi_reply_error(call, 400, "the node is stopped");
		return;
	}
	ts_node_network_changed(call->node, call->now_ms);
	reply_done(call);
}

static void break_tcp(const struct localapi_call *call)
{
	const struct ts_localapi *api = call->api;

	if (api->env.break_derps)
		api->env.break_derps(api->env_ctx);
	begin_anew(call);
}

static void current_netmap(const struct localapi_call *call)
{
	if (ts_node_netmap(call->node)->self)
		localapi_reply_json(call, 200, localapi_netmap(call->node));
	else
		localapi_reply_error(call, 400, "no netmap");
}

/* Those that this node follows, by upstream's names for them. */
static void control_knobs(const struct localapi_call *call)
{
	static const struct {
		const char *knob, *attr;
	} knobs[] = {
		{"DisableUPnP", "debug-disable-upnp"},
		{"RandomizeClientPort", "randomize-client-port"},
		{"SilentDisco", "silent-disco"},
		{"ForceBackgroundSTUN", "debug-always-stun"},
		{"DisableDNSForwarderTCPRetries",
		 "dns-forwarder-disable-tcp-retries"},
		{"DisableUDPGRO", "disable-udp-gro"},
		{"DisableUDPGSO", "disable-udp-gso"},
		{"NeverGSOEqualTail", "never-gso-equal-tail"},
	};
	const struct ts_peer *self = ts_node_netmap(call->node)->self;
	json_t *out = json_object();

	for (size_t i = 0; i < ARRAY_LEN(knobs); i++)
		json_object_set_new(out, knobs[i].knob,
				    json_boolean(self && ts_peer_has_cap(
							self, knobs[i].attr)));
	localapi_reply_json(call, 200, out);
}

static void peer_disco_keys(const struct localapi_call *call)
{
	const struct ts_netmap *map = ts_node_netmap(call->node);
	const struct ts_peer *peer;
	json_t *out = json_object();
	size_t pos = 0;

	while ((peer = ts_netmap_next_peer(map, &pos))) {
		char key[TS_KEY_TEXT_CAP];

		if (ts_public_key_is_zero(&peer->disco_key))
			continue;
		ts_public_key_format(&peer->key, TS_PREFIX_NODE, key);
		json_object_set_new(out, key,
				    localapi_key(&peer->disco_key,
						 TS_PREFIX_DISCO));
	}
	localapi_reply_json(call, 200, out);
}

static void state_dir(const struct localapi_call *call)
{
	const char *dir = call->api->env.state_dir;

	localapi_reply_json(call, 200, json_string(dir ? dir : ""));
}

static const struct {
	const char *name;
	void (*serve)(const struct localapi_call *call);
} actions[] = {
	{"rebind", rebind},
	{"restun", restun},
	{"break-derp-conns", break_derps},
	{"break-tcp-conns", break_tcp},
	{"force-netmap-update", begin_anew},
	{"current-netmap", current_netmap},
	{"control-knobs", control_knobs},
	{"peer-disco-keys", peer_disco_keys},
	{"statedir", state_dir},
};

void localapi_debug(const struct localapi_call *call)
{
	const char *action = localapi_query(call, "action");
	char text[96];

	if (!action || !*action) {
		localapi_reply_error(call, 400, "missing parameter 'action'");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		if (strcmp(action, actions[i].name) == 0) {
			actions[i].serve(call);
			return;
		}
	}
	snprintf(text, sizeof(text), "unknown action \"%.64s\"", action);
	localapi_reply_error(call, 400, text);
}

void localapi_debug_filter_rules(const struct localapi_call *call)
{
	const struct ts_netmap *map = ts_node_netmap(call->node);

	if (map->self)
		localapi_reply_json(call, 200, localapi_filter_rules(map));
	else
		localapi_reply_error(call, 404, "no netmap");
}
