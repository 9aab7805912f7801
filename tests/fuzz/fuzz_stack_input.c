/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_stack_input.c - packets from a hostile peer, in a conversation
 *
 * The input is a list of records {op, length, bytes}. Most ops send a packet
 * whose checksums are made right and, for TCP, whose sequence numbers are taken
 * from what the stack sent last plus an offset of the input, so that the fuzzer
 * gets behind the checks; others let time pass or make the owner act.
 */
#include <stdlib.h>
#include <string.h>

#include "core/base/wire.h"
#include "core/crypto/secret.h"
#include "netstack/checksum.h"
#include "netstack/stack.h"

enum { CONNS_MAX = 4, PACKET_MAX = 1500, V4_HEAD = 20, V6_HEAD = 40 };

struct world {
	struct stack *s;
	uint64_t now_ms;
	uint32_t seq, ack; /* of our next segment to the stack */
	uint16_t port;	   /* the stack's, of its last segment */
	uint16_t echo_id;  /* of its last echo request */
	struct stack_udp *udp;
	struct stack_echo *echo;
	struct stack_tcp *conns[CONNS_MAX];
	struct stack_syn *syn;
};

static struct ts_ip own_v4, own_v6, peer_v4, peer_v6;

static void on_output(void *ctx, struct ts_packet *pkt)
{
	struct world *w = ctx;
	struct ts_reader r = ts_reader_init(pkt->data, pkt->len);
	size_t head = pkt->data[0] >> 4 == 4 ? V4_HEAD : V6_HEAD;
	uint32_t seq, ack;
	uint8_t flags;

	memset(pkt->data - TS_PACKET_HEADROOM, 1, TS_PACKET_HEADROOM);
	memset(pkt->data + pkt->len, 1, TS_PACKET_TAILROOM);
	ts_read_skip(&r, head);
	if (pkt->len > head + 6 &&
	    (pkt->data[head] == 8 || pkt->data[head] == 128))
		w->echo_id = (uint16_t)(pkt->data[head + 4] << 8 |
					pkt->data[head + 5]);
	w->port = ts_read_be16(&r);
	ts_read_skip(&r, 2);
	seq = ts_read_be32(&r);
	ack = ts_read_be32(&r);
	ts_read_skip(&r, 1);
	flags = ts_read_u8(&r);
	if (r.bad || pkt->data[head == V4_HEAD ? 9 : 6] != 6)
		return;
	w->ack = seq + (uint32_t)(pkt->len - head - 20) + (flags & 3 ? 1 : 0);
	if (flags & 0x10)
		w->seq = ack;
}

static void forget(struct world *w, const struct stack_tcp *t)
{
	for (int i = 0; i < CONNS_MAX; i++)
		if (w->conns[i] == t)
			w->conns[i] = NULL;
}

struct slot {
	struct world *w;
	int i;
};
static struct slot slots[CONNS_MAX];

static void on_readable(void *user)
{
	struct slot *slot = user;
	struct stack_tcp *t = slot->w->conns[slot->i];
	struct iovec iov[4];
	int n = stack_tcp_read_view(t, iov, 4);

	for (int i = 0; i < n; i++)
		stack_tcp_consume(t, iov[i].iov_len / 2 + 1);
}

static void on_gone(void *user, int err)
{
	struct slot *slot = user;

	(void)err;
	forget(slot->w, slot->w->conns[slot->i]);
}

static const struct stack_tcp_ops conn_ops = {
	.readable = on_readable, .gone = on_gone,
};

static int free_slot(const struct world *w)
{
	for (int i = 0; i < CONNS_MAX; i++)
		if (!w->conns[i])
			return i;
	return -1;
}

static void on_syn(void *ctx, struct stack_syn *syn,
		   const struct ts_addr *local, const struct ts_addr *remote)
{
	struct world *w = ctx;
	int i = free_slot(w);

	(void)remote;
	if (local->port % 4 == 1 || i < 0)
		stack_syn_refuse(syn);
	else if (local->port % 4 == 2)
		w->syn = syn;
	else
		w->conns[i] = stack_syn_accept(syn, &conn_ops, &slots[i],
					       w->now_ms);
}

static void on_syn_gone(void *ctx, struct stack_syn *syn)
{
	struct world *w = ctx;

	if (w->syn == syn)
		w->syn = NULL;
}

static void on_datagram(void *user, const struct ts_addr *from,
			const struct ts_addr *to, const uint8_t *data,
			size_t len)
{
	struct world *w = user;

	if (len % 2)
		stack_udp_refuse(w->udp, from, to, data, len);
	else
		stack_udp_send(w->udp, from, data, len);
}

static void on_udp_error(void *user, const struct ts_addr *remote, int err)
{
	struct world *w = user;

	if (err >= 0)
		abort();
	stack_udp_send(w->udp, remote, "", 0);
}

static void on_echo(void *user, const struct ts_ip *from, uint16_t seq,
		    const uint8_t *data, size_t len)
{
	struct world *w = user;

	if (seq % 2)
		stack_echo_send(w->echo, from, seq, data, len);
}

static void on_echo_error(void *user, const struct ts_ip *to, uint16_t seq,
			  int err)
{
	struct world *w = user;

	if (err >= 0)
		abort();
	stack_echo_send(w->echo, to, seq, NULL, 0);
}

static void put16(uint8_t *at, uint16_t v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *at)
{
	struct ts_reader r = ts_reader_init(at, 4);

	return ts_read_be32(&r);
}

static void put32(uint8_t *at, uint32_t v)
{
	put16(at, (uint16_t)(v >> 16));
	put16(at + 2, (uint16_t)v);
}

static void fix_transport(struct world *w, uint8_t *at, size_t len,
			  uint8_t proto, bool v6)
{
	static const uint8_t sum_at[] = {[1] = 2, [6] = 16, [17] = 6, [58] = 2};
	uint32_t pseudo = proto == 1 ? 0
		: stack_sum_pseudo(v6 ? &peer_v6 : &peer_v4,
				   v6 ? &own_v6 : &own_v4, proto, len);

	if (proto == 6 && len >= 20) {
		put32(at + 4, w->seq + (uint32_t)(int8_t)get32(at + 4));
		put32(at + 8, w->ack + (uint32_t)(int8_t)get32(at + 8));
		if (at[2] & 0x80)
			put16(at + 2, w->port);
	}
	if ((proto == 1 || proto == 58) && len >= 8 && at[2] & 0x80)
		put16(at + (at[0] == 0 || at[0] == 129 || len < 34 ? 4 : 32),
		      w->echo_id);
	if (proto >= sizeof(sum_at) || !sum_at[proto] ||
	    len < (size_t)sum_at[proto] + 2)
		return;
	put16(at + sum_at[proto], 0);
	put16(at + sum_at[proto],
	      stack_sum_finish(pseudo + stack_sum(at, len)));
}

/* body: protocol number, fragment word, then the payload */
static void send_packet(struct world *w, const uint8_t *body, size_t len,
			bool v6)
{
	uint8_t ip[V6_HEAD + PACKET_MAX] = {0};
	size_t head = v6 ? V6_HEAD : V4_HEAD;
	uint8_t proto;

	if (len < 3)
		return;
	proto = body[0];
	len -= 3;
	if (len > PACKET_MAX)
		len = PACKET_MAX;
	memcpy(ip + head, body + 3, len);
	fix_transport(w, ip + head, len, proto, v6);
	if (v6) {
		ip[0] = 0x60;
		put16(ip + 4, (uint16_t)len);
		ip[6] = proto;
		memcpy(ip + 8, peer_v6.bytes, 16);
		memcpy(ip + 24, own_v6.bytes, 16);
	} else {
		ip[0] = 0x45;
		put16(ip + 2, (uint16_t)(head + len));
		put16(ip + 6, (uint16_t)(body[1] << 8 | body[2]));
		ip[9] = proto;
		memcpy(ip + 12, peer_v4.bytes + 12, 4);
		memcpy(ip + 16, own_v4.bytes + 12, 4);
		put16(ip + 10, stack_sum_finish(stack_sum(ip, V4_HEAD)));
	}
	stack_input(w->s, ip, head + len, w->now_ms);
}

static void owner_acts(struct world *w, uint8_t what)
{
	static const uint8_t zeros[5000];
	struct stack_tcp *t = w->conns[what % CONNS_MAX];
	struct ts_addr to = {what & 0x40 ? peer_v6 : peer_v4, 80};
	int i = free_slot(w), err;

	if (what == 0x7f || what == 0x3f) {
		stack_echo_send(w->echo, &to.ip, what, zeros, what * 32u);
		return;
	}
	if (what & 0x80) {
		if (i >= 0)
			w->conns[i] = stack_tcp_dial(w->s, &to, 0, &conn_ops,
						     &slots[i], w->now_ms,
						     &err);
		return;
	}
	if (!t)
		return;
	switch (what >> 2 & 7) {
	case 0:
		stack_tcp_close(t);
		forget(w, t);
		break;
	case 1:
		stack_tcp_abort(t);
		forget(w, t);
		break;
	case 2:
		stack_tcp_shutdown_write(t);
		break;
	case 3:
		stack_tcp_fail(t, -1);
		break;
	default:
		stack_tcp_write(t, zeros, sizeof(zeros));
		stack_tcp_flush(t);
	}
}

static void run_op(struct world *w, uint8_t op, const uint8_t *data, size_t len)
{
	switch (op % 8) {
	case 0:
		w->now_ms += len ? (uint64_t)data[0] * 50 : 1;
		stack_tick(w->s, w->now_ms);
		break;
	case 1:
		if (len)
			owner_acts(w, data[0]);
		break;
	case 2:
		stack_input(w->s, data, len, w->now_ms);
		break;
	case 3:
		if (w->syn) {
			stack_syn_drop(w->syn);
			w->syn = NULL;
		}
		break;
	case 4:
		send_packet(w, data, len, true);
		break;
	default:
		send_packet(w, data, len, false);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct stack_ops ops = {
		.output = on_output, .inbound_syn = on_syn,
		.syn_gone = on_syn_gone,
	};
	struct world w = {.now_ms = 1000000};
	struct ts_reader r = ts_reader_init(data, size);
	struct ts_addr any = {TS_IP_ZERO, 53};
	int err;

	ts_ip_parse("100.64.0.1", &own_v4);
	ts_ip_parse("100.64.0.2", &peer_v4);
	ts_ip_parse("fd7a:115c:a1e0::1", &own_v6);
	ts_ip_parse("fd7a:115c:a1e0::2", &peer_v6);
	for (int i = 0; i < CONNS_MAX; i++)
		slots[i] = (struct slot){&w, i};
	w.s = stack_new(&ops, &w, w.now_ms);
	if (!w.s)
		abort();
	stack_set_addrs(w.s, &own_v4, &own_v6);
	w.udp = stack_udp_open(w.s, &any, on_datagram, &w, &err);
	w.echo = stack_echo_open(w.s, on_echo, on_echo_error, &w, &err);
	if (!w.udp || !w.echo)
		abort();
	stack_udp_set_error(w.udp, on_udp_error);
	while (r.left && !r.bad) {
		uint8_t op = ts_read_u8(&r);
		size_t len = ts_read_u8(&r);
		const uint8_t *at;

		if (len > r.left)
			len = r.left;
		at = ts_read_view(&r, len);
		run_op(&w, op, at, len);
	}
	w.now_ms += 400000;
	stack_tick(w.s, w.now_ms);
	stack_free(w.s);
	return 0;
}
