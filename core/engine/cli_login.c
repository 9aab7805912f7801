/* SPDX-License-Identifier: BSD-3-Clause
 * cli_login.c - tsrun up|down|login|logout: the node's place in the tailnet
 *
 * A login is asked for once the bus is being watched, so that nothing of it is
 * missed: what begins it is sent from within the first message.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/byte_queue.h"
#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/engine/cli_internal.h"
#include "core/engine/local_client.h"
#include "core/io/disk.h"
#include "core/node/node.h"

#define API "/localapi/v0/"
#define WATCH API "watch-ipn-bus?mask=2" /* the initial state first */

enum { NEWS_MAX = 1024 * 1024, KEY_MAX = 4096, FAILED = -ECANCELED, DONE = 1 };

struct login {
	const struct cli *cli;
	json_t *start; /* body of the start, or NULL: the node is only to run */
	bool is_sent, has_logged_in, must_log_in;
	struct ts_byte_queue news;
};

/* -- the key -------------------------------------------------------------- */
static char *read_key_file(const char *path)
{
	uint8_t *data = NULL;
	size_t len = 0;
	char *text;

	if (ts_disk_read(path, KEY_MAX, &data, &len))
		return NULL;
	text = (char *)data;
	text[strcspn(text, "\r\n")] = '\0';
	return text;
}

/* As tsrun's option has it; heap, the caller wipes. NULL: there is none. */
static char *resolve_key(const char *given)
{
	const char *value;

	if (strncmp(given, "file:", 5) == 0)
		return read_key_file(given + 5);
	if (strncmp(given, "env:", 4) != 0)
		return strdup(given);
	value = getenv(given + 4);
	return value ? strdup(value) : NULL;
}

/* -- the news ------------------------------------------------------------- */
static int begin(struct login *l)
{
	l->is_sent = true;
	if (!l->start)
		return 0;
	if (cli_send(l->cli, "POST", API "start", l->start) ||
	    cli_send(l->cli, "POST", API "login-interactive", NULL))
		return FAILED;
	return 0;
}

static int on_state(struct login *l, json_int_t state)
{
	if (l->must_log_in && !l->has_logged_in)
		return 0;
	if (state == TS_RUNNING)
		return DONE;
	if (state != TS_NEEDS_MACHINE_AUTH)
		return 0;
	puts("an admin of the tailnet has to approve this node");
	return DONE;
}

static int on_news(struct login *l, const json_t *news)
{
	const char *error = cli_text(news, "ErrMessage");
	const char *url = cli_text(news, "BrowseToURL");
	const json_t *state = json_object_get(news, "State");

	if (!l->is_sent) /* the state before */
		return l->start ? begin(l)
				: (begin(l), on_state(l,
						json_integer_value(state)));
	if (*error) {
		cli_fail(error);
		return FAILED;
	}
	if (*url) {
		printf("To authenticate, visit:\n\n\t%s\n\n", url);
		fflush(stdout);
	}
	if (json_object_get(news, "LoginFinished"))
		l->has_logged_in = true;
	return json_is_integer(state) ? on_state(l, json_integer_value(state))
				      : 0;
}

/* Lines of JSON; one may come in pieces. */
static int on_data(void *ctx, const char *data, size_t len)
{
	struct login *l = ctx;
	const char *end;
	int code = 0;

	if (!data)
		return 0;
	if (ts_byte_queue_push(&l->news, data, len))
		return -EMSGSIZE;
	while (!code && (end = memchr(ts_byte_queue_data(&l->news), '\n',
				      ts_byte_queue_len(&l->news)))) {
		const char *line = (const char *)ts_byte_queue_data(&l->news);
		size_t line_len = (size_t)(end - line) + 1;
		json_t *news = json_loadb(line, line_len, 0, NULL);

		ts_byte_queue_drop(&l->news, line_len);
		code = news ? on_news(l, news) : -EBADMSG;
		json_decref(news);
	}
	return code;
}

static int watch(struct login *l)
{
	char err[256] = "";
	int code;

	ts_byte_queue_init(&l->news, NEWS_MAX);
	code = local_client_stream(l->cli->socket, "GET", WATCH, on_data, l,
				   err);
	ts_byte_queue_deinit(&l->news);
	if (code == DONE)
		return 0;
	if (code == FAILED)
		return 1;
	return cli_fail(code ? err : "the node has ended");
}

/* -- the verbs ------------------------------------------------------------ */
static int want_running(const struct cli *cli, bool wanted)
{
	json_t *edit = json_pack("{s:b, s:b}", "WantRunning", wanted,
				 "WantRunningSet", 1);
	int code = cli_send(cli, "PATCH", API "prefs", edit);

	json_decref(edit);
	return code;
}

int cli_down(const struct cli *cli)
{
	return want_running(cli, false);
}

int cli_logout(const struct cli *cli)
{
	return cli_send(cli, "POST", API "logout", NULL);
}

/* prefs: of this profile, which the caller gives away. */
static int log_in(const struct cli *cli, json_t *prefs, const char *server,
		  const char *key)
{
	struct login l = {.cli = cli, .must_log_in = true};
	int code;

	json_object_set_new(prefs, "WantRunning", json_true());
	json_object_set_new(prefs, "LoggedOut", json_false());
	if (server && *server)
		json_object_set_new(prefs, "ControlURL", json_string(server));
	l.start = json_pack("{s:o, s:s}", "UpdatePrefs", prefs, "AuthKey",
			    key ? key : "");
	if (!l.start)
		return cli_fail("out of memory");
	code = watch(&l);
	json_decref(l.start);
	return code;
}

/* The server of the profile before, unless another is named. */
static int log_in_anew(const struct cli *cli, const char *key)
{
	json_t *before = NULL, *prefs = NULL;
	int code = cli_ask(cli, "GET", API "prefs", &before);
	bool is_new;

	if (!code)
		code = cli_send(cli, "PUT", API "profiles/", NULL);
	is_new = code == 0;
	if (!code)
		code = cli_ask(cli, "GET", API "prefs", &prefs);
	if (!code)
		code = log_in(cli, prefs,
			      cli->login_server
				      ? cli->login_server
				      : cli_text(before, "ControlURL"),
			      key);
	if (code && is_new)
		cli_fail("the node has a new profile, which is not logged in: "
			 "tsrun switch PROFILE goes back to another");
	json_decref(before);
	return code;
}

int cli_login(const struct cli *cli)
{
	char *key = cli->auth_key ? resolve_key(cli->auth_key) : NULL;
	int code;

	if (cli->auth_key && (!key || !*key)) {
		ts_wipe_free_text(key);
		return cli_fail("--auth-key: there is no key in that");
	}
	code = log_in_anew(cli, key);
	ts_wipe_free_text(key);
	return code;
}

int cli_up(const struct cli *cli)
{
	struct login l = {.cli = cli};
	json_t *status = NULL, *prefs = NULL;
	int code = cli_ask(cli, "GET", API "status?peers=false", &status);
	bool is_out = strcmp(cli_text(status, "BackendState"), "NeedsLogin") ==
		      0;

	json_decref(status);
	if (code)
		return code;
	if (is_out) {
		code = cli_ask(cli, "GET", API "prefs", &prefs);
		return code ? code : log_in(cli, prefs, NULL, NULL);
	}
	code = want_running(cli, true);
	return code ? code : watch(&l);
}
