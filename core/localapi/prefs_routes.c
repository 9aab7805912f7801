/* SPDX-License-Identifier: BSD-3-Clause
 * prefs_routes.c - preferences: read, change (MaskedPrefs), check
 * Source: ipn/localapi/localapi.go (servePrefs, serveCheckPrefs)
 */
#include <errno.h>
#include <stdlib.h>

#include "core/base/log.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/prefs_edit.h"

void localapi_get_prefs(const struct localapi_call *call)
{
	localapi_reply_text(call, 200, "application/json",
			    ts_prefs_to_json(ts_node_prefs(call->node),
					     false));
}

static void reply_problem(const struct localapi_call *call, int status,
			  const char *problem)
{
	json_t *body = json_object();

	if (problem)
		json_object_set_new(body, "Error", json_string(problem));
	localapi_reply_json(call, status, body);
}

/* Nothing is changed by an edit that changes nothing. */
static bool is_same(const struct ts_prefs *a, const struct ts_prefs *b)
{
	json_t *x = ts_prefs_to_object(a), *y = ts_prefs_to_object(b);
	bool same = json_equal(x, y);

	json_decref(x);
	json_decref(y);
	return same;
}

void localapi_patch_prefs(const struct localapi_call *call)
{
	const struct ts_prefs *now = ts_node_prefs(call->node);
	json_t *edit = localapi_body_object(call);
	char why[256], err[128] = "";
	struct ts_prefs next;
	int ret;

	if (!edit)
		return;
	ret = ts_prefs_edit(now, edit, TS_PREFS_MASKED, &next, err);
	json_decref(edit);
	if (ret) {
		reply_problem(call, ret == -ENOMEM ? 500 : 400, err);
		return;
	}
	if (!localapi_prefs_are_possible(call->node, &next, why) ||
	    !localapi_prefs_stay_here(call->node, &next, why)) {
		reply_problem(call, 400, why);
	} else {
		if (!is_same(now, &next))
			ts_node_edit_prefs(call->node, &next, call->now_ms);
		localapi_get_prefs(call);
	}
	ts_prefs_deinit(&next);
}

void localapi_check_prefs(const struct localapi_call *call)
{
	json_t *wanted = localapi_body_object(call);
	char why[256], err[128] = "";
	struct ts_prefs next;
	int ret;

	if (!wanted)
		return;
	ret = ts_prefs_edit(ts_node_prefs(call->node), wanted, TS_PREFS_WHOLE,
			    &next, err);
	json_decref(wanted);
	if (ret) {
		reply_problem(call, 200, err);
		return;
	}
	ret = localapi_prefs_are_possible(call->node, &next, why);
	reply_problem(call, 200, ret ? NULL : why);
	ts_prefs_deinit(&next);
}
