/* SPDX-License-Identifier: BSD-3-Clause
 * tcp_rtt.h - the round trip in microseconds, and the time-out made from it */
#ifndef NETSTACK_TCP_RTT_H
#define NETSTACK_TCP_RTT_H

#include <stdint.h>

struct tcp_rtt {
	uint32_t srtt_us, var_us; /* 0: no trip yet */
	uint32_t latest_us;
	/* The least of the last minute or so: of the current half and of the
	 * one before. */
	uint32_t min_us, min_old_us;
	uint64_t half_from_us;
};

/* One ACK: the trip of the first segment it was for (which the peer may have
 * kept waiting), and of the last one. */
void stack_rtt_add(struct tcp_rtt *r, uint64_t first_us, uint64_t last_us,
		   uint64_t now_us);
uint32_t stack_rtt_min(const struct tcp_rtt *r); /* 0: no trip yet */
/* Without back-off. */
uint32_t stack_rtt_timeout(const struct tcp_rtt *r);

#endif
