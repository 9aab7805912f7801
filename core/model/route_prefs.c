/* SPDX-License-Identifier: BSD-3-Clause
 * route_prefs.c - what the user wants of routes, in upstream's JSON
 */
#include "core/model/route_prefs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/prefix_list.h"
#include "core/model/json_fields.h"

#define AUTO_PREFIX "auto:"

const char *const TS_ROUTE_PREFS_FIELDS[] = {
	"ExitNodeID",		  "ExitNodeIP",	  "InternalExitNodePrior",
	"ExitNodeAllowLANAccess", "AutoExitNode", "AdvertiseRoutes",
	NULL};

void ts_route_prefs_deinit(struct ts_route_prefs *prefs)
{
	free(prefs->advertise);
	free(prefs->exit_node_id);
	free(prefs->exit_node_name);
	free(prefs->auto_exit_node);
	free(prefs->exit_node_prior);
	memset(prefs, 0, sizeof(*prefs));
}

int ts_route_prefs_set_advertised(struct ts_route_prefs *prefs,
				  const struct ts_prefix *routes, size_t count)
{
	struct ts_prefix *copy = ts_prefix_list_copy(routes, count);

	if (!copy)
		return -ENOMEM;
	free(prefs->advertise);
	prefs->advertise = copy;
	prefs->advertise_count = count;
	return 0;
}

/* Where the text goes; NULL: it is an address. */
static char **place_of(struct ts_route_prefs *prefs, const char **text,
		       struct ts_ip *ip)
{
	size_t len = strlen(AUTO_PREFIX);

	if (strncmp(*text, AUTO_PREFIX, len) == 0) {
		*text += len;
		return &prefs->auto_exit_node;
	}
	return ts_ip_parse(*text, ip) ? &prefs->exit_node_name : NULL;
}

int ts_route_prefs_set_exit_node(struct ts_route_prefs *prefs,
				 const char *text)
{
	struct ts_ip ip = TS_IP_ZERO;
	char **place = text && *text ? place_of(prefs, &text, &ip) : NULL;
	char *copy = place ? strdup(text) : NULL;

	if (place && !copy)
		return -ENOMEM;
	free(prefs->exit_node_id);
	free(prefs->exit_node_name);
	free(prefs->auto_exit_node);
	prefs->exit_node_id = NULL;
	prefs->exit_node_name = NULL;
	prefs->auto_exit_node = NULL;
	prefs->exit_node_ip = ip;
	if (place)
		*place = copy;
	return 0;
}

bool ts_route_prefs_want_exit(const struct ts_route_prefs *prefs)
{
	return prefs->exit_node_id || prefs->exit_node_name ||
	       prefs->auto_exit_node || !ts_ip_is_zero(&prefs->exit_node_ip);
}

bool ts_route_prefs_offer_exit(const struct ts_route_prefs *prefs, bool v6)
{
	for (size_t i = 0; i < prefs->advertise_count; i++)
		if (ts_prefix_is_default(&prefs->advertise[i]) &&
		    ts_ip_is_v4(&prefs->advertise[i].ip) == !v6)
			return true;
	return false;
}

int ts_route_prefs_read(const json_t *root, struct ts_route_prefs *out)
{
	int err = ts_json_prefixes(ts_json_array(root, "AdvertiseRoutes"),
				   &out->advertise, &out->advertise_count);

	if (!err)
		err = ts_json_dup(root, "ExitNodeID", &out->exit_node_id);
	if (!err)
		err = ts_json_dup(root, "AutoExitNode", &out->auto_exit_node);
	if (!err)
		err = ts_json_dup(root, "InternalExitNodePrior",
				  &out->exit_node_prior);
	out->exit_node_ip = ts_json_ip(root, "ExitNodeIP");
	out->allow_lan = ts_json_bool(root, "ExitNodeAllowLANAccess");
	return err;
}

static json_t *text_or_empty(const char *text)
{
	return json_string(text ? text : "");
}

static json_t *write_advertised(const struct ts_route_prefs *prefs)
{
	char text[TS_PREFIX_TEXT_CAP];
	json_t *list;

	if (prefs->advertise_count == 0)
		return json_null();
	list = json_array();
	for (size_t i = 0; i < prefs->advertise_count; i++)
		json_array_append_new(
			list, json_string(ts_prefix_format(
				      &prefs->advertise[i], text)));
	return list;
}

void ts_route_prefs_write(const struct ts_route_prefs *prefs, json_t *root)
{
	char ip[TS_IP_TEXT_CAP] = "";

	if (!ts_ip_is_zero(&prefs->exit_node_ip))
		ts_ip_format(&prefs->exit_node_ip, ip);
	json_object_set_new(root, "ExitNodeID",
			    text_or_empty(prefs->exit_node_id));
	json_object_set_new(root, "ExitNodeIP", json_string(ip));
	if (prefs->auto_exit_node)
		json_object_set_new(root, "AutoExitNode",
				    json_string(prefs->auto_exit_node));
	json_object_set_new(root, "InternalExitNodePrior",
			    text_or_empty(prefs->exit_node_prior));
	json_object_set_new(root, "ExitNodeAllowLANAccess",
			    json_boolean(prefs->allow_lan));
	json_object_set_new(root, "AdvertiseRoutes", write_advertised(prefs));
}
