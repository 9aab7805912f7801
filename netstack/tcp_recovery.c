/* SPDX-License-Identifier: BSD-3-Clause
 * tcp_recovery.c - what an ACK means: arrivals, losses, the window after them
 * Source: RFC 2018 and 2883 (SACK, DSACK), RFC 6675, RFC 6937 (PRR), RFC 5682
 * (F-RTO), RFC 8985 section 7.4 (a loss that a probe repaired),
 * draft-cheng-iccrg-delivery-rate-estimation
 *
 * One pass: segments that arrived leave the scoreboard or are marked, each once
 * (blocks that the last ACK named, too, are skipped); then the late ones are
 * looked for; then the state moves; then the window. A loss opens a recovery
 * that lasts until all that was in flight is acknowledged, and takes from the
 * window once, in proportion to what still arrives. When it turns out that
 * nothing was lost - each retransmission is answered by a DSACK, or after a
 * time-out the first answer is for segments that were not sent again - the
 * window is as it was.
 */
#include "netstack/tcp_recovery.h"

#include <stddef.h>
#include <string.h>

enum { DUPLICATES_MAX = 3 };

/* One ACK while it is worked on. */
struct work {
	const struct tcp_ack *ack;
	uint64_t now_us;
	uint32_t una_before, flight_before;
	uint32_t delivered, lost; /* bytes */
	bool has_original; /* something arrived that was sent only once */
	bool has_dsack;
	uint64_t first_trip_us, last_trip_us;
	bool has_trip;
	struct stack_sent newest; /* of what arrived, by transmission */
	bool has_newest;
};

/* -- arrivals ------------------------------------------------------------- */
static void take_sample(struct tcp_sender *s, struct work *w,
			const struct stack_sent *sent)
{
	if (w->has_newest &&
	    (sent->sent_us < w->newest.sent_us ||
	     (sent->sent_us == w->newest.sent_us &&
	      tcp_after(w->newest.seq, sent->seq))))
		return;
	w->has_newest = true;
	w->newest = *sent;
	s->first_sent_us = sent->sent_us;
}

static void arrived(struct tcp_sender *s, struct work *w,
		    const struct stack_sent *sent)
{
	w->delivered += sent->len;
	s->delivered += sent->len;
	take_sample(s, w, sent);
	stack_rack_arrived(s, sent, w->now_us);
	if (sent->was_resent)
		return;
	if (!tcp_after(sent->seq + sent->len, s->recovery_end))
		w->has_original = true;
	w->last_trip_us = w->now_us - sent->sent_us;
	if (!w->has_trip)
		w->first_trip_us = w->last_trip_us;
	w->has_trip = true;
}

static void take_acknowledged(struct tcp_sender *s, struct work *w)
{
	uint32_t ack = w->ack->ack;

	while (!stack_sent_is_empty(&s->sent)) {
		const struct stack_sent *sent =
			stack_sent_at(&s->sent, s->sent.first);

		if (tcp_after(sent->seq + sent->len, ack))
			break;
		if (sent->state != SENT_SACKED)
			arrived(s, w, sent);
		stack_sent_pop(&s->sent);
	}
	if (tcp_after(ack, s->una))
		s->una = ack;
}

/* -- SACK ----------------------------------------------------------------- */
/* Segments that are wholly within the block, and begin or end in from..to. */
static void mark_range(struct tcp_sender *s, struct work *w,
		       const struct tcp_range *block, uint32_t from,
		       uint32_t to)
{
	for (uint64_t id = stack_sent_find(&s->sent, from); id < s->sent.end;
	     id++) {
		const struct stack_sent *sent = stack_sent_at(&s->sent, id);

		if (!tcp_after(to, sent->seq) ||
		    tcp_after(sent->seq + sent->len, block->right))
			break;
		if (tcp_after(block->left, sent->seq) ||
		    sent->state == SENT_SACKED)
			continue;
		arrived(s, w, sent);
		stack_sent_set_sacked(&s->sent, id);
	}
}

/* Less what the last ACK said already. */
static void mark_new(struct tcp_sender *s, struct work *w,
		     const struct tcp_range *block)
{
	for (int i = 0; i < TCP_SACKS_MAX; i++) {
		const struct tcp_range *old = &s->seen[i];

		if (old->left == old->right ||
		    tcp_after(block->left, old->right) ||
		    tcp_after(old->left, block->right))
			continue;
		if (tcp_after(old->left, block->left))
			mark_range(s, w, block, block->left, old->left);
		if (tcp_after(block->right, old->right))
			mark_range(s, w, block, old->right, block->right);
		return;
	}
	mark_range(s, w, block, block->left, block->right);
}

static bool is_valid(const struct tcp_sender *s, const struct tcp_range *block)
{
	return tcp_after(block->right, block->left) &&
	       !tcp_after(s->una, block->left) &&
	       !tcp_after(block->right, s->nxt);
}

static void take_dsack(struct tcp_sender *s, struct work *w,
		       const struct tcp_range *block)
{
	uint32_t len = block->right - block->left;

	if (!tcp_after(block->right, block->left) ||
	    tcp_after(block->right, s->nxt))
		return;
	w->has_dsack = true;
	stack_rack_saw_dsack(s);
	if (s->may_undo && !tcp_after(s->recovery_from, block->left))
		s->undo_bytes -= len < s->undo_bytes ? len : s->undo_bytes;
}

/* The first block tells of a duplicate when the ACK, or the second block, has
 * it already (RFC 2883 section 4). */
static bool is_dsack(const struct tcp_ack *ack)
{
	const struct tcp_range *b = ack->sacks;

	if (ack->sack_count == 0)
		return false;
	if (!tcp_after(b[0].right, ack->ack))
		return true;
	return ack->sack_count > 1 && !tcp_after(b[1].left, b[0].left) &&
	       !tcp_after(b[0].right, b[1].right);
}

static void take_sacks(struct tcp_sender *s, struct work *w)
{
	const struct tcp_ack *ack = w->ack;
	struct tcp_range seen[TCP_SACKS_MAX] = {0};
	unsigned from = is_dsack(ack);

	if (from)
		take_dsack(s, w, &ack->sacks[0]);
	for (unsigned i = from; i < ack->sack_count; i++) {
		if (!is_valid(s, &ack->sacks[i]))
			continue;
		mark_new(s, w, &ack->sacks[i]);
		seen[i] = ack->sacks[i];
	}
	if (ack->sack_count || w->una_before != s->una)
		memcpy(s->seen, seen, sizeof(seen));
}

/* -- without SACK (RFC 6582) ---------------------------------------------- */
static void lose_first(struct tcp_sender *s, struct work *w)
{
	const struct stack_sent *sent;

	if (stack_sent_is_empty(&s->sent))
		return;
	sent = stack_sent_at(&s->sent, s->sent.first);
	if (sent->state != SENT_IN_FLIGHT)
		return;
	w->lost += sent->len;
	s->lost_segments++;
	stack_sent_set_lost(&s->sent, s->sent.first);
}

static void count_duplicates(struct tcp_sender *s, struct work *w)
{
	if (s->una != w->una_before) {
		s->duplicates = 0;
		if (s->state == CC_RECOVERY && tcp_after(s->recovery_end,
							 s->una))
			lose_first(s, w);
	} else if (w->ack->is_duplicate &&
		   !stack_sent_is_empty(&s->sent)) {
		w->delivered = s->cc.mss;
		if (s->duplicates < DUPLICATES_MAX &&
		    ++s->duplicates == DUPLICATES_MAX &&
		    s->state == CC_OPEN)
			lose_first(s, w);
	}
}

/* -- states --------------------------------------------------------------- */
static void set_state(struct tcp_sender *s, enum cc_state state)
{
	s->state = state;
	s->cc.ops->set_state(&s->cc, state, s->sent.flight_bytes);
}

static void note_before(struct tcp_sender *s)
{
	s->prior_cwnd = s->cc.cwnd;
	s->prior_ssthresh = s->cc.ssthresh;
	s->recovery_from = s->una;
	s->undo_bytes = 0;
	s->has_resent = false;
	s->may_undo = true;
}

static void enter_recovery(struct tcp_sender *s, uint32_t flight)
{
	note_before(s);
	s->recovery_end = s->nxt;
	s->prr_delivered = s->prr_out = 0;
	s->prr_flight = flight ? flight : 1;
	s->cc.ssthresh = s->cc.ops->reduced(&s->cc, flight);
	s->has_probe = s->wants_probe = false;
	set_state(s, CC_RECOVERY);
}

/* What is still marked lost is on its way, it seems. */
static void undo(struct tcp_sender *s)
{
	uint64_t id;

	if (s->cc.cwnd < s->prior_cwnd)
		s->cc.cwnd = s->prior_cwnd;
	if (s->cc.ssthresh < s->prior_ssthresh)
		s->cc.ssthresh = s->prior_ssthresh;
	s->may_undo = s->is_frto = s->frto_sends_new = false;
	while ((id = stack_sent_next_lost(&s->sent)) != SENT_NONE)
		stack_sent_set_found(&s->sent, id);
	s->cc.ops->undo(&s->cc);
	set_state(s, CC_OPEN);
}

static bool was_for_nothing(const struct tcp_sender *s, const struct work *w)
{
	if (!s->may_undo)
		return false;
	if (s->has_resent && s->undo_bytes == 0 && w->has_dsack)
		return true;
	return s->state == CC_LOSS && s->is_frto && w->has_original;
}

static void end_recovery(struct tcp_sender *s)
{
	if (s->state == CC_RECOVERY && !s->cc.ops->is_own_recovery)
		s->cc.cwnd = stack_cc_bound(&s->cc, s->cc.ssthresh);
	stack_rack_recovered(s);
	set_state(s, CC_OPEN);
}

/* F-RTO: the first ACK after a time-out has only the segment that was sent
 * again. New data follow, and the next ACK decides. */
static void follow_frto(struct tcp_sender *s, const struct work *w)
{
	bool is_first = s->una != w->una_before && !s->frto_sends_new;

	s->frto_sends_new = s->is_frto && is_first;
	if (s->una != w->una_before || w->delivered)
		s->is_frto = s->frto_sends_new;
}

static void move_state(struct tcp_sender *s, const struct work *w)
{
	if (was_for_nothing(s, w))
		undo(s);
	follow_frto(s, w);
	if (s->state != CC_OPEN && !tcp_after(s->recovery_end, s->una))
		end_recovery(s);
	if (s->state == CC_OPEN && s->sent.lost_count)
		enter_recovery(s, w->flight_before);
}

/* A probe that was a retransmission is answered. When it filled a hole, that
 * was a loss like any other; else both copies are reported. */
static void judge_probe(struct tcp_sender *s, const struct work *w)
{
	const struct tcp_ack *ack = w->ack;

	if (!s->has_probe || tcp_after(s->probe_end, ack->ack))
		return;
	if (!s->probe_was_resent || w->has_dsack ||
	    (ack->ack == s->probe_end && s->una == w->una_before)) {
		s->has_probe = false;
	} else if (tcp_after(ack->ack, s->probe_end)) {
		s->has_probe = false;
		s->cc.ssthresh = s->cc.ops->reduced(&s->cc, w->flight_before);
		if (!s->cc.ops->is_own_recovery)
			s->cc.cwnd = stack_cc_bound(&s->cc, s->cc.ssthresh);
	}
}

/* -- the window ----------------------------------------------------------- */
static void reduce_in_proportion(struct tcp_sender *s, const struct work *w)
{
	uint32_t flight = s->sent.flight_bytes, ssthresh = s->cc.ssthresh;
	int64_t room, spare;

	s->prr_delivered += w->delivered;
	spare = (int64_t)s->prr_delivered - s->prr_out;
	if (flight > ssthresh) {
		room = (int64_t)(((uint64_t)s->prr_delivered * ssthresh +
				  s->prr_flight - 1) / s->prr_flight) -
		       s->prr_out;
	} else {
		room = spare > w->delivered ? spare : w->delivered;
		if (s->una != w->una_before && w->lost == 0)
			room += s->cc.mss;
		if (room > ssthresh - flight)
			room = ssthresh - flight;
	}
	if (s->prr_out == 0 && room < s->cc.mss)
		room = s->cc.mss;
	s->cc.cwnd = flight + (uint32_t)(room > 0 ? room : 0);
}

static void fill_rate(struct tcp_sender *s, const struct work *w,
		      struct cc_ack *out)
{
	const struct stack_sent *sent = &w->newest;
	uint64_t sending_us, arriving_us;

	if (!w->has_newest)
		return;
	sending_us = sent->sent_us - sent->first_sent_us;
	arriving_us = w->now_us - sent->delivered_us;
	out->sample_prior = sent->delivered;
	out->is_app_limited = sent->is_app_limited;
	out->sample_us = sending_us > arriving_us ? sending_us : arriving_us;
	out->sample_bytes = (uint32_t)(s->delivered - sent->delivered);
	/* Shorter than a round trip: ACKs that came in a heap. */
	if (out->sample_us < stack_rtt_min(&s->rtt))
		out->sample_us = 0;
	if (out->sample_us)
		s->rate = out->sample_bytes * 1000000ull / out->sample_us;
}

static bool filled_cwnd(struct tcp_sender *s, const struct work *w)
{
	if (s->has_full_cwnd && !tcp_after(s->full_cwnd_until, w->una_before))
		s->has_full_cwnd = false;
	return s->has_full_cwnd;
}

static void tell_cc(struct tcp_sender *s, const struct work *w)
{
	struct cc_ack out = {
		.now_us = w->now_us,
		.delivered = w->delivered,
		.lost = w->lost,
		.flight_before = w->flight_before,
		.flight = s->sent.flight_bytes,
		.una = s->una,
		.nxt = s->nxt,
		.rtt_us = w->has_trip ? s->rtt.latest_us : 0,
		.srtt_us = s->rtt.srtt_us,
		.total_delivered = s->delivered,
		.is_cwnd_limited = filled_cwnd(s, w),
	};

	fill_rate(s, w, &out);
	if (s->state == CC_RECOVERY && !s->cc.ops->is_own_recovery)
		reduce_in_proportion(s, w);
	else
		s->cc.ops->ack(&s->cc, &out, s->state);
}

/* -- the whole ------------------------------------------------------------ */
void stack_recovery_ack(struct tcp_sender *s, const struct tcp_ack *ack,
			uint64_t now_us)
{
	struct work w = {
		.ack = ack,
		.now_us = now_us,
		.una_before = s->una,
		.flight_before = s->sent.flight_bytes,
	};

	take_acknowledged(s, &w);
	if (s->has_sack)
		take_sacks(s, &w);
	if (w.has_trip)
		stack_rtt_add(&s->rtt, w.first_trip_us, w.last_trip_us, now_us);
	if (w.has_newest)
		s->delivered_us = now_us;
	if (s->app_limited_until && s->delivered > s->app_limited_until)
		s->app_limited_until = 0;
	if (!s->has_sack)
		count_duplicates(s, &w);
	else if (w.has_newest)
		w.lost = stack_rack_find_lost(s, now_us);
	judge_probe(s, &w);
	move_state(s, &w);
	if (w.delivered || w.lost)
		tell_cc(s, &w);
}

void stack_recovery_found_lost(struct tcp_sender *s)
{
	struct work w = {.una_before = s->una};

	if (s->state != CC_OPEN || s->sent.lost_count == 0)
		return;
	enter_recovery(s, s->sent.flight_bytes + s->sent.lost_bytes);
	if (!s->cc.ops->is_own_recovery)
		reduce_in_proportion(s, &w);
}

/* A peer may take back what it SACKed (RFC 2018 section 8): when the first
 * segment is one of these it has. */
static void lose_all(struct tcp_sender *s)
{
	bool has_reneged = stack_sent_at(&s->sent, s->sent.first)->state ==
			   SENT_SACKED;

	for (uint64_t id = s->sent.first; id < s->sent.end; id++) {
		int state = stack_sent_at(&s->sent, id)->state;

		if (state == SENT_IN_FLIGHT)
			s->lost_segments++;
		if (state == SENT_IN_FLIGHT ||
		    (state == SENT_SACKED && has_reneged))
			stack_sent_set_lost(&s->sent, id);
	}
	memset(s->seen, 0, sizeof(s->seen));
}

void stack_recovery_timeout(struct tcp_sender *s)
{
	uint32_t flight = s->sent.flight_bytes + s->sent.lost_bytes;
	bool is_first = s->state == CC_OPEN ||
			!tcp_after(s->recovery_end, s->una);

	if (is_first) {
		note_before(s);
		s->cc.ssthresh = s->cc.ops->reduced(&s->cc, flight);
	}
	s->is_frto = is_first && s->has_sack;
	s->frto_sends_new = false;
	s->recovery_end = s->nxt;
	lose_all(s);
	set_state(s, CC_LOSS);
	s->cc.cwnd = s->cc.mss;
}
