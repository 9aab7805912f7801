/* SPDX-License-Identifier: BSD-3-Clause
 * tcp_sender.h - what to send, when, and again: loss detection and recovery
 *
 * The sending half of one connection without its bytes: told what was sent and
 * what the peer acknowledges, it says what may go out next and when to be
 * woken. All times are microseconds of one clock.
 */
#ifndef NETSTACK_TCP_SENDER_H
#define NETSTACK_TCP_SENDER_H

#include "netstack/sent_list.h"
#include "netstack/tcp_cc.h"
#include "netstack/tcp_rtt.h"

enum { TCP_SACKS_MAX = 4 };

struct tcp_range {
	uint32_t left, right;
};

/* What a segment of the peer says about ours. ack is not above nxt. */
struct tcp_ack {
	uint32_t ack;
	unsigned sack_count;
	struct tcp_range sacks[TCP_SACKS_MAX];
	/* It has no data and does not move the window: without SACK a sign
	 * that something is missing. */
	bool is_duplicate;
};

/* RACK: RFC 8985, sections 5 and 6 */
struct tcp_rack {
	uint64_t sent_us; /* of the newest segment known to have arrived */
	uint64_t due_us;  /* when the next is lost; 0: none */
	uint32_t end;	  /* of that segment */
	uint32_t rtt_us;
	uint32_t highest; /* end of what has arrived */
	uint32_t round_end; /* DSACKs count once until this is acknowledged */
	uint8_t window_steps, steps_kept;
	bool has_any, has_reordering, has_round;
};

struct tcp_sender {
	struct sent_list sent;
	struct tcp_rtt rtt;
	struct tcp_cc cc;
	struct tcp_rack rack;
	struct tcp_range seen[TCP_SACKS_MAX]; /* by the last ACK */
	uint32_t una, nxt;
	enum cc_state state;
	bool has_sack;
	uint8_t duplicates;

	/* delivery rate: draft-cheng-iccrg-delivery-rate-estimation */
	uint64_t delivered, delivered_us, first_sent_us;
	uint64_t app_limited_until; /* delivered bytes; 0: it is not */
	uint64_t rate;		    /* bytes/s, the last sample */

	/* recovery */
	uint32_t recovery_end, recovery_from;
	uint32_t prior_cwnd, prior_ssthresh;
	uint32_t undo_bytes; /* sent again and not proven needless */
	bool may_undo, has_resent;
	bool is_frto, frto_sends_new; /* was the time-out spurious? */
	uint32_t prr_delivered, prr_out, prr_flight;

	/* retransmission time-out */
	uint64_t rto_from_us;
	uint8_t backoff;

	/* tail loss probe */
	uint64_t probe_due_us; /* 0: none */
	uint32_t probe_end;
	bool wants_probe, has_probe, probe_was_resent;

	uint64_t pace_at_ns; /* when the next may go */
	bool is_paced_out;
	bool has_full_cwnd;
	uint32_t full_cwnd_until; /* acknowledged bytes below filled cwnd */
	uint64_t last_sent_us;
	uint32_t resent_segments, lost_segments;
};

/* turn: another one for each connection of a stack. */
void stack_sender_init(struct tcp_sender *s, const struct cc_ops *ops,
		       uint32_t una, uint32_t mss, bool has_sack,
		       uint32_t turn, uint64_t now_us);
void stack_sender_deinit(struct tcp_sender *s);
void stack_sender_set_cc(struct tcp_sender *s, const struct cc_ops *ops,
			 uint64_t now_us);
void stack_sender_set_mss(struct tcp_sender *s, uint32_t mss);

void stack_sender_ack(struct tcp_sender *s, const struct tcp_ack *ack,
		      uint64_t now_us);
/* Runs what is due. true: that was a time-out. */
bool stack_sender_tick(struct tcp_sender *s, uint64_t now_us);
/* There is reason to hope: after a time-out the next comes now, and others are
 * as short as the first. */
void stack_sender_try_again(struct tcp_sender *s, uint64_t now_us);
uint64_t stack_sender_deadline_us(const struct tcp_sender *s);
/* As long as it is now, back-off included. */
uint64_t stack_sender_timeout_us(const struct tcp_sender *s);

enum tcp_next { NEXT_NOTHING, NEXT_NEW, NEXT_AGAIN };
/* What may go out now: new_len bytes that were never sent and fit the peer's
 * window (0: there are none), or *id again. Each must then be reported. */
enum tcp_next stack_sender_next(struct tcp_sender *s, uint32_t new_len,
				uint64_t now_us, uint64_t *id);
/* Before sending anything new: 0 or -ENOMEM. */
int stack_sender_reserve(struct tcp_sender *s);
void stack_sender_sent(struct tcp_sender *s, uint32_t seq, uint32_t len,
		       void *segment, uint64_t now_us);
void stack_sender_resent(struct tcp_sender *s, uint64_t id, uint64_t now_us);
/* All there is has been sent, or the peer's window is full. */
void stack_sender_ran_dry(struct tcp_sender *s);

/* -- tcp_rack.c ----------------------------------------------------------- */
/* A segment has arrived; before its record changes. */
void stack_rack_arrived(struct tcp_sender *s, const struct stack_sent *sent,
			uint64_t now_us);
void stack_rack_saw_dsack(struct tcp_sender *s);
void stack_rack_recovered(struct tcp_sender *s);
/* Marks what is lost by now; its bytes. */
uint32_t stack_rack_find_lost(struct tcp_sender *s, uint64_t now_us);

static inline bool tcp_after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

#endif
