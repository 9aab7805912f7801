/* SPDX-License-Identifier: BSD-3-Clause
 * test_path_debug.c - what became of a peer's paths, as the LocalAPI tells it
 */
#include "unit/localapi/api_bench.h"

static const json_t *find(const json_t *list, const char *what)
{
	const json_t *item;
	size_t i;

	json_array_foreach (list, i, item)
		if (strcmp(json_string_value(json_object_get(item, "What")),
			   what) == 0)
			return item;
	return NULL;
}

static struct said ask(struct bench *b, const char *ip)
{
	struct said s;

	bench_ask(b, (struct asks){.method = "GET",
				   .path = "debug-peer-endpoint-changes",
				   .name = ip ? "ip" : NULL, .value = ip,
				   .is_reader = true}, &s);
	assert_int_equal(s.calls, 1);
	return s;
}

static void a_peers_paths_have_a_history(void **state)
{
	struct bench b;
	char ip[TS_IP_TEXT_CAP];
	struct ts_ip peer = sim_ip(1);
	const json_t *best;
	struct said s;

	(void)state;
	bench_open(&b, sim_up(2, NULL), NULL, NULL);
	ts_ip_format(&peer, ip);
	sim_dial(b.sim, 0, 1, 1000);
	sim_run(b.sim, 5000);
	s = ask(&b, ip);
	assert_int_equal(s.status, 200);
	assert_non_null(find(s.json, "new-endpoint"));
	best = find(s.json, "bestAddr-update");
	assert_non_null(best);
	assert_true(json_is_string(json_object_get(best, "To")));
	assert_true(json_is_string(json_object_get(best, "When")));
	assert_null(json_object_get(best, "From"));
	said_clear(&s);
	bench_close(&b);
}

static void questions_that_make_no_sense(void **state)
{
	static const struct {
		const char *ip;
		int status;
	} cases[] = {{NULL, 400}, {"", 400}, {"x", 400}, {"100.99.0.1", 500}};
	struct bench b;

	(void)state;
	bench_open(&b, sim_up(2, NULL), NULL, NULL);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct said s = ask(&b, cases[i].ip);

		assert_int_equal(s.status, cases[i].status);
		said_clear(&s);
	}
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_peers_paths_have_a_history),
		cmocka_unit_test(questions_that_make_no_sense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
