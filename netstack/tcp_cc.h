/* SPDX-License-Identifier: BSD-3-Clause
 * tcp_cc.h - congestion control: how much may be on its way, and how fast
 *
 * Pure arithmetic on what tcp_sender.c tells; bytes and microseconds. A
 * controller that paces sets pacing_rate; one that has is_own_recovery sets
 * cwnd in a recovery, too, where for others tcp_sender.c reduces it in
 * proportion (PRR).
 */
#ifndef NETSTACK_TCP_CC_H
#define NETSTACK_TCP_CC_H

#include <stdbool.h>
#include <stdint.h>

enum {
	CC_CWND_FIRST = 10,		     /* segments, RFC 6928 */
	CC_CWND_MIN = 2,		     /* segments */
	CC_CWND_MAX_BYTES = 64 * 1024 * 1024,
};

enum cc_state { CC_OPEN, CC_RECOVERY, CC_LOSS /* after a time-out */ };

/* One ACK. */
struct cc_ack {
	uint64_t now_us;
	uint32_t delivered; /* bytes, by this ACK: acknowledged or SACKed */
	uint32_t lost;	    /* bytes, found lost by it */
	uint32_t flight_before, flight;
	uint32_t una, nxt;
	uint32_t rtt_us;    /* 0: it measured none */
	uint32_t srtt_us;
	uint64_t total_delivered; /* bytes, all in all */
	/* The delivery rate: of how many bytes, in how long (0: no sample),
	 * and total_delivered when the sample's segment was sent. */
	uint32_t sample_bytes;
	uint64_t sample_us;
	uint64_t sample_prior;
	bool is_app_limited; /* the sample */
	bool is_cwnd_limited;
};

/* The greatest (or least) of a window: the best three, oldest last in line. */
struct cc_best {
	struct {
		uint64_t value, at;
	} best[3];
};
void stack_best_max(struct cc_best *b, uint64_t window, uint64_t at,
		    uint64_t value);

struct cc_cubic {
	double w_max, k_s, w_est; /* segments, seconds */
	double origin;
	uint64_t epoch_us; /* 0: begins with the next ACK */
	uint32_t cwnd_prior;
	double acked; /* segments since cwnd grew */
	/* HyStart++ */
	uint32_t round_end;
	uint32_t round_min_us, last_min_us; /* UINT32_MAX: none */
	uint32_t css_base_us;
	uint8_t samples, css_rounds;
	bool is_css, has_round, has_left_slow_start;
	/* before the last reduction */
	double undo_w_max;
};

struct cc_bbr {
	struct cc_best bw; /* bytes/s, by rounds */
	uint64_t rounds, next_round_delivered;
	uint64_t min_rtt_at_us, cycle_at_us, probe_rtt_done_us;
	uint64_t full_bw;
	uint32_t min_rtt_us, prior_cwnd;
	uint8_t mode, cycle, full_bw_rounds;
	bool is_round_start, has_full_bw, is_idle_restart, is_conserving;
	bool probe_rtt_round_done, has_rtt;
	/* how much more than the rate allows arrives at once */
	uint64_t extra_from_us, extra_acked;
	uint32_t extra[2];
	uint8_t extra_index, extra_rounds;
	uint32_t cycle_random;
	uint8_t state; /* enum cc_state, as seen last */
	/* does the path look longer than min_rtt_us? */
	uint64_t doubt_from_us, rate_in_doubt;
	uint32_t round_rtt_us, rtt_in_doubt_us; /* 0: none */
	uint8_t long_rounds;
};

struct tcp_cc {
	const struct cc_ops *ops;
	uint32_t mss;
	uint32_t turn; /* sets connections that begin together apart */
	uint32_t cwnd, ssthresh; /* bytes */
	uint64_t pacing_rate;	 /* bytes/s; 0: not paced */
	union {
		struct cc_cubic cubic;
		struct cc_bbr bbr;
	};
};

struct cc_ops {
	const char *name;
	bool is_own_recovery;
	/* cwnd, ssthresh and mss are set. srtt_us 0: not known. */
	void (*init)(struct tcp_cc *cc, uint32_t srtt_us, uint64_t now_us);
	/* ssthresh for a loss that was just found. */
	uint32_t (*reduced)(struct tcp_cc *cc, uint32_t flight);
	void (*ack)(struct tcp_cc *cc, const struct cc_ack *ack,
		    enum cc_state state);
	/* before cwnd is changed for it */
	void (*set_state)(struct tcp_cc *cc, enum cc_state state,
			  uint32_t flight);
	/* The reduction was for nothing; cwnd and ssthresh are back. */
	void (*undo)(struct tcp_cc *cc);
	/* Sends again after silence. */
	void (*restart)(struct tcp_cc *cc, uint64_t idle_us, uint64_t now_us);
};

extern const struct cc_ops stack_cc_cubic, stack_cc_bbr;
/* NULL: no such. */
const struct cc_ops *stack_cc_find(const char *name);

static inline uint32_t stack_cc_bound(const struct tcp_cc *cc, uint64_t cwnd)
{
	uint32_t least = CC_CWND_MIN * cc->mss;

	if (cwnd > CC_CWND_MAX_BYTES)
		return CC_CWND_MAX_BYTES;
	return cwnd < least ? least : (uint32_t)cwnd;
}

#endif
