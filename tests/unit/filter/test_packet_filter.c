/* SPDX-License-Identifier: BSD-3-Clause
 * test_packet_filter.c - decisions, row by row of the inbound table
 */
#include "rules.h"

#include "core/crypto/secret.h"
#include "core/filter/ip_proto.h"
#include "core/model/netmap_edit.h"

#define SELF "100.64.0.1"
#define SELF6 "fd7a:115c:a1e0::1"
#define PEER "100.64.0.2"
#define PEER6 "fd7a:115c:a1e0::2"
#define OTHER "100.64.0.3"

static struct ts_filter *filter;
static struct ts_netmap *map;
static struct rule_list list;
static struct ts_peer self, *peer;
static struct ts_prefix self_addresses[2], peer_addresses[2];

static int setup(void **state)
{
	(void)state;
	memset(&list, 0, sizeof(list));
	memset(&self, 0, sizeof(self));
	filter = ts_filter_new();
	map = ts_netmap_new();
	ts_prefix_parse(SELF "/32", &self_addresses[0]);
	ts_prefix_parse(SELF6 "/128", &self_addresses[1]);
	self.addresses = self_addresses;
	self.address_count = 2;
	map->self = &self;
	map->has_filter = true;
	ts_prefix_parse(PEER "/32", &peer_addresses[0]);
	ts_prefix_parse(PEER6 "/128", &peer_addresses[1]);
	peer = ts_peer_new();
	peer->id = 2;
	peer->addresses = peer_addresses;
	peer->address_count = 2;
	peer->allowed_ips = peer_addresses;
	peer->allowed_ip_count = 2;
	return ts_netmap_add_peer(map, peer);
}

static int teardown(void **state)
{
	(void)state;
	map->self = NULL;
	map->filter = NULL;
	map->filter_rule_count = 0;
	peer->addresses = peer->allowed_ips = NULL;
	peer->address_count = peer->allowed_ip_count = 0;
	ts_netmap_free(map);
	ts_filter_free(filter);
	return 0;
}

static void set_rules(void)
{
	map->filter = list.rules;
	map->filter_rule_count = list.count;
	assert_int_equal(ts_filter_set(filter, map), 0);
}

static enum ts_verdict in(const char *src, const char *dst, uint8_t proto,
			  uint16_t src_port, uint16_t dst_port)
{
	struct ts_packet_header h =
		header_of(src, dst, proto, src_port, dst_port);

	if (proto == IPPROTO_TCP)
		h.tcp_flags = TCP_FLAG_SYN;
	if (proto == IPPROTO_ICMP)
		h.icmp_type = 8;
	return ts_filter_in(filter, &h, peer, 0);
}

static enum ts_verdict out(const char *src, const char *dst, uint8_t proto,
			   uint16_t src_port, uint16_t dst_port)
{
	struct ts_packet_header h =
		header_of(src, dst, proto, src_port, dst_port);

	return ts_filter_out(filter, &h);
}

static enum ts_verdict icmp(const char *src, const char *dst, uint8_t proto,
			    uint8_t type)
{
	struct ts_packet_header h = header_of(src, dst, proto, 0, 0);

	h.icmp_type = type;
	return ts_filter_in(filter, &h, peer, 0);
}

static enum ts_verdict tcp(uint8_t flags)
{
	struct ts_packet_header h =
		header_of(PEER, SELF, IPPROTO_TCP, 5000, 80);

	h.tcp_flags = flags;
	return ts_filter_in(filter, &h, peer, 0);
}

static void nothing_passes_before_the_first_rules(void **state)
{
	(void)state;
	assert_int_equal(in(PEER, SELF, IPPROTO_TCP, 5000, 80), TS_DROP);
	assert_int_equal(tcp(TCP_FLAG_ACK), TS_DROP);
	assert_int_equal(icmp(PEER, SELF, IPPROTO_ICMP, ICMP4_ECHO_REPLY),
			 TS_DROP);
	assert_int_equal(out(SELF, PEER, IPPROTO_UDP, 5000, 53), TS_DROP);
	map->has_filter = false;
	add_rule(&list, "0.0.0.0/0", "0.0.0.0/0", 0, 65535);
	set_rules();
	assert_int_equal(in(PEER, SELF, IPPROTO_TCP, 5000, 80), TS_DROP);
}

static void no_rule_denies(void **state)
{
	(void)state;
	set_rules();
	assert_int_equal(in(PEER, SELF, IPPROTO_TCP, 5000, 80), TS_REJECT_ACL);
	assert_int_equal(in(PEER6, SELF6, IPPROTO_TCP, 5000, 80), TS_DROP);
	assert_int_equal(in(PEER, SELF, IPPROTO_UDP, 5000, 80), TS_DROP);
	assert_int_equal(icmp(PEER, SELF, IPPROTO_ICMP, 8), TS_DROP);
	assert_int_equal(out(SELF, PEER, IPPROTO_TCP, 80, 5000), TS_ACCEPT);
}

static void rule_needs_source_address_port_and_protocol(void **state)
{
	(void)state;
	add_rule(&list, PEER, SELF, 80, 90);
	set_rules();
	assert_int_equal(in(PEER, SELF, IPPROTO_TCP, 5000, 80), TS_ACCEPT);
	assert_int_equal(in(PEER, SELF, IPPROTO_UDP, 5000, 90), TS_ACCEPT);
	assert_int_equal(in(PEER, SELF, IPPROTO_TCP, 5000, 79), TS_REJECT_ACL);
	assert_int_equal(in(PEER, SELF, IPPROTO_TCP, 5000, 91), TS_REJECT_ACL);
	assert_int_equal(in(OTHER, SELF, IPPROTO_TCP, 5000, 80), TS_REJECT_ACL);
	assert_int_equal(in(PEER, SELF, IPPROTO_SCTP, 5000, 80), TS_DROP);
	list.rules[0].protos[0] = IPPROTO_SCTP;
	list.rules[0].proto_count = 1;
	set_rules();
	assert_int_equal(in(PEER, SELF, IPPROTO_SCTP, 5000, 80), TS_ACCEPT);
	assert_int_equal(in(PEER, SELF, IPPROTO_TCP, 5000, 80), TS_REJECT_ACL);
}

static void families_do_not_mix(void **state)
{
	(void)state;
	add_rule(&list, "::/0", "::/0", 0, 65535);
	set_rules();
	assert_int_equal(in(PEER6, SELF6, IPPROTO_TCP, 5000, 80), TS_ACCEPT);
	assert_int_equal(in(PEER, SELF, IPPROTO_TCP, 5000, 80), TS_REJECT_ACL);
	assert_int_equal(in(PEER6, SELF, IPPROTO_TCP, 5000, 80), TS_DROP);
}

static void only_our_own_addresses_are_reached(void **state)
{
	(void)state;
	add_rule(&list, "0.0.0.0/0", "0.0.0.0/0", 0, 65535);
	set_rules();
	assert_int_equal(in(PEER, SELF, IPPROTO_UDP, 5000, 80), TS_ACCEPT);
	assert_int_equal(in(PEER, OTHER, IPPROTO_UDP, 5000, 80), TS_DROP);
	assert_int_equal(in(PEER, "10.0.0.1", IPPROTO_UDP, 1, 1), TS_DROP);
	assert_int_equal(in(PEER, "224.0.0.251", IPPROTO_UDP, 1, 1), TS_DROP);
	assert_int_equal(in(PEER, "169.254.1.1", IPPROTO_UDP, 1, 1), TS_DROP);
}

static void later_segments_pass_without_rules(void **state)
{
	(void)state;
	set_rules();
	assert_int_equal(tcp(TCP_FLAG_ACK), TS_ACCEPT);
	assert_int_equal(tcp(TCP_FLAG_SYN | TCP_FLAG_ACK), TS_ACCEPT);
	assert_int_equal(tcp(0x04), TS_ACCEPT); /* RST */
	assert_int_equal(tcp(TCP_FLAG_SYN), TS_REJECT_ACL);
	assert_int_equal(tcp(TCP_FLAG_SYN | 0x08), TS_REJECT_ACL);
}

static void udp_answers_pass_for_what_we_sent(void **state)
{
	(void)state;
	set_rules();
	assert_int_equal(in(PEER, SELF, IPPROTO_UDP, 53, 5000), TS_DROP);
	assert_int_equal(out(SELF, PEER, IPPROTO_UDP, 5000, 53), TS_ACCEPT);
	assert_int_equal(in(PEER, SELF, IPPROTO_UDP, 53, 5000), TS_ACCEPT);
	assert_int_equal(in(PEER, SELF, IPPROTO_UDP, 54, 5000), TS_DROP);
	assert_int_equal(in(OTHER, SELF, IPPROTO_UDP, 53, 5000), TS_DROP);
	set_rules(); /* flows outlive a new netmap */
	assert_int_equal(in(PEER, SELF, IPPROTO_UDP, 53, 5000), TS_ACCEPT);
}

static void icmp_answers_pass_and_the_rest_asks_any_rule(void **state)
{
	(void)state;
	set_rules();
	assert_int_equal(icmp(PEER, SELF, IPPROTO_ICMP, ICMP4_ECHO_REPLY),
			 TS_ACCEPT);
	assert_int_equal(icmp(PEER, SELF, IPPROTO_ICMP, ICMP4_UNREACHABLE),
			 TS_ACCEPT);
	assert_int_equal(
		icmp(PEER6, SELF6, IPPROTO_ICMPV6, ICMP6_PACKET_TOO_BIG),
		TS_ACCEPT);
	assert_int_equal(icmp(PEER6, SELF6, IPPROTO_ICMPV6, 128), TS_DROP);
	add_rule(&list, PEER, SELF, 443, 443);
	list.rules[0].protos[0] = IPPROTO_TCP;
	list.rules[0].proto_count = 1;
	set_rules();
	assert_int_equal(icmp(PEER, SELF, IPPROTO_ICMP, 8), TS_ACCEPT);
	assert_int_equal(icmp(OTHER, SELF, IPPROTO_ICMP, 8), TS_DROP);
	assert_int_equal(icmp(PEER, SELF, IPPROTO_ICMPV6, 129), TS_DROP);
}

static void other_protocols_need_a_rule_for_all_ports(void **state)
{
	enum { GRE = 47 };

	(void)state;
	add_rule(&list, PEER, SELF, 0, 65535);
	set_rules();
	assert_int_equal(in(PEER, SELF, GRE, 0, 0), TS_DROP);
	list.rules[0].protos[0] = GRE;
	list.rules[0].proto_count = 1;
	set_rules();
	assert_int_equal(in(PEER, SELF, GRE, 0, 0), TS_ACCEPT);
	list.rules[0].dsts[0].ports.first = 1;
	set_rules();
	assert_int_equal(in(PEER, SELF, GRE, 0, 0), TS_DROP);
}

static void tsmp_goes_to_the_node_and_comes_only_from_it(void **state)
{
	(void)state;
	set_rules();
	assert_int_equal(in(PEER, SELF, TS_IPPROTO_TSMP, 0, 0), TS_TSMP);
	assert_int_equal(in(PEER, OTHER, TS_IPPROTO_TSMP, 0, 0), TS_DROP);
	assert_int_equal(out(SELF, PEER, TS_IPPROTO_TSMP, 0, 0), TS_DROP);
}

static void later_fragments_pass(void **state)
{
	struct ts_packet_header h = header_of(PEER, SELF, IPPROTO_TCP, 0, 0);

	(void)state;
	set_rules();
	h.is_fragment = true;
	assert_int_equal(ts_filter_in(filter, &h, peer, 0), TS_ACCEPT);
	assert_int_equal(ts_filter_out(filter, &h), TS_ACCEPT);
}

static void peerapi_port_is_always_open(void **state)
{
	struct ts_packet_header h =
		header_of(PEER, SELF, IPPROTO_TCP, 5000, 58436);

	(void)state;
	set_rules();
	h.tcp_flags = TCP_FLAG_SYN;
	assert_int_equal(ts_filter_in(filter, &h, peer, 58436), TS_ACCEPT);
	assert_int_equal(ts_filter_in(filter, &h, peer, 58437), TS_REJECT_ACL);
	h.dst_port = 0;
	assert_int_equal(ts_filter_in(filter, &h, peer, 0), TS_REJECT_ACL);
	h.dst_port = 58436;
	h.dst = ip_of(OTHER);
	assert_int_equal(ts_filter_in(filter, &h, peer, 58436), TS_DROP);
}

static void jailed_peers_and_shields_let_answers_in_only(void **state)
{
	struct ts_packet_header h =
		header_of(PEER, SELF, IPPROTO_TCP, 5000, 58436);

	(void)state;
	add_rule(&list, "0.0.0.0/0", "0.0.0.0/0", 0, 65535);
	set_rules();
	out(SELF, PEER, IPPROTO_UDP, 5000, 53);
	h.tcp_flags = TCP_FLAG_SYN;
	for (int round = 0; round < 2; round++) {
		peer->is_jailed = round == 0;
		ts_filter_set_shields(filter, round == 1);
		assert_int_equal(in(PEER, SELF, IPPROTO_TCP, 5000, 80),
				 TS_REJECT_ACL);
		assert_int_equal(ts_filter_in(filter, &h, peer, 58436),
				 TS_REJECT_ACL);
		assert_int_equal(in(PEER, SELF, IPPROTO_UDP, 5000, 80),
				 TS_DROP);
		assert_int_equal(icmp(PEER, SELF, IPPROTO_ICMP, 8), TS_DROP);
		assert_int_equal(tcp(TCP_FLAG_ACK), TS_ACCEPT);
		assert_int_equal(in(PEER, SELF, IPPROTO_UDP, 53, 5000),
				 TS_ACCEPT);
		assert_int_equal(
			icmp(PEER, SELF, IPPROTO_ICMP, ICMP4_ECHO_REPLY),
			TS_ACCEPT);
		assert_false(
			ts_filter_allows_tcp(filter, &h.src, &h.dst, 80, peer));
	}
	ts_filter_set_shields(filter, false);
	assert_int_equal(in(PEER, SELF, IPPROTO_TCP, 5000, 80), TS_ACCEPT);
}

static void capability_sources_look_at_the_sender(void **state)
{
	(void)state;
	add_rule(&list, "cap:example.com/db", SELF, 5432, 5432);
	set_rules();
	assert_int_equal(in(PEER, SELF, IPPROTO_UDP, 1, 5432), TS_DROP);
	peer->cap_map = json_pack("{s:[]}", "example.com/db");
	assert_int_equal(in(PEER, SELF, IPPROTO_UDP, 1, 5432), TS_ACCEPT);
	assert_int_equal(in(PEER, SELF, IPPROTO_UDP, 1, 5433), TS_DROP);
	assert_int_equal(icmp(PEER, SELF, IPPROTO_ICMP, 8), TS_ACCEPT);
	peer->unsigned_peerapi_only = true;
	assert_int_equal(in(PEER, SELF, IPPROTO_UDP, 1, 5432), TS_DROP);
}

static void rule_that_admits_an_unsigned_peer_voids_all(void **state)
{
	(void)state;
	peer->unsigned_peerapi_only = true;
	add_rule(&list, OTHER, SELF, 0, 65535);
	set_rules();
	assert_false(ts_filter_is_void(filter));
	assert_int_equal(in(OTHER, SELF, IPPROTO_UDP, 1, 1), TS_ACCEPT);
	add_rule(&list, "100.64.0.0/24", OTHER, 1, 1);
	set_rules();
	assert_true(ts_filter_is_void(filter));
	assert_int_equal(in(OTHER, SELF, IPPROTO_UDP, 1, 1), TS_DROP);
	peer->unsigned_peerapi_only = false;
	set_rules();
	assert_false(ts_filter_is_void(filter));
	assert_int_equal(in(OTHER, SELF, IPPROTO_UDP, 1, 1), TS_ACCEPT);
}

static void routes_of_unsigned_peers_count_too(void **state)
{
	struct ts_prefix route;

	(void)state;
	ts_prefix_parse("10.0.0.0/8", &route);
	peer->unsigned_peerapi_only = true;
	peer->allowed_ips = &route;
	peer->allowed_ip_count = 1;
	add_rule(&list, "10.1.2.3", SELF, 0, 65535);
	set_rules();
	assert_true(ts_filter_is_void(filter));
}

static void check_agrees_with_packets(void **state)
{
	struct ts_ip src = ip_of(PEER), dst = ip_of(SELF), far = ip_of(OTHER);

	(void)state;
	assert_false(ts_filter_allows_tcp(filter, &src, &dst, 80, peer));
	add_rule(&list, PEER, SELF, 80, 80);
	set_rules();
	assert_true(ts_filter_allows_tcp(filter, &src, &dst, 80, peer));
	assert_false(ts_filter_allows_tcp(filter, &src, &dst, 81, peer));
	assert_false(ts_filter_allows_tcp(filter, &src, &far, 80, peer));
	assert_false(ts_filter_allows_tcp(filter, &far, &dst, 80, peer));
}

static void grants_are_joined_and_do_not_open_ports(void **state)
{
	struct ts_ip src = ip_of(PEER), dst = ip_of(SELF), far = ip_of(OTHER);
	json_t *caps, *want;

	(void)state;
	caps = ts_filter_caps(filter, &src, &dst);
	assert_int_equal(json_object_size(caps), 0);
	json_decref(caps);
	for (int i = 0; i < 2; i++) {
		struct ts_filter_rule *rule =
			add_rule(&list, PEER, SELF, 0, 65535);

		rule->grant_caps = json_pack("{s:[i]}", "example.com/a", i);
	}
	set_rules();
	assert_int_equal(in(PEER, SELF, IPPROTO_UDP, 1, 1), TS_DROP);
	want = json_pack("{s:[i,i]}", "example.com/a", 0, 1);
	for (int i = 0; i < 2; i++) { /* asking does not change the rules */
		caps = ts_filter_caps(filter, &src, &dst);
		assert_true(json_equal(caps, want));
		json_decref(caps);
	}
	json_decref(want);
	caps = ts_filter_caps(filter, &far, &dst);
	assert_int_equal(json_object_size(caps), 0);
	json_decref(caps);
	caps = ts_filter_caps(filter, &src, &far);
	assert_int_equal(json_object_size(caps), 0);
	json_decref(caps);
	for (int i = 0; i < 2; i++)
		json_decref(list.rules[i].grant_caps);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(nothing_passes_before_the_first_rules),
		CASE(no_rule_denies),
		CASE(rule_needs_source_address_port_and_protocol),
		CASE(families_do_not_mix),
		CASE(only_our_own_addresses_are_reached),
		CASE(later_segments_pass_without_rules),
		CASE(udp_answers_pass_for_what_we_sent),
		CASE(icmp_answers_pass_and_the_rest_asks_any_rule),
		CASE(other_protocols_need_a_rule_for_all_ports),
		CASE(tsmp_goes_to_the_node_and_comes_only_from_it),
		CASE(later_fragments_pass),
		CASE(peerapi_port_is_always_open),
		CASE(jailed_peers_and_shields_let_answers_in_only),
		CASE(capability_sources_look_at_the_sender),
		CASE(rule_that_admits_an_unsigned_peer_voids_all),
		CASE(routes_of_unsigned_peers_count_too),
		CASE(check_agrees_with_packets),
		CASE(grants_are_joined_and_do_not_open_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
