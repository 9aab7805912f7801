/* SPDX-License-Identifier: BSD-3-Clause
 * test_datagram.c - datagrams between programs and a peer, by the real stack
 */
#include "real_stack.h"

#include "host_fixture.h"

#include <linux/errqueue.h>
#include <netinet/udp.h>

#include "core/host/app_datagram.h"

enum { ECHO_PORT = 7, SINK_PORT = 8, LARGE = 60000 }; /* 9 is closed */

/* -- the peer ------------------------------------------------------------- */

/* What reached the peer at SINK_PORT, and what came back as an error. */
static struct {
	struct stack_udp *echo, *sink;
	struct ts_addr from;
	size_t len;
	int count, errors, last_error;
	uint8_t data[65536];
} peer;

static void peer_echo(void *user, const struct ts_addr *from,
		      const struct ts_addr *to, const uint8_t *data, size_t len)
{
	(void)user;
	(void)to;
	stack_udp_send(peer.echo, from, data, len);
}

static void peer_sink(void *user, const struct ts_addr *from,
		      const struct ts_addr *to, const uint8_t *data, size_t len)
{
	(void)user;
	(void)to;
	peer.from = *from;
	peer.len = len;
	peer.count++;
	memcpy(peer.data, data, len);
}

static void peer_error(void *user, const struct ts_addr *remote, int err)
{
	(void)user;
	(void)remote;
	peer.errors++;
	peer.last_error = err;
}

static void open_peer(struct fixture *f, void *ctx)
{
	struct ts_addr at = {.port = ECHO_PORT};
	int err;

	(void)f;
	(void)ctx;
	memset(&peer, 0, sizeof(peer));
	peer.echo = stack_udp_open(net.side[1], &at, peer_echo, NULL, &err);
	at.port = SINK_PORT;
	peer.sink = stack_udp_open(net.side[1], &at, peer_sink, NULL, &err);
	if (!peer.echo || !peer.sink)
		abort();
	stack_udp_set_error(peer.sink, peer_error);
}

static void open_tailnet(struct fixture *f)
{
	open_fixture(f);
	on_loop(f, open_peer, NULL);
}

struct peer_send {
	struct ts_addr to;
	const void *data;
	size_t len;
	int count;
};

static void peer_sends(struct fixture *f, void *ctx)
{
	struct peer_send *send = ctx;

	(void)f;
	for (int i = 0; i < send->count; i++)
		stack_udp_send(peer.sink, &send->to, send->data, send->len);
	net_drain();
}

/* What the peer's thread sees, for the test's. */
struct seen_count {
	int want;
	bool is_there;
};

static void look_count(struct fixture *f, void *ctx)
{
	struct seen_count *seen = ctx;

	(void)f;
	seen->is_there = peer.count >= seen->want;
}

static void look_error(struct fixture *f, void *ctx)
{
	struct seen_count *seen = ctx;

	(void)f;
	seen->is_there = peer.errors >= seen->want;
}

static void await_count(struct fixture *f, int want)
{
	struct seen_count seen = {.want = want};

	assert_true(eventually(f, look_count, &seen, &seen.is_there));
}

/* -- the program ---------------------------------------------------------- */

static int udp_at(const char *addr, struct ts_addr *native)
{
	struct ts_addr at = fake_addr(addr);
	int fd = socket(ts_addr_family(&at), SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind_to(fd, &at), 0);
	*native = local_of(fd);
	return fd;
}

static struct ts_broker_reply ask(struct fixture *f, uint8_t type,
				  uint8_t flags, const struct ts_addr *native,
				  const char *to, int pass_fd)
{
	struct ts_broker_request req = {.type = type, .proto = IPPROTO_UDP,
					.flags = flags,
					.native_local = *native,
					.tailnet = fake_addr(to)};

	return request(f, &req, pass_fd);
}

static struct ts_broker_reply say_send(struct fixture *f,
				       const struct ts_addr *native,
				       const char *to)
{
	struct ts_broker_reply rep = ask(f, TS_BROKER_SEND, 0, native, to,
					 socket_named(SOCK_DGRAM, native));

	assert_int_equal(rep.error, 0);
	return rep;
}

static int say_listen(struct fixture *f, const char *tailnet,
		      const struct ts_addr *native)
{
	return ask(f, TS_BROKER_LISTEN, 0, native, tailnet, -1).error;
}

static ssize_t send_at(int fd, const struct ts_addr *to, const void *data,
		       size_t len)
{
	struct sockaddr_storage ss;
	int ss_len = ts_addr_to_sockaddr(to, ts_addr_family(to), &ss);

	return sendto(fd, data, len, 0, (struct sockaddr *)&ss,
		      (socklen_t)ss_len);
}

/* The datagram's length; fails when none comes. */
static ssize_t receive_from(int fd, void *out, size_t cap, struct ts_addr *from)
{
	struct sockaddr_storage ss;
	socklen_t ss_len = sizeof(ss);
	ssize_t len;

	assert_true(wait_for(fd, POLLIN) & POLLIN);
	len = recvfrom(fd, out, cap, 0, (struct sockaddr *)&ss, &ss_len);
	assert_true(len >= 0);
	assert_int_equal(ts_addr_from_sockaddr((struct sockaddr *)&ss, ss_len,
					       from), 0);
	return len;
}

static struct ts_flow_entry datagram_entry(struct fixture *f,
					   const struct ts_addr *virtual)
{
	struct ts_flow_key key = {.proto = IPPROTO_UDP, .remote = *virtual};

	return entry_of(f, &key);
}

/* The program's socket works with the echo at `to`. */
static void check_echo(int fd, const struct ts_addr *to, const void *data,
		       size_t len)
{
	uint8_t *got = malloc(65536);
	struct ts_addr from;

	assert_non_null(got);
	assert_int_equal(send_at(fd, to, data, len), len);
	assert_int_equal(receive_from(fd, got, 65536, &from), len);
	assert_memory_equal(got, data, len);
	assert_true(ts_addr_equal(&from, to));
	free(got);
}

/* CONNECT and connect; the host's socket. */
static int program_connects(struct fixture *f, const char *to,
			    struct ts_broker_reply *rep)
{
	const struct ts_addr unbound = {.port = 0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	*rep = ask(f, TS_BROKER_CONNECT, 0, &unbound, to, fd);
	assert_int_equal(rep->error, 0);
	assert_int_equal(connect_to(fd, &rep->native), 0);
	return fd;
}

/* -- unconnected sockets -------------------------------------------------- */

static void a_datagram_goes_out_and_its_answer_comes_back(void **state)
{
	static const char *const to[] = {PEER ":7", "[fd7a:115c:a1e0::2]:7"};
	static const char *const own[] = {SELF, "fd7a:115c:a1e0::1"};
	struct fixture f;

	(void)state;
	open_tailnet(&f);
	for (int i = 0; i < 2; i++) {
		struct ts_addr native, peer_addr = fake_addr(to[i]);
		int fd = udp_at("0.0.0.0:0", &native);
		struct ts_broker_reply rep = say_send(&f, &native, to[i]);
		struct ts_flow_entry entry = datagram_entry(&f, &rep.native);
		struct ts_flow_key key = {.proto = IPPROTO_UDP,
					  .local = native,
					  .remote = peer_addr};
		struct ts_ip own_ip = fake_ip(own[i]);

		assert_int_equal(rep.native.port, f.info.datagram_port);
		assert_true(ts_ip_is_loopback(&rep.native.ip));
		assert_int_equal(entry.kind, TS_FLOW_DATAGRAM);
		assert_true(ts_addr_equal(&entry.tailnet_remote, &peer_addr));
		assert_true(ts_ip_equal(&entry.tailnet_local.ip, &own_ip));
		assert_int_equal(entry.tailnet_local.port, native.port);
		entry = entry_of(&f, &key);
		assert_int_equal(entry.kind, TS_FLOW_SEND);
		assert_true(ts_addr_equal(&entry.tailnet_remote, &rep.native));
		check_echo(fd, &rep.native, "hello", 5);
		check_echo(fd, &rep.native, "", 0);
		close(fd);
	}
	close_fixture(&f);
}

static void the_same_remote_end_is_one_flow(void **state)
{
	struct ts_broker_reply first, again, dual;
	struct ts_addr native, twin = {.port = 0};
	const int on = 1;
	struct fixture f;
	int fd, fd6;

	(void)state;
	open_tailnet(&f);
	fd = udp_at("0.0.0.0:0", &native);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	first = say_send(&f, &native, PEER ":7");
	again = say_send(&f, &native, PEER ":7");
	assert_true(ts_addr_equal(&first.native, &again.native));
	again = say_send(&f, &native, PEER ":8");
	assert_false(ts_addr_equal(&first.native, &again.native));
	/* how a dual-stack socket is named */
	fd6 = socket(AF_INET6, SOCK_DGRAM, 0);
	setsockopt(fd6, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	twin.port = native.port;
	assert_int_equal(bind_to(fd6, &twin), 0);
	dual = say_send(&f, &twin, PEER ":7");
	assert_true(ts_addr_equal(&first.native, &dual.native));
	close(fd);
	close(fd6);
	close_fixture(&f);
}

static void large_datagrams_are_carried_both_ways(void **state)
{
	uint8_t *data = malloc(LARGE);
	struct ts_broker_reply rep;
	struct ts_addr native;
	struct fixture f;
	int fd;

	(void)state;
	assert_non_null(data);
	ts_random_bytes(data, LARGE);
	open_tailnet(&f);
	fd = udp_at("0.0.0.0:0", &native);
	rep = say_send(&f, &native, PEER ":7");
	for (size_t len = 1200; len <= LARGE; len += 14700)
		check_echo(fd, &rep.native, data, len);
	close(fd);
	close_fixture(&f);
	free(data);
}

static void a_bundle_of_the_program_is_taken_apart(void **state)
{
	const int each = 1000;
	struct ts_broker_reply rep;
	struct ts_addr native;
	struct fixture f;
	uint8_t data[5500];
	int fd;

	(void)state;
	open_tailnet(&f);
	fd = udp_at("0.0.0.0:0", &native);
	rep = say_send(&f, &native, PEER ":8");
	assert_int_equal(setsockopt(fd, SOL_UDP, UDP_SEGMENT, &each,
				    sizeof(each)), 0);
	memset(data, 'x', sizeof(data));
	assert_int_equal(send_at(fd, &rep.native, data, sizeof(data)),
			 sizeof(data));
	await_count(&f, 6);
	assert_int_equal(peer.count, 6);
	assert_int_equal(peer.len, 500);
	assert_int_equal(peer.from.port, native.port);
	close(fd);
	close_fixture(&f);
}

static void a_burst_reaches_the_program_one_by_one(void **state)
{
	struct peer_send burst = {
		.data = "0123456789", .len = 10, .count = 200};
	struct ts_addr native, from;
	struct ts_broker_reply rep;
	struct fixture f;
	uint8_t got[64];
	int fd;

	(void)state;
	open_tailnet(&f);
	fd = udp_at("0.0.0.0:0", &native);
	rep = say_send(&f, &native, PEER ":8");
	burst.to = fake_addr(SELF ":1");
	burst.to.port = native.port;
	on_loop(&f, peer_sends, &burst);
	for (int i = 0; i < burst.count; i++) {
		assert_int_equal(receive_from(fd, got, sizeof(got), &from), 10);
		assert_true(ts_addr_equal(&from, &rep.native));
	}
	close(fd);
	close_fixture(&f);
}

static void strangers_are_not_carried(void **state)
{
	struct ts_addr native, other, unknown;
	struct ts_broker_reply rep, connected;
	struct fixture f;
	int fd, stranger, conn;

	(void)state;
	open_tailnet(&f);
	fd = udp_at("0.0.0.0:0", &native);
	stranger = udp_at("127.0.0.1:0", &other);
	rep = say_send(&f, &native, PEER ":8");
	conn = program_connects(&f, PEER ":8", &connected);
	unknown = random_loopback(f.info.datagram_port);
	assert_int_equal(send_at(stranger, &rep.native, "no", 2), 2);
	assert_int_equal(send_at(stranger, &connected.native, "no", 2), 2);
	assert_int_equal(send_at(fd, &unknown, "no", 2), 2);
	assert_int_equal(send_at(fd, &rep.native, "yes", 3), 3);
	assert_int_equal(send(conn, "yes", 3, 0), 3);
	await_count(&f, 2);
	assert_int_equal(peer.count, 2);
	assert_memory_equal(peer.data, "yes", 3);
	close(fd);
	close(conn);
	close(stranger);
	close_fixture(&f);
}

static void nobody_there_is_an_error(void **state)
{
	struct ts_addr native, none = {.port = 0};
	struct fixture f;
	int fd = udp_at("0.0.0.0:0", &native);
	int tcp = new_tcp(false);

	(void)state;
	open_tailnet(&f);
	assert_int_equal(ask(&f, TS_BROKER_SEND, 0, &native, "100.64.0.9:7",
			     fd).error, EHOSTUNREACH);
	assert_int_equal(ask(&f, TS_BROKER_SEND, 0, &native, "192.0.2.1:7",
			     fd).error, ENETUNREACH);
	assert_int_equal(ask(&f, TS_BROKER_CONNECT, 0, &none, "100.64.0.9:7",
			     fd).error, EHOSTUNREACH);
	assert_int_equal(ask(&f, TS_BROKER_CONNECT, 0, &none, PEER ":7",
			     -1).error, ENOBUFS);
	assert_int_equal(ask(&f, TS_BROKER_CONNECT, 0, &none, PEER ":7",
			     tcp).error, EINVAL);
	assert_int_equal(ask(&f, TS_BROKER_SEND, 0, &native, PEER ":0",
			     fd).error, EINVAL);
	assert_int_equal(ask(&f, TS_BROKER_SEND, 0, &none, PEER ":7",
			     -1).error, EINVAL);
	assert_int_equal(ask(&f, TS_BROKER_SEND, TS_BROKER_DEDICATED, &native,
			     PEER ":7", -1).error, ENOBUFS);
	close(fd);
	close(tcp);
	close_fixture(&f);
}

/* -- connected sockets ---------------------------------------------------- */

static void a_connected_socket_has_a_flow_of_its_own(void **state)
{
	struct ts_addr peer_addr = fake_addr(PEER ":7"), own;
	struct ts_flow_entry entry;
	struct ts_broker_reply rep;
	struct fixture f;
	char got[8];
	int fd;

	(void)state;
	open_tailnet(&f);
	fd = program_connects(&f, PEER ":7", &rep);
	entry = datagram_entry(&f, &rep.native);
	own = fake_addr(SELF ":1");
	assert_int_not_equal(rep.native.port, f.info.datagram_port);
	assert_int_equal(entry.kind, TS_FLOW_DATAGRAM);
	assert_true(ts_addr_equal(&entry.tailnet_remote, &peer_addr));
	assert_true(ts_ip_equal(&entry.tailnet_local.ip, &own.ip));
	assert_int_not_equal(entry.tailnet_local.port, 0);
	assert_true(ts_addr_equal(&rep.tailnet, &entry.tailnet_local));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(send(fd, "ping", 4, 0), 4);
		assert_true(wait_for(fd, POLLIN) & POLLIN);
		assert_int_equal(recv(fd, got, sizeof(got), 0), 4);
	}
	close(fd);
	close_fixture(&f);
}

/* The host has no copy left of its socket, which would keep the port. */
static void a_program_that_chose_its_port_can_have_it_again(void **state)
{
	struct ts_broker_reply rep;
	struct ts_addr native;
	struct fixture f;
	char got[8];
	int fd, same;

	(void)state;
	open_tailnet(&f);
	fd = udp_at("0.0.0.0:5000", &native);
	rep = ask(&f, TS_BROKER_CONNECT, 0, &native, PEER ":7", fd);
	assert_int_equal(rep.error, 0);
	assert_int_equal(rep.tailnet.port, 5000);
	assert_int_equal(connect_to(fd, &rep.native), 0);
	assert_int_equal(send(fd, "ping", 4, 0), 4);
	assert_true(wait_for(fd, POLLIN) & POLLIN);
	assert_int_equal(recv(fd, got, sizeof(got), 0), 4);
	close(fd);
	same = udp_at("0.0.0.0:5000", &native);
	close(same);
	close_fixture(&f);
}

/* A program that has been answered waits again; then the port is closed. */
static void close_echo(struct fixture *f, void *ctx)
{
	(void)f;
	(void)ctx;
	stack_udp_close(peer.echo);
}

static void a_later_refusal_wakes_the_program_too(void **state)
{
	struct ts_broker_reply rep;
	struct fixture f;
	char got[8];
	int fd;

	(void)state;
	open_tailnet(&f);
	fd = program_connects(&f, PEER ":7", &rep);
	assert_int_equal(send(fd, "ping", 4, 0), 4);
	assert_int_equal(recv(fd, got, sizeof(got), 0), 4);
	on_loop(&f, close_echo, NULL);
	assert_int_equal(send(fd, "ping", 4, 0), 4);
	assert_int_equal(recv(fd, got, sizeof(got), 0), -1);
	assert_int_equal(errno, ECONNREFUSED);
	close(fd);
	close_fixture(&f);
}

static void a_socket_that_connects_again_has_one_flow(void **state)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct ts_broker_reply first, second;
	const struct ts_addr unbound = {.port = 0};
	struct ts_addr probe;
	struct fixture f;
	char got[8];
	int fd, other;

	(void)state;
	open_tailnet(&f);
	fd = program_connects(&f, PEER ":8", &first);
	assert_int_equal(connect(fd, &none, sizeof(none)), 0);
	second = ask(&f, TS_BROKER_CONNECT, 0, &unbound, PEER ":7", fd);
	assert_int_equal(second.error, 0);
	assert_int_equal(connect_to(fd, &second.native), 0);
	assert_int_equal(send(fd, "ping", 4, 0), 4);
	assert_true(wait_for(fd, POLLIN) & POLLIN);
	assert_int_equal(recv(fd, got, sizeof(got), 0), 4);
	/* The first one's address is free again. */
	other = socket(AF_INET, SOCK_DGRAM, 0);
	probe = first.native;
	assert_int_equal(bind_to(other, &probe), 0);
	close(other);
	close(fd);
	close_fixture(&f);
}

/* The kernel forgets whom the socket was connected to, and we do not have to
 * know by then whose datagrams these are. */
static void what_was_sent_before_a_disconnect_is_taken_in(void **state)
{
	enum { TIMES = 100 };
	const struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct ts_broker_reply rep;
	struct ts_addr gone;
	struct fixture f;
	int other;

	(void)state;
	open_tailnet(&f);
	for (int i = 0; i < TIMES; i++) {
		int fd = program_connects(&f, PEER ":8", &rep);

		assert_int_equal(send(fd, "one", 3, 0), 3);
		assert_int_equal(send(fd, "two", 3, 0), 3);
		gone = rep.native;
		rep = ask(&f, TS_BROKER_CONNECT, 0, &rep.native, "0.0.0.0:0",
			  fd);
		assert_int_equal(rep.error, 0);
		assert_int_equal(connect(fd, &none, sizeof(none)), 0);
		close(fd);
	}
	await_count(&f, 2 * TIMES);
	/* and the flow is over */
	other = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind_to(other, &gone), 0);
	close(other);
	close_fixture(&f);
}

static void a_refusal_wakes_a_connected_program(void **state)
{
	struct ts_broker_reply rep;
	struct fixture f;
	char got[8];
	int fd;

	(void)state;
	open_tailnet(&f);
	fd = program_connects(&f, PEER ":9", &rep);
	for (int i = 0; i < 3; i++) {
		/* An earlier refusal's door may be shut for a moment. */
		while (send(fd, "anybody?", 8, 0) < 0)
			assert_int_equal(errno, ECONNREFUSED);
		assert_int_equal(recv(fd, got, sizeof(got), 0), -1);
		assert_int_equal(errno, ECONNREFUSED);
	}
	close(fd);
	close_fixture(&f);
}

static void a_refusal_reaches_the_error_queue(void **state)
{
	char control[512], data[64];
	struct iovec iov = {data, sizeof(data)};
	struct sockaddr_storage name;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control),
			     .msg_name = &name, .msg_namelen = sizeof(name)};
	const int on = 1;
	struct ts_addr native, about;
	struct ts_broker_reply rep;
	struct fixture f;
	int fd;

	(void)state;
	open_tailnet(&f);
	fd = udp_at("0.0.0.0:0", &native);
	setsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
	rep = ask(&f, TS_BROKER_SEND, TS_BROKER_DEDICATED, &native, PEER ":9",
		  fd);
	assert_int_equal(rep.error, 0);
	assert_int_not_equal(rep.native.port, f.info.datagram_port);
	assert_int_equal(send_at(fd, &rep.native, "x", 1), 1);
	assert_true(wait_for(fd, 0) & POLLERR);
	assert_true(recvmsg(fd, &msg, MSG_ERRQUEUE) >= 0);
	assert_int_equal(ts_addr_from_sockaddr((struct sockaddr *)&name,
					       msg.msg_namelen, &about), 0);
	assert_true(ts_addr_equal(&about, &rep.native));
	/* and one that is there answers as ever */
	rep = ask(&f, TS_BROKER_SEND, TS_BROKER_DEDICATED, &native, PEER ":7",
		  fd);
	(void)so_error(fd);
	check_echo(fd, &rep.native, "hello", 5);
	close(fd);
	close_fixture(&f);
}

/* -- being reached -------------------------------------------------------- */

static void a_registered_port_is_reached_and_answers_from_it(void **state)
{
	struct peer_send hello = {.data = "hello", .len = 5, .count = 1};
	struct ts_addr native, from, peer_addr = fake_addr(PEER ":8");
	struct ts_flow_entry entry;
	struct ts_broker_reply rep;
	struct fixture f;
	char got[16];
	int fd;

	(void)state;
	open_tailnet(&f);
	fd = udp_at("0.0.0.0:5353", &native);
	assert_int_equal(say_listen(&f, "[::]:5353", &native), 0);
	hello.to = fake_addr(SELF ":5353");
	on_loop(&f, peer_sends, &hello);
	assert_int_equal(receive_from(fd, got, sizeof(got), &from), 5);
	entry = datagram_entry(&f, &from);
	assert_true(ts_addr_equal(&entry.tailnet_remote, &peer_addr));
	assert_int_equal(entry.tailnet_local.port, 5353);
	rep = say_send(&f, &native, PEER ":8");
	assert_true(ts_addr_equal(&rep.native, &from));
	assert_int_equal(send_at(fd, &from, "hi", 2), 2);
	await_count(&f, 1);
	assert_int_equal(peer.from.port, 5353);
	close(fd);
	close_fixture(&f);
}

static void a_closed_program_is_a_closed_port(void **state)
{
	struct peer_send hello = {.data = "hello", .len = 5, .count = 1};
	struct seen_count seen = {.want = 1};
	struct ts_addr native, from;
	struct fixture f;
	char got[16];
	int fd;

	(void)state;
	open_tailnet(&f);
	fd = udp_at("0.0.0.0:5353", &native);
	assert_int_equal(say_listen(&f, "[::]:5353", &native), 0);
	hello.to = fake_addr(SELF ":5353");
	on_loop(&f, peer_sends, &hello);
	receive_from(fd, got, sizeof(got), &from);
	close(fd);
	on_loop(&f, peer_sends, &hello);
	assert_true(eventually(&f, look_error, &seen, &seen.is_there));
	assert_int_equal(peer.last_error, -ECONNREFUSED);
	/* and nobody's from then on */
	seen.want = 2;
	on_loop(&f, peer_sends, &hello);
	assert_true(eventually(&f, look_error, &seen, &seen.is_there));
	/* a port that was never anybody's */
	seen.want = 3;
	hello.to.port = 5354;
	on_loop(&f, peer_sends, &hello);
	assert_true(eventually(&f, look_error, &seen, &seen.is_there));
	close_fixture(&f);
}

static void a_connected_socket_comes_before_the_port(void **state)
{
	struct peer_send hello = {.data = "hello", .len = 5, .count = 1};
	struct ts_addr native, from, any;
	const int on = 1;
	struct ts_broker_reply rep;
	struct fixture f;
	char got[16];
	int fd, next;

	(void)state;
	open_tailnet(&f);
	any = fake_addr("0.0.0.0:5201");
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind_to(fd, &any), 0);
	native = local_of(fd);
	assert_int_equal(say_listen(&f, "[::]:5201", &native), 0);
	hello.to = fake_addr(SELF ":5201");
	on_loop(&f, peer_sends, &hello);
	receive_from(fd, got, sizeof(got), &from);
	/* as iperf3 does: connect to the sender, a new socket for the next */
	rep = ask(&f, TS_BROKER_CONNECT, 0, &native, PEER ":8", fd);
	assert_int_equal(rep.error, 0);
	assert_int_equal(rep.tailnet.port, 5201);
	assert_int_equal(connect_to(fd, &rep.native), 0);
	next = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(next, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind_to(next, &any), 0);
	assert_int_equal(say_listen(&f, "[::]:5201", &native), 0);
	on_loop(&f, peer_sends, &hello);
	assert_int_equal(receive_from(fd, got, sizeof(got), &from), 5);
	assert_true(ts_addr_equal(&from, &rep.native));
	assert_int_equal(recv(next, got, sizeof(got), MSG_DONTWAIT), -1);
	close(fd);
	close(next);
	close_fixture(&f);
}

static void bind_takes_an_address_of_ours(void **state)
{
	struct peer_send hello = {.data = "hello", .len = 5, .count = 1};
	struct ts_addr none = {.port = 0}, from;
	struct ts_broker_reply rep, other;
	struct fixture f;
	char got[16];
	int fd, tcp;

	(void)state;
	open_tailnet(&f);
	rep = ask(&f, TS_BROKER_BIND, 0, &none, SELF ":53", -1);
	assert_int_equal(rep.error, 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind_to(fd, &rep.native), 0);
	assert_int_equal(ask(&f, TS_BROKER_BOUND, 0, &rep.native, SELF ":53",
			     fd).error, 0);
	/* TCP's port 53 is another one */
	{
		struct ts_broker_request req = {.type = TS_BROKER_BIND,
						.proto = IPPROTO_TCP,
						.tailnet = fake_addr(SELF
								     ":53")};

		other = request(&f, &req, -1);
	}
	assert_int_equal(other.error, 0);
	tcp = new_tcp(false);
	assert_int_equal(bind_to(tcp, &other.native), 0);
	assert_int_equal(ask(&f, TS_BROKER_BIND, 0, &none, "0.0.0.0:53",
			     -1).error, EADDRINUSE);
	hello.to = fake_addr(SELF ":53");
	on_loop(&f, peer_sends, &hello);
	assert_int_equal(receive_from(fd, got, sizeof(got), &from), 5);
	say_send(&f, &rep.native, PEER ":8");
	assert_int_equal(send_at(fd, &from, "hi", 2), 2);
	await_count(&f, 1);
	assert_int_equal(peer.from.port, 53);
	close(fd);
	close(tcp);
	close_fixture(&f);
}

static void our_own_address_is_another_program_here(void **state)
{
	struct ts_addr server_at, client_at, from,
		own = fake_addr(SELF ":6000");
	struct ts_broker_reply rep, refused;
	struct ts_flow_entry entry;
	struct fixture f;
	char got[16];
	int server, client, conn;

	(void)state;
	open_tailnet(&f);
	server = udp_at("0.0.0.0:6000", &server_at);
	client = udp_at("0.0.0.0:0", &client_at);
	assert_int_equal(say_listen(&f, "[::]:6000", &server_at), 0);
	rep = say_send(&f, &client_at, SELF ":6000");
	assert_int_equal(send_at(client, &rep.native, "hello", 5), 5);
	assert_int_equal(receive_from(server, got, sizeof(got), &from), 5);
	entry = datagram_entry(&f, &from);
	assert_true(ts_ip_equal(&entry.tailnet_remote.ip, &own.ip));
	assert_int_equal(entry.tailnet_remote.port, client_at.port);
	assert_int_equal(send_at(server, &from, "answer", 6), 6);
	assert_int_equal(receive_from(client, got, sizeof(got), &from), 6);
	assert_true(ts_addr_equal(&from, &rep.native));
	/* a port that nobody has */
	conn = program_connects(&f, SELF ":6001", &refused);
	assert_int_equal(send(conn, "x", 1, 0), 1);
	assert_int_equal(recv(conn, got, sizeof(got), 0), -1);
	assert_int_equal(errno, ECONNREFUSED);
	close(server);
	close(client);
	close(conn);
	close_fixture(&f);
}

static void a_socket_of_ipv6_alone_is_served_at_its_loopback(void **state)
{
	const int on = 1;
	struct ts_addr any = {.port = 0}, native;
	struct ts_broker_reply rep;
	struct fixture f;
	int fd;

	(void)state;
	open_tailnet(&f);
	fd = socket(AF_INET6, SOCK_DGRAM, 0);
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	assert_int_equal(bind_to(fd, &any), 0);
	native = local_of(fd);
	rep = ask(&f, TS_BROKER_SEND, TS_BROKER_V6_ONLY, &native,
		  "[fd7a:115c:a1e0::2]:7", fd);
	assert_int_equal(rep.error, 0);
	assert_false(ts_ip_is_v4(&rep.native.ip));
	assert_true(ts_ip_is_loopback(&rep.native.ip));
	check_echo(fd, &rep.native, "hello", 5);
	close(fd);
	close_fixture(&f);
}

/* -- the node comes and goes ---------------------------------------------- */

struct queued {
	size_t want;
	bool is_there;
};

static void look_queued(struct fixture *f, void *ctx)
{
	struct queued *queued = ctx;

	queued->is_there = f->host->dgrams->queued_bytes == queued->want;
}

static void await_queued(struct fixture *f, size_t bytes)
{
	struct queued queued = {.want = bytes};

	assert_true(eventually(f, look_queued, &queued, &queued.is_there));
}

static void come_up(struct fixture *f, void *ctx)
{
	(void)ctx;
	make_self(&f->node);
	f->node.state = TS_RUNNING;
	ts_host_state_changed(f->host);
}

static void datagrams_wait_for_the_node(void **state)
{
	struct ts_host_config config = {.timeout_s = 5};
	struct ts_addr native, from, own = fake_addr(SELF ":1");
	struct ts_broker_reply rep, connected;
	struct ts_flow_entry entry;
	struct fixture f;
	char got[16];
	int fd, conn;

	(void)state;
	open_fixture_with(&f, config, TS_STARTING);
	on_loop(&f, open_peer, NULL);
	fd = udp_at("0.0.0.0:0", &native);
	rep = say_send(&f, &native, PEER ":7");
	conn = program_connects(&f, PEER ":7", &connected);
	for (int i = 0; i < 3; i++)
		assert_int_equal(send_at(fd, &rep.native, "early", 5), 5);
	assert_int_equal(send(conn, "early", 5, 0), 5);
	on_loop(&f, come_up, NULL);
	for (int i = 0; i < 3; i++)
		assert_int_equal(receive_from(fd, got, sizeof(got), &from), 5);
	assert_int_equal(receive_from(conn, got, sizeof(got), &from), 5);
	entry = datagram_entry(&f, &connected.native);
	assert_true(ts_ip_equal(&entry.tailnet_local.ip, &own.ip));
	close(fd);
	close(conn);
	close_fixture(&f);
}

/* What the one sends first reaches the other's flow before that one's turn. */
static void programs_that_wait_hear_of_each_other(void **state)
{
	static const char *const other[] = {SELF ":6011", SELF ":6010"};
	struct ts_host_config config = {.timeout_s = 5};
	struct ts_addr native[2], from;
	struct ts_broker_reply rep[2];
	struct fixture f;
	char got[16];
	int fd[2];

	(void)state;
	open_fixture_with(&f, config, TS_STARTING);
	fd[0] = udp_at("0.0.0.0:6010", &native[0]);
	fd[1] = udp_at("0.0.0.0:6011", &native[1]);
	for (int i = 0; i < 2; i++) {
		rep[i] = say_send(&f, &native[i], other[i]);
		assert_int_equal(send_at(fd[i], &rep[i].native, "early", 5), 5);
	}
	await_queued(&f, 10);
	on_loop(&f, come_up, NULL);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(receive_from(fd[i], got, sizeof(got), &from),
				 5);
		assert_true(ts_addr_equal(&from, &rep[i].native));
		close(fd[i]);
	}
	close_fixture(&f);
}

static void go_down(struct fixture *f, void *ctx)
{
	(void)ctx;
	f->node.state = TS_STOPPED;
	ts_host_state_changed(f->host);
}

static void a_node_that_stopped_takes_no_datagrams(void **state)
{
	struct ts_addr native;
	struct fixture f;
	int fd;

	(void)state;
	open_tailnet(&f);
	fd = udp_at("0.0.0.0:0", &native);
	on_loop(&f, go_down, NULL);
	assert_int_equal(ask(&f, TS_BROKER_SEND, 0, &native, PEER ":7",
			     fd).error, ENETDOWN);
	close(fd);
	close_fixture(&f);
}

/* -- ping ----------------------------------------------------------------- */

static struct ts_broker_reply say_ping(struct fixture *f, uint8_t proto,
				       uint8_t flags,
				       const struct ts_addr *native,
				       const char *to)
{
	struct ts_broker_request req = {.type = TS_BROKER_SEND, .proto = proto,
					.flags = flags,
					.native_local = *native};

	req.tailnet.ip = fake_ip(to);
	return request(f, &req, socket_named(SOCK_DGRAM, native));
}

static void ping_is_answered_with_the_programs_identifier(void **state)
{
	static const uint8_t want[] = {0, 0, 0, 0, 0x12, 0x34, 0, 7,
				       'd', 'a', 't', 'a'};
	uint8_t request_bytes[12], got[64];
	struct ts_addr native, from;
	struct ts_broker_reply rep;
	struct fixture f;
	int fd;

	(void)state;
	open_tailnet(&f);
	fd = udp_at("0.0.0.0:0", &native);
	memcpy(request_bytes, want, sizeof(want));
	request_bytes[0] = 8;
	rep = say_ping(&f, IPPROTO_ICMP, 0, &native, PEER);
	assert_int_equal(rep.error, 0);
	assert_int_equal(send_at(fd, &rep.native, request_bytes, 12), 12);
	assert_int_equal(receive_from(fd, got, sizeof(got), &from), 12);
	assert_true(ts_addr_equal(&from, &rep.native));
	got[2] = got[3] = 0; /* checksum */
	assert_memory_equal(got, want, 12);
	/* SOCK_RAW: with its IP header */
	rep = say_ping(&f, IPPROTO_ICMP, TS_BROKER_RAW, &native, PEER);
	assert_int_equal(send_at(fd, &rep.native, request_bytes, 12), 12);
	assert_int_equal(receive_from(fd, got, sizeof(got), &from), 32);
	assert_int_equal(got[0], 0x45);
	assert_int_equal(got[9], IPPROTO_ICMP);
	assert_memory_equal(got + 12, "\x64\x40\x00\x02\x64\x40\x00\x01", 8);
	got[22] = got[23] = 0;
	assert_memory_equal(got + 20, want, 12);
	/* IPv6 */
	request_bytes[0] = 128;
	rep = say_ping(&f, IPPROTO_ICMPV6, 0, &native, "fd7a:115c:a1e0::2");
	assert_int_equal(send_at(fd, &rep.native, request_bytes, 12), 12);
	assert_int_equal(receive_from(fd, got, sizeof(got), &from), 12);
	assert_int_equal(got[0], 129);
	assert_int_equal(say_ping(&f, IPPROTO_ICMPV6, 0, &native, PEER).error,
			 EAFNOSUPPORT);
	close(fd);
	close_fixture(&f);
}

static void only_echo_requests_leave(void **state)
{
	uint8_t bytes[16] = {8, 0, 0, 0, 1, 2, 0, 1};
	uint8_t got[64];
	struct ts_addr native, from;
	struct ts_broker_reply rep;
	struct fixture f;
	int fd;

	(void)state;
	open_tailnet(&f);
	fd = udp_at("0.0.0.0:0", &native);
	rep = say_ping(&f, IPPROTO_ICMP, 0, &native, PEER);
	for (size_t cut = 0; cut < 8; cut++)
		send_at(fd, &rep.native, bytes, cut);
	for (int type = 0; type < 256; type++) {
		bytes[0] = (uint8_t)type;
		bytes[7] = (uint8_t)(type == 8 ? 77 : 1);
		send_at(fd, &rep.native, bytes, sizeof(bytes));
	}
	bytes[0] = 8;
	bytes[1] = 1; /* code */
	send_at(fd, &rep.native, bytes, sizeof(bytes));
	assert_int_equal(receive_from(fd, got, sizeof(got), &from), 16);
	assert_int_equal(got[7], 77);
	assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), -1);
	close(fd);
	close_fixture(&f);
}

/* -- limits --------------------------------------------------------------- */

/* As when the flows were made a while ago. */
static void look_for_gone(struct fixture *f, void *ctx)
{
	struct ts_dgrams *all = f->host->dgrams;
	struct ts_link *heads[] = {&all->answered, &all->unanswered};

	for (int i = 0; i < 2; i++)
		for (struct ts_link *at = heads[i]->next; at != heads[i];
		     at = at->next) {
			struct ts_dgram *flow =
				TS_LINK_OWNER(at, struct ts_dgram, link);

			flow->made_ms -= 10000;
		}
	all->looked_ms = 0;
	ts_dgram_sweep(f->host);
	*(size_t *)ctx = all->flow_count;
}

static void programs_that_are_gone_lose_their_flows(void **state)
{
	struct ts_broker_reply rep, gone[2], alive[2];
	struct ts_addr native[2];
	struct fixture f;
	size_t count = 0;
	char got[8];
	int fd[2], conn[2];

	(void)state;
	open_tailnet(&f);
	for (int i = 0; i < 2; i++) {
		fd[i] = udp_at("0.0.0.0:0", &native[i]);
		rep = say_send(&f, &native[i], PEER ":7");
		check_echo(fd[i], &rep.native, "hello", 5);
		gone[0] = i == 0 ? rep : gone[0];
		alive[0] = rep;
		conn[i] = program_connects(&f, PEER ":7", &rep);
		assert_int_equal(send(conn[i], "ping", 4, 0), 4);
		assert_true(wait_for(conn[i], POLLIN) & POLLIN);
		gone[1] = i == 0 ? rep : gone[1];
		alive[1] = rep;
	}
	on_loop(&f, look_for_gone, &count);
	assert_int_equal(count, 4);
	close(fd[0]);
	close(conn[0]);
	/* Our duplicate tells of the connected one; the kernel's list may miss
	 * somebody once. */
	on_loop(&f, look_for_gone, &count);
	assert_int_equal(count, 3);
	on_loop(&f, look_for_gone, &count);
	assert_int_equal(count, 2);
	check_echo(fd[1], &alive[0].native, "hello", 5);
	assert_int_equal(recv(conn[1], got, sizeof(got), 0), 4);
	assert_int_equal(send(conn[1], "ping", 4, 0), 4);
	assert_true(wait_for(conn[1], POLLIN) & POLLIN);
	/* what was still unread has its source's name for a while */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(datagram_entry(&f, &gone[i].native).kind,
				 TS_FLOW_DATAGRAM);
		assert_int_equal(datagram_entry(&f, &alive[i].native).kind,
				 TS_FLOW_DATAGRAM);
	}
	close(fd[1]);
	close(conn[1]);
	close_fixture(&f);
}

static bool misses_all(const struct ts_listener *l, const void *ctx)
{
	(void)l;
	(void)ctx;
	return true;
}

static void forget_missed(struct fixture *f, void *ctx)
{
	struct ts_link *at = f->host->listeners.next;

	ts_listeners_forget(f->host, misses_all, NULL);
	*(bool *)ctx = f->host->listeners.next == at;
}

static void a_port_that_the_list_misses_stays(void **state)
{
	struct ts_addr native;
	struct fixture f;
	bool is_there = false;
	int fd;

	(void)state;
	open_tailnet(&f);
	fd = udp_at("0.0.0.0:7000", &native);
	assert_int_equal(say_listen(&f, "0.0.0.0:7000", &native), 0);
	on_loop(&f, forget_missed, &is_there);
	assert_true(is_there);
	close(fd);
	on_loop(&f, forget_missed, &is_there);
	assert_false(is_there);
	close_fixture(&f);
}

/* More remote ends than there may be flows: the last ones work. */
static void the_oldest_flows_make_room(void **state)
{
	struct ts_addr native;
	struct ts_broker_request req = {.type = TS_BROKER_SEND,
					.proto = IPPROTO_UDP};
	struct ts_broker_reply rep = {.error = 0};
	struct fixture f;
	int fd;

	(void)state;
	open_tailnet(&f);
	fd = udp_at("0.0.0.0:0", &native);
	req.native_local = native;
	for (int i = 0; i < 17000; i++) {
		req.tailnet = fake_addr(PEER ":1");
		req.tailnet.port = (uint16_t)(40000 - i);
		rep = request(&f, &req, fd);
		assert_int_equal(rep.error, 0);
	}
	assert_int_equal(datagram_entry(&f, &rep.native).kind,
			 TS_FLOW_DATAGRAM);
	rep = say_send(&f, &native, PEER ":7");
	check_echo(fd, &rep.native, "hello", 5);
	close(fd);
	close_fixture(&f);
}

/* As after a few minutes of a busy server. */
static void have_answered_all(struct fixture *f, void *ctx)
{
	struct ts_dgrams *all = f->host->dgrams;
	struct ts_dgram *flow;

	(void)ctx;
	while ((flow = ts_dgram_first_in(&all->unanswered))) {
		flow->was_sent = true;
		ts_dgram_touch(flow);
	}
}

static void what_is_about_to_be_answered_does_not_make_room(void **state)
{
	static const char *const to[] = {PEER ":8", "[fd7a:115c:a1e0::2]:8",
					 PEER ":7"};
	struct ts_addr native;
	struct ts_broker_request req = {.type = TS_BROKER_SEND,
					.proto = IPPROTO_UDP};
	struct ts_broker_reply rep[3];
	struct fixture f;
	int fd;

	(void)state;
	open_tailnet(&f);
	fd = udp_at("0.0.0.0:0", &native);
	req.native_local = native;
	req.tailnet = fake_addr(PEER ":1");
	for (int i = 0; i < DGRAM_FLOWS_MAX; i++) {
		req.tailnet.port = (uint16_t)(40000 - i);
		assert_int_equal(request(&f, &req, fd).error, 0);
	}
	on_loop(&f, have_answered_all, NULL);
	for (int i = 0; i < 3; i++)
		rep[i] = say_send(&f, &native, to[i]);
	for (int i = 0; i < 2; i++)
		assert_int_equal(send_at(fd, &rep[i].native, "hello", 5), 5);
	check_echo(fd, &rep[2].native, "hello", 5);
	await_count(&f, 2);
	close(fd);
	close_fixture(&f);
}

enum { FEW = 8 };

static void allow_few(struct fixture *f, void *ctx)
{
	(void)ctx;
	f->host->dgrams->own_max = f->host->dgrams->dup_max = FEW;
}

/* Programs that have connected natively only when all have an answer. */
static void what_connects_does_not_make_room(void **state)
{
	const struct ts_addr unbound = {.port = 0};
	struct ts_broker_reply rep[3];
	struct fixture f;
	int old[FEW], fd[3];
	char got[8];

	(void)state;
	open_tailnet(&f);
	on_loop(&f, allow_few, NULL);
	for (int i = 0; i < FEW; i++) {
		old[i] = program_connects(&f, PEER ":7", &rep[0]);
		assert_int_equal(send(old[i], "old", 3, 0), 3);
		assert_true(wait_for(old[i], POLLIN) & POLLIN);
	}
	for (int i = 0; i < 3; i++) {
		fd[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		rep[i] = ask(&f, TS_BROKER_CONNECT, 0, &unbound, PEER ":7",
			     fd[i]);
		assert_int_equal(rep[i].error, 0);
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(connect_to(fd[i], &rep[i].native), 0);
		assert_int_equal(send(fd[i], "new", 3, 0), 3);
	}
	for (int i = 0; i < 3; i++) {
		assert_true(wait_for(fd[i], POLLIN) & POLLIN);
		assert_int_equal(recv(fd[i], got, sizeof(got), 0), 3);
		close(fd[i]);
	}
	for (int i = 0; i < FEW; i++)
		close(old[i]);
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_datagram_goes_out_and_its_answer_comes_back),
		cmocka_unit_test(the_same_remote_end_is_one_flow),
		cmocka_unit_test(large_datagrams_are_carried_both_ways),
		cmocka_unit_test(a_bundle_of_the_program_is_taken_apart),
		cmocka_unit_test(a_burst_reaches_the_program_one_by_one),
		cmocka_unit_test(strangers_are_not_carried),
		cmocka_unit_test(nobody_there_is_an_error),
		cmocka_unit_test(a_connected_socket_has_a_flow_of_its_own),
		cmocka_unit_test(
			a_program_that_chose_its_port_can_have_it_again),
		cmocka_unit_test(a_later_refusal_wakes_the_program_too),
		cmocka_unit_test(a_socket_that_connects_again_has_one_flow),
		cmocka_unit_test(what_was_sent_before_a_disconnect_is_taken_in),
		cmocka_unit_test(a_refusal_wakes_a_connected_program),
		cmocka_unit_test(a_refusal_reaches_the_error_queue),
		cmocka_unit_test(
			a_registered_port_is_reached_and_answers_from_it),
		cmocka_unit_test(a_closed_program_is_a_closed_port),
		cmocka_unit_test(a_connected_socket_comes_before_the_port),
		cmocka_unit_test(bind_takes_an_address_of_ours),
		cmocka_unit_test(our_own_address_is_another_program_here),
		cmocka_unit_test(
			a_socket_of_ipv6_alone_is_served_at_its_loopback),
		cmocka_unit_test(datagrams_wait_for_the_node),
		cmocka_unit_test(programs_that_wait_hear_of_each_other),
		cmocka_unit_test(a_node_that_stopped_takes_no_datagrams),
		cmocka_unit_test(ping_is_answered_with_the_programs_identifier),
		cmocka_unit_test(only_echo_requests_leave),
		cmocka_unit_test(programs_that_are_gone_lose_their_flows),
		cmocka_unit_test(a_port_that_the_list_misses_stays),
		cmocka_unit_test(the_oldest_flows_make_room),
		cmocka_unit_test(
			what_is_about_to_be_answered_does_not_make_room),
		cmocka_unit_test(what_connects_does_not_make_room),
	};

	if (!enter_empty_net()) {
		puts("1..0 # skip: no network namespaces here");
		return 0;
	}
	set_loopback(true);
	ts_crypto_init();
	ts_log_set_level(getenv("HOST_TEST_LOG") ? TS_LOG_DEBUG : TS_LOG_OFF);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
