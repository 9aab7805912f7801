/* SPDX-License-Identifier: BSD-3-Clause
 * test_path_long.c - what hours do to a router: idling, outages, clock jumps
 */
#include "unit/path/path_sim.h"

enum { HOUR_MS = 3600 * 1000 };

static void a_node_that_idles_for_a_day_is_quiet_and_works(void **state)
{
	struct sim *sim = sim_two(true);
	struct sim_node *a = &sim->nodes[0];
	unsigned sent, frames;

	(void)state;
	sim_chat(sim, 0, 1, 10000);
	assert_true(sim_is_direct(sim, 0, 1));
	sim_run(sim, 120000);
	sent = a->sent_udp;
	frames = (unsigned)a->lines[1].written_frames;
	for (int i = 0; i < 24 * 60; i++) {
		uint8_t keep_alive[DERP_FRAME_HEADER_LEN];
		struct ts_writer w =
			ts_writer_init(keep_alive, sizeof(keep_alive));

		ts_derp_write_frame(&w, DERP_KEEP_ALIVE, NULL, 0);
		sim_serve(a, 1, keep_alive, w.len);
		sim_serve(&sim->nodes[1], 1, keep_alive, w.len);
		sim_run(sim, 60000);
	}
	assert_int_equal(a->sent_udp, sent);
	assert_int_equal(a->lines[1].written_frames, frames);
	assert_true(ts_path_derp_is_connected(a->path, 1));
	sent = sim->nodes[1].got_derp[0];
	assert_int_equal(sim_send(sim, 0, 1), 0);
	sim_run(sim, 200);
	assert_int_equal(sim->nodes[1].got_derp[0], sent + 1);
	sim_chat(sim, 0, 1, 3000);
	assert_true(sim_is_direct(sim, 0, 1));
	sim_free(sim);
}

static void derp_down_for_an_hour_and_back(void **state)
{
	struct sim *sim = sim_two(false);
	struct sim_node *a = &sim->nodes[0];
	unsigned conn;

	(void)state;
	for (int r = 1; r <= SIM_REGIONS; r++)
		sim_server_down(sim, r);
	sim->no_udp = true; /* no network at all */
	conn = a->lines[1].conn;
	sim_run(sim, HOUR_MS);
	/* one in 2.5 to 7.5 s */
	assert_in_range(a->lines[1].conn - conn, 400, 1500);
	/* Home could not be moved without control: nothing else was tried. */
	assert_int_equal(a->lines[2].conn + a->lines[3].conn, 0);
	for (int r = 1; r <= SIM_REGIONS; r++)
		sim->servers[r].is_down = false;
	sim->no_udp = false;
	sim_run(sim, 8000);
	assert_true(ts_path_derp_is_connected(a->path, 1));
	assert_int_equal(ts_path_home_region(a->path), 1);
	sim_free(sim);
}

/* The server lets us in and throws us out, as one does that two nodes with the
 * same key fight over. */
static void a_server_that_hangs_up_is_not_stormed(void **state)
{
	struct sim *sim = sim_two(false);
	struct sim_node *a = &sim->nodes[0];
	unsigned ups = 0;

	(void)state;
	for (uint64_t end = sim->now_ms + 60000; sim->now_ms < end;) {
		if (ts_path_derp_is_connected(a->path, 1)) {
			sim_hang_up(sim, 0, 1);
			ups++;
		}
		sim_run(sim, 10);
	}
	assert_in_range(ups, 10, 40);
	/* One that lasts starts the count over. */
	sim_run(sim, 20000);
	assert_true(ts_path_derp_is_connected(a->path, 1));
	sim_hang_up(sim, 0, 1);
	sim_run(sim, 100);
	assert_true(ts_path_derp_is_connected(a->path, 1));
	sim_free(sim);
}

static void reconnects_are_spread(void **state)
{
	uint64_t first = 0;
	bool differs = false;

	(void)state;
	for (int i = 0; i < 8; i++) {
		struct sim *sim = sim_two(false);
		struct sim_node *a = &sim->nodes[0];
		uint64_t took = 0;
		unsigned conn;

		sim_server_down(sim, 1);
		sim_run(sim, 20000);
		conn = a->lines[1].conn;
		for (; a->lines[1].conn == conn; took++)
			sim_run(sim, 1);
		differs |= i > 0 && took != first;
		first = took;
		sim_free(sim);
	}
	assert_true(differs);
}

static void a_clock_jump_of_eight_hours(void **state)
{
	struct sim *sim = sim_two(true);

	(void)state;
	sim_chat(sim, 0, 1, 10000);
	sim->now_ms += 8ull * HOUR_MS;
	sim_run(sim, 1000);
	sim_chat(sim, 0, 1, 10000);
	assert_true(sim_is_direct(sim, 0, 1));
	assert_true(ts_path_derp_is_connected(sim->nodes[0].path, 1));
	sim_free(sim);
}

/* Ticked at its own deadlines a router gets on: alone, with its servers
 * silent, all of its timers set. */
static void deadlines_move_on(void **state)
{
	struct sim *sim = sim_two(true);
	struct ts_path *path = sim->nodes[0].path;
	uint64_t now_ms;
	unsigned same = 0;

	(void)state;
	ts_path_set_control_up(path, true);
	sim_chat(sim, 0, 1, 2000);
	sim_hang_up(sim, 0, 1);
	sim_send(sim, 0, 1);
	now_ms = sim->now_ms;
	for (int i = 0; i < 100000; i++) {
		uint64_t due_ms = ts_path_deadline_ms(path);

		if (due_ms == UINT64_MAX)
			break;
		same = due_ms > now_ms ? 0 : same + 1;
		assert_true(same < 8);
		if (due_ms > now_ms)
			now_ms = due_ms;
		sim->now_ms = now_ms;
		ts_path_tick(path, now_ms);
		if (i % 1000 == 0)
			sim_send(sim, 0, 1);
	}
	sim_free(sim);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_node_that_idles_for_a_day_is_quiet_and_works),
		cmocka_unit_test(derp_down_for_an_hour_and_back),
		cmocka_unit_test(a_server_that_hangs_up_is_not_stormed),
		cmocka_unit_test(reconnects_are_spread),
		cmocka_unit_test(a_clock_jump_of_eight_hours),
		cmocka_unit_test(deadlines_move_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
