/* SPDX-License-Identifier: BSD-3-Clause
 * wg_device.h - WireGuard for one node: handshakes, keypairs, timers
 *
 * Sans-IO. Packets go in and out through the functions and ops below; which
 * way a sealed packet travels (UDP, DERP, relay) is the path layer's business,
 * so there are no endpoints here. Peers are lazy: they exist while in use.
 * Source: the WireGuard paper; tailscale/wireguard-go device/
 */
#ifndef CORE_WIREGUARD_WG_DEVICE_H
#define CORE_WIREGUARD_WG_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/packet.h"
#include "core/crypto/keys.h"

struct ts_wg;
struct ts_wg_peer;

struct ts_wg_ops {
	/* A sealed or handshake packet for this peer. pkt has at least 37
	 * bytes of headroom left for DERP's header and may be overwritten. */
	void (*send)(void *ctx, void *peer_ctx, struct ts_packet *pkt);
	/* A decrypted IP packet, padding cut by the IP header's length. The
	 * source address was not checked yet. pkt may be overwritten and has
	 * TS_PACKET_HEADROOM before it only if the input had. */
	void (*deliver)(void *ctx, void *peer_ctx, struct ts_packet *pkt);
	/* An initiation from an unknown static key: add the peer with
	 * ts_wg_peer_add() and return it, or NULL to drop. */
	struct ts_wg_peer *(*unknown_peer)(void *ctx,
					   const struct ts_public_key *key);
	/* A new keypair was installed for sending (both roles); may be NULL. */
	void (*session_up)(void *ctx, void *peer_ctx);
	/* TAI64N clock: wall time in ns since 1970. */
	uint64_t (*wall_clock_ns)(void *ctx);
	/* The peer had no new session for 540 s: its keys are wiped, and it
	 * has no timer left. May be NULL. Only here and in deliver may the
	 * peer be removed during the call. */
	void (*idle)(void *ctx, void *peer_ctx);
};

struct ts_wg *ts_wg_new(const struct ts_private_key *node_key,
			const struct ts_wg_ops *ops, void *ctx);
void ts_wg_free(struct ts_wg *wg);
/* Node key rotation: forgets all sessions, keeps the peers. */
void ts_wg_set_key(struct ts_wg *wg, const struct ts_private_key *node_key);

/* peer_ctx comes back in the ops. NULL when out of memory or key invalid. */
struct ts_wg_peer *ts_wg_peer_add(struct ts_wg *wg,
				  const struct ts_public_key *key,
				  void *peer_ctx);
void ts_wg_peer_remove(struct ts_wg *wg, struct ts_wg_peer *peer);
struct ts_wg_peer *ts_wg_peer_find(const struct ts_wg *wg,
				   const struct ts_public_key *key);

/* The peer began anew and may have lost its sessions: nothing more is sealed
 * under ours, so that what is sent next starts a handshake. What comes is
 * opened still, as we may be late to know. */
void ts_wg_peer_restarted(struct ts_wg *wg, struct ts_wg_peer *peer,
			  uint64_t now_ms);
/* Another path leads to the peer: an initiation that was not answered goes out
 * again now. */
void ts_wg_peer_moved(struct ts_wg *wg, struct ts_wg_peer *peer,
		      uint64_t now_ms);

/* An inner IP packet for the peer; sealed in place (packet.h) or, without a
 * session, copied to the staged queue (128 packets, oldest dropped) while a
 * handshake starts. */
void ts_wg_send(struct ts_wg *wg, struct ts_wg_peer *peer,
		struct ts_packet *pkt, uint64_t now_ms);
/* A WireGuard message off the network. from is for cookies and rate limits; of
 * a peer whom a relay vouches for it is an address of the peer's own, and no
 * cookie is asked for. Opened in place.
 * On success *who is the peer_ctx it authenticated as, else NULL.
 * 0, -EBADMSG, -EACCES, -EPROTO (no such session), -EALREADY (it came before;
 * by two ways, maybe), -EAGAIN (under load:
 * *reply_len bytes of reply, or none, are to go back to from). */
int ts_wg_input(struct ts_wg *wg, const struct ts_addr *from, bool is_vouched,
		struct ts_packet *pkt, uint64_t now_ms, void **who,
		uint8_t reply[static 64], size_t *reply_len);
uint64_t ts_wg_deadline_ms(const struct ts_wg *wg); /* UINT64_MAX: none */
void ts_wg_tick(struct ts_wg *wg, uint64_t now_ms);

/* Packets that wait for a session whose handshake began less than patience_ms
 * ago: worth waiting for before the device goes. */
size_t ts_wg_staged(const struct ts_wg *wg, uint64_t patience_ms,
		    uint64_t now_ms);

struct ts_wg_peer_stats {
	uint64_t rx_bytes, tx_bytes;
	uint64_t last_handshake_ms; /* loop time, 0: never */
	uint64_t dropped_staged, dropped_replay, dropped_bad;
	bool has_session; /* keys exist; they may be too old to use */
};
void ts_wg_peer_stats(const struct ts_wg_peer *peer,
		      struct ts_wg_peer_stats *out);

#endif
