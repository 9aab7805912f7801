/* SPDX-License-Identifier: BSD-3-Clause
 * datagram_echo.c - ping: a program's ICMP messages, and the replies
 * Source: RFC 792, RFC 4443; icmp(7) for what a SOCK_DGRAM socket shows
 *
 * A UDP socket stands in for the program's ICMP socket, so a datagram is one
 * ICMP message. Only echo requests leave; they carry an identifier of ours,
 * since two programs may have chosen the same. The reply has the program's
 * again, and for SOCK_RAW in IPv4 the IP header that such sockets see.
 */
#include <string.h>

#include "core/base/wire.h"
#include "core/host/app_datagram.h"

enum {
	ECHO4_REPLY = 0,
	ECHO4_REQUEST = 8,
	ECHO6_REQUEST = 128,
	ECHO6_REPLY = 129,
	ECHO_HEAD = 8,
	IP4_HEAD = 20,
	HOP_LIMIT = 64,
};

static uint32_t add_words(uint32_t sum, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)data[i] << 8 | data[i + 1];
	if (len % 2)
		sum += (uint32_t)data[len - 1] << 8;
	return sum;
}

static void seal(uint8_t *at, size_t sum_at, size_t len, uint32_t sum)
{
	sum = add_words(sum, at, len);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	at[sum_at] = (uint8_t)(~sum >> 8);
	at[sum_at + 1] = (uint8_t)~sum;
}

static void write_ip4(struct ts_writer *w, const struct ts_dgram *flow,
		      size_t body_len)
{
	uint8_t *head = w->at;

	ts_write_u8(w, 0x45);
	ts_write_u8(w, 0);
	ts_write_be16(w, (uint16_t)(IP4_HEAD + body_len));
	ts_write_be32(w, 0); /* id, fragment */
	ts_write_u8(w, HOP_LIMIT);
	ts_write_u8(w, IPPROTO_ICMP);
	ts_write_be16(w, 0);
	ts_write_be32(w, ts_ip_v4_host(&flow->shown.ip));
	ts_write_be32(w, ts_ip_v4_host(&flow->local.ip));
	if (!w->bad)
		seal(head, 10, IP4_HEAD, 0);
}

static uint32_t pseudo_header(const struct ts_dgram *flow, size_t len)
{
	uint32_t sum = (uint32_t)len + IPPROTO_ICMPV6;

	sum = add_words(sum, flow->shown.ip.bytes, TS_IP_LEN);
	return add_words(sum, flow->local.ip.bytes, TS_IP_LEN);
}

static void on_reply(void *user, const struct ts_ip *from, uint16_t seq,
		     const uint8_t *data, size_t len)
{
	struct ts_dgram *flow = user;
	bool v4 = ts_ip_is_v4(from);
	struct ts_writer w = ts_writer_init(flow->host->scratch,
					    HOST_SCRATCH_BYTES);
	uint8_t *icmp;

	if (flow->is_over || !ts_ip_equal(from, &flow->remote.ip))
		return;
	if (v4 && flow->is_raw)
		write_ip4(&w, flow, ECHO_HEAD + len);
	icmp = w.at;
	ts_write_u8(&w, v4 ? ECHO4_REPLY : ECHO6_REPLY);
	ts_write_u8(&w, 0);
	ts_write_be16(&w, 0);
	ts_write_be16(&w, flow->echo_id);
	ts_write_be16(&w, seq);
	ts_write_bytes(&w, data, len);
	if (w.bad || w.len > DGRAM_MAX)
		return;
	seal(icmp, 2, ECHO_HEAD + len,
	     v4 ? 0 : pseudo_header(flow, ECHO_HEAD + len));
	(void)ts_dgram_to_program(flow, flow->host->scratch, w.len, NULL);
}

static void on_error(void *user, const struct ts_ip *to, uint16_t seq, int err)
{
	(void)to;
	(void)seq;
	ts_dgram_refuse(user, err);
}

int ts_dgram_echo_open(struct ts_dgram *flow)
{
	struct stack *stack = ts_node_stack(flow->member->node);
	int err;

	flow->echo = stack_echo_open(stack, on_reply, on_error, flow, &err);
	return err;
}

void ts_dgram_echo_send(struct ts_dgram *flow, const uint8_t *data, size_t len)
{
	struct ts_reader r = ts_reader_init(data, len);
	uint8_t type = ts_read_u8(&r), code = ts_read_u8(&r);
	uint16_t id, seq;

	ts_read_skip(&r, 2); /* checksum: made anew */
	id = ts_read_be16(&r);
	seq = ts_read_be16(&r);
	if (r.bad || code != 0 ||
	    type != (ts_ip_is_v4(&flow->remote.ip) ? ECHO4_REQUEST
						   : ECHO6_REQUEST))
		return;
	flow->echo_id = id;
	(void)stack_echo_send(flow->echo, &flow->remote.ip, seq, r.at, r.left);
}
