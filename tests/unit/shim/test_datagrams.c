/* SPDX-License-Identifier: BSD-3-Clause
 * test_datagrams.c - programs' datagrams with the shim, and a host elsewhere
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <linux/errqueue.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "unit/shim/fake_host.inc"
#include "unit/shim/program.inc"

/* -- helpers of the programs ---------------------------------------------- */

struct name {
	struct sockaddr_storage ss;
	socklen_t len;
};

static struct name name_of(const char *ip, uint16_t port, int family)
{
	struct ts_addr addr = {.port = port};
	struct name name;
	int len;

	CHECK(ts_ip_parse(ip, &addr.ip) == 0);
	len = ts_addr_to_sockaddr(&addr, family, &name.ss);
	CHECK(len > 0);
	name.len = (socklen_t)len;
	return name;
}

static struct sockaddr *sa(struct name *name)
{
	return (struct sockaddr *)&name->ss;
}

static void check_is(const struct sockaddr_storage *ss, socklen_t len,
		     int family, const char *expected)
{
	char text[TS_ADDR_TEXT_CAP];
	struct ts_addr addr;

	CHECK(ss->ss_family == family);
	CHECK(len == (family == AF_INET ? sizeof(struct sockaddr_in)
					: sizeof(struct sockaddr_in6)));
	CHECK(ts_addr_from_sockaddr((const struct sockaddr *)ss, len, &addr) ==
	      0);
	ts_addr_format(&addr, text);
	if (strcmp(text, expected) != 0)
		fprintf(stderr, "is %s, should be %s\n", text, expected);
	CHECK(strcmp(text, expected) == 0);
}

static int udp(int family)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct timeval limit = {.tv_sec = 5};

	CHECK(fd >= 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ==
	      0);
	return fd;
}

static void set(int fd, int level, int option, int value)
{
	CHECK(setsockopt(fd, level, option, &value, sizeof(value)) == 0);
}

static int get(int fd, int level, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	CHECK(getsockopt(fd, level, option, &value, &len) == 0);
	return value;
}

static void send_text(int fd, const char *text, const char *ip, uint16_t port,
		      int family)
{
	struct name to = name_of(ip, port, family);

	CHECK(sendto(fd, text, strlen(text), 0, sa(&to), to.len) ==
	      (ssize_t)strlen(text));
}

static void expect_text(int fd, const char *text, int family, const char *from)
{
	struct name name = {.len = sizeof(name.ss)};
	char buf[64];
	ssize_t len = recvfrom(fd, buf, sizeof(buf), 0, sa(&name), &name.len);

	CHECK(len == (ssize_t)strlen(text) &&
	      memcmp(buf, text, (size_t)len) == 0);
	check_is(&name.ss, name.len, family, from);
}

static int connect_udp(int fd, const char *ip, uint16_t port, int family)
{
	struct name to = name_of(ip, port, family);

	return connect(fd, sa(&to), to.len);
}

static void check_own(int fd, int family, const char *expected)
{
	struct name name = {.len = sizeof(name.ss)};

	CHECK(getsockname(fd, sa(&name), &name.len) == 0);
	check_is(&name.ss, name.len, family, expected);
}

static void check_peer(int fd, int family, const char *expected)
{
	struct name name = {.len = sizeof(name.ss)};

	CHECK(getpeername(fd, sa(&name), &name.len) == 0);
	check_is(&name.ss, name.len, family, expected);
}

/* A socket of the host network, at *port of 127.0.0.1. */
static int local_socket(uint16_t *port)
{
	struct name at = name_of("127.0.0.1", 0, AF_INET);
	int fd = udp(AF_INET);

	CHECK(bind(fd, sa(&at), at.len) == 0);
	CHECK(getsockname(fd, sa(&at), &at.len) == 0);
	*port = ntohs(((struct sockaddr_in *)&at.ss)->sin_port);
	return fd;
}

static int asked_so_far(void)
{
	int fd = udp(AF_INET);
	char buf[16] = "";

	send_text(fd, "?", FAKE_PEER, FAKE_COUNT, AF_INET);
	CHECK(recv(fd, buf, sizeof(buf) - 1, 0) > 0);
	close(fd);
	return atoi(buf);
}

/* -- addressed ------------------------------------------------------------ */

static void datagrams_are_answered(void)
{
	int fd = udp(AF_INET), before;

	errno = 77;
	send_text(fd, "one", FAKE_PEER, FAKE_ECHO, AF_INET);
	expect_text(fd, "one", AF_INET, FAKE_PEER ":7");
	CHECK(errno == 77);
	before = asked_so_far();
	send_text(fd, "two", FAKE_PEER, FAKE_ECHO, AF_INET);
	expect_text(fd, "two", AF_INET, FAKE_PEER ":7");
	CHECK(errno == 77);
	CHECK(fd == 3); /* nothing of ours is open */
	/* one question by asked_so_far() itself, none by the second datagram */
	CHECK(asked_so_far() == before + 1);
}

static void routes_count_for_datagrams(void)
{
	struct name stranger = name_of("100.64.7.7", 9, AF_INET);
	int fd = udp(AF_INET);

	send_text(fd, "hi", FAKE_ROUTED, FAKE_ECHO, AF_INET);
	expect_text(fd, "hi", AF_INET, FAKE_ROUTED ":7");
	/* not in the netmap: the host network, which is not there */
	CHECK(sendto(fd, "x", 1, 0, sa(&stranger), stranger.len) == -1);
	CHECK(errno == ENETUNREACH);
}

static void one_socket_for_both_networks(void)
{
	uint16_t port;
	int local = local_socket(&port), fd = udp(AF_INET);
	struct name from = {.len = sizeof(from.ss)};
	char buf[16], text[32];

	send_text(fd, "there", FAKE_PEER, FAKE_ECHO, AF_INET);
	send_text(fd, "here", "127.0.0.1", port, AF_INET);
	expect_text(fd, "there", AF_INET, FAKE_PEER ":7");
	CHECK(recvfrom(local, buf, sizeof(buf), 0, sa(&from), &from.len) == 4);
	CHECK(sendto(local, "back", 4, 0, sa(&from), from.len) == 4);
	snprintf(text, sizeof(text), "127.0.0.1:%u", port);
	expect_text(fd, "back", AF_INET, text);
}

static void v6_sockets_carry_both_families(void)
{
	int fd = udp(AF_INET6);

	send_text(fd, "six", FAKE_PEER6, FAKE_ECHO, AF_INET6);
	expect_text(fd, "six", AF_INET6, "[" FAKE_PEER6 "]:7");
	send_text(fd, "mapped", FAKE_PEER, FAKE_ECHO, AF_INET6);
	expect_text(fd, "mapped", AF_INET6, FAKE_PEER ":7");
	send_text(fd, "four", FAKE_PEER, FAKE_ECHO, AF_INET);
	expect_text(fd, "four", AF_INET6, FAKE_PEER ":7");
}

static void v6_only_sockets_use_the_other_loopback(void)
{
	struct name four = name_of(FAKE_PEER, FAKE_ECHO, AF_INET6);
	int fd = udp(AF_INET6);

	set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	send_text(fd, "only", FAKE_PEER6, FAKE_ECHO, AF_INET6);
	expect_text(fd, "only", AF_INET6, "[" FAKE_PEER6 "]:7");
	CHECK(sendto(fd, "x", 1, 0, sa(&four), four.len) == -1);
	CHECK(errno == ENETUNREACH);
}

static void families_that_do_not_fit_are_the_kernels_to_refuse(void)
{
	struct name mapped = name_of(FAKE_PEER, FAKE_ECHO, AF_INET6);
	struct name unspec = name_of(FAKE_PEER, FAKE_ECHO, AF_INET);
	int fd = udp(AF_INET);

	CHECK(sendto(fd, "x", 1, 0, sa(&mapped), mapped.len) == -1);
	CHECK(errno == EAFNOSUPPORT);
	CHECK(connect(fd, sa(&mapped), mapped.len) == -1);
	CHECK(errno == EAFNOSUPPORT);
	/* the kernel takes this for AF_INET, and so do we */
	unspec.ss.ss_family = AF_UNSPEC;
	CHECK(sendto(fd, "u", 1, 0, sa(&unspec), unspec.len) == 1);
	expect_text(fd, "u", AF_INET, FAKE_PEER ":7");
}

static void unreachable_peers_say_so(void)
{
	struct name to = name_of(FAKE_PEER, FAKE_NO_PEER, AF_INET);
	int fd = udp(AF_INET);

	CHECK(sendto(fd, "x", 1, 0, sa(&to), to.len) == -1);
	CHECK(errno == EHOSTUNREACH);
	CHECK(connect(fd, sa(&to), to.len) == -1 && errno == EHOSTUNREACH);
	send_text(fd, "y", FAKE_PEER, FAKE_ECHO, AF_INET);
	expect_text(fd, "y", AF_INET, FAKE_PEER ":7");
}

static void forgotten_flows_are_asked_for_again(void)
{
	int fd = udp(AF_INET), before;
	char buf[8];

	send_text(fd, "a", FAKE_PEER, FAKE_FORGET, AF_INET);
	CHECK(recv(fd, buf, sizeof(buf), 0) == 1);
	before = asked_so_far();
	for (int i = 0; asked_so_far() == before + i; i++) {
		/* the entries go a moment after the answer */
		send_text(fd, "b", FAKE_PEER, FAKE_FORGET, AF_INET);
		CHECK(recv(fd, buf, sizeof(buf), 0) == 1);
	}
}

static void large_datagrams_pass(void)
{
	static char out[65507], in[65536];
	struct name to = name_of(FAKE_PEER, FAKE_ECHO, AF_INET);
	int fd = udp(AF_INET);

	set(fd, SOL_SOCKET, SO_RCVBUF, 1 << 20);
	memset(out, 'x', sizeof(out));
	CHECK(sendto(fd, out, sizeof(out), 0, sa(&to), to.len) ==
	      sizeof(out));
	CHECK(recv(fd, in, sizeof(in), 0) == sizeof(out));
	CHECK(memcmp(in, out, sizeof(out)) == 0);
	CHECK(sendto(fd, in, sizeof(in), 0, sa(&to), to.len) == -1);
	CHECK(errno == EMSGSIZE);
}

static void other_protocols_fail_closed(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDPLITE);
	struct name to = name_of(FAKE_PEER, 53, AF_INET);
	struct iovec iov = {(char[]){"x"}, 1};
	struct mmsghdr msg = {.msg_hdr = {.msg_name = &to.ss,
					  .msg_namelen = to.len,
					  .msg_iov = &iov, .msg_iovlen = 1}};

	CHECK(fd >= 0);
	CHECK(sendto(fd, "x", 1, 0, sa(&to), to.len) == -1);
	CHECK(errno == ENETUNREACH);
	CHECK(sendmsg(fd, &msg.msg_hdr, 0) == -1 && errno == ENETUNREACH);
	CHECK(sendmmsg(fd, &msg, 1, 0) == -1 && errno == ENETUNREACH);
	CHECK(connect(fd, sa(&to), to.len) == -1 && errno == ENETUNREACH);
}

/* -- connected ------------------------------------------------------------ */

static void connected_sockets_read_and_write(void)
{
	int fd = udp(AF_INET);
	char buf[8];

	errno = 77;
	CHECK(connect_udp(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == 0);
	check_peer(fd, AF_INET, FAKE_PEER ":7");
	check_own(fd, AF_INET, FAKE_OWN ":50000");
	CHECK(write(fd, "ping", 4) == 4);
	CHECK(read(fd, buf, sizeof(buf)) == 4 && memcmp(buf, "ping", 4) == 0);
	CHECK(errno == 77);
	CHECK(send(fd, "more", 4, 0) == 4);
	expect_text(fd, "more", AF_INET, FAKE_PEER ":7");
	CHECK(get(fd, IPPROTO_IP, IP_MTU) == 1280);
	send_text(fd, "same", FAKE_PEER, FAKE_ECHO, AF_INET);
	expect_text(fd, "same", AF_INET, FAKE_PEER ":7");
	/* another address overrides, and is not a change of mind */
	send_text(fd, "else", FAKE_ROUTED, FAKE_ECHO, AF_INET);
	CHECK(recv(fd, buf, sizeof(buf), MSG_DONTWAIT) == -1);
	check_peer(fd, AF_INET, FAKE_PEER ":7");
}

static void v6_connected(void)
{
	int fd = udp(AF_INET6);

	CHECK(connect_udp(fd, FAKE_PEER6, FAKE_ECHO, AF_INET6) == 0);
	check_peer(fd, AF_INET6, "[" FAKE_PEER6 "]:7");
	check_own(fd, AF_INET6, "[" FAKE_OWN6 "]:50000");
	CHECK(send(fd, "six", 3, 0) == 3);
	expect_text(fd, "six", AF_INET6, "[" FAKE_PEER6 "]:7");
	CHECK(get(fd, IPPROTO_IPV6, IPV6_MTU) == 1280);
	fd = udp(AF_INET6);
	CHECK(connect_udp(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == 0);
	check_peer(fd, AF_INET6, FAKE_PEER ":7");
	CHECK(send(fd, "four", 4, 0) == 4);
	expect_text(fd, "four", AF_INET6, FAKE_PEER ":7");
}

static void refusal_reaches_who_waits(void)
{
	int fd = udp(AF_INET);
	char buf[8];

	CHECK(connect_udp(fd, FAKE_PEER, FAKE_REFUSED, AF_INET) == 0);
	CHECK(send(fd, "x", 1, 0) == 1);
	CHECK(recv(fd, buf, sizeof(buf), 0) == -1 && errno == ECONNREFUSED);
	check_peer(fd, AF_INET, FAKE_PEER ":1");
	/* the same socket again */
	CHECK(connect_udp(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == 0);
	CHECK(send(fd, "y", 1, 0) == 1);
	expect_text(fd, "y", AF_INET, FAKE_PEER ":7");
}

static void connections_change_networks(void)
{
	uint16_t port, own;
	int local = local_socket(&port), fd = udp(AF_INET);
	struct name from = {.len = sizeof(from.ss)}, unspec = {
		.ss.ss_family = AF_UNSPEC, .len = sizeof(struct sockaddr_in)};
	char buf[8];

	CHECK(connect_udp(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == 0);
	CHECK(connect_udp(fd, "127.0.0.1", port, AF_INET) == 0);
	CHECK(send(fd, "here", 4, 0) == 4);
	CHECK(recvfrom(local, buf, sizeof(buf), 0, sa(&from), &from.len) == 4);
	own = ntohs(((struct sockaddr_in *)&from.ss)->sin_port);
	CHECK(connect_udp(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == 0);
	check_peer(fd, AF_INET, FAKE_PEER ":7");
	CHECK(send(fd, "there", 5, 0) == 5);
	expect_text(fd, "there", AF_INET, FAKE_PEER ":7");
	CHECK(connect(fd, sa(&unspec), unspec.len) == 0);
	CHECK(getpeername(fd, sa(&from), &from.len) == -1);
	CHECK(errno == ENOTCONN);
	CHECK(own != 0);
	/* no host network here: the kernel must be asked for it, and not from
	 * a loopback address, which would be EINVAL */
	CHECK(connect_udp(fd, FAKE_PEER, FAKE_ECHO, AF_INET) == 0);
	CHECK(connect_udp(fd, "192.0.2.1", 9, AF_INET) == -1);
	CHECK(errno == ENETUNREACH);
}

/* -- control data --------------------------------------------------------- */

union control {
	struct cmsghdr head;
	char room[512];
};

static struct cmsghdr *find(struct msghdr *msg, int level, int type)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);

	while (cmsg && (cmsg->cmsg_level != level || cmsg->cmsg_type != type))
		cmsg = CMSG_NXTHDR(msg, cmsg);
	return cmsg;
}

static void check_in_addr(const struct in_addr *addr, const char *expected)
{
	char text[INET_ADDRSTRLEN];

	inet_ntop(AF_INET, addr, text, sizeof(text));
	if (strcmp(text, expected) != 0)
		fprintf(stderr, "is %s, should be %s\n", text, expected);
	CHECK(strcmp(text, expected) == 0);
}

/* Sent from the address that the last datagram was sent to, as by programs
 * that serve several. */
static void send_from(int fd, const struct in_pktinfo *info, struct name *to)
{
	union control control = {.room = {0}};
	struct iovec iov = {(char[]){"src"}, 3};
	struct msghdr msg = {.msg_name = to ? &to->ss : NULL,
			     .msg_namelen = to ? to->len : 0,
			     .msg_iov = &iov, .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = CMSG_SPACE(sizeof(*info)) +
					       CMSG_SPACE(sizeof(int))};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	const int tos = 0x10;

	cmsg->cmsg_level = IPPROTO_IP;
	cmsg->cmsg_type = IP_PKTINFO;
	cmsg->cmsg_len = CMSG_LEN(sizeof(*info));
	memcpy(CMSG_DATA(cmsg), info, sizeof(*info));
	cmsg = CMSG_NXTHDR(&msg, cmsg);
	cmsg->cmsg_level = IPPROTO_IP;
	cmsg->cmsg_type = IP_TOS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(tos));
	memcpy(CMSG_DATA(cmsg), &tos, sizeof(tos));
	CHECK(sendmsg(fd, &msg, 0) == 3);
	/* what the program has is still its own */
	cmsg = find(&msg, IPPROTO_IP, IP_PKTINFO);
	CHECK(cmsg && memcmp(CMSG_DATA(cmsg), info, sizeof(*info)) == 0);
}

static struct in_pktinfo receive_pktinfo(int fd, bool has_name)
{
	struct name from = {.len = sizeof(from.ss)};
	union control control;
	char buf[8];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_name = has_name ? &from.ss : NULL,
			     .msg_namelen = has_name ? from.len : 0,
			     .msg_iov = &iov, .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	struct in_pktinfo info;
	struct cmsghdr *cmsg;

	CHECK(recvmsg(fd, &msg, 0) == 3);
	if (has_name)
		check_is(&from.ss, msg.msg_namelen, AF_INET, FAKE_PEER ":7");
	else
		CHECK(msg.msg_name == NULL && msg.msg_namelen == 0);
	cmsg = find(&msg, SOL_SOCKET, SO_TIMESTAMP);
	CHECK(cmsg != NULL); /* not ours */
	cmsg = find(&msg, IPPROTO_IP, IP_ORIGDSTADDR);
	CHECK(cmsg != NULL);
	check_in_addr(&((struct sockaddr_in *)CMSG_DATA(cmsg))->sin_addr,
		      FAKE_OWN);
	cmsg = find(&msg, IPPROTO_IP, IP_PKTINFO);
	CHECK(cmsg != NULL);
	memcpy(&info, CMSG_DATA(cmsg), sizeof(info));
	return info;
}

static void pktinfo_names_the_tailnet(void)
{
	struct name to = name_of(FAKE_PEER, FAKE_ECHO, AF_INET);
	struct in_pktinfo info = {.ipi_ifindex = 0};
	int fd = udp(AF_INET);

	set(fd, IPPROTO_IP, IP_PKTINFO, 1);
	set(fd, IPPROTO_IP, IP_RECVORIGDSTADDR, 1);
	set(fd, SOL_SOCKET, SO_TIMESTAMP, 1);
	CHECK(inet_pton(AF_INET, FAKE_OWN, &info.ipi_spec_dst) == 1);
	send_from(fd, &info, &to);
	info = receive_pktinfo(fd, true);
	check_in_addr(&info.ipi_addr, FAKE_OWN);
	check_in_addr(&info.ipi_spec_dst, FAKE_OWN);
	send_from(fd, &info, &to); /* as it came */
	info = receive_pktinfo(fd, false);
	check_in_addr(&info.ipi_addr, FAKE_OWN);
	CHECK(connect(fd, sa(&to), to.len) == 0);
	send_from(fd, &info, NULL);
	info = receive_pktinfo(fd, false);
	check_in_addr(&info.ipi_addr, FAKE_OWN);
	to.len = 0; /* a name of no length is none */
	send_from(fd, &info, &to);
	info = receive_pktinfo(fd, false);
	check_in_addr(&info.ipi_addr, FAKE_OWN);
}

/* What is delivered is the tailnet's, also where nobody asked for the name. */
static void a_name_without_room_is_only_measured(void)
{
	struct name to = name_of(FAKE_PEER, FAKE_ECHO, AF_INET);
	struct sockaddr_in nothing = {0};
	union control control;
	char buf[8];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_name = &nothing, .msg_iov = &iov,
			     .msg_iovlen = 1, .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg;
	int fd = udp(AF_INET);

	set(fd, IPPROTO_IP, IP_PKTINFO, 1);
	send_text(fd, "abc", FAKE_PEER, FAKE_ECHO, AF_INET);
	CHECK(recvmsg(fd, &msg, 0) == 3 && to.len == sizeof(nothing));
	CHECK(msg.msg_namelen == to.len && nothing.sin_family == 0);
	cmsg = find(&msg, IPPROTO_IP, IP_PKTINFO);
	CHECK(cmsg != NULL);
	check_in_addr(&((struct in_pktinfo *)CMSG_DATA(cmsg))->ipi_addr,
		      FAKE_OWN);
}

static void v6_pktinfo_names_the_tailnet(void)
{
	struct name to = name_of(FAKE_PEER6, FAKE_ECHO, AF_INET6);
	union control control = {.room = {0}};
	char buf[8] = "abc", text[INET6_ADDRSTRLEN];
	struct iovec iov = {buf, 3};
	struct msghdr msg = {.msg_name = &to.ss, .msg_namelen = to.len,
			     .msg_iov = &iov, .msg_iovlen = 1,
			     .msg_control = &control};
	struct cmsghdr *cmsg = &control.head;
	struct in6_pktinfo info = {.ipi6_ifindex = 0};
	int fd = udp(AF_INET6);

	set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	CHECK(inet_pton(AF_INET6, FAKE_OWN6, &info.ipi6_addr) == 1);
	cmsg->cmsg_level = IPPROTO_IPV6;
	cmsg->cmsg_type = IPV6_PKTINFO;
	cmsg->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(cmsg), &info, sizeof(info));
	msg.msg_controllen = CMSG_SPACE(sizeof(info));
	CHECK(sendmsg(fd, &msg, 0) == 3);
	msg.msg_controllen = sizeof(control);
	CHECK(recvmsg(fd, &msg, 0) == 3);
	check_is(&to.ss, msg.msg_namelen, AF_INET6, "[" FAKE_PEER6 "]:7");
	cmsg = find(&msg, IPPROTO_IPV6, IPV6_PKTINFO);
	CHECK(cmsg != NULL);
	memcpy(&info, CMSG_DATA(cmsg), sizeof(info));
	inet_ntop(AF_INET6, &info.ipi6_addr, text, sizeof(text));
	CHECK(strcmp(text, FAKE_OWN6) == 0);
}

static void errors_name_the_tailnet(void)
{
	struct name from = {.len = sizeof(from.ss)};
	union control control;
	char buf[8];
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_name = &from.ss, .msg_namelen = from.len,
			     .msg_iov = &iov, .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	struct sock_extended_err *err;
	struct cmsghdr *cmsg;
	int fd = udp(AF_INET);

	set(fd, IPPROTO_IP, IP_RECVERR, 1);
	send_text(fd, "x", FAKE_PEER, FAKE_REFUSED, AF_INET);
	CHECK(recv(fd, buf, sizeof(buf), 0) == -1 && errno == ECONNREFUSED);
	CHECK(recvmsg(fd, &msg, MSG_ERRQUEUE) >= 0);
	CHECK(msg.msg_flags & MSG_ERRQUEUE);
	check_is(&from.ss, msg.msg_namelen, AF_INET, FAKE_PEER ":1");
	cmsg = find(&msg, IPPROTO_IP, IP_RECVERR);
	CHECK(cmsg != NULL);
	err = (struct sock_extended_err *)CMSG_DATA(cmsg);
	CHECK(err->ee_errno == ECONNREFUSED);
	CHECK(err->ee_origin == SO_EE_ORIGIN_ICMP);
	check_in_addr(&((struct sockaddr_in *)SO_EE_OFFENDER(err))->sin_addr,
		      FAKE_PEER);
	/* and others are still answered */
	send_text(fd, "y", FAKE_PEER, FAKE_ECHO, AF_INET);
	expect_text(fd, "y", AF_INET, FAKE_PEER ":7");
}

/* -- batches -------------------------------------------------------------- */

enum { BATCH = 40 };

static void batches_keep_order_and_count(void)
{
	static char texts[BATCH][8];
	struct mmsghdr msgs[BATCH] = {0};
	struct iovec iovs[BATCH];
	struct name here, there = name_of(FAKE_PEER, FAKE_ECHO, AF_INET);
	uint16_t port;
	int local = local_socket(&port), fd = udp(AF_INET), seen_there = 0;
	char buf[8];

	here = name_of("127.0.0.1", port, AF_INET);
	for (int i = 0; i < BATCH; i++) {
		bool is_here = i % 7 == 3;

		iovs[i].iov_len = (size_t)snprintf(texts[i], sizeof(texts[i]),
						   "%d", i);
		iovs[i].iov_base = texts[i];
		msgs[i].msg_hdr.msg_iov = &iovs[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
		msgs[i].msg_hdr.msg_name = is_here ? &here.ss : &there.ss;
		msgs[i].msg_hdr.msg_namelen = is_here ? here.len : there.len;
	}
	CHECK(sendmmsg(fd, msgs, BATCH, 0) == BATCH);
	for (int i = 0; i < BATCH; i++) {
		int from = i % 7 == 3 ? local : fd;
		ssize_t len = recv(from, buf, sizeof(buf), 0);

		CHECK(msgs[i].msg_len == iovs[i].iov_len);
		CHECK(msgs[i].msg_hdr.msg_name ==
		      (i % 7 == 3 ? &here.ss : &there.ss));
		CHECK(len == (ssize_t)iovs[i].iov_len &&
		      memcmp(buf, texts[i], (size_t)len) == 0);
		seen_there += from == fd;
	}
	CHECK(seen_there == BATCH - 6);
}

static void batches_stop_at_an_error(void)
{
	struct name good = name_of(FAKE_PEER, FAKE_ECHO, AF_INET);
	struct name bad = name_of(FAKE_PEER, FAKE_NO_PEER, AF_INET);
	struct iovec iov = {(char[]){"x"}, 1};
	struct mmsghdr msgs[3] = {0};
	int fd = udp(AF_INET);

	for (int i = 0; i < 3; i++) {
		msgs[i].msg_hdr.msg_iov = &iov;
		msgs[i].msg_hdr.msg_iovlen = 1;
		msgs[i].msg_hdr.msg_name = i == 1 ? &bad.ss : &good.ss;
		msgs[i].msg_hdr.msg_namelen = good.len;
	}
	CHECK(sendmmsg(fd, msgs, 3, 0) == 1 && msgs[0].msg_len == 1);
	CHECK(sendmmsg(fd, msgs + 1, 2, 0) == -1 && errno == EHOSTUNREACH);
	CHECK(sendmmsg(fd, msgs + 2, 1, 0) == 1);
	CHECK(sendmmsg(fd, msgs, 0, 0) == 0);
}

static void batches_tell_sources(void)
{
	struct name names[4];
	struct mmsghdr msgs[4] = {0};
	struct iovec iovs[4];
	char bufs[4][8];
	int fd = udp(AF_INET);

	for (int i = 0; i < 3; i++)
		send_text(fd, "abc", i == 1 ? FAKE_ROUTED : FAKE_PEER,
			  FAKE_ECHO, AF_INET);
	for (int i = 0; i < 4; i++) {
		iovs[i] = (struct iovec){bufs[i], sizeof(bufs[i])};
		msgs[i].msg_hdr.msg_iov = &iovs[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
		msgs[i].msg_hdr.msg_name = &names[i].ss;
		msgs[i].msg_hdr.msg_namelen = sizeof(names[i].ss);
	}
	CHECK(recvmmsg(fd, msgs, 1, MSG_WAITFORONE, NULL) == 1);
	while (recv(fd, bufs[3], 8, MSG_PEEK) < 0)
		;
	for (int got = 1; got < 3;) {
		int n = recvmmsg(fd, msgs + got, 4 - (unsigned)got,
				 MSG_WAITFORONE, NULL);

		CHECK(n > 0);
		got += n;
	}
	for (int i = 0; i < 3; i++) {
		CHECK(msgs[i].msg_len == 3);
		check_is(&names[i].ss, msgs[i].msg_hdr.msg_namelen, AF_INET,
			 i == 1 ? FAKE_ROUTED ":7" : FAKE_PEER ":7");
	}
}

/* -- what programs do with buffers ---------------------------------------- */

static void short_names_are_cut(void)
{
	struct sockaddr_in name;
	uint8_t bytes[sizeof(struct sockaddr_in)];
	socklen_t len = 8;
	char buf[8];
	int fd = udp(AF_INET);

	send_text(fd, "abc", FAKE_PEER, FAKE_ECHO, AF_INET);
	memset(bytes, 0x55, sizeof(bytes));
	CHECK(recvfrom(fd, buf, 2, MSG_TRUNC | MSG_PEEK,
		       (struct sockaddr *)bytes, &len) == 3);
	CHECK(len == sizeof(name) && bytes[8] == 0x55);
	memcpy(&name, bytes, sizeof(name));
	check_in_addr(&name.sin_addr, FAKE_PEER);
	len = 0;
	CHECK(recvfrom(fd, buf, 2, 0, (struct sockaddr *)bytes, &len) == 2);
	CHECK(len == sizeof(name) && bytes[8] == 0x55);
	CHECK(recvfrom(fd, buf, 2, MSG_DONTWAIT, (struct sockaddr *)bytes,
		       &len) == -1);
	CHECK(errno == EAGAIN);
}

static void nonsense_is_the_kernels_to_refuse(void)
{
	struct name to = name_of(FAKE_PEER, FAKE_ECHO, AF_INET);
	struct sockaddr *nowhere = (struct sockaddr *)8;
	struct iovec iov = {(void *)8, 100};
	struct msghdr msg = {.msg_name = &to.ss, .msg_namelen = to.len,
			     .msg_iov = &iov, .msg_iovlen = 1};
	int fd = udp(AF_INET);
	char buf[8];

	CHECK(sendto(fd, "x", 1, 0, nowhere, 16) == -1 && errno == EFAULT);
	CHECK(sendto(fd, "x", 1, 0, sa(&to), 7) == -1 && errno == EINVAL);
	CHECK(sendto(fd, nowhere, 5, 0, sa(&to), to.len) == -1);
	CHECK(errno == EFAULT);
	CHECK(sendto(-1, "x", 1, 0, sa(&to), to.len) == -1 && errno == EBADF);
	CHECK(sendto(0, "x", 1, 0, sa(&to), to.len) == -1);
	CHECK(errno == ENOTSOCK || errno == EBADF);
	CHECK(sendmsg(fd, &msg, 0) == -1 && errno == EFAULT);
	msg.msg_iovlen = 1 << 20;
	CHECK(sendmsg(fd, &msg, 0) == -1 && errno == EMSGSIZE);
	CHECK(recvfrom(-1, buf, 1, 0, sa(&to), &to.len) == -1);
	CHECK(errno == EBADF);
}

static void sources_nowhere_are_the_kernels_to_refuse(void)
{
	struct sockaddr *nowhere = (struct sockaddr *)8;
	int fd = udp(AF_INET);
	char buf[8];

	send_text(fd, "x", FAKE_PEER, FAKE_ECHO, AF_INET);
	CHECK(recvfrom(fd, buf, sizeof(buf), 0, nowhere,
		       (socklen_t[]){16}) == -1);
	CHECK(errno == EFAULT);
}

static void headers_nowhere_are_the_kernels_to_refuse(void)
{
	struct msghdr *nowhere = (struct msghdr *)8;
	int fd = udp(AF_INET);

	CHECK(sendmsg(fd, nowhere, 0) == -1 && errno == EFAULT);
	CHECK(recvmsg(fd, nowhere, MSG_DONTWAIT) == -1 && errno == EFAULT);
}

static void fortified_receives_tell_sources(void)
{
	ssize_t (*receive)(int, void *, size_t, size_t, int, struct sockaddr *,
			   socklen_t *);
	struct name from = {.len = sizeof(from.ss)};
	int fd = udp(AF_INET);
	char buf[8];

	*(void **)&receive = dlsym(RTLD_DEFAULT, "__recvfrom_chk");
	CHECK(receive != NULL);
	send_text(fd, "abc", FAKE_PEER, FAKE_ECHO, AF_INET);
	CHECK(receive(fd, buf, 8, sizeof(buf), 0, sa(&from), &from.len) == 3);
	check_is(&from.ss, from.len, AF_INET, FAKE_PEER ":7");
}

/* -- sizes ---------------------------------------------------------------- */

static void what_must_not_be_cut_is_refused(void)
{
	static char large[4000];
	struct name to = name_of(FAKE_PEER, FAKE_ECHO, AF_INET);
	struct iovec iov = {large, 1253};
	struct msghdr msg = {.msg_name = &to.ss, .msg_namelen = to.len,
			     .msg_iov = &iov, .msg_iovlen = 1};
	int fd = udp(AF_INET);

	CHECK(sendto(fd, large, 1253, 0, sa(&to), to.len) == 1253);
	set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	CHECK(sendto(fd, large, 1253, 0, sa(&to), to.len) == -1);
	CHECK(errno == EMSGSIZE);
	CHECK(sendmsg(fd, &msg, 0) == -1 && errno == EMSGSIZE);
	CHECK(sendto(fd, large, 1252, 0, sa(&to), to.len) == 1252);
	CHECK(connect(fd, sa(&to), to.len) == 0);
	CHECK(send(fd, large, 1253, 0) == -1 && errno == EMSGSIZE);
	CHECK(sendto(fd, large, 1253, 0, NULL, 0) == -1);
	CHECK(errno == EMSGSIZE);
	msg.msg_name = NULL;
	CHECK(sendmsg(fd, &msg, 0) == -1 && errno == EMSGSIZE);
	CHECK(send(fd, large, 1252, 0) == 1252);
	set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
	CHECK(send(fd, large, 1253, 0) == 1253);
}

static void segments_must_fit(void)
{
	static char large[4000];
	struct name to = name_of(FAKE_PEER, FAKE_ECHO, AF_INET);
	int fd = udp(AF_INET);

	set(fd, IPPROTO_UDP, UDP_SEGMENT, 1300);
	CHECK(sendto(fd, large, sizeof(large), 0, sa(&to), to.len) == -1);
	CHECK(errno == EINVAL);
	set(fd, IPPROTO_UDP, UDP_SEGMENT, 1200);
	CHECK(sendto(fd, large, 3600, 0, sa(&to), to.len) == 3600);
	for (int i = 0; i < 3; i++)
		CHECK(recv(fd, large, sizeof(large), 0) == 1200);
}

/* -- bind ----------------------------------------------------------------- */

static int bind_udp(int fd, const char *ip, uint16_t port, int family)
{
	struct name at = name_of(ip, port, family);

	return bind(fd, sa(&at), at.len);
}

static void a_served_port_is_reached(void)
{
	uint16_t port;
	int fd = udp(AF_INET), local = local_socket(&port);
	char text[32];

	CHECK(bind_udp(fd, "0.0.0.0", FAKE_LISTEN, AF_INET) == 0);
	check_own(fd, AF_INET, "0.0.0.0:8080");
	expect_text(fd, "hello", AF_INET, FAKE_REMOTE);
	send_text(fd, "answer", "100.64.0.9", 4444, AF_INET);
	expect_text(fd, "answer", AF_INET, FAKE_REMOTE);
	send_text(local, "local", "127.0.0.1", FAKE_LISTEN, AF_INET);
	snprintf(text, sizeof(text), "127.0.0.1:%u", port);
	expect_text(fd, "local", AF_INET, text);
}

static void a_dual_stack_port_is_reached(void)
{
	int fd = udp(AF_INET6);

	CHECK(bind_udp(fd, "::", FAKE_LISTEN, AF_INET6) == 0);
	expect_text(fd, "hello", AF_INET6, FAKE_REMOTE);
	send_text(fd, "answer", "100.64.0.9", 4444, AF_INET6);
	expect_text(fd, "answer", AF_INET6, FAKE_REMOTE);
}

static void an_own_address_can_be_bound(void)
{
	int fd = udp(AF_INET);

	CHECK(bind_udp(fd, FAKE_PEER, 99, AF_INET) == -1);
	CHECK(errno == EADDRNOTAVAIL);
	CHECK(bind_udp(fd, FAKE_OWN, FAKE_LISTEN, AF_INET) == 0);
	check_own(fd, AF_INET, FAKE_OWN ":8080");
	expect_text(fd, "hello", AF_INET, FAKE_REMOTE);
	send_text(fd, "back", "100.64.0.9", 4444, AF_INET);
	expect_text(fd, "back", AF_INET, FAKE_REMOTE);
}

static void a_taken_port_leaves_the_socket_usable(void)
{
	int fd = udp(AF_INET);

	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	CHECK(bind_udp(fd, "0.0.0.0", FAKE_TAKEN, AF_INET) == -1);
	CHECK(errno == EADDRINUSE);
	CHECK(get(fd, SOL_SOCKET, SO_REUSEADDR) == 1);
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CHECK(bind_udp(fd, "0.0.0.0", FAKE_LISTEN, AF_INET) == 0);
	expect_text(fd, "hello", AF_INET, FAKE_REMOTE);
}

static void duplicates_and_children_share(void)
{
	int fd = udp(AF_INET), status;
	pid_t pid;

	send_text(fd, "one", FAKE_PEER, FAKE_ECHO, AF_INET);
	expect_text(dup(fd), "one", AF_INET, FAKE_PEER ":7");
	pid = fork();
	if (pid == 0) {
		send_text(fd, "two", FAKE_PEER, FAKE_ECHO, AF_INET);
		expect_text(fd, "two", AF_INET, FAKE_PEER ":7");
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* -- ping ----------------------------------------------------------------- */

static void send_echo(int fd, uint8_t type, const char *ip, int family)
{
	struct icmphdr echo = {.type = type, .un.echo.id = htons(99)};
	struct name to = name_of(ip, 1 /* of no meaning */, family);

	CHECK(sendto(fd, &echo, sizeof(echo), 0, sa(&to), to.len) ==
	      sizeof(echo));
}

static void raw_sockets_ping_the_tailnet(void)
{
	struct name host = name_of("127.0.0.1", 0, AF_INET);
	struct name from = {.len = sizeof(from.ss)};
	struct timeval limit = {.tv_sec = 5};
	uint8_t buf[128];
	int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);

	if (fd < 0)
		return; /* not root here */
	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ==
	      0);
	set(fd, IPPROTO_IP, IP_RECVERR, 1);
	send_echo(fd, ICMP_ECHO, FAKE_PEER, AF_INET);
	CHECK(recvfrom(fd, buf, sizeof(buf), 0, sa(&from), &from.len) ==
	      20 + sizeof(struct icmphdr));
	CHECK(buf[0] == 0x45 && buf[20] == ICMP_ECHOREPLY && buf[25] == 99);
	check_is(&from.ss, from.len, AF_INET, FAKE_PEER ":0");
	CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CHECK(sendto(fd, buf, 8, 0, sa(&host), host.len) == -1);
	CHECK(errno == ENETUNREACH);
	/* another socket with the same number is none of it */
	close(fd);
	CHECK(udp(AF_INET) == fd);
	CHECK(sendto(fd, buf, 8, 0, sa(&host), host.len) == -1);
	CHECK(errno == EINVAL); /* port 0 */
}

static void raw_v6_sockets_ping_the_tailnet(void)
{
	struct name from = {.len = sizeof(from.ss)};
	uint8_t buf[128];
	int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6);

	if (fd < 0)
		return;
	set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
	send_echo(fd, 128, FAKE_PEER6, AF_INET6);
	CHECK(recvfrom(fd, buf, sizeof(buf), 0, sa(&from), &from.len) ==
	      sizeof(struct icmphdr));
	CHECK(buf[0] == 129);
	check_is(&from.ss, from.len, AF_INET6, "[" FAKE_PEER6 "]:0");
}

/* As the capability to open raw sockets and the range of groups have it. */
static void who_may_not_ping_can_ping_the_tailnet(void)
{
	struct name host = name_of("127.0.0.1", 0, AF_INET);
	struct name from = {.len = sizeof(from.ss)};
	uint8_t buf[128];
	int32_t filter = 0;
	int fd;

	if (setresgid(65534, 65534, 65534) != 0 ||
	    setresuid(65534, 65534, 65534) != 0)
		return;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);
	if (fd < 0)
		fprintf(stderr, "%s\n", strerror(errno));
	CHECK(fd >= 0);
	if (get(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_ICMP)
		return; /* it may */
	set(fd, IPPROTO_IP, IP_RECVERR, 1);
	send_echo(fd, ICMP_ECHO, FAKE_PEER, AF_INET);
	CHECK(recvfrom(fd, buf, sizeof(buf), 0, sa(&from), &from.len) ==
	      sizeof(struct icmphdr));
	CHECK(buf[0] == ICMP_ECHOREPLY);
	CHECK(sendto(fd, buf, 8, 0, sa(&host), host.len) == -1);
	CHECK(errno == EACCES);
	CHECK(connect(fd, sa(&host), host.len) == -1 && errno == EACCES);
	CHECK(setsockopt(fd, 255, 1, &filter, sizeof(filter)) == 0);
	CHECK(connect_udp(fd, FAKE_PEER, 0, AF_INET) == 0);
	check_peer(fd, AF_INET, FAKE_PEER ":0");
}

/* -- running them --------------------------------------------------------- */

#define PROGRAMS(X)                                                            \
	X(datagrams_are_answered)                                              \
	X(routes_count_for_datagrams)                                          \
	X(one_socket_for_both_networks)                                        \
	X(v6_sockets_carry_both_families)                                      \
	X(v6_only_sockets_use_the_other_loopback)                              \
	X(families_that_do_not_fit_are_the_kernels_to_refuse)                  \
	X(unreachable_peers_say_so)                                            \
	X(forgotten_flows_are_asked_for_again)                                 \
	X(large_datagrams_pass)                                                \
	X(other_protocols_fail_closed)                                         \
	X(connected_sockets_read_and_write)                                    \
	X(v6_connected)                                                        \
	X(refusal_reaches_who_waits)                                           \
	X(connections_change_networks)                                         \
	X(pktinfo_names_the_tailnet)                                           \
	X(a_name_without_room_is_only_measured)                                \
	X(v6_pktinfo_names_the_tailnet)                                        \
	X(errors_name_the_tailnet)                                             \
	X(batches_keep_order_and_count)                                        \
	X(batches_stop_at_an_error)                                            \
	X(batches_tell_sources)                                                \
	X(short_names_are_cut)                                                 \
	X(nonsense_is_the_kernels_to_refuse)                                   \
	X(sources_nowhere_are_the_kernels_to_refuse)                           \
	X(what_must_not_be_cut_is_refused)                                     \
	X(segments_must_fit)                                                   \
	X(a_served_port_is_reached)                                            \
	X(a_dual_stack_port_is_reached)                                        \
	X(an_own_address_can_be_bound)                                         \
	X(a_taken_port_leaves_the_socket_usable)                               \
	X(duplicates_and_children_share)                                       \
	X(raw_sockets_ping_the_tailnet)                                        \
	X(raw_v6_sockets_ping_the_tailnet)                                     \
	X(who_may_not_ping_can_ping_the_tailnet)

#define AS_ROW(name) {#name, name},

static const struct program programs[] = {
	PROGRAMS(AS_ROW) AS_ROW(headers_nowhere_are_the_kernels_to_refuse)
		AS_ROW(fortified_receives_tell_sources){NULL, NULL}};

static void run_hosted(const char *name)
{
	char broker[256], broker_abstract[256], errors[8192];
	const char *env[] = {broker, broker_abstract, NULL};
	struct fake_host host;
	int status;

	enter_own_network(); /* no ports left from the test before */
	assert_int_equal(fake_host_start(&host, work_dir, TS_LISTEN_BOTH), 0);
	snprintf(broker, sizeof(broker), "TSNET_BROKER=%s", host.path);
	snprintf(broker_abstract, sizeof(broker_abstract),
		 "TSNET_BROKER_ABSTRACT=%s", host.abstract);
	status = run_program(name, env, errors, sizeof(errors));
	fake_host_stop(&host);
	if (status != 0 || *errors)
		print_message("%s: exit status %d\n%s", name, status, errors);
	assert_int_equal(status, 0);
	assert_string_equal(errors, "");
}

#define AS_TEST(name)                                                          \
	static void test_##name(void **state)                                  \
	{                                                                      \
		(void)state;                                                   \
		run_hosted(#name);                                             \
	}
PROGRAMS(AS_TEST)

/* musl copies a header itself, and crashes, as natively. */
static void test_headers_nowhere_are_the_kernels_to_refuse(void **state)
{
	(void)state;
#ifndef __GLIBC__
	skip();
#endif
	run_hosted("headers_nowhere_are_the_kernels_to_refuse");
}

static void test_fortified_receives_tell_sources(void **state)
{
	(void)state;
#ifndef __GLIBC__
	skip(); /* musl has no __recvfrom_chk */
#endif
	run_hosted("fortified_receives_tell_sources");
}

#define AS_UNIT_TEST(name) cmocka_unit_test(test_##name),

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		PROGRAMS(AS_UNIT_TEST) cmocka_unit_test(
			test_headers_nowhere_are_the_kernels_to_refuse),
		cmocka_unit_test(test_fortified_receives_tell_sources),
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
