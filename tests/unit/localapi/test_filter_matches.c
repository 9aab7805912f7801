/* SPDX-License-Identifier: BSD-3-Clause
 * test_filter_matches.c - the packet filter's rules as upstream's matches
 */
#include "unit/localapi/api_bench.h"

#include "core/localapi/localapi_internal.h"

static struct ts_ip ip(const char *text)
{
	struct ts_ip out;

	assert_int_equal(ts_ip_parse(text, &out), 0);
	return out;
}

static char *matches(struct ts_filter_rule *rules, size_t count)
{
	struct ts_netmap map = {.filter = rules, .filter_rule_count = count};
	json_t *list = localapi_filter_matches(&map);
	char *text = json_dumps(list, JSON_COMPACT);

	json_decref(list);
	return text;
}

static void rules_as_matches(void **state)
{
	struct ts_filter_src srcs[2] = {{.node_cap = "example.com/a"}};
	struct ts_filter_dst dst = {.ports = {22, 23}};
	struct ts_filter_rule rules[2] = {
		{.srcs = srcs, .src_count = 2, .dsts = &dst, .dst_count = 1,
		 .protos = {6}, .proto_count = 1},
		{.srcs = srcs, .src_count = 1, .dsts = &dst, .dst_count = 1,
		 .grant_caps = json_pack("{s:[i]}", "cap", 1)},
	};
	char *text;

	(void)state;
	ts_prefix_parse("100.64.0.0/10", &srcs[1].prefix);
	ts_prefix_parse("fd7a::/48", &dst.prefix);
	text = matches(rules, 2);
	assert_string_equal(
		text,
		"[{\"IPProto\":[6],\"Srcs\":[\"100.64.0.0/10\"],"
		"\"SrcCaps\":[\"example.com/a\"],"
		"\"Dsts\":[{\"Net\":\"fd7a::/48\","
		"\"Ports\":{\"First\":22,\"Last\":23}}],\"Caps\":[]},"
		"{\"IPProto\":[6,17,1,58],\"Srcs\":[],"
		"\"SrcCaps\":[\"example.com/a\"],\"Dsts\":[],"
		"\"Caps\":[{\"Dst\":\"fd7a::/48\",\"Cap\":\"cap\","
		"\"Values\":[1]}]}]");
	free(text);
	json_decref(rules[1].grant_caps);
}

static void ranges_become_prefixes(void **state)
{
	static const struct {
		const char *first, *last, *want;
	} cases[] = {
		{"10.0.0.1", "10.0.0.1", "[\"10.0.0.1/32\"]"},
		{"10.0.0.0", "10.0.0.255", "[\"10.0.0.0/24\"]"},
		{"10.0.0.1", "10.0.0.4",
		 "[\"10.0.0.1/32\",\"10.0.0.2/31\",\"10.0.0.4/32\"]"},
		{"0.0.0.0", "255.255.255.255", "[\"0.0.0.0/0\"]"},
		{"255.255.255.254", "255.255.255.255",
		 "[\"255.255.255.254/31\"]"},
		{"fd7a::", "fd7a::ffff", "[\"fd7a::/112\"]"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe",
		 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		 "[\"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127\"]"},
		{"10.0.0.2", "10.0.0.1", "[]"},
		{"10.0.0.2", "fd7a::", "[]"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ts_filter_src src = {.is_range = true,
					    .first = ip(cases[i].first),
					    .last = ip(cases[i].last)};
		struct ts_filter_rule rule = {.srcs = &src, .src_count = 1};
		struct ts_netmap map = {.filter = &rule,
					.filter_rule_count = 1};
		json_t *list = localapi_filter_matches(&map);
		char *text = json_dumps(json_object_get(json_array_get(list, 0),
							"Srcs"),
					JSON_COMPACT);

		assert_string_equal(text, cases[i].want);
		free(text);
		json_decref(list);
	}
}

static void asked_for_by_who_may(void **state)
{
	struct bench b;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	bench_ask(&b, (struct asks){.method = "POST",
				    .path = "debug-packet-filter-matches"}, &s);
	assert_int_equal(s.status, 200);
	assert_true(json_is_array(s.json));
	said_clear(&s);
	bench_ask(&b, (struct asks){.method = "POST",
				    .path = "debug-packet-filter-matches",
				    .is_reader = true}, &s);
	assert_int_equal(s.status, 403);
	said_clear(&s);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_as_matches),
		cmocka_unit_test(ranges_become_prefixes),
		cmocka_unit_test(asked_for_by_who_may),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
