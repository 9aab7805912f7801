/* SPDX-License-Identifier: BSD-3-Clause
 * datagram_probe.c - what careful programs do with UDP sockets
 *
 *   datagram_probe serve PORT         as QUIC servers do: batches, GRO, and
 *                                     answers from the address written to
 *   datagram_probe NAME IP PORT [OWN] one of the probes below; OWN is the
 *                                     address that this node should have
 *
 * Exit status 0: as expected; else the failed check is on standard error.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(what)                                                            \
	do {                                                                   \
		if (!(what)) {                                                 \
			fprintf(stderr, "%s:%d: %s: %s\n", __func__, __LINE__, \
				#what, strerror(errno));                       \
			exit(1);                                               \
		}                                                              \
	} while (0)

enum { BATCH = 16, PATIENCE_S = 15 };

struct target {
	struct sockaddr_storage ss;
	socklen_t len;
	int family;
	const char *own;
};

union control {
	struct cmsghdr head;
	char room[512];
};

static void set(int fd, int level, int name, int value)
{
	CHECK(setsockopt(fd, level, name, &value, sizeof(value)) == 0);
}

static int open_udp(int family)
{
	struct timeval limit = {.tv_sec = PATIENCE_S};
	int fd = socket(family, SOCK_DGRAM, 0);

	CHECK(fd >= 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ==
	      0);
	return fd;
}

static void send_to(int fd, const struct target *t, const char *text)
{
	CHECK(sendto(fd, text, strlen(text), 0,
		     (const struct sockaddr *)&t->ss, t->len) ==
	      (ssize_t)strlen(text));
}

static void text_of(const struct sockaddr_storage *ss, char *out, size_t cap)
{
	const void *ip =
		ss->ss_family == AF_INET
			? (const void *)&((const struct sockaddr_in *)ss)
				  ->sin_addr
			: &((const struct sockaddr_in6 *)ss)->sin6_addr;

	CHECK(inet_ntop(ss->ss_family, ip, out, (socklen_t)cap) != NULL);
}

static void check_same(const struct sockaddr_storage *ss,
		       const struct target *t)
{
	char is[INET6_ADDRSTRLEN], should[INET6_ADDRSTRLEN];

	text_of(ss, is, sizeof(is));
	text_of(&t->ss, should, sizeof(should));
	if (strcmp(is, should) != 0)
		fprintf(stderr, "is %s, should be %s\n", is, should);
	CHECK(strcmp(is, should) == 0);
}

/* An answer to any of our datagrams; its text. */
static void expect(int fd, const struct target *t, const char *text)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	char buf[2048];
	ssize_t n = recvfrom(fd, buf, sizeof(buf) - 1, 0,
			     (struct sockaddr *)&from, &len);

	CHECK(n >= 0);
	buf[n] = '\0';
	if (strcmp(buf, text) != 0)
		fprintf(stderr, "is \"%s\", should be \"%s\"\n", buf, text);
	CHECK(strcmp(buf, text) == 0);
	check_same(&from, t);
}

static struct cmsghdr *find(struct msghdr *msg, int level, int type)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);

	while (cmsg && (cmsg->cmsg_level != level || cmsg->cmsg_type != type))
		cmsg = CMSG_NXTHDR(msg, cmsg);
	return cmsg;
}

/* -- the server ----------------------------------------------------------- */

struct tally {
	unsigned long count, total;
};

/* "count NUMBER TOTAL": how many datagrams there were before, and of how many
 * bytes; any other short one comes back, from the address it was sent to. */
static void answer(int fd, const struct msghdr *msg, const char *data,
		   size_t len, struct tally *tally)
{
	char reply[1024];
	struct cmsghdr *info = find((struct msghdr *)(uintptr_t)msg,
				    IPPROTO_IPV6, IPV6_PKTINFO);
	union control control = {.room = {0}};
	struct iovec iov = {reply, len};
	struct msghdr out = {.msg_name = msg->msg_name,
			     .msg_namelen = msg->msg_namelen, .msg_iov = &iov,
			     .msg_iovlen = 1, .msg_control = &control,
			     .msg_controllen =
				     CMSG_SPACE(sizeof(struct in6_pktinfo))};

	CHECK(info != NULL);
	if (len == 5 && memcmp(data, "count", 5) == 0) {
		iov.iov_len = (size_t)snprintf(reply, sizeof(reply),
					       "count %lu %lu", tally->count,
					       tally->total);
		*tally = (struct tally){0};
	} else {
		tally->count++;
		tally->total += len;
		if (len > sizeof(reply))
			return; /* bulk */
		memcpy(reply, data, len);
	}
	control.head.cmsg_level = IPPROTO_IPV6;
	control.head.cmsg_type = IPV6_PKTINFO;
	control.head.cmsg_len = CMSG_LEN(sizeof(struct in6_pktinfo));
	memcpy(CMSG_DATA(&control.head), CMSG_DATA(info),
	       sizeof(struct in6_pktinfo));
	if (sendmsg(fd, &out, 0) < 0)
		perror("answer");
}

/* UDP_GRO: several datagrams of one length, the last may be shorter. */
static void answer_each(int fd, struct msghdr *msg, size_t len,
			struct tally *tally)
{
	struct cmsghdr *gro = find(msg, IPPROTO_UDP, UDP_GRO);
	const char *data = msg->msg_iov->iov_base;
	int segment = 0;

	if (gro)
		memcpy(&segment, CMSG_DATA(gro), sizeof(segment));
	if (segment <= 0)
		segment = 65536;
	for (size_t at = 0; at < len; at += (size_t)segment) {
		size_t left = len - at;

		answer(fd, msg, data + at,
		       left < (size_t)segment ? left : (size_t)segment, tally);
	}
}

static void serve(unsigned short port)
{
	static char bufs[BATCH][65536];
	struct sockaddr_in6 at = {.sin6_family = AF_INET6,
				  .sin6_port = htons(port)};
	struct mmsghdr msgs[BATCH];
	struct iovec iovs[BATCH];
	struct sockaddr_storage names[BATCH];
	union control controls[BATCH];
	struct tally tally = {0};
	int fd = open_udp(AF_INET6), n;
	const struct timeval forever = {0};

	CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &forever,
			 sizeof(forever)) == 0);
	set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	set(fd, IPPROTO_UDP, UDP_GRO, 1);
	CHECK(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	puts("bound");
	fflush(stdout);
	for (;;) {
		memset(msgs, 0, sizeof(msgs));
		for (int i = 0; i < BATCH; i++) {
			iovs[i] = (struct iovec){bufs[i], sizeof(bufs[i])};
			msgs[i].msg_hdr = (struct msghdr){
				.msg_name = &names[i],
				.msg_namelen = sizeof(names[i]),
				.msg_iov = &iovs[i], .msg_iovlen = 1,
				.msg_control = &controls[i],
				.msg_controllen = sizeof(controls[i])};
		}
		n = recvmmsg(fd, msgs, BATCH, MSG_WAITFORONE, NULL);
		CHECK(n > 0);
		for (int i = 0; i < n; i++)
			answer_each(fd, &msgs[i].msg_hdr, msgs[i].msg_len,
				    &tally);
	}
}

/* -- probes --------------------------------------------------------------- */

static void probe_echo(const struct target *t)
{
	int fd = open_udp(t->family);

	send_to(fd, t, "one");
	expect(fd, t, "one");
}

/* Our own address, as the receiver of an answer sees it. */
static void probe_pktinfo(const struct target *t)
{
	bool is_v4 = t->family == AF_INET;
	char buf[64], text[INET6_ADDRSTRLEN];
	union control control;
	struct sockaddr_storage from;
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_name = &from, .msg_namelen = sizeof(from),
			     .msg_iov = &iov, .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg;
	int fd = open_udp(t->family);

	if (is_v4)
		set(fd, IPPROTO_IP, IP_PKTINFO, 1);
	else
		set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	send_to(fd, t, "info");
	CHECK(recvmsg(fd, &msg, 0) == 4);
	check_same(&from, t);
	cmsg = is_v4 ? find(&msg, IPPROTO_IP, IP_PKTINFO)
		     : find(&msg, IPPROTO_IPV6, IPV6_PKTINFO);
	CHECK(cmsg != NULL);
	CHECK(inet_ntop(t->family,
			is_v4 ? (void *)&((struct in_pktinfo *)CMSG_DATA(cmsg))
					->ipi_addr
			      : &((struct in6_pktinfo *)CMSG_DATA(cmsg))
					 ->ipi6_addr,
			text, sizeof(text)) != NULL);
	if (strcmp(text, t->own) != 0)
		fprintf(stderr, "is %s, should be %s\n", text, t->own);
	CHECK(strcmp(text, t->own) == 0);
	CHECK((unsigned)(is_v4 ? ((struct in_pktinfo *)CMSG_DATA(cmsg))
					 ->ipi_ifindex
			       : (int)((struct in6_pktinfo *)CMSG_DATA(cmsg))
					 ->ipi6_ifindex) ==
	      if_nametoindex("tailscale0"));
}

static void expect_counts(int fd, const struct target *t, unsigned long count,
			  unsigned long total)
{
	char text[64];

	/* behind them, on the same way */
	send_to(fd, t, "count");
	snprintf(text, sizeof(text), "count %lu %lu", count, total);
	expect(fd, t, text);
}

static void probe_segments(const struct target *t)
{
	static char bytes[12000];
	int fd = open_udp(t->family);

	probe_echo(t); /* the tunnel is there: nothing is dropped */
	send_to(fd, t, "count");
	CHECK(recv(fd, bytes, sizeof(bytes), 0) > 0);
	set(fd, IPPROTO_UDP, UDP_SEGMENT, 1200);
	CHECK(sendto(fd, bytes, sizeof(bytes), 0,
		     (const struct sockaddr *)&t->ss, t->len) ==
	      sizeof(bytes));
	set(fd, IPPROTO_UDP, UDP_SEGMENT, 0);
	expect_counts(fd, t, 10, sizeof(bytes));
	set(fd, IPPROTO_UDP, UDP_SEGMENT, 1300);
	CHECK(sendto(fd, bytes, sizeof(bytes), 0,
		     (const struct sockaddr *)&t->ss, t->len) == -1);
	CHECK(errno == EINVAL);
}

static void probe_batch(const struct target *t)
{
	static char bytes[1200];
	struct mmsghdr msgs[40];
	struct iovec iov = {bytes, sizeof(bytes)};
	int fd = open_udp(t->family);

	probe_echo(t);
	send_to(fd, t, "count");
	CHECK(recv(fd, bytes, sizeof(bytes), 0) > 0);
	memset(bytes, 'b', sizeof(bytes));
	memset(msgs, 0, sizeof(msgs));
	for (int i = 0; i < 40; i++)
		msgs[i].msg_hdr = (struct msghdr){
			.msg_name = (void *)(uintptr_t)&t->ss,
			.msg_namelen = t->len, .msg_iov = &iov,
			.msg_iovlen = 1};
	CHECK(sendmmsg(fd, msgs, 40, 0) == 40);
	for (int i = 0; i < 40; i++)
		CHECK(msgs[i].msg_len == sizeof(bytes));
	expect_counts(fd, t, 40, 40 * sizeof(bytes));
}

static void probe_large(const struct target *t)
{
	static char bytes[60000];
	int fd = open_udp(t->family);
	bool is_v4 = t->family == AF_INET;
	size_t fits = is_v4 ? 1252 : 1232;

	probe_echo(t);
	send_to(fd, t, "count");
	CHECK(recv(fd, bytes, sizeof(bytes), 0) > 0);
	memset(bytes, 'l', sizeof(bytes));
	CHECK(connect(fd, (const struct sockaddr *)&t->ss, t->len) == 0);
	CHECK(send(fd, bytes, sizeof(bytes), 0) == sizeof(bytes));
	if (is_v4)
		set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
	else
		set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
	CHECK(send(fd, bytes, fits + 1, 0) == -1 && errno == EMSGSIZE);
	CHECK(send(fd, bytes, fits, 0) == (ssize_t)fits);
	expect_counts(fd, t, 2, sizeof(bytes) + fits);
}

/* Nobody listens at the port. */
static void probe_refused(const struct target *t)
{
	char buf[64];
	int fd = open_udp(t->family);

	CHECK(connect(fd, (const struct sockaddr *)&t->ss, t->len) == 0);
	CHECK(send(fd, "x", 1, 0) == 1);
	CHECK(recv(fd, buf, sizeof(buf), 0) == -1 && errno == ECONNREFUSED);
}

static void probe_errors(const struct target *t)
{
	bool is_v4 = t->family == AF_INET;
	char buf[64];
	union control control;
	struct sockaddr_storage to;
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_name = &to, .msg_namelen = sizeof(to),
			     .msg_iov = &iov, .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	struct sock_extended_err *err;
	struct cmsghdr *cmsg;
	int fd = open_udp(t->family);

	set(fd, is_v4 ? IPPROTO_IP : IPPROTO_IPV6,
	    is_v4 ? IP_RECVERR : IPV6_RECVERR, 1);
	send_to(fd, t, "x");
	CHECK(recv(fd, buf, sizeof(buf), 0) == -1 && errno == ECONNREFUSED);
	CHECK(recvmsg(fd, &msg, MSG_ERRQUEUE) >= 0);
	check_same(&to, t);
	cmsg = is_v4 ? find(&msg, IPPROTO_IP, IP_RECVERR)
		     : find(&msg, IPPROTO_IPV6, IPV6_RECVERR);
	CHECK(cmsg != NULL);
	err = (struct sock_extended_err *)CMSG_DATA(cmsg);
	CHECK(err->ee_errno == ECONNREFUSED);
	CHECK(err->ee_origin ==
	      (is_v4 ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6));
	memset(&to, 0, sizeof(to));
	memcpy(&to, SO_EE_OFFENDER(err), t->len);
	check_same(&to, t);
}

static void probe_again(const struct target *t)
{
	struct sockaddr unspec = {.sa_family = AF_UNSPEC};
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	int fd = open_udp(t->family);

	for (int i = 0; i < 3; i++) {
		CHECK(connect(fd, (const struct sockaddr *)&t->ss, t->len) ==
		      0);
		CHECK(send(fd, "again", 5, 0) == 5);
		expect(fd, t, "again");
		CHECK(connect(fd, &unspec, sizeof(unspec)) == 0);
		CHECK(getpeername(fd, (struct sockaddr *)&name, &len) == -1);
		send_to(fd, t, "free");
		expect(fd, t, "free");
	}
}

static void probe_fork(const struct target *t)
{
	int fd = open_udp(t->family), status;
	pid_t pid;

	send_to(fd, t, "parent");
	expect(fd, t, "parent");
	pid = fork();
	if (pid == 0) {
		send_to(fd, t, "child");
		expect(fd, t, "child");
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	send_to(fd, t, "after");
	expect(fd, t, "after");
}

static const struct {
	const char *name;
	void (*run)(const struct target *t);
} probes[] = {
	{"echo", probe_echo},	    {"pktinfo", probe_pktinfo},
	{"segments", probe_segments}, {"batch", probe_batch},
	{"large", probe_large},	    {"refused", probe_refused},
	{"errors", probe_errors},   {"again", probe_again},
	{"fork", probe_fork},
};

static void read_target(struct target *t, const char *ip, const char *port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&t->ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&t->ss;

	t->family = strchr(ip, ':') ? AF_INET6 : AF_INET;
	t->ss.ss_family = (sa_family_t)t->family;
	in->sin_port = htons((unsigned short)atoi(port));
	t->len = t->family == AF_INET ? sizeof(*in) : sizeof(*in6);
	CHECK(inet_pton(t->family, ip,
			t->family == AF_INET ? (void *)&in->sin_addr
					     : &in6->sin6_addr) == 1);
}

int main(int argc, char **argv)
{
	struct target t = {.own = argc > 4 ? argv[4] : ""};

	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		serve((unsigned short)atoi(argv[2]));
	if (argc < 4)
		return 2;
	read_target(&t, argv[2], argv[3]);
	for (size_t i = 0; i < sizeof(probes) / sizeof(*probes); i++)
		if (strcmp(probes[i].name, argv[1]) == 0) {
			probes[i].run(&t);
			return 0;
		}
	return 2;
}
