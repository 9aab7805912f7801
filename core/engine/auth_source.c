/* SPDX-License-Identifier: BSD-3-Clause
 * auth_source.c - where the auth keys of logins come from
 *
 * An attempt is a core of its own (core/control/oauth_key.h) whose requests are
 * sent here, one after the other. An attempt that reached nobody is followed by
 * another soon, and ever later; one that was refused by another after five
 * minutes, for somebody may have put right what is wrong over there. Both are
 * told to the node, which tells the person.
 *
 * Each key that is made stays in the server's list, so there are at most four
 * within an hour, whatever makes the node log in again and again.
 */
#include "core/engine/auth_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/environment.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/control/backoff.h"
#include "core/control/oauth_key.h"
#include "core/crypto/secret.h"
#include "core/engine/engine_internal.h"
#include "core/io/disk.h"

enum {
	REPLY_MAX = 256 * 1024,
	FILE_MAX = 64 * 1024,
	REFUSED_AGAIN_MS = 300000,
	UNREACHED_AGAIN_MIN_MS = 1000,
	KEYS_MAX = 4,
	KEYS_MAX_WITHIN_MS = 3600000,
};

struct auth_source {
	struct ts_engine *engine;
	struct ts_auth_choice choice;
	struct ts_identity_place place; /* env: copies, wiped at the end */
	struct ts_timer *timer;		/* the next attempt */
	struct ts_oauth_key *attempt;	/* NULL: none under way */
	struct ts_http_request *request;
	struct ts_backoff backoff;
	bool is_wanted;
	uint64_t made_ms[KEYS_MAX]; /* the last ones, in turn; 0: none */
	size_t made_count;
};

static uint64_t now_of(const struct auth_source *source)
{
	return ts_loop_now_ms(source->engine->loop);
}

/* -- one attempt ---------------------------------------------------------- */

static void step(struct auth_source *source);

static void on_reply(void *ctx, const struct ts_http_reply *from)
{
	struct auth_source *source = ctx;
	struct ts_web_reply reply = {.status = from->status,
				     .body = from->body,
				     .len = from->len,
				     .field = from->fields[0],
				     .error = from->error};

	source->request = NULL;
	ts_oauth_key_reply(source->attempt, &reply);
	step(source);
}

static void end_attempt(struct auth_source *source)
{
	ts_oauth_key_free(source->attempt);
	source->attempt = NULL;
}

static void try_later(struct auth_source *source, bool was_refused)
{
	uint64_t wait_ms = ts_backoff_next_ms(&source->backoff);

	if (wait_ms < UNREACHED_AGAIN_MIN_MS)
		wait_ms = UNREACHED_AGAIN_MIN_MS;
	if (wait_ms < ts_oauth_key_wait_ms(source->attempt))
		wait_ms = ts_oauth_key_wait_ms(source->attempt);
	if (was_refused)
		wait_ms = REFUSED_AGAIN_MS;
	ts_timer_set(source->timer, now_of(source) + wait_ms);
}

static void finish(struct auth_source *source)
{
	struct ts_engine *engine = source->engine;
	enum ts_oauth_outcome outcome = ts_oauth_key_outcome(source->attempt);

	if (outcome == TS_OAUTH_MADE) {
		log_info("node-%s: made an auth key for the login",
			 engine->config.hostname);
		source->is_wanted = false;
		source->made_ms[source->made_count++ % KEYS_MAX] =
			now_of(source);
		ts_backoff_reset(&source->backoff);
		ts_node_auth_key_made(engine->node,
				      ts_oauth_key_made(source->attempt),
				      now_of(source));
	} else {
		try_later(source, outcome == TS_OAUTH_REFUSED);
		ts_node_auth_key_failed(engine->node,
					ts_oauth_key_error(source->attempt),
					outcome == TS_OAUTH_REFUSED,
					now_of(source));
	}
	end_attempt(source);
}

static int send_call(struct auth_source *source, const struct ts_web_call *call)
{
	struct ts_http_call http = {
		.method = call->method,
		.url = call->url,
		.fields = (const char *const *)call->fields,
		.field_count = call->field_count,
		.body = call->body,
		.is_near = call->is_near,
		.want_fields = {call->want_field},
		.body_max = REPLY_MAX,
		.timeout_ms = call->timeout_ms,
	};

	log_debug("node-%s: auth key: %s %.*s", source->engine->config.hostname,
		  call->method, (int)strcspn(call->url, "?"), call->url);
	source->request = ts_http_call(source->engine->http, &http, on_reply,
				       source);
	return source->request ? 0 : -ENOMEM;
}

static void step(struct auth_source *source)
{
	struct ts_web_call call;
	int err;

	if (!ts_oauth_key_next(source->attempt, (int64_t)time(NULL), &call)) {
		finish(source);
		return;
	}
	err = send_call(source, &call);
	ts_web_call_deinit(&call);
	if (!err)
		return;
	end_attempt(source);
	ts_timer_set(source->timer, now_of(source) + UNREACHED_AGAIN_MIN_MS);
}

static void on_timer(void *ctx)
{
	struct auth_source *source = ctx;

	if (!source->is_wanted || source->attempt)
		return;
	source->attempt = ts_oauth_key_new(&source->choice, &source->place);
	if (source->attempt)
		step(source);
	else
		ts_timer_set(source->timer,
			     now_of(source) + UNREACHED_AGAIN_MIN_MS);
}

/* When the next key may be made. */
static uint64_t next_ms(const struct auth_source *source)
{
	uint64_t now_ms = now_of(source);
	uint64_t oldest_ms = source->made_ms[source->made_count % KEYS_MAX];

	if (!oldest_ms || oldest_ms + KEYS_MAX_WITHIN_MS <= now_ms)
		return now_ms;
	log_warn("node-%s: %d auth keys were made within an hour: the next one "
		 "has to wait", source->engine->config.hostname, KEYS_MAX);
	return oldest_ms + KEYS_MAX_WITHIN_MS;
}

/* Not at once: we are inside a call of the node's. */
void auth_source_want(void *ctx)
{
	struct ts_engine *engine = ctx;
	struct auth_source *source = engine->auth;

	if (source->is_wanted)
		return;
	source->is_wanted = true;
	ts_timer_set(source->timer, next_ms(source));
}

/* -- the settings --------------------------------------------------------- */

static int read_text(const char *path, char **out)
{
	uint8_t *data = NULL;
	size_t len;
	int err = ts_disk_read(path, FILE_MAX, &data, &len);

	*out = (char *)data;
	return err;
}

static size_t count_variables(void)
{
	size_t count = 0;

	while (ts_identity_variables[count])
		count++;
	return count;
}

/* A program may change its environment at any time: so a copy. */
static int copy_environment(struct ts_identity_place *place)
{
	struct ts_identity_place now = {.env = ts_environment()};
	size_t count = count_variables(), used = 0;

	place->env = calloc(count + 1, sizeof(*place->env));
	if (!place->env)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const char *name = ts_identity_variables[i];
		const char *value = ts_identity_env(&now, name);

		if (!value)
			continue;
		if (asprintf(&place->env[used], "%s=%s", name, value) < 0) {
			place->env[used] = NULL;
			return -ENOMEM;
		}
		used++;
	}
	return 0;
}

static bool is_loopback(const char *url)
{
	return strncmp(url, "http://127.", 11) == 0 ||
	       strncmp(url, "http://localhost", 16) == 0 ||
	       strncmp(url, "http://[::1]", 12) == 0;
}

static void forget_settings(struct ts_config *config)
{
	char **secrets[] = {&config->auth_key, &config->client_secret,
			    &config->client_id, &config->id_token};

	for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
		ts_wipe_free_text(*secrets[i]);
		*secrets[i] = NULL;
	}
}

static int choose(struct auth_source *source, char err[static 256])
{
	struct ts_config *config = &source->engine->config;
	struct ts_auth_settings settings = {
		.auth_key = config->auth_key,
		.client_secret = config->client_secret,
		.client_id = config->client_id,
		.id_token = config->id_token,
		.id_token_file = config->id_token_file,
		.audience = config->audience,
		.control_url = config->control_url,
		.tags = (const char *const *)config->tags,
		.tag_count = config->tag_count,
	};
	int code = ts_auth_choose(&settings, &source->choice, err);
	const char *base = source->choice.base_url;

	forget_settings(config);
	if (!code && source->choice.audience)
		code = copy_environment(&source->place);
	if (!code && base && strncmp(base, "http://", 7) == 0 &&
	    !is_loopback(base))
		log_warn("node-%s: a credential goes to %.120s in clear",
			 config->hostname, base);
	return code;
}

int auth_source_open(struct ts_engine *engine, char err[static 256])
{
	struct auth_source *source = calloc(1, sizeof(*source));
	int code = source ? 0 : -ENOMEM;

	err[0] = '\0';
	if (!code) {
		source->engine = engine;
		source->place.read_file = read_text;
		engine->auth = source;
		source->timer = ts_timer_new(engine->loop, on_timer, source);
		code = source->timer ? choose(source, err) : -ENOMEM;
	}
	if (code == -ENOMEM)
		snprintf(err, 256, "out of memory");
	return code;
}

void auth_source_close(struct auth_source *source)
{
	if (!source)
		return;
	ts_http_cancel(source->request);
	ts_oauth_key_free(source->attempt);
	ts_timer_free(source->timer);
	ts_auth_choice_deinit(&source->choice);
	for (char **at = source->place.env; at && *at; at++)
		ts_wipe_free_text(*at);
	free(source->place.env);
	free(source);
}

const char *auth_source_given(const struct auth_source *source)
{
	return source->choice.auth_key;
}

bool auth_source_makes(const struct auth_source *source)
{
	return source->choice.kind >= TS_AUTH_CLIENT;
}
