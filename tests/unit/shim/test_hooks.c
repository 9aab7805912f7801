/* SPDX-License-Identifier: BSD-3-Clause
 * test_hooks.c - programs with the shim, and a host in another process
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/nameser.h>
#include <resolv.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "core/broker/option_rule.h"
#include "unit/shim/fake_host.inc"
#include "unit/shim/program.inc"

/* -- helpers of the programs ---------------------------------------------- */

static socklen_t sock_addr(const char *ip, uint16_t port, int family,
			   struct sockaddr_storage *ss)
{
	struct ts_addr addr = {.port = port};
	int len;

	CHECK(ts_ip_parse(ip, &addr.ip) == 0);
	len = ts_addr_to_sockaddr(&addr, family, ss);
	CHECK(len > 0);
	return (socklen_t)len;
}

static int connect_to(int fd, const char *ip, uint16_t port, int family)
{
	struct sockaddr_storage ss;
	socklen_t len = sock_addr(ip, port, family, &ss);

	return connect(fd, (struct sockaddr *)&ss, len);
}

static int tcp(int family, int flags)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	CHECK(fd >= 0);
	return fd;
}

static void check_echo(int fd)
{
	char buf[8] = "";

	CHECK(write(fd, "ping", 4) == 4);
	CHECK(read(fd, buf, 4) == 4);
	CHECK(memcmp(buf, "ping", 4) == 0);
}

typedef int (*name_fn)(int, struct sockaddr *, socklen_t *);

static void check_name(int fd, name_fn ask, int family, const char *expected)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct ts_addr addr;
	char text[TS_ADDR_TEXT_CAP];

	CHECK(ask(fd, (struct sockaddr *)&ss, &len) == 0);
	CHECK(ss.ss_family == family);
	CHECK(len == (family == AF_INET ? sizeof(struct sockaddr_in)
					: sizeof(struct sockaddr_in6)));
	CHECK(ts_addr_from_sockaddr((struct sockaddr *)&ss, len, &addr) == 0);
	ts_addr_format(&addr, text);
	if (strcmp(text, expected) != 0)
		fprintf(stderr, "is %s, should be %s\n", text, expected);
	CHECK(strcmp(text, expected) == 0);
}

static int peer_name(int fd, struct sockaddr *sa, socklen_t *len)
{
	return getpeername(fd, sa, len);
}

static int own_name(int fd, struct sockaddr *sa, socklen_t *len)
{
	return getsockname(fd, sa, len);
}

static int so_error(int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);

	CHECK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0);
	return err;
}

static short wait_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	CHECK(poll(&p, 1, 5000) == 1);
	return p.revents;
}

static void start_nonblocking(int *fd, uint16_t port)
{
	*fd = tcp(AF_INET, SOCK_NONBLOCK);
	errno = 0;
	CHECK(connect_to(*fd, FAKE_PEER, port, AF_INET) == -1);
	CHECK(errno == EINPROGRESS);
}

/* -- connect -------------------------------------------------------------- */

static void connects_and_keeps_errno(void)
{
	int fd = tcp(AF_INET, 0);

	errno = 77;
	CHECK(connect_to(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == 0);
	CHECK(errno == 77);
	check_echo(fd);
	check_name(fd, peer_name, AF_INET, FAKE_PEER ":7");
	check_name(fd, own_name, AF_INET, FAKE_OWN ":50000");
	CHECK(errno == 77);
	CHECK(fd == 3); /* nothing of ours is open */
	CHECK(connect_to(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == -1);
	CHECK(errno == EISCONN);
}

static void connects_from_v6_sockets(void)
{
	int fd = tcp(AF_INET6, 0), on = 1;

	CHECK(connect_to(fd, FAKE_PEER6, FAKE_ECHO, AF_INET6) == 0);
	check_echo(fd);
	check_name(fd, peer_name, AF_INET6, "[" FAKE_PEER6 "]:7");
	check_name(fd, own_name, AF_INET6, "[" FAKE_OWN6 "]:50000");
	fd = tcp(AF_INET6, 0);
	CHECK(connect_to(fd, FAKE_PEER, FAKE_ECHO, AF_INET6) == 0);
	check_echo(fd);
	check_name(fd, peer_name, AF_INET6, FAKE_PEER ":7");
	fd = tcp(AF_INET6, 0);
	CHECK(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0);
	CHECK(connect_to(fd, FAKE_PEER, FAKE_ECHO, AF_INET6) == -1);
	CHECK(errno == ENETUNREACH);
	CHECK(connect_to(fd, FAKE_PEER6, FAKE_ECHO, AF_INET6) == 0);
	check_echo(fd);
	check_name(fd, peer_name, AF_INET6, "[" FAKE_PEER6 "]:7");
}

static void routes_of_the_netmap_count(void)
{
	int fd = tcp(AF_INET, 0);

	CHECK(connect_to(fd, FAKE_ROUTED, FAKE_ECHO, AF_INET) == 0);
	check_name(fd, peer_name, AF_INET, FAKE_ROUTED ":7");
	/* not in the netmap: the host network, which is not there */
	fd = tcp(AF_INET, 0);
	CHECK(connect_to(fd, "100.64.7.7", FAKE_ECHO, AF_INET) == -1);
	CHECK(errno == ENETUNREACH);
}

static void refusal_has_its_errno(void)
{
	int fd = tcp(AF_INET, 0);

	CHECK(connect_to(fd, FAKE_PEER, FAKE_REFUSED, AF_INET) == -1);
	CHECK(errno == ECONNREFUSED);
	CHECK(so_error(fd) == 0);
	CHECK(connect_to(fd, FAKE_PEER, FAKE_NO_ROUTE, AF_INET) == -1);
	CHECK(errno == EHOSTUNREACH);
	CHECK(connect_to(fd, FAKE_PEER, FAKE_NO_PEER, AF_INET) == -1);
	CHECK(errno == ENETUNREACH);
	/* the same socket again */
	CHECK(connect_to(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == 0);
	check_echo(fd);
	check_name(fd, peer_name, AF_INET, FAKE_PEER ":7");
}

static void nonblocking_connect_completes(void)
{
	int fd, epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = {.events = EPOLLOUT | EPOLLET};

	start_nonblocking(&fd, FAKE_ECHO);
	CHECK(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0);
	CHECK(epoll_wait(epoll_fd, &ev, 1, 5000) == 1);
	CHECK(ev.events == EPOLLOUT);
	CHECK(so_error(fd) == 0);
	CHECK(connect_to(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == 0);
	CHECK(connect_to(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == -1);
	CHECK(errno == EISCONN);
	CHECK(fcntl(fd, F_SETFL, 0) == 0);
	check_echo(fd);
}

static void nonblocking_refusal_is_told_once(void)
{
	int fd;

	start_nonblocking(&fd, FAKE_REFUSED);
	CHECK(wait_for(fd, POLLOUT) == (POLLOUT | POLLERR | POLLHUP));
	errno = 77;
	CHECK(so_error(fd) == ECONNREFUSED);
	CHECK(errno == 77);
	CHECK(so_error(fd) == 0);
	/* by a second connect, as hiredis does */
	start_nonblocking(&fd, FAKE_NO_ROUTE);
	wait_for(fd, POLLOUT);
	CHECK(connect_to(fd, FAKE_PEER, FAKE_NO_ROUTE, AF_INET) == -1);
	CHECK(errno == EHOSTUNREACH);
	CHECK(connect_to(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == -1);
	CHECK(errno == EINPROGRESS);
	CHECK(wait_for(fd, POLLOUT) == POLLOUT);
	CHECK(so_error(fd) == 0);
}

static void held_connect_is_ealready(void)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd;

	start_nonblocking(&fd, FAKE_HELD);
	CHECK(connect_to(fd, FAKE_PEER, FAKE_HELD, AF_INET) == -1);
	CHECK(errno == EALREADY);
	CHECK(so_error(fd) == 0);
	check_name(fd, own_name, AF_INET, FAKE_OWN ":50000");
	CHECK(getpeername(fd, (struct sockaddr *)&ss, &len) == -1);
	CHECK(errno == ENOTCONN);
	CHECK(read(fd, &ss, 1) == -1 && errno == EAGAIN);
}

static void sockets_may_share_a_source_port(void)
{
	struct sockaddr_storage ss;
	socklen_t len = sock_addr("0.0.0.0", 4567, AF_INET, &ss);
	int on = 1, fds[3];

	for (size_t i = 0; i < 3; i++) {
		fds[i] = tcp(AF_INET, 0);
		CHECK(setsockopt(fds[i], SOL_SOCKET, SO_REUSEADDR, &on,
				 sizeof(on)) == 0);
		CHECK(bind(fds[i], (struct sockaddr *)&ss, len) == 0);
		CHECK(connect_to(fds[i], FAKE_PEER, FAKE_ECHO, AF_INET) == 0);
		check_name(fds[i], peer_name, AF_INET, FAKE_PEER ":7");
	}
	for (size_t i = 0; i < 3; i++)
		check_echo(fds[i]);
}

static void odd_options_do_not_matter(void)
{
	int fd = tcp(AF_INET, 0), on = 1;

	CHECK(setsockopt(fd, IPPROTO_TCP, 30 /* FASTOPEN_CONNECT */, &on,
			 sizeof(on)) == 0);
	CHECK(setsockopt(fd, IPPROTO_IP, 24 /* NO_PORT */, &on,
			 sizeof(on)) == 0);
	CHECK(connect_to(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == 0);
	check_echo(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 262 /* MPTCP */);
	CHECK(fd >= 0);
	CHECK(connect_to(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == 0);
	check_echo(fd);
}

static bool is_marked(int fd, enum ts_cc cc)
{
	int value = 0;
	socklen_t len = sizeof(value);

	CHECK(getsockopt(fd, SOL_SOCKET, ts_option_cc_mark(cc), &value, &len) ==
	      0);
	return value == 1;
}

/* By an option that goes where the kernel's own goes. */
static void chosen_congestion_is_marked(void)
{
	char name[TS_CC_NAME_CAP];
	socklen_t len = sizeof(name);
	int fd = tcp(AF_INET, 0), cc;

	CHECK(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) == 0);
	cc = ts_option_cc_find(name, len);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "no such", 7) == -1 &&
	      errno == ENOENT);
	CHECK(!is_marked(fd, TS_CC_CUBIC) && !is_marked(fd, TS_CC_BBR));
	errno = 77;
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, len) == 0);
	CHECK(errno == 77);
	CHECK(is_marked(fd, TS_CC_CUBIC) == (cc == TS_CC_CUBIC));
	CHECK(is_marked(fd, TS_CC_BBR) == (cc == TS_CC_BBR));
	/* None of the tunnel's is refused where there is one. */
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) == 0);
	CHECK(connect_to(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == 0);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4) == -1 &&
	      errno == ENOENT);
}

static void names_are_cut_like_the_kernels(void)
{
	struct sockaddr_in in;
	socklen_t len = 4;
	int fd = tcp(AF_INET, 0);

	CHECK(connect_to(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == 0);
	memset(&in, 0xaa, sizeof(in));
	CHECK(getpeername(fd, (struct sockaddr *)&in, &len) == 0);
	CHECK(len == sizeof(in));
	CHECK(in.sin_family == AF_INET && ntohs(in.sin_port) == FAKE_ECHO);
	CHECK(in.sin_addr.s_addr == 0xaaaaaaaa);
	CHECK(getpeername(fd, NULL, NULL) == -1 && errno == EFAULT);
}

static void fork_and_dup_keep_their_names(void)
{
	int fd = tcp(AF_INET, 0), status;
	pid_t pid;

	CHECK(connect_to(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == 0);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		check_name(dup(fd), peer_name, AF_INET, FAKE_PEER ":7");
		fd = tcp(AF_INET, 0);
		CHECK(connect_to(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == 0);
		check_echo(fd);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void wrong_calls_get_the_kernels_errors(void)
{
	int pipe_fds[2], fd;
	struct sockaddr_storage ss;
	socklen_t len = sock_addr(FAKE_PEER, 7, AF_INET, &ss);

	CHECK(pipe(pipe_fds) == 0);
	CHECK(connect_to(pipe_fds[0], FAKE_PEER, 7, AF_INET) == -1);
	CHECK(errno == ENOTSOCK);
	CHECK(connect_to(999, FAKE_PEER, 7, AF_INET) == -1);
	CHECK(errno == EBADF);
	fd = tcp(AF_INET, 0);
	CHECK(connect(fd, (struct sockaddr *)&ss, 4) == -1);
	CHECK(errno == EINVAL);
	CHECK(connect_to(fd, FAKE_PEER6, 7, AF_INET6) == -1);
	CHECK(errno == EAFNOSUPPORT);
	fd = tcp(AF_INET6, 0);
	CHECK(connect(fd, (struct sockaddr *)&ss, len) == -1);
	CHECK(errno == EINVAL || errno == EAFNOSUPPORT);
}

static void local_sockets_stay_local(void)
{
	struct sockaddr_storage ss;
	socklen_t len = sock_addr("127.0.0.1", 0, AF_INET, &ss);
	int listener = tcp(AF_INET, 0), fd = tcp(AF_INET, 0), peer;
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);

	CHECK(connect_to(fd, FAKE_PEER, FAKE_REFUSED, AF_INET) == -1);
	CHECK(bind(listener, (struct sockaddr *)&ss, len) == 0);
	CHECK(listen(listener, 5) == 0);
	CHECK(getsockname(listener, (struct sockaddr *)&ss, &len) == 0);
	fd = tcp(AF_INET, 0);
	CHECK(connect(fd, (struct sockaddr *)&ss, len) == 0);
	peer = accept(listener, (struct sockaddr *)&from, &from_len);
	CHECK(peer >= 0);
	CHECK(from.sin_addr.s_addr == htonl(0x7f000001));
}

/* A refusal before anything began: no trace of 127.x.y.z in the socket. */
static void check_fresh(int fd, const char *any, const char *local)
{
	int family = *any == '[' ? AF_INET6 : AF_INET;
	const char *peer = family == AF_INET ? FAKE_PEER : FAKE_PEER6;
	int listener = tcp(family, 0);
	struct sockaddr_storage ss, from;
	socklen_t len = sock_addr(local, 0, family, &ss);
	socklen_t from_len = sizeof(from);
	struct ts_addr ip = {.port = 0}, seen;

	CHECK(connect_to(fd, peer, FAKE_NO_PEER, family) == -1);
	CHECK(errno == ENETUNREACH);
	check_name(fd, own_name, family, any);
	CHECK(so_error(fd) == 0);
	CHECK(bind(listener, (struct sockaddr *)&ss, len) == 0);
	CHECK(listen(listener, 5) == 0);
	CHECK(getsockname(listener, (struct sockaddr *)&ss, &len) == 0);
	CHECK(connect(fd, (struct sockaddr *)&ss, len) == 0 ||
	      errno == EINPROGRESS);
	CHECK(wait_for(fd, POLLOUT) == POLLOUT && so_error(fd) == 0);
	CHECK(accept(listener, (struct sockaddr *)&from, &from_len) >= 0);
	CHECK(ts_addr_from_sockaddr((struct sockaddr *)&from, from_len,
				    &seen) == 0);
	CHECK(ts_ip_parse(local, &ip.ip) == 0);
	CHECK(ts_ip_equal(&seen.ip, &ip.ip));
	close(fd);
	close(listener);
}

static void refused_at_once_leaves_the_socket_fresh(void)
{
	const int flags[] = {0, SOCK_NONBLOCK}, on = 1;
	int fd;

	for (int i = 0; i < 2; i++) {
		check_fresh(tcp(AF_INET, flags[i]), "0.0.0.0:0", "127.0.0.1");
		check_fresh(tcp(AF_INET6, flags[i]), "[::]:0", "127.0.0.1");
		fd = tcp(AF_INET6, flags[i]);
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
		check_fresh(fd, "[::]:0", "::1");
	}
	fd = tcp(AF_INET, 0);
	for (int i = 0; i < 3; i++)
		CHECK(connect_to(fd, FAKE_PEER, FAKE_NO_PEER, AF_INET) == -1);
	CHECK(connect_to(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == 0);
	check_echo(fd);
}

/* What the program itself has bound stays. */
static void refused_at_once_keeps_the_programs_port(void)
{
	struct sockaddr_storage ss, now;
	socklen_t len = sock_addr("127.0.0.1", 0, AF_INET, &ss);
	socklen_t now_len = sizeof(now);
	int fd = tcp(AF_INET, 0);

	CHECK(bind(fd, (struct sockaddr *)&ss, len) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&ss, &len) == 0);
	CHECK(connect_to(fd, FAKE_PEER, FAKE_NO_PEER, AF_INET) == -1);
	CHECK(getsockname(fd, (struct sockaddr *)&now, &now_len) == 0);
	CHECK(memcmp(&now, &ss, len) == 0);
	CHECK(connect_to(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == 0);
}

/* -- fast open ------------------------------------------------------------ */

static void fast_open_is_connect_and_send(void)
{
	struct sockaddr_storage ss;
	socklen_t len = sock_addr(FAKE_PEER, FAKE_ECHO, AF_INET, &ss);
	int fd = tcp(AF_INET, 0);
	char buf[8];

	CHECK(sendto(fd, "early", 5, MSG_FASTOPEN, (struct sockaddr *)&ss,
		     len) == 5);
	CHECK(read(fd, buf, 5) == 5 && memcmp(buf, "early", 5) == 0);
	check_name(fd, peer_name, AF_INET, FAKE_PEER ":7");
}

/* -- listen --------------------------------------------------------------- */

static int listen_on(const char *ip, uint16_t port, int family)
{
	struct sockaddr_storage ss;
	socklen_t len = sock_addr(ip, port, family, &ss);
	int fd = tcp(family, 0), on = 1;

	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &on, sizeof(on)) ==
	      0);
	CHECK(bind(fd, (struct sockaddr *)&ss, len) == 0);
	CHECK(listen(fd, 5) == 0);
	CHECK(listen(fd, 50) == 0); /* as nginx does */
	return fd;
}

static int accept_from(int fd, int family, const char *expected)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct ts_addr addr;
	char text[TS_ADDR_TEXT_CAP];
	int peer;

	errno = 77;
	peer = accept4(fd, (struct sockaddr *)&ss, &len, SOCK_CLOEXEC);
	CHECK(peer >= 0);
	CHECK(errno == 77);
	CHECK(ss.ss_family == family);
	CHECK(ts_addr_from_sockaddr((struct sockaddr *)&ss, len, &addr) == 0);
	ts_addr_format(&addr, text);
	CHECK(strncmp(text, expected, strlen(expected)) == 0);
	return peer;
}

static void check_reads(int fd, const char *expected)
{
	char buf[16] = "";

	CHECK(read(fd, buf, sizeof(buf)) == (ssize_t)strlen(expected));
	CHECK(memcmp(buf, expected, strlen(expected)) == 0);
}

static void peers_reach_a_wildcard_listener(void)
{
	int fd = listen_on("0.0.0.0", FAKE_LISTEN, AF_INET);
	int peer = accept_from(fd, AF_INET, FAKE_REMOTE);

	check_reads(peer, "hello");
	check_name(peer, peer_name, AF_INET, FAKE_REMOTE);
	check_name(peer, own_name, AF_INET, FAKE_OWN ":8080");
	check_name(fd, own_name, AF_INET, "0.0.0.0:8080");
}

static void peers_reach_a_dual_stack_listener(void)
{
	int fd = listen_on("::", FAKE_LISTEN, AF_INET6);
	int peer = accept_from(fd, AF_INET6, FAKE_REMOTE);

	check_reads(peer, "hello");
	check_name(peer, own_name, AF_INET6, FAKE_OWN ":8080");
}

static void wildcard_listener_serves_local_clients_too(void)
{
	int fd = listen_on("0.0.0.0", FAKE_STRANGERS, AF_INET);

	/* the one from R's port was closed */
	check_reads(accept_from(fd, AF_INET, "127.0.0.1:"), "local");
	check_reads(accept_from(fd, AF_INET, FAKE_REMOTE), "hello");
}

static void own_address_is_for_the_tailnet_only(void)
{
	int fd = listen_on(FAKE_OWN, FAKE_STRANGERS, AF_INET);

	check_name(fd, own_name, AF_INET, FAKE_OWN ":8081");
	check_reads(accept_from(fd, AF_INET, FAKE_REMOTE), "hello");
}

static void foreign_tailnet_address_is_not_ours(void)
{
	struct sockaddr_storage ss;
	socklen_t len = sock_addr(FAKE_PEER, 80, AF_INET, &ss);

	CHECK(bind(tcp(AF_INET, 0), (struct sockaddr *)&ss, len) == -1);
	CHECK(errno == EADDRNOTAVAIL);
}

static void taken_port_is_eaddrinuse(void)
{
	struct sockaddr_storage ss;
	socklen_t len = sock_addr("0.0.0.0", FAKE_TAKEN, AF_INET, &ss);
	int fd = tcp(AF_INET, 0);
	int is_listening;

	CHECK(bind(fd, (struct sockaddr *)&ss, len) == 0);
	CHECK(listen(fd, 5) == -1 && errno == EADDRINUSE);
	len = sizeof(is_listening);
	CHECK(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len) ==
	      0);
	CHECK(!is_listening);
}

static int defer_accept(int fd)
{
	int seconds = -1;
	socklen_t len = sizeof(seconds);

	CHECK(getsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &len) ==
	      0);
	return seconds;
}

static void deferred_accept_reads_as_it_was_set(void)
{
	int off = 0, ten = 10, fd = tcp(AF_INET, 0), as_set;

	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &ten,
			 sizeof(ten)) == 0);
	as_set = defer_accept(fd); /* rounded by the kernel */
	CHECK(as_set >= ten);
	close(fd);
	fd = listen_on("0.0.0.0", FAKE_LISTEN, AF_INET);
	CHECK(defer_accept(fd) == 1);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &ten,
			 sizeof(ten)) == 0);
	CHECK(defer_accept(fd) == as_set);
	check_reads(accept_from(fd, AF_INET, FAKE_REMOTE), "hello");
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &off,
			 sizeof(off)) == 0);
	CHECK(defer_accept(fd) == 0);
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &ten,
			 sizeof(ten)) == 0);
	close(fd);
	fd = tcp(AF_INET, 0); /* the number is used again */
	CHECK(listen(fd, 5) == 0 && defer_accept(fd) == 0);
}

/* Made listen by somebody without the shim, then handed over. */
static int handed_over(uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = sock_addr("0.0.0.0", port, AF_INET, &ss);
	int fd = tcp(AF_INET, 0);

	CHECK(syscall(SYS_bind, fd, &ss, len) == 0);
	CHECK(syscall(SYS_listen, fd, 5) == 0);
	return fd;
}

static void handed_over_listener_is_met_at_accept(void)
{
	int fd = handed_over(FAKE_LISTEN);

	check_reads(accept_from(fd, AF_INET, FAKE_REMOTE), "hello");
}

static void handed_over_listener_is_met_at_a_question(void)
{
	int fd = handed_over(FAKE_LISTEN), is_listening = 0;
	socklen_t len = sizeof(is_listening);

	CHECK(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &len) ==
	      0);
	CHECK(is_listening == 1);
	CHECK(wait_for(fd, POLLIN) == POLLIN);
	check_reads(accept_from(fd, AF_INET, FAKE_REMOTE), "hello");
}

/* accept must not block on what it threw away */
static void nonblocking_accept_stays_nonblocking(void)
{
	int fd = listen_on(FAKE_OWN, FAKE_STRANGERS, AF_INET);
	int peer = -1;

	CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	while (peer < 0) {
		wait_for(fd, POLLIN);
		peer = accept(fd, NULL, NULL);
		CHECK(peer >= 0 || errno == EAGAIN);
	}
	check_name(peer, peer_name, AF_INET, FAKE_REMOTE);
	CHECK(accept(fd, NULL, NULL) == -1 && errno == EAGAIN);
}

static void tailnet_mode_hides_wildcards(void)
{
	int fd = listen_on("0.0.0.0", FAKE_STRANGERS, AF_INET);
	int local = tcp(AF_INET, 0);

	check_name(fd, own_name, AF_INET, "0.0.0.0:8081");
	CHECK(connect_to(local, "127.0.0.1", FAKE_STRANGERS, AF_INET) == -1);
	CHECK(errno == ECONNREFUSED);
	check_reads(accept_from(fd, AF_INET, FAKE_REMOTE), "hello");
}

static void host_mode_leaves_wildcards_alone(void)
{
	struct sockaddr_storage ss;
	socklen_t len = sock_addr(FAKE_OWN, 80, AF_INET, &ss);
	int fd = listen_on("0.0.0.0", FAKE_TAKEN, AF_INET); /* not told */

	check_name(fd, own_name, AF_INET, "0.0.0.0:8082");
	CHECK(bind(tcp(AF_INET, 0), (struct sockaddr *)&ss, len) == -1);
	CHECK(errno == EADDRNOTAVAIL);
}

/* -- names ---------------------------------------------------------------- */

static int look_up(const char *name, const char *service, int family,
		   int flags, int type, struct addrinfo **out)
{
	struct addrinfo hints = {.ai_family = family, .ai_flags = flags,
				 .ai_socktype = type};

	return getaddrinfo(name, service, &hints, out);
}

static void check_addrinfo(const struct addrinfo *ai, const char *expected)
{
	struct ts_addr addr;
	char text[TS_ADDR_TEXT_CAP];

	CHECK(ai != NULL);
	CHECK(ts_addr_from_sockaddr(ai->ai_addr, ai->ai_addrlen, &addr) == 0);
	CHECK(ai->ai_addr->sa_family == ai->ai_family);
	if (strcmp(ts_addr_format(&addr, text), expected) != 0)
		fprintf(stderr, "is %s, should be %s\n", text, expected);
	CHECK(strcmp(text, expected) == 0);
}

static void tailnet_names_resolve(void)
{
	struct addrinfo *list;

	CHECK(look_up("peer", "80", AF_UNSPEC, AI_CANONNAME | AI_ADDRCONFIG,
		      SOCK_STREAM, &list) == 0);
	check_addrinfo(list, FAKE_PEER ":80");
	CHECK(strcmp(list->ai_canonname, "peer." FAKE_SUFFIX) == 0);
	CHECK(list->ai_flags == (AI_CANONNAME | AI_ADDRCONFIG));
	CHECK(list->ai_socktype == SOCK_STREAM);
	check_addrinfo(list->ai_next, "[" FAKE_PEER6 "]:80");
	CHECK(list->ai_next->ai_canonname == NULL);
	CHECK(list->ai_next->ai_next == NULL);
	freeaddrinfo(list);
	CHECK(getaddrinfo("PEER." FAKE_SUFFIX "x", NULL, NULL, &list) != 0);
	CHECK(getaddrinfo("peer." FAKE_SUFFIX ".", NULL, NULL, &list) == 0);
	check_addrinfo(list, FAKE_PEER ":0");
	freeaddrinfo(list);
}

static void families_and_flags_are_kept(void)
{
	struct addrinfo *list;

	CHECK(look_up("peer", "53", AF_INET, 0, 0, &list) == 0);
	for (struct addrinfo *ai = list; ai; ai = ai->ai_next)
		check_addrinfo(ai, FAKE_PEER ":53");
	CHECK(list->ai_next != NULL); /* stream, datagram, raw */
	freeaddrinfo(list);
	CHECK(look_up("peer", "53", AF_INET6, AI_V4MAPPED, SOCK_STREAM,
		      &list) == 0);
	check_addrinfo(list, "[" FAKE_PEER6 "]:53");
	CHECK(list->ai_next == NULL);
	freeaddrinfo(list);
	CHECK(look_up("peer", "53", AF_INET6, AI_V4MAPPED | AI_ALL,
		      SOCK_STREAM, &list) == 0);
	check_addrinfo(list, FAKE_PEER ":53"); /* ::ffff: */
	CHECK(list->ai_family == AF_INET6);
	freeaddrinfo(list);
	CHECK(look_up("v4only", "53", AF_INET6, AI_V4MAPPED, SOCK_STREAM,
		      &list) == 0);
	CHECK(list->ai_family == AF_INET6);
	freeaddrinfo(list);
	CHECK(look_up("v4only", "53", AF_INET6, 0, SOCK_STREAM, &list) ==
	      EAI_NODATA);
	CHECK(look_up("v4only", "53", AF_UNSPEC, AI_PASSIVE, SOCK_STREAM,
		      &list) == 0); /* as socat asks */
	check_addrinfo(list, FAKE_PEER ":53");
	freeaddrinfo(list);
	CHECK(look_up("nx." FAKE_SUFFIX, "53", AF_UNSPEC, 0, 0, &list) ==
	      EAI_NONAME);
	CHECK(look_up("peer", "no-such-service", AF_UNSPEC, 0, 0, &list) ==
	      EAI_SERVICE);
}

static void reverse_names(void)
{
	struct sockaddr_storage ss;
	socklen_t len = sock_addr(FAKE_PEER, 22, AF_INET, &ss);
	struct sockaddr *sa = (struct sockaddr *)&ss;
	char host[NI_MAXHOST], service[NI_MAXSERV];

	CHECK(getnameinfo(sa, len, host, sizeof(host), service,
			  sizeof(service), NI_NUMERICSERV) == 0);
	CHECK(strcmp(host, "peer." FAKE_SUFFIX) == 0);
	CHECK(strcmp(service, "22") == 0);
	CHECK(getnameinfo(sa, len, host, sizeof(host), NULL, 0, NI_NOFQDN) ==
	      0);
	CHECK(strcmp(host, "peer") == 0);
	CHECK(getnameinfo(sa, len, host, 4, NULL, 0, 0) == EAI_OVERFLOW);
	CHECK(getnameinfo(sa, len, host, sizeof(host), NULL, 0,
			  NI_NUMERICHOST) == 0);
	CHECK(strcmp(host, FAKE_PEER) == 0);
	len = sock_addr("100.64.0.77", 22, AF_INET, &ss);
	CHECK(getnameinfo(sa, len, host, sizeof(host), NULL, 0, 0) == 0);
	CHECK(strcmp(host, "100.64.0.77") == 0);
	CHECK(getnameinfo(sa, len, host, sizeof(host), NULL, 0, NI_NAMEREQD) ==
	      EAI_NONAME);
}

static void older_calls_resolve_too(void)
{
	const uint8_t peer_v4[4] = {100, 64, 0, 1};
	struct hostent ent, *found = gethostbyname("peer");
	char buf[256];
	int h_err, err = 0;

	CHECK(found && strcmp(found->h_name, "peer." FAKE_SUFFIX) == 0);
	CHECK(found->h_addrtype == AF_INET && found->h_length == 4);
	CHECK(memcmp(found->h_addr_list[0], peer_v4, 4) == 0);
	CHECK(!found->h_addr_list[1] && !found->h_aliases[0]);
	found = gethostbyname2("peer", AF_INET6);
	CHECK(found && found->h_length == 16);
	CHECK(!gethostbyname("nx." FAKE_SUFFIX));
	CHECK(h_errno == HOST_NOT_FOUND);
	CHECK(!gethostbyname2("v4only", AF_INET6) && h_errno == NO_DATA);
	for (size_t cap = 0; cap < sizeof(buf); cap++) {
		err = gethostbyname_r("peer", &ent, buf + 1, cap, &found,
				      &h_err);
		if (err == 0)
			break;
		CHECK(err == ERANGE && !found &&
		      h_err == -1 /* NETDB_INTERNAL */);
	}
	CHECK(err == 0 && found == &ent);
	CHECK(memcmp(ent.h_addr_list[0], peer_v4, 4) == 0);
	found = gethostbyaddr(peer_v4, 4, AF_INET);
	CHECK(found && strcmp(found->h_name, "peer." FAKE_SUFFIX) == 0);
	CHECK(gethostbyaddr_r(peer_v4, 4, AF_INET, &ent, buf, sizeof(buf),
			      &found, &h_err) == 0);
	CHECK(found == &ent && memcmp(ent.h_addr_list[0], peer_v4, 4) == 0);
}

/* -- the host is gone ----------------------------------------------------- */

static void dead_host_is_enetdown(void)
{
	struct addrinfo *list;
	int fd = tcp(AF_INET, 0);

	CHECK(connect_to(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == -1);
	CHECK(errno == ENETDOWN);
	CHECK(getaddrinfo("peer." FAKE_SUFFIX, NULL, NULL, &list) ==
	      EAI_AGAIN);
	/* what is not the tailnet's goes on */
	CHECK(connect_to(fd, "127.0.0.1", 1, AF_INET) == -1);
	CHECK(errno == ECONNREFUSED);
	CHECK(dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2) == 2);
	fd = listen_on("0.0.0.0", 4321, AF_INET); /* says a word about it */
	CHECK(connect_to(tcp(AF_INET, 0), "127.0.0.1", 4321, AF_INET) == 0);
	CHECK(accept(fd, NULL, NULL) >= 0);
}

/* The engine's own calls, by their plain names, go straight to libc. */
static void engine_threads_pass(void)
{
	void (*mark)(int on) = (void (*)(int))(uintptr_t)dlsym(
		RTLD_DEFAULT, "tsnet_shim_engine_thread");
	int fd = tcp(AF_INET, 0);

	CHECK(mark != NULL);
	mark(1);
	CHECK(connect_to(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == -1);
	CHECK(errno == ENETUNREACH); /* of a namespace that has only lo */
	mark(0);
	CHECK(connect_to(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == 0);
	check_echo(fd);
}

static void *connect_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < 50; i++) {
		int fd = tcp(AF_INET, 0);

		if (i % 3 == 0) {
			CHECK(connect_to(fd, FAKE_PEER, FAKE_REFUSED,
					 AF_INET) == -1);
			CHECK(errno == ECONNREFUSED);
		} else {
			CHECK(connect_to(fd, FAKE_PEER, FAKE_ECHO, AF_INET) ==
			      0);
			check_name(fd, peer_name, AF_INET, FAKE_PEER ":7");
			check_echo(fd);
		}
		close(fd);
	}
	return NULL;
}

static void threads_attach_and_connect_at_once(void)
{
	pthread_t threads[8];

	for (size_t i = 0; i < 8; i++)
		CHECK(pthread_create(&threads[i], NULL, connect_many, NULL) ==
		      0);
	for (size_t i = 0; i < 8; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	CHECK(open("/dev/null", O_RDONLY | O_CLOEXEC) == 3);
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* A held blocking connect is interrupted; the next call waits on. The signals
 * also fall into the talk with the host, which must not mind. */
static void interrupted_connect_goes_on(void)
{
	struct sigaction act = {.sa_handler = on_alarm};
	struct itimerval often = {.it_value = {.tv_usec = 2000},
				  .it_interval = {.tv_usec = 2000}};
	int fd = tcp(AF_INET, 0), interrupted = 0;

	CHECK(sigaction(SIGALRM, &act, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
	while (connect_to(fd, FAKE_PEER, FAKE_NO_ROUTE, AF_INET) == -1 &&
	       errno == EINTR)
		interrupted++;
	CHECK(errno == EHOSTUNREACH);
	CHECK(interrupted > 0); /* the host holds for ten times as long */
}

/* A program that lost the path, by chroot, still has the abstract name. */
static void abstract_name_is_the_second_way(void)
{
	connects_and_keeps_errno();
}

/* -- DNS ------------------------------------------------------------------ */

static void the_systems_resolver_is_the_nodes(void)
{
	struct sockaddr_storage ss;
	int fd = tcp(AF_INET, 0);
	socklen_t len;

	CHECK(connect_to(fd, FAKE_RESOLVER, 54, AF_INET) == -1);
	CHECK(errno == ECONNREFUSED); /* natively */
	CHECK(connect_to(fd, "127.0.0.54", FAKE_DNS, AF_INET) == -1);
	CHECK(errno == ECONNREFUSED);
	close(fd);
	fd = tcp(AF_INET, 0);
	CHECK(connect_to(fd, FAKE_RESOLVER, FAKE_DNS, AF_INET) == 0);
	check_echo(fd);
	check_name(fd, peer_name, AF_INET, FAKE_RESOLVER ":53");
	close(fd);
	fd = tcp(AF_INET6, 0);
	CHECK(connect_to(fd, FAKE_RESOLVER, FAKE_DNS, AF_INET6) == 0);
	check_echo(fd);
	close(fd);
	fd = tcp(AF_INET, 0); /* a name server of ours binds natively */
	len = sock_addr(FAKE_RESOLVER, FAKE_DNS, AF_INET, &ss);
	CHECK(bind(fd, (struct sockaddr *)&ss, len) == 0);
	check_name(fd, own_name, AF_INET, FAKE_RESOLVER ":53");
}

static void queries_are_answered_in_place(void)
{
	unsigned char answer[512], small[20];
	int len;

	errno = 77;
	len = res_query("peer." FAKE_SUFFIX, C_IN, T_A, answer, sizeof(answer));
	CHECK(len > 16 && errno == 77);
	CHECK(memcmp(answer + len - 4, "\x64\x40\0\1", 4) == 0);
	/* Too small a buffer: the length says what was lost. */
	memset(small, 0x5a, sizeof(small));
	CHECK(res_query("peer." FAKE_SUFFIX, C_IN, T_A, small, 16) == len);
	CHECK(memcmp(small + 2, answer + 2, 14) == 0 && small[16] == 0x5a);
	/* A reply that is shorter than it says is none. */
	CHECK(res_query("liar." FAKE_SUFFIX, C_IN, T_A, answer,
			sizeof(answer)) == -1);
	CHECK(h_errno == TRY_AGAIN);
	/* Not the node's: libc asks its servers, and none is there. */
	CHECK(res_query("other." FAKE_SUFFIX, C_IN, T_A, answer,
			sizeof(answer)) == -1);
	CHECK(h_errno == TRY_AGAIN);
	/* No name at all is libc's to refuse. */
	CHECK(res_query("a..b." FAKE_SUFFIX, C_IN, T_A, answer,
			sizeof(answer)) == -1);
	CHECK(res_send(answer, -1, answer, sizeof(answer)) == -1);
}

/* -- the tests ------------------------------------------------------------ */

#define PROGRAMS(X)                                                            \
	X(connects_and_keeps_errno)                                            \
	X(connects_from_v6_sockets)                                            \
	X(routes_of_the_netmap_count)                                          \
	X(refusal_has_its_errno)                                               \
	X(nonblocking_connect_completes)                                       \
	X(nonblocking_refusal_is_told_once)                                    \
	X(held_connect_is_ealready)                                            \
	X(sockets_may_share_a_source_port)                                     \
	X(odd_options_do_not_matter)                                           \
	X(chosen_congestion_is_marked)                                         \
	X(names_are_cut_like_the_kernels)                                      \
	X(fork_and_dup_keep_their_names)                                       \
	X(wrong_calls_get_the_kernels_errors)                                  \
	X(local_sockets_stay_local)                                            \
	X(fast_open_is_connect_and_send)                                       \
	X(peers_reach_a_wildcard_listener)                                     \
	X(peers_reach_a_dual_stack_listener)                                   \
	X(wildcard_listener_serves_local_clients_too)                          \
	X(own_address_is_for_the_tailnet_only)                                 \
	X(foreign_tailnet_address_is_not_ours)                                 \
	X(taken_port_is_eaddrinuse)                                            \
	X(nonblocking_accept_stays_nonblocking)                                \
	X(tailnet_names_resolve)                                               \
	X(families_and_flags_are_kept)                                         \
	X(reverse_names)                                                       \
	X(older_calls_resolve_too)                                             \
	X(engine_threads_pass)                                                 \
	X(threads_attach_and_connect_at_once)                                  \
	X(refused_at_once_leaves_the_socket_fresh)                             \
	X(refused_at_once_keeps_the_programs_port)                             \
	X(deferred_accept_reads_as_it_was_set)                                 \
	X(handed_over_listener_is_met_at_accept)                               \
	X(handed_over_listener_is_met_at_a_question)                           \
	X(interrupted_connect_goes_on)                                         \
	X(the_systems_resolver_is_the_nodes)                                   \
	X(queries_are_answered_in_place)

#define AS_PROGRAM(name) {#name, name},

static const struct program programs[] = {
	PROGRAMS(AS_PROGRAM){"tailnet_mode_hides_wildcards",
			     tailnet_mode_hides_wildcards},
	{"host_mode_leaves_wildcards_alone", host_mode_leaves_wildcards_alone},
	{"dead_host_is_enetdown", dead_host_is_enetdown},
	{"abstract_name_is_the_second_way", abstract_name_is_the_second_way},
	{NULL, NULL},
};

static bool has_passed(const char *name, const char *path, const char *abstract)
{
	char broker[256], broker_abstract[256], errors[8192];
	const char *env[] = {broker, broker_abstract, NULL};
	int status;

	snprintf(broker, sizeof(broker), "TSNET_BROKER=%s", path);
	snprintf(broker_abstract, sizeof(broker_abstract),
		 "TSNET_BROKER_ABSTRACT=%s", abstract);
	status = run_program(name, env, errors, sizeof(errors));
	if (status != 0 || *errors)
		print_message("%s: exit status %d\n%s", name, status, errors);
	return status == 0 && !*errors;
}

static void run_hosted(const char *name, enum ts_listen_mode mode)
{
	struct fake_host host;
	bool is_ok;

	enter_own_network(); /* no ports left from the test before */
	assert_int_equal(fake_host_start(&host, work_dir, mode), 0);
	is_ok = has_passed(name, host.path, host.abstract);
	fake_host_stop(&host);
	assert_true(is_ok);
}

#define AS_TEST(name)                                                          \
	static void test_##name(void **state)                                  \
	{                                                                      \
		(void)state;                                                   \
		run_hosted(#name, TS_LISTEN_BOTH);                             \
	}
PROGRAMS(AS_TEST)

static void test_tailnet_mode_hides_wildcards(void **state)
{
	(void)state;
	run_hosted("tailnet_mode_hides_wildcards", TS_LISTEN_TAILNET);
}

static void test_host_mode_leaves_wildcards_alone(void **state)
{
	(void)state;
	run_hosted("host_mode_leaves_wildcards_alone", TS_LISTEN_HOST);
}

static void test_dead_host_is_enetdown(void **state)
{
	(void)state;
	assert_true(has_passed("dead_host_is_enetdown", "/nonexistent/broker",
			       "no-such"));
}

static void test_abstract_name_is_the_second_way(void **state)
{
	struct fake_host host;
	bool is_ok;

	(void)state;
	assert_int_equal(fake_host_start(&host, work_dir, TS_LISTEN_BOTH), 0);
	is_ok = has_passed("abstract_name_is_the_second_way",
			   "/nonexistent/broker", host.abstract);
	fake_host_stop(&host);
	assert_true(is_ok);
}

/* A copy in which the references to libdl find nothing, as on a glibc before
 * 2.34 in a program that has no libdl. */
static void copy_without_libdl(const char *to)
{
	static const char *const names[] = {"dlsym", "dlopen", "dlerror"};
	static char bytes[1 << 20];
	FILE *in = fopen(shim_path, "re"), *out = fopen(to, "we");
	size_t len;

	assert_non_null(in);
	assert_non_null(out);
	len = fread(bytes, 1, sizeof(bytes), in);
	assert_true(len > 0 && len < sizeof(bytes));
	for (size_t i = 0; i < 3; i++) {
		char *at = memmem(bytes, len, names[i],
				  strlen(names[i]) + 1);

		assert_non_null(at);
		at[0] = 'X';
	}
	assert_int_equal(fwrite(bytes, 1, len, out), len);
	fclose(in);
	fclose(out);
}

static void test_works_without_libdl(void **state)
{
	char original[sizeof(shim_path)], copy[64];

	(void)state;
	snprintf(copy, sizeof(copy), "%s/libtsnet_shim.so", work_dir);
	copy_without_libdl(copy);
	memcpy(original, shim_path, sizeof(original));
	snprintf(shim_path, sizeof(shim_path), "%s", copy);
	run_hosted("connects_and_keeps_errno", TS_LISTEN_BOTH);
	run_hosted("tailnet_names_resolve", TS_LISTEN_BOTH);
	memcpy(shim_path, original, sizeof(original));
	unlink(copy);
}

#define AS_UNIT_TEST(name) cmocka_unit_test(test_##name),

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		PROGRAMS(AS_UNIT_TEST)
		cmocka_unit_test(test_tailnet_mode_hides_wildcards),
		cmocka_unit_test(test_host_mode_leaves_wildcards_alone),
		cmocka_unit_test(test_dead_host_is_enetdown),
		cmocka_unit_test(test_abstract_name_is_the_second_way),
		cmocka_unit_test(test_works_without_libdl),
	};
	int failed;

	be_program(argc, argv, programs);
	find_shim();
	enter_own_network();
	if (!mkdtemp(work_dir))
		abort();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(work_dir);
	return failed;
}
