/* SPDX-License-Identifier: BSD-3-Clause */
#include "state_bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/state/profile_list.h"

/* As tsnet writes them; the last one has the field of newer versions. */
static const char three[] =
	"{\"bbbb\": {\"ID\": \"bbbb\", \"Name\": \"bert@x\", \"Key\": "
	"\"profile-bbbb\", \"NetworkProfile\": {\"DomainName\": \"x\"}, "
	"\"UserProfile\": {\"ID\": 2}, \"NodeID\": \"n2\", \"ControlURL\": "
	"\"https://b\"},"
	"\"aaaa\": {\"ID\": \"aaaa\", \"Name\": \"anna@x\", \"Key\": "
	"\"profile-aaaa\", \"UserProfile\": {\"ID\": 1}, \"NodeID\": \"n1\", "
	"\"ControlURL\": \"https://a\"},"
	"\"cccc\": {\"ID\": \"cccc\", \"Name\": \"aaron@x\", \"Key\": "
	"\"profile-cccc\", \"Created\": \"2026-01-02T03:04:05Z\", "
	"\"UserProfile\": {\"ID\": 3}, \"NodeID\": \"n3\", \"ControlURL\": "
	"\"https://c\"}}";

static void put_three(struct ts_state *s)
{
	put(s, "_profiles", three);
	put(s, "_current-profile", "profile-bbbb");
	put(s, "profile-aaaa", "{\"ControlURL\": \"https://a\"}");
	put(s, "profile-bbbb", "{\"ControlURL\": \"https://b\"}");
	put(s, "profile-cccc", "{\"ControlURL\": \"https://c\"}");
	put(s, "_serve/bbbb", "{}");
}

static void expect_ids(const struct ts_state *s, const char *expected)
{
	char err[128] = "", text[64] = "";
	json_t *list = ts_profiles_list(s, err);
	json_t *profile;
	size_t i;

	assert_true(json_is_array(list));
	json_array_foreach (list, i, profile) {
		size_t len = strlen(text);

		snprintf(text + len, sizeof(text) - len, "%s%s", i ? " " : "",
			 json_string_value(json_object_get(profile, "ID")));
	}
	json_decref(list);
	assert_string_equal(text, expected);
}

static void expect_current(const struct ts_state *s, const char *expected)
{
	char err[128] = "";
	json_t *current = ts_profiles_current(s, err);

	assert_string_equal(
		json_string_value(json_object_get(current, "ID")), expected);
	/* What the CLI reads is there in each case. */
	assert_true(json_is_object(json_object_get(current, "UserProfile")));
	json_decref(current);
}

static void expect_url(const struct ts_state *s, const char *expected)
{
	struct ts_prefs prefs;
	char err[128] = "";
	bool found;

	assert_int_equal(ts_state_load_profile(s, &prefs, &found, err), 0);
	assert_int_equal(found, expected != NULL);
	if (expected)
		assert_string_equal(prefs.control_url, expected);
	ts_prefs_deinit(&prefs);
}

static void an_empty_state_has_no_profiles(void **state)
{
	expect_ids(*state, "");
	expect_current(*state, "");
}

static void profiles_come_in_upstreams_order(void **state)
{
	put_three(*state);
	expect_ids(*state, "aaaa bbbb cccc");
	expect_current(*state, "bbbb");
}

static void a_chosen_profile_is_the_current_one(void **state)
{
	struct ts_state *s = *state;
	char err[128] = "";

	put_three(s);
	expect_url(s, "https://b");
	assert_int_equal(ts_profiles_choose(s, "cccc", err), 0);
	expect_current(s, "cccc");
	expect_url(s, "https://c");
	assert_string_equal(get(s, "_current-profile"), "profile-cccc");
	assert_int_equal(ts_profiles_choose(s, "dddd", err), -ENOENT);
	assert_string_equal(err, "profile not found");
	expect_current(s, "cccc");
}

static void a_servers_profile_is_chosen(void **state)
{
	struct ts_state *s = *state;
	char err[128] = "";

	put_three(s);
	assert_int_equal(ts_profiles_choose_server(s, "https://c/", err), 0);
	expect_current(s, "cccc");
	assert_int_equal(ts_profiles_choose_server(s, "https://c", err), 0);
	expect_current(s, "cccc");
	/* There is none: this one will have to do. */
	assert_int_equal(ts_profiles_choose_server(s, "https://d", err), 0);
	expect_current(s, "cccc");
}

static void prefs_of_a_profile_are_read(void **state)
{
	struct ts_prefs prefs;
	char err[128] = "";

	put_three(*state);
	assert_int_equal(ts_profiles_prefs(*state, "aaaa", &prefs, err), 0);
	assert_string_equal(prefs.control_url, "https://a");
	ts_prefs_deinit(&prefs);
	assert_int_equal(ts_profiles_prefs(*state, "dddd", &prefs, err),
			 -ENOENT);
	ts_prefs_deinit(&prefs);
	put(*state, "profile-aaaa", "{torn");
	assert_int_equal(ts_profiles_prefs(*state, "aaaa", &prefs, err),
			 -EBADMSG);
	ts_prefs_deinit(&prefs);
}

static struct ts_prefs login(const char *node, int64_t user)
{
	struct ts_prefs prefs;

	ts_prefs_init_default(&prefs);
	prefs.control_url = strdup("https://a");
	prefs.persist.node_id = strdup(node);
	prefs.persist.user_id = user;
	prefs.persist.login_name = strdup("nora@x");
	ts_private_key_generate(&prefs.persist.node_key);
	return prefs;
}

static void a_login_after_leaving_is_a_new_profile(void **state)
{
	struct ts_state *s = *state;
	struct ts_prefs prefs = login("n9", 9);
	char err[128] = "";
	json_t *list;

	put_three(s);
	ts_profiles_leave(s);
	expect_current(s, "");
	expect_url(s, NULL);
	/* A restart before the login comes back to the last one. */
	assert_string_equal(get(s, "_current-profile"), "profile-bbbb");
	assert_int_equal(ts_state_store_profile(s, &prefs, NULL, NULL, 0), 0);
	list = ts_profiles_list(s, err);
	assert_int_equal(json_array_size(list), 4);
	json_decref(list);
	assert_string_not_equal(get(s, "_current-profile"), "profile-bbbb");
	assert_non_null(strstr(get(s, "profile-bbbb"), "https://b"));
	ts_prefs_deinit(&prefs);
}

static void a_known_login_after_leaving_is_taken_up(void **state)
{
	struct ts_state *s = *state;
	struct ts_prefs prefs = login("n1", 1);

	put_three(s);
	ts_profiles_leave(s);
	assert_int_equal(ts_state_store_profile(s, &prefs, NULL, NULL, 0), 0);
	expect_ids(s, "bbbb aaaa cccc"); /* it is called nora now */
	expect_current(s, "aaaa");
	ts_prefs_deinit(&prefs);
}

static void leaving_does_not_wake_prefs_of_before_profiles(void **state)
{
	struct ts_state *s = *state;

	put(s, "_daemon", "{\"ControlURL\": \"https://old\"}");
	expect_url(s, "https://old");
	ts_profiles_leave(s);
	expect_url(s, NULL);
}

static void a_deleted_profile_is_gone_with_its_keys(void **state)
{
	struct ts_state *s = *state;
	char err[128] = "";

	put_three(s);
	assert_int_equal(ts_profiles_delete(s, "aaaa", err), 0);
	assert_null(get(s, "profile-aaaa"));
	expect_ids(s, "bbbb cccc");
	expect_current(s, "bbbb");
	assert_int_equal(ts_profiles_delete(s, "bbbb", err), 0);
	assert_null(get(s, "profile-bbbb"));
	assert_null(get(s, "_serve/bbbb"));
	expect_ids(s, "cccc");
	expect_current(s, "");
	assert_int_equal(ts_profiles_delete(s, "bbbb", err), -ENOENT);
}

static void made_up_lists_lead_nowhere(void **state)
{
	static const char list[] =
		"{\"m\": {\"ID\": \"m\", \"Key\": \"_machinekey\"},"
		"\"i\": {\"ID\": \"other\", \"Key\": \"profile-i\"},"
		"\"\": {\"Key\": \"profile-\"}, \"n\": 7, \"o\": {}, "
		"\"p\": null, \"k\": {\"ID\": \"k\"}}";
	static const char *const ids[] = {"m", "i", "other", "n", "o", "p",
					  "k", "", "_machinekey"};
	struct ts_state *s = *state;
	char err[128];

	put(s, "_machinekey", "kept");
	put(s, "_profiles", list);
	expect_ids(s, "");
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		assert_int_equal(ts_profiles_choose(s, ids[i], err), -ENOENT);
		assert_int_equal(ts_profiles_delete(s, ids[i], err), -ENOENT);
	}
	assert_string_equal(get(s, "_machinekey"), "kept");
	assert_string_equal(get(s, "_profiles"), list);
	put(s, "_profiles", "[]");
	assert_null(ts_profiles_list(s, err));
	assert_non_null(strstr(err, "_profiles"));
	assert_int_equal(ts_profiles_choose(s, "m", err), -EBADMSG);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(an_empty_state_has_no_profiles),
		CASE(profiles_come_in_upstreams_order),
		CASE(a_chosen_profile_is_the_current_one),
		CASE(a_servers_profile_is_chosen),
		CASE(prefs_of_a_profile_are_read),
		CASE(a_login_after_leaving_is_a_new_profile),
		CASE(a_known_login_after_leaving_is_taken_up),
		CASE(leaving_does_not_wake_prefs_of_before_profiles),
		CASE(a_deleted_profile_is_gone_with_its_keys),
		CASE(made_up_lists_lead_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
