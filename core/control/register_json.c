/* SPDX-License-Identifier: BSD-3-Clause
 * register_json.c - RegisterRequest and RegisterResponse
 */
#include "core/control/register_json.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/control/control_client.h"
#include "core/model/json_fields.h"

static json_t *key_text(const struct ts_public_key *key, const char *prefix)
{
	char text[TS_KEY_TEXT_CAP];

	return json_string(ts_public_key_format(key, prefix, text));
}

/* A key wrapped for tailnet lock carries its signature behind "--TL". */
static json_t *auth_object(const char *auth_key)
{
	const char *wrap = strstr(auth_key, "--TL");
	size_t len = wrap ? (size_t)(wrap - auth_key) : strlen(auth_key);

	return json_pack("{s:s%}", "AuthKey", auth_key, len);
}

static int fill_request(const struct ts_register_request *r, json_t *root)
{
	char expiry[TS_TIME_TEXT_CAP];
	int err = 0;

	err |= json_object_set_new(root, "Version",
				   json_integer(TS_CAPABILITY_VERSION));
	err |= json_object_set_new(root, "NodeKey",
				   key_text(&r->node_key, TS_PREFIX_NODE));
	err |= json_object_set_new(root, "OldNodeKey",
				   key_text(&r->old_node_key, TS_PREFIX_NODE));
	err |= json_object_set_new(root, "NLKey",
				   key_text(&r->nl_key, TS_PREFIX_NL_PUBLIC));
	if (r->auth_key)
		err |= json_object_set_new(root, "Auth",
					   auth_object(r->auth_key));
	err |= json_object_set_new(
		root, "Expiry",
		json_string(ts_time_format(r->expiry_unix, expiry)));
	err |= json_object_set_new(root, "Followup",
				   json_string(r->followup ? r->followup : ""));
	err |= json_object_set_new(root, "Hostinfo",
				   ts_hostinfo_to_json(r->hostinfo));
	if (r->ephemeral)
		err |= json_object_set_new(root, "Ephemeral", json_true());
	err |= json_object_set_new(root, "NodeKeySignature",
				   r->node_key_signature
					   ? json_string(r->node_key_signature)
					   : json_null());
	return err;
}

char *ts_register_request_write(const struct ts_register_request *request)
{
	json_t *root = json_object();
	char *text = NULL;

	if (root && fill_request(request, root) == 0)
		text = json_dumps(root, JSON_COMPACT);
	ts_json_wipe(json_object_get(root, "Auth"));
	json_decref(root);
	return text;
}

static int read_profile(const json_t *root, struct ts_register_response *out)
{
	const json_t *login = ts_json_object(root, "Login");
	int err = ts_json_dup(login, "LoginName", &out->login_name);

	out->user_id = ts_json_int(ts_json_object(root, "User"), "ID");
	if (!err)
		err = ts_json_dup(login, "DisplayName", &out->display_name);
	if (!err)
		err = ts_json_dup(login, "ProfilePicURL",
				  &out->profile_pic_url);
	return err;
}

static int read_response(const json_t *root, struct ts_register_response *out)
{
	int err = ts_json_dup(root, "Error", &out->error);

	if (!err)
		err = ts_json_dup(root, "AuthURL", &out->auth_url);
	if (!err)
		err = ts_json_dup(root, "NodeKeySignature",
				  &out->node_key_signature);
	if (!err)
		err = read_profile(root, out);
	out->node_key_expired = ts_json_bool(root, "NodeKeyExpired");
	out->machine_authorized = ts_json_bool(root, "MachineAuthorized");
	return err;
}

int ts_register_response_read(const void *json, size_t len,
			      struct ts_register_response *out)
{
	json_t *root = json_loadb(json, len, TS_JSON_READ_FLAGS, NULL);
	int err = -EBADMSG;

	memset(out, 0, sizeof(*out));
	if (json_is_object(root))
		err = read_response(root, out);
	if (err)
		ts_register_response_deinit(out);
	json_decref(root);
	return err;
}

void ts_register_response_deinit(struct ts_register_response *response)
{
	free(response->error);
	free(response->auth_url);
	free(response->node_key_signature);
	free(response->login_name);
	free(response->display_name);
	free(response->profile_pic_url);
	memset(response, 0, sizeof(*response));
}
