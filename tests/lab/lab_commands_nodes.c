/* SPDX-License-Identifier: BSD-3-Clause
 * lab_commands_nodes.c - commands that change the tailnet as an admin would
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/lab/lab_auth.h"
#include "tests/lab/lab_command.h"
#include "tests/lab/lab_json.h"
#include "tests/lab/lab_map.h"
#include "tests/lab/lab_peer_relay.h"
#include "tests/lab/lab_register.h"
#include "tests/lab/lab_synthetic.h"

static json_t *cmd_remove(struct lab_call *call)
{
	json_t *error = NULL;
	struct lab_node *node = lab_arg_node(call, 1, &error);

	if (!node)
		return error;
	lab_map_close(call->lab->map, node);
	lab_node_remove(&call->lab->state, node);
	return lab_ok();
}

/* expire NODE [SECONDS]: now, or in so many seconds */
static json_t *cmd_expire(struct lab_call *call)
{
	json_t *error = NULL;
	struct lab_node *node = lab_arg_node(call, 1, &error);
	uint64_t in_s;

	if (!node || lab_arg_number(call, 2, 0, &in_s, &error))
		return error;
	node->expiry_unix = in_s ? time(NULL) + (int64_t)in_s : time(NULL) - 60;
	lab_node_changed(&call->lab->state, node, LAB_CHANGE_FULL);
	return lab_ok();
}

static json_t *cmd_unexpire(struct lab_call *call)
{
	json_t *error = NULL;
	struct lab_node *node = lab_arg_node(call, 1, &error);

	if (!node)
		return error;
	node->expiry_unix = 0;
	lab_node_changed(&call->lab->state, node, LAB_CHANGE_FULL);
	return lab_ok();
}

/* A real node makes its own keys: it is sent away and let in with another. */
static json_t *cmd_rekey(struct lab_call *call)
{
	json_t *error = NULL;
	struct lab_node *node = lab_arg_node(call, 1, &error);

	if (!node)
		return error;
	if (node->synthetic)
		return lab_synthetic_rekey(call->lab, node)
			       ? lab_error("out of memory")
			       : lab_ok();
	node->rekey_wanted = true;
	node->expiry_unix = time(NULL) - 60;
	lab_node_changed(&call->lab->state, node, LAB_CHANGE_FULL);
	return lab_ok();
}

static json_t *cmd_offline(struct lab_call *call)
{
	json_t *error = NULL;
	struct lab_node *node = lab_arg_node(call, 1, &error);
	bool on;

	if (!node || lab_arg_on(call, 2, &on, &error))
		return error;
	node->forced_offline = on;
	node->last_seen_unix = time(NULL);
	lab_node_changed(&call->lab->state, node, LAB_CHANGE_ONLINE);
	return lab_ok();
}

static json_t *cmd_rename(struct lab_call *call)
{
	json_t *error = NULL;
	struct lab_node *node = lab_arg_node(call, 1, &error);

	if (!node)
		return error;
	if (lab_node_rename(&call->lab->state, node, call->argv[2]))
		return lab_error("out of memory");
	return json_pack("{s:b, s:s}", "ok", 1, "name", node->name);
}

/* routes NODE [PREFIX]...: approved subnet routes; none clears */
static json_t *cmd_routes(struct lab_call *call)
{
	json_t *error = NULL, *routes = json_array();
	struct lab_node *node = lab_arg_node(call, 1, &error);

	for (int i = 2; node && !error && i < call->argc; i++) {
		struct ts_prefix prefix;

		if (ts_prefix_parse(call->argv[i], &prefix))
			error = lab_error("not a prefix: %s", call->argv[i]);
		json_array_append_new(routes, json_string(call->argv[i]));
	}
	if (error) {
		json_decref(routes);
		return error;
	}
	lab_json_replace(&node->routes, routes);
	lab_node_changed(&call->lab->state, node, LAB_CHANGE_FULL);
	return lab_ok();
}

/* cap NODE NAME [JSON array of values|off] */
static json_t *cmd_cap(struct lab_call *call)
{
	const char *text = lab_rest(call, 3);
	json_t *error = NULL, *value;
	struct lab_node *node = lab_arg_node(call, 1, &error);

	if (!node)
		return error;
	if (!strcmp(text, "off")) {
		json_object_del(node->cap_map, call->argv[2]);
	} else {
		value = *text ? json_loads(text, JSON_DECODE_ANY, NULL)
			      : json_null();
		if (!json_is_array(value) && !json_is_null(value)) {
			json_decref(value);
			return lab_error("not an array: %s", text);
		}
		json_object_set_new(node->cap_map, call->argv[2], value);
	}
	lab_node_changed(&call->lab->state, node, LAB_CHANGE_FULL);
	return lab_ok();
}

static json_t *cmd_authorize(struct lab_call *call)
{
	json_t *error = NULL;
	struct lab_node *node = lab_arg_node(call, 1, &error);
	bool on;

	if (!node || lab_arg_on(call, 2, &on, &error))
		return error;
	node->unauthorized = !on;
	lab_node_changed(&call->lab->state, node, LAB_CHANGE_FULL);
	return lab_ok();
}

static json_t *cmd_peers(struct lab_call *call)
{
	json_t *error = NULL;
	uint64_t n;

	if (lab_arg_number(call, 2, 0, &n, &error))
		return error;
	if (!strcmp(call->argv[1], "add"))
		return lab_count(lab_synthetic_add(call->lab, n));
	if (!strcmp(call->argv[1], "remove"))
		return lab_count(lab_synthetic_remove(call->lab, n));
	return lab_error("add or remove, not %s", call->argv[1]);
}

/* hostile NAME NODEKEY DISCOKEY ENDPOINT: a node that tsnet-flood plays */
static json_t *cmd_hostile(struct lab_call *call)
{
	struct ts_public_key key, disco;
	struct lab_node *node = NULL;

	if (ts_public_key_parse(call->argv[2], TS_PREFIX_NODE, &key) ||
	    ts_public_key_parse(call->argv[3], TS_PREFIX_DISCO, &disco))
		return lab_error("not a node key and a disco key");
	node = lab_synthetic_add_as(call->lab, call->argv[1], &key, &disco,
				    call->argv[4]);
	return node ? lab_json_node_summary(call->lab, node)
		    : lab_error("out of memory");
}

/* peer-relay [on|off]: made by the first call; tells its port and counters */
static json_t *cmd_peer_relay(struct lab_call *call)
{
	struct lab *lab = call->lab;
	json_t *error = NULL;
	bool on;

	if (lab_arg_on(call, 1, &on, &error))
		return error;
	if (!lab->peer_relay && lab_peer_relay_open(lab, &lab->peer_relay))
		return lab_error("no relay could be made");
	if (call->argc > 1)
		lab_peer_relay_set_working(lab->peer_relay, on);
	return json_pack("{s:b, s:i, s:o}", "ok", 1, "port",
			 (int)lab_peer_relay_port(lab->peer_relay), "stats",
			 lab_peer_relay_stats(lab->peer_relay));
}

/* -- logins --------------------------------------------------------------- */

static json_t *cmd_approve(struct lab_call *call)
{
	const char *id = call->argc > 1 ? call->argv[1] : "all";
	const char *user = call->argc > 2 ? call->argv[2] : LAB_DEFAULT_USER;
	const char *slash = strrchr(id, '/');
	size_t n;

	if (slash) /* the whole URL will do */
		id = slash + 1;
	n = lab_register_decide(call->lab->registrar,
				strcmp(id, "all") ? id : NULL, user);
	return n ? lab_count(n) : lab_error("no login waits as %s", id);
}

static json_t *cmd_deny(struct lab_call *call)
{
	const char *id = call->argc > 1 ? call->argv[1] : "all";
	size_t n = lab_register_decide(call->lab->registrar,
				       strcmp(id, "all") ? id : NULL, NULL);

	return n ? lab_count(n) : lab_error("no login waits as %s", id);
}

static json_t *cmd_pending(struct lab_call *call)
{
	return json_pack("{s:o}", "logins",
			 lab_register_pending(call->lab->registrar));
}

static json_t *cmd_authkey(struct lab_call *call)
{
	if (lab_register_add_key(call->lab->registrar, call->argv[1]))
		return lab_error("not KEY[,attribute]...: %s", call->argv[1]);
	return lab_ok();
}

/* -- settings ------------------------------------------------------------- */

/* Steals value; it must be an array (or an object) to become the setting. */
static json_t *replace_setting(struct lab_call *call, json_t **slot,
			       uint64_t *rev, json_t *value, bool is_object)
{
	if (is_object ? !json_is_object(value) : !json_is_array(value)) {
		json_decref(value);
		return lab_error("not a JSON %s",
				 is_object ? "object" : "array");
	}
	lab_json_replace(slot, value);
	lab_state_touch(&call->lab->state, rev);
	return lab_ok();
}

static json_t *cmd_filter(struct lab_call *call)
{
	struct lab_state *st = &call->lab->state;

	return replace_setting(call, &st->filter, &st->filter_rev,
			       json_loads(lab_rest(call, 1), 0, NULL), false);
}

static json_t *cmd_add_record(struct lab_call *call)
{
	struct lab_state *st = &call->lab->state;
	json_t *record =
		json_pack("{s:s, s:s, s:s}", "Name", call->argv[1], "Type",
			  call->argv[2], "Value", call->argv[3]);

	if (!record || json_array_append_new(st->records, record))
		return lab_error("not UTF-8");
	lab_state_touch(st, &st->dns_rev);
	return lab_ok();
}

/* dns [JSON|default]: the whole DNSConfig; without argument: show it */
static json_t *cmd_dns(struct lab_call *call)
{
	struct lab_state *st = &call->lab->state;

	if (call->argc == 1)
		return json_pack("{s:O, s:O*}", "records", st->records,
				 "config", st->dns);
	if (strcmp(call->argv[1], "default") != 0)
		return replace_setting(call, &st->dns, &st->dns_rev,
				       json_loads(lab_rest(call, 1), 0, NULL),
				       true);
	json_decref(st->dns);
	st->dns = NULL;
	lab_state_touch(st, &st->dns_rev);
	return lab_ok();
}

static json_t *cmd_domain(struct lab_call *call)
{
	struct lab_state *st = &call->lab->state;
	char *domain = strdup(call->argv[1]);

	if (!domain)
		return lab_error("out of memory");
	free(st->domain);
	st->domain = domain;
	lab_state_touch(st, &st->domain_rev);
	for (size_t i = 0; i < st->node_count; i++) /* all have new names */
		lab_node_changed(st, st->nodes[i], LAB_CHANGE_FULL);
	return lab_ok();
}

static json_t *cmd_health(struct lab_call *call)
{
	struct lab_state *st = &call->lab->state;
	const char *text = lab_rest(call, 1);

	return replace_setting(call, &st->health, &st->health_rev,
			       *text ? json_pack("[s]", text) : json_array(),
			       false);
}

const struct lab_command_entry LAB_NODE_COMMANDS[] = {
	{"remove", 1, 1, cmd_remove, "NODE"},
	{"expire", 1, 2, cmd_expire, "NODE [SECONDS]"},
	{"unexpire", 1, 1, cmd_unexpire, "NODE"},
	{"rekey", 1, 1, cmd_rekey, "NODE"},
	{"offline", 1, 2, cmd_offline, "NODE [on|off]"},
	{"rename", 2, 2, cmd_rename, "NODE NAME"},
	{"routes", 1, -1, cmd_routes, "NODE [PREFIX]..."},
	{"cap", 2, -1, cmd_cap, "NODE NAME [JSON array|off]"},
	{"authorize", 1, 2, cmd_authorize, "NODE [on|off]"},
	{"peer-relay", 0, 1, cmd_peer_relay, "[on|off]"},
	{"peers", 2, 2, cmd_peers, "add|remove N"},
	{"hostile", 4, 4, cmd_hostile, "NAME NODEKEY DISCOKEY ENDPOINT"},
	{"approve", 0, 2, cmd_approve, "[ID|URL|all [USER]]"},
	{"deny", 0, 1, cmd_deny, "[ID|all]"},
	{"pending", 0, 0, cmd_pending, ""},
	{"authkey", 1, 1, cmd_authkey, "KEY[,attribute]..."},
	{"filter", 1, -1, cmd_filter, "JSON array of FilterRule"},
	{"add-record", 3, 3, cmd_add_record, "NAME TYPE VALUE"},
	{"dns", 0, -1, cmd_dns, "[JSON DNSConfig|default]"},
	{"domain", 1, 1, cmd_domain, "NAME"},
	{"health", 0, -1, cmd_health, "[TEXT]"},
	{0},
};
