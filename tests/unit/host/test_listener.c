/* SPDX-License-Identifier: BSD-3-Clause
 * test_listener.c - bind, listen, connections from the tailnet and from here
 */
#include "far_end.h"

/* A SYN from the peer, and what the host made of it. */
struct syn_call {
	struct stack_syn *syn;
	const char *to, *from;
	bool is_accepted, is_refused, is_dropped;
};

/* Its syn is freed by the test, when nothing refers to it any more. */
static void send_syn(struct fixture *f, void *ctx)
{
	struct syn_call *call = ctx;

	call->syn = calloc(1, sizeof(*call->syn));
	if (!call->syn)
		abort();
	call->syn->stack = f->node.stack;
	call->syn->local = fake_addr(call->to);
	call->syn->remote = fake_addr(call->from ? call->from : PEER ":5555");
	ts_host_inbound_syn(ts_host_first(f->host), call->syn,
			    &call->syn->local, &call->syn->remote);
}

static void look_syn(struct fixture *f, void *ctx)
{
	struct syn_call *call = ctx;

	(void)f;
	call->is_accepted = call->syn->accepted != NULL;
	call->is_refused = call->syn->is_refused;
	call->is_dropped = call->syn->is_dropped;
}

static int listener_at(const struct ts_addr *addr, int backlog)
{
	const int on = 1;
	int fd = socket(ts_addr_family(addr), SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind_to(fd, addr), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static int say_listen_sharing(struct fixture *f, const char *tailnet,
			      const struct ts_addr *native, uint8_t flags)
{
	struct ts_broker_request req = {.type = TS_BROKER_LISTEN,
					.proto = IPPROTO_TCP,
					.flags = flags,
					.native_local = *native,
					.tailnet = fake_addr(tailnet)};

	return request(f, &req, -1).error;
}

static int say_listen(struct fixture *f, const char *tailnet,
		      const struct ts_addr *native)
{
	return say_listen_sharing(f, tailnet, native, 0);
}

/* A program that listens at 0.0.0.0:port and said so. */
static int program_listens(struct fixture *f, const char *tailnet)
{
	struct ts_addr any = {.ip = TS_IP4_ZERO};
	int fd;

	any.port = fake_addr(tailnet).port;
	fd = listener_at(&any, 16);
	assert_int_equal(say_listen(f, tailnet, &any), 0);
	return fd;
}

static int say_accepted(struct fixture *f, int fd, struct ts_broker_reply *rep)
{
	struct ts_broker_request req = {.type = TS_BROKER_ACCEPTED,
					.proto = IPPROTO_TCP};

	req.native_local = local_of(fd);
	req.native_remote = peer_of(fd);
	*rep = request(f, &req, -1);
	return rep->error;
}

static struct ts_flow_key key_of_accepted(int fd)
{
	struct ts_flow_key key = {.proto = IPPROTO_TCP,
				  .local = local_of(fd),
				  .remote = peer_of(fd)};

	return key;
}

static void bytes_wait_for_accepted(void **state)
{
	struct syn_call call = {.to = SELF ":8080"};
	struct ts_addr peer = fake_addr(PEER ":5555"), own;
	struct far_end far = {.data = "early", .len = 5};
	struct ts_flow_entry entry;
	struct ts_flow_key key;
	struct ts_broker_reply rep;
	struct pollfd p = {.events = POLLIN};
	struct fixture f;
	char got[5];
	int listener, fd;

	(void)state;
	open_fixture(&f);
	listener = program_listens(&f, "[::]:8080");
	on_loop(&f, send_syn, &call);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	key = key_of_accepted(fd);
	entry = entry_of(&f, &key);
	own = fake_addr(SELF ":8080");
	assert_int_equal(entry.kind, TS_FLOW_ACCEPT);
	assert_true(ts_addr_equal(&entry.tailnet_remote, &peer));
	assert_true(ts_addr_equal(&entry.tailnet_local, &own));
	/* R's port: nobody else can come from there. */
	assert_int_equal(key.remote.port, f.info.rendezvous_port);
	assert_true(eventually(&f, look_syn, &call, &call.is_accepted));
	far.t = call.syn->accepted;
	on_loop(&f, far_send, &far);
	p.fd = fd;
	assert_int_equal(poll(&p, 1, 30), 0);
	assert_int_equal(say_accepted(&f, fd, &rep), 0);
	assert_true(ts_addr_equal(&rep.tailnet, &peer));
	receive_all(fd, got, 5);
	assert_memory_equal(got, "early", 5);
	send_all(fd, "reply", 5);
	assert_true(eventually(&f, far_look_got, &far, &far.is));
	assert_memory_equal(far.got, "reply", 5);
	close(fd);
	close(listener);
	close_fixture(&f);
	free(call.syn);
}

static void far_arrives(struct fixture *f, void *ctx)
{
	struct far_end *far = ctx;

	(void)f;
	fake_up(far->t);
}

static void look_abort(struct fixture *f, void *ctx)
{
	*(size_t *)ctx = f->node.stack->abort_count;
}

/* A round trip later than the program has said all it had to say. */
static void program_greets_and_closes_at_once(void **state)
{
	struct syn_call call = {.to = SELF ":8080"};
	struct far_end far = {.len = 7};
	struct ts_broker_reply rep;
	struct pollfd none = {.fd = -1};
	struct fixture f;
	size_t aborts = 1;
	int listener, fd;

	(void)state;
	open_fixture(&f);
	f.node.stack->is_far_away = true;
	listener = program_listens(&f, "[::]:8080");
	on_loop(&f, send_syn, &call);
	fd = accept(listener, NULL, NULL);
	assert_true(eventually(&f, look_syn, &call, &call.is_accepted));
	far.t = call.syn->accepted;
	assert_int_equal(say_accepted(&f, fd, &rep), 0);
	send_all(fd, "welcome", 7);
	close(fd);
	poll(&none, 0, 20); /* for what should not happen */
	on_loop(&f, look_abort, &aborts);
	assert_int_equal(aborts, 0);
	on_loop(&f, far_arrives, &far);
	assert_true(eventually(&f, far_look_got, &far, &far.is));
	assert_memory_equal(far.got, "welcome", 7);
	assert_true(eventually(&f, far_look_fin, &far, &far.is));
	on_loop(&f, look_abort, &aborts);
	assert_int_equal(aborts, 0);
	close(listener);
	close_fixture(&f);
	free(call.syn);
}

/* Nobody waits until the host has read ACCEPTED: the end may be there first. */
static void the_end_comes_before_accepted(void **state)
{
	struct syn_call call = {.to = SELF ":8080"};
	struct ts_broker_request req = {.type = TS_BROKER_ACCEPTED,
					.proto = IPPROTO_TCP};
	struct far_end far = {.len = 7};
	struct pollfd none = {.fd = -1};
	struct fixture f;
	int listener, fd;

	(void)state;
	open_fixture(&f);
	listener = program_listens(&f, "[::]:8080");
	on_loop(&f, send_syn, &call);
	fd = accept(listener, NULL, NULL);
	assert_true(eventually(&f, look_syn, &call, &call.is_accepted));
	far.t = call.syn->accepted;
	req.native_local = local_of(fd);
	req.native_remote = peer_of(fd);
	send_all(fd, "welcome", 7);
	shutdown(fd, SHUT_WR);
	poll(&none, 0, 20); /* until the host has seen that */
	say(&f, &req, fd);
	close(fd);
	assert_true(eventually(&f, far_look_got, &far, &far.is));
	assert_memory_equal(far.got, "welcome", 7);
	assert_true(eventually(&f, far_look_fin, &far, &far.is));
	close(listener);
	close_fixture(&f);
	free(call.syn);
}

static void unregistered_port_is_refused(void **state)
{
	struct syn_call call = {.to = SELF ":8080"};
	struct fixture f;
	struct ts_addr any = {.ip = TS_IP4_ZERO, .port = 8080};
	int local_only;

	(void)state;
	open_fixture(&f);
	/* It listens, but nobody said so: not the tailnet's business. */
	local_only = listener_at(&any, 4);
	on_loop(&f, send_syn, &call);
	assert_true(call.syn->is_refused);
	close(local_only);
	close_fixture(&f);
	free(call.syn);
}

static void a_listener_for_the_internet_alone_refuses_peers(void **state)
{
	struct syn_call call = {.to = SELF ":8080"};
	struct ts_addr any = {.ip = TS_IP4_ZERO, .port = 8080};
	struct fixture f;
	int listener;

	(void)state;
	open_fixture(&f);
	listener = listener_at(&any, 4);
	assert_int_equal(say_listen_sharing(&f, "[::]:8080", &any,
					    TS_BROKER_FUNNEL_ONLY), 0);
	on_loop(&f, send_syn, &call);
	assert_true(call.syn->is_refused);
	close(listener);
	close_fixture(&f);
	free(call.syn);
}

static void closed_listener_is_refused_and_forgotten(void **state)
{
	struct syn_call call = {.to = SELF ":8080"}, again = call;
	struct fixture f;
	int listener;

	(void)state;
	open_fixture(&f);
	listener = program_listens(&f, "[::]:8080");
	close(listener);
	on_loop(&f, send_syn, &call);
	assert_true(eventually(&f, look_syn, &call, &call.is_refused));
	/* Somebody else takes the port, for this machine only. */
	listener = listener_at(&(struct ts_addr){TS_IP4_ZERO, 8080}, 4);
	on_loop(&f, send_syn, &again);
	assert_true(again.syn->is_refused);
	close(listener);
	close_fixture(&f);
	free(call.syn);
	free(again.syn);
}

static void dead_listener_does_not_hide_another(void **state)
{
	struct syn_call call = {.to = SELF ":8080"};
	struct ts_addr exact = fake_addr("127.9.9.9:8081");
	struct fixture f;
	int dead, listener, fd;

	(void)state;
	open_fixture(&f);
	dead = listener_at(&exact, 4);
	assert_int_equal(say_listen(&f, SELF ":8080", &exact), 0);
	close(dead);
	listener = program_listens(&f, "[::]:8080");
	on_loop(&f, send_syn, &call);
	assert_true(eventually(&f, look_syn, &call, &call.is_accepted));
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	close(fd);
	close(listener);
	close_fixture(&f);
	free(call.syn);
}

static void look_far_gone(struct fixture *f, void *ctx)
{
	bool *is = ctx;

	*is = f->node.stack->tcp_count == 0;
}

/* In the queue of a listener that goes: the peer gets a reset. */
static void listener_closes_before_accept(void **state)
{
	struct syn_call call = {.to = SELF ":8080"};
	struct fixture f;
	bool is = false;
	int listener;

	(void)state;
	open_fixture(&f);
	listener = program_listens(&f, "[::]:8080");
	on_loop(&f, send_syn, &call);
	assert_true(eventually(&f, look_syn, &call, &call.is_accepted));
	close(listener);
	assert_true(eventually(&f, look_far_gone, &is, &is));
	assert_int_equal(f.node.stack->abort_count, 1);
	close_fixture(&f);
	free(call.syn);
}

/* The program sees the peer's name, then ECONNRESET. */
static void peer_resets_before_accept(void **state)
{
	struct syn_call call = {.to = SELF ":8080"};
	struct far_end far = {0};
	struct ts_flow_key key = {.proto = IPPROTO_TCP};
	struct sockaddr_storage ss;
	socklen_t ss_len = sizeof(ss);
	struct ts_broker_request accepted = {.type = TS_BROKER_ACCEPTED,
					     .proto = IPPROTO_TCP};
	struct ts_addr peer = fake_addr(PEER ":5555");
	struct ts_broker_reply rep;
	struct fixture f;
	char got;
	int listener, fd;

	(void)state;
	open_fixture(&f);
	listener = program_listens(&f, "[::]:8080");
	on_loop(&f, send_syn, &call);
	assert_true(eventually(&f, look_syn, &call, &call.is_accepted));
	far.t = call.syn->accepted;
	on_loop(&f, far_reset, &far);
	fd = accept(listener, (struct sockaddr *)&ss, &ss_len);
	assert_true(fd >= 0);
	assert_int_equal(ts_addr_from_sockaddr((struct sockaddr *)&ss, ss_len,
					       &key.remote), 0);
	key.local = local_of(fd);
	assert_int_equal(entry_of(&f, &key).kind, TS_FLOW_ACCEPT);
	accepted.native_local = key.local;
	accepted.native_remote = key.remote;
	rep = request(&f, &accepted, -1);
	assert_int_equal(rep.error, 0);
	assert_true(ts_addr_equal(&rep.tailnet, &peer));
	assert_true(wait_for(fd, POLLIN));
	assert_int_equal(recv(fd, &got, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	close(listener);
	close_fixture(&f);
	free(call.syn);
}

/* A program outside takes the connection and ends it: the peer hears. */
static void taken_by_a_stranger(void **state)
{
	struct syn_call call = {.to = SELF ":8080"};
	struct far_end far = {.data = "secret", .len = 6};
	struct fixture f;
	bool is = false;
	char got;
	int listener, fd;

	(void)state;
	open_fixture(&f);
	listener = program_listens(&f, "[::]:8080");
	on_loop(&f, send_syn, &call);
	fd = accept(listener, NULL, NULL);
	assert_true(eventually(&f, look_syn, &call, &call.is_accepted));
	far.t = call.syn->accepted;
	on_loop(&f, far_send, &far);
	send_all(fd, "hello?", 6);
	shutdown(fd, SHUT_WR);
	assert_true(eventually(&f, look_far_gone, &is, &is));
	assert_true(recv(fd, &got, 1, 0) <= 0);
	close(fd);
	close(listener);
	close_fixture(&f);
	free(call.syn);
}

static void local_connection_is_not_in_the_table(void **state)
{
	struct ts_broker_reply rep;
	struct fixture f;
	struct ts_addr at = fake_addr("127.0.0.1:8080");
	int listener, client, fd;

	(void)state;
	open_fixture(&f);
	listener = program_listens(&f, "[::]:8080");
	client = new_tcp(false);
	assert_int_equal(connect_to(client, &at), 0);
	fd = accept(listener, NULL, NULL);
	assert_int_equal(say_accepted(&f, fd, &rep), ENOENT);
	close(fd);
	close(client);
	close(listener);
	close_fixture(&f);
}

/* A full queue lets the peer wait, as a kernel would; when the stack gives up
 * so does the native connect. */
static void syn_gone(struct fixture *f, void *ctx)
{
	struct syn_call *call = ctx;

	ts_host_syn_gone(ts_host_first(f->host), call->syn);
}

static void full_queue_lets_the_peer_wait(void **state)
{
	struct syn_call calls[4] = {{.to = SELF ":8080"}};
	struct ts_addr any = {.ip = TS_IP4_ZERO, .port = 8080};
	struct fixture f;
	int listener, fd;

	(void)state;
	open_fixture(&f);
	listener = listener_at(&any, 0);
	assert_int_equal(say_listen(&f, "[::]:8080", &any), 0);
	for (int i = 0; i < 4; i++) {
		calls[i].to = SELF ":8080";
		on_loop(&f, send_syn, &calls[i]);
	}
	assert_true(eventually(&f, look_syn, &calls[0],
			       &calls[0].is_accepted));
	on_loop(&f, look_syn, &calls[3]);
	assert_false(calls[3].is_accepted || calls[3].is_refused);
	on_loop(&f, syn_gone, &calls[3]);
	on_loop(&f, look_syn, &calls[3]);
	assert_false(calls[3].is_refused || calls[3].is_dropped);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	close(fd);
	close(listener);
	close_fixture(&f);
	for (int i = 0; i < 4; i++)
		free(calls[i].syn);
}

/* An own address goes before 0.0.0.0, that before ::. */
static void best_listener_wins(void **state)
{
	struct fixture f;
	struct ts_addr at[3] = {fake_addr("127.1.1.1:9001"),
				fake_addr("127.1.1.1:9002"),
				fake_addr("127.1.1.1:9003")};
	static const char *const tailnet[3] = {"[::]:80", "0.0.0.0:80",
					       SELF ":80"};
	static const char *const v6 = "[fd7a:115c:a1e0::1]:80";
	struct syn_call call = {.to = SELF ":80"}, call6 = {.to = v6};
	int listener[3], fd;

	(void)state;
	open_fixture(&f);
	for (int i = 0; i < 3; i++) {
		listener[i] = listener_at(&at[i], 4);
		assert_int_equal(say_listen_sharing(&f, tailnet[i], &at[i],
						    TS_BROKER_REUSE_PORT), 0);
	}
	on_loop(&f, send_syn, &call);
	fd = accept(listener[2], NULL, NULL);
	assert_true(fd >= 0);
	close(fd);
	call6.from = "[fd7a:115c:a1e0::2]:5555";
	on_loop(&f, send_syn, &call6);
	fd = accept(listener[0], NULL, NULL);
	assert_true(fd >= 0);
	close(fd);
	for (int i = 0; i < 3; i++)
		close(listener[i]);
	close_fixture(&f);
	free(call.syn);
	free(call6.syn);
}

/* 0.0.0.0 and [::] side by side, as nginx has them. */
static void ipv6_only_listener_is_apart(void **state)
{
	struct syn_call call6 = {.to = "[fd7a:115c:a1e0::1]:80",
				 .from = "[fd7a:115c:a1e0::2]:5555"};
	struct syn_call call4 = {.to = SELF ":80"}, refused = call4;
	struct ts_addr at4 = {TS_IP4_ZERO, 8080}, at6 = {TS_IP_ZERO, 8080};
	const int on = 1;
	struct ts_flow_key key;
	struct fixture f;
	int listener6 = socket(AF_INET6, SOCK_STREAM, 0), listener4, fd;

	(void)state;
	open_fixture(&f);
	setsockopt(listener6, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	assert_int_equal(bind_to(listener6, &at6), 0);
	assert_int_equal(listen(listener6, 4), 0);
	assert_int_equal(say_listen(&f, "[::]:80", &at6), 0);
	on_loop(&f, send_syn, &refused);
	assert_true(refused.syn->is_refused);
	listener4 = listener_at(&at4, 4);
	assert_int_equal(say_listen(&f, "0.0.0.0:80", &at4), 0);
	on_loop(&f, send_syn, &call6);
	fd = accept(listener6, NULL, NULL);
	assert_true(fd >= 0);
	key = key_of_accepted(fd);
	assert_int_equal(entry_of(&f, &key).kind, TS_FLOW_ACCEPT);
	close(fd);
	on_loop(&f, send_syn, &call4);
	fd = accept(listener4, NULL, NULL);
	assert_true(fd >= 0);
	close(fd);
	close(listener4);
	close(listener6);
	close_fixture(&f);
	free(call6.syn);
	free(call4.syn);
	free(refused.syn);
}

/* -- BIND ----------------------------------------------------------------- */

static struct ts_broker_reply say_bind(struct fixture *f, const char *tailnet,
				       uint8_t flags)
{
	struct ts_broker_request req = {.type = TS_BROKER_BIND,
					.proto = IPPROTO_TCP, .flags = flags,
					.tailnet = fake_addr(tailnet)};

	return request(f, &req, -1);
}

static void bind_gets_a_native_address(void **state)
{
	struct fixture f;
	struct ts_broker_reply rep, again;
	struct ts_addr own = fake_addr(SELF ":80");
	struct ts_flow_key key = {.proto = IPPROTO_TCP};
	int fd, other = new_tcp(false);

	(void)state;
	open_fixture(&f);
	rep = say_bind(&f, SELF ":80", 0);
	assert_int_equal(rep.error, 0);
	assert_true(ts_ip_is_loopback(&rep.native.ip));
	assert_true(rep.native.port >= 1024);
	fd = listener_at(&rep.native, 4);
	assert_int_equal(say_listen(&f, SELF ":80", &rep.native), 0);
	key.local = rep.native;
	assert_int_equal(entry_of(&f, &key).kind, TS_FLOW_BIND);
	own = entry_of(&f, &key).tailnet_local;
	assert_int_equal(own.port, 80);
	/* The same address again is the kernel's to refuse. */
	again = say_bind(&f, SELF ":80", 0);
	assert_int_equal(again.error, 0);
	assert_true(ts_addr_equal(&again.native, &rep.native));
	assert_int_equal(bind_to(other, &again.native), -EADDRINUSE);
	/* A wildcard would take part of it. */
	assert_int_equal(say_bind(&f, "0.0.0.0:80", 0).error, EADDRINUSE);
	assert_int_equal(say_bind(&f, "[::]:80", 0).error, EADDRINUSE);
	assert_int_equal(say_bind(&f, "[fd7a:115c:a1e0::1]:80", 0).error, 0);
	/* When its socket is gone it is free. */
	close(fd);
	assert_int_equal(say_bind(&f, "0.0.0.0:80", 0).error, 0);
	close(other);
	close_fixture(&f);
}

static void bind_checks_the_address(void **state)
{
	struct ts_broker_request sctp = {.type = TS_BROKER_BIND,
					 .proto = IPPROTO_SCTP,
					 .tailnet = fake_addr(SELF ":80")};
	struct fixture f;

	(void)state;
	open_fixture(&f);
	assert_int_equal(say_bind(&f, PEER ":80", 0).error, EADDRNOTAVAIL);
	assert_int_equal(say_bind(&f, "192.0.2.1:80", 0).error, EADDRNOTAVAIL);
	assert_int_equal(request(&f, &sctp, -1).error, EPROTONOSUPPORT);
	close_fixture(&f);
}

static void bind_to_any_port(void **state)
{
	struct ts_broker_request bound = {.type = TS_BROKER_BOUND,
					  .proto = IPPROTO_TCP};
	struct ts_broker_reply rep;
	struct fixture f;
	struct ts_flow_key key = {.proto = IPPROTO_TCP};
	int fd = new_tcp(false);

	(void)state;
	open_fixture(&f);
	rep = say_bind(&f, SELF ":0", 0);
	assert_int_equal(rep.error, 0);
	assert_in_range(rep.native.port, 32768, 65535);
	assert_int_equal(bind_to(fd, &rep.native), 0);
	bound.native_local = local_of(fd);
	bound.tailnet = fake_addr(SELF ":0");
	assert_int_equal(request(&f, &bound, -1).error, ENOBUFS);
	rep = request(&f, &bound, fd);
	assert_int_equal(rep.error, 0);
	assert_int_equal(rep.tailnet.port, bound.native_local.port);
	key.local = bound.native_local;
	assert_int_equal(entry_of(&f, &key).tailnet_local.port,
			 bound.native_local.port);
	close(fd);
	close_fixture(&f);
}

static void give_netmap(struct fixture *f, void *ctx)
{
	(void)ctx;
	make_self(&f->node);
	f->node.state = TS_RUNNING;
	ts_host_netmap_changed(f->host);
}

/* A server that starts with the node and binds its address at once. */
static void bind_waits_for_the_addresses(void **state)
{
	struct ts_host_config config = {.timeout_s = 5};
	struct ts_broker_request req = {.type = TS_BROKER_BIND,
					.proto = IPPROTO_TCP,
					.tailnet = fake_addr(SELF ":80")};
	struct ts_broker_reply rep;
	struct fixture f;
	int fd;

	(void)state;
	open_fixture_with(&f, config, TS_STARTING);
	fd = broker_connect(f.abstract_name);
	send_request(fd, &req, -1);
	on_loop(&f, give_netmap, NULL);
	assert_true(receive_reply(fd, &rep, NULL) > 0);
	assert_int_equal(rep.error, 0);
	close(fd);
	close_fixture(&f);
}

static void listen_is_exact(void **state)
{
	struct fixture f;
	struct ts_addr a = fake_addr("127.1.1.1:9001");
	struct ts_addr b = fake_addr("127.1.1.1:9002");
	struct ts_addr out = fake_addr("192.0.2.1:22");
	int first, second;

	(void)state;
	open_fixture(&f);
	first = listener_at(&a, 4);
	second = listener_at(&b, 4);
	assert_int_equal(say_listen(&f, "[::]:80", &a), 0);
	assert_int_equal(say_listen(&f, "[::]:80", &a), 0); /* nginx: twice */
	assert_int_equal(say_listen(&f, "[::]:80", &b), EADDRINUSE);
	/* It has all addresses; SO_REUSEADDR is of no use with one that
	 * listens. */
	assert_int_equal(say_listen(&f, SELF ":80", &b), EADDRINUSE);
	assert_int_equal(say_listen_sharing(&f, SELF ":80", &b,
					    TS_BROKER_REUSE), EADDRINUSE);
	close(first);
	assert_int_equal(say_listen(&f, "[::]:80", &b), 0);
	/* We are nobody's relay to other machines. */
	assert_int_equal(say_listen(&f, "[::]:81", &out), EINVAL);
	assert_int_equal(say_listen(&f, PEER ":82", &b), EADDRNOTAVAIL);
	close(second);
	close_fixture(&f);
}

/* A port that is found free by a bind to our own address is free for all. */
static void a_wildcard_takes_the_port_of_a_closed_listener(void **state)
{
	struct ts_broker_request req = {.type = TS_BROKER_BIND,
					.proto = IPPROTO_TCP,
					.tailnet = fake_addr(SELF ":0")};
	struct ts_addr any = {.ip = TS_IP4_ZERO};
	struct ts_broker_reply rep;
	char text[TS_ADDR_TEXT_CAP];
	struct fixture f;
	int fd;

	(void)state;
	open_fixture(&f);
	rep = request(&f, &req, -1);
	assert_int_equal(rep.error, 0);
	req.type = TS_BROKER_BOUND;
	req.native_local = rep.native;
	fd = new_tcp(false);
	assert_int_equal(bind_to(fd, &rep.native), 0);
	assert_int_equal(request(&f, &req, fd).error, 0);
	close(fd);
	any.port = rep.native.port;
	fd = listener_at(&any, 4);
	assert_int_equal(say_listen(&f, ts_addr_format(&any, text), &any), 0);
	close(fd);
	close_fixture(&f);
}

/* The new program's own socket makes the record look alive. */
static void a_dual_stack_wildcard_replaces_a_dead_one_of_ipv6(void **state)
{
	const struct ts_addr v6 = fake_addr("[::]:9001");
	const struct ts_addr both = fake_addr("0.0.0.0:9001");
	struct fixture f;
	int fd;

	(void)state;
	open_fixture(&f);
	fd = listener_at(&v6, 4);
	assert_int_equal(say_listen(&f, "[::]:9001", &v6), 0);
	assert_int_equal(say_listen(&f, "[::]:9001", &both), 0);
	close(fd);
	close_fixture(&f);
}

/* -- from here to here ---------------------------------------------------- */

static void connects_to_itself(void **state)
{
	struct fixture f;
	struct program_conn c;
	struct ts_flow_key key;
	struct ts_flow_entry inbound, outbound;
	struct ts_broker_reply rep;
	char got[4];
	int listener, fd;

	(void)state;
	open_fixture(&f);
	listener = program_listens(&f, "[::]:8080");
	c = program_connect(&f, SELF ":8080", true);
	assert_int_equal(c.request_error, 0);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(wait_for(c.fd, POLLOUT), POLLOUT);
	assert_int_equal(so_error(c.fd), 0);
	key = key_of_accepted(fd);
	inbound = entry_of(&f, &key);
	outbound = entry_of(&f, &c.key);
	assert_true(ts_addr_equal(&inbound.tailnet_local,
				  &outbound.tailnet_remote));
	assert_true(ts_addr_equal(&inbound.tailnet_remote,
				  &outbound.tailnet_local));
	send_all(c.fd, "ping", 4);
	assert_int_equal(say_accepted(&f, fd, &rep), 0);
	receive_all(fd, got, 4);
	assert_memory_equal(got, "ping", 4);
	send_all(fd, "pong", 4);
	receive_all(c.fd, got, 4);
	assert_memory_equal(got, "pong", 4);
	shutdown(c.fd, SHUT_WR);
	assert_true(wait_for(fd, POLLIN));
	assert_int_equal(recv(fd, got, 1, 0), 0);
	send_all(fd, "late", 4);
	receive_all(c.fd, got, 4);
	close(fd);
	assert_true(wait_for(c.fd, POLLIN));
	assert_int_equal(recv(c.fd, got, 1, 0), 0);
	close(c.fd);
	close(listener);
	close_fixture(&f);
}

static void reset_passes_the_relay(void **state)
{
	const struct linger now = {.l_onoff = 1};
	struct fixture f;
	struct program_conn c;
	struct ts_broker_reply rep;
	char got;
	int listener, fd;

	(void)state;
	open_fixture(&f);
	listener = program_listens(&f, "[::]:8080");
	c = program_connect(&f, SELF ":8080", true);
	fd = accept(listener, NULL, NULL);
	assert_int_equal(say_accepted(&f, fd, &rep), 0);
	assert_int_equal(wait_for(c.fd, POLLOUT), POLLOUT);
	setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(c.fd);
	assert_true(wait_for(fd, POLLIN) & POLLERR);
	assert_int_equal(recv(fd, &got, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
	close(listener);
	close_fixture(&f);
}

static void stale_listener_refuses_itself(void **state)
{
	struct fixture f;
	struct program_conn c;
	int listener;

	(void)state;
	open_fixture(&f);
	listener = program_listens(&f, "[::]:8080");
	close(listener);
	c = program_connect(&f, SELF ":8080", false);
	assert_int_equal(c.connect_error, ECONNRESET);
	assert_int_equal(entry_of(&f, &c.key).error, ECONNREFUSED);
	close(c.fd);
	close_fixture(&f);
}

struct bulk {
	int fd;
	size_t len;
	uint64_t sum;
};

static void *send_bulk(void *ctx)
{
	struct bulk *b = ctx;
	static uint8_t piece[65536];

	for (size_t i = 0; i < sizeof(piece); i++)
		piece[i] = (uint8_t)(i * 7);
	for (size_t at = 0; at < b->len; at += sizeof(piece))
		send_all(b->fd, piece, sizeof(piece));
	shutdown(b->fd, SHUT_WR);
	return NULL;
}

static void relay_moves_bulk(void **state)
{
	struct fixture f;
	struct program_conn c;
	struct ts_broker_reply rep;
	struct bulk b = {.len = 20 * 1024 * 1024};
	static uint8_t piece[65536];
	pthread_t thread;
	size_t at = 0;
	bool is_same = true;
	int listener, fd;

	(void)state;
	open_fixture(&f);
	listener = program_listens(&f, "[::]:8080");
	c = program_connect(&f, SELF ":8080", false);
	assert_int_equal(c.connect_error, 0);
	fd = accept(listener, NULL, NULL);
	assert_int_equal(say_accepted(&f, fd, &rep), 0);
	b.fd = c.fd;
	pthread_create(&thread, NULL, send_bulk, &b);
	for (;;) {
		ssize_t n = recv(fd, piece, sizeof(piece), 0);

		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			is_same &= piece[i] ==
				   (uint8_t)((at + (size_t)i) % 65536 * 7);
		at += (size_t)n;
	}
	pthread_join(thread, NULL);
	assert_int_equal(at, b.len);
	assert_true(is_same);
	close(fd);
	close(c.fd);
	close(listener);
	close_fixture(&f);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(bytes_wait_for_accepted),
	cmocka_unit_test(program_greets_and_closes_at_once),
	cmocka_unit_test(the_end_comes_before_accepted),
	cmocka_unit_test(unregistered_port_is_refused),
	cmocka_unit_test(
			a_listener_for_the_internet_alone_refuses_peers),
		cmocka_unit_test(closed_listener_is_refused_and_forgotten),
	cmocka_unit_test(dead_listener_does_not_hide_another),
	cmocka_unit_test(listener_closes_before_accept),
	cmocka_unit_test(peer_resets_before_accept),
	cmocka_unit_test(taken_by_a_stranger),
	cmocka_unit_test(local_connection_is_not_in_the_table),
	cmocka_unit_test(full_queue_lets_the_peer_wait),
	cmocka_unit_test(best_listener_wins),
	cmocka_unit_test(ipv6_only_listener_is_apart),
	cmocka_unit_test(bind_gets_a_native_address),
	cmocka_unit_test(bind_checks_the_address),
	cmocka_unit_test(bind_to_any_port),
	cmocka_unit_test(bind_waits_for_the_addresses),
	cmocka_unit_test(listen_is_exact),
	cmocka_unit_test(a_wildcard_takes_the_port_of_a_closed_listener),
	cmocka_unit_test(a_dual_stack_wildcard_replaces_a_dead_one_of_ipv6),
	cmocka_unit_test(connects_to_itself),
	cmocka_unit_test(reset_passes_the_relay),
	cmocka_unit_test(stale_listener_refuses_itself),
	cmocka_unit_test(relay_moves_bulk),
};

RUN_IN_EMPTY_NET(tests)
