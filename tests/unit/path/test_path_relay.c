/* SPDX-License-Identifier: BSD-3-Clause
 * test_path_relay.c - paths through peer relays, between two routers
 */
#include "unit/path/path_sim.h"

/* Two nodes without a direct path. */
static struct sim *sim_cut(bool first_knows, bool second_knows)
{
	struct sim *sim = sim_two(true);

	sim->cut[0][1] = sim->cut[1][0] = true;
	sim_add_relay(sim, first_knows, second_knows);
	return sim;
}

static void a_relay_is_used_when_there_is_no_direct_path(void **state)
{
	struct sim *sim = sim_cut(true, true);
	unsigned derp;

	(void)state;
	sim_chat(sim, 0, 1, 3000);
	assert_true(sim_is_relayed(sim, 0, 1));
	assert_true(sim_is_relayed(sim, 1, 0));
	assert_false(sim_is_direct(sim, 0, 1));
	derp = sim->nodes[1].got_derp[0];
	sim_chat(sim, 0, 1, 20000); /* heartbeats keep the trust */
	assert_true(sim_is_relayed(sim, 0, 1));
	assert_int_equal(sim->nodes[1].got_derp[0], derp);
	assert_true(sim->nodes[1].got_udp[0] >= 40);
	assert_int_equal(sim->nodes[1].got_unattributed, 0);
	/* The first ping of whoever was there first. */
	assert_true(sim->relay->dropped <= 1);
	sim_free(sim);
}

static void one_that_knows_the_relay_is_enough(void **state)
{
	for (int knows = 0; knows < 2; knows++) {
		struct sim *sim = sim_cut(knows == 0, knows == 1);

		(void)state;
		sim_chat(sim, 0, 1, 3000);
		assert_true(sim_is_relayed(sim, 0, 1));
		assert_true(sim_is_relayed(sim, 1, 0));
		assert_int_equal(sim->nodes[1 - knows].asked_relay, 0);
		sim_free(sim);
	}
}

static void a_direct_path_takes_the_place_of_a_relay(void **state)
{
	struct sim *sim = sim_cut(true, true);

	(void)state;
	sim_chat(sim, 0, 1, 3000);
	assert_true(sim_is_relayed(sim, 0, 1));
	sim->cut[0][1] = sim->cut[1][0] = false;
	sim_chat(sim, 0, 1, 7000);
	assert_true(sim_is_direct(sim, 0, 1));
	assert_true(sim_is_direct(sim, 1, 0));
	/* And back: a relay takes the place of a path that is lost. */
	sim->cut[0][1] = sim->cut[1][0] = true;
	sim_chat(sim, 0, 1, 40000);
	assert_true(sim_is_relayed(sim, 0, 1));
	sim_free(sim);
}

static void a_relay_that_is_gone_leaves_derp(void **state)
{
	struct sim *sim = sim_cut(true, true);
	unsigned derp, got;

	(void)state;
	sim_chat(sim, 0, 1, 3000);
	assert_true(sim_is_relayed(sim, 0, 1));
	sim->relay_is_down = true;
	sim_chat(sim, 0, 1, 15000);
	assert_false(sim_is_relayed(sim, 0, 1));
	derp = sim->nodes[1].got_derp[0];
	got = sim->nodes[0].sent_wg_relay;
	sim_chat(sim, 0, 1, 5000);
	assert_int_equal(sim->nodes[1].got_derp[0], derp + 10);
	assert_int_equal(sim->nodes[0].sent_wg_relay, got);
	/* It is asked again every 30 s. */
	sim->relay_is_down = false;
	sim_chat(sim, 0, 1, 35000);
	assert_true(sim_is_relayed(sim, 0, 1));
	sim_free(sim);
}

static void a_relay_is_asked_every_60_s_while_in_use(void **state)
{
	struct sim *sim = sim_cut(true, false);
	unsigned asked;

	(void)state;
	sim_chat(sim, 0, 1, 5000);
	asked = sim->nodes[0].asked_relay;
	assert_int_equal(asked, 1);
	sim_chat(sim, 0, 1, 50000);
	assert_int_equal(sim->nodes[0].asked_relay, asked);
	sim_chat(sim, 0, 1, 20000);
	assert_int_equal(sim->nodes[0].asked_relay, asked + 1);
	/* The same session: it is not bound anew. */
	assert_int_equal(sim->relay->binds, 2);
	assert_true(sim_is_relayed(sim, 0, 1));
	sim_free(sim);
}

static void a_client_that_moved_binds_anew(void **state)
{
	struct sim *sim = sim_cut(true, true);

	(void)state;
	sim_chat(sim, 0, 1, 3000);
	assert_true(sim_is_relayed(sim, 0, 1));
	sim->nodes[0].addr.port++;
	ts_path_set_local_endpoints(sim->nodes[0].path, &sim->nodes[0].addr, 1,
				    sim->now_ms);
	ts_path_network_changed(sim->nodes[0].path, sim->now_ms);
	sim_chat(sim, 0, 1, 2000);
	assert_true(sim_is_relayed(sim, 0, 1));
	assert_true(sim->relay->binds >= 3);
	sim_free(sim);
}

static void nothing_of_relays_happens_when_they_are_off(void **state)
{
	struct sim *sim = sim_cut(true, true);
	struct ts_path_settings off = {.no_relays = true};

	(void)state;
	ts_path_configure(sim->nodes[0].path, &off, sim->now_ms);
	sim_chat(sim, 0, 1, 40000);
	assert_false(sim_is_relayed(sim, 0, 1));
	assert_int_equal(sim->nodes[0].asked_relay, 0);
	assert_true(sim->nodes[1].asked_relay > 0);
	assert_int_equal(sim->relay->answers, 1); /* the other one alone */
	sim_free(sim);
}

static void a_peer_that_goes_takes_its_work_along(void **state)
{
	struct sim *sim = sim_cut(true, true);

	(void)state;
	for (unsigned ms = 10; ms < 400; ms += 10) {
		sim_send(sim, 0, 1);
		sim_run(sim, ms % 130);
		ts_path_peer_remove(sim->nodes[0].path,
				    sim->nodes[0].peers[1]);
		sim_add_peer(&sim->nodes[0], 1, 1, true);
	}
	sim_chat(sim, 0, 1, 40000);
	assert_true(sim_is_relayed(sim, 0, 1));
	sim_free(sim);
}

static void note_pong(void *ctx, int err, const struct ts_path_pong *pong)
{
	struct sim_node *node = ctx;

	node->pong_err = err;
	node->pong_calls++;
	if (pong)
		node->pong = *pong;
}

static void a_ping_tells_the_relay(void **state)
{
	struct sim *sim = sim_cut(true, true);
	struct sim_node *a = &sim->nodes[0];

	(void)state;
	sim->servers[1].latency_ms = 500; /* DERP would be slower */
	sim_chat(sim, 0, 1, 6000);
	assert_true(sim_is_relayed(sim, 0, 1));
	ts_path_ping(a->path, a->peers[1], 0, sim->now_ms, note_pong, a);
	sim_run(sim, 200);
	assert_int_equal(a->pong_calls, 1);
	assert_int_equal(a->pong_err, 0);
	assert_int_equal(a->pong.derp_region, 0);
	assert_int_equal(a->pong.from.vni, RELAY_FIRST_VNI);
	assert_true(ts_addr_equal(&a->pong.from.addr, &sim->relay->addrs[0]));
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_relay_is_used_when_there_is_no_direct_path),
		cmocka_unit_test(one_that_knows_the_relay_is_enough),
		cmocka_unit_test(a_direct_path_takes_the_place_of_a_relay),
		cmocka_unit_test(a_relay_that_is_gone_leaves_derp),
		cmocka_unit_test(a_relay_is_asked_every_60_s_while_in_use),
		cmocka_unit_test(a_client_that_moved_binds_anew),
		cmocka_unit_test(nothing_of_relays_happens_when_they_are_off),
		cmocka_unit_test(a_peer_that_goes_takes_its_work_along),
		cmocka_unit_test(a_ping_tells_the_relay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
