/* SPDX-License-Identifier: BSD-3-Clause
 * test_node_switch.c - another profile's node takes the place of this one
 *
 * An engine with a state of two profiles and no control server in reach: who
 * its node is, and what the file says, after each wish.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/crypto/secret.h"
#include "core/engine/engine_internal.h"
#include "core/engine/profile_store.h"
#include "core/io/disk.h"
#include "core/state/conf_file.h"

struct bench {
	char dir[64], file[128];
	struct ts_engine *engine;
	struct ts_timer *timer;
	char err[256];
};

static int read_nothing(const char *path, char **out)
{
	(void)path;
	(void)out;
	return -ENOENT;
}

static struct ts_prefs login(const char *hostname, int64_t user)
{
	struct ts_prefs prefs;

	ts_prefs_init_default(&prefs);
	prefs.control_url = strdup("http://127.0.0.1:9");
	prefs.hostname = strdup(hostname);
	prefs.want_running = true;
	prefs.persist.node_id = strdup(hostname);
	prefs.persist.user_id = user;
	prefs.persist.login_name = strdup(hostname);
	ts_private_key_generate(&prefs.persist.node_key);
	return prefs;
}

static void write_state(const struct bench *b)
{
	struct ts_state *s = ts_state_new();
	struct ts_prefs one = login("one", 1), two = login("two", 2);
	size_t len;
	char *text;

	assert_int_equal(ts_state_store_profile(s, &one, NULL, NULL, 0), 0);
	ts_state_set(s, "_current-profile", NULL, 0); /* or it is overwritten */
	assert_int_equal(ts_state_store_profile(s, &two, NULL, NULL, 0), 0);
	text = ts_state_format(s, &len);
	assert_int_equal(ts_disk_write(b->file, text, len, 0600), 0);
	free(text);
	ts_prefs_deinit(&one);
	ts_prefs_deinit(&two);
	ts_state_free(s);
}

static void stop_loop(void *ctx)
{
	ts_loop_stop(ctx);
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	char dir_line[96];
	char *env[] = {dir_line, (char *)(uintptr_t)"TSNET_HOSTNAME=start",
		       (char *)(uintptr_t)"TS_CONTROL_URL=http://127.0.0.1:9",
		       (char *)(uintptr_t)"TS_AUTHKEY=a-key",
		       (char *)(uintptr_t)"TS_DISABLE_PORTMAPPER=yes",
		       (char *)(uintptr_t)"TSNET_LOG_LEVEL=off", NULL};
	struct ts_config_input in = {.env = env, .program = "test",
				     .read_file = read_nothing};
	struct ts_config config;

	strcpy(b->dir, "/tmp/test-switch-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->file, sizeof(b->file), "%s/tailscaled.state", b->dir);
	snprintf(dir_line, sizeof(dir_line), "TSNET_STATE_DIR=%s", b->dir);
	assert_int_equal(ts_crypto_init(), 0);
	write_state(b);
	assert_int_equal(ts_config_load(&config, &in, b->err), 0);
	if (ts_engine_open(&b->engine, &config, TS_ENGINE_ALONE, b->err))
		fail_msg("%s", b->err);
	b->timer = ts_timer_new(b->engine->loop, stop_loop, b->engine->loop);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	char command[128];

	ts_timer_free(b->timer);
	ts_engine_close(b->engine);
	snprintf(command, sizeof(command), "rm -rf %s", b->dir);
	assert_int_equal(system(command), 0);
	free(b);
	return 0;
}

/* Until what was posted is done. */
static void run(struct bench *b)
{
	ts_loop_update(b->engine->loop);
	ts_timer_set(b->timer, ts_loop_now_ms(b->engine->loop) + 20);
	ts_loop_run(b->engine->loop);
}

/* A copy: the list goes. */
static char *id_of(const struct bench *b, const char *name)
{
	json_t *list = profile_store_list(b->engine);
	json_t *profile;
	char *id = NULL;
	size_t i;

	json_array_foreach (list, i, profile)
		if (strcmp(json_string_value(json_object_get(profile, "Name")),
			   name) == 0)
			id = strdup(json_string_value(
				json_object_get(profile, "ID")));
	json_decref(list);
	return id;
}

static void expect_current(const struct bench *b, const char *name)
{
	json_t *current = profile_store_current(b->engine);

	assert_string_equal(
		json_string_value(json_object_get(current, "Name")), name);
	json_decref(current);
}

static void node_key(const struct bench *b, struct ts_public_key *out)
{
	ts_node_public_key(b->engine->node, out);
}

static bool file_has_current(const struct bench *b, const char *id)
{
	struct ts_state *s = ts_state_new();
	uint8_t *data;
	size_t len;
	char why[128];
	const char *key;
	bool has;

	assert_int_equal(ts_disk_read(b->file, 100000, &data, &len), 0);
	assert_int_equal(ts_state_parse(s, data, len, why), 0);
	key = (const char *)ts_state_get(s, "_current-profile", &len);
	has = key && strcmp(key + strlen("profile-"), id) == 0;
	free(data);
	ts_state_free(s);
	return has;
}

static void a_switch_takes_up_the_other_profiles_node(void **state)
{
	struct bench *b = *state;
	const struct ts_node *old = b->engine->node;
	struct ts_public_key before, after;
	char *one = id_of(b, "one"), *two = id_of(b, "two");

	node_key(b, &before);
	expect_current(b, "two");
	assert_int_equal(profile_store_switch(b->engine, one, b->err), 0);
	expect_current(b, "one"); /* at once */
	assert_ptr_equal(b->engine->node, old); /* who asks may be inside it */
	run(b);
	assert_string_equal(ts_node_prefs(b->engine->node)->hostname, "one");
	node_key(b, &after);
	assert_memory_not_equal(before.bytes, after.bytes, TS_KEY_LEN);
	assert_true(file_has_current(b, one));
	/* And back: the same keys. */
	assert_int_equal(profile_store_switch(b->engine, two, b->err), 0);
	run(b);
	node_key(b, &after);
	assert_memory_equal(before.bytes, after.bytes, TS_KEY_LEN);
	assert_true(file_has_current(b, two));
	free(one);
	free(two);
}

static void a_switch_to_where_we_are_changes_nothing(void **state)
{
	struct bench *b = *state;
	const struct ts_node *old = b->engine->node;
	char *two = id_of(b, "two");

	assert_int_equal(profile_store_switch(b->engine, two, b->err), 0);
	run(b);
	assert_ptr_equal(b->engine->node, old);
	assert_int_equal(profile_store_switch(b->engine, "ffff", b->err),
			 -ENOENT);
	assert_string_equal(b->err, "profile not found");
	run(b);
	assert_ptr_equal(b->engine->node, old);
	free(two);
}

static void the_last_of_many_wishes_counts(void **state)
{
	struct bench *b = *state;
	char *one = id_of(b, "one"), *two = id_of(b, "two");

	assert_int_equal(profile_store_switch(b->engine, one, b->err), 0);
	assert_int_equal(profile_store_new_empty(b->engine, b->err), 0);
	assert_int_equal(profile_store_switch(b->engine, two, b->err), 0);
	assert_int_equal(profile_store_switch(b->engine, one, b->err), 0);
	run(b);
	assert_string_equal(ts_node_prefs(b->engine->node)->hostname, "one");
	expect_current(b, "one");
	free(one);
	free(two);
}

static void an_empty_profile_has_this_starts_settings_and_no_keys(void **state)
{
	struct bench *b = *state;
	const struct ts_prefs *prefs;
	char *two = id_of(b, "two");

	assert_int_equal(profile_store_new_empty(b->engine, b->err), 0);
	run(b);
	prefs = ts_node_prefs(b->engine->node);
	assert_string_equal(prefs->hostname, "start");
	assert_null(prefs->persist.login_name);
	assert_false(prefs->want_running);
	assert_int_equal(ts_node_state(b->engine->node), TS_NEEDS_LOGIN);
	/* The one of this start, once it logs in. */
	assert_null(prefs->control_url);
	assert_string_equal(ts_node_control_url(b->engine->node),
			    "http://127.0.0.1:9");
	expect_current(b, "");
	assert_true(file_has_current(b, two)); /* for the next start */
	free(two);
}

static void a_deleted_profile_leaves_nothing(void **state)
{
	struct bench *b = *state;
	const struct ts_node *old = b->engine->node;
	char *one = id_of(b, "one"), *two = id_of(b, "two");

	assert_int_equal(profile_store_delete(b->engine, one, b->err), 0);
	run(b);
	assert_ptr_equal(b->engine->node, old); /* another's */
	assert_null(id_of(b, "one"));
	assert_int_equal(profile_store_delete(b->engine, two, b->err), 0);
	run(b);
	assert_string_equal(ts_node_prefs(b->engine->node)->hostname, "start");
	expect_current(b, "");
	assert_int_equal(profile_store_delete(b->engine, two, b->err),
			 -ENOENT);
	free(one);
	free(two);
}

static void an_engine_that_ends_switches_no_more(void **state)
{
	struct bench *b = *state;
	char *one = id_of(b, "one");

	assert_int_equal(profile_store_switch(b->engine, one, b->err), 0);
	b->engine->phase = ENGINE_DRAINING;
	run(b);
	assert_string_equal(ts_node_prefs(b->engine->node)->hostname, "start");
	assert_int_equal(profile_store_switch(b->engine, one, b->err),
			 -ESHUTDOWN);
	assert_int_equal(profile_store_new_empty(b->engine, b->err),
			 -ESHUTDOWN);
	free(one);
}

static void a_login_elsewhere_is_a_profile_of_its_own(void **state)
{
	struct bench *b = *state;
	struct ts_prefs prefs = login("elsewhere", 0);
	struct ts_public_key key;
	const struct ts_prefs *now;
	char *two = id_of(b, "two");

	ts_persist_deinit(&prefs.persist);
	free(prefs.control_url);
	prefs.control_url = strdup("http://127.0.0.1:10");
	assert_int_equal(profile_store_log_in_elsewhere(b->engine, &prefs,
							"key", b->err), 0);
	ts_prefs_deinit(&prefs);
	run(b);
	now = ts_node_prefs(b->engine->node);
	assert_string_equal(now->hostname, "elsewhere");
	assert_string_equal(ts_node_control_url(b->engine->node),
			    "http://127.0.0.1:10");
	assert_true(now->want_running);
	node_key(b, &key);
	assert_true(ts_public_key_is_zero(&key));
	expect_current(b, "");
	assert_true(file_has_current(b, two));
	/* And back, before it has come through. */
	assert_int_equal(profile_store_switch(b->engine, two, b->err), 0);
	run(b);
	assert_string_equal(ts_node_control_url(b->engine->node),
			    "http://127.0.0.1:9");
	free(two);
}

static void a_wish_in_between_ends_a_login_elsewhere(void **state)
{
	struct bench *b = *state;
	struct ts_prefs prefs = login("elsewhere", 0);
	char *one = id_of(b, "one");

	assert_int_equal(profile_store_log_in_elsewhere(b->engine, &prefs,
							NULL, b->err), 0);
	ts_prefs_deinit(&prefs);
	assert_int_equal(profile_store_switch(b->engine, one, b->err), 0);
	run(b);
	assert_string_equal(ts_node_prefs(b->engine->node)->hostname, "one");
	assert_null(b->engine->store.next);
	free(one);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_switch_takes_up_the_other_profiles_node),
		CASE(a_switch_to_where_we_are_changes_nothing),
		CASE(the_last_of_many_wishes_counts),
		CASE(an_empty_profile_has_this_starts_settings_and_no_keys),
		CASE(a_deleted_profile_leaves_nothing),
		CASE(a_login_elsewhere_is_a_profile_of_its_own),
		CASE(a_wish_in_between_ends_a_login_elsewhere),
		CASE(an_engine_that_ends_switches_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
