/* SPDX-License-Identifier: BSD-3-Clause
 * script.h - one stack against a peer that follows a script, as packetdrill's
 *
 * The peer is the test: it says which segments come and what must have gone out
 * in answer. Sequence numbers are relative to the first byte of each side; time
 * moves when the script says so. A test dials or accepts, then
 *
 *     script_write(&s, 5 * MSS);         the program writes
 *     sent(&s, 0, MSS);                  the next segment out: bytes 0..MSS-1
 *     ack(&s, MSS, SACK(2 * MSS, 3 * MSS));   the peer acknowledges
 *     wait_ms(&s, 10);
 *     nothing(&s);                       no further segment went out
 */
#ifndef TESTS_SCRIPT_H
#define TESTS_SCRIPT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/wire.h"
#include "netstack/checksum.h"
#include "netstack/stack.h"

enum { MSS = 1240, SCRIPT_OUT_MAX = 4096, SCRIPT_HEAD = 20 };
enum { F_FIN = 1, F_SYN = 2, F_RST = 4, F_PSH = 8, F_ACK = 16 };
enum { SCRIPT_SCALE = 8, SCRIPT_PEER_ISN = 5000, SCRIPT_PORT = 80 };

struct script_block {
	uint32_t left, right;
};

/* A segment, either way; seq and ack relative. */
struct script_segment {
	uint32_t seq, ack, window;
	uint16_t len;
	uint8_t flags;
	unsigned block_count;
	struct script_block blocks[4];
	uint64_t at_us;
};

struct script {
	struct stack *s;
	struct stack_tcp *t;
	uint64_t now_us;
	uint16_t our_port; /* the stack's */
	uint32_t isn;	   /* the stack's */
	bool has_isn, has_sack;
	uint32_t peer_next;   /* what the peer sends next */
	uint32_t window;      /* that the peer offers */
	struct script_segment out[SCRIPT_OUT_MAX];
	size_t out_count, out_seen;
	bool is_up, is_over, got_eof;
	int err;
	uint64_t read;
	uint64_t written; /* of what is to be written */
	uint64_t to_write;
};

/* -- out ------------------------------------------------------------------ */
static inline void script_read_options(struct script *s, struct ts_reader r,
				       struct script_segment *seg)
{
	while (r.left > 0) {
		uint8_t kind = ts_read_u8(&r), len;
		struct ts_reader body;

		if (kind <= 1)
			continue;
		len = ts_read_u8(&r);
		body = ts_read_block(&r, len - 2u);
		while (kind == 5 && body.left >= 8) {
			struct script_block *b =
				&seg->blocks[seg->block_count++];

			b->left = ts_read_be32(&body) - SCRIPT_PEER_ISN - 1;
			b->right = ts_read_be32(&body) - SCRIPT_PEER_ISN - 1;
		}
	}
	assert_false(r.bad);
	(void)s;
}

static inline void script_output(void *ctx, struct ts_packet *pkt)
{
	struct script *s = ctx;
	struct ts_reader r =
		ts_reader_init(pkt->data + SCRIPT_HEAD, pkt->len - SCRIPT_HEAD);
	struct script_segment *seg = &s->out[s->out_count];
	uint32_t seq;
	size_t head;

	assert_true(s->out_count < SCRIPT_OUT_MAX);
	*seg = (struct script_segment){.at_us = s->now_us};
	s->our_port = ts_read_be16(&r);
	ts_read_skip(&r, 2);
	seq = ts_read_be32(&r);
	seg->ack = ts_read_be32(&r) - SCRIPT_PEER_ISN - 1;
	head = (size_t)(ts_read_u8(&r) >> 4) * 4;
	seg->flags = ts_read_u8(&r);
	seg->window = ts_read_be16(&r);
	seg->len = (uint16_t)(pkt->len - SCRIPT_HEAD - head);
	ts_read_skip(&r, 4);
	if (!s->has_isn) {
		s->isn = seq;
		s->has_isn = true;
	}
	seg->seq = seq - s->isn - 1;
	script_read_options(s, ts_read_block(&r, head - SCRIPT_HEAD), seg);
	s->out_count++;
}

/* -- in ------------------------------------------------------------------- */
static inline void script_packet(struct script *s, uint32_t seq, uint32_t ack,
				 uint8_t flags, uint16_t window,
				 const uint8_t *options, size_t options_len,
				 size_t len)
{
	static const uint8_t peer[] = {100, 64, 0, 2}, own[] = {100, 64, 0, 1};
	uint8_t ip[1600];
	struct ts_writer w = ts_writer_init(ip, sizeof(ip));
	size_t total = SCRIPT_HEAD + 20 + options_len + len;
	uint16_t sum;

	ts_write_u8(&w, 0x45);
	ts_write_u8(&w, 0);
	ts_write_be16(&w, (uint16_t)total);
	ts_write_be32(&w, 0);
	ts_write_u8(&w, 64);
	ts_write_u8(&w, 6);
	ts_write_be16(&w, 0);
	ts_write_bytes(&w, peer, 4);
	ts_write_bytes(&w, own, 4);
	ts_write_be16(&w, SCRIPT_PORT);
	ts_write_be16(&w, s->our_port);
	ts_write_be32(&w, seq);
	ts_write_be32(&w, ack);
	ts_write_u8(&w, (uint8_t)((20 + options_len) / 4 << 4));
	ts_write_u8(&w, flags);
	ts_write_be16(&w, window);
	ts_write_be32(&w, 0);
	ts_write_bytes(&w, options, options_len);
	ts_write_zeros(&w, len);
	assert_false(w.bad);
	sum = stack_sum_finish(stack_sum(ip, SCRIPT_HEAD));
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
	sum = stack_sum_finish(stack_sum(ip + 12, 8) + 6 +
			       (uint32_t)(total - SCRIPT_HEAD) +
			       stack_sum(ip + SCRIPT_HEAD,
					 total - SCRIPT_HEAD));
	ip[36] = (uint8_t)(sum >> 8);
	ip[37] = (uint8_t)sum;
	stack_input(s->s, ip, total, s->now_us / 1000);
}

static inline void script_send(struct script *s,
			       const struct script_segment *seg)
{
	uint8_t options[40] = {1, 1, 5};
	struct ts_writer w = ts_writer_init(options + 4, sizeof(options) - 4);

	options[3] = (uint8_t)(2 + 8 * seg->block_count);
	for (unsigned i = 0; i < seg->block_count; i++) {
		ts_write_be32(&w, s->isn + 1 + seg->blocks[i].left);
		ts_write_be32(&w, s->isn + 1 + seg->blocks[i].right);
	}
	script_packet(s, SCRIPT_PEER_ISN + 1 + seg->seq, s->isn + 1 + seg->ack,
		      seg->flags, (uint16_t)(seg->window >> SCRIPT_SCALE),
		      options, seg->block_count ? 4 + 8 * seg->block_count : 0,
		      seg->len);
}

#define SACK(...) \
	(const struct script_block[]){__VA_ARGS__}, \
	sizeof((const struct script_block[]){__VA_ARGS__}) / \
		sizeof(struct script_block)

static inline void ack_sack(struct script *s, uint32_t up_to,
			    const struct script_block *blocks, size_t count)
{
	struct script_segment seg = {.seq = s->peer_next, .ack = up_to,
				     .flags = F_ACK, .window = s->window,
				     .block_count = (unsigned)count};

	for (size_t i = 0; i < count; i++)
		seg.blocks[i] = blocks[i];
	script_send(s, &seg);
}

static inline void ack(struct script *s, uint32_t up_to)
{
	ack_sack(s, up_to, NULL, 0);
}

/* len bytes of the peer at seq; what is next moves on when they were next. */
static inline void data(struct script *s, uint32_t seq, uint16_t len,
			uint32_t ack_up_to)
{
	script_send(s, &(struct script_segment){
			       .seq = seq, .ack = ack_up_to, .len = len,
			       .flags = F_ACK | F_PSH, .window = s->window});
	if (seq == s->peer_next)
		s->peer_next += len;
}

/* -- what must have gone out ---------------------------------------------- */
static inline const struct script_segment *next_out(struct script *s)
{
	if (s->out_seen == s->out_count)
		fail_msg("nothing was sent");
	return &s->out[s->out_seen++];
}

static inline void sent(struct script *s, uint32_t seq, uint32_t len)
{
	const struct script_segment *seg = next_out(s);

	if (seg->seq != seq || seg->len != len)
		fail_msg("%u bytes at %u were sent, not %u at %u", seg->len,
			 seg->seq, len, seq);
}

static inline void nothing(const struct script *s)
{
	const struct script_segment *seg = &s->out[s->out_seen];

	if (s->out_seen < s->out_count)
		fail_msg("%u bytes at %u were sent, flags %x", seg->len,
			 seg->seq, seg->flags);
}

static inline void forget_sent(struct script *s)
{
	s->out_seen = s->out_count;
}

/* -- time ----------------------------------------------------------------- */
static inline void wait_us(struct script *s, uint64_t us)
{
	uint64_t limit = s->now_us + us;

	for (;;) {
		uint64_t due = stack_deadline_ms(s->s);

		if (due == UINT64_MAX || due * 1000 > limit)
			break;
		if (due * 1000 > s->now_us)
			s->now_us = due * 1000;
		stack_tick(s->s, s->now_us / 1000);
	}
	s->now_us = limit;
	stack_set_now(s->s, limit / 1000);
}

static inline void wait_ms(struct script *s, uint64_t ms)
{
	wait_us(s, ms * 1000);
}

/* -- the program ---------------------------------------------------------- */
static inline void script_pump(struct script *s)
{
	static const uint8_t zeros[16384];

	while (s->t && s->written < s->to_write) {
		size_t n = sizeof(zeros);

		if (n > s->to_write - s->written)
			n = (size_t)(s->to_write - s->written);
		n = stack_tcp_write(s->t, zeros, n);
		s->written += n;
		if (n == 0)
			break;
	}
	if (s->t)
		stack_tcp_flush(s->t);
}

static inline void script_write(struct script *s, uint64_t len)
{
	s->to_write += len;
	stack_set_now(s->s, s->now_us / 1000);
	script_pump(s);
}

static inline void script_connected(void *user)
{
	((struct script *)user)->is_up = true;
}

static inline void script_readable(void *user)
{
	struct script *s = user;
	struct iovec iov;
	int n;

	while ((n = stack_tcp_read_view(s->t, &iov, 1)) > 0) {
		s->read += iov.iov_len;
		stack_tcp_consume(s->t, iov.iov_len);
	}
	s->got_eof |= n < 0;
}

static inline void script_writable(void *user)
{
	script_pump(user);
}

static inline void script_gone(void *user, int err)
{
	struct script *s = user;

	s->is_over = true;
	s->err = err;
	s->t = NULL;
}

static inline uint64_t script_now_us(void *ctx)
{
	return ((struct script *)ctx)->now_us;
}

/* -- life ----------------------------------------------------------------- */
static inline void script_new(struct script *s, const char *congestion)
{
	static const struct stack_ops ops = {.output = script_output,
					     .now_us = script_now_us};
	struct ts_ip own, none = {0};

	memset(s, 0, sizeof(*s));
	s->now_us = 10 * 1000 * 1000;
	s->window = 4 * 1024 * 1024;
	s->s = stack_new(&ops, s, s->now_us / 1000);
	assert_non_null(s->s);
	assert_int_equal(stack_set_congestion(s->s, congestion), 0);
	assert_int_equal(ts_ip_parse("100.64.0.1", &own), 0);
	stack_set_addrs(s->s, &own, &none);
}

/* The peer answers after rtt_us with a window of 4 MB. */
static inline void script_dial(struct script *s, uint64_t rtt_us, bool has_sack)
{
	static const struct stack_tcp_ops tcp_ops = {
		.connected = script_connected, .readable = script_readable,
		.writable = script_writable, .gone = script_gone,
	};
	static const uint8_t with_sack[] = {2, 4, MSS >> 8, MSS & 0xff, 1, 3,
					    3, SCRIPT_SCALE, 1, 1, 4, 2};
	struct ts_addr to;
	int err;

	assert_int_equal(ts_addr_parse("100.64.0.2:80", &to), 0);
	s->t = stack_tcp_dial(s->s, &to, 0, &tcp_ops, s, s->now_us / 1000,
			      &err);
	assert_non_null(s->t);
	wait_us(s, rtt_us);
	script_packet(s, SCRIPT_PEER_ISN, s->isn + 1, F_SYN | F_ACK, 0xffff,
		      with_sack, has_sack ? sizeof(with_sack) : 8, 0);
	assert_true(s->is_up);
	ack(s, 0); /* the window, scaled */
	forget_sent(s);
}

static inline void script_open(struct script *s, const char *congestion,
			       uint64_t rtt_us, bool has_sack)
{
	script_new(s, congestion);
	script_dial(s, rtt_us, has_sack);
}

static inline void script_close(struct script *s)
{
	stack_free(s->s);
}

static inline struct stack_tcp_info script_info(const struct script *s)
{
	struct stack_tcp_info info;

	assert_non_null(s->t);
	assert_int_equal(stack_tcp_info(s->t, &info), 0);
	return info;
}

#endif
