/* SPDX-License-Identifier: BSD-3-Clause
 * login_routes.c - start with other preferences or a key; log in
 *
 * After a start the bus repeats the state, for who waits there for the end of
 * what it has begun. The CLI asks for an interactive login after a start with a
 * key, too, and means: with that key. So it is kept for one such request.
 * Preferences of another control server are another profile's, with keys of its
 * own: this one stays as it is, to come back to. Upstream's writes over it.
 * Source: ipn/localapi/localapi.go (serveStart, serveLoginInteractive),
 *   ipn/ipnlocal/local.go (StartLoginInteractiveAs)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"
#include "core/model/prefs_edit.h"

/* -- start ---------------------------------------------------------------- */
/* False: answered already. */
static bool read_prefs(const struct localapi_call *call, const json_t *wanted,
		       struct ts_prefs *next)
{
	char why[256], err[128] = "";
	int code;

	if (*localapi_lock_reason(call->api)) {
		localapi_reply_error(call, 500,
				     localapi_lock_reason(call->api));
		return false;
	}
	code = ts_prefs_edit(ts_node_prefs(call->node), wanted, TS_PREFS_WHOLE,
			     next, err);
	if (code) {
		localapi_reply_error(call, 500, err);
		return false;
	}
	if (localapi_prefs_are_possible(call->node, next, why))
		return true;
	localapi_reply_error(call, 500, why);
	ts_prefs_deinit(next);
	return false;
}

static bool take_key(const struct localapi_call *call, const char *key)
{
	struct ts_localapi *api = call->api;
	struct ts_public_key known;
	int err;

	ts_node_public_key(call->node, &known);
	err = ts_node_login(call->node, key, false, call->now_ms);
	if (err) {
		localapi_reply_error(call, 500, ts_strerror(err));
		return false;
	}
	snprintf(api->start_key, sizeof(api->start_key), "%s", key);
	api->key_is_in_use = ts_public_key_is_zero(&known);
	return true;
}

/* -- a start at another server -------------------------------------------- */
/* It waits for the node that is made for it. */
struct localapi_move {
	struct localapi_call call;
	char key[LOCALAPI_AUTH_KEY_CAP];
};

void localapi_move_done(struct ts_localapi *api, const char *problem)
{
	struct localapi_move *move = api->move;

	if (!move)
		return;
	api->move = NULL;
	if (!problem && move->key[0]) { /* the node logs in with it */
		snprintf(api->start_key, sizeof(api->start_key), "%s",
			 move->key);
		api->key_is_in_use = true;
	}
	if (problem)
		localapi_reply_error(&move->call, 500, problem);
	else
		localapi_reply_empty(&move->call, 204);
	ts_wipe(move, sizeof(*move));
	free(move);
}

/* Of another profile: nothing of this one's identity. */
static void forget_identity(struct ts_prefs *next, const struct ts_prefs *now)
{
	ts_persist_deinit(&next->persist);
	json_object_del(next->unknown, "Config");
	if (next->profile_name && now->profile_name &&
	    strcmp(next->profile_name, now->profile_name) == 0) {
		free(next->profile_name);
		next->profile_name = NULL;
	}
	next->logged_out = !next->want_running;
}

/* Takes next. Answers. */
static void move_away(const struct localapi_call *call, struct ts_prefs *next,
		      const char *key)
{
	struct ts_localapi *api = call->api;
	const struct ts_localapi_env *env = &api->env;
	struct localapi_move *move = calloc(1, sizeof(*move));
	char err[256] = "this node has one control server";
	int code = !move || api->move || !env->log_in_elsewhere ? -ENOSYS : 0;

	if (api->move)
		snprintf(err, sizeof(err), "another login has just begun");
	if (!code) {
		forget_identity(next, ts_node_prefs(call->node));
		code = env->log_in_elsewhere(api->env_ctx, next,
					     *key ? key : NULL, err);
	}
	ts_prefs_deinit(next);
	if (code) {
		localapi_reply_error(call, 500, err);
		free(move);
		return;
	}
	move->call = *call;
	move->call.request = NULL;
	snprintf(move->key, sizeof(move->key), "%s", key);
	api->move = move;
}

/* -- start, once its body is read ----------------------------------------- */
static void start(const struct localapi_call *call, const json_t *wanted,
		  const char *key)
{
	struct ts_prefs next;

	localapi_forget_key(call->api);
	if (wanted && !read_prefs(call, wanted, &next))
		return;
	if (wanted && localapi_prefs_move(call->node, &next)) {
		move_away(call, &next, key);
		return;
	}
	if (wanted) {
		ts_node_edit_prefs(call->node, &next, call->now_ms);
		ts_prefs_deinit(&next);
	}
	if (*key && !take_key(call, key))
		return;
	ts_node_reconnect_control(call->node, call->now_ms);
	bus_repeat_state(call->api->bus);
	localapi_reply_empty(call, 204);
}

void localapi_start(const struct localapi_call *call)
{
	json_t *options = localapi_body_object(call);
	const char *key;

	if (!options)
		return;
	key = ts_json_text(options, "AuthKey");
	if (key && strlen(key) >= LOCALAPI_AUTH_KEY_CAP)
		localapi_reply_error(call, 400, "the auth key is too long");
	else
		start(call, ts_json_object(options, "UpdatePrefs"),
		      key ? key : "");
	ts_json_wipe(ts_json_get(options, "AuthKey"));
	json_decref(options);
}

/* -- log in --------------------------------------------------------------- */
void localapi_forget_key(struct ts_localapi *api)
{
	ts_wipe(api->start_key, sizeof(api->start_key));
	api->key_is_in_use = false;
}

void localapi_login_interactive(const struct localapi_call *call)
{
	struct ts_localapi *api = call->api;
	int err = 0;

	if (!api->start_key[0])
		ts_node_login_interactive(call->node, call->now_ms);
	else if (!api->key_is_in_use)
		err = ts_node_login(call->node, api->start_key, true,
				    call->now_ms);
	localapi_forget_key(api);
	if (err)
		localapi_reply_error(call, 500, ts_strerror(err));
	else
		localapi_reply_empty(call, 204);
}
