/* SPDX-License-Identifier: BSD-3-Clause
 * test_flow_table.c - what is remembered, and what is forgotten first
 */
#include "rules.h"

#include "core/crypto/secret.h"
#include "core/filter/flow_table.h"

static struct ts_flow_table table;

static struct ts_flow flow_of(uint16_t n)
{
	return (struct ts_flow){ip_of("100.64.0.1"), ip_of("100.64.0.2"), n, 53,
				17};
}

static void each_part_of_a_flow_counts(void **state)
{
	struct ts_flow flow = flow_of(1), other;

	(void)state;
	ts_flow_table_add(&table, &flow);
	assert_true(ts_flow_table_has(&table, &flow));
	other = flow;
	other.proto = 132;
	assert_false(ts_flow_table_has(&table, &other));
	other = flow;
	other.dst_port++;
	assert_false(ts_flow_table_has(&table, &other));
	other = flow;
	other.src_port++;
	assert_false(ts_flow_table_has(&table, &other));
	other = flow;
	other.src.bytes[15]++;
	assert_false(ts_flow_table_has(&table, &other));
	other = flow;
	other.dst.bytes[15]++;
	assert_false(ts_flow_table_has(&table, &other));
}

static void least_recently_used_flow_is_forgotten(void **state)
{
	struct ts_flow first = flow_of(0);

	(void)state;
	for (uint16_t i = 0; i < TS_FLOWS_MAX; i++) {
		struct ts_flow flow = flow_of(i);

		ts_flow_table_add(&table, &flow);
	}
	assert_true(ts_flow_table_has(&table, &first)); /* used again */
	for (uint16_t i = TS_FLOWS_MAX; i < 2 * TS_FLOWS_MAX - 1; i++) {
		struct ts_flow flow = flow_of(i),
			       before = flow_of(
				       (uint16_t)(i - TS_FLOWS_MAX + 1));

		assert_true(ts_flow_table_has(&table, &first));
		ts_flow_table_add(&table, &flow);
		assert_false(ts_flow_table_has(&table, &before));
	}
	assert_int_equal(table.count, TS_FLOWS_MAX);
}

static void adding_again_renews(void **state)
{
	struct ts_flow first = flow_of(0);

	(void)state;
	for (uint16_t i = 0; i < 5000; i++) {
		struct ts_flow flow = flow_of(i);

		ts_flow_table_add(&table, &flow);
		ts_flow_table_add(&table, &first);
	}
	assert_true(ts_flow_table_has(&table, &first));
	for (uint16_t i = 5000 - TS_FLOWS_MAX + 1; i < 5000; i++) {
		struct ts_flow flow = flow_of(i);

		assert_true(ts_flow_table_has(&table, &flow));
	}
}

static int setup(void **state)
{
	(void)state;
	ts_flow_table_init(&table);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_part_of_a_flow_counts, setup),
		cmocka_unit_test_setup(least_recently_used_flow_is_forgotten,
				       setup),
		cmocka_unit_test_setup(adding_again_renews, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
