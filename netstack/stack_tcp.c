/* SPDX-License-Identifier: BSD-3-Clause
 * stack_tcp.c - what the owner of a connection can do
 *
 * Written bytes are copied into lwIP's segments, at most UNSENT_MAX ahead of
 * what the windows let out: the rest stays with the owner, so the memory of a
 * sender is what is in flight plus a little. Nagle's algorithm is off unless
 * asked for: who splices a program's bytes has batched them already.
 */
#include "netstack/stack_private.h"

#include <errno.h>

#include "core/crypto/secret.h"

enum {
	UNSENT_MAX = 256 * 1024,
	WRITE_MAX = 0xffff,
	QUEUE_SPARE = 64,
	/* Over this, in all connections, each may queue CROWDED_MAX only. */
	TOTAL_MAX = 256 * 1024 * 1024,
	CROWDED_MAX = 64 * 1024,
};

/* -- dial ----------------------------------------------------------------- */
static bool may_use(const struct stack *s, const struct ts_addr *local,
		    const struct ts_addr *remote, bool even_waiting)
{
	const struct flow *flow;

	if (ts_addr_equal(local, remote))
		return false;
	flow = stack_flow_find(s, local, remote);
	return !flow || (even_waiting && flow->kind == FLOW_TIME_WAIT);
}

/* A random free port; one in TIME-WAIT only when no other is left. */
static int pick_port(const struct stack *s, struct ts_addr *local,
		     const struct ts_addr *remote)
{
	uint32_t first = ts_random_below(STACK_EPHEMERAL_COUNT);

	for (int even_waiting = 0; even_waiting < 2; even_waiting++) {
		for (uint32_t i = 0; i < STACK_EPHEMERAL_COUNT; i++) {
			local->port = (uint16_t)(STACK_EPHEMERAL_FIRST +
						 (first + i) %
							 STACK_EPHEMERAL_COUNT);
			if (may_use(s, local, remote, even_waiting))
				return 0;
		}
	}
	return -EADDRNOTAVAIL;
}

static int pick_local(const struct stack *s, const struct ts_addr *remote,
		      uint16_t local_port, struct ts_addr *local)
{
	local->ip = ts_ip_is_v4(&remote->ip) ? s->v4 : s->v6;
	local->port = local_port;
	if (ts_ip_is_unspecified(&local->ip) ||
	    ts_ip_is_unspecified(&remote->ip) ||
	    ts_ip_is_multicast(&remote->ip))
		return -ENETUNREACH;
	if (remote->port == 0)
		return -EADDRNOTAVAIL;
	if (local_port == 0)
		return pick_port(s, local, remote);
	return may_use(s, local, remote, true) ? 0 : -EADDRINUSE;
}

static int start_dial(struct stack_tcp *t)
{
	ip_addr_t remote = stack_to_lwip(&t->remote.ip);
	struct tcp_pcb *pcb = tcp_new();

	if (!pcb)
		return -ENOMEM;
	stack_lwip_use(t->s);
	stack_mtu_lend(t);
	stack_tcp_attach(t, pcb);
	pcb->local_ip = stack_to_lwip(&t->local.ip);
	pcb->local_port = t->local.port;
	t->handshake_from_us = t->s->now_us;
	if (tcp_connect(pcb, &remote, t->remote.port, stack_tcp_on_connected)) {
		pcb->local_port = 0; /* it is on no list of lwIP's */
		stack_tcp_kill(t, false);
		return -ENOMEM;
	}
	stack_tcp_leave(t);
	return 0;
}

struct stack_tcp *stack_tcp_dial(struct stack *s, const struct ts_addr *remote,
				 uint16_t local_port,
				 const struct stack_tcp_ops *ops, void *user,
				 uint64_t now_ms, int *err)
{
	struct ts_addr local;
	struct stack_tcp *t;
	struct flow *old;

	/* The round trip of the handshake is timed from here. */
	stack_set_now(s, now_ms);
	*err = pick_local(s, remote, local_port, &local);
	if (*err)
		return NULL;
	old = stack_flow_find(s, &local, remote);
	if (old)
		stack_tw_remove(s, (struct stack_tw *)old);
	t = stack_tcp_new(s, &local, remote, ops, user);
	*err = t ? start_dial(t) : -ENOMEM;
	if (*err) {
		if (t)
			stack_tcp_free(t);
		return NULL;
	}
	t->is_dialled = true;
	s->count.tcp_dialled++;
	return t;
}

/* -- write ---------------------------------------------------------------- */
static size_t bounded(const struct stack_tcp *t, size_t room)
{
	size_t queued = stack_tcp_pending(t), left;

	if (t->s->tx_bytes <= TOTAL_MAX)
		return room;
	left = queued < CROWDED_MAX ? CROWDED_MAX - queued : 0;
	return room < left ? room : left;
}

size_t stack_tcp_send_room(const struct stack_tcp *t)
{
	const struct tcp_pcb *pcb = t->pcb;
	size_t unsent, room;

	if (!pcb || !t->is_up || t->write_is_shut ||
	    pcb->snd_queuelen >= TCP_SND_QUEUELEN - QUEUE_SPARE)
		return 0;
	unsent = pcb->snd_lbb - pcb->snd_nxt;
	room = unsent < UNSENT_MAX ? UNSENT_MAX - unsent : 0;
	return bounded(t, room < pcb->snd_buf ? room : pcb->snd_buf);
}

/* lwIP looks for the last unsent segment from the first on: it gets to see
 * that one only; and none that was cut for a wider way, which it would take for
 * a fault. */
static err_t append(struct stack_tcp *t, const void *data, uint16_t len)
{
	struct tcp_pcb *pcb = t->pcb;
	struct tcp_seg *first = pcb->unsent, *last;
	err_t err;

	if (!first)
		return tcp_write(pcb, data, len, TCP_WRITE_FLAG_COPY);
	last = stack_send_last_unsent(t);
	if (last->len <= pcb->mss) {
		pcb->unsent = last;
		err = tcp_write(pcb, data, len, TCP_WRITE_FLAG_COPY);
	} else {
		pcb->unsent = NULL;
		pcb->unsent_oversize = 0;
		err = tcp_write(pcb, data, len, TCP_WRITE_FLAG_COPY);
		last->next = pcb->unsent;
	}
	pcb->unsent = first;
	return err;
}

size_t stack_tcp_write(struct stack_tcp *t, const void *data, size_t len)
{
	const uint8_t *at = data;
	size_t room = stack_tcp_send_room(t), done = 0;

	while (done < len && done < room) {
		size_t n = len - done;

		if (n > room - done)
			n = room - done;
		if (n > WRITE_MAX)
			n = WRITE_MAX;
		if (append(t, at + done, (uint16_t)n))
			break;
		done += n;
	}
	t->wants_room = done < len;
	return done;
}

void stack_tcp_flush(struct stack_tcp *t)
{
	if (!t->pcb || !t->is_up)
		return;
	stack_tcp_enter(t);
	stack_send(t);
	stack_tcp_leave(t);
}

void stack_tcp_shutdown_write(struct stack_tcp *t)
{
	if (t->write_is_shut)
		return;
	t->write_is_shut = true;
	if (!t->pcb || !t->is_up)
		return;
	stack_tcp_enter(t);
	tcp_shutdown(t->pcb, 0, 1);
	if (tcp_active_pcbs)
		stack_send(t);
	stack_tcp_leave(t);
}

/* -- the end -------------------------------------------------------------- */
void stack_tcp_abort(struct stack_tcp *t)
{
	stack_tcp_kill(t, true);
	stack_tcp_free(t);
}

void stack_tcp_fail(struct stack_tcp *t, int err)
{
	stack_tcp_kill(t, false);
	t->gone_err = err;
	stack_tcp_over(t, err);
}

/* lwIP takes a window that is not wide open for unread input, and answers it
 * with RST; all was read here, so let it see what it wants. */
static void close_in_order(struct stack_tcp *t)
{
	struct tcp_pcb *pcb = t->pcb;
	tcpwnd_size_t wnd = pcb->rcv_wnd;

	stack_tcp_enter(t);
	pcb->rcv_wnd = TCP_WND_MAX(pcb);
	tcp_close(pcb);
	if (tcp_active_pcbs) {
		pcb->rcv_wnd = wnd;
		stack_send(t);
	}
	stack_tcp_leave(t);
}

void stack_tcp_close(struct stack_tcp *t)
{
	if (!t->pcb) {
		stack_tcp_free(t);
		return;
	}
	if (t->rx_len || t->pcb->state == SYN_RCVD) {
		stack_tcp_abort(t);
		return;
	}
	stack_tcp_unqueue(t);
	t->is_orphan = true;
	close_in_order(t);
}

/* -- small things --------------------------------------------------------- */
struct ts_addr stack_tcp_local(const struct stack_tcp *t)
{
	return t->local;
}

struct ts_addr stack_tcp_remote(const struct stack_tcp *t)
{
	return t->remote;
}

void stack_tcp_set_user(struct stack_tcp *t, const struct stack_tcp_ops *ops,
			void *user)
{
	t->ops = ops;
	t->user = user;
}

void stack_tcp_set_nodelay(struct stack_tcp *t, bool on)
{
	if (!t->pcb)
		return;
	if (on)
		tcp_nagle_disable(t->pcb);
	else
		tcp_nagle_enable(t->pcb);
}

size_t stack_tcp_pending(const struct stack_tcp *t)
{
	return t->pcb ? t->pcb->snd_lbb - t->pcb->lastack : 0;
}

struct stack_tcp *stack_tcp_find(struct stack *s, const struct ts_addr *local,
				 const struct ts_addr *remote)
{
	struct flow *flow = stack_flow_find(s, local, remote);
	struct stack_tcp *t = (struct stack_tcp *)flow;

	if (!flow || flow->kind != FLOW_TCP || !t->is_dialled || t->is_orphan)
		return NULL;
	return t;
}

/* Only a connection that is not up yet ends by it (RFC 1122, 4.2.3.9), and only
 * when the error quotes the SYN that we sent. */
void stack_tcp_unreachable(struct stack *s, const struct ts_addr *local,
			   const struct ts_addr *remote, uint32_t seq, int err)
{
	struct stack_tcp *t = stack_tcp_find(s, local, remote);

	if (!t || !t->pcb || t->pcb->state != SYN_SENT ||
	    seq != t->pcb->snd_nxt - 1)
		return;
	stack_tcp_fail(t, err);
}
