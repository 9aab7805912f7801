/* SPDX-License-Identifier: BSD-3-Clause
 * test_tunnel.c - programs over the real stack, back to back with a peer's
 */
#include "peer_dials.h"

#include "core/broker/option_rule.h"

enum { BULK_BYTES = 50 * 1024 * 1024, PIECE = 64 * 1024 };

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

static void look_quiet(struct fixture *f, void *ctx)
{
	struct stack_counters ours;
	bool *is = ctx;

	stack_counters(f->node.stack, &ours);
	*is = ours.tcp_active == 0;
}

static void bulk_is_echoed(void **state)
{
	struct fixture f;
	struct program_conn c;
	struct sender sender;
	pthread_t thread;
	static uint8_t piece[PIECE];
	size_t at = 0;
	bool is_same = true, is_quiet = false;

	(void)state;
	open_fixture(&f);
	c = program_connect(&f, PEER ":7", false);
	assert_int_equal(c.request_error, 0);
	assert_int_equal(c.connect_error, 0);
	sender = (struct sender){c.fd, BULK_BYTES};
	pthread_create(&thread, NULL, send_pattern, &sender);
	for (;;) {
		ssize_t n = recv(c.fd, piece, sizeof(piece), 0);

		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			is_same &= piece[i] == pattern_at(at + (size_t)i);
		at += (size_t)n;
	}
	pthread_join(thread, NULL);
	assert_true(is_same);
	assert_int_equal(at, BULK_BYTES);
	close(c.fd);
	/* Nothing is left behind on our side. */
	assert_true(eventually(&f, look_quiet, &is_quiet, &is_quiet));
	close_fixture(&f);
}

static void refused_by_the_peer(void **state)
{
	struct fixture f;
	struct program_conn c;

	(void)state;
	open_fixture(&f);
	c = program_connect(&f, PEER ":99", false);
	assert_int_equal(c.connect_error, ECONNRESET);
	assert_int_equal(entry_of(&f, &c.key).error, ECONNREFUSED);
	close(c.fd);
	close_fixture(&f);
}

static void many_short_connections(void **state)
{
	struct fixture f;
	bool is_quiet = false;

	(void)state;
	open_fixture(&f);
	for (int i = 0; i < 300; i++) {
		struct program_conn c = program_connect(&f, PEER ":7", false);
		char got[2];

		assert_int_equal(c.connect_error, 0);
		send_all(c.fd, "hi", 2);
		if (i % 2) /* either side closes first */
			shutdown(c.fd, SHUT_WR);
		receive_all(c.fd, got, 2);
		if (i % 2)
			assert_int_equal(recv(c.fd, got, 1, 0), 0);
		close(c.fd);
	}
	assert_true(eventually(&f, look_quiet, &is_quiet, &is_quiet));
	close_fixture(&f);
}

static struct ts_broker_reply ask_about(struct fixture *f, uint8_t type,
					int fd, int pass_fd)
{
	struct ts_broker_request req = {.type = type,
					.proto = IPPROTO_TCP,
					.native_local = local_of(fd),
					.native_remote = peer_of(fd)};

	return request(f, &req, pass_fd);
}

static void tells_and_is_told_of_a_connection(void **state)
{
	struct ts_broker_request nobody = {.type = TS_BROKER_INFO,
					   .proto = IPPROTO_TCP};
	struct ts_broker_reply rep;
	struct program_conn c;
	struct fixture f;
	const int mss = 600;
	char got[2];

	(void)state;
	open_fixture(&f);
	c = program_connect(&f, PEER ":7", false);
	assert_int_equal(c.connect_error, 0);
	send_all(c.fd, "hi", 2);
	receive_all(c.fd, got, 2);
	rep = ask_about(&f, TS_BROKER_INFO, c.fd, -1);
	assert_int_equal(rep.error, 0);
	assert_int_equal(rep.tunnel.state, TCP_ESTABLISHED);
	assert_int_equal(rep.tunnel.mtu, 1280);
	assert_int_equal(rep.tunnel.bytes_received, 2);
	assert_true(rep.tunnel.rtt_us > 0);
	assert_int_equal(setsockopt(c.fd, IPPROTO_TCP, TCP_MAXSEG, &mss,
				    sizeof(mss)), 0);
	assert_int_equal(ask_about(&f, TS_BROKER_OPTIONS, c.fd, c.fd).error, 0);
	assert_int_equal(ask_about(&f, TS_BROKER_OPTIONS, c.fd, -1).error,
			 ENOBUFS);
	assert_int_equal(request(&f, &nobody, -1).error, ENOTCONN);
	nobody.type = TS_BROKER_OPTIONS;
	assert_int_equal(request(&f, &nobody, -1).error, ENOENT);
	close(c.fd);
	close_fixture(&f);
}

/* -- the congestion control that the program chose ------------------------ */

/* One that the kernel gives everybody, if it starts with it; negative: none. */
static int native_congestion(int fd)
{
	char name[TS_CC_NAME_CAP];
	socklen_t len = sizeof(name);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name,
				    &len), 0);
	return ts_option_cc_find(name, len);
}

static void mark(int fd, int cc)
{
	const int on = 1;

	assert_int_equal(setsockopt(fd, SOL_SOCKET,
				    ts_option_cc_mark((enum ts_cc)cc), &on,
				    sizeof(on)), 0);
}

static int other_than(int cc)
{
	return cc == TS_CC_BBR ? TS_CC_CUBIC : TS_CC_BBR;
}

static void start_with(struct fixture *f, void *ctx)
{
	stack_set_congestion(f->node.stack, ctx);
}

static int told_congestion(struct fixture *f, int fd)
{
	struct ts_broker_reply rep;
	int left_ms = WAIT_MS;

	/* An accepted one's tunnel is there a moment later. */
	while ((rep = ask_about(f, TS_BROKER_INFO, fd, -1)).error == ENOTCONN &&
	       left_ms-- > 0)
		usleep(1000);
	assert_int_equal(rep.error, 0);
	return rep.tunnel.congestion;
}

static int connected_to_echo(struct fixture *f, int fd)
{
	struct program_conn c = ask_connect(f, fd, PEER ":7");

	assert_int_equal(c.request_error, 0);
	assert_int_equal(connect_to(fd, &c.key.remote), 0);
	return fd;
}

static void choice_before_the_connect_counts(void **state)
{
	struct fixture f;
	int fd = new_tcp(false), native = native_congestion(fd);
	int other = other_than(native);

	(void)state;
	close(fd);
	if (native < 0)
		skip();
	open_fixture(&f);
	on_loop(&f, start_with,
		(void *)(uintptr_t)ts_option_cc_name((unsigned)other));

	fd = connected_to_echo(&f, new_tcp(false)); /* it did not choose */
	assert_int_equal(told_congestion(&f, fd), other);
	mark(fd, native); /* now it does */
	assert_int_equal(ask_about(&f, TS_BROKER_OPTIONS, fd, fd).error, 0);
	assert_int_equal(told_congestion(&f, fd), native);
	close(fd);

	fd = new_tcp(false);
	mark(fd, native);
	connected_to_echo(&f, fd);
	assert_int_equal(told_congestion(&f, fd), native);
	close(fd);

	fd = new_tcp(false); /* it wanted to, and the kernel refused */
	mark(fd, other);
	connected_to_echo(&f, fd);
	assert_int_equal(told_congestion(&f, fd), other);
	close(fd);
	close_fixture(&f);
}

static void peer_reaches_a_listener(void **state)
{
	struct look look = {false, false, false};
	struct fixture f;
	int listener = new_tcp(false), fd;

	(void)state;
	open_fixture(&f);
	listen_at_80(&f, listener);
	fd = accept_at_80(&f, listener);
	say_accepted(&f, fd);
	send_all(fd, "welcome", 7);
	shutdown(fd, SHUT_WR);
	assert_true(eventually(&f, look_dialled, &look, &look.saw_eof));
	close(fd);
	close(listener);
	close_fixture(&f);
}

static void accepted_connections_have_the_listeners(void **state)
{
	struct fixture f;
	int listener = new_tcp(false), fd;
	int native = native_congestion(listener);

	(void)state;
	if (native < 0) {
		close(listener);
		skip();
	}
	open_fixture(&f);
	on_loop(&f, start_with,
		(void *)(uintptr_t)ts_option_cc_name(
			(unsigned)other_than(native)));
	mark(listener, native);
	listen_at_80(&f, listener);
	fd = accept_at_80(&f, listener);
	assert_int_equal(ask_about(&f, TS_BROKER_ACCEPTED, fd, fd).error, 0);
	assert_int_equal(told_congestion(&f, fd), native);
	close(fd);
	close(listener);
	close_fixture(&f);
}

static void peer_is_refused_where_nobody_listens(void **state)
{
	struct look look = {false, false, false};
	struct fixture f;

	(void)state;
	open_fixture(&f);
	on_loop(&f, dial_us, SELF ":81");
	assert_true(eventually(&f, look_dialled, &look, &look.is_gone));
	assert_false(look.is_up);
	assert_int_equal(net.dialled.err, -ECONNREFUSED);
	close_fixture(&f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(bulk_is_echoed),
	cmocka_unit_test(refused_by_the_peer),
	cmocka_unit_test(many_short_connections),
	cmocka_unit_test(tells_and_is_told_of_a_connection),
	cmocka_unit_test(choice_before_the_connect_counts),
	cmocka_unit_test(peer_reaches_a_listener),
	cmocka_unit_test(accepted_connections_have_the_listeners),
	cmocka_unit_test(peer_is_refused_where_nobody_listens),
};

RUN_IN_EMPTY_NET(tests)
