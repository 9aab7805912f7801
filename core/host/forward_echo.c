/* SPDX-License-Identifier: BSD-3-Clause
 * forward_echo.c - echo requests of peers to hosts behind us
 * Source: RFC 792, RFC 4443; ping sockets: net.ipv4.ping_group_range
 *
 * The request is sent again from this machine, and its reply goes back to the
 * peer; nothing is answered for a host that is silent. One socket a version
 * does for all: an unprivileged one where the kernel lets us have it, else a
 * raw one. Requests are told apart by a sequence number of our own, and wait in
 * slots of which each peer has its share (echo_slots.c).
 */
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/wire.h"
#include "core/crypto/secret.h"
#include "core/host/echo_slots.h"
#include "core/host/forward.h"
#include "core/host/serve.h"
#include "netstack/checksum.h"

enum {
	READS_A_TURN = 64,
	ICMP_HEAD = 8,
	MESSAGE_MAX = 65535 - 20,
	V4_ECHO = 8,
	V4_ECHO_REPLY = 0,
	V6_ECHO = 128,
	V6_ECHO_REPLY = 129,
	/* linux/icmp.h, which musl's headers cannot stand beside them */
	ICMP4_FILTER = 1,
};

struct forward_echo {
	struct ts_member *member;
	int fd;
	bool v6, is_raw;
	bool is_denied; /* there is no such socket for us */
	uint16_t id;	/* raw: ours */
	struct ts_watch *watch;
	struct echo_slots slots;
};

/* -- the socket ------------------------------------------------------------- */

/* Of all that arrives at this machine, only replies. */
static void want_replies_only(const struct forward_echo *e)
{
	struct icmp6_filter filter6;
	uint32_t filter4 = ~(1u << V4_ECHO_REPLY); /* what is dropped */

	if (e->v6) {
		ICMP6_FILTER_SETBLOCKALL(&filter6);
		ICMP6_FILTER_SETPASS(V6_ECHO_REPLY, &filter6);
		(void)setsockopt(e->fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter6,
				 sizeof(filter6));
	} else {
		(void)setsockopt(e->fd, SOL_RAW, ICMP4_FILTER, &filter4,
				 sizeof(filter4));
	}
}

static void on_socket(void *ctx, unsigned events);

static int open_socket(struct forward_echo *e, const struct ts_ip *towards)
{
	int protocol = e->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;

	e->fd = ts_forward_socket(e->member, towards, SOCK_DGRAM, protocol);
	if (e->fd < 0) {
		e->fd = ts_forward_socket(e->member, towards, SOCK_RAW,
					  protocol);
		e->is_raw = true;
	}
	if (e->fd < 0)
		return e->fd;
	if (e->is_raw)
		want_replies_only(e);
	e->watch = ts_watch_new(e->member->host->loop, e->fd, TS_READABLE,
				on_socket, e);
	return e->watch ? 0 : -ENOMEM;
}

static void close_echo(struct forward_echo *e)
{
	if (!e)
		return;
	ts_watch_free(e->watch);
	ts_sock_close(e->fd);
	echo_slots_deinit(&e->slots);
	free(e);
}

static struct forward_echo *new_echo(struct ts_member *member,
				     const struct ts_ip *towards)
{
	struct forward_echo *e = calloc(1, sizeof(*e));
	int err;

	if (!e)
		return NULL;
	e->member = member;
	e->v6 = !ts_ip_is_v4(towards);
	e->id = (uint16_t)ts_random_u32();
	echo_slots_init(&e->slots);
	err = open_socket(e, towards);
	if (err) {
		e->is_denied = true;
		log_warn("forward: echo requests for networks behind this node "
			 "stay unanswered: %s (net.ipv4.ping_group_range, or "
			 "CAP_NET_RAW)", ts_strerror(err));
	}
	return e;
}

static struct forward_echo *echo_for(struct ts_member *member,
				     const struct ts_ip *towards)
{
	struct ts_forwards *f = member->forwards;
	struct forward_echo **at = ts_ip_is_v4(towards) ? &f->echo4
							: &f->echo6;

	if (!*at)
		*at = new_echo(member, towards);
	return *at && !(*at)->is_denied ? *at : NULL;
}

void ts_forward_echo_close(struct ts_member *member)
{
	close_echo(member->forwards->echo4);
	close_echo(member->forwards->echo6);
}

/* -- replies and errors ----------------------------------------------------- */

/* An ICMP message: one of ours, or the answer to it. NULL: neither. */
static struct echo_slot *find(struct forward_echo *e, const uint8_t *msg,
			      size_t len, uint8_t type, struct ts_reader *body)
{
	struct ts_reader r = ts_reader_init(msg, len);
	uint8_t found_type = ts_read_u8(&r);
	uint16_t id, seq;

	ts_read_skip(&r, 3); /* code, checksum: the kernel's */
	id = ts_read_be16(&r);
	seq = ts_read_be16(&r);
	if (r.bad || found_type != type || (e->is_raw && id != e->id))
		return NULL;
	*body = r;
	return echo_slots_find(&e->slots, seq,
			       ts_host_now_ms(e->member->host));
}

/* A raw socket of IPv4 has the IP header in front. */
static const uint8_t *skip_ip(const struct forward_echo *e,
			      const uint8_t *msg, size_t *len)
{
	size_t head = e->is_raw && !e->v6 && *len > 0 ? (msg[0] & 0xfu) * 4 : 0;

	if (head > *len)
		head = *len;
	*len -= head;
	return msg + head;
}

static void take_reply(struct forward_echo *e, const uint8_t *msg, size_t len,
		       const struct ts_ip *from)
{
	struct ts_reader body;
	struct echo_slot *p;

	msg = skip_ip(e, msg, &len);
	p = find(e, msg, len, e->v6 ? V6_ECHO_REPLY : V4_ECHO_REPLY, &body);
	if (!p || !ts_ip_equal(&p->target, from))
		return;
	echo_slots_give(&e->slots, p);
	(void)stack_forward_echo_reply(ts_node_stack(e->member->node), &p->dst,
				       &p->peer, p->id, p->seq, body.at,
				       body.left);
}

static void fail(struct forward_echo *e, struct echo_slot *p, int err)
{
	echo_slots_give(&e->slots, p);
	stack_forward_echo_failed(ts_node_stack(e->member->node), &p->peer,
				  &p->dst, p->id, p->seq, err);
}

static void take_errors(struct forward_echo *e)
{
	uint8_t *msg = e->member->host->scratch;

	for (int i = 0; i < READS_A_TURN; i++) {
		struct ts_reader body;
		struct echo_slot *p;
		int err;
		ssize_t len = ts_forward_error(e->fd, msg, HOST_SCRATCH_BYTES,
					       &err);

		if (len < 0)
			return;
		p = find(e, msg, (size_t)len, e->v6 ? V6_ECHO : V4_ECHO,
			 &body);
		if (p && err)
			fail(e, p, err);
	}
}

static void on_socket(void *ctx, unsigned events)
{
	struct forward_echo *e = ctx;
	uint8_t *msg = e->member->host->scratch;

	(void)events;
	stack_set_now(ts_node_stack(e->member->node),
		      ts_host_now_ms(e->member->host));
	for (int i = 0; i < READS_A_TURN; i++) {
		struct sockaddr_storage ss;
		socklen_t ss_len = sizeof(ss);
		struct ts_addr from;
		ssize_t len = recvfrom(e->fd, msg, HOST_SCRATCH_BYTES,
				       MSG_DONTWAIT, (struct sockaddr *)&ss,
				       &ss_len);

		/* An error, or woken by one that a send has taken. */
		if (len < 0) {
			take_errors(e);
			return;
		}
		if (ts_addr_from_sockaddr((struct sockaddr *)&ss, ss_len,
					  &from) >= 0)
			take_reply(e, msg, (size_t)len, &from.ip);
	}
}

/* -- requests --------------------------------------------------------------- */

/* The kernel sets the identifier of ping sockets, and all checksums but that of
 * a raw socket of IPv4. */
static size_t write_request(const struct forward_echo *e, uint16_t seq,
			    uint8_t *out, size_t cap, const uint8_t *data,
			    size_t len)
{
	struct ts_writer w = ts_writer_init(out, cap), sum;

	ts_write_u8(&w, e->v6 ? V6_ECHO : V4_ECHO);
	ts_write_zeros(&w, 3);
	ts_write_be16(&w, e->id);
	ts_write_be16(&w, seq);
	ts_write_bytes(&w, data, len);
	sum = ts_writer_init(out + 2, 2);
	ts_write_be16(&sum, stack_sum_finish(stack_sum(out, w.len)));
	return w.bad ? 0 : w.len;
}

static int send_request(struct forward_echo *e, const struct echo_slot *p,
			const uint8_t *data, size_t len)
{
	struct ts_addr addr = {.ip = p->target};
	uint16_t seq = p->own_seq;
	struct sockaddr_storage ss;
	uint8_t *msg = e->member->host->scratch;
	size_t msg_len = write_request(e, seq, msg, MESSAGE_MAX, data,
				       len);
	int ss_len = ts_addr_to_sockaddr(&addr, ts_addr_family(&addr), &ss);

	if (msg_len == 0 || ss_len < 0)
		return -EMSGSIZE;
	for (int i = 0; i < 2; i++) {
		if (sendto(e->fd, msg, msg_len, MSG_DONTWAIT | MSG_NOSIGNAL,
			   (struct sockaddr *)&ss, (socklen_t)ss_len) >= 0)
			return 0;
		if (i == 0) { /* an error of another one was to be told */
			int err = -errno;

			take_errors(e);
			msg_len = write_request(e, seq, msg, MESSAGE_MAX,
						data, len);
			if (err == -EAGAIN || err == -ENOBUFS)
				return 0; /* lost, as on any network */
		}
	}
	return -errno;
}

static struct echo_slot *take_slot(struct forward_echo *e,
				   const struct ts_ip *from)
{
	const struct ts_member *member = e->member;
	const struct ts_peer *peer = ts_node_whois(member->node, from);

	return peer ? echo_slots_take(&e->slots, peer->id,
				      ts_host_now_ms(member->host))
		    : NULL;
}

void ts_host_forward_echo(struct ts_member *member, const struct ts_ip *from,
			  const struct ts_ip *to, uint16_t id, uint16_t seq,
			  const uint8_t *data, size_t len)
{
	struct stack *stack = ts_node_stack(member->node);
	struct forward_echo *e;
	struct echo_slot *p;
	struct ts_ip target;
	int err;

	if (ts_serve_hosts(member, to)) { /* a service of ours answers itself */
		(void)stack_forward_echo_reply(stack, to, from, id, seq, data,
					       len);
		return;
	}
	if (ts_node_forward_target(member->node, to, &target)) {
		stack_forward_echo_failed(stack, from, to, id, seq, -EACCES);
		return;
	}
	e = echo_for(member, &target);
	p = e ? take_slot(e, from) : NULL;
	if (!p)
		return;
	p->peer = *from;
	p->dst = *to;
	p->target = target;
	p->id = id;
	p->seq = seq;
	err = send_request(e, p, data, len);
	if (err)
		fail(e, p, err);
}
