/* SPDX-License-Identifier: BSD-3-Clause
 * real_stack.h - the host's stack joined back to back with a peer's
 *
 * Packets cross in order and without loss in the same turn of the loop. The
 * peer echoes at port 7 and refuses the rest; the test can have it connect to
 * us. One pair at a time, since lwIP is one per process.
 */
#ifndef TESTS_UNIT_HOST_REAL_STACK_H
#define TESTS_UNIT_HOST_REAL_STACK_H

#include "core/host/host.h"
#include "core/loop/loop.h"
#include "fake_node.h"

enum { PEER_ECHO_PORT = 7 };

struct crossing {
	struct crossing *next;
	int to;
	size_t len;
	uint8_t data[];
};

struct peer_conn {
	struct stack_tcp *t;
	bool is_up, saw_eof, is_gone;
	int err;
};

static struct {
	struct ts_loop *loop;
	struct ts_timer *timer;
	struct stack *side[2]; /* ours, the peer's */
	struct crossing *first, **last;
	struct ts_host *host; /* set by the test, for inbound SYNs */
	struct peer_conn dialled;
	bool is_draining;
} net;

static inline void net_output(int to, struct ts_packet *pkt)
{
	struct crossing *c = malloc(sizeof(*c) + pkt->len);

	if (!c)
		abort();
	c->next = NULL;
	c->to = to;
	c->len = pkt->len;
	memcpy(c->data, pkt->data, pkt->len);
	*net.last = c;
	net.last = &c->next;
}

static inline void output_ours(void *ctx, struct ts_packet *pkt)
{
	(void)ctx;
	net_output(1, pkt);
}

static inline void output_peers(void *ctx, struct ts_packet *pkt)
{
	(void)ctx;
	net_output(0, pkt);
}

static inline void net_drain(void)
{
	struct crossing *c;

	while ((c = net.first)) {
		net.first = c->next;
		if (!net.first)
			net.last = &net.first;
		stack_input(net.side[c->to], c->data, c->len,
			    ts_loop_now_ms(net.loop));
		free(c);
	}
}

static inline void net_tick(void *ctx)
{
	(void)ctx;
	net_drain();
	for (int i = 0; i < 2; i++)
		stack_tick(net.side[i], ts_loop_now_ms(net.loop));
	net_drain();
}

static inline void net_before_sleep(void *ctx)
{
	uint64_t at_ms = stack_deadline_ms(net.side[0]);
	uint64_t other_ms = stack_deadline_ms(net.side[1]);

	(void)ctx;
	if (other_ms < at_ms)
		at_ms = other_ms;
	if (net.first)
		at_ms = ts_loop_now_ms(net.loop);
	ts_timer_set(net.timer, at_ms);
}

/* -- the peer's side ------------------------------------------------------ */

static inline void echo_some(void *user)
{
	struct stack_tcp *t = *(struct stack_tcp **)user;
	struct iovec iov;
	int n;

	while ((n = stack_tcp_read_view(t, &iov, 1)) == 1) {
		size_t took = stack_tcp_write(t, iov.iov_base, iov.iov_len);

		stack_tcp_consume(t, took);
		if (took < iov.iov_len)
			break;
	}
	stack_tcp_flush(t);
	if (n < 0)
		stack_tcp_shutdown_write(t);
}

static inline void echo_up(void *user)
{
	(void)user;
}

static inline void echo_gone(void *user, int err)
{
	(void)err;
	free(user);
}

static const struct stack_tcp_ops echo_ops = {echo_up, echo_some, echo_some,
					      echo_gone};

static inline void peer_syn(void *ctx, struct stack_syn *syn,
			    const struct ts_addr *local,
			    const struct ts_addr *remote)
{
	struct stack_tcp **t = malloc(sizeof(*t));

	(void)ctx;
	(void)remote;
	if (!t)
		abort();
	if (local->port != PEER_ECHO_PORT) {
		free(t);
		stack_syn_refuse(syn);
		return;
	}
	*t = stack_syn_accept(syn, &echo_ops, t, ts_loop_now_ms(net.loop));
}

static inline void our_syn(void *ctx, struct stack_syn *syn,
			   const struct ts_addr *local,
			   const struct ts_addr *remote)
{
	(void)ctx;
	ts_host_inbound_syn(ts_host_first(net.host), syn, local, remote);
}

static inline void peer_syn_gone(void *ctx, struct stack_syn *syn)
{
	(void)ctx;
	(void)syn;
}

static inline void our_syn_gone(void *ctx, struct stack_syn *syn)
{
	(void)ctx;
	ts_host_syn_gone(ts_host_first(net.host), syn);
}

/* As core/engine and core/node have it: 10.0.0.0/8 is behind us. */
static inline bool our_forwards(void *ctx, const struct ts_ip *dst)
{
	(void)ctx;
	return ts_ip_is_v4(dst) && dst->bytes[TS_IP_V4_AT] == 10;
}

static inline void our_forward_udp(void *ctx, const struct ts_addr *from,
				   const struct ts_addr *to,
				   const uint8_t *data, size_t len)
{
	(void)ctx;
	ts_host_forward_udp(ts_host_first(net.host), from, to, data, len);
}

static inline void our_forward_echo(void *ctx, const struct ts_ip *from,
				    const struct ts_ip *to, uint16_t id,
				    uint16_t seq, const uint8_t *data,
				    size_t len)
{
	(void)ctx;
	ts_host_forward_echo(ts_host_first(net.host), from, to, id, seq, data,
			     len);
}

static inline void dialled_up(void *user)
{
	((struct peer_conn *)user)->is_up = true;
}

static inline void dialled_readable(void *user)
{
	struct peer_conn *c = user;
	struct iovec iov;
	int n;

	while ((n = stack_tcp_read_view(c->t, &iov, 1)) == 1)
		stack_tcp_consume(c->t, iov.iov_len);
	c->saw_eof = n < 0;
}

static inline void dialled_gone(void *user, int err)
{
	struct peer_conn *c = user;

	c->t = NULL;
	c->is_gone = true;
	c->err = err;
}

static const struct stack_tcp_ops dialled_ops = {
	dialled_up, dialled_readable, echo_up, dialled_gone};

static inline void peer_dials(const struct ts_addr *to)
{
	int err;

	memset(&net.dialled, 0, sizeof(net.dialled));
	net.dialled.t = stack_tcp_dial(net.side[1], to, 0, &dialled_ops,
				       &net.dialled, ts_loop_now_ms(net.loop),
				       &err);
	if (!net.dialled.t)
		abort();
}

/* -- the pair ------------------------------------------------------------- */

static inline struct stack *test_stack_new(struct ts_loop *loop)
{
	static const struct stack_ops ours = {.output = output_ours,
					       .inbound_syn = our_syn,
					       .syn_gone = our_syn_gone,
					       .forwards = our_forwards,
					       .forward_udp = our_forward_udp,
					       .forward_echo =
						       our_forward_echo};
	static const struct stack_ops peers = {.output = output_peers,
					       .inbound_syn = peer_syn,
					       .syn_gone = peer_syn_gone};
	static const char *const v4[] = {"100.64.0.1", "100.64.0.2"};
	static const char *const v6[] = {"fd7a:115c:a1e0::1",
					 "fd7a:115c:a1e0::2"};

	memset(&net, 0, sizeof(net));
	net.loop = loop;
	net.last = &net.first;
	net.side[0] = stack_new(&ours, NULL, ts_loop_now_ms(loop));
	net.side[1] = stack_new(&peers, NULL, ts_loop_now_ms(loop));
	net.timer = ts_timer_new(loop, net_tick, NULL);
	if (!net.side[0] || !net.side[1] || !net.timer ||
	    ts_loop_before_sleep(loop, net_before_sleep, NULL))
		abort();
	for (int i = 0; i < 2; i++) {
		struct ts_ip ip4 = fake_ip(v4[i]), ip6 = fake_ip(v6[i]);

		stack_set_addrs(net.side[i], &ip4, &ip6);
	}
	return net.side[0];
}

static inline void test_stack_free(struct stack *stack)
{
	(void)stack;
	net_drain();
	stack_free(net.side[0]);
	stack_free(net.side[1]);
	ts_timer_free(net.timer);
	while (net.first) {
		struct crossing *c = net.first;

		net.first = c->next;
		free(c);
	}
}

#endif
