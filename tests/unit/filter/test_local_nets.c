/* SPDX-License-Identifier: BSD-3-Clause */
#include "unit/addresses.h"

#include "core/filter/local_nets.h"

static bool has(const struct ts_local_nets *nets, const char *text)
{
	struct ts_ip ip;

	assert_int_equal(ts_ip_parse(text, &ip), 0);
	return ts_local_nets_contain(nets, &ip);
}

static void own_addresses_alone(void **state)
{
	struct ts_prefix own[] = {prefix_of("100.64.0.1/32"),
				  prefix_of("fd7a:115c:a1e0::1/128")};
	struct ts_local_nets nets = {0};

	(void)state;
	assert_int_equal(ts_local_nets_init(&nets, own, 2, NULL), 0);
	assert_true(has(&nets, "100.64.0.1"));
	assert_true(has(&nets, "fd7a:115c:a1e0::1"));
	assert_false(has(&nets, "100.64.0.2"));
	assert_false(has(&nets, "8.8.8.8"));
	ts_local_nets_deinit(&nets);
}

static void networks_behind_us(void **state)
{
	struct ts_prefix own = prefix_of("100.64.0.1/32");
	struct ts_prefix routes[] = {prefix_of("10.7.0.0/16"),
				     prefix_of("2001:db8::/32")};
	const struct ts_local_routes behind = {.routes = routes,
					       .route_count = 2};
	struct ts_local_nets nets = {0};

	(void)state;
	assert_int_equal(ts_local_nets_init(&nets, &own, 1, &behind), 0);
	assert_true(has(&nets, "10.7.255.255"));
	assert_false(has(&nets, "10.8.0.0"));
	assert_true(has(&nets, "2001:db8:1::"));
	assert_false(has(&nets, "2001:db9::"));
	ts_local_nets_deinit(&nets);
}

/* Who offers the internet does not offer its own networks with it. */
static void the_internet_and_nothing_else(void **state)
{
	static const char *const outside[] = {
		"192.168.1.1", "10.0.0.1",  "172.16.0.1",  "127.0.0.1",
		"169.254.1.1", "224.0.0.1", "255.255.255.255",
		"0.0.0.0",     "100.64.0.9", "203.0.113.7", "fe80::1",
		"ff02::1",     "::1",	    "fd7a:115c:a1e0::9",
		"2001:db8:5::1"};
	struct ts_prefix own = prefix_of("100.64.0.1/32");
	struct ts_prefix routes[] = {prefix_of("0.0.0.0/0"), prefix_of("::/0"),
				     prefix_of("192.168.7.0/24")};
	/* With the bits of our own addresses there. */
	struct ts_prefix lans[] = {prefix_of("203.0.113.99/24"),
				   prefix_of("2001:db8:5::99/64")};
	const struct ts_local_routes behind = {.routes = routes,
					       .route_count = 3,
					       .lans = lans,
					       .lan_count = 2};
	struct ts_local_nets nets = {0};

	(void)state;
	assert_int_equal(ts_local_nets_init(&nets, &own, 1, &behind), 0);
	assert_true(has(&nets, "8.8.8.8"));
	assert_true(has(&nets, "203.0.114.1"));
	assert_true(has(&nets, "2606:4700::1111"));
	assert_true(has(&nets, "100.64.0.1"));
	/* By its own route. */
	assert_true(has(&nets, "192.168.7.1"));
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
		if (has(&nets, outside[i]))
			fail_msg("%s", outside[i]);
	ts_local_nets_deinit(&nets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_addresses_alone),
		cmocka_unit_test(networks_behind_us),
		cmocka_unit_test(the_internet_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
