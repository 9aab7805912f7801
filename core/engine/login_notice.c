/* SPDX-License-Identifier: BSD-3-Clause
 * login_notice.c - what a person has to do for a login, in words
 *
 * Under tsrun the QR code goes to the terminal (host_main.c draws it), even if
 * the log is a file; a node inside a program has its log only.
 */
#include "core/engine/login_notice.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "core/base/log.h"
#include "core/base/qr_code.h"
#include "core/engine/auth_source.h"
#include "core/model/json_fields.h"

enum { NOTICE_S = 24 * 3600, LOOK_AGAIN_S = 3600 };

/* What the locale says, without asking for one: a program's is its own. */
static bool has_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = getenv(names[i]);

		if (value && *value)
			return strcasestr(value, "utf-8") ||
			       strcasestr(value, "utf8");
	}
	return false;
}

static void log_line(void *ctx, const char *line)
{
	(void)ctx;
	log_warn("%s", line);
}

static void print_line(void *ctx, const char *line)
{
	fprintf(ctx, "%s\n", line);
}

void login_notice_draw(FILE *to, const char *url)
{
	struct ts_qr qr;

	if (ts_qr_encode(url, &qr) == 0)
		ts_qr_draw(&qr, has_utf8(), print_line, to);
	else
		fprintf(to, "tsrun: the address is too long for a QR code\n");
}

void login_notice_url(struct ts_engine *engine, const char *url)
{
	struct ts_qr qr;

	log_warn("node-%s: to join the tailnet, visit %s",
		 engine->config.hostname, url);
	if (engine->config.login_qr && engine->place != TS_ENGINE_ALONE &&
	    ts_qr_encode(url, &qr) == 0)
		ts_qr_draw(&qr, has_utf8(), log_line, NULL);
}

/* Tailscale's own server has its admin console elsewhere (ipn/prefs.go,
 * AdminPageURL). */
void login_notice_approval(const char *control_url,
			   char out[static LOGIN_NOTICE_CAP])
{
	bool is_tailscales =
		strcmp(control_url, "https://controlplane.tailscale.com") ==
			0 ||
		strcmp(control_url, "https://login.tailscale.com") == 0;

	snprintf(out, LOGIN_NOTICE_CAP,
		 "an admin of the tailnet has to approve this node: %.160s"
		 "/admin", is_tailscales ? "https://login.tailscale.com"
					 : control_url);
}

const char *login_notice_advice(const struct ts_engine *engine)
{
	if (auth_source_makes(engine->auth) ||
	    !auth_source_given(engine->auth))
		return "";
	return "make another auth key (Tailscale's admin console, Settings, "
	       "Keys; headscale preauthkeys create), or start without one to "
	       "log in by a browser";
}

void login_notice_state(struct ts_engine *engine, enum ts_node_state state)
{
	char text[LOGIN_NOTICE_CAP];

	if (state != TS_NEEDS_MACHINE_AUTH)
		return;
	login_notice_approval(ts_node_control_url(engine->node), text);
	log_warn("node-%s: %s", engine->config.hostname, text);
}

/* By our clock; 0: never. */
static int64_t key_expiry(const struct ts_engine *engine)
{
	const struct ts_netmap *map =
		engine->node ? ts_node_netmap(engine->node) : NULL;

	if (!map || !map->self || !map->self->key_expiry_unix)
		return 0;
	return map->self->key_expiry_unix - map->control_time_delta_s;
}

static void tell_expiry(const struct ts_engine *engine, int64_t expiry)
{
	bool has_key = auth_source_given(engine->auth) ||
		       auth_source_makes(engine->auth);
	char when[TS_TIME_TEXT_CAP];

	ts_log(has_key ? TS_LOG_INFO : TS_LOG_WARN,
	       "node-%s: the node key runs out at %s: %s",
	       engine->config.hostname, ts_time_format(expiry, when),
	       has_key ? "the node will log in again"
		       : "somebody has to log this node in again");
}

/* The wall clock may be set, and the loop's stands still while a machine
 * sleeps: so a look every hour. */
static void on_expiry_timer(void *ctx)
{
	struct ts_engine *engine = ctx;
	int64_t expiry = key_expiry(engine), left_s = expiry - time(NULL);
	uint64_t again_s = LOOK_AGAIN_S;

	if (!expiry || left_s <= 0)
		return;
	if (left_s <= NOTICE_S) {
		tell_expiry(engine, expiry);
		return;
	}
	if ((uint64_t)(left_s - NOTICE_S) < again_s)
		again_s = (uint64_t)(left_s - NOTICE_S);
	ts_timer_set(engine->expiry_timer,
		     ts_loop_now_ms(engine->loop) + again_s * 1000);
}

void login_notice_watch_expiry(struct ts_engine *engine)
{
	int64_t expiry = key_expiry(engine);

	if (expiry == engine->expiry_watched)
		return;
	if (!engine->expiry_timer)
		engine->expiry_timer = ts_timer_new(engine->loop,
						    on_expiry_timer, engine);
	if (!engine->expiry_timer)
		return;
	engine->expiry_watched = expiry;
	ts_timer_set(engine->expiry_timer, ts_loop_now_ms(engine->loop));
}
