/* SPDX-License-Identifier: BSD-3-Clause
 * Which setting a login goes by, and the attributes behind a credential.
 */
#include "unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/control/auth_choice.h"

static const char *const TAGS[] = {"tag:web", "tag:prod"};

static struct ts_auth_settings settings(void)
{
	return (struct ts_auth_settings){.control_url = "https://c.example",
					 .tags = TAGS,
					 .tag_count = 2};
}

static struct ts_auth_choice chosen(const struct ts_auth_settings *s)
{
	struct ts_auth_choice choice;
	char err[256];

	if (ts_auth_choose(s, &choice, err))
		fail_msg("%s", err);
	return choice;
}

static void refused(const struct ts_auth_settings *s, const char *words)
{
	struct ts_auth_choice choice;
	char err[256] = "";

	assert_true(ts_auth_choose(s, &choice, err) < 0);
	if (!strstr(err, words))
		fail_msg("\"%s\" in place of \"%s\"", err, words);
	assert_null(strstr(err, "SECRET"));
}

static void the_first_that_is_set_wins(void **state)
{
	struct ts_auth_settings s = settings();
	struct ts_auth_choice c;

	(void)state;
	c = chosen(&s);
	assert_int_equal(c.kind, TS_AUTH_PERSON);
	ts_auth_choice_deinit(&c);

	s.client_id = "id";
	s.id_token = "jwt";
	c = chosen(&s);
	assert_int_equal(c.kind, TS_AUTH_FEDERATION);
	assert_string_equal(c.base_url, "https://c.example");
	assert_string_equal(c.client_id, "id");
	assert_string_equal(c.id_token, "jwt");
	assert_null(c.audience);
	assert_int_equal(c.tag_count, 2);
	ts_auth_choice_deinit(&c);

	s.client_secret = "tskey-client-SECRET";
	c = chosen(&s);
	assert_int_equal(c.kind, TS_AUTH_CLIENT);
	assert_string_equal(c.secret, "tskey-client-SECRET");
	assert_string_equal(c.base_url, "https://api.tailscale.com");
	ts_auth_choice_deinit(&c);

	s.auth_key = "tskey-auth-x";
	c = chosen(&s);
	assert_int_equal(c.kind, TS_AUTH_KEY);
	assert_string_equal(c.auth_key, "tskey-auth-x");
	ts_auth_choice_deinit(&c);
}

static void each_kind_may_stand_in_the_others_place(void **state)
{
	struct ts_auth_settings s = settings();
	struct ts_auth_choice c;

	(void)state;
	s.auth_key = "tskey-client-SECRET";
	s.client_secret = "tskey-client-other";
	c = chosen(&s);
	assert_int_equal(c.kind, TS_AUTH_CLIENT);
	assert_string_equal(c.secret, "tskey-client-SECRET");
	ts_auth_choice_deinit(&c);
	s.auth_key = "";
	s.client_secret = "tskey-auth-x?y";
	c = chosen(&s);
	assert_int_equal(c.kind, TS_AUTH_KEY);
	assert_string_equal(c.auth_key, "tskey-auth-x?y");
	ts_auth_choice_deinit(&c);
}

/* A mistake in what is not come to is none. */
static void contradictions_are_named(void **state)
{
	struct ts_auth_settings s = settings();
	struct ts_auth_choice c;

	(void)state;
	s.client_id = "id";
	refused(&s, "client ID for workload identity federation found, but ID "
		    "token and audience are empty");
	s.auth_key = "tskey-auth-x";
	c = chosen(&s);
	assert_int_equal(c.kind, TS_AUTH_KEY);
	ts_auth_choice_deinit(&c);
	s.auth_key = NULL;
	s.id_token = "SECRET";
	s.audience = "a";
	refused(&s, "only one of ID token and audience");
	s.client_id = NULL;
	s.audience = NULL;
	refused(&s, "ID token for workload identity federation found, but "
		    "client ID is empty");
	s.id_token = "";
	s.audience = "a";
	refused(&s, "audience for workload identity federation found, but "
		    "client ID is empty");
}

static void made_keys_need_tags(void **state)
{
	struct ts_auth_settings s = {.client_secret = "tskey-client-SECRET"};

	(void)state;
	refused(&s, "oauth authkeys require --advertise-tags");
	s = (struct ts_auth_settings){.client_id = "id", .audience = "a"};
	refused(&s, "federated identity authkeys require --advertise-tags");
}

static void a_secrets_attributes(void **state)
{
	static const struct {
		const char *query;
		bool ephemeral, preauthorized;
		const char *base_url;
	} cases[] = {
		{"", true, false, "https://api.tailscale.com"},
		{"?", true, false, "https://api.tailscale.com"},
		{"?ephemeral=false", false, false, "https://api.tailscale.com"},
		{"?ephemeral=&preauthorized=T", true, true,
		 "https://api.tailscale.com"},
		{"?ephemeral=0&ephemeral=1", false, false,
		 "https://api.tailscale.com"},
		{"?baseURL=https%3A%2F%2Fa.example:8443%2F&&", true, false,
		 "https://a.example:8443"},
		{"?preauthorized=True&baseURL=http://127.0.0.1:1/x", true,
		 true, "http://127.0.0.1:1/x"},
	};
	struct ts_auth_settings s = settings();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[128];
		struct ts_auth_choice c;

		snprintf(text, sizeof(text), "tskey-client-SECRET%s",
			 cases[i].query);
		s.client_secret = text;
		c = chosen(&s);
		assert_string_equal(c.secret, "tskey-client-SECRET");
		assert_int_equal(c.ephemeral, cases[i].ephemeral);
		assert_int_equal(c.preauthorized, cases[i].preauthorized);
		assert_string_equal(c.base_url, cases[i].base_url);
		ts_auth_choice_deinit(&c);
	}
}

static void an_ids_attributes(void **state)
{
	struct ts_auth_settings s = settings();
	struct ts_auth_choice c;

	(void)state;
	s.audience = "a";
	s.client_id = "id";
	c = chosen(&s);
	assert_true(c.ephemeral);
	assert_false(c.preauthorized);
	ts_auth_choice_deinit(&c);
	s.client_id = "id?preauthorized=true";
	c = chosen(&s);
	assert_false(c.ephemeral);
	assert_true(c.preauthorized);
	assert_string_equal(c.client_id, "id");
	ts_auth_choice_deinit(&c);
	s.client_id = "id?baseURL=https://x";
	refused(&s, "unknown optional config attribute \"baseURL\"");
	s.client_id = "id?ephemeral=";
	refused(&s, "ephemeral value \"\"");
}

static void bad_attributes_are_named(void **state)
{
	static const char *const cases[][2] = {
		{"bar", "unknown attribute \"bar\""},
		{"ephemeral=maybe", "invalid attribute boolean attribute "
				    "ephemeral value \"maybe\""},
		{"ephemeral=%zz", "invalid URL escape"},
		{"ephemeral=%0", "invalid URL escape"},
		{"ephemeral=%00", "invalid URL escape"},
		{"a;b", "no URL query"},
		{"baseURL=ftp://x", "no http or https URL"},
		{"baseURL=https://", "no http or https URL"},
		{"baseURL=https://x%0d%0aHost: y", "no http or https URL"},
		{"baseURL=https://user@x", "no http or https URL"},
	};
	struct ts_auth_settings s = settings();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[128];

		snprintf(text, sizeof(text), "tskey-client-SECRET?%s",
			 cases[i][0]);
		s.client_secret = text;
		refused(&s, cases[i][1]);
	}
}

static void a_long_attribute_is_refused(void **state)
{
	struct ts_auth_settings s = settings();
	char text[1000];

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "tskey-client-SECRET?", 20);
	text[sizeof(text) - 1] = '\0';
	s.client_secret = text;
	refused(&s, "no URL query");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_that_is_set_wins),
		cmocka_unit_test(each_kind_may_stand_in_the_others_place),
		cmocka_unit_test(contradictions_are_named),
		cmocka_unit_test(made_keys_need_tags),
		cmocka_unit_test(a_secrets_attributes),
		cmocka_unit_test(an_ids_attributes),
		cmocka_unit_test(bad_attributes_are_named),
		cmocka_unit_test(a_long_attribute_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
