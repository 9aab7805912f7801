/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/state/conf_routes.h"

static int load(char **env, struct ts_config *out, char err[static 256])
{
	const struct ts_config_input in = {.env = env, .program = "p"};

	return ts_config_load(out, &in, err);
}

static char *text_of(const struct ts_config *config, size_t i, char *buf)
{
	assert_true(i < config->advertise_route_count);
	return ts_prefix_format(&config->advertise_routes[i], buf);
}

static void prefixes_are_read(void **state)
{
	char *env[] = {"TSNET_ADVERTISE_ROUTES=10.0.0.0/8, 192.168.7.1 "
		       "2001:db8::/32,fd7a:115c:a1e0:b1a:0:7:a00:0/104",
		       NULL};
	struct ts_config config;
	char err[256], buf[TS_PREFIX_TEXT_CAP];

	(void)state;
	assert_int_equal(load(env, &config, err), 0);
	assert_int_equal(config.advertise_route_count, 4);
	assert_string_equal(text_of(&config, 0, buf), "10.0.0.0/8");
	assert_string_equal(text_of(&config, 1, buf), "192.168.7.1/32");
	assert_string_equal(text_of(&config, 2, buf), "2001:db8::/32");
	ts_config_deinit(&config);
}

static void an_exit_node_has_both_defaults(void **state)
{
	char *env[] = {"TSNET_ADVERTISE_EXIT_NODE=yes",
		       "TSNET_ADVERTISE_ROUTES=10.0.0.0/8", NULL};
	char *both[] = {"TSNET_ADVERTISE_EXIT_NODE=yes",
			"TSNET_ADVERTISE_ROUTES=0.0.0.0/0,::/0", NULL};
	struct ts_config config;
	char err[256], buf[TS_PREFIX_TEXT_CAP];

	(void)state;
	assert_int_equal(load(env, &config, err), 0);
	assert_int_equal(config.advertise_route_count, 3);
	assert_string_equal(text_of(&config, 1, buf), "0.0.0.0/0");
	assert_string_equal(text_of(&config, 2, buf), "::/0");
	ts_config_deinit(&config);
	assert_int_equal(load(both, &config, err), 0);
	assert_int_equal(config.advertise_route_count, 2);
	ts_config_deinit(&config);
}

static void what_is_wrong_is_said(void **state)
{
	static const struct {
		const char *value, *says;
	} cases[] = {
		{"10.0.0.1/8", "10.0.0.1/8 has bits set behind the prefix: "
			       "10.0.0.0/8"},
		{"10.0.0.0/33", "10.0.0.0/33 is not an IP address"},
		{"office", "office is not an IP address"},
		{"10.0.0.0/8,10.0.0.0/8", "10.0.0.0/8 is given twice"},
		{"0.0.0.0/0", "0.0.0.0/0 goes with the default route of the "
			      "other version: ::/0"},
		{"::/0", "::/0 goes with"},
		{"127.0.0.0/8", "is never routed"},
		{"::1", "is never routed"},
		{"fe80::/10", "is never routed"},
		{"224.0.0.0/4", "is never routed"},
		{"fd7a:115c:a1e0:b1a:1:0:a00:0/104", "is no 4via6 route"},
		{"fd7a:115c:a1e0:b1a::/64", "is no 4via6 route"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ts_config config;
		char var[256], err[256];
		char *env[] = {var, NULL};

		snprintf(var, sizeof(var), "TSNET_ADVERTISE_ROUTES=%s",
			 cases[i].value);
		assert_int_equal(load(env, &config, err), -EINVAL);
		assert_non_null(strstr(err, "advertise_routes"));
		if (!strstr(err, cases[i].says))
			fail_msg("%s: %s", cases[i].value, err);
	}
}

static void too_many_are_refused(void **state)
{
	struct ts_config config = {0};
	char *text = calloc(TS_CONF_ROUTES_MAX + 1, 16), *at = text;
	char err[256] = "";

	(void)state;
	for (int i = 0; i <= TS_CONF_ROUTES_MAX; i++)
		at += sprintf(at, "10.%d.%d.0/24,", i / 256, i % 256);
	assert_int_equal(ts_conf_read_routes(text, &config, "test", err),
			 -EINVAL);
	assert_non_null(strstr(err, "one too many"));
	assert_int_equal(config.advertise_route_count, 0);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prefixes_are_read),
		cmocka_unit_test(an_exit_node_has_both_defaults),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(too_many_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
