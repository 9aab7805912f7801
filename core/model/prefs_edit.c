/* SPDX-License-Identifier: BSD-3-Clause
 * prefs_edit.c - change some preferences, as ipn.MaskedPrefs says which
 *
 * Done on the JSON form: the present preferences as an object, the edit's
 * fields put over it, and the whole read again. So a field that this version
 * only passes on is edited like any other. Every value is checked for type
 * and size before; the present preferences are not touched.
 */
#include "core/model/prefs_edit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/addr.h"
#include "core/base/clean_text.h"
#include "core/base/err.h"
#include "core/model/json_fields.h"

enum kind {
	BOOL,
	OPT_BOOL, /* true, false, or null and "" for unset */
	TEXT,
	TEXTS,
	TAGS,
	PREFIXES,
	IP,
	INT,
	OPT_INT,
	ANY,
};

static const struct field {
	const char *name;
	enum kind kind;
} fields[] = {
	{"ControlURL", TEXT},
	{"RouteAll", BOOL},
	{"ExitNodeID", TEXT},
	{"ExitNodeIP", IP},
	{"AutoExitNode", TEXT},
	{"ExitNodeAllowLANAccess", BOOL},
	{"CorpDNS", BOOL},
	{"RunSSH", BOOL},
	{"RunWebClient", BOOL},
	{"WantRunning", BOOL},
	{"LoggedOut", BOOL},
	{"ShieldsUp", BOOL},
	{"AdvertiseTags", TAGS},
	{"Hostname", TEXT},
	{"NotepadURLs", BOOL},
	{"ForceDaemon", BOOL},
	{"AdvertiseRoutes", PREFIXES},
	{"AdvertiseServices", TEXTS},
	{"Sync", OPT_BOOL},
	{"NoSNAT", BOOL},
	{"NoStatefulFiltering", OPT_BOOL},
	{"NetfilterMode", INT},
	{"OperatorUser", TEXT},
	{"ProfileName", TEXT},
	{"AppConnector", ANY},
	{"PostureChecking", BOOL},
	{"NetfilterKind", TEXT},
	{"RemoteConfig", BOOL},
	{"DriveShares", ANY},
	{"RelayServerPort", OPT_INT},
	{"RelayServerStaticEndpoints", TEXTS},
};

/* -- values --------------------------------------------------------------- */
static bool is_text(const json_t *value)
{
	size_t len = json_string_length(value);
	const char *text = json_string_value(value);

	return text && len <= TS_PREFS_TEXT_MAX && strlen(text) == len &&
	       ts_is_clean_text(text);
}

static bool is_ip(const json_t *value)
{
	const char *text = json_string_value(value);
	struct ts_ip ip;

	return text && (!*text || ts_ip_parse(text, &ip) == 0);
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* "tag:", a letter, then letters, digits and dashes. */
static const char *tag_problem(const json_t *value)
{
	const char *tag = json_string_value(value);

	if (!is_text(value) || strncmp(tag, "tag:", 4) != 0)
		return "tags must start with 'tag:'";
	if (!is_letter(tag[4]))
		return "tag names must start with a letter, after 'tag:'";
	for (tag += 4; *tag; tag++)
		if (!is_letter(*tag) && !(*tag >= '0' && *tag <= '9') &&
		    *tag != '-')
			return "tag names can only contain numbers, letters, "
			       "or dashes";
	return NULL;
}

/* No bit may be set beyond the prefix's length. */
static const char *route_problem(const json_t *value)
{
	const char *text = json_string_value(value);
	struct ts_prefix prefix;

	if (!strchr(text, '/') || ts_prefix_parse(text, &prefix))
		return "is not a network (address/length)";
	for (unsigned bit = prefix.bits; bit < 128; bit++)
		if (prefix.ip.bytes[bit / 8] & (0x80u >> (bit % 8)))
			return "has non-address bits set";
	return NULL;
}

static int complain_of(const char *name, const json_t *value, const char *why,
		       char err[static 128])
{
	const char *text = json_string_value(value);

	snprintf(err, 128, "%s: \"%.40s\": %s", name, text ? text : "", why);
	return -EBADMSG;
}

static int check_list(const struct field *f, const json_t *list,
		      char err[static 128])
{
	const char *why;
	json_t *value;
	size_t i;

	if (!json_is_array(list) ||
	    json_array_size(list) > TS_PREFS_LIST_MAX) {
		snprintf(err, 128, "%s is not a list of at most %d", f->name,
			 TS_PREFS_LIST_MAX);
		return -EBADMSG;
	}
	json_array_foreach (list, i, value) {
		why = is_text(value) ? NULL : "is not a text";
		if (!why && f->kind == TAGS)
			why = tag_problem(value);
		else if (!why && f->kind == PREFIXES)
			why = route_problem(value);
		if (why)
			return complain_of(f->name, value, why, err);
	}
	return 0;
}

static bool has_kind(const struct field *f, const json_t *value)
{
	switch (f->kind) {
	case BOOL:
		return json_is_boolean(value);
	case OPT_BOOL:
		return json_is_boolean(value) || json_is_null(value) ||
		       (is_text(value) && !*json_string_value(value));
	case TEXT:
		return is_text(value);
	case IP:
		return is_ip(value);
	case INT:
		return json_is_integer(value);
	case OPT_INT:
		return json_is_null(value) || json_is_integer(value);
	case ANY:
		return true;
	default:
		return false; /* lists are checked by their entries */
	}
}

static json_t *empty_value(enum kind kind)
{
	switch (kind) {
	case BOOL:
		return json_false();
	case TEXT:
	case IP:
		return json_string("");
	case INT:
		return json_integer(0);
	default:
		return json_null();
	}
}

/* -- fields --------------------------------------------------------------- */
static bool is_set(const json_t *edit, const char *name)
{
	char set[64];

	snprintf(set, sizeof(set), "%sSet", name);
	return ts_json_bool(edit, set);
}

static int put_field(json_t *prefs, const struct field *f, const json_t *edit,
		     char err[static 128])
{
	json_t *value = ts_json_get(edit, f->name);
	bool is_list = f->kind == TEXTS || f->kind == TAGS ||
		       f->kind == PREFIXES;
	int ret = 0;

	if (!value) {
		value = empty_value(f->kind);
		ret = json_object_set_new(prefs, f->name, value);
		return ret ? -ENOMEM : 0;
	}
	if (is_list) {
		ret = check_list(f, value, err);
	} else if (!has_kind(f, value)) {
		snprintf(err, 128, "%s has a value of the wrong kind", f->name);
		ret = -EBADMSG;
	}
	if (ret)
		return ret;
	return json_object_set_new(prefs, f->name, json_deep_copy(value))
		       ? -ENOMEM
		       : 0;
}

/* The only field whose mask is an object. Check is a bool, Apply may be
 * unset. */
static int put_auto_update(json_t *prefs, const json_t *edit, bool is_whole)
{
	static const char *const names[] = {"Check", "Apply"};
	const json_t *from = ts_json_object(edit, "AutoUpdate");
	const json_t *mask = ts_json_object(edit, "AutoUpdateSet");
	json_t *to = json_deep_copy(ts_json_object(prefs, "AutoUpdate"));
	int bad = 0;

	if (!to)
		to = json_object();
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const json_t *value = ts_json_get(from, names[i]);
		bool is_unset = !json_is_boolean(value);

		if (is_whole || is_set(mask, names[i]))
			bad |= json_object_set_new(
				to, names[i],
				is_unset && i > 0
					? json_null()
					: json_boolean(json_is_true(value)));
	}
	bad |= json_object_set_new(prefs, "AutoUpdate", to);
	return bad ? -ENOMEM : 0;
}

static bool is_empty_text(const json_t *obj, const char *name)
{
	const char *text = ts_json_text(obj, name);

	return !text || !*text;
}

/* What else a choice of the exit node means. */
static int adjust_exit_node(json_t *prefs, const json_t *edit)
{
	bool chosen = is_set(edit, "ExitNodeID") || is_set(edit, "ExitNodeIP");
	int bad = 0;

	if (chosen && !is_set(edit, "AutoExitNode"))
		bad |= json_object_set_new(prefs, "AutoExitNode",
					   json_string(""));
	if (is_set(edit, "ExitNodeID") && is_empty_text(edit, "ExitNodeID"))
		bad |= json_object_set_new(prefs, "InternalExitNodePrior",
					   json_string(""));
	return bad ? -ENOMEM : 0;
}

static int put_fields(json_t *prefs, const json_t *edit, bool is_whole,
		      char err[static 128])
{
	int ret = 0;

	for (size_t i = 0; !ret && i < ARRAY_LEN(fields); i++)
		if (is_whole || is_set(edit, fields[i].name))
			ret = put_field(prefs, &fields[i], edit, err);
	if (!ret)
		ret = put_auto_update(prefs, edit, is_whole);
	if (!ret && !is_whole)
		ret = adjust_exit_node(prefs, edit);
	return ret;
}

/* -- identity ------------------------------------------------------------- */
static int dup_text(const char *from, char **to)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -ENOMEM : 0;
}

static int keep_persist(const struct ts_prefs *from, struct ts_prefs *to)
{
	const struct ts_persist *p = &from->persist;
	json_t *rest = json_object_get(from->unknown, "Config");
	int err = 0;

	to->persist.node_key = p->node_key;
	to->persist.old_node_key = p->old_node_key;
	to->persist.nl_key = p->nl_key;
	to->persist.user_id = p->user_id;
	err |= dup_text(p->node_id, &to->persist.node_id);
	err |= dup_text(p->login_name, &to->persist.login_name);
	err |= dup_text(p->display_name, &to->persist.display_name);
	err |= dup_text(p->profile_pic_url, &to->persist.profile_pic_url);
	if (rest && json_object_set_new(to->unknown, "Config",
					json_deep_copy(rest)))
		err = -ENOMEM;
	return err;
}

/* It has no place in JSON, and is as good as an ID until it has become one. */
static int keep_exit_name(const struct ts_prefs *from, const json_t *edit,
			  struct ts_prefs *to)
{
	if (is_set(edit, "ExitNodeID") || is_set(edit, "ExitNodeIP") ||
	    is_set(edit, "AutoExitNode"))
		return 0;
	return dup_text(from->routes.exit_node_name,
			&to->routes.exit_node_name);
}

int ts_prefs_edit(const struct ts_prefs *from, const json_t *edit,
		  enum ts_prefs_edit how, struct ts_prefs *out,
		  char err[static 128])
{
	struct ts_prefs next;
	json_t *prefs;
	int ret;

	snprintf(err, 128, "out of memory");
	if (!json_is_object(edit)) {
		snprintf(err, 128, "not a JSON object");
		return -EBADMSG;
	}
	if (how == TS_PREFS_MASKED && is_set(edit, "InternalExitNodePrior")) {
		snprintf(err, 128, "cannot set internal pref fields");
		return -EPERM;
	}
	prefs = ts_prefs_to_object(from);
	json_object_del(prefs, "Config");
	ret = put_fields(prefs, edit, how == TS_PREFS_WHOLE, err);
	if (!ret)
		ret = ts_prefs_from_object(prefs, &next, err);
	json_decref(prefs);
	if (ret)
		return ret;
	ret = keep_persist(from, &next);
	if (!ret && how == TS_PREFS_MASKED)
		ret = keep_exit_name(from, edit, &next);
	if (ret)
		ts_prefs_deinit(&next);
	else
		*out = next;
	return ret;
}
