/* SPDX-License-Identifier: BSD-3-Clause */
#include "unit/path/path_sim.h"

static void home_is_the_nearest_region_and_gets_connected(void **state)
{
	struct sim *sim = sim_two(true);
	struct sim_node *a = &sim->nodes[0];

	(void)state;
	assert_int_equal(ts_path_home_region(a->path), 1);
	assert_int_equal(a->home, 1);
	assert_int_equal(a->udp, TS_YES);
	assert_int_equal(a->varies, TS_NO);
	assert_int_equal(a->ready_calls, 1);
	assert_true(a->was_ready);
	assert_true(ts_path_derp_is_connected(a->path, 1));
	assert_true(a->lines[1].is_home);
	assert_false(a->lines[2].is_open);
	sim_free(sim);
}

static void endpoints_are_what_stun_saw_then_local_ones(void **state)
{
	struct sim *sim = sim_new();
	struct sim_node *a = &sim->nodes[0];
	const uint8_t lan[4] = {192, 168, 0, 7};
	struct ts_addr local = {.ip = ts_ip_from_v4(lan), .port = 41641};
	const struct ts_addr *list;

	(void)state;
	sim_node_start(sim, 0, false);
	ts_path_set_local_endpoints(a->path, &local, 1, sim->now_ms);
	assert_int_equal(a->endpoint_calls, 0);
	ts_path_set_derp_map(a->path, &sim->map, sim->now_ms);
	sim_run(sim, 2000);
	assert_int_equal(a->endpoint_calls, 1);
	assert_int_equal(a->endpoint_count, 2);
	assert_true(ts_addr_equal(&a->endpoints[0], &a->addr));
	assert_int_equal(a->types[0], 2);
	assert_true(ts_addr_equal(&a->endpoints[1], &local));
	assert_int_equal(a->types[1], 1);
	assert_int_equal(ts_path_endpoints(a->path, &list), 2);
	sim_free(sim);
}

static void the_first_packet_goes_through_derp_at_once(void **state)
{
	struct sim *sim = sim_two(true);

	(void)state;
	assert_int_equal(sim_send(sim, 0, 1), 0);
	sim_run(sim, 50);
	assert_int_equal(sim->nodes[1].got_derp[0], 1);
	assert_int_equal(sim->nodes[1].got_udp[0], 0);
	sim_free(sim);
}

static void a_path_becomes_direct_after_disco(void **state)
{
	struct sim *sim = sim_two(true);
	unsigned derp;

	(void)state;
	sim_chat(sim, 0, 1, 2000);
	assert_true(sim_is_direct(sim, 0, 1));
	assert_true(sim_is_direct(sim, 1, 0));
	derp = sim->nodes[1].got_derp[0];
	sim_chat(sim, 0, 1, 10000);
	assert_int_equal(sim->nodes[1].got_derp[0], derp);
	assert_true(sim->nodes[1].got_udp[0] >= 20);
	assert_int_equal(sim->nodes[1].got_unattributed, 0);
	sim_free(sim);
}

static void a_path_becomes_direct_over_ipv6(void **state)
{
	struct sim *sim = sim_new();
	char text[] = "[2001:db8::1]:41641";

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct sim_node *node = &sim->nodes[i];

		sim_node_start(sim, i, false);
		text[11] = (char)('1' + i);
		assert_int_equal(ts_addr_parse(text, &node->addr), 0);
		ts_path_set_local_endpoints(node->path, &node->addr, 1,
					    sim->now_ms);
	}
	sim_set_maps(sim);
	sim_run(sim, 2000);
	sim_add_peer(&sim->nodes[0], 1, 1, true);
	sim_add_peer(&sim->nodes[1], 0, 1, true);
	assert_true(ts_addr_equal(&sim->nodes[0].endpoints[0],
				  &sim->nodes[0].addr));
	sim_chat(sim, 0, 1, 2000);
	assert_true(sim_is_direct(sim, 0, 1));
	sim_free(sim);
}

static void works_over_derp_only_when_udp_is_blocked(void **state)
{
	struct sim *sim = sim_two(true);

	(void)state;
	sim->cut[0][1] = sim->cut[1][0] = true;
	sim_chat(sim, 0, 1, 60000);
	assert_false(sim_is_direct(sim, 0, 1));
	assert_int_equal(sim->nodes[1].got_derp[0], 120);
	assert_int_equal(sim->nodes[0].got_derp[1], 120);
	sim_free(sim);
}

static void
a_blocked_direct_path_falls_back_within_the_trust_window(void **state)
{
	struct sim *sim = sim_two(true);
	struct sim_node *b = &sim->nodes[1];
	unsigned derp, sent;

	(void)state;
	sim_chat(sim, 0, 1, 10000);
	assert_true(sim_is_direct(sim, 0, 1));
	sim->cut[0][1] = sim->cut[1][0] = true;
	derp = b->got_derp[0];
	sim_chat(sim, 0, 1, 7000); /* trust ends 6.5 s after the last pong */
	assert_false(sim_is_direct(sim, 0, 1));
	assert_true(b->got_derp[0] > derp);
	/* While in doubt, both; the ping's timeout ends that. */
	sim_chat(sim, 0, 1, 8000);
	sent = sim->nodes[0].sent_wg_udp;
	derp = b->got_derp[0];
	sim_chat(sim, 0, 1, 5000);
	assert_int_equal(sim->nodes[0].sent_wg_udp, sent);
	assert_int_equal(b->got_derp[0], derp + 10);
	/* And back. */
	sim->cut[0][1] = sim->cut[1][0] = false;
	sim_chat(sim, 0, 1, 8000);
	assert_true(sim_is_direct(sim, 0, 1));
	sim_free(sim);
}

static void both_ways_are_used_while_in_doubt(void **state)
{
	struct sim *sim = sim_two(true);
	struct sim_node *b = &sim->nodes[1];
	unsigned udp, derp;

	(void)state;
	sim_chat(sim, 0, 1, 5000);
	assert_true(sim_is_direct(sim, 0, 1));
	sim_run(sim, 120000); /* idle: the trust is long gone */
	assert_false(sim_is_direct(sim, 0, 1));
	udp = b->got_udp[0];
	derp = b->got_derp[0];
	assert_int_equal(sim_send(sim, 0, 1), 0);
	sim_run(sim, 30);
	assert_int_equal(b->got_udp[0], udp + 1);
	assert_int_equal(b->got_derp[0], derp + 1);
	sim_run(sim, 100); /* the pong is here */
	assert_int_equal(sim_send(sim, 0, 1), 0);
	sim_run(sim, 100);
	assert_int_equal(b->got_udp[0], udp + 2);
	assert_int_equal(b->got_derp[0], derp + 1);
	sim_free(sim);
}

static void an_idle_session_sends_nothing_and_has_no_timer(void **state)
{
	struct sim *sim = sim_two(true);
	unsigned disco;

	(void)state;
	sim_chat(sim, 0, 1, 5000);
	disco = sim->nodes[0].sent_disco;
	sim_run(sim, 30000);
	assert_true(sim->nodes[0].sent_disco >= disco + 9); /* heartbeats */
	sim_run(sim, 45000);
	disco = sim->nodes[0].sent_udp;
	sim_run(sim, 40000); /* short of the DERP read timeout */
	assert_int_equal(sim->nodes[0].sent_udp, disco);
	sim_free(sim);
}

static void call_me_maybe_opens_both_firewalls(void **state)
{
	struct sim *sim = sim_two(true);

	(void)state;
	sim->nodes[0].has_firewall = true;
	sim->nodes[1].has_firewall = true;
	sim->nodes[0].hole_count = sim->nodes[1].hole_count = 0;
	assert_int_equal(sim_send(sim, 0, 1), 0);
	/* B has sent nothing yet: A's pings die at its firewall, until A's
	 * CallMeMaybe makes B ping. A's own candidate is B's address. */
	sim_run(sim, 1000);
	assert_true(sim_is_direct(sim, 1, 0));
	assert_int_equal(sim_send(sim, 0, 1), 0);
	sim_run(sim, 6000);
	assert_int_equal(sim_send(sim, 0, 1), 0);
	sim_run(sim, 1000);
	assert_true(sim_is_direct(sim, 0, 1));
	sim_free(sim);
}

static void call_me_maybe_waits_for_fresh_endpoints(void **state)
{
	struct sim *sim = sim_two(true);
	unsigned stun;

	(void)state;
	sim_run(sim, 60000); /* the last STUN answer is old */
	stun = sim->nodes[0].sent_stun;
	sim->nodes[1].has_firewall = true;
	sim->nodes[1].hole_count = 0;
	assert_int_equal(sim_send(sim, 0, 1), 0);
	assert_true(sim->nodes[0].sent_stun > stun);
	sim_run(sim, 1000);
	assert_true(sim_is_direct(sim, 1, 0)); /* it did arrive */
	sim_free(sim);
}

static void a_lazy_peer_is_found_by_its_disco_key(void **state)
{
	struct sim *sim = sim_new();

	(void)state;
	sim_node_start(sim, 0, false);
	sim_node_start(sim, 1, false);
	sim_set_maps(sim);
	sim_run(sim, 2000);
	sim_add_peer(&sim->nodes[0], 1, 0, true); /* no DERP at all */
	assert_int_equal(sim_send(sim, 0, 1), -EHOSTUNREACH);
	sim_run(sim, 1000);
	assert_true(sim->nodes[1].unknown_disco_calls > 0);
	assert_false(sim_is_direct(sim, 0, 1));
	sim->nodes[1].adds_unknown = true;
	sim_run(sim, 5000);
	sim_send(sim, 0, 1);
	sim_run(sim, 1000);
	assert_true(sim_is_direct(sim, 0, 1));
	assert_int_equal(sim_send(sim, 0, 1), 0);
	sim_run(sim, 1000);
	assert_int_equal(sim->nodes[1].got_udp[0], 2);
	sim_free(sim);
}

static void a_lazy_peer_is_found_by_its_derp_source(void **state)
{
	struct sim *sim = sim_new();

	(void)state;
	sim_node_start(sim, 0, false);
	sim_node_start(sim, 1, false);
	sim_set_maps(sim);
	sim_run(sim, 2000);
	sim_add_peer(&sim->nodes[0], 1, 1, false);
	assert_int_equal(sim_send(sim, 0, 1), 0);
	sim_run(sim, 1000);
	assert_int_equal(sim->nodes[1].got_derp[0], 0);
	sim->nodes[1].adds_unknown = true;
	assert_int_equal(sim_send(sim, 0, 1), 0);
	sim_run(sim, 1000);
	assert_int_equal(sim->nodes[1].got_derp[0], 1);
	/* It has no home in the map, but a route back. */
	assert_int_equal(sim_send(sim, 1, 0), 0);
	sim_run(sim, 1000);
	assert_int_equal(sim->nodes[0].got_derp[1], 1);
	sim_free(sim);
}

static struct sim *called_too_early(void)
{
	struct sim *sim = sim_new();

	sim_node_start(sim, 0, false);
	sim_node_start(sim, 1, false);
	sim_set_maps(sim);
	sim_run(sim, 2000);
	sim_add_peer(&sim->nodes[0], 1, 1, false);
	assert_int_equal(sim_initiate(sim, 0, 1), 0);
	sim_run(sim, 500);
	assert_int_equal(sim->nodes[1].got_derp[0], 0);
	sim->nodes[1].adds_unknown = true;
	return sim;
}

static void who_calls_before_the_map_has_it_is_heard_then(void **state)
{
	struct sim *sim = called_too_early();

	(void)state;
	ts_path_map_changed(sim->nodes[1].path, sim->now_ms);
	assert_int_equal(sim->nodes[1].got_derp[0], 1);
	sim_run(sim, 500);
	assert_int_equal(sim->nodes[0].got_derp[1], 1); /* the response */
	ts_path_map_changed(sim->nodes[1].path, sim->now_ms);
	assert_int_equal(sim->nodes[1].got_derp[0], 1);
	sim_free(sim);
}

static void who_called_long_ago_is_not(void **state)
{
	struct sim *sim = called_too_early();

	(void)state;
	sim_run(sim, EARLY_CALLER_MS);
	ts_path_map_changed(sim->nodes[1].path, sim->now_ms);
	assert_int_equal(sim->nodes[1].got_derp[0], 0);
	sim_free(sim);
}

static void only_the_last_early_callers_wait(void **state)
{
	static struct ts_early_callers callers;
	uint8_t initiation[WG_INITIATION_BYTES] = {WG_INITIATION_TYPE};
	struct ts_public_key key = {{0}};
	unsigned waiting = 0;

	(void)state;
	for (uint8_t i = 0; i < 3 * EARLY_CALLERS_MAX; i++) {
		key.bytes[0] = i / 2; /* each twice: one place */
		assert_true(ts_early_callers_keep(&callers, 1, &key, initiation,
						  sizeof(initiation), i));
	}
	for (size_t len = 0; len < sizeof(initiation); len++)
		assert_false(ts_early_callers_keep(&callers, 1, &key,
						   initiation, len, 50));
	initiation[0] = 4;
	assert_false(ts_early_callers_keep(&callers, 1, &key, initiation,
					   sizeof(initiation), 50));
	for (size_t i = 0; i < EARLY_CALLERS_MAX; i++) {
		struct ts_early_caller *caller =
			ts_early_callers_at(&callers, i, 50);

		assert_non_null(caller);
		assert_true(caller->node_key.bytes[0] >= EARLY_CALLERS_MAX / 2);
		waiting++;
		assert_null(ts_early_callers_at(&callers, i,
						60 + EARLY_CALLER_MS));
	}
	assert_int_equal(waiting, EARLY_CALLERS_MAX);
}

/* It came up again with another port; we still trust the old one. */
static void who_calls_by_derp_is_answered_by_derp_too(void **state)
{
	struct sim *sim = sim_two(true);
	struct sim_node *node = &sim->nodes[0];

	(void)state;
	sim_chat(sim, 0, 1, 2000);
	assert_true(sim_is_direct(sim, 1, 0));
	ts_path_peer_remove(node->path, node->peers[1]);
	sim_add_peer(node, 1, 1, false);
	memset(node->got_derp, 0, sizeof(node->got_derp));
	assert_int_equal(sim_initiate(sim, 0, 1), 0);
	sim_run(sim, 100);
	assert_int_equal(node->got_derp[1], 1);
	/* What follows too, until a pong shows that the path is still there. */
	assert_int_equal(sim_send(sim, 1, 0), 0);
	sim_run(sim, 100);
	assert_int_equal(node->got_derp[1], 2);
	sim_chat(sim, 0, 1, 10000);
	memset(node->got_derp, 0, sizeof(node->got_derp));
	assert_int_equal(sim_send(sim, 1, 0), 0);
	sim_run(sim, 100);
	assert_int_equal(node->got_derp[1], 0);
	sim_free(sim);
}

/* B knows A only from A's packet: no home, no endpoint. */
static struct sim *called_by_a_stranger(void)
{
	struct sim *sim = sim_new();

	sim_node_start(sim, 0, false);
	sim_node_start(sim, 1, false);
	sim_set_maps(sim);
	sim_run(sim, 2000);
	sim->nodes[1].adds_unknown = true;
	sim_add_peer(&sim->nodes[0], 1, 1, false);
	assert_int_equal(sim_send(sim, 0, 1), 0);
	sim_run(sim, 1000);
	assert_int_equal(sim_send(sim, 1, 0), 0);
	sim_run(sim, 1000);
	assert_int_equal(sim->nodes[0].got_derp[1], 1);
	return sim;
}

static void a_route_ends_with_its_connection(void **state)
{
	struct sim *sim = called_by_a_stranger();

	(void)state;
	sim_hang_up(sim, 1, 1);
	sim_run(sim, 1000);
	assert_true(ts_path_derp_is_connected(sim->nodes[1].path, 1));
	assert_int_equal(sim_send(sim, 1, 0), -EHOSTUNREACH);
	sim_free(sim);
}

static void a_route_ends_when_the_peer_is_gone(void **state)
{
	struct sim *sim = called_by_a_stranger();

	(void)state;
	sim_node_stop(&sim->nodes[0]);
	assert_int_equal(sim_send(sim, 1, 0), 0); /* the server says so */
	sim_run(sim, 1000);
	assert_int_equal(sim_send(sim, 1, 0), -EHOSTUNREACH);
	sim_free(sim);
}

static void no_derp_and_no_endpoint_is_unreachable(void **state)
{
	struct sim *sim = sim_new();

	(void)state;
	sim_node_start(sim, 0, false);
	sim_node_start(sim, 1, false);
	sim_add_peer(&sim->nodes[0], 1, 0, false);
	assert_int_equal(sim_send(sim, 0, 1), -EHOSTUNREACH);
	sim_set_maps(sim);
	sim_run(sim, 1000);
	assert_int_equal(sim_send(sim, 0, 1), -EHOSTUNREACH);
	sim_free(sim);
}

static void disable_direct_never_touches_udp_but_for_stun(void **state)
{
	struct sim *sim = sim_new();
	struct sim_node *a = &sim->nodes[0];
	const struct ts_addr *list;

	(void)state;
	sim_node_start(sim, 0, true);
	sim_node_start(sim, 1, false);
	sim_set_maps(sim);
	sim_run(sim, 2000);
	sim_add_peer(a, 1, 1, true);
	sim_add_peer(&sim->nodes[1], 0, 1, true);
	sim_chat(sim, 0, 1, 60000);
	assert_int_equal(sim->nodes[1].got_derp[0], 120);
	assert_int_equal(a->sent_disco + a->sent_wg_udp, 0);
	assert_true(a->sent_stun > 0);
	assert_int_equal(a->endpoint_calls, 0);
	assert_int_equal(ts_path_endpoints(a->path, &list), 0);
	assert_true(sim->nodes[1].sent_disco > 0); /* it did try */
	sim_free(sim);
}

static void three_nodes_talk_to_each_other(void **state)
{
	struct sim *sim = sim_new();

	(void)state;
	for (int i = 0; i < 3; i++)
		sim_node_start(sim, i, false);
	sim_set_maps(sim);
	sim_run(sim, 2000);
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++)
			if (i != j)
				sim_add_peer(&sim->nodes[i], j, 1, true);
	sim->cut[0][2] = sim->cut[2][0] = true;
	for (int t = 0; t < 20; t++) {
		for (int i = 0; i < 3; i++)
			for (int j = 0; j < 3; j++)
				if (i != j)
					sim_send(sim, i, j);
		sim_run(sim, 500);
	}
	assert_true(sim_is_direct(sim, 0, 1));
	assert_true(sim_is_direct(sim, 1, 2));
	assert_false(sim_is_direct(sim, 0, 2));
	assert_int_equal(sim->nodes[2].got_derp[0], 20);
	assert_int_equal(sim->nodes[2].got_udp[0], 0);
	sim_free(sim);
}

static void peers_of_other_regions_get_a_connection_that_idles_out(void **state)
{
	struct sim *sim = sim_new();
	struct sim_node *a = &sim->nodes[0];

	(void)state;
	sim_node_start(sim, 0, false);
	sim_node_start(sim, 1, false);
	ts_path_set_derp_map(a->path, &sim->map, sim->now_ms);
	sim_run(sim, 2000);
	/* B is far from region 1. */
	sim->servers[3].latency_ms = 1;
	ts_path_set_derp_map(sim->nodes[1].path, &sim->map, sim->now_ms);
	sim_run(sim, 2000);
	assert_int_equal(ts_path_home_region(sim->nodes[1].path), 3);
	sim_add_peer(a, 1, 3, false);
	sim_add_peer(&sim->nodes[1], 0, 1, false);
	sim->cut[0][1] = sim->cut[1][0] = true;
	assert_int_equal(sim_send(sim, 0, 1), 0);
	sim_run(sim, 500);
	assert_int_equal(sim->nodes[1].got_derp[0], 1);
	assert_true(a->lines[3].is_open);
	assert_false(a->lines[3].is_home);
	/* B answers on the connection that A opened, not on a new one. */
	assert_int_equal(sim_send(sim, 1, 0), 0);
	sim_run(sim, 500);
	assert_int_equal(a->got_derp[1], 1);
	assert_false(sim->nodes[1].lines[1].is_open);
	sim_run(sim, 61000);
	assert_false(a->lines[3].is_open);
	assert_true(a->lines[1].is_open);
	/* The route went with it (peer gone): B now dials A's home. */
	assert_int_equal(sim_send(sim, 1, 0), 0);
	sim_run(sim, 500);
	sim_free(sim);
}

static void a_lost_home_connection_comes_back(void **state)
{
	struct sim *sim = sim_two(false);
	struct sim_node *a = &sim->nodes[0];

	(void)state;
	sim_hang_up(sim, 0, 1);
	assert_false(ts_path_derp_is_connected(a->path, 1));
	assert_int_equal(sim_send(sim, 0, 1), 0); /* waits in the queue */
	sim_run(sim, 200);
	assert_true(ts_path_derp_is_connected(a->path, 1));
	assert_int_equal(sim->nodes[1].got_derp[0], 1);
	assert_int_equal(a->ready_calls, 1);
	sim_free(sim);
}

static void reconnects_back_off_to_five_seconds(void **state)
{
	struct sim *sim = sim_two(false);
	struct sim_node *a = &sim->nodes[0];
	unsigned conn;

	(void)state;
	sim->no_udp = true; /* no other region looks better */
	sim_server_down(sim, 1);
	sim_run(sim, 1000);
	conn = a->lines[1].conn;
	sim_run(sim, 60000);
	/* n^2 * 10 ms: the 22nd attempt comes after 33 s, then one in 5 s */
	assert_in_range(a->lines[1].conn - conn, 15, 30);
	sim->servers[1].is_down = false;
	sim_run(sim, 8000); /* 5 s, and up to half as much again */
	assert_true(ts_path_derp_is_connected(a->path, 1));
	sim_free(sim);
}

static void home_moves_when_its_region_is_dead_and_control_is_up(void **state)
{
	struct sim *sim = sim_two(false);
	struct sim_node *a = &sim->nodes[0];

	(void)state;
	sim_server_down(sim, 1);
	sim->servers[1].no_stun = true;
	sim_run(sim, 30000);
	assert_int_equal(ts_path_home_region(a->path), 1); /* no control */
	ts_path_set_control_up(a->path, true);
	sim_send(sim, 0, 1);
	sim_run(sim, 30000);
	assert_int_equal(ts_path_home_region(a->path), 2);
	assert_int_equal(a->home, 2);
	assert_true(a->lines[2].is_home);
	assert_int_equal(a->ready_calls, 2);
	sim_free(sim);
}

static void home_stays_when_another_is_only_a_little_nearer(void **state)
{
	struct sim *sim = sim_two(true);
	struct sim_node *a = &sim->nodes[0];

	(void)state;
	ts_path_set_control_up(a->path, true);
	sim->servers[2].latency_ms = 8; /* home has 10 */
	sim_chat(sim, 0, 1, 60000);
	assert_int_equal(ts_path_home_region(a->path), 1);
	sim->servers[1].latency_ms = 100;
	sim_chat(sim, 0, 1, 360000); /* the good old times fade away */
	assert_int_equal(ts_path_home_region(a->path), 2);
	assert_true(a->lines[2].is_home);
	assert_false(a->lines[1].is_home);
	sim_free(sim);
}

static void without_udp_the_first_region_that_connects_is_home(void **state)
{
	struct sim *sim = sim_new();
	struct sim_node *a = &sim->nodes[0];

	(void)state;
	sim->no_udp = true;
	sim->servers[1].is_down = true;
	sim_node_start(sim, 0, false);
	ts_path_set_derp_map(a->path, &sim->map, sim->now_ms);
	sim_run(sim, 3000);
	assert_int_equal(ts_path_home_region(a->path), 2);
	assert_int_equal(a->udp, TS_NO);
	assert_true(a->was_ready);
	assert_true(a->lines[2].is_home);
	sim_run(sim, 61000); /* the ones that lost the race */
	assert_false(a->lines[3].is_open);
	assert_true(a->lines[2].is_open);
	sim_free(sim);
}

static void names_without_addresses_are_not_waited_for(void **state)
{
	struct sim *sim = sim_new();
	struct sim_node *a = &sim->nodes[0];

	(void)state;
	for (int i = 0; i < SIM_REGIONS; i++)
		sim->derp_nodes[i].ipv4 = NULL;
	sim->map.region_count = 1;
	sim->no_dns = true;
	sim_node_start(sim, 0, false);
	ts_path_set_derp_map(a->path, &sim->map, sim->now_ms);
	assert_int_equal(ts_path_home_region(a->path), 1);
	sim_run(sim, 100);
	assert_true(a->was_ready);
	assert_int_equal(a->udp, TS_UNKNOWN);
	assert_int_equal(a->endpoint_count, 1); /* the local one */
	sim_free(sim);
}

static void when_no_region_connects_ready_is_told_all_the_same(void **state)
{
	struct sim *sim = sim_new();
	struct sim_node *a = &sim->nodes[0];

	(void)state;
	sim->no_udp = true;
	for (int r = 1; r <= SIM_REGIONS; r++)
		sim->servers[r].is_down = true;
	sim_node_start(sim, 0, false);
	ts_path_set_derp_map(a->path, &sim->map, sim->now_ms);
	sim_run(sim, 3000);
	assert_int_equal(a->ready_calls, 1);
	assert_false(a->was_ready);
	assert_true(ts_path_home_region(a->path) != 0);
	for (int r = 1; r <= SIM_REGIONS; r++)
		sim->servers[r].is_down = false;
	sim_run(sim, 6000);
	assert_true(ts_path_derp_is_connected(a->path,
					      ts_path_home_region(a->path)));
	sim_free(sim);
}

static void a_region_that_left_the_map_is_closed(void **state)
{
	struct sim *sim = sim_two(false);
	struct sim_node *a = &sim->nodes[0];
	struct ts_derp_map smaller = {
		.regions = sim->regions + 1,
		.region_count = 2,
	};

	(void)state;
	ts_path_set_derp_map(a->path, &smaller, sim->now_ms);
	assert_false(a->lines[1].is_open);
	sim_run(sim, 1000);
	assert_int_equal(ts_path_home_region(a->path), 2);
	assert_true(ts_path_derp_is_connected(a->path, 2));
	assert_int_equal(sim_send(sim, 0, 1), -EHOSTUNREACH); /* home 1 */
	ts_path_set_derp_map(a->path, NULL, sim->now_ms);
	assert_false(a->lines[2].is_open);
	assert_int_equal(a->home, 0);
	sim_free(sim);
}

static void a_region_whose_definition_changed_is_dialled_anew(void **state)
{
	struct sim *sim = sim_two(false);
	struct sim_node *a = &sim->nodes[0];
	unsigned conn = a->lines[1].conn;

	(void)state;
	sim_set_maps(sim); /* the same again: nothing happens */
	sim_run(sim, 1000);
	assert_int_equal(a->lines[1].conn, conn);
	sim->derp_nodes[0].derp_port = 8443;
	sim_set_maps(sim);
	assert_false(a->lines[1].is_open);
	sim_run(sim, 1000);
	assert_true(ts_path_derp_is_connected(a->path, 1));
	assert_true(a->lines[1].is_home);
	sim_free(sim);
}

static void fast_start_needs_no_http_answer(void **state)
{
	struct sim *sim = sim_new();
	struct sim_node *a = &sim->nodes[0];

	(void)state;
	sim->servers[1].fast_start = true;
	sim_node_start(sim, 0, false);
	ts_path_set_derp_map(a->path, &sim->map, sim->now_ms);
	sim_run(sim, 2000);
	assert_true(a->lines[1].got_fast_start);
	assert_true(ts_path_derp_is_connected(a->path, 1));
	assert_true(a->lines[1].is_home);
	sim_free(sim);
}

static void streams_in_single_bytes_work(void **state)
{
	struct sim *sim = sim_new();

	(void)state;
	sim->chunk = 1;
	sim_node_start(sim, 0, false);
	sim_node_start(sim, 1, false);
	sim_set_maps(sim);
	sim_run(sim, 2000);
	sim_add_peer(&sim->nodes[0], 1, 1, false);
	sim_add_peer(&sim->nodes[1], 0, 1, false);
	assert_int_equal(sim_send(sim, 0, 1), 0);
	sim_run(sim, 1000);
	assert_int_equal(sim->nodes[1].got_derp[0], 1);
	sim_free(sim);
}

static void a_slow_derp_stream_drops_the_oldest_and_spares_udp(void **state)
{
	struct sim *sim = sim_two(true);
	struct sim_node *a = &sim->nodes[0];
	unsigned derp, udp;

	(void)state;
	sim_chat(sim, 0, 1, 5000);
	assert_true(sim_is_direct(sim, 0, 1));
	sim_run(sim, 60000); /* in doubt: both ways */
	a->lines[1].queued = 1 << 20;
	derp = sim->nodes[1].got_derp[0];
	udp = sim->nodes[1].got_udp[0];
	for (int i = 0; i < 100; i++)
		assert_int_equal(sim_send(sim, 0, 1), 0);
	sim_run(sim, 10);
	sim_run(sim, 20);
	assert_int_equal(sim->nodes[1].got_udp[0], udp + 100);
	assert_int_equal(sim->nodes[1].got_derp[0], derp);
	a->lines[1].queued = 0;
	ts_path_derp_drained(a->path, 1, sim->now_ms);
	sim_run(sim, 100);
	/* 32, one of which may be disco's */
	assert_in_range(sim->nodes[1].got_derp[0], derp + 31, derp + 32);
	sim_free(sim);
}

static void a_silent_connection_is_noticed_after_a_network_change(void **state)
{
	struct sim *sim = sim_two(true);
	struct sim_node *a = &sim->nodes[0];
	unsigned conn = a->lines[1].conn;

	(void)state;
	sim_chat(sim, 0, 1, 5000);
	assert_true(sim_is_direct(sim, 0, 1));
	ts_path_network_changed(a->path, sim->now_ms);
	assert_false(sim_is_direct(sim, 0, 1));
	sim_run(sim, 5000);
	assert_int_equal(a->lines[1].conn, conn); /* it answered */
	/* Now its bytes go nowhere, as after a change of address. */
	sim->servers[1].latency_ms = 1000000;
	ts_path_network_changed(a->path, sim->now_ms);
	sim_run(sim, 2900);
	assert_int_equal(a->lines[1].conn, conn);
	sim->servers[1].latency_ms = 10;
	sim_run(sim, 1000);
	assert_true(a->lines[1].conn > conn);
	assert_true(ts_path_derp_is_connected(a->path, 1));
	sim_free(sim);
}

static void a_new_node_key_reconnects(void **state)
{
	struct sim *sim = sim_two(false);
	struct sim_node *a = &sim->nodes[0];
	struct ts_private_key key;
	struct ts_public_key public_key;

	(void)state;
	ts_private_key_generate(&key);
	ts_public_key_from_private(&key, &public_key);
	ts_path_set_node_key(a->path, &key, sim->now_ms);
	sim_run(sim, 1000);
	assert_true(ts_path_derp_is_connected(a->path, 1));
	assert_true(ts_public_key_equal(&a->lines[1].client, &public_key));
	assert_true(a->lines[1].is_home);
	sim_free(sim);
}

static void note_pong(void *ctx, int err, const struct ts_path_pong *pong)
{
	struct sim_node *node = ctx;

	node->pong_calls++;
	node->pong_err = err;
	if (pong)
		node->pong = *pong;
}

static void ping_tells_latency_and_path(void **state)
{
	struct sim *sim = sim_two(true);
	struct sim_node *a = &sim->nodes[0];

	(void)state;
	sim->cut[0][1] = true;
	ts_path_ping(a->path, a->peers[1], 0, sim->now_ms, note_pong, a);
	sim_run(sim, 1000);
	assert_int_equal(a->pong_calls, 1);
	assert_int_equal(a->pong_err, 0);
	assert_int_equal(a->pong.derp_region, 1);
	assert_int_equal(a->pong.latency_us, 40000);
	sim->cut[0][1] = false;
	sim_run(sim, 6000);
	ts_path_ping(a->path, a->peers[1], 0, sim->now_ms, note_pong, a);
	sim_run(sim, 6000);
	ts_path_ping(a->path, a->peers[1], 0, sim->now_ms, note_pong, a);
	sim_run(sim, 6000);
	assert_int_equal(a->pong_calls, 3);
	assert_int_equal(a->pong.latency_us, 40000);
	sim_free(sim);
}

static void ping_of_a_size_is_not_cut(void **state)
{
	struct sim *sim = sim_two(true);
	struct sim_node *a = &sim->nodes[0];

	(void)state;
	ts_path_ping(a->path, a->peers[1], 0, sim->now_ms, note_pong, a);
	sim_run(sim, 6000);
	sim->link_mtu = 1500;
	ts_path_ping(a->path, a->peers[1], 1472, sim->now_ms, note_pong, a);
	sim_run(sim, 6000);
	assert_int_equal(a->pong_calls, 2);
	assert_int_equal(a->pong_err, 0);
	assert_int_equal(a->pong.derp_region, 0);
	ts_path_ping(a->path, a->peers[1], 1473, sim->now_ms, note_pong, a);
	sim_run(sim, 6000);
	assert_int_equal(a->pong_calls, 3);
	assert_int_equal(a->pong_err, -ETIMEDOUT);
	/* It was too large for the path, which is as good as before. */
	ts_path_ping(a->path, a->peers[1], 0, sim->now_ms, note_pong, a);
	sim_run(sim, 1000);
	assert_int_equal(a->pong_calls, 4);
	assert_int_equal(a->pong_err, 0);
	assert_int_equal(a->pong.derp_region, 0);
	sim_free(sim);
}

static void ping_of_a_dead_peer_times_out(void **state)
{
	struct sim *sim = sim_two(true);
	struct sim_node *a = &sim->nodes[0];

	(void)state;
	sim_node_stop(&sim->nodes[1]);
	ts_path_ping(a->path, a->peers[1], 0, sim->now_ms, note_pong, a);
	sim_run(sim, 4900);
	assert_int_equal(a->pong_calls, 0);
	sim_run(sim, 200);
	assert_int_equal(a->pong_calls, 1);
	assert_int_equal(a->pong_err, -ETIMEDOUT);
	ts_path_ping(a->path, a->peers[1], 0, sim->now_ms, note_pong, a);
	ts_path_peer_remove(a->path, a->peers[1]);
	assert_int_equal(a->pong_calls, 2);
	assert_int_equal(a->pong_err, -ECANCELED);
	sim_free(sim);
}

static void a_wireguard_only_peer_is_reached_at_its_endpoint(void **state)
{
	struct sim *sim = sim_two(false);
	struct sim_node *a = &sim->nodes[0];
	struct ts_path_peer_config config = {
		.node_key = sim->nodes[1].node_key,
		.endpoints = &sim->nodes[1].addr,
		.endpoint_count = 1,
		.is_wireguard_only = true,
	};
	struct ts_path_addr from = {.vni = 0};
	struct ts_path_peer_status status;

	(void)state;
	ts_path_peer_update(a->path, a->peers[1], &config, sim->now_ms);
	assert_int_equal(sim_send(sim, 0, 1), 0);
	sim_run(sim, 1000);
	assert_int_equal(sim->nodes[1].got_unattributed, 1);
	assert_int_equal(a->sent_disco, 0);
	/* Shown as its path while it answers. */
	assert_false(sim_is_direct(sim, 0, 1));
	from.addr = sim->nodes[1].addr;
	ts_path_learn(a->path, a->peers[1], &from, sim->now_ms);
	ts_path_peer_status(a->path, a->peers[1], sim->now_ms, &status);
	assert_true(status.is_direct);
	assert_true(ts_addr_equal(&status.best.addr, &sim->nodes[1].addr));
	ts_path_peer_status(a->path, a->peers[1], sim->now_ms + 15000,
			    &status);
	assert_false(status.is_direct);
	sim_free(sim);
}

static void a_new_disco_key_ends_the_old_path(void **state)
{
	struct sim *sim = sim_two(true);
	struct sim_node *a = &sim->nodes[0], *b = &sim->nodes[1];
	struct ts_path_peer_config config = {
		.node_key = b->node_key,
		.home_derp = 1,
		.endpoints = &b->addr,
		.endpoint_count = 1,
	};

	(void)state;
	sim_chat(sim, 0, 1, 5000);
	assert_true(sim_is_direct(sim, 0, 1));
	memset(config.disco_key.bytes, 7, TS_KEY_LEN);
	ts_path_peer_update(a->path, a->peers[1], &config, sim->now_ms);
	assert_false(sim_is_direct(sim, 0, 1));
	sim_chat(sim, 0, 1, 8000);
	assert_false(sim_is_direct(sim, 0, 1)); /* B has no such key */
	config.disco_key = b->disco_key;
	ts_path_peer_update(a->path, a->peers[1], &config, sim->now_ms);
	sim_chat(sim, 0, 1, 8000);
	assert_true(sim_is_direct(sim, 0, 1));
	sim_free(sim);
}

static void learned_sources_are_attributed_until_the_peer_goes(void **state)
{
	struct sim *sim = sim_two(false);
	struct sim_node *a = &sim->nodes[0];
	uint8_t data[SIM_PKT_LEN] = {4};
	struct ts_path_addr path = {.addr = sim->nodes[1].addr};
	struct ts_addr from = path.addr;

	(void)state;
	sim_input_udp(a, &from, data, sizeof(data));
	assert_int_equal(a->got_unattributed, 1);
	for (int i = 0; i < 100; i++) { /* more than are kept */
		path.addr.port = (uint16_t)(1000 + i);
		ts_path_learn(a->path, a->peers[1], &path, sim->now_ms);
	}
	from = path.addr;
	sim_input_udp(a, &from, data, sizeof(data));
	assert_int_equal(a->got_udp[1], 1);
	from.port = 1000;
	sim_input_udp(a, &from, data, sizeof(data));
	assert_int_equal(a->got_unattributed, 2);
	from.port = 1099;
	ts_path_peer_remove(a->path, a->peers[1]);
	sim_input_udp(a, &from, data, sizeof(data));
	assert_int_equal(a->got_unattributed, 3);
	sim_free(sim);
}

static void ten_thousand_idle_peers_cost_no_timer(void **state)
{
	struct sim *sim = sim_two(true);
	struct sim_node *a = &sim->nodes[0];
	struct ts_path_peer_config config = {
		.home_derp = 1,
		.endpoints = &a->addr,
		.endpoint_count = 1,
	};
	uint64_t before;

	(void)state;
	before = ts_path_deadline_ms(a->path);
	for (int i = 0; i < 10000; i++) {
		ts_random_bytes(&config.node_key, TS_KEY_LEN);
		ts_random_bytes(&config.disco_key, TS_KEY_LEN);
		assert_non_null(ts_path_peer_add(a->path, &config, NULL));
	}
	assert_true(ts_path_deadline_ms(a->path) == before);
	sim_chat(sim, 0, 1, 5000);
	assert_true(sim_is_direct(sim, 0, 1));
	sim_free(sim);
}

static void a_wide_path_carries_large_packets(void **state)
{
	struct sim *sim = sim_two(true);

	(void)state;
	sim->link_mtu = 1500;
	assert_int_equal(ts_path_peer_mtu(sim->nodes[0].peers[1]), 1280);
	sim_chat(sim, 0, 1, 2000);
	assert_true(sim_is_direct(sim, 0, 1));
	assert_int_equal(ts_path_peer_mtu(sim->nodes[0].peers[1]), 1440);
	sim->link_mtu = 9000;
	sim_chat(sim, 0, 1, 70000);
	assert_int_equal(ts_path_peer_mtu(sim->nodes[0].peers[1]), 8928);
	assert_int_equal(sim->nodes[0].mtu, 8928);
	sim->cut[0][1] = sim->cut[1][0] = true;
	sim_chat(sim, 0, 1, 15000);
	assert_int_equal(ts_path_peer_mtu(sim->nodes[0].peers[1]), 1280);
	assert_int_equal(sim->nodes[0].mtu, 1280);
	sim_free(sim);
}

static bool has_endpoint(const struct sim_node *node, const char *text,
			 int type)
{
	struct ts_addr addr;

	assert_int_equal(ts_addr_parse(text, &addr), 0);
	for (size_t i = 0; i < node->endpoint_count; i++)
		if (ts_addr_equal(&node->endpoints[i], &addr))
			return node->types[i] == type;
	return false;
}

/* Each STUN server sees another port: a hard NAT. */
static void a_fixed_port_is_guessed_behind_a_hard_nat(void **state)
{
	for (int fixed = 0; fixed < 2; fixed++) {
		struct sim *sim = sim_new();
		struct sim_node *a = &sim->nodes[0];
		const uint8_t lan[4] = {192, 168, 0, 7};
		struct ts_addr local = {.ip = ts_ip_from_v4(lan), .port = 777};

		(void)state;
		sim->has_fixed_port = fixed;
		sim->has_hard_nat = true;
		sim_node_start(sim, 0, false);
		ts_path_set_local_endpoints(a->path, &local, 1, sim->now_ms);
		ts_path_set_derp_map(a->path, &sim->map, sim->now_ms);
		sim_run(sim, 4000);
		assert_int_equal(a->varies, TS_YES);
		assert_int_equal(has_endpoint(a, "192.0.2.1:777", 4), fixed);
		sim_free(sim);
	}
}

static void static_endpoints_are_published(void **state)
{
	struct sim *sim = sim_new();

	(void)state;
	assert_int_equal(ts_addr_parse("203.0.113.7:41641",
				       &sim->static_endpoint), 0);
	sim_node_start(sim, 0, false);
	ts_path_set_derp_map(sim->nodes[0].path, &sim->map, sim->now_ms);
	sim_run(sim, 4000);
	assert_true(has_endpoint(&sim->nodes[0], "203.0.113.7:41641", 5));
	sim_free(sim);
}

struct report {
	unsigned calls, nulls;
	int home;
	size_t regions;
};

static void note_report(void *ctx, const struct ts_netcheck_report *report,
			int home)
{
	struct report *r = ctx;

	r->calls++;
	r->nulls += !report;
	r->home = home;
	r->regions = report ? report->region_count : 0;
}

static void a_check_can_be_asked_for(void **state)
{
	struct sim *sim = sim_two(true);
	struct ts_path *path = sim->nodes[0].path;
	struct report r = {0};
	int err = 0;

	(void)state;
	assert_int_equal(ts_path_check(path, sim->now_ms, note_report, &r), 0);
	assert_int_equal(r.calls, 0);
	sim_run(sim, 2000);
	assert_int_equal(r.calls, 1);
	assert_int_equal(r.home, 1);
	assert_int_equal(r.regions, SIM_REGIONS);
	sim->no_udp = true;
	for (int i = 0; i < 9; i++) /* only so many may wait */
		err = ts_path_check(path, sim->now_ms, note_report, &r);
	assert_int_equal(err, -EAGAIN);
	sim_node_stop(&sim->nodes[0]);
	assert_int_equal(r.calls, 9);
	assert_int_equal(r.nulls, 8);
	sim_free(sim);
}

static void without_a_map_there_is_no_check(void **state)
{
	struct sim *sim = sim_new();
	struct report r = {0};

	(void)state;
	sim_node_start(sim, 0, false);
	assert_int_equal(ts_path_check(sim->nodes[0].path, sim->now_ms,
				       note_report, &r),
			 -ENETDOWN);
	assert_int_equal(r.calls, 0);
	sim_free(sim);
}

/* Regions by the latency that HTTPS tells, where UDP is blocked. */
static void home_is_near_without_udp_too(void **state)
{
	struct sim *sim = sim_new();
	struct sim_node *a = &sim->nodes[0];

	(void)state;
	sim->no_udp = true;
	sim->https_works = true;
	sim->servers[1].latency_ms = 80;
	sim->servers[2].latency_ms = 40;
	sim->servers[3].latency_ms = 60;
	sim_node_start(sim, 0, false);
	ts_path_set_derp_map(a->path, &sim->map, sim->now_ms);
	sim_run(sim, 3000);
	assert_int_equal(ts_path_home_region(a->path), 2);
	assert_int_equal(a->udp, TS_NO);
	assert_true(ts_path_derp_is_connected(a->path, 2));
	sim_free(sim);
}

/* As custom maps do, that have host names alone. */
static void a_map_of_names_is_measured_too(void **state)
{
	struct sim *sim = sim_new();
	struct sim_node *a = &sim->nodes[0];

	(void)state;
	for (int i = 0; i < SIM_REGIONS; i++)
		sim->derp_nodes[i].ipv4 = NULL;
	sim->servers[1].latency_ms = 90;
	sim->servers[3].latency_ms = 5;
	sim_node_start(sim, 0, false);
	ts_path_set_derp_map(a->path, &sim->map, sim->now_ms);
	assert_int_equal(a->resolve_calls, SIM_REGIONS);
	sim_run(sim, 3000);
	assert_int_equal(a->udp, TS_YES);
	assert_true(ts_addr_equal(&a->endpoints[0], &a->addr));
	assert_int_equal(a->types[0], 2);
	/* The same names again: known. Another network: asked again. */
	ts_path_set_derp_map(a->path, &sim->map, sim->now_ms);
	sim_run(sim, 3000);
	assert_int_equal(a->resolve_calls, SIM_REGIONS);
	sim->no_dns = true;
	ts_path_network_changed(a->path, sim->now_ms);
	sim_run(sim, 3000);
	assert_int_equal(a->resolve_calls, 2 * SIM_REGIONS);
	assert_int_equal(a->udp, TS_YES); /* what was known still is */
	sim_free(sim);
}

static void a_tailnet_without_udp_gets_none(void **state)
{
	struct sim *sim = sim_two(true);
	struct sim_node *a = &sim->nodes[0];
	struct ts_path_settings tcp_only = {.tcp_only = true};
	struct ts_path_settings none = {0};
	unsigned sent;

	(void)state;
	sim->https_works = true;
	sim_chat(sim, 0, 1, 3000);
	assert_true(sim_is_direct(sim, 0, 1));
	ts_path_configure(a->path, &tcp_only, sim->now_ms);
	sent = a->sent_udp;
	sim_chat(sim, 0, 1, 40000);
	assert_int_equal(a->sent_udp, sent);
	assert_false(sim_is_direct(sim, 0, 1));
	assert_int_equal(ts_path_home_region(a->path), 1);
	assert_true(sim->nodes[1].got_derp[0] >= 80);
	ts_path_configure(a->path, &none, sim->now_ms);
	ts_path_peer_update(a->path, a->peers[1],
			    &(struct ts_path_peer_config){
				    .node_key = sim->nodes[1].node_key,
				    .disco_key = sim->nodes[1].disco_key,
				    .home_derp = 1,
				    .endpoints = &sim->nodes[1].addr,
				    .endpoint_count = 1,
			    },
			    sim->now_ms);
	sim_chat(sim, 0, 1, 7000);
	assert_true(sim_is_direct(sim, 0, 1));
	sim_free(sim);
}

static void an_idle_node_checks_on_where_it_is_asked_to(void **state)
{
	struct ts_path_settings always = {.always_stun = true};

	for (int on = 0; on < 2; on++) {
		struct sim *sim = sim_two(true);
		struct sim_node *a = &sim->nodes[0];
		unsigned sent;

		(void)state;
		if (on)
			ts_path_configure(a->path, &always, sim->now_ms);
		sim_chat(sim, 0, 1, 5000);
		sim_run(sim, 80000); /* 45 s active, and one more check */
		sent = a->sent_stun;
		sim_run(sim, 30000); /* short of DERP's read timeout */
		assert_int_equal(a->sent_stun > sent, on);
		sim_free(sim);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tailnet_without_udp_gets_none),
		cmocka_unit_test(an_idle_node_checks_on_where_it_is_asked_to),
		cmocka_unit_test(a_map_of_names_is_measured_too),
		cmocka_unit_test(a_check_can_be_asked_for),
		cmocka_unit_test(without_a_map_there_is_no_check),
		cmocka_unit_test(home_is_near_without_udp_too),
		cmocka_unit_test(a_fixed_port_is_guessed_behind_a_hard_nat),
		cmocka_unit_test(static_endpoints_are_published),
		cmocka_unit_test(a_wide_path_carries_large_packets),
		cmocka_unit_test(home_is_the_nearest_region_and_gets_connected),
		cmocka_unit_test(endpoints_are_what_stun_saw_then_local_ones),
		cmocka_unit_test(the_first_packet_goes_through_derp_at_once),
		cmocka_unit_test(a_path_becomes_direct_after_disco),
		cmocka_unit_test(a_path_becomes_direct_over_ipv6),
		cmocka_unit_test(works_over_derp_only_when_udp_is_blocked),
		cmocka_unit_test(
			a_blocked_direct_path_falls_back_within_the_trust_window),
		cmocka_unit_test(both_ways_are_used_while_in_doubt),
		cmocka_unit_test(
			an_idle_session_sends_nothing_and_has_no_timer),
		cmocka_unit_test(call_me_maybe_opens_both_firewalls),
		cmocka_unit_test(call_me_maybe_waits_for_fresh_endpoints),
		cmocka_unit_test(a_lazy_peer_is_found_by_its_disco_key),
		cmocka_unit_test(a_lazy_peer_is_found_by_its_derp_source),
		cmocka_unit_test(who_calls_before_the_map_has_it_is_heard_then),
		cmocka_unit_test(who_called_long_ago_is_not),
		cmocka_unit_test(only_the_last_early_callers_wait),
		cmocka_unit_test(who_calls_by_derp_is_answered_by_derp_too),
		cmocka_unit_test(a_route_ends_with_its_connection),
		cmocka_unit_test(a_route_ends_when_the_peer_is_gone),
		cmocka_unit_test(no_derp_and_no_endpoint_is_unreachable),
		cmocka_unit_test(disable_direct_never_touches_udp_but_for_stun),
		cmocka_unit_test(three_nodes_talk_to_each_other),
		cmocka_unit_test(
			peers_of_other_regions_get_a_connection_that_idles_out),
		cmocka_unit_test(a_lost_home_connection_comes_back),
		cmocka_unit_test(reconnects_back_off_to_five_seconds),
		cmocka_unit_test(
			home_moves_when_its_region_is_dead_and_control_is_up),
		cmocka_unit_test(
			home_stays_when_another_is_only_a_little_nearer),
		cmocka_unit_test(
			without_udp_the_first_region_that_connects_is_home),
		cmocka_unit_test(names_without_addresses_are_not_waited_for),
		cmocka_unit_test(
			when_no_region_connects_ready_is_told_all_the_same),
		cmocka_unit_test(a_region_that_left_the_map_is_closed),
		cmocka_unit_test(
			a_region_whose_definition_changed_is_dialled_anew),
		cmocka_unit_test(fast_start_needs_no_http_answer),
		cmocka_unit_test(streams_in_single_bytes_work),
		cmocka_unit_test(
			a_slow_derp_stream_drops_the_oldest_and_spares_udp),
		cmocka_unit_test(
			a_silent_connection_is_noticed_after_a_network_change),
		cmocka_unit_test(a_new_node_key_reconnects),
		cmocka_unit_test(ping_tells_latency_and_path),
		cmocka_unit_test(ping_of_a_size_is_not_cut),
		cmocka_unit_test(ping_of_a_dead_peer_times_out),
		cmocka_unit_test(
			a_wireguard_only_peer_is_reached_at_its_endpoint),
		cmocka_unit_test(a_new_disco_key_ends_the_old_path),
		cmocka_unit_test(
			learned_sources_are_attributed_until_the_peer_goes),
		cmocka_unit_test(ten_thousand_idle_peers_cost_no_timer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
