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

#include "core/base/log.h"
#include "core/base/qr_code.h"

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

void login_notice_state(struct ts_engine *engine, enum ts_node_state state)
{
	char text[LOGIN_NOTICE_CAP];

	if (state != TS_NEEDS_MACHINE_AUTH)
		return;
	login_notice_approval(engine->config.control_url, text);
	log_warn("node-%s: %s", engine->config.hostname, text);
}
