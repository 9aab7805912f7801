/* SPDX-License-Identifier: BSD-3-Clause
 * test_write_routes.c - what a caller of the LocalAPI can change, and who may
 */
#include "unit/localapi/api_bench.h"

#include "core/localapi/c2n_routes.h"
#include "core/node/node_serve.h"

static struct said ask(struct bench *b, const char *method, const char *path,
		       const char *body)
{
	struct said s;

	bench_ask(b, (struct asks){.method = method, .path = path,
				   .body = body}, &s);
	assert_int_equal(s.calls, 1);
	return s;
}

static void patch(struct bench *b, const char *body, int status)
{
	struct said s = ask(b, "PATCH", "prefs", body);

	if (s.status != status)
		fail_msg("%s: %d %s", body, s.status, s.text);
	said_clear(&s);
}

static const struct ts_prefs *prefs(const struct bench *b)
{
	return ts_node_prefs(b->sim->nodes[0].node);
}

/* -- preferences ---------------------------------------------------------- */
static void down_is_off_the_tailnet_and_up_is_back(void **state)
{
	struct bench b;
	struct sim_conn *conn;

	(void)state;
	bench_open(&b, sim_up(2, NULL), NULL, NULL);
	conn = sim_dial(b.sim, 0, 1, 1000);
	sim_run(b.sim, 3000);
	assert_true(conn->is_up);
	patch(&b, "{\"WantRunning\":false,\"WantRunningSet\":true}", 200);
	assert_int_equal(ts_node_state(b.sim->nodes[0].node), TS_STOPPED);
	assert_int_equal(b.sim->nodes[0].control->state, TS_CONTROL_STOPPED);
	assert_false(b.sim->nodes[0].line.is_open); /* nor a relay */
	assert_false(prefs(&b)->want_running);
	assert_true(b.sim->nodes[0].persists > 0);
	b.sim->nodes[0].wg_udp = b.sim->nodes[0].wg_derp = 0;
	b.sim->nodes[1].wg_udp = 0;
	conn = sim_dial(b.sim, 1, 0, 100);
	sim_run(b.sim, 4000);
	assert_false(conn->is_up);
	assert_int_equal(b.sim->nodes[0].wg_udp, 0);
	assert_int_equal(b.sim->nodes[0].wg_derp, 0);

	patch(&b, "{\"WantRunning\":true,\"WantRunningSet\":true}", 200);
	assert_int_equal(b.sim->nodes[0].control->state, TS_CONTROL_CONNECTING);
	b.sim->nodes[0].control->ops.state_changed(
		b.sim->nodes[0].control->ctx, TS_CONTROL_RUNNING, NULL);
	sim_run(b.sim, 10000);
	assert_int_equal(ts_node_state(b.sim->nodes[0].node), TS_RUNNING);
	assert_true(b.sim->nodes[0].line.is_open);
	conn = sim_dial(b.sim, 0, 1, 1000);
	sim_run(b.sim, 10000);
	assert_true(conn->is_up);
	bench_close(&b);
}

static void names_flags_and_tags_go_to_the_server(void **state)
{
	struct sim_conn *conn;
	struct bench b;

	(void)state;
	bench_open(&b, sim_up(2, NULL), NULL, NULL);
	patch(&b, "{\"Hostname\":\"fresh\",\"HostnameSet\":true,"
		  "\"AdvertiseTags\":[\"tag:a\",\"tag:b\"],"
		  "\"AdvertiseTagsSet\":true,\"ShieldsUp\":true,"
		  "\"ShieldsUpSet\":true}", 200);
	assert_string_equal(b.sim->nodes[0].control->hostname, "fresh");
	assert_string_equal(b.sim->nodes[0].control->tags, "tag:a,tag:b");
	assert_true(b.sim->nodes[0].control->shields_up);
	conn = sim_dial(b.sim, 1, 0, 10);
	sim_run(b.sim, 3000);
	assert_false(conn->is_up);
	patch(&b, "{\"ShieldsUp\":false,\"ShieldsUpSet\":true}", 200);
	conn = sim_dial(b.sim, 1, 0, 10);
	sim_run(b.sim, 3000);
	assert_true(conn->is_up);
	/* No name: the one that the node was started with. */
	patch(&b, "{\"Hostname\":\"\",\"HostnameSet\":true}", 200);
	assert_string_equal(b.sim->nodes[0].control->hostname, "n0");
	assert_string_equal(prefs(&b)->hostname, "n0");
	bench_close(&b);
}

static void accepted_routes_follow_at_once(void **state)
{
	const struct ts_peer *peer;
	struct ts_ip ip;
	struct bench b;

	(void)state;
	bench_open(&b, sim_up(2, NULL), NULL, NULL);
	sim_set_extra(b.sim, 1, json_pack("{s:[sss]}", "AllowedIPs",
					  "100.64.0.2/32",
					  "fd7a:115c:a1e0::2/128",
					  "10.1.0.0/16"));
	sim_tell(b.sim, 0, 1);
	assert_int_equal(ts_ip_parse("10.1.2.3", &ip), 0);
	assert_int_equal(ts_node_route(b.sim->nodes[0].node, &ip, &peer),
			 TS_ROUTE_HOST);
	patch(&b, "{\"RouteAll\":true,\"RouteAllSet\":true}", 200);
	assert_int_equal(ts_node_route(b.sim->nodes[0].node, &ip, &peer),
			 TS_ROUTE_PEER);
	patch(&b, "{\"RouteAll\":false,\"RouteAllSet\":true}", 200);
	assert_int_equal(ts_node_route(b.sim->nodes[0].node, &ip, &peer),
			 TS_ROUTE_HOST);
	bench_close(&b);
}

static void the_answer_is_the_new_preferences(void **state)
{
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	s = ask(&b, "PATCH", "prefs",
		"{\"OperatorUser\":\"op\",\"OperatorUserSet\":true,"
		"\"ProfileName\":\"work\",\"ProfileNameSet\":true}");
	check_at(s.json, "OperatorUser", "op");
	check_at(s.json, "ProfileName", "work");
	check_at(s.json, "Hostname", "n0");
	said_clear(&s);
	b.sim->nodes[0].persists = 0;
	patch(&b, "{\"OperatorUser\":\"op\",\"OperatorUserSet\":true}", 200);
	assert_int_equal(b.sim->nodes[0].persists, 0); /* nothing new */
	bench_close(&b);
}

static void what_would_have_no_effect_is_refused(void **state)
{
	static const char *const bodies[] = {
		"{\"RunSSH\":true,\"RunSSHSet\":true}",
		"{\"RunWebClient\":true,\"RunWebClientSet\":true}",
		"{\"NoSNAT\":true,\"NoSNATSet\":true}",
		"{\"NetfilterMode\":1,\"NetfilterModeSet\":true}",
		"{\"NetfilterKind\":\"nftables\",\"NetfilterKindSet\":true}",
		"{\"Sync\":false,\"SyncSet\":true}",
		"{\"RemoteConfig\":true,\"RemoteConfigSet\":true}",
		"{\"AppConnector\":{\"Advertise\":true},"
		"\"AppConnectorSet\":true}",
		"{\"AutoUpdate\":{\"Apply\":true},"
		"\"AutoUpdateSet\":{\"ApplySet\":true}}",
		"{\"RelayServerPort\":0,\"RelayServerPortSet\":true}",
		"{\"DriveShares\":[{\"Name\":\"x\"}],\"DriveSharesSet\":true}",
		"{\"ControlURL\":\"https://other\",\"ControlURLSet\":true}",
		"{\"LoggedOut\":true,\"LoggedOutSet\":true}",
	};
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		s = ask(&b, "PATCH", "prefs", bodies[i]);
		if (s.status != 400)
			fail_msg("%s: %d", bodies[i], s.status);
		assert_true(json_is_string(json_object_get(s.json, "Error")));
		said_clear(&s);
	}
	s = ask(&b, "POST", "check-prefs", "{\"RunSSH\":true}");
	assert_int_equal(s.status, 200);
	assert_true(json_is_string(json_object_get(s.json, "Error")));
	said_clear(&s);
	s = ask(&b, "POST", "check-prefs", "{\"WantRunning\":true}");
	assert_int_equal(json_object_size(s.json), 0);
	said_clear(&s);
	bench_close(&b);
}

static void bodies_that_are_no_objects_are_refused(void **state)
{
	static const char *const paths[][2] = {
		{"PATCH", "prefs"}, {"POST", "check-prefs"},
		{"POST", "start"}};
	static const char *const bodies[] = {NULL, "", "[]", "7", "{", "null",
					     "{\"a\":1}x", "\xff"};
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		for (size_t k = 0; k < ARRAY_LEN(bodies); k++) {
			s = ask(&b, paths[i][0], paths[i][1], bodies[k]);
			assert_int_equal(s.status, 400);
			assert_string_equal(s.text, "invalid JSON body\n");
			said_clear(&s);
		}
	}
	bench_close(&b);
}

static void readers_change_nothing(void **state)
{
	static const char *const writes[][2] = {
		{"PATCH", "prefs"}, {"POST", "check-prefs"},
		{"POST", "start"}, {"POST", "login-interactive"},
		{"POST", "logout"},
		{"GET", "profiles/"}, {"POST", "profiles/x"},
		{"POST", "serve-config"}, {"POST", "debug"},
		{"GET", "id-token"}, {"POST", "set-expiry-sooner"}};
	static const char *const reads[] = {"status", "prefs", "derpmap",
					    "serve-config"};
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(writes); i++) {
		bench_ask(&b, (struct asks){.method = writes[i][0],
					    .path = writes[i][1],
					    .is_reader = true}, &s);
		if (s.status != 403)
			fail_msg("%s: %d", writes[i][1], s.status);
		said_clear(&s);
	}
	for (size_t i = 0; i < ARRAY_LEN(reads); i++) {
		bench_ask(&b, (struct asks){.method = "GET", .path = reads[i],
					    .is_reader = true}, &s);
		assert_int_equal(s.status, 200);
		said_clear(&s);
	}
	bench_close(&b);
}

/* -- logging in ----------------------------------------------------------- */
static void a_start_takes_preferences_and_a_key(void **state)
{
	struct sim *sim = sim_new();
	struct ts_control *c;
	struct bench b;
	struct said s;

	(void)state;
	sim_add_node(sim, 0, &(struct sim_options){.no_key = true});
	bench_open(&b, sim, NULL, NULL);
	c = sim->nodes[0].control;
	s = ask(&b, "POST", "start",
		"{\"UpdatePrefs\":{\"WantRunning\":true,\"Hostname\":\"new\","
		"\"CorpDNS\":true},\"AuthKey\":\"tskey-1\"}");
	assert_int_equal(s.status, 204);
	assert_string_equal(c->hostname, "new");
	assert_string_equal(c->login_key, "tskey-1");
	assert_false(c->login_new_key);
	assert_true(prefs(&b)->want_running);
	said_clear(&s);
	/* What the CLI asks for next has begun already. */
	c->login_key[0] = '\0';
	s = ask(&b, "POST", "login-interactive", NULL);
	assert_int_equal(s.status, 204);
	assert_string_equal(c->login_key, "");
	assert_false(c->wants_person);
	said_clear(&s);
	s = ask(&b, "POST", "login-interactive", NULL); /* of its own */
	assert_true(c->wants_person);
	said_clear(&s);
	bench_close(&b);
}

static void a_login_anew_uses_the_key_of_the_start(void **state)
{
	struct ts_control *c;
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	c = b.sim->nodes[0].control;
	s = ask(&b, "POST", "start", "{\"AuthKey\":\"tskey-1\"}");
	assert_int_equal(s.status, 204);
	said_clear(&s);
	s = ask(&b, "POST", "login-interactive", NULL);
	assert_string_equal(c->login_key, "tskey-1");
	assert_true(c->login_new_key);
	assert_false(c->wants_person);
	said_clear(&s);
	/* A start without one forgets it. */
	s = ask(&b, "POST", "start", "{\"AuthKey\":\"tskey-2\"}");
	said_clear(&s);
	s = ask(&b, "POST", "start", "{}");
	said_clear(&s);
	s = ask(&b, "POST", "login-interactive", NULL);
	assert_true(c->wants_person);
	said_clear(&s);
	bench_close(&b);
}

static void a_start_that_cannot_be_changes_nothing(void **state)
{
	struct bench b;
	struct said s;
	char *body = NULL, key[2048];

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	s = ask(&b, "POST", "start",
		"{\"UpdatePrefs\":{\"RunSSH\":true},\"AuthKey\":\"k\"}");
	assert_int_equal(s.status, 500);
	assert_string_equal(b.sim->nodes[0].control->login_key, "");
	said_clear(&s);
	memset(key, 'k', sizeof(key) - 1);
	key[sizeof(key) - 1] = '\0';
	assert_true(asprintf(&body, "{\"AuthKey\":\"%s\"}", key) > 0);
	s = ask(&b, "POST", "start", body);
	assert_int_equal(s.status, 400);
	said_clear(&s);
	free(body);
	bench_close(&b);
}

/* -- logging out ---------------------------------------------------------- */
static void a_logout_is_answered_when_the_server_has_been_told(void **state)
{
	struct ts_control *c;
	struct said s;
	struct bench b;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	c = b.sim->nodes[0].control;
	bench_ask(&b, (struct asks){.method = "POST", .path = "logout"}, &s);
	assert_true(c->wants_logout);
	assert_int_equal(s.calls, 0);
	memset(&c->node_key, 0, sizeof(c->node_key));
	c->ops.persist_changed(c->ctx);
	c->state = TS_CONTROL_LOGGED_OUT;
	c->ops.state_changed(c->ctx, c->state, NULL);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.status, 204);
	assert_true(prefs(&b)->logged_out);
	said_clear(&s);
	bench_close(&b);
}

static void a_logout_that_stays_unanswered_says_so(void **state)
{
	struct said s, other;
	struct bench b;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	bench_ask(&b, (struct asks){.method = "POST", .path = "logout"}, &s);
	b.sim->now_ms = ts_localapi_deadline_ms(b.api);
	ts_localapi_tick(b.api, b.sim->now_ms, 0);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.status, 500);
	said_clear(&s);
	bench_ask(&b, (struct asks){.method = "POST", .path = "logout"}, &s);
	bench_ask(&b, (struct asks){.method = "POST", .path = "logout"},
		  &other);
	bench_close(&b); /* with two under way */
	assert_int_equal(s.status, 500);
	assert_int_equal(other.status, 500);
	said_clear(&s);
	said_clear(&other);
}

/* -- profiles, serve ------------------------------------------------------ */
struct store {
	char *serve;
	char done[64];
};

static json_t *profile_list(void *ctx)
{
	(void)ctx;
	return json_pack("[{s:s,s:s}]", "ID", "abcd", "Name", "ann");
}

static json_t *profile_now(void *ctx)
{
	(void)ctx;
	return json_pack("{s:s,s:s}", "ID", "abcd", "Name", "ann");
}

static int profile_switch(void *ctx, const char *id, char err[static 256])
{
	struct store *store = ctx;

	if (strcmp(id, "abcd") != 0) {
		snprintf(err, 256, "no profile %.32s", id);
		return -ENOENT;
	}
	snprintf(store->done, sizeof(store->done), "switch %.32s", id);
	return 0;
}

static char *load(void *ctx, const char *key)
{
	const struct store *store = ctx;

	assert_string_equal(key, "_serve/abcd");
	return store->serve ? strdup(store->serve) : NULL;
}

static int save(void *ctx, const char *key, const char *text)
{
	struct store *store = ctx;

	assert_string_equal(key, "_serve/abcd");
	free(store->serve);
	store->serve = strdup(text);
	return 0;
}

static const struct ts_localapi_env env = {
	.state_dir = "/var/lib/x",
	.profiles = profile_list,
	.current_profile = profile_now,
	.profile_switch = profile_switch,
	.load = load,
	.store = save,
};

static void profiles_are_the_engines(void **state)
{
	struct store store = {0};
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), &env, &store);
	s = ask(&b, "GET", "profiles/", NULL);
	check_at(s.json, "0/Name", "ann");
	said_clear(&s);
	s = ask(&b, "GET", "profiles/current", NULL);
	check_at(s.json, "ID", "abcd");
	said_clear(&s);
	s = ask(&b, "GET", "profiles/abcd", NULL);
	check_at(s.json, "ID", "abcd");
	said_clear(&s);
	s = ask(&b, "GET", "profiles/none", NULL);
	assert_int_equal(s.status, 404);
	said_clear(&s);
	s = ask(&b, "POST", "profiles/abcd", NULL);
	assert_int_equal(s.status, 204);
	assert_string_equal(store.done, "switch abcd");
	said_clear(&s);
	s = ask(&b, "POST", "profiles/none", NULL);
	assert_int_equal(s.status, 500);
	assert_string_equal(s.text, "no profile none\n");
	said_clear(&s);
	s = ask(&b, "PUT", "profiles/", NULL); /* no such op here */
	assert_int_equal(s.status, 501);
	said_clear(&s);
	s = ask(&b, "POST", "profiles/current", NULL);
	assert_int_equal(s.status, 405);
	said_clear(&s);
	bench_close(&b);
}

#define SERVE_TEXT                                                             \
	"{\"TCP\":{\"80\":{\"HTTP\":true}},\"Web\":{\"n0.tail.example:80\":" \
	"{\"Handlers\":{\"/\":{\"Text\":\"hi\"}}}}}"

static void a_serve_config_is_replaced_by_who_knows_it(void **state)
{
	struct store store = {0};
	char etag[TS_LOCALAPI_ETAG_CAP];
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), &env, &store);
	s = ask(&b, "GET", "serve-config", NULL);
	assert_string_equal(s.text, "null");
	assert_int_equal(strlen(s.etag), 64);
	snprintf(etag, sizeof(etag), "%s", s.etag);
	said_clear(&s);
	s = ask(&b, "POST", "serve-config", "{\"TCP\":[]}");
	assert_int_equal(s.status, 500);
	check_at(s.json, "error", "decoding config: TCP: is not an object");
	assert_null(store.serve);
	said_clear(&s);
	bench_ask(&b, (struct asks){.method = "POST", .path = "serve-config",
				    .body = "{\"TCP\":{}}",
				    .if_match = "00"}, &s);
	assert_int_equal(s.status, 412);
	said_clear(&s);
	bench_ask(&b, (struct asks){.method = "POST", .path = "serve-config",
				    .body = "{\"TCP\":{}}",
				    .if_match = etag}, &s);
	assert_int_equal(s.status, 200);
	assert_string_equal(store.serve, "{}");
	said_clear(&s);
	s = ask(&b, "GET", "serve-config", NULL);
	assert_string_equal(s.text, "{}");
	assert_string_not_equal(s.etag, etag);
	said_clear(&s);
	s = ask(&b, "POST", "serve-config", SERVE_TEXT);
	assert_int_equal(s.status, 200);
	assert_string_equal(store.serve, SERVE_TEXT);
	said_clear(&s);
	s = ask(&b, "POST", "serve-config",
		"{\"TCP\":{\"80\":{\"TCPForward\":\"x:1\"}}}");
	assert_int_equal(s.status, 500);
	check_at(s.json, "error", "updating config: want to serve \"tcp\", but "
		 "port 80 is already serving \"http\"");
	said_clear(&s);
	free(store.serve);
	bench_close(&b);
}

/* -- serve: sessions, rights, services ------------------------------------ */
static void files_and_sockets_are_for_the_owner(void **state)
{
	static const char *const bodies[] = {
		"{\"Web\":{\"h:80\":{\"Handlers\":{\"/\":{\"Path\":\"/\"}}}}}",
		"{\"Services\":{\"svc:a\":{\"TCP\":{\"80\":{\"TCPForward\":"
		"\"unix:/run/x\"}}}}}",
		"{\"Foreground\":{\"s\":{\"Web\":{\"h:80\":{\"Handlers\":{\"/\":"
		"{\"Proxy\":\"unix:/x\"}}}}}}}",
	};
	struct store store = {0};
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), &env, &store);
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		bench_ask(&b, (struct asks){.method = "POST",
					    .path = "serve-config",
					    .body = bodies[i],
					    .is_operator = true}, &s);
		assert_int_equal(s.status, 401);
		assert_null(store.serve);
		said_clear(&s);
	}
	bench_ask(&b, (struct asks){.method = "POST", .path = "serve-config",
				    .body = SERVE_TEXT, .is_operator = true},
		  &s);
	assert_int_equal(s.status, 200);
	said_clear(&s);
	free(store.serve);
	bench_close(&b);
}

static void a_foreground_lives_as_long_as_its_watcher(void **state)
{
	struct store store = {0};
	char body[256], line[4096];
	struct said watch, s;
	struct bench b;
	json_t *first;
	ssize_t n;

	(void)state;
	bench_open(&b, sim_up(1, NULL), &env, &store);
	for (int round = 0; round < 2; round++) {
		bench_ask(&b, (struct asks){.method = "GET",
					    .path = "watch-ipn-bus",
					    .name = "mask", .value = "2"},
			  &watch);
		n = watch.stream->read(watch.stream->ctx, line, sizeof(line));
		assert_true(n > 0);
		first = json_loadb(line, (size_t)n, JSON_DISABLE_EOF_CHECK,
				   NULL);
		snprintf(body, sizeof(body), "{\"Foreground\":{\"%s\":{\"TCP\":"
			 "{\"80\":{\"HTTP\":true}}},\"nobody\":{\"TCP\":"
			 "{\"81\":{\"HTTP\":true}}}}}",
			 json_string_value(json_object_get(first,
							   "SessionID")));
		json_decref(first);
		s = ask(&b, "POST", "serve-config", body);
		assert_int_equal(s.status, 200);
		said_clear(&s);
		assert_true(ts_serve_has_port(ts_node_serve(b.sim->nodes[0].node), 80));
		assert_false(ts_serve_has_port(ts_node_serve(b.sim->nodes[0].node), 81));
		if (round == 0) { /* who takes it away ends the stream */
			s = ask(&b, "POST", "serve-config", "{}");
			said_clear(&s);
			do {
				n = watch.stream->read(watch.stream->ctx, line,
						       sizeof(line));
			} while (n > 0);
			assert_int_equal(n, -1);
		}
		watch.stream->close(watch.stream->ctx);
		watch.stream = NULL;
		assert_false(ts_serve_has_port(ts_node_serve(b.sim->nodes[0].node), 80));
		said_clear(&watch);
	}
	assert_string_equal(store.serve, "{}");
	free(store.serve);
	bench_close(&b);
}

static void services_are_offered_by_a_preference(void **state)
{
	struct ts_c2n_request rq = {.method = "GET", .path = "/vip-services"};
	struct ts_c2n_reply reply = {0};
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	s = ask(&b, "PATCH", "prefs", "{\"AdvertiseServices\":[\"svc:x\"],"
				      "\"AdvertiseServicesSet\":true}");
	assert_int_equal(s.status, 200);
	said_clear(&s);
	ts_localapi_c2n(b.sim->nodes[0].node, NULL, NULL, &rq, &reply, 0);
	assert_non_null(strstr(reply.body,
			       "{\"VIPServices\":[{\"Name\":\"svc:x\",\"Ports\":"
			       "null,\"Active\":true}],\"ServicesHash\":\""));
	free(reply.body);
	bench_close(&b);
}

/* -- debug, people, the server -------------------------------------------- */
static struct said debug(struct bench *b, const char *action)
{
	struct said s;

	bench_ask(b, (struct asks){.method = "POST", .path = "debug",
				   .name = "action", .value = action}, &s);
	assert_int_equal(s.calls, 1);
	return s;
}

static void debug_actions_answer(void **state)
{
	struct store store = {0};
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(3, NULL), &env, &store);
	s = debug(&b, "current-netmap");
	check_number(s.json, "Peers/0/ID", 2);
	check_number(s.json, "Peers/1/ID", 3);
	check_at(s.json, "DERPMap/Regions/1/RegionCode", "sim");
	check_number(s.json, "PacketFilterRules/0/DstPorts/0/Ports/Last",
		     65535);
	said_clear(&s);
	s = debug(&b, "control-knobs");
	assert_true(json_is_false(json_object_get(s.json, "SilentDisco")));
	said_clear(&s);
	s = debug(&b, "peer-disco-keys");
	assert_int_equal(json_object_size(s.json), 2);
	said_clear(&s);
	s = debug(&b, "statedir");
	assert_string_equal(json_string_value(s.json), "/var/lib/x");
	said_clear(&s);
	s = debug(&b, "restun");
	assert_string_equal(s.text, "done\n");
	said_clear(&s);
	s = debug(&b, "force-netmap-update");
	assert_int_equal(s.status, 200);
	assert_true(b.sim->nodes[0].control->network_changed);
	said_clear(&s);
	s = debug(&b, NULL);
	assert_string_equal(s.text, "missing parameter 'action'\n");
	said_clear(&s);
	s = debug(&b, "format-disk");
	assert_int_equal(s.status, 400);
	said_clear(&s);
	bench_close(&b);
}

static struct said with_id(struct bench *b, const char *path, const char *id)
{
	struct said s;

	bench_ask(b, (struct asks){.method = "GET", .path = path,
				   .name = "id", .value = id}, &s);
	return s;
}

static void nodes_and_users_are_found_by_id(void **state)
{
	static const char *const bad[] = {NULL, "", "x", "0", "-1", "1x",
					  "99999999999999999999"};
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(2, NULL), NULL, NULL);
	s = with_id(&b, "peer-by-id", "2");
	check_at(s.json, "Name", "n1.tail.example.");
	said_clear(&s);
	s = with_id(&b, "user-profile", "100");
	check_at(s.json, "LoginName", "ann@example.com");
	said_clear(&s);
	s = with_id(&b, "peer-by-id", "77");
	assert_int_equal(s.status, 404);
	said_clear(&s);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		s = with_id(&b, i % 2 ? "peer-by-id" : "user-profile", bad[i]);
		assert_int_equal(s.status, 400);
		said_clear(&s);
	}
	bench_close(&b);
}

static void the_server_is_asked_for_an_id_token(void **state)
{
	struct ts_control *c;
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	c = b.sim->nodes[0].control;
	bench_ask(&b, (struct asks){.method = "GET", .path = "id-token",
				    .name = "aud", .value = "me"}, &s);
	assert_int_equal(s.calls, 0);
	assert_string_equal(c->request_path, "/machine/id-token");
	assert_non_null(strstr(c->request, "\"Audience\":\"me\""));
	c->reply(c->reply_ctx, 200, "{\"id_token\":\"t\"}", 16, NULL);
	check_at(s.json, "id_token", "t");
	said_clear(&s);
	bench_ask(&b, (struct asks){.method = "GET", .path = "id-token",
				    .name = "aud", .value = "me"}, &s);
	c->reply(c->reply_ctx, 0, NULL, 0, "gone");
	assert_int_equal(s.status, 500);
	assert_string_equal(s.text, "gone\n");
	said_clear(&s);
	bench_ask(&b, (struct asks){.method = "GET", .path = "id-token",
				    .name = "aud", .value = "  "}, &s);
	assert_int_equal(s.status, 400);
	said_clear(&s);
	bench_close(&b);
}

static void an_earlier_expiry_is_asked_for(void **state)
{
	static const char refusal[] = "{\"Error\":\"too\\u001b[2J late\\nOK\"}";
	struct ts_control *c;
	struct bench b;
	struct said s;
	struct asks asks = {.method = "POST", .path = "set-expiry-sooner",
			    .name = "expiry", .value = "1900000000"};

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	c = b.sim->nodes[0].control;
	bench_ask(&b, asks, &s);
	assert_int_equal(c->expire_at, 1900000000);
	c->reply(c->reply_ctx, 200, "{}", 2, NULL);
	assert_string_equal(s.text, "done\n");
	said_clear(&s);
	bench_ask(&b, asks, &s);
	c->reply(c->reply_ctx, 200, refusal, sizeof(refusal) - 1, NULL);
	assert_int_equal(s.status, 400);
	assert_string_equal(s.text, "too [2J late OK\n");
	said_clear(&s);
	asks.value = "soon";
	bench_ask(&b, asks, &s);
	assert_int_equal(s.status, 400);
	said_clear(&s);
	asks.value = "1900000000";
	c->state = TS_CONTROL_CONNECTING;
	bench_ask(&b, asks, &s);
	assert_int_equal(s.status, 503);
	said_clear(&s);
	bench_close(&b);
}

static void services_are_what_the_tailnet_lets_us_see(void **state)
{
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	sim_set_extra(b.sim, 0,
		      json_pack("{s:{s:[{s:s}],s:[i],s:[{s:s}]}}", "CapMap",
				"services/1", "Name", "svc:a", "services/2", 7,
				"other", "Name", "svc:b"));
	sim_map(&b.sim->nodes[0],
		json_pack("{s:o}", "Node", sim_node_json(b.sim, 0)));
	s = ask(&b, "GET", "services", NULL);
	assert_int_equal(json_object_size(s.json), 1);
	check_at(s.json, "svc:a/Name", "svc:a");
	said_clear(&s);
	s = ask(&b, "POST", "bugreport", NULL);
	assert_int_equal(strncmp(s.text, "BUG-", 4), 0);
	said_clear(&s);
	bench_close(&b);
}

/* Any local user may send them, and each leaves lines in the log. */
static void reports_do_not_fill_the_log(void **state)
{
	struct bench b;
	int answered = 0;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	for (int i = 0; i < 200; i++) {
		bench_ask(&b, (struct asks){.method = "POST",
					    .path = "bugreport",
					    .is_reader = true}, &s);
		assert_true(s.status == 200 || s.status == 429);
		answered += s.status == 200;
		said_clear(&s);
	}
	assert_in_range(answered, 1, 100);
	b.sim->now_ms += 1000;
	s = ask(&b, "POST", "bugreport", NULL);
	assert_int_equal(s.status, 200);
	said_clear(&s);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(down_is_off_the_tailnet_and_up_is_back),
		cmocka_unit_test(names_flags_and_tags_go_to_the_server),
		cmocka_unit_test(accepted_routes_follow_at_once),
		cmocka_unit_test(the_answer_is_the_new_preferences),
		cmocka_unit_test(what_would_have_no_effect_is_refused),
		cmocka_unit_test(bodies_that_are_no_objects_are_refused),
		cmocka_unit_test(readers_change_nothing),
		cmocka_unit_test(reports_do_not_fill_the_log),
		cmocka_unit_test(a_start_takes_preferences_and_a_key),
		cmocka_unit_test(a_login_anew_uses_the_key_of_the_start),
		cmocka_unit_test(a_start_that_cannot_be_changes_nothing),
		cmocka_unit_test(
			a_logout_is_answered_when_the_server_has_been_told),
		cmocka_unit_test(a_logout_that_stays_unanswered_says_so),
		cmocka_unit_test(profiles_are_the_engines),
		cmocka_unit_test(
			a_serve_config_is_replaced_by_who_knows_it),
		cmocka_unit_test(files_and_sockets_are_for_the_owner),
		cmocka_unit_test(a_foreground_lives_as_long_as_its_watcher),
		cmocka_unit_test(services_are_offered_by_a_preference),
		cmocka_unit_test(debug_actions_answer),
		cmocka_unit_test(nodes_and_users_are_found_by_id),
		cmocka_unit_test(the_server_is_asked_for_an_id_token),
		cmocka_unit_test(an_earlier_expiry_is_asked_for),
		cmocka_unit_test(services_are_what_the_tailnet_lets_us_see),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
