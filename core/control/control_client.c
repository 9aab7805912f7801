/* SPDX-License-Identifier: BSD-3-Clause
 * control_client.c - log in to a control server and follow its map
 *
 * This file only decides what comes next; each step has a file of its own (the
 * list is in control_state.h). A public function notes what happened; the
 * outermost one then lets every part take its step:
 *
 *   link failed -> tear down, plan the next attempt
 *   link down   -> open it, when it is time
 *   link up     -> log out | register | poll the map and send updates, and
 *                  register a new key meanwhile
 *
 * Functions called from within an op are nested: they only note.
 * Source: control/controlclient/auto.go
 */
#include "core/control/control_client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clean_text.h"
#include "core/base/log.h"
#include "core/control/control_config.h"
#include "core/control/control_state.h"
#include "core/crypto/secret.h"
#include "core/model/netmap_edit.h"

static const char *state_name(enum ts_control_state state)
{
	static const char *const names[] = {
		"stopped",	"connecting", "registering", "needs login",
		"starting map", "running",    "failed",	     "logged out"};

	return names[state];
}

void ts_control_set_state(struct ts_control *c, enum ts_control_state state,
			  const char *error)
{
	bool is_news = error && strcmp(error, c->error) != 0;

	if (state == c->state && !is_news)
		return;
	log_debug("control: %s -> %s", state_name(c->state),
		  state_name(state));
	if (is_news)
		log_warn("control: %s", error);
	c->state = state;
	/* An error is forgotten when things work, not while they are tried
	 * again: its repetition is no news. */
	if (error)
		snprintf(c->error, sizeof(c->error), "%s", error);
	else if (state == TS_CONTROL_RUNNING ||
		 state == TS_CONTROL_NEEDS_LOGIN)
		c->error[0] = '\0';
	c->ops.state_changed(c->ctx, state, error);
}

void ts_control_report(struct ts_control *c, const char *fmt, ...)
{
	char error[TS_CONTROL_ERROR_CAP];
	va_list args;

	va_start(args, fmt);
	vsnprintf(error, sizeof(error), fmt, args);
	va_end(args);
	ts_clean_text(error, ' ');
	ts_control_set_state(c, c->state, error);
}

struct ts_hostinfo ts_control_hostinfo(const struct ts_control *c)
{
	const struct ts_control_update *update = &c->update;

	return (struct ts_hostinfo){
		.config = &c->config,
		.net_info = update->has_net_info ? &update->net_info : NULL,
		.peerapi4_port = update->peerapi4_port,
		.peerapi6_port = update->peerapi6_port,
		.serve = &c->serve,
	};
}

int64_t ts_control_wall_clock(const struct ts_control *c)
{
	return c->ops.wall_clock(c->ctx);
}

/* -- the order of steps --------------------------------------------------- */

static void step_up(struct ts_control *c)
{
	if (c->goal == GOAL_LOG_OUT || !c->login.is_done)
		ts_poll_stop(c);
	if (ts_login_is_wanted(c))
		ts_login_step(c);
	if (c->goal == GOAL_RUN && c->login.is_done) {
		ts_poll_step(c);
		ts_update_step(c);
		ts_request_step(c);
	}
	ts_control_link_flush(c);
}

static void settle(struct ts_control *c)
{
	ts_control_link_reap(c);
	if (c->goal == GOAL_STOP) {
		ts_control_link_close(c);
		return;
	}
	ts_control_link_open(c);
	if (c->link.step == LINK_UP && !c->link.has_failed)
		step_up(c);
	ts_control_link_reap(c);
}

void ts_control_enter(struct ts_control *c, uint64_t now_ms)
{
	if (now_ms > c->now_ms)
		c->now_ms = now_ms;
	c->depth++;
}

void ts_control_leave(struct ts_control *c)
{
	if (c->depth == 1)
		settle(c);
	c->depth--;
}

/* -- public --------------------------------------------------------------- */

static bool init(struct ts_control *c)
{
	c->netmap = ts_netmap_new();
	if (!c->netmap || ts_control_url_parse(c->config.control_url, &c->url))
		return false;
	ts_login_init(c);
	ts_update_init(c);
	return true;
}

struct ts_control *ts_control_new(const struct ts_control_config *config,
				  const struct ts_control_ops *ops, void *ctx)
{
	struct ts_control *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	if (ts_control_config_copy(config, &c->config)) {
		free(c);
		return NULL;
	}
	c->ops = *ops;
	c->ctx = ctx;
	c->state = TS_CONTROL_STOPPED;
	if (!init(c)) {
		ts_control_free(c);
		return NULL;
	}
	return c;
}

void ts_control_free(struct ts_control *c)
{
	if (!c)
		return;
	c->depth++;
	ts_control_link_close(c);
	ts_login_deinit(c);
	ts_update_deinit(c);
	ts_ping_deinit(c);
	ts_request_deinit(c);
	ts_netmap_free(c->netmap);
	free(c->login_name);
	free(c->display_name);
	free(c->profile_pic_url);
	ts_control_config_deinit(&c->config);
	ts_wipe(c, sizeof(*c));
	free(c);
}

void ts_control_start(struct ts_control *c, uint64_t now_ms)
{
	ts_control_enter(c, now_ms);
	if (c->goal != GOAL_RUN) {
		c->goal = GOAL_RUN;
		c->is_disconnected = false;
		ts_login_restart(c);
		c->error[0] = '\0';
		ts_control_set_state(c, TS_CONTROL_CONNECTING, NULL);
	}
	ts_control_leave(c);
}

void ts_control_logout(struct ts_control *c, uint64_t now_ms)
{
	ts_control_enter(c, now_ms);
	ts_login_restart(c);
	ts_login_leave(c);
	ts_control_leave(c);
}

void ts_control_connected(struct ts_control *c, uint64_t now_ms)
{
	ts_control_enter(c, now_ms);
	ts_control_link_start_upgrade(c);
	ts_control_leave(c);
}

void ts_control_input(struct ts_control *c, const uint8_t *data, size_t len,
		      uint64_t now_ms)
{
	ts_control_enter(c, now_ms);
	ts_control_link_input(c, data, len);
	ts_control_leave(c);
}

void ts_control_closed(struct ts_control *c, const char *error,
		       uint64_t now_ms)
{
	ts_control_enter(c, now_ms);
	if (c->link.step >= LINK_DIAL && !c->link.is_gone) {
		c->link.is_gone = true;
		ts_control_link_distrust(c);
		ts_control_link_fail(c, "connection: %s",
			     error ? error : "closed by the server");
	}
	ts_control_leave(c);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t ts_control_deadline_ms(const struct ts_control *c)
{
	uint64_t next = ts_control_link_deadline_ms(c);

	next = earlier(next, ts_login_deadline_ms(c));
	next = earlier(next, ts_poll_deadline_ms(c));
	next = earlier(next, ts_request_deadline_ms(c));
	return earlier(next, ts_update_deadline_ms(c));
}

void ts_control_tick(struct ts_control *c, uint64_t now_ms)
{
	ts_control_enter(c, now_ms);
	ts_control_link_tick(c);
	ts_login_tick(c);
	ts_poll_tick(c);
	ts_update_tick(c);
	ts_request_tick(c);
	ts_control_leave(c);
}

void ts_control_network_changed(struct ts_control *c, uint64_t now_ms)
{
	ts_control_enter(c, now_ms);
	if (c->goal != GOAL_STOP) {
		c->link.retry_ms = 0;
		c->link.retries_now = true;
		ts_control_link_fail(c, "the network changed");
	}
	ts_control_leave(c);
}

void ts_control_post(struct ts_control *c, const char *url, const void *body,
		     size_t len, uint64_t now_ms)
{
	ts_control_enter(c, now_ms);
	ts_ping_post(c, url, body, len);
	ts_control_leave(c);
}

enum ts_control_state ts_control_state(const struct ts_control *c)
{
	return c->state;
}

const struct ts_netmap *ts_control_netmap(const struct ts_control *c)
{
	return c->netmap;
}

void ts_control_identity(const struct ts_control *c,
			 struct ts_control_identity *out)
{
	const struct ts_peer *self = c->netmap->self;
	const struct ts_user_profile *user =
		self ? ts_netmap_user(c->netmap, self->user) : NULL;

	*out = (struct ts_control_identity){
		.node_key = c->config.node_key,
		.old_node_key = c->config.old_node_key,
		.nl_key = c->config.nl_key,
		.stable_id = self ? self->stable_id : NULL,
		.user_id = c->user_id,
		.login_name = c->login_name,
		.display_name = c->display_name,
		.profile_pic_url = c->profile_pic_url,
	};
	if (out->user_id || !user)
		return;
	/* A server may say who we are only in the map. */
	out->user_id = user->id;
	out->login_name = user->login_name;
	out->display_name = user->display_name;
	out->profile_pic_url = user->profile_pic_url;
}
