/* SPDX-License-Identifier: BSD-3-Clause
 * Rules of several nodes: destinations and ports.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/state/node_rules.h"

static struct ts_ip ip(const char *text)
{
	struct ts_ip out;

	assert_int_equal(ts_ip_parse(text, &out), 0);
	return out;
}

static int match(const struct ts_node_rules *rules, const char *text)
{
	const struct ts_ip address = ip(text);

	return ts_node_rules_match_ip(rules, &address);
}

static void longest_match(void **state)
{
	struct ts_node_rules rules = {.ports = NULL};
	char why[160];

	(void)state;
	assert_int_equal(ts_node_rules_set_destinations(
				 &rules,
				 "10.0.0.0/8, 10.1.0.0/16\tfd00::/8,"
				 "*.Corp.example, db.corp.example., 10.1.2.3",
				 why),
			 0);
	assert_int_equal(match(&rules, "10.9.9.9"), 96 + 8);
	assert_int_equal(match(&rules, "10.1.9.9"), 96 + 16);
	assert_int_equal(match(&rules, "10.1.2.3"), 128);
	assert_int_equal(match(&rules, "fd00::1"), 8);
	assert_true(match(&rules, "192.0.2.1") < 0);
	assert_true(match(&rules, "2001:db8::1") < 0);
	assert_int_equal(ts_node_rules_match_name(&rules, "x.corp.EXAMPLE"),
			 (int)strlen(".corp.example"));
	assert_int_equal(ts_node_rules_match_name(&rules, "DB.corp.example."),
			 (int)strlen("db.corp.example"));
	assert_true(ts_node_rules_match_name(&rules, "corp.example") < 0);
	assert_true(ts_node_rules_match_name(&rules, "xcorp.example") < 0);
	assert_true(ts_node_rules_match_name(&rules, "") < 0);
	ts_node_rules_deinit(&rules);
	assert_true(ts_node_rules_match_name(&rules, "db.corp.example") < 0);
}

static void the_whole_default(void **state)
{
	struct ts_node_rules rules = {.ports = NULL};
	char why[160];

	(void)state;
	assert_int_equal(
		ts_node_rules_set_destinations(&rules, "0.0.0.0/0", why), 0);
	assert_int_equal(match(&rules, "192.0.2.1"), 96);
	assert_true(match(&rules, "2001:db8::1") < 0);
	assert_int_equal(ts_node_rules_set_destinations(&rules, "::/0", why),
			 0);
	assert_int_equal(match(&rules, "2001:db8::1"), 0);
	assert_true(match(&rules, "192.0.2.1") < 0);
	ts_node_rules_deinit(&rules);
}

static void ports_and_ranges(void **state)
{
	struct ts_node_rules rules = {.ports = NULL};
	char why[160];

	(void)state;
	assert_int_equal(ts_node_rules_set_ports(&rules, "80,8000-8100 443",
						 why),
			 0);
	assert_true(ts_node_rules_has_port(&rules, 80));
	assert_true(ts_node_rules_has_port(&rules, 8000));
	assert_true(ts_node_rules_has_port(&rules, 8100));
	assert_true(ts_node_rules_has_port(&rules, 443));
	assert_false(ts_node_rules_has_port(&rules, 81));
	assert_false(ts_node_rules_has_port(&rules, 8101));
	ts_node_rules_deinit(&rules);
}

static void what_makes_no_sense_is_refused_with_words(void **state)
{
	static const char *const destinations[] = {
		"10.0.0.0/33", "10.0.0.256", "a..b", "*.", "*", "*x.y", "a b!",
		"http://x", "::g", ".x", "a/b"};
	static const char *const ports[] = {"0", "65536", "1-", "-1", "9-8",
					    "x", "1-2-3", "99999999999999999"};
	struct ts_node_rules rules = {.ports = NULL};
	char why[160], longer[400];

	(void)state;
	for (size_t i = 0; i < sizeof(destinations) / sizeof(*destinations);
	     i++) {
		*why = '\0';
		assert_int_equal(ts_node_rules_set_destinations(
					 &rules, destinations[i], why),
				 -EINVAL);
		assert_true(*why);
	}
	for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++) {
		*why = '\0';
		assert_int_equal(
			ts_node_rules_set_ports(&rules, ports[i], why),
			-EINVAL);
		assert_true(*why);
	}
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(ts_node_rules_set_destinations(&rules, longer, why),
			 -EINVAL);
	ts_node_rules_deinit(&rules);
}

static void too_many_are_refused(void **state)
{
	struct ts_node_rules rules = {.ports = NULL};
	char text[6 * (TS_RULES_PORTS_MAX + 2)] = "", why[160];
	size_t len = 0;

	(void)state;
	for (int i = 0; i <= TS_RULES_PORTS_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%d,",
					1000 + i);
	assert_int_equal(ts_node_rules_set_ports(&rules, text, why), -EINVAL);
	assert_int_equal(rules.port_count, TS_RULES_PORTS_MAX);
	ts_node_rules_deinit(&rules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(longest_match),
		cmocka_unit_test(the_whole_default),
		cmocka_unit_test(ports_and_ranges),
		cmocka_unit_test(what_makes_no_sense_is_refused_with_words),
		cmocka_unit_test(too_many_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
