/* SPDX-License-Identifier: BSD-3-Clause
 * test_path_change.c - what happens while a path ends and another begins
 */
#include "core/path/derp_client.h"
#include "core/path/path_doubt.h"
#include "unit/path/path_sim.h"

static struct sim *direct_pair(void)
{
	struct sim *sim = sim_two(true);

	sim_chat(sim, 0, 1, 5000);
	assert_true(sim_is_direct(sim, 0, 1));
	assert_true(sim_is_direct(sim, 1, 0));
	return sim;
}

static void cut(struct sim *sim, bool is_cut)
{
	sim->cut[0][1] = sim->cut[1][0] = is_cut;
}

/* What the other end's session would have told. */
static void hear(struct sim *sim, int node, int from,
		 const struct ts_path_addr *addr)
{
	ts_path_heard(sim->nodes[node].peers[from], addr, sim->now_ms);
}

static void a_path_that_ended_is_left_within_a_second(void **state)
{
	struct sim *sim = direct_pair();
	struct sim_node *a = &sim->nodes[0], *b = &sim->nodes[1];
	unsigned by_derp = b->got_derp[0], stun = a->sent_stun;

	(void)state;
	cut(sim, true);
	for (int i = 0; i < 10; i++) {
		sim_send(sim, 0, 1);
		sim_run(sim, 100);
	}
	assert_false(sim_is_direct(sim, 0, 1));
	assert_true(b->got_derp[0] > by_derp);
	assert_true(a->sent_stun > stun); /* are we who we were? */
	cut(sim, false);
	sim_run(sim, 2000);
	assert_true(sim_is_direct(sim, 0, 1)); /* without another packet */
	sim_free(sim);
}

static void a_handshake_on_a_dead_path_goes_by_derp_too(void **state)
{
	struct sim *sim = direct_pair();
	struct sim_node *b = &sim->nodes[1];
	unsigned by_derp = b->got_derp[0];

	(void)state;
	cut(sim, true);
	sim_initiate(sim, 0, 1);
	sim_run(sim, 500);
	assert_false(sim_is_direct(sim, 0, 1));
	sim_initiate(sim, 0, 1);
	sim_run(sim, 100);
	assert_int_equal(b->got_derp[0], by_derp + 1);
	sim_free(sim);
}

static void a_peer_that_is_heard_by_derp_is_answered_by_derp(void **state)
{
	struct sim *sim = direct_pair();
	struct sim_node *b = &sim->nodes[1];
	struct ts_path_addr derp = {.addr = ts_path_derp_addr(1)};
	unsigned by_derp = sim->nodes[0].got_derp[1];

	(void)state;
	cut(sim, true);
	sim_run(sim, 300);
	hear(sim, 1, 0, &derp);
	sim_run(sim, 1);
	assert_false(sim_is_direct(sim, 1, 0));
	sim_send(sim, 1, 0);
	sim_run(sim, 100);
	assert_int_equal(sim->nodes[0].got_derp[1], by_derp + 1);
	assert_true(b->sent_wg_udp > 0);
	sim_free(sim);
}

static void a_refused_address_is_a_dead_path(void **state)
{
	struct sim *sim = direct_pair();
	struct sim_node *a = &sim->nodes[0], *b = &sim->nodes[1];
	struct ts_addr other = b->addr;

	(void)state;
	cut(sim, true);
	other.port++;
	ts_path_refused(a->path, &other, sim->now_ms);
	sim_run(sim, 1);
	assert_true(sim_is_direct(sim, 0, 1));
	ts_path_refused(a->path, &b->addr, sim->now_ms);
	sim_run(sim, 1);
	assert_false(sim_is_direct(sim, 0, 1));
	sim_free(sim);
}

/* What was said by the last connection may never have arrived. */
static void a_call_is_repeated_when_derp_is_back(void **state)
{
	struct sim *sim = direct_pair();
	struct sim_node *b = &sim->nodes[1];
	unsigned pings;

	(void)state;
	cut(sim, true);
	for (int i = 0; i < 20; i++) {
		sim_send(sim, 0, 1);
		sim_run(sim, 100);
	}
	sim_run(sim, 1500);
	pings = b->sent_disco;
	sim_run(sim, 150);
	assert_int_equal(b->sent_disco, pings);
	sim_hang_up(sim, 0, 1);
	sim_run(sim, 150);
	assert_true(b->sent_disco > pings);
	sim_free(sim);
}

/* Whoever only receives finds out too, and says where it is now. */
static void a_receiver_that_moves_calls_at_once(void **state)
{
	struct sim *sim = direct_pair();
	struct sim_node *a = &sim->nodes[0];

	(void)state;
	a->addr.port++; /* and nothing comes to the old one */
	ts_path_network_changed(a->path, sim->now_ms);
	assert_false(sim_is_direct(sim, 0, 1));
	sim_run(sim, 200);
	assert_true(sim_is_direct(sim, 0, 1));
	sim_free(sim);
}

static void an_idle_peers_path_is_not_searched_for(void **state)
{
	struct sim *sim = direct_pair();
	struct sim_node *a = &sim->nodes[0];
	unsigned sent;

	(void)state;
	sim_run(sim, 60000);
	sent = a->sent_disco;
	ts_path_network_changed(a->path, sim->now_ms);
	sim_run(sim, 5000);
	assert_int_equal(a->sent_disco, sent);
	sim_free(sim);
}

/* A busy stream off DERP stops: is the relay still there? */
static void a_relay_that_falls_silent_is_asked(void **state)
{
	struct sim *sim = sim_two(false);
	struct sim_node *a = &sim->nodes[0];
	struct ts_path_addr derp = {.addr = ts_path_derp_addr(1)};
	unsigned conn;

	(void)state;
	sim_send(sim, 0, 1);
	sim_run(sim, 1000);
	for (int i = 0; i < DOUBT_BUSY_PACKETS; i++)
		hear(sim, 0, 1, &derp);
	conn = a->lines[1].conn;
	sim->servers[1].latency_ms = 1000000; /* its bytes go nowhere */
	sim_run(sim, DOUBT_QUIET_MS + DERP_CHECK_TIMEOUT_MS + 100);
	assert_true(a->lines[1].conn > conn);
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_that_ended_is_left_within_a_second),
		cmocka_unit_test(a_handshake_on_a_dead_path_goes_by_derp_too),
		cmocka_unit_test(
			a_peer_that_is_heard_by_derp_is_answered_by_derp),
		cmocka_unit_test(a_refused_address_is_a_dead_path),
		cmocka_unit_test(a_call_is_repeated_when_derp_is_back),
		cmocka_unit_test(a_receiver_that_moves_calls_at_once),
		cmocka_unit_test(an_idle_peers_path_is_not_searched_for),
		cmocka_unit_test(a_relay_that_falls_silent_is_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
