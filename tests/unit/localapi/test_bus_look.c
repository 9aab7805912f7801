/* SPDX-License-Identifier: BSD-3-Clause
 * test_bus_look.c - news that is found by a look now and then
 */
#include "unit/localapi/api_bench.h"

static void watch(struct bench *b, const char *mask, struct said *s)
{
	bench_ask(b, (struct asks){.method = "GET", .path = "watch-ipn-bus",
				   .name = "mask", .value = mask}, s);
	assert_int_equal(s->status, 200);
}

/* The next message with that field, within so many looks; NULL: none. */
static json_t *look_for(struct bench *b, struct said *s, const char *field,
			int looks)
{
	bool is_over = false;

	for (int i = 0; i < looks; i++) {
		json_t *news;

		while ((news = said_next(s, &is_over))) {
			if (json_object_get(news, field))
				return news;
			json_decref(news);
		}
		sim_run(b->sim, 2000);
		ts_localapi_tick(b->api, b->sim->now_ms, b->sim->wall_s);
	}
	return NULL;
}

static void warnings_come_and_go(void **state)
{
	struct bench b;
	struct said s;
	json_t *news;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	watch(&b, "0", &s);
	assert_null(look_for(&b, &s, "Health", 5)); /* all is well */
	ts_node_set_homeless(b.sim->nodes[0].node, true, b.sim->now_ms);
	news = look_for(&b, &s, "Health", 20);
	assert_non_null(bench_at(news, "Health/Warnings/no-derp-home"));
	json_decref(news);
	ts_node_set_homeless(b.sim->nodes[0].node, false, b.sim->now_ms);
	news = look_for(&b, &s, "Health", 20);
	assert_non_null(news);
	assert_null(bench_at(news, "Health/Warnings/no-derp-home"));
	json_decref(news);
	assert_null(look_for(&b, &s, "Health", 5)); /* told once */
	said_clear(&s);
	assert_true(ts_localapi_deadline_ms(b.api) == UINT64_MAX);
	bench_close(&b);
}

static void the_first_message_has_the_exit_node(void **state)
{
	struct bench b;
	struct said s;
	json_t *news;

	(void)state;
	bench_open(&b, sim_up(1, NULL), NULL, NULL);
	watch(&b, "1024", &s);
	news = look_for(&b, &s, "SuggestedExitNode", 1);
	check_at(news, "SuggestedExitNode", "");
	json_decref(news);
	assert_null(look_for(&b, &s, "SuggestedExitNode", 3));
	said_clear(&s);
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(warnings_come_and_go),
		cmocka_unit_test(the_first_message_has_the_exit_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
