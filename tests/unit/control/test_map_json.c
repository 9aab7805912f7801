/* SPDX-License-Identifier: BSD-3-Clause
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "core/base/log.h"
#include "core/control/filter_json.h"
#include "core/control/map_json.h"
#include "core/model/netmap_edit.h"

/* The shape of a first message of headscale: the filter as PacketFilters.base,
 * LastSeen only for offline peers, Debug.DisableLogTail. */
static const char HEADSCALE[] =
	"{\"ControlTime\":\"2026-08-01T10:00:00.123456789Z\",\"Node\":{\"ID\":"
	"1,\"StableID\":\"1\",\"Name\":\"a.headscale.net.\",\"User\":1,"
	"\"Key\":\"nodekey:00000000000000000000000000000000000000000000000000"
	"00000000000001\",\"KeyExpiry\":\"0001-01-01T00:00:00Z\",\"Machine\":"
	"\"mkey:0000000000000000000000000000000000000000000000000000000000000"
	"002\",\"DiscoKey\":\"discokey:000000000000000000000000000000000000000"
	"0000000000000000000000003\",\"Addresses\":[\"100.64.0.1/32\"],"
	"\"AllowedIPs\":[\"100.64.0.1/32\",\"10.0.0.0/8\"],\"Tags\":[\"tag:a\"]"
	",\"Cap\":113,\"CapMap\":{\"ssh\":[],\"x\":[{\"n\":1}]}},"
	"\"Peers\":[{\"ID\":2,\"LastSeen\":\"2026-07-31T10:00:00+02:00\","
	"\"Online\":false,\"SelfNodeV4MasqAddrForThisPeer\":\"100.64.9.9\"}],"
	"\"DERPMap\":{\"Regions\":{\"999\":{\"RegionID\":999,\"Nodes\":[]}}},"
	"\"PacketFilters\":{\"base\":[{\"SrcIPs\":[\"100.64.0.2/32\"],"
	"\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":0,\"Last\":65535}}]}]"
	"},\"UserProfiles\":[{\"ID\":1,\"LoginName\":\"u\"}],\"Debug\":{"
	"\"DisableLogTail\":true},\"Future\":{\"deep\":[{},[[]],\"\\u0000\"]}}";

static int read_text(const char *json, struct ts_map_response *msg)
{
	return ts_map_response_read(json, strlen(json), msg);
}

static void headscales_shape_is_read(void **state)
{
	struct ts_map_response msg;

	(void)state;
	assert_int_equal(read_text(HEADSCALE, &msg), 0);
	assert_int_equal(msg.control_time_unix, 1785578400);
	assert_int_equal(msg.self.peer->key_expiry_unix, 0);
	assert_int_equal(msg.self.peer->allowed_ip_count, 2);
	assert_int_equal(msg.self.peer->tag_count, 1);
	assert_true(ts_peer_has_cap(msg.self.peer, "ssh"));
	assert_int_equal(msg.peers.count, 1);
	assert_int_equal(msg.peers.list[0].peer->last_seen_unix, 1785484800);
	assert_int_equal(msg.peers.list[0].peer->online, TS_NO);
	assert_false(ts_ip_is_zero(&msg.peers.list[0].peer->masq_v4));
	assert_true(msg.has_filters);
	assert_false(msg.has_base_filter);
	assert_int_equal(msg.filters[0].named.rule_count, 1);
	assert_int_equal(msg.user_count, 1);
	assert_non_null(msg.derp_map);
	ts_map_response_deinit(&msg);
}

static void every_cut_is_malformed(void **state)
{
	struct ts_map_response msg;

	(void)state;
	for (size_t cut = 0; cut < strlen(HEADSCALE); cut++)
		assert_int_equal(ts_map_response_read(HEADSCALE, cut, &msg),
				 -EBADMSG);
}

static void names_match_in_any_case(void **state)
{
	struct ts_map_response msg;

	(void)state;
	assert_int_equal(read_text("{\"node\":{\"id\":5,\"STABLEID\":\"s\"},"
				   "\"KEEPALIVE\":true}",
				   &msg),
			 0);
	assert_int_equal(msg.self.peer->id, 5);
	assert_string_equal(msg.self.peer->stable_id, "s");
	assert_true(msg.keep_alive);
	ts_map_response_deinit(&msg);
}

static void integers_are_exact_to_64_bits(void **state)
{
	struct ts_map_response msg;

	(void)state;
	assert_int_equal(
		read_text("{\"Node\":{\"ID\":9223372036854775807},"
			  "\"PeersRemoved\":[9007199254740993,-1],"
			  "\"OnlineChange\":{\"9007199254740993\":true,"
			  "\"x\":true,\"7\":null}}",
			  &msg),
		0);
	assert_true(msg.self.peer->id == INT64_MAX);
	assert_true(msg.removed[0] == 9007199254740993);
	assert_int_equal(msg.online_count, 1);
	assert_true(msg.online[0].id == 9007199254740993);
	ts_map_response_deinit(&msg);
	assert_int_equal(
		read_text("{\"Node\":{\"ID\":9223372036854775808}}", &msg),
		-EBADMSG);
}

static void null_and_empty_are_told_apart(void **state)
{
	struct ts_map_response msg;

	(void)state;
	assert_int_equal(read_text("{\"PacketFilter\":null,\"Health\":null,"
				   "\"TKAInfo\":null}",
				   &msg),
			 0);
	assert_false(msg.has_base_filter || msg.has_health || msg.has_tka);
	ts_map_response_deinit(&msg);
	assert_int_equal(read_text("{\"PacketFilter\":[],\"Health\":[],"
				   "\"TKAInfo\":{}}",
				   &msg),
			 0);
	assert_true(msg.has_base_filter && msg.has_health && msg.has_tka);
	ts_map_response_deinit(&msg);
}

static void a_senseless_peer_costs_only_itself(void **state)
{
	struct ts_map_response msg;

	(void)state;
	assert_int_equal(read_text("{\"Peers\":[{\"ID\":2},null,7,{\"ID\":"
				   "\"3\"},{\"ID\":4,\"Key\":\"nodekey:12\"},"
				   "{\"ID\":5,\"Endpoints\":[\"x\",7,"
				   "\"[fe80::1%eth0]:1\",\"1.2.3.4:5\"],"
				   "\"Hostinfo\":{\"Hostname\":\"a\\u0000b\"}}"
				   "]}",
				   &msg),
			 0);
	assert_int_equal(msg.peers.count, 2);
	assert_int_equal(msg.skipped_nodes, 4);
	assert_int_equal(msg.peers.list[1].peer->endpoint_count, 1);
	assert_null(msg.peers.list[1].peer->hostname);
	ts_map_response_deinit(&msg);
}

static void a_field_that_comes_twice_counts_once(void **state)
{
	struct ts_map_response msg;

	(void)state;
	assert_int_equal(
		read_text("{\"Node\":{\"ID\":1},\"Node\":{\"ID\":2},\"Peers\":"
			  "[{\"ID\":3}],\"Peers\":[{\"ID\":4},{\"ID\":5}],"
			  "\"Domain\":\"a\",\"Domain\":\"b\",\"Health\":[\"a\"]"
			  ",\"Health\":[\"b\"],\"PacketFilter\":[{\"SrcIPs\":"
			  "[\"*\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{}}]"
			  "}],\"PacketFilter\":[],\"DNSConfig\":{},"
			  "\"DNSConfig\":{},\"DERPMap\":{},\"DERPMap\":{},"
			  "\"DisplayMessages\":{},\"DisplayMessages\":{},"
			  "\"TKAInfo\":{\"Head\":\"a\"},\"TKAInfo\":{\"Head\":"
			  "\"b\"},\"PingRequest\":{\"URL\":\"a\"},"
			  "\"PingRequest\":{\"URL\":\"b\"},\"UserProfiles\":[{"
			  "\"ID\":1,\"LoginName\":\"x\"}],\"UserProfiles\":[],"
			  "\"PeersRemoved\":[1],\"PeersRemoved\":[2],"
			  "\"PacketFilters\":{\"a\":[]},\"PacketFilters\":{},"
			  "\"OnlineChange\":{\"1\":true},\"OnlineChange\":{},"
			  "\"PeersChangedPatch\":[{\"NodeID\":1,\"CapMap\":{"
			  "\"x\":[]}}],\"PeersChangedPatch\":[]}",
			  &msg),
		0);
	assert_int_equal(msg.self.peer->id, 2);
	assert_int_equal(msg.peers.count, 2);
	assert_string_equal(msg.domain, "b");
	assert_string_equal(msg.tka_head, "b");
	assert_int_equal(msg.base_filter.rule_count, 0);
	assert_int_equal(msg.user_count, 0);
	ts_map_response_deinit(&msg);
}

static void sleep_is_capped_and_never_negative(void **state)
{
	static const struct {
		const char *json;
		int sleep_s;
	} cases[] = {
		{"{\"Debug\":{\"SleepSeconds\":2.9}}", 2},
		{"{\"Debug\":{\"SleepSeconds\":1e300}}", 300},
		{"{\"Debug\":{\"SleepSeconds\":-5}}", 0},
		{"{\"Debug\":null}", 0},
	};
	struct ts_map_response msg;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(read_text(cases[i].json, &msg), 0);
		assert_int_equal(msg.sleep_s, cases[i].sleep_s);
		ts_map_response_deinit(&msg);
	}
}

static void garbage_is_refused(void **state)
{
	static const char *const garbage[] = {
		"", " ", "x", "null", "[]", "{}x", "{} {}", "{,}", "{\"a\"}",
		"{\"a\":}", "{\"a\":1,}", "{\"a\":1 \"b\":2}", "{a:1}",
		"{\"Peers\":{}}", "{\"Peers\":7}", "{\"Peers\":[,]}",
		"{\"Peers\":[{\"ID\":1},]}", "{\"PacketFilters\":[]}",
		"{\"PacketFilters\":{\"a\":7}}", "{\"PacketFilter\":[null]}",
		"{\"Node\":[]}", "{\"Node\":{\"ID\":0}}",
		"{\"DNSConfig\":7}", "{\"ControlTime\":\"yesterday\"}",
		"{\"\xff\":1}",
	};
	struct ts_map_response msg;

	(void)state;
	for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++)
		assert_int_equal(read_text(garbage[i], &msg), -EBADMSG);
}

static void deep_nesting_is_refused(void **state)
{
	struct ts_map_response msg;
	size_t depth = 100000;
	char *text = malloc(depth + 6);

	(void)state;
	memcpy(text, "{\"a\":", 5);
	memset(text + 5, '[', depth);
	assert_int_equal(ts_map_response_read(text, depth + 5, &msg),
			 -EBADMSG);
	free(text);
}

/* -- filter rules --------------------------------------------------------- */

static struct ts_named_filter read_rules(const char *json)
{
	struct ts_reader r = ts_reader_init(json, strlen(json));
	struct ts_named_filter named = {0};

	assert_int_equal(ts_filter_rules_read(&r, &named), 0);
	return named;
}

static void filter_entries_that_do_not_parse_are_left_out(void **state)
{
	struct ts_named_filter f = read_rules(
		"[{\"SrcIPs\":[\"100.64.0.0/10\",\"100.64.0.1/10\",\"x\",7,"
		"\"10.0.0.1-10.0.0.9\",\"10.0.0.9-10.0.0.1\",\"10.0.0.1-::1\","
		"\"cap:admin\",\"::/0\"],\"IPProto\":[6,300,-1,6,17],"
		"\"DstPorts\":[{\"IP\":\"1.2.3.4\",\"Ports\":{\"First\":80,"
		"\"Last\":81}},{\"IP\":\"1.2.3.4\",\"Ports\":{\"First\":9,"
		"\"Last\":8}},{\"IP\":\"1.2.3.4\",\"Ports\":{\"First\":-1,"
		"\"Last\":65536}},{\"IP\":\"cap:x\",\"Ports\":{\"First\":0,"
		"\"Last\":1}},{\"IP\":\"1.2.3.4\"},null]}]");

	(void)state;
	assert_int_equal(f.rule_count, 1);
	assert_int_equal(f.rules[0].src_count, 4);
	assert_true(f.rules[0].srcs[1].is_range);
	assert_string_equal(f.rules[0].srcs[2].node_cap, "admin");
	assert_int_equal(f.rules[0].proto_count, 2);
	assert_int_equal(f.rules[0].dst_count, 1);
	assert_int_equal(f.rules[0].dsts[0].ports.last, 81);
	ts_named_filter_deinit(&f);
}

static void protocols_that_are_all_invalid_match_nothing(void **state)
{
	struct ts_named_filter f = read_rules(
		"[{\"SrcIPs\":[\"*\"],\"IPProto\":[256],\"DstPorts\":[{"
		"\"IP\":\"*\",\"Ports\":{\"First\":0,\"Last\":65535}}]}]");

	(void)state;
	assert_int_equal(f.rule_count, 0);
	ts_named_filter_deinit(&f);
}

static void each_grant_is_a_rule_of_its_own(void **state)
{
	struct ts_named_filter f = read_rules(
		"[{\"SrcIPs\":[\"100.64.0.2\"],\"CapGrant\":[{\"Dsts\":["
		"\"100.64.0.1/32\"],\"Caps\":[\"a\"],\"CapMap\":{\"b\":[{"
		"\"x\":1}]}},{\"Dsts\":[\"100.64.0.3/32\",\"bad\"]}]}]");

	(void)state;
	assert_int_equal(f.rule_count, 2);
	assert_int_equal(json_object_size(f.rules[0].grant_caps), 2);
	assert_int_equal(f.rules[1].dst_count, 1);
	assert_int_equal(f.rules[1].src_count, 1);
	assert_non_null(f.rules[1].grant_caps);
	ts_named_filter_deinit(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headscales_shape_is_read),
		cmocka_unit_test(every_cut_is_malformed),
		cmocka_unit_test(names_match_in_any_case),
		cmocka_unit_test(integers_are_exact_to_64_bits),
		cmocka_unit_test(null_and_empty_are_told_apart),
		cmocka_unit_test(a_senseless_peer_costs_only_itself),
		cmocka_unit_test(a_field_that_comes_twice_counts_once),
		cmocka_unit_test(sleep_is_capped_and_never_negative),
		cmocka_unit_test(garbage_is_refused),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(filter_entries_that_do_not_parse_are_left_out),
		cmocka_unit_test(protocols_that_are_all_invalid_match_nothing),
		cmocka_unit_test(each_grant_is_a_rule_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
