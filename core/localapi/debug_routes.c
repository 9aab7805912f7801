/* SPDX-License-Identifier: BSD-3-Clause
 * debug_routes.c - actions of `tailscale debug`
 *
 * A table of actions; each replies itself, or returns why it could not.
 * Source: ipn/localapi/debug.go (serveDebug)
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"

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

/* -- which relay is home -------------------------------------------------- */
static void reply_home(const struct localapi_call *call, int err)
{
	if (err == -ENETDOWN)
		localapi_reply_error(call, 400, "no derpmap");
	else if (err == -EAGAIN)
		localapi_reply_error(call, 400, "not connected to the control "
						"server, who tells peers");
	else if (err == -ENOENT)
		localapi_reply_error(call, 400, "too few regions");
	else
		reply_done(call);
}

static void pick_new_derp(const struct localapi_call *call)
{
	reply_home(call, ts_node_pick_new_home(call->node, call->now_ms));
}

/* The body is the region's number; 0: the best, as before. */
static void prefer_derp(const struct localapi_call *call)
{
	const struct ts_localapi_request *rq = call->request;
	json_t *body = json_loadb(rq->body ? rq->body : "", rq->body_len,
				  TS_JSON_READ_FLAGS | JSON_DECODE_ANY, NULL);
	json_int_t region = json_is_integer(body) ? json_integer_value(body)
						  : -1;
	int err;

	json_decref(body);
	if (region < 0 || region > INT_MAX) {
		localapi_reply_error(call, 400, "not the number of a region");
		return;
	}
	err = ts_node_prefer_home(call->node, (int)region, call->now_ms);
	if (err == -ENOENT)
		localapi_reply_error(call, 400, "no such region");
	else
		reply_home(call, err);
}

static void set_homeless(const struct localapi_call *call)
{
	ts_node_set_homeless(call->node, true, call->now_ms);
	reply_done(call);
}

static void unset_homeless(const struct localapi_call *call)
{
	ts_node_set_homeless(call->node, false, call->now_ms);
	reply_done(call);
}

void localapi_rotate_disco_key(const struct localapi_call *call)
{
	ts_node_rotate_disco_key(call->node, call->now_ms);
	reply_done(call);
}

/* Netmaps are not kept. */
static void clear_netmap_cache(const struct localapi_call *call)
{
	reply_done(call);
}

/* For who develops a GUI. */
static void notify_watchers(const struct localapi_call *call)
{
	json_t *news = localapi_body_object(call);

	if (!news)
		return;
	bus_say(call->api->bus, news);
	reply_done(call);
}

static void relay_servers(const struct localapi_call *call)
{
	enum { SHOWN_MAX = 64 };
	struct ts_ip ips[SHOWN_MAX];
	size_t count = ts_node_relay_servers(call->node, ips, ARRAY_LEN(ips));
	json_t *out = json_array();
	char text[TS_IP_TEXT_CAP];

	for (size_t i = 0; i < count; i++)
		json_array_append_new(out,
				      json_string(ts_ip_format(&ips[i], text)));
	localapi_reply_json(call, 200, out);
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
	{"pick-new-derp", pick_new_derp},
	{"force-prefer-derp", prefer_derp},
	{"derp-set-homeless", set_homeless},
	{"derp-unset-homeless", unset_homeless},
	{"rotate-disco-key", localapi_rotate_disco_key},
	{"clear-netmap-cache", clear_netmap_cache},
	{"peer-relay-servers", relay_servers},
	{"notify", notify_watchers},
};

void localapi_debug(const struct localapi_call *call)
{
	const char *action = localapi_query(call, "action");
	const struct ts_localapi_request *rq = call->request;
	const char *header = rq->header ? rq->header(rq->query_ctx,
						     "Debug-Action")
					: NULL;
	char text[96];

	if (header && strcmp(header, "notify") == 0)
		action = header; /* its body is the news */

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
