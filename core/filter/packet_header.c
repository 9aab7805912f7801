/* SPDX-License-Identifier: BSD-3-Clause
 * packet_header.c - what the filter must know of an inner packet
 *
 * Fragments are let pass without reassembly, so a header must not be hidden
 * in them: a first fragment holds its whole transport header, and a later one
 * starts where no header can be (RFC 1858).
 * Source: net/packet/packet.go
 */
#include "core/filter/packet_filter.h"

#include <errno.h>

#include "core/base/wire.h"
#include "core/filter/ip_proto.h"

enum {
	IP4_HEADER_LEN = 20,
	IP6_HEADER_LEN = 40,
	IP4_MORE_FRAGMENTS = 0x2000,
	IP4_FRAGMENT_OFFSET = 0x1fff,
	IP6_MORE_FRAGMENTS = 0x0001,
	IP6_FRAGMENT_HEADER_LEN = 8,
	/* In 8-byte units: the longest IPv4 header and a TCP header. */
	FRAGMENT_OFFSET_MIN = (60 + 20) / 8,

	UDP_HEADER_LEN = 8,
	TCP_HEADER_LEN = 20,
	SCTP_HEADER_LEN = 12,
	ICMP_HEADER_LEN = 8,
	TSMP_LEN_MIN = 7,
};

/* Fragment fields of either version. */
struct fragment {
	unsigned offset; /* 8-byte units */
	bool has_more;
};

static int read_ports(struct ts_reader *r, size_t header_len,
		      struct ts_packet_header *out)
{
	if (r->left < header_len)
		return -EBADMSG;
	out->src_port = ts_read_be16(r);
	out->dst_port = ts_read_be16(r);
	return 0;
}

static int read_tcp(struct ts_reader *r, struct ts_packet_header *out)
{
	int err = read_ports(r, TCP_HEADER_LEN, out);

	ts_read_skip(r, 4 + 4 + 1); /* sequence, acknowledgement, offset */
	out->tcp_flags = ts_read_u8(r);
	return err;
}

static int read_icmp(struct ts_reader *r, struct ts_packet_header *out)
{
	if (r->left < ICMP_HEADER_LEN)
		return -EBADMSG;
	out->icmp_type = ts_read_u8(r);
	return 0;
}

static int read_transport(struct ts_reader *r, bool has_more,
			  struct ts_packet_header *out)
{
	switch (out->proto) {
	case IPPROTO_TCP:
		return read_tcp(r, out);
	case IPPROTO_UDP:
		return read_ports(r, UDP_HEADER_LEN, out);
	case IPPROTO_SCTP:
		return read_ports(r, SCTP_HEADER_LEN, out);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return read_icmp(r, out);
	case TS_IPPROTO_TSMP:
		return has_more || r->left < TSMP_LEN_MIN ? -EBADMSG : 0;
	case 0: /* hop-by-hop options of IPv6; reserved */
	case 255:
		return -EBADMSG;
	default:
		return 0;
	}
}

static int read_rest(struct ts_reader *r, const struct fragment *fragment,
		     struct ts_packet_header *out)
{
	if (fragment->offset == 0)
		return read_transport(r, fragment->has_more, out);
	if (fragment->offset < FRAGMENT_OFFSET_MIN)
		return -EBADMSG;
	out->is_fragment = true;
	return 0;
}

static struct ts_ip read_ip4(struct ts_reader *r)
{
	return ts_ip_from_v4_host(ts_read_be32(r));
}

static int read_v4(const uint8_t *pkt, size_t len, struct ts_packet_header *out)
{
	struct ts_reader r = ts_reader_init(pkt, len);
	size_t header_len = (size_t)(ts_read_u8(&r) & 0x0f) * 4, total;
	struct fragment fragment;
	unsigned flags;

	ts_read_skip(&r, 1); /* type of service */
	total = ts_read_be16(&r);
	ts_read_skip(&r, 2); /* identification */
	flags = ts_read_be16(&r);
	fragment.offset = flags & IP4_FRAGMENT_OFFSET;
	fragment.has_more = flags & IP4_MORE_FRAGMENTS;
	ts_read_skip(&r, 1); /* time to live */
	out->proto = ts_read_u8(&r);
	ts_read_skip(&r, 2); /* checksum */
	out->src = read_ip4(&r);
	out->dst = read_ip4(&r);
	if (r.bad || header_len < IP4_HEADER_LEN || total < header_len ||
	    total > len)
		return -EBADMSG;
	out->l4_offset = header_len;
	r = ts_reader_init(pkt + header_len, total - header_len);
	return read_rest(&r, &fragment, out);
}

/* Of the extension headers only this one is read, and only first: others are
 * judged as protocols of their own, which no ordinary rule allows. */
static void read_fragment_header(struct ts_reader *r, struct fragment *fragment,
				 struct ts_packet_header *out)
{
	unsigned offset;

	out->proto = ts_read_u8(r);
	ts_read_skip(r, 1);
	offset = ts_read_be16(r);
	ts_read_skip(r, 4); /* identification */
	fragment->offset = offset >> 3;
	fragment->has_more = offset & IP6_MORE_FRAGMENTS;
	out->l4_offset += IP6_FRAGMENT_HEADER_LEN;
}

static int read_v6(const uint8_t *pkt, size_t len, struct ts_packet_header *out)
{
	struct ts_reader r = ts_reader_init(pkt, len), body;
	struct fragment fragment = {0};
	size_t body_len;

	ts_read_skip(&r, 4); /* version, traffic class, flow label */
	body_len = ts_read_be16(&r);
	out->proto = ts_read_u8(&r);
	ts_read_skip(&r, 1); /* hop limit */
	ts_read_bytes(&r, out->src.bytes, TS_IP_LEN);
	ts_read_bytes(&r, out->dst.bytes, TS_IP_LEN);
	body = ts_read_block(&r, body_len);
	out->l4_offset = IP6_HEADER_LEN;
	/* A mapped address would pass for an IPv4 one everywhere. */
	if (r.bad || ts_ip_is_v4(&out->src) || ts_ip_is_v4(&out->dst))
		return -EBADMSG;
	if (out->proto == IPPROTO_FRAGMENT)
		read_fragment_header(&body, &fragment, out);
	return body.bad ? -EBADMSG : read_rest(&body, &fragment, out);
}

int ts_packet_header_read(const uint8_t *pkt, size_t len,
			  struct ts_packet_header *out)
{
	struct ts_reader r = ts_reader_init(pkt, len);

	*out = (struct ts_packet_header){0};
	switch (ts_read_u8(&r) >> 4) {
	case 4:
		return read_v4(pkt, len, out);
	case 6:
		return read_v6(pkt, len, out);
	default:
		return -EBADMSG;
	}
}
