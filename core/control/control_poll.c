/* SPDX-License-Identifier: BSD-3-Clause
 * control_poll.c - the map stream
 *
 * One long request; its body is the tailnet, message by message. Whatever ends
 * it takes the link down: reconnecting is the one way back, and the first
 * message of the next poll says everything again. The watchdog runs from the
 * request on and is wound up by each complete message.
 *
 * Debug.SleepSeconds holds one decoded message (and, in the stream's queue,
 * what comes behind it) for that long; the watchdog stands still meanwhile.
 * Source: control/controlclient/direct.go (sendMapRequest)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/control/control_state.h"
#include "core/control/netmap_apply.h"

enum { WATCHDOG_MS = 120000, EXPIRY_CHECK_MS = 60000 };

static void wind_watchdog(struct ts_control *c)
{
	c->poll.watchdog_ms = c->now_ms + WATCHDOG_MS;
}

static void on_upserted(void *ctx, struct ts_peer *peer)
{
	struct ts_control *c = ctx;

	c->ops.peer_upserted(c->ctx, peer);
}

static void on_removed(void *ctx, struct ts_peer *peer)
{
	struct ts_control *c = ctx;

	c->ops.peer_removed(c->ctx, peer);
}

static struct ts_netmap_sink peer_sink(struct ts_control *c)
{
	return (struct ts_netmap_sink){on_upserted, on_removed, c};
}

void ts_poll_forget_map(struct ts_control *c)
{
	struct ts_netmap_sink sink = peer_sink(c);

	if (!c->netmap->self)
		return;
	ts_netmap_forget(c->netmap, &sink);
	c->ops.netmap_changed(c->ctx,
			      TS_CHANGED_SELF | TS_CHANGED_PEERS |
				      TS_CHANGED_DERP_MAP | TS_CHANGED_DNS |
				      TS_CHANGED_FILTER | TS_CHANGED_USERS |
				      TS_CHANGED_HEALTH | TS_CHANGED_TKA |
				      TS_CHANGED_FIRST);
}

/* -- messages ------------------------------------------------------------- */

/* The map is followed on: an admin may let the key live longer, which is the
 * end of the login. */
static void check_self_expiry(struct ts_control *c)
{
	if (!c->login.is_done || !c->poll.got_first || c->poll.is_stale ||
	    c->goal != GOAL_RUN)
		return;
	if (ts_netmap_self_expired(c->netmap, ts_control_wall_clock(c)))
		ts_login_renew(c, true);
	else
		ts_login_not_expired(c);
}

static void note_first(struct ts_control *c)
{
	c->poll.got_first = true;
	c->poll.first_ms = c->now_ms;
	c->poll.expiry_check_ms = c->now_ms + EXPIRY_CHECK_MS;
	if (!ts_netmap_self_expired(c->netmap, ts_control_wall_clock(c)))
		ts_backoff_reset(&c->login.backoff);
	ts_control_set_state(c, TS_CONTROL_RUNNING, NULL);
}

static int apply(struct ts_control *c, struct ts_map_response *msg)
{
	struct ts_netmap_sink sink = peer_sink(c);
	bool is_first = !c->poll.got_first;
	unsigned changes;
	int err = ts_netmap_apply(c->netmap, msg, is_first,
				  ts_control_wall_clock(c), &sink, &changes);

	if (msg->skipped_nodes > 0)
		log_warn("control: map: %zu nodes that make no sense left out",
			 msg->skipped_nodes);
	if (changes)
		c->ops.netmap_changed(c->ctx, changes);
	if (err)
		return err;
	if (is_first)
		note_first(c);
	check_self_expiry(c);
	return 0;
}

static int process(struct ts_control *c, struct ts_map_response *msg)
{
	int err = 0;

	if (msg->keep_alive)
		ts_netmap_note_control_time(c->netmap, msg,
					    ts_control_wall_clock(c));
	else
		err = apply(c, msg);
	ts_netmap_note_client_version(c->netmap, msg);
	if (!err && msg->ping.url)
		ts_ping_handle(c, &msg->ping);
	if (!err && msg->browse_url)
		ts_ping_browse(c, msg->browse_url);
	wind_watchdog(c);
	return err;
}

static bool is_bare_keep_alive(const struct ts_map_response *msg)
{
	return msg->keep_alive && !msg->ping.url && !msg->browse_url &&
	       !msg->client_version && msg->control_time_unix == 0;
}

static int on_message(void *ctx, const char *json, size_t len)
{
	struct ts_control *c = ctx;
	struct ts_map_response msg;
	bool is_bare;
	int err = ts_map_response_read(json, len, &msg);

	if (err)
		return err;
	if (msg.sleep_s > 0 && !msg.keep_alive) {
		log_info("control: map: the server asks for a pause of %d s",
			 msg.sleep_s);
		c->poll.is_held = true;
		c->poll.held = msg;
		c->poll.resume_ms = c->now_ms + (uint64_t)msg.sleep_s * 1000;
		return TS_MAP_STOP;
	}
	is_bare = is_bare_keep_alive(&msg);
	err = process(c, &msg);
	ts_map_response_deinit(&msg);
	if (err)
		return err;
	return is_bare ? TS_MAP_KEEP_ALIVE : TS_MAP_MESSAGE;
}

static void on_keep_alive(void *ctx)
{
	wind_watchdog(ctx);
}

static void take_stream_error(struct ts_control *c, int err)
{
	if (err == -EPROTO && !c->poll.got_first)
		ts_control_link_fail(c, "map: initial MapResponse lacked node");
	else if (err)
		ts_control_link_fail(c, "map: message: %s", ts_strerror(err));
}

static void resume(struct ts_control *c)
{
	struct ts_control_poll *poll = &c->poll;
	int err = process(c, &poll->held);

	poll->is_held = false;
	ts_map_response_deinit(&poll->held);
	if (!err)
		err = ts_map_stream_resume(&poll->stream);
	take_stream_error(c, err);
}

/* -- the request ---------------------------------------------------------- */

static void on_head(void *ctx, int status, const char *retry_after)
{
	struct ts_control *c = ctx;

	(void)retry_after;
	c->poll.status = status;
}

/* Only the start of an error's body is of interest. */
static void collect_refusal(struct ts_control_poll *poll, const uint8_t *data,
			    size_t len)
{
	size_t have = strlen(poll->refusal);
	size_t room = sizeof(poll->refusal) - have;

	if (room > 1)
		snprintf(poll->refusal + have, room, "%.*s",
			 (int)(len < room ? len : room - 1),
			 (const char *)data);
}

static void on_body(void *ctx, const uint8_t *data, size_t len)
{
	struct ts_control *c = ctx;
	struct ts_control_poll *poll = &c->poll;

	if (c->link.has_failed)
		return;
	if (poll->status != 200)
		collect_refusal(poll, data, len);
	else
		take_stream_error(
			c, ts_map_stream_input(&poll->stream, data, len));
}

static bool is_unknown_node(int status)
{
	return status == 401 || status == 403 || status == 404;
}

static void on_end(void *ctx, const char *error)
{
	struct ts_control *c = ctx;
	struct ts_control_poll *poll = &c->poll;

	poll->stream_id = 0;
	if (poll->status != 200 && poll->status != 0) {
		/* Upstream would ask for ever; asking for a login instead
		 * tells the person what is wrong. */
		if (is_unknown_node(poll->status) && !poll->got_first)
			ts_login_again(c);
		ts_control_link_fail(c, "initial fetch failed %d: %s",
				     poll->status, poll->refusal);
	} else if (error) {
		ts_control_link_fail(c, "map: %s", error);
	} else {
		ts_control_link_fail(c, "map: the server ended the stream%s",
				     ts_map_stream_is_partial(&poll->stream)
					     ? " in the middle of a message"
					     : "");
	}
}

static const struct ts_h2_reply_ops REPLY_OPS = {
	.head = on_head, .body = on_body, .end = on_end};

static int submit(struct ts_control *c)
{
	char path[sizeof(c->url.path) + 16], lb[TS_KEY_TEXT_CAP];
	char *body = ts_update_map_request(c, true, lb);
	struct ts_h2_request request = {
		.method = "POST",
		.path = path,
		.authority = c->url.authority,
		.lb = {lb, NULL},
		.body = body,
		.body_len = body ? strlen(body) : 0,
		.ops = &REPLY_OPS,
		.ctx = c,
	};
	int32_t id;

	if (!body)
		return -ENOMEM;
	snprintf(path, sizeof(path), "%s/machine/map", c->url.path);
	id = ts_h2_submit(c->link.h2, &request);
	free(body);
	if (id < 0)
		return id;
	c->poll.stream_id = id;
	return 0;
}

static void start(struct ts_control *c)
{
	static const struct ts_map_stream_ops stream_ops = {
		.message = on_message, .keep_alive = on_keep_alive};
	struct ts_control_poll *poll = &c->poll;
	int err;

	poll->status = 0;
	poll->got_first = false;
	poll->refusal[0] = '\0';
	ts_map_stream_init(&poll->stream, &stream_ops, c);
	poll->has_stream = true;
	wind_watchdog(c);
	if (c->state != TS_CONTROL_FAILED)
		ts_control_set_state(c, TS_CONTROL_STARTING_MAP, NULL);
	err = submit(c);
	if (err)
		ts_control_link_fail(c, "map request: %s", ts_strerror(err));
}

void ts_poll_step(struct ts_control *c)
{
	if (c->poll.is_stale)
		ts_poll_stop(c);
	if (!c->poll.has_stream)
		start(c);
	else if (c->poll.is_held && c->now_ms >= c->poll.resume_ms)
		resume(c);
}

void ts_poll_stop(struct ts_control *c)
{
	struct ts_control_poll *poll = &c->poll;

	if (poll->stream_id && c->link.h2)
		ts_h2_cancel(c->link.h2, poll->stream_id);
	poll->stream_id = 0;
	poll->got_first = false;
	poll->is_stale = false;
	if (poll->is_held)
		ts_map_response_deinit(&poll->held);
	poll->is_held = false;
	if (poll->has_stream)
		ts_map_stream_deinit(&poll->stream);
	poll->has_stream = false;
}

static void check_expiries(struct ts_control *c)
{
	struct ts_netmap_sink sink = peer_sink(c);

	c->poll.expiry_check_ms = c->now_ms + EXPIRY_CHECK_MS;
	if (ts_netmap_expire_peers(c->netmap, ts_control_wall_clock(c), &sink) >
	    0)
		c->ops.netmap_changed(c->ctx, TS_CHANGED_PEERS);
	check_self_expiry(c);
}

void ts_poll_tick(struct ts_control *c)
{
	struct ts_control_poll *poll = &c->poll;

	if (!poll->has_stream || c->link.has_failed)
		return;
	if (!poll->is_held && c->now_ms >= poll->watchdog_ms)
		ts_control_link_fail(c, "map: no message for %d s",
				     WATCHDOG_MS / 1000);
	else if (poll->got_first && c->now_ms >= poll->expiry_check_ms)
		check_expiries(c);
}

uint64_t ts_poll_deadline_ms(const struct ts_control *c)
{
	const struct ts_control_poll *poll = &c->poll;
	uint64_t next;

	if (!poll->has_stream)
		return UINT64_MAX;
	next = poll->is_held ? poll->resume_ms : poll->watchdog_ms;
	if (poll->got_first && poll->expiry_check_ms < next)
		next = poll->expiry_check_ms;
	return next;
}
