/* SPDX-License-Identifier: BSD-3-Clause
 * kube_secret.c - a node's state in a Kubernetes Secret: requests and answers
 * Source: ipn/store/kubestore/store_kube.go, kube/kubeclient/client.go
 *
 * Three versions of the entries are told apart: what the Secret held when we
 * saw it last (known), what our last change would make of it (sent), and the
 * state itself. A change is based on the version that we know. When the server
 * says that there is a later one, or when no answer to a change came, the
 * Secret is read again, and entries that others have changed meanwhile are
 * taken over into the state. Two kinds are not:
 *
 *   - those that the state has changed as well: ours is written;
 *   - those that make up this node (its keys and profiles): then another
 *     process runs with this Secret. Two nodes with one key disturb each other
 *     in the tailnet, and either would lose the other's login. The one that
 *     comes second saves nothing from then on, and says so.
 *
 * Upstream writes one entry at a time and never looks. Permissions are asked
 * for as upstream does it: get and update are needed, without patch the whole
 * Secret is written, and when the question itself fails we try our luck.
 */
#include "core/state/kube_secret.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/addr.h"
#include "core/crypto/secret.h"
#include "core/state/kube_json.h"
#include "core/state/kube_merge.h"
#include "core/state/state_map.h"

enum {
	NAME_MAX_LEN = 253,
	ERROR_CAP = 640,
	RETRY_FIRST_MS = 500,
	RETRY_MAX_MS = 30000,
	RETRY_HURRY_MS = 250,
};

enum verb { VERB_GET, VERB_UPDATE, VERB_PATCH, VERB_CREATE, VERB_COUNT };
static const char *const verbs[] = {"get", "update", "patch", "create"};

enum ask { ASK_NOTHING, ASK_REVIEW, ASK_SECRET, ASK_PATCH, ASK_PUT, ASK_POST };

struct ts_kube_secret {
	char *namespace, *name;
	struct ts_state *state;		/* the caller's */
	struct ts_kube_object known;	/* rest NULL: there is none */
	struct ts_state *sent;		/* NULL: no change is in doubt */
	enum ts_kube_phase phase;
	enum ask asked;
	bool must_look; /* known may be old */
	bool may[VERB_COUNT];
	unsigned review; /* the next verb to ask about */
	bool is_hurried;
	unsigned failures; /* in a row */
	uint64_t wait_until_ms;
	char error[ERROR_CAP];
};

bool ts_kube_name_is_valid(const char *name)
{
	size_t len = strlen(name);

	if (!len || len > NAME_MAX_LEN ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.") != len)
		return false;
	/* No label begins or ends with a dash, or is empty. */
	for (const char *at = name; *at; at++) {
		bool begins = at == name || at[-1] == '.';
		bool ends = at[1] == '\0' || at[1] == '.';

		if ((*at == '.' || *at == '-') && (begins || ends))
			return false;
	}
	return true;
}

void ts_kube_request_deinit(struct ts_kube_request *rq)
{
	if (rq->body)
		ts_wipe(rq->body, rq->body_len);
	free(rq->body);
	free(rq->path);
	*rq = (struct ts_kube_request){0};
}

struct ts_kube_secret *ts_kube_secret_new(const char *namespace,
					  const char *name,
					  struct ts_state *state)
{
	struct ts_kube_secret *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->namespace = strdup(namespace);
	k->name = strdup(name);
	k->state = state;
	k->known.data = ts_state_new();
	k->must_look = true;
	/* Until we are told otherwise. */
	k->may[VERB_GET] = k->may[VERB_UPDATE] = k->may[VERB_CREATE] = true;
	if (k->namespace && k->name && k->known.data) {
		ts_state_use_plain_keys(state);
		ts_state_use_plain_keys(k->known.data);
		return k;
	}
	ts_kube_secret_free(k);
	return NULL;
}

void ts_kube_secret_free(struct ts_kube_secret *k)
{
	if (!k)
		return;
	ts_kube_object_deinit(&k->known);
	ts_state_free(k->sent);
	free(k->namespace);
	free(k->name);
	free(k);
}

/* -- what went wrong ------------------------------------------------------ */

static void retry_later(struct ts_kube_secret *k, uint64_t now_ms)
{
	uint64_t wait_ms = RETRY_FIRST_MS;

	for (unsigned i = 0; i < k->failures && wait_ms < RETRY_MAX_MS; i++)
		wait_ms *= 2;
	if (wait_ms > RETRY_MAX_MS)
		wait_ms = RETRY_MAX_MS;
	if (k->is_hurried)
		wait_ms = RETRY_HURRY_MS;
	k->failures++;
	k->wait_until_ms = now_ms + wait_ms;
}

static void say(struct ts_kube_secret *k, const char *what, const char *words,
		const char *advice)
{
	snprintf(k->error, sizeof(k->error), "Secret %.63s/%.100s: %s%s%s%s%s",
		 k->namespace, k->name, what, *words ? ": " : "", words,
		 *advice ? ": " : "", advice);
}

static void refuse(struct ts_kube_secret *k, const char *what,
		   const char *words, const char *advice)
{
	say(k, what, words, advice);
	k->phase = TS_KUBE_REFUSED;
}

static const char *verb_of(enum ask asked)
{
	switch (asked) {
	case ASK_SECRET:
		return verbs[VERB_GET];
	case ASK_PATCH:
		return verbs[VERB_PATCH];
	case ASK_POST:
		return verbs[VERB_CREATE];
	default:
		return verbs[VERB_UPDATE];
	}
}

/* An answer that is neither what was asked for nor about versions. While
 * loading, what a person has to put right ends it; later a node is up that
 * must stay up, and they may put it right meanwhile. */
static void on_refusal(struct ts_kube_secret *k, enum ask asked, int status,
		       const char *body, size_t len, uint64_t now_ms)
{
	char words[KUBE_WORDS_CAP], what[64], advice[96];
	bool is_loading = k->phase == TS_KUBE_LOADING;

	ts_kube_read_words(body, len, words);
	snprintf(what, sizeof(what), "the API server answers %s with %d",
		 verb_of(asked), status);
	advice[0] = '\0';
	if (status == 401)
		snprintf(advice, sizeof(advice), "it does not accept the "
			 "service account's token");
	else if (status == 403)
		snprintf(advice, sizeof(advice), "the service account's role "
			 "must allow to %s this Secret", verb_of(asked));
	say(k, what, words, advice);
	/* A token that was just replaced: look once more. */
	if (is_loading && (status == 403 || (status == 401 && k->failures > 0)))
		k->phase = TS_KUBE_REFUSED;
	retry_later(k, now_ms);
}

/* -- the Secret as it is now ---------------------------------------------- */

static int load(struct ts_kube_secret *k, const struct ts_state *theirs)
{
	int code = 0;

	for (size_t i = 0; i < theirs->count && code >= 0; i++)
		code = ts_state_set(k->state, theirs->entries[i].key,
				    theirs->entries[i].data,
				    theirs->entries[i].len);
	return code < 0 ? code : 0;
}

static void forget_sent(struct ts_kube_secret *k)
{
	ts_state_free(k->sent);
	k->sent = NULL;
}

static void all_is_well(struct ts_kube_secret *k)
{
	k->failures = 0;
	k->error[0] = '\0';
}

/* `now` becomes what we know. */
static void learn(struct ts_kube_secret *k, struct ts_kube_object *now,
		  bool is_written, uint64_t now_ms)
{
	const struct ts_kube_versions v = {k->state, k->known.data, k->sent};
	bool is_first = k->phase == TS_KUBE_LOADING;
	const char *taken = is_first ? NULL : ts_kube_find_taken(&v, now->data);
	char what[160];

	if (taken) {
		snprintf(what, sizeof(what), "another process has written "
			 "%.60s: two nodes cannot share a Secret", taken);
		refuse(k, what, "", "this one saves nothing from now on; "
		       "give each node a Secret of its own");
		ts_kube_object_deinit(now);
		return;
	}
	if (is_first ? load(k, now->data) : ts_kube_merge(&v, now->data)) {
		say(k, "out of memory", "", "");
		retry_later(k, now_ms);
		ts_kube_object_deinit(now);
		return;
	}
	forget_sent(k);
	ts_kube_object_deinit(&k->known);
	k->known = *now;
	k->must_look = false;
	k->wait_until_ms = 0;
	k->phase = TS_KUBE_READY;
	/* To read is not to have written what failed before. */
	if (is_written || ts_state_is_equal(k->state, k->known.data))
		all_is_well(k);
}

static void on_secret(struct ts_kube_secret *k, const char *body, size_t len,
		      bool is_written, uint64_t now_ms)
{
	struct ts_kube_object now;
	char why[128];
	int code = ts_kube_read_secret(body, len, &now, why);

	if (!code) {
		learn(k, &now, is_written, now_ms);
		return;
	}
	/* The version after a change of ours is not known then: look. */
	k->must_look = true;
	say(k, why, "", "");
	retry_later(k, now_ms);
}

static void on_missing(struct ts_kube_secret *k, uint64_t now_ms)
{
	struct ts_kube_object none = {.data = ts_state_new()};

	if (k->phase == TS_KUBE_LOADING && !k->may[VERB_CREATE]) {
		refuse(k, "there is none", "", "create an empty one, or let "
		       "the service account's role create Secrets");
		ts_state_free(none.data);
		return;
	}
	if (!none.data) {
		say(k, "out of memory", "", "");
		retry_later(k, now_ms);
		return;
	}
	ts_state_use_plain_keys(none.data);
	learn(k, &none, false, now_ms);
}

/* -- answers -------------------------------------------------------------- */

static void end_reviews(struct ts_kube_secret *k)
{
	char what[96];

	if (k->may[VERB_GET] && k->may[VERB_UPDATE])
		return;
	snprintf(what, sizeof(what), "missing permission to %s%s%s it",
		 k->may[VERB_GET] ? "" : "get",
		 k->may[VERB_GET] || k->may[VERB_UPDATE] ? "" : " and ",
		 k->may[VERB_UPDATE] ? "" : "update");
	refuse(k, what, "", "the service account's role must allow get and "
	       "update (and patch, and create where it does not exist)");
}

/* A server that answers something else is asked no further: upstream tries its
 * luck as well. */
static void on_review(struct ts_kube_secret *k, int status, const char *body,
		      size_t len, uint64_t now_ms)
{
	int allowed = -EBADMSG;

	if (status == 401) {
		on_refusal(k, ASK_SECRET, status, body, len, now_ms);
		return;
	}
	if (status == 200 || status == 201)
		allowed = ts_kube_read_review(body, len);
	if (allowed < 0) {
		k->review = VERB_COUNT;
	} else {
		k->may[k->review] = allowed;
		k->review++;
	}
	if (k->review == VERB_COUNT)
		end_reviews(k);
}

/* 404: it was deleted. 422: a patch that does not fit any more. */
static bool is_about_versions(int status)
{
	return status == 404 || status == 409 || status == 422;
}

static void on_written(struct ts_kube_secret *k, enum ask asked, int status,
		       const char *body, size_t len, uint64_t now_ms)
{
	if (status == 200 || status == 201) {
		on_secret(k, body, len, true, now_ms);
		return;
	}
	if (status < 500)
		forget_sent(k); /* it was not done */
	if (status == 403 && asked == ASK_PATCH && k->may[VERB_PATCH]) {
		k->may[VERB_PATCH] = false; /* taken away: write it whole */
		return;
	}
	if (is_about_versions(status) && !k->must_look && !k->failures) {
		k->must_look = true;
		k->failures = 1; /* twice in a row is a refusal */
		return;
	}
	k->must_look = true;
	on_refusal(k, asked, status, body, len, now_ms);
}

void ts_kube_secret_input(struct ts_kube_secret *k, int status,
			  const char *body, size_t len, uint64_t now_ms)
{
	enum ask asked = k->asked;

	k->asked = ASK_NOTHING;
	switch (asked) {
	case ASK_NOTHING:
		return;
	case ASK_REVIEW:
		on_review(k, status, body, len, now_ms);
		return;
	case ASK_SECRET:
		if (status == 200)
			on_secret(k, body, len, false, now_ms);
		else if (status == 404)
			on_missing(k, now_ms);
		else
			on_refusal(k, asked, status, body, len, now_ms);
		return;
	default:
		on_written(k, asked, status, body, len, now_ms);
		return;
	}
}

void ts_kube_secret_failed(struct ts_kube_secret *k, const char *reason,
			   uint64_t now_ms)
{
	if (k->asked >= ASK_PATCH)
		k->must_look = true; /* done or not? */
	k->asked = ASK_NOTHING;
	say(k, "the API server does not answer", reason, "");
	retry_later(k, now_ms);
}

/* -- questions ------------------------------------------------------------ */

bool ts_kube_secret_is_saved(const struct ts_kube_secret *k)
{
	return k->phase == TS_KUBE_READY && k->asked == ASK_NOTHING &&
	       !k->must_look && ts_state_is_equal(k->state, k->known.data);
}

static char *path_of(const struct ts_kube_secret *k, enum ask ask)
{
	bool is_named = ask != ASK_POST;
	char *path = NULL;

	if (ask == ASK_REVIEW)
		return strdup(KUBE_REVIEWS_PATH);
	if (asprintf(&path, "/api/v1/namespaces/%s/secrets%s%s", k->namespace,
		     is_named ? "/" : "", is_named ? k->name : "") < 0)
		return NULL;
	return path;
}

static void write_body(const struct ts_kube_secret *k, enum ask ask,
		       struct ts_kube_request *rq)
{
	switch (ask) {
	case ASK_REVIEW:
		rq->body = ts_kube_write_review(k->namespace, "secrets",
						k->name, verbs[k->review]);
		rq->body_len = rq->body ? strlen(rq->body) : 0;
		break;
	case ASK_PATCH:
		rq->body = ts_kube_write_patch(&k->known, k->state,
					       &rq->body_len);
		break;
	case ASK_PUT:
		rq->body = ts_kube_write_whole(&k->known, k->state,
					       &rq->body_len);
		break;
	case ASK_POST:
		rq->body = ts_kube_write_new(k->namespace, k->name, k->state,
					     &rq->body_len);
		break;
	default:
		break;
	}
}

static enum ask choose(const struct ts_kube_secret *k)
{
	if (k->phase == TS_KUBE_LOADING && k->review < VERB_COUNT)
		return ASK_REVIEW;
	if (k->must_look)
		return ASK_SECRET;
	if (ts_state_is_equal(k->state, k->known.data))
		return ASK_NOTHING;
	if (!k->known.rest)
		return ASK_POST;
	return k->may[VERB_PATCH] ? ASK_PATCH : ASK_PUT;
}

static int make_request(struct ts_kube_secret *k, enum ask ask,
			struct ts_kube_request *out)
{
	static const char *const methods[] = {
		[ASK_REVIEW] = "POST", [ASK_SECRET] = "GET",
		[ASK_PATCH] = "PATCH", [ASK_PUT] = "PUT", [ASK_POST] = "POST",
	};
	struct ts_kube_request rq = {.method = methods[ask],
				     .path = path_of(k, ask)};

	write_body(k, ask, &rq);
	if (ask != ASK_SECRET)
		rq.content_type = ask == ASK_PATCH
					  ? "application/json-patch+json"
					  : "application/json";
	if (ask >= ASK_PATCH) {
		forget_sent(k);
		k->sent = ts_state_copy(k->state);
	}
	if (!rq.path || (rq.content_type && !rq.body) ||
	    (ask >= ASK_PATCH && !k->sent)) {
		ts_kube_request_deinit(&rq);
		return -ENOMEM;
	}
	*out = rq;
	return 0;
}

int ts_kube_secret_output(struct ts_kube_secret *k, uint64_t now_ms,
			  struct ts_kube_request *out)
{
	enum ask ask;
	int code;

	if (k->phase == TS_KUBE_REFUSED)
		return -ENODATA;
	if (k->asked != ASK_NOTHING)
		return -EAGAIN;
	ask = choose(k);
	if (ask == ASK_NOTHING)
		return -ENODATA;
	if (now_ms < k->wait_until_ms)
		return -EAGAIN;
	code = make_request(k, ask, out);
	if (code)
		retry_later(k, now_ms);
	else
		k->asked = ask;
	return code;
}

uint64_t ts_kube_secret_deadline_ms(const struct ts_kube_secret *k)
{
	if (k->phase == TS_KUBE_REFUSED || k->asked != ASK_NOTHING ||
	    choose(k) == ASK_NOTHING)
		return UINT64_MAX;
	return k->wait_until_ms;
}

void ts_kube_secret_hurry(struct ts_kube_secret *k)
{
	k->is_hurried = true;
	k->wait_until_ms = 0;
}

enum ts_kube_phase ts_kube_secret_phase(const struct ts_kube_secret *k)
{
	return k->phase;
}

const char *ts_kube_secret_error(const struct ts_kube_secret *k)
{
	return k->error[0] ? k->error : NULL;
}
