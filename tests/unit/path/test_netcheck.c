/* SPDX-License-Identifier: BSD-3-Clause */
#include "unit/test.h"

#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/path/home_region.h"
#include "core/path/netcheck.h"

enum { REGIONS = 5, ASKED_MAX = 4096 };

struct asked {
	struct ts_addr to;
	uint8_t tx_id[STUN_TX_ID_LEN];
};

struct lab {
	struct ts_netcheck check;
	struct ts_derp_node nodes[REGIONS][2];
	struct ts_derp_region regions[REGIONS];
	struct ts_derp_map map;
	char texts[REGIONS][2][32];
	struct asked asked[ASKED_MAX];
	size_t count;
	unsigned done_calls, https_calls, https_cancels;
	int https[REGIONS];
	uint64_t https_us; /* not 0: answered before the op returns */
	struct ts_netcheck_report report; /* regions copied below */
	struct ts_netcheck_region result[REGIONS];
	uint64_t now_ms;
};

static void on_send(void *ctx, const struct ts_addr *to, const uint8_t *pkt,
		    size_t len)
{
	struct lab *lab = ctx;

	assert_true(lab->count < ASKED_MAX);
	assert_int_equal(
		ts_stun_read_request(pkt, len, lab->asked[lab->count].tx_id),
		0);
	lab->asked[lab->count++].to = *to;
}

static void on_done(void *ctx, const struct ts_netcheck_report *report,
		    uint64_t now_ms)
{
	struct lab *lab = ctx;

	(void)now_ms;
	lab->done_calls++;
	lab->report = *report;
	memcpy(lab->result, report->regions,
	       report->region_count * sizeof(*report->regions));
	lab->report.regions = lab->result;
}

static void on_https(void *ctx, int region, const struct ts_derp_node *node)
{
	struct lab *lab = ctx;

	assert_true(lab->https_calls < REGIONS);
	assert_ptr_equal(node, &lab->nodes[region - 1][0]);
	lab->https[lab->https_calls++] = region;
	if (lab->https_us != 0)
		ts_netcheck_https(&lab->check, region, lab->https_us,
				  lab->now_ms);
}

static void on_https_cancel(void *ctx)
{
	((struct lab *)ctx)->https_cancels++;
}

static const struct ts_netcheck_ops ops = {.send = on_send, .done = on_done};
static const struct ts_netcheck_ops https_ops = {
	.send = on_send,
	.done = on_done,
	.https = on_https,
	.https_cancel = on_https_cancel,
};

/* Region i+1 has two nodes, 198.51.100.(10i+1) and +2. */
static struct lab *new_lab(size_t regions)
{
	struct lab *lab = calloc(1, sizeof(*lab));

	assert_non_null(lab);
	assert_int_equal(ts_crypto_init(), 0);
	lab->now_ms = 50000;
	for (int i = 0; i < REGIONS; i++) {
		for (int j = 0; j < 2; j++) {
			snprintf(lab->texts[i][j], 32, "198.51.100.%d",
				 10 * i + j + 1);
			lab->nodes[i][j].ipv4 = lab->texts[i][j];
			lab->nodes[i][j].stun_port = 3478;
		}
		lab->regions[i].id = i + 1;
		lab->regions[i].nodes = lab->nodes[i];
		lab->regions[i].node_count = 2;
	}
	lab->map.regions = lab->regions;
	lab->map.region_count = regions;
	ts_netcheck_init(&lab->check, &ops, lab);
	return lab;
}

static void free_lab(struct lab *lab)
{
	ts_netcheck_deinit(&lab->check);
	free(lab);
}

static void pass(struct lab *lab, uint64_t ms)
{
	uint64_t end_ms = lab->now_ms + ms;

	while (ts_netcheck_deadline_ms(&lab->check) <= end_ms) {
		lab->now_ms = ts_netcheck_deadline_ms(&lab->check);
		ts_netcheck_tick(&lab->check, lab->now_ms);
	}
	lab->now_ms = end_ms;
}

static void answer(struct lab *lab, size_t of, const char *mapped)
{
	uint8_t pkt[STUN_RESPONSE_MAX_LEN];
	struct ts_addr addr;
	size_t len;

	assert_int_equal(ts_addr_parse(mapped, &addr), 0);
	len = ts_stun_write_response(lab->asked[of].tx_id, &addr, pkt);
	ts_netcheck_input(&lab->check, pkt, len, lab->now_ms);
}

static void start(struct lab *lab, int home, bool full)
{
	assert_int_equal(ts_netcheck_start(&lab->check, &lab->map, home, full,
					   lab->now_ms),
			 0);
}

static void one_region_one_answer_ends_the_check_at_once(void **state)
{
	struct lab *lab = new_lab(1);

	(void)state;
	start(lab, 0, true);
	assert_int_equal(lab->count, 1);
	pass(lab, 3);
	answer(lab, 0, "203.0.113.1:41641");
	assert_int_equal(lab->done_calls, 1);
	assert_int_equal(lab->report.working_udp, TS_YES);
	assert_int_equal(lab->report.regions[0].latency_us, 3000);
	assert_int_equal(lab->report.mapped_count, 1);
	assert_int_equal(lab->report.mapping_varies, TS_UNKNOWN);
	free_lab(lab);
}

static void three_tries_go_round_the_nodes(void **state)
{
	struct lab *lab = new_lab(1);

	(void)state;
	start(lab, 0, true);
	pass(lab, 1499);
	assert_int_equal(lab->count, 3);
	assert_true(ts_addr_equal(&lab->asked[0].to, &lab->asked[2].to));
	assert_false(ts_addr_equal(&lab->asked[0].to, &lab->asked[1].to));
	assert_int_equal(lab->done_calls, 0);
	pass(lab, 1);
	assert_int_equal(lab->done_calls, 1);
	assert_int_equal(lab->report.working_udp, TS_NO);
	free_lab(lab);
}

static void three_regions_of_five_are_enough(void **state)
{
	struct lab *lab = new_lab(5);

	(void)state;
	start(lab, 0, true);
	assert_int_equal(lab->count, 5);
	pass(lab, 10);
	answer(lab, 0, "203.0.113.1:1");
	answer(lab, 1, "203.0.113.1:1");
	pass(lab, 10);
	answer(lab, 2, "203.0.113.1:1");
	pass(lab, 39);
	assert_int_equal(lab->done_calls, 0);
	pass(lab, 1);
	assert_int_equal(lab->done_calls, 1);
	assert_int_equal(lab->report.mapping_varies, TS_NO);
	assert_int_equal(lab->report.mapped[0].seen, 3);
	free_lab(lab);
}

static void two_mappings_are_noticed(void **state)
{
	struct lab *lab = new_lab(2);

	(void)state;
	start(lab, 0, true);
	answer(lab, 0, "203.0.113.1:1");
	answer(lab, 1, "203.0.113.1:2");
	assert_int_equal(lab->done_calls, 1); /* nobody is left to ask */
	assert_int_equal(lab->report.mapping_varies, TS_YES);
	assert_int_equal(lab->report.mapped_count, 2);
	free_lab(lab);
}

static void both_families_are_asked(void **state)
{
	struct lab *lab = new_lab(1);
	char v6[] = "2001:db8::1", none[] = "none";

	(void)state;
	lab->nodes[0][0].ipv6 = v6;
	lab->nodes[0][1].ipv6 = none;
	start(lab, 0, true);
	assert_int_equal(lab->count, 2);
	assert_true(ts_ip_is_v4(&lab->asked[0].to.ip));
	assert_false(ts_ip_is_v4(&lab->asked[1].to.ip));
	answer(lab, 0, "203.0.113.1:1");
	answer(lab, 1, "[2001:db8:1::7]:1");
	assert_int_equal(lab->done_calls, 1);
	assert_int_equal(lab->report.mapped_count, 2);
	assert_int_equal(lab->report.mapping_varies, TS_UNKNOWN);
	free_lab(lab);
}

static void names_and_switched_off_nodes_are_not_asked(void **state)
{
	struct lab *lab = new_lab(2);
	char name[] = "derp.example", literal[] = "198.51.100.99";

	(void)state;
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 2; j++)
			lab->nodes[i][j].ipv4 = NULL;
	lab->nodes[0][0].host_name = name;
	lab->nodes[0][1].host_name = literal;
	lab->nodes[0][1].stun_port = -1;
	start(lab, 0, true);
	assert_int_equal(lab->done_calls, 1);
	assert_int_equal(lab->count, 0);
	assert_int_equal(lab->report.working_udp, TS_UNKNOWN);
	lab->nodes[0][1].stun_port = 3478;
	start(lab, 0, true);
	pass(lab, 200);
	assert_int_equal(lab->count, 1);
	lab->regions[0].no_measure_no_home = true;
	start(lab, 0, true);
	assert_int_equal(lab->count, 1);
	free_lab(lab);
}

static void regions_that_cannot_relay_are_no_home(void **state)
{
	struct lab *lab = new_lab(2);

	(void)state;
	lab->nodes[0][0].stun_only = lab->nodes[0][1].stun_only = true;
	lab->nodes[1][0].stun_only = true;
	start(lab, 0, true);
	assert_int_equal(lab->count, 1);
	assert_int_equal(lab->check.report.regions[0].id, 2);
	free_lab(lab);
}

static void avoided_regions_are_asked_only_as_home(void **state)
{
	struct lab *lab = new_lab(2);

	(void)state;
	lab->regions[1].avoid = true;
	start(lab, 0, true);
	assert_int_equal(lab->count, 1);
	lab->count = 0;
	start(lab, 2, true);
	assert_int_equal(lab->count, 2);
	free_lab(lab);
}

static void an_incremental_check_asks_the_fastest_and_home(void **state)
{
	struct lab *lab = new_lab(5);
	struct ts_addr home;

	(void)state;
	start(lab, 0, true);
	for (size_t i = 0; i < 5; i++) {
		pass(lab, 1);
		answer(lab, i, "203.0.113.1:1");
	}
	assert_int_equal(lab->done_calls, 1);
	lab->count = 0;
	start(lab, 5, false); /* the slowest is home */
	assert_int_equal(lab->count, 4);
	assert_int_equal(ts_addr_parse("198.51.100.41:3478", &home), 0);
	assert_true(ts_addr_equal(&lab->asked[3].to, &home));
	pass(lab, 1499);
	assert_int_equal(lab->count, 4 + 2 + 2 + 1 - 1 + 1); /* 4, 2, 2, 1 */
	pass(lab, 1);
	assert_int_equal(lab->done_calls, 2);
	lab->count = 0;
	start(lab, 5, false); /* nobody answered: all of them again */
	assert_int_equal(lab->count, 5);
	free_lab(lab);
}

/* Every region by both families, the first being the nearest. */
static void answer_all(struct lab *lab, size_t regions, bool v6_works)
{
	size_t asked;

	start(lab, 0, true);
	asked = lab->count;
	for (size_t i = 0; i < asked; i++) {
		bool is_v6 = !ts_ip_is_v4(&lab->asked[i].to.ip);

		pass(lab, 1);
		if (!is_v6 || v6_works)
			answer(lab, i, is_v6 ? "[2001:db8::9]:1"
					     : "203.0.113.1:1");
	}
	assert_int_equal(asked, 2 * regions);
	pass(lab, 3000);
	assert_int_equal(lab->done_calls, 1);
	lab->count = 0;
}

static size_t asked_by_v6(const struct lab *lab)
{
	size_t count = 0;

	for (size_t i = 0; i < lab->count; i++)
		count += !ts_ip_is_v4(&lab->asked[i].to.ip);
	return count;
}

static struct lab *dual_lab(size_t regions)
{
	static char v6[] = "2001:db8::1";
	struct lab *lab = new_lab(regions);

	for (size_t i = 0; i < regions; i++)
		lab->nodes[i][0].ipv6 = lab->nodes[i][1].ipv6 = v6;
	return lab;
}

static void the_third_region_is_asked_by_one_family(void **state)
{
	struct lab *lab = dual_lab(4);

	(void)state;
	answer_all(lab, 4, true);
	start(lab, 1, false);
	assert_int_equal(lab->count, 2 + 2 + 1);
	assert_int_equal(asked_by_v6(lab), 2);
	free_lab(lab);
}

static void v6_that_never_worked_is_not_tried_hard(void **state)
{
	struct lab *lab = dual_lab(4);

	(void)state;
	answer_all(lab, 4, false);
	start(lab, 1, false);
	assert_int_equal(asked_by_v6(lab), 2);
	pass(lab, 1499);
	assert_int_equal(asked_by_v6(lab), 2);
	assert_int_equal(lab->count, 2 + 4 + 2 + 1); /* as if there were none */
	free_lab(lab);
}

static void forged_late_and_repeated_answers_change_nothing(void **state)
{
	struct lab *lab = new_lab(2);
	struct asked real;

	(void)state;
	start(lab, 0, true);
	real = lab->asked[0];
	lab->asked[0].tx_id[0] ^= 1;
	answer(lab, 0, "203.0.113.9:9");
	lab->asked[0] = real;
	answer(lab, 0, "203.0.113.1:1");
	answer(lab, 0, "203.0.113.9:9");
	assert_int_equal(lab->check.report.mapped_count, 1);
	pass(lab, 3000);
	assert_int_equal(lab->done_calls, 1);
	answer(lab, 1, "203.0.113.9:9");
	assert_int_equal(lab->done_calls, 1);
	assert_int_equal(lab->report.mapped_count, 1);
	free_lab(lab);
}

/* -- the choice of home --------------------------------------------------- */

static struct ts_netcheck_report report_of(struct ts_netcheck_region *regions,
					   size_t count, uint64_t started_ms)
{
	return (struct ts_netcheck_report){
		.regions = regions,
		.region_count = count,
		.started_ms = started_ms,
	};
}

static int choose(struct ts_home_history *h, const struct ts_derp_map *map,
		  uint64_t us1, uint64_t us2, int old, uint64_t heard_ms,
		  uint64_t now_ms)
{
	struct ts_netcheck_region regions[2] = {
		{.id = 1, .has_latency = us1 > 0, .latency_us = us1},
		{.id = 2, .has_latency = us2 > 0, .latency_us = us2},
	};
	struct ts_netcheck_report report = report_of(regions, 2, now_ms - 100);
	struct ts_home_old was = {.region = old, .heard_ms = heard_ms};

	return ts_home_region_choose(h, &report, map, &was, now_ms);
}

static void home_choice_follows_the_rules(void **state)
{
	struct lab *lab = new_lab(2);
	struct ts_home_history h = {0};
	double scores[2] = {1, 0.1};
	uint64_t t = 1000000;

	(void)state;
	assert_int_equal(choose(&h, &lab->map, 0, 0, 0, 0, t), 0);
	assert_int_equal(choose(&h, &lab->map, 30000, 20000, 0, 0, t), 2);
	/* Less than 10 ms, or less than a third: stay. */
	assert_int_equal(choose(&h, &lab->map, 29000, 20000, 1, 0, t), 1);
	assert_int_equal(choose(&h, &lab->map, 29900, 20000, 1, 0, t), 1);
	ts_home_history_deinit(&h);
	assert_int_equal(choose(&h, &lab->map, 12000, 5000, 1, 0, t), 1);
	ts_home_history_deinit(&h);
	assert_int_equal(choose(&h, &lab->map, 100000, 80000, 1, 0, t), 1);
	ts_home_history_deinit(&h);
	assert_int_equal(choose(&h, &lab->map, 60000, 20000, 1, 0, t), 2);
	ts_home_history_deinit(&h);
	/* The old one does not answer STUN, but DERP spoke. */
	assert_int_equal(choose(&h, &lab->map, 0, 20000, 1, t - 7000, t), 1);
	assert_int_equal(choose(&h, &lab->map, 0, 20000, 1, t - 9000, t), 2);
	assert_int_equal(choose(&h, &lab->map, 0, 20000, 1, 0, t), 2);
	/* Nothing at all answers. */
	assert_int_equal(choose(&h, &lab->map, 0, 0, 1, t - 119000, t), 1);
	assert_int_equal(choose(&h, &lab->map, 0, 0, 1, t - 121000, t), 0);
	ts_home_history_deinit(&h);
	/* A moment's delay does not count: the best of five minutes does. */
	assert_int_equal(choose(&h, &lab->map, 10000, 50000, 1, 0, t), 1);
	t += 200000;
	assert_int_equal(choose(&h, &lab->map, 90000, 50000, 1, 0, t), 1);
	t += 200000;
	assert_int_equal(choose(&h, &lab->map, 90000, 50000, 1, 0, t), 2);
	ts_home_history_deinit(&h);
	lab->map.region_scores = scores;
	assert_int_equal(choose(&h, &lab->map, 20000, 90000, 0, 0, t), 2);
	ts_home_history_deinit(&h);
	free_lab(lab);
}

static void home_history_is_bounded(void **state)
{
	struct lab *lab = new_lab(2);
	struct ts_home_history h = {0};

	(void)state;
	for (uint64_t i = 0; i < 5000; i++)
		choose(&h, &lab->map, 1000, 1000, 1, 0, 1000000 + i);
	assert_int_equal(h.count, HOME_SAMPLES_MAX);
	ts_home_history_deinit(&h);
	free_lab(lab);
}

static struct lab *blocked(void)
{
	struct lab *lab = new_lab(3);

	lab->check.ops = &https_ops;
	start(lab, 0, true);
	pass(lab, NETCHECK_SILENCE_MS - 1);
	assert_int_equal(lab->https_calls, 0);
	return lab;
}

static void where_udp_is_blocked_https_tells_latencies(void **state)
{
	struct lab *lab = blocked();

	(void)state;
	pass(lab, 1);
	assert_int_equal(lab->https_calls, 3);
	assert_int_equal(lab->done_calls, 0);
	ts_netcheck_https(&lab->check, 2, 7000, lab->now_ms);
	ts_netcheck_https(&lab->check, 1, 0, lab->now_ms); /* no answer */
	assert_int_equal(lab->done_calls, 0);
	ts_netcheck_https(&lab->check, 3, 9000, lab->now_ms);
	assert_int_equal(lab->done_calls, 1);
	assert_int_equal(lab->report.working_udp, TS_NO);
	assert_false(lab->report.regions[0].has_latency);
	assert_true(lab->report.regions[1].has_https);
	assert_int_equal(lab->report.regions[1].latency_us, 7000);
	assert_false(lab->report.regions[1].has_v4);
	assert_int_equal(ts_netcheck_deadline_ms(&lab->check), UINT64_MAX);
	ts_netcheck_https(&lab->check, 3, 1, lab->now_ms); /* too late */
	free_lab(lab);
}

static void https_may_answer_at_once(void **state)
{
	struct lab *lab = blocked();

	(void)state;
	lab->https_us = 5;
	pass(lab, 1);
	assert_int_equal(lab->https_calls, 3);
	assert_int_equal(lab->done_calls, 1);
	assert_int_equal(lab->report.regions[2].latency_us, 5);
	free_lab(lab);
}

static void https_has_3_s_and_stun_is_over_then(void **state)
{
	struct lab *lab = blocked();

	(void)state;
	pass(lab, 1);
	answer(lab, 0, "203.0.113.1:41641"); /* too late */
	ts_netcheck_https(&lab->check, 1, 4000, lab->now_ms);
	pass(lab, NETCHECK_HTTPS_LIMIT_MS - 1);
	assert_int_equal(lab->done_calls, 0);
	pass(lab, 1);
	assert_int_equal(lab->done_calls, 1);
	assert_int_equal(lab->https_cancels, 1);
	assert_int_equal(lab->report.mapped_count, 0);
	assert_true(lab->report.regions[0].has_latency);
	free_lab(lab);
}

static void a_cancelled_check_cancels_https(void **state)
{
	struct lab *lab = blocked();

	(void)state;
	pass(lab, 1);
	ts_netcheck_cancel(&lab->check);
	assert_int_equal(lab->https_cancels, 1);
	ts_netcheck_https(&lab->check, 1, 4000, lab->now_ms);
	assert_int_equal(lab->done_calls, 0);
	free_lab(lab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_udp_is_blocked_https_tells_latencies),
		cmocka_unit_test(https_may_answer_at_once),
		cmocka_unit_test(https_has_3_s_and_stun_is_over_then),
		cmocka_unit_test(a_cancelled_check_cancels_https),
		cmocka_unit_test(one_region_one_answer_ends_the_check_at_once),
		cmocka_unit_test(three_tries_go_round_the_nodes),
		cmocka_unit_test(three_regions_of_five_are_enough),
		cmocka_unit_test(two_mappings_are_noticed),
		cmocka_unit_test(both_families_are_asked),
		cmocka_unit_test(names_and_switched_off_nodes_are_not_asked),
		cmocka_unit_test(regions_that_cannot_relay_are_no_home),
		cmocka_unit_test(avoided_regions_are_asked_only_as_home),
		cmocka_unit_test(
			an_incremental_check_asks_the_fastest_and_home),
		cmocka_unit_test(the_third_region_is_asked_by_one_family),
		cmocka_unit_test(v6_that_never_worked_is_not_tried_hard),
		cmocka_unit_test(
			forged_late_and_repeated_answers_change_nothing),
		cmocka_unit_test(home_choice_follows_the_rules),
		cmocka_unit_test(home_history_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
