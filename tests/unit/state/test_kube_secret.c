/* SPDX-License-Identifier: BSD-3-Clause
 * test_kube_secret.c - the requests about a Secret, and what answers do
 *
 * The other side is a Secret in a few lines: it holds text, counts versions and
 * refuses changes of an old one, as the API server does.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/state/kube_secret.h"

struct bench {
	struct ts_state *state;
	struct ts_kube_secret *k;
	uint64_t now_ms;
	/* The server's */
	json_t *secret; /* NULL: there is none */
	unsigned version;
	bool may[4]; /* get, update, patch, create */
	char seen[64]; /* the first methods, "POST POST GET" */
};

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	memset(b->may, true, sizeof(b->may));
	b->now_ms = 1000;
	b->state = ts_state_new();
	b->k = ts_kube_secret_new("apps", "web-state", b->state);
	assert_non_null(b->k);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	ts_kube_secret_free(b->k);
	ts_state_free(b->state);
	json_decref(b->secret);
	free(b);
	return 0;
}

/* -- the server ----------------------------------------------------------- */

static void new_version(struct bench *b)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", ++b->version);
	json_object_set_new(json_object_get(b->secret, "metadata"),
			    "resourceVersion", json_string(text));
}

static json_t *data_of(struct bench *b)
{
	json_t *data = json_object_get(b->secret, "data");

	if (!json_is_object(data)) {
		data = json_object();
		json_object_set_new(b->secret, "data", data);
	}
	return data;
}

static void put(struct bench *b, const char *key, const char *value)
{
	char *text = ts_base64_encode(value, strlen(value));

	json_object_set_new(data_of(b), key, json_string(text));
	new_version(b);
	free(text);
}

static void make_secret(struct bench *b)
{
	b->secret = json_pack("{s:s, s:s, s:{s:s, s:{s:s}}, s:s}", "apiVersion",
			      "v1", "kind", "Secret", "metadata", "name",
			      "web-state", "labels", "app", "web", "type",
			      "Opaque");
	new_version(b);
}

static const char *version_of(const json_t *object)
{
	return json_string_value(json_object_get(
		json_object_get(object, "metadata"), "resourceVersion"));
}

static int apply(json_t *data, json_t *op, const char *version)
{
	const char *what = json_string_value(json_object_get(op, "op"));
	const char *path = json_string_value(json_object_get(op, "path"));
	json_t *value = json_object_get(op, "value");

	if (strcmp(path, "/metadata/resourceVersion") == 0)
		return strcmp(json_string_value(value), version) ? 409 : 200;
	if (strcmp(path, "/data") == 0) {
		json_object_clear(data);
		json_object_update(data, value);
		return 200;
	}
	assert_memory_equal(path, "/data/", 6);
	if (strcmp(what, "remove") == 0)
		return json_object_del(data, path + 6) ? 422 : 200;
	assert_string_equal(what, "add");
	if (json_object_size(data) == 0)
		return 422; /* no /data to add to */
	json_object_set(data, path + 6, value);
	return 200;
}

static int patch(struct bench *b, json_t *ops)
{
	json_t *data = json_deep_copy(data_of(b));
	int status = 200;
	json_t *op;
	size_t i;

	json_array_foreach (ops, i, op)
		if (status == 200)
			status = apply(data, op, version_of(b->secret));
	if (status == 200) {
		json_object_set(b->secret, "data", data);
		new_version(b);
	}
	json_decref(data);
	return status;
}

static int review(const struct bench *b, const json_t *body, json_t **answer)
{
	static const char *const verbs[] = {"get", "update", "patch", "create"};
	const json_t *asked = json_object_get(
		json_object_get(body, "spec"), "resourceAttributes");
	const char *verb = json_string_value(json_object_get(asked, "verb"));

	assert_string_equal(
		json_string_value(json_object_get(asked, "namespace")), "apps");
	assert_string_equal(json_string_value(json_object_get(asked, "name")),
			    "web-state");
	for (size_t i = 0; i < 4; i++)
		if (strcmp(verbs[i], verb) == 0)
			*answer = json_pack("{s:{s:b}}", "status", "allowed",
					    (int)b->may[i]);
	return 201;
}

static int serve(struct bench *b, const struct ts_kube_request *rq,
		 json_t *body, json_t **answer)
{
	const char *named = "/api/v1/namespaces/apps/secrets/web-state";
	int status = 200;

	if (strstr(rq->path, "selfsubjectaccessreviews"))
		return review(b, body, answer);
	if (strcmp(rq->method, "POST") == 0) {
		assert_string_equal(rq->path,
				    "/api/v1/namespaces/apps/secrets");
		if (b->secret)
			return 409;
		b->secret = json_incref(body);
		new_version(b);
		status = 201;
	} else {
		assert_string_equal(rq->path, named);
		if (!b->secret)
			return 404;
	}
	if (strcmp(rq->method, "PATCH") == 0) {
		assert_string_equal(rq->content_type,
				    "application/json-patch+json");
		status = b->may[2] ? patch(b, body) : 403;
	} else if (strcmp(rq->method, "PUT") == 0) {
		if (strcmp(version_of(body), version_of(b->secret)) != 0)
			return 409;
		json_decref(b->secret);
		b->secret = json_incref(body);
		new_version(b);
	}
	if (status < 300)
		*answer = json_incref(b->secret);
	return status;
}

static void note_method(struct bench *b, const char *method)
{
	size_t len = strlen(b->seen);

	snprintf(b->seen + len, sizeof(b->seen) - len, "%s%s",
		 len ? " " : "", method);
}

/* One request and its answer; what output() said. */
static int step(struct bench *b)
{
	struct ts_kube_request rq = {0};
	json_t *body, *answer = NULL;
	int code = ts_kube_secret_output(b->k, b->now_ms, &rq);
	char *text;
	int status;

	if (code)
		return code;
	note_method(b, rq.method);
	body = rq.body ? json_loadb(rq.body, rq.body_len, 0, NULL) : NULL;
	assert_true(!rq.body || body);
	status = serve(b, &rq, body, &answer);
	if (!answer)
		answer = json_pack("{s:s, s:s, s:i}", "kind", "Status",
				   "message", "the server's words", "code",
				   status);
	text = json_dumps(answer, 0);
	ts_kube_request_deinit(&rq);
	ts_kube_secret_input(b->k, status, text, strlen(text), b->now_ms);
	free(text);
	json_decref(answer);
	json_decref(body);
	return 0;
}

static void settle(struct bench *b)
{
	int code = 0;

	for (int i = 0; i < 20 && !code; i++)
		code = step(b);
	assert_int_equal(code, -ENODATA);
}

static void set(struct bench *b, const char *key, const char *value)
{
	assert_true(ts_state_set(b->state, key, value,
				 value ? strlen(value) : 0) >= 0);
}

static void expect(struct bench *b, const char *key, const char *value)
{
	const char *text = json_string_value(
		json_object_get(data_of(b), key));
	char *wanted = value ? ts_base64_encode(value, strlen(value)) : NULL;

	if (!value)
		assert_null(text);
	else
		assert_string_equal(text, wanted);
	free(wanted);
}

static const char *held(const struct bench *b, const char *key)
{
	size_t len;

	return (const char *)ts_state_get(b->state, key, &len);
}

static void load(struct bench *b)
{
	settle(b);
	assert_int_equal(ts_kube_secret_phase(b->k), TS_KUBE_READY);
	b->seen[0] = '\0';
}

/* -- loading -------------------------------------------------------------- */

static void a_secret_that_is_not_there_is_an_empty_state(void **state)
{
	struct bench *b = *state;

	assert_false(ts_kube_secret_is_saved(b->k));
	settle(b);
	assert_string_equal(b->seen, "POST POST POST POST GET");
	assert_int_equal(ts_kube_secret_phase(b->k), TS_KUBE_READY);
	assert_true(ts_kube_secret_is_saved(b->k));
	assert_null(ts_kube_secret_error(b->k));
	assert_int_equal(ts_kube_secret_deadline_ms(b->k), UINT64_MAX);
}

static void a_secret_is_read_into_the_state(void **state)
{
	struct bench *b = *state;

	make_secret(b);
	put(b, "_machinekey", "privkey:00");
	put(b, "_serve_1a2b", "{}");
	load(b);
	assert_string_equal(held(b, "_machinekey"), "privkey:00");
	/* Under the name that the rest of the node knows. */
	assert_string_equal(held(b, "_serve/1a2b"), "{}");
}

static void missing_permissions_end_it_with_their_names(void **state)
{
	struct bench *b = *state;

	b->may[1] = false;
	settle(b);
	assert_int_equal(ts_kube_secret_phase(b->k), TS_KUBE_REFUSED);
	assert_non_null(strstr(ts_kube_secret_error(b->k),
			       "missing permission to update it"));
	assert_non_null(strstr(ts_kube_secret_error(b->k), "apps/web-state"));
}

static void without_create_the_secret_must_be_there(void **state)
{
	struct bench *b = *state;

	b->may[3] = false;
	settle(b);
	assert_int_equal(ts_kube_secret_phase(b->k), TS_KUBE_REFUSED);
	assert_non_null(strstr(ts_kube_secret_error(b->k), "there is none"));
}

/* -- saving --------------------------------------------------------------- */

static void the_first_change_creates_the_secret(void **state)
{
	struct bench *b = *state;

	load(b);
	set(b, "_machinekey", "k");
	set(b, "_serve/1a2b", "s");
	assert_false(ts_kube_secret_is_saved(b->k));
	settle(b);
	assert_string_equal(b->seen, "POST");
	assert_true(ts_kube_secret_is_saved(b->k));
	expect(b, "_machinekey", "k");
	expect(b, "_serve_1a2b", "s");
}

static void changes_are_patched_together(void **state)
{
	struct bench *b = *state;

	make_secret(b);
	put(b, "a", "1");
	put(b, "b", "2");
	load(b);
	set(b, "a", "one");
	set(b, "b", NULL);
	set(b, "c", "three");
	settle(b);
	assert_string_equal(b->seen, "PATCH");
	expect(b, "a", "one");
	expect(b, "b", NULL);
	expect(b, "c", "three");
	set(b, "c", "four");
	settle(b);
	assert_string_equal(b->seen, "PATCH PATCH");
	expect(b, "c", "four");
}

static void a_secret_without_data_gets_some(void **state)
{
	struct bench *b = *state;

	make_secret(b);
	load(b);
	set(b, "a", "1");
	settle(b);
	assert_string_equal(b->seen, "PATCH");
	expect(b, "a", "1");
}

static void without_patch_the_whole_secret_is_written(void **state)
{
	struct bench *b = *state;

	b->may[2] = false;
	make_secret(b);
	put(b, "authkey", "theirs");
	load(b);
	set(b, "a", "1");
	settle(b);
	assert_string_equal(b->seen, "PUT");
	expect(b, "a", "1");
	expect(b, "authkey", "theirs");
	assert_string_equal(
		json_string_value(json_object_get(
			json_object_get(json_object_get(b->secret, "metadata"),
					"labels"), "app")), "web");
	assert_string_equal(
		json_string_value(json_object_get(b->secret, "type")),
		"Opaque");
}

static void a_patch_that_is_forbidden_later_becomes_an_update(void **state)
{
	struct bench *b = *state;

	make_secret(b);
	put(b, "a", "1");
	load(b);
	b->may[2] = false;
	set(b, "a", "2");
	settle(b);
	assert_string_equal(b->seen, "PATCH PUT");
	expect(b, "a", "2");
}

static void a_deleted_secret_is_written_anew(void **state)
{
	struct bench *b = *state;

	make_secret(b);
	put(b, "_machinekey", "k");
	load(b);
	json_decref(b->secret);
	b->secret = NULL;
	set(b, "a", "1");
	settle(b);
	assert_string_equal(b->seen, "PATCH GET POST");
	expect(b, "_machinekey", "k");
	expect(b, "a", "1");
}

/* -- others --------------------------------------------------------------- */

static void entries_of_others_are_kept(void **state)
{
	struct bench *b = *state;

	make_secret(b);
	put(b, "_machinekey", "k");
	put(b, "device_id", "old");
	load(b);
	put(b, "device_id", "new");
	put(b, "device_fqdn", "web.ts.net");
	set(b, "_profiles", "{}");
	settle(b);
	assert_string_equal(b->seen, "PATCH GET PATCH");
	expect(b, "_profiles", "{}");
	expect(b, "device_id", "new");
	expect(b, "device_fqdn", "web.ts.net");
	assert_string_equal(held(b, "device_id"), "new");
	assert_null(ts_kube_secret_error(b->k));
}

static void another_node_in_the_secret_is_told_and_not_overwritten(void **state)
{
	struct bench *b = *state;

	make_secret(b);
	put(b, "_machinekey", "k");
	put(b, "profile-1a2b", "theirs and ours");
	load(b);
	put(b, "profile-1a2b", "theirs");
	set(b, "profile-1a2b", "ours");
	settle(b);
	assert_string_equal(b->seen, "PATCH GET");
	assert_int_equal(ts_kube_secret_phase(b->k), TS_KUBE_REFUSED);
	assert_non_null(strstr(ts_kube_secret_error(b->k), "profile-1a2b"));
	assert_non_null(strstr(ts_kube_secret_error(b->k), "another process"));
	expect(b, "profile-1a2b", "theirs");
	assert_string_equal(held(b, "profile-1a2b"), "ours");
}

static void two_that_begin_at_once_do_not_both_win(void **state)
{
	struct bench *b = *state;

	load(b);
	make_secret(b);
	put(b, "_machinekey", "theirs");
	set(b, "_machinekey", "ours");
	settle(b);
	assert_string_equal(b->seen, "POST GET");
	assert_int_equal(ts_kube_secret_phase(b->k), TS_KUBE_REFUSED);
	expect(b, "_machinekey", "theirs");
}

/* -- failures ------------------------------------------------------------- */

static void lose_answer(struct bench *b, bool is_served)
{
	struct ts_kube_request rq;
	json_t *body, *answer = NULL;

	assert_int_equal(ts_kube_secret_output(b->k, b->now_ms, &rq), 0);
	note_method(b, rq.method);
	body = rq.body ? json_loadb(rq.body, rq.body_len, 0, NULL) : NULL;
	if (is_served)
		serve(b, &rq, body, &answer);
	ts_kube_request_deinit(&rq);
	json_decref(body);
	json_decref(answer);
	ts_kube_secret_failed(b->k, "10.0.0.1:443: time-out", b->now_ms);
}

static void a_change_whose_answer_was_lost_is_ours(void **state)
{
	struct bench *b = *state;

	make_secret(b);
	put(b, "_profiles", "{}");
	load(b);
	set(b, "_profiles", "one");
	lose_answer(b, true);
	assert_non_null(strstr(ts_kube_secret_error(b->k), "time-out"));
	set(b, "_profiles", "two"); /* meanwhile */
	assert_int_equal(step(b), -EAGAIN);
	b->now_ms = ts_kube_secret_deadline_ms(b->k);
	settle(b);
	assert_string_equal(b->seen, "PATCH GET PATCH");
	assert_int_equal(ts_kube_secret_phase(b->k), TS_KUBE_READY);
	expect(b, "_profiles", "two");
	assert_null(ts_kube_secret_error(b->k));
}

static void answer(struct bench *b, int status, const char *text)
{
	struct ts_kube_request rq;

	assert_int_equal(ts_kube_secret_output(b->k, b->now_ms, &rq), 0);
	note_method(b, rq.method);
	ts_kube_request_deinit(&rq);
	ts_kube_secret_input(b->k, status, text, strlen(text), b->now_ms);
}

static void failures_are_tried_again_more_and_more_seldom(void **state)
{
	struct bench *b = *state;
	uint64_t wait_ms, last_ms = 0;

	load(b);
	set(b, "a", "1");
	for (int i = 0; i < 12; i++) {
		answer(b, 500, "{\"message\": \"etcd is away\"}");
		assert_non_null(strstr(ts_kube_secret_error(b->k),
				       "with 500: etcd is away"));
		wait_ms = ts_kube_secret_deadline_ms(b->k) - b->now_ms;
		assert_true(wait_ms >= last_ms && wait_ms <= 30000);
		last_ms = wait_ms;
		assert_int_equal(step(b), -EAGAIN);
		b->now_ms += wait_ms;
		assert_int_equal(step(b), 0); /* was it done? */
	}
	assert_memory_equal(b->seen, "POST GET POST GET", 17);
	assert_int_equal(last_ms, 30000);
	ts_kube_secret_hurry(b->k);
	settle(b);
	expect(b, "a", "1");
	assert_null(ts_kube_secret_error(b->k));
}

/* As when something else about the patch is not liked: no storm of requests. */
static void a_change_that_is_refused_for_ever_is_no_storm(void **state)
{
	struct bench *b = *state;
	unsigned asked = 0;

	make_secret(b);
	put(b, "a", "1");
	load(b);
	set(b, "a", "2");
	while (b->now_ms < 61000) {
		struct ts_kube_request rq;
		bool is_get;

		if (ts_kube_secret_output(b->k, b->now_ms, &rq)) {
			b->now_ms = ts_kube_secret_deadline_ms(b->k);
			continue;
		}
		asked++;
		is_get = strcmp(rq.method, "GET") == 0;
		ts_kube_request_deinit(&rq);
		if (is_get) {
			char *text = json_dumps(b->secret, 0);

			ts_kube_secret_input(b->k, 200, text, strlen(text),
					     b->now_ms);
			free(text);
		} else {
			ts_kube_secret_input(b->k, 422, "{}", 2, b->now_ms);
		}
	}
	assert_true(asked < 30);
	assert_int_equal(ts_kube_secret_phase(b->k), TS_KUBE_READY);
}

static void a_wrong_token_is_told_from_a_missing_role(void **state)
{
	struct bench *b = *state;

	answer(b, 401, "{\"message\": \"Unauthorized\"}");
	assert_int_equal(ts_kube_secret_phase(b->k), TS_KUBE_LOADING);
	b->now_ms = ts_kube_secret_deadline_ms(b->k); /* replaced meanwhile? */
	answer(b, 401, "{\"message\": \"Unauthorized\"}");
	assert_int_equal(ts_kube_secret_phase(b->k), TS_KUBE_REFUSED);
	assert_non_null(strstr(ts_kube_secret_error(b->k), "Unauthorized"));
	assert_non_null(strstr(ts_kube_secret_error(b->k), "token"));
}

static void a_server_without_reviews_is_asked_for_the_secret(void **state)
{
	struct bench *b = *state;

	answer(b, 404, "not found");
	answer(b, 403, "{\"message\": \"secrets is forbidden\\nfor you\"}");
	assert_string_equal(b->seen, "POST GET");
	assert_int_equal(ts_kube_secret_phase(b->k), TS_KUBE_REFUSED);
	assert_non_null(strstr(ts_kube_secret_error(b->k),
			       "secrets is forbidden for you"));
	assert_non_null(strstr(ts_kube_secret_error(b->k), "role"));
}

static void an_outage_while_loading_is_waited_for(void **state)
{
	struct bench *b = *state;

	lose_answer(b, false);
	b->now_ms = ts_kube_secret_deadline_ms(b->k);
	lose_answer(b, false);
	assert_int_equal(ts_kube_secret_phase(b->k), TS_KUBE_LOADING);
	assert_non_null(strstr(ts_kube_secret_error(b->k), "does not answer"));
	b->now_ms = ts_kube_secret_deadline_ms(b->k);
	load(b);
	assert_null(ts_kube_secret_error(b->k));
}

static void hostile_answers_change_nothing(void **state)
{
	static const char *const texts[] = {
		"", "{", "[]", "{}", "null", "{\"kind\": \"Secret\"}",
		"{\"kind\": \"Pod\", \"metadata\": {\"resourceVersion\": "
		"\"1\"}}",
		"{\"kind\": \"Secret\", \"metadata\": 7}",
		"{\"kind\": \"Secret\", \"metadata\": {\"resourceVersion\": "
		"\"1\"}, \"data\": []}",
		"{\"kind\": \"Secret\", \"metadata\": {\"resourceVersion\": "
		"\"1\"}, \"data\": {\"_machinekey\": \"!\"}}",
		"{\"kind\": \"Secret\", \"metadata\": {\"resourceVersion\": "
		"\"1\"}, \"data\": {\"a\": 1}}",
		"{\"kind\": \"Secret\", \"metadata\": {\"resourceVersion\": "
		"1}, \"data\": {}}",
	};
	struct bench *b = *state;
	size_t len;

	for (int i = 0; i < 4; i++)
		assert_int_equal(step(b), 0); /* reviews */
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		b->now_ms += 60000;
		answer(b, 200, texts[i]);
		assert_int_equal(ts_kube_secret_phase(b->k), TS_KUBE_LOADING);
		assert_non_null(ts_kube_secret_error(b->k));
		assert_null(ts_state_get(b->state, "_machinekey", &len));
	}
}

static void a_secret_cut_at_each_length_is_refused(void **state)
{
	struct bench *b = *state;
	char *text;
	size_t len;

	make_secret(b);
	put(b, "_machinekey", "privkey:00");
	text = json_dumps(b->secret, 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(step(b), 0);
	for (size_t cut = 0; cut < strlen(text); cut++) {
		struct ts_kube_request rq;

		b->now_ms += 60000;
		assert_int_equal(ts_kube_secret_output(b->k, b->now_ms, &rq),
				 0);
		ts_kube_request_deinit(&rq);
		ts_kube_secret_input(b->k, 200, text, cut, b->now_ms);
		assert_null(ts_state_get(b->state, "_machinekey", &len));
	}
	free(text);
	b->now_ms += 60000;
	load(b);
}

static void names_are_those_of_kubernetes(void **state)
{
	char longest[256];

	(void)state;
	assert_true(ts_kube_name_is_valid("web"));
	assert_true(ts_kube_name_is_valid("web-1.state"));
	assert_true(ts_kube_name_is_valid("0"));
	assert_false(ts_kube_name_is_valid(""));
	assert_false(ts_kube_name_is_valid("Web"));
	assert_false(ts_kube_name_is_valid("-web"));
	assert_false(ts_kube_name_is_valid("web-"));
	assert_false(ts_kube_name_is_valid("web-.x"));
	assert_false(ts_kube_name_is_valid("web..x"));
	assert_false(ts_kube_name_is_valid("../web"));
	assert_false(ts_kube_name_is_valid("web/x"));
	assert_false(ts_kube_name_is_valid("web?x"));
	memset(longest, 'a', sizeof(longest));
	longest[253] = '\0';
	assert_true(ts_kube_name_is_valid(longest));
	longest[253] = 'a';
	longest[254] = '\0';
	assert_false(ts_kube_name_is_valid(longest));
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_secret_that_is_not_there_is_an_empty_state),
		CASE(a_secret_is_read_into_the_state),
		CASE(missing_permissions_end_it_with_their_names),
		CASE(without_create_the_secret_must_be_there),
		CASE(the_first_change_creates_the_secret),
		CASE(changes_are_patched_together),
		CASE(a_secret_without_data_gets_some),
		CASE(without_patch_the_whole_secret_is_written),
		CASE(a_patch_that_is_forbidden_later_becomes_an_update),
		CASE(a_deleted_secret_is_written_anew),
		CASE(entries_of_others_are_kept),
		CASE(another_node_in_the_secret_is_told_and_not_overwritten),
		CASE(two_that_begin_at_once_do_not_both_win),
		CASE(a_change_whose_answer_was_lost_is_ours),
		CASE(failures_are_tried_again_more_and_more_seldom),
		CASE(a_change_that_is_refused_for_ever_is_no_storm),
		CASE(a_wrong_token_is_told_from_a_missing_role),
		CASE(a_server_without_reviews_is_asked_for_the_secret),
		CASE(an_outage_while_loading_is_waited_for),
		CASE(hostile_answers_change_nothing),
		CASE(a_secret_cut_at_each_length_is_refused),
		cmocka_unit_test(names_are_those_of_kubernetes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
