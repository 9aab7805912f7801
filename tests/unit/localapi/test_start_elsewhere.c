/* SPDX-License-Identifier: BSD-3-Clause
 * test_start_elsewhere.c - a start that names another control server
 */
#include "unit/localapi/api_bench.h"

#include <errno.h>

struct engine {
	char url[64], key[64], profile_name[64];
	bool has_identity, logged_out, refuses, is_asked;
};

static int log_in_elsewhere(void *ctx, struct ts_prefs *prefs,
			    const char *auth_key, char err[static 256])
{
	struct engine *e = ctx;

	if (e->refuses) {
		snprintf(err, 256, "no room");
		return -ENOMEM;
	}
	e->is_asked = true;
	snprintf(e->url, sizeof(e->url), "%s", prefs->control_url);
	snprintf(e->key, sizeof(e->key), "%s", auth_key ? auth_key : "");
	snprintf(e->profile_name, sizeof(e->profile_name), "%s",
		 prefs->profile_name ? prefs->profile_name : "");
	e->has_identity =
		!ts_private_key_is_zero(&prefs->persist.node_key) ||
		prefs->persist.login_name || prefs->persist.node_id ||
		json_object_get(prefs->unknown, "Config");
	e->logged_out = prefs->logged_out;
	return 0;
}

static json_t *no_profiles(void *ctx)
{
	(void)ctx;
	return json_array();
}

static int to_profile(void *ctx, const char *id, char err[static 256])
{
	(void)ctx, (void)id, (void)err;
	return 0;
}

static const struct ts_localapi_env env = {
	.log_in_elsewhere = log_in_elsewhere,
	.profiles = no_profiles,
	.current_profile = no_profiles,
	.profile_switch = to_profile,
};

#define ELSEWHERE                                                              \
	"{\"UpdatePrefs\":{\"ControlURL\":\"https://b.test\","                 \
	"\"WantRunning\":true,\"ProfileName\":\"work\"},\"AuthKey\":\"k\"}"

static void ask(struct bench *b, const char *path, const char *body,
		struct said *s)
{
	bench_ask(b, (struct asks){.method = "POST", .path = path,
				   .body = body}, s);
}

static void the_answer_comes_with_the_node(void **state)
{
	struct engine e = {0};
	struct said start, login;
	struct ts_control *c;
	struct bench b;

	(void)state;
	bench_open(&b, sim_up(1, NULL), &env, &e);
	c = b.sim->nodes[0].control;
	ask(&b, "start", ELSEWHERE, &start);
	assert_int_equal(start.calls, 0);
	assert_string_equal(e.url, "https://b.test");
	assert_string_equal(e.key, "k");
	assert_string_equal(e.profile_name, "work");
	assert_false(e.has_identity);
	assert_false(e.logged_out);
	assert_string_equal(c->login_key, ""); /* not here */
	ts_localapi_set_node(b.api, b.sim->nodes[0].node, b.sim->now_ms);
	assert_int_equal(start.calls, 1);
	assert_int_equal(start.status, 204);
	/* The new node logs in with it by itself. */
	ask(&b, "login-interactive", NULL, &login);
	assert_int_equal(login.status, 204);
	assert_string_equal(c->login_key, "");
	assert_false(c->wants_person);
	said_clear(&start);
	said_clear(&login);
	bench_close(&b);
}

static void one_at_a_time(void **state)
{
	struct engine e = {0};
	struct said first, second, profile;
	struct bench b;

	(void)state;
	bench_open(&b, sim_up(1, NULL), &env, &e);
	ask(&b, "start", ELSEWHERE, &first);
	ask(&b, "start", ELSEWHERE, &second);
	assert_int_equal(first.calls, 0);
	assert_int_equal(second.status, 500);
	assert_non_null(strstr(second.text, "another login"));
	said_clear(&second);
	/* Who asks for a profile in between does not get its key. */
	ask(&b, "profiles/x", NULL, &profile);
	assert_int_equal(profile.status, 204);
	assert_int_equal(first.calls, 1);
	assert_int_equal(first.status, 500);
	ts_localapi_set_node(b.api, b.sim->nodes[0].node, b.sim->now_ms);
	assert_int_equal(first.calls, 1);
	said_clear(&first);
	ask(&b, "login-interactive", NULL, &first);
	assert_true(b.sim->nodes[0].control->wants_person);
	said_clear(&first);
	said_clear(&profile);
	bench_close(&b);
}

static void what_fails_is_said(void **state)
{
	struct engine e = {.refuses = true};
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), &env, &e);
	ask(&b, "start", ELSEWHERE, &s);
	assert_int_equal(s.status, 500);
	assert_string_equal(s.text, "no room\n");
	said_clear(&s);
	e.refuses = false;
	ask(&b, "start", ELSEWHERE, &s);
	ts_localapi_node_stays(b.api);
	assert_int_equal(s.status, 500);
	assert_non_null(strstr(s.text, "log"));
	said_clear(&s);
	ask(&b, "start", "{\"UpdatePrefs\":{\"ControlURL\":\"x://y\"}}", &s);
	assert_int_equal(s.status, 500);
	assert_non_null(strstr(s.text, "http://HOST"));
	said_clear(&s);
	ask(&b, "start", ELSEWHERE, &s);
	bench_close(&b); /* with a caller who waits */
	assert_int_equal(s.status, 500);
	said_clear(&s);
}

static void a_node_of_one_server_says_so(void **state)
{
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	ask(&b, "start", ELSEWHERE, &s);
	assert_int_equal(s.status, 500);
	assert_non_null(strstr(s.text, "one control server"));
	said_clear(&s);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_answer_comes_with_the_node),
		cmocka_unit_test(one_at_a_time),
		cmocka_unit_test(what_fails_is_said),
		cmocka_unit_test(a_node_of_one_server_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
