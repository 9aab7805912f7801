/* SPDX-License-Identifier: BSD-3-Clause
 * test_routes.c - a node that routes for others, and one that uses an exit node
 */
#include "unit/node/node_sim.h"

#include "core/node/exit_node.h"
#include "core/node/node_dns.h"

static struct ts_ip ip_of(const char *text)
{
	struct ts_ip ip;

	assert_int_equal(ts_ip_parse(text, &ip), 0);
	return ip;
}

static struct ts_prefix prefix_of(const char *text)
{
	struct ts_prefix p;

	assert_int_equal(ts_prefix_parse(text, &p), 0);
	return p;
}

static void offer(struct sim *sim, int at, const char *const *texts,
		  size_t count)
{
	struct ts_route_prefs prefs = {0};
	struct ts_prefix routes[8];

	for (size_t i = 0; i < count; i++)
		routes[i] = prefix_of(texts[i]);
	assert_int_equal(ts_route_prefs_set_advertised(&prefs, routes, count),
			 0);
	assert_int_equal(ts_node_set_route_prefs(sim->nodes[at].node, &prefs,
						 sim->now_ms),
			 0);
	ts_route_prefs_deinit(&prefs);
	assert_int_equal(sim->nodes[at].control->route_count, count);
}

/* An admin's word about node `of`, to all. */
static void approve(struct sim *sim, int of, json_t *routes)
{
	char v4[32], v6[40];

	snprintf(v4, sizeof(v4), "100.64.0.%d/32", of + 1);
	snprintf(v6, sizeof(v6), "fd7a:115c:a1e0::%x/128", of + 1);
	json_array_insert_new(routes, 0, json_string(v6));
	json_array_insert_new(routes, 0, json_string(v4));
	sim_set_extra(sim, of, json_pack("{s:o}", "AllowedIPs", routes));
	for (int i = 0; i < SIM_NODES; i++)
		if (sim->nodes[i].node)
			sim_tell(sim, i, of);
}

static int target(struct sim *sim, int at, const char *dst, char *out)
{
	struct ts_ip ip = ip_of(dst), to;
	int err = ts_node_forward_target(sim->nodes[at].node, &ip, &to);

	if (!err)
		ts_ip_format(&to, out);
	return err;
}

static const char *const SUBNETS[] = {"10.7.0.0/16", "192.168.9.0/24"};

static void only_what_both_have_said(void **state)
{
	struct sim *sim = sim_up(2, &(struct sim_options){.route_all = true});
	char out[TS_IP_TEXT_CAP];

	(void)state;
	offer(sim, 1, SUBNETS, 2);
	assert_false(ts_node_is_router(sim->nodes[1].node));
	assert_int_equal(target(sim, 1, "10.7.1.1", out), -EHOSTUNREACH);
	/* A part of what is offered, and what is not. */
	approve(sim, 1, json_pack("[ss]", "10.7.1.0/24", "10.8.0.0/16"));
	assert_true(ts_node_is_router(sim->nodes[1].node));
	assert_int_equal(target(sim, 1, "10.7.1.1", out), 0);
	assert_string_equal(out, "10.7.1.1");
	assert_int_equal(target(sim, 1, "10.7.2.1", out), -EHOSTUNREACH);
	assert_int_equal(target(sim, 1, "10.8.0.1", out), -EHOSTUNREACH);
	assert_int_equal(target(sim, 1, "192.168.9.1", out), -EHOSTUNREACH);
	assert_int_equal(target(sim, 1, "100.64.0.2", out), -EHOSTUNREACH);
	offer(sim, 1, SUBNETS, 0);
	assert_int_equal(target(sim, 1, "10.7.1.1", out), -EHOSTUNREACH);
	sim_free(sim);
}

static void connections_arrive_as_to_that_address(void **state)
{
	struct sim *sim = sim_up(2, &(struct sim_options){.route_all = true});
	struct ts_ip there = ip_of("10.7.3.4");
	struct ts_addr local;
	struct sim_conn *c;

	(void)state;
	offer(sim, 1, SUBNETS, 2);
	approve(sim, 1, json_pack("[s]", "10.7.0.0/16"));
	c = sim_dial_ip(sim, 0, there, 80, 100000);
	sim_run(sim, 10000);
	assert_true(c->is_up);
	assert_int_equal(sim->nodes[1].conns[0].read, 100000);
	local = stack_tcp_local(sim->nodes[1].conns[0].tcp);
	assert_int_equal(local.port, 80);
	assert_true(ts_ip_equal(&local.ip, &there));
	/* Taken back: nothing of it stays. */
	approve(sim, 1, json_array());
	sim_run(sim, 10);
	assert_true(sim->nodes[1].conns[0].is_over);
	sim_free(sim);
}

static void never_to_ourselves(void **state)
{
	static const char *const all[] = {"0.0.0.0/0", "::/0",
					  "100.64.128.0/17", "169.254.0.0/16"};
	static const char *const nowhere[] = {
		"127.0.0.1", "0.0.0.0", "100.64.128.1", "169.254.1.1",
		"224.0.0.1", "255.255.255.255", "::1", "fe80::1",
		"fd7a:115c:a1e0::9", "192.168.1.1", "10.0.0.1",
		"203.0.113.9"};
	struct sim *sim = sim_up(2, NULL);
	struct ts_prefix lan = prefix_of("203.0.113.1/24");
	char out[TS_IP_TEXT_CAP];

	(void)state;
	offer(sim, 1, all, 4);
	ts_node_set_lans(sim->nodes[1].node, &lan, 1, sim->now_ms);
	approve(sim, 1, json_pack("[ssss]", all[0], all[1], all[2], all[3]));
	assert_int_equal(target(sim, 1, "8.8.8.8", out), 0);
	assert_int_equal(target(sim, 1, "2606:4700::1", out), 0);
	assert_int_equal(target(sim, 1, "169.254.169.254", out), 0);
	for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++)
		if (target(sim, 1, nowhere[i], out) == 0)
			fail_msg("%s", nowhere[i]);
	sim_free(sim);
}

static void via_addresses_of_our_site(void **state)
{
	static const char *const sites[] = {
		"fd7a:115c:a1e0:b1a:0:7:a07:0/112", "::/0", "0.0.0.0/0",
		"fd7a:115c:a1e0:b1a:0:9:7f00:0/104"};
	struct sim *sim = sim_up(2, NULL);
	char out[TS_IP_TEXT_CAP];

	(void)state;
	offer(sim, 1, sites, 4);
	approve(sim, 1, json_pack("[ssss]", sites[0], sites[1], sites[2],
				  sites[3]));
	assert_int_equal(target(sim, 1, "fd7a:115c:a1e0:b1a:0:7:a07:50", out),
			 0);
	assert_string_equal(out, "10.7.0.80");
	/* Another site, be it that we are an exit node; and our loopback. */
	assert_int_equal(target(sim, 1, "fd7a:115c:a1e0:b1a:0:8:a07:50", out),
			 -EHOSTUNREACH);
	assert_int_equal(target(sim, 1, "fd7a:115c:a1e0:b1a:0:9:7f00:1", out),
			 -EHOSTUNREACH);
	sim_free(sim);
}

/* An app connector has the addresses that its domains were found at. */
static void a_connectors_addresses(void **state)
{
	(void)state;
	for (int accepts = 0; accepts < 2; accepts++) {
		struct sim *sim = sim_up(
			3, &(struct sim_options){.route_all = accepts});
		const struct ts_peer *peer;
		struct ts_ip ip = ip_of("203.0.113.7");

		approve(sim, 1, json_pack("[ss]", "203.0.113.7/32",
					  "2001:db8::7/128"));
		approve(sim, 2, json_pack("[s]", "203.0.113.0/24"));
		if (accepts) {
			assert_int_equal(ts_node_route(sim->nodes[0].node, &ip,
						       &peer),
					 TS_ROUTE_PEER);
			assert_int_equal(peer->id, 2);
		} else {
			assert_int_equal(ts_node_route(sim->nodes[0].node, &ip,
						       &peer),
					 TS_ROUTE_HOST);
		}
		sim_free(sim);
	}
}

/* -- the exit node -------------------------------------------------------- */

static void use_exit(struct sim *sim, const char *text)
{
	struct ts_route_prefs prefs = {0};

	assert_int_equal(ts_route_prefs_set_exit_node(&prefs, text), 0);
	assert_int_equal(ts_node_set_route_prefs(sim->nodes[0].node, &prefs,
						 sim->now_ms),
			 0);
	ts_route_prefs_deinit(&prefs);
}

static enum ts_route route(struct sim *sim, const char *ip, int64_t *id)
{
	const struct ts_peer *peer = NULL;
	struct ts_ip addr = ip_of(ip);
	enum ts_route r = ts_node_route(sim->nodes[0].node, &addr, &peer);

	*id = peer ? peer->id : 0;
	return r;
}

static void all_that_is_nobodys(void **state)
{
	static const char *const wishes[] = {"100.64.0.2", "n1",
					     "n1.tail.example",
					     "n1.tail.example."};
	int64_t id;

	(void)state;
	for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++) {
		struct sim *sim = sim_up(
			3, &(struct sim_options){.route_all = true});

		use_exit(sim, wishes[i]);
		/* Nobody has approved it. */
		assert_int_equal(route(sim, "8.8.8.8", &id), TS_ROUTE_NONE);
		approve(sim, 1, json_pack("[ss]", "0.0.0.0/0", "::/0"));
		assert_int_equal(route(sim, "8.8.8.8", &id), TS_ROUTE_PEER);
		assert_int_equal(id, 2);
		assert_int_equal(route(sim, "2001:db8::1", &id),
				 TS_ROUTE_PEER);
		assert_int_equal(route(sim, "127.0.0.1", &id), TS_ROUTE_HOST);
		assert_int_equal(route(sim, "100.64.0.77", &id),
				 TS_ROUTE_NONE);
		assert_int_equal(route(sim, "100.64.0.3", &id), TS_ROUTE_PEER);
		assert_int_equal(id, 3);
		/* Every other route is closer. */
		approve(sim, 2, json_pack("[s]", "10.0.0.0/8"));
		assert_int_equal(route(sim, "10.1.1.1", &id), TS_ROUTE_PEER);
		assert_int_equal(id, 3);
		assert_int_equal(route(sim, "11.1.1.1", &id), TS_ROUTE_PEER);
		assert_int_equal(id, 2);
		sim_map_text(&sim->nodes[0], "{\"PeersRemoved\":[2]}");
		assert_int_equal(route(sim, "8.8.8.8", &id), TS_ROUTE_NONE);
		use_exit(sim, NULL);
		assert_int_equal(route(sim, "8.8.8.8", &id), TS_ROUTE_HOST);
		sim_free(sim);
	}
}

/* Nothing else has to happen for it to be used. */
static void from_the_first_map_on(void **state)
{
	static const struct sim_options none;
	struct sim *sim = sim_new();
	int64_t id;

	(void)state;
	for (int i = 0; i < 2; i++) {
		sim_add_node(sim, i, &none);
		sim_register(&sim->nodes[i]);
	}
	sim_set_extra(sim, 1,
		      json_pack("{s:[sss]}", "AllowedIPs", "100.64.0.2/32",
				"0.0.0.0/0", "::/0"));
	use_exit(sim, "n1");
	assert_int_equal(route(sim, "8.8.8.8", &id), TS_ROUTE_NONE);
	sim_map(&sim->nodes[0], sim_first_map(sim, 0));
	assert_int_equal(route(sim, "8.8.8.8", &id), TS_ROUTE_PEER);
	assert_int_equal(id, 2);
	sim_free(sim);
}

static void what_is_wanted_and_not_there(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	int64_t id;

	(void)state;
	approve(sim, 1, json_pack("[ss]", "0.0.0.0/0", "::/0"));
	use_exit(sim, "somebody");
	assert_int_equal(route(sim, "8.8.8.8", &id), TS_ROUTE_NONE);
	use_exit(sim, "100.64.0.9");
	assert_int_equal(route(sim, "8.8.8.8", &id), TS_ROUTE_NONE);
	/* Nobody may be suggested. */
	use_exit(sim, "auto:any");
	assert_int_equal(route(sim, "8.8.8.8", &id), TS_ROUTE_NONE);
	use_exit(sim, "100.64.0.2");
	assert_int_equal(route(sim, "8.8.8.8", &id), TS_ROUTE_PEER);
	sim_free(sim);
}

/* Its packets come from anywhere, and from nobody else's. */
static void it_speaks_for_the_rest(void **state)
{
	static const char *const all[] = {"0.0.0.0/0", "::/0"};
	struct sim *sim = sim_up(3, NULL);
	struct sim_conn *c;

	(void)state;
	offer(sim, 1, all, 2);
	approve(sim, 1, json_pack("[ss]", "0.0.0.0/0", "::/0"));
	use_exit(sim, "n1");
	c = sim_dial_ip(sim, 0, ip_of("8.8.8.8"), 443, 5000);
	sim_run(sim, 10000);
	assert_true(c->is_up);
	assert_int_equal(sim->nodes[1].conns[0].read, 5000);
	/* Not any more once it is another one. */
	use_exit(sim, "n2");
	c = sim_dial_ip(sim, 0, ip_of("9.9.9.9"), 443, 5000);
	sim_run(sim, 10000);
	assert_false(c->is_up);
	sim_free(sim);
}

/* A provider of WireGuard: no disco, no relay, another address for us, and
 * resolvers of its own in the tailnet's range. */
static void one_that_only_speaks_wireguard(void **state)
{
	static const char *const all[] = {"0.0.0.0/0", "::/0"};
	static const char provider[] =
		"{\"IsWireGuardOnly\":true,\"DiscoKey\":null,"
		"\"HomeDERP\":0,\"AllowedIPs\":[\"100.64.0.2/32\","
		"\"0.0.0.0/0\",\"::/0\"],"
		"\"SelfNodeV4MasqAddrForThisPeer\":\"100.99.0.7\","
		"\"ExitNodeDNSResolvers\":[{\"Addr\":\"100.64.9.9\"},7,"
		"{\"Addr\":\"x\"},{\"Addr\":\"10.64.0.1:53\"}]}";
	static const uint8_t name[] = "\7example\3com";
	struct sim *sim = sim_up(2, NULL);
	const struct ts_dns_resolvers *r;
	struct ts_ip masq = ip_of("100.99.0.7");
	struct sim_conn *c;
	int64_t id;

	(void)state;
	offer(sim, 1, all, 2);
	approve(sim, 1, json_pack("[ss]", "0.0.0.0/0", "::/0"));
	sim_set_extra(sim, 1, json_loads(provider, 0, NULL));
	sim_tell(sim, 0, 1);
	sim_set_extra(sim, 0, json_pack("{s:b, s:n, s:[s]}", "IsWireGuardOnly",
					true, "DiscoKey", "Addresses",
					"100.99.0.7/32"));
	sim_tell(sim, 1, 0);
	assert_int_equal(route(sim, "100.64.9.9", &id), TS_ROUTE_NONE);
	use_exit(sim, "n1");
	assert_int_equal(route(sim, "100.64.9.9", &id), TS_ROUTE_PEER);
	assert_int_equal(id, 2);
	assert_int_equal(route(sim, "100.64.9.8", &id), TS_ROUTE_NONE);
	r = ts_dns_routes_find(ts_node_dns_routes(sim->nodes[0].node), name,
			       sizeof(name));
	assert_non_null(r);
	assert_string_equal(r->list[0].text, "100.64.9.9");
	c = sim_dial_ip(sim, 0, ip_of("8.8.8.8"), 443, 5000);
	sim_run(sim, 10000);
	assert_true(c->is_up);
	assert_int_equal(sim->nodes[1].conns[0].read, 5000);
	assert_true(ts_ip_equal(&sim->nodes[1].conns[0].remote.ip, &masq));
	assert_int_equal(sim->nodes[0].wg_derp, 0);
	/* Its resolvers change, and nothing else of it. */
	json_object_set_new(sim->extra[1], "ExitNodeDNSResolvers",
			    json_pack("[{s:s}]", "Addr", "100.64.9.8"));
	sim_tell(sim, 0, 1);
	assert_int_equal(route(sim, "100.64.9.9", &id), TS_ROUTE_NONE);
	assert_int_equal(route(sim, "100.64.9.8", &id), TS_ROUTE_PEER);
	use_exit(sim, NULL);
	assert_null(ts_dns_routes_find(
		ts_node_dns_routes(sim->nodes[0].node), name, sizeof(name)));
	sim_free(sim);
}

/* -- suggestions ---------------------------------------------------------- */

static uint32_t the_last(uint32_t limit)
{
	return limit - 1;
}

/* What is suggested among peers that these fields make. */
static int64_t suggest(struct sim *sim, const struct ts_net_info *net,
		       const char *before)
{
	const struct node_exit_view view = {
		.map = ts_node_netmap(sim->nodes[0].node),
		.net = net,
		.before = before,
		.random_below = the_last,
	};
	const struct ts_peer *peer = NULL;
	int err = node_exit_suggest(&view, &peer);

	return err ? err : peer ? peer->id : 0;
}

static void peer_with(struct sim *sim, int of, int home, json_t *location)
{
	char v4[32];

	snprintf(v4, sizeof(v4), "100.64.0.%d/32", of + 1);
	sim_set_extra(sim, of,
		      json_pack("{s:[sss], s:{s:n}, s:i, s:{s:s, s:o*}}",
				"AllowedIPs", v4, "0.0.0.0/0", "::/0",
				"CapMap", "suggest-exit-node", "HomeDERP",
				home, "Hostinfo", "OS", "linux", "Location",
				location));
	sim_tell(sim, 0, of);
}

static json_t *at(double latitude, double longitude, int priority)
{
	return json_pack("{s:f, s:f, s:i}", "Latitude", latitude, "Longitude",
			 longitude, "Priority", priority);
}

static const struct ts_net_info HOME_1 = {
	.preferred_derp = SIM_REGION,
	.latencies = {{1, false, 50000}, {2, false, 20000}},
	.latency_count = 2,
};

static void nobody_may_be_suggested(void **state)
{
	struct ts_net_info unknown = {.preferred_derp = 0};
	struct sim *sim = sim_up(2, NULL);

	(void)state;
	assert_int_equal(suggest(sim, &HOME_1, NULL), 0);
	assert_int_equal(suggest(sim, &unknown, NULL), -EAGAIN);
	peer_with(sim, 1, 0, NULL);
	assert_int_equal(suggest(sim, &HOME_1, NULL), 2);
	sim_map_text(&sim->nodes[0],
		     "{\"OnlineChange\":{\"2\":false}}");
	assert_int_equal(suggest(sim, &HOME_1, NULL), 0);
	/* The tailnet may doubt its own word, if nobody is to measure. */
	sim_set_extra(sim, 0, json_pack("{s:{s:n}}", "CapMap",
					"client-side-reachability"));
	sim_tell(sim, 0, 0);
	assert_int_equal(suggest(sim, &HOME_1, NULL), 2);
	sim_set_extra(sim, 0,
		      json_pack("{s:{s:n, s:n}}", "CapMap",
				"client-side-reachability",
				"client-side-reachability-routecheck"));
	sim_tell(sim, 0, 0);
	assert_int_equal(suggest(sim, &HOME_1, NULL), 0);
	sim_free(sim);
}

static void by_the_fastest_relay(void **state)
{
	struct sim *sim = sim_up(3, NULL);

	(void)state;
	peer_with(sim, 1, 1, NULL);
	peer_with(sim, 2, 2, NULL);
	assert_int_equal(suggest(sim, &HOME_1, NULL), 3);
	peer_with(sim, 1, 2, NULL);
	/* Both are as good: the one before stays. */
	assert_int_equal(suggest(sim, &HOME_1, "n1.tail.example."), 2);
	assert_int_equal(suggest(sim, &HOME_1, "n2.tail.example."), 3);
	/* Who has a home comes before who has none. */
	peer_with(sim, 1, 0, at(0, 0, 100));
	assert_int_equal(suggest(sim, &HOME_1, "n1.tail.example."), 3);
	sim_free(sim);
}

static void by_place(void **state)
{
	struct sim *sim = sim_up(3, NULL);

	(void)state;
	/* The map says nothing of where our relay is: 0, 0. */
	peer_with(sim, 1, 0, at(10, 10, 9));
	peer_with(sim, 2, 0, at(1, 1, 1));
	assert_int_equal(suggest(sim, &HOME_1, NULL), 3);
	/* As near, within measure: the higher priority. */
	peer_with(sim, 1, 0, at(1.5, 1, 9));
	assert_int_equal(suggest(sim, &HOME_1, NULL), 2);
	sim_free(sim);
}

static void by_score_where_traffic_is_steered(void **state)
{
	struct ts_net_info unknown = {.preferred_derp = 0};
	struct sim *sim = sim_up(3, NULL);
	int64_t first;

	(void)state;
	sim_set_extra(sim, 0, json_pack("{s:{s:n}}", "CapMap",
					"traffic-steering"));
	sim_tell(sim, 0, 0);
	assert_int_equal(suggest(sim, &unknown, NULL), 0);
	peer_with(sim, 1, 1, at(0, 0, 7));
	peer_with(sim, 2, 2, at(0, 0, 8));
	assert_int_equal(suggest(sim, &unknown, "n1.tail.example."), 3);
	peer_with(sim, 2, 2, at(0, 0, 7));
	first = suggest(sim, &unknown, NULL);
	assert_true(first == 2 || first == 3);
	assert_int_equal(suggest(sim, &unknown, "n1.tail.example."), first);
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_both_have_said),
		cmocka_unit_test(connections_arrive_as_to_that_address),
		cmocka_unit_test(never_to_ourselves),
		cmocka_unit_test(via_addresses_of_our_site),
		cmocka_unit_test(a_connectors_addresses),
		cmocka_unit_test(all_that_is_nobodys),
		cmocka_unit_test(from_the_first_map_on),
		cmocka_unit_test(what_is_wanted_and_not_there),
		cmocka_unit_test(it_speaks_for_the_rest),
		cmocka_unit_test(one_that_only_speaks_wireguard),
		cmocka_unit_test(nobody_may_be_suggested),
		cmocka_unit_test(by_the_fastest_relay),
		cmocka_unit_test(by_place),
		cmocka_unit_test(by_score_where_traffic_is_steered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
