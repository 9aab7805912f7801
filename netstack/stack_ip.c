/* SPDX-License-Identifier: BSD-3-Clause
 * stack_ip.c - IP headers off and on
 * Source: RFC 791, RFC 8200; RFC 1122 section 3.2.1.3 (martian addresses)
 *
 * A packet is ours when it is for one of our addresses, or for one that we
 * route for others, and claims to be from somebody else. lwIP sees only the
 * segments inside. Datagrams that are larger than the MTU leave in fragments
 * (TCP never makes such).
 */
#include "netstack/stack_private.h"

#include <errno.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "netstack/checksum.h"

enum {
	V4_HEAD = 20,
	V4_MORE = 0x2000,
	V4_OFFSET_MASK = 0x1fff,
	V6_HEAD = 40,
	V6_FRAG_HEAD = 8,
	V6_EXTENSIONS_MAX = 8,
	HOP_LIMIT = 64,
	UNIT = 8, /* of fragment offsets */
	DATAGRAM_MAX = 65535,
};

enum {
	V6_HOP_BY_HOP = 0,
	V6_ROUTING = 43,
	V6_FRAGMENT = 44,
	V6_DESTINATION = 60,
};

bool stack_is_own(const struct stack *s, const struct ts_ip *ip)
{
	if (ts_ip_is_unspecified(ip))
		return false;
	return ts_ip_equal(ip, &s->v4) || ts_ip_equal(ip, &s->v6);
}

bool stack_is_local(const struct stack *s, const struct ts_ip *ip)
{
	return stack_is_own(s, ip) ||
	       (s->ops.forwards && s->ops.forwards(s->ctx, ip));
}

static bool may_be_source(const struct ts_ip *ip)
{
	return !ts_ip_is_unspecified(ip) && !ts_ip_is_multicast(ip) &&
	       !ts_ip_is_loopback(ip);
}

static int check_ends(const struct stack *s, const struct stack_dgram *d,
		      bool from_us)
{
	if (!stack_is_local(s, &d->dst))
		return -EADDRNOTAVAIL;
	if (!may_be_source(&d->src) || (!from_us && stack_is_own(s, &d->src)))
		return -EBADMSG;
	return 0;
}

static int add_fragment(struct stack *s, struct stack_dgram *d, uint32_t id,
			size_t offset, bool more)
{
	struct stack_frag_key key = {d->src, d->dst, id, d->proto};

	return stack_frag_add(s, &key, offset, more, d->data, d->len, &d->data,
			      &d->len);
}

static int parse_v4(struct stack *s, const uint8_t *ip, size_t len,
		    bool from_us, struct stack_dgram *d)
{
	struct ts_reader r = ts_reader_init(ip, len);
	size_t head_len = (size_t)(ts_read_u8(&r) & 0xf) * 4, total;
	uint16_t id, frag;
	uint8_t src[4], dst[4];
	int err;

	ts_read_skip(&r, 1); /* type of service */
	total = ts_read_be16(&r);
	id = ts_read_be16(&r);
	frag = ts_read_be16(&r);
	ts_read_skip(&r, 1); /* time to live */
	d->proto = ts_read_u8(&r);
	ts_read_skip(&r, 2); /* checksum */
	ts_read_bytes(&r, src, sizeof(src));
	ts_read_bytes(&r, dst, sizeof(dst));
	if (r.bad || head_len < V4_HEAD || total < head_len || total > len ||
	    stack_sum_finish(stack_sum(ip, head_len)) != 0)
		return -EBADMSG;
	d->src = ts_ip_from_v4(src);
	d->dst = ts_ip_from_v4(dst);
	d->data = ip + head_len;
	d->len = total - head_len;
	err = check_ends(s, d, from_us);
	if (err || !(frag & (V4_MORE | V4_OFFSET_MASK)))
		return err;
	return add_fragment(s, d, id, (size_t)(frag & V4_OFFSET_MASK) * UNIT,
			    frag & V4_MORE);
}

/* One extension header that may be skipped: next header, length in 8 bytes
 * without the first 8. A routing header must have no segments left. */
static int skip_extension(struct ts_reader *r, uint8_t *next)
{
	uint8_t type = *next, segments_left;
	size_t body;

	*next = ts_read_u8(r);
	body = (size_t)ts_read_u8(r) * 8 + 6;
	if (type != V6_ROUTING) {
		ts_read_skip(r, body);
		return r->bad ? -EBADMSG : 0;
	}
	ts_read_skip(r, 1); /* kind of routing */
	segments_left = ts_read_u8(r);
	ts_read_skip(r, body - 2);
	return r->bad || segments_left ? -EBADMSG : 0;
}

static bool is_extension(uint8_t next)
{
	return next == V6_HOP_BY_HOP || next == V6_ROUTING ||
	       next == V6_DESTINATION;
}

static int skip_extensions(struct ts_reader *r, uint8_t *next)
{
	for (int i = 0; is_extension(*next); i++)
		if (i == V6_EXTENSIONS_MAX || skip_extension(r, next))
			return -EBADMSG;
	return 0;
}

static int read_fragment(struct stack *s, struct ts_reader *r,
			 struct stack_dgram *d)
{
	uint16_t place;
	uint32_t id;
	int err;

	d->proto = ts_read_u8(r);
	ts_read_skip(r, 1);
	place = ts_read_be16(r);
	id = ts_read_be32(r);
	if (r->bad)
		return -EBADMSG;
	d->data = r->at;
	d->len = r->left;
	if (place & 0xfff9) {
		err = add_fragment(s, d, id, place & 0xfff8, place & 1);
		if (err)
			return err;
	}
	/* what was put together may begin with options for us */
	*r = ts_reader_init(d->data, d->len);
	return skip_extensions(r, &d->proto);
}

static int parse_v6(struct stack *s, const uint8_t *ip, size_t len,
		    bool from_us, struct stack_dgram *d)
{
	struct ts_reader r = ts_reader_init(ip, len);
	size_t body_len;
	int err;

	ts_read_skip(&r, 4); /* version, class, flow label */
	body_len = ts_read_be16(&r);
	d->proto = ts_read_u8(&r);
	ts_read_skip(&r, 1); /* hop limit */
	ts_read_bytes(&r, d->src.bytes, TS_IP_LEN);
	ts_read_bytes(&r, d->dst.bytes, TS_IP_LEN);
	r = ts_read_block(&r, body_len);
	if (r.bad || ts_ip_is_v4(&d->src) || ts_ip_is_v4(&d->dst))
		return -EBADMSG;
	err = check_ends(s, d, from_us);
	if (!err)
		err = skip_extensions(&r, &d->proto);
	if (!err && d->proto == V6_FRAGMENT)
		err = read_fragment(s, &r, d);
	d->data = r.at;
	d->len = r.left;
	return err;
}

int stack_ip_parse(struct stack *s, const uint8_t *ip, size_t len,
		   bool from_us, struct stack_dgram *out)
{
	memset(out, 0, sizeof(*out));
	out->packet = ip;
	out->packet_len = len;
	if (len == 0)
		return -EBADMSG;
	switch (ip[0] >> 4) {
	case 4:
		return parse_v4(s, ip, len, from_us, out);
	case 6:
		return parse_v6(s, ip, len, from_us, out);
	default:
		return -EBADMSG;
	}
}

/* -- out ------------------------------------------------------------------ */
/* A datagram on its way out: head then body, as one row of bytes. */
struct outgoing {
	const struct ts_ip *src, *dst;
	uint8_t proto;
	const uint8_t *head, *body;
	size_t head_len, body_len;
	uint32_t id;
};

static void write_slice(struct ts_writer *w, const struct outgoing *o,
			size_t offset, size_t len)
{
	if (offset < o->head_len) {
		size_t n = o->head_len - offset;

		if (n > len)
			n = len;
		ts_write_bytes(w, o->head + offset, n);
		offset += n;
		len -= n;
	}
	if (len)
		ts_write_bytes(w, o->body + (offset - o->head_len), len);
}

static void write_v4(struct ts_writer *w, const struct outgoing *o,
		     size_t offset, size_t len, bool more)
{
	uint8_t *start = w->at;
	uint16_t sum;

	ts_write_u8(w, 0x45);
	ts_write_u8(w, 0);
	ts_write_be16(w, (uint16_t)(V4_HEAD + len));
	ts_write_be16(w, (uint16_t)o->id);
	ts_write_be16(w, (uint16_t)(offset / UNIT | (more ? V4_MORE : 0)));
	ts_write_u8(w, HOP_LIMIT);
	ts_write_u8(w, o->proto);
	ts_write_be16(w, 0);
	ts_write_bytes(w, o->src->bytes + 12, 4);
	ts_write_bytes(w, o->dst->bytes + 12, 4);
	sum = stack_sum_finish(stack_sum(start, V4_HEAD));
	start[10] = (uint8_t)(sum >> 8);
	start[11] = (uint8_t)sum;
}

static void write_v6(struct ts_writer *w, const struct outgoing *o,
		     size_t offset, size_t len, bool more)
{
	bool is_fragment = offset || more;
	size_t body = len + (is_fragment ? V6_FRAG_HEAD : 0);

	ts_write_be32(w, 6u << 28);
	ts_write_be16(w, (uint16_t)body);
	ts_write_u8(w, is_fragment ? V6_FRAGMENT : o->proto);
	ts_write_u8(w, HOP_LIMIT);
	ts_write_bytes(w, o->src->bytes, TS_IP_LEN);
	ts_write_bytes(w, o->dst->bytes, TS_IP_LEN);
	if (!is_fragment)
		return;
	ts_write_u8(w, o->proto);
	ts_write_u8(w, 0);
	ts_write_be16(w, (uint16_t)(offset | (more ? 1 : 0)));
	ts_write_be32(w, o->id);
}

size_t stack_ip_quote(const struct ts_ip *src, const struct ts_ip *dst,
		      uint8_t proto, size_t len, uint8_t *out, size_t cap)
{
	struct outgoing o = {.src = src, .dst = dst, .proto = proto};
	struct ts_writer w = ts_writer_init(out, cap);

	if (ts_ip_is_v4(src))
		write_v4(&w, &o, 0, len, false);
	else
		write_v6(&w, &o, 0, len, false);
	return w.bad ? 0 : w.len;
}

static void send_slice(struct stack *s, const struct outgoing *o,
		       size_t offset, size_t len, bool more)
{
	uint8_t buf[TS_PACKET_HEADROOM + STACK_MTU_MAX + TS_PACKET_TAILROOM];
	struct ts_writer w =
		ts_writer_init(buf + TS_PACKET_HEADROOM, STACK_MTU_MAX);
	struct ts_packet pkt = {.data = buf + TS_PACKET_HEADROOM};

	if (ts_ip_is_v4(o->src))
		write_v4(&w, o, offset, len, more);
	else
		write_v6(&w, o, offset, len, more);
	write_slice(&w, o, offset, len);
	pkt.len = w.len;
	if (!w.bad)
		stack_emit(s, &pkt);
}

static void send_fragments(struct stack *s, const struct outgoing *o,
			   size_t mtu)
{
	size_t len = o->head_len + o->body_len;
	size_t room = mtu - (ts_ip_is_v4(o->src) ? (size_t)V4_HEAD
						 : V6_HEAD + V6_FRAG_HEAD);

	room -= room % UNIT;
	for (size_t at = 0; at < len; at += room) {
		size_t n = len - at < room ? len - at : room;

		send_slice(s, o, at, n, at + n < len);
	}
}

static void set_checksum(const struct outgoing *o, uint8_t *head,
			 size_t sum_at)
{
	uint32_t sum = 0;
	uint16_t out;

	memset(head + sum_at, 0, 2);
	if (o->proto != PROTO_ICMP)
		sum = stack_sum_pseudo(o->src, o->dst, o->proto,
				       o->head_len + o->body_len);
	sum += stack_sum(head, o->head_len) + stack_sum(o->body, o->body_len);
	out = stack_sum_finish(sum);
	if (out == 0 && o->proto == PROTO_UDP)
		out = 0xffff; /* 0 says "no checksum" */
	head[sum_at] = (uint8_t)(out >> 8);
	head[sum_at + 1] = (uint8_t)out;
}

int stack_ip_send(struct stack *s, const struct ts_ip *src,
		  const struct ts_ip *dst, uint8_t proto, const void *head,
		  size_t head_len, size_t sum_at, const void *body,
		  size_t body_len)
{
	size_t ip_head = ts_ip_is_v4(src) ? V4_HEAD : V6_HEAD;
	struct stack_mtu mtu = {.now = TS_INNER_MTU};

	/* What passes everywhere needs no look. */
	if (ip_head + head_len + body_len > TS_INNER_MTU)
		stack_mtu_find(s, dst, &mtu);
	return stack_ip_send_within(s, mtu.now, src, dst, proto, head, head_len,
				    sum_at, body, body_len);
}

int stack_ip_send_within(struct stack *s, size_t mtu, const struct ts_ip *src,
			 const struct ts_ip *dst, uint8_t proto,
			 const void *head, size_t head_len, size_t sum_at,
			 const void *body, size_t body_len)
{
	uint8_t copy[64];
	struct outgoing o = {
		.src = src, .dst = dst, .proto = proto,
		.head = copy, .head_len = head_len,
		.body = body, .body_len = body_len,
	};
	size_t len = head_len + body_len;
	size_t ip_head = ts_ip_is_v4(src) ? V4_HEAD : V6_HEAD;

	if (head_len > sizeof(copy) || len > (size_t)DATAGRAM_MAX - ip_head)
		return -EMSGSIZE;
	memcpy(copy, head, head_len);
	if (sum_at != SIZE_MAX)
		set_checksum(&o, copy, sum_at);
	if (ip_head + len <= mtu) {
		o.id = s->ip_id++;
		send_slice(s, &o, 0, len, false);
		return 0;
	}
	o.id = ts_ip_is_v4(src) ? s->ip_id++ : ts_random_u32();
	send_fragments(s, &o, mtu);
	return 0;
}
