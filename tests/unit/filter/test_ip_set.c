/* SPDX-License-Identifier: BSD-3-Clause
 * test_ip_set.c - ranges, and sets of them
 */
#include "rules.h"

#include "core/filter/ip_set.h"

static struct ts_ip_range range_of(const char *text)
{
	struct ts_prefix prefix;

	assert_int_equal(ts_prefix_parse(text, &prefix), 0);
	return ts_ip_range_of_prefix(&prefix);
}

static bool has(const struct ts_ip_set *set, const char *text)
{
	struct ts_ip ip = ip_of(text);

	return ts_ip_set_contains(set, &ip);
}

static void prefixes_become_ranges(void **state)
{
	struct ts_ip_range r = range_of("100.64.0.0/10");
	struct ts_ip first = ip_of("100.64.0.0"),
		     last = ip_of("100.127.255.255");

	(void)state;
	assert_true(ts_ip_equal(&r.first, &first));
	assert_true(ts_ip_equal(&r.last, &last));
	r = range_of("1.2.3.4");
	assert_true(ts_ip_equal(&r.first, &r.last));
	r = range_of("::/0");
	assert_int_equal(r.first.bytes[0], 0);
	assert_int_equal(r.last.bytes[15], 0xff);
	assert_true(ts_ip_range_is_valid(&r));
	r = range_of("0.0.0.0/0");
	assert_true(ts_ip_range_is_valid(&r));
	assert_int_equal(ts_ip_family_of(&r.last), TS_FAMILY_V4);
}

static void mixed_or_reversed_ranges_are_invalid(void **state)
{
	struct ts_ip_range r = {ip_of("1.2.3.4"), ip_of("1.2.3.3")};

	(void)state;
	assert_false(ts_ip_range_is_valid(&r));
	r.last = ip_of("ffff::");
	assert_false(ts_ip_range_is_valid(&r));
}

static void sealed_set_joins_and_finds(void **state)
{
	static const char *const parts[] = {"10.0.5.0/24", "10.0.0.0/24",
					    "10.0.0.128/25", "192.168.0.0/16",
					    "10.0.5.7"};
	struct ts_ip_set set = {0};
	struct ts_ip_range r;

	(void)state;
	assert_false(has(&set, "10.0.0.1"));
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		r = range_of(parts[i]);
		assert_int_equal(ts_ip_set_add(&set, &r), 0);
	}
	ts_ip_set_seal(&set);
	assert_int_equal(set.count, 3);
	assert_true(has(&set, "10.0.0.0"));
	assert_true(has(&set, "10.0.0.255"));
	assert_false(has(&set, "10.0.1.0"));
	assert_true(has(&set, "10.0.5.7"));
	assert_true(has(&set, "192.168.255.255"));
	assert_false(has(&set, "192.169.0.0"));
	assert_false(has(&set, "9.255.255.255"));
	r = range_of("10.0.1.0/24");
	assert_false(ts_ip_set_overlaps(&set, &r));
	r = range_of("10.0.0.0/8");
	assert_true(ts_ip_set_overlaps(&set, &r));
	r = range_of("192.168.4.4");
	assert_true(ts_ip_set_overlaps(&set, &r));
	ts_ip_set_deinit(&set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prefixes_become_ranges),
		cmocka_unit_test(mixed_or_reversed_ranges_are_invalid),
		cmocka_unit_test(sealed_set_joins_and_finds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
