/* SPDX-License-Identifier: BSD-3-Clause
 * prefs.c - a profile's preferences and persistent keys, in upstream's JSON
 *
 * Reading takes the known fields out of the object and keeps the rest as it
 * came, in `unknown`, down to the fields of Config and of its UserProfile;
 * writing starts from the known ones and adds that rest. So a file written by
 * a newer tsnet passes through us without loss.
 * Source: ipn/prefs.go (NewPrefs), types/persist/persist.go
 */
#include "core/model/prefs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/crypto/secret.h"
#include "core/model/json_fields.h"

enum { NETFILTER_ON = 2 };

/* What upstream's file holds besides our fields when nobody chose anything. */
static json_t *default_unknown(void)
{
	return json_pack("{s:b, s:b, s:b, s:n, s:n, s:b, s:b, s:i,"
			 " s:{s:b, s:n}, s:{s:b}, s:b, s:s, s:b, s:n}",
			 "RunSSH", 0, "RunWebClient", 0, "NotepadURLs", 0,
			 "AdvertiseServices", "Sync", "NoSNAT", 0,
			 "NoStatefulFiltering", 1, "NetfilterMode",
			 NETFILTER_ON, "AutoUpdate", "Check", 1, "Apply",
			 "AppConnector", "Advertise", 0, "PostureChecking", 0,
			 "NetfilterKind", "", "RemoteConfig", 0, "DriveShares");
}

void ts_prefs_init_default(struct ts_prefs *prefs)
{
	memset(prefs, 0, sizeof(*prefs));
	prefs->corp_dns = true;
	prefs->unknown = default_unknown();
}

void ts_persist_deinit(struct ts_persist *persist)
{
	free(persist->node_id);
	free(persist->login_name);
	free(persist->display_name);
	free(persist->profile_pic_url);
	ts_wipe(persist, sizeof(*persist));
}

void ts_prefs_deinit(struct ts_prefs *prefs)
{
	free(prefs->control_url);
	free(prefs->hostname);
	ts_text_list_free(prefs->advertise_tags, prefs->advertise_tag_count);
	ts_route_prefs_deinit(&prefs->routes);
	free(prefs->profile_name);
	free(prefs->operator_user);
	ts_persist_deinit(&prefs->persist);
	json_decref(prefs->unknown);
	memset(prefs, 0, sizeof(*prefs));
}

/* Remove the field in whatever case it came. */
static void drop_field(json_t *obj, const char *name)
{
	const char *key;
	json_t *value;
	void *next;

	json_object_foreach_safe (obj, next, key, value)
		if (strcasecmp(key, name) == 0)
			json_object_del(obj, key);
}

static void wipe_keys(const json_t *config)
{
	ts_json_wipe(ts_json_get(config, "PrivateNodeKey"));
	ts_json_wipe(ts_json_get(config, "OldPrivateNodeKey"));
	ts_json_wipe(ts_json_get(config, "NetworkLockKey"));
}

static void drop_fields(json_t *obj, const char *const *names)
{
	for (; *names; names++)
		drop_field(obj, *names);
}

static int complain(char err[static 128], const char *what)
{
	snprintf(err, 128, "%s", what);
	return -EBADMSG;
}

static int read_private(const json_t *config, const char *name,
			struct ts_private_key *out, char err[static 128])
{
	const char *text = ts_json_text(config, name);

	if (!text || !*text)
		return 0;
	if (ts_private_key_parse(text, out) == 0)
		return 0;
	snprintf(err, 128, "Config.%s is not a private key", name);
	return -EBADMSG;
}

static int read_user(const json_t *user, struct ts_persist *out)
{
	int err = ts_json_dup(user, "LoginName", &out->login_name);

	if (!err)
		err = ts_json_dup(user, "DisplayName", &out->display_name);
	if (!err)
		err = ts_json_dup(user, "ProfilePicURL",
				  &out->profile_pic_url);
	out->user_id = ts_json_int(user, "ID");
	return err;
}

static int read_persist(const json_t *config, struct ts_persist *out,
			char err[static 128])
{
	const char *nl = ts_json_text(config, "NetworkLockKey");
	int ret = read_private(config, "PrivateNodeKey", &out->node_key, err);

	if (!ret)
		ret = read_private(config, "OldPrivateNodeKey",
				   &out->old_node_key, err);
	if (ret)
		return ret;
	if (nl && *nl && ts_nl_key_parse(nl, &out->nl_key))
		return complain(err, "Config.NetworkLockKey is not a key");
	ret = ts_json_dup(config, "NodeID", &out->node_id);
	if (!ret)
		ret = read_user(ts_json_object(config, "UserProfile"), out);
	return ret;
}

static int read_known(const json_t *root, struct ts_prefs *out,
		      char err[static 128])
{
	int ret = ts_json_dup(root, "ControlURL", &out->control_url);

	if (!ret)
		ret = ts_json_dup(root, "Hostname", &out->hostname);
	if (!ret)
		ret = ts_json_dup(root, "ProfileName", &out->profile_name);
	if (!ret)
		ret = ts_json_dup(root, "OperatorUser", &out->operator_user);
	if (!ret)
		ret = ts_json_dup_list(ts_json_array(root, "AdvertiseTags"),
				       &out->advertise_tags,
				       &out->advertise_tag_count);
	if (!ret)
		ret = ts_route_prefs_read(root, &out->routes);
	if (!ret)
		ret = read_persist(ts_json_object(root, "Config"),
				   &out->persist, err);
	out->route_all = ts_json_bool(root, "RouteAll");
	out->corp_dns = ts_json_opt_bool(root, "CorpDNS") != TS_NO;
	out->want_running = ts_json_bool(root, "WantRunning");
	out->logged_out = ts_json_bool(root, "LoggedOut");
	out->shields_up = ts_json_bool(root, "ShieldsUp");
	return ret;
}

/* root becomes what is left of it; upstream's defaults fill what the file
 * does not say. */
static int keep_unknown(json_t *root, struct ts_prefs *out)
{
	static const char *const prefs_known[] = {
		"ControlURL", "Hostname",   "RouteAll",	     "CorpDNS",
		"LoggedOut",  "ShieldsUp",  "AdvertiseTags", "ProfileName",
		"Config",     "WantRunning", "OperatorUser", NULL};
	static const char *const persist_known[] = {
		"PrivateNodeKey", "OldPrivateNodeKey", "NetworkLockKey",
		"NodeID", NULL};
	static const char *const user_known[] = {
		"ID", "LoginName", "DisplayName", "ProfilePicURL", NULL};
	json_t *config = json_incref(ts_json_object(root, "Config"));
	json_t *user = json_incref(ts_json_object(config, "UserProfile"));
	int err;

	drop_fields(root, prefs_known);
	drop_fields(root, TS_ROUTE_PREFS_FIELDS);
	drop_fields(config, persist_known);
	drop_fields(user, user_known);
	drop_field(config, "UserProfile");
	if (json_object_size(user) > 0)
		json_object_set(config, "UserProfile", user);
	if (json_object_size(config) > 0)
		json_object_set(root, "Config", config);
	json_decref(user);
	json_decref(config);
	err = json_object_update(out->unknown, root);
	return err ? -ENOMEM : 0;
}

int ts_prefs_from_object(json_t *root, struct ts_prefs *out,
			 char err[static 128])
{
	struct ts_prefs prefs;
	int ret;

	ts_prefs_init_default(&prefs);
	ret = prefs.unknown ? read_known(root, &prefs, err) : -ENOMEM;
	wipe_keys(ts_json_object(root, "Config"));
	if (!ret)
		ret = keep_unknown(root, &prefs);
	if (ret)
		ts_prefs_deinit(&prefs);
	else
		*out = prefs;
	return ret;
}

int ts_prefs_from_json(const char *text, size_t len, struct ts_prefs *out,
		       char err[static 128])
{
	json_error_t parse_error;
	json_t *root = json_loadb(text, len, TS_JSON_READ_FLAGS, &parse_error);
	int ret;

	/* The parser's own text would quote what is near: keys. */
	ret = json_is_object(root) ? ts_prefs_from_object(root, out, err)
				   : complain(err, "not a JSON object");
	json_decref(root);
	return ret;
}

static json_t *text_or_empty(const char *text)
{
	return json_string(text ? text : "");
}

static json_t *private_text(const struct ts_private_key *key, bool with_keys)
{
	static const struct ts_private_key none;
	char text[TS_KEY_TEXT_CAP];
	json_t *value = json_string(
		ts_private_key_format(with_keys ? key : &none, text));

	ts_wipe(text, sizeof(text));
	return value;
}

static json_t *nl_text(const struct ts_nl_private_key *key, bool with_keys)
{
	static const struct ts_nl_private_key none;
	char text[TS_NLKEY_TEXT_CAP];
	json_t *value =
		json_string(ts_nl_key_format(with_keys ? key : &none, text));

	ts_wipe(text, sizeof(text));
	return value;
}

static json_t *write_user(const struct ts_persist *p)
{
	json_t *user = json_object();

	json_object_set_new(user, "ID", json_integer(p->user_id));
	json_object_set_new(user, "LoginName", text_or_empty(p->login_name));
	json_object_set_new(user, "DisplayName",
			    text_or_empty(p->display_name));
	if (p->profile_pic_url)
		json_object_set_new(user, "ProfilePicURL",
				    json_string(p->profile_pic_url));
	return user;
}

static json_t *write_persist(const struct ts_persist *p, const json_t *unknown,
			     bool with_keys)
{
	json_t *config = json_object(), *user = write_user(p);
	json_t *rest = json_copy(ts_json_object(unknown, "Config"));

	json_object_set_new(config, "PrivateNodeKey",
			    private_text(&p->node_key, with_keys));
	json_object_set_new(config, "OldPrivateNodeKey",
			    private_text(&p->old_node_key, with_keys));
	json_object_update_missing(user, ts_json_object(rest, "UserProfile"));
	json_object_set_new(config, "UserProfile", user);
	json_object_set_new(config, "NetworkLockKey",
			    nl_text(&p->nl_key, with_keys));
	json_object_set_new(config, "NodeID", text_or_empty(p->node_id));
	if (rest)
		json_object_update_missing(config, rest);
	json_decref(rest);
	if (!with_keys)
		json_object_del(config, "AttestationKey");
	return config;
}

static json_t *write_tags(const struct ts_prefs *prefs)
{
	json_t *tags;

	if (prefs->advertise_tag_count == 0)
		return json_null();
	tags = json_array();
	for (size_t i = 0; i < prefs->advertise_tag_count; i++)
		json_array_append_new(tags,
				      json_string(prefs->advertise_tags[i]));
	return tags;
}

static json_t *write_prefs(const struct ts_prefs *prefs, bool with_keys)
{
	json_t *root = json_object();

	json_object_set_new(root, "ControlURL",
			    text_or_empty(prefs->control_url));
	json_object_set_new(root, "RouteAll", json_boolean(prefs->route_all));
	json_object_set_new(root, "CorpDNS", json_boolean(prefs->corp_dns));
	json_object_set_new(root, "WantRunning",
			    json_boolean(prefs->want_running));
	json_object_set_new(root, "LoggedOut",
			    json_boolean(prefs->logged_out));
	json_object_set_new(root, "ShieldsUp",
			    json_boolean(prefs->shields_up));
	ts_route_prefs_write(&prefs->routes, root);
	json_object_set_new(root, "AdvertiseTags", write_tags(prefs));
	json_object_set_new(root, "Hostname", text_or_empty(prefs->hostname));
	if (prefs->profile_name)
		json_object_set_new(root, "ProfileName",
				    json_string(prefs->profile_name));
	if (prefs->operator_user)
		json_object_set_new(root, "OperatorUser",
				    json_string(prefs->operator_user));
	json_object_set_new(root, "Config",
			    write_persist(&prefs->persist, prefs->unknown,
					  with_keys));
	json_object_update_missing(root, prefs->unknown);
	return root;
}

json_t *ts_prefs_to_object(const struct ts_prefs *prefs)
{
	return write_prefs(prefs, false);
}

char *ts_prefs_to_json(const struct ts_prefs *prefs, bool with_keys)
{
	json_t *root = write_prefs(prefs, with_keys);
	char *text = json_dumps(root, JSON_COMPACT);

	wipe_keys(ts_json_object(root, "Config"));
	json_decref(root);
	return text;
}
