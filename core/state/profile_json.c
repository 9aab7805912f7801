/* SPDX-License-Identifier: BSD-3-Clause
 * profile_json.c - the login profiles inside the state
 * Source: ipn/ipnlocal/profiles.go, ipn/prefs.go (LoginProfile)
 *
 * "_profiles" maps profile IDs to LoginProfiles, "_current-profile" names the
 * state key of one of them, and under that key lie the Prefs with the node's
 * keys. Storing goes as upstream does it: a profile of the same control server
 * with the same user or node is taken up again and its doubles are removed,
 * else the current profile is overwritten, else one is made. Fields that a
 * newer tsnet put into a profile stay.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/crypto/secret.h"
#include "core/state/profile_json.h"
#include "core/state/state_map.h"

#define STATE_LEGACY "_daemon" /* before there were profiles */
#define PROFILE_KEY_PREFIX "profile-"
#define OLD_CONTROL_URL "https://login.tailscale.com"

enum { PROFILE_ID_BYTES = 2, PROFILE_ID_CAP = 5, PROFILE_KEY_CAP = 64 };

/* -- reading -------------------------------------------------------------- */

json_t *ts_profiles_read(const struct ts_state *s, char err[static 128])
{
	size_t len;
	const uint8_t *data = ts_state_get(s, STATE_PROFILES, &len);
	json_t *profiles;

	if (!data)
		return json_object();
	profiles = json_loadb((const char *)data, len,
			      JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	if (json_is_null(profiles)) {
		json_decref(profiles);
		return json_object();
	}
	if (json_is_object(profiles))
		return profiles;
	json_decref(profiles);
	snprintf(err, 128, STATE_PROFILES " is not a JSON object");
	return NULL;
}

const char *ts_profile_text(const json_t *obj, const char *name)
{
	const char *text = json_string_value(json_object_get(obj, name));

	return text ? text : "";
}

/* A list that points at another entry, the machine key say, must not make us
 * overwrite that. */
const char *ts_profile_key(const json_t *profile)
{
	const char *key = ts_profile_text(profile, "Key");

	return strncmp(key, PROFILE_KEY_PREFIX,
		       strlen(PROFILE_KEY_PREFIX)) == 0 ? key : "";
}

json_t *ts_profiles_find_key(json_t *profiles, const char *key)
{
	const char *id;
	json_t *profile;

	json_object_foreach (profiles, id, profile)
		if (*key && strcmp(ts_profile_key(profile), key) == 0)
			return profile;
	return NULL;
}

const char *ts_profiles_current_key(const struct ts_state *s, json_t *profiles)
{
	size_t len;
	const char *key = (const char *)ts_state_get(s, STATE_CURRENT, &len);

	if (!key || s->has_no_current || strlen(key) != len)
		return "";
	return ts_profiles_find_key(profiles, key) ? key : "";
}

int ts_profile_read_prefs(const struct ts_state *s, const char *key,
			  struct ts_prefs *out, bool *found,
			  char err[static 128])
{
	size_t len;
	const uint8_t *data = ts_state_get(s, key, &len);
	struct ts_prefs prefs;
	char why[128] = "";
	int code;

	if (!data || !len)
		return 0;
	code = ts_prefs_from_json((const char *)data, len, &prefs, why);
	if (code) {
		snprintf(err, 128, "%.32s: %.90s", key, why);
		return code;
	}
	if (prefs.control_url &&
	    strcmp(prefs.control_url, OLD_CONTROL_URL) == 0)
		prefs.control_url[0] = '\0'; /* means the default one */
	ts_prefs_deinit(out);
	*out = prefs;
	*found = true;
	return 0;
}

int ts_state_load_profile(const struct ts_state *s, struct ts_prefs *out,
			  bool *found, char err[static 128])
{
	json_t *profiles;
	const char *key;
	int code = 0;

	*found = false;
	ts_prefs_init_default(out);
	profiles = ts_profiles_read(s, err);
	if (!profiles)
		return -EBADMSG;
	key = ts_profiles_current_key(s, profiles);
	if (!*key && !s->has_no_current && !json_object_size(profiles))
		key = STATE_LEGACY;
	if (*key)
		code = ts_profile_read_prefs(s, key, out, found, err);
	json_decref(profiles);
	return code;
}

static bool is_file_name(const char *id)
{
	size_t len = strlen(id);

	return len > 0 && len < TS_PROFILE_ID_CAP &&
	       strspn(id, "0123456789abcdefghijklmnopqrstuvwxyz"
			  "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") == len;
}

int ts_state_profile_id(const struct ts_state *s,
			char out[static TS_PROFILE_ID_CAP])
{
	char err[128];
	json_t *profiles = ts_profiles_read(s, err);
	const char *key = profiles ? ts_profiles_current_key(s, profiles) : "";
	const char *id = *key ? ts_profile_text(ts_profiles_find_key(profiles,
								     key),
						"ID")
			      : "";
	int code = is_file_name(id) ? 0 : -ENOENT;

	if (!code)
		snprintf(out, TS_PROFILE_ID_CAP, "%s", id);
	json_decref(profiles);
	return code;
}

/* -- storing -------------------------------------------------------------- */

static bool is_same_login(const json_t *profile, const struct ts_prefs *prefs)
{
	const struct ts_persist *persist = &prefs->persist;
	const char *url = prefs->control_url ? prefs->control_url : "";
	json_int_t user = json_integer_value(json_object_get(
		json_object_get(profile, "UserProfile"), "ID"));
	const char *node = ts_profile_text(profile, "NodeID");

	if (!*ts_profile_key(profile) ||
	    strcmp(ts_profile_text(profile, "ControlURL"), url) != 0)
		return false;
	return (user && user == persist->user_id) ||
	       (*node && persist->node_id &&
		strcmp(node, persist->node_id) == 0);
}

/* The profile of that login; others of the same login are removed. The
 * current one is preferred. NULL: none. */
static json_t *take_up(struct ts_state *s, json_t *profiles,
		       const char *current, const struct ts_prefs *prefs)
{
	json_t *kept = ts_profiles_find_key(profiles, current);
	json_t *profile;
	const char *id;
	void *next;

	if (kept && !is_same_login(kept, prefs))
		kept = NULL;
	json_object_foreach_safe (profiles, next, id, profile) {
		if (profile == kept || !is_same_login(profile, prefs))
			continue;
		if (!kept) {
			kept = profile;
			continue;
		}
		ts_state_set(s, ts_profile_key(profile), NULL, 0);
		json_object_del(profiles, id);
	}
	return kept;
}

static json_t *make_profile(json_t *profiles)
{
	uint8_t bytes[PROFILE_ID_BYTES];
	char id[PROFILE_ID_CAP], key[PROFILE_KEY_CAP];
	json_t *profile;

	do {
		ts_random_bytes(bytes, sizeof(bytes));
		ts_hex_encode(bytes, sizeof(bytes), id);
	} while (json_object_get(profiles, id));
	snprintf(key, sizeof(key), PROFILE_KEY_PREFIX "%s", id);
	profile = json_pack("{s:s, s:s, s:s}", "ID", id, "Key", key,
			    "LocalUserID", "");
	if (!profile || json_object_set_new(profiles, id, profile))
		return NULL;
	return profile;
}

static int put_text(json_t *obj, const char *name, const char *text)
{
	return json_object_set_new(obj, name, json_string(text ? text : ""));
}

static int fill_user(json_t *profile, const struct ts_persist *persist)
{
	const char *shown = persist->display_name;
	json_t *user = json_object();
	int bad = 0;

	if (!shown || !*shown)
		shown = persist->login_name;
	bad |= json_object_set_new(user, "ID", json_integer(persist->user_id));
	bad |= put_text(user, "LoginName", persist->login_name);
	bad |= put_text(user, "DisplayName", shown);
	if (persist->profile_pic_url && *persist->profile_pic_url)
		bad |= put_text(user, "ProfilePicURL",
				persist->profile_pic_url);
	return bad | json_object_set_new(profile, "UserProfile", user);
}

static int fill_network(json_t *profile, const char *magic_suffix,
			const char *domain)
{
	json_t *network = json_object_get(profile, "NetworkProfile");
	int bad = 0;

	if (!json_is_object(network)) {
		network = json_object();
		bad = json_object_set_new(profile, "NetworkProfile", network);
	}
	if (bad)
		return bad;
	if (magic_suffix || !json_object_get(network, "MagicDNSName"))
		bad |= put_text(network, "MagicDNSName", magic_suffix);
	if (domain || !json_object_get(network, "DomainName"))
		bad |= put_text(network, "DomainName", domain);
	if (!json_object_get(network, "DisplayName"))
		bad |= put_text(network, "DisplayName", "");
	return bad;
}

static int fill_profile(json_t *profile, const struct ts_prefs *prefs,
			const char *magic_suffix, const char *domain)
{
	const char *name = prefs->profile_name;
	int bad = 0;

	if (!name || !*name)
		name = prefs->persist.login_name;
	bad |= put_text(profile, "Name", name);
	bad |= put_text(profile, "NodeID", prefs->persist.node_id);
	bad |= put_text(profile, "ControlURL", prefs->control_url);
	bad |= fill_user(profile, &prefs->persist);
	bad |= fill_network(profile, magic_suffix, domain);
	return bad ? -ENOMEM : 0;
}

static int set_text(struct ts_state *s, const char *key, const char *text)
{
	return text ? ts_state_set(s, key, text, strlen(text)) : -ENOMEM;
}

/* Prefs first: a list that names them must never come without them. */
static int write_all(struct ts_state *s, json_t *profiles,
		     const json_t *profile, const struct ts_prefs *prefs)
{
	const char *key = ts_profile_key(profile);
	char *text = ts_prefs_to_json(prefs, true);
	char *list = json_dumps(profiles, JSON_COMPACT);
	int code = text && list ? set_text(s, key, text) : -ENOMEM;

	if (code >= 0)
		code = set_text(s, STATE_PROFILES, list);
	if (code >= 0)
		code = set_text(s, STATE_CURRENT, key);
	if (code >= 0)
		s->has_no_current = false;
	ts_wipe_free_text(text);
	free(list);
	return code < 0 ? code : 0;
}

int ts_state_store_profile(struct ts_state *s, const struct ts_prefs *prefs,
			   const char *magic_suffix, const char *domain)
{
	char err[128];
	json_t *profiles = ts_profiles_read(s, err);
	json_t *profile;
	const char *current;
	int code;

	if (!profiles)
		return -EBADMSG;
	current = ts_profiles_current_key(s, profiles);
	profile = take_up(s, profiles, current, prefs);
	if (!profile)
		profile = ts_profiles_find_key(profiles, current);
	if (!profile)
		profile = make_profile(profiles);
	code = profile ? fill_profile(profile, prefs, magic_suffix, domain)
		       : -ENOMEM;
	if (!code)
		code = write_all(s, profiles, profile, prefs);
	json_decref(profiles);
	return code;
}
