/* SPDX-License-Identifier: BSD-3-Clause
 * Logins that begin while a node is known, auth keys that are made when they
 * are needed, and the ends of a login; against the scripted server.
 */
#include "unit/control/control_server.h"

#define VISIT "{\"AuthURL\":\"https://login.example/a/1\"}"
#define EXPIRED_MAP                                                            \
	"{\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"a.\","           \
	"\"KeyExpiry\":\"2023-11-14T22:13:00Z\"}}"
#define LIVING_MAP                                                             \
	"{\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"a.\"}}"

static char *text_in(const struct lab_request *request, const char *name,
		     char out[static 128])
{
	json_t *json = lab_json(request);
	const char *text = json_string_value(json_object_get(json, name));

	snprintf(out, 128, "%s", text ? text : "");
	json_decref(json);
	return out;
}

static char *auth_key_in(const struct lab_request *request,
			 char out[static 128])
{
	json_t *json = lab_json(request);
	const char *text = json_string_value(json_object_get(
		json_object_get(json, "Auth"), "AuthKey"));

	snprintf(out, 128, "%s", text ? text : "");
	json_decref(json);
	return out;
}

static char *own_key(struct lab *lab, char out[static TS_KEY_TEXT_CAP])
{
	struct ts_control_identity identity;
	struct ts_public_key key;

	ts_control_identity(lab->c, &identity);
	ts_public_key_from_private(&identity.node_key, &key);
	return ts_public_key_format(&key, TS_PREFIX_NODE, out);
}

static bool has_own_key(struct lab *lab)
{
	struct ts_control_identity identity;

	ts_control_identity(lab->c, &identity);
	return !ts_private_key_is_zero(&identity.node_key);
}

static void a_person_logs_in_beside_the_map(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *map = lab_up(lab), *request;
	char before[TS_KEY_TEXT_CAP], after[TS_KEY_TEXT_CAP], text[128];

	(void)state;
	own_key(lab, before);
	ts_control_login_interactive(lab->c, lab->now_ms);
	request = lab_expect(lab, "/machine/register");
	assert_string_equal(auth_key_in(request, text), "");
	assert_string_equal(text_in(request, "OldNodeKey", text), before);
	assert_string_not_equal(text_in(request, "NodeKey", text), before);
	lab_reply(lab, request, "200", VISIT);
	assert_string_equal(lab->auth_url, "https://login.example/a/1");
	assert_int_equal(lab->state, TS_CONTROL_RUNNING);

	/* Asked for again, the same address is told again. */
	ts_control_login_interactive(lab->c, lab->now_ms);
	assert_int_equal(lab->auth_urls, 2);
	request = lab_expect(lab, "/machine/register");
	text_in(request, "NodeKey", text);
	lab_map(lab, map, "{\"PeersChanged\":[{\"ID\":5}]}");
	assert_int_equal(lab->upserts, 1); /* the map goes on */
	assert_string_equal(own_key(lab, after), before);

	lab_reply(lab, request, "200", LAB_REGISTERED);
	assert_string_equal(own_key(lab, after), text);
	assert_int_equal(lab->persists, 2);
	assert_true(map->is_reset);
	map = lab_expect(lab, "/machine/map");
	assert_string_equal(text_in(map, "NodeKey", text), after);
	lab_map(lab, map, LAB_FIRST_MAP);
	assert_int_equal(lab->state, TS_CONTROL_RUNNING);
	lab_free(lab);
}

static void a_login_survives_the_links_end(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *request;
	char key[128], text[128];

	(void)state;
	lab_up(lab);
	ts_control_login_interactive(lab->c, lab->now_ms);
	request = lab_expect(lab, "/machine/register");
	text_in(request, "NodeKey", key);
	lab_reply(lab, request, "200", VISIT);
	lab_server_closes(lab, NULL);
	lab_sleep(lab, 100);
	/* The login first, then the map. */
	request = lab_expect(lab, "/machine/register");
	assert_string_equal(text_in(request, "NodeKey", text), key);
	assert_string_equal(text_in(request, "Followup", text),
			    "https://login.example/a/1");
	lab_map(lab, lab_expect(lab, "/machine/map"), LAB_FIRST_MAP);
	assert_int_equal(lab->state, TS_CONTROL_RUNNING);
	lab_free(lab);
}

static void a_refused_login_leaves_what_runs(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *map = lab_up(lab), *request;
	char before[TS_KEY_TEXT_CAP], after[TS_KEY_TEXT_CAP], text[128];

	(void)state;
	own_key(lab, before);
	assert_int_equal(ts_control_login(lab->c, "tskey-auth-other", true,
					  lab->now_ms),
			 0);
	request = lab_expect(lab, "/machine/register");
	assert_string_equal(auth_key_in(request, text), "tskey-auth-other");
	lab_reply(lab, request, "200", "{\"Error\":\"invalid key\"}");
	assert_int_equal(lab->state, TS_CONTROL_RUNNING);
	assert_string_equal(lab->error, "invalid key");
	assert_string_equal(own_key(lab, after), before);
	assert_false(map->is_reset);
	lab_free(lab);
}

static void a_key_ends_the_wait_for_a_person(void **state)
{
	struct lab *lab = lab_new();
	struct ts_control_config config = lab_config(lab);
	struct lab_request *request, *waiting;
	char text[128];

	(void)state;
	config.auth_key = NULL;
	lab_start_with(lab, &config);
	lab_reply(lab, lab_expect(lab, "/machine/register"), "200", VISIT);
	waiting = lab_expect(lab, "/machine/register");
	assert_int_equal(lab->state, TS_CONTROL_NEEDS_LOGIN);
	assert_int_equal(ts_control_login(lab->c, "", false, lab->now_ms),
			 -EINVAL);
	assert_int_equal(ts_control_login(lab->c, "tskey-auth-late", false,
					  lab->now_ms),
			 0);
	request = lab_expect(lab, "/machine/register");
	assert_true(waiting->is_reset);
	assert_string_equal(auth_key_in(request, text), "tskey-auth-late");
	assert_string_equal(text_in(request, "Followup", text), "");
	lab_reply(lab, request, "200", LAB_REGISTERED);
	assert_int_equal(lab->state, TS_CONTROL_STARTING_MAP);
	lab_free(lab);
}

static void a_known_node_keeps_a_key_for_later(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *map = lab_up(lab);
	char text[128];

	(void)state;
	assert_int_equal(ts_control_login(lab->c, "tskey-auth-later", false,
					  lab->now_ms),
			 0);
	assert_null(lab_next(lab));
	assert_int_equal(lab->state, TS_CONTROL_RUNNING);
	lab_map(lab, map, EXPIRED_MAP);
	lab_sleep(lab, 100);
	assert_string_equal(auth_key_in(lab_expect(lab, "/machine/register"),
					text),
			    "tskey-auth-later");
	lab_free(lab);
}

/* A key for one login is of no use for the second one. */
static void a_used_key_makes_a_person_log_in(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *map = lab_up(lab), *request;
	char text[128];

	(void)state;
	lab_map(lab, map, EXPIRED_MAP);
	lab_sleep(lab, 100);
	request = lab_expect(lab, "/machine/register");
	assert_string_equal(auth_key_in(request, text), "tskey-auth-test");
	lab_reply(lab, request, "200", "{\"Error\":\"key already used\"}");
	assert_string_equal(lab->error, "key already used");
	lab_sleep(lab, 1000);
	request = lab_expect(lab, "/machine/register");
	assert_string_equal(auth_key_in(request, text), "");
	lab_reply(lab, request, "200", VISIT);
	assert_string_equal(lab->auth_url, "https://login.example/a/1");
	lab_free(lab);
}

static void a_key_that_lives_longer_ends_the_login(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *map = lab_up(lab), *request;
	char before[TS_KEY_TEXT_CAP], after[TS_KEY_TEXT_CAP];

	(void)state;
	own_key(lab, before);
	lab_map(lab, map, EXPIRED_MAP);
	lab_sleep(lab, 100);
	lab_reply(lab, lab_expect(lab, "/machine/register"), "200", VISIT);
	assert_int_equal(lab->auth_urls, 1);
	request = lab_expect(lab, "/machine/register");
	lab_map(lab, map, LIVING_MAP);
	lab_sleep(lab, 1000);
	assert_true(request->is_reset);
	assert_null(lab_next(lab));
	assert_string_equal(own_key(lab, after), before);
	assert_int_equal(lab->state, TS_CONTROL_RUNNING);
	lab_free(lab);
}

/* -- keys that are made --------------------------------------------------- */

static void start_with_made_keys(struct lab *lab, bool is_known)
{
	struct ts_control_config config = lab_config(lab);

	config.auth_key = NULL;
	config.mints_auth_key = true;
	if (is_known)
		ts_private_key_generate(&config.node_key);
	lab_start_with(lab, &config);
	lab_run(lab);
}

static void a_key_is_made_when_a_login_needs_one(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *request, *map;
	char text[128];

	(void)state;
	start_with_made_keys(lab, false);
	assert_int_equal(lab->key_wants, 1);
	assert_null(lab_next(lab));
	lab_sleep(lab, 50000);
	assert_int_equal(lab->key_wants, 1);
	ts_control_auth_key_failed(lab->c, "nobody there", false, lab->now_ms);
	assert_int_equal(lab->state, TS_CONTROL_REGISTERING);
	assert_string_equal(lab->error, "nobody there");
	ts_control_auth_key_failed(lab->c, "no such secret", true,
				   lab->now_ms);
	assert_int_equal(lab->state, TS_CONTROL_FAILED);
	assert_string_equal(lab->error, "no such secret");
	ts_control_auth_key_made(lab->c, "tskey-auth-1", lab->now_ms);
	request = lab_expect(lab, "/machine/register");
	assert_string_equal(auth_key_in(request, text), "tskey-auth-1");
	lab_reply(lab, request, "200", LAB_REGISTERED);
	map = lab_expect(lab, "/machine/map");
	lab_map(lab, map, LAB_FIRST_MAP);
	assert_int_equal(lab->key_wants, 1);
	lab_reply(lab, lab_expect(lab, "/machine/map"), "200", "{}");

	/* It was good for one login: the next one needs another. */
	lab_map(lab, map, EXPIRED_MAP);
	lab_sleep(lab, 100);
	assert_int_equal(lab->key_wants, 2);
	assert_null(lab_next(lab));
	ts_control_auth_key_made(lab->c, "tskey-auth-2", lab->now_ms);
	request = lab_expect(lab, "/machine/register");
	assert_string_equal(auth_key_in(request, text), "tskey-auth-2");
	lab_free(lab);
}

static void a_known_node_needs_no_made_key(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *request;
	char text[128];

	(void)state;
	start_with_made_keys(lab, true);
	request = lab_expect(lab, "/machine/register");
	assert_string_equal(auth_key_in(request, text), "");
	assert_int_equal(lab->key_wants, 0);
	lab_reply(lab, request, "200", "{\"NodeKeyExpired\":true}");
	assert_int_equal(lab->key_wants, 1);
	ts_control_auth_key_made(lab->c, "tskey-auth-1", lab->now_ms);
	assert_string_equal(auth_key_in(lab_expect(lab, "/machine/register"),
					text),
			    "tskey-auth-1");
	lab_free(lab);
}

static void a_refused_made_key_is_not_made_again_at_once(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	start_with_made_keys(lab, false);
	ts_control_auth_key_made(lab->c, "tskey-auth-1", lab->now_ms);
	lab_reply(lab, lab_expect(lab, "/machine/register"), "200",
		  "{\"Error\":\"tags not permitted\"}");
	assert_string_equal(lab->error, "tags not permitted");
	lab_sleep(lab, 299000);
	assert_int_equal(lab->key_wants, 1);
	lab_sleep(lab, 1000);
	assert_int_equal(lab->key_wants, 2);
	lab_free(lab);
}

static void a_person_may_log_in_in_place_of_a_made_key(void **state)
{
	struct lab *lab = lab_new();
	char text[128];

	(void)state;
	start_with_made_keys(lab, false);
	ts_control_login_interactive(lab->c, lab->now_ms);
	assert_string_equal(auth_key_in(lab_expect(lab, "/machine/register"),
					text),
			    "");
	lab_free(lab);
}

/* -- logout --------------------------------------------------------------- */

static void logout_forgets_the_tailnet(void **state)
{
	struct lab *lab = lab_new();
	struct lab_request *map = lab_up(lab), *request;
	const struct ts_netmap *netmap = ts_control_netmap(lab->c);

	(void)state;
	lab_map(lab, map, "{\"PeersChanged\":[{\"ID\":5},{\"ID\":6},"
			  "{\"ID\":7}]}");
	ts_control_logout(lab->c, lab->now_ms);
	request = lab_expect(lab, "/machine/register");
	lab->changes = 0;
	lab_reply(lab, request, "200", "{\"NodeKeyExpired\":true}");
	assert_int_equal(lab->state, TS_CONTROL_LOGGED_OUT);
	assert_int_equal(lab->removals, 3);
	assert_int_equal(ts_netmap_peer_count(netmap), 0);
	assert_null(netmap->self);
	assert_null(netmap->domain);
	assert_true(lab->changes & TS_CHANGED_SELF);
	assert_int_equal(lab->persists, 2);

	/* Whoever logs in then begins anew. */
	assert_int_equal(ts_control_login(lab->c, "tskey-auth-2", false,
					  lab->now_ms),
			 0);
	lab_reply(lab, lab_expect(lab, "/machine/register"), "200",
		  LAB_REGISTERED);
	lab_map(lab, lab_expect(lab, "/machine/map"), LAB_FIRST_MAP);
	assert_int_equal(lab->state, TS_CONTROL_RUNNING);
	lab_free(lab);
}

static void logout_ends_without_a_server_too(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	lab_up(lab);
	lab_server_closes(lab, NULL);
	lab->refuses_dial = true;
	ts_control_logout(lab->c, lab->now_ms);
	lab_sleep(lab, 14000);
	assert_true(has_own_key(lab));
	lab_sleep(lab, 1000);
	assert_false(has_own_key(lab));
	assert_int_equal(lab->state, TS_CONTROL_LOGGED_OUT);
	assert_non_null(strstr(lab->error, "could not be told"));
	assert_non_null(strstr(lab->error, "connection refused"));
	assert_int_equal(ts_control_deadline_ms(lab->c), UINT64_MAX);
	lab_free(lab);
}

static void logout_is_tried_again_after_a_servers_fault(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	lab_up(lab);
	ts_control_logout(lab->c, lab->now_ms);
	lab_reply(lab, lab_expect(lab, "/machine/register"), "503", "busy");
	assert_true(has_own_key(lab));
	lab_sleep(lab, 1000);
	lab_reply(lab, lab_expect(lab, "/machine/register"), "200", "{}");
	assert_int_equal(lab->state, TS_CONTROL_LOGGED_OUT);
	lab_free(lab);
}

static void logout_does_not_wait_for_a_key(void **state)
{
	struct lab *lab = lab_new();

	(void)state;
	start_with_made_keys(lab, false);
	ts_control_logout(lab->c, lab->now_ms);
	assert_int_equal(lab->state, TS_CONTROL_LOGGED_OUT);
	ts_control_auth_key_made(lab->c, "tskey-auth-1", lab->now_ms);
	ts_control_auth_key_failed(lab->c, "late", true, lab->now_ms);
	assert_int_equal(lab->state, TS_CONTROL_LOGGED_OUT);
	lab_free(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_person_logs_in_beside_the_map),
		cmocka_unit_test(a_login_survives_the_links_end),
		cmocka_unit_test(a_refused_login_leaves_what_runs),
		cmocka_unit_test(a_key_ends_the_wait_for_a_person),
		cmocka_unit_test(a_known_node_keeps_a_key_for_later),
		cmocka_unit_test(a_used_key_makes_a_person_log_in),
		cmocka_unit_test(a_key_that_lives_longer_ends_the_login),
		cmocka_unit_test(a_key_is_made_when_a_login_needs_one),
		cmocka_unit_test(a_known_node_needs_no_made_key),
		cmocka_unit_test(a_refused_made_key_is_not_made_again_at_once),
		cmocka_unit_test(a_person_may_log_in_in_place_of_a_made_key),
		cmocka_unit_test(logout_forgets_the_tailnet),
		cmocka_unit_test(logout_ends_without_a_server_too),
		cmocka_unit_test(logout_is_tried_again_after_a_servers_fault),
		cmocka_unit_test(logout_does_not_wait_for_a_key),
	};

	return cmocka_run_group_tests(tests, lab_setup, NULL);
}
