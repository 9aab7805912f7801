/* SPDX-License-Identifier: BSD-3-Clause
 * test_echo_slots.c - whose echo requests wait, and whose give way
 */
#include "tests/unit/test.h"

#include <stdbool.h>
#include <stdlib.h>

#include "core/host/echo_slots.h"

static struct echo_slots *new_slots(void)
{
	struct echo_slots *s = calloc(1, sizeof(*s));

	echo_slots_init(s);
	return s;
}

static void free_slots(struct echo_slots *s)
{
	echo_slots_deinit(s);
	free(s);
}

static uint16_t take(struct echo_slots *s, int64_t peer, uint64_t now_ms)
{
	struct echo_slot *slot = echo_slots_take(s, peer, now_ms);

	assert_non_null(slot);
	slot->id = (uint16_t)peer;
	return slot->own_seq;
}

static bool waits(struct echo_slots *s, int64_t peer, uint16_t seq,
		  uint64_t now_ms)
{
	const struct echo_slot *slot = echo_slots_find(s, seq, now_ms);

	return slot && slot->id == (uint16_t)peer;
}

static void a_reply_finds_who_asked(void **state)
{
	struct echo_slots *s = new_slots();
	uint16_t one = take(s, 1, 0), two = take(s, 2, 0);

	(void)state;
	assert_true(waits(s, 1, one, 1) && waits(s, 2, two, 1));
	echo_slots_give(s, echo_slots_find(s, one, 1));
	assert_null(echo_slots_find(s, one, 1));
	assert_true(waits(s, 2, two, ECHO_WAIT_MS - 1));
	assert_null(echo_slots_find(s, two, ECHO_WAIT_MS));
	free_slots(s);
}

/* One that asks without end takes no place of one that asks now and then. */
static void who_has_most_gives_way(void **state)
{
	struct echo_slots *s = new_slots();
	uint16_t quiet[3], first = 0, last = 0;

	(void)state;
	quiet[0] = take(s, 2, 0);
	for (int i = 0; i < 3 * ECHO_SLOTS; i++) {
		last = take(s, 1, 1);
		if (i == 0)
			first = last;
	}
	quiet[1] = take(s, 2, 1);
	quiet[2] = take(s, 3, 1);
	/* and so does a second one that asks without end */
	for (int i = 0; i < 3 * ECHO_SLOTS; i++)
		(void)take(s, i % 2 ? 1 : 4, 2);
	assert_true(waits(s, 2, quiet[0], 3));
	assert_true(waits(s, 2, quiet[1], 3));
	assert_true(waits(s, 3, quiet[2], 3));
	assert_false(waits(s, 1, first, 3));
	assert_false(waits(s, 1, last, 3));
	free_slots(s);
}

static void what_is_old_goes_first(void **state)
{
	struct echo_slots *s = new_slots();
	uint16_t before, after;

	(void)state;
	(void)take(s, 1, 0);
	before = take(s, 2, 1000);
	for (int i = 0; i < ECHO_SLOTS - 2; i++)
		(void)take(s, 3, 1000);
	after = take(s, 4, ECHO_WAIT_MS); /* in the place of the first */
	assert_true(waits(s, 2, before, ECHO_WAIT_MS));
	assert_true(waits(s, 4, after, ECHO_WAIT_MS));
	free_slots(s);
}

/* A reply that comes after all must not be taken for another's. */
static void a_place_has_a_new_number_each_time(void **state)
{
	struct echo_slots *s = new_slots();
	uint16_t first = take(s, 1, 0), next;

	(void)state;
	for (int i = 0; i < 10; i++) {
		echo_slots_give(s, echo_slots_find(s, first, 0));
		for (int k = 1; k < ECHO_SLOTS; k++)
			(void)take(s, 1, 0);
		next = take(s, 1, 0);
		assert_int_equal(next % ECHO_SLOTS, first % ECHO_SLOTS);
		assert_int_not_equal(next, first);
		free_slots(s);
		s = new_slots();
		first = take(s, 1, 0);
	}
	free_slots(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reply_finds_who_asked),
		cmocka_unit_test(who_has_most_gives_way),
		cmocka_unit_test(what_is_old_goes_first),
		cmocka_unit_test(a_place_has_a_new_number_each_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
