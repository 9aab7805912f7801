/* SPDX-License-Identifier: BSD-3-Clause
 * localapi.c - routes of the LocalAPI and its checks
 *
 * A table of routes, which are in files by what they are about; what is not in
 * it is 404 with the path in the text, so that a CLI verb that this version
 * does not serve says so. A path that ends in '/' stands for all below it.
 * Browsers are kept out by their Referer and Origin headers, as upstream does.
 */
#include "core/localapi/localapi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/err.h"
#include "core/localapi/localapi_internal.h"

#define API "/localapi/v0/"

/* -- what needs a line or two --------------------------------------------- */
static void get_status(const struct localapi_call *call)
{
	const char *peers = localapi_query(call, "peers");
	bool with_peers = !peers || strcmp(peers, "false") != 0;

	localapi_reply_json(call, 200, localapi_status(call, with_peers));
}

static void get_derp_map(const struct localapi_call *call)
{
	const struct ts_netmap *map = ts_node_netmap(call->node);

	localapi_reply_json(call, 200,
			    map->derp_map && map->derp_map->raw
				    ? json_incref(map->derp_map->raw)
				    : json_null());
}

/* -- routes --------------------------------------------------------------- */
static const struct {
	const char *method, *path;
	bool writes;
	void (*serve)(const struct localapi_call *call);
} routes[] = {
	{"GET", API "status", false, get_status},
	{"GET", API "whois", false, localapi_whois},
	{"GET", API "peer-by-id", false, localapi_peer_by_id},
	{"GET", API "user-profile", false, localapi_user_profile},
	{"GET", API "prefs", false, localapi_get_prefs},
	{"PATCH", API "prefs", true, localapi_patch_prefs},
	{"POST", API "check-prefs", true, localapi_check_prefs},
	{"POST", API "start", true, localapi_start},
	{"POST", API "login-interactive", true, localapi_login_interactive},
	{"POST", API "logout", true, localapi_logout},
	{"GET", API "profiles/", true, localapi_profiles},
	{"PUT", API "profiles/", true, localapi_profiles},
	{"POST", API "profiles/", true, localapi_profiles},
	{"DELETE", API "profiles/", true, localapi_profiles},
	{"GET", API "watch-ipn-bus", false, localapi_watch_ipn_bus},
	{"GET", API "derpmap", false, get_derp_map},
	{"GET", API "serve-config", false, localapi_get_serve_config},
	{"POST", API "serve-config", true, localapi_post_serve_config},
	{"POST", API "debug", true, localapi_debug},
	{"POST", API "debug-packet-filter-rules", true,
	 localapi_debug_filter_rules},
	{"POST", API "debug-packet-filter-matches", true,
	 localapi_debug_filter_matches},
	{"POST", API "debug-derp-region", true, localapi_derp_region},
	{"POST", API "debug-dial-types", true, localapi_dial_types},
	{"GET", API "debug-portmap", true, localapi_debug_portmap},
	{"GET", API "debug-peer-endpoint-changes", false,
	 localapi_peer_endpoint_changes},
	{"POST", API "debug-rotate-disco-key", true,
	 localapi_rotate_disco_key},
	{"POST", API "dev-set-state-store", true, localapi_set_state_store},
	{"GET", API "debug-bus-events", true, localapi_event_bus},
	{"GET", API "debug-bus-graph", false, localapi_event_bus},
	{"GET", API "debug-bus-queues", false, localapi_event_bus},
	{"GET", API "debug-peer-relay-sessions", false,
	 localapi_peer_relay_sessions},
	{"GET", API "logtap", true, localapi_log_tap},
	{"POST", API "component-debug-logging", true,
	 localapi_component_logging},
	{"POST", API "debug-log", false, localapi_debug_log},
	{"GET", API "goroutines", true, localapi_threads},
	{"POST", API "disconnect-control", true, localapi_disconnect_control},
	{"POST", API "reset-auth", true, localapi_reset_auth},
	{"POST", API "reload-config", true, localapi_reload_config},
	{"POST", API "set-use-exit-node-enabled", true,
	 localapi_use_exit_node},
	{"POST", API "shutdown", true, localapi_shutdown},
	{"GET", API "update/check", false, localapi_update_check},
	{"POST", API "update/install", true, localapi_update_install},
	{"GET", API "update/progress", false, localapi_update_progress},
	{"POST", API "set-gui-visible", false, localapi_set_gui_visible},
	{"GET", API "policy/", false, localapi_policy},
	{"POST", API "policy/", false, localapi_policy},
	{"GET", API "appc-route-info", false, localapi_appc_route_info},
	{"GET", API "pprof", true, localapi_pprof},
	{"POST", API "query-feature", false, localapi_query_feature},
	{"PATCH", API "alpha-set-device-attrs", true,
	 localapi_set_device_attrs},
	{"GET", API "check-ip-forwarding", false,
	 localapi_check_ip_forwarding},
	{"GET", API "check-udp-gro-forwarding", false, localapi_check_udp_gro},
	{"GET", API "check-so-mark-in-use", false, localapi_check_so_mark},
	{"GET", API "services", false, localapi_services},
	{"POST", API "bugreport", false, localapi_bugreport},
	{"GET", API "cert/", false, localapi_cert},
	{"GET", API "cert-domains", false, localapi_cert_domains},
	{"POST", API "set-dns", true, localapi_set_dns},
	{"GET", API "id-token", true, localapi_id_token},
	{"POST", API "set-expiry-sooner", true, localapi_set_expiry_sooner},
	{"POST", API "dial", false, localapi_dial},
	{"GET", API "dns-query", true, localapi_dns_query},
	{"GET", API "dns-config", false, localapi_dns_config},
	{"GET", API "dns-osconfig", true, localapi_dns_osconfig},
	{"GET", API "suggest-exit-node", false, localapi_suggest_exit_node},
	{"POST", API "suggest-exit-node", false, localapi_suggest_exit_node},
	{"POST", API "ping", false, localapi_ping},
	{"POST", API "netcheck", false, localapi_netcheck},
	{"GET", API "usermetrics", false, localapi_user_metrics},
	{"GET", API "metrics", true, localapi_client_metrics},
	{"POST", API "upload-client-metrics", false, localapi_upload_metrics},
	{"POST", API "handle-push-message", true, localapi_push_message},
	{"POST", API "debug-capture", true, localapi_capture},
	{"GET", API "files/", true, localapi_files},
	{"DELETE", API "files/", true, localapi_files},
	{"GET", API "file-targets", false, localapi_file_targets},
	{"GET", API "tka/status", false, localapi_tka_status},
	{"GET", API "tka/log", false, localapi_tka_log},
	{"POST", API "tka/sign", true, localapi_tka_sign},
	{"POST", API "tka/modify", true, localapi_tka_modify},
	{"POST", API "tka/init", true, localapi_tka_init},
	{"POST", API "tka/disable", true, localapi_tka_disable},
	{"POST", API "tka/force-local-disable", true,
	 localapi_tka_local_disable},
	{"POST", API "tka/wrap-preauth-key", true, localapi_tka_wrap},
	{"POST", API "tka/affected-sigs", false, localapi_tka_affected},
	{"POST", API "tka/verify-deeplink", false, localapi_tka_verify_link},
	{"POST", API "tka/generate-recovery-aum", true, localapi_tka_recover},
	{"POST", API "tka/cosign-recovery-aum", true, localapi_tka_cosign},
	{"POST", API "tka/submit-recovery-aum", true, localapi_tka_submit},
};

static bool path_fits(const char *route, const char *path)
{
	size_t len = strlen(route);

	if (route[len - 1] == '/')
		return strncmp(path, route, len) == 0;
	return strcmp(path, route) == 0;
}

static void dispatch(const struct localapi_call *call)
{
	const struct ts_localapi_request *rq = call->request;
	bool path_known = false;
	char text[160];

	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (!path_fits(routes[i].path, rq->path))
			continue;
		path_known = true;
		if (strcmp(rq->method, routes[i].method) != 0)
			continue;
		if (routes[i].writes && !rq->may_write)
			localapi_reply_error(call, 403, "access denied");
		else
			routes[i].serve(call);
		return;
	}
	snprintf(text, sizeof(text), "%.16s %.100s: %s", rq->method, rq->path,
		 path_known ? "method not allowed" : "not served by this node");
	localapi_reply_error(call, path_known ? 405 : 404, text);
}

/* -- who may ask ---------------------------------------------------------- */
static const char *header(const struct ts_localapi_request *rq,
			  const char *name)
{
	return rq->header ? rq->header(rq->query_ctx, name) : NULL;
}

static bool is_from_browser(const struct ts_localapi_request *rq)
{
	const char *referer = header(rq, "Referer");
	const char *origin = header(rq, "Origin");

	return (referer && *referer) || (origin && *origin);
}

static bool host_is_ours(const char *host)
{
	return !host || !*host ||
	       strcasecmp(host, "local-tailscaled.sock") == 0;
}

static bool is_for_us(const struct ts_localapi_request *rq)
{
	return !is_from_browser(rq) && host_is_ours(header(rq, "Host"));
}

bool ts_localapi_upload(struct ts_localapi *api,
			const struct ts_localapi_request *request,
			uint64_t now_ms, int64_t now_unix,
			ts_localapi_done_fn done, void *ctx,
			struct ts_localapi_upload **out)
{
	struct localapi_call call = {.api = api, .node = api->node,
				     .request = request, .now_ms = now_ms,
				     .now_unix = now_unix, .done = done,
				     .ctx = ctx};

	*out = NULL;
	if ((strcmp(request->method, "PUT") != 0 &&
	     strcmp(request->method, "POST") != 0) ||
	    !path_fits(API "file-put/", request->path))
		return false;
	if (!is_for_us(request))
		localapi_reply_error(&call, 403, "invalid localapi request");
	else if (!request->may_write)
		localapi_reply_error(&call, 403, "file access denied");
	else
		*out = localapi_file_put(&call);
	return true;
}

void ts_localapi_handle(struct ts_localapi *api,
			const struct ts_localapi_request *request,
			uint64_t now_ms, int64_t now_unix,
			ts_localapi_done_fn done, void *ctx)
{
	struct localapi_call call = {.api = api, .node = api->node,
				     .request = request, .now_ms = now_ms,
				     .now_unix = now_unix, .done = done,
				     .ctx = ctx};

	api->now_ms = now_ms;
	if (!is_for_us(request))
		localapi_reply_error(&call, 403, "invalid localapi request");
	else if (strcmp(request->path, "/") == 0)
		localapi_reply_text(&call, 200, "text/plain",
				    strdup("tailscaled\n"));
	else
		dispatch(&call);
}

/* -- life ----------------------------------------------------------------- */
/* Whenever a stream is closed, also in the middle of other work. */
static void on_session_gone(void *ctx, const char *session)
{
	struct ts_localapi *api = ctx;

	localapi_serve_session_gone(api, session, api->now_ms);
}

struct ts_localapi *ts_localapi_new(struct ts_node *node,
				    const struct ts_localapi_env *env,
				    void *env_ctx)
{
	struct ts_localapi *api = calloc(1, sizeof(*api));

	if (!api)
		return NULL;
	api->node = node;
	api->env = *env;
	api->env_ctx = env_ctx;
	api->bus = bus_new(node, on_session_gone, api);
	if (api->bus)
		return api;
	free(api);
	return NULL;
}

void ts_localapi_free(struct ts_localapi *api)
{
	if (!api)
		return;
	localapi_logouts_end(api);
	localapi_drops_end(api);
	localapi_file_puts_end(api);
	json_decref(api->outgoing);
	json_decref(api->caller_metrics);
	localapi_move_done(api, "the node was stopped");
	bus_free(api->bus);
	localapi_forget_key(api);
	free(api);
}

void ts_localapi_set_node(struct ts_localapi *api, struct ts_node *node,
			  uint64_t now_ms)
{
	localapi_logouts_end(api);
	localapi_file_puts_end(api);
	json_array_clear(api->outgoing);
	localapi_forget_key(api);
	api->node = node;
	bus_set_node(api->bus, node, now_ms);
	localapi_move_done(api, NULL);
}

void ts_localapi_node_stays(struct ts_localapi *api)
{
	localapi_move_done(api, "the node could not be made: its log says why");
}

/* -- news of the node ----------------------------------------------------- */
void ts_localapi_state_changed(struct ts_localapi *api,
			       enum ts_node_state state, const char *error,
			       uint64_t now_ms)
{
	bus_state(api->bus, state, error);
	localapi_logouts_settle(api, now_ms);
}

void ts_localapi_files_changed(struct ts_localapi *api)
{
	bus_incoming_files(api->bus, api->env.drop_box);
	localapi_drops_changed(api);
}

void ts_localapi_auth_url(struct ts_localapi *api, const char *url)
{
	bus_browse_to_url(api->bus, url);
}

void ts_localapi_peer_changed(struct ts_localapi *api,
			      const struct ts_peer *peer)
{
	bus_peer_changed(api->bus, peer);
}

void ts_localapi_peer_removed(struct ts_localapi *api,
			      const struct ts_peer *peer)
{
	bus_peer_removed(api->bus, peer);
}

void ts_localapi_netmap_changed(struct ts_localapi *api, unsigned changes)
{
	bus_netmap_changed(api->bus, changes);
}

void ts_localapi_prefs_changed(struct ts_localapi *api, bool is_login)
{
	bus_prefs(api->bus, is_login);
}

uint64_t ts_localapi_deadline_ms(const struct ts_localapi *api)
{
	uint64_t logouts_ms = localapi_logouts_deadline_ms(api);
	uint64_t drops_ms = localapi_drops_deadline_ms(api);
	uint64_t at = bus_deadline_ms(api->bus);

	at = logouts_ms < at ? logouts_ms : at;
	return drops_ms < at ? drops_ms : at;
}

void ts_localapi_tick(struct ts_localapi *api, uint64_t now_ms,
		      int64_t now_unix)
{
	api->now_ms = now_ms;
	localapi_logouts_settle(api, now_ms);
	localapi_drops_tick(api, now_ms);
	bus_tick(api->bus, now_ms, now_unix);
}
