/* SPDX-License-Identifier: BSD-3-Clause
 * test_node.c - nodes that talk to each other: who may, by which way, and what
 *               happens when the tailnet changes meanwhile
 */
#include "unit/node/node_sim.h"

enum { TRANSFER = 300000 };

static void test_two_nodes_connect(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct sim_conn *c = sim_dial(sim, 0, 1, TRANSFER);
	struct ts_ip from = sim_ip(0);

	(void)state;
	sim_run(sim, 20000);
	assert_true(c->is_up);
	assert_int_equal(sim->nodes[1].syns, 1);
	assert_int_equal(sim->nodes[1].conns[0].read, TRANSFER);
	assert_true(ts_ip_equal(&sim->nodes[1].conns[0].remote.ip, &from));
	assert_true(sim->nodes[0].wg_udp > TRANSFER / 1280);
	assert_true(sim_peer_status(sim, 0, 1).path.is_direct);
	assert_true(sim_peer_status(sim, 0, 1).rx_bytes > 0);
	assert_int_not_equal(sim_peer_status(sim, 0, 1).last_handshake_unix, 0);
	sim_free(sim);
}

/* A program dials when the node has not been called for a while: what goes out
 * must not be stamped with that old time. */
static void test_connects_at_once_after_idling(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct sim_conn *c;

	(void)state;
	sim_run(sim, 60000);
	c = sim_dial(sim, 0, 1, 10);
	sim_run(sim, 100);
	assert_true(c->is_up);
	/* one initiation, one packet that confirms it, SYN and ACKs */
	assert_true(sim->nodes[0].wg_derp <= 3);
	assert_int_equal(sim->nodes[1].conns[0].read, 10);
	sim_free(sim);
}

static void test_over_ipv6(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct sim_conn *c = sim_dial_ip(sim, 0, sim_ip6(1), 80, TRANSFER);

	(void)state;
	sim_run(sim, 20000);
	assert_true(c->is_up);
	assert_int_equal(sim->nodes[1].conns[0].read, TRANSFER);
	sim_free(sim);
}

static void test_by_derp_when_udp_is_dead(void **state)
{
	struct sim *sim = sim_up(2, NULL);

	(void)state;
	sim->no_udp = true;
	sim_dial(sim, 0, 1, TRANSFER);
	sim_run(sim, 30000);
	assert_int_equal(sim->nodes[1].conns[0].read, TRANSFER);
	assert_true(sim->nodes[0].wg_derp > TRANSFER / 1280);
	assert_false(sim_peer_status(sim, 0, 1).path.is_direct);
	assert_int_equal(sim_peer_status(sim, 0, 1).path.derp_region, 1);
	sim_free(sim);
}

static void test_derp_only(void **state)
{
	struct sim *sim = sim_up(2, &(struct sim_options){.derp_only = true});

	(void)state;
	sim_dial(sim, 0, 1, TRANSFER);
	sim_run(sim, 30000);
	assert_int_equal(sim->nodes[1].conns[0].read, TRANSFER);
	assert_int_equal(sim->nodes[0].wg_udp, 0);
	sim_free(sim);
}

static void test_direct_without_any_derp(void **state)
{
	struct sim *sim = sim_new();

	(void)state;
	sim->derp_down = true;
	for (int i = 0; i < 2; i++) {
		sim_add_node(sim, i, &(struct sim_options){0});
		sim_register(&sim->nodes[i]);
	}
	for (int i = 0; i < 2; i++)
		sim_map(&sim->nodes[i], sim_first_map(sim, i));
	sim_run(sim, 15000);
	assert_int_equal(sim->nodes[0].state, TS_RUNNING);
	sim_dial(sim, 0, 1, 1000);
	sim_run(sim, 15000);
	assert_int_equal(sim->nodes[1].conns[0].read, 1000);
	sim_free(sim);
}

/* -- who may come in ------------------------------------------------------ */
static void set_filter(struct sim *sim, int at, json_t *rules)
{
	sim_map(&sim->nodes[at], json_pack("{s:o}", "PacketFilter", rules));
}

static void test_refused_by_rules(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct sim_conn *c;
	uint64_t began;

	(void)state;
	set_filter(sim, 1, json_array());
	c = sim_dial(sim, 0, 1, 10);
	began = sim->now_ms;
	while (!c->is_over && sim->now_ms < began + 2000)
		sim_run(sim, 10);
	/* The other side's TSMP told us: no time-out. */
	assert_true(c->is_over);
	assert_int_equal(c->err, -ECONNREFUSED);
	assert_int_equal(sim->nodes[1].syns, 0);
	/* The other direction is another node's rules. */
	c = sim_dial(sim, 1, 0, 10);
	sim_run(sim, 2000);
	assert_true(c->is_up);
	set_filter(sim, 1, sim_allow_all());
	c = sim_dial(sim, 0, 1, 10);
	sim_run(sim, 2000);
	assert_true(c->is_up);
	sim_free(sim);
}

/* IPv6 refusals are silent, as upstream's. */
static void test_refused_ipv6_is_silent(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct sim_conn *c;

	(void)state;
	set_filter(sim, 1, json_array());
	c = sim_dial_ip(sim, 0, sim_ip6(1), 80, 10);
	sim_run(sim, 5000);
	assert_false(c->is_up);
	assert_false(c->is_over);
	sim_free(sim);
}

static void test_filter_change_spares_established(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct sim_conn *c = sim_dial(sim, 0, 1, 5000), *late;

	(void)state;
	sim_run(sim, 5000);
	assert_int_equal(sim->nodes[1].conns[0].read, 5000);
	set_filter(sim, 1, json_array());
	c->to_write = 10000;
	sim_conn_push(c);
	late = sim_dial(sim, 0, 1, 10);
	sim_run(sim, 5000);
	assert_int_equal(sim->nodes[1].conns[0].read, 10000);
	assert_int_equal(late->err, -ECONNREFUSED);
	sim_free(sim);
}

static void test_shields_up(void **state)
{
	struct sim *sim = sim_up(2, &(struct sim_options){.shields_up = true});
	struct sim_conn *c = sim_dial(sim, 0, 1, 10);

	(void)state;
	sim_run(sim, 5000);
	assert_int_equal(c->err, -ECONNREFUSED);
	assert_int_equal(sim->nodes[1].syns, 0);
	sim_free(sim);
}

/* A jailed peer may answer, not begin. */
static void test_jailed_peer(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct sim_conn *c;

	(void)state;
	sim_set_extra(sim, 0, json_pack("{s:b}", "IsJailed", true));
	sim_tell(sim, 1, 0);
	c = sim_dial(sim, 0, 1, 10);
	sim_run(sim, 5000);
	assert_int_equal(c->err, -ECONNREFUSED);
	c = sim_dial(sim, 1, 0, TRANSFER);
	sim_run(sim, 20000);
	assert_true(c->is_up);
	assert_int_equal(sim->nodes[0].conns[1].read, TRANSFER);
	sim_free(sim);
}

static void test_no_filter_lets_nothing_in(void **state)
{
	struct sim *sim = sim_new();
	json_t *map;

	(void)state;
	for (int i = 0; i < 2; i++)
		sim_add_node(sim, i, &(struct sim_options){0});
	for (int i = 0; i < 2; i++)
		sim_register(&sim->nodes[i]);
	sim_map(&sim->nodes[0], sim_first_map(sim, 0));
	map = sim_first_map(sim, 1);
	json_object_del(map, "PacketFilter");
	sim_map(&sim->nodes[1], map);
	sim_run(sim, 10000);
	sim_dial(sim, 0, 1, 10);
	sim_run(sim, 10000);
	assert_int_equal(sim->nodes[1].syns, 0);
	set_filter(sim, 1, sim_allow_all());
	sim_run(sim, 30000);
	assert_int_equal(sim->nodes[1].syns, 1); /* the SYN came again */
	sim_free(sim);
}

/* -- whose addresses ------------------------------------------------------ */
/* Node 0 believes to be 100.64.0.3, which node 1 knows as node 2's. */
static void test_wrong_source_is_dropped(void **state)
{
	struct sim *sim = sim_up(3, NULL);
	json_t *self = sim_node_json(sim, 0);

	(void)state;
	json_object_set_new(self, "Addresses",
			    json_pack("[s]", "100.64.0.3/32"));
	sim_map(&sim->nodes[0], json_pack("{s:o,s:[i]}", "Node", self,
					  "PeersRemoved", 3));
	sim_dial(sim, 0, 1, 10);
	sim_run(sim, 10000);
	assert_true(sim_peer_status(sim, 1, 0).rx_bytes > 0);
	assert_int_equal(sim->nodes[1].syns, 0);
	sim_free(sim);
}

/* A router for a net that contains other nodes' addresses cannot speak for
 * them, nor for us. */
static void test_router_cannot_speak_for_nodes(void **state)
{
	static const char *const sources[] = {"100.64.0.3", "100.64.0.2"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct sim_options accept = {.route_all = true};
		struct sim *sim = sim_up(3, &accept);
		json_t *self = sim_node_json(sim, 0);
		char prefix[32];

		sim_set_extra(sim, 0,
			      json_pack("{s:[sss]}", "AllowedIPs",
					"100.64.0.1/32",
					"fd7a:115c:a1e0::1/128",
					"100.64.0.0/10"));
		sim_tell(sim, 1, 0);
		snprintf(prefix, sizeof(prefix), "%s/32", sources[i]);
		json_object_set_new(self, "Addresses",
				    json_pack("[s]", prefix));
		sim_map(&sim->nodes[0],
			json_pack("{s:o,s:[i]}", "Node", self, "PeersRemoved",
				  3));
		if (i == 0)
			sim_dial(sim, 0, 1, 10);
		sim_run(sim, 10000);
		assert_int_equal(sim->nodes[1].syns, 0);
		sim_free(sim);
	}
}

static const struct ts_peer *route_of(struct sim *sim, int at, const char *ip)
{
	const struct ts_peer *peer = NULL;
	struct ts_ip addr;

	assert_int_equal(ts_ip_parse(ip, &addr), 0);
	return ts_node_route(sim->nodes[at].node, &addr, &peer) ==
			       TS_ROUTE_PEER
		       ? peer
		       : NULL;
}

static void set_routes(struct sim *sim, int of, const char *route)
{
	char v4[32], v6[40];

	snprintf(v4, sizeof(v4), "100.64.0.%d/32", of + 1);
	snprintf(v6, sizeof(v6), "fd7a:115c:a1e0::%x/128", of + 1);
	sim_set_extra(sim, of,
		      route ? json_pack("{s:[sss]}", "AllowedIPs", v4, v6,
					route)
			    : json_pack("{s:[ss]}", "AllowedIPs", v4, v6));
	sim_tell(sim, 0, of);
}

static void test_routes_follow_deltas(void **state)
{
	struct sim *sim = sim_up(3, &(struct sim_options){.route_all = true});

	(void)state;
	assert_null(route_of(sim, 0, "10.1.2.3"));
	set_routes(sim, 1, "10.0.0.0/8");
	assert_int_equal(route_of(sim, 0, "10.1.2.3")->id, 2);
	set_routes(sim, 2, "10.1.0.0/16");
	assert_int_equal(route_of(sim, 0, "10.1.2.3")->id, 3);
	assert_int_equal(route_of(sim, 0, "10.2.2.3")->id, 2);
	set_routes(sim, 2, "10.0.0.0/8"); /* both: the lower ID */
	assert_int_equal(route_of(sim, 0, "10.1.2.3")->id, 2);
	set_routes(sim, 1, NULL); /* the other takes over */
	assert_int_equal(route_of(sim, 0, "10.1.2.3")->id, 3);
	sim_map_text(&sim->nodes[0], "{\"PeersRemoved\":[3]}");
	assert_null(route_of(sim, 0, "10.1.2.3"));
	/* A default route stays unused: no exit node is selected. */
	set_routes(sim, 1, "0.0.0.0/0");
	assert_null(route_of(sim, 0, "10.1.2.3"));
	assert_int_equal(route_of(sim, 0, "100.64.0.2")->id, 2);
	sim_free(sim);
}

static void test_routes_only_when_accepted(void **state)
{
	struct sim *sim = sim_up(2, NULL);

	(void)state;
	set_routes(sim, 1, "10.0.0.0/8");
	assert_null(route_of(sim, 0, "10.1.2.3"));
	set_routes(sim, 1, "100.70.0.1/32"); /* a service's address */
	assert_int_equal(route_of(sim, 0, "100.70.0.1")->id, 2);
	sim_free(sim);
}

/* -- masquerading --------------------------------------------------------- */
static void test_masquerade(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct sim_conn *c;
	json_t *peer = sim_node_json(sim, 1), *self = sim_node_json(sim, 0);
	struct ts_ip masq;

	(void)state;
	/* Node 1 knows node 0 as 100.99.0.7 and fd7a:115c:a1e0:77::7. */
	json_object_set_new(peer, "SelfNodeV4MasqAddrForThisPeer",
			    json_string("100.99.0.7"));
	json_object_set_new(peer, "SelfNodeV6MasqAddrForThisPeer",
			    json_string("fd7a:115c:a1e0:77::7"));
	sim_map(&sim->nodes[0], json_pack("{s:[o]}", "PeersChanged", peer));
	json_object_set_new(self, "Addresses",
			    json_pack("[ss]", "100.99.0.7/32",
				      "fd7a:115c:a1e0:77::7/128"));
	sim_map(&sim->nodes[1], json_pack("{s:[o]}", "PeersChanged", self));

	sim_dial(sim, 0, 1, TRANSFER);
	sim_run(sim, 20000);
	assert_int_equal(sim->nodes[1].conns[0].read, TRANSFER);
	assert_int_equal(ts_ip_parse("100.99.0.7", &masq), 0);
	assert_true(ts_ip_equal(&sim->nodes[1].conns[0].remote.ip, &masq));
	/* and back, with a program's view of our own address */
	c = sim_dial_ip(sim, 1, masq, 80, TRANSFER);
	sim_run(sim, 20000);
	assert_true(c->is_up);
	assert_int_equal(sim->nodes[0].conns[1].read, TRANSFER);
	assert_int_equal(ts_ip_parse("fd7a:115c:a1e0:77::7", &masq), 0);
	c = sim_dial_ip(sim, 1, masq, 80, TRANSFER);
	sim_run(sim, 20000);
	assert_int_equal(sim->nodes[0].conns[2].read, TRANSFER);
	sim_dial_ip(sim, 0, sim_ip6(1), 80, TRANSFER);
	sim_run(sim, 20000);
	assert_int_equal(sim->nodes[1].conns[3].read, TRANSFER);
	/* pings are answered by the masqueraded name, refusals arrive */
	for (int kind = TS_PING_DISCO; kind <= TS_PING_ICMP; kind++) {
		sim_ping(sim, 0, sim_ip(1), (enum ts_ping_kind)kind);
		sim_run(sim, 2000);
		assert_int_equal(sim->nodes[0].pings, 1);
		assert_int_equal(sim->nodes[0].ping.err, 0);
	}
	sim_map(&sim->nodes[1], json_pack("{s:[]}", "PacketFilter"));
	c = sim_dial(sim, 0, 1, 1);
	sim_run(sim, 2000);
	assert_int_equal(c->err, -ECONNREFUSED);
	sim_free(sim);
}

/* -- changes meanwhile ---------------------------------------------------- */
static void test_peer_removed_mid_transfer(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	uint64_t got;

	(void)state;
	sim->latency_ms = 20;
	sim_dial(sim, 0, 1, 50000000);
	sim_run(sim, 500);
	got = sim->nodes[1].conns[0].read;
	assert_true(got > 0 && got < 50000000);
	sim_map_text(&sim->nodes[1], "{\"PeersRemoved\":[1]}");
	sim_run(sim, 20000);
	assert_int_equal(sim->nodes[1].conns[0].read, got);
	assert_null(route_of(sim, 1, "100.64.0.1"));
	/* It comes back and so does the connection. */
	sim_tell(sim, 1, 0);
	sim_run(sim, 60000);
	assert_true(sim->nodes[1].conns[0].read > got);
	sim_free(sim);
}

static void rekey(struct sim *sim, int index)
{
	struct ts_control *c = sim->nodes[index].control;

	c->old_node_key = c->node_key;
	ts_private_key_generate(&c->node_key);
	c->ops.persist_changed(c->ctx);
}

static void test_rekey_mid_transfer(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct ts_public_key before, after;
	unsigned persists = sim->nodes[0].persists;
	uint64_t got;

	(void)state;
	sim->latency_ms = 20;
	sim_dial(sim, 0, 1, 20000000);
	sim_run(sim, 500);
	got = sim->nodes[1].conns[0].read;
	assert_true(got > 0 && got < 20000000);
	ts_node_public_key(sim->nodes[0].node, &before);
	rekey(sim, 0);
	ts_node_public_key(sim->nodes[0].node, &after);
	assert_false(ts_public_key_equal(&before, &after));
	assert_int_equal(sim->nodes[0].persists, persists + 1);
	assert_true(ts_secret_equal(
		ts_node_prefs(sim->nodes[0].node)->persist.node_key.bytes,
		sim->nodes[0].control->node_key.bytes, TS_KEY_LEN));
	sim_tell(sim, 0, 0);
	sim_tell(sim, 1, 0); /* the server tells the other side */
	sim_run(sim, 120000);
	assert_int_equal(sim->nodes[1].conns[0].read, 20000000);
	/* and by DERP, whose connection carries the new key now */
	sim->no_udp = true;
	sim_dial(sim, 1, 0, 5000);
	sim_run(sim, 30000);
	assert_int_equal(sim->nodes[0].conns[1].read, 5000);
	sim_free(sim);
}

static void test_peer_expires(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	uint64_t got;

	(void)state;
	sim->latency_ms = 20;
	sim_dial(sim, 0, 1, 50000000);
	sim_run(sim, 500);
	sim_set_extra(sim, 0, json_pack("{s:b}", "Expired", true));
	sim_tell(sim, 1, 0);
	got = sim->nodes[1].conns[0].read;
	assert_false(sim_peer_status(sim, 1, 0).in_wireguard);
	sim_run(sim, 10000);
	assert_int_equal(sim->nodes[1].conns[0].read, got);
	assert_false(sim_peer_status(sim, 1, 0).in_wireguard);
	assert_null(route_of(sim, 1, "100.64.0.1"));
	sim_free(sim);
}

static void test_own_key_expires(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct sim_conn *c;

	(void)state;
	sim_set_extra(sim, 1, json_pack("{s:s}", "KeyExpiry",
					"2025-06-15T15:10:00Z"));
	sim->wall_s = 1750000110 - (int64_t)(sim->now_ms - SIM_START_MS) / 1000;
	sim_tell(sim, 1, 1); /* 15:08:30 now: 90 s to live */
	c = sim_dial(sim, 0, 1, 1000);
	sim_run(sim, 80000);
	assert_int_equal(sim->nodes[1].state, TS_RUNNING);
	assert_int_equal(sim->nodes[1].conns[0].read, 1000);
	/* No message of control is needed for it. */
	sim_run(sim, 15000);
	assert_int_equal(sim->nodes[1].state, TS_NEEDS_LOGIN);
	assert_false(sim_peer_status(sim, 1, 0).in_wireguard);
	assert_null(route_of(sim, 1, "100.64.0.1"));
	c->to_write = 2000;
	sim_conn_push(c);
	sim_run(sim, 5000);
	assert_int_equal(sim->nodes[1].conns[0].read, 1000);
	/* Logged in again. */
	rekey(sim, 1);
	sim_set_extra(sim, 1, NULL);
	sim_tell(sim, 1, 1);
	sim_tell(sim, 0, 1);
	assert_int_equal(sim->nodes[1].state, TS_RUNNING);
	sim_run(sim, 60000);
	assert_int_equal(sim->nodes[1].conns[0].read, 2000);
	sim_free(sim);
}

static void test_tailnet_lock_trusts_nobody(void **state)
{
	struct sim *sim = sim_up(3, NULL);

	(void)state;
	sim_set_extra(sim, 0, json_pack("{s:{s:n}}", "CapMap",
					"https://tailscale.com/cap/tailnet-"
					"lock"));
	sim_tell(sim, 0, 0);
	sim_dial(sim, 0, 1, 1000);
	sim_run(sim, 5000);
	assert_true(sim_peer_status(sim, 0, 1).in_wireguard);
	sim_map_text(&sim->nodes[0], "{\"TKAInfo\":{\"Head\":\"abc\"}}");
	assert_false(sim_peer_status(sim, 0, 1).in_wireguard);
	assert_null(route_of(sim, 0, "100.64.0.2"));
	sim_dial(sim, 0, 1, 10);
	sim_dial(sim, 1, 0, 10);
	sim_run(sim, 10000);
	assert_int_equal(sim->nodes[1].syns, 1);
	assert_int_equal(sim->nodes[0].syns, 0);
	assert_false(sim_peer_status(sim, 0, 1).in_wireguard);
	/* Lock off again. */
	sim_map_text(&sim->nodes[0], "{\"TKAInfo\":{\"Disabled\":true}}");
	assert_non_null(route_of(sim, 0, "100.64.0.2"));
	sim_run(sim, 60000);
	assert_int_equal(sim->nodes[1].syns, 2);
	sim_free(sim);
}

/* A new DERP map and a changed peer in one message: the old map is gone
 * before the peer's change is told. */
static void test_derp_map_and_peer_in_one_message(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	json_t *map = sim_first_map(sim, 0), *news;

	(void)state;
	sim->no_udp = true;
	sim_dial(sim, 0, 1, 1000);
	sim_run(sim, 5000);
	json_object_set_new(json_object_get(json_object_get(
			json_object_get(map, "DERPMap"), "Regions"), "1"),
			"RegionName", json_string("Renamed"));
	for (int round = 0; round < 3; round++) {
		char endpoint[40];

		snprintf(endpoint, sizeof(endpoint), "192.0.2.%d:1",
			 50 + round);
		sim_set_extra(sim, 1, json_pack("{s:[s]}", "Endpoints",
						endpoint));
		news = json_pack("{s:O,s:[o]}", "DERPMap",
				 json_object_get(map, "DERPMap"),
				 "PeersChanged", sim_node_json(sim, 1));
		sim_map(&sim->nodes[0], news);
		sim_run(sim, 1000);
	}
	json_decref(map);
	sim_dial(sim, 0, 1, 1000);
	sim_run(sim, 20000);
	assert_int_equal(sim->nodes[1].conns[1].read, 1000);
	sim_free(sim);
}

/* -- pings ---------------------------------------------------------------- */
static void test_pings(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct ts_ip self = sim_ip(0), peer = sim_ip(1), nobody = sim_ip(40);
	struct sim_node *n = &sim->nodes[0];

	(void)state;
	sim_dial(sim, 0, 1, 1000); /* so that the path is found */
	sim_run(sim, 5000);
	for (int kind = TS_PING_DISCO; kind <= TS_PING_ICMP; kind++) {
		sim_ping(sim, 0, peer, (enum ts_ping_kind)kind);
		sim_run(sim, 1000);
		assert_int_equal(n->pings, 1);
		assert_int_equal(n->ping.err, 0);
		assert_int_equal(n->ping.latency_us, 10000);
		assert_true(ts_addr_equal(&n->ping.endpoint.addr,
					  &sim->nodes[1].addr));
		assert_int_equal(n->ping.derp_region, 0);
		assert_string_equal(n->ping.node_name, "n1");
		assert_true(ts_ip_equal(&n->ping.node_ip, &peer));
	}
	sim_ping(sim, 0, self, TS_PING_DISCO);
	assert_int_equal(n->pings, 1);
	assert_true(n->ping.is_local_ip);
	sim_ping(sim, 0, nobody, TS_PING_TSMP);
	assert_int_equal(n->pings, 1);
	assert_int_equal(n->ping.err, -EHOSTUNREACH);
	sim_free(sim);
}

static void test_pings_by_derp_and_lost(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct sim_node *n = &sim->nodes[0];

	(void)state;
	sim->no_udp = true;
	sim_ping(sim, 0, sim_ip(1), TS_PING_DISCO);
	sim_run(sim, 2000);
	assert_int_equal(n->pings, 1);
	assert_int_equal(n->ping.derp_region, SIM_REGION);
	assert_int_equal(n->ping.endpoint.addr.port, 0);
	/* The other one vanishes. */
	ts_node_free(sim->nodes[1].node);
	sim->nodes[1].node = NULL;
	for (int kind = TS_PING_DISCO; kind <= TS_PING_ICMP; kind++) {
		sim_ping(sim, 0, sim_ip(1), (enum ts_ping_kind)kind);
		sim_run(sim, 5500);
		assert_int_equal(n->pings, 0); /* later than the CLI's 5 s */
		sim_run(sim, 1000);
		assert_int_equal(n->pings, 1);
		assert_int_equal(n->ping.err, -ETIMEDOUT);
	}
	sim_free(sim);
}

static void test_ping_latency_in_microseconds(void **state)
{
	struct sim *sim = sim_new();
	struct sim_node *n = &sim->nodes[0];

	(void)state;
	sim->has_us_clock = true;
	for (int i = 0; i < 2; i++)
		sim_add_node(sim, i, &(struct sim_options){0});
	for (int i = 0; i < 2; i++)
		sim_register(&sim->nodes[i]);
	for (int i = 0; i < 2; i++)
		sim_map(&sim->nodes[i], sim_first_map(sim, i));
	sim_run(sim, 10000);
	sim_dial(sim, 0, 1, 1000);
	sim_run(sim, 5000);
	for (int kind = TS_PING_DISCO; kind <= TS_PING_ICMP; kind++) {
		sim_ping(sim, 0, sim_ip(1), (enum ts_ping_kind)kind);
		sim_run(sim, 1000);
		/* each look at the clock takes 7 us */
		assert_in_range(n->ping.latency_us, 10007, 10999);
	}
	sim_free(sim);
}

static void test_pings_are_bounded_and_end_once(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct sim_node *n = &sim->nodes[0];
	struct ts_ip ip = sim_ip(1);

	(void)state;
	for (int i = 0; i < 40; i++)
		ts_node_ping(n->node, &ip, TS_PING_TSMP, 0, sim->now_ms,
			     sim_on_ping, n);
	assert_int_equal(n->pings, 8); /* of 32 slots */
	assert_int_equal(n->ping.err, -EAGAIN);
	ts_node_free(n->node); /* ends the others */
	n->node = NULL;
	assert_int_equal(n->pings, 40);
	assert_int_equal(n->ping.err, -ENETDOWN);
	sim_free(sim);
}

static json_t *posted(struct sim_node *n, size_t i)
{
	json_t *json;

	assert_true(i < n->control->post_count);
	assert_string_equal(n->control->post_urls[i], "https://c/ping/1");
	json = json_loads(n->control->posts[i], 0, NULL);
	assert_non_null(json);
	return json;
}

static const char *text_of(const json_t *json, const char *name)
{
	return json_string_value(json_object_get(json, name));
}

static void test_control_asks_for_pings(void **state)
{
	static const char *const types[] = {"disco", "TSMP", "ICMP"};
	struct sim *sim = sim_up(2, NULL);
	struct sim_node *n = &sim->nodes[0];
	json_t *json;

	(void)state;
	sim_dial(sim, 0, 1, 1000);
	sim_run(sim, 5000);
	sim_map_text(n, "{\"PingRequest\":{\"URL\":\"https://c/ping/1\","
			"\"URLIsNoise\":true,\"IP\":\"100.64.0.2\","
			"\"Types\":\"disco,TSMP,nonsense,ICMP,TSMP\"}}");
	sim_run(sim, 2000);
	assert_int_equal(n->control->post_count, 3);
	for (size_t i = 0; i < 3; i++) {
		bool seen = false;

		json = posted(n, i);
		for (size_t k = 0; k < 3; k++)
			seen |= strcmp(text_of(json, "Type"), types[k]) == 0;
		assert_true(seen);
		assert_string_equal(text_of(json, "IP"), "100.64.0.2");
		assert_string_equal(text_of(json, "NodeIP"), "100.64.0.2");
		assert_string_equal(text_of(json, "NodeName"), "n1");
		assert_null(json_object_get(json, "Err"));
		assert_true(json_real_value(json_object_get(
				    json, "LatencySeconds")) > 0.0099);
		assert_string_equal(text_of(json, "Endpoint"),
				    "192.0.2.2:41641");
		assert_null(json_object_get(json, "DERPRegionID"));
		json_decref(json);
	}
	n->control->post_count = 0;
	sim_map_text(n, "{\"PingRequest\":{\"URL\":\"https://c/ping/1\","
			"\"IP\":\"100.64.0.1\",\"Types\":\"TSMP\"}}");
	json = posted(n, 0);
	assert_string_equal(text_of(json, "Err"),
			    "100.64.0.1 is local Tailscale IP");
	assert_true(json_is_true(json_object_get(json, "IsLocalIP")));
	json_decref(json);
	sim_free(sim);
}

/* -- states --------------------------------------------------------------- */
static void test_state_transitions(void **state)
{
	struct sim *sim = sim_new();
	struct sim_node *n = &sim->nodes[0];
	struct ts_public_key key;

	(void)state;
	sim_add_node(sim, 0, &(struct sim_options){.no_key = true});
	assert_int_equal(n->state, TS_STARTING);
	ts_node_public_key(n->node, &key);
	assert_true(ts_public_key_is_zero(&key)); /* nobody knows one yet */
	n->control->ops.auth_url(n->control->ctx, "https://login/x");
	n->control->ops.state_changed(n->control->ctx, TS_CONTROL_NEEDS_LOGIN,
				      NULL);
	assert_int_equal(n->state, TS_NEEDS_LOGIN);
	assert_string_equal(ts_node_auth_url(n->node), "https://login/x");
	n->control->ops.state_changed(n->control->ctx, TS_CONTROL_FAILED,
				      "bad key");
	assert_string_equal(n->error, "bad key");
	assert_string_equal(ts_node_error(n->node), "bad key");
	n->control->ops.state_changed(n->control->ctx, TS_CONTROL_FAILED,
				      "another reason");
	assert_string_equal(n->error, "another reason");
	sim_register(n);
	assert_int_equal(n->state, TS_STARTING);
	ts_node_public_key(n->node, &key);
	assert_false(ts_public_key_is_zero(&key));
	sim_set_extra(sim, 0, json_pack("{s:b}", "MachineAuthorized", false));
	sim_map(n, sim_first_map(sim, 0));
	assert_int_equal(n->state, TS_NEEDS_MACHINE_AUTH);
	assert_null(ts_node_error(n->node));
	sim_set_extra(sim, 0, NULL);
	sim_tell(sim, 0, 0);
	assert_int_equal(n->state, TS_STARTING); /* DERP was not tried yet */
	sim_run(sim, 10000);
	assert_int_equal(n->state, TS_RUNNING);
	assert_null(ts_node_auth_url(n->node));
	assert_int_equal(n->control->home_region, SIM_REGION);
	/* A lost control connection changes nothing. */
	n->control->ops.state_changed(n->control->ctx, TS_CONTROL_CONNECTING,
				      "reset");
	assert_int_equal(n->state, TS_RUNNING);
	assert_false(ts_node_in_map_poll(n->node));
	sim_free(sim);
}

static void test_runs_although_derp_is_down(void **state)
{
	struct sim *sim = sim_new();

	(void)state;
	sim->derp_down = true;
	sim_add_node(sim, 0, &(struct sim_options){0});
	sim_register(&sim->nodes[0]);
	sim_map(&sim->nodes[0], sim_first_map(sim, 0));
	assert_int_equal(sim->nodes[0].state, TS_STARTING);
	sim_run(sim, 20000);
	assert_int_equal(sim->nodes[0].state, TS_RUNNING);
	sim_free(sim);
}

static void test_logout(void **state)
{
	struct sim *sim = sim_up(2, &(struct sim_options){.ephemeral = true});
	struct sim_node *n = &sim->nodes[0];
	const struct ts_prefs *prefs = ts_node_prefs(n->node);

	(void)state;
	sim_dial(sim, 0, 1, 1000);
	sim_run(sim, 3000);
	assert_true(sim_peer_status(sim, 0, 1).in_wireguard);
	assert_true(prefs->want_running);
	ts_node_logout(n->node, sim->now_ms);
	assert_true(n->control->wants_logout);
	/* as the control client does when the server has agreed */
	memset(&n->control->node_key, 0, sizeof(n->control->node_key));
	n->control->ops.persist_changed(n->control->ctx);
	n->control->state = TS_CONTROL_LOGGED_OUT;
	n->control->ops.state_changed(n->control->ctx, TS_CONTROL_LOGGED_OUT,
				      NULL);
	assert_int_equal(n->state, TS_NEEDS_LOGIN);
	assert_true(ts_private_key_is_zero(&prefs->persist.node_key));
	assert_true(prefs->logged_out);
	assert_false(prefs->want_running);
	assert_false(sim_peer_status(sim, 0, 1).in_wireguard);
	sim_run(sim, 5000);
	sim_free(sim);
}

static void test_login_while_running(void **state)
{
	struct sim *sim = sim_up(1, NULL);
	struct sim_node *n = &sim->nodes[0];

	(void)state;
	ts_node_login_interactive(n->node, sim->now_ms);
	assert_true(n->control->wants_person);
	/* as the control client does: what runs goes on */
	n->control->ops.auth_url(n->control->ctx, "https://login/x");
	assert_int_equal(n->state, TS_RUNNING);
	assert_string_equal(ts_node_auth_url(n->node), "https://login/x");
	ts_private_key_generate(&n->control->node_key);
	n->control->ops.persist_changed(n->control->ctx);
	assert_null(ts_node_auth_url(n->node));
	assert_int_equal(ts_node_login(n->node, "tskey-auth-x", true,
				       sim->now_ms),
			 0);
	assert_string_equal(n->control->login_key, "tskey-auth-x");
	assert_true(n->control->login_new_key);
	sim_free(sim);
}

/* -- names and routes ----------------------------------------------------- */
static void test_names_and_kinds_of_routes(void **state)
{
	struct sim *sim = sim_up(2, NULL);
	struct ts_node *node = sim->nodes[0].node;
	struct ts_dns_result found;
	struct ts_ip ip = sim_ip(1), host;

	(void)state;
	assert_int_equal(ts_node_lookup(node, "n1", true, false, &found),
			 TS_DNS_FOUND);
	assert_true(ts_ip_equal(&found.addrs[0], &ip));
	assert_string_equal(ts_node_reverse(node, &ip), "n1.tail.example");
	assert_int_equal(ts_node_route(node, &ip, NULL), TS_ROUTE_PEER);
	assert_int_equal(ts_node_whois(node, &ip)->id, 2);
	ip = sim_ip(0);
	assert_int_equal(ts_node_route(node, &ip, NULL), TS_ROUTE_SELF);
	assert_int_equal(ts_node_whois(node, &ip)->id, 1);
	ip = sim_ip(77);
	assert_int_equal(ts_node_route(node, &ip, NULL), TS_ROUTE_NONE);
	assert_null(ts_node_whois(node, &ip));
	assert_int_equal(ts_node_route(node, &TS_SERVICE_IP, NULL),
			 TS_ROUTE_SERVICE);
	assert_int_equal(ts_ip_parse("192.0.2.9", &host), 0);
	assert_int_equal(ts_node_route(node, &host, NULL), TS_ROUTE_HOST);
	sim_map_text(&sim->nodes[0], "{\"PeersRemoved\":[2]}");
	assert_int_equal(ts_node_lookup(node, "n1.tail.example", true, false,
					&found), TS_DNS_NXDOMAIN);
	ip = sim_ip(1);
	assert_int_equal(ts_node_route(node, &ip, NULL), TS_ROUTE_NONE);
	sim_free(sim);
}

/* Rules that let an unsigned peer in void the filter, whichever comes last. */
static void test_unsigned_peer_voids_the_filter(void **state)
{
	struct sim *sim = sim_up(3, NULL);
	struct sim_conn *c;

	(void)state;
	sim_set_extra(sim, 2, json_pack("{s:b}", "UnsignedPeerAPIOnly", true));
	sim_tell(sim, 1, 2);
	c = sim_dial(sim, 0, 1, 10);
	sim_run(sim, 3000);
	assert_int_equal(c->err, -ECONNREFUSED);
	sim_set_extra(sim, 2, NULL);
	sim_tell(sim, 1, 2);
	c = sim_dial(sim, 0, 1, 10);
	sim_run(sim, 3000);
	assert_true(c->is_up);
	sim_set_extra(sim, 2, json_pack("{s:b}", "UnsignedPeerAPIOnly", true));
	sim_tell(sim, 1, 2);
	sim_map_text(&sim->nodes[1], "{\"PeersRemoved\":[3]}");
	c = sim_dial(sim, 0, 1, 10);
	sim_run(sim, 3000);
	assert_true(c->is_up);
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_nodes_connect),
		cmocka_unit_test(test_connects_at_once_after_idling),
		cmocka_unit_test(test_over_ipv6),
		cmocka_unit_test(test_by_derp_when_udp_is_dead),
		cmocka_unit_test(test_derp_only),
		cmocka_unit_test(test_direct_without_any_derp),
		cmocka_unit_test(test_refused_by_rules),
		cmocka_unit_test(test_refused_ipv6_is_silent),
		cmocka_unit_test(test_filter_change_spares_established),
		cmocka_unit_test(test_shields_up),
		cmocka_unit_test(test_jailed_peer),
		cmocka_unit_test(test_no_filter_lets_nothing_in),
		cmocka_unit_test(test_wrong_source_is_dropped),
		cmocka_unit_test(test_router_cannot_speak_for_nodes),
		cmocka_unit_test(test_routes_follow_deltas),
		cmocka_unit_test(test_routes_only_when_accepted),
		cmocka_unit_test(test_masquerade),
		cmocka_unit_test(test_peer_removed_mid_transfer),
		cmocka_unit_test(test_rekey_mid_transfer),
		cmocka_unit_test(test_peer_expires),
		cmocka_unit_test(test_own_key_expires),
		cmocka_unit_test(test_tailnet_lock_trusts_nobody),
		cmocka_unit_test(test_derp_map_and_peer_in_one_message),
		cmocka_unit_test(test_pings),
		cmocka_unit_test(test_pings_by_derp_and_lost),
		cmocka_unit_test(test_ping_latency_in_microseconds),
		cmocka_unit_test(test_pings_are_bounded_and_end_once),
		cmocka_unit_test(test_control_asks_for_pings),
		cmocka_unit_test(test_state_transitions),
		cmocka_unit_test(test_runs_although_derp_is_down),
		cmocka_unit_test(test_logout),
		cmocka_unit_test(test_login_while_running),
		cmocka_unit_test(test_names_and_kinds_of_routes),
		cmocka_unit_test(test_unsigned_peer_voids_the_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
