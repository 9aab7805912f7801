/* SPDX-License-Identifier: BSD-3-Clause
 * test_portmap.c - a mapping's life: renewed, forgotten, given back
 */
#include "tests/unit/path/portmap_bench.h"

/* -- the keeping ---------------------------------------------------------- */

static void a_mapping_is_renewed_at_half_of_its_life(void **state)
{
	struct bench *b = *state;

	hold_by_pmp(b, 100);
	forget_sent(b);
	pass(b, 49999);
	assert_int_equal(asked(b, 0, 1), 0);
	pass(b, 1);
	assert_int_equal(asked(b, 0, 1), 1);
	assert_memory_equal(last_asked(b, 0, 1)->data + 6, "\x9c\x40", 2);
	pmp_external(b, 0, "203.0.113.9");
	pmp_map(b, 0, 41641, 40000, 100);
	expect_held(b, "203.0.113.9:40000");
	assert_int_equal(b->changes, 1);
}

static void an_unanswered_renewal_is_repeated_until_the_end(void **state)
{
	struct bench *b = *state;

	hold_by_pcp(b, 100);
	forget_sent(b);
	pass(b, 99999);
	assert_true(b->has_mapping);
	assert_in_range(asked(b, 2, 1), 6, 15);
	pass(b, 5000);
	assert_false(b->has_mapping);
	assert_int_equal(b->changes, 2);
}

static void long_leases_are_not_believed_and_short_ones_not_taken(void **state)
{
	struct bench *b = *state;

	hold_by_pmp(b, UINT32_MAX);
	assert_int_equal(b->p.until_ms, 1000 + 7200000);
	run_until(b, b->p.renew_ms);
	pmp_external(b, 0, "203.0.113.9");
	forget_sent(b);
	pmp_map(b, 0, 41641, 40000, 1);
	assert_int_equal(b->sent_count, 0); /* no haste */
	assert_true(b->p.renew_ms >= b->now_ms + PORTMAP_RENEW_MIN_MS);
	pmp_map(b, 0, 41641, 40000, 0);
	assert_true(b->has_mapping);
}

static void a_gateway_cannot_make_us_hurry(void **state)
{
	struct bench *b = *state;
	unsigned maps = 0;

	hold_by_pmp(b, PORTMAP_LIFETIME_MIN_S);
	forget_sent(b);
	for (int i = 0; i < 600; i++) { /* ten minutes, it answers at once */
		pass(b, 1000);
		maps += asked(b, 0, 1);
		if (asked(b, 0, 1)) {
			pmp_external(b, 0, "203.0.113.9");
			pmp_map(b, 0, 41641, 40000, PORTMAP_LIFETIME_MIN_S);
		}
		forget_sent(b);
	}
	assert_true(maps <= 600 / 4 + 1);
}

static void answers_of_strangers_are_passed_over(void **state)
{
	struct bench *b = *state;
	uint8_t r[16] = {0, 129};

	set_network(b, "192.168.1.1", "192.168.1.2");
	pmp_external(b, 0, "203.0.113.9");
	be32(r + 8, 41641u << 16 | 666);
	be32(r + 12, 7200);
	input(b, "192.168.1.66:5351", r, sizeof(r)); /* another host */
	input(b, "192.168.1.1:5350", r, sizeof(r)); /* another port */
	pmp_map(b, 0, 41642, 40000, 7200);	    /* another's mapping */
	assert_int_equal(b->changes, 0);
	pmp_map(b, 0, 41641, 40000, 7200);
	expect_held(b, "203.0.113.9:40000");
	pmp_map(b, 0, 41641, 666, 7200); /* unasked */
	expect_held(b, "203.0.113.9:40000");
}

static void a_pcp_answer_needs_our_nonce(void **state)
{
	struct bench *b = *state;

	set_network(b, "192.168.1.1", "192.168.1.2");
	pcp_announce(b, 0);
	pass(b, PORTMAP_MORE_MS);
	pcp_map(b, 0, 40000, 7200, 1);
	assert_int_equal(b->changes, 0);
	pcp_map(b, 0, 40000, 7200, 0);
	expect_held(b, "203.0.113.9:40000");
}

static void addresses_of_no_use_are_not_published(void **state)
{
	static const char *const lies[] = {
		"127.0.0.1", "169.254.1.1", "224.0.0.1", "255.255.255.255",
		"100.64.0.1"};

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct bench *b;

		setup(state);
		b = *state;
		set_network(b, "192.168.1.1", "192.168.1.2");
		pmp_external(b, 0, lies[i]);
		pmp_map(b, 0, 41641, 40000, 7200);
		assert_int_equal(b->changes, 0);
		assert_int_equal(b->p.state, PORTMAP_RESTING);
		/* Nor is the port kept. */
		assert_int_equal(lifetime_of(last_asked(b, 0, 1), 8), 0);
	}
}

static void an_address_of_another_nat_is_published(void **state)
{
	struct bench *b = *state;

	set_network(b, "192.168.1.1", "192.168.1.2");
	pmp_external(b, 0, "10.1.2.3");
	pmp_map(b, 0, 41641, 40000, 7200);
	expect_held(b, "10.1.2.3:40000");
}

/* -- epochs --------------------------------------------------------------- */

static void a_gateway_that_starts_anew_is_asked_at_once(void **state)
{
	struct bench *b = *state;

	hold_by_pmp(b, 7200);
	pass(b, 60000);
	forget_sent(b);
	b->gateway_up_ms = b->now_ms + EPOCH * 1000; /* its epoch is 0 now */
	pmp_external(b, 0, "203.0.113.9");
	assert_int_equal(asked(b, 0, 1), 1);
	assert_true(b->has_mapping); /* until we know better */
	pmp_map(b, 0, 41641, 40000, 7200);
	expect_held(b, "203.0.113.9:40000");
	assert_int_equal(b->changes, 1);
}

static void another_address_of_the_gateway_is_taken_over(void **state)
{
	struct bench *b = *state;

	hold_by_pmp(b, 7200);
	pass(b, 60000);
	forget_sent(b);
	pmp_external(b, 0, "203.0.113.77"); /* announced */
	assert_int_equal(asked(b, 0, 1), 1);
	pmp_map(b, 0, 41641, 40000, 7200);
	expect_held(b, "203.0.113.77:40000");
	assert_int_equal(b->changes, 2);
	pmp_external(b, 0, "203.0.113.78"); /* and at once again: it waits */
	assert_int_equal(asked(b, 0, 1), 1);
	pass(b, PORTMAP_CHECK_MS);
	pmp_external(b, 0, "203.0.113.78");
	assert_int_equal(asked(b, 0, 1), 2);
}

static void a_mapping_is_checked_every_two_minutes(void **state)
{
	struct bench *b = *state;

	hold_by_pcp(b, 7200);
	forget_sent(b);
	for (int i = 0; i < 10; i++) {
		pass(b, PORTMAP_CHECK_MS);
		pcp_announce(b, 0);
	}
	assert_int_equal(asked(b, 2, 0), 10);
	assert_int_equal(asked(b, 2, 1), 0);
	b->gateway_up_ms = b->now_ms + EPOCH * 1000;
	pass(b, PORTMAP_CHECK_MS);
	pcp_announce(b, 0);
	assert_int_equal(asked(b, 2, 1), 1);
}

static void a_clock_that_is_a_little_off_is_no_restart(void **state)
{
	struct bench *b = *state;

	hold_by_pmp(b, 7200);
	forget_sent(b);
	pass(b, 100000);
	b->gateway_up_ms += 12000; /* 12 % slow */
	pmp_external(b, 0, "203.0.113.9");
	assert_int_equal(asked(b, 0, 1), 0);
}

static void restarts_without_end_cost_a_question_in_four_seconds(void **state)
{
	struct bench *b = *state;

	hold_by_pmp(b, 7200);
	pass(b, 60000);
	forget_sent(b);
	for (int i = 0; i < 400; i++) { /* 40 s */
		uint8_t r[12] = {0, 128, 0, 0, 0, 0, (uint8_t)(i % 2 * 200), 0,
				 203, 0, 113, 9};

		pass(b, 100);
		input(b, "192.168.1.1:5351", r, sizeof(r));
		if (b->p.state == PORTMAP_ASKING)
			pmp_map(b, 0, 41641, 40000, 7200);
		assert_true(asked(b, 0, 1) <= 3);
		if (i % 40 == 39)
			forget_sent(b);
	}
	assert_true(b->has_mapping);
}

/* -- the end, and another network ----------------------------------------- */

static void nat_pmp_is_given_back(void **state)
{
	struct bench *b = *state;

	hold_by_pmp(b, 7200);
	forget_sent(b);
	ts_portmap_release(&b->p, b->now_ms);
	assert_false(b->has_mapping);
	assert_false(ts_portmap_is_released(&b->p));
	assert_int_equal(lifetime_of(last_asked(b, 0, 1), 8), 0);
	/* RFC 6886, 3.4: the external port is zero as well. */
	assert_memory_equal(last_asked(b, 0, 1)->data + 6, "\0\0", 2);
	pmp_map(b, 0, 41641, 0, 0);
	assert_true(ts_portmap_is_released(&b->p));
	set_network(b, "192.168.1.1", "192.168.1.2");
	assert_int_equal(ts_portmap_deadline_ms(&b->p), UINT64_MAX);
}

static void pcp_is_given_back_with_its_nonce(void **state)
{
	struct bench *b = *state;
	uint8_t nonce[12];

	hold_by_pcp(b, 7200);
	memcpy(nonce, last_asked(b, 2, 1)->data + 24, 12);
	forget_sent(b);
	ts_portmap_release(&b->p, b->now_ms);
	assert_int_equal(lifetime_of(last_asked(b, 2, 1), 4), 0);
	assert_memory_equal(last_asked(b, 2, 1)->data + 24, nonce, 12);
	pcp_map(b, 0, 0, 0, 0);
	assert_true(ts_portmap_is_released(&b->p));
}

static void a_silent_gateway_does_not_hold_up_the_end(void **state)
{
	struct bench *b = *state;

	hold_by_pmp(b, 7200);
	ts_portmap_release(&b->p, b->now_ms);
	pass(b, PORTMAP_RELEASE_TRIES * PORTMAP_RELEASE_MS);
	assert_true(ts_portmap_is_released(&b->p));
	setup(state);
	hold_by_upnp(b);
	ts_portmap_release(&b->p, b->now_ms);
	expect_action(b, "#DeletePortMapping");
	pass(b, UPNP_DELETE_MS);
	assert_true(ts_portmap_is_released(&b->p));
}

static void a_request_under_way_is_given_back_too(void **state)
{
	struct bench *b = *state;

	set_network(b, "192.168.1.1", "192.168.1.2");
	pmp_external(b, 0, "203.0.113.9");
	ts_portmap_release(&b->p, b->now_ms);
	assert_int_equal(lifetime_of(last_asked(b, 0, 1), 8), 0);
	setup(state);
	set_network(b, "192.168.1.1", "192.168.1.2");
	ssdp(b);
	pass(b, PORTMAP_PROBE_MS);
	http_done(b, 200, "<r>" SERVICE(WANIP "1", "/c") "</r>");
	ts_portmap_release(&b->p, b->now_ms);
	expect_action(b, "#DeletePortMapping");
}

static void without_a_mapping_the_end_is_at_once(void **state)
{
	struct bench *b = *state;

	set_network(b, "192.168.1.1", "192.168.1.2");
	forget_sent(b);
	ts_portmap_release(&b->p, b->now_ms);
	assert_true(ts_portmap_is_released(&b->p));
	assert_int_equal(b->sent_count, 0);
}

static void another_gateway_is_asked_after_the_old_one_was_told(void **state)
{
	struct bench *b = *state;
	struct ts_addr old = addr_of("192.168.1.1:5351");
	struct ts_addr new = addr_of("10.0.0.1:5351");

	hold_by_pmp(b, 7200);
	forget_sent(b);
	set_network(b, "10.0.0.1", "10.0.0.2");
	assert_false(b->has_mapping);
	assert_true(ts_addr_equal(&b->sent[0].to, &old));
	pass(b, PORTMAP_RELEASE_TRIES * PORTMAP_RELEASE_MS);
	assert_true(ts_addr_equal(&b->sent[b->sent_count - 5].to, &new));
	assert_int_equal(b->p.state, PORTMAP_PROBING);
	set_network(b, NULL, NULL);
	assert_int_equal(b->p.state, PORTMAP_OFF);
	for (int i = 0; i < PORTMAP_KINDS; i++)
		assert_int_equal(b->found.by_kind[i], TS_UNKNOWN);
}

static void the_same_network_again_is_a_reason_to_look(void **state)
{
	struct bench *b = *state;

	hold_by_pmp(b, 7200);
	forget_sent(b);
	set_network(b, "192.168.1.1", "192.168.1.2");
	assert_int_equal(asked(b, 0, 1), 1);
	assert_true(b->has_mapping);
	setup(state);
	set_network(b, "192.168.1.1", "192.168.1.2");
	pass(b, 5000);
	assert_int_equal(b->p.state, PORTMAP_RESTING);
	forget_sent(b);
	set_network(b, "192.168.1.1", "192.168.1.2");
	assert_int_equal(b->sent_count, 5);
}

static void noise_of_any_kind_does_no_harm(void **state)
{
	struct bench *b = *state;
	uint32_t seed = 1;

	set_network(b, "192.168.1.1", "192.168.1.2");
	for (int i = 0; i < 20000; i++) {
		uint8_t r[64];
		size_t len = (size_t)(seed >> 8) % sizeof(r);

		for (size_t k = 0; k < sizeof(r); k++) {
			seed = seed * 1103515245 + 12345;
			r[k] = (uint8_t)(seed >> 16);
		}
		r[0] = seed & 1 ? 2 : 0;
		r[1] = (uint8_t)(0x80 | (seed >> 1 & 1));
		if (seed & 4)
			r[2] = r[3] = 0;
		input(b, "192.168.1.1:5351", r, len);
		pass(b, 10);
		if (b->has_http)
			http_done(b, 200, "<e/>");
		assert_true(b->sent_count < SENT_MAX);
		if (i % 100 == 0)
			forget_sent(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_mapping_is_renewed_at_half_of_its_life),
		CASE(an_unanswered_renewal_is_repeated_until_the_end),
		CASE(long_leases_are_not_believed_and_short_ones_not_taken),
		CASE(a_gateway_cannot_make_us_hurry),
		CASE(answers_of_strangers_are_passed_over),
		CASE(a_pcp_answer_needs_our_nonce),
		CASE(addresses_of_no_use_are_not_published),
		CASE(an_address_of_another_nat_is_published),
		CASE(a_gateway_that_starts_anew_is_asked_at_once),
		CASE(another_address_of_the_gateway_is_taken_over),
		CASE(a_mapping_is_checked_every_two_minutes),
		CASE(a_clock_that_is_a_little_off_is_no_restart),
		CASE(restarts_without_end_cost_a_question_in_four_seconds),
		CASE(nat_pmp_is_given_back),
		CASE(pcp_is_given_back_with_its_nonce),
		CASE(a_silent_gateway_does_not_hold_up_the_end),
		CASE(a_request_under_way_is_given_back_too),
		CASE(without_a_mapping_the_end_is_at_once),
		CASE(another_gateway_is_asked_after_the_old_one_was_told),
		CASE(the_same_network_again_is_a_reason_to_look),
		CASE(noise_of_any_kind_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
