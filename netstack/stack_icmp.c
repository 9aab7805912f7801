/* SPDX-License-Identifier: BSD-3-Clause
 * stack_icmp.c - echo, and errors in both directions
 * Source: RFC 792, RFC 4443; errors mapped as Linux maps them (icmp(7))
 *
 * Echo requests to us are answered, so many a second of each peer; errors about
 * what we sent end a dial or reach the UDP binding, or whoever sent the echo
 * request. We send one kind of error ourselves, unreachable, at most 100 a
 * second. Neighbour discovery has no place in a tunnel and is not
 * listened to.
 */
#include "netstack/stack_private.h"

#include <errno.h>
#include <string.h>

#include "netstack/checksum.h"

enum {
	V4_ECHO_REPLY = 0,
	V4_UNREACHABLE = 3,
	V4_ECHO = 8,
	V4_TIME_EXCEEDED = 11,
	V6_UNREACHABLE = 1,
	V6_TIME_EXCEEDED = 3,
	V6_ECHO = 128,
	V6_ECHO_REPLY = 129,
	ICMP_HEAD = 8,
	ICMP_SUM_AT = 2,
	V4_HEAD = 20,
	QUOTE_V4 = 548,	 /* so that the error fits in 576 bytes */
	QUOTE_V6 = STACK_QUOTE_MAX, /* so that the error fits in 1280 */
};

static uint8_t proto_of(const struct ts_ip *ip)
{
	return ts_ip_is_v4(ip) ? PROTO_ICMP : PROTO_ICMPV6;
}

static int send_icmp(struct stack *s, const struct ts_ip *from,
		     const struct ts_ip *to, uint8_t type, uint8_t code,
		     uint32_t rest, const void *body, size_t body_len)
{
	uint8_t head[ICMP_HEAD];
	struct ts_writer w = ts_writer_init(head, sizeof(head));

	ts_write_u8(&w, type);
	ts_write_u8(&w, code);
	ts_write_be16(&w, 0);
	ts_write_be32(&w, rest);
	return stack_ip_send(s, from, to, proto_of(from), head, sizeof(head),
			     ICMP_SUM_AT, body, body_len);
}

int stack_icmp_echo(struct stack *s, const struct ts_ip *from,
		    const struct ts_ip *to, uint16_t id, uint16_t seq,
		    const void *data, size_t len)
{
	return send_icmp(s, from, to, ts_ip_is_v4(to) ? V4_ECHO : V6_ECHO, 0,
			 (uint32_t)id << 16 | seq, data, len);
}

int stack_icmp_echo_reply(struct stack *s, const struct ts_ip *from,
			  const struct ts_ip *to, uint16_t id, uint16_t seq,
			  const void *data, size_t len)
{
	return send_icmp(s, from, to,
			 ts_ip_is_v4(to) ? V4_ECHO_REPLY : V6_ECHO_REPLY, 0,
			 (uint32_t)id << 16 | seq, data, len);
}

static bool may_send_error(struct stack *s)
{
	return ts_second_quota_take(&s->icmp_errors, STACK_ICMP_ERRORS_PER_S,
				    s->now_ms);
}

static const struct {
	int err;
	uint8_t v4, v6; /* codes of "unreachable" */
} ERRORS[] = {
	{-EHOSTUNREACH, 1, 3}, /* the first: for all that are not here */
	{-ECONNREFUSED, 3, 4}, /* port */
	{-ENETUNREACH, 0, 0},
	{-EACCES, 13, 1}, /* prohibited */
};

static uint8_t code_of(int err, bool v4)
{
	for (size_t i = 0; i < sizeof(ERRORS) / sizeof(ERRORS[0]); i++)
		if (ERRORS[i].err == err)
			return v4 ? ERRORS[i].v4 : ERRORS[i].v6;
	return v4 ? ERRORS[0].v4 : ERRORS[0].v6;
}

/* Whose port it is says so itself; the rest is what a router says, that is us
 * when the packet was for somebody behind us. */
void stack_icmp_unreachable(struct stack *s, const struct stack_dgram *d,
			    int err)
{
	bool v4 = ts_ip_is_v4(&d->src);
	size_t quote = v4 ? QUOTE_V4 : QUOTE_V6;
	const struct ts_ip *own = v4 ? &s->v4 : &s->v6;
	bool is_ours = err != -ECONNREFUSED && !ts_ip_is_unspecified(own);

	if (!may_send_error(s))
		return;
	if (quote > d->packet_len)
		quote = d->packet_len;
	send_icmp(s, is_ours ? own : &d->dst, &d->src,
		  v4 ? V4_UNREACHABLE : V6_UNREACHABLE, code_of(err, v4), 0,
		  d->packet, quote);
}

/* -- errors about what we sent -------------------------------------------- */
static int v4_errno(uint8_t type, uint8_t code)
{
	static const int16_t by_code[] = {
		-ENETUNREACH, -EHOSTUNREACH, -ECONNREFUSED, -ECONNREFUSED,
		0 /* fragmentation needed */, -EHOSTUNREACH, -ENETUNREACH,
		-EHOSTUNREACH, -ENETUNREACH, -ENETUNREACH, -EHOSTUNREACH,
		-ENETUNREACH, -EHOSTUNREACH, -EHOSTUNREACH, -EHOSTUNREACH,
		-EHOSTUNREACH,
	};

	if (type == V4_TIME_EXCEEDED)
		return -EHOSTUNREACH;
	return code < sizeof(by_code) / sizeof(by_code[0]) ? by_code[code] : 0;
}

static int v6_errno(uint8_t type, uint8_t code)
{
	static const int16_t by_code[] = {
		-ENETUNREACH, -EHOSTUNREACH, -EHOSTUNREACH, -EHOSTUNREACH,
		-ECONNREFUSED, -EHOSTUNREACH, -EHOSTUNREACH,
	};

	if (type == V6_TIME_EXCEEDED)
		return -EHOSTUNREACH;
	return code < sizeof(by_code) / sizeof(by_code[0]) ? by_code[code] : 0;
}

static int read_quote_v4(struct ts_reader *r, struct stack_dgram *q)
{
	uint8_t first = ts_read_u8(r), src[4], dst[4];
	size_t head_len = (size_t)(first & 0xf) * 4;

	if (first >> 4 != 4 || head_len < V4_HEAD)
		return -EBADMSG;
	ts_read_skip(r, 8);
	q->proto = ts_read_u8(r);
	ts_read_skip(r, 2);
	ts_read_bytes(r, src, sizeof(src));
	ts_read_bytes(r, dst, sizeof(dst));
	ts_read_skip(r, head_len - V4_HEAD);
	q->src = ts_ip_from_v4(src);
	q->dst = ts_ip_from_v4(dst);
	return r->bad ? -EBADMSG : 0;
}

static int read_quote_v6(struct ts_reader *r, struct stack_dgram *q)
{
	if (ts_read_u8(r) >> 4 != 6)
		return -EBADMSG;
	ts_read_skip(r, 5);
	q->proto = ts_read_u8(r);
	ts_read_skip(r, 1);
	ts_read_bytes(r, q->src.bytes, TS_IP_LEN);
	ts_read_bytes(r, q->dst.bytes, TS_IP_LEN);
	return r->bad ? -EBADMSG : 0;
}

static void echo_error(struct stack *s, unsigned type, const struct ts_ip *to,
		       uint32_t id_and_seq, int err)
{
	if (type == (ts_ip_is_v4(to) ? V4_ECHO : V6_ECHO))
		stack_echo_unreachable(s, to, (uint16_t)(id_and_seq >> 16),
				       (uint16_t)id_and_seq, err);
}

/* The packet that an error quotes: ours, so from one of our addresses. */
static void error_input(struct stack *s, struct ts_reader *r, bool v4, int err)
{
	struct stack_dgram q = {0};
	struct ts_addr local, remote;
	uint32_t seq;

	if (err == 0 || (v4 ? read_quote_v4(r, &q) : read_quote_v6(r, &q)) ||
	    !stack_is_own(s, &q.src))
		return;
	local = (struct ts_addr){q.src, ts_read_be16(r)};
	remote = (struct ts_addr){q.dst, ts_read_be16(r)};
	seq = ts_read_be32(r); /* UDP: length and checksum */
	if (r->bad)
		return;
	if (q.proto == PROTO_TCP)
		stack_tcp_unreachable(s, &local, &remote, seq, err);
	else if (q.proto == PROTO_UDP)
		stack_udp_fail(s, &local, &remote, err);
	else if (q.proto == proto_of(&q.src)) /* type and code; checksum */
		echo_error(s, local.port >> 8, &q.dst, seq, err);
}

/* -- in ------------------------------------------------------------------- */
static void message_v4(struct stack *s, const struct stack_dgram *d,
		       uint8_t type, uint8_t code, uint32_t rest,
		       struct ts_reader *r)
{
	switch (type) {
	case V4_ECHO:
		if (!stack_source_may_echo(s, &d->src))
			break;
		send_icmp(s, &d->dst, &d->src, V4_ECHO_REPLY, 0, rest, r->at,
			  r->left);
		break;
	case V4_ECHO_REPLY:
		stack_echo_reply(s, &d->src, (uint16_t)(rest >> 16),
				 (uint16_t)rest, r->at, r->left);
		break;
	case V4_UNREACHABLE:
	case V4_TIME_EXCEEDED:
		error_input(s, r, true, v4_errno(type, code));
		break;
	default:
		break;
	}
}

static void message_v6(struct stack *s, const struct stack_dgram *d,
		       uint8_t type, uint8_t code, uint32_t rest,
		       struct ts_reader *r)
{
	switch (type) {
	case V6_ECHO:
		if (!stack_source_may_echo(s, &d->src))
			break;
		send_icmp(s, &d->dst, &d->src, V6_ECHO_REPLY, 0, rest, r->at,
			  r->left);
		break;
	case V6_ECHO_REPLY:
		stack_echo_reply(s, &d->src, (uint16_t)(rest >> 16),
				 (uint16_t)rest, r->at, r->left);
		break;
	case V6_UNREACHABLE:
	case V6_TIME_EXCEEDED:
		error_input(s, r, false, v6_errno(type, code));
		break;
	default:
		break;
	}
}

/* To somebody behind us: nothing but an echo request is sent on. */
static void forward(struct stack *s, const struct stack_dgram *d, uint8_t type,
		    uint32_t rest, struct ts_reader *r)
{
	if (type == (ts_ip_is_v4(&d->dst) ? V4_ECHO : V6_ECHO) &&
	    s->ops.forward_echo && stack_source_may_echo(s, &d->src))
		s->ops.forward_echo(s->ctx, &d->src, &d->dst,
				    (uint16_t)(rest >> 16), (uint16_t)rest,
				    r->at, r->left);
}

void stack_icmp_packet(struct stack *s, const struct stack_dgram *d)
{
	struct ts_reader r = ts_reader_init(d->data, d->len);
	bool v4 = ts_ip_is_v4(&d->src);
	uint8_t type = ts_read_u8(&r), code = ts_read_u8(&r);
	uint32_t rest, sum = stack_sum(d->data, d->len);

	ts_read_skip(&r, 2);
	rest = ts_read_be32(&r);
	if (!v4)
		sum += stack_sum_pseudo(&d->src, &d->dst, PROTO_ICMPV6, d->len);
	if (r.bad || d->proto != proto_of(&d->src) || stack_sum_finish(sum)) {
		s->count.dropped_bad++;
		return;
	}
	if (!stack_is_own(s, &d->dst))
		forward(s, d, type, rest, &r);
	else if (v4)
		message_v4(s, d, type, code, rest, &r);
	else
		message_v6(s, d, type, code, rest, &r);
}
