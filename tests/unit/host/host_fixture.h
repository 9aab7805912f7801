/* SPDX-License-Identifier: BSD-3-Clause
 * host_fixture.h - a host on a thread of its own, and a program beside it
 *
 * The test's main thread is the program: it speaks the broker protocol as the
 * shim does and uses ordinary blocking sockets. The loop runs on a second
 * thread; on_loop() runs a function there and waits for it, which is how a
 * test looks into the host or plays the far end. Each test binary runs in a
 * network namespace of its own with nothing but a loopback. What the stack is,
 * a fake or the real one, is said by the header that the test includes first
 * (test_stack_new, test_stack_free).
 */
#ifndef TESTS_UNIT_HOST_HOST_FIXTURE_H
#define TESTS_UNIT_HOST_HOST_FIXTURE_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/log.h"
#include "core/broker/broker_wire.h"
#include "core/crypto/secret.h"
#include "core/host/host.h"
#include "fake_node.h"

#define PEER "100.64.0.2"
#define SELF "100.64.0.1"
enum { WAIT_MS = 5000 };

struct fixture {
	struct ts_loop *loop;
	struct ts_node node;
	struct ts_host *host;
	struct ts_table_info info;
	pthread_t thread;
	char abstract_name[64];
	char path[100];
};

static inline void set_loopback(bool up)
{
	struct ifreq req = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &req), 0);
	if (up)
		req.ifr_flags |= IFF_UP;
	else
		req.ifr_flags &= (short)~IFF_UP;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &req), 0);
	close(fd);
}

/* false: namespaces are not allowed here. Before any thread is made. */
static inline bool enter_empty_net(void)
{
	if (unshare(CLONE_NEWNET) == 0)
		return true;
	return unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
}

/* -- the loop's thread ---------------------------------------------------- */

struct loop_call {
	void (*fn)(struct fixture *f, void *ctx);
	struct fixture *f;
	void *ctx;
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool is_done;
};

static inline void run_call(void *ctx)
{
	struct loop_call *call = ctx;

	call->fn(call->f, call->ctx);
	pthread_mutex_lock(&call->lock);
	call->is_done = true;
	pthread_cond_signal(&call->done);
	pthread_mutex_unlock(&call->lock);
}

static inline void on_loop(struct fixture *f,
			   void (*fn)(struct fixture *f, void *ctx), void *ctx)
{
	struct loop_call call = {.fn = fn, .f = f, .ctx = ctx,
				 .lock = PTHREAD_MUTEX_INITIALIZER,
				 .done = PTHREAD_COND_INITIALIZER};

	assert_int_equal(ts_loop_post(f->loop, run_call, &call), 0);
	pthread_mutex_lock(&call.lock);
	while (!call.is_done)
		pthread_cond_wait(&call.done, &call.lock);
	pthread_mutex_unlock(&call.lock);
}

static inline void *run_loop(void *ctx)
{
	ts_loop_run(ctx);
	return NULL;
}

/* Runs is() on the loop until it is true: the loop's own turns drive the
 * wait, and WAIT_MS only ends a test that has failed. */
static inline bool eventually(struct fixture *f,
			      void (*look)(struct fixture *f, void *ctx),
			      void *ctx, const bool *is)
{
	struct pollfd none = {.fd = -1};

	for (int i = 0; i < WAIT_MS; i++) {
		on_loop(f, look, ctx);
		if (*is)
			return true;
		poll(&none, 1, 1);
	}
	return false;
}

/* -- set-up --------------------------------------------------------------- */

static inline void make_self(struct ts_node *node)
{
	struct ts_peer *self = calloc(1, sizeof(*self));

	assert_non_null(self);
	self->name = strdup("us.ts.net.");
	node->map->self = self;
	node->own_v4 = fake_ip(SELF);
	node->own_v6 = fake_ip("fd7a:115c:a1e0::1");
}

static inline void open_fixture_with(struct fixture *f,
				     struct ts_host_config config,
				     enum ts_node_state state)
{
	char err[256] = "";
	sigset_t hurry;

	memset(f, 0, sizeof(*f));
	f->loop = ts_loop_new();
	assert_non_null(f->loop);
	f->node.state = state;
	f->node.map = ts_netmap_new();
	assert_non_null(f->node.map);
	f->node.stack = test_stack_new(f->loop);
	if (state == TS_RUNNING)
		make_self(&f->node);
	snprintf(f->abstract_name, sizeof(f->abstract_name), "host-test-%x",
		 ts_random_u32()); /* a failed test leaves its host behind */
	config.abstract_name = f->abstract_name;
	f->host = ts_host_open(f->loop, &f->node, &config, err);
	if (!f->host)
		fail_msg("ts_host_open: %s", err);
	assert_true(ts_table_read_info(ts_host_table(f->host), &f->info));
	/* What core/host/hurry.c sends is for the loop's thread. */
	sigemptyset(&hurry);
	sigaddset(&hurry, SIGURG);
	pthread_sigmask(SIG_UNBLOCK, &hurry, NULL);
	assert_int_equal(pthread_create(&f->thread, NULL, run_loop, f->loop),
			 0);
	pthread_sigmask(SIG_BLOCK, &hurry, NULL);
}

static inline void open_fixture(struct fixture *f)
{
	struct ts_host_config config = {.timeout_s = 5};

	open_fixture_with(f, config, TS_RUNNING);
}

static inline void close_host(struct fixture *f, void *ctx)
{
	(void)ctx;
	ts_host_close(f->host);
	f->host = NULL;
}

static inline void close_fixture(struct fixture *f)
{
	if (f->host)
		on_loop(f, close_host, NULL);
	ts_loop_stop(f->loop);
	pthread_join(f->thread, NULL);
	test_stack_free(f->node.stack);
	ts_loop_free(f->loop);
	ts_netmap_free(f->node.map);
}

/* -- the program's side: what the shim does ------------------------------- */

static inline int broker_connect(const char *abstract_name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path + 1, abstract_name);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr,
				 (socklen_t)(offsetof(struct sockaddr_un,
						      sun_path) +
					     1 + strlen(abstract_name))),
			 0);
	return fd;
}

static inline void send_with_fds(int to, const void *data, size_t len,
				 const int *fds, size_t fd_count)
{
	char control[CMSG_SPACE(8 * sizeof(int))] = {0};
	struct iovec iov = {(void *)(uintptr_t)data, len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd_count > 0) {
		struct cmsghdr *c;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
	}
	assert_int_equal(sendmsg(to, &msg, MSG_NOSIGNAL), len);
}

/* Length of the reply, 0 when the host hung up. *fd: received, or -1. */
static inline ssize_t receive_reply(int from, struct ts_broker_reply *rep,
				    int *fd)
{
	uint8_t in[TS_BROKER_MESSAGE_MAX];
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {in, sizeof(in)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t len = recvmsg(from, &msg, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	if (fd)
		*fd = -1;
	if (len <= 0)
		return 0;
	if (c && fd)
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	assert_int_equal(ts_broker_read_reply(in, (size_t)len, rep), 0);
	return len;
}

static inline void send_request(int to, const struct ts_broker_request *req,
				int pass_fd)
{
	uint8_t out[TS_BROKER_MESSAGE_MAX];
	int len = ts_broker_write_request(req, out, sizeof(out));

	assert_true(len > 0);
	send_with_fds(to, out, (size_t)len, &pass_fd, pass_fd >= 0);
}

static inline struct ts_broker_reply request(struct fixture *f,
					     const struct ts_broker_request *r,
					     int pass_fd)
{
	struct ts_broker_reply rep;
	int fd = broker_connect(f->abstract_name);

	send_request(fd, r, pass_fd);
	assert_true(receive_reply(fd, &rep, NULL) > 0);
	assert_int_equal(rep.type, r->type);
	close(fd);
	return rep;
}

/* Nobody waits for an answer, and none comes: the end, at once. */
static inline void say(struct fixture *f, struct ts_broker_request *r,
		       int pass_fd)
{
	struct ts_broker_reply rep;
	int fd = broker_connect(f->abstract_name);

	r->flags |= TS_BROKER_UNANSWERED;
	send_request(fd, r, pass_fd);
	assert_int_equal(receive_reply(fd, &rep, NULL), 0);
	close(fd);
}

static inline struct ts_addr local_of(int fd)
{
	struct sockaddr_storage ss;
	struct ts_addr addr = {.port = 0};
	socklen_t len = sizeof(ss);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(ts_addr_from_sockaddr((struct sockaddr *)&ss, len,
					       &addr), 0);
	return addr;
}

/* Our own socket of that name, or -1. */
static inline int socket_named(int type, const struct ts_addr *name)
{
	for (int fd = 3; fd < 1024; fd++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss), type_len = sizeof(int);
		struct ts_addr addr;
		int its_type = 0;

		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &its_type, &type_len) ||
		    its_type != type ||
		    getsockname(fd, (struct sockaddr *)&ss, &len) ||
		    ts_addr_from_sockaddr((struct sockaddr *)&ss, len, &addr))
			continue;
		if (ts_addr_equal(&addr, name))
			return fd;
	}
	return -1;
}

static inline struct ts_addr peer_of(int fd)
{
	struct sockaddr_storage ss;
	struct ts_addr addr = {.port = 0};
	socklen_t len = sizeof(ss);

	assert_int_equal(getpeername(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(ts_addr_from_sockaddr((struct sockaddr *)&ss, len,
					       &addr), 0);
	return addr;
}

static inline int bind_to(int fd, const struct ts_addr *addr)
{
	struct sockaddr_storage ss;
	int len = ts_addr_to_sockaddr(addr, ts_addr_family(addr), &ss);

	return bind(fd, (struct sockaddr *)&ss, (socklen_t)len) ? -errno : 0;
}

static inline int connect_to(int fd, const struct ts_addr *addr)
{
	struct sockaddr_storage ss;
	int len = ts_addr_to_sockaddr(addr, ts_addr_family(addr), &ss);

	return connect(fd, (struct sockaddr *)&ss, (socklen_t)len) ? -errno : 0;
}

static inline struct ts_addr random_loopback(uint16_t port)
{
	uint32_t r = ts_random_u32();
	uint8_t v4[4] = {127, (uint8_t)(1 + r % 254), (uint8_t)(r >> 8),
			 (uint8_t)(1 + (r >> 16) % 254)};

	return (struct ts_addr){.ip = ts_ip_from_v4(v4), .port = port};
}

struct program_conn {
	int fd;
	struct ts_flow_key key;
	int request_error; /* of CONNECT, positive errno */
	int connect_error; /* of connect(), positive errno */
};

static inline int new_tcp(bool nonblock)
{
	int fd = socket(AF_INET,
			SOCK_STREAM | SOCK_CLOEXEC |
				(nonblock ? SOCK_NONBLOCK : 0), 0);

	assert_true(fd >= 0);
	return fd;
}

/* CONNECT only; the native connect is up to the caller. */
static inline struct program_conn ask_connect(struct fixture *f, int fd,
					      const char *to)
{
	struct program_conn c = {.fd = fd, .key = {.proto = IPPROTO_TCP}};
	struct ts_addr any = random_loopback(0);
	struct ts_broker_request req = {.type = TS_BROKER_CONNECT,
					.proto = IPPROTO_TCP,
					.tailnet = fake_addr(to)};

	assert_int_equal(bind_to(fd, &any), 0);
	c.key.local = local_of(fd);
	c.key.remote = random_loopback(f->info.rendezvous_port);
	req.native_local = c.key.local;
	req.native_remote = c.key.remote;
	c.request_error = request(f, &req, fd).error;
	return c;
}

static inline struct program_conn program_connect(struct fixture *f,
						  const char *to,
						  bool nonblock)
{
	struct program_conn c = ask_connect(f, new_tcp(nonblock), to);

	if (c.request_error == 0)
		c.connect_error = -connect_to(c.fd, &c.key.remote);
	return c;
}

static inline struct ts_flow_entry entry_of(struct fixture *f,
					    const struct ts_flow_key *key)
{
	struct ts_flow_entry entry = {0};

	if (!ts_table_find(ts_host_table(f->host), key, &entry))
		entry.kind = TS_FLOW_NONE;
	return entry;
}

/* POLL* that came within WAIT_MS, 0: none. */
static inline short wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, WAIT_MS) == 1 ? p.revents : 0;
}

static inline int so_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len), 0);
	return err;
}

static inline void send_all(int fd, const void *data, size_t len)
{
	const uint8_t *at = data;

	while (len > 0) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);

		assert_true(n > 0);
		at += n;
		len -= (size_t)n;
	}
}

/* Exactly len bytes, or the test fails. */
static inline void receive_all(int fd, void *out, size_t len)
{
	uint8_t *at = out;

	while (len > 0) {
		ssize_t n;

		assert_true(wait_for(fd, POLLIN));
		n = recv(fd, at, len, 0);
		assert_true(n > 0);
		at += n;
		len -= (size_t)n;
	}
}

/* main() of a test binary. */
#define RUN_IN_EMPTY_NET(tests)                                                \
	int main(void)                                                         \
	{                                                                      \
		if (!enter_empty_net()) {                                      \
			puts("1..0 # skip: no network namespaces here");       \
			return 0;                                              \
		}                                                              \
		ts_crypto_init();                                              \
		ts_log_set_level(getenv("HOST_TEST_LOG") ? TS_LOG_DEBUG        \
							 : TS_LOG_OFF);        \
		return cmocka_run_group_tests(tests, NULL, NULL);              \
	}

#endif
