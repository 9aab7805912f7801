/* SPDX-License-Identifier: BSD-3-Clause
 * tcp_info.c - TCP_INFO, as the connection through the tunnel has it
 *
 * The kernel's answer is about the loopback hop. What says something about the
 * way to the far end - round trip, losses, windows, segment sizes - is replaced
 * by what the host says of the tunnel's connection; what is counted at the
 * program's end (times since the last byte, its buffers) stays; what the tunnel
 * does not measure is 0, the kernel's "not known".
 */
#include "core/broker/tcp_info.h"

#include <netinet/tcp.h>
#include <stddef.h>

_Static_assert(offsetof(struct ts_tcp_info, pacing_rate) == 104 &&
		       offsetof(struct ts_tcp_info, newer) == 232,
	       "the kernel's layout");

enum {
	CA_OPEN = 0,
	CA_RECOVERY = 3,
	CA_LOSS = 4,
	OPTION_SACK = 2,
	OPTION_SCALE = 4,
	SCALE_MAX = 15,
};

/* Our own FIN the program's kernel knows first, the far end's the tunnel. */
static uint8_t joint_state(uint8_t native, uint8_t tunnel)
{
	if (tunnel != TCP_ESTABLISHED)
		return tunnel;
	return native == TCP_FIN_WAIT2 ? TCP_FIN_WAIT1 : native;
}

/* Low four bits first, where bit fields grow from there. */
static uint8_t pack_scales(const struct ts_tunnel_info *t)
{
	uint8_t send = t->send_scale > SCALE_MAX ? SCALE_MAX : t->send_scale;
	uint8_t receive =
		t->receive_scale > SCALE_MAX ? SCALE_MAX : t->receive_scale;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (uint8_t)(send | receive << 4);
#else
	return (uint8_t)(send << 4 | receive);
#endif
}

static void put_state(struct ts_tcp_info *out,
		      const struct ts_tunnel_info *t)
{
	out->state = joint_state(out->state, t->state);
	out->ca_state = t->backoff	    ? CA_LOSS
			: t->is_recovering ? CA_RECOVERY
					   : CA_OPEN;
	out->retransmits = t->retransmits;
	out->probes = t->probes;
	out->backoff = t->backoff;
	out->options = (uint8_t)((t->has_sack ? OPTION_SACK : 0) |
				 (t->has_scale ? OPTION_SCALE : 0));
	out->window_scales = t->has_scale ? pack_scales(t) : 0;
}

static void put_path(struct ts_tcp_info *out,
		     const struct ts_tunnel_info *t)
{
	out->rto = t->rto_us;
	out->rtt = t->rtt_us;
	out->rttvar = t->rtt_var_us;
	out->min_rtt = t->min_rtt_us;
	out->rcv_rtt = 0;
	out->pmtu = t->mtu;
	out->snd_mss = t->send_mss;
	out->advmss = t->advertised_mss;
	if (out->rcv_mss > t->advertised_mss)
		out->rcv_mss = t->advertised_mss;
	out->snd_cwnd = t->cwnd;
	out->snd_ssthresh = t->ssthresh;
	out->snd_wnd = t->send_window;
	out->rcv_ssthresh = t->receive_window;
	out->rcv_space = t->receive_window;
}

static void put_counts(struct ts_tcp_info *out,
		       const struct ts_tunnel_info *t)
{
	out->unacked = t->unacked;
	out->sacked = t->sacked;
	out->lost = t->lost;
	out->retrans = t->retransmits;
	out->total_retrans = t->total_retransmits;
	out->bytes_acked = t->bytes_acked;
	out->bytes_received = t->bytes_received;
	out->notsent_bytes += t->unsent_bytes;
	out->bytes_retrans = 0;
	out->delivery_rate = t->delivery_rate;
	out->pacing_rate = t->pacing_rate ? t->pacing_rate : UINT64_MAX;
	out->max_pacing_rate = UINT64_MAX; /* as Linux says "no limit" */
	out->delivered = out->delivered_ce = 0;
	out->dsack_dups = out->reord_seen = out->rcv_ooopack = 0;
}

void ts_tcp_info_overlay(const struct ts_tunnel_info *tunnel,
			 struct ts_tcp_info *info)
{
	put_state(info, tunnel);
	put_path(info, tunnel);
	put_counts(info, tunnel);
}
