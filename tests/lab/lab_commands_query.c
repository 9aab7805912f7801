/* SPDX-License-Identifier: BSD-3-Clause
 * lab_commands_query.c - commands that look, ask and wait
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "tests/lab/lab_command.h"
#include "tests/lab/lab_control.h"
#include "tests/lab/lab_derp.h"
#include "tests/lab/lab_json.h"
#include "tests/lab/lab_map.h"
#include "tests/lab/lab_ping.h"
#include "tests/lab/lab_register.h"
#include "tests/lab/lab_stun.h"

enum {
	WAIT_DEFAULT_MS = 10000,
	PING_TIMEOUT_MS = 15000,
	C2N_REQUEST_CAP = 4096,
};

static json_t *cmd_nodes(struct lab_call *call)
{
	const struct lab_state *st = &call->lab->state;
	json_t *list = json_array();

	for (size_t i = 0; i < st->node_count; i++)
		json_array_append_new(
			list, lab_json_node_summary(call->lab, st->nodes[i]));
	return json_pack("{s:o}", "nodes", list);
}

static json_t *cmd_node(struct lab_call *call)
{
	json_t *error = NULL;
	struct lab_node *node = lab_arg_node(call, 1, &error);

	if (!node)
		return error;
	return json_pack("{s:o}", "node",
			 lab_json_node_summary(call->lab, node));
}

static json_t *cmd_stats(struct lab_call *call)
{
	struct lab *lab = call->lab;
	json_t *derps = json_array(), *stuns = json_array();

	for (unsigned i = 0; i < lab->opt.regions; i++) {
		json_array_append_new(derps, lab_derp_stats(lab->derps[i]));
		if (lab->stuns[i])
			json_array_append_new(stuns,
					      lab_stun_stats(lab->stuns[i]));
	}
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "control",
			 lab_control_stats(lab->control), "register",
			 lab_register_stats(lab->registrar), "map",
			 lab_map_stats(lab->map), "derp", derps, "stun", stuns,
			 "nodes", (json_int_t)lab->state.node_count, "revision",
			 (json_int_t)lab->state.rev);
}

/* -- asking nodes --------------------------------------------------------- */

static void on_answer(void *ctx, const char *answer)
{
	json_t *parsed;

	if (!answer) {
		lab_command_reply(ctx, lab_error("no answer in time"));
		return;
	}
	parsed = json_loads(answer, 0, NULL);
	lab_command_reply(
		ctx,
		parsed ? json_pack("{s:b, s:o}", "ok", 1, "answer", parsed)
		       : json_pack("{s:b, s:s}", "ok", 1, "answer", answer));
}

static json_t *ask(struct lab_call *call, const struct lab_node *node,
		   const char *types, const char *ip, const char *payload)
{
	int err = lab_ping_send(call->lab->ping, node, types, ip, payload,
				PING_TIMEOUT_MS, on_answer, call->client);

	return err ? lab_error("%s", ts_strerror(err)) : NULL;
}

static json_t *cmd_ping_request(struct lab_call *call)
{
	const char *types = call->argc > 2 ? call->argv[2] : "";
	const char *ip = call->argc > 3 ? call->argv[3] : NULL;
	struct lab_node *target =
		ip ? lab_node_find(&call->lab->state, ip) : NULL;
	char text[TS_IP_TEXT_CAP];
	json_t *error = NULL;
	struct lab_node *node = lab_arg_node(call, 1, &error);

	if (!node)
		return error;
	if (target)
		ip = ts_ip_format(&target->ip4, text);
	return ask(call, node, types, ip, NULL);
}

/* c2n NODE METHOD PATH [BODY] */
static json_t *cmd_c2n(struct lab_call *call)
{
	const char *body = lab_rest(call, 4);
	char request[C2N_REQUEST_CAP];
	json_t *error = NULL;
	struct lab_node *node = lab_arg_node(call, 1, &error);
	int len;

	if (!node)
		return error;
	len = snprintf(request, sizeof(request),
		       "%s %s HTTP/1.1\r\nHost: unused\r\n"
		       "Content-Length: %zu\r\n\r\n%s",
		       call->argv[2], call->argv[3], strlen(body), body);
	if (len < 0 || (size_t)len >= sizeof(request))
		return lab_error("too long");
	return ask(call, node, "c2n", NULL, request);
}

/* -- waiting -------------------------------------------------------------- */

/* Connected to the server that it calls its home. */
static bool is_on_derp(const struct lab *lab, const struct lab_node *node)
{
	const int i = node->home_derp - lab->first_region;

	return i >= 0 && i < (int)lab->opt.regions &&
	       lab_derp_has_client(lab->derps[i], &node->key);
}

/* -1: no such condition */
static int condition(const struct lab *lab, const struct lab_node *node,
		     const char *what)
{
	if (!strcmp(what, "known"))
		return node != NULL;
	if (!strcmp(what, "gone"))
		return node == NULL;
	if (!strcmp(what, "online"))
		return node && lab_node_is_online(node);
	if (!strcmp(what, "offline"))
		return node && !lab_node_is_online(node);
	if (!strcmp(what, "expired"))
		return node && lab_node_has_expired(node);
	if (!strcmp(what, "endpoints"))
		return node && json_array_size(node->endpoints) > 0;
	if (!strcmp(what, "derp"))
		return node && is_on_derp(lab, node);
	if (!strcmp(what, "no-derp"))
		return node && !is_on_derp(lab, node);
	if (!strcmp(what, "ready")) /* can be reached in every way */
		return node && lab_node_is_online(node) &&
		       json_array_size(node->endpoints) &&
		       is_on_derp(lab, node);
	return -1;
}

static json_t *node_meets(struct lab_call *call)
{
	struct lab_node *node = lab_node_find(&call->lab->state, call->argv[1]);
	int met = condition(call->lab, node, call->argv[2]);

	if (met < 0)
		return lab_error("no condition %s", call->argv[2]);
	return met ? lab_ok() : NULL;
}

static json_t *cmd_wait(struct lab_call *call)
{
	json_t *error = NULL;
	uint64_t timeout_ms;

	if (lab_arg_number(call, 3, WAIT_DEFAULT_MS, &timeout_ms, &error))
		return error;
	return lab_command_wait(call, node_meets, timeout_ms);
}

static json_t *nodes_meet(struct lab_call *call)
{
	const struct lab_state *st = &call->lab->state;
	const uint64_t wanted = strtoull(call->argv[1], NULL, 10);
	uint64_t count = 0;

	for (size_t i = 0; i < st->node_count; i++) {
		int met = condition(call->lab, st->nodes[i], call->argv[2]);

		if (met < 0)
			return lab_error("no condition %s", call->argv[2]);
		if (met && !st->nodes[i]->synthetic)
			count++;
	}
	return count >= wanted ? lab_count(count) : NULL;
}

static json_t *cmd_wait_count(struct lab_call *call)
{
	json_t *error = NULL;
	uint64_t wanted, timeout_ms;

	if (lab_arg_number(call, 1, 0, &wanted, &error) ||
	    lab_arg_number(call, 3, WAIT_DEFAULT_MS, &timeout_ms, &error))
		return error;
	return lab_command_wait(call, nodes_meet, timeout_ms);
}

/* Somebody must wait (and follow up) before an approval makes sense. */
static json_t *login_waits(struct lab_call *call)
{
	json_t *list = lab_register_pending(call->lab->registrar);
	json_t *login;
	size_t i;

	json_array_foreach(list, i, login) if (
		json_is_true(json_object_get(
			login, "waits"))) return json_pack("{s:b, s:o}", "ok",
							   1, "logins", list);
	json_decref(list);
	return NULL;
}

static json_t *cmd_wait_login(struct lab_call *call)
{
	json_t *error = NULL;
	uint64_t timeout_ms;

	if (lab_arg_number(call, 1, WAIT_DEFAULT_MS, &timeout_ms, &error))
		return error;
	return lab_command_wait(call, login_waits, timeout_ms);
}

/* What nodes have had set by set-dns, in order. */
static json_t *cmd_txt_records(struct lab_call *call)
{
	return json_pack("{s:O}", "records", call->lab->state.txt_records);
}

static json_t *cmd_stop(struct lab_call *call)
{
	ts_loop_stop(call->lab->loop);
	return lab_ok();
}

const struct lab_command_entry LAB_QUERY_COMMANDS[] = {
	{"nodes", 0, 0, cmd_nodes, ""},
	{"node", 1, 1, cmd_node, "NODE"},
	{"stats", 0, 0, cmd_stats, ""},
	{"ping-request", 1, 3, cmd_ping_request, "NODE [TYPES [IP|NODE]]"},
	{"c2n", 3, -1, cmd_c2n, "NODE METHOD PATH [BODY]"},
	{"wait", 2, 3, cmd_wait,
	 "NODE known|gone|online|offline|expired|endpoints|derp|no-derp|ready "
	 "[MS]"},
	{"wait-count", 2, 3, cmd_wait_count, "N CONDITION [MS]"},
	{"wait-login", 0, 1, cmd_wait_login, "[MS]"},
	{"txt-records", 0, 0, cmd_txt_records, ""},
	{"stop", 0, 0, cmd_stop, ""},
	{0},
};
