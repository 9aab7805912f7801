/* SPDX-License-Identifier: BSD-3-Clause
 * datagram_socket.c - W and the D's: what programs send us
 *
 * W is bound to 0.0.0.0 on the loopback device, so every 127.x.y.z at its port
 * is W's and nobody else can bind one. Datagrams for this machine's other
 * addresses reach it over the loopback as well: they name no flow and are
 * dropped, and so is what does not come from the flow's own program. A
 * program's bundle (UDP_SEGMENT) arrives in one piece and is taken apart here
 * (UDP_GRO).
 *
 * IP_RECVERR names the virtual address whose program is gone, so that neither
 * side waits for a time-out.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/errqueue.h> /* needs <time.h> */

#include "core/base/err.h"
#include "core/base/packet.h"
#include "core/host/app_datagram.h"

enum {
	BUNDLES = 16, /* taken in by one recvmmsg() */
	BUNDLE_CAP = 65536,
	W_BUFFER_BYTES = 8 << 20,
	D_BUFFER_BYTES = 1 << 20,
	ERRORS_A_TURN = 64,
	DRAIN_TURNS = 64, /* more than a socket's buffer holds of large ones */
};

union in_control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(struct in_pktinfo)) +
		      3 * CMSG_SPACE(sizeof(int))];
};

struct dgram_in {
	struct mmsghdr messages[BUNDLES];
	struct iovec iov[BUNDLES];
	struct sockaddr_storage from[BUNDLES];
	union in_control control[BUNDLES];
	uint8_t data[BUNDLES][BUNDLE_CAP];
};

/* -- receiving ------------------------------------------------------------ */

struct arrival {
	struct ts_addr from;
	struct ts_ip to; /* W only */
	uint32_t error;	 /* in the error queue only */
	size_t each; /* length of every datagram but the last; 0: one */
	struct dgram_marks marks;
};

/* A byte or an int, by family; IPv4's first, as the values are few. */
static void read_mark(const struct cmsghdr *c, struct dgram_marks *marks)
{
	bool v4 = c->cmsg_level == IPPROTO_IP;
	int value = *CMSG_DATA(c);

	if (c->cmsg_len >= CMSG_LEN(sizeof(value)))
		memcpy(&value, CMSG_DATA(c), sizeof(value));
	if (c->cmsg_type == (v4 ? IP_TTL : IPV6_HOPLIMIT))
		marks->hop_limit = (uint8_t)value;
	else if (c->cmsg_type == (v4 ? IP_TOS : IPV6_TCLASS))
		marks->traffic_class = (uint8_t)value;
}

static void read_control(struct msghdr *msg, struct arrival *a)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c;
	     c = CMSG_NXTHDR(msg, c)) {
		struct sock_extended_err error;
		struct in_pktinfo info;
		int each;

		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			memcpy(&info, CMSG_DATA(c), sizeof(info));
			a->to = ts_ip_from_v4_host(
				ntohl(info.ipi_addr.s_addr));
		} else if (c->cmsg_level == SOL_UDP &&
			   c->cmsg_type == UDP_GRO) {
			memcpy(&each, CMSG_DATA(c), sizeof(each));
			a->each = each > 0 ? (size_t)each : 0;
		} else if ((c->cmsg_level == IPPROTO_IP &&
			    c->cmsg_type == IP_RECVERR) ||
			   (c->cmsg_level == IPPROTO_IPV6 &&
			    c->cmsg_type == IPV6_RECVERR)) {
			memcpy(&error, CMSG_DATA(c), sizeof(error));
			a->error = error.ee_errno;
		} else if (c->cmsg_level == IPPROTO_IP ||
			   c->cmsg_level == IPPROTO_IPV6) {
			read_mark(c, &a->marks);
		}
	}
}

/* Is it from the flow's program? Another user's socket can have its port at
 * another address when the program shares its own. */
static bool is_from_program(const struct ts_dgram *flow,
			    const struct ts_addr *from)
{
	const struct ts_ip one = ts_sock_loopback(flow->is_v6_only);

	if (flow->is_connected)
		return ts_addr_equal(from, &flow->program);
	if (from->port != flow->native.port)
		return false;
	if (!ts_ip_is_unspecified(&flow->native.ip))
		return ts_ip_equal(&from->ip, &flow->native.ip);
	return ts_ip_equal(&from->ip, &one) ||
	       (flow->host->rv.source_follows &&
		ts_ip_equal(&from->ip, &flow->virtual.ip));
}

static void take_apart(struct ts_dgram *flow, const uint8_t *data, size_t len,
		       const struct arrival *a)
{
	size_t each = a->each;

	if (each == 0)
		each = len;
	do {
		size_t n = len < each ? len : each;

		ts_dgram_from_program(flow, data, n, &a->marks);
		data += n;
		len -= n;
	} while (len > 0 && !flow->is_over);
}

/* flow NULL: W's, found by the virtual address. */
static void hand_out(struct ts_dgrams *all, struct ts_dgram *flow,
		     struct mmsghdr *message)
{
	struct msghdr *msg = &message->msg_hdr;
	struct arrival a = {.each = 0};

	if (msg->msg_flags & MSG_TRUNC ||
	    ts_addr_from_sockaddr(msg->msg_name, msg->msg_namelen, &a.from))
		return;
	read_control(msg, &a);
	if (!flow)
		flow = ts_key_map_get(&all->by_virtual, a.to.bytes);
	if (!flow || flow->is_over || !ts_dgram_learn_program(flow) ||
	    !is_from_program(flow, &a.from))
		return;
	take_apart(flow, msg->msg_iov->iov_base, message->msg_len, &a);
}

static int receive(struct ts_dgrams *all, struct ts_dgram *flow, int fd)
{
	struct dgram_in *in = all->in;
	int got;

	for (unsigned i = 0; i < BUNDLES; i++) {
		in->iov[i] = (struct iovec){in->data[i], BUNDLE_CAP};
		in->messages[i].msg_hdr = (struct msghdr){
			.msg_name = &in->from[i],
			.msg_namelen = sizeof(in->from[i]),
			.msg_iov = &in->iov[i],
			.msg_iovlen = 1,
			.msg_control = in->control[i].bytes,
			.msg_controllen = sizeof(in->control[i].bytes),
		};
	}
	got = recvmmsg(fd, in->messages, BUNDLES, MSG_DONTWAIT, NULL);
	for (int i = 0; i < got; i++)
		hand_out(all, flow, &in->messages[i]);
	return got;
}

/* -- errors --------------------------------------------------------------- */

/* Takes one error off the queue; false: there was none. */
static bool next_error(int fd, struct arrival *a)
{
	union in_control control[4]; /* room for the error itself as well */
	uint8_t none[1];
	struct iovec iov = {none, sizeof(none)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};

	*a = (struct arrival){.each = 0};
	if (recvmsg(fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
		return false;
	read_control(&msg, a);
	return true;
}

static void on_w(void *ctx, unsigned events)
{
	struct ts_dgrams *all = ctx;
	struct ts_dgram *flow;
	struct arrival a;

	(void)events;
	(void)receive(all, NULL, all->fd);
	for (int i = 0; i < ERRORS_A_TURN && next_error(all->fd, &a); i++) {
		flow = ts_key_map_get(&all->by_virtual, a.to.bytes);
		if (flow && a.error == ECONNREFUSED)
			ts_dgram_program_gone(flow);
	}
}

static void on_d(void *ctx, unsigned events)
{
	struct ts_dgram *flow = ctx;
	struct arrival a;

	(void)events;
	(void)receive(flow->host->dgrams, flow, flow->fd);
	if (!flow->is_over && next_error(flow->fd, &a) &&
	    a.error == ECONNREFUSED)
		ts_dgram_program_gone(flow);
}

/* -- making them ---------------------------------------------------------- */

static void set_int(int fd, int level, int name, int value)
{
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

static void set_buffers(int fd, int bytes)
{
	set_int(fd, SOL_SOCKET, SO_RCVBUF, bytes);
	set_int(fd, SOL_SOCKET, SO_SNDBUF, bytes);
	set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes);
	set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, bytes);
}

/* fd, bound to at (and *at completed), or -errno. */
static int open_at(struct ts_host *host, struct ts_addr *at, int buffer_bytes)
{
	bool v4 = ts_ip_is_v4(&at->ip);
	int fd = socket(v4 ? AF_INET : AF_INET6,
			SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err;

	if (fd < 0)
		return -errno;
	fd = ts_sock_keep(host, fd);
	/* Where it is not allowed (older kernels, after setuid) W hears from
	 * other networks what names no flow. Neither sends there, whatever
	 * address a program says is its own: the kernel routes nothing that
	 * comes from 127/8 or ::1 to other devices. */
	if (!host->rv.one_loopback)
		(void)setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3);
	set_buffers(fd, buffer_bytes);
	set_int(fd, SOL_UDP, UDP_GRO, 1);
	set_int(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6,
		v4 ? IP_RECVERR : IPV6_RECVERR, 1);
	set_int(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6,
		v4 ? IP_RECVTTL : IPV6_RECVHOPLIMIT, 1);
	set_int(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6,
		v4 ? IP_RECVTOS : IPV6_RECVTCLASS, 1);
	if (v4)
		set_int(fd, IPPROTO_IP, IP_PKTINFO, 1);
	err = ts_sock_bind(fd, at);
	if (!err)
		err = ts_sock_local(fd, at);
	if (!err)
		return fd;
	ts_sock_close(fd);
	return err;
}

int ts_dgram_socket_open(struct ts_dgram *flow)
{
	struct ts_host *host = flow->host;

	flow->virtual.ip = flow->is_v6_only ? ts_sock_loopback(true)
					    : ts_sock_random_loopback(host);
	flow->virtual.port = 0;
	flow->fd = open_at(host, &flow->virtual, D_BUFFER_BYTES);
	if (flow->fd < 0) {
		int err = flow->fd;

		flow->fd = -1;
		return err;
	}
	flow->watch = ts_watch_new(host->loop, flow->fd, TS_READABLE, on_d,
				   flow);
	if (flow->watch)
		return 0;
	ts_sock_close(flow->fd);
	flow->fd = -1;
	return -ENOMEM;
}

void ts_dgram_socket_join(const struct ts_dgram *flow)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};

	if (flow->is_connected && flow->program.port != 0)
		(void)ts_sock_connect(flow->fd, &flow->program);
	else
		(void)connect(flow->fd, &none, sizeof(none));
}

/* The duplicate of its socket tells, which names D as its peer once it is
 * connected; whoever else sends to D is a stranger. */
bool ts_dgram_learn_program(struct ts_dgram *flow)
{
	struct ts_addr peer, local;

	if (flow->program.port != 0)
		return true;
	if (flow->dup_fd < 0 || ts_sock_peer(flow->dup_fd, &peer) ||
	    !ts_addr_equal(&peer, &flow->virtual) ||
	    ts_sock_local(flow->dup_fd, &local))
		return false;
	flow->program = local;
	if (!flow->closed_until_ms)
		ts_dgram_socket_join(flow);
	return true;
}

void ts_dgram_socket_drain(struct ts_dgram *flow)
{
	int turns = flow->fd >= 0 && ts_dgram_learn_program(flow) ? DRAIN_TURNS
								  : 0;

	while (turns-- > 0 && !flow->is_over &&
	       receive(flow->host->dgrams, flow, flow->fd) > 0)
		;
}

int ts_dgram_sockets_open(struct ts_host *host)
{
	struct ts_dgrams *all = host->dgrams;
	struct ts_addr at = {.ip = TS_IP4_ZERO};

	all->own_max = host->held_max < DGRAM_OWN_SOCKETS_MAX
			       ? host->held_max : DGRAM_OWN_SOCKETS_MAX;
	all->dup_max = all->own_max / 4;
	if (host->rv.one_loopback)
		at.ip = ts_sock_loopback(false);
	all->in = calloc(1, sizeof(*all->in));
	if (!all->in)
		return -ENOMEM;
	all->fd = open_at(host, &at, W_BUFFER_BYTES);
	if (all->fd < 0) {
		log_warn("host: no datagrams, no socket for them: %s",
			 ts_strerror(all->fd));
		return 0;
	}
	all->watch = ts_watch_new(host->loop, all->fd, TS_READABLE, on_w, all);
	if (!all->watch)
		return -ENOMEM;
	all->fd_port = at.port;
	host->info.datagram_port = at.port;
	return 0;
}

void ts_dgram_sockets_close(struct ts_host *host)
{
	struct ts_dgrams *all = host->dgrams;

	ts_watch_free(all->watch);
	ts_sock_close(all->fd);
	free(all->in);
}
