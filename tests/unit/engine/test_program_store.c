/* SPDX-License-Identifier: BSD-3-Clause
 * test_program_store.c - what a program's store is asked, and in which order
 *
 * The store is a state as well, with a list of what it was told; it may be slow
 * (then it answers at the end) and may fail.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/engine/fork_gate.h"
#include "core/engine/program_store.h"

enum { SEEN_CAP = 512 };

struct bench {
	struct ts_program_ops ops;
	struct ts_loop *loop;
	struct ts_timer *limit;
	struct ts_state *state, *shelf;
	struct state_store *store;
	char seen[SEEN_CAP];
	int fail; /* the next so many writes */
	int read_code;
	bool is_slow;
	void (*then)(void *ctx, int code);
	void *then_ctx;
	char err[256];
};

static void see(struct bench *b, const char *what, const char *key)
{
	size_t at = strlen(b->seen);

	snprintf(b->seen + at, SEEN_CAP - at, "%s%s%s", at ? " " : "", what,
		 key);
}

static int read_op(void *ctx, const char *key, unsigned wait_ms,
		   uint8_t **out, size_t *len)
{
	struct bench *b = ctx;
	const uint8_t *data = ts_state_get(b->shelf, key, len);

	assert_true(wait_ms > 0);
	see(b, "", key);
	if (b->read_code)
		return b->read_code;
	if (!data)
		return -ENOENT;
	*out = malloc(*len + 1);
	memcpy(*out, data, *len);
	return 0;
}

static void answer(void *ctx)
{
	struct bench *b = ctx;
	void (*then)(void *ctx, int code) = b->then;

	b->then = NULL;
	then(b->then_ctx, b->fail-- > 0 ? -ENOSPC : 0);
}

static int write_op(void *ctx, const char *key, const void *data, size_t len,
		    unsigned wait_ms, void (*then)(void *ctx, int code),
		    void *then_ctx)
{
	struct bench *b = ctx;

	assert_null(b->then); /* one at a time */
	see(b, data ? "+" : "-", key);
	if (b->fail <= 0)
		assert_true(ts_state_set(b->shelf, key, data, len) >= 0);
	if (!then) {
		assert_true(wait_ms > 0);
		return b->fail-- > 0 ? -ENOSPC : 0;
	}
	b->then = then;
	b->then_ctx = then_ctx;
	return b->is_slow ? 0 : ts_loop_post(b->loop, answer, b);
}

static void stop(void *ctx)
{
	ts_loop_stop(ctx);
}

static void put(struct ts_state *s, const char *key, const char *text)
{
	assert_true(ts_state_set(s, key, text, text ? strlen(text) : 0) >= 0);
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->ops = (struct ts_program_ops){
		.ctx = b, .read = read_op, .write = write_op};
	b->loop = ts_loop_new();
	b->limit = ts_timer_new(b->loop, stop, b->loop);
	b->state = ts_state_new();
	b->shelf = ts_state_new();
	b->store = program_store_new(b->state, b->loop, &b->ops);
	fork_gate_enter(); /* as an engine's thread */
	*state = b;
	return b->store ? 0 : -1;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	fork_gate_leave();
	state_store_free(b->store);
	ts_state_free(b->state);
	ts_state_free(b->shelf);
	ts_timer_free(b->limit);
	ts_loop_free(b->loop);
	free(b);
	return 0;
}

static void run_for(struct bench *b, uint64_t ms)
{
	ts_loop_update(b->loop);
	ts_timer_set(b->limit, ts_loop_now_ms(b->loop) + ms);
	ts_loop_run(b->loop);
}

static void run_until_finished(struct bench *b)
{
	for (int i = 0; i < 500 && !state_store_is_finished(b->store); i++)
		run_for(b, 10);
	assert_true(state_store_is_finished(b->store));
}

static void an_empty_store_is_asked_for_what_always_is_there(void **state)
{
	struct bench *b = *state;

	assert_int_equal(state_store_load(b->store, b->err), 0);
	assert_string_equal(b->seen, "_machinekey _profiles _current-profile "
				     "_daemon");
}

static void the_profiles_that_are_named_are_read(void **state)
{
	struct bench *b = *state;
	size_t len;

	put(b->shelf, "_profiles",
	    "{\"a1b2\":{\"ID\":\"a1b2\",\"Name\":\"one\",\"Key\":\"profile-a1b2\"}}");
	put(b->shelf, "profile-a1b2", "{}");
	put(b->shelf, "_serve/a1b2", "{\"TCP\":{}}");
	assert_int_equal(state_store_load(b->store, b->err), 0);
	assert_non_null(ts_state_get(b->state, "profile-a1b2", &len));
	assert_non_null(ts_state_get(b->state, "_serve/a1b2", &len));
	assert_true(state_store_is_finished(b->store)); /* nothing differs */
}

static void a_read_that_fails_is_told(void **state)
{
	struct bench *b = *state;

	b->read_code = -EIO;
	assert_int_equal(state_store_load(b->store, b->err), -EIO);
	assert_non_null(strstr(b->err, "cannot read _machinekey"));
	assert_string_equal(b->seen, "_machinekey");
}

static void a_list_that_makes_no_sense_is_told(void **state)
{
	struct bench *b = *state;

	put(b->shelf, "_profiles", "{");
	assert_int_equal(state_store_load(b->store, b->err), -EBADMSG);
	assert_true(b->err[0]);
}

/* Whoever is named is there first, and goes last. */
static void writes_make_sense_at_every_moment(void **state)
{
	struct bench *b = *state;

	put(b->state, "_current-profile", "profile-1");
	put(b->state, "_profiles", "{}");
	put(b->state, "profile-1", "one");
	state_store_save(b->store);
	run_until_finished(b);
	assert_string_equal(b->seen, "+profile-1 +_profiles +_current-profile");
	b->seen[0] = '\0';
	put(b->state, "profile-1", NULL);
	put(b->state, "_profiles", "{1}");
	state_store_save(b->store);
	run_until_finished(b);
	assert_string_equal(b->seen, "+_profiles -profile-1");
}

static void what_did_not_change_is_not_written(void **state)
{
	struct bench *b = *state;

	put(b->state, "profile-1", "one");
	state_store_save(b->store);
	run_until_finished(b);
	state_store_save(b->store);
	run_until_finished(b);
	assert_string_equal(b->seen, "+profile-1");
}

static void what_fails_is_tried_again(void **state)
{
	struct bench *b = *state;
	size_t len;

	b->fail = 1;
	put(b->state, "profile-1", "one");
	state_store_save(b->store);
	run_for(b, 50);
	assert_non_null(strstr(b->store->trouble, "cannot write profile-1"));
	assert_null(ts_state_get(b->shelf, "profile-1", &len));
	/* at once, when something changes */
	put(b->state, "profile-2", "two");
	state_store_save(b->store);
	for (int i = 0; i < 500 && b->store->trouble[0]; i++)
		run_for(b, 10);
	run_until_finished(b);
	assert_string_equal(b->store->trouble, "");
	assert_string_equal(b->seen, "+profile-1 +profile-2 +profile-1");
}

static void the_end_tries_once_more_and_no_more(void **state)
{
	struct bench *b = *state;

	b->fail = 2;
	put(b->state, "profile-1", "one");
	state_store_save(b->store);
	run_for(b, 50);
	state_store_finish(b->store);
	assert_false(state_store_is_finished(b->store));
	run_until_finished(b);
	assert_string_equal(b->seen, "+profile-1 +profile-1");
	assert_true(b->store->trouble[0]);
}

static void a_try_under_way_at_the_end_is_not_the_last(void **state)
{
	struct bench *b = *state;

	b->fail = 1;
	b->is_slow = true;
	put(b->state, "profile-1", "one");
	state_store_save(b->store);
	run_for(b, 20);
	state_store_finish(b->store);
	b->is_slow = false;
	answer(b);
	run_until_finished(b);
	assert_string_equal(b->seen, "+profile-1 +profile-1");
	assert_string_equal(b->store->trouble, "");
}

/* It changes again while the program is at it. */
static void a_slow_write_is_followed_by_the_newer_value(void **state)
{
	struct bench *b = *state;
	const uint8_t *data;
	size_t len;

	b->is_slow = true;
	put(b->state, "profile-1", "one");
	state_store_save(b->store);
	run_for(b, 20);
	assert_string_equal(b->seen, "+profile-1");
	put(b->state, "profile-1", "two");
	state_store_save(b->store);
	run_for(b, 20);
	assert_string_equal(b->seen, "+profile-1");
	assert_false(state_store_is_finished(b->store));
	b->is_slow = false;
	answer(b);
	run_until_finished(b);
	assert_string_equal(b->seen, "+profile-1 +profile-1");
	data = ts_state_get(b->shelf, "profile-1", &len);
	assert_memory_equal(data, "two", 3);
}

static void a_value_that_must_be_kept_is_waited_for(void **state)
{
	struct bench *b = *state;

	put(b->state, "_machinekey", "privkey:1");
	assert_int_equal(state_store_save_now(b->store, b->err), 0);
	assert_string_equal(b->seen, "+_machinekey");
	put(b->state, "_machinekey", "privkey:2");
	b->fail = 1;
	assert_int_equal(state_store_save_now(b->store, b->err), -ENOSPC);
	assert_non_null(strstr(b->err, "cannot write _machinekey"));
}

static void on_answer_time(void *ctx)
{
	answer(ctx);
}

/* Its end is waited for: there is one write at a time, whoever asks. */
static void what_is_under_way_comes_first(void **state)
{
	struct bench *b = *state;
	struct ts_timer *timer = ts_timer_new(b->loop, on_answer_time, b);
	const uint8_t *data;
	size_t len;

	b->is_slow = true;
	put(b->state, "_daemon", "one");
	state_store_save(b->store);
	run_for(b, 20);
	assert_string_equal(b->seen, "+_daemon");
	put(b->state, "_daemon", "two");
	put(b->state, "_machinekey", "privkey:1");
	ts_timer_set(timer, ts_loop_now_ms(b->loop) + 20);
	assert_int_equal(state_store_save_now(b->store, b->err), 0);
	assert_string_equal(b->err, "");
	data = ts_state_get(b->shelf, "_daemon", &len);
	assert_memory_equal(data, "two", 3);
	assert_non_null(ts_state_get(b->shelf, "_machinekey", &len));
	assert_true(state_store_is_finished(b->store));
	ts_timer_free(timer);
}

/* A store that goes while a write is under way has nobody to tell. */
static void it_may_go_in_the_middle(void **state)
{
	struct bench *b = *state;

	b->is_slow = true;
	put(b->state, "profile-1", "one");
	state_store_save(b->store);
	run_for(b, 20);
	assert_non_null(b->then);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_store_is_asked_for_what_always_is_there),
		TEST(the_profiles_that_are_named_are_read),
		TEST(a_read_that_fails_is_told),
		TEST(a_list_that_makes_no_sense_is_told),
		TEST(writes_make_sense_at_every_moment),
		TEST(what_did_not_change_is_not_written),
		TEST(what_fails_is_tried_again),
		TEST(the_end_tries_once_more_and_no_more),
		TEST(a_try_under_way_at_the_end_is_not_the_last),
		TEST(a_slow_write_is_followed_by_the_newer_value),
		TEST(a_value_that_must_be_kept_is_waited_for),
		TEST(what_is_under_way_comes_first),
		TEST(it_may_go_in_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
