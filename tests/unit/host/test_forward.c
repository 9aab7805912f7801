/* SPDX-License-Identifier: BSD-3-Clause
 * test_forward.c - a peer reaches hosts behind us
 *
 * The network behind us is 10.0.0.0/8, and stands for this namespace's
 * loopback: the test's main thread is the host there.
 */
#include "real_stack.h"

#include "host_fixture.h"

static struct ts_addr behind(uint16_t port)
{
	return (struct ts_addr){fake_ip("10.0.0.1"), port};
}

static int listen_there(uint16_t *port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(0x7f000001)};
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	*port = ntohs(sa.sin_port);
	return fd;
}

static void set_host(struct fixture *f, void *ctx)
{
	(void)ctx;
	net.host = f->host;
	f->node.peer.id = 2;
}

static void dial(struct fixture *f, void *ctx)
{
	(void)f;
	peer_dials(ctx);
}

static void look_up(struct fixture *f, void *ctx)
{
	(void)f;
	*(bool *)ctx = net.dialled.is_up;
}

static void look_gone(struct fixture *f, void *ctx)
{
	(void)f;
	*(bool *)ctx = net.dialled.is_gone;
}

static void send_text(struct fixture *f, void *ctx)
{
	(void)f;
	stack_tcp_write(net.dialled.t, ctx, strlen(ctx));
	stack_tcp_flush(net.dialled.t);
}

static void finish(struct fixture *f, void *ctx)
{
	(void)f, (void)ctx;
	stack_tcp_shutdown_write(net.dialled.t);
}

static void look_eof(struct fixture *f, void *ctx)
{
	(void)f;
	*(bool *)ctx = net.dialled.saw_eof;
}

static void a_connection_is_made_there_first(void **state)
{
	struct fixture f;
	struct ts_addr to;
	uint16_t port;
	int fd = listen_there(&port), conn;
	bool is = false;
	char buf[8] = "";

	(void)state;
	open_fixture(&f);
	on_loop(&f, set_host, NULL);
	to = behind(port);
	on_loop(&f, dial, &to);
	conn = accept(fd, NULL, NULL);
	assert_true(conn >= 0);
	assert_true(eventually(&f, look_up, &is, &is));
	on_loop(&f, send_text, "hello");
	assert_int_equal(recv(conn, buf, 5, MSG_WAITALL), 5);
	assert_string_equal(buf, "hello");
	/* Both ends in order. */
	on_loop(&f, finish, NULL);
	assert_int_equal(recv(conn, buf, 1, 0), 0);
	close(conn);
	is = false;
	assert_true(eventually(&f, look_eof, &is, &is));
	close(fd);
	close_fixture(&f);
}

static void refused_there_is_refused_here(void **state)
{
	struct ts_addr to = behind(9);
	struct fixture f;
	bool is = false;

	(void)state;
	open_fixture(&f);
	on_loop(&f, set_host, NULL);
	on_loop(&f, dial, &to);
	assert_true(eventually(&f, look_gone, &is, &is));
	assert_int_equal(net.dialled.err, -ECONNREFUSED);
	close_fixture(&f);
}

/* -- datagrams ------------------------------------------------------------ */

static struct {
	struct stack_udp *udp;
	struct ts_addr from;
	char data[64];
	size_t count;
	int err;
} peer_udp;

static void on_datagram(void *user, const struct ts_addr *from,
			const struct ts_addr *to, const uint8_t *data,
			size_t len)
{
	(void)user, (void)to;
	peer_udp.from = *from;
	peer_udp.count++;
	memcpy(peer_udp.data, data, len < 63 ? len : 63);
}

static void on_udp_error(void *user, const struct ts_addr *remote, int err)
{
	(void)user, (void)remote;
	peer_udp.err = err;
}

static void send_there(struct fixture *f, void *ctx)
{
	const struct ts_addr any = {.port = 0};
	int err;

	(void)f;
	if (!peer_udp.udp) {
		peer_udp.udp = stack_udp_open(net.side[1], &any, on_datagram,
					      NULL, &err);
		stack_udp_set_error(peer_udp.udp, on_udp_error);
	}
	stack_udp_send(peer_udp.udp, ctx, "ping", 4);
}

static void look_answer(struct fixture *f, void *ctx)
{
	(void)f;
	*(bool *)ctx = peer_udp.count > 0 || peer_udp.err != 0;
}

static void a_datagram_and_its_answer(void **state)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(0x7f000001)};
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct fixture f;
	struct ts_addr to;
	bool is = false;
	char buf[8] = "";

	(void)state;
	memset(&peer_udp, 0, sizeof(peer_udp));
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	open_fixture(&f);
	on_loop(&f, set_host, NULL);
	to = behind(ntohs(sa.sin_port));
	on_loop(&f, send_there, &to);
	assert_int_equal(recvfrom(fd, buf, sizeof(buf), 0,
				  (struct sockaddr *)&sa, &len), 4);
	sendto(fd, "pong", 4, 0, (struct sockaddr *)&sa, len);
	assert_true(eventually(&f, look_answer, &is, &is));
	assert_string_equal(peer_udp.data, "pong");
	assert_true(ts_addr_equal(&peer_udp.from, &to));
	close(fd);
	close_fixture(&f);
}

static void a_closed_port_is_an_error_to_the_peer(void **state)
{
	struct ts_addr to = behind(9);
	struct fixture f;
	bool is = false;

	(void)state;
	memset(&peer_udp, 0, sizeof(peer_udp));
	open_fixture(&f);
	on_loop(&f, set_host, NULL);
	on_loop(&f, send_there, &to);
	assert_true(eventually(&f, look_answer, &is, &is));
	assert_int_equal(peer_udp.err, -ECONNREFUSED);
	close_fixture(&f);
}

/* -- echoes --------------------------------------------------------------- */

static struct {
	struct stack_echo *echo;
	size_t count;
	uint16_t seq;
} peer_echo;

static void on_echo(void *user, const struct ts_ip *from, uint16_t seq,
		    const uint8_t *data, size_t len)
{
	struct ts_ip there = fake_ip("10.0.0.1");

	(void)user;
	if (ts_ip_equal(from, &there) && len == 4 &&
	    memcmp(data, "ping", 4) == 0)
		peer_echo.count++;
	peer_echo.seq = seq;
}

static void ping_there(struct fixture *f, void *ctx)
{
	struct ts_ip there = fake_ip("10.0.0.1");
	int err;

	(void)f, (void)ctx;
	peer_echo.echo = stack_echo_open(net.side[1], on_echo, NULL, NULL,
					 &err);
	stack_echo_send(peer_echo.echo, &there, 77, "ping", 4);
}

static void look_echo(struct fixture *f, void *ctx)
{
	(void)f;
	*(bool *)ctx = peer_echo.count > 0;
}

static void an_echo_of_a_host_there(void **state)
{
	struct fixture f;
	bool is = false;

	(void)state;
	memset(&peer_echo, 0, sizeof(peer_echo));
	open_fixture(&f);
	on_loop(&f, set_host, NULL);
	on_loop(&f, ping_there, NULL);
	assert_true(eventually(&f, look_echo, &is, &is));
	assert_int_equal(peer_echo.seq, 77);
	close_fixture(&f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_connection_is_made_there_first),
	cmocka_unit_test(refused_there_is_refused_here),
	cmocka_unit_test(a_datagram_and_its_answer),
	cmocka_unit_test(a_closed_port_is_an_error_to_the_peer),
	cmocka_unit_test(an_echo_of_a_host_there),
};

RUN_IN_EMPTY_NET(tests)
