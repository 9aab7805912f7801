/* SPDX-License-Identifier: BSD-3-Clause
 * tcp_rack.c - which segments are lost, by time instead of by count
 * Source: RFC 8985 section 6
 *
 * When a segment has arrived, all that were sent a while before it should have,
 * too. "A while" is nothing until the path has been seen to reorder, then a
 * quarter of the least round trip, and more each time that a DSACK proves a
 * retransmission needless. As segments are looked at in order of transmission
 * and the first that is not late ends it, the cost is that of the losses.
 */
#include "netstack/tcp_sender.h"

enum {
	DUPLICATES = 3,	   /* SACKed segments that stand for certainty */
	STEPS_KEPT = 16,   /* recoveries that a wider window is kept for */
	STEPS_MAX = 255,
};

static bool sent_after(uint64_t a_us, uint32_t a_end, uint64_t b_us,
		       uint32_t b_end)
{
	return a_us > b_us || (a_us == b_us && tcp_after(a_end, b_end));
}

static void note_order(struct tcp_sender *s, const struct stack_sent *sent)
{
	struct tcp_rack *r = &s->rack;
	uint32_t end = sent->seq + sent->len;

	if (!r->has_any || tcp_after(end, r->highest))
		r->highest = end;
	else if (tcp_after(r->highest, end) && !sent->was_resent)
		r->has_reordering = true;
}

void stack_rack_arrived(struct tcp_sender *s, const struct stack_sent *sent,
			uint64_t now_us)
{
	struct tcp_rack *r = &s->rack;
	uint32_t end = sent->seq + sent->len;
	uint64_t trip_us = now_us - sent->sent_us;

	note_order(s, sent);
	/* Sooner than light: it was the first copy that arrived. */
	if (sent->was_resent && trip_us < stack_rtt_min(&s->rtt))
		return;
	if (r->has_any && !sent_after(sent->sent_us, end, r->sent_us, r->end))
		return;
	r->has_any = true;
	r->sent_us = sent->sent_us;
	r->end = end;
	r->rtt_us = (uint32_t)(trip_us < UINT32_MAX ? trip_us : UINT32_MAX);
}

void stack_rack_saw_dsack(struct tcp_sender *s)
{
	struct tcp_rack *r = &s->rack;

	if (s->may_undo && !s->is_frto)
		r->has_reordering = true;
	if (r->has_round && tcp_after(r->round_end, s->una))
		return;
	r->has_round = true;
	r->round_end = s->nxt;
	r->steps_kept = STEPS_KEPT;
	if (r->window_steps < STEPS_MAX)
		r->window_steps++;
}

void stack_rack_recovered(struct tcp_sender *s)
{
	struct tcp_rack *r = &s->rack;

	if (r->steps_kept > 0 && --r->steps_kept == 0)
		r->window_steps = 0;
}

static uint64_t reordering_window(const struct tcp_sender *s)
{
	const struct tcp_rack *r = &s->rack;
	uint64_t window;

	if (!r->has_reordering &&
	    (s->state != CC_OPEN || s->sent.sacked_count >= DUPLICATES))
		return 0;
	window = (uint64_t)stack_rtt_min(&s->rtt) / 4 * (1u + r->window_steps);
	return window < s->rtt.srtt_us ? window : s->rtt.srtt_us;
}

uint32_t stack_rack_find_lost(struct tcp_sender *s, uint64_t now_us)
{
	struct tcp_rack *r = &s->rack;
	uint64_t late_us = r->rtt_us + reordering_window(s);
	uint32_t lost = 0;

	r->due_us = 0;
	while (r->has_any && s->sent.oldest != SENT_NONE) {
		uint64_t id = s->sent.oldest;
		const struct stack_sent *sent = stack_sent_at(&s->sent, id);

		if (!sent_after(r->sent_us, r->end, sent->sent_us,
				sent->seq + sent->len))
			break;
		if (sent->sent_us + late_us > now_us) {
			r->due_us = sent->sent_us + late_us;
			break;
		}
		lost += sent->len;
		s->lost_segments++;
		stack_sent_set_lost(&s->sent, id);
	}
	return lost;
}
