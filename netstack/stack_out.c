/* SPDX-License-Identifier: BSD-3-Clause
 * stack_out.c - segments of connections that are up, as packets
 *
 * lwIP has made the segment's header; what changes from one transmission to the
 * next (acknowledgement, window) is filled in, and header and bytes are copied
 * once into a packet with room for the layers below, at the place from which it
 * will be sent. ACKs without data are made
 * here, too, with SACK blocks for what waits in stack_reorder.c.
 */
#include "netstack/stack_private.h"

#include <string.h>

#include <lwip/ip.h>

enum { OPTION_SACK = 5, OPTION_NOP = 1 };

/* A packet under construction. */
struct outgoing {
	uint8_t buf[TS_PACKET_HEADROOM + STACK_MTU_MAX + TS_PACKET_TAILROOM];
	uint8_t *ip, *tcp;
};

static size_t ip_head_of(const struct stack_tcp *t)
{
	return ts_ip_is_v4(&t->local.ip) ? IP_HLEN : IP6_HLEN;
}

/* Where its receiver wants it, if he does. */
static void begin(const struct stack_tcp *t, struct outgoing *o, size_t tcp_len)
{
	const struct stack *s = t->s;
	size_t head = ip_head_of(t);

	o->ip = s->ops.room ? s->ops.room(s->ctx, head + tcp_len) : NULL;
	if (!o->ip)
		o->ip = o->buf + TS_PACKET_HEADROOM;
	o->tcp = o->ip + head;
}

static void write_v4(const struct stack_tcp *t, uint8_t *ip, size_t len)
{
	struct ip_hdr *h = (struct ip_hdr *)ip;

	IPH_VHL_SET(h, 4, IP_HLEN / 4);
	IPH_TOS_SET(h, t->pcb->tos);
	IPH_LEN_SET(h, lwip_htons((uint16_t)len));
	IPH_ID_SET(h, lwip_htons(t->s->ip_id++));
	IPH_OFFSET_SET(h, 0);
	IPH_TTL_SET(h, t->pcb->ttl);
	IPH_PROTO_SET(h, PROTO_TCP);
	memcpy(&h->src, t->local.ip.bytes + 12, 4);
	memcpy(&h->dest, t->remote.ip.bytes + 12, 4);
	stack_set_v4_checksum(ip);
}

static void write_v6(const struct stack_tcp *t, uint8_t *ip, size_t len)
{
	struct ip6_hdr *h = (struct ip6_hdr *)ip;

	IP6H_VTCFL_SET(h, 6, t->pcb->tos, 0);
	IP6H_PLEN_SET(h, (uint16_t)(len - IP6_HLEN));
	IP6H_NEXTH_SET(h, PROTO_TCP);
	IP6H_HOPLIM_SET(h, t->pcb->ttl);
	memcpy(&h->src, t->local.ip.bytes, TS_IP_LEN);
	memcpy(&h->dest, t->remote.ip.bytes, TS_IP_LEN);
}

/* It carries an acknowledgement, so none is owed any more; but for what SACK
 * would say, which only a pure ACK has room for. */
static void note_acknowledged(struct stack_tcp *t)
{
	struct tcp_pcb *pcb = t->pcb;

	pcb->rcv_ann_right_edge = pcb->rcv_nxt + pcb->rcv_ann_wnd;
	tcp_clear_flags(pcb, TF_ACK_DELAY | TF_ACK_NOW);
	t->unacked_segments = 0;
	if (!stack_reorder_has_news(t))
		t->wants_ack = false;
}

static void finish(struct stack_tcp *t, struct outgoing *o, size_t tcp_len)
{
	struct ts_packet pkt = {
		.data = o->ip,
		.len = (size_t)(o->tcp - o->ip) + tcp_len,
	};

	/* Cut for a way that has become narrower. */
	if (pkt.len > t->mtu.now) {
		stack_ip_send_within(t->s, t->mtu.now, &t->local.ip,
				     &t->remote.ip, PROTO_TCP, o->tcp, TCP_HLEN,
				     TCP_CHECKSUM_AT, o->tcp + TCP_HLEN,
				     tcp_len - TCP_HLEN);
		return;
	}
	if (ts_ip_is_v4(&t->local.ip))
		write_v4(t, o->ip, pkt.len);
	else
		write_v6(t, o->ip, pkt.len);
	stack_set_tcp_checksum(pkt.data, pkt.len);
	stack_emit(t->s, &pkt);
}

static uint16_t window_of(const struct tcp_pcb *pcb)
{
	return TCPWND_MIN16(RCV_WND_SCALE(pcb, pcb->rcv_ann_wnd));
}

void stack_out_segment(struct stack_tcp *t, struct tcp_seg *seg)
{
	struct outgoing o;
	size_t before = (size_t)((uint8_t *)seg->tcphdr -
				 (uint8_t *)seg->p->payload);
	size_t len = seg->p->tot_len - before;

	if (len > STACK_MTU_MAX - ip_head_of(t)) /* the MSS is from that MTU */
		return;
	begin(t, &o, len);
	TCPH_SET_FLAG(seg->tcphdr, TCP_ACK);
	seg->tcphdr->ackno = lwip_htonl(t->pcb->rcv_nxt);
	seg->tcphdr->wnd = lwip_htons(window_of(t->pcb));
	pbuf_copy_partial(seg->p, o.tcp, (uint16_t)len, (uint16_t)before);
	finish(t, &o, len);
	note_acknowledged(t);
}

/* -- ACKs ----------------------------------------------------------------- */
static uint8_t *write_be32(uint8_t *at, uint32_t value)
{
	uint32_t be = lwip_htonl(value);

	memcpy(at, &be, sizeof(be));
	return at + sizeof(be);
}

/* Into 4 + 8 * count bytes. */
static void write_sacks(uint8_t *at, const struct tcp_range *sacks,
			unsigned count)
{
	*at++ = OPTION_NOP;
	*at++ = OPTION_NOP;
	*at++ = OPTION_SACK;
	*at++ = (uint8_t)(2 + 8 * count);
	for (unsigned i = 0; i < count; i++) {
		at = write_be32(at, sacks[i].left);
		at = write_be32(at, sacks[i].right);
	}
}

void stack_out_ack(struct stack_tcp *t)
{
	const struct tcp_pcb *pcb = t->pcb;
	struct tcp_range sacks[TCP_SACKS_MAX];
	unsigned count = stack_reorder_sacks(t, sacks);
	size_t head = TCP_HLEN + (count ? 4 + 8 * count : 0);
	struct outgoing o;
	struct tcp_hdr *h;

	begin(t, &o, head);
	h = (struct tcp_hdr *)o.tcp;
	h->src = lwip_htons(pcb->local_port);
	h->dest = lwip_htons(pcb->remote_port);
	h->seqno = lwip_htonl(pcb->snd_nxt);
	h->ackno = lwip_htonl(pcb->rcv_nxt);
	TCPH_HDRLEN_FLAGS_SET(h, head / 4, TCP_ACK);
	h->wnd = lwip_htons(window_of(pcb));
	h->chksum = 0;
	h->urgp = 0;
	if (count)
		write_sacks(o.tcp + TCP_HLEN, sacks, count);
	t->wants_ack = false;
	finish(t, &o, head);
	note_acknowledged(t);
}
