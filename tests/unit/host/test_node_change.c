/* SPDX-License-Identifier: BSD-3-Clause
 * test_node_change.c - another node takes the place of this one
 *
 * The real stack; the peer is the same before and after, so what still reaches
 * it by the new stack is told from what ended with the old one.
 */
#include "real_stack.h"

#include "host_fixture.h"

static struct ts_node second;

/* What the engine does: a new node with a stack of its own. */
static void change_node(struct fixture *f, void *ctx)
{
	static const struct stack_ops ops = {.output = output_ours,
					     .inbound_syn = our_syn,
					     .syn_gone = our_syn_gone};
	struct stack *old = net.side[0];
	struct ts_ip v4 = f->node.own_v4, v6 = f->node.own_v6;

	(void)ctx;
	second = f->node;
	second.stack = stack_new(&ops, NULL, ts_loop_now_ms(f->loop));
	if (!second.stack)
		abort();
	stack_set_addrs(second.stack, &v4, &v6);
	ts_host_leave_node(ts_host_first(f->host));
	net_drain(); /* the peer hears of resets */
	ts_host_enter_node(ts_host_first(f->host), &second);
	net.side[0] = second.stack;
	stack_free(old);
}

static void echo(int fd, const char *text)
{
	char got[16];

	send_all(fd, text, strlen(text));
	receive_all(fd, got, strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

static void connections_are_reset_and_new_ones_are_made(void **state)
{
	struct program_conn before, after;
	struct fixture f;
	char byte;

	(void)state;
	open_fixture(&f);
	before = program_connect(&f, PEER ":7", false);
	assert_int_equal(before.connect_error, 0);
	echo(before.fd, "before");
	on_loop(&f, change_node, NULL);
	assert_true(wait_for(before.fd, POLLIN) & POLLERR);
	assert_int_equal(recv(before.fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	after = program_connect(&f, PEER ":7", false);
	assert_int_equal(after.connect_error, 0);
	echo(after.fd, "after");
	close(before.fd);
	close(after.fd);
	close_fixture(&f);
}

/* Its address is meant in the old tailnet. */
static void a_connect_that_waits_fails(void **state)
{
	struct ts_host_config config = {.timeout_s = 30};
	struct ts_flow_entry entry;
	struct program_conn c;
	struct fixture f;

	(void)state;
	open_fixture_with(&f, config, TS_STARTING);
	c = program_connect(&f, PEER ":7", true);
	assert_int_equal(c.connect_error, EINPROGRESS);
	on_loop(&f, change_node, NULL);
	assert_true(wait_for(c.fd, POLLOUT));
	entry = entry_of(&f, &c.key);
	assert_int_equal(entry.state, TS_FLOW_FAILED);
	assert_int_equal(entry.error, ENETDOWN);
	close(c.fd);
	close_fixture(&f);
}

static void dial_us(struct fixture *f, void *ctx)
{
	struct ts_addr to = fake_addr(ctx);

	net.host = f->host;
	peer_dials(&to);
}

struct look {
	bool is_up, is_gone;
};

static void look_dialled(struct fixture *f, void *ctx)
{
	struct look *look = ctx;

	(void)f;
	look->is_up = net.dialled.is_up;
	look->is_gone = net.dialled.is_gone;
}

static int take(struct fixture *f, int listener)
{
	struct ts_broker_request accepted = {.type = TS_BROKER_ACCEPTED,
					     .proto = IPPROTO_TCP};
	struct look look = {false, false};
	int fd;

	on_loop(f, dial_us, SELF ":80");
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	assert_true(eventually(f, look_dialled, &look, &look.is_up));
	accepted.native_local = local_of(fd);
	accepted.native_remote = peer_of(fd);
	assert_int_equal(request(f, &accepted, -1).error, 0);
	return fd;
}

static void a_listener_serves_the_new_node(void **state)
{
	struct ts_addr any = {.ip = TS_IP4_ZERO, .port = 8080};
	struct ts_broker_request req = {.type = TS_BROKER_LISTEN,
					.proto = IPPROTO_TCP,
					.native_local = any,
					.tailnet = {TS_IP_ZERO, 80}};
	struct look look = {false, false};
	struct fixture f;
	int listener = new_tcp(false), before, after;

	(void)state;
	open_fixture(&f);
	assert_int_equal(bind_to(listener, &any), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(request(&f, &req, -1).error, 0);
	before = take(&f, listener);
	on_loop(&f, change_node, NULL);
	assert_true(eventually(&f, look_dialled, &look, &look.is_gone));
	assert_true(wait_for(before, POLLIN) & POLLERR);
	after = take(&f, listener);
	close(before);
	close(after);
	close(listener);
	close_fixture(&f);
}

/* One that is in the listener's queue, and not accepted yet. */
static void what_waits_to_be_accepted_ends(void **state)
{
	struct ts_addr any = {.ip = TS_IP4_ZERO, .port = 8080};
	struct ts_broker_request req = {.type = TS_BROKER_LISTEN,
					.proto = IPPROTO_TCP,
					.native_local = any,
					.tailnet = {TS_IP_ZERO, 80}};
	struct look look = {false, false};
	struct fixture f;
	int listener = new_tcp(false), fd;
	char byte;

	(void)state;
	open_fixture(&f);
	assert_int_equal(bind_to(listener, &any), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(request(&f, &req, -1).error, 0);
	on_loop(&f, dial_us, SELF ":80");
	assert_true(eventually(&f, look_dialled, &look, &look.is_up));
	on_loop(&f, change_node, NULL);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	fd = take(&f, listener);
	close(fd);
	close(listener);
	close_fixture(&f);
}

/* -- datagrams ------------------------------------------------------------ */

static struct stack_udp *peer_udp;

static void open_peer_udp(struct fixture *f, void *ctx)
{
	struct ts_addr at = {.port = 8};
	int err;

	(void)f;
	(void)ctx;
	peer_udp = stack_udp_open(net.side[1], &at, NULL, NULL, &err);
	if (!peer_udp)
		abort();
}

static void peer_sends(struct fixture *f, void *ctx)
{
	struct ts_addr to = fake_addr(SELF ":5353");

	(void)f;
	stack_udp_send(peer_udp, &to, ctx, strlen(ctx));
	net_drain();
}

static void expect_datagram(int fd, const char *text)
{
	char got[16] = "";

	assert_true(wait_for(fd, POLLIN) & POLLIN);
	assert_int_equal(recv(fd, got, sizeof(got) - 1, 0), strlen(text));
	assert_string_equal(got, text);
}

static void a_bound_datagram_socket_serves_the_new_node(void **state)
{
	struct ts_addr at = fake_addr("0.0.0.0:5353");
	struct ts_broker_request req = {.type = TS_BROKER_LISTEN,
					.proto = IPPROTO_UDP,
					.native_local = at,
					.tailnet = {TS_IP_ZERO, 5353}};
	struct fixture f;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	open_fixture(&f);
	on_loop(&f, open_peer_udp, NULL);
	assert_int_equal(bind_to(fd, &at), 0);
	assert_int_equal(request(&f, &req, -1).error, 0);
	on_loop(&f, peer_sends, (void *)(uintptr_t)"before");
	expect_datagram(fd, "before");
	on_loop(&f, change_node, NULL);
	on_loop(&f, peer_sends, (void *)(uintptr_t)"after");
	expect_datagram(fd, "after");
	close(fd);
	close_fixture(&f);
}

/* Who is meant by the address is another one now, or nobody. */
static void a_connected_datagram_socket_gets_an_error(void **state)
{
	struct ts_broker_request req = {.type = TS_BROKER_CONNECT,
					.proto = IPPROTO_UDP,
					.tailnet = fake_addr(PEER ":8")};
	struct ts_broker_reply rep;
	struct fixture f;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	open_fixture(&f);
	rep = request(&f, &req, fd);
	assert_int_equal(rep.error, 0);
	assert_int_equal(connect_to(fd, &rep.native), 0);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	on_loop(&f, change_node, NULL);
	(void)send(fd, "x", 1, MSG_NOSIGNAL);
	assert_true(wait_for(fd, POLLIN) & POLLERR);
	assert_int_equal(so_error(fd), ECONNREFUSED);
	/* Asked for anew, the far end is the new node's. */
	rep = request(&f, &req, fd);
	assert_int_equal(rep.error, 0);
	assert_int_equal(connect_to(fd, &rep.native), 0);
	assert_int_equal(send(fd, "x", 1, 0), 1);
	close(fd);
	close_fixture(&f);
}

static void it_can_change_again_and_again(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f);
	for (int i = 0; i < 20; i++) {
		struct program_conn c = program_connect(&f, PEER ":7", false);

		assert_int_equal(c.connect_error, 0);
		echo(c.fd, "again");
		on_loop(&f, change_node, NULL);
		close(c.fd);
	}
	close_fixture(&f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(connections_are_reset_and_new_ones_are_made),
	cmocka_unit_test(a_connect_that_waits_fails),
	cmocka_unit_test(a_listener_serves_the_new_node),
	cmocka_unit_test(what_waits_to_be_accepted_ends),
	cmocka_unit_test(a_bound_datagram_socket_serves_the_new_node),
	cmocka_unit_test(a_connected_datagram_socket_gets_an_error),
	cmocka_unit_test(it_can_change_again_and_again),
};

RUN_IN_EMPTY_NET(tests)
