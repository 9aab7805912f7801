/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/test.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "core/broker/rendezvous_rule.h"

static struct ts_table *table;
static const struct ts_table_layout *layout;
static struct ts_table_info info;

static int set_up(void **state)
{
	(void)state;
	table = ts_table_new();
	if (!table)
		return -1;
	info = (struct ts_table_info){.rendezvous_port = 4000,
				      .rendezvous6_port = 4001,
				      .has_loopback6 = 1};
	ts_table_set_info(table, &info, NULL, NULL);
	layout = ts_table_layout(table);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	ts_table_free(table);
	return 0;
}

static struct ts_addr addr(const char *text)
{
	struct ts_addr out;

	assert_int_equal(ts_addr_parse(text, &out), 0);
	return out;
}

static void put(const struct ts_addr *local, const struct ts_addr *remote,
		uint8_t state)
{
	const struct ts_flow_key key = {.proto = IPPROTO_TCP, .local = *local,
					.remote = *remote};
	const struct ts_flow_entry entry = {.kind = TS_FLOW_CONNECT,
					    .state = state, .error = 111};

	assert_int_equal(ts_table_put(table, &key, &entry), 0);
}

/* The same for everybody who knows the local port. */
static void test_rule_is_a_function_of_the_port(void **state)
{
	(void)state;
	for (unsigned n = 0; n < TS_RENDEZVOUS_MAX; n++) {
		struct ts_addr a = addr("127.1.2.3:5000"), b = a, r1, r2;

		assert_true(ts_rendezvous_nth(&info, n, &a, &r1));
		assert_true(ts_rendezvous_nth(&info, n, &b, &r2));
		assert_true(ts_addr_equal(&r1, &r2));
		assert_int_equal(r1.port, 4000);
		assert_true(ts_ip_v4_host(&r1.ip) > 0x7f010000);
	}
}

static void test_wildcards_and_families(void **state)
{
	struct ts_addr any = {.port = 5000}, six = addr("[::1]:5000"), r;
	struct ts_table_info one = info;

	(void)state;
	assert_true(ts_rendezvous_nth(&info, 0, &any, &r));
	assert_int_equal(ts_ip_v4_host(&any.ip), 0x7f000001);
	assert_true(ts_rendezvous_nth(&info, 0, &six, &r));
	assert_int_equal(r.port, 4001);
	assert_false(ts_rendezvous_nth(&info, 1, &six, &r));
	one.one_loopback = 1;
	any = (struct ts_addr){.port = 5000};
	assert_true(ts_rendezvous_nth(&one, 0, &any, &r));
	assert_int_equal(ts_ip_v4_host(&r.ip), 0x7f000001);
	assert_false(ts_rendezvous_nth(&one, 1, &any, &r));
	one.has_loopback6 = 0;
	assert_false(ts_rendezvous_nth(&one, 0, &six, &r));
}

static void test_a_used_one_is_passed_over(void **state)
{
	struct ts_addr local = addr("127.1.2.3:5001"), first, chosen;
	unsigned n = 0;

	(void)state;
	assert_true(ts_rendezvous_nth(&info, 0, &local, &first));
	put(&local, &first, TS_FLOW_UP);
	assert_true(ts_rendezvous_choose(layout, &info, &local, &n, &chosen));
	assert_int_equal(n, 1);
	assert_false(ts_addr_equal(&first, &chosen));
	/* A failed one is free. */
	put(&local, &first, TS_FLOW_FAILED);
	n = 0;
	assert_true(ts_rendezvous_choose(layout, &info, &local, &n, &chosen));
	assert_true(ts_addr_equal(&first, &chosen));
}

static void test_all_used_gives_the_first(void **state)
{
	struct ts_addr local = addr("127.1.2.3:5002"), r, first;
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < TS_RENDEZVOUS_MAX; i++) {
		assert_true(ts_rendezvous_nth(&info, i, &local, &r));
		put(&local, &r, TS_FLOW_UP);
		if (i == 0)
			first = r;
	}
	assert_true(ts_rendezvous_choose(layout, &info, &local, &n, &r));
	assert_int_equal(n, 0);
	assert_true(ts_addr_equal(&first, &r));
}

static void test_a_failed_flow_is_found_again(void **state)
{
	struct ts_addr local = addr("127.1.2.3:5003"), r;
	struct ts_flow_entry entry;

	(void)state;
	assert_false(ts_rendezvous_find(layout, &local, false, &entry));
	assert_true(ts_rendezvous_nth(&info, 3, &local, &r));
	put(&local, &r, TS_FLOW_PENDING);
	assert_true(ts_rendezvous_find(layout, &local, false, &entry));
	assert_false(ts_rendezvous_find(layout, &local, true, &entry));
	put(&local, &r, TS_FLOW_FAILED);
	assert_true(ts_rendezvous_find(layout, &local, true, &entry));
	assert_int_equal(entry.error, 111);
	local.port = 0;
	assert_false(ts_rendezvous_find(layout, &local, false, &entry));
	assert_false(ts_rendezvous_find(NULL, &local, false, &entry));
}

static void test_names_of_unconnected_sockets(void **state)
{
	const struct ts_addr local = addr("127.1.2.3:5004");
	struct ts_flow_entry entry = {.state = TS_FLOW_PENDING,
				      .tailnet_local = addr("100.64.0.1:7")};
	struct ts_addr name = ts_flow_unconnected_name(&entry, &local);

	(void)state;
	assert_true(ts_addr_equal(&name, &entry.tailnet_local));
	entry.state = TS_FLOW_FAILED;
	name = ts_flow_unconnected_name(&entry, &local);
	assert_true(ts_ip_is_zero(&name.ip));
	assert_int_equal(name.port, 5004);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rule_is_a_function_of_the_port),
		cmocka_unit_test(test_wildcards_and_families),
		cmocka_unit_test(test_a_used_one_is_passed_over),
		cmocka_unit_test(test_all_used_gives_the_first),
		cmocka_unit_test(test_a_failed_flow_is_found_again),
		cmocka_unit_test(test_names_of_unconnected_sockets),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
