/* SPDX-License-Identifier: BSD-3-Clause
 * node_tsmp.c - Tailscale's in-band messages (IP protocol 99)
 *
 * They travel inside WireGuard next to the data and never reach the stack:
 * a ping and its answer, "your connection was refused by my rules", and a
 * disco key on its way. Source: net/packet/tsmp.go; PROTOCOL 10.4
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/wire.h"
#include "core/node/node_internal.h"

enum {
	TSMP_PROTO = 99,
	TSMP_REJECT = '!',
	TSMP_PING = 'p',
	TSMP_PONG = 'o',
	TSMP_TOKEN_LEN = 8,
	TSMP_REASON_ACL = 'A',
	TSMP_REASON_SHIELDS = 'S',
	TSMP_REASON_FORWARDING = 'F',
	TSMP_REASON_FIREWALL = 'W',
	TSMP_REASON_TRANSIT = 'T',
	TSMP_MAYBE_BROKEN = 1,
	TSMP_BODY_MAX = 16,
	IP4_HEADER_LEN = 20,
	IP6_HEADER_LEN = 40,
	TSMP_TTL = 64,
};

static uint16_t ip4_checksum(const uint8_t *header)
{
	struct ts_reader r = ts_reader_init(header, IP4_HEADER_LEN);
	uint32_t sum = 0;

	while (r.left > 0)
		sum += ts_read_be16(&r);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~((sum & 0xffff) + (sum >> 16));
}

static void write_ip4(struct ts_writer *w, const struct ts_ip *src,
		      const struct ts_ip *dst, size_t body_len)
{
	uint8_t *header = w->at;
	struct ts_writer sum;

	ts_write_u8(w, 0x45);
	ts_write_u8(w, 0);
	ts_write_be16(w, (uint16_t)(IP4_HEADER_LEN + body_len));
	ts_write_be32(w, 0); /* id, fragment */
	ts_write_u8(w, TSMP_TTL);
	ts_write_u8(w, TSMP_PROTO);
	ts_write_be16(w, 0);
	ts_write_be32(w, ts_ip_v4_host(src));
	ts_write_be32(w, ts_ip_v4_host(dst));
	sum = ts_writer_init(header + 10, 2);
	ts_write_be16(&sum, ip4_checksum(header));
}

static void write_ip6(struct ts_writer *w, const struct ts_ip *src,
		      const struct ts_ip *dst, size_t body_len)
{
	ts_write_be32(w, 0x60000000);
	ts_write_be16(w, (uint16_t)body_len);
	ts_write_u8(w, TSMP_PROTO);
	ts_write_u8(w, TSMP_TTL);
	ts_write_bytes(w, src->bytes, TS_IP_LEN);
	ts_write_bytes(w, dst->bytes, TS_IP_LEN);
}

static void send_tsmp(struct ts_node *node, struct ts_peer *peer,
		      const struct ts_ip *src, const struct ts_ip *dst,
		      const uint8_t *body, size_t body_len)
{
	uint8_t buf[TS_PACKET_HEADROOM + IP6_HEADER_LEN + TSMP_BODY_MAX +
		    TS_PACKET_TAILROOM];
	struct ts_packet pkt = {.data = buf + TS_PACKET_HEADROOM};
	struct ts_packet_header h = {.src = *src, .dst = *dst,
				     .proto = TSMP_PROTO};
	struct ts_writer w =
		ts_writer_init(pkt.data, IP6_HEADER_LEN + TSMP_BODY_MAX);

	if (ts_ip_is_v4(dst))
		write_ip4(&w, src, dst, body_len);
	else
		write_ip6(&w, src, dst, body_len);
	ts_write_bytes(&w, body, body_len);
	if (w.bad)
		return;
	pkt.len = w.len;
	if (node->capture)
		node_capture_out(node, TS_CAPTURE_SYNTHESIZED_TO_PEER, peer,
				 pkt.data, pkt.len);
	node_send_ip(node, peer, &pkt, &h);
}

/* What a peer makes us send. */
static bool may_answer(struct ts_node *node, struct node_peer *np)
{
	uint64_t count;

	if (ts_second_quota_take(&np->tsmp, NODE_TSMP_PER_S, node->now_ms))
		return true;
	count = ts_flood_count(&node->tsmp_flood, NODE_TSMP_FLOOD_PER_S,
			       node->now_ms);
	if (count)
		log_warn("peer-%s: flood of packets that want an answer by "
			 "TSMP: %llu not answered", np->peer->name,
			 (unsigned long long)count);
	return false;
}

void node_tsmp_reject(struct ts_node *node, struct node_peer *np,
		      const struct ts_packet_header *h)
{
	uint8_t body[TSMP_BODY_MAX];
	struct ts_writer w = ts_writer_init(body, sizeof(body));

	if (!may_answer(node, np))
		return;
	ts_write_u8(&w, TSMP_REJECT);
	ts_write_u8(&w, h->proto);
	ts_write_u8(&w, node->prefs.shields_up || np->peer->is_jailed
				? TSMP_REASON_SHIELDS
				: TSMP_REASON_ACL);
	ts_write_be16(&w, h->src_port);
	ts_write_be16(&w, h->dst_port);
	send_tsmp(node, np->peer, &h->dst, &h->src, body, w.len);
}

void node_tsmp_ping(struct ts_node *node, struct ts_peer *peer,
		    const struct ts_ip *to, const uint8_t token[static 8])
{
	uint8_t body[1 + TSMP_TOKEN_LEN] = {TSMP_PING};
	struct ts_ip own = ts_node_ip(node, !ts_ip_is_v4(to));

	if (ts_ip_is_unspecified(&own))
		return; /* no address of that family */
	memcpy(body + 1, token, TSMP_TOKEN_LEN);
	send_tsmp(node, peer, &own, to, body, sizeof(body));
}

static void answer_ping(struct ts_node *node, struct node_peer *np,
			const struct ts_packet_header *h, struct ts_reader *r)
{
	uint8_t body[1 + TSMP_TOKEN_LEN + 2] = {TSMP_PONG};
	struct ts_writer w = ts_writer_init(body + 1 + TSMP_TOKEN_LEN, 2);

	ts_read_bytes(r, body + 1, TSMP_TOKEN_LEN);
	ts_write_be16(&w, ts_node_peerapi_port(node, !ts_ip_is_v4(&h->dst)));
	if (!r->bad && may_answer(node, np))
		send_tsmp(node, np->peer, &h->dst, &h->src, body,
			  sizeof(body));
}

static void take_pong(struct ts_node *node, struct ts_reader *r)
{
	uint8_t token[TSMP_TOKEN_LEN];
	uint16_t port;

	ts_read_bytes(r, token, sizeof(token));
	port = r->left >= 2 ? ts_read_be16(r) : 0;
	if (!r->bad)
		node_ping_tsmp_pong(node, token, port);
}

/* What a program hears: somebody said no, or the way ends before it. A reason
 * that a later version invents is a no. */
static int read_reason(struct ts_reader *r, const char **words)
{
	switch (ts_read_u8(r)) {
	case TSMP_REASON_ACL:
		*words = "its rules do not allow it";
		return -ECONNREFUSED;
	case TSMP_REASON_SHIELDS:
		*words = "its shields are up";
		return -ECONNREFUSED;
	case TSMP_REASON_FIREWALL:
		*words = "its host's firewall does not allow it";
		return -ECONNREFUSED;
	case TSMP_REASON_FORWARDING:
		*words = "its host does not forward";
		return -EHOSTUNREACH;
	case TSMP_REASON_TRANSIT:
		*words = "it does not know the address";
		return -EHOSTUNREACH;
	default:
		*words = "for another reason";
		return -ECONNREFUSED;
	}
}

/* The peer refused our SYN: fail the connect now instead of letting it run
 * into its timeout, as upstream does. Upstream tells of TCP only; a datagram
 * that is refused in the same way is an ICMP error to its sender. The IP
 * addresses are those of the answer, the ports those of our flow. */
static void take_reject(struct ts_node *node, const struct node_peer *np,
			const struct ts_packet_header *h, struct ts_reader *r)
{
	uint8_t proto = ts_read_u8(r);
	struct ts_addr local = {.ip = h->dst}, remote = {.ip = h->src};
	struct stack_tcp *tcp;
	const char *words;
	int err = read_reason(r, &words);
	uint8_t flags;

	local.port = ts_read_be16(r);
	remote.port = ts_read_be16(r);
	flags = r->left > 0 ? ts_read_u8(r) : 0;
	if (r->bad || flags & TSMP_MAYBE_BROKEN)
		return;
	if (proto == IPPROTO_UDP)
		stack_udp_fail(node->stack, &local, &remote, err);
	if (proto != IPPROTO_TCP)
		return;
	tcp = stack_tcp_find(node->stack, &local, &remote);
	if (!tcp)
		return;
	if (ts_log_allowed(&node->reject_log, node->now_ms))
		log_info("peer-%s: refused a connection to port %u: %s",
			 np->peer->name, remote.port, words);
	stack_tcp_fail(tcp, err);
}

void node_tsmp_input(struct ts_node *node, struct node_peer *np,
		     const struct ts_packet_header *h,
		     const struct ts_packet *pkt)
{
	struct ts_reader r = ts_reader_init(pkt->data, pkt->len);

	ts_read_skip(&r, h->l4_offset);
	switch (ts_read_u8(&r)) {
	case TSMP_PING:
		answer_ping(node, np, h, &r);
		break;
	case TSMP_PONG:
		take_pong(node, &r);
		break;
	case TSMP_REJECT:
		take_reject(node, np, h, &r);
		break;
	default: /* disco keys come with the netmap */
		break;
	}
}
