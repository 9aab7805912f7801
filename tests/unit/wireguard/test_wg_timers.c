/* SPDX-License-Identifier: BSD-3-Clause
 * test_wg_timers.c - the lazy heap against a plain search
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/wireguard/wg_timers.h"

enum { PEERS = 200 };

static struct ts_wg_timer_heap heap;
static struct ts_wg_timers peers[PEERS];

static int setup(void **state)
{
	(void)state;
	for (int i = 0; i < PEERS; i++)
		ts_wg_timers_init(&peers[i]);
	return ts_wg_timer_heap_reserve(&heap, PEERS);
}

static int teardown(void **state)
{
	(void)state;
	ts_wg_timer_heap_deinit(&heap);
	return 0;
}

static void timers_expire_in_order(void **state)
{
	enum ts_wg_timer which;

	(void)state;
	ts_wg_timer_arm(&heap, &peers[0], WG_TIMER_KEEPALIVE, 30);
	ts_wg_timer_arm(&heap, &peers[1], WG_TIMER_RETRANSMIT, 10);
	ts_wg_timer_arm(&heap, &peers[0], WG_TIMER_ZERO_KEYS, 20);
	assert_int_equal(ts_wg_timer_heap_deadline_ms(&heap), 10);
	assert_null(ts_wg_timer_heap_expire(&heap, 9, &which));
	assert_ptr_equal(ts_wg_timer_heap_expire(&heap, 30, &which), &peers[1]);
	assert_int_equal(which, WG_TIMER_RETRANSMIT);
	assert_ptr_equal(ts_wg_timer_heap_expire(&heap, 30, &which), &peers[0]);
	assert_int_equal(which, WG_TIMER_ZERO_KEYS);
	assert_ptr_equal(ts_wg_timer_heap_expire(&heap, 30, &which), &peers[0]);
	assert_int_equal(which, WG_TIMER_KEEPALIVE);
	assert_null(ts_wg_timer_heap_expire(&heap, 30, &which));
	assert_true(ts_wg_timer_heap_deadline_ms(&heap) == WG_NEVER);
}

static void peer_without_timers_costs_nothing(void **state)
{
	enum ts_wg_timer which;

	(void)state;
	ts_wg_timer_arm(&heap, &peers[0], WG_TIMER_KEEPALIVE, 30);
	ts_wg_timer_disarm(&peers[0], WG_TIMER_KEEPALIVE);
	assert_null(ts_wg_timer_heap_expire(&heap, 30, &which));
	assert_int_equal(heap.len, 0);
}

static void random_use_agrees_with_a_search(void **state)
{
	uint32_t rng = 1;
	uint64_t now = 0;

	(void)state;
	for (int step = 0; step < 20000; step++) {
		struct ts_wg_timers *t;
		enum ts_wg_timer which;
		uint64_t first = WG_NEVER;

		rng = rng * 1664525 + 1013904223;
		t = &peers[(rng >> 8) % PEERS];
		which = (rng >> 16) % WG_TIMER_COUNT;
		switch ((rng >> 20) % 8) {
		case 0:
			ts_wg_timer_disarm(t, which);
			break;
		case 1:
			ts_wg_timers_remove(&heap, t);
			ts_wg_timers_init(t);
			break;
		default:
			ts_wg_timer_arm(&heap, t, which,
					now + (rng >> 24) % 100);
		}
		for (int i = 0; i < PEERS * WG_TIMER_COUNT; i++) {
			uint64_t due = peers[i / WG_TIMER_COUNT]
					       .due_ms[i % WG_TIMER_COUNT];

			first = due < first ? due : first;
		}
		assert_true(ts_wg_timer_heap_deadline_ms(&heap) <= first);
		if (step % 3)
			continue;
		now++;
		while (ts_wg_timer_heap_expire(&heap, now, &which))
			;
		for (int i = 0; i < PEERS * WG_TIMER_COUNT; i++)
			assert_true(peers[i / WG_TIMER_COUNT]
					    .due_ms[i % WG_TIMER_COUNT] > now);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(timers_expire_in_order),
		CASE(peer_without_timers_costs_nothing),
		CASE(random_use_agrees_with_a_search),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
