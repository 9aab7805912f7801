/* SPDX-License-Identifier: BSD-3-Clause
 * test_stack_source.c - what one peer may have, and that others have theirs
 *
 * One stack and a test that sends it packets from whatever address it likes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/log.h"
#include "core/base/wire.h"
#include "netstack/checksum.h"
#include "netstack/stack.h"

enum {
	EACH = 1024, /* connections of one peer that are not up yet */
	ALL = 4096,
	ECHOES = 1000,
	SYN = 2,
	RST = 4,
	ACK = 16,
	IP_HEAD = 20,
	START_MS = 5000,
};

struct bench {
	struct stack *s;
	uint64_t now_ms;
	unsigned syns, replies, lines;
	struct stack_syn *last;
	uint32_t last_seq; /* of the last segment that went out */
	bool accepts;
	char line[256];
};

static const struct stack_tcp_ops conn_ops;

static void on_output(void *ctx, struct ts_packet *pkt)
{
	struct bench *b = ctx;
	struct ts_reader r = ts_reader_init(pkt->data, pkt->len);

	b->replies++;
	ts_read_skip(&r, IP_HEAD + 4);
	b->last_seq = ts_read_be32(&r);
}

static void on_syn(void *ctx, struct stack_syn *syn,
		   const struct ts_addr *local, const struct ts_addr *remote)
{
	struct bench *b = ctx;

	(void)local;
	(void)remote;
	b->syns++;
	b->last = syn;
	if (b->accepts)
		assert_non_null(stack_syn_accept(syn, &conn_ops, b, b->now_ms));
}

/* The second half of 100.64.1.0/24 is routed by 100.64.1.1. */
static void on_owner(void *ctx, const struct ts_ip *ip, struct ts_ip *out)
{
	uint32_t host = ts_ip_v4_host(ip);

	(void)ctx;
	if ((host & 0xffffff80) == 0x64400180)
		*out = ts_ip_from_v4_host(0x64400101);
}

static void on_line(void *ctx, enum ts_log_level level, const char *line)
{
	struct bench *b = ctx;

	(void)level;
	b->lines++;
	snprintf(b->line, sizeof(b->line), "%s", line);
}

static int setup(void **state)
{
	static const struct stack_ops ops = {
		.output = on_output, .inbound_syn = on_syn, .owner = on_owner};
	struct ts_ip own = ts_ip_from_v4_host(0x64400001);
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->now_ms = START_MS;
	b->s = stack_new(&ops, b, b->now_ms);
	assert_non_null(b->s);
	stack_set_addrs(b->s, &own, &TS_IP_ZERO);
	ts_log_set_level(TS_LOG_WARN);
	ts_log_set_sink(on_line, b);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	stack_free(b->s);
	ts_log_set_sink(NULL, NULL);
	free(b);
	return 0;
}

/* A packet from that address to ours, with its checksum at sum_at of body. */
static void deliver(struct bench *b, uint32_t from, uint8_t proto,
		    uint8_t *body, size_t len, size_t sum_at)
{
	struct ts_ip src = ts_ip_from_v4_host(from);
	struct ts_ip dst = ts_ip_from_v4_host(0x64400001);
	uint8_t pkt[128];
	struct ts_writer w = ts_writer_init(pkt, sizeof(pkt));
	struct ts_writer sum = ts_writer_init(body + sum_at, 2);

	uint32_t pseudo =
		proto == 1 ? 0 : stack_sum_pseudo(&src, &dst, proto, len);

	ts_write_be16(&sum, stack_sum_finish(stack_sum(body, len) + pseudo));
	ts_write_be16(&w, 0x4500);
	ts_write_be16(&w, (uint16_t)(IP_HEAD + len));
	ts_write_be32(&w, 0);
	ts_write_be16(&w, (uint16_t)(64 << 8 | proto));
	ts_write_be16(&w, 0);
	ts_write_be32(&w, from);
	ts_write_be32(&w, 0x64400001);
	sum = ts_writer_init(pkt + 10, 2);
	ts_write_be16(&sum, stack_sum_finish(stack_sum(pkt, IP_HEAD)));
	ts_write_bytes(&w, body, len);
	assert_false(w.bad);
	stack_input(b->s, pkt, w.len, b->now_ms);
}

static void send_segment(struct bench *b, uint32_t from, uint16_t port,
			 uint8_t flags, uint32_t seq, uint32_t ack)
{
	uint8_t body[20] = {0};
	struct ts_writer w = ts_writer_init(body, sizeof(body));

	ts_write_be16(&w, port);
	ts_write_be16(&w, 80);
	ts_write_be32(&w, seq);
	ts_write_be32(&w, ack);
	ts_write_be16(&w, (uint16_t)(5 << 12 | flags));
	ts_write_be16(&w, 65535);
	deliver(b, from, 6, body, sizeof(body), 16);
}

static void send_echo(struct bench *b, uint32_t from)
{
	uint8_t body[16] = {8};

	deliver(b, from, 1, body, sizeof(body), 2);
}

/* SYNs of one address from so many ports; how many were let in. */
static unsigned begin(struct bench *b, uint32_t from, unsigned count)
{
	unsigned before = b->syns;

	for (unsigned i = 0; i < count; i++)
		send_segment(b, from, (uint16_t)(1000 + i), SYN, 1, 0);
	return b->syns - before;
}

static void a_peer_has_its_share_and_no_more(void **state)
{
	struct bench *b = *state;

	assert_int_equal(begin(b, 0x64400101, EACH + 500), EACH);
	assert_int_equal(begin(b, 0x64400201, EACH + 500), EACH);
	assert_int_equal(begin(b, 0x64400301, 10), 10);
}

static void all_peers_together_have_a_limit(void **state)
{
	struct bench *b = *state;
	unsigned all = 0;

	for (uint32_t i = 0; i < 8; i++)
		all += begin(b, 0x64400101 + (i << 8), EACH);
	assert_int_equal(all, ALL);
}

static void a_network_behind_a_peer_is_the_peer(void **state)
{
	struct bench *b = *state;
	unsigned all = 0;

	for (uint32_t i = 0x80; i < 0xc0; i++)
		all += begin(b, 0x64400100 + i, 100);
	assert_int_equal(all, EACH);
	assert_int_equal(begin(b, 0x64400101, 10), 0);
	assert_int_equal(begin(b, 0x64400102, 10), 10);
}

static void what_was_refused_counts_no_more(void **state)
{
	struct bench *b = *state;

	for (unsigned i = 0; i < 3 * EACH; i++) {
		assert_int_equal(begin(b, 0x64400101, 1), 1);
		if (i % 2)
			stack_syn_refuse(b->last);
		else
			stack_syn_drop(b->last);
	}
	assert_int_equal(begin(b, 0x64400101, EACH), EACH);
	b->now_ms += 30001;
	stack_tick(b->s, b->now_ms); /* nobody decided in time */
	assert_int_equal(begin(b, 0x64400101, EACH), EACH);
}

static void what_is_up_counts_no_more(void **state)
{
	struct bench *b = *state;

	b->accepts = true;
	for (uint32_t i = 0; i < 2 * EACH; i++) {
		uint16_t port = (uint16_t)(2000 + i);

		send_segment(b, 0x64400101, port, SYN, 1, 0);
		send_segment(b, 0x64400101, port, ACK, 2, b->last_seq + 1);
	}
	assert_int_equal(b->syns, 2 * EACH);
}

static void an_answer_that_is_not_acknowledged_counts_on(void **state)
{
	struct bench *b = *state;

	b->accepts = true;
	assert_int_equal(begin(b, 0x64400101, 2 * EACH), EACH);
	send_segment(b, 0x64400101, 1000, RST, 2, 0);
	assert_int_equal(begin(b, 0x64400101, 1), 1);
	/* 20 s, as lwIP has it */
	for (int i = 0; i < 250; i++)
		stack_tick(b->s, b->now_ms += 100);
	assert_int_equal(begin(b, 0x64400101, EACH), EACH);
}

static void a_flood_of_syns_is_one_line(void **state)
{
	struct bench *b = *state;

	for (int i = 0; i < 3000; i++, b->now_ms++)
		send_segment(b, 0x64400101, (uint16_t)(1000 + i), SYN, 1, 0);
	assert_int_equal(b->syns, EACH);
	assert_int_equal(b->lines, 1);
	assert_non_null(strstr(b->line, "the last of 100.64.1.1"));
}

static void echoes_are_answered_so_many_a_second(void **state)
{
	struct bench *b = *state;
	unsigned others = 0;

	for (int i = 0; i < 5000; i++)
		send_echo(b, 0x64400101);
	assert_int_equal(b->replies, ECHOES);
	b->now_ms += 1000;
	for (int i = 0; i < 5000; i++)
		send_echo(b, 0x64400180); /* it routes that one */
	assert_int_equal(b->replies, 2 * ECHOES);
	/* A few may share with it. */
	for (uint32_t i = 1; i <= 64; i++) {
		unsigned before = b->replies;

		send_echo(b, 0x64410000 + i);
		others += b->replies - before;
	}
	assert_in_range(others, 48, 64);
}

static void a_flood_of_echoes_is_one_line(void **state)
{
	struct bench *b = *state;

	for (int i = 0; i < 12000; i++) {
		b->now_ms += i % 4 == 0;
		send_echo(b, 0x64400101);
	}
	assert_int_equal(b->lines, 1);
	assert_non_null(strstr(b->line, "echo requests"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_peer_has_its_share_and_no_more),
		CASE(all_peers_together_have_a_limit),
		CASE(a_network_behind_a_peer_is_the_peer),
		CASE(what_was_refused_counts_no_more),
		CASE(what_is_up_counts_no_more),
		CASE(an_answer_that_is_not_acknowledged_counts_on),
		CASE(a_flood_of_syns_is_one_line),
		CASE(echoes_are_answered_so_many_a_second),
		CASE(a_flood_of_echoes_is_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
