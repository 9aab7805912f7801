/* SPDX-License-Identifier: BSD-3-Clause
 * control_prefs.c - what the user changes while we run
 *
 * A name, flags and tags are told to the server like any other news of ours.
 * Tags are given with a registration, so a change of them asks for one, with
 * the key that we have.
 * Source: ipn/ipnlocal/local.go (setPrefsLocked), control/controlclient
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/control/control_state.h"
#include "core/model/json_fields.h"

void ts_control_stop(struct ts_control *c, uint64_t now_ms)
{
	ts_control_enter(c, now_ms);
	if (c->goal == GOAL_RUN) {
		c->goal = GOAL_STOP;
		ts_login_restart(c);
		c->error[0] = '\0';
		ts_control_set_state(c, TS_CONTROL_STOPPED, NULL);
	}
	ts_control_leave(c);
}

int ts_control_set_hostname(struct ts_control *c, const char *hostname,
			    uint64_t now_ms)
{
	char *copy = strdup(hostname);

	if (!copy)
		return -ENOMEM;
	ts_control_enter(c, now_ms);
	free((char *)(uintptr_t)c->config.hostname);
	c->config.hostname = copy;
	ts_update_want(c);
	ts_control_leave(c);
	return 0;
}

void ts_control_set_shields_up(struct ts_control *c, bool shields_up,
			       uint64_t now_ms)
{
	ts_control_enter(c, now_ms);
	if (c->config.shields_up != shields_up) {
		c->config.shields_up = shields_up;
		ts_update_want(c);
	}
	ts_control_leave(c);
}

void ts_control_set_serve(struct ts_control *c,
			  const struct ts_control_serve *serve,
			  uint64_t now_ms)
{
	struct ts_control_serve *now = &c->serve;

	ts_control_enter(c, now_ms);
	if (now->ingress_enabled != serve->ingress_enabled ||
	    now->wire_ingress != serve->wire_ingress ||
	    strcmp(now->services_hash, serve->services_hash) != 0) {
		*now = *serve;
		ts_update_want(c);
	}
	ts_control_leave(c);
}

static char **copy_tags(char *const *tags, size_t count)
{
	char **copy = calloc(count + 1, sizeof(*copy));

	for (size_t i = 0; copy && i < count; i++) {
		copy[i] = strdup(tags[i]);
		if (!copy[i]) {
			ts_text_list_free(copy, i);
			return NULL;
		}
	}
	return copy;
}

int ts_control_set_tags(struct ts_control *c, char *const *tags, size_t count,
			uint64_t now_ms)
{
	char **copy = copy_tags(tags, count);

	if (!copy)
		return -ENOMEM;
	ts_control_enter(c, now_ms);
	ts_text_list_free((char **)(uintptr_t)c->config.tags,
			  c->config.tag_count);
	c->config.tags = (const char *const *)copy;
	c->config.tag_count = count;
	if (c->login.is_done) {
		ts_login_restart(c);
		c->login.is_done = false;
	}
	ts_control_leave(c);
	return 0;
}
