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
 *   signs that it ended (path_doubt.h)
 *                      -> a ping; and when that is not answered either, the
 *                         trust ends at once, not after 6.5 s: a transfer is
 *                         to stand still for as short as can be. All
 *                         candidates are pinged, with a CallMeMaybe
 *   ping times out     -> an untrusted best path is forgotten: DERP only
 *   the peer pings us  -> without a trusted direct path it is pinged back: the
 *                         doors on the way are open this moment
 *   in the first 10 s of a search
 *                      -> each round of pings is repeated after 0.3 and 1 s,
 *                         as the first often meets a door that is still shut
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

#include "core/base/token_bucket.h"
#include "core/path/disco_candidates.h"
#include "core/path/disco_pings.h"
#include "core/path/disco_wire.h"
#include "core/path/path_addr.h"
#include "core/path/path_doubt.h"
#include "core/path/path_mtu.h"

enum {
	DISCO_HEARTBEAT_MS = 3000,
	DISCO_SESSION_ACTIVE_MS = 45000,
	DISCO_TRUST_MS = 6500,
	DISCO_PING_INTERVAL_MS = 5000,
	DISCO_SEARCH_MS = 10000,   /* rounds are repeated for so long */
	DISCO_REPEAT_MS = 300,     /* the first time */
	DISCO_REPEAT_LAST_MS = 700, /* after that */
	DISCO_PING_BACK_MS = 200,  /* not sooner after another ping */
	DISCO_CALL_AGAIN_MS = 1000, /* the same for calls */
	DISCO_UPGRADE_INTERVAL_MS = 60000,
	DISCO_RELAY_INTERVAL_MS = 30000,
	DISCO_RELAY_UPGRADE_MS = 60000,
	DISCO_GOOD_LATENCY_US = 5000,
	/* Our pongs to one peer. */
	DISCO_PONGS_PER_S = 50,
	DISCO_PONGS_BURST = 200,
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
	/* It may be reached at that address. May be NULL. */
	void (*candidate_added)(void *ctx, const struct ts_path_addr *to);
	/* The best path has ended, or seems to: our own addresses and the way
	 * through DERP may have ended with it. */
	void (*trust_ended)(void *ctx);
	/* What is waiting for an answer of the peer may try again: it has
	 * another path, or is heard again. */
	void (*moved)(void *ctx);
	/* A busy peer that is reached through DERP fell silent. */
	void (*relay_is_quiet)(void *ctx);
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
	struct ts_disco_candidates candidates;
	struct ts_disco_pings pings;
	struct ts_path_quality best; /* best.to not set: none */
	uint64_t trust_until_ms;
	struct ts_path_mtu mtu; /* of best, when that is direct */
	uint64_t active_until_ms;
	struct ts_path_doubt doubt;
	uint64_t heartbeat_ms;     /* UINT64_MAX: none */
	uint64_t discovery_due_ms; /* no candidate may be pinged before */
	uint64_t full_ping_due_ms;
	uint64_t search_until_ms; /* 0: it has not begun */
	uint64_t repeat_ms;	  /* UINT64_MAX: this round needs no more */
	bool is_last_repeat;
	uint64_t called_ms;	  /* our last CallMeMaybe */
	uint64_t relays_asked_ms; /* 0: never */
	struct ts_token_bucket pongs;
	bool has_pongs; /* the bucket was filled */
	uint64_t dropped_pings, dropped_pongs;
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
/* A handshake leaves by it: ask at once. */
void ts_disco_peer_ask(struct ts_disco_peer *p, uint64_t now_ms);
/* The kernel sends nothing there. True: the path in use ends with the next
 * tick, which is due now. */
bool ts_disco_peer_refused(struct ts_disco_peer *p, const struct ts_addr *to,
			   uint64_t now_ms);
/* There is a way through DERP (again): whoever looks for a path calls anew. */
void ts_disco_peer_derp_is_up(struct ts_disco_peer *p, uint64_t now_ms);

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
 * that direction. It gives no trust, but takes doubt away; from elsewhere it
 * makes doubt. */
void ts_disco_peer_heard(struct ts_disco_peer *p,
			 const struct ts_path_addr *from, uint64_t now_ms);
/* Ping now: the trusted path, or else all candidates and, when has_derp,
 * through DERP. size: of the whole message, 0: as short as it is. 0, -ENOMEM,
 * -EHOSTUNREACH (nowhere to send to; fn is not called). */
int ts_disco_peer_probe(struct ts_disco_peer *p, bool has_derp, size_t size,
			ts_disco_probe_fn fn, void *fn_ctx, uint64_t now_ms);
/* Our own network changed: what was learned is void. The best path of a peer
 * in use may still work, so packets go both ways while it is found out. */
void ts_disco_peer_network_changed(struct ts_disco_peer *p, uint64_t now_ms);

uint64_t ts_disco_peer_deadline_ms(const struct ts_disco_peer *p);
void ts_disco_peer_tick(struct ts_disco_peer *p, uint64_t now_ms);

#endif
