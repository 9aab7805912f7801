/* SPDX-License-Identifier: BSD-3-Clause */
#include "state_bench.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ts_prefs login(const char *url, const char *node, int64_t user)
{
	struct ts_prefs prefs;

	ts_prefs_init_default(&prefs);
	prefs.control_url = strdup(url);
	prefs.hostname = strdup("web");
	prefs.want_running = true;
	prefs.persist.node_id = strdup(node);
	prefs.persist.user_id = user;
	prefs.persist.login_name = strdup("amelie@example.com");
	ts_private_key_generate(&prefs.persist.node_key);
	ts_nl_key_generate(&prefs.persist.nl_key);
	return prefs;
}

static void store(struct ts_state *s, struct ts_prefs *prefs)
{
	assert_int_equal(ts_state_store_profile(s, prefs, "tail1.ts.net",
						"example.com", 1767323045), 0);
}

/* Parsed "_profiles"; the caller decrefs. */
static json_t *profiles(const struct ts_state *s)
{
	json_t *root = json_loads(get(s, "_profiles"), 0, NULL);

	assert_true(json_is_object(root));
	return root;
}

static const char *text(const json_t *obj, const char *name)
{
	return json_string_value(json_object_get(obj, name));
}

static void expect_load(const struct ts_state *s, bool expected,
			struct ts_prefs *out)
{
	char err[128] = "";
	bool found = !expected;

	assert_int_equal(ts_state_load_profile(s, out, &found, err), 0);
	assert_int_equal(found, expected);
}

static void an_empty_state_has_default_prefs(void **state)
{
	struct ts_prefs prefs;

	expect_load(*state, false, &prefs);
	assert_true(prefs.corp_dns);
	assert_false(prefs.want_running);
	ts_prefs_deinit(&prefs);
}

static void a_stored_profile_is_loaded_again(void **state)
{
	struct ts_state *s = *state;
	struct ts_prefs prefs = login("https://c.test", "nSTABLE1", 7), back;
	json_t *root;
	const char *id, *key = NULL;
	json_t *profile;

	store(s, &prefs);
	expect_load(s, true, &back);
	assert_string_equal(back.hostname, "web");
	assert_string_equal(back.persist.node_id, "nSTABLE1");
	assert_memory_equal(back.persist.node_key.bytes,
			    prefs.persist.node_key.bytes, TS_KEY_LEN);

	root = profiles(s);
	assert_int_equal(json_object_size(root), 1);
	json_object_foreach (root, id, profile) {
		json_t *net = json_object_get(profile, "NetworkProfile");
		json_t *user = json_object_get(profile, "UserProfile");
		char expected[32];

		assert_int_equal(strlen(id), 4);
		assert_int_equal(strspn(id, "0123456789abcdef"), 4);
		snprintf(expected, sizeof(expected), "profile-%s", id);
		key = text(profile, "Key");
		assert_string_equal(key, expected);
		assert_string_equal(text(profile, "ID"), id);
		assert_string_equal(text(profile, "Name"),
				    "amelie@example.com");
		assert_string_equal(text(profile, "NodeID"), "nSTABLE1");
		assert_string_equal(text(profile, "LocalUserID"), "");
		assert_string_equal(text(profile, "Created"),
				    "2026-01-02T03:04:05Z");
		assert_string_equal(text(profile, "ControlURL"),
				    "https://c.test");
		assert_string_equal(text(net, "MagicDNSName"), "tail1.ts.net");
		assert_string_equal(text(net, "DomainName"), "example.com");
		assert_string_equal(text(net, "DisplayName"), "");
		assert_int_equal(json_integer_value(
					 json_object_get(user, "ID")), 7);
		assert_string_equal(text(user, "DisplayName"),
				    "amelie@example.com");
		assert_null(json_object_get(user, "ProfilePicURL"));
	}
	assert_string_equal(get(s, "_current-profile"), key);
	json_decref(root);
	ts_prefs_deinit(&back);
	ts_prefs_deinit(&prefs);
}

static void storing_again_keeps_the_profile_and_its_unknown_fields(void **state)
{
	struct ts_state *s = *state;
	struct ts_prefs prefs = login("https://c.test", "n1", 7);
	json_t *root, *profile;
	size_t len;

	put(s, "_profiles",
	    "{\"1a2b\": {\"ID\": \"1a2b\", \"Key\": \"profile-1a2b\","
	    " \"NodeID\": \"n1\", \"ControlURL\": \"https://c.test\","
	    " \"Created\": \"2026-01-02T03:04:05Z\", \"Future\": [1],"
	    " \"NetworkProfile\": {\"DisplayName\": \"Example Inc\"}}}");
	put(s, "_current-profile", "profile-1a2b");
	put(s, "_other", "stays");
	store(s, &prefs);
	store(s, &prefs);
	root = profiles(s);
	profile = json_object_get(root, "1a2b");
	assert_int_equal(json_object_size(root), 1);
	assert_string_equal(text(profile, "Created"), "2026-01-02T03:04:05Z");
	assert_non_null(json_object_get(profile, "Future"));
	assert_string_equal(text(json_object_get(profile, "NetworkProfile"),
				 "DisplayName"), "Example Inc");
	assert_non_null(ts_state_get(s, "profile-1a2b", &len));
	assert_string_equal(get(s, "_other"), "stays");
	json_decref(root);
	ts_prefs_deinit(&prefs);
}

static void another_login_of_the_same_node_is_taken_up_and_doubles_go(
	void **state)
{
	struct ts_state *s = *state;
	struct ts_prefs prefs = login("https://c.test", "n1", 7);
	json_t *root;
	size_t len;

	put(s, "_profiles",
	    "{\"0001\": {\"ID\": \"0001\", \"Key\": \"profile-0001\","
	    " \"NodeID\": \"n1\", \"ControlURL\": \"https://c.test\"},"
	    " \"0002\": {\"ID\": \"0002\", \"Key\": \"profile-0002\","
	    " \"NodeID\": \"n0\", \"ControlURL\": \"https://c.test\","
	    " \"UserProfile\": {\"ID\": 7}},"
	    " \"0003\": {\"ID\": \"0003\", \"Key\": \"profile-0003\","
	    " \"NodeID\": \"n1\", \"ControlURL\": \"https://d.test\"}}");
	put(s, "_current-profile", "profile-0002");
	put(s, "profile-0001", "{}");
	put(s, "profile-0003", "{}");
	store(s, &prefs);
	root = profiles(s);
	assert_null(json_object_get(root, "0001"));
	assert_non_null(json_object_get(root, "0002"));
	assert_non_null(json_object_get(root, "0003"));
	assert_null(ts_state_get(s, "profile-0001", &len));
	assert_non_null(ts_state_get(s, "profile-0003", &len));
	assert_string_equal(get(s, "_current-profile"), "profile-0002");
	json_decref(root);
	ts_prefs_deinit(&prefs);
}

static void a_known_login_becomes_the_current_one(void **state)
{
	struct ts_state *s = *state;
	struct ts_prefs prefs = login("https://d.test", "n1", 7);

	put(s, "_profiles",
	    "{\"0001\": {\"ID\": \"0001\", \"Key\": \"profile-0001\","
	    " \"NodeID\": \"n1\", \"ControlURL\": \"https://c.test\"},"
	    " \"0003\": {\"ID\": \"0003\", \"Key\": \"profile-0003\","
	    " \"NodeID\": \"n1\", \"ControlURL\": \"https://d.test\"}}");
	put(s, "_current-profile", "profile-0001");
	store(s, &prefs);
	assert_string_equal(get(s, "_current-profile"), "profile-0003");
	ts_prefs_deinit(&prefs);
}

static void legacy_prefs_are_read_when_there_is_no_profile(void **state)
{
	struct ts_state *s = *state;
	struct ts_prefs prefs;

	put(s, "_daemon", "{\"Hostname\": \"old\"}");
	expect_load(s, true, &prefs);
	assert_string_equal(prefs.hostname, "old");
	ts_prefs_deinit(&prefs);
	put(s, "_profiles", "{\"0001\": {\"Key\": \"profile-0001\"}}");
	expect_load(s, false, &prefs);
	ts_prefs_deinit(&prefs);
}

static void a_current_profile_that_is_not_listed_is_none(void **state)
{
	struct ts_state *s = *state;
	struct ts_prefs prefs;

	put(s, "_current-profile", "profile-dead");
	put(s, "profile-dead", "{\"Hostname\": \"x\"}");
	put(s, "_profiles", "{\"0001\": {\"Key\": \"profile-0001\"}}");
	expect_load(s, false, &prefs);
	ts_prefs_deinit(&prefs);
}

static void the_old_default_server_is_forgotten(void **state)
{
	struct ts_state *s = *state;
	struct ts_prefs prefs;

	put(s, "_daemon",
	    "{\"ControlURL\": \"https://login.tailscale.com\"}");
	expect_load(s, true, &prefs);
	assert_true(!prefs.control_url || !*prefs.control_url);
	ts_prefs_deinit(&prefs);
}

static void broken_profiles_are_told_and_not_overwritten(void **state)
{
	struct ts_state *s = *state;
	struct ts_prefs prefs;
	char err[128] = "";
	bool found;

	put(s, "_profiles", "[1]");
	assert_int_equal(ts_state_load_profile(s, &prefs, &found, err),
			 -EBADMSG);
	assert_string_equal(err, "_profiles is not a JSON object");
	ts_prefs_deinit(&prefs);
	prefs = login("https://c.test", "n1", 7);
	assert_int_equal(ts_state_store_profile(s, &prefs, NULL, NULL, 0),
			 -EBADMSG);
	assert_string_equal(get(s, "_profiles"), "[1]");
	ts_prefs_deinit(&prefs);

	put(s, "_profiles", "{\"1a2b\": {\"Key\": \"profile-1a2b\"}}");
	put(s, "_current-profile", "profile-1a2b");
	put(s, "profile-1a2b", "{\"Config\": ");
	assert_int_equal(ts_state_load_profile(s, &prefs, &found, err),
			 -EBADMSG);
	assert_false(found);
	assert_int_equal(strncmp(err, "profile-1a2b: ", 14), 0);
	ts_prefs_deinit(&prefs);
}

/* No ID is left to make, and to look for one must end. */
static void a_list_with_every_id_is_told(void **state)
{
	struct ts_state *s = *state;
	struct ts_prefs prefs = login("https://c.test", "n1", 7);
	json_t *all = json_object();
	char id[8], *list;

	for (unsigned i = 0; i < 0x10000; i++) {
		snprintf(id, sizeof(id), "%04x", i);
		json_object_set_new(all, id, json_object());
	}
	list = json_dumps(all, JSON_COMPACT);
	put(s, "_profiles", list);
	assert_int_equal(ts_state_store_profile(s, &prefs, NULL, NULL, 0),
			 -ENOSPC);
	assert_string_equal(get(s, "_profiles"), list);
	free(list);
	json_decref(all);
	ts_prefs_deinit(&prefs);
}

static void hostile_profile_lists_do_no_harm(void **state)
{
	static const char *const lists[] = {
		"null", "{}", "{\"a\": 1}", "{\"a\": null}", "{\"a\": []}",
		"{\"a\": {\"Key\": 5}}", "{\"a\": {\"NodeID\": \"n1\"}}",
		"{\"a\": {\"Key\": \"_machinekey\", \"NodeID\": \"n1\","
		" \"ControlURL\": \"https://c.test\"}}",
		"{\"a\": {\"UserProfile\": 7, \"NetworkProfile\": []}}",
	};
	struct ts_state *s = *state;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct ts_prefs prefs = login("https://c.test", "n1", 7), back;

		put(s, "_profiles", lists[i]);
		put(s, "_machinekey", "untouched");
		put(s, "_current-profile", "_machinekey");
		store(s, &prefs);
		assert_string_equal(get(s, "_machinekey"), "untouched");
		expect_load(s, true, &back);
		assert_string_equal(back.persist.node_id, "n1");
		ts_prefs_deinit(&back);
		ts_prefs_deinit(&prefs);
	}
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(an_empty_state_has_default_prefs),
		CASE(a_stored_profile_is_loaded_again),
		CASE(storing_again_keeps_the_profile_and_its_unknown_fields),
		CASE(another_login_of_the_same_node_is_taken_up_and_doubles_go),
		CASE(a_known_login_becomes_the_current_one),
		CASE(legacy_prefs_are_read_when_there_is_no_profile),
		CASE(a_current_profile_that_is_not_listed_is_none),
		CASE(the_old_default_server_is_forgotten),
		CASE(broken_profiles_are_told_and_not_overwritten),
		CASE(a_list_with_every_id_is_told),
		CASE(hostile_profile_lists_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
