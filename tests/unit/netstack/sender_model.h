/* SPDX-License-Identifier: BSD-3-Clause
 * sender_model.h - a tcp_sender under any orders, and what must hold all along
 *
 * Each order is a few bytes of a stream: from a fuzzer, or from a generator.
 */
#ifndef TESTS_SENDER_MODEL_H
#define TESTS_SENDER_MODEL_H

#include <stdlib.h>
#include <string.h>

#include "core/base/wire.h"
#include "netstack/tcp_sender.h"

enum { MODEL_MSS = 1000, MODEL_IN_FLIGHT_MAX = 3000 };

struct sender_model {
	struct tcp_sender s;
	uint64_t now_us;
	uint64_t resent, sent;
};

#define MODEL_CHECK(what) \
	do { \
		if (!(what)) \
			abort(); \
	} while (0)

/* Sums and links are those of the records. */
static inline void model_check(const struct sender_model *m)
{
	const struct sent_list *l = &m->s.sent;
	uint64_t flight = 0, lost = 0, sacked = 0, count = 0, linked = 0;
	uint32_t at = m->s.una;

	for (uint64_t id = l->first; id < l->end; id++) {
		const struct stack_sent *sent = stack_sent_at(l, id);

		if (id != l->first)
			MODEL_CHECK(sent->seq == at);
		at = sent->seq + sent->len;
		flight += sent->state == SENT_IN_FLIGHT ? sent->len : 0;
		lost += sent->state == SENT_LOST ? sent->len : 0;
		sacked += sent->state == SENT_SACKED ? sent->len : 0;
		count += sent->state == SENT_IN_FLIGHT;
		MODEL_CHECK(sent->state != SENT_LOST || id >= l->lost_from);
	}
	MODEL_CHECK(at == m->s.nxt || stack_sent_is_empty(l));
	MODEL_CHECK(flight == l->flight_bytes && lost == l->lost_bytes &&
		    sacked == l->sacked_bytes);
	for (uint64_t id = l->oldest, before = SENT_NONE; id != SENT_NONE;
	     id = stack_sent_at(l, id)->newer) {
		MODEL_CHECK(stack_sent_at(l, id)->older == before);
		MODEL_CHECK(stack_sent_at(l, id)->state == SENT_IN_FLIGHT);
		before = id;
		MODEL_CHECK(++linked <= count);
	}
	MODEL_CHECK(linked == count);
	MODEL_CHECK(m->s.cc.cwnd <= CC_CWND_MAX_BYTES);
	MODEL_CHECK(!stack_sent_is_empty(l) ||
		    (flight == 0 && l->oldest == SENT_NONE));
}

static inline void model_send(struct sender_model *m, unsigned most,
			      uint32_t len)
{
	struct tcp_sender *s = &m->s;
	uint64_t id;

	for (unsigned i = 0; i < most; i++) {
		bool is_full = s->sent.end - s->sent.first >=
			       MODEL_IN_FLIGHT_MAX;

		switch (stack_sender_next(s, is_full ? 0 : len, m->now_us,
					  &id)) {
		case NEXT_NEW:
			MODEL_CHECK(!is_full);
			if (stack_sender_reserve(s))
				return;
			stack_sender_sent(s, s->nxt, len, NULL, m->now_us);
			m->sent++;
			break;
		case NEXT_AGAIN:
			MODEL_CHECK(id >= s->sent.first && id < s->sent.end);
			stack_sender_resent(s, id, m->now_us);
			m->resent++;
			break;
		default:
			stack_sender_ran_dry(s);
			return;
		}
	}
}

/* A place between a little before una and a little behind nxt. */
static inline uint32_t model_place(struct ts_reader *r,
				   const struct tcp_sender *s)
{
	uint32_t span = s->nxt - s->una + 4 * MODEL_MSS;
	uint32_t at = (uint32_t)(ts_read_be16(r) * (uint64_t)span / 65536);

	if (at % 4) /* mostly where segments begin */
		at -= at % MODEL_MSS;
	return s->una - 2 * MODEL_MSS + at;
}

static inline void model_ack(struct sender_model *m, struct ts_reader *r)
{
	struct tcp_sender *s = &m->s;
	uint8_t how = ts_read_u8(r);
	struct tcp_ack ack = {.ack = s->una, .sack_count = how & 3u,
			      .is_duplicate = how & 4};

	if (how & 8) {
		ack.ack = model_place(r, s);
		if (tcp_after(ack.ack, s->nxt))
			ack.ack = s->nxt;
	}
	for (unsigned i = 0; i < ack.sack_count; i++) {
		ack.sacks[i].left = model_place(r, s);
		ack.sacks[i].right = model_place(r, s);
	}
	stack_sender_ack(s, &ack, m->now_us);
}

static inline void model_order(struct sender_model *m, struct ts_reader *r)
{
	uint8_t order = ts_read_u8(r);

	switch (order % 8) {
	case 0:
		m->now_us += ts_read_be16(r);
		break;
	case 1:
		m->now_us += ts_read_u8(r) * 10000u;
		break;
	case 2: {
		uint64_t due = stack_sender_deadline_us(&m->s);

		if (due != UINT64_MAX && due > m->now_us)
			m->now_us = due;
		break;
	}
	case 3:
		model_send(m, 1u + order / 8, ts_read_u8(r) % 7 ? MODEL_MSS : 7);
		break;
	default:
		model_ack(m, r);
	}
	stack_sender_tick(&m->s, m->now_us);
	model_send(m, 4, MODEL_MSS);
}

static inline void model_run(struct ts_reader *r)
{
	struct sender_model m = {.now_us = 1000000};
	uint8_t how = ts_read_u8(r);

	stack_sender_init(&m.s, how & 1 ? &stack_cc_bbr : &stack_cc_cubic,
			  ts_read_be32(r), MODEL_MSS, how & 2, m.now_us);
	while (r->left > 0) {
		model_order(&m, r);
		model_check(&m);
	}
	/* Everything arrives in the end. */
	m.now_us += 1000;
	stack_sender_ack(&m.s, &(struct tcp_ack){.ack = m.s.nxt}, m.now_us);
	MODEL_CHECK(stack_sent_is_empty(&m.s.sent));
	MODEL_CHECK(m.s.state == CC_OPEN);
	model_check(&m);
	stack_sender_deinit(&m.s);
}

#endif
