/* SPDX-License-Identifier: BSD-3-Clause
 * stack_mtu.c - how large packets to a destination may be
 * Source: RFC 9293 section 3.7.1, RFC 4821
 *
 * The owner knows two things of a way: what it carries now, and what may come
 * over it at best. The second is what we offer in a SYN, as the other end
 * follows the way by itself, if it can; the first bounds each segment and each
 * datagram, and changes while connections are open.
 *
 * A way may get narrower without anybody's word. Then large segments vanish
 * and small ones do not: after two time-outs in a row a connection goes on
 * with the smallest. What was cut larger goes in fragments.
 */
#include "netstack/stack_private.h"

enum { DOUBT_TIMEOUTS = 2 };

static size_t within(size_t mtu)
{
	if (mtu < TS_INNER_MTU)
		return TS_INNER_MTU;
	return mtu < STACK_MTU_MAX ? mtu : STACK_MTU_MAX;
}

void stack_mtu_find(const struct stack *s, const struct ts_ip *to,
		    struct stack_mtu *out)
{
	*out = (struct stack_mtu){TS_INNER_MTU, TS_INNER_MTU};
	if (s->ops.mtu && !stack_is_own(s, to))
		s->ops.mtu(s->ctx, to, out);
	out->now = within(out->now);
	out->most = within(out->most);
}

void stack_path_changed(struct stack *s)
{
	for (struct stack_tcp *t = s->conns; t; t = t->next) {
		stack_mtu_find(s, &t->remote.ip, &t->mtu);
		if (t->pcb)
			stack_mtu_follow(t);
	}
}

static size_t heads_of(const struct stack_tcp *t)
{
	return ts_ip_is_v4(&t->local.ip) ? IP_HLEN + TCP_HLEN
					 : IP6_HLEN + TCP_HLEN;
}

void stack_mtu_lend(const struct stack_tcp *t)
{
	t->s->netif.mtu = (u16_t)t->mtu.most;
}

uint16_t stack_mtu_offer(const struct stack_tcp *t)
{
	return (uint16_t)(t->mtu.most - heads_of(t));
}

void stack_mtu_follow(struct stack_tcp *t)
{
	size_t mss = t->mtu.now - heads_of(t);

	if (t->is_sending && t->sender.backoff >= DOUBT_TIMEOUTS) {
		t->mtu.now = TS_INNER_MTU;
		mss = t->mtu.now - heads_of(t);
	}
	if (t->peer_mss && mss > t->peer_mss)
		mss = t->peer_mss;
	if (t->mss_limit && mss > t->mss_limit)
		mss = t->mss_limit;
	if (t->peer_mss || t->pcb->mss > mss)
		t->pcb->mss = (u16_t)mss;
}
