/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/loop/loop.h"

struct bench {
	struct ts_loop *loop;
	int fds[2];
	struct ts_watch *watch;
	struct ts_watch *other;
	struct ts_timer *timer;
	struct ts_timer *other_timer;
	char trace[64];
	unsigned events;
	unsigned rounds;
	uint64_t fired_ms;
	pthread_t thread;
	pthread_t loop_thread;
	atomic_int posted;
};

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->loop = ts_loop_new();
	assert_non_null(b->loop);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b->fds), 0);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	ts_watch_free(b->watch);
	ts_watch_free(b->other);
	ts_timer_free(b->timer);
	ts_timer_free(b->other_timer);
	ts_loop_free(b->loop);
	close(b->fds[0]);
	close(b->fds[1]);
	free(b);
	return 0;
}

static void note(struct bench *b, char c)
{
	size_t len = strlen(b->trace);

	assert_true(len + 1 < sizeof(b->trace));
	b->trace[len] = c;
}

static void post_a(void *ctx)
{
	note(ctx, 'a');
}

static void post_b(void *ctx)
{
	note(ctx, 'b');
}

static void post_stop(void *ctx)
{
	struct bench *b = ctx;

	note(b, 's');
	ts_loop_stop(b->loop);
}

static void post_from_post(void *ctx)
{
	struct bench *b = ctx;

	note(b, 'p');
	assert_int_equal(ts_loop_post(b->loop, post_stop, b), 0);
}

static void posts_run_in_order_and_may_post(void **state)
{
	struct bench *b = *state;

	ts_loop_post(b->loop, post_a, b);
	ts_loop_post(b->loop, post_b, b);
	ts_loop_post(b->loop, post_from_post, b);
	ts_loop_post(b->loop, post_a, b);
	assert_string_equal(b->trace, "");
	ts_loop_run(b->loop);
	assert_string_equal(b->trace, "abpas");
}

static void stop_before_run_ends_the_run_and_only_that(void **state)
{
	struct bench *b = *state;

	ts_loop_stop(b->loop);
	ts_loop_run(b->loop);
	ts_loop_post(b->loop, post_stop, b);
	ts_loop_run(b->loop);
	assert_string_equal(b->trace, "s");
}

static void posts_that_never_ran_are_freed(void **state)
{
	struct bench *b = *state;

	ts_loop_post(b->loop, post_a, b);
}

static void count_on_loop(void *ctx)
{
	struct bench *b = ctx;

	assert_true(pthread_equal(pthread_self(), b->loop_thread));
	if (atomic_fetch_add(&b->posted, 1) + 1 == 1000)
		ts_loop_stop(b->loop);
}

static void *post_many(void *ctx)
{
	struct bench *b = ctx;

	for (int i = 0; i < 1000; i++)
		ts_loop_post(b->loop, count_on_loop, b);
	return NULL;
}

static void posts_come_in_from_another_thread(void **state)
{
	struct bench *b = *state;

	b->loop_thread = pthread_self();
	assert_int_equal(pthread_create(&b->thread, NULL, post_many, b), 0);
	ts_loop_run(b->loop);
	pthread_join(b->thread, NULL);
	assert_int_equal(atomic_load(&b->posted), 1000);
}

static void free_both_watches(void *ctx, unsigned events)
{
	struct bench *b = ctx;

	note(b, 'w');
	b->events |= events;
	ts_watch_free(b->watch);
	ts_watch_free(b->other);
	b->watch = b->other = NULL;
	ts_loop_stop(b->loop);
}

static void a_watch_may_free_itself_and_its_neighbour(void **state)
{
	struct bench *b = *state;

	b->watch = ts_watch_new(b->loop, b->fds[0], TS_WRITABLE,
				free_both_watches, b);
	b->other = ts_watch_new(b->loop, b->fds[1], TS_WRITABLE,
				free_both_watches, b);
	ts_loop_run(b->loop);
	assert_string_equal(b->trace, "w");
	assert_int_equal(b->events, TS_WRITABLE);
}

static void read_one(void *ctx, unsigned events)
{
	struct bench *b = ctx;
	char c;

	b->events = events;
	assert_int_equal(read(b->fds[0], &c, 1), 1);
	note(b, c);
	ts_watch_set(b->watch, 0);
	ts_loop_stop(b->loop);
}

static void a_watch_reports_only_what_was_asked(void **state)
{
	struct bench *b = *state;

	b->watch = ts_watch_new(b->loop, b->fds[0], 0, read_one, b);
	assert_int_equal(write(b->fds[1], "x", 1), 1);
	ts_loop_stop(b->loop);
	ts_loop_run(b->loop);
	assert_string_equal(b->trace, "");

	ts_watch_set(b->watch, TS_READABLE);
	ts_watch_set(b->watch, TS_READABLE);
	ts_loop_run(b->loop);
	assert_string_equal(b->trace, "x");
	assert_int_equal(b->events, TS_READABLE);

	assert_int_equal(write(b->fds[1], "y", 1), 1);
	ts_watch_set(b->watch, TS_READABLE | TS_WRITABLE);
	ts_loop_run(b->loop);
	assert_int_equal(b->events, TS_READABLE | TS_WRITABLE);
}

static void timer_stops(void *ctx)
{
	struct bench *b = ctx;

	note(b, 't');
	b->fired_ms = ts_loop_now_ms(b->loop);
	ts_loop_stop(b->loop);
}

static void timer_frees_itself(void *ctx)
{
	struct bench *b = ctx;

	ts_timer_free(b->timer);
	b->timer = NULL;
	timer_stops(ctx);
}

static void a_timer_never_fires_early(void **state)
{
	struct bench *b = *state;

	b->timer = ts_timer_new(b->loop, timer_stops, b);
	for (unsigned wait_ms = 0; wait_ms < 8; wait_ms++) {
		uint64_t at_ms = ts_loop_now_ms(b->loop) + wait_ms;

		ts_timer_set(b->timer, at_ms);
		ts_loop_run(b->loop);
		assert_true(b->fired_ms >= at_ms);
	}
	assert_string_equal(b->trace, "tttttttt");
}

static void a_timer_pushed_back_fires_at_the_last_deadline(void **state)
{
	struct bench *b = *state;
	uint64_t start_ms = ts_loop_now_ms(b->loop);

	b->timer = ts_timer_new(b->loop, timer_frees_itself, b);
	ts_timer_set(b->timer, start_ms + 2);
	ts_timer_set(b->timer, start_ms + 20);
	ts_timer_set(b->timer, start_ms + 10);
	ts_loop_run(b->loop);
	assert_string_equal(b->trace, "t");
	assert_true(b->fired_ms >= start_ms + 10);
}

static void timer_must_not_fire(void *ctx)
{
	note(ctx, '!');
}

static void a_disarmed_timer_does_not_fire(void **state)
{
	struct bench *b = *state;
	uint64_t start_ms = ts_loop_now_ms(b->loop);

	b->other_timer = ts_timer_new(b->loop, timer_must_not_fire, b);
	b->timer = ts_timer_new(b->loop, timer_stops, b);
	ts_timer_set(b->other_timer, start_ms + 1);
	ts_timer_set(b->other_timer, UINT64_MAX);
	ts_timer_set(b->timer, start_ms + 5);
	ts_loop_run(b->loop);
	assert_string_equal(b->trace, "t");
}

static void flush(void *ctx)
{
	struct bench *b = ctx;

	b->rounds++;
	note(b, 'f');
}

static void flush_once(void *ctx)
{
	struct bench *b = ctx;

	note(b, 'o');
	ts_loop_before_sleep_remove(b->loop, flush_once, b);
}

static void before_sleep_runs_once_a_turn_until_removed(void **state)
{
	struct bench *b = *state;

	ts_loop_before_sleep(b->loop, flush_once, b);
	ts_loop_before_sleep(b->loop, flush, b);
	ts_loop_post(b->loop, post_from_post, b); /* two turns */
	ts_loop_run(b->loop);
	assert_string_equal(b->trace, "fopfs"); /* last added, first run */
	ts_loop_before_sleep_remove(b->loop, flush, b);
	ts_loop_stop(b->loop);
	ts_loop_run(b->loop);
	assert_int_equal(b->rounds, 2);
}

static void got_signal(void *ctx, int signo)
{
	struct bench *b = ctx;

	assert_int_equal(signo, SIGUSR1);
	post_stop(b);
}

static void signals_arrive_on_the_loop(void **state)
{
	struct bench *b = *state;

	assert_int_equal(ts_loop_on_signal(b->loop, SIGUSR1, got_signal, b), 0);
	raise(SIGUSR1);
	ts_loop_run(b->loop);
	assert_string_equal(b->trace, "s");
}

static void the_loop_leaves_sigchld_and_sigpipe_alone(void **state)
{
	struct sigaction chld, sigpipe;

	(void)state;
	assert_int_equal(sigaction(SIGCHLD, NULL, &chld), 0);
	assert_int_equal(sigaction(SIGPIPE, NULL, &sigpipe), 0);
	assert_ptr_equal(chld.sa_handler, SIG_DFL);
	assert_ptr_equal(sigpipe.sa_handler, SIG_DFL);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(posts_run_in_order_and_may_post),
		CASE(stop_before_run_ends_the_run_and_only_that),
		CASE(posts_that_never_ran_are_freed),
		CASE(posts_come_in_from_another_thread),
		CASE(a_watch_may_free_itself_and_its_neighbour),
		CASE(a_watch_reports_only_what_was_asked),
		CASE(a_timer_never_fires_early),
		CASE(a_timer_pushed_back_fires_at_the_last_deadline),
		CASE(a_disarmed_timer_does_not_fire),
		CASE(before_sleep_runs_once_a_turn_until_removed),
		CASE(signals_arrive_on_the_loop),
		CASE(the_loop_leaves_sigchld_and_sigpipe_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
