/* SPDX-License-Identifier: BSD-3-Clause
 * admin_routes.c - what is done to the node as a whole, and to its updates
 *
 * What this node has no way to do (end itself at a caller's wish, update
 * itself) is refused in words; what it has none of (policies of a device
 * management, app connector routes) is answered as upstream does without any.
 * Source: ipn/localapi/localapi.go, syspolicy_api.go, feature/clientupdate,
 *   feature/relayserver
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/err.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"
#include "core/model/prefs_edit.h"

/* -- control -------------------------------------------------------------- */
void localapi_disconnect_control(const struct localapi_call *call)
{
	ts_node_disconnect_control(call->node, call->now_ms);
	localapi_reply_empty(call, 200);
}

/* All profiles and the machine's key: the next login is a new machine's. */
void localapi_reset_auth(const struct localapi_call *call)
{
	const struct ts_localapi *api = call->api;
	char err[256] = "not possible here", text[288];
	int code = api->env.reset_auth
			   ? api->env.reset_auth(api->env_ctx, err)
			   : -ENOSYS;

	if (code) {
		snprintf(text, sizeof(text), "reset-auth failed: %s", err);
		localapi_reply_error(call, 500, text);
	} else {
		localapi_reply_empty(call, 204);
	}
}

/* -- configuration -------------------------------------------------------- */
void localapi_reload_config(const struct localapi_call *call)
{
	const struct ts_localapi *api = call->api;
	char err[256] = "";
	int code = api->env.reload_config
			   ? api->env.reload_config(api->env_ctx, err)
			   : -ENOSYS;
	json_t *body = json_object();

	json_object_set_new(body, "Reloaded", json_boolean(code == 0));
	if (err[0])
		json_object_set_new(body, "Err", ts_json_words(err));
	localapi_reply_json(call, 200, body);
}

/* Upstream writes it whatever it is; so do we, but for texts alone, and for the
 * owner: what an operator may not ask of serve-config (files, sockets) could
 * be put here, for the next start. */
void localapi_set_state_store(const struct localapi_call *call)
{
	enum { KEY_MAX = 256, VALUE_MAX = 64 * 1024 };
	const struct ts_localapi *api = call->api;
	const char *key = localapi_query(call, "key");
	const char *value = localapi_query(call, "value");
	int code = -ENOSYS;

	if (!call->request->is_owner) {
		localapi_reply_error(call, 403, "access denied: for root, or "
				     "the user that this node runs as");
		return;
	}
	if (!key || !*key || strlen(key) > KEY_MAX ||
	    (value && strlen(value) > VALUE_MAX)) {
		localapi_reply_error(call, 400, "no key, or too long");
		return;
	}
	if (api->env.store)
		code = api->env.store(api->env_ctx, key, value ? value : "");
	if (code)
		localapi_reply_error(call, 500, code == -ENOSYS
							? "no state store"
							: ts_strerror(code));
	else
		localapi_reply_text(call, 200, "text/plain", strdup("done\n"));
}

/* -- exit node ------------------------------------------------------------ */
static bool read_enabled(const struct localapi_call *call, bool *out)
{
	static const struct {
		const char *text;
		bool value;
	} words[] = {{"1", true},  {"t", true},	  {"true", true},
		     {"0", false}, {"f", false}, {"false", false}};
	const char *text = localapi_query(call, "enabled");

	for (size_t i = 0; text && i < ARRAY_LEN(words); i++) {
		if (strcasecmp(text, words[i].text) == 0) {
			*out = words[i].value;
			return true;
		}
	}
	localapi_reply_error(call, 400, "invalid 'enabled' parameter");
	return false;
}

void localapi_use_exit_node(const struct localapi_call *call)
{
	json_t *nothing = json_object();
	struct ts_prefs next;
	char err[128] = "";
	bool enabled;
	int code;

	if (*localapi_lock_reason(call->api)) {
		json_decref(nothing);
		localapi_reply_error(call, 500,
				     localapi_lock_reason(call->api));
		return;
	}
	if (!read_enabled(call, &enabled)) {
		json_decref(nothing);
		return;
	}
	code = ts_prefs_edit(ts_node_prefs(call->node), nothing,
			     TS_PREFS_MASKED, &next, err);
	json_decref(nothing);
	if (!code) {
		code = ts_route_prefs_switch_exit(&next.routes, enabled);
		if (!code)
			ts_node_edit_prefs(call->node, &next, call->now_ms);
		ts_prefs_deinit(&next);
	}
	if (code == -ENOENT)
		localapi_reply_error(call, 500, "no prior exit node to enable");
	else if (code)
		localapi_reply_error(call, 500,
				     err[0] ? err : ts_strerror(code));
	else
		localapi_get_prefs(call);
}

/* -- the node's program --------------------------------------------------- */
void localapi_shutdown(const struct localapi_call *call)
{
	localapi_reply_error(call, 403, "shutdown access denied by policy: the "
					"node ends with its program");
}

void localapi_update_check(const struct localapi_call *call)
{
	const json_t *version = ts_node_netmap(call->node)->client_version;

	localapi_reply_json(call, 200,
			    version ? json_deep_copy(version)
				    : json_pack("{s:b}", "RunningLatest", 1));
}

void localapi_update_install(const struct localapi_call *call)
{
	localapi_reply_error(call, 501, "this node is updated by the packages "
					"of its system");
}

void localapi_update_progress(const struct localapi_call *call)
{
	localapi_reply_json(call, 200, json_array());
}

/* Upstream does nothing with it, either. */
void localapi_set_gui_visible(const struct localapi_call *call)
{
	json_t *body = localapi_body_object(call);

	if (!body)
		return;
	json_decref(body);
	localapi_reply_empty(call, 200);
}

/* -- what there is none of ------------------------------------------------ */
void localapi_policy(const struct localapi_call *call)
{
	const char *scope = strrchr(call->request->path, '/') + 1;

	if (*scope && strcmp(scope, "Device") != 0)
		localapi_reply_error(call, 400, "not a valid scope");
	else
		localapi_reply_json(call, 200, json_object());
}

void localapi_appc_route_info(const struct localapi_call *call)
{
	localapi_reply_json(call, 200, json_object());
}

void localapi_peer_relay_sessions(const struct localapi_call *call)
{
	localapi_reply_json(call, 200, json_pack("{s:n, s:[]}", "UDPPort",
						 "Sessions"));
}

void localapi_event_bus(const struct localapi_call *call)
{
	localapi_reply_error(call, 412, "event bus not running: this node has "
					"none");
}

void localapi_pprof(const struct localapi_call *call)
{
	localapi_reply_error(call, 503, "not implemented on this platform");
}
