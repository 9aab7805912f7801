/* SPDX-License-Identifier: BSD-3-Clause
 * cc_bbr.h - what the two halves of BBR share
 */
#ifndef NETSTACK_CC_BBR_H
#define NETSTACK_CC_BBR_H

#include "netstack/tcp_cc.h"

enum bbr_mode { BBR_STARTUP, BBR_DRAIN, BBR_PROBE_BW, BBR_PROBE_RTT };

enum {
	BBR_BW_ROUNDS = 10,
	BBR_CWND_LEAST = 4, /* segments */
};

/* cc_bbr.c */
void stack_bbr_begin_probe_bw(struct tcp_cc *cc, uint64_t now_us);
/* What the window shall be again after PROBE_RTT or a recovery. */
void stack_bbr_save_cwnd(struct tcp_cc *cc);

/* cc_bbr_rtt.c; the last one if its time has come. */
void stack_bbr_update_min_rtt(struct tcp_cc *cc, const struct cc_ack *ack);
void stack_bbr_end_probe_rtt(struct tcp_cc *cc, uint64_t now_us);

#endif
