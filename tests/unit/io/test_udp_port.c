/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/io/udp_port.h"

enum { LENGTHS_MAX = 32, ROOM_SENT = 1016 };

struct bench {
	struct ts_loop *loop;
	struct ts_udp_port *a, *b;
	struct ts_timer *guard;
	unsigned got, stop_at;
	size_t len, lengths[LENGTHS_MAX];
	uint8_t last[16];
	struct ts_addr from;
	bool closes_inside, late;
	unsigned refused;
	struct ts_addr refused_to;
	struct ts_packet kept; /* the last that said that it stays */
	unsigned reuses;
	unsigned from_room; /* whole ones of ROOM_SENT bytes */
};

static void give_up(void *ctx)
{
	struct bench *bench = ctx;

	bench->late = true;
	ts_loop_stop(bench->loop);
}

static void nothing(void *ctx, const struct ts_addr *from,
		    struct ts_packet *pkt)
{
	(void)ctx;
	(void)from;
	(void)pkt;
}

static void take(void *ctx, const struct ts_addr *from, struct ts_packet *pkt)
{
	struct bench *bench = ctx;

	if (bench->got < LENGTHS_MAX)
		bench->lengths[bench->got] = pkt->len;
	bench->got++;
	bench->from_room += pkt->len == ROOM_SENT &&
			    memcmp(pkt->data, "xxxxxxxxxxxxxxxxrr", 18) == 0 &&
			    pkt->data[ROOM_SENT - 1] == 'r';
	if (pkt->stays) {
		bench->kept = *pkt;
		if (bench->got == bench->stop_at)
			ts_loop_stop(bench->loop);
		return;
	}
	bench->len = pkt->len;
	bench->from = *from;
	memcpy(bench->last, pkt->data, pkt->len < 16 ? pkt->len : 16);
	/* The packet is ours to overwrite, its neighbours are not harmed. */
	memset(pkt->data, 0xaa, pkt->len);
	if (bench->closes_inside) {
		ts_udp_port_close(bench->b);
		bench->b = NULL;
		ts_loop_stop(bench->loop);
	}
	if (bench->got == bench->stop_at)
		ts_loop_stop(bench->loop);
}

static void refused(void *ctx, const struct ts_addr *to)
{
	struct bench *bench = ctx;

	bench->refused++;
	bench->refused_to = *to;
}

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	int err;

	bench->loop = ts_loop_new();
	bench->a = ts_udp_port_open(bench->loop, 0, nothing, bench, &err);
	bench->b = ts_udp_port_open(bench->loop, 0, take, bench, &err);
	bench->guard = ts_timer_new(bench->loop, give_up, bench);
	assert_non_null(bench->a);
	assert_non_null(bench->b);
	*state = bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;

	ts_udp_port_close(bench->a);
	ts_udp_port_close(bench->b);
	ts_timer_free(bench->guard);
	ts_loop_free(bench->loop);
	free(bench);
	return 0;
}

static void run(struct bench *bench, unsigned limit_ms)
{
	ts_loop_update(bench->loop);
	ts_timer_set(bench->guard, ts_loop_now_ms(bench->loop) + limit_ms);
	ts_loop_run(bench->loop);
}

static void run_until_got(struct bench *bench, unsigned count)
{
	bench->stop_at = count;
	run(bench, 1000);
	assert_int_equal(bench->got, count);
}

static struct ts_addr address(const char *ip, uint16_t port)
{
	struct ts_addr addr = {.port = port};

	assert_int_equal(ts_ip_parse(ip, &addr.ip), 0);
	return addr;
}

static void a_datagram_arrives_with_its_sender(void **state)
{
	struct bench *bench = *state;
	struct ts_addr to = address("127.0.0.1",
				    ts_udp_port_number(bench->b));
	struct ts_addr from = address("127.0.0.1",
				      ts_udp_port_number(bench->a));

	bench->stop_at = 1;
	ts_udp_port_send(bench->a, &to, (const uint8_t *)"hello", 5);
	run(bench, 1000);
	assert_int_equal(bench->got, 1);
	assert_int_equal(bench->len, 5);
	assert_memory_equal(bench->last, "hello", 5);
	assert_true(ts_addr_equal(&bench->from, &from));
}

static void both_families_share_the_port(void **state)
{
	struct bench *bench = *state;
	struct ts_addr to = address("::1", ts_udp_port_number(bench->b));

	if (!ts_udp_port_has_v6(bench->a) || !ts_udp_port_has_v6(bench->b))
		skip();
	bench->stop_at = 1;
	ts_udp_port_send(bench->a, &to, (const uint8_t *)"six", 3);
	run(bench, 1000);
	assert_int_equal(bench->got, 1);
	assert_false(ts_ip_is_v4(&bench->from.ip));
}

static void many_arrive_in_order(void **state)
{
	struct bench *bench = *state;
	struct ts_addr to = address("127.0.0.1",
				    ts_udp_port_number(bench->b));
	uint8_t data[1300] = {0};

	bench->stop_at = 150; /* two full batches and a rest */
	for (unsigned i = 0; i < 150; i++) {
		data[0] = (uint8_t)i;
		ts_udp_port_send(bench->a, &to, data, sizeof(data));
	}
	run(bench, 1000);
	assert_int_equal(bench->got, 150);
	assert_int_equal(bench->last[0], 149);
	assert_int_equal(bench->len, sizeof(data));
}

static void neighbours_of_any_length_stay_apart(void **state)
{
	static const size_t lengths[] = {1300, 1300, 700,  1300, 1300, 1300, 1,
					 40,   40,   2048, 2048, 2047, 2048, 5};
	enum { COUNT = sizeof(lengths) / sizeof(lengths[0]) };
	struct bench *bench = *state;
	struct ts_addr to = address("127.0.0.1",
				    ts_udp_port_number(bench->b));
	struct ts_addr nobody = address("127.0.0.1", 9);
	uint8_t data[2048] = {0};

	bench->stop_at = COUNT;
	for (unsigned i = 0; i < COUNT; i++) {
		data[0] = (uint8_t)i;
		ts_udp_port_send(bench->a, &to, data, lengths[i]);
		if (i % 5 == 4)
			ts_udp_port_send(bench->a, &nobody, data, 1300);
	}
	run(bench, 1000);
	assert_int_equal(bench->got, COUNT);
	assert_int_equal(bench->last[0], COUNT - 1);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(bench->lengths[i], lengths[i]);
}

static void an_unreachable_destination_costs_only_its_datagram(void **state)
{
	struct bench *bench = *state;
	struct ts_addr to = address("127.0.0.1",
				    ts_udp_port_number(bench->b));
	struct ts_addr bad = address("255.255.255.255", 9);
	uint8_t big[9217] = {0};

	bench->stop_at = 2;
	ts_udp_port_on_refused(bench->a, refused);
	ts_udp_port_send(bench->a, &to, (const uint8_t *)"1", 1);
	ts_udp_port_send(bench->a, &bad, (const uint8_t *)"x", 1);
	ts_udp_port_send(bench->a, &to, big, sizeof(big)); /* too long */
	ts_udp_port_send(bench->a, &to, (const uint8_t *)"2", 1);
	run(bench, 1000);
	assert_int_equal(bench->got, 2);
	assert_int_equal(bench->last[0], '2');
	assert_int_equal(bench->refused, 1); /* not for its size */
	assert_true(ts_addr_equal(&bench->refused_to, &bad));
}

static void jumbo_frames_share_a_batch(void **state)
{
	struct bench *bench = *state;
	struct ts_addr to = address("127.0.0.1",
				    ts_udp_port_number(bench->b));
	uint8_t data[9216] = {0};

	bench->stop_at = LENGTHS_MAX;
	for (unsigned i = 0; i < LENGTHS_MAX; i++)
		ts_udp_port_send(bench->a, &to, data,
				 i % 7 == 3 ? 60 : 9216 - i % 3);
	run(bench, 1000);
	assert_int_equal(bench->got, LENGTHS_MAX);
	for (unsigned i = 0; i < LENGTHS_MAX; i++)
		assert_int_equal(bench->lengths[i],
				 i % 7 == 3 ? 60 : 9216 - i % 3);
}

/* Four datagrams to a socket that takes bundles: how many messages come? */
static unsigned messages_of_four(struct ts_udp_port *from, size_t last_len)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t sin_len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), on = 1;
	uint8_t data[4096] = {0};
	struct ts_addr to;
	size_t total = 0;
	unsigned count = 0;
	ssize_t n;

	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &sin_len), 0);
	to = address("127.0.0.1", ntohs(sin.sin_port));
	for (int i = 0; i < 4; i++)
		ts_udp_port_send(from, &to, data, i < 3 ? 500 : last_len);
	ts_udp_port_flush(from);
	while ((n = recv(fd, data, sizeof(data), 0)) > 0) {
		total += (size_t)n;
		count++;
	}
	assert_int_equal(total, 1500 + last_len);
	close(fd);
	return count;
}

static void bundles_are_as_the_kernel_can(void **state)
{
	struct bench *bench = *state;
	struct ts_udp_offload offload = {.no_bundles_out = false};

	assert_int_equal(messages_of_four(bench->a, 500), 1);
	offload.no_equal_bundles = true;
	ts_udp_port_set_offload(bench->a, &offload);
	assert_int_equal(messages_of_four(bench->a, 500), 4);
	assert_int_equal(messages_of_four(bench->a, 499), 1);
	offload.no_bundles_out = true;
	ts_udp_port_set_offload(bench->a, &offload);
	assert_int_equal(messages_of_four(bench->a, 499), 4);
	/* Another port is as the one before. */
	assert_int_equal(ts_udp_port_rebind(bench->a, 0), 0);
	assert_int_equal(messages_of_four(bench->a, 499), 4);
	offload = (struct ts_udp_offload){.no_bundles_in = true};
	ts_udp_port_set_offload(bench->a, &offload);
	assert_int_equal(messages_of_four(bench->a, 500), 1);
	ts_udp_port_set_offload(bench->b, &offload);
	neighbours_of_any_length_stay_apart(state); /* into b */
}

static void whole_datagrams_leave_in_order_and_at_once(void **state)
{
	struct bench *bench = *state;
	uint16_t port = ts_udp_port_number(bench->b);
	struct ts_addr to = address("127.0.0.1", port);
	struct ts_addr to6 = address("::1", port);
	uint8_t data[9000] = {'2'};

	bench->stop_at = 3;
	ts_udp_port_send(bench->a, &to, (const uint8_t *)"1", 1);
	ts_udp_port_send_whole(bench->a, &to, data, sizeof(data));
	ts_udp_port_send(bench->a, &to, (const uint8_t *)"3", 1);
	run(bench, 1000);
	assert_int_equal(bench->got, 3);
	assert_int_equal(bench->lengths[1], sizeof(data));
	if (!ts_udp_port_has_v6(bench->a))
		return;
	bench->stop_at = 4;
	ts_udp_port_send_whole(bench->a, &to6, data, sizeof(data));
	run(bench, 1000);
	assert_int_equal(bench->got, 4);
}

/* Made in the room, with others sent meanwhile by both families; some that are
 * made there are never sent. */
static void a_packet_leaves_from_the_room(void **state)
{
	struct bench *bench = *state;
	uint16_t port = ts_udp_port_number(bench->b);
	struct ts_addr to = address("127.0.0.1", port);
	struct ts_addr to6 = address("::1", port);
	uint8_t other[1000];
	unsigned sent = 0;

	if (!ts_udp_port_has_v6(bench->a))
		skip();
	memset(other, 'o', sizeof(other));
	for (size_t i = 0; i < 60; i++) {
		uint8_t *at = ts_udp_port_room(bench->a, 9000 - i);

		memset(at - TS_PACKET_HEADROOM, 'x', TS_PACKET_HEADROOM);
		memset(at, 'r', 9000 - i + TS_PACKET_TAILROOM);
		if (i % 3 == 2)
			continue;
		ts_udp_port_send(bench->a, &to6, other, 900);
		ts_udp_port_send(bench->a, &to, other, sizeof(other));
		ts_udp_port_send(bench->a, &to, at - 16, ROOM_SENT);
		ts_udp_port_send(bench->a, &to, other, sizeof(other));
		run_until_got(bench, 4 * ++sent);
		assert_int_equal(bench->from_room, sent);
	}
	assert_null(ts_udp_port_room(bench->a, 10000));
}

static void on_reuse(void *ctx)
{
	struct bench *bench = ctx;

	if (bench->kept.len)
		assert_int_equal(bench->kept.data[0], '1' + bench->reuses);
	bench->kept.len = 0;
	bench->reuses++;
}

static void what_stays_is_there_until_it_is_taken_back(void **state)
{
	struct bench *bench = *state;
	struct ts_addr to = address("127.0.0.1",
				    ts_udp_port_number(bench->b));

	ts_udp_port_on_reuse(bench->b, on_reuse);
	ts_udp_port_send(bench->a, &to, (const uint8_t *)"1", 1);
	run_until_got(bench, 1);
	assert_int_equal(bench->kept.len, 1);
	ts_udp_port_send(bench->a, &to, (const uint8_t *)"2", 1);
	run_until_got(bench, 2);
	assert_int_equal(bench->reuses, 1);
	assert_int_equal(bench->kept.len, 1);
	ts_udp_port_close(bench->b);
	bench->b = NULL;
	assert_int_equal(bench->reuses, 2);
}

static void an_empty_datagram_arrives(void **state)
{
	struct bench *bench = *state;
	struct ts_addr to = address("127.0.0.1",
				    ts_udp_port_number(bench->b));

	bench->stop_at = 1;
	bench->len = 99;
	ts_udp_port_send(bench->a, &to, (const uint8_t *)"", 0);
	run(bench, 1000);
	assert_int_equal(bench->len, 0);
}

static void a_callback_may_close_its_port(void **state)
{
	struct bench *bench = *state;
	struct ts_addr to = address("127.0.0.1",
				    ts_udp_port_number(bench->b));

	bench->closes_inside = true;
	ts_udp_port_send(bench->a, &to, (const uint8_t *)"1", 1);
	ts_udp_port_send(bench->a, &to, (const uint8_t *)"2", 1);
	run(bench, 1000);
	assert_int_equal(bench->got, 1);
}

static void a_taken_port_falls_back_to_another(void **state)
{
	struct bench *bench = *state;
	uint16_t taken = ts_udp_port_number(bench->a);
	struct ts_udp_port *c;
	int err;

	ts_log_set_level(TS_LOG_OFF);
	c = ts_udp_port_open(bench->loop, taken, nothing, NULL, &err);
	assert_non_null(c);
	assert_int_not_equal(ts_udp_port_number(c), taken);
	assert_int_not_equal(ts_udp_port_number(c), 0);
	ts_udp_port_close(c);
	ts_udp_port_close(bench->a);
	bench->a = NULL;
	c = ts_udp_port_open(bench->loop, taken, nothing, NULL, &err);
	assert_int_equal(ts_udp_port_number(c), taken);
	ts_udp_port_close(c);
}

static void a_port_can_be_changed(void **state)
{
	struct bench *bench = *state;
	uint16_t before = ts_udp_port_number(bench->b);
	struct ts_addr to = address("127.0.0.1", before);

	bench->stop_at = 1;
	ts_udp_port_send(bench->a, &to, (const uint8_t *)"1", 1);
	run(bench, 1000);
	assert_int_equal(ts_udp_port_rebind(bench->b, 0), 0);
	assert_int_not_equal(ts_udp_port_number(bench->b), 0);
	to.port = ts_udp_port_number(bench->b);
	bench->stop_at = 2;
	ts_udp_port_send(bench->a, &to, (const uint8_t *)"2", 1);
	run(bench, 1000);
	assert_int_equal(bench->got, 2);
	assert_int_equal(ts_udp_port_rebind(bench->b, before), 0);
	assert_int_equal(ts_udp_port_number(bench->b), before);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_datagram_arrives_with_its_sender),
		CASE(both_families_share_the_port),
		CASE(many_arrive_in_order),
		CASE(neighbours_of_any_length_stay_apart),
		CASE(an_unreachable_destination_costs_only_its_datagram),
		CASE(jumbo_frames_share_a_batch),
		CASE(bundles_are_as_the_kernel_can),
		CASE(whole_datagrams_leave_in_order_and_at_once),
		CASE(a_packet_leaves_from_the_room),
		CASE(what_stays_is_there_until_it_is_taken_back),
		CASE(an_empty_datagram_arrives),
		CASE(a_callback_may_close_its_port),
		CASE(a_taken_port_falls_back_to_another),
		CASE(a_port_can_be_changed),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
