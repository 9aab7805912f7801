/* SPDX-License-Identifier: BSD-3-Clause
 * The whole client against a scripted server: our responder, nghttp2's server
 * session, virtual time.
 */
#include "unit/control/control_server.h"

static const char *text_of(const json_t *json, const char *name)
{
	const char *text = json_string_value(json_object_get(json, name));

	assert_non_null(text);
	return text;
}

static void login_by_key_then_map_then_update(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *request, *map;
	struct ts_control_identity identity;
	json_t *json;

	(void)state;
	lab_start(lab);
	assert_string_equal(lab->key_url,
			    "http://127.0.0.1:8080/key?v=145");
	assert_int_equal(lab->target_count, 1);
	assert_false(lab->targets[0].tls);
	assert_int_equal(lab->targets[0].port, 8080);
	assert_int_equal(lab->state, TS_CONTROL_REGISTERING);

	request = lab_expect(lab, "/machine/register");
	assert_int_equal(request->lb_count, 1);
	json = lab_json(request);
	assert_string_equal(text_of(json_object_get(json, "Auth"), "AuthKey"),
			    "tskey-auth-test");
	assert_string_equal(text_of(json, "Followup"), "");
	assert_string_equal(text_of(json, "Expiry"), "0001-01-01T00:00:00Z");
	assert_string_equal(
		text_of(json_object_get(json, "Hostinfo"), "Hostname"),
		"shim-test");
	json_decref(json);
	lab_reply(lab, request, "200", LAB_REGISTERED);
	assert_int_equal(lab->persists, 1);
	assert_int_equal(lab->state, TS_CONTROL_STARTING_MAP);

	map = lab_expect(lab, "/machine/map");
	json = lab_json(map);
	assert_true(json_is_true(json_object_get(json, "Stream")));
	assert_string_equal(text_of(json, "Compress"), "zstd");
	json_decref(json);
	assert_null(lab_next(lab)); /* the stream starts first */
	lab_map(lab, map, LAB_FIRST_MAP);
	assert_int_equal(lab->state, TS_CONTROL_RUNNING);
	assert_true(lab->changes & TS_CHANGED_FIRST);
	assert_true(lab->changes & TS_CHANGED_SELF);

	request = lab_expect(lab, "/machine/map");
	json = lab_json(request);
	assert_null(json_object_get(json, "Stream"));
	assert_true(json_is_true(json_object_get(json, "OmitPeers")));
	json_decref(json);
	lab_reply(lab, request, "200", "{}");
	assert_null(lab_next(lab));

	ts_control_identity(lab->c, &identity);
	assert_int_equal(identity.user_id, 9007199254740995);
	assert_string_equal(identity.login_name, "u@x.y");
	assert_string_equal(identity.stable_id, "n1");
	assert_false(ts_private_key_is_zero(&identity.node_key));
	assert_int_equal(lab->errors, 0);
	lab_free(lab);
}

static void a_server_without_early_payload_works_byte_by_byte(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	lab->no_early = true;
	lab->piece = 1;
	lab_up(lab);
	lab_free(lab);
}

static void a_wrong_key_fails_with_the_servers_words_once(void **state)
{
	static const char refusal[] =
		"{\"Error\":\"invalid key: API key tskey-auth-test not "
		"valid\"}";
	struct lab *lab = lab_new();
	struct lab_request *request;

	(void)state;
	lab_start(lab);
	for (int i = 0; i < 4; i++) {
		request = lab_expect(lab, "/machine/register");
		lab_reply(lab, request, "200", refusal);
		assert_int_equal(lab->state, TS_CONTROL_FAILED);
		assert_string_equal(lab->error,
				    "invalid key: API key tskey-auth-test "
				    "not valid");
		lab_sleep(lab, 1000);
	}
	assert_int_equal(lab->errors, 1);
	assert_int_equal(lab->persists, 0);
	/* The key was fixed on the server: it goes on. */
	lab_sleep(lab, 1000);
	request = lab_expect(lab, "/machine/register");
	lab_reply(lab, request, "200", LAB_REGISTERED);
	assert_int_equal(lab->state, TS_CONTROL_STARTING_MAP);
	lab_free(lab);
}

static void auth_url_is_published_once_and_followed_up(void **state)
{
	static const char visit[] =
		"{\"AuthURL\":\"https://login.example/a/1\"}";
	struct lab *lab = lab_new();
	struct ts_control_config config = lab_config(lab);
	struct lab_request *request;
	json_t *json;
	char key[TS_KEY_TEXT_CAP];

	(void)state;
	config.auth_key = NULL;
	lab_start_with(lab, &config);
	request = lab_expect(lab, "/machine/register");
	json = lab_json(request);
	assert_null(json_object_get(json, "Auth"));
	snprintf(key, sizeof(key), "%s", text_of(json, "NodeKey"));
	json_decref(json);
	lab_reply(lab, request, "200", visit);
	assert_int_equal(lab->state, TS_CONTROL_NEEDS_LOGIN);
	assert_string_equal(lab->auth_url, "https://login.example/a/1");

	request = lab_expect(lab, "/machine/register");
	json = lab_json(request);
	assert_string_equal(text_of(json, "Followup"),
			    "https://login.example/a/1");
	assert_string_equal(text_of(json, "NodeKey"), key);
	json_decref(json);
	/* Nobody came: the same URL again is waited for again, quietly. */
	lab_reply(lab, request, "200", visit);
	lab_sleep(lab, 100);
	request = lab_expect(lab, "/machine/register");
	assert_int_equal(lab->auth_urls, 1);
	/* The connection is lost while waiting: the visit still counts. */
	lab_server_closes(lab, NULL);
	assert_int_equal(lab->state, TS_CONTROL_NEEDS_LOGIN);
	lab_sleep(lab, 100);
	request = lab_expect(lab, "/machine/register");
	json = lab_json(request);
	assert_string_equal(text_of(json, "NodeKey"), key);
	json_decref(json);
	lab_reply(lab, request, "200", LAB_REGISTERED);
	assert_int_equal(lab->state, TS_CONTROL_STARTING_MAP);
	assert_int_equal(lab->auth_urls, 1);
	lab_free(lab);
}

static void an_expired_node_key_is_replaced_and_retried_once(void **state)
{
	struct lab *lab = lab_new();
	struct ts_control_config config = lab_config(lab);
	struct ts_control_identity identity;
	struct ts_public_key old_pub;
	struct lab_request *request;
	char old_text[TS_KEY_TEXT_CAP];
	json_t *json;

	(void)state;
	ts_private_key_generate(&config.node_key);
	ts_public_key_from_private(&config.node_key, &old_pub);
	ts_public_key_format(&old_pub, TS_PREFIX_NODE, old_text);
	lab_start_with(lab, &config);
	request = lab_expect(lab, "/machine/register");
	json = lab_json(request);
	assert_string_equal(text_of(json, "NodeKey"), old_text);
	json_decref(json);
	lab_reply(lab, request, "200", "{\"NodeKeyExpired\":true}");

	request = lab_expect(lab, "/machine/register"); /* at once */
	assert_int_equal(request->lb_count, 2);
	json = lab_json(request);
	assert_string_equal(text_of(json, "OldNodeKey"), old_text);
	assert_string_not_equal(text_of(json, "NodeKey"), old_text);
	assert_non_null(json_object_get(json, "Auth"));
	json_decref(json);
	lab_reply(lab, request, "200", "{\"NodeKeyExpired\":true}");
	assert_int_equal(lab->state, TS_CONTROL_FAILED);
	ts_control_identity(lab->c, &identity);
	assert_memory_equal(&identity.node_key, &config.node_key,
			    sizeof(config.node_key));
	lab_sleep(lab, 100);
	request = lab_expect(lab, "/machine/register");
	lab_reply(lab, request, "200", LAB_REGISTERED);
	ts_control_identity(lab->c, &identity);
	assert_memory_equal(&identity.old_node_key, &config.node_key,
			    sizeof(config.node_key));
	lab_free(lab);
}

static void rate_limits_are_honoured(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *request;

	(void)state;
	lab_start(lab);
	request = lab_expect(lab, "/machine/register");
	request->reply_ends = true;
	lab_head(lab, request, "429", "17");
	lab_run(lab);
	assert_string_equal(
		lab->error,
		"node registration rate limited; will retry after 17 s");
	lab_sleep(lab, 16999);
	assert_null(lab_next(lab));
	lab_sleep(lab, 1);
	assert_non_null(lab_next(lab));
	lab_free(lab);
}

static void own_expiry_registers_again_with_a_new_key(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *map, *request;
	struct ts_control_identity before, after;

	(void)state;
	map = lab_up(lab);
	ts_control_identity(lab->c, &before);
	lab->wall_s = 1700000000;
	lab_map(lab, map,
		"{\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"a.\","
		"\"KeyExpiry\":\"2023-11-14T22:15:20Z\"}}"); /* in 120 s */
	assert_int_equal(lab->state, TS_CONTROL_RUNNING);
	lab_sleep(lab, 59000);
	lab_map(lab, map, "{\"KeepAlive\":true}");
	assert_int_equal(lab->state, TS_CONTROL_RUNNING);
	lab_sleep(lab, 70000);
	assert_int_equal(lab->state, TS_CONTROL_RUNNING); /* the map's stream */
	request = lab_expect(lab, "/machine/register");
	lab_reply(lab, request, "200", LAB_REGISTERED);
	ts_control_identity(lab->c, &after);
	assert_memory_equal(&after.old_node_key, &before.node_key,
			    sizeof(before.node_key));
	map = lab_expect(lab, "/machine/map");
	lab_map(lab, map, LAB_FIRST_MAP);
	assert_int_equal(lab->state, TS_CONTROL_RUNNING);
	/* The server has to learn what the new key publishes. */
	lab_expect(lab, "/machine/map");
	lab_free(lab);
}

static void updates_are_coalesced_and_the_latest_wins(void **state)
{
	struct ts_net_info info = {.preferred_derp = 1};
	struct lab *lab = lab_new();
	struct lab_request *request;
	json_t *json;

	(void)state;
	lab_up(lab);
	ts_control_set_net_info(lab->c, &info, lab->now_ms);
	request = lab_expect(lab, "/machine/map");
	for (int i = 2; i < 10; i++) {
		info.preferred_derp = i;
		ts_control_set_net_info(lab->c, &info, lab->now_ms);
	}
	ts_control_set_peerapi(lab->c, 1234, 1235, lab->now_ms);
	assert_null(lab_next(lab)); /* one in flight */
	lab_reply(lab, request, "200", "{}");
	request = lab_expect(lab, "/machine/map");
	json = lab_json(request);
	assert_int_equal(
		json_integer_value(json_object_get(
			json_object_get(json_object_get(json, "Hostinfo"),
					"NetInfo"),
			"PreferredDERP")),
		9);
	assert_int_equal(json_array_size(json_object_get(
				 json_object_get(json, "Hostinfo"),
				 "Services")),
			 3);
	json_decref(json);
	lab_reply(lab, request, "200", "{}");
	assert_null(lab_next(lab));
	ts_control_set_net_info(lab->c, &info, lab->now_ms); /* no change */
	assert_null(lab_next(lab));
	lab_free(lab);
}

static void a_refused_update_is_tried_again(void **state)
{
	struct ts_addr endpoint = {.port = 41641};
	int type = 1;
	struct lab *lab = lab_new();
	struct lab_request *request;
	json_t *json;

	(void)state;
	lab_up(lab);
	ts_ip_parse("192.0.2.1", &endpoint.ip);
	ts_control_set_endpoints(lab->c, &endpoint, &type, 1, lab->now_ms);
	request = lab_expect(lab, "/machine/map");
	json = lab_json(request);
	assert_string_equal(
		json_string_value(json_array_get(
			json_object_get(json, "Endpoints"), 0)),
		"192.0.2.1:41641");
	json_decref(json);
	lab_reply(lab, request, "500", "try later");
	assert_int_equal(lab->state, TS_CONTROL_RUNNING);
	lab_sleep(lab, 100);
	lab_expect(lab, "/machine/map");
	lab_free(lab);
}

static void deltas_reach_the_owner(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *map = lab_up(lab);
	const struct ts_netmap *netmap = ts_control_netmap(lab->c);

	(void)state;
	lab->changes = lab->upserts = 0;
	lab_map(lab, map,
		"{\"PeersChanged\":[{\"ID\":9007199254740993,"
		"\"Name\":\"p.ts.net.\",\"Key\":\"nodekey:"
		"1111111111111111111111111111111111111111111111111111111111111"
		"111\",\"Addresses\":[\"100.64.0.2/32\"]}]}");
	assert_int_equal(lab->changes, TS_CHANGED_PEERS);
	assert_int_equal(lab->upserts, 1);
	assert_non_null(ts_netmap_peer_by_id(netmap, 9007199254740993));
	assert_null(ts_netmap_peer_by_id(netmap, 9007199254740992));
	lab_map(lab, map, "{\"PeersRemoved\":[9007199254740993]}");
	assert_int_equal(lab->removals, 1);
	assert_int_equal(lab->removed_id, 9007199254740993);
	assert_int_equal(ts_netmap_peer_count(netmap), 0);
	lab_free(lab);
}

static void a_new_poll_replaces_what_was_known(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *map = lab_up(lab);

	(void)state;
	lab_map(lab, map, "{\"PeersChanged\":[{\"ID\":5},{\"ID\":6}]}");
	lab_server_closes(lab, "reset by peer");
	assert_int_equal(lab->state, TS_CONTROL_CONNECTING);
	assert_string_equal(lab->error, "connection: reset by peer");
	assert_int_equal(ts_netmap_peer_count(ts_control_netmap(lab->c)), 2);
	lab_sleep(lab, 100);
	map = lab_expect(lab, "/machine/map"); /* no register */
	lab_map(lab, map,
		"{\"Node\":{\"ID\":1},\"Peers\":[{\"ID\":6},{\"ID\":7}]}");
	assert_int_equal(lab->removals, 1);
	assert_int_equal(lab->removed_id, 5);
	assert_int_equal(ts_netmap_peer_count(ts_control_netmap(lab->c)), 2);
	assert_int_equal(lab->state, TS_CONTROL_RUNNING);
	lab_free(lab);
}

static void keep_alives_feed_the_watchdog(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *map = lab_up(lab);

	(void)state;
	for (int i = 0; i < 5; i++) {
		lab_sleep(lab, 110000);
		lab_map(lab, map, "{\"KeepAlive\":true}");
	}
	assert_int_equal(lab->state, TS_CONTROL_RUNNING);
	assert_int_equal(lab->hangups, 0);
	lab_sleep(lab, 119000);
	assert_int_equal(lab->hangups, 0);
	lab_sleep(lab, 1001);
	assert_int_equal(lab->hangups, 1);
	assert_string_equal(lab->error, "map: no message for 120 s");
	lab_sleep(lab, 1000);
	lab_expect(lab, "/machine/map"); /* dialed again */
	lab_free(lab);
}

static void a_message_cut_in_the_middle_says_so(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *map = lab_up(lab);
	const uint8_t cut[] = {200, 0, 0, 0, 1, 2, 3};

	(void)state;
	lab_stream(lab, map, cut, sizeof(cut));
	assert_int_equal(lab->state, TS_CONTROL_RUNNING);
	map->reply_ends = true;
	nghttp2_session_resume_data(lab->h2, map->id);
	lab_run(lab);
	assert_string_equal(lab->error, "map: the server ended the stream in "
					"the middle of a message");
	assert_int_equal(lab->hangups, 1);
	lab_free(lab);
}

static void goaway_makes_it_dial_again(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *map = lab_up(lab);

	(void)state;
	(void)map;
	nghttp2_submit_goaway(lab->h2, NGHTTP2_FLAG_NONE, 5, NGHTTP2_NO_ERROR,
			      NULL, 0);
	lab_run(lab);
	assert_int_equal(lab->hangups, 1);
	lab_sleep(lab, 100);
	assert_int_equal(lab->dials, 2);
	lab_expect(lab, "/machine/map");
	lab_free(lab);
}

static void pings_of_the_server_are_answered(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	lab_up(lab);
	nghttp2_submit_ping(lab->h2, NGHTTP2_FLAG_NONE, NULL);
	lab_run(lab);
	assert_int_equal(lab->ping_acks, 1);
	assert_int_equal(lab->ping_probes, 0);
	lab_sleep(lab, 60000); /* idle: it probes us */
	assert_int_equal(lab->ping_probes, 1);
	assert_int_equal(lab->hangups, 0);
	lab_free(lab);
}

static void a_silent_connection_is_noticed_while_waiting_for_login(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	lab_start(lab);
	lab_expect(lab, "/machine/register");
	lab_sleep(lab, 300000); /* the server answers our PINGs */
	assert_int_equal(lab->hangups, 0);
	lab->is_connected = false; /* no byte moves any more */
	lab_sleep(lab, 59000);
	lab->is_connected = true;
	ts_byte_queue_clear(&lab->to_server);
	lab->is_connected = false;
	for (int i = 0; i < 100 && !lab->hangups; i++) {
		uint64_t next = ts_control_deadline_ms(lab->c);

		lab->is_connected = true; /* lab_write() insists */
		lab->now_ms = next;
		ts_control_tick(lab->c, next);
		lab->is_connected = false;
	}
	assert_int_equal(lab->hangups, 1);
	lab_free(lab);
}

static void a_failed_upgrade_fetches_the_key_and_forces_https(void **state)
{
	struct lab *lab = lab_new();
	struct ts_control_config config = lab_config(lab);

	(void)state;
	config.control_url = "https://control.example/";
	lab->no_101 = true;
	lab_start_with(lab, &config);
	assert_int_equal(lab->state, TS_CONTROL_CONNECTING);
	assert_string_equal(lab->error, "upgrade refused: http 502");
	assert_int_equal(lab->target_count, 2);
	assert_int_equal(lab->targets[0].port, 80);
	assert_int_equal(lab->targets[1].port, 443);
	assert_int_equal(lab->targets[1].delay_ms, 500);
	lab->no_101 = false;
	lab->key_url[0] = '\0';
	lab_sleep(lab, 100);
	assert_string_equal(lab->key_url,
			    "https://control.example/key?v=145");
	assert_int_equal(lab->target_count, 1);
	assert_true(lab->targets[0].tls);
	lab_expect(lab, "/machine/register");
	lab_free(lab);
}

static void the_servers_handshake_error_is_shown(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	lab->noise_error = "capability version\ntoo old";
	lab_start(lab);
	assert_string_equal(lab->error,
			    "server error: \"capability version too old\"");
	assert_int_equal(lab->hangups, 1);
	lab_free(lab);
}

static void bad_answers_to_key_are_one_clear_line(void **state)
{
	static const struct {
		int status;
		const char *body, *error, *expected;
	} cases[] = {
		{200, "<html>", NULL,
		 "the answer to /key is not a control server's"},
		{200, "{\"publicKey\":\"mkey:12\"}", NULL,
		 "the answer to /key is not a control server's"},
		{200, "{\"publicKey\":7}", NULL,
		 "the answer to /key is not a control server's"},
		{200, "{}", NULL,
		 "control server is too old; no noise key"},
		{404, "", NULL, "fetching the server's key: http 404"},
		{0, "", "no route to host",
		 "fetching the server's key: no route to host"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lab *lab = lab_new();
		char good[512];

		memcpy(good, lab->key_body, sizeof(good));
		lab->key_status = cases[i].status;
		lab->key_error = cases[i].error;
		snprintf(lab->key_body, sizeof(lab->key_body), "%s",
			 cases[i].body);
		lab_start(lab);
		lab_sleep(lab, 2000);
		assert_string_equal(lab->error, cases[i].expected);
		assert_int_equal(lab->errors, 1);
		assert_int_equal(lab->dials, 0);
		memcpy(lab->key_body, good, sizeof(good));
		lab->key_status = 200;
		lab->key_error = NULL;
		lab_sleep(lab, 10000);
		lab_expect(lab, "/machine/register");
		lab_free(lab);
	}
}

static void refused_dials_back_off_quadratically(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	lab->refuses_dial = true;
	lab_start(lab);
	lab_sleep(lab, 60000);
	/* n^2 * 10 ms: the sum passes 60 s near n = 26 */
	assert_in_range(lab->dials, 15, 45);
	assert_int_equal(lab->errors, 1);
	assert_string_equal(lab->error, "connection: connection refused");
	lab_free(lab);
}

static void a_network_change_dials_at_once(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	lab_up(lab);
	ts_control_network_changed(lab->c, lab->now_ms);
	assert_int_equal(lab->hangups, 1);
	assert_int_equal(lab->dials, 2);
	lab_expect(lab, "/machine/map");
	lab_free(lab);
}

static void logout_sends_the_past_expiry_and_drops_the_keys(void **state)
{
	struct lab *lab = lab_new();
	struct ts_control_identity identity;
	struct lab_request *request;
	json_t *json;

	(void)state;
	lab_up(lab);
	ts_control_logout(lab->c, lab->now_ms);
	request = lab_expect(lab, "/machine/register");
	json = lab_json(request);
	assert_string_equal(text_of(json, "Expiry"), "1970-01-01T00:02:03Z");
	assert_null(json_object_get(json, "Auth"));
	json_decref(json);
	lab_reply(lab, request, "200", "{\"NodeKeyExpired\":true}");
	assert_int_equal(lab->state, TS_CONTROL_LOGGED_OUT);
	ts_control_identity(lab->c, &identity);
	assert_true(ts_private_key_is_zero(&identity.node_key));
	assert_int_equal(ts_control_deadline_ms(lab->c), UINT64_MAX);
	assert_int_equal(lab->hangups, 1);
	lab_free(lab);
}

static void logout_without_a_link_connects_first(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *request;

	(void)state;
	lab_up(lab);
	lab_server_closes(lab, NULL);
	ts_control_logout(lab->c, lab->now_ms);
	request = lab_expect(lab, "/machine/register");
	lab_reply(lab, request, "200", "{\"Error\":\"no such node\"}");
	assert_int_equal(lab->state, TS_CONTROL_LOGGED_OUT);
	assert_string_equal(lab->error, "no such node");
	assert_int_equal(ts_control_deadline_ms(lab->c), UINT64_MAX);
	lab_free(lab);
}

static void an_unknown_node_registers_again(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *request;

	(void)state;
	lab_start(lab);
	lab_reply(lab, lab_expect(lab, "/machine/register"), "200",
		  LAB_REGISTERED);
	request = lab_expect(lab, "/machine/map");
	lab_reply(lab, request, "404", "node not\nfound");
	assert_string_equal(lab->error,
			    "initial fetch failed 404: node not found");
	lab_sleep(lab, 1000);
	lab_expect(lab, "/machine/register");
	lab_free(lab);
}

static void a_first_message_without_node_is_refused(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	lab_start(lab);
	lab_reply(lab, lab_expect(lab, "/machine/register"), "200",
		  LAB_REGISTERED);
	lab_map(lab, lab_expect(lab, "/machine/map"), "{\"Domain\":\"x\"}");
	assert_string_equal(lab->error,
			    "map: initial MapResponse lacked node");
	lab_free(lab);
}

static void sleep_seconds_hold_the_message_and_the_watchdog(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *map = lab_up(lab);
	const struct ts_netmap *netmap = ts_control_netmap(lab->c);

	(void)state;
	lab_map(lab, map,
		"{\"Debug\":{\"SleepSeconds\":1e9,\"Exit\":1},"
		"\"PeersChanged\":[{\"ID\":5}]}");
	lab_map(lab, map, "{\"PeersChanged\":[{\"ID\":6}]}");
	lab_sleep(lab, 299000);
	assert_int_equal(ts_netmap_peer_count(netmap), 0);
	assert_int_equal(lab->hangups, 0);
	lab_sleep(lab, 1000);
	assert_int_equal(ts_netmap_peer_count(netmap), 2);
	assert_int_equal(lab->state, TS_CONTROL_RUNNING);
	lab_free(lab);
}

static void ping_requests_are_answered_once(void **state)
{
	static const char head_ping[] =
		"{\"KeepAlive\":true,\"PingRequest\":{\"URL\":"
		"\"https://unused/machine/ping/1\",\"URLIsNoise\":true}}";
	struct lab *lab = lab_new();
	struct lab_request *map = lab_up(lab), *request;
	static const char c2n[] = "POST /echo?x HTTP/1.1\r\nHost: x\r\n"
				  "Content-Length: 2\r\n\r\nhi";
	char *payload = ts_base64_encode(c2n, strlen(c2n)), json[512];
	const char *body;

	(void)state;
	lab_map(lab, map, head_ping);
	lab_map(lab, map, head_ping);
	request = lab_expect(lab, "/machine/ping/1");
	assert_string_equal(request->method, "HEAD");
	assert_null(lab_next(lab));

	snprintf(json, sizeof(json),
		 "{\"PingRequest\":{\"URL\":\"https://u/c2n/2\",\"Types\":"
		 "\"c2n\",\"Payload\":\"%s\"}}",
		 payload);
	free(payload);
	lab_map(lab, map, json);
	request = lab_expect(lab, "/c2n/2");
	assert_string_equal(request->method, "POST");
	body = (const char *)ts_byte_queue_data(&request->body);
	assert_memory_equal(body, "HTTP/1.1 200 OK\r\n", 17);
	assert_memory_equal(body + ts_byte_queue_len(&request->body) - 6,
			    "\r\n\r\nhi", 6);

	lab_map(lab, map,
		"{\"PingRequest\":{\"URL\":\"https://u/3\",\"Types\":"
		"\"disco,TSMP\",\"IP\":\"100.64.0.9\"}}");
	assert_string_equal(lab->ping_url, "https://u/3");
	assert_string_equal(lab->ping_types, "disco,TSMP");
	lab_free(lab);
}

static void a_page_is_visited_once_and_a_version_is_kept(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *map = lab_up(lab);
	const struct ts_netmap *netmap = ts_control_netmap(lab->c);

	(void)state;
	lab_map(lab, map, "{\"PopBrowserURL\":\"https://a/1\"}");
	lab_map(lab, map, "{\"PopBrowserURL\":\"https://a/1\"}");
	lab_map(lab, map, "{\"PopBrowserURL\":\"javascript:alert(1)\"}");
	assert_int_equal(lab->browses, 1);
	assert_string_equal(lab->browse_url, "https://a/1");
	lab_map(lab, map, "{\"KeepAlive\":true,\"PopBrowserURL\":"
			  "\"http://b/2\"}");
	assert_int_equal(lab->browses, 2);
	assert_null(netmap->client_version);
	lab_map(lab, map, "{\"KeepAlive\":true,\"ClientVersion\":"
			  "{\"LatestVersion\":\"1.2.3\"}}");
	assert_string_equal(json_string_value(json_object_get(
				    netmap->client_version, "LatestVersion")),
			    "1.2.3");
	lab_map(lab, map, "{\"ClientVersion\":7,\"PopBrowserURL\":7}");
	assert_non_null(netmap->client_version);
	lab_free(lab);
}

static void garbage_inside_the_records_ends_the_link(void **state)
{
	/* DATA on stream 0 */
	static const uint8_t garbage[] = {0, 0, 1, 0, 0, 0, 0, 0, 0, 65};
	struct lab *lab = lab_new();

	(void)state;
	lab->no_early = true;
	lab_start(lab);
	lab_expect(lab, "/machine/register");
	lab_send_plain(lab, garbage, sizeof(garbage));
	lab_run(lab);
	assert_int_equal(lab->hangups, 1);
	lab_free(lab);
}

static void garbage_on_the_wire_ends_the_link(void **state)
{
	static const char *const garbage[] = {
		"HTTP/1.1 101 x\r\n\r\n", "SSH-2.0-OpenSSH\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\nhello",
		"HTTP/1.1 101 x\r\nUpgrade: "
		"tailscale-control-protocol\r\n\r\n\x09\x09\x09",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
		struct lab *lab = lab_new();
		struct ts_control_config config = lab_config(lab);

		lab->c = ts_control_new(&config, &LAB_OPS, lab);
		ts_control_start(lab->c, lab->now_ms);
		lab->key_asked = false;
		ts_control_key_fetched(lab->c, 200, lab->key_body,
				       strlen(lab->key_body), NULL,
				       lab->now_ms);
		lab->dial_asked = false;
		lab->is_connected = true;
		ts_control_connected(lab->c, lab->now_ms);
		ts_control_input(lab->c, (const uint8_t *)garbage[i],
				 strlen(garbage[i]), lab->now_ms);
		assert_int_equal(lab->hangups, 1);
		assert_int_equal(lab->errors, 1);
		lab_free(lab);
	}
}

static void garbage_in_the_map_ends_the_link(void **state)
{
	static const char *const messages[] = {
		"", "{", "[]", "{\"Node\":7}", "null x", "{\"Node\":{}}",
		"{\"Peers\":[{]}", "{\"PacketFilter\":[7]}"};

	(void)state;
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		struct lab *lab = lab_new();
		struct lab_request *map = lab_up(lab);

		lab_map(lab, map, messages[i]);
		assert_int_equal(lab->hangups, 1);
		assert_string_equal(lab->error,
				    "map: message: malformed message");
		lab_free(lab);
	}
}

/* Everything that the server says up to a running map, cut at each byte. */
static void a_server_that_dies_at_any_byte_is_survived(void **state)
{
	(void)state;
	for (size_t cut = 0; cut < 1200; cut += 7) {
		struct lab *lab = lab_new();
		struct ts_control_config config = lab_config(lab);
		struct lab_request *request;
		size_t seen = 0;

		lab->piece = 1;
		lab->c = ts_control_new(&config, &LAB_OPS, lab);
		ts_control_start(lab->c, lab->now_ms);
		while (seen < cut && lab_move(lab)) {
			seen++;
			if (lab->next_request < lab->request_count &&
			    lab->requests[lab->next_request].is_complete) {
				request = &lab->requests[lab->next_request++];
				ts_byte_queue_push(&request->reply,
						   LAB_REGISTERED,
						   strlen(LAB_REGISTERED));
				request->reply_ends = true;
				lab_head(lab, request, "200", NULL);
			}
		}
		if (lab->is_connected)
			lab_server_closes(lab, NULL);
		lab_sleep(lab, 500);
		lab_free(lab);
	}
}

static void free_works_at_any_moment(void **state)
{
	(void)state;
	for (int steps = 0; steps < 40; steps++) {
		struct lab *lab = lab_new();
		struct ts_control_config config = lab_config(lab);

		lab->piece = 64;
		lab->c = ts_control_new(&config, &LAB_OPS, lab);
		ts_control_start(lab->c, lab->now_ms);
		for (int i = 0; i < steps && lab_move(lab); i++)
			;
		lab_free(lab);
	}
}

/* A public name with plain HTTP on a port of its own: nobody is on 443. */
static void a_server_without_https_is_found_again(void **state)
{
	struct lab *lab = lab_new();
	struct ts_control_config config = lab_config(lab);

	(void)state;
	config.control_url = "http://control.example:8080";
	lab_start_with(lab, &config);
	lab_expect(lab, "/machine/register");
	lab->refuses_dial = true;
	lab_server_closes(lab, "reset");
	lab_sleep(lab, 1000);
	/* an hour: what is tried is now one, now both */
	for (int i = 0; i < 2; i++) {
		unsigned dials = lab->dials;

		while (lab->dials == dials)
			lab_sleep(lab, 1000);
		if (lab->target_count == 1)
			assert_true(lab->targets[0].tls);
		else
			assert_int_equal(lab->targets[0].port, 8080);
	}
	lab_sleep(lab, 3600 * 1000);
	while (lab->target_count != 2)
		lab_sleep(lab, 1000);
	lab->refuses_dial = false;
	for (int i = 0; i < 120 && lab->target_count != 2; i++)
		lab_sleep(lab, 1000);
	lab_sleep(lab, 120 * 1000);
	lab_expect(lab, "/machine/register");
	lab_free(lab);
}

static void a_server_that_hangs_up_after_the_map_is_not_stormed(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	lab_up(lab);
	lab_server_closes(lab, NULL);
	for (int i = 0; i < 60; i++) {
		struct lab_request *request;

		lab_sleep(lab, 1000);
		request = lab_next(lab);
		if (!request)
			continue;
		lab_map(lab, request, LAB_FIRST_MAP);
		while (lab_next(lab))
			;
		lab_server_closes(lab, NULL);
	}
	/* n^2 * 10 ms: 26 attempts take a minute */
	assert_in_range(lab->dials, 10, 45);
	/* A stream that lives starts the count over. */
	lab_sleep(lab, 60000);
	lab_map(lab, lab_expect(lab, "/machine/map"), LAB_FIRST_MAP);
	lab_sleep(lab, 11000);
	while (lab_next(lab))
		;
	lab_server_closes(lab, NULL);
	lab_sleep(lab, 20);
	lab_expect(lab, "/machine/map");
	lab_free(lab);
}

static void a_server_with_ever_new_auth_urls_is_not_stormed(void **state)
{
	struct lab *lab = lab_new();
	unsigned asked = 0;

	(void)state;
	lab_start(lab);
	for (int i = 0; i < 2000; i++) {
		struct lab_request *request = lab_next(lab);
		char visit[80];

		if (request) {
			snprintf(visit, sizeof(visit),
				 "{\"AuthURL\":\"https://login.example/%u\"}",
				 asked++);
			lab_reply(lab, request, "200", visit);
		} else {
			lab_sleep(lab, 10);
		}
	}
	assert_in_range(asked, 5, 40); /* in up to 20 s */
	lab_free(lab);
}

/* Ticked at its own deadlines the client gets on: running, refused, waiting
 * for an answer; the network is silent from then on. */
static void deadlines_move_on(void **state)
{
	(void)state;
	for (int step = 0; step < 3; step++) {
		struct lab *lab = lab_new();
		unsigned same = 0;

		lab->refuses_dial = step == 1;
		if (step == 0)
			lab_up(lab);
		else
			lab_start(lab);
		for (int i = 0; i < 100000; i++) {
			uint64_t due = ts_control_deadline_ms(lab->c);

			assert_int_not_equal(due, UINT64_MAX);
			same = due > lab->now_ms ? 0 : same + 1;
			assert_true(same < 4);
			if (due > lab->now_ms)
				lab->now_ms = due;
			ts_control_tick(lab->c, lab->now_ms);
			lab->key_asked = lab->dial_asked = false;
		}
		lab_free(lab);
	}
}

/* A laptop slept for eight hours: the dead link is noticed at once. */
static void a_clock_jump_ends_a_silent_link(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	lab_up(lab);
	lab->now_ms += 8ull * 3600 * 1000;
	lab->wall_s += 8 * 3600;
	ts_control_tick(lab->c, lab->now_ms);
	lab_sleep(lab, 1000);
	assert_int_equal(lab->hangups, 1);
	lab_map(lab, lab_expect(lab, "/machine/map"), LAB_FIRST_MAP);
	assert_int_equal(lab->state, TS_CONTROL_RUNNING);
	lab_free(lab);
}

static void a_bad_url_is_refused(void **state)
{
	struct lab *lab = lab_new();
	struct ts_control_config config = lab_config(lab);

	(void)state;
	config.control_url = "ftp://x";
	assert_null(ts_control_new(&config, &LAB_OPS, lab));
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(login_by_key_then_map_then_update),
		cmocka_unit_test(
			a_server_without_early_payload_works_byte_by_byte),
		cmocka_unit_test(a_wrong_key_fails_with_the_servers_words_once),
		cmocka_unit_test(auth_url_is_published_once_and_followed_up),
		cmocka_unit_test(
			an_expired_node_key_is_replaced_and_retried_once),
		cmocka_unit_test(rate_limits_are_honoured),
		cmocka_unit_test(own_expiry_registers_again_with_a_new_key),
		cmocka_unit_test(updates_are_coalesced_and_the_latest_wins),
		cmocka_unit_test(a_refused_update_is_tried_again),
		cmocka_unit_test(deltas_reach_the_owner),
		cmocka_unit_test(a_new_poll_replaces_what_was_known),
		cmocka_unit_test(keep_alives_feed_the_watchdog),
		cmocka_unit_test(a_message_cut_in_the_middle_says_so),
		cmocka_unit_test(goaway_makes_it_dial_again),
		cmocka_unit_test(pings_of_the_server_are_answered),
		cmocka_unit_test(
			a_silent_connection_is_noticed_while_waiting_for_login),
		cmocka_unit_test(
			a_failed_upgrade_fetches_the_key_and_forces_https),
		cmocka_unit_test(the_servers_handshake_error_is_shown),
		cmocka_unit_test(bad_answers_to_key_are_one_clear_line),
		cmocka_unit_test(refused_dials_back_off_quadratically),
		cmocka_unit_test(a_network_change_dials_at_once),
		cmocka_unit_test(
			logout_sends_the_past_expiry_and_drops_the_keys),
		cmocka_unit_test(logout_without_a_link_connects_first),
		cmocka_unit_test(an_unknown_node_registers_again),
		cmocka_unit_test(a_first_message_without_node_is_refused),
		cmocka_unit_test(
			sleep_seconds_hold_the_message_and_the_watchdog),
		cmocka_unit_test(ping_requests_are_answered_once),
		cmocka_unit_test(a_page_is_visited_once_and_a_version_is_kept),
		cmocka_unit_test(garbage_inside_the_records_ends_the_link),
		cmocka_unit_test(garbage_on_the_wire_ends_the_link),
		cmocka_unit_test(garbage_in_the_map_ends_the_link),
		cmocka_unit_test(a_server_that_dies_at_any_byte_is_survived),
		cmocka_unit_test(free_works_at_any_moment),
		cmocka_unit_test(a_server_without_https_is_found_again),
		cmocka_unit_test(
			a_server_that_hangs_up_after_the_map_is_not_stormed),
		cmocka_unit_test(
			a_server_with_ever_new_auth_urls_is_not_stormed),
		cmocka_unit_test(deadlines_move_on),
		cmocka_unit_test(a_clock_jump_ends_a_silent_link),
		cmocka_unit_test(a_bad_url_is_refused),
	};

	return cmocka_run_group_tests(tests, lab_setup, NULL);
}
