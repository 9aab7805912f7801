/* SPDX-License-Identifier: BSD-3-Clause
 * test_connect.c - hold, release, refusal, and what programs do meanwhile
 */
#include "far_end.h"

#include <signal.h>
#include <sys/resource.h>

#include "unit/other_uids.h"

/* The namespace's loopback is down at first. */
static void raises_the_loopback(void **state)
{
	struct fixture f;

	(void)state;
	set_loopback(false);
	open_fixture(&f);
	assert_int_not_equal(f.info.rendezvous_port, 0);
	assert_int_not_equal(f.info.rendezvous6_port, 0);
	assert_true(f.info.has_loopback6);
	assert_false(f.info.one_loopback);
	close_fixture(&f);
}

static void info_tells_what_is_ours(void **state)
{
	struct fixture f;
	struct ts_ip peer = fake_ip(PEER), other = fake_ip("192.0.2.1");

	(void)state;
	open_fixture(&f);
	assert_int_equal(f.info.generation, 1);
	assert_int_equal(f.info.host_pid, getpid());
	assert_int_equal(f.info.node_state, TS_RUNNING);
	assert_true(ts_ip_equal(&f.info.own_v4, &f.node.own_v4));
	assert_string_equal(f.info.suffix, "ts.net");
	assert_string_equal(f.info.broker_abstract, f.abstract_name);
	assert_true(ts_table_claims(ts_host_table(f.host), &peer));
	assert_false(ts_table_claims(ts_host_table(f.host), &other));
	close_fixture(&f);
}

static void connects_and_echoes(void **state)
{
	struct fixture f;
	struct program_conn c;
	struct ts_flow_entry entry;
	struct ts_addr peer = fake_addr(PEER ":7"), name;
	char got[5];

	(void)state;
	open_fixture(&f);
	c = program_connect(&f, PEER ":7", false);
	assert_int_equal(c.request_error, 0);
	assert_int_equal(c.connect_error, 0);
	entry = entry_of(&f, &c.key);
	assert_int_equal(entry.kind, TS_FLOW_CONNECT);
	assert_int_equal(entry.state, TS_FLOW_UP);
	assert_true(ts_addr_equal(&entry.tailnet_remote, &peer));
	/* The port that the program sees does not change. */
	assert_true(ts_ip_equal(&entry.tailnet_local.ip, &f.node.own_v4));
	assert_int_equal(entry.tailnet_local.port, c.key.local.port);
	name = peer_of(c.fd);
	assert_true(ts_addr_equal(&name, &c.key.remote));
	send_all(c.fd, "hello", 5);
	receive_all(c.fd, got, 5);
	assert_memory_equal(got, "hello", 5);
	close(c.fd);
	close_fixture(&f);
}

enum { MANY = 200 };

/* All are held, none shows an event; then all are released. */
static void holds_and_releases_many(void **state)
{
	struct fixture f;
	struct program_conn c[MANY];
	struct far_end far = {0};

	(void)state;
	open_fixture(&f);
	for (int i = 0; i < MANY; i++) {
		c[i] = program_connect(&f, PEER ":100", true);
		assert_int_equal(c[i].connect_error, EINPROGRESS);
	}
	for (int i = 0; i < MANY; i++) {
		struct pollfd p = {.fd = c[i].fd, .events = POLLIN | POLLOUT};

		assert_int_equal(poll(&p, 1, 0), 0);
		assert_int_equal(entry_of(&f, &c[i].key).state,
				 TS_FLOW_PENDING);
	}
	for (int i = 0; i < MANY; i++) {
		f.node.stack->last_dialled = f.node.stack->tcps[i];
		on_loop(&f, far_answer, NULL);
	}
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(wait_for(c[i].fd, POLLOUT), POLLOUT);
		assert_int_equal(so_error(c[i].fd), 0);
		assert_int_equal(entry_of(&f, &c[i].key).state, TS_FLOW_UP);
	}
	/* Each is joined to its own far end: ports tell. */
	for (int i = 0; i < MANY; i++) {
		far.t = f.node.stack->tcps[i];
		far.data = (char *)&far.t->local.port;
		far.len = sizeof(far.t->local.port);
		on_loop(&f, far_send, &far);
	}
	for (int i = 0; i < MANY; i++) {
		uint16_t port = 0;

		receive_all(c[i].fd, &port, sizeof(port));
		assert_int_equal(port, c[i].key.local.port);
		close(c[i].fd);
	}
	close_fixture(&f);
}

static void refusal_is_an_error_everywhere(void **state)
{
	struct fixture f;
	struct program_conn c;

	(void)state;
	open_fixture(&f);
	for (int i = 0; i < MANY; i++) {
		c = program_connect(&f, PEER ":9", true);
		assert_int_equal(c.request_error, 0);
		assert_int_equal(c.connect_error, EINPROGRESS);
		assert_true(wait_for(c.fd, POLLOUT) & (POLLERR | POLLHUP));
		assert_int_equal(so_error(c.fd), ECONNRESET);
		assert_int_equal(entry_of(&f, &c.key).state, TS_FLOW_FAILED);
		assert_int_equal(entry_of(&f, &c.key).error, ECONNREFUSED);
		close(c.fd);
	}
	c = program_connect(&f, PEER ":9", false);
	assert_int_equal(c.connect_error, ECONNRESET);
	assert_int_equal(entry_of(&f, &c.key).error, ECONNREFUSED);
	close(c.fd);
	close_fixture(&f);
}

/* The far end answers before the program has called connect(). */
static void answer_comes_before_the_knock(void **state)
{
	struct fixture f;
	struct program_conn up, refused;
	struct far_end far = {0};

	(void)state;
	open_fixture(&f);
	refused = ask_connect(&f, new_tcp(false), PEER ":9");
	far.t = f.node.stack->last_dialled;
	assert_true(eventually(&f, far_look_alive, &far, &far.is));
	assert_int_equal(-connect_to(refused.fd, &refused.key.remote),
			 ECONNRESET);
	up = ask_connect(&f, new_tcp(false), PEER ":100");
	on_loop(&f, far_answer, NULL);
	assert_int_equal(connect_to(up.fd, &up.key.remote), 0);
	close(refused.fd);
	close(up.fd);
	close_fixture(&f);
}

static void errors_that_are_known_at_once(void **state)
{
	static const struct {
		const char *to;
		int error;
	} cases[] = {
		{"100.100.100.100:80", ECONNREFUSED},
		{"100.64.0.99:80", EHOSTUNREACH},
		{"192.0.2.1:80", ENETUNREACH},
		{SELF ":80", ECONNREFUSED},
		{PEER ":0", ECONNREFUSED},
	};
	struct fixture f;

	(void)state;
	open_fixture(&f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct program_conn c =
			program_connect(&f, cases[i].to, false);

		assert_int_equal(c.request_error, cases[i].error);
		assert_int_equal(entry_of(&f, &c.key).kind, TS_FLOW_NONE);
		close(c.fd);
	}
	close_fixture(&f);
}

static void bad_requests_are_refused(void **state)
{
	struct fixture f;
	struct ts_broker_request req = {.type = TS_BROKER_CONNECT,
					.proto = IPPROTO_TCP,
					.tailnet = fake_addr(PEER ":7")};
	int tcp = new_tcp(false);
	int udp = socket(AF_INET, SOCK_DGRAM, 0);
	int pair[2];

	(void)state;
	open_fixture(&f);
	req.native_local = random_loopback(4000);
	req.native_remote = random_loopback(f.info.rendezvous_port);
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(request(&f, &req, -1).error, ENOBUFS);
	assert_int_equal(request(&f, &req, udp).error, EINVAL);
	assert_int_equal(request(&f, &req, pair[0]).error, EINVAL);
	req.native_remote.port++;
	assert_int_equal(request(&f, &req, tcp).error, EADDRNOTAVAIL);
	req.native_remote = fake_addr("192.0.2.1:80");
	assert_int_equal(request(&f, &req, tcp).error, EADDRNOTAVAIL);
	req.proto = IPPROTO_UDP;
	assert_int_equal(request(&f, &req, tcp).error, EINVAL);
	req.proto = IPPROTO_SCTP;
	assert_int_equal(request(&f, &req, tcp).error, EPROTONOSUPPORT);
	req.proto = IPPROTO_TCP;
	assert_int_equal(listen(tcp, 1), 0);
	assert_int_equal(request(&f, &req, tcp).error, EINVAL);
	close(tcp);
	close(udp);
	close(pair[0]);
	close(pair[1]);
	close_fixture(&f);
}

static void is_dial_gone(struct fixture *f, void *ctx)
{
	bool *is = ctx;

	*is = f->node.stack->tcp_count == 0;
}

/* shutdown() and a second connect() end the held socket: the dial goes. */
static void program_shuts_down_while_held(void **state)
{
	struct fixture f;
	struct program_conn c;
	struct far_end far = {0};
	bool is = false;

	(void)state;
	open_fixture(&f);
	c = program_connect(&f, PEER ":100", true);
	assert_true(eventually(&f, far_look_dialled, &far, &far.is));
	shutdown(c.fd, SHUT_RDWR);
	assert_true(eventually(&f, is_dial_gone, &is, &is));
	assert_int_equal(f.node.stack->abort_count, 1);
	close(c.fd);
	close_fixture(&f);
}

/* close() tells nothing; the sweep finds it. */
static void program_closes_while_held(void **state)
{
	struct fixture f;
	struct program_conn c, kept;
	bool is = false;

	(void)state;
	open_fixture(&f);
	kept = program_connect(&f, PEER ":100", true);
	c = program_connect(&f, PEER ":100", true);
	assert_int_equal(f.node.stack->tcp_count, 2);
	/* The program may have it twice; only the last close counts. */
	assert_true(dup2(c.fd, 900) == 900);
	close(c.fd);
	close(900);
	close(kept.fd);
	kept.fd = -1;
	assert_true(eventually(&f, is_dial_gone, &is, &is));
	close_fixture(&f);
}

/* Another process holds it, and dies. */
static void program_dies_while_held(void **state)
{
	struct fixture f;
	bool is = false;
	char byte;
	int ready[2], status;
	pid_t pid;

	(void)state;
	open_fixture(&f);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		struct program_conn c = program_connect(&f, PEER ":100", true);

		_exit(c.connect_error == EINPROGRESS &&
				      write(ready[1], "x", 1) == 1 ?
			      0 : 1);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_true(eventually(&f, is_dial_gone, &is, &is));
	close(ready[0]);
	close(ready[1]);
	close_fixture(&f);
}

/* CONNECT that nobody waits for: the host hears of it before the socket knocks,
 * or after. */
static struct program_conn tell_connect(struct fixture *f, const char *to,
					bool knocks_first)
{
	struct program_conn c = {.fd = new_tcp(true),
				 .key = {.proto = IPPROTO_TCP}};
	struct ts_addr any = random_loopback(0);
	struct ts_broker_request req = {.type = TS_BROKER_CONNECT,
					.proto = IPPROTO_TCP,
					.tailnet = fake_addr(to)};

	assert_int_equal(bind_to(c.fd, &any), 0);
	c.key.local = req.native_local = local_of(c.fd);
	c.key.remote = random_loopback(f->info.rendezvous_port);
	req.native_remote = c.key.remote;
	if (knocks_first)
		c.connect_error = -connect_to(c.fd, &c.key.remote);
	say(f, &req, c.fd);
	if (!knocks_first)
		c.connect_error = -connect_to(c.fd, &c.key.remote);
	assert_int_equal(c.connect_error, EINPROGRESS);
	return c;
}

static void connects_without_an_answer(void **state)
{
	struct program_conn c;
	struct fixture f;
	char got[5];

	(void)state;
	open_fixture(&f);
	assert_true(f.info.holds);
	for (int i = 0; i < 20; i++) {
		c = tell_connect(&f, PEER ":7", i % 2);
		assert_int_equal(wait_for(c.fd, POLLOUT), POLLOUT);
		assert_int_equal(entry_of(&f, &c.key).state, TS_FLOW_UP);
		send_all(c.fd, "hello", 5);
		receive_all(c.fd, got, 5);
		assert_memory_equal(got, "hello", 5);
		close(c.fd);
	}
	close_fixture(&f);
}

/* What an answer would have said is in the table. */
static void fails_without_an_answer(void **state)
{
	static const struct {
		const char *to;
		int error;
	} cases[] = {{PEER ":9", ECONNREFUSED},
		     {"100.64.0.99:80", EHOSTUNREACH},
		     {SELF ":4", ECONNREFUSED}};
	struct program_conn c;
	struct fixture f;

	(void)state;
	open_fixture(&f);
	for (int i = 0; i < 6; i++) {
		c = tell_connect(&f, cases[i / 2].to, i % 2);
		assert_true(wait_for(c.fd, POLLOUT) & (POLLERR | POLLHUP));
		assert_int_equal(so_error(c.fd), ECONNRESET);
		assert_int_equal(entry_of(&f, &c.key).state, TS_FLOW_FAILED);
		assert_int_equal(entry_of(&f, &c.key).error,
				 cases[i / 2].error);
		close(c.fd);
	}
	close_fixture(&f);
}

/* Whom the table has no place for fails as well, and without a trace; and when
 * it then asks, the old one does not end the new connect. */
static void turned_away_without_an_answer(void **state)
{
	struct program_conn c, again;
	struct fixture f;

	(void)state;
	open_fixture(&f);
	for (int i = 0; i < 2; i++) {
		c = tell_connect(&f, PEER ":0", i);
		assert_true(wait_for(c.fd, POLLOUT) & (POLLERR | POLLHUP));
		assert_int_equal(so_error(c.fd), ECONNRESET);
		assert_int_equal(entry_of(&f, &c.key).kind, TS_FLOW_NONE);
		again = ask_connect(&f, c.fd, PEER ":100");
		assert_int_equal(again.request_error, 0);
		assert_int_equal(-connect_to(c.fd, &again.key.remote),
				 EINPROGRESS);
		on_loop(&f, far_answer, NULL);
		assert_int_equal(wait_for(c.fd, POLLOUT), POLLOUT);
		assert_int_equal(so_error(c.fd), 0);
		close(c.fd);
	}
	close_fixture(&f);
}

/* Its R was another host's: the one that was told keeps its hands off. */
static void another_hosts_knock_is_left_alone(void **state)
{
	struct ts_broker_request req = {.type = TS_BROKER_CONNECT,
					.proto = IPPROTO_TCP,
					.tailnet = fake_addr(PEER ":100")};
	struct ts_addr at = random_loopback(0);
	struct program_conn c;
	struct fixture f;
	int fd = new_tcp(false);

	(void)state;
	open_fixture(&f);
	assert_int_equal(bind_to(fd, &at), 0);
	req.native_local = local_of(fd);
	req.native_remote = random_loopback(1);
	say(&f, &req, fd);
	assert_int_equal(-connect_to(fd, &req.native_remote), ECONNREFUSED);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	c = ask_connect(&f, fd, PEER ":100");
	assert_int_equal(c.request_error, 0);
	assert_int_equal(-connect_to(fd, &c.key.remote), EINPROGRESS);
	on_loop(&f, far_answer, NULL);
	assert_int_equal(wait_for(fd, POLLOUT), POLLOUT);
	assert_int_equal(so_error(fd), 0);
	close(fd);
	close_fixture(&f);
}

static void *connect_and_wait(void *ctx)
{
	struct fixture *f = ctx;
	struct program_conn c = program_connect(f, PEER ":100", false);

	_exit(c.connect_error == 0 ? 0 : 1);
}

struct look_time {
	uint64_t until_ms;
	bool is;
};

static void look_time(struct fixture *f, void *ctx)
{
	struct look_time *look = ctx;

	look->is = ts_loop_now_ms(f->loop) >= look->until_ms;
}

/* Its first thread has ended, another one waits in connect(): alive. */
static void first_thread_ends_while_held(void **state)
{
	struct look_time time;
	struct fixture f;
	struct far_end far = {0};
	int status;
	pid_t pid;

	(void)state;
	if (getenv("EMULATOR"))
		skip(); /* qemu-user 7.2 aborts when the first thread ends */
	open_fixture(&f);
	pid = fork();
	if (pid == 0) {
		pthread_t thread;

		pthread_create(&thread, NULL, connect_and_wait, &f);
		pthread_exit(NULL);
	}
	assert_true(eventually(&f, far_look_dialled, &far, &far.is));
	time.until_ms = ts_loop_now_ms(f.loop) + 2500; /* one sweep */
	assert_true(eventually(&f, look_time, &time, &time.is));
	assert_int_equal(f.node.stack->abort_count, 0);
	on_loop(&f, far_answer, NULL);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	close_fixture(&f);
}

/* While held, the duplicate keeps the program's port away from others, and
 * once it is free again nothing of the tailnet goes there. */
static void stranger_cannot_take_the_port(void **state)
{
	struct fixture f;
	struct program_conn c;
	struct far_end far = {0};
	int stranger;

	(void)state;
	open_fixture(&f);
	c = program_connect(&f, PEER ":100", true);
	assert_true(eventually(&f, far_look_dialled, &far, &far.is));
	close(c.fd);
	stranger = new_tcp(true);
	assert_int_equal(bind_to(stranger, &c.key.local), -EADDRINUSE);
	on_loop(&f, far_answer, NULL);
	/* The program's socket was completed, and closed: an orderly end. */
	assert_true(eventually(&f, far_look_fin, &far, &far.is));
	close(stranger);
	close_fixture(&f);
}

static void start_running(struct fixture *f, void *ctx)
{
	(void)ctx;
	f->node.state = TS_RUNNING;
	make_self(&f->node);
	ts_host_netmap_changed(f->host);
	ts_host_state_changed(f->host);
}

static void waits_for_the_node(void **state)
{
	struct ts_host_config config = {.timeout_s = 5};
	struct fixture f;
	struct program_conn c, nobody;
	struct pollfd p = {.events = POLLOUT};

	(void)state;
	open_fixture_with(&f, config, TS_STARTING);
	c = program_connect(&f, PEER ":7", true);
	nobody = program_connect(&f, "100.64.0.99:7", true);
	assert_int_equal(c.request_error, 0);
	assert_int_equal(nobody.request_error, 0);
	p.fd = c.fd;
	assert_int_equal(poll(&p, 1, 20), 0);
	on_loop(&f, start_running, NULL);
	assert_int_equal(wait_for(c.fd, POLLOUT), POLLOUT);
	assert_int_equal(entry_of(&f, &c.key).state, TS_FLOW_UP);
	assert_true(wait_for(nobody.fd, POLLOUT) & POLLERR);
	assert_int_equal(entry_of(&f, &nobody.key).error, EHOSTUNREACH);
	close(c.fd);
	close(nobody.fd);
	close_fixture(&f);
}

static void gives_up_on_the_node(void **state)
{
	struct ts_host_config config = {.timeout_s = 1};
	struct fixture f;
	struct program_conn c;

	(void)state;
	open_fixture_with(&f, config, TS_NEEDS_LOGIN);
	c = program_connect(&f, PEER ":7", false);
	assert_int_equal(c.connect_error, ECONNRESET);
	assert_int_equal(entry_of(&f, &c.key).error, ETIMEDOUT);
	close(c.fd);
	close_fixture(&f);
}

static void stop_node(struct fixture *f, void *ctx)
{
	(void)ctx;
	f->node.state = TS_STOPPED;
	ts_host_state_changed(f->host);
}

static void stopped_node_is_a_network_that_is_down(void **state)
{
	struct ts_host_config config = {.timeout_s = 5};
	struct fixture f;
	struct program_conn held, late;

	(void)state;
	open_fixture_with(&f, config, TS_STARTING);
	held = program_connect(&f, PEER ":7", true);
	on_loop(&f, stop_node, NULL);
	assert_true(wait_for(held.fd, POLLOUT) & POLLERR);
	assert_int_equal(entry_of(&f, &held.key).error, ENETDOWN);
	late = program_connect(&f, PEER ":7", true);
	assert_int_equal(late.request_error, ENETDOWN);
	close(held.fd);
	close(late.fd);
	close_fixture(&f);
}

static void refuse_login(struct fixture *f, void *ctx)
{
	(void)ctx;
	f->node.state = TS_NEEDS_LOGIN;
	f->node.error = "invalid key";
	ts_host_state_changed(f->host);
}

/* Nobody will come and log in; with a URL to visit, somebody may. */
static void refused_login_is_a_network_that_is_down(void **state)
{
	struct ts_host_config config = {.timeout_s = 5};
	struct fixture f;
	struct program_conn held, late;

	(void)state;
	open_fixture_with(&f, config, TS_STARTING);
	held = program_connect(&f, PEER ":7", true);
	on_loop(&f, refuse_login, NULL);
	assert_true(wait_for(held.fd, POLLOUT) & POLLERR);
	assert_int_equal(entry_of(&f, &held.key).error, ENETDOWN);
	late = program_connect(&f, PEER ":7", true);
	assert_int_equal(late.request_error, ENETDOWN);
	close(held.fd);
	close(late.fd);
	f.node.auth_url = "https://login.example/a/1";
	held = program_connect(&f, PEER ":7", true);
	assert_int_equal(held.request_error, 0);
	assert_int_equal(entry_of(&f, &held.key).state, TS_FLOW_PENDING);
	close(held.fd);
	close_fixture(&f);
}

static void closing_the_host_refuses_the_held(void **state)
{
	struct fixture f;
	struct program_conn c;
	const struct ts_table_layout *mine;
	struct ts_table_info info;
	struct ts_flow_entry entry;
	int err;

	(void)state;
	open_fixture(&f);
	mine = ts_table_map(ts_host_table_fd(f.host), &err);
	assert_non_null(mine);
	c = program_connect(&f, PEER ":100", true);
	on_loop(&f, close_host, NULL);
	assert_true(wait_for(c.fd, POLLOUT) & POLLERR);
	assert_true(ts_table_find(mine, &c.key, &entry));
	assert_int_equal(entry.error, ENETDOWN);
	assert_true(ts_table_read_info(mine, &info));
	assert_int_equal(info.rendezvous_port, 0);
	ts_table_unmap(mine);
	close(c.fd);
	close_fixture(&f);
}

/* Sockets that share a source port to two peers need two addresses of R. */
static void two_sockets_share_a_port(void **state)
{
	struct fixture f;
	struct program_conn c[2];
	const int on = 1;
	struct ts_addr at = random_loopback(0);

	(void)state;
	open_fixture(&f);
	for (int i = 0; i < 2; i++) {
		struct ts_broker_request req = {.type = TS_BROKER_CONNECT,
						.proto = IPPROTO_TCP};

		c[i].fd = new_tcp(false);
		setsockopt(c[i].fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		assert_int_equal(bind_to(c[i].fd, &at), 0);
		at = local_of(c[i].fd);
		c[i].key.remote = random_loopback(f.info.rendezvous_port);
		req.native_local = at;
		req.native_remote = c[i].key.remote;
		req.tailnet = fake_addr(PEER ":7");
		assert_int_equal(request(&f, &req, c[i].fd).error, 0);
		assert_int_equal(connect_to(c[i].fd, &c[i].key.remote), 0);
	}
	close(c[0].fd);
	close(c[1].fd);
	close_fixture(&f);
}

/* A socket bound to a wildcard shows its address only once it is held. */
static void wildcard_bound_socket_is_found(void **state)
{
	struct fixture f;
	struct ts_addr any = {.ip = TS_IP4_ZERO};
	struct ts_broker_request req = {.type = TS_BROKER_CONNECT,
					.proto = IPPROTO_TCP,
					.tailnet = fake_addr(PEER ":7")};
	struct ts_flow_key key = {.proto = IPPROTO_TCP};
	int fd = new_tcp(false);

	(void)state;
	open_fixture(&f);
	assert_int_equal(bind_to(fd, &any), 0);
	req.native_local = local_of(fd);
	req.native_remote = random_loopback(f.info.rendezvous_port);
	assert_int_equal(request(&f, &req, fd).error, 0);
	assert_int_equal(connect_to(fd, &req.native_remote), 0);
	key.local = local_of(fd);
	key.remote = peer_of(fd);
	assert_int_equal(entry_of(&f, &key).state, TS_FLOW_UP);
	close(fd);
	close_fixture(&f);
}

/* IPV6_V6ONLY sockets cannot reach 127/8: R's twin on ::1. */
static void ipv6_only_socket_uses_the_twin(void **state)
{
	struct fixture f;
	struct ts_addr any = {.ip = fake_ip("::1")};
	struct ts_broker_request req = {
		.type = TS_BROKER_CONNECT, .proto = IPPROTO_TCP,
		.tailnet = fake_addr("[fd7a:115c:a1e0::2]:7")};
	char got[2];
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	(void)state;
	open_fixture(&f);
	assert_int_equal(bind_to(fd, &any), 0);
	req.native_local = local_of(fd);
	req.native_remote = any;
	req.native_remote.port = f.info.rendezvous6_port;
	assert_int_equal(request(&f, &req, fd).error, 0);
	assert_int_equal(connect_to(fd, &req.native_remote), 0);
	send_all(fd, "v6", 2);
	receive_all(fd, got, 2);
	close(fd);
	close_fixture(&f);
}

/* A kernel that accepts at R: early success, refusal is a reset. */
static void works_where_nothing_can_be_held(void **state)
{
	struct ts_host_config config = {.timeout_s = 5, .never_hold = true};
	struct fixture f;
	struct program_conn c, refused;
	char got[5];

	(void)state;
	open_fixture_with(&f, config, TS_RUNNING);
	c = program_connect(&f, PEER ":7", false);
	assert_int_equal(c.connect_error, 0);
	send_all(c.fd, "hello", 5);
	receive_all(c.fd, got, 5);
	refused = program_connect(&f, PEER ":9", false);
	assert_int_equal(refused.connect_error, 0);
	assert_true(wait_for(refused.fd, POLLIN));
	assert_int_equal(recv(refused.fd, got, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_int_equal(entry_of(&f, &refused.key).error, ECONNREFUSED);
	close(c.fd);
	close(refused.fd);
	close_fixture(&f);
}

/* In-process, the program's low fd numbers stay free. */
static void in_process_fds_live_high(void **state)
{
	struct ts_host_config config = {.timeout_s = 5, .in_process = true,
					.shares_files = true};
	struct fixture f;
	struct program_conn c;
	char path[64], target[64];
	int fds = 0;

	(void)state;
	open_fixture_with(&f, config, TS_RUNNING);
	c = program_connect(&f, PEER ":7", false);
	assert_int_equal(c.connect_error, 0);
	for (int fd = 3; fd < 512; fd++) {
		ssize_t len;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		len = readlink(path, target, sizeof(target) - 1);
		if (len <= 0 || fd == c.fd)
			continue;
		target[len] = '\0';
		if (strncmp(target, "socket:", 7) == 0)
			fds++;
	}
	assert_int_equal(fds, 0);
	close(c.fd);
	close_fixture(&f);
}

static int count_high_fds(void)
{
	int count = 0;

	for (int fd = 512; fd < 2048; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* A forked child has copies of all: what we close must not stay open there. */
static void forked_child_gives_them_up(void **state)
{
	struct ts_host_config config = {.timeout_s = 5, .in_process = true,
					.shares_files = true};
	struct fixture f;
	struct program_conn c;
	struct ts_broker_request attach = {.type = TS_BROKER_ATTACH};
	int status = -1, own = -1;
	char byte;
	pid_t pid;

	(void)state;
	open_fixture_with(&f, config, TS_RUNNING);
	c = program_connect(&f, PEER ":7", false);
	assert_int_equal(c.connect_error, 0);
	own = fcntl(c.fd, F_DUPFD_CLOEXEC, 1500); /* the program's, not ours */
	pid = fork();
	if (pid == 0) {
		int before = count_high_fds();

		ts_host_disown();
		_exit(before > 4 && count_high_fds() == 1 &&
				      fcntl(own, F_GETFD) >= 0
			      ? pause()
			      : 1);
	}
	/* The host is unharmed, and its closing is seen although the child
	 * lives: end of file, and the broker's name is gone. */
	assert_int_equal(request(&f, &attach, -1).error, 0);
	send_all(c.fd, "x", 1);
	receive_all(c.fd, &byte, 1);
	close(own);
	on_loop(&f, close_host, NULL);
	assert_true(wait_for(c.fd, POLLIN));
	assert_true(recv(c.fd, &byte, 1, 0) <= 0);
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(c.fd);
	close_fixture(&f);
}

static void set_loopback_mask(uint32_t mask)
{
	struct ifreq req = {.ifr_name = "lo"};
	struct sockaddr_in *sin = (struct sockaddr_in *)&req.ifr_netmask;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	sin->sin_family = AF_INET;
	sin->sin_addr.s_addr = htonl(mask);
	assert_int_equal(ioctl(fd, SIOCSIFNETMASK, &req), 0);
	close(fd);
}

/* A loopback with 127.0.0.1/32 only, as some containers have. */
static void works_with_one_loopback_address(void **state)
{
	struct ts_broker_request req = {.type = TS_BROKER_CONNECT,
					.proto = IPPROTO_TCP,
					.tailnet = fake_addr(PEER ":7")};
	struct ts_addr any = fake_addr("127.0.0.1:0");
	struct fixture f;
	char got[2];
	int fd = new_tcp(false);

	(void)state;
	set_loopback_mask(0xffffffff);
	open_fixture(&f);
	assert_true(f.info.one_loopback);
	assert_int_equal(bind_to(fd, &any), 0);
	req.native_local = local_of(fd);
	req.native_remote = any;
	req.native_remote.port = f.info.rendezvous_port;
	assert_int_equal(request(&f, &req, fd).error, 0);
	assert_int_equal(connect_to(fd, &req.native_remote), 0);
	send_all(fd, "ok", 2);
	receive_all(fd, got, 2);
	close(fd);
	close_fixture(&f);
	set_loopback_mask(0xff000000);
}

/* A page of the kernel's memory and an fd each: not without a limit. */
static void held_connects_are_capped(void **state)
{
	struct ts_host_config config = {.timeout_s = 5, .in_process = true,
					.shares_files = true};
	struct rlimit old, limit;
	struct program_conn c[65];
	struct fixture f;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &old);
	limit = old;
	limit.rlim_cur = 256; /* a quarter: 64 */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	open_fixture_with(&f, config, TS_RUNNING);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	for (int i = 0; i < 64; i++) {
		c[i] = program_connect(&f, PEER ":100", true);
		assert_int_equal(c[i].request_error, 0);
	}
	c[64] = program_connect(&f, PEER ":100", true);
	assert_int_equal(c[64].request_error, ENOBUFS);
	/* One that is released makes room. */
	on_loop(&f, far_answer, NULL);
	close(c[64].fd);
	c[64] = program_connect(&f, PEER ":100", true);
	assert_int_equal(c[64].request_error, 0);
	for (int i = 0; i < 65; i++)
		close(c[i].fd);
	close_fixture(&f);
}

static int connect_after_setuid(void)
{
	struct ts_host_config config = {.timeout_s = 5, .in_process = true,
					.shares_files = true};
	struct program_conn c;
	struct fixture f;

	open_fixture_with(&f, config, TS_RUNNING);
	if (setgid(OTHER_UID) || setuid(OTHER_UID))
		return 1;
	/* R is another one now; the table says which. */
	c = program_connect(&f, PEER ":7", false);
	if (c.request_error != EADDRNOTAVAIL)
		return 2;
	ts_table_read_info(ts_host_table(f.host), &f.info);
	if (f.info.generation != 2)
		return 3;
	c = program_connect(&f, PEER ":7", false);
	return c.request_error || c.connect_error ? 4 : 0;
}

/* SO_REUSEPORT joins sockets of one uid only. */
static void follows_a_change_of_uid(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	if (!has_other_uids())
		skip();
	pid = fork();
	if (pid == 0)
		_exit(connect_after_setuid());
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(raises_the_loopback),
	cmocka_unit_test(info_tells_what_is_ours),
	cmocka_unit_test(connects_and_echoes),
	cmocka_unit_test(holds_and_releases_many),
	cmocka_unit_test(refusal_is_an_error_everywhere),
	cmocka_unit_test(answer_comes_before_the_knock),
	cmocka_unit_test(errors_that_are_known_at_once),
	cmocka_unit_test(bad_requests_are_refused),
	cmocka_unit_test(connects_without_an_answer),
	cmocka_unit_test(fails_without_an_answer),
	cmocka_unit_test(turned_away_without_an_answer),
	cmocka_unit_test(another_hosts_knock_is_left_alone),
	cmocka_unit_test(program_shuts_down_while_held),
	cmocka_unit_test(program_closes_while_held),
	cmocka_unit_test(program_dies_while_held),
	cmocka_unit_test(first_thread_ends_while_held),
	cmocka_unit_test(stranger_cannot_take_the_port),
	cmocka_unit_test(waits_for_the_node),
	cmocka_unit_test(gives_up_on_the_node),
	cmocka_unit_test(stopped_node_is_a_network_that_is_down),
	cmocka_unit_test(refused_login_is_a_network_that_is_down),
	cmocka_unit_test(closing_the_host_refuses_the_held),
	cmocka_unit_test(two_sockets_share_a_port),
	cmocka_unit_test(wildcard_bound_socket_is_found),
	cmocka_unit_test(ipv6_only_socket_uses_the_twin),
	cmocka_unit_test(works_where_nothing_can_be_held),
	cmocka_unit_test(in_process_fds_live_high),
	cmocka_unit_test(forked_child_gives_them_up),
	cmocka_unit_test(works_with_one_loopback_address),
	cmocka_unit_test(held_connects_are_capped),
	cmocka_unit_test(follows_a_change_of_uid),
};

RUN_IN_EMPTY_NET(tests)
