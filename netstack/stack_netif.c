/* SPDX-License-Identifier: BSD-3-Clause
 * stack_netif.c - lwIP's globals, its way in and its way out
 *
 * Each stack is a netif without addresses of its own: connections bring both
 * ends, so nothing is ever selected or routed by lwIP and no neighbour
 * discovery starts. Segments go straight into tcp_input(); our packet parser
 * has done what ip_input() would do. What comes out is flattened once into a
 * buffer with room for the layers below and gets its checksum there.
 */
#include "netstack/stack_private.h"

#include <errno.h>
#include <string.h>

#include <lwip/init.h>
#include <lwip/ip.h>

#include "core/crypto/secret.h"
#include "netstack/checksum.h"

enum { V4_CHECKSUM_AT = 10 };

/* lwIP is global to the process, so this is too. */
static struct {
	bool is_ready;
	int depth; /* > 0: inside lwIP or an owner's output() */
	uint64_t now_ms;
	uint8_t isn_key[STACK_ISN_KEY_LEN];
	struct ts_log_limit assert_limit;
} lwip;

void stack_lwip_assert(const char *what)
{
	if (ts_log_allowed(&lwip.assert_limit, lwip.now_ms))
		log_error("stack-0: lwIP: %s", what);
}

uint32_t stack_lwip_rand(void)
{
	return ts_random_u32();
}

uint32_t stack_tcp_isn(const void *local_ip, uint16_t local_port,
		       const void *remote_ip, uint16_t remote_port)
{
	uint8_t tuple[2 * sizeof(ip_addr_t) + 2 * sizeof(uint16_t)];
	size_t n = sizeof(ip_addr_t);

	memcpy(tuple, local_ip, n);
	memcpy(tuple + n, remote_ip, n);
	memcpy(tuple + 2 * n, &local_port, sizeof(local_port));
	memcpy(tuple + 2 * n + 2, &remote_port, sizeof(remote_port));
	return stack_isn(lwip.isn_key, tuple, sizeof(tuple), lwip.now_ms);
}

bool stack_lwip_is_busy(void)
{
	return lwip.depth > 0;
}

void stack_lwip_use(struct stack *s)
{
	lwip.now_ms = s->now_ms;
	tcp_ticks = stack_tick_now(s);
}

/* -- out ------------------------------------------------------------------ */
static void emit(struct stack *s, struct ts_packet *pkt, bool is_to_us)
{
	if (s->is_silent)
		return;
	s->count.packets_out++;
	if (is_to_us) {
		stack_loop_push(s, pkt);
		return;
	}
	lwip.depth++;
	s->ops.output(s->ctx, pkt);
	lwip.depth--;
}

void stack_emit(struct stack *s, struct ts_packet *pkt)
{
	struct ts_ip dst;

	if (pkt->data[0] >> 4 == 4)
		dst = ts_ip_from_v4(pkt->data + 16);
	else
		memcpy(dst.bytes, pkt->data + 24, TS_IP_LEN);
	emit(s, pkt, stack_is_own(s, &dst));
}

void stack_set_v4_checksum(uint8_t *ip)
{
	uint16_t sum;

	memset(ip + V4_CHECKSUM_AT, 0, 2);
	sum = stack_sum_finish(stack_sum(ip, IP_HLEN));
	ip[V4_CHECKSUM_AT] = (uint8_t)(sum >> 8);
	ip[V4_CHECKSUM_AT + 1] = (uint8_t)sum;
}

void stack_set_tcp_checksum(uint8_t *ip, size_t len)
{
	bool v4 = ip[0] >> 4 == 4;
	size_t head = v4 ? IP_HLEN : IP6_HLEN;
	size_t addrs = v4 ? 8 : 32; /* both addresses, at the header's end */
	size_t tcp_len = len - head;
	uint16_t sum;

	memset(ip + head + TCP_CHECKSUM_AT, 0, 2);
	sum = stack_sum_finish(stack_sum(ip + head - addrs, addrs) +
			       PROTO_TCP + (uint32_t)tcp_len +
			       stack_sum(ip + head, tcp_len));
	ip[head + TCP_CHECKSUM_AT] = (uint8_t)(sum >> 8);
	ip[head + TCP_CHECKSUM_AT + 1] = (uint8_t)sum;
}

static err_t output(struct stack *s, const struct pbuf *p)
{
	uint8_t buf[TS_PACKET_HEADROOM + STACK_MTU_MAX + TS_PACKET_TAILROOM];
	struct ts_packet pkt = {.data = buf + TS_PACKET_HEADROOM,
				.len = p->tot_len};

	if (p->tot_len > STACK_MTU_MAX || p->tot_len < IP_HLEN + TCP_HLEN)
		return ERR_BUF;
	if (s->withholds_ack) {
		s->withholds_ack = false;
		return ERR_OK;
	}
	pbuf_copy_partial(p, pkt.data, p->tot_len, 0);
	stack_set_tcp_checksum(pkt.data, pkt.len);
	stack_emit(s, &pkt);
	return ERR_OK;
}

static err_t output_v4(struct netif *netif, struct pbuf *p,
		       const ip4_addr_t *to)
{
	(void)to;
	return output(netif->state, p);
}

static err_t output_v6(struct netif *netif, struct pbuf *p,
		       const ip6_addr_t *to)
{
	(void)to;
	return output(netif->state, p);
}

/* -- in ------------------------------------------------------------------- */
ip_addr_t stack_to_lwip(const struct ts_ip *ip)
{
	ip_addr_t out = {0};

	if (ts_ip_is_v4(ip)) {
		IP_SET_TYPE_VAL(out, IPADDR_TYPE_V4);
		memcpy(&ip_2_ip4(&out)->addr, ip->bytes + 12, 4);
	} else {
		IP_SET_TYPE_VAL(out, IPADDR_TYPE_V6);
		memcpy(ip_2_ip6(&out)->addr, ip->bytes, TS_IP_LEN);
	}
	return out;
}

void stack_lwip_input(struct stack *s, const struct stack_dgram *d)
{
	struct pbuf *p = stack_rx_pbuf_of(s, d);

	if (p)
		stack_lwip_input_pbuf(s, p, &d->src, &d->dst);
}

void stack_lwip_input_pbuf(struct stack *s, struct pbuf *p,
			   const struct ts_ip *src, const struct ts_ip *dst)
{
	ip_data.current_netif = &s->netif;
	ip_data.current_input_netif = &s->netif;
	ip_data.current_iphdr_src = stack_to_lwip(src);
	ip_data.current_iphdr_dest = stack_to_lwip(dst);
	lwip.depth++;
	tcp_input(p, &s->netif);
	lwip.depth--;
	ip_data.current_netif = NULL;
	ip_data.current_input_netif = NULL;
}

/* -- the netif ------------------------------------------------------------ */
static err_t init_netif(struct netif *netif)
{
	netif->name[0] = 't';
	netif->name[1] = 's';
	netif->output = output_v4;
	netif->output_ip6 = output_v6;
	netif->mtu = STACK_MTU_MAX;
	return ERR_OK;
}

int stack_netif_add(struct stack *s)
{
	if (!lwip.is_ready) {
		ts_random_bytes(lwip.isn_key, sizeof(lwip.isn_key));
		lwip_init();
		lwip.is_ready = true;
	}
	if (!netif_add_noaddr(&s->netif, s, init_netif, NULL))
		return -ENOMEM;
	netif_set_link_up(&s->netif);
	netif_set_up(&s->netif);
	return 0;
}

void stack_netif_remove(struct stack *s)
{
	netif_remove(&s->netif);
}
