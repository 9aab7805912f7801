/* SPDX-License-Identifier: BSD-3-Clause
 * test_seeing_routes.c - metrics, captures, and what the control server asks
 *
 * The node is a real one on the simulated network of node_sim.h.
 */
#include "unit/node/node_sim.h"

#include "core/localapi/c2n_routes.h"
#include "core/localapi/localapi.h"

#define API "/localapi/v0/"

struct answer {
	unsigned calls, wakes;
	struct ts_localapi_reply reply;
};

static const char *format_of(void *ctx, const char *name)
{
	return strcmp(name, "format") == 0 ? ctx : NULL;
}

static void on_done(void *ctx, const struct ts_localapi_reply *reply)
{
	struct answer *a = ctx;

	a->calls++;
	a->reply = *reply;
}

static struct answer ask(struct sim *sim, const char *method, const char *path,
			 const char *format, bool may_write)
{
	static const struct ts_localapi_env env;
	struct ts_localapi *api =
		ts_localapi_new(sim->nodes[0].node, &env, NULL);
	struct ts_localapi_request request = {
		.method = method,
		.path = path,
		.query = format_of,
		.query_ctx = (void *)(uintptr_t)format,
		.may_write = may_write,
	};
	struct answer a = {0};

	ts_localapi_handle(api, &request, sim->now_ms, sim->wall_s, on_done,
			   &a);
	assert_int_equal(a.calls, 1);
	ts_localapi_free(api);
	return a;
}

static void check_status(struct sim *sim, const char *method, const char *path,
			 const char *format, bool may_write, int status)
{
	struct answer a = ask(sim, method, path, format, may_write);

	assert_int_equal(a.reply.status, status);
	free(a.reply.body);
}

static void metrics_are_text(void **state)
{
	struct sim *sim = sim_up(1, NULL);
	struct answer a = ask(sim, "GET", API "usermetrics", NULL, false);

	(void)state;
	assert_int_equal(a.reply.status, 200);
	assert_string_equal(a.reply.content_type,
			    "text/plain;version=0.0.4;charset=utf-8");
	assert_non_null(strstr(a.reply.body,
			       "tailscaled_health_messages{type=\"warning\"}"));
	free(a.reply.body);
	check_status(sim, "GET", API "metrics", NULL, false, 403);
	check_status(sim, "GET", API "metrics", NULL, true, 200);
	check_status(sim, "POST", API "usermetrics", NULL, true, 405);
	sim_free(sim);
}

static void on_wake(void *ctx)
{
	struct answer *a = ctx;

	a->wakes++;
}

static void a_capture_is_a_stream(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct answer a = ask(sim, "POST", API "debug-capture", "pcapng", true);
	struct ts_localapi_stream *s = a.reply.stream;
	char data[4096];
	ssize_t n;

	(void)state;
	assert_int_equal(a.reply.status, 200);
	assert_null(a.reply.body);
	assert_non_null(s);
	s->wake = on_wake;
	s->wake_ctx = &a;
	n = s->read(s->ctx, data, sizeof(data));
	assert_true(n > 60); /* the head */
	assert_int_equal(s->read(s->ctx, data, sizeof(data)), 0);
	sim_dial(sim, 0, 1, 10);
	sim_run(sim, 1000);
	assert_true(a.wakes > 0);
	assert_true(s->read(s->ctx, data, sizeof(data)) > 40);
	s->close(s->ctx);
	check_status(sim, "POST", API "debug-capture", "pcapng", false, 403);
	check_status(sim, "POST", API "debug-capture", "xml", true, 400);
	check_status(sim, "GET", API "debug-capture", NULL, true, 405);
	sim_free(sim);
}

/* -- c2n ------------------------------------------------------------------ */
static struct ts_c2n_reply c2n(struct sim *sim, const char *method,
			       const char *path, const char *query,
			       const char *body)
{
	struct ts_c2n_request rq = {.body = (const uint8_t *)body,
				    .body_len = strlen(body)};
	struct ts_c2n_reply reply = {0};

	snprintf(rq.method, sizeof(rq.method), "%s", method);
	snprintf(rq.path, sizeof(rq.path), "%s", path);
	snprintf(rq.query, sizeof(rq.query), "%s", query);
	ts_localapi_c2n(sim->nodes[0].node, NULL, NULL, &rq, &reply,
			sim->wall_s);
	return reply;
}

static void control_gets_a_clients_answers(void **state)
{
	static const struct {
		const char *method, *path, *query;
		int status;
		const char *body; /* its beginning */
	} cases[] = {
		{"PUT", "/echo", "", 200, "hello"},
		{"GET", "/debug/prefs", "", 200, "{\"ControlURL\":"},
		{"GET", "/debug/health", "", 200, "{\"Warnings\":null}\n"},
		{"GET", "/debug/metrics", "", 200, "# TYPE "},
		{"GET", "/debug/component-logging", "component=a%22b", 200,
		 "{\"Error\":\"unknown component \\\"a\\\"b\\\"\"}\n"},
		{"GET", "/debug/goroutines", "", 501, "not implemented\n"},
		{"GET", "/debug/pprof/heap", "", 501, "not implemented\n"},
		{"POST", "/logtail/flush", "", 500,
		 "no log flusher wired up\n"},
		{"GET", "/logtail/flush", "", 405, "bad method\n"},
		{"GET", "/update", "", 200,
		 "{\"Enabled\":false,\"Supported\":false,\"Started\":false}"},
		{"POST", "/update", "", 200, "{\"Enabled\":false"},
		{"DELETE", "/update", "", 405, "bad method\n"},
		{"GET", "/posture/identity", "", 200,
		 "{\"PostureDisabled\":true}\n"},
		{"GET", "/appconnector/routes", "", 200,
		 "{\"Domains\":null}\n"},
		{"GET", "/tls-cert-status", "domain=n0.tail.example", 200,
		 "{\"Missing\":true}\n"},
		{"GET", "/tls-cert-status", "", 400, "no 'domain'\n"},
		{"GET", "/vip-services", "", 200, "{\"ServicesHash\":\"\"}\n"},
		{"POST", "/ssh/usernames", "", 200, "{\"Usernames\":null}\n"},
		{"POST", "/sockstats", "", 500, "no sockstatLogger\n"},
		{"POST", "/netfilter-kind", "kind=nftables", 501,
		 "this node does not use"},
		{"GET", "/no/such", "", 0, ""},
	};
	struct sim *sim = sim_up(1, NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ts_c2n_reply r = c2n(sim, cases[i].method,
					    cases[i].path, cases[i].query,
					    "hello");

		assert_int_equal(r.status, cases[i].status);
		if (r.status == 0)
			assert_null(r.body);
		else if (strncmp(r.body, cases[i].body,
				 strlen(cases[i].body)) != 0)
			fail_msg("%s: %s", cases[i].path, r.body);
		free(r.body);
	}
	sim_free(sim);
}

static json_t *netmap_answer(struct sim *sim, const char *method,
			     const char *body, int status)
{
	struct ts_c2n_reply r = c2n(sim, method, "/debug/netmap", "", body);
	json_t *json = json_loads(r.body, 0, NULL);

	assert_int_equal(r.status, status);
	free(r.body);
	return json;
}

static void control_sees_the_netmap_and_a_candidate(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	json_t *json = netmap_answer(sim, "GET", "", 200), *part;

	(void)state;
	part = json_object_get(json, "current");
	assert_string_equal(json_string_value(json_object_get(part, "Domain")),
			    "tail.example");
	assert_int_equal(json_array_size(json_object_get(part, "Peers")), 1);
	assert_null(json_object_get(json, "candidate"));
	json_decref(json);

	json = netmap_answer(sim, "POST",
			     "{\"omitFields\":[\"Peers\",\"Domain\",7],"
			     "\"candidate\":{\"Domain\":\"other\",\"Node\":"
			     "{\"ID\":1,\"Name\":\"x.\"}}}", 200);
	part = json_object_get(json, "current");
	assert_true(json_is_null(json_object_get(part, "Peers")));
	assert_string_equal(json_string_value(json_object_get(part, "Domain")),
			    "");
	part = json_object_get(json, "candidate");
	assert_string_equal(
		json_string_value(json_object_get(
			json_object_get(part, "SelfNode"), "Name")), "x.");
	json_decref(json);

	assert_null(netmap_answer(sim, "POST", "nonsense", 400));
	assert_null(netmap_answer(sim, "POST", "{\"candidate\":{}}", 400));
	assert_null(netmap_answer(sim, "PUT", "", 405));
	sim_free(sim);
}

static void control_gets_no_keys(void **state)
{
	static const char zero[] = "privkey:0000000000000000";
	struct sim *sim = sim_up(1, NULL);
	struct ts_c2n_reply r = c2n(sim, "GET", "/debug/prefs", "", "");
	const char *at = r.body;

	(void)state;
	while ((at = strstr(at, "privkey:"))) {
		assert_memory_equal(at, zero, strlen(zero));
		at++;
	}
	free(r.body);
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metrics_are_text),
		cmocka_unit_test(a_capture_is_a_stream),
		cmocka_unit_test(control_gets_a_clients_answers),
		cmocka_unit_test(control_sees_the_netmap_and_a_candidate),
		cmocka_unit_test(control_gets_no_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
