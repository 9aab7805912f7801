/* SPDX-License-Identifier: BSD-3-Clause
 * node_masq.c - our address as a certain peer knows it
 *
 * A peer of another tailnet may have been told another address for us than our
 * own. Towards it our packets carry that one, and what it sends there arrives
 * as if sent to our own: the filter, the stack and the programs only ever see
 * the own one. Checksums are corrected by the difference (RFC 1624), as the
 * packet's bytes need not be read for that.
 * Source: net/tstun/wrap.go (snat, dnat), net/packet/checksum/checksum.go
 */
#include <netinet/in.h>

#include "core/base/wire.h"
#include "core/node/node_internal.h"

enum {
	IP4_SUM_AT = 10,
	IP4_SRC_AT = 12,
	IP4_DST_AT = 16,
	IP6_SRC_AT = 8,
	IP6_DST_AT = 24,
	TCP_SUM_AT = 16,
	UDP_SUM_AT = 6,
	ICMP6_SUM_AT = 2,
	NO_SUM = 0,
};

/* RFC 1624, equation 3: ~(~sum + ~old + new) over the address's words. The
 * words that the two have in common cancel out. */
static uint16_t corrected(uint16_t sum, const struct ts_ip *from,
			  const struct ts_ip *to)
{
	struct ts_reader was = ts_reader_init(from->bytes, TS_IP_LEN);
	struct ts_reader is = ts_reader_init(to->bytes, TS_IP_LEN);
	uint32_t acc = (uint16_t)~sum;

	while (was.left > 0) {
		acc += (uint16_t)~ts_read_be16(&was);
		acc += ts_read_be16(&is);
	}
	acc = (acc & 0xffff) + (acc >> 16);
	acc = (acc & 0xffff) + (acc >> 16);
	return (uint16_t)~acc;
}

/* zero_is_none: UDP over IPv4 may go without a checksum, and a sum of zero is
 * then written as its twin. */
static void correct_at(struct ts_packet *pkt, size_t at,
		       const struct ts_ip *from, const struct ts_ip *to,
		       bool zero_is_none)
{
	struct ts_reader r = ts_reader_init(pkt->data, pkt->len);
	struct ts_writer w;
	uint16_t sum;

	ts_read_skip(&r, at);
	sum = ts_read_be16(&r);
	if (r.bad || (zero_is_none && sum == 0))
		return;
	sum = corrected(sum, from, to);
	if (zero_is_none && sum == 0)
		sum = 0xffff;
	w = ts_writer_init(pkt->data + at, sizeof(sum));
	ts_write_be16(&w, sum);
}

/* Where the transport header's checksum covers the addresses. */
static size_t transport_sum_at(const struct ts_packet_header *h)
{
	if (h->is_fragment)
		return NO_SUM;
	switch (h->proto) {
	case IPPROTO_TCP:
		return h->l4_offset + TCP_SUM_AT;
	case IPPROTO_UDP:
		return h->l4_offset + UDP_SUM_AT;
	case IPPROTO_ICMPV6:
		return h->l4_offset + ICMP6_SUM_AT;
	default:
		return NO_SUM;
	}
}

static void write_address(struct ts_packet *pkt, size_t at,
			  const struct ts_ip *ip)
{
	struct ts_writer w = ts_writer_init(pkt->data, pkt->len);

	w.at += at;
	w.room -= at;
	if (ts_ip_is_v4(ip))
		ts_write_be32(&w, ts_ip_v4_host(ip));
	else
		ts_write_bytes(&w, ip->bytes, TS_IP_LEN);
}

static void rewrite(struct ts_packet *pkt, const struct ts_packet_header *h,
		    size_t v4_at, size_t v6_at, const struct ts_ip *from,
		    const struct ts_ip *to)
{
	size_t sum_at = transport_sum_at(h);
	bool is_v4 = ts_ip_is_v4(from);

	if (is_v4)
		correct_at(pkt, IP4_SUM_AT, from, to, false);
	if (sum_at != NO_SUM)
		correct_at(pkt, sum_at, from, to, h->proto == IPPROTO_UDP);
	write_address(pkt, is_v4 ? v4_at : v6_at, to);
}

static const struct ts_ip *masq_of(const struct ts_peer *peer, bool v4)
{
	return v4 ? &peer->masq_v4 : &peer->masq_v6;
}

void node_masq_out(const struct ts_node *node, const struct ts_peer *peer,
		   struct ts_packet *pkt, const struct ts_packet_header *h)
{
	bool v4 = ts_ip_is_v4(&h->src);
	const struct ts_ip *masq = masq_of(peer, v4);
	struct ts_ip own;

	if (ts_ip_is_unspecified(masq) || ts_ip_is_v4(masq) != v4)
		return;
	own = ts_node_ip(node, !v4);
	if (ts_ip_equal(&h->src, &own))
		rewrite(pkt, h, IP4_SRC_AT, IP6_SRC_AT, &own, masq);
}

void node_masq_in(const struct ts_node *node, const struct ts_peer *peer,
		  struct ts_packet *pkt, struct ts_packet_header *h)
{
	bool v4 = ts_ip_is_v4(&h->dst);
	const struct ts_ip *masq = masq_of(peer, v4);
	struct ts_ip own;

	if (ts_ip_is_unspecified(masq) || !ts_ip_equal(&h->dst, masq))
		return;
	own = ts_node_ip(node, !v4);
	if (ts_ip_is_unspecified(&own))
		return;
	rewrite(pkt, h, IP4_DST_AT, IP6_DST_AT, masq, &own);
	h->dst = own;
}
