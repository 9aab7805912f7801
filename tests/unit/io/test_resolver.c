/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/io/net_monitor.h"
#include "core/io/own_address.h"
#include "core/io/resolver.h"

struct bench {
	struct ts_loop *loop;
	struct ts_resolver *res;
	struct ts_timer *guard;
	unsigned answers;
	char error[128];
	struct ts_ip first;
	size_t count;
};

static void give_up(void *ctx)
{
	ts_loop_stop(((struct bench *)ctx)->loop);
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->loop = ts_loop_new();
	b->res = ts_resolver_new(b->loop);
	b->guard = ts_timer_new(b->loop, give_up, b);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	ts_resolver_free(b->res);
	ts_timer_free(b->guard);
	ts_loop_free(b->loop);
	free(b);
	return 0;
}

static void answer(void *ctx, const char *error, const struct ts_ip *ips,
		   size_t count)
{
	struct bench *b = ctx;

	b->answers++;
	snprintf(b->error, sizeof(b->error), "%s", error ? error : "");
	b->count = count;
	if (count)
		b->first = ips[0];
	ts_loop_stop(b->loop);
}

static void run(struct bench *b, unsigned limit_ms)
{
	ts_loop_update(b->loop);
	ts_timer_set(b->guard, ts_loop_now_ms(b->loop) + limit_ms);
	ts_loop_run(b->loop);
}

static void literals_are_answered_later_and_as_they_are(void **state)
{
	static const char *const literals[] = {"192.0.2.7", "2001:db8::7"};
	struct bench *b = *state;

	for (size_t i = 0; i < 2; i++) {
		struct ts_ip expected;

		b->answers = 0;
		ts_ip_parse(literals[i], &expected);
		assert_non_null(ts_resolver_lookup(b->res, literals[i], answer,
						   b));
		assert_int_equal(b->answers, 0);
		run(b, 1000);
		assert_int_equal(b->answers, 1);
		assert_string_equal(b->error, "");
		assert_int_equal(b->count, 1);
		assert_true(ts_ip_equal(&b->first, &expected));
	}
}

static void localhost_is_a_loopback_address(void **state)
{
	struct bench *b = *state;

	ts_resolver_lookup(b->res, "localhost", answer, b);
	assert_int_equal(b->answers, 0);
	run(b, 1000);
	assert_int_equal(b->answers, 1);
	assert_string_equal(b->error, "");
	assert_true(ts_ip_is_loopback(&b->first));
}

static void bad_names_are_answered_later_with_an_error(void **state)
{
	struct bench *b = *state;
	char name[400];

	ts_resolver_lookup(b->res, "", answer, b);
	assert_int_equal(b->answers, 0);
	run(b, 1000);
	assert_string_equal(b->error, "empty host name");

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ts_resolver_lookup(b->res, name, answer, b);
	assert_int_equal(b->answers, 1);
	run(b, 1000);
	assert_int_equal(b->answers, 2);
	assert_string_not_equal(b->error, "");
	assert_int_equal(b->count, 0);
}

static void a_cancelled_lookup_says_nothing(void **state)
{
	struct bench *b = *state;

	ts_resolve_cancel(ts_resolver_lookup(b->res, "::1", answer, b));
	ts_resolve_cancel(ts_resolver_lookup(b->res, "localhost", answer, b));
	ts_resolve_cancel(
		ts_resolver_lookup(b->res, "name.invalid", answer, b));
	run(b, 20);
	assert_int_equal(b->answers, 0);
}

static void a_freed_resolver_says_nothing(void **state)
{
	struct bench *b = *state;

	ts_resolver_lookup(b->res, "::1", answer, b);
	ts_resolver_lookup(b->res, "name.invalid", answer, b);
	ts_resolver_free(b->res);
	b->res = NULL;
	run(b, 20);
	assert_int_equal(b->answers, 0);
}

/* -- the neighbour: own addresses ----------------------------------------- */

static void no_news(void *ctx)
{
	((struct bench *)ctx)->answers++;
}

static void own_addresses_are_usable_ones(void **state)
{
	struct bench *b = *state;
	struct ts_ip ips[32];
	size_t count = ts_local_addresses(ips, 32);
	struct ts_net_monitor *m = ts_net_monitor_open(b->loop, no_news, b);
	bool loopback = count && ts_ip_is_loopback(&ips[0]);

	for (size_t i = 0; i < count; i++) {
		assert_false(ts_ip_is_link_local(&ips[i]));
		assert_false(ts_ip_is_tailscale(&ips[i]));
		assert_int_equal(ts_ip_is_loopback(&ips[i]), loopback);
	}
	assert_int_equal(ts_local_addresses(ips, 0), 0);
	run(b, 10);
	assert_int_equal(b->answers, 0);
	ts_net_monitor_close(m);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(literals_are_answered_later_and_as_they_are),
		CASE(localhost_is_a_loopback_address),
		CASE(bad_names_are_answered_later_with_an_error),
		CASE(a_cancelled_lookup_says_nothing),
		CASE(a_freed_resolver_says_nothing),
		CASE(own_addresses_are_usable_ones),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
