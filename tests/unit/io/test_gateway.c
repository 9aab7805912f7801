/* SPDX-License-Identifier: BSD-3-Clause
 * test_gateway.c - the route to the internet, in a network of the test's own
 */
#include "unit/test.h"

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/io/gateway.h"

static bool has_network;

static int make_network(void **state)
{
	(void)state;
	has_network = unshare(CLONE_NEWNET) == 0;
	if (!has_network)
		return 0;
	return system("ip link set lo up && "
		      "ip link add a0 type veth peer name a1 && "
		      "ip addr add 192.168.7.2/24 dev a0 && "
		      "ip addr add 10.9.0.2/24 dev a1 && "
		      "ip link set a0 up && ip link set a1 up");
}

static void route(const char *words)
{
	char command[160];

	snprintf(command, sizeof(command), "ip route %s", words);
	assert_int_equal(system(command), 0);
}

static void expect(const char *gateway, const char *own)
{
	struct ts_ip want_gateway, want_own, got_gateway, got_own;

	assert_int_equal(ts_ip_parse(gateway, &want_gateway), 0);
	assert_int_equal(ts_ip_parse(own, &want_own), 0);
	assert_int_equal(ts_default_gateway(&got_gateway, &got_own), 0);
	assert_true(ts_ip_equal(&got_gateway, &want_gateway));
	assert_true(ts_ip_equal(&got_own, &want_own));
}

static void expect_none(void)
{
	struct ts_ip gateway, own;

	assert_true(ts_default_gateway(&gateway, &own) < 0);
}

static void without_a_route_there_is_none(void **state)
{
	(void)state;
	if (!has_network)
		skip();
	expect_none();
	route("add unreachable default metric 9");
	expect_none();
	route("del unreachable default metric 9");
	route("add default dev a0"); /* nobody in between */
	expect_none();
	route("del default dev a0");
}

static void it_is_the_one_that_a_packet_would_take(void **state)
{
	(void)state;
	if (!has_network)
		skip();
	route("add default via 192.168.7.1 metric 20");
	expect("192.168.7.1", "192.168.7.2");
	route("add default via 10.9.0.1 metric 10");
	expect("10.9.0.1", "10.9.0.2");
	route("add 0.0.0.0/1 via 192.168.7.9"); /* as VPNs do it */
	route("add 128.0.0.0/1 via 192.168.7.9");
	expect("192.168.7.9", "192.168.7.2");
	route("del 0.0.0.0/1");
	route("del 128.0.0.0/1");
	route("del default via 10.9.0.1");
	expect("192.168.7.1", "192.168.7.2");
	route("del default");
	expect_none();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_route_there_is_none),
		cmocka_unit_test(it_is_the_one_that_a_packet_would_take),
	};

	return cmocka_run_group_tests(tests, make_network, NULL);
}
