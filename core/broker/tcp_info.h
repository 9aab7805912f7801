/* SPDX-License-Identifier: BSD-3-Clause
 * tcp_info.h - TCP_INFO, as the connection through the tunnel has it
 */
#ifndef CORE_BROKER_TCP_INFO_H
#define CORE_BROKER_TCP_INFO_H

#include "core/broker/broker_wire.h"

/* libc's struct tcp_info is old and short, or not as the kernel has it (musl),
 * so the kernel's is written down here: it only ever grows at its end, and what
 * a program asks for may be any part of it. */
struct ts_tcp_info {
	uint8_t state, ca_state, retransmits, probes, backoff, options;
	uint8_t window_scales; /* send | receive, four bits each */
	uint8_t flags;
	uint32_t rto, ato, snd_mss, rcv_mss;
	uint32_t unacked, sacked, lost, retrans, fackets;
	uint32_t last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
	uint32_t pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd;
	uint32_t advmss, reordering, rcv_rtt, rcv_space, total_retrans;
	uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
	uint32_t segs_out, segs_in, notsent_bytes, min_rtt;
	uint32_t data_segs_in, data_segs_out;
	uint64_t delivery_rate, busy_time, rwnd_limited, sndbuf_limited;
	uint32_t delivered, delivered_ce;
	uint64_t bytes_sent, bytes_retrans;
	uint32_t dsack_dups, reord_seen, rcv_ooopack, snd_wnd;
	uint8_t newer[256]; /* of kernels to come: theirs */
};

/* info: as the kernel filled it, zeros where it did not. */
void ts_tcp_info_overlay(const struct ts_tunnel_info *tunnel,
			 struct ts_tcp_info *info);

#endif
