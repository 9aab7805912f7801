/* SPDX-License-Identifier: BSD-3-Clause
 * oauth_key.c - make an auth key by an OAuth client or an identity token
 *
 * How a token endpoint wants the client's credentials differs between servers,
 * and upstream's library finds out: by HTTP Basic first, then in the form. Here
 * the second comes only after a refusal of the first, for a server that cannot
 * be reached, or is busy, will not be by asking otherwise.
 */
#include "core/control/oauth_key.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/control/backoff.h"
#include "core/crypto/secret.h"

enum { ERROR_CAP = 300, URL_SHOWN = 72, KEY_MAX = 512 };

/* Upstream's: the server looks at the secret alone. */
#define CLIENT_ID "some-client-id"

enum step {
	STEP_IDENTITY,	 /* ask the environment for an identity token */
	STEP_EXCHANGE,	 /* it for an access token */
	STEP_TOKEN,	 /* the secret for an access token */
	STEP_TOKEN_FORM, /* the same, said otherwise */
	STEP_KEY,	 /* the access token for an auth key */
	STEP_END,
};

struct ts_oauth_key {
	const struct ts_auth_choice *choice;
	struct ts_identity *identity; /* NULL: the token was given */
	enum step step;
	enum ts_oauth_outcome outcome;
	char *id_token, *access_token, *key;
	int64_t wall_s; /* of the last request */
	uint64_t wait_ms;
	char error[ERROR_CAP];
};

static void set_step(struct ts_oauth_key *k, enum step next)
{
	k->step = next;
}

static void end(struct ts_oauth_key *k, enum ts_oauth_outcome outcome,
		const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void end(struct ts_oauth_key *k, enum ts_oauth_outcome outcome,
		const char *fmt, ...)
{
	size_t len = (size_t)snprintf(k->error, sizeof(k->error),
				      "error resolving auth key: ");
	va_list args;

	va_start(args, fmt);
	vsnprintf(k->error + len, sizeof(k->error) - len, fmt, args);
	va_end(args);
	ts_web_hide(k->error, k->choice->secret);
	ts_web_hide(k->error, k->choice->id_token);
	ts_web_hide(k->error, k->id_token);
	ts_web_hide(k->error, k->access_token);
	k->outcome = outcome;
	set_step(k, STEP_END);
}

/* Identity tokens live for minutes: who keeps one in a file (a projected
 * token of Kubernetes, say) writes a newer one there. */
static char *current_token(const struct ts_auth_choice *choice,
			   const struct ts_identity_place *place)
{
	char *text = NULL, *token = NULL;

	if (choice->id_token_file &&
	    place->read_file(choice->id_token_file, &text) == 0)
		ts_web_read_token(text, strlen(text), &token);
	ts_wipe_free_text(text);
	return token ? token : strdup(choice->id_token);
}

struct ts_oauth_key *ts_oauth_key_new(const struct ts_auth_choice *choice,
				      const struct ts_identity_place *place)
{
	struct ts_oauth_key *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->choice = choice;
	if (choice->kind == TS_AUTH_CLIENT) {
		k->step = STEP_TOKEN;
		return k;
	}
	k->step = choice->id_token ? STEP_EXCHANGE : STEP_IDENTITY;
	if (choice->id_token)
		k->id_token = current_token(choice, place);
	else
		k->identity = ts_identity_new(choice->audience, place);
	if (k->id_token || k->identity)
		return k;
	ts_oauth_key_free(k);
	return NULL;
}

void ts_oauth_key_free(struct ts_oauth_key *k)
{
	if (!k)
		return;
	ts_identity_free(k->identity);
	ts_wipe_free_text(k->id_token);
	ts_wipe_free_text(k->access_token);
	ts_wipe_free_text(k->key);
	ts_wipe(k, sizeof(*k));
	free(k);
}

/* -- requests ------------------------------------------------------------- */

static void write_basic(struct ts_web_call *out, const char *secret)
{
	char *escaped = ts_web_escape(secret);

	if (escaped)
		ts_web_call_basic(out, CLIENT_ID, escaped);
	else
		out->is_bad = true;
	ts_wipe_free_text(escaped);
}

static void write_token(const struct ts_oauth_key *k, struct ts_web_call *out)
{
	const char *secret = k->choice->secret;
	struct ts_web_form form;

	ts_web_call_init(out, "POST", "%s/api/v2/oauth/token",
			 k->choice->base_url);
	ts_web_form_init(&form);
	ts_web_form_add(&form, "grant_type", "client_credentials");
	if (k->step == STEP_TOKEN) {
		write_basic(out, secret);
	} else {
		ts_web_form_add(&form, "client_id", CLIENT_ID);
		ts_web_form_add(&form, "client_secret", secret);
	}
	ts_web_call_take_body(out, ts_web_form_take(&form));
}

static void write_exchange(const struct ts_oauth_key *k,
			   struct ts_web_call *out)
{
	struct ts_web_form form;

	ts_web_call_init(out, "POST", "%s/api/v2/oauth/token-exchange",
			 k->choice->base_url);
	ts_web_form_init(&form);
	ts_web_form_add(&form, "grant_type", "authorization_code");
	ts_web_form_add(&form, "code", "");
	ts_web_form_add(&form, "client_id", k->choice->client_id);
	ts_web_form_add(&form, "jwt", k->id_token);
	ts_web_call_take_body(out, ts_web_form_take(&form));
}

static char *key_request(const struct ts_auth_choice *choice)
{
	json_t *tags = json_array(), *root;
	char *text;

	for (size_t i = 0; i < choice->tag_count; i++)
		json_array_append_new(tags, json_string(choice->tags[i]));
	root = json_pack("{s:{s:{s:{s:b, s:b, s:b, s:o}}}}", "capabilities",
			 "devices", "create", "reusable", 0, "ephemeral",
			 choice->ephemeral, "preauthorized",
			 choice->preauthorized, "tags", tags);
	text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	return text;
}

static void write_key(const struct ts_oauth_key *k, struct ts_web_call *out)
{
	ts_web_call_init(out, "POST", "%s/api/v2/tailnet/-/keys",
			 k->choice->base_url);
	if (k->choice->kind == TS_AUTH_CLIENT)
		ts_web_call_field(out, "Authorization: Bearer %s",
				  k->access_token);
	else
		ts_web_call_basic(out, k->access_token, "");
	ts_web_call_field(out, "Content-Type: application/json");
	ts_web_call_take_body(out, key_request(k->choice));
}

/* The identity token is there, or there is none to be had. */
static void take_identity(struct ts_oauth_key *k)
{
	switch (ts_identity_outcome(k->identity)) {
	case TS_IDENTITY_BUSY:
		break;
	case TS_IDENTITY_FOUND:
		k->id_token = strdup(ts_identity_token(k->identity));
		set_step(k, STEP_EXCHANGE);
		if (!k->id_token)
			end(k, TS_OAUTH_UNREACHED, "out of memory");
		break;
	case TS_IDENTITY_REFUSED:
		end(k, TS_OAUTH_REFUSED,
		    "federated identity authkeys require --id-token: %s",
		    ts_identity_error(k->identity));
		break;
	case TS_IDENTITY_UNREACHED:
		end(k, TS_OAUTH_UNREACHED, "%s",
		    ts_identity_error(k->identity));
		break;
	}
}

bool ts_oauth_key_next(struct ts_oauth_key *k, int64_t wall_s,
		       struct ts_web_call *out)
{
	*out = (struct ts_web_call){0};
	if (k->step == STEP_IDENTITY) {
		if (ts_identity_next(k->identity, wall_s, out))
			return true;
		take_identity(k);
	}
	if (k->step == STEP_EXCHANGE)
		write_exchange(k, out);
	else if (k->step == STEP_TOKEN || k->step == STEP_TOKEN_FORM)
		write_token(k, out);
	else if (k->step == STEP_KEY)
		write_key(k, out);
	else
		return false;
	out->want_field = "Retry-After";
	k->wall_s = wall_s;
	if (!out->is_bad)
		return true;
	ts_web_call_deinit(out);
	end(k, TS_OAUTH_REFUSED,
	    "a credential is too long, or has bytes that none has");
	return false;
}

/* -- replies -------------------------------------------------------------- */

static const char *path_of(const struct ts_oauth_key *k)
{
	switch (k->step) {
	case STEP_EXCHANGE:
		return "/api/v2/oauth/token-exchange";
	case STEP_KEY:
		return "/api/v2/tailnet/-/keys";
	default:
		return "/api/v2/oauth/token";
	}
}

/* What a person can do about a refusal. */
static const char *advice(const struct ts_oauth_key *k)
{
	if (k->step == STEP_KEY)
		return "may this client make auth keys with these tags?";
	if (k->step == STEP_EXCHANGE)
		return "does the trust credential of client_id expect this "
		       "identity token?";
	return "check client_secret (TS_CLIENT_SECRET)";
}

static void fail(struct ts_oauth_key *k, const struct ts_web_reply *reply)
{
	const char *base = k->choice->base_url;
	char words[TS_WEB_WORDS_CAP];

	if (reply->status == 0) {
		end(k, TS_OAUTH_UNREACHED, "%.*s%s cannot be reached: %s",
		    URL_SHOWN, base, path_of(k), reply->error);
		return;
	}
	ts_web_words(reply, words);
	if (reply->field[0])
		k->wait_ms = ts_retry_after_ms(reply->field, k->wall_s);
	if (ts_web_is_passing(reply))
		end(k, TS_OAUTH_UNREACHED, "%.*s%s: http %d: %s", URL_SHOWN,
		    base, path_of(k), reply->status, words);
	else
		end(k, TS_OAUTH_REFUSED, "http %d: %s: %s (%.*s%s)",
		    reply->status, *words ? words : "refused", advice(k),
		    URL_SHOWN, base, path_of(k));
}

/* 200 and something else than what was asked for: another server answers. */
static void misunderstood(struct ts_oauth_key *k, const char *what)
{
	end(k, TS_OAUTH_REFUSED, "the answer of %.*s%s has no %s", URL_SHOWN,
	    k->choice->base_url, path_of(k), what);
}

static void take_token(struct ts_oauth_key *k,
		       const struct ts_web_reply *reply)
{
	int err = ts_web_read_json_token(reply, "access_token",
					 &k->access_token);

	if (err == -ENOMEM)
		end(k, TS_OAUTH_UNREACHED, "out of memory");
	else if (err)
		misunderstood(k, "access_token");
	else
		set_step(k, STEP_KEY);
}

static void take_key(struct ts_oauth_key *k, const struct ts_web_reply *reply)
{
	int err = ts_web_read_json_token(reply, "key", &k->key);

	if (err == -ENOMEM) {
		end(k, TS_OAUTH_UNREACHED, "out of memory");
	} else if (err || strlen(k->key) > KEY_MAX) {
		misunderstood(k, "key");
	} else {
		k->outcome = TS_OAUTH_MADE;
		set_step(k, STEP_END);
	}
}

void ts_oauth_key_reply(struct ts_oauth_key *k,
			const struct ts_web_reply *reply)
{
	if (k->step == STEP_END)
		return;
	if (k->step == STEP_IDENTITY)
		ts_identity_reply(k->identity, reply);
	else if (!ts_web_is_success(reply) && !ts_web_is_passing(reply) &&
		 k->step == STEP_TOKEN)
		set_step(k, STEP_TOKEN_FORM);
	else if (!ts_web_is_success(reply))
		fail(k, reply);
	else if (k->step == STEP_KEY)
		take_key(k, reply);
	else
		take_token(k, reply);
}

enum ts_oauth_outcome ts_oauth_key_outcome(const struct ts_oauth_key *k)
{
	return k->outcome;
}

const char *ts_oauth_key_made(const struct ts_oauth_key *k)
{
	return k->key;
}

uint64_t ts_oauth_key_wait_ms(const struct ts_oauth_key *k)
{
	return k->wait_ms;
}

const char *ts_oauth_key_error(const struct ts_oauth_key *k)
{
	return k->error;
}
