/* SPDX-License-Identifier: BSD-3-Clause
 * profile_routes.c - login profiles: list, current, switch, new, delete
 * Source: ipn/localapi/localapi.go (serveProfiles)
 */
#include <string.h>

#include "core/base/err.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"

#define PROFILES "/localapi/v0/profiles/"

static void reply_result(const struct localapi_call *call, int result,
			 int status, const char *err)
{
	if (result == 0)
		localapi_reply_empty(call, status);
	else
		localapi_reply_error(call, 500,
				     *err ? err : ts_strerror(result));
}

static void list(const struct localapi_call *call)
{
	const struct ts_localapi *api = call->api;
	json_t *profiles = api->env.profiles(api->env_ctx);

	localapi_reply_json(call, 200, profiles ? profiles : json_array());
}

static void add(const struct localapi_call *call)
{
	const struct ts_localapi *api = call->api;
	char err[256] = "";
	int result;

	if (!api->env.profile_new) {
		localapi_reply_error(call, 501, "this node has one profile");
		return;
	}
	localapi_move_done(call->api, "another profile was asked for");
	result = api->env.profile_new(api->env_ctx, err);
	reply_result(call, result, 201, err);
}

static void current(const struct localapi_call *call)
{
	const struct ts_localapi *api = call->api;
	json_t *profile = api->env.current_profile(api->env_ctx);

	localapi_reply_json(call, 200, profile ? profile : json_object());
}

static void show(const struct localapi_call *call, const char *id)
{
	const struct ts_localapi *api = call->api;
	json_t *profiles = api->env.profiles(api->env_ctx);
	json_t *found = NULL, *profile;
	size_t i;

	json_array_foreach (profiles, i, profile) {
		const char *its = ts_json_text(profile, "ID");

		if (its && strcmp(its, id) == 0)
			found = json_incref(profile);
	}
	json_decref(profiles);
	if (found)
		localapi_reply_json(call, 200, found);
	else
		localapi_reply_error(call, 404, "Profile not found");
}

static void change(const struct localapi_call *call, const char *id,
		   int (*op)(void *ctx, const char *id, char err[static 256]))
{
	char err[256] = "";
	int result;

	if (!op) {
		localapi_reply_error(call, 501, "this node has one profile");
		return;
	}
	localapi_move_done(call->api, "another profile was asked for");
	result = op(call->api->env_ctx, id, err);
	reply_result(call, result, 204, err);
}

void localapi_profiles(const struct localapi_call *call)
{
	const struct ts_localapi_env *env = &call->api->env;
	const char *method = call->request->method;
	const char *id = call->request->path + strlen(PROFILES);
	bool is_get = strcmp(method, "GET") == 0;

	if (!env->profiles || !env->current_profile)
		localapi_reply_error(call, 501, "this node has no profiles");
	else if (!*id && is_get)
		list(call);
	else if (!*id && strcmp(method, "PUT") == 0)
		add(call);
	else if (!*id)
		localapi_reply_error(call, 405, "use GET or PUT");
	else if (strcmp(id, "current") == 0 && !is_get)
		localapi_reply_error(call, 405, "use GET");
	else if (strcmp(id, "current") == 0)
		current(call);
	else if (is_get)
		show(call, id);
	else if (strcmp(method, "POST") == 0)
		change(call, id, env->profile_switch);
	else if (strcmp(method, "DELETE") == 0)
		change(call, id, env->profile_delete);
	else
		localapi_reply_error(call, 405, "use POST or DELETE");
}
