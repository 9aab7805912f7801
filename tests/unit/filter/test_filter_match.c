/* SPDX-License-Identifier: BSD-3-Clause
 * test_filter_match.c - compiled rules against rules tried one by one
 */
#include "rules.h"

#include "core/filter/filter_match.h"
#include "core/filter/ip_proto.h"

static uint32_t rng = 4711;

static uint32_t rnd(uint32_t bound)
{
	rng ^= rng << 13;
	rng ^= rng >> 17;
	rng ^= rng << 5;
	return rng % bound;
}

static struct ts_ip_set everything(void)
{
	struct ts_ip_set set = {0};
	struct ts_ip_range all = {ip_of("0.0.0.0"), ip_of("255.255.255.255")};

	assert_int_equal(ts_ip_set_add(&set, &all), 0);
	ts_ip_set_seal(&set);
	return set;
}

static bool naive(const struct ts_filter_rule *rules, size_t count,
		  const struct ts_match_query *q)
{
	for (size_t i = 0; i < count; i++) {
		struct ts_ip_range range;
		bool fits = rules[i].protos[0] == q->proto, src = false;

		for (size_t k = 0; k < rules[i].src_count; k++)
			src |= ts_filter_src_range(&rules[i].srcs[k], &range) &&
			       ts_ip_range_contains(&range, q->src);
		for (size_t k = 0; k < rules[i].dst_count && fits && src; k++)
			if (ts_filter_dst_range(&rules[i].dsts[k], &range) &&
			    ts_ip_range_contains(&range, q->dst) &&
			    rules[i].dsts[k].ports.first <= q->port &&
			    q->port <= rules[i].dsts[k].ports.last)
				return true;
	}
	return false;
}

static struct ts_prefix random_prefix(void)
{
	/* Few distinct bits, so that much overlaps and touches. */
	uint32_t ip = 0x0a000000 + rnd(64) * 4 + rnd(3);
	struct ts_prefix p = {ts_ip_from_v4_host(ip),
			      (uint8_t)(96 + (rnd(3) ? 32 : 20 + rnd(13)))};

	return p;
}

static void random_rules_agree_with_trying_each(void **state)
{
	enum { RULES = 40, SRCS = 6, DSTS = 2 };
	static struct ts_filter_rule rules[RULES];
	static struct ts_filter_src srcs[RULES][SRCS];
	static struct ts_filter_dst dsts[RULES][DSTS];
	struct ts_ip_set local = everything();
	unsigned allowed = 0, asked = 0;

	(void)state;
	for (int round = 0; round < 60; round++) {
		size_t count = rnd(RULES + 1);
		struct ts_match_table *t;

		for (size_t i = 0; i < count; i++) {
			struct ts_filter_rule *r = &rules[i];

			*r = (struct ts_filter_rule){
				.srcs = srcs[i],
				.dsts = dsts[i],
				.src_count = rnd(SRCS),
				.dst_count = DSTS,
				.protos = {(uint8_t)(6 + rnd(2) * 11)},
				.proto_count = 1};
			for (size_t k = 0; k < SRCS; k++)
				srcs[i][k] = (struct ts_filter_src){
					.prefix = random_prefix()};
			for (size_t k = 0; k < DSTS; k++) {
				uint16_t first = (uint16_t)rnd(8);

				dsts[i][k] = (struct ts_filter_dst){
					.prefix = random_prefix(),
					.ports = {first,
						  (uint16_t)(first + rnd(3))}};
			}
		}
		t = ts_match_table_new(rules, count, TS_FAMILY_V4, &local);
		assert_non_null(t);
		for (int i = 0; i < 500; i++, asked++) {
			struct ts_ip src = random_prefix().ip,
				     dst = random_prefix().ip;
			struct ts_match_query q = {
				&src, &dst, (uint16_t)rnd(10),
				(uint8_t)(6 + rnd(2) * 11), NULL};
			bool want = naive(rules, count, &q);

			assert_int_equal(
				ts_match_table_allows(t, &q, TS_MATCH_PORT),
				want);
			allowed += want;
		}
		ts_match_table_free(t);
	}
	/* Neither answer is rare. */
	assert_in_range(allowed, asked / 20, asked * 19 / 20);
	ts_ip_set_deinit(&local);
}

static void edges_of_the_address_space_match(void **state)
{
	struct rule_list list = {0};
	struct ts_ip_set local = {0};
	struct ts_ip_range all = {ip_of("::"), ip_of("ffff:ffff:ffff:ffff:ffff:"
						     "ffff:ffff:ffff")};
	struct ts_match_table *t;

	(void)state;
	ts_ip_set_add(&local, &all);
	ts_ip_set_seal(&local);
	add_rule(&list, "::/0", "::/0", 0, 65535);
	t = ts_match_table_new(list.rules, list.count, TS_FAMILY_V6, &local);
	struct ts_match_query q = {&all.first, &all.last, 65535, IPPROTO_TCP,
				   NULL};
	assert_true(ts_match_table_allows(t, &q, TS_MATCH_PORT));
	q = (struct ts_match_query){&all.last, &all.first, 0, IPPROTO_TCP,
				    NULL};
	assert_true(ts_match_table_allows(t, &q, TS_MATCH_PORT));
	ts_match_table_free(t);
	ts_ip_set_deinit(&local);
}

static void no_rules_match_nothing(void **state)
{
	struct ts_ip_set local = everything();
	struct ts_ip ip = ip_of("1.2.3.4");
	struct ts_match_query q = {&ip, &ip, 80, IPPROTO_TCP, NULL};
	struct ts_match_table *t =
		ts_match_table_new(NULL, 0, TS_FAMILY_V4, &local);

	(void)state;
	assert_non_null(t);
	assert_false(ts_match_table_allows(t, &q, TS_MATCH_PORT));
	assert_false(ts_match_table_allows(t, &q, TS_MATCH_ADDRESS));
	ts_match_table_free(t);
	ts_ip_set_deinit(&local);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_rules_agree_with_trying_each),
		cmocka_unit_test(edges_of_the_address_space_match),
		cmocka_unit_test(no_rules_match_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
