/* SPDX-License-Identifier: BSD-3-Clause
 * stack_forward.c - datagrams and echoes of addresses that we route for others
 *
 * The owner has a socket on the network of this machine for each of them; here
 * is only the tunnel's side: what came from there goes to the peer as from that
 * address, and what did not arrive is an ICMP error. Connections need nothing
 * of their own: a SYN waits in stack_syn.c whichever address it is for.
 */
#include "netstack/stack_private.h"

#include <errno.h>

enum { ICMP_HEAD = 8, V4_ECHO = 8, V6_ECHO = 128 };

static bool may_send(const struct stack *s, const struct ts_ip *from,
		     const struct ts_ip *to)
{
	return ts_ip_is_v4(from) == ts_ip_is_v4(to) && !stack_is_own(s, from) &&
	       !stack_is_own(s, to) && !ts_ip_is_unspecified(to) &&
	       !ts_ip_is_multicast(to);
}

int stack_forward_udp(struct stack *s, const struct ts_addr *from,
		      const struct ts_addr *to, const void *data, size_t len)
{
	if (!may_send(s, &from->ip, &to->ip) || to->port == 0)
		return -ENETUNREACH;
	return stack_udp_send_from(s, from, to, data, len);
}

int stack_forward_echo_reply(struct stack *s, const struct ts_ip *from,
			     const struct ts_ip *to, uint16_t id, uint16_t seq,
			     const void *data, size_t len)
{
	if (!may_send(s, from, to))
		return -ENETUNREACH;
	return stack_icmp_echo_reply(s, from, to, id, seq, data, len);
}

void stack_forward_udp_failed(struct stack *s, const struct ts_addr *from,
			      const struct ts_addr *to, const void *data,
			      size_t len, int err)
{
	stack_udp_unreachable(s, from, to, data, len, err);
}

void stack_forward_echo_failed(struct stack *s, const struct ts_ip *from,
			       const struct ts_ip *to, uint16_t id,
			       uint16_t seq, int err)
{
	bool v4 = ts_ip_is_v4(from);
	uint8_t quote[STACK_QUOTE_MAX];
	struct stack_dgram d = {.src = *from, .dst = *to,
				.proto = v4 ? PROTO_ICMP : PROTO_ICMPV6,
				.packet = quote};
	size_t head = stack_ip_quote(from, to, d.proto, ICMP_HEAD, quote,
				     sizeof(quote));
	struct ts_writer w = ts_writer_init(quote + head, sizeof(quote) - head);

	ts_write_u8(&w, v4 ? V4_ECHO : V6_ECHO);
	ts_write_zeros(&w, 3); /* code, checksum */
	ts_write_be16(&w, id);
	ts_write_be16(&w, seq);
	d.packet_len = head + w.len;
	if (head > 0 && !w.bad && stack_is_local(s, to))
		stack_icmp_unreachable(s, &d, err);
}
