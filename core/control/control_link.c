/* SPDX-License-Identifier: BSD-3-Clause
 * control_link.c - the one connection to the control server
 *
 *   DOWN -> KEY -> DIAL -> OPEN -> UP, and back to DOWN by any failure
 *
 * The server's key is fetched once and again after a failed handshake, for it
 * may have changed. A failed upgrade, or a dial less than two minutes after the
 * one before, makes the next one use HTTPS only: what broke the plain one is
 * most likely still there. When nothing answers there, the next dial tries both
 * again: a server may well have no HTTPS port. An idle link is probed with an
 * HTTP/2 PING, so that waiting for a person's login does not hang on a dead
 * connection.
 * Source: control/ts2021/client.go, control/controlclient/direct.go
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clean_text.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/control/control_state.h"
#include "core/control/server_key_json.h"
#include "core/crypto/secret.h"

enum {
	KEY_TIMEOUT_MS = 30000,
	DIAL_TIMEOUT_MS = 10000,
	OPEN_TIMEOUT_MS = 10000,
	PLAIN_AGAIN_MS = 120000,
	PROBE_AFTER_MS = 60000,
	PROBE_TIMEOUT_MS = 30000,
	STABLE_MS = 10000, /* a map stream that lived as long was a success */
	KEY_BODY_MAX = 65536,
	URL_CAP = 600,
};

static const char *step_name(enum ts_control_link_step step)
{
	static const char *const names[] = {"down", "key", "dial", "open",
					    "up"};

	return names[step];
}

static void set_step(struct ts_control *c, enum ts_control_link_step next)
{
	log_debug("control: link %s -> %s", step_name(c->link.step),
		  step_name(next));
	c->link.step = next;
}

void ts_control_link_fail(struct ts_control *c, const char *fmt, ...)
{
	struct ts_control_link *link = &c->link;
	va_list args;

	if (link->has_failed || link->step == LINK_DOWN)
		return;
	link->has_failed = true;
	va_start(args, fmt);
	vsnprintf(link->reason, sizeof(link->reason), fmt, args);
	va_end(args);
	ts_clean_text(link->reason, ' ');
}

/* -- the byte stream and HTTP/2 ------------------------------------------- */

static void on_write(void *ctx, const uint8_t *data, size_t len)
{
	struct ts_control *c = ctx;

	if (!c->link.is_gone)
		c->ops.write(c->ctx, data, len);
}

static int on_h2_write(void *ctx, const uint8_t *data, size_t len)
{
	struct ts_control *c = ctx;

	return ts_ts2021_send(c->link.conn, data, len);
}

static void on_goaway(void *ctx, uint32_t code)
{
	struct ts_control *c = ctx;

	ts_control_link_fail(c, "the server is going away (code %u)", code);
}

static int on_opened(void *ctx)
{
	static const struct ts_h2_ops h2_ops = {.write = on_h2_write,
						.goaway = on_goaway};
	struct ts_control *c = ctx;
	struct ts_control_link *link = &c->link;

	link->h2 = ts_h2_new(&h2_ops, c);
	if (!link->h2)
		return -ENOMEM;
	link->force_https = false;
	link->last_input_ms = c->now_ms;
	link->is_probed = false;
	set_step(c, LINK_UP);
	/* Our preface goes out at once, whatever early payload comes. */
	return ts_h2_flush(link->h2);
}

static int on_stream(void *ctx, const uint8_t *data, size_t len)
{
	struct ts_control *c = ctx;

	return ts_h2_input(c->link.h2, data, len);
}

static const struct ts_ts2021_ops CONN_OPS = {
	.write = on_write, .opened = on_opened, .stream = on_stream};

void ts_control_link_input(struct ts_control *c, const uint8_t *data,
			   size_t len)
{
	struct ts_control_link *link = &c->link;

	if (link->step < LINK_OPEN || link->has_failed || link->is_gone)
		return;
	link->last_input_ms = c->now_ms;
	link->is_probed = false;
	if (!ts_ts2021_input(link->conn, data, len))
		return;
	ts_control_link_distrust(c);
	ts_control_link_fail(c, "%s", ts_ts2021_error(link->conn));
}

void ts_control_link_distrust(struct ts_control *c)
{
	if (c->link.step != LINK_OPEN)
		return;
	c->link.force_https = true;
	c->link.has_server_key = false;
}

void ts_control_link_flush(struct ts_control *c)
{
	struct ts_control_link *link = &c->link;
	int err;

	if (link->step != LINK_UP || link->has_failed)
		return;
	err = ts_h2_flush(link->h2);
	if (err)
		ts_control_link_fail(c, "http2: %s", ts_strerror(err));
}

/* -- up ------------------------------------------------------------------- */

static void dial(struct ts_control *c)
{
	struct ts_control_target targets[TS_CONTROL_TARGETS_MAX];
	struct ts_control_link *link = &c->link;
	bool is_again = link->has_dialed &&
			c->now_ms - link->last_dial_ms < PLAIN_AGAIN_MS;
	size_t count;

	link->only_https =
		(is_again || link->force_https) && !link->https_failed;
	link->https_failed = false;
	count = ts_control_targets(&c->url, link->only_https, targets);
	link->has_dialed = true;
	link->last_dial_ms = c->now_ms;
	link->deadline_ms = c->now_ms + DIAL_TIMEOUT_MS;
	set_step(c, LINK_DIAL);
	c->ops.dial(c->ctx, targets, count);
}

static void fetch_key(struct ts_control *c)
{
	char url[URL_CAP];

	snprintf(url, sizeof(url), "%s/key?v=%d", c->url.base,
		 TS_CAPABILITY_VERSION);
	c->link.deadline_ms = c->now_ms + KEY_TIMEOUT_MS;
	set_step(c, LINK_KEY);
	c->ops.fetch_key(c->ctx, url);
}

void ts_control_link_open(struct ts_control *c)
{
	struct ts_control_link *link = &c->link;

	if (link->step != LINK_DOWN || c->now_ms < link->retry_ms)
		return;
	link->has_failed = false;
	link->is_gone = false;
	link->reason[0] = '\0';
	if (link->has_server_key)
		dial(c);
	else
		fetch_key(c);
}

/* One line for whoever reads the log: the whole reason is in here. */
static void take_key(struct ts_control *c, int http_status, const char *body,
		     size_t len, const char *error)
{
	struct ts_control_link *link = &c->link;
	int err = 0;

	if (error)
		ts_control_link_fail(c, "fetching the server's key: %s", error);
	else if (http_status != 200)
		ts_control_link_fail(c, "fetching the server's key: http %d",
				     http_status);
	else if (len > KEY_BODY_MAX)
		ts_control_link_fail(c, "fetching the server's key: %zu bytes",
				     len);
	else
		err = ts_server_key_read(body, len, &link->server_key);
	if (err == -EPROTO)
		ts_control_link_fail(c,
				     "control server is too old; no noise key");
	else if (err)
		ts_control_link_fail(
			c, "the answer to /key is not a control server's");
	link->has_server_key = !link->has_failed;
}

void ts_control_key_fetched(struct ts_control *c, int http_status,
			    const char *body, size_t len, const char *error,
			    uint64_t now_ms)
{
	ts_control_enter(c, now_ms);
	if (c->link.step == LINK_KEY && !c->link.has_failed) {
		take_key(c, http_status, body, len, error);
		if (c->link.has_server_key)
			dial(c);
	}
	ts_control_leave(c);
}

void ts_control_link_start_upgrade(struct ts_control *c)
{
	struct ts_control_link *link = &c->link;
	struct ts_ts2021_config config = {
		.authority = c->url.authority,
		.machine_key = c->config.machine_key,
		.server_key = link->server_key,
		.version = TS_CAPABILITY_VERSION,
	};

	if (link->step != LINK_DIAL || link->has_failed)
		return;
	link->conn = ts_ts2021_new(&config, &CONN_OPS, c);
	link->deadline_ms = c->now_ms + OPEN_TIMEOUT_MS;
	set_step(c, LINK_OPEN);
	ts_wipe(&config, sizeof(config));
	if (!link->conn)
		ts_control_link_fail(c, "out of memory");
	else if (ts_ts2021_start(link->conn))
		ts_control_link_fail(c, "%s", ts_ts2021_error(link->conn));
}

/* -- down ----------------------------------------------------------------- */

static void tear_down(struct ts_control *c)
{
	struct ts_control_link *link = &c->link;
	bool has_stream = link->step >= LINK_DIAL && !link->is_gone;

	link->https_failed = link->step == LINK_DIAL && link->only_https;
	ts_poll_stop(c);
	ts_update_link_lost(c);
	ts_login_link_lost(c);
	ts_ping_link_lost(c);
	ts_request_link_lost(c);
	ts_h2_free(link->h2);
	ts_ts2021_free(link->conn);
	link->h2 = NULL;
	link->conn = NULL;
	link->has_failed = false;
	set_step(c, LINK_DOWN);
	if (has_stream)
		c->ops.hangup(c->ctx);
}

void ts_control_link_reap(struct ts_control *c)
{
	struct ts_control_link *link = &c->link;

	if (!link->has_failed)
		return;
	/* One that sends a map only to hang up would be dialled for ever. */
	if (c->poll.got_first && c->now_ms - c->poll.first_ms >= STABLE_MS)
		ts_backoff_reset(&link->backoff);
	tear_down(c);
	if (link->retries_now)
		ts_backoff_reset(&link->backoff);
	else
		link->retry_ms = c->now_ms + ts_backoff_next_ms(&link->backoff);
	link->retries_now = false;
	/* What the server or a person has to settle matters more. */
	if (c->state == TS_CONTROL_FAILED || c->state == TS_CONTROL_NEEDS_LOGIN)
		log_info("control: link lost: %s", link->reason);
	else if (c->goal == GOAL_RUN)
		ts_control_set_state(c, TS_CONTROL_CONNECTING, link->reason);
	else
		ts_control_report(c, "%s", link->reason);
}

void ts_control_link_close(struct ts_control *c)
{
	if (c->link.step != LINK_DOWN)
		tear_down(c);
	c->link.retry_ms = 0;
	ts_backoff_reset(&c->link.backoff);
}

void ts_control_link_tick(struct ts_control *c)
{
	struct ts_control_link *link = &c->link;
	uint64_t idle_ms = c->now_ms - link->last_input_ms;

	if (link->step == LINK_DOWN || link->has_failed)
		return;
	if (link->step < LINK_UP) {
		if (c->now_ms < link->deadline_ms)
			return;
		ts_control_link_distrust(c);
		ts_control_link_fail(c, "timeout in step %s",
				     step_name(link->step));
		return;
	}
	if (link->is_probed && idle_ms >= PROBE_AFTER_MS + PROBE_TIMEOUT_MS) {
		ts_control_link_fail(c, "no sign of the server for %llu s",
				     (unsigned long long)idle_ms / 1000);
	} else if (!link->is_probed && idle_ms >= PROBE_AFTER_MS) {
		link->is_probed = true;
		ts_h2_ping(link->h2);
	}
}

uint64_t ts_control_link_deadline_ms(const struct ts_control *c)
{
	const struct ts_control_link *link = &c->link;

	if (link->step == LINK_DOWN)
		return c->goal == GOAL_STOP ? UINT64_MAX : link->retry_ms;
	if (link->step < LINK_UP)
		return link->deadline_ms;
	return link->last_input_ms + PROBE_AFTER_MS +
	       (link->is_probed ? PROBE_TIMEOUT_MS : 0);
}
