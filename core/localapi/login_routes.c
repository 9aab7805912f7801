/* SPDX-License-Identifier: BSD-3-Clause
 * login_routes.c - start with other preferences or a key; log in
 *
 * After a start the bus repeats the state, for who waits there for the end of
 * what it has begun. The CLI asks for an interactive login after a start with a
 * key, too, and means: with that key. So it is kept for one such request.
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

/* -- start -------------------------------------------------------------------- */
/* False: answered already. */
static bool take_prefs(const struct localapi_call *call, const json_t *wanted)
{
	char why[256], err[128] = "";
	struct ts_prefs next;
	bool ok;

	if (ts_prefs_edit(ts_node_prefs(call->node), wanted, TS_PREFS_WHOLE,
			  &next, err)) {
		localapi_reply_error(call, 500, err);
		return false;
	}
	ok = localapi_prefs_are_possible(call->node, &next, why);
	if (ok)
		ts_node_edit_prefs(call->node, &next, call->now_ms);
	else
		localapi_reply_error(call, 500, why);
	ts_prefs_deinit(&next);
	return ok;
}

static bool take_key(const struct localapi_call *call, const char *key)
{
	struct ts_localapi *api = call->api;
	struct ts_public_key known;
	int err = strlen(key) >= sizeof(api->start_key) ? -EMSGSIZE : 0;

	ts_node_public_key(call->node, &known);
	if (!err)
		err = ts_node_login(call->node, key, false, call->now_ms);
	if (err) {
		localapi_reply_error(call, err == -EMSGSIZE ? 400 : 500,
				     err == -EMSGSIZE
					     ? "the auth key is too long"
					     : ts_strerror(err));
		return false;
	}
	snprintf(api->start_key, sizeof(api->start_key), "%s", key);
	api->key_is_in_use = ts_public_key_is_zero(&known);
	return true;
}

/* jansson frees its texts as they are. */
static void wipe_key(const json_t *options)
{
	const json_t *key = ts_json_get(options, "AuthKey");

	if (json_is_string(key))
		ts_wipe((char *)(uintptr_t)json_string_value(key),
			json_string_length(key));
}

void localapi_start(const struct localapi_call *call)
{
	json_t *options = localapi_body_object(call);
	const json_t *prefs;
	const char *key;
	bool ok = true;

	if (!options)
		return;
	prefs = ts_json_object(options, "UpdatePrefs");
	key = ts_json_text(options, "AuthKey");
	localapi_forget_key(call->api);
	if (prefs)
		ok = take_prefs(call, prefs);
	if (ok && key && *key)
		ok = take_key(call, key);
	wipe_key(options);
	json_decref(options);
	if (!ok)
		return;
	bus_repeat_state(call->api->bus);
	localapi_reply_empty(call, 204);
}

/* -- log in -------------------------------------------------------------------- */
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
