/* SPDX-License-Identifier: BSD-3-Clause
 * test_splice.c - bytes, ends and resets between a program and the tunnel
 */
#include "far_end.h"

enum { BULK_BYTES = 50 * 1024 * 1024, PIECE = 64 * 1024 };

/* A byte stream that does not repeat within a buffer's length. */
static uint8_t pattern_at(size_t i)
{
	return (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

struct sender {
	int fd;
	size_t len;
};

static void *send_pattern(void *ctx)
{
	const struct sender *s = ctx;
	uint8_t piece[PIECE];

	for (size_t at = 0; at < s->len; at += sizeof(piece)) {
		for (size_t i = 0; i < sizeof(piece); i++)
			piece[i] = pattern_at(at + i);
		send_all(s->fd, piece, sizeof(piece));
	}
	shutdown(s->fd, SHUT_WR);
	return NULL;
}

/* Through the host and back, both directions busy, each byte checked. */
static void bulk_both_ways(void **state)
{
	struct fixture f;
	struct program_conn c;
	struct sender sender;
	pthread_t thread;
	static uint8_t piece[PIECE];
	size_t at = 0;
	bool is_same = true;

	(void)state;
	open_fixture(&f);
	c = program_connect(&f, PEER ":7", false);
	assert_int_equal(c.connect_error, 0);
	sender = (struct sender){c.fd, BULK_BYTES};
	pthread_create(&thread, NULL, send_pattern, &sender);
	for (;;) {
		ssize_t n = recv(c.fd, piece, sizeof(piece), 0);

		assert_true(n >= 0);
		if (n == 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			is_same &= piece[i] == pattern_at(at + (size_t)i);
		at += (size_t)n;
	}
	pthread_join(thread, NULL);
	assert_true(is_same);
	assert_int_equal(at, BULK_BYTES);
	close(c.fd);
	close_fixture(&f);
}

/* A connection whose far end does what it is told. */
static struct program_conn open_manual(struct fixture *f, struct far_end *far)
{
	struct program_conn c = program_connect(f, PEER ":100", true);

	memset(far, 0, sizeof(*far));
	far->t = f->node.stack->last_dialled;
	on_loop(f, far_answer, NULL);
	assert_int_equal(wait_for(c.fd, POLLOUT), POLLOUT);
	return c;
}

static void far_end_closes_first(void **state)
{
	struct fixture f;
	struct far_end far;
	struct program_conn c;
	char got[4];

	(void)state;
	open_fixture(&f);
	c = open_manual(&f, &far);
	far.data = "last";
	far.len = 4;
	on_loop(&f, far_send, &far);
	on_loop(&f, far_fin, &far);
	receive_all(c.fd, got, 4);
	assert_true(wait_for(c.fd, POLLIN));
	assert_int_equal(recv(c.fd, got, 1, 0), 0);
	/* The other direction is open still. */
	send_all(c.fd, "more", 4);
	assert_true(eventually(&f, far_look_got, &far, &far.is));
	assert_memory_equal(far.got, "more", 4);
	close(c.fd);
	assert_true(eventually(&f, far_look_fin, &far, &far.is));
	close_fixture(&f);
}

static void program_closes_its_writing_side_first(void **state)
{
	struct fixture f;
	struct far_end far;
	struct program_conn c;
	char got[4];

	(void)state;
	open_fixture(&f);
	c = open_manual(&f, &far);
	send_all(c.fd, "last", 4);
	shutdown(c.fd, SHUT_WR);
	far.len = 4;
	assert_true(eventually(&f, far_look_got, &far, &far.is));
	assert_true(eventually(&f, far_look_fin, &far, &far.is));
	far.data = "late";
	on_loop(&f, far_send, &far);
	receive_all(c.fd, got, 4);
	assert_memory_equal(got, "late", 4);
	on_loop(&f, far_fin, &far);
	assert_true(wait_for(c.fd, POLLIN));
	assert_int_equal(recv(c.fd, got, 1, 0), 0);
	close(c.fd);
	close_fixture(&f);
}

static void look_splices_gone(struct fixture *f, void *ctx)
{
	bool *is = ctx;

	*is = f->node.stack->tcp_count == 0;
}

static void tunnel_reset_reaches_the_program(void **state)
{
	struct fixture f;
	struct far_end far;
	struct program_conn c;
	char got;

	(void)state;
	open_fixture(&f);
	c = open_manual(&f, &far);
	on_loop(&f, far_reset, &far);
	assert_true(wait_for(c.fd, POLLIN) & POLLERR);
	assert_int_equal(recv(c.fd, &got, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(c.fd);
	close_fixture(&f);
}

static void program_reset_reaches_the_tunnel(void **state)
{
	const struct linger now = {.l_onoff = 1};
	struct fixture f;
	struct far_end far;
	struct program_conn c;
	bool is = false;

	(void)state;
	open_fixture(&f);
	c = open_manual(&f, &far);
	setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(c.fd);
	assert_true(eventually(&f, look_splices_gone, &is, &is));
	assert_int_equal(f.node.stack->abort_count, 1);
	close_fixture(&f);
}

/* Reset after its own FIN: nobody reads or writes then, only hup tells. */
static void program_resets_after_half_close(void **state)
{
	const struct linger now = {.l_onoff = 1};
	struct fixture f;
	struct far_end far;
	struct program_conn c;
	bool is = false;

	(void)state;
	open_fixture(&f);
	c = open_manual(&f, &far);
	shutdown(c.fd, SHUT_WR);
	assert_true(eventually(&f, far_look_fin, &far, &far.is));
	far.data = "unread";
	far.len = 6;
	on_loop(&f, far_send, &far);
	assert_true(wait_for(c.fd, POLLIN));
	setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(c.fd);
	assert_true(eventually(&f, look_splices_gone, &is, &is));
	close_fixture(&f);
}

/* Far end keeps sending to a program that is gone: a reset for it. */
static void program_is_gone_while_far_end_sends(void **state)
{
	struct fixture f;
	struct far_end far;
	struct program_conn c;
	bool is = false;

	(void)state;
	open_fixture(&f);
	c = open_manual(&f, &far);
	close(c.fd);
	assert_true(eventually(&f, far_look_fin, &far, &far.is));
	far.data = "anyone?";
	far.len = 7;
	on_loop(&f, far_send, &far);
	assert_true(eventually(&f, look_splices_gone, &is, &is));
	assert_int_equal(f.node.stack->abort_count, 1);
	close_fixture(&f);
}

static void fill_in(struct fixture *f, void *ctx)
{
	struct far_end *far = ctx;
	uint8_t piece[4096];

	(void)f;
	far->is = true;
	for (size_t i = 0; i < sizeof(piece); i++)
		piece[i] = pattern_at(far->len + i);
	while (ts_byte_queue_push(&far->t->in, piece, sizeof(piece)) == 0) {
		far->len += sizeof(piece);
		for (size_t i = 0; i < sizeof(piece); i++)
			piece[i] = pattern_at(far->len + i);
	}
	far->t->ops->readable(far->t->user);
}

struct standstill {
	struct far_end *far;
	size_t last, same;
	bool is;
};

/* is: the tunnel's queue did not move for many turns. */
static void look_standstill(struct fixture *f, void *ctx)
{
	struct standstill *s = ctx;
	size_t len;

	fill_in(f, s->far);
	len = s->far->len;
	s->same = len == s->last ? s->same + 1 : 0;
	s->last = len;
	s->is = s->same > 20;
}

/* A reader that does not read stops the tunnel, and loses nothing. */
static void slow_reader_stops_the_tunnel(void **state)
{
	struct fixture f;
	struct far_end far;
	struct program_conn c;
	struct standstill s = {.far = &far};
	static uint8_t piece[PIECE];
	size_t at = 0;
	bool is_same = true;

	(void)state;
	open_fixture(&f);
	c = open_manual(&f, &far);
	assert_true(eventually(&f, look_standstill, &s, &s.is));
	/* Bounded: the socket buffers of both ends and the fake's queue. */
	assert_true(far.len < 16 * 1024 * 1024);
	on_loop(&f, far_fin, &far);
	for (;;) {
		ssize_t n = 0;

		if (wait_for(c.fd, POLLIN))
			n = recv(c.fd, piece, sizeof(piece), 0);
		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			is_same &= piece[i] == pattern_at(at + (size_t)i);
		at += (size_t)n;
	}
	assert_true(is_same);
	assert_int_equal(at, far.len);
	close(c.fd);
	close_fixture(&f);
}

static void look_undelivered(struct fixture *f, void *ctx)
{
	size_t *out = ctx;

	*out = ts_host_undelivered(f->host);
}

/* A far end that takes nothing blocks the program's writes; the reset still
 * gets through. */
static void slow_tunnel_stops_the_program(void **state)
{
	const struct linger now = {.l_onoff = 1};
	struct fixture f;
	struct far_end far;
	struct program_conn c;
	static uint8_t piece[PIECE];
	struct pollfd p = {.events = POLLOUT};
	size_t sent = 0, undelivered = 0;
	bool is = false;

	(void)state;
	open_fixture(&f);
	c = open_manual(&f, &far);
	p.fd = c.fd;
	while (poll(&p, 1, 50) == 1) {
		ssize_t n = send(c.fd, piece, sizeof(piece), MSG_NOSIGNAL);

		assert_true(n > 0);
		sent += (size_t)n;
		assert_true(sent < 32 * 1024 * 1024);
	}
	on_loop(&f, look_undelivered, &undelivered);
	assert_true(undelivered > FAKE_QUEUE_BYTES);
	assert_true(undelivered <= sent);
	setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(c.fd);
	assert_true(eventually(&f, look_splices_gone, &is, &is));
	close_fixture(&f);
}

struct drain {
	struct far_end *far;
	size_t got;
	bool is_same, is;
};

static void drain_out(struct fixture *f, void *ctx)
{
	struct drain *d = ctx;
	struct ts_byte_queue *q = &d->far->t->out;
	const uint8_t *data = ts_byte_queue_data(q);
	size_t len = ts_byte_queue_len(q);

	(void)f;
	for (size_t i = 0; i < len; i++)
		d->is_same &= data[i] == pattern_at(d->got + i);
	d->got += len;
	ts_byte_queue_drop(q, len);
	fake_pump_soon(d->far->t);
	d->is = d->far->t->fin_out && ts_byte_queue_len(q) == 0;
}

/* What the stack refused is kept, and goes first when there is room. */
static void nothing_is_lost_when_the_tunnel_is_slow(void **state)
{
	struct fixture f;
	struct far_end far;
	struct program_conn c;
	struct drain d = {.far = &far, .is_same = true};
	struct sender sender;
	pthread_t thread;

	(void)state;
	open_fixture(&f);
	c = open_manual(&f, &far);
	fcntl(c.fd, F_SETFL, 0);
	sender = (struct sender){c.fd, 8 * 1024 * 1024};
	pthread_create(&thread, NULL, send_pattern, &sender);
	assert_true(eventually(&f, drain_out, &d, &d.is));
	pthread_join(thread, NULL);
	assert_true(d.is_same);
	assert_int_equal(d.got, sender.len);
	close(c.fd);
	close_fixture(&f);
}

static void entry_outlives_the_flow(void **state)
{
	struct fixture f;
	struct far_end far;
	struct program_conn c;
	bool is = false;

	(void)state;
	open_fixture(&f);
	c = open_manual(&f, &far);
	on_loop(&f, far_reset, &far);
	assert_true(eventually(&f, look_splices_gone, &is, &is));
	assert_int_equal(entry_of(&f, &c.key).kind, TS_FLOW_CONNECT);
	close(c.fd);
	close_fixture(&f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(bulk_both_ways),
	cmocka_unit_test(far_end_closes_first),
	cmocka_unit_test(program_closes_its_writing_side_first),
	cmocka_unit_test(tunnel_reset_reaches_the_program),
	cmocka_unit_test(program_reset_reaches_the_tunnel),
	cmocka_unit_test(program_resets_after_half_close),
	cmocka_unit_test(program_is_gone_while_far_end_sends),
	cmocka_unit_test(slow_reader_stops_the_tunnel),
	cmocka_unit_test(slow_tunnel_stops_the_program),
	cmocka_unit_test(nothing_is_lost_when_the_tunnel_is_slow),
	cmocka_unit_test(entry_outlives_the_flow),
};

RUN_IN_EMPTY_NET(tests)
