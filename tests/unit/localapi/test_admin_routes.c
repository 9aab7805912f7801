/* SPDX-License-Identifier: BSD-3-Clause
 * test_admin_routes.c - what is done to the node as a whole, and debug actions
 */
#include "unit/localapi/api_bench.h"

#include <errno.h>

static void ask(struct bench *b, struct asks asks, struct said *s)
{
	if (!asks.method)
		asks.method = "POST";
	bench_ask(b, asks, s);
	assert_int_equal(s->calls, 1);
}

static void act(struct bench *b, const char *action, const char *body,
		struct said *s)
{
	ask(b, (struct asks){.path = "debug", .name = "action",
			     .value = action, .body = body}, s);
}

static void expect(struct bench *b, const char *action, int status)
{
	struct said s;

	act(b, action, NULL, &s);
	if (s.status != status)
		fail_msg("%s: %d %s", action, s.status, s.text);
	said_clear(&s);
}

/* -- debug actions -------------------------------------------------------- */
static void a_rotated_key_is_told_and_paths_begin_anew(void **state)
{
	struct ts_public_key before;
	struct sim_conn *conn;
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(2, NULL), NULL, NULL);
	conn = sim_dial(b.sim, 0, 1, 1000);
	sim_run(b.sim, 5000);
	assert_true(conn->is_up);
	before = b.sim->nodes[0].control->disco_key;
	expect(&b, "rotate-disco-key", 200);
	assert_false(ts_public_key_equal(&before,
					 &b.sim->nodes[0].control->disco_key));
	ask(&b, (struct asks){.path = "debug-rotate-disco-key"}, &s);
	assert_int_equal(s.status, 200);
	said_clear(&s);
	/* The peer hears of it, and all works again. */
	sim_tell(b.sim, 1, 0);
	conn = sim_dial(b.sim, 0, 1, 1000);
	sim_run(b.sim, 10000);
	assert_true(conn->is_up);
	bench_close(&b);
}

static void a_node_that_is_disconnected_works_on(void **state)
{
	struct sim_conn *conn;
	struct ts_control *c;
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(2, NULL), NULL, NULL);
	c = b.sim->nodes[0].control;
	ask(&b, (struct asks){.path = "disconnect-control"}, &s);
	assert_int_equal(s.status, 200);
	said_clear(&s);
	assert_int_equal(c->state, TS_CONTROL_CONNECTING);
	assert_int_equal(ts_node_state(b.sim->nodes[0].node), TS_RUNNING);
	conn = sim_dial(b.sim, 0, 1, 1000);
	sim_run(b.sim, 5000);
	assert_true(conn->is_up);
	c->state = TS_CONTROL_STOPPED; /* to see it start */
	ask(&b, (struct asks){.path = "start", .body = "{}"}, &s);
	assert_int_equal(s.status, 204);
	said_clear(&s);
	assert_int_equal(c->state, TS_CONTROL_CONNECTING);
	c->state = TS_CONTROL_STOPPED;
	ask(&b, (struct asks){.path = "start", .body = "{}"}, &s);
	said_clear(&s);
	assert_int_equal(c->state, TS_CONTROL_STOPPED); /* once */
	bench_close(&b);
}

static void a_home_is_preferred(void **state)
{
	static const char *const bad[] = {NULL, "", "x", "-1", "1.5", "[]",
					  "99999999999"};
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		act(&b, "force-prefer-derp", bad[i], &s);
		assert_int_equal(s.status, 400);
		said_clear(&s);
	}
	act(&b, "force-prefer-derp", "77", &s);
	assert_int_equal(s.status, 400);
	assert_string_equal(s.text, "no such region\n");
	said_clear(&s);
	act(&b, "force-prefer-derp", "1", &s);
	assert_int_equal(s.status, 200);
	said_clear(&s);
	act(&b, "force-prefer-derp", "0", &s);
	assert_int_equal(s.status, 200);
	said_clear(&s);
	act(&b, "pick-new-derp", NULL, &s); /* there is one region */
	assert_int_equal(s.status, 400);
	assert_string_equal(s.text, "too few regions\n");
	said_clear(&s);
	assert_int_equal(ts_node_home_region(b.sim->nodes[0].node), 1);
	expect(&b, "derp-set-homeless", 200);
	assert_int_equal(ts_node_home_region(b.sim->nodes[0].node), 0);
	assert_int_equal(b.sim->nodes[0].control->home_region, 0);
	sim_run(b.sim, 60000);
	assert_int_equal(ts_node_home_region(b.sim->nodes[0].node), 0);
	expect(&b, "derp-unset-homeless", 200);
	sim_run(b.sim, 20000);
	assert_int_equal(ts_node_home_region(b.sim->nodes[0].node), 1);
	assert_int_equal(b.sim->nodes[0].control->home_region, 1);
	bench_close(&b);
}

static void small_actions_answer(void **state)
{
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	expect(&b, "clear-netmap-cache", 200);
	act(&b, "peer-relay-servers", NULL, &s);
	assert_int_equal(json_array_size(s.json), 0);
	said_clear(&s);
	expect(&b, "notify", 400); /* without a body */
	act(&b, "notify", "{\"ErrMessage\":\"x\"}", &s);
	assert_int_equal(s.status, 200);
	said_clear(&s);
	bench_close(&b);
}

/* -- the exit node's switch ----------------------------------------------- */
static void use_exit(struct bench *b, const char *enabled, int status)
{
	struct said s;

	ask(b, (struct asks){.path = "set-use-exit-node-enabled",
			     .name = "enabled", .value = enabled}, &s);
	if (s.status != status)
		fail_msg("%s: %d %s", enabled, s.status, s.text);
	said_clear(&s);
}

static void set_exit(struct bench *b, const char *edit)
{
	struct said s;

	bench_ask(b, (struct asks){.method = "PATCH", .path = "prefs",
				   .body = edit}, &s);
	assert_int_equal(s.status, 200);
	said_clear(&s);
}

static void an_exit_node_is_switched_off_and_on(void **state)
{
	const struct ts_route_prefs *routes;
	struct bench b;

	(void)state;
	bench_open(&b, sim_up(2, NULL), NULL, NULL);
	routes = &ts_node_prefs(b.sim->nodes[0].node)->routes;
	use_exit(&b, "maybe", 400);
	use_exit(&b, "false", 200); /* it is */
	use_exit(&b, "true", 500);  /* none to go back to */
	set_exit(&b, "{\"AutoExitNode\":\"any\",\"AutoExitNodeSet\":true}");
	use_exit(&b, "true", 200);
	assert_string_equal(routes->auto_exit_node, "any");
	use_exit(&b, "0", 200);
	assert_false(ts_route_prefs_want_exit(routes));
	assert_string_equal(routes->exit_node_prior, "auto:any");
	use_exit(&b, "1", 200);
	assert_string_equal(routes->auto_exit_node, "any");
	set_exit(&b, "{\"ExitNodeID\":\"nX\",\"ExitNodeIDSet\":true}");
	use_exit(&b, "false", 200);
	assert_false(ts_route_prefs_want_exit(routes));
	assert_string_equal(routes->exit_node_prior, "nX");
	use_exit(&b, "true", 200);
	assert_true(ts_route_prefs_want_exit(routes));
	bench_close(&b);
}

/* -- the control server's word -------------------------------------------- */
static void features_are_asked_of_the_server(void **state)
{
	static const char answer[] = "{\"Complete\":true}";
	struct ts_control *c;
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	c = b.sim->nodes[0].control;
	ask(&b, (struct asks){.path = "query-feature"}, &s);
	assert_int_equal(s.status, 500);
	said_clear(&s);
	bench_ask(&b, (struct asks){.method = "POST", .path = "query-feature",
				    .name = "feature", .value = "serve"}, &s);
	assert_int_equal(s.calls, 0);
	assert_string_equal(c->request_path, "/machine/feature/query");
	assert_non_null(strstr(c->request, "\"Feature\":\"serve\""));
	assert_non_null(strstr(c->request, "\"NodeKey\":\"nodekey:"));
	c->reply(c->reply_ctx, 200, answer, strlen(answer), NULL);
	assert_int_equal(s.status, 200);
	assert_true(json_is_true(json_object_get(s.json, "Complete")));
	said_clear(&s);
	c->state = TS_CONTROL_CONNECTING;
	ask(&b, (struct asks){.path = "query-feature", .name = "feature",
			      .value = "serve"}, &s);
	assert_int_equal(s.status, 503);
	said_clear(&s);
	bench_close(&b);
}

static void attributes_are_told_the_server(void **state)
{
	struct ts_control *c;
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	c = b.sim->nodes[0].control;
	bench_ask(&b, (struct asks){.method = "PATCH",
				    .path = "alpha-set-device-attrs",
				    .body = "{\"custom:a\":1}"}, &s);
	assert_int_equal(s.calls, 0);
	assert_string_equal(c->call_path, "/machine/set-device-attr");
	assert_non_null(strstr(c->call_body, "\"Update\":{\"custom:a\":1}"));
	c->call_fn(c->call_ctx, 403, "no such attribute", 17, NULL);
	assert_int_equal(s.status, 500);
	assert_non_null(strstr(s.text, "403: no such attribute"));
	said_clear(&s);
	c->call_fn = NULL;
	bench_ask(&b, (struct asks){.method = "PATCH",
				    .path = "alpha-set-device-attrs",
				    .body = "{}"}, &s);
	c->call_fn(c->call_ctx, 200, "", 0, NULL);
	assert_int_equal(s.status, 200);
	said_clear(&s);
	c->call_fn = NULL;
	bench_close(&b);
}

/* -- the engine's --------------------------------------------------------- */
static int reset_auth(void *ctx, char err[static 256])
{
	int *calls = ctx;

	snprintf(err, 256, "not now");
	return ++*calls > 1 ? -ESHUTDOWN : 0;
}

static int reload(void *ctx, char err[static 256])
{
	int *calls = ctx;

	if (++*calls > 1)
		snprintf(err, 256, "port takes a new start");
	return 0;
}

static int keep(void *ctx, const char *key, const char *text)
{
	(void)ctx;
	assert_string_equal(key, "k");
	assert_string_equal(text, "");
	return 0;
}

static void the_engine_is_asked(void **state)
{
	const struct ts_localapi_env resets = {.reset_auth = reset_auth};
	const struct ts_localapi_env reloads = {.reload_config = reload,
						.store = keep};
	int calls = 0;
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), &resets, &calls);
	ask(&b, (struct asks){.path = "reset-auth"}, &s);
	assert_int_equal(s.status, 204);
	said_clear(&s);
	ask(&b, (struct asks){.path = "reset-auth"}, &s);
	assert_int_equal(s.status, 500);
	assert_string_equal(s.text, "reset-auth failed: not now\n");
	said_clear(&s);
	ask(&b, (struct asks){.path = "reload-config"}, &s);
	assert_true(json_is_false(json_object_get(s.json, "Reloaded")));
	said_clear(&s);
	bench_close(&b);
	calls = 0;
	bench_open(&b, sim_up(1, NULL), &reloads, &calls);
	ask(&b, (struct asks){.path = "reload-config"}, &s);
	assert_true(json_is_true(json_object_get(s.json, "Reloaded")));
	assert_null(json_object_get(s.json, "Err"));
	said_clear(&s);
	ask(&b, (struct asks){.path = "reload-config"}, &s);
	check_at(s.json, "Err", "port takes a new start");
	said_clear(&s);
	ask(&b, (struct asks){.path = "dev-set-state-store"}, &s);
	assert_int_equal(s.status, 400);
	said_clear(&s);
	ask(&b, (struct asks){.path = "dev-set-state-store", .name = "key",
			      .value = "k"}, &s);
	assert_int_equal(s.status, 200);
	said_clear(&s);
	/* else who may not have files served could have them stored so */
	ask(&b, (struct asks){.path = "dev-set-state-store", .name = "key",
			      .value = "_serve/x", .is_operator = true}, &s);
	assert_int_equal(s.status, 403);
	said_clear(&s);
	bench_close(&b);
}

static void what_there_is_none_of_says_so(void **state)
{
	static const struct {
		const char *method, *path;
		int status;
	} calls[] = {
		{"POST", "shutdown", 403}, {"POST", "update/install", 501},
		{"GET", "update/progress", 200}, {"GET", "policy/", 200},
		{"GET", "policy/Device", 200}, {"GET", "policy/x", 400},
		{"GET", "appc-route-info", 200}, {"GET", "pprof", 503},
		{"GET", "debug-peer-relay-sessions", 200},
		{"GET", "debug-bus-graph", 412},
		{"POST", "set-gui-visible", 400},
	};
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		ask(&b, (struct asks){.method = calls[i].method,
				      .path = calls[i].path}, &s);
		if (s.status != calls[i].status)
			fail_msg("%s: %d", calls[i].path, s.status);
		said_clear(&s);
	}
	ask(&b, (struct asks){.method = "GET", .path = "update/check"}, &s);
	assert_true(json_is_true(json_object_get(s.json, "RunningLatest")));
	said_clear(&s);
	bench_close(&b);
}

static void readers_may_not(void **state)
{
	static const char *const posts[] = {
		"reset-auth", "disconnect-control", "reload-config",
		"set-use-exit-node-enabled", "dev-set-state-store",
		"debug-rotate-disco-key", "shutdown", "update/install"};
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(posts); i++) {
		ask(&b, (struct asks){.path = posts[i], .is_reader = true},
		    &s);
		if (s.status != 403)
			fail_msg("%s: %d", posts[i], s.status);
		said_clear(&s);
	}
	ask(&b, (struct asks){.method = "PATCH", .is_reader = true,
			      .path = "alpha-set-device-attrs"}, &s);
	assert_int_equal(s.status, 403);
	said_clear(&s);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rotated_key_is_told_and_paths_begin_anew),
		cmocka_unit_test(a_node_that_is_disconnected_works_on),
		cmocka_unit_test(a_home_is_preferred),
		cmocka_unit_test(small_actions_answer),
		cmocka_unit_test(an_exit_node_is_switched_off_and_on),
		cmocka_unit_test(features_are_asked_of_the_server),
		cmocka_unit_test(attributes_are_told_the_server),
		cmocka_unit_test(the_engine_is_asked),
		cmocka_unit_test(what_there_is_none_of_says_so),
		cmocka_unit_test(readers_may_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
