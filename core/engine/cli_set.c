/* SPDX-License-Identifier: BSD-3-Clause
 * cli_set.c - tsrun set NAME=VALUE: settings, while the node runs
 *
 * By their names in tsnet.conf. All together are one edit: the node takes it
 * or, with a reason, leaves everything as it was.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/addr.h"
#include "core/base/err.h"
#include "core/engine/cli_internal.h"
#include "core/state/conf_file.h"

enum kind { TEXT, HOSTNAME, BOOL, LIST, ROUTES, OFFER_EXIT, EXIT_NODE };

static const struct setting {
	const char *name, *field;
	enum kind kind;
} settings[] = {
	{"hostname", "Hostname", HOSTNAME},
	{"tags", "AdvertiseTags", LIST},
	{"shields_up", "ShieldsUp", BOOL},
	{"accept_routes", "RouteAll", BOOL},
	{"accept_dns", "CorpDNS", BOOL},
	{"exit_node", "ExitNodeID", EXIT_NODE},
	{"exit_node_allow_lan_access", "ExitNodeAllowLANAccess", BOOL},
	{"advertise_routes", "AdvertiseRoutes", ROUTES},
	{"advertise_exit_node", "AdvertiseRoutes", OFFER_EXIT},
	{"operator", "OperatorUser", TEXT},
	{"nickname", "ProfileName", TEXT},
};

static const char *const default_routes[] = {"0.0.0.0/0", "::/0"};

static void put(json_t *edit, const char *field, json_t *value)
{
	char mask[64];

	snprintf(mask, sizeof(mask), "%sSet", field);
	json_object_set_new(edit, field, value);
	json_object_set_new(edit, mask, json_true());
}

/* -- values --------------------------------------------------------------- */
static json_t *read_bool(const char *text)
{
	static const char *const words[][2] = {{"no", "yes"}, {"false", "true"},
					       {"off", "on"}, {"0", "1"}};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		for (int value = 0; value < 2; value++)
			if (strcmp(text, words[i][value]) == 0)
				return json_boolean(value);
	return NULL;
}

static json_t *read_list(const char *text)
{
	json_t *list = json_array();

	while (*text) {
		size_t len = strcspn(text, ",");

		if (len > 0)
			json_array_append_new(list, json_stringn(text, len));
		text += len + (text[len] == ',');
	}
	return list;
}

static bool is_default_route(const char *text)
{
	for (size_t i = 0; i < ARRAY_LEN(default_routes); i++)
		if (text && strcmp(text, default_routes[i]) == 0)
			return true;
	return false;
}

/* The others of now's, with or without both default routes; or the default
 * ones of now's with these others. */
static json_t *join_routes(const json_t *now, const json_t *others,
			   bool has_default)
{
	json_t *list = json_array(), *route;
	size_t i;

	json_array_foreach (others ? others : now, i, route)
		if (!is_default_route(json_string_value(route)))
			json_array_append(list, route);
	for (i = 0; has_default && i < ARRAY_LEN(default_routes); i++)
		json_array_append_new(list, json_string(default_routes[i]));
	return list;
}

static bool offers_exit(const json_t *routes)
{
	const json_t *route;
	size_t i;

	json_array_foreach (routes, i, route)
		if (is_default_route(json_string_value(route)))
			return true;
	return false;
}

/* As tsnet.conf reads it; empty: as the machine is called. */
static int put_hostname(json_t *edit, const char *field, const char *text)
{
	char *label = ts_config_sanitize_hostname(text);
	bool is_one = label && (*label || !*text);

	if (is_one)
		put(edit, field, json_string(label));
	free(label);
	return is_one ? 0
		      : cli_fail("hostname: a name with letters or digits in "
				 "it");
}

/* -- exit node ------------------------------------------------------------ */
static int choose_exit_node(const struct cli *cli, json_t *edit,
			    const char *text)
{
	static const char automatic[] = "auto:";
	json_t *status = NULL;
	const json_t *node;
	int code;

	if (strncmp(text, automatic, sizeof(automatic) - 1) == 0) {
		put(edit, "AutoExitNode",
		    json_string(text + sizeof(automatic) - 1));
		return 0;
	}
	put(edit, "AutoExitNode", json_string(""));
	put(edit, "ExitNodeID", json_string(""));
	if (!*text)
		return 0;
	code = cli_ask(cli, "GET", "/localapi/v0/status", &status);
	if (code)
		return code;
	node = cli_find_node(status, text);
	if (node)
		put(edit, "ExitNodeID", json_string(cli_text(node, "ID")));
	json_decref(status);
	return node ? 0 : cli_fail("exit_node: no such node");
}

/* Else a value of it would be left out, and what was set be unset. */
static bool is_utf8(const char *word)
{
	json_t *text = json_string(word);

	json_decref(text);
	return text;
}

/* -- the edit ------------------------------------------------------------- */
static const struct setting *find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		if (strlen(settings[i].name) == len &&
		    strncmp(settings[i].name, name, len) == 0)
			return &settings[i];
	return NULL;
}

/* What earlier words made of it, or as it is. */
static const json_t *routes_of(const json_t *edit, const json_t *prefs)
{
	const json_t *list = json_object_get(edit, "AdvertiseRoutes");

	return list ? list : json_object_get(prefs, "AdvertiseRoutes");
}

static int set_one(const struct cli *cli, const struct setting *s,
		   const char *value, const json_t *prefs, json_t *edit)
{
	const json_t *routes = routes_of(edit, prefs);
	json_t *list, *wanted;

	switch (s->kind) {
	case TEXT:
		put(edit, s->field, json_string(value));
		return 0;
	case HOSTNAME:
		return put_hostname(edit, s->field, value);
	case LIST:
		put(edit, s->field, read_list(value));
		return 0;
	case ROUTES:
		list = read_list(value);
		put(edit, s->field, join_routes(routes, list,
						offers_exit(routes)));
		json_decref(list);
		return 0;
	case EXIT_NODE:
		return choose_exit_node(cli, edit, value);
	case BOOL:
	case OFFER_EXIT:
		wanted = read_bool(value);
		if (!wanted)
			return cli_fail("a value has to be yes or no");
		put(edit, s->field,
		    s->kind == BOOL ? json_incref(wanted)
				    : join_routes(routes, NULL,
						  json_is_true(wanted)));
		json_decref(wanted);
		return 0;
	}
	return 1;
}

int cli_set(const struct cli *cli)
{
	json_t *prefs = NULL, *edit = json_object();
	int code = cli_ask(cli, "GET", "/localapi/v0/prefs", &prefs);

	for (size_t i = 0; !code && cli_arg(cli, i); i++) {
		const char *word = cli_arg(cli, i);
		size_t len = strcspn(word, "=");
		const struct setting *s = find(word, len);

		if (!is_utf8(word))
			code = cli_fail("a value is not UTF-8");
		else if (!s || !word[len])
			code = cli_fail("not NAME=VALUE of a setting that can "
					"change: tsrun set --help has them");
		else
			code = set_one(cli, s, word + len + 1, prefs, edit);
	}
	if (!code)
		code = cli_send(cli, "PATCH", "/localapi/v0/prefs", edit);
	json_decref(prefs);
	json_decref(edit);
	return code;
}
