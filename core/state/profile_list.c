/* SPDX-License-Identifier: BSD-3-Clause
 * profile_list.c - the login profiles of a state: list, choose, leave, delete
 * Source: ipn/ipnlocal/profiles.go
 *
 * What a person does with profiles; storing a login in one is profile_json.c.
 * A profile is named by its ID, and only those count whose prefs lie under a
 * key of the right kind: the list in a state that somebody made up must not
 * lead to the machine key.
 */
#include "core/state/profile_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/json_fields.h"
#include "core/model/login_server.h"
#include "core/state/profile_json.h"
#include "core/state/state_map.h"

#define SERVE_KEY_PREFIX "_serve/"

enum { SERVE_KEY_CAP = 64 };

static bool is_listed(const char *id, const json_t *profile)
{
	return *id && *ts_profile_key(profile) &&
	       strcmp(ts_profile_text(profile, "ID"), id) == 0;
}

/* Those without a time are older than the field, and come first. */
static int compare(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	int64_t x_s = ts_json_time(x, "Created");
	int64_t y_s = ts_json_time(y, "Created");
	int order = (x_s > y_s) - (x_s < y_s);

	if (!order)
		order = strcmp(ts_profile_text(x, "Name"),
			       ts_profile_text(y, "Name"));
	if (!order)
		order = strcmp(
			ts_profile_text(json_object_get(x, "NetworkProfile"),
					"DomainName"),
			ts_profile_text(json_object_get(y, "NetworkProfile"),
					"DomainName"));
	return order ? order : strcmp(ts_profile_text(x, "ID"),
				      ts_profile_text(y, "ID"));
}

static json_t *sorted(json_t *profiles)
{
	size_t count = 0;
	json_t **found = calloc(json_object_size(profiles) + 1,
				sizeof(json_t *));
	json_t *list = json_array();
	const char *id;
	json_t *profile;
	int bad = !found || !list;

	json_object_foreach (profiles, id, profile)
		if (!bad && is_listed(id, profile))
			found[count++] = profile;
	if (count)
		qsort(found, count, sizeof(json_t *), compare);
	for (size_t i = 0; i < count && !bad; i++)
		bad = json_array_append_new(list, json_deep_copy(found[i]));
	free(found);
	if (!bad)
		return list;
	json_decref(list);
	return NULL;
}

json_t *ts_profiles_list(const struct ts_state *s, char err[static 128])
{
	json_t *profiles = ts_profiles_read(s, err);
	json_t *list;

	if (!profiles)
		return NULL;
	list = sorted(profiles);
	json_decref(profiles);
	if (!list)
		snprintf(err, 128, "out of memory");
	return list;
}

static json_t *zero_profile(void)
{
	return json_pack(
		"{s:s, s:s, s:{s:s, s:s, s:s}, s:s, s:{s:i, s:s, s:s}, "
		"s:s, s:s, s:s}",
		"ID", "", "Name", "", "NetworkProfile", "MagicDNSName", "",
		"DomainName", "", "DisplayName", "", "Key", "", "UserProfile",
		"ID", 0, "LoginName", "", "DisplayName", "", "NodeID", "",
		"LocalUserID", "", "ControlURL", "");
}

json_t *ts_profiles_current(const struct ts_state *s, char err[static 128])
{
	json_t *profiles = ts_profiles_read(s, err);
	json_t *profile, *copy;

	if (!profiles)
		return NULL;
	profile = ts_profiles_find_key(profiles,
				       ts_profiles_current_key(s, profiles));
	copy = profile ? json_deep_copy(profile) : zero_profile();
	json_decref(profiles);
	if (!copy)
		snprintf(err, 128, "out of memory");
	return copy;
}

/* *profiles is new in each case but -EBADMSG. */
static int find(const struct ts_state *s, const char *id, json_t **profiles,
		json_t **out, char err[static 128])
{
	*profiles = ts_profiles_read(s, err);
	if (!*profiles)
		return -EBADMSG;
	*out = json_object_get(*profiles, id);
	if (*out && is_listed(id, *out))
		return 0;
	snprintf(err, 128, "profile not found");
	return -ENOENT;
}

int ts_profiles_prefs(const struct ts_state *s, const char *id,
		      struct ts_prefs *out, char err[static 128])
{
	json_t *profiles, *profile;
	bool found = false;
	int code = find(s, id, &profiles, &profile, err);

	ts_prefs_init_default(out);
	if (!code)
		code = ts_profile_read_prefs(s, ts_profile_key(profile), out,
					     &found, err);
	json_decref(profiles);
	return code;
}

int ts_profiles_choose(struct ts_state *s, const char *id,
		       char err[static 128])
{
	json_t *profiles, *profile;
	int code = find(s, id, &profiles, &profile, err);
	const char *key = code ? "" : ts_profile_key(profile);

	if (!code)
		code = ts_state_set(s, STATE_CURRENT, key, strlen(key));
	if (code == -ENOMEM)
		snprintf(err, 128, "out of memory");
	if (code >= 0)
		s->has_no_current = false;
	json_decref(profiles);
	return code < 0 ? code : 0;
}

static bool is_of_server(const json_t *profile, const char *control_url)
{
	return ts_login_server_is_same(ts_profile_text(profile, "ControlURL"),
				       control_url);
}

int ts_profiles_choose_server(struct ts_state *s, const char *control_url,
			      char err[static 128])
{
	json_t *current = ts_profiles_current(s, err);
	json_t *list = current ? ts_profiles_list(s, err) : NULL;
	const json_t *found = NULL;
	json_t *profile;
	size_t i;
	int code = list ? 0 : -EBADMSG;

	json_array_foreach (list, i, profile)
		if (is_of_server(profile, control_url))
			found = profile;
	if (found && !is_of_server(current, control_url))
		code = ts_profiles_choose(s, ts_profile_text(found, "ID"), err);
	json_decref(current);
	json_decref(list);
	return code;
}

void ts_profiles_leave(struct ts_state *s)
{
	s->has_no_current = true;
}

/* The list first: prefs that it does not name are litter, but a profile
 * without prefs would be a node without keys. */
static int write_without(struct ts_state *s, json_t *profiles, const char *id,
			 const char *key)
{
	char serve_key[SERVE_KEY_CAP];
	bool is_current =
		strcmp(ts_profiles_current_key(s, profiles), key) == 0;
	char *list;
	int code;

	snprintf(serve_key, sizeof(serve_key), SERVE_KEY_PREFIX "%.40s", id);
	json_object_del(profiles, id);
	list = json_dumps(profiles, JSON_COMPACT);
	code = list ? ts_state_set(s, STATE_PROFILES, list, strlen(list))
		    : -ENOMEM;
	free(list);
	if (code < 0)
		return code;
	ts_state_set(s, key, NULL, 0);
	ts_state_set(s, serve_key, NULL, 0);
	if (is_current)
		ts_profiles_leave(s);
	return 0;
}

int ts_profiles_delete(struct ts_state *s, const char *id,
		       char err[static 128])
{
	json_t *profiles, *profile;
	char *own_id = NULL, *key = NULL;
	int code = find(s, id, &profiles, &profile, err);

	if (!code) { /* the profile and its texts go with the list's entry */
		own_id = strdup(id);
		key = strdup(ts_profile_key(profile));
		code = own_id && key ? write_without(s, profiles, own_id, key)
				     : -ENOMEM;
	}
	if (code == -ENOMEM)
		snprintf(err, 128, "out of memory");
	free(own_id);
	free(key);
	json_decref(profiles);
	return code;
}
