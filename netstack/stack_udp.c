/* SPDX-License-Identifier: BSD-3-Clause
 * stack_udp.c - UDP: bindings by port, datagrams in and out
 * Source: RFC 768, RFC 8200 section 8.1 (no zero checksum in IPv6)
 *
 * A binding to one address comes before one to all of them. Datagrams for a
 * port that nobody has are answered with ICMP port unreachable.
 */
#include "netstack/stack_private.h"

#include <errno.h>
#include <stdlib.h>

#include "core/crypto/secret.h"
#include "netstack/checksum.h"

enum { UDP_HEAD = 8, UDP_SUM_AT = 6, PORT_TRIES = 4096 };

static struct stack_udp *first_on(const struct stack *s, uint16_t port)
{
	return ts_key_map_get(&s->udp_ports, &port);
}

static bool is_any(const struct stack_udp *u)
{
	return ts_ip_is_zero(&u->local.ip);
}

static bool clashes(const struct stack *s, const struct ts_addr *local)
{
	const struct stack_udp *u;

	for (u = first_on(s, local->port); u; u = u->next_same_port)
		if (is_any(u) == ts_ip_is_zero(&local->ip) &&
		    ts_ip_equal(&u->local.ip, &local->ip))
			return true;
	return false;
}

static int pick_port(const struct stack *s, struct ts_addr *local)
{
	for (int i = 0; i < PORT_TRIES; i++) {
		uint32_t n = ts_random_below(STACK_EPHEMERAL_COUNT);

		local->port = (uint16_t)(STACK_EPHEMERAL_FIRST + n);
		if (!first_on(s, local->port))
			return 0;
	}
	return -EADDRINUSE;
}

static int pick_local(const struct stack *s, struct ts_addr *local)
{
	if (ts_ip_is_unspecified(&local->ip))
		local->ip = TS_IP_ZERO;
	else if (!stack_is_own(s, &local->ip))
		return -EADDRNOTAVAIL;
	if (local->port == 0)
		return pick_port(s, local);
	return clashes(s, local) ? -EADDRINUSE : 0;
}

struct stack_udp *stack_udp_open(struct stack *s, const struct ts_addr *local,
				 stack_udp_fn fn, void *user, int *err)
{
	struct stack_udp *u = calloc(1, sizeof(*u));

	*err = -ENOMEM;
	if (!u)
		return NULL;
	u->s = s;
	u->local = *local;
	u->fn = fn;
	u->user = user;
	*err = pick_local(s, &u->local);
	if (!*err) {
		u->next_same_port = first_on(s, u->local.port);
		*err = ts_key_map_put(&s->udp_ports, &u->local.port, u);
	}
	if (*err) {
		free(u);
		return NULL;
	}
	u->next = s->udps;
	if (s->udps)
		s->udps->prev = u;
	s->udps = u;
	return u;
}

/* Replacing the value of a key that is there needs no memory. */
static void leave_port(struct stack_udp *u)
{
	struct stack *s = u->s;
	struct stack_udp *first = first_on(s, u->local.port);

	if (first == u && !u->next_same_port) {
		ts_key_map_take(&s->udp_ports, &u->local.port);
		return;
	}
	if (first == u) {
		ts_key_map_put(&s->udp_ports, &u->local.port,
			       u->next_same_port);
		return;
	}
	while (first->next_same_port != u)
		first = first->next_same_port;
	first->next_same_port = u->next_same_port;
}

void stack_udp_close(struct stack_udp *u)
{
	struct stack *s = u->s;

	leave_port(u);
	if (u->prev)
		u->prev->next = u->next;
	else
		s->udps = u->next;
	if (u->next)
		u->next->prev = u->prev;
	free(u);
}

uint16_t stack_udp_port(const struct stack_udp *u)
{
	return u->local.port;
}

void stack_udp_set_error(struct stack_udp *u, stack_udp_error_fn fn)
{
	u->error_fn = fn;
}

int stack_udp_send_from(struct stack *s, const struct ts_addr *from,
			const struct ts_addr *to, const void *data, size_t len)
{
	uint8_t head[UDP_HEAD];
	struct ts_writer w = ts_writer_init(head, sizeof(head));

	if (len > UINT16_MAX - UDP_HEAD)
		return -EMSGSIZE;
	ts_write_be16(&w, from->port);
	ts_write_be16(&w, to->port);
	ts_write_be16(&w, (uint16_t)(UDP_HEAD + len));
	ts_write_be16(&w, 0);
	return stack_ip_send(s, &from->ip, &to->ip, PROTO_UDP, head,
			     sizeof(head), UDP_SUM_AT, data, len);
}

int stack_udp_send(struct stack_udp *u, const struct ts_addr *to,
		   const void *data, size_t len)
{
	struct stack *s = u->s;
	struct ts_addr from = {
		.ip = ts_ip_is_v4(&to->ip) ? s->v4 : s->v6,
		.port = u->local.port,
	};

	if (ts_ip_is_unspecified(&from.ip) || ts_ip_is_unspecified(&to->ip) ||
	    ts_ip_is_multicast(&to->ip) || to->port == 0 ||
	    (!is_any(u) && !ts_ip_equal(&u->local.ip, &from.ip)))
		return -EHOSTUNREACH;
	return stack_udp_send_from(s, &from, to, data, len);
}

static struct stack_udp *find(const struct stack *s,
			      const struct ts_addr *local)
{
	struct stack_udp *any = NULL;

	for (struct stack_udp *u = first_on(s, local->port); u;
	     u = u->next_same_port) {
		if (ts_ip_equal(&u->local.ip, &local->ip))
			return u;
		if (is_any(u))
			any = u;
	}
	return any;
}

static int parse(const struct stack_dgram *d, struct ts_addr *from,
		 struct ts_addr *to, struct ts_reader *body)
{
	struct ts_reader r = ts_reader_init(d->data, d->len);
	size_t len;
	uint16_t sum;

	*from = (struct ts_addr){d->src, ts_read_be16(&r)};
	*to = (struct ts_addr){d->dst, ts_read_be16(&r)};
	len = ts_read_be16(&r);
	sum = ts_read_be16(&r);
	if (r.bad || len < UDP_HEAD || len > d->len || to->port == 0)
		return -EBADMSG;
	*body = ts_read_block(&r, len - UDP_HEAD);
	if (sum == 0)
		return ts_ip_is_v4(&d->src) ? 0 : -EBADMSG;
	return stack_sum_finish(stack_sum_pseudo(&d->src, &d->dst, PROTO_UDP,
						 len) +
				stack_sum(d->data, len))
		       ? -EBADMSG : 0;
}

void stack_udp_packet(struct stack *s, const struct stack_dgram *d)
{
	struct ts_addr from, to;
	struct ts_reader body;
	struct stack_udp *u;

	if (parse(d, &from, &to, &body)) {
		s->count.dropped_bad++;
		return;
	}
	if (!stack_is_own(s, &to.ip)) {
		if (s->ops.forward_udp)
			s->ops.forward_udp(s->ctx, &from, &to, body.at,
					   body.left);
		return;
	}
	u = find(s, &to);
	if (u)
		u->fn(u->user, &from, &to, body.at, body.left);
	else
		stack_icmp_unreachable(s, d, -ECONNREFUSED);
}

void stack_udp_unreachable(struct stack *s, const struct ts_addr *from,
			   const struct ts_addr *to, const void *data,
			   size_t len, int err)
{
	uint8_t quote[STACK_QUOTE_MAX];
	struct stack_dgram d = {.src = from->ip, .dst = to->ip,
				.proto = PROTO_UDP, .packet = quote};
	size_t udp_len = UDP_HEAD + len;
	size_t head = stack_ip_quote(&from->ip, &to->ip, PROTO_UDP, udp_len,
				     quote, sizeof(quote));
	struct ts_writer w = ts_writer_init(quote + head, sizeof(quote) - head);

	if (head == 0 || udp_len > UINT16_MAX)
		return;
	ts_write_be16(&w, from->port);
	ts_write_be16(&w, to->port);
	ts_write_be16(&w, (uint16_t)udp_len);
	ts_write_be16(&w, 0);
	ts_write_bytes(&w, data, len < w.room ? len : w.room);
	d.packet_len = head + w.len;
	if (!w.bad && stack_is_local(s, &to->ip))
		stack_icmp_unreachable(s, &d, err);
}

void stack_udp_refuse(struct stack_udp *u, const struct ts_addr *from,
		      const struct ts_addr *to, const void *data, size_t len)
{
	stack_udp_unreachable(u->s, from, to, data, len, -ECONNREFUSED);
}

void stack_udp_fail(struct stack *s, const struct ts_addr *local,
		    const struct ts_addr *remote, int err)
{
	struct stack_udp *u = find(s, local);

	if (u && u->error_fn)
		u->error_fn(u->user, remote, err);
}
