/* SPDX-License-Identifier: BSD-3-Clause
 * udp_port.c - the node's UDP sockets, one per family on the same port
 *
 * In: one recvmmsg() per readable event takes up to 16 bundles; the kernel
 * puts datagrams of one sender together (UDP_GRO), and they are handed out one
 * by one where they lie, so that a packet can be opened in place, and be kept
 * there until the next recvmmsg(). The first of a bundle has room before it.
 * The buffers are made once.
 * Out: datagrams wait in one buffer and go out by one sendmmsg() a family,
 * before the loop sleeps or when a bundle is full. Neighbours of one length to
 * one destination are one message that the kernel or the card takes apart
 * (UDP_SEGMENT), which saves most of the cost of a send. A full socket drops
 * the rest of the batch, as a network would; what one destination refuses
 * costs only that message, and where bundles are refused they are sent again
 * one by one, from then on.
 *
 * A packet that is made where ts_udp_port_room() says waits there; whatever
 * else is sent before it is copied to behind that place.
 *
 * The kernel reports earlier ICMP errors on later calls; they belong to a peer
 * that the path layer already watches, so they are passed over.
 */
#include "core/io/udp_port.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/log.h"

enum {
	BATCH = 96,
	BUNDLES = 16,		/* taken in by one recvmmsg() */
	BUNDLE_CAP = 65536,	/* more than IP can carry */
	BUNDLE_SEND_MAX = 64000, /* and what the kernel takes of it */
	SLOT_LEN = TS_PACKET_HEADROOM + BUNDLE_CAP + TS_PACKET_TAILROOM,
	SEND_CAP = 9216, /* a jumbo frame's */
	SEND_BUFFER = 192 * 1024,
	ROOM_ALIGN = 64,
	LARGE = 1400, /* not every way out takes such a datagram */
	SOCKET_BUFFER = 7 << 20, /* what upstream asks for */
	PORT_TRIES = 10, /* port 0: the kernel's choice must suit both */
};

union segment_control {
	struct cmsghdr align;
	uint8_t bytes[CMSG_SPACE(sizeof(int))];
};

struct out_batch {
	unsigned count;
	struct mmsghdr msgs[BATCH]; /* made of the rest when it is flushed */
	union segment_control control[BATCH];
	struct iovec iov[BATCH];
	struct ts_addr to[BATCH];
	struct sockaddr_storage addrs[BATCH];
	socklen_t addr_len[BATCH];
	size_t bundle_len; /* of the last of them that can go together */
};

struct udp_socket {
	struct ts_udp_port *port;
	struct ts_watch *watch;
	int fd; /* -1: this family is not there */
	int family;
	bool no_bundles; /* the kernel or the way out refused UDP_SEGMENT */
	bool no_bundles_now; /* for the rest of this batch */
	struct out_batch *out;
};

struct in_batch {
	struct mmsghdr msgs[BUNDLES];
	union segment_control control[BUNDLES];
	struct iovec iov[BUNDLES];
	struct sockaddr_storage addrs[BUNDLES];
	uint8_t data[BUNDLES][SLOT_LEN];
};

struct ts_udp_port {
	struct ts_loop *loop;
	struct udp_socket v4, v6;
	uint16_t number;
	struct in_batch *in;
	bool is_kept;	  /* what in has may be in use still */
	uint8_t *waiting; /* SEND_BUFFER bytes: datagrams to be sent */
	size_t used;	  /* of it */
	size_t room_at, room_end; /* in it, lent; else 0 */
	ts_udp_input_fn fn;
	ts_udp_refused_fn refused; /* or NULL */
	ts_udp_reuse_fn reuse_fn;
	void *ctx;
	bool is_closed; /* by a callback: stop handing out */
	bool is_inside;
};

/* -- receiving ------------------------------------------------------------ */

static void prepare_slots(struct in_batch *in)
{
	for (unsigned i = 0; i < BUNDLES; i++) {
		in->iov[i] = (struct iovec){
			.iov_base = in->data[i] + TS_PACKET_HEADROOM,
			.iov_len = BUNDLE_CAP,
		};
		in->msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &in->addrs[i],
			.msg_iov = &in->iov[i],
			.msg_iovlen = 1,
			.msg_control = in->control[i].bytes,
		};
	}
}

/* The length of each datagram of the bundle but the last; without UDP_GRO's
 * word it is one datagram. */
static size_t segment_len(struct msghdr *hdr, size_t len)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c;
	     c = CMSG_NXTHDR(hdr, c)) {
		int value;

		if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO)
			continue;
		memcpy(&value, CMSG_DATA(c), sizeof(value));
		if (value > 0)
			return (size_t)value;
	}
	return len;
}

static void hand_out(struct ts_udp_port *u, struct mmsghdr *msg)
{
	uint8_t *at = msg->msg_hdr.msg_iov->iov_base;
	size_t left = msg->msg_len;
	size_t each = segment_len(&msg->msg_hdr, left);
	struct ts_addr from;

	if (msg->msg_hdr.msg_flags & MSG_TRUNC)
		return;
	if (ts_addr_from_sockaddr(msg->msg_hdr.msg_name,
				  msg->msg_hdr.msg_namelen, &from) < 0)
		return;
	do {
		struct ts_packet pkt = {
			.data = at,
			.len = left < each ? left : each,
			.stays = u->reuse_fn != NULL,
		};
		size_t len = pkt.len;

		u->fn(u->ctx, &from, &pkt);
		at += len;
		left -= len;
	} while (left > 0 && !u->is_closed);
}

static void take_back(struct ts_udp_port *u)
{
	if (u->is_kept && u->reuse_fn)
		u->reuse_fn(u->ctx);
	u->is_kept = false;
}

static void free_port(struct ts_udp_port *u)
{
	take_back(u);
	free(u->in);
	free(u->waiting);
	free(u);
}

static void on_readable(void *ctx, unsigned events)
{
	struct udp_socket *s = ctx;
	struct ts_udp_port *u = s->port;
	int got;

	(void)events;
	take_back(u);
	for (unsigned i = 0; i < BUNDLES; i++) {
		struct msghdr *hdr = &u->in->msgs[i].msg_hdr;

		hdr->msg_namelen = sizeof(u->in->addrs[i]);
		hdr->msg_controllen = sizeof(u->in->control[i].bytes);
	}
	got = recvmmsg(s->fd, u->in->msgs, BUNDLES, MSG_DONTWAIT, NULL);
	u->is_inside = u->is_kept = true;
	for (int i = 0; i < got && !u->is_closed; i++)
		hand_out(u, &u->in->msgs[i]);
	u->is_inside = false;
	if (u->is_closed)
		free_port(u);
}

/* -- sending -------------------------------------------------------------- */

static bool is_socket_full(int err)
{
	return err == EAGAIN || err == ENOBUFS || err == ENOMEM;
}

static bool is_refusal(int err)
{
	return err == EHOSTUNREACH || err == ENETUNREACH || err == EPERM ||
	       err == EACCES || err == EADDRNOTAVAIL;
}

/* How many datagrams from `first` on can go as one message: one destination,
 * one length, only the last may be shorter. */
static unsigned bundle_size(const struct udp_socket *s, unsigned first)
{
	const struct out_batch *out = s->out;
	size_t each = out->iov[first].iov_len, total = each;
	unsigned n = 1;

	while (!s->no_bundles && !s->no_bundles_now && first + n < out->count &&
	       out->iov[first + n - 1].iov_len == each &&
	       out->iov[first + n].iov_len > 0 &&
	       out->iov[first + n].iov_len <= each &&
	       total + out->iov[first + n].iov_len <= BUNDLE_SEND_MAX &&
	       ts_addr_equal(&out->to[first], &out->to[first + n]))
		total += out->iov[first + n++].iov_len;
	return n;
}

static void say_segment_len(struct msghdr *hdr, union segment_control *control,
			    uint16_t len)
{
	struct cmsghdr *c;

	memset(control, 0, sizeof(*control));
	hdr->msg_control = control->bytes;
	hdr->msg_controllen = CMSG_SPACE(sizeof(len));
	c = CMSG_FIRSTHDR(hdr);
	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(len));
	memcpy(CMSG_DATA(c), &len, sizeof(len));
}

/* Messages of the datagrams from `first` on; their number. */
static unsigned make_messages(struct udp_socket *s, unsigned first)
{
	struct out_batch *out = s->out;
	unsigned count = 0;

	while (first < out->count) {
		unsigned n = bundle_size(s, first);
		struct msghdr *hdr = &out->msgs[count].msg_hdr;

		*hdr = (struct msghdr){
			.msg_name = &out->addrs[first],
			.msg_namelen = out->addr_len[first],
			.msg_iov = &out->iov[first],
			.msg_iovlen = n,
		};
		if (n > 1)
			say_segment_len(hdr, &out->control[count],
					(uint16_t)out->iov[first].iov_len);
		first += n;
		count++;
	}
	return count;
}

/* The first message was refused. True: the batch is to be made anew, without
 * bundles. */
static bool give_up_bundles(struct udp_socket *s, const struct msghdr *hdr)
{
	if (hdr->msg_iovlen < 2)
		return false;
	if (errno != EINVAL && errno != EIO && errno != EMSGSIZE &&
	    errno != EOPNOTSUPP)
		return false;
	/* Of large datagrams the size may be the trouble: they were measured
	 * for another way out. Alone the kernel cuts them. */
	if (hdr->msg_iov[0].iov_len > LARGE)
		s->no_bundles_now = true;
	else
		s->no_bundles = true;
	return true;
}

static unsigned datagrams_of(const struct mmsghdr *msgs, unsigned count)
{
	unsigned n = 0;

	for (unsigned i = 0; i < count; i++)
		n += (unsigned)msgs[i].msg_hdr.msg_iovlen;
	return n;
}

/* The message that begins with that datagram; how many it has. */
static unsigned refuse(struct udp_socket *s, unsigned at, int err)
{
	const struct out_batch *out = s->out;

	if (s->port->refused && is_refusal(err))
		s->port->refused(s->port->ctx, &out->to[at]);
	return datagrams_of(out->msgs, 1);
}

static void flush_socket(struct udp_socket *s)
{
	struct out_batch *out = s->out;
	unsigned at = 0; /* of the datagrams */

	while (out && at < out->count) {
		unsigned count = make_messages(s, at);
		int sent = sendmmsg(s->fd, out->msgs, count,
				    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0)
			at += datagrams_of(out->msgs, (unsigned)sent);
		else if (errno == EINTR ||
			 give_up_bundles(s, &out->msgs[0].msg_hdr))
			continue;
		else if (is_socket_full(errno))
			break;
		else /* this destination cannot be reached */
			at += refuse(s, at, errno);
	}
	if (out)
		out->count = 0;
	s->no_bundles_now = false;
}

void ts_udp_port_flush(struct ts_udp_port *u)
{
	flush_socket(&u->v4);
	flush_socket(&u->v6);
	u->used = 0;
}

static void before_sleep(void *ctx)
{
	ts_udp_port_flush(ctx);
}

/* Behind it stays enough for a datagram that is sent before it. */
uint8_t *ts_udp_port_room(struct ts_udp_port *u, size_t len)
{
	size_t whole = TS_PACKET_HEADROOM + len + TS_PACKET_TAILROOM;

	if (len > SEND_CAP || u->is_closed)
		return NULL;
	u->used = (u->used + ROOM_ALIGN - 1) / ROOM_ALIGN * ROOM_ALIGN;
	if (u->used + whole + SEND_CAP > SEND_BUFFER)
		ts_udp_port_flush(u);
	u->room_at = u->used;
	u->room_end = u->used + whole;
	return u->waiting + u->room_at + TS_PACKET_HEADROOM;
}

static bool is_in_room(const struct ts_udp_port *u, const uint8_t *data,
		       size_t len)
{
	uintptr_t at = (uintptr_t)data, start = (uintptr_t)u->waiting;

	return at >= start + u->room_at && at + len <= start + u->room_end;
}

static uint8_t *copy_behind_room(struct ts_udp_port *u, const uint8_t *data,
				 size_t len)
{
	uint8_t *at;

	for (int tries = 0; tries < 2; tries++) {
		if (u->used < u->room_end)
			u->used = u->room_end;
		if (SEND_BUFFER - u->used >= len)
			break;
		ts_udp_port_flush(u);
	}
	at = u->waiting + u->used;
	memcpy(at, data, len);
	u->used += len;
	return at;
}

/* Where it waits to be sent. */
static uint8_t *place(struct ts_udp_port *u, const uint8_t *data, size_t len)
{
	size_t at = (size_t)(data - u->waiting);

	if (u->room_end == 0 || !is_in_room(u, data, len))
		return copy_behind_room(u, data, len);
	if (u->used < at + len)
		u->used = at + len;
	u->room_at = u->room_end = 0;
	return u->waiting + at;
}

/* Counts what is at count already. */
static void follow_bundle(struct out_batch *out)
{
	unsigned n = out->count;
	size_t len = out->iov[n].iov_len;

	if (n == 0 || out->iov[n - 1].iov_len != len ||
	    !ts_addr_equal(&out->to[n - 1], &out->to[n]))
		out->bundle_len = 0;
	out->bundle_len += len;
}

void ts_udp_port_send(struct ts_udp_port *u, const struct ts_addr *to,
		      const uint8_t *data, size_t len)
{
	struct udp_socket *s = ts_ip_is_v4(&to->ip) ? &u->v4 : &u->v6;
	struct out_batch *out = s->out;
	uint8_t *at;
	int addr_len;

	if (s->fd < 0 || !out || len > SEND_CAP || u->is_closed)
		return;
	at = place(u, data, len); /* may flush */
	addr_len = ts_addr_to_sockaddr(to, s->family,
				       &out->addrs[out->count]);
	if (addr_len < 0)
		return;
	out->iov[out->count] = (struct iovec){.iov_base = at, .iov_len = len};
	out->to[out->count] = *to;
	out->addr_len[out->count] = (socklen_t)addr_len;
	follow_bundle(out);
	out->count++;
	if (out->count == BATCH || out->bundle_len + len > BUNDLE_SEND_MAX)
		ts_udp_port_flush(u);
}

/* The kernel would else cut what is larger than it believes the path to be;
 * with this mode it sends whatever its own device takes. */
static void set_whole(const struct udp_socket *s, bool on)
{
	int v4 = on ? IP_PMTUDISC_PROBE : IP_PMTUDISC_WANT;
	int v6 = on ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_WANT;

	if (s->family == AF_INET)
		setsockopt(s->fd, IPPROTO_IP, IP_MTU_DISCOVER, &v4, sizeof(v4));
	else
		setsockopt(s->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &v6,
			   sizeof(v6));
}

void ts_udp_port_send_whole(struct ts_udp_port *u, const struct ts_addr *to,
			    const uint8_t *data, size_t len)
{
	struct udp_socket *s = ts_ip_is_v4(&to->ip) ? &u->v4 : &u->v6;
	struct sockaddr_storage sa;
	int sa_len;

	if (s->fd < 0 || u->is_closed)
		return;
	sa_len = ts_addr_to_sockaddr(to, s->family, &sa);
	if (sa_len < 0)
		return;
	ts_udp_port_flush(u); /* what is queued may be cut */
	set_whole(s, true);
	sendto(s->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL,
	       (struct sockaddr *)&sa, (socklen_t)sa_len);
	set_whole(s, false);
}

/* -- opening -------------------------------------------------------------- */

static void set_buffers(int fd)
{
	int len = SOCKET_BUFFER;

	/* FORCE needs CAP_NET_ADMIN; the other is cut to the system's limit. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &len, sizeof(len)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &len, sizeof(len));
	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &len, sizeof(len)))
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &len, sizeof(len));
}

static int bind_to(int fd, int family, uint16_t port)
{
	struct ts_addr any = {.ip = family == AF_INET ? TS_IP4_ZERO
						      : TS_IP_ZERO,
			      .port = port};
	struct sockaddr_storage sa;
	int len = ts_addr_to_sockaddr(&any, family, &sa);

	if (len < 0)
		return len;
	if (bind(fd, (struct sockaddr *)&sa, (socklen_t)len))
		return -errno;
	return 0;
}

static int open_socket(struct udp_socket *s, uint16_t port)
{
	int one = 1;
	int err;

	s->fd = socket(s->family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return -errno;
	if (s->family == AF_INET6)
		setsockopt(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	set_buffers(s->fd);
	/* An old kernel says no, and hands out single datagrams. */
	setsockopt(s->fd, SOL_UDP, UDP_GRO, &one, sizeof(one));
	err = bind_to(s->fd, s->family, port);
	if (err) {
		close(s->fd);
		s->fd = -1;
	}
	return err;
}

static uint16_t bound_port(const struct udp_socket *s)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct ts_addr addr;

	if (s->fd < 0 || getsockname(s->fd, (struct sockaddr *)&sa, &len) ||
	    ts_addr_from_sockaddr((struct sockaddr *)&sa, len, &addr) < 0)
		return 0;
	return addr.port;
}

static void close_socket(struct udp_socket *s)
{
	ts_watch_free(s->watch);
	s->watch = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	free(s->out);
	s->out = NULL;
}

/* Both families, or the one that this machine has. -EADDRINUSE when the port
 * is free in one family only. */
static int open_pair(struct ts_udp_port *u, uint16_t port)
{
	int err4 = open_socket(&u->v4, port);
	int err6 = 0;

	if (err4 == -EADDRINUSE)
		return err4;
	u->number = err4 ? port : bound_port(&u->v4);
	err6 = open_socket(&u->v6, u->number);
	if (err6 == -EADDRINUSE) {
		close_socket(&u->v4);
		return err6;
	}
	if (err4 && err6)
		return err4;
	u->number = bound_port(err4 ? &u->v6 : &u->v4);
	return 0;
}

static int open_sockets(struct ts_udp_port *u, uint16_t port)
{
	int err = -EADDRINUSE;

	if (port) {
		err = open_pair(u, port);
		if (!err)
			return 0;
		log_warn("udp-%u: cannot be used, taking another: %s", port,
			 ts_strerror(err));
	}
	for (int i = 0; i < PORT_TRIES; i++) {
		err = open_pair(u, 0);
		if (err != -EADDRINUSE)
			break;
	}
	return err;
}

static int start_socket(struct udp_socket *s)
{
	if (s->fd < 0)
		return 0;
	s->out = calloc(1, sizeof(*s->out));
	if (!s->out)
		return -ENOMEM;
	s->watch = ts_watch_new(s->port->loop, s->fd, TS_READABLE, on_readable,
				s);
	return s->watch ? 0 : -ENOMEM;
}

static int start_sockets(struct ts_udp_port *u)
{
	int err = start_socket(&u->v4);

	return err ? err : start_socket(&u->v6);
}

static int start(struct ts_udp_port *u)
{
	int err = start_sockets(u);

	if (!err) {
		/* Not zeroed: pages nobody used yet cost nothing. */
		u->in = malloc(sizeof(*u->in));
		u->waiting = malloc(SEND_BUFFER);
		err = u->in && u->waiting ? 0 : -ENOMEM;
	}
	if (!err) {
		prepare_slots(u->in);
		err = ts_loop_before_sleep(u->loop, before_sleep, u);
	}
	return err;
}

struct ts_udp_port *ts_udp_port_open(struct ts_loop *loop, uint16_t port,
				     ts_udp_input_fn fn, void *ctx, int *err)
{
	struct ts_udp_port *u = calloc(1, sizeof(*u));

	if (!u) {
		*err = -ENOMEM;
		return NULL;
	}
	u->loop = loop;
	u->fn = fn;
	u->ctx = ctx;
	u->v4 = (struct udp_socket){.port = u, .fd = -1, .family = AF_INET};
	u->v6 = (struct udp_socket){.port = u, .fd = -1, .family = AF_INET6};
	*err = open_sockets(u, port);
	if (!*err)
		*err = start(u);
	if (!*err)
		return u;
	close_socket(&u->v4);
	close_socket(&u->v6);
	free_port(u);
	return NULL;
}

int ts_udp_port_rebind(struct ts_udp_port *u, uint16_t port)
{
	int err;

	ts_udp_port_flush(u);
	close_socket(&u->v4);
	close_socket(&u->v6);
	err = open_sockets(u, port);
	return err ? err : start_sockets(u);
}

void ts_udp_port_close(struct ts_udp_port *u)
{
	if (!u)
		return;
	ts_udp_port_flush(u);
	ts_loop_before_sleep_remove(u->loop, before_sleep, u);
	close_socket(&u->v4);
	close_socket(&u->v6);
	u->is_closed = true;
	if (!u->is_inside)
		free_port(u);
}

void ts_udp_port_on_refused(struct ts_udp_port *u, ts_udp_refused_fn fn)
{
	u->refused = fn;
}

uint16_t ts_udp_port_number(const struct ts_udp_port *u)
{
	return u->number;
}

bool ts_udp_port_has_v6(const struct ts_udp_port *u)
{
	return u->v6.fd >= 0;
}

void ts_udp_port_on_reuse(struct ts_udp_port *u, ts_udp_reuse_fn fn)
{
	u->reuse_fn = fn;
}
