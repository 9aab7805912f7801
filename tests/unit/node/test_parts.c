/* SPDX-License-Identifier: BSD-3-Clause
 * test_parts.c - the parts of a node by themselves: routes, masquerading, and
 *                what a delta costs in a large tailnet
 */
#include "unit/addresses.h"
#include "unit/node/node_sim.h"

#include <netinet/in.h>
#include <time.h>

#include "core/node/node_internal.h"
#include "netstack/checksum.h"

/* -- routes --------------------------------------------------------------- */
static int64_t find(const struct route_table *t, const char *text)
{
	struct ts_ip ip;

	assert_int_equal(ts_ip_parse(text, &ip), 0);
	return route_table_find(t, &ip);
}

static void test_longest_prefix_wins(void **state)
{
	static const struct {
		const char *prefix;
		int64_t owner;
	} routes[] = {{"10.0.0.0/8", 1},    {"10.1.0.0/16", 2},
		      {"10.1.2.0/23", 3},   {"10.1.2.3/32", 4},
		      {"fd00::/8", 5},	    {"fd00:1::/33", 6},
		      {"fd00:1::1/128", 7}, {"::/0", 8}};
	struct route_table t;

	(void)state;
	route_table_init(&t, 1);
	for (size_t i = 0; i < 8; i++) {
		struct ts_prefix p = prefix_of(routes[i].prefix);

		assert_int_equal(route_table_add(&t, &p, routes[i].owner), 0);
	}
	assert_int_equal(find(&t, "10.9.9.9"), 1);
	assert_int_equal(find(&t, "10.1.9.9"), 2);
	assert_int_equal(find(&t, "10.1.3.9"), 3);
	assert_int_equal(find(&t, "10.1.4.9"), 2);
	assert_int_equal(find(&t, "10.1.2.3"), 4);
	assert_int_equal(find(&t, "11.0.0.1"), 0); /* ::/0 is not for IPv4 */
	assert_int_equal(find(&t, "fd00:2::1"), 5);
	assert_int_equal(find(&t, "fd00:1:0:1::"), 6);
	assert_int_equal(find(&t, "fd00:1::1"), 7);
	assert_int_equal(find(&t, "2001:db8::1"), 8);
	for (size_t i = 0; i < 8; i++) {
		struct ts_prefix p = prefix_of(routes[i].prefix);

		route_table_remove(&t, &p, 99); /* not the owner */
		route_table_remove(&t, &p, routes[i].owner);
		route_table_remove(&t, &p, routes[i].owner);
	}
	assert_int_equal(find(&t, "10.1.2.3"), 0);
	assert_int_equal(t.by_prefix.len, 0);
	route_table_deinit(&t);
}

static void test_several_owners(void **state)
{
	struct ts_prefix p = prefix_of("10.0.0.0/8");
	struct route_table t;
	struct ts_ip ip = p.ip;

	(void)state;
	route_table_init(&t, 1);
	for (int64_t id = 9; id >= 1; id -= 2)
		assert_int_equal(route_table_add(&t, &p, id), 0);
	assert_int_equal(route_table_add(&t, &p, 5), 0); /* again */
	for (int64_t id = 1; id <= 9; id++)
		assert_int_equal(route_table_is_owner(&t, &ip, id), id % 2);
	assert_int_equal(find(&t, "10.0.0.1"), 1);
	route_table_remove(&t, &p, 1);
	assert_int_equal(find(&t, "10.0.0.1"), 3);
	route_table_remove(&t, &p, 5); /* once is enough */
	assert_false(route_table_is_owner(&t, &ip, 5));
	route_table_remove(&t, &p, 3);
	assert_int_equal(find(&t, "10.0.0.1"), 7);
	route_table_deinit(&t);
}

/* -- masquerading --------------------------------------------------------- */
enum { BODY = 24, V4_LEN = 20 + BODY, V6_LEN = 40 + BODY };

/* A packet with right checksums; returns where the transport header is. */
static size_t make_packet(uint8_t *pkt, const struct ts_ip *src,
			  const struct ts_ip *dst, uint8_t proto,
			  size_t sum_at)
{
	bool v4 = ts_ip_is_v4(src);
	size_t l4 = v4 ? 20 : 40;
	uint16_t sum;

	memset(pkt, 0, l4 + BODY);
	for (size_t i = 0; i < BODY; i++)
		pkt[l4 + i] = (uint8_t)(i * 37 + proto);
	if (v4) {
		pkt[0] = 0x45;
		pkt[3] = V4_LEN;
		pkt[8] = 64;
		pkt[9] = proto;
		memcpy(pkt + 12, src->bytes + 12, 4);
		memcpy(pkt + 16, dst->bytes + 12, 4);
		sum = stack_sum_finish(stack_sum(pkt, 20));
		pkt[10] = (uint8_t)(sum >> 8);
		pkt[11] = (uint8_t)sum;
	} else {
		pkt[0] = 0x60;
		pkt[5] = BODY;
		pkt[6] = proto;
		pkt[7] = 64;
		memcpy(pkt + 8, src->bytes, 16);
		memcpy(pkt + 24, dst->bytes, 16);
	}
	if (proto == IPPROTO_TCP)
		pkt[l4 + 12] = 0x50; /* header length */
	if (proto == IPPROTO_UDP) {
		pkt[l4 + 4] = 0;
		pkt[l4 + 5] = BODY;
	}
	if (sum_at == SIZE_MAX)
		return l4;
	pkt[l4 + sum_at] = pkt[l4 + sum_at + 1] = 0;
	sum = stack_sum_finish(stack_sum(pkt + l4, BODY) +
			       stack_sum_pseudo(src, dst, proto, BODY));
	pkt[l4 + sum_at] = (uint8_t)(sum >> 8);
	pkt[l4 + sum_at + 1] = (uint8_t)sum;
	return l4;
}

static void check_sums(const uint8_t *pkt, const struct ts_ip *src,
		       const struct ts_ip *dst, uint8_t proto, bool has_sum)
{
	bool v4 = ts_ip_is_v4(src);
	size_t l4 = v4 ? 20 : 40;

	if (v4)
		assert_int_equal(stack_sum_finish(stack_sum(pkt, 20)), 0);
	if (has_sum)
		assert_int_equal(
			stack_sum_finish(stack_sum(pkt + l4, BODY) +
					 stack_sum_pseudo(src, dst, proto,
							  BODY)), 0);
}

static const struct {
	uint8_t proto;
	size_t sum_at; /* SIZE_MAX: none that covers the addresses */
	bool v4, v6;
} transports[] = {
	{IPPROTO_TCP, 16, true, true},
	{IPPROTO_UDP, 6, true, true},
	{IPPROTO_ICMPV6, 2, false, true},
	{IPPROTO_ICMP, SIZE_MAX, true, false},
	{IPPROTO_SCTP, SIZE_MAX, true, true},
	{99, SIZE_MAX, true, true},
};

static void check_masquerade(struct ts_node *node, const struct ts_peer *peer,
			     bool v6, const struct ts_ip *own,
			     const struct ts_ip *masq,
			     const struct ts_ip *theirs)
{
	uint8_t bytes[V6_LEN];

	for (size_t i = 0; i < sizeof(transports) / sizeof(*transports); i++) {
		struct ts_packet pkt = {
			.data = bytes, .len = v6 ? V6_LEN : V4_LEN};
		bool has_sum = transports[i].sum_at != SIZE_MAX;
		struct ts_packet_header h;

		if (!(v6 ? transports[i].v6 : transports[i].v4))
			continue;
		make_packet(bytes, own, theirs, transports[i].proto,
			    transports[i].sum_at);
		assert_int_equal(ts_packet_header_read(bytes, pkt.len, &h), 0);
		node_masq_out(node, peer, &pkt, &h);
		assert_int_equal(ts_packet_header_read(bytes, pkt.len, &h), 0);
		assert_true(ts_ip_equal(&h.src, masq));
		assert_true(ts_ip_equal(&h.dst, theirs));
		check_sums(bytes, masq, theirs, transports[i].proto, has_sum);

		make_packet(bytes, theirs, masq, transports[i].proto,
			    transports[i].sum_at);
		assert_int_equal(ts_packet_header_read(bytes, pkt.len, &h), 0);
		node_masq_in(node, peer, &pkt, &h);
		assert_true(ts_ip_equal(&h.dst, own));
		assert_int_equal(ts_packet_header_read(bytes, pkt.len, &h), 0);
		assert_true(ts_ip_equal(&h.dst, own));
		check_sums(bytes, theirs, own, transports[i].proto, has_sum);
	}
}

static void test_masquerade_checksums(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct ts_node *node = sim->nodes[0].node;
	struct ts_peer peer = {0};
	struct ts_ip own = sim_ip(0), own6 = sim_ip6(0), theirs = sim_ip(1),
		     theirs6 = sim_ip6(1);
	static const char *const masqs[] = {"100.99.0.7", "255.255.255.254",
					    "1.0.0.0", "100.64.0.254"};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(ts_ip_parse(masqs[i], &peer.masq_v4), 0);
		check_masquerade(node, &peer, false, &own, &peer.masq_v4,
				 &theirs);
		peer.masq_v6 = own6;
		peer.masq_v6.bytes[9] = (uint8_t)(i * 85);
		peer.masq_v6.bytes[14] ^= 0xff;
		check_masquerade(node, &peer, true, &own6, &peer.masq_v6,
				 &theirs6);
	}
	sim_free(sim);
}

static void test_masquerade_leaves_alone(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct ts_node *node = sim->nodes[0].node;
	struct ts_peer peer = {0};
	struct ts_ip own = sim_ip(0), theirs = sim_ip(1), other = sim_ip(7);
	uint8_t bytes[V6_LEN], before[V6_LEN];
	struct ts_packet pkt = {.data = bytes, .len = V4_LEN};
	struct ts_packet_header h;

	(void)state;
	/* no address of that family set */
	make_packet(bytes, &own, &theirs, IPPROTO_TCP, 16);
	memcpy(before, bytes, V4_LEN);
	assert_int_equal(ts_packet_header_read(bytes, V4_LEN, &h), 0);
	node_masq_out(node, &peer, &pkt, &h);
	assert_memory_equal(bytes, before, V4_LEN);
	/* not ours */
	peer.masq_v4 = sim_ip(99);
	make_packet(bytes, &other, &theirs, IPPROTO_TCP, 16);
	memcpy(before, bytes, V4_LEN);
	assert_int_equal(ts_packet_header_read(bytes, V4_LEN, &h), 0);
	node_masq_out(node, &peer, &pkt, &h);
	assert_memory_equal(bytes, before, V4_LEN);
	/* to our own address, not the other one */
	make_packet(bytes, &theirs, &own, IPPROTO_TCP, 16);
	memcpy(before, bytes, V4_LEN);
	assert_int_equal(ts_packet_header_read(bytes, V4_LEN, &h), 0);
	node_masq_in(node, &peer, &pkt, &h);
	assert_memory_equal(bytes, before, V4_LEN);
	/* UDP without a checksum stays without one */
	make_packet(bytes, &own, &theirs, IPPROTO_UDP, 6);
	bytes[26] = bytes[27] = 0;
	assert_int_equal(ts_packet_header_read(bytes, V4_LEN, &h), 0);
	node_masq_out(node, &peer, &pkt, &h);
	assert_int_equal(bytes[26] | bytes[27], 0);
	/* a packet cut within its transport header */
	make_packet(bytes, &own, &theirs, IPPROTO_TCP, 16);
	assert_int_equal(ts_packet_header_read(bytes, V4_LEN, &h), 0);
	for (size_t len = 20; len < 38; len++) {
		pkt.len = len;
		memset(bytes + len, 0xee, sizeof(bytes) - len);
		node_masq_out(node, &peer, &pkt, &h);
		assert_int_equal(bytes[len], 0xee);
		make_packet(bytes, &own, &theirs, IPPROTO_TCP, 16);
	}
	sim_free(sim);
}

/* -- a large tailnet ------------------------------------------------------ */
enum { MANY = 10000, DELTAS = 2000 };

static void many_peers(struct sim *sim, json_t *peers)
{
	struct ts_private_key secret;
	struct ts_public_key key;

	for (int i = 0; i < MANY; i++) {
		char v4[40], name[40];

		ts_private_key_generate(&secret);
		ts_public_key_from_private(&secret, &key);
		snprintf(v4, sizeof(v4), "100.%d.%d.%d/32", 70 + i / 50000,
			 i / 200, i % 200 + 1);
		snprintf(name, sizeof(name), "p%d.tail.example.", i);
		json_array_append_new(
			peers, json_pack("{s:i,s:s,s:i,s:o,s:[s],s:[ss]}",
					 "ID", 1000 + i, "Name", name, "User",
					 100, "Key",
					 sim_key_json(&key, TS_PREFIX_NODE),
					 "Addresses", v4, "AllowedIPs", v4,
					 i % 10 ? v4 : "10.0.0.0/8"));
	}
	(void)sim;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* No limit on the clock's word: but a delta that walked all the peers would
 * take this from a tenth of a second to minutes under a sanitizer. */
static void test_deltas_of_a_large_tailnet(void **state)
{
	struct sim *sim = sim_new();
	struct sim_node *n = &sim->nodes[0];
	struct ts_ip ip;
	json_t *map, *news;
	double began;
	char text[400];

	(void)state;
	sim_add_node(sim, 0, &(struct sim_options){.route_all = true});
	sim_register(n);
	map = sim_first_map(sim, 0);
	many_peers(sim, json_object_get(map, "Peers"));
	began = seconds();
	sim_map(n, map);
	print_message("first map of %d peers: %.3f s\n", MANY,
		      seconds() - began);
	assert_int_equal(ts_ip_parse("100.70.49.200", &ip), 0);
	assert_int_equal(ts_node_route(n->node, &ip, NULL), TS_ROUTE_PEER);

	began = seconds();
	for (int i = 0; i < DELTAS; i++) {
		snprintf(text, sizeof(text),
			 "{\"PeersChangedPatch\":[{\"NodeID\":%d,"
			 "\"DERPRegion\":1,\"Online\":true}]}",
			 1000 + i * 5);
		sim_map_text(n, text);
	}
	print_message("patches: %.0f a second\n",
		      DELTAS / (seconds() - began));
	began = seconds();
	for (int i = 0; i < DELTAS; i++) {
		news = json_pack("{s:[i]}", "PeersRemoved", 1000 + i);
		sim_map(n, news);
	}
	print_message("removals: %.0f a second\n",
		      DELTAS / (seconds() - began));
	assert_int_equal(ts_netmap_peer_count(ts_node_netmap(n->node)),
			 MANY - DELTAS);
	/* 800 routers are left of 10.0.0.0/8's: the next in line has it. */
	assert_int_equal(ts_ip_parse("10.1.2.3", &ip), 0);
	{
		const struct ts_peer *peer = NULL;

		assert_int_equal(ts_node_route(n->node, &ip, &peer),
				 TS_ROUTE_PEER);
		assert_int_equal(peer->id, 1000 + DELTAS);
	}
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_longest_prefix_wins),
		cmocka_unit_test(test_several_owners),
		cmocka_unit_test(test_masquerade_checksums),
		cmocka_unit_test(test_masquerade_leaves_alone),
		cmocka_unit_test(test_deltas_of_a_large_tailnet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
