/* SPDX-License-Identifier: BSD-3-Clause */
#include "unit/test.h"

#include <sched.h>
#include <stdlib.h>

#include "core/io/own_address.h"

static bool has_network;

static int make_network(void **state)
{
	(void)state;
	has_network = unshare(CLONE_NEWNET) == 0 &&
		      system("ip link set lo up && "
			     "ip addr add 192.168.7.2/32 dev lo") == 0;
	return 0;
}

static bool is_own(const char *text)
{
	struct ts_ip ip;

	assert_int_equal(ts_ip_parse(text, &ip), 0);
	return ts_is_own_address(&ip);
}

static void an_address_that_has_gone_is_not_ours(void **state)
{
	(void)state;
	if (!has_network)
		skip();
	assert_true(is_own("127.0.0.1"));
	assert_true(is_own("::1"));
	assert_true(is_own("192.168.7.2"));
	assert_false(is_own("192.168.7.3"));
	assert_false(is_own("2001:db8::7"));
	assert_int_equal(system("ip addr del 192.168.7.2/32 dev lo"), 0);
	assert_false(is_own("192.168.7.2"));
}

static void without_a_route_no_address_leads_out(void **state)
{
	struct ts_ip ip;

	(void)state;
	if (!has_network)
		skip();
	ip = ts_own_address_towards(TS_SOMEWHERE_V4);
	assert_true(ts_ip_is_zero(&ip));
	ip = ts_own_address_towards("no address");
	assert_true(ts_ip_is_zero(&ip));
	ip = ts_own_address_towards("127.0.0.9");
	assert_true(ts_ip_is_loopback(&ip));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_that_has_gone_is_not_ours),
		cmocka_unit_test(without_a_route_no_address_leads_out),
	};

	return cmocka_run_group_tests(tests, make_network, NULL);
}
