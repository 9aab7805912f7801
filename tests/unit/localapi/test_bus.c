/* SPDX-License-Identifier: BSD-3-Clause
 * test_bus.c - watch-ipn-bus: who hears what, and what ends a stream
 */
#include "unit/localapi/api_bench.h"

#include "core/localapi/bus.h"

static void watch(struct bench *b, unsigned long mask, struct said *s)
{
	char text[24];

	snprintf(text, sizeof(text), "%lu", mask);
	bench_ask(b,
		  (struct asks){.method = "GET", .path = "watch-ipn-bus",
				.name = "mask", .value = text},
		  s);
}

/* The next message, which must be there. */
static json_t *next(struct said *s)
{
	bool is_over;
	json_t *news = said_next(s, &is_over);

	assert_non_null(news);
	assert_true(json_is_string(json_object_get(news, "Version")));
	return news;
}

static void check_silent(struct said *s)
{
	bool is_over;
	json_t *news = said_next(s, &is_over);

	if (news)
		fail_msg("unexpected: %s", json_dumps(news, 0));
	assert_false(is_over);
}

static void the_first_message_has_what_was_asked_for(void **state)
{
	struct bench b;
	struct said s;
	json_t *news;

	(void)state;
	bench_open(&b, sim_up(2, NULL), NULL, NULL);
	watch(&b, 0, &s);
	assert_int_equal(s.status, 200);
	assert_string_equal(s.type, "application/json");
	check_silent(&s);
	said_clear(&s);
	watch(&b, BUS_INITIAL_STATE | BUS_INITIAL_PREFS | BUS_INITIAL_NETMAP |
			  BUS_INITIAL_HEALTH, &s);
	news = next(&s);
	check_number(news, "State", TS_RUNNING);
	assert_int_equal(strlen(json_string_value(
				 bench_at(news, "SessionID"))), 32);
	check_at(news, "Prefs/Hostname", "n0");
	check_at(news, "SelfChange/Name", "n0.tail.example.");
	check_at(news, "NetMap/SelfNode/Name", "n0.tail.example.");
	check_at(news, "NetMap/Peers/0/Name", "n1.tail.example.");
	check_at(news, "NetMap/Domain", "tail.example");
	check_at(news, "NetMap/UserProfiles/100/LoginName", "ann@example.com");
	check_at(news, "NetMap/PacketFilterRules/0/DstPorts/0/IP", "0.0.0.0/0");
	assert_true(json_is_object(bench_at(news, "Health/Warnings")));
	assert_null(bench_at(news, "InitialStatus"));
	assert_null(strstr(json_string_value(bench_at(
				   news, "Prefs/Config/PrivateNodeKey")), "a"));
	json_decref(news);
	check_silent(&s);
	said_clear(&s);
	watch(&b, BUS_INITIAL_STATUS, &s);
	news = next(&s);
	check_at(news, "InitialStatus/BackendState", "Running");
	assert_null(bench_at(news, "State"));
	json_decref(news);
	said_clear(&s);
	bench_close(&b);
}

static void masks_that_make_no_sense_are_refused(void **state)
{
	static const char *const bad[] = {"x", "-1", "65536", "4352", "33024",
					  "99999999999999999999"};
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		bench_ask(&b,
			  (struct asks){.method = "GET",
					.path = "watch-ipn-bus",
					.name = "mask", .value = bad[i]},
			  &s);
		assert_int_equal(s.status, 400);
		assert_null(s.stream);
		said_clear(&s);
	}
	bench_close(&b);
}

static void changes_of_state_and_prefs_are_told(void **state)
{
	static const char down[] =
		"{\"WantRunning\":false,\"WantRunningSet\":true}";
	struct said s, patch;
	struct bench b;
	json_t *news;

	(void)state;
	bench_open(&b, sim_up(2, NULL), NULL, NULL);
	watch(&b, 0, &s);
	bench_ask(&b, (struct asks){.method = "PATCH", .path = "prefs",
				    .body = down}, &patch);
	assert_int_equal(patch.status, 200);
	said_clear(&patch);
	assert_true(s.wakes > 0);
	news = next(&s);
	check_number(news, "State", TS_STOPPED);
	json_decref(news);
	news = next(&s);
	assert_true(json_is_false(bench_at(news, "Prefs/WantRunning")));
	json_decref(news);
	check_silent(&s);
	said_clear(&s);
	bench_close(&b);
}

/* A watched node that has no key to log in with. */
static struct ts_control *open_keyless(struct bench *b, struct said *s)
{
	struct sim *sim = sim_new();

	sim_add_node(sim, 0, &(struct sim_options){.no_key = true});
	bench_open(b, sim, NULL, NULL);
	watch(b, 0, s);
	return sim->nodes[0].control;
}

static void a_login_url_and_its_end_are_told(void **state)
{
	struct ts_control *control;
	struct said s;
	struct bench b;
	json_t *news;

	(void)state;
	control = open_keyless(&b, &s);
	control->ops.state_changed(control->ctx, TS_CONTROL_NEEDS_LOGIN, NULL);
	control->ops.auth_url(control->ctx, "https://login/x");
	news = next(&s);
	check_number(news, "State", TS_NEEDS_LOGIN);
	json_decref(news);
	news = next(&s);
	check_at(news, "BrowseToURL", "https://login/x");
	json_decref(news);
	said_clear(&s);
	watch(&b, BUS_INITIAL_STATE, &s);
	news = next(&s);
	check_at(news, "BrowseToURL", "https://login/x");
	json_decref(news);
	sim_register(&b.sim->nodes[0]);
	news = next(&s);
	check_number(news, "State", TS_STARTING);
	json_decref(news);
	news = next(&s);
	assert_true(json_is_object(bench_at(news, "LoginFinished")));
	json_decref(news);
	said_clear(&s);
	bench_close(&b);
}

static void a_refusal_is_an_error_message(void **state)
{
	struct ts_control *control;
	struct said s;
	struct bench b;
	json_t *news;

	(void)state;
	control = open_keyless(&b, &s);
	control->ops.state_changed(control->ctx, TS_CONTROL_FAILED,
				   "invalid key");
	news = next(&s);
	check_at(news, "ErrMessage", "invalid key");
	json_decref(news);
	said_clear(&s);
	bench_close(&b);
}

static void tell_again(struct bench *b, int peer)
{
	json_t *list = json_array();

	json_array_append_new(list, sim_node_json(b->sim, peer));
	sim_map(&b->sim->nodes[0], json_pack("{s:o}", "PeersChanged", list));
}

static void peers_are_told_to_who_wants_them(void **state)
{
	struct said all, patches, none;
	struct bench b;
	json_t *news;

	(void)state;
	bench_open(&b, sim_up(3, NULL), NULL, NULL);
	watch(&b, BUS_PEER_CHANGES, &all);
	watch(&b, BUS_PEER_PATCHES, &patches);
	watch(&b, 0, &none);
	sim_map_text(&b.sim->nodes[0], "{\"OnlineChange\":{\"2\":false}}");
	news = next(&all);
	check_number(news, "PeersChanged/0/ID", 2);
	assert_true(json_is_false(bench_at(news, "PeersChanged/0/Online")));
	check_at(news, "UserProfiles/100/DisplayName", "Ann");
	json_decref(news);
	news = next(&patches);
	check_number(news, "PeerChangedPatch/0/NodeID", 2);
	assert_true(json_is_false(bench_at(news, "PeerChangedPatch/0/Online")));
	check_number(news, "PeerChangedPatch/0/DERPRegion", 1);
	assert_null(bench_at(news, "PeersChanged"));
	json_decref(news);
	check_silent(&none);

	sim_set_extra(b.sim, 2, json_pack("{s:[s]}", "Tags", "tag:new"));
	tell_again(&b, 2);
	news = next(&patches);
	check_at(news, "PeersChanged/0/Tags/0", "tag:new");
	assert_null(bench_at(news, "PeerChangedPatch"));
	json_decref(news);
	json_decref(next(&all));

	sim_map_text(&b.sim->nodes[0], "{\"PeersRemoved\":[2]}");
	news = next(&all);
	check_number(news, "PeersRemoved/0", 2);
	json_decref(news);
	news = next(&patches);
	check_number(news, "PeersRemoved/0", 2);
	json_decref(news);
	check_silent(&none);
	said_clear(&all);
	said_clear(&patches);
	said_clear(&none);
	bench_close(&b);
}

static void health_and_self_are_told(void **state)
{
	struct said plain, actions;
	struct bench b;
	json_t *news;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	watch(&b, 0, &plain);
	watch(&b, BUS_HEALTH_ACTIONS, &actions);
	sim_map_text(&b.sim->nodes[0],
		     "{\"DisplayMessages\":{\"m1\":{\"Title\":\"T\",\"Text\":"
		     "\"X.\",\"Severity\":\"high\",\"PrimaryAction\":{\"URL\":"
		     "\"https://u\",\"Label\":\"Go\"}}}}");
	news = next(&actions);
	check_at(bench_at(news, "Health/Warnings"), "control-health.m1/Title",
		 "T");
	check_at(bench_at(news, "Health/Warnings"),
		 "control-health.m1/PrimaryAction/URL", "https://u");
	json_decref(news);
	news = next(&plain);
	check_at(bench_at(news, "Health/Warnings"), "control-health.m1/Text",
		 "X. Go: https://u");
	assert_null(bench_at(bench_at(news, "Health/Warnings"),
			     "control-health.m1/PrimaryAction"));
	json_decref(news);
	sim_set_extra(b.sim, 0, json_pack("{s:[s]}", "Tags", "tag:me"));
	sim_map(&b.sim->nodes[0],
		json_pack("{s:o}", "Node", sim_node_json(b.sim, 0)));
	news = next(&plain);
	check_at(news, "SelfChange/Tags/0", "tag:me");
	json_decref(news);
	said_clear(&plain);
	said_clear(&actions);
	bench_close(&b);
}

static void the_engine_is_told_in_turn(void **state)
{
	struct bench b;
	struct said s, slow;
	json_t *news;
	uint64_t start;

	(void)state;
	bench_open(&b, sim_up(2, NULL), NULL, NULL);
	sim_dial(b.sim, 0, 1, 5000);
	sim_run(b.sim, 3000);
	assert_true(ts_localapi_deadline_ms(b.api) == UINT64_MAX);
	start = b.sim->now_ms;
	watch(&b, BUS_ENGINE_UPDATES, &s);
	watch(&b, BUS_ENGINE_UPDATES | BUS_RATE_LIMIT, &slow);
	assert_true(ts_localapi_deadline_ms(b.api) == start + 2000);
	ts_localapi_tick(b.api, start + 2000, 0);
	news = next(&s);
	assert_true(json_integer_value(bench_at(news, "Engine/WBytes")) >=
		    5000);
	check_number(news, "Engine/NumLive", 1);
	check_number(news, "Engine/LiveDERPs", 1);
	assert_int_equal(json_object_size(bench_at(news, "Engine/LivePeers")),
			 1);
	json_decref(news);
	check_silent(&slow);
	assert_true(ts_localapi_deadline_ms(b.api) == start + 3000);
	ts_localapi_tick(b.api, start + 3000, 0);
	json_decref(next(&slow));
	check_silent(&s);
	said_clear(&s);
	said_clear(&slow);
	assert_true(ts_localapi_deadline_ms(b.api) == UINT64_MAX);
	bench_close(&b);
}

static void sessions_are_told_when_they_change(void **state)
{
	int64_t at = SIM_WALL_S;
	struct bench b;
	struct said s;
	json_t *news;

	(void)state;
	bench_open(&b, sim_up(2, NULL), NULL, NULL);
	watch(&b, BUS_PEER_STATE, &s);
	check_silent(&s);
	sim_dial(b.sim, 0, 1, 5000);
	sim_run(b.sim, 3000);
	ts_localapi_tick(b.api, b.sim->now_ms, at + 20);
	news = next(&s);
	check_at(bench_at(news, "PeerState"),
		 "n1.tail.example./PeerWireGuardState", "established");
	json_decref(news);
	ts_localapi_tick(b.api, b.sim->now_ms + 2000, at + 22);
	check_silent(&s);
	ts_localapi_tick(b.api, b.sim->now_ms + 4000, at + 400);
	news = next(&s);
	check_at(bench_at(news, "PeerState"),
		 "n1.tail.example./PeerWireGuardState", "expired");
	json_decref(news);
	sim_map_text(&b.sim->nodes[0], "{\"PeersRemoved\":[2]}");
	ts_localapi_tick(b.api, b.sim->now_ms + 6000, at + 402);
	news = next(&s);
	check_at(bench_at(news, "PeerState"),
		 "n1.tail.example./PeerWireGuardState", "none");
	assert_int_equal(strncmp(json_string_value(bench_at(
					 bench_at(news, "PeerState"),
					 "n1.tail.example./"
					 "PeerWireGuardStateAt")), "2025-", 5),
			 0);
	json_decref(news);
	said_clear(&s);
	bench_close(&b);
}

static void a_slow_reader_is_told_and_cut(void **state)
{
	struct said slow, quick;
	struct bench b;
	bool is_over;
	json_t *news;

	(void)state;
	bench_open(&b, sim_up(2, NULL), NULL, NULL);
	watch(&b, BUS_PEER_CHANGES, &slow);
	watch(&b, BUS_PEER_CHANGES, &quick);
	for (int i = 0; i <= BUS_QUEUE_MAX; i++) {
		sim_map_text(&b.sim->nodes[0],
			     i % 2 ? "{\"OnlineChange\":{\"2\":true}}"
				   : "{\"OnlineChange\":{\"2\":false}}");
		json_decref(next(&quick));
	}
	news = next(&slow);
	assert_non_null(strstr(json_string_value(bench_at(news, "ErrMessage")),
			       "too slow"));
	json_decref(news);
	news = said_next(&slow, &is_over);
	assert_null(news);
	assert_true(is_over);
	check_silent(&quick);
	said_clear(&slow);
	said_clear(&quick);
	bench_close(&b);
}

static void watchers_are_limited_and_outlive_the_bus(void **state)
{
	static struct said many[BUS_WATCHERS_MAX], more;
	struct bench b;
	bool is_over;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	for (size_t i = 0; i < BUS_WATCHERS_MAX; i++)
		watch(&b, 0, &many[i]);
	watch(&b, 0, &more);
	assert_int_equal(more.status, 503);
	said_clear(&more);
	said_clear(&many[3]);
	watch(&b, 0, &many[3]);
	assert_int_equal(many[3].status, 200);
	bench_close(&b);
	for (size_t i = 0; i < BUS_WATCHERS_MAX; i++) {
		assert_null(said_next(&many[i], &is_over));
		assert_true(is_over);
		said_clear(&many[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_message_has_what_was_asked_for),
		cmocka_unit_test(masks_that_make_no_sense_are_refused),
		cmocka_unit_test(changes_of_state_and_prefs_are_told),
		cmocka_unit_test(a_login_url_and_its_end_are_told),
		cmocka_unit_test(a_refusal_is_an_error_message),
		cmocka_unit_test(peers_are_told_to_who_wants_them),
		cmocka_unit_test(health_and_self_are_told),
		cmocka_unit_test(the_engine_is_told_in_turn),
		cmocka_unit_test(sessions_are_told_when_they_change),
		cmocka_unit_test(a_slow_reader_is_told_and_cut),
		cmocka_unit_test(watchers_are_limited_and_outlive_the_bus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
