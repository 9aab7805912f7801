/* SPDX-License-Identifier: BSD-3-Clause
 * udp_receive.c - datagrams on their way in
 *
 * One recvmmsg() per readable event takes up to 16 bundles; the kernel puts
 * datagrams of one sender together (UDP_GRO), and they are handed out one by
 * one where they lie, so that a packet can be opened in place, and be kept
 * there until the next recvmmsg(). The first of a bundle has room before it.
 * The buffers are made once.
 *
 * The kernel reports earlier ICMP errors on later calls; they belong to a peer
 * that the path layer already watches, so they are passed over.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/udp_port_internal.h"

enum {
	BUNDLES = 16,	    /* taken in by one recvmmsg() */
	BUNDLE_CAP = 65536, /* more than IP can carry */
	SLOT_LEN = TS_PACKET_HEADROOM + BUNDLE_CAP + TS_PACKET_TAILROOM,
};

struct udp_in {
	struct mmsghdr msgs[BUNDLES];
	union udp_segment_control control[BUNDLES];
	struct iovec iov[BUNDLES];
	struct sockaddr_storage addrs[BUNDLES];
	uint8_t data[BUNDLES][SLOT_LEN];
};

static void prepare_slots(struct udp_in *in)
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

void udp_receive_ready(void *ctx, unsigned events)
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
		udp_port_free(u);
}

int udp_receive_start(struct ts_udp_port *u)
{
	/* Not zeroed: pages nobody used yet cost nothing. */
	u->in = malloc(sizeof(*u->in));
	if (!u->in)
		return -ENOMEM;
	prepare_slots(u->in);
	return 0;
}

void udp_receive_end(struct ts_udp_port *u)
{
	take_back(u);
	free(u->in);
	u->in = NULL;
}

void ts_udp_port_on_reuse(struct ts_udp_port *u, ts_udp_reuse_fn fn)
{
	u->reuse_fn = fn;
}
