/* SPDX-License-Identifier: BSD-3-Clause */
#include "unit/addresses.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "core/base/addr.h"

static void ips_survive_the_round_trip(void **state)
{
	static const char *const texts[] = {
		"100.64.0.1",         "0.0.0.0",        "::", "::1",
		"fd7a:115c:a1e0::53", "255.255.255.255"};
	char out[TS_IP_TEXT_CAP];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct ts_ip a = ip_of(texts[i]);

		assert_string_equal(ts_ip_format(&a, out), texts[i]);
	}
}

static void bad_text_is_refused(void **state)
{
	static const char *const ips[] = {"", "1.2.3", "1.2.3.4.5", "1.2.3.256",
					  "fe80::1%eth0", ":::", " 1.2.3.4"};
	static const char *const addrs[] = {"1.2.3.4", "1.2.3.4:", ":80",
					    "1.2.3.4:65536", "[::1]", "::1:80",
					    "[1.2.3.4]:80", "[::1:80",
					    "1.2.3.4:080", "1.2.3.4:+1"};
	static const char *const prefixes[] = {
		"1.2.3.4/33", "::/129", "1.2.3.4/", "/8", "1.2.3.4/-1", "x/8"};
	struct ts_ip a;
	struct ts_addr addr;
	struct ts_prefix p;

	(void)state;
	for (size_t i = 0; i < sizeof(ips) / sizeof(ips[0]); i++)
		assert_int_equal(ts_ip_parse(ips[i], &a), -EBADMSG);
	for (size_t i = 0; i < sizeof(addrs) / sizeof(addrs[0]); i++)
		assert_int_equal(ts_addr_parse(addrs[i], &addr), -EBADMSG);
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		assert_int_equal(ts_prefix_parse(prefixes[i], &p), -EBADMSG);
}

static void addrs_survive_the_round_trip(void **state)
{
	static const char *const texts[] = {"1.2.3.4:41641", "[fd7a::1]:5",
					    "0.0.0.0:0"};
	char out[TS_ADDR_TEXT_CAP];
	struct ts_addr a;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(ts_addr_parse(texts[i], &a), 0);
		assert_string_equal(ts_addr_format(&a, out), texts[i]);
	}
}

static bool contains(const char *prefix, const char *address)
{
	struct ts_prefix p;
	struct ts_ip a = ip_of(address);

	assert_int_equal(ts_prefix_parse(prefix, &p), 0);
	return ts_prefix_contains(&p, &a);
}

static void prefixes_contain_their_addresses_only(void **state)
{
	(void)state;
	assert_true(contains("100.64.0.0/10", "100.127.255.255"));
	assert_false(contains("100.64.0.0/10", "100.128.0.0"));
	assert_true(contains("10.1.2.3", "10.1.2.3"));
	assert_false(contains("10.1.2.3", "10.1.2.4"));
	assert_true(contains("0.0.0.0/0", "8.8.8.8"));
	assert_false(contains("::/0", "8.8.8.8"));
	assert_false(contains("0.0.0.0/0", "::1"));
	assert_true(contains("fd7a:115c:a1e0::/48", "fd7a:115c:a1e0:ffff::1"));
	assert_false(contains("fd7a:115c:a1e0::/48", "fd7a:115c:a1e1::1"));
}

static void the_tailscale_range_leaves_chromeos_out(void **state)
{
	struct ts_ip a;

	(void)state;
	a = ip_of("100.64.0.1");
	assert_true(ts_ip_is_tailscale(&a));
	a = ip_of("100.115.92.7");
	assert_false(ts_ip_is_tailscale(&a));
	a = ip_of("100.115.94.1");
	assert_true(ts_ip_is_tailscale(&a));
	a = ip_of("100.63.255.255");
	assert_false(ts_ip_is_tailscale(&a));
	a = ip_of("fd7a:115c:a1e0::1");
	assert_true(ts_ip_is_tailscale(&a));
}

static void sockaddrs_convert_both_ways(void **state)
{
	struct sockaddr_storage ss;
	struct ts_addr a, b;

	(void)state;
	assert_int_equal(ts_addr_parse("100.64.0.7:80", &a), 0);
	assert_int_equal(ts_addr_to_sockaddr(&a, AF_INET6, &ss),
			 sizeof(struct sockaddr_in6));
	assert_int_equal(ts_addr_from_sockaddr((struct sockaddr *)&ss,
					       sizeof(ss), &b), 0);
	assert_true(ts_addr_equal(&a, &b));
	assert_int_equal(ts_addr_parse("[fd7a::1]:80", &a), 0);
	assert_int_equal(ts_addr_to_sockaddr(&a, AF_INET, &ss),
			 -EAFNOSUPPORT);
	ss.ss_family = AF_INET;
	for (socklen_t cut = 0; cut < sizeof(struct sockaddr_in); cut++)
		assert_int_equal(ts_addr_from_sockaddr((struct sockaddr *)&ss,
						       cut, &b), -EINVAL);
	ss.ss_family = AF_UNIX;
	assert_int_equal(ts_addr_from_sockaddr((struct sockaddr *)&ss,
					       sizeof(ss), &b),
			 -EAFNOSUPPORT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ips_survive_the_round_trip),
		cmocka_unit_test(bad_text_is_refused),
		cmocka_unit_test(addrs_survive_the_round_trip),
		cmocka_unit_test(prefixes_contain_their_addresses_only),
		cmocka_unit_test(the_tailscale_range_leaves_chromeos_out),
		cmocka_unit_test(sockaddrs_convert_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
