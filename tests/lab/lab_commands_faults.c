/* SPDX-License-Identifier: BSD-3-Clause
 * lab_commands_faults.c - commands that make trouble
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/wire.h"
#include "tests/lab/lab_command.h"
#include "tests/lab/lab_control.h"
#include "tests/lab/lab_derp.h"
#include "tests/lab/lab_map.h"
#include "tests/lab/lab_register.h"
#include "tests/lab/lab_stun.h"

enum { OVERSIZE_LEN = 0x7fffffff, RAW_CAP = 64 };

/* -- control -------------------------------------------------------------- */

static json_t *cmd_drop_control(struct lab_call *call)
{
	return lab_count(lab_control_drop_all(call->lab->control));
}

static json_t *cmd_refuse_control(struct lab_call *call)
{
	json_t *error = NULL;
	bool on;
	int err;

	if (lab_arg_on(call, 1, &on, &error))
		return error;
	err = lab_control_refuse(call->lab->control, on);
	return err ? lab_error("%s", ts_strerror(err)) : lab_ok();
}

static json_t *cmd_stall_control(struct lab_call *call)
{
	json_t *error = NULL;
	bool on;

	if (lab_arg_on(call, 1, &on, &error))
		return error;
	lab_control_stall(call->lab->control, on);
	return lab_ok();
}

static json_t *cmd_rate_limit(struct lab_call *call)
{
	json_t *error = NULL;
	uint64_t count, seconds;

	if (lab_arg_number(call, 1, 0, &count, &error) ||
	    lab_arg_number(call, 2, 1, &seconds, &error))
		return error;
	lab_register_rate_limit(call->lab->registrar, (unsigned)count,
				(unsigned)seconds);
	return lab_ok();
}

/* -- map streams ---------------------------------------------------------- */

/* The node that argument n names, or NULL for all ("all" or absent). */
static bool arg_target(const struct lab_call *call, int n,
		       struct lab_node **node, json_t **error)
{
	*node = NULL;
	if (n >= call->argc || !strcmp(call->argv[n], "all"))
		return true;
	*node = lab_arg_node(call, n, error);
	return *node != NULL;
}

static json_t *cmd_close_map(struct lab_call *call)
{
	json_t *error = NULL;
	struct lab_node *node;

	if (!arg_target(call, 1, &node, &error))
		return error;
	return lab_count(lab_map_close(call->lab->map, node));
}

static json_t *cmd_hold_map(struct lab_call *call)
{
	json_t *error = NULL;
	bool on;

	if (lab_arg_on(call, 1, &on, &error))
		return error;
	lab_map_hold(call->lab->map, on);
	return lab_ok();
}

static json_t *cmd_cut_map(struct lab_call *call)
{
	json_t *error = NULL;
	uint64_t bytes;

	if (lab_arg_number(call, 1, 0, &bytes, &error))
		return error;
	lab_map_cut_after(call->lab->map, bytes);
	return lab_ok();
}

static json_t *cmd_send_json(struct lab_call *call)
{
	json_t *error = NULL;
	struct lab_node *node;

	if (!arg_target(call, 1, &node, &error))
		return error;
	return lab_count(
		lab_map_send_json(call->lab->map, node, lab_rest(call, 2)));
}

static size_t send_frame(struct lab_map *map, const struct lab_node *node,
			 uint32_t claimed_len, const char *bytes)
{
	uint8_t raw[RAW_CAP];
	struct ts_writer w = ts_writer_init(raw, sizeof(raw));

	ts_write_le32(&w, claimed_len);
	ts_write_bytes(&w, bytes, strlen(bytes));
	return lab_map_send_raw(map, node, raw, w.len);
}

static json_t *cmd_send_malformed(struct lab_call *call)
{
	struct lab_map *map = call->lab->map;
	const char *kind = call->argv[1];
	json_t *error = NULL;
	struct lab_node *node;

	if (!arg_target(call, 2, &node, &error))
		return error;
	if (!strcmp(kind, "zstd"))
		return lab_count(send_frame(map, node, 9, "not zstd!"));
	if (!strcmp(kind, "json"))
		return lab_count(lab_map_send_json(map, node, "{\"Node\":"));
	if (!strcmp(kind, "not-object"))
		return lab_count(lab_map_send_json(map, node, "[1,2]"));
	if (!strcmp(kind, "oversize"))
		return lab_count(send_frame(map, node, OVERSIZE_LEN, "{"));
	if (!strcmp(kind, "truncated"))
		return lab_count(send_frame(map, node, 100, "{\"Peers\""));
	if (!strcmp(kind, "empty"))
		return lab_count(send_frame(map, node, 0, ""));
	if (!strcmp(kind, "unknown"))
		return lab_count(lab_map_send_json(
			map, node,
			"{\"FutureField\":{\"a\":[1,2,{\"b\":null}]},"
			"\"Seq\":7,\"AnotherOne\":\"x\"}"));
	if (!strcmp(kind, "types"))
		return lab_count(lab_map_send_json(
			map, node, "{\"Node\":7,\"Peers\":\"no\"}"));
	return lab_error("zstd, json, not-object, oversize, truncated, empty, "
			 "unknown or types, not %s",
			 kind);
}

/* -- DERP and STUN -------------------------------------------------------- */

static int derp_fault(struct lab_derp *derp, const char *what, bool on,
		      uint64_t number, size_t *count)
{
	if (!strcmp(what, "drop"))
		*count += lab_derp_drop_all(derp);
	else if (!strcmp(what, "restart"))
		*count += lab_derp_restart(derp, (uint32_t)number);
	else if (!strcmp(what, "refuse"))
		return lab_derp_refuse(derp, on);
	else if (!strcmp(what, "stall"))
		lab_derp_stall(derp, on);
	else if (!strcmp(what, "blackhole"))
		lab_derp_blackhole(derp, on);
	else
		return -EINVAL;
	return 0;
}

/* derp WHAT [on|off] [REGION]: all regions unless one is named */
static json_t *cmd_derp(struct lab_call *call)
{
	struct lab *lab = call->lab;
	json_t *error = NULL;
	size_t count = 0;
	uint64_t region;
	bool on;
	int err = 0;

	if (lab_arg_on(call, 2, &on, &error) ||
	    lab_arg_number(call, 3, 0, &region, &error))
		return error;
	for (unsigned i = 0; !err && i < lab->opt.regions; i++)
		if (!region || (int)region == lab->first_region + (int)i)
			err = derp_fault(lab->derps[i], call->argv[1], on, 0,
					 &count);
	if (err == -EINVAL)
		return lab_error("drop, restart, refuse, stall or blackhole, "
				 "not %s",
				 call->argv[1]);
	return err ? lab_error("%s", ts_strerror(err)) : lab_count(count);
}

static json_t *cmd_delay_derp(struct lab_call *call)
{
	json_t *error = NULL;
	uint64_t ms;

	if (lab_arg_number(call, 1, 0, &ms, &error))
		return error;
	for (unsigned i = 0; i < call->lab->opt.regions; i++)
		lab_derp_delay(call->lab->derps[i], ms);
	return lab_ok();
}

static json_t *cmd_derp_health(struct lab_call *call)
{
	for (unsigned i = 0; i < call->lab->opt.regions; i++)
		lab_derp_health(call->lab->derps[i], lab_rest(call, 1));
	return lab_ok();
}

/* derp-region move [FIRST]: the same servers under other region numbers */
static json_t *cmd_derp_region(struct lab_call *call)
{
	struct lab *lab = call->lab;
	const uint64_t next = (uint64_t)lab->first_region + lab->opt.regions;
	json_t *error = NULL;
	uint64_t first;

	if (strcmp(call->argv[1], "move") != 0)
		return lab_error("move, not %s", call->argv[1]);
	if (lab_arg_number(call, 2, next, &first, &error))
		return error;
	if (first < 1 || first > 60000)
		return lab_error("a region number from 1 to 60000");
	lab->first_region = (int)first;
	lab_state_touch(&lab->state, &lab->state.derp_rev);
	return json_pack("{s:b, s:i}", "ok", 1, "region", lab->first_region);
}

static json_t *cmd_stun(struct lab_call *call)
{
	json_t *error = NULL;
	bool on;

	if (lab_arg_on(call, 1, &on, &error))
		return error;
	for (unsigned i = 0; i < call->lab->opt.regions; i++)
		if (call->lab->stuns[i])
			lab_stun_set_answering(call->lab->stuns[i], on);
	return lab_ok();
}

const struct lab_command_entry LAB_FAULT_COMMANDS[] = {
	{"drop-control", 0, 0, cmd_drop_control, ""},
	{"refuse-control", 0, 1, cmd_refuse_control, "[on|off]"},
	{"stall-control", 0, 1, cmd_stall_control, "[on|off]"},
	{"rate-limit", 1, 2, cmd_rate_limit, "COUNT [RETRY-AFTER-SECONDS]"},
	{"close-map", 0, 1, cmd_close_map, "[NODE|all]"},
	{"hold-map", 0, 1, cmd_hold_map, "[on|off]"},
	{"cut-map", 1, 1, cmd_cut_map, "BYTES"},
	{"send-json", 2, -1, cmd_send_json, "NODE|all JSON MapResponse"},
	{"send-malformed", 1, 2, cmd_send_malformed, "KIND [NODE|all]"},
	{"derp", 1, 3, cmd_derp,
	 "drop|restart|refuse|stall|blackhole [on|off [REGION]]"},
	{"delay-derp", 1, 1, cmd_delay_derp, "MILLISECONDS"},
	{"derp-health", 0, -1, cmd_derp_health, "[TEXT]"},
	{"derp-region", 1, 2, cmd_derp_region, "move [FIRST]"},
	{"stun", 0, 1, cmd_stun, "[on|off]"},
	{0},
};
