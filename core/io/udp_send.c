/* SPDX-License-Identifier: BSD-3-Clause
 * udp_send.c - datagrams on their way out
 *
 * They wait in one buffer and go out by one sendmmsg() a family, before the
 * loop sleeps or when a bundle is full. Neighbours of one length to one
 * destination are one message that the kernel or the card takes apart
 * (UDP_SEGMENT), which saves most of the cost of a send. A full socket drops
 * the rest of the batch, as a network would; what one destination refuses
 * costs only that message, and where bundles are refused they are sent again
 * one by one, from then on.
 *
 * A packet that is made where ts_udp_port_room() says waits there; whatever
 * else is sent before it is copied to behind that place.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/udp_port_internal.h"

enum {
	BATCH = 96,
	BUNDLE_SEND_MAX = 64000, /* what the kernel takes of a bundle */
	SEND_CAP = 9216,	 /* a jumbo frame's */
	SEND_BUFFER = 192 * 1024,
	ROOM_ALIGN = 64,
	LARGE = 1400, /* not every way out takes such a datagram */
};

struct udp_out {
	unsigned count;
	struct mmsghdr msgs[BATCH]; /* made of the rest when it is flushed */
	union udp_segment_control control[BATCH];
	struct iovec iov[BATCH];
	struct ts_addr to[BATCH];
	struct sockaddr_storage addrs[BATCH];
	socklen_t addr_len[BATCH];
	size_t bundle_len; /* of the last of them that can go together */
};

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
	const struct ts_udp_offload *offload = &s->port->offload;
	const struct udp_out *out = s->out;
	size_t each = out->iov[first].iov_len, total = each;
	unsigned n = 1;

	while (!s->no_bundles && !s->no_bundles_now &&
	       !offload->no_bundles_out && first + n < out->count &&
	       out->iov[first + n - 1].iov_len == each &&
	       out->iov[first + n].iov_len > 0 &&
	       out->iov[first + n].iov_len <= each &&
	       total + out->iov[first + n].iov_len <= BUNDLE_SEND_MAX &&
	       ts_addr_equal(&out->to[first], &out->to[first + n]))
		total += out->iov[first + n++].iov_len;
	if (offload->no_equal_bundles &&
	    out->iov[first + n - 1].iov_len == each)
		return 1;
	return n;
}

static void say_segment_len(struct msghdr *hdr,
			    union udp_segment_control *control, uint16_t len)
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
	struct udp_out *out = s->out;
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
	const struct udp_out *out = s->out;

	if (s->port->refused && is_refusal(err))
		s->port->refused(s->port->ctx, &out->to[at]);
	return datagrams_of(out->msgs, 1);
}

static void flush_socket(struct udp_socket *s)
{
	struct udp_out *out = s->out;
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
static void follow_bundle(struct udp_out *out)
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
	struct udp_out *out = s->out;
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

void ts_udp_port_on_refused(struct ts_udp_port *u, ts_udp_refused_fn fn)
{
	u->refused = fn;
}

int udp_send_start(struct ts_udp_port *u)
{
	u->waiting = malloc(SEND_BUFFER);
	return u->waiting ? 0 : -ENOMEM;
}

void udp_send_end(struct ts_udp_port *u)
{
	free(u->waiting);
	u->waiting = NULL;
}

int udp_send_start_socket(struct udp_socket *s)
{
	s->out = calloc(1, sizeof(*s->out));
	return s->out ? 0 : -ENOMEM;
}

void udp_send_end_socket(struct udp_socket *s)
{
	free(s->out);
	s->out = NULL;
}
