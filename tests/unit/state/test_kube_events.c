/* SPDX-License-Identifier: BSD-3-Clause
 * test_kube_events.c - Events on the Pod: what is asked, and what answers do
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/state/kube_events.h"

#define ALLOWED "{\"status\":{\"allowed\":true}}"
#define AT "/api/v1/namespaces/apps/events"

static struct ts_kube_events *e;
static struct ts_kube_request rq;

static int set_up(void **state)
{
	(void)state;
	e = ts_kube_events_new("apps", "web-0", "0c5-11");
	assert_non_null(e);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	ts_kube_request_deinit(&rq);
	ts_kube_events_free(e);
	return 0;
}

static void next(const char *method, const char *path)
{
	ts_kube_request_deinit(&rq);
	assert_int_equal(ts_kube_events_output(e, 1750000000, &rq), 0);
	assert_string_equal(rq.method, method);
	assert_string_equal(rq.path, path);
	assert_true(!rq.body == !rq.content_type);
}

static void answer(int status, const char *body)
{
	ts_kube_events_input(e, status, body, strlen(body));
}

static void nothing_more(void)
{
	struct ts_kube_request none;

	assert_int_equal(ts_kube_events_output(e, 0, &none), -ENODATA);
}

static void allow(void)
{
	static const char *const verbs[] = {"get", "create", "patch"};

	for (size_t i = 0; i < 3; i++) {
		next("POST", "/apis/authorization.k8s.io/v1/"
			     "selfsubjectaccessreviews");
		assert_non_null(strstr(rq.body, verbs[i]));
		assert_non_null(strstr(rq.body, "\"resource\":\"events\""));
		answer(201, ALLOWED);
	}
}

static void one_is_made_then_counted(void **state)
{
	(void)state;
	nothing_more();
	ts_kube_events_note(e, KUBE_STATE_LOADED, NULL);
	allow();
	next("GET", AT "/web-0.0c5-11.tailscalestateloaded");
	answer(404, "{}");
	ts_kube_events_note(e, KUBE_STATE_LOADED, NULL); /* meanwhile */
	next("POST", AT);
	assert_string_equal(
		rq.body,
		"{\"kind\":\"Event\",\"apiVersion\":\"v1\",\"metadata\":{"
		"\"name\":\"web-0.0c5-11.tailscalestateloaded\","
		"\"namespace\":\"apps\"},\"message\":\"Successfully loaded "
		"tailscaled state from Secret\",\"reason\":"
		"\"TailscaleStateLoaded\",\"source\":{\"component\":"
		"\"tailscale-state-store\"},\"type\":\"Normal\","
		"\"involvedObject\":{\"kind\":\"Pod\",\"namespace\":\"apps\","
		"\"name\":\"web-0\",\"uid\":\"0c5-11\",\"apiVersion\":\"v1\"},"
		"\"count\":2,\"firstTimestamp\":\"2025-06-15T15:06:40Z\","
		"\"lastTimestamp\":\"2025-06-15T15:06:40Z\"}");
	ts_kube_events_note(e, KUBE_STATE_LOADED, NULL);
	answer(201, "{}");
	next("GET", AT "/web-0.0c5-11.tailscalestateloaded");
	answer(200, "{\"count\":2}");
	next("PATCH", AT "/web-0.0c5-11.tailscalestateloaded");
	assert_string_equal(rq.content_type, "application/json-patch+json");
	assert_string_equal(
		rq.body,
		"[{\"op\":\"replace\",\"path\":\"/count\",\"value\":3},"
		"{\"op\":\"replace\",\"path\":\"/lastTimestamp\",\"value\":"
		"\"2025-06-15T15:06:40Z\"}]");
	answer(200, "{}");
	nothing_more();
}

static void failures_are_warnings_with_their_reason(void **state)
{
	struct ts_kube_request none;

	(void)state;
	ts_kube_events_note(e, KUBE_STATE_UPDATE_FAILED,
			    "no \"space\"\n\xff left");
	ts_kube_events_note(e, KUBE_STATE_UPDATED, NULL);
	allow();
	next("GET", AT "/web-0.0c5-11.tailscaledstateupdated");
	assert_int_equal(ts_kube_events_output(e, 0, &none), -EAGAIN);
	answer(404, "");
	next("POST", AT);
	answer(201, "");
	next("GET", AT "/web-0.0c5-11.tailscalestateupdatefailed");
	answer(404, "");
	next("POST", AT);
	assert_non_null(strstr(rq.body, "\"message\":\"no \\\"space\\\"   "
					"left\""));
	assert_non_null(strstr(rq.body, "\"type\":\"Warning\""));
	answer(500, "");
	nothing_more();
}

static void a_role_without_them_ends_it(void **state)
{
	(void)state;
	ts_kube_events_note(e, KUBE_STATE_LOADED, NULL);
	next("POST", "/apis/authorization.k8s.io/v1/"
		     "selfsubjectaccessreviews");
	answer(0, ""); /* away: not told, and asked again with the next */
	nothing_more();
	assert_false(ts_kube_events_are_forbidden(e));
	ts_kube_events_note(e, KUBE_STATE_UPDATED, NULL);
	next("POST", "/apis/authorization.k8s.io/v1/"
		     "selfsubjectaccessreviews");
	answer(201, "{\"status\":{\"allowed\":false}}");
	assert_true(ts_kube_events_are_forbidden(e));
	ts_kube_events_note(e, KUBE_STATE_UPDATED, NULL);
	nothing_more();
}

static void answers_that_make_no_sense_end_one(void **state)
{
	static const struct {
		int status;
		const char *body;
	} answers[] = {{0, ""}, {500, "{}"}, {200, ""}, {200, "[]"},
		       {200, "{"}, {403, "{}"}};

	(void)state;
	ts_kube_events_note(e, KUBE_STATE_LOADED, NULL);
	allow();
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		next("GET", AT "/web-0.0c5-11.tailscalestateloaded");
		answer(answers[i].status, answers[i].body);
		nothing_more();
		ts_kube_events_note(e, KUBE_STATE_LOADED, NULL);
	}
	answer(200, "nobody asked");
	next("GET", AT "/web-0.0c5-11.tailscalestateloaded");
	answer(200, "{\"count\":99999999999999}");
	next("PATCH", AT "/web-0.0c5-11.tailscalestateloaded");
	answer(0, "");
	nothing_more();
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(one_is_made_then_counted),
		CASE(failures_are_warnings_with_their_reason),
		CASE(a_role_without_them_ends_it),
		CASE(answers_that_make_no_sense_end_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
