/* SPDX-License-Identifier: BSD-3-Clause
 * test_hostile.c - a program that speaks the protocol and lies
 *
 * It is allowed to ask and reads all names in the table. What it must not get
 * is what another program has.
 */
#include "real_stack.h"

#include "host_fixture.h"

#include <sys/prctl.h>
#include <sys/resource.h>

enum { NAMED_PORT = 5353, CROWD = 1100 };

static struct ts_broker_request about(uint8_t type, uint8_t proto,
				      const struct ts_flow_key *key,
				      const char *tailnet)
{
	return (struct ts_broker_request){.type = type, .proto = proto,
					  .native_local = key->local,
					  .native_remote = key->remote,
					  .tailnet = fake_addr(tailnet)};
}

static void check_is_untouched(struct fixture *f, const struct program_conn *c)
{
	struct ts_addr peer = fake_addr(PEER ":7");
	struct ts_flow_entry entry = entry_of(f, &c->key);
	char got[2];

	assert_int_equal(entry.kind, TS_FLOW_CONNECT);
	assert_int_equal(entry.state, TS_FLOW_UP);
	assert_true(ts_addr_equal(&entry.tailnet_remote, &peer));
	send_all(c->fd, "hi", 2);
	receive_all(c->fd, got, 2);
	assert_memory_equal(got, "hi", 2);
}

static void a_connect_in_anothers_name_is_its_own(void **state)
{
	struct ts_broker_request req;
	struct ts_addr any = random_loopback(0);
	struct program_conn c;
	struct fixture f;
	int fd = new_tcp(true);

	(void)state;
	open_fixture(&f);
	c = program_connect(&f, PEER ":7", false);
	assert_int_equal(c.connect_error, 0);
	req = about(TS_BROKER_CONNECT, IPPROTO_TCP, &c.key, PEER ":99");
	assert_int_equal(request(&f, &req, fd).error, EADDRNOTAVAIL);
	assert_int_equal(bind_to(fd, &any), 0);
	assert_int_equal(request(&f, &req, fd).error, 0);
	check_is_untouched(&f, &c);
	close(fd);
	close(c.fd);
	close_fixture(&f);
}

/* Whose socket it is the kernel cannot tell: they share the address. */
static void a_name_that_is_shared_is_not_taken_over(void **state)
{
	const int on = 1;
	struct ts_broker_request req;
	struct program_conn c;
	struct fixture f;
	int fd = new_tcp(true);

	(void)state;
	open_fixture(&f);
	c = program_connect(&f, PEER ":7", false);
	assert_int_equal(c.connect_error, 0);
	setsockopt(c.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind_to(fd, &c.key.local), 0);
	req = about(TS_BROKER_CONNECT, IPPROTO_TCP, &c.key, PEER ":99");
	assert_int_equal(request(&f, &req, fd).error, EADDRNOTAVAIL);
	check_is_untouched(&f, &c);
	close(fd);
	close(c.fd);
	close_fixture(&f);
}

static void options_of_another_are_not_its_to_set(void **state)
{
	struct ts_broker_request req;
	struct program_conn mine, other;
	struct fixture f;
	int pair[2];

	(void)state;
	open_fixture(&f);
	other = program_connect(&f, PEER ":7", false);
	mine = program_connect(&f, PEER ":7", false);
	req = about(TS_BROKER_OPTIONS, IPPROTO_TCP, &other.key, PEER ":7");
	assert_int_equal(request(&f, &req, other.fd).error, 0);
	assert_int_equal(request(&f, &req, mine.fd).error, ENOENT);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(request(&f, &req, pair[0]).error, ENOENT);
	check_is_untouched(&f, &other);
	close(pair[0]);
	close(pair[1]);
	close(mine.fd);
	close(other.fd);
	close_fixture(&f);
}

/* -- datagrams ------------------------------------------------------------ */

static int named_udp(uint16_t port, struct ts_addr *native)
{
	struct ts_addr at = {.ip = TS_IP4_ZERO, .port = port};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind_to(fd, &at), 0);
	*native = local_of(fd);
	return fd;
}

static void peer_sends(struct fixture *f, void *ctx)
{
	struct ts_addr at = {.port = 8}, to = fake_addr(SELF ":5353");
	int err;
	struct stack_udp *udp = stack_udp_open(net.side[1], &at, NULL, NULL,
					       &err);

	(void)f;
	(void)ctx;
	if (!udp || stack_udp_send(udp, &to, "mine", 4))
		abort();
	net_drain();
	stack_udp_close(udp);
}

/* A connected socket comes before one that takes from everybody. */
static void a_peers_datagrams_stay_with_who_has_the_port(void **state)
{
	struct ts_flow_key key = {.proto = IPPROTO_UDP};
	struct ts_broker_request req;
	struct ts_broker_reply rep;
	struct ts_addr own;
	struct fixture f;
	char got[8];
	int victim, thief;

	(void)state;
	open_fixture(&f);
	victim = named_udp(NAMED_PORT, &key.local);
	thief = named_udp(0, &own);
	req = about(TS_BROKER_LISTEN, IPPROTO_UDP, &key, "[::]:5353");
	assert_int_equal(request(&f, &req, -1).error, 0);
	req = about(TS_BROKER_CONNECT, IPPROTO_UDP, &key, PEER ":8");
	rep = request(&f, &req, thief);
	assert_int_equal(rep.error, 0);
	assert_int_not_equal(rep.tailnet.port, NAMED_PORT);
	assert_int_equal(connect_to(thief, &rep.native), 0);
	on_loop(&f, peer_sends, NULL);
	assert_true(wait_for(victim, POLLIN) & POLLIN);
	assert_int_equal(recv(victim, got, sizeof(got), 0), 4);
	assert_int_equal(recv(thief, got, sizeof(got), MSG_DONTWAIT), -1);
	close(victim);
	close(thief);
	close_fixture(&f);
}

static void nobody_leads_anothers_datagrams_elsewhere(void **state)
{
	struct ts_flow_key key = {.proto = IPPROTO_UDP};
	struct ts_broker_request req;
	struct ts_flow_entry entry;
	struct ts_addr own;
	struct fixture f;
	int victim, thief;

	(void)state;
	open_fixture(&f);
	victim = named_udp(NAMED_PORT, &key.local);
	thief = named_udp(0, &own);
	req = about(TS_BROKER_SEND, IPPROTO_UDP, &key, PEER ":7");
	req.flags = TS_BROKER_V6_ONLY;
	key.remote = req.tailnet;
	assert_int_equal(request(&f, &req, -1).error, ENOBUFS);
	assert_int_equal(request(&f, &req, thief).error, 0);
	assert_int_equal(entry_of(&f, &key).kind, TS_FLOW_NONE);
	key.local = own;
	entry = entry_of(&f, &key);
	assert_int_equal(entry.kind, TS_FLOW_SEND);
	assert_true(ts_ip_is_v4(&entry.tailnet_remote.ip));
	close(victim);
	close(thief);
	close_fixture(&f);
}

/* -- listeners ------------------------------------------------------------ */

static void a_bound_address_keeps_its_name(void **state)
{
	struct ts_flow_key key = {.proto = IPPROTO_TCP};
	struct ts_broker_request req =
		about(TS_BROKER_BIND, IPPROTO_TCP, &key, SELF ":80");
	struct ts_addr any = random_loopback(0);
	struct fixture f;
	int victim = new_tcp(false), thief = new_tcp(false);

	(void)state;
	open_fixture(&f);
	key.local = request(&f, &req, -1).native;
	assert_int_equal(bind_to(victim, &key.local), 0);
	assert_int_equal(bind_to(thief, &any), 0);
	req = about(TS_BROKER_BOUND, IPPROTO_TCP, &key, SELF ":80");
	assert_int_equal(request(&f, &req, victim).error, 0);
	req = about(TS_BROKER_BOUND, IPPROTO_TCP, &key, SELF ":81");
	assert_int_equal(request(&f, &req, thief).error, 0);
	assert_int_equal(entry_of(&f, &key).tailnet_local.port, 80);
	key.local = local_of(thief);
	assert_int_equal(entry_of(&f, &key).tailnet_local.port, 81);
	close(victim);
	close(thief);
	close_fixture(&f);
}

/* -- other networks ------------------------------------------------------- */

static void *make_socket_elsewhere(void *ctx)
{
	int *fd = ctx;

	if (unshare(CLONE_NEWNET) == 0)
		*fd = new_tcp(true);
	return NULL;
}

/* Its address is anybody's here. */
static void a_socket_of_another_network_is_refused(void **state)
{
	struct ts_addr any = {.ip = TS_IP4_ZERO};
	struct ts_flow_key key = {.proto = IPPROTO_TCP};
	struct ts_broker_request req;
	struct fixture f;
	pthread_t thread;
	uint64_t cookie;
	socklen_t len = sizeof(cookie);
	int fd = -1;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, make_socket_elsewhere,
					&fd), 0);
	pthread_join(thread, NULL);
	assert_true(fd >= 0);
	if (getsockopt(fd, SOL_SOCKET, 71 /* SO_NETNS_COOKIE */, &cookie,
		       &len) != 0)
		skip();
	open_fixture(&f);
	assert_int_equal(bind_to(fd, &any), 0);
	key.local = local_of(fd);
	key.remote = random_loopback(f.info.rendezvous_port);
	req = about(TS_BROKER_CONNECT, IPPROTO_TCP, &key, PEER ":7");
	assert_int_equal(request(&f, &req, fd).error, ENETUNREACH);
	close(fd);
	close_fixture(&f);
}

/* -- noise ---------------------------------------------------------------- */

/* More that say nothing than there are places: the one that asks is served,
 * and not only when their time is over. */
static void a_silent_crowd_keeps_nobody_out(void **state)
{
	static const struct ts_broker_request attach = {
		.type = TS_BROKER_ATTACH};
	static int crowd[CROWD];
	struct pollfd middle = {.events = POLLIN};
	struct rlimit limit; /* both ends are in this process */
	struct fixture f;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_max < 4 * CROWD)
		skip();
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	open_fixture(&f);
	for (int i = 0; i < CROWD; i++)
		crowd[i] = broker_connect(f.abstract_name);
	assert_int_equal(request(&f, &attach, -1).error, 0);
	/* Most of them still have their time. */
	middle.fd = crowd[CROWD / 2];
	assert_int_equal(poll(&middle, 1, 0), 0);
	for (int i = 0; i < CROWD; i++)
		close(crowd[i]);
	close_fixture(&f);
}

/* A socket that cannot be closed at once: its far end takes no more bytes. */
static int lingering_socket(void)
{
	static const char bytes[65536];
	const struct linger long_time = {.l_onoff = 1, .l_linger = 1000};
	struct ts_addr at = {.ip = ts_ip_from_v4_host(INADDR_LOOPBACK)};
	int listener = new_tcp(false), fd = new_tcp(false);

	assert_int_equal(bind_to(listener, &at), 0);
	assert_int_equal(listen(listener, 1), 0);
	at = local_of(listener);
	assert_int_equal(connect_to(fd, &at), 0);
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &long_time,
				    sizeof(long_time)), 0);
	return fd;
}

static pid_t send_lingering_socket(struct fixture *f)
{
	static const struct ts_broker_request reverse = {
		.type = TS_BROKER_REVERSE};
	pid_t pid = fork();
	int fd;

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = lingering_socket();
	send_request(broker_connect(f->abstract_name), &reverse, fd);
	close(fd); /* now the host has the last of it, nearly always */
	pause();
	_exit(0);
}

static void a_socket_that_lingers_does_not_stop_the_host(void **state)
{
	static const struct ts_broker_request attach = {
		.type = TS_BROKER_ATTACH};
	struct ts_broker_reply rep;
	struct fixture f;
	pid_t pids[4];
	int fd;

	(void)state;
	open_fixture(&f);
	for (int i = 0; i < 4; i++)
		pids[i] = send_lingering_socket(&f);
	for (int i = 0; i < 100; i++) {
		fd = broker_connect(f.abstract_name);
		send_request(fd, &attach, -1);
		assert_true(wait_for(fd, POLLIN) & POLLIN);
		assert_true(receive_reply(fd, &rep, NULL) > 0);
		close(fd);
		poll(NULL, 0, 2);
	}
	for (int i = 0; i < 4; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	close_fixture(&f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_connect_in_anothers_name_is_its_own),
	cmocka_unit_test(a_name_that_is_shared_is_not_taken_over),
	cmocka_unit_test(options_of_another_are_not_its_to_set),
	cmocka_unit_test(a_peers_datagrams_stay_with_who_has_the_port),
	cmocka_unit_test(nobody_leads_anothers_datagrams_elsewhere),
	cmocka_unit_test(a_bound_address_keeps_its_name),
	cmocka_unit_test(a_socket_of_another_network_is_refused),
	cmocka_unit_test(a_silent_crowd_keeps_nobody_out),
	cmocka_unit_test(a_socket_that_lingers_does_not_stop_the_host),
};

RUN_IN_EMPTY_NET(tests)
