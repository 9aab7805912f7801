/* SPDX-License-Identifier: BSD-3-Clause
 * Requests to the server on behalf of others, and what the user changes while
 * the client runs; against the scripted server.
 */
#include "unit/control/control_server.h"

struct got {
	unsigned calls;
	int status;
	char body[128], error[128];
};

static void on_reply(void *ctx, int status, const void *body, size_t len,
		     const char *error)
{
	struct got *g = ctx;

	g->calls++;
	g->status = status;
	snprintf(g->body, sizeof(g->body), "%.*s", (int)len,
		 len ? (const char *)body : "");
	snprintf(g->error, sizeof(g->error), "%s", error ? error : "");
}

static int ask(struct lab *lab, struct got *g)
{
	memset(g, 0, sizeof(*g));
	return ts_control_request(lab->c, "/machine/id-token", "{\"a\":1}",
				  on_reply, g, lab->now_ms);
}

static void a_request_gets_the_servers_answer(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *request;
	struct got g;

	(void)state;
	lab_start(lab);
	assert_int_equal(ask(lab, &g), -ENETDOWN); /* who would we be? */
	lab_free(lab);
	lab = lab_new();
	lab_up(lab);
	assert_int_equal(ask(lab, &g), 0);
	request = lab_expect(lab, "/machine/id-token");
	assert_string_equal(request->method, "POST");
	assert_int_equal(request->lb_count, 1);
	lab_reply(lab, request, "403", "no");
	assert_int_equal(g.calls, 1);
	assert_int_equal(g.status, 403);
	assert_string_equal(g.body, "no");
	assert_string_equal(g.error, "");
	lab_free(lab);
}

static void requests_are_few_at_a_time(void **state)
{
	struct lab *lab = lab_new();
	enum { LIMIT = 64 };
	struct got g[LIMIT];
	struct lab_request *first;
	size_t most = 0;

	(void)state;
	lab_up(lab);
	while (most < LIMIT && ask(lab, &g[most]) == 0)
		most++;
	assert_in_range(most, 2, 16);
	assert_int_equal(ask(lab, &g[most]), -EAGAIN);
	first = lab_expect(lab, "/machine/id-token");
	lab_reply(lab, first, "200", "x");
	assert_int_equal(g[0].calls, 1);
	assert_int_equal(ask(lab, &g[most]), 0);
	lab_free(lab); /* the rest hears of the end */
	for (size_t i = 1; i <= most; i++) {
		assert_int_equal(g[i].calls, 1);
		assert_int_equal(g[i].status, 0);
		assert_true(g[i].error[0] != '\0');
	}
}

static void silence_and_a_lost_link_are_answers(void **state)
{
	struct lab *lab = lab_new();
	struct got g;

	(void)state;
	lab_up(lab);
	assert_int_equal(ask(lab, &g), 0);
	lab_expect(lab, "/machine/id-token");
	lab_sleep(lab, 14000);
	assert_int_equal(g.calls, 0);
	lab_sleep(lab, 1100);
	assert_int_equal(g.calls, 1);
	assert_non_null(strstr(g.error, "does not answer"));
	assert_int_equal(lab->state, TS_CONTROL_RUNNING);

	assert_int_equal(ask(lab, &g), 0);
	lab_expect(lab, "/machine/id-token");
	lab_server_closes(lab, "gone");
	assert_int_equal(g.calls, 1);
	assert_non_null(strstr(g.error, "lost"));
	lab_free(lab);
}

static void an_earlier_expiry_is_a_registration(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *request;
	struct got g = {0};
	json_t *json;

	(void)state;
	lab_up(lab);
	assert_int_equal(ts_control_expire_at(lab->c, 1900000000, on_reply, &g,
					      lab->now_ms), 0);
	request = lab_expect(lab, "/machine/register");
	json = lab_json(request);
	assert_string_equal(json_string_value(json_object_get(json, "Expiry")),
			    "2030-03-17T17:46:40Z");
	assert_null(json_object_get(json, "Auth"));
	json_decref(json);
	lab_reply(lab, request, "200", LAB_REGISTERED);
	assert_int_equal(g.calls, 1);
	assert_int_equal(g.status, 200);
	assert_int_equal(lab->persists, 1); /* no login of ours */
	lab_free(lab);
}

static json_t *hostinfo_of(struct lab *lab, const char *path)
{
	json_t *json = lab_json(lab_expect(lab, path));
	json_t *info = json_incref(json_object_get(json, "Hostinfo"));

	json_decref(json);
	assert_non_null(info);
	return info;
}

static void changes_are_told_to_the_server(void **state)
{
	static char tag[] = "tag:new";
	char *tags[] = {tag};
	struct lab *lab = lab_new();
	json_t *info;

	(void)state;
	lab_up(lab);
	assert_int_equal(ts_control_set_hostname(lab->c, "other", lab->now_ms),
			 0);
	ts_control_set_shields_up(lab->c, true, lab->now_ms);
	info = hostinfo_of(lab, "/machine/map");
	assert_string_equal(json_string_value(json_object_get(info,
							      "Hostname")),
			    "other");
	json_decref(info);
	lab_reply(lab, &lab->requests[lab->next_request - 1], "200", "{}");
	info = hostinfo_of(lab, "/machine/map");
	assert_true(json_is_true(json_object_get(info, "ShieldsUp")));
	json_decref(info);
	lab_reply(lab, &lab->requests[lab->next_request - 1], "200", "{}");

	assert_int_equal(ts_control_set_tags(lab->c, tags, 1, lab->now_ms), 0);
	info = hostinfo_of(lab, "/machine/register");
	assert_string_equal(
		json_string_value(json_array_get(
			json_object_get(info, "RequestTags"), 0)), "tag:new");
	json_decref(info);
	lab_free(lab);
}

static void a_stopped_client_is_silent_until_it_starts(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *map;
	unsigned dials;

	(void)state;
	lab_up(lab);
	dials = lab->dials;
	ts_control_stop(lab->c, lab->now_ms);
	assert_int_equal(lab->state, TS_CONTROL_STOPPED);
	assert_int_equal(lab->hangups, 1);
	assert_true(ts_control_deadline_ms(lab->c) == UINT64_MAX);
	ts_control_network_changed(lab->c, lab->now_ms);
	assert_int_equal(lab->dials, dials);
	assert_non_null(ts_control_netmap(lab->c)->self);

	lab_server_reset(lab);
	ts_control_start(lab->c, lab->now_ms);
	map = lab_expect(lab, "/machine/map"); /* without a new login */
	lab_map(lab, map, LAB_FIRST_MAP);
	assert_int_equal(lab->state, TS_CONTROL_RUNNING);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_gets_the_servers_answer),
		cmocka_unit_test(requests_are_few_at_a_time),
		cmocka_unit_test(silence_and_a_lost_link_are_answers),
		cmocka_unit_test(an_earlier_expiry_is_a_registration),
		cmocka_unit_test(changes_are_told_to_the_server),
		cmocka_unit_test(a_stopped_client_is_silent_until_it_starts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
