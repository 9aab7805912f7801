/* SPDX-License-Identifier: BSD-3-Clause
 * disco_peer.h - find and keep the best direct path to one peer
 *
 * Candidates are the addresses where the peer might be reached: from the
 * netmap, from its CallMeMaybe, or seen as the source of its pings. Traffic
 * starts pings to all of them (each at most every 5 s) with a CallMeMaybe
 * through DERP, so that the peer's firewall opens too. A pong makes the
 * address that was pinged the best one, when it is better (path_addr.h), and
 * gives 6.5 s of trust. A session that is in use (45 s) pings the best path
 * every 3 s to keep the trust; an idle one has no timer at all.
 *
 *   no trust           -> the caller sends on the best path and on DERP
 *   500 ms of sending and nothing comes back
 *                      -> a ping; and when that is not answered either, the
 *                         trust ends at once, not after 6.5 s: a transfer is
 *                         to stand still for as short as can be
 *   ping times out     -> an untrusted best path is forgotten: DERP only
 *   every 60 s         -> all candidates again, unless the path is a LAN's
 *   no direct path     -> peer relays are asked too, at most every 30 s, and
 *                         every 60 s while one is in use
 *
 * A path through a relay is no candidate: it is set up by a handshake
 * (relay_client.h) and is either the best path or none. A direct one always
 * takes its place.
 *
 * Source: wgengine/magicsock/endpoint.go, PROTOCOL 6.3-6.5
 */
#ifndef CORE_PATH_DISCO_PEER_H
#define CORE_PATH_DISCO_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/path/disco_pings.h"
#include "core/path/disco_wire.h"
#include "core/path/path_addr.h"
#include "core/path/path_mtu.h"
#include "core/path/token_bucket.h"

enum {
	DISCO_HEARTBEAT_MS = 3000,
	DISCO_SESSION_ACTIVE_MS = 45000,
	DISCO_TRUST_MS = 6500,
	/* Sending into silence: when to ask, how long to wait for the answer
	 * (or four times the path's latency, if that is longer). */
	DISCO_SILENCE_MS = 500,
	DISCO_DOUBT_MS = 500,
	DISCO_PING_INTERVAL_MS = 5000,
	DISCO_UPGRADE_INTERVAL_MS = 60000,
	DISCO_RELAY_INTERVAL_MS = 30000,
	DISCO_RELAY_UPGRADE_MS = 60000,
	DISCO_GOOD_LATENCY_US = 5000,
	/* Above PRUNE the learned candidates that went silent are dropped, at
	 * MAX no more are learned. */
	DISCO_CANDIDATES_PRUNE = 100,
	DISCO_CANDIDATES_MAX = 128,
	/* Our pongs to one peer. */
	DISCO_PONGS_PER_S = 50,
	DISCO_PONGS_BURST = 200,
};

struct ts_disco_candidate {
	struct ts_path_addr to;
	bool is_in_netmap, is_call_me_maybe;
	bool was_heard; /* a ping came from there */
	uint8_t heard_tx_id[DISCO_TX_ID_LEN];
	uint64_t heard_ms;
	uint64_t ping_due_ms; /* discovery may ping it again from then on */
};

struct ts_disco_peer;
struct ts_disco_ops {
	/* to NULL: through DERP. wire: the length of the IP packet, padded
	 * and in one piece (through DERP: of the message alone), or 0: as
	 * short as it is. */
	void (*send_ping)(void *ctx, const struct ts_path_addr *to,
			  const uint8_t tx_id[DISCO_TX_ID_LEN], size_t wire);
	void (*send_call_me_maybe)(void *ctx);
	/* Look for a path through peer relays. False: there are none. */
	bool (*discover_relays)(void *ctx);
	/* The best path was set or, with path NULL, lost. */
	void (*best_changed)(void *ctx, const struct ts_path_addr *best);
	/* What the best path carries is another size now. */
	void (*mtu_changed)(void *ctx);
	/* Answered, timed out or given up: the caller takes the probe, calls
	 * its fn once no state is in flux, and frees it. */
	void (*probe_done)(void *ctx, struct ts_disco_probe *probe);
};

struct ts_disco_peer {
	const struct ts_disco_ops *ops;
	void *ctx;
	bool derp_only; /* keep no candidates, ping nobody by UDP */
	bool may_relay; /* it knows peer relays, and so may we */
	bool probes_mtu;
	bool is_silent; /* no heartbeats: what it sends is proof enough */
	struct ts_disco_candidate *candidates;
	size_t candidate_count, candidate_cap;
	struct ts_disco_pings pings;
	struct ts_path_quality best; /* best.to not set: none */
	uint64_t trust_until_ms;
	struct ts_path_mtu mtu; /* of best, when that is direct */
	uint64_t active_until_ms;
	/* First send since something came along the best path; 0: none. */
	uint64_t unheard_ms;
	uint64_t doubt_ms; /* the trust ends then; UINT64_MAX: no doubt */
	uint64_t heartbeat_ms;     /* UINT64_MAX: none */
	uint64_t discovery_due_ms; /* no candidate may be pinged before */
	uint64_t full_ping_due_ms;
	uint64_t relays_asked_ms; /* 0: never */
	struct ts_token_bucket pongs;
	bool has_pongs; /* the bucket was filled */
	uint64_t dropped_candidates, dropped_pings, dropped_pongs;
};

void ts_disco_peer_init(struct ts_disco_peer *p, const struct ts_disco_ops *ops,
			void *ctx, bool derp_only);
/* Probes end with -ECANCELED (through probe_done). */
void ts_disco_peer_deinit(struct ts_disco_peer *p);
/* The peer restarted (new disco key): only its netmap candidates stay. */
void ts_disco_peer_reset(struct ts_disco_peer *p);
/* The netmap's endpoints. */
void ts_disco_peer_set_endpoints(struct ts_disco_peer *p,
				 const struct ts_addr *addrs, size_t count,
				 uint64_t now_ms);

/* An outbound packet: keeps the session active, looks for a path when there is
 * none to trust. */
void ts_disco_peer_sent(struct ts_disco_peer *p, uint64_t now_ms);
bool ts_disco_peer_is_trusted(const struct ts_disco_peer *p, uint64_t now_ms);

/* The best path may have ended: no trust before the next pong. */
void ts_disco_peer_doubt(struct ts_disco_peer *p);

/* A ping came; from NULL: through DERP. True: answer it. */
bool ts_disco_peer_got_ping(struct ts_disco_peer *p,
			    const struct ts_path_addr *from,
			    const uint8_t tx_id[static DISCO_TX_ID_LEN],
			    uint64_t now_ms);
/* True when it answers one of our pings. */
bool ts_disco_peer_got_pong(struct ts_disco_peer *p, bool is_derp,
			    const uint8_t tx_id[static DISCO_TX_ID_LEN],
			    uint64_t now_ms);
void ts_disco_peer_got_call_me_maybe(struct ts_disco_peer *p,
				     const struct ts_disco_endpoints *endpoints,
				     uint64_t now_ms);
/* The largest packet inside the tunnel that the path carries. */
size_t ts_disco_peer_mtu(const struct ts_disco_peer *p);
/* A handshake with a relay ended well: use that path, unless the one in use
 * is better. */
void ts_disco_peer_relay_ready(struct ts_disco_peer *p,
			       const struct ts_path_quality *path,
			       uint64_t now_ms);
/* Something of the peer, authenticated, came from there: the path works in
 * that direction. It gives no trust, but takes doubt away. */
void ts_disco_peer_heard(struct ts_disco_peer *p,
			 const struct ts_path_addr *from, uint64_t now_ms);
/* Ping now: through DERP when has_derp, the trusted path or else all
 * candidates. size: of the whole message, 0: as short as it is. 0, -ENOMEM,
 * -EHOSTUNREACH (nowhere to send to; fn is not called). */
int ts_disco_peer_probe(struct ts_disco_peer *p, bool has_derp, size_t size,
			ts_disco_probe_fn fn, void *fn_ctx, uint64_t now_ms);
/* Our own network changed: the best path and what was learned are void. */
void ts_disco_peer_network_changed(struct ts_disco_peer *p);

uint64_t ts_disco_peer_deadline_ms(const struct ts_disco_peer *p);
void ts_disco_peer_tick(struct ts_disco_peer *p, uint64_t now_ms);

#endif
