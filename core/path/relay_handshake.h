/* SPDX-License-Identifier: BSD-3-Clause
 * relay_handshake.h - one handshake with a peer relay, and the first ping
 *
 * A relay server has set up a session (a VNI) for us and a peer. We bind to it
 * from our address: Bind to all of its addresses; the first Challenge to
 * arrive says which address is used; the Answer repeats the challenge. A ping
 * to the peer follows at once, through the relay. The peer may not be there
 * yet: its own ping tells that it is, and is answered by another one of ours.
 * The first pong ends it: the path works.
 * Source: wgengine/magicsock/relaymanager.go, PROTOCOL 9
 */
#ifndef CORE_PATH_RELAY_HANDSHAKE_H
#define CORE_PATH_RELAY_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/crypto/box.h"
#include "core/path/disco_wire.h"
#include "core/path/path_addr.h"

enum {
	/* The server's BindLifetime, but no longer than this. */
	RELAY_HANDSHAKE_MAX_MS = 30000,
	RELAY_PINGS_MAX = 10,
	/* Who offers a session names them; more are not tried. */
	RELAY_BIND_ADDRS_MAX = 16,
};

struct ts_relay_server;

struct ts_relay_ops {
	/* Precompute for our disco key and that one. 0 or -EACCES. */
	int (*init_box)(void *ctx, const struct ts_public_key *disco_key,
			struct ts_box *out);
	/* To the relay's node, through DERP. */
	void (*send_allocate)(void *ctx, const struct ts_relay_server *server,
			      const struct ts_disco_allocate_relay *request);
	/* To the peer, through DERP. */
	void (*send_via)(void *ctx, void *peer,
			 const struct ts_disco_relay_endpoint *endpoint);
	/* To the relay server itself, by UDP: box is its disco key's. */
	void (*send_bind)(void *ctx, const struct ts_box *box,
			  const struct ts_path_addr *to,
			  const struct ts_disco_message *msg);
	/* To the peer, through the relay. */
	void (*send_ping)(void *ctx, void *peer, const struct ts_path_addr *to,
			  const uint8_t tx_id[DISCO_TX_ID_LEN]);
	/* Is the peer's path through that session in use and trusted? */
	bool (*is_current)(void *ctx, void *peer,
			   const struct ts_disco_relay_endpoint *endpoint);
	/* The path works. */
	void (*ready)(void *ctx, void *peer,
		      const struct ts_path_quality *path);
};

/* Whom a session is for, and who we are. */
struct ts_relay_pair {
	void *peer; /* for the ops */
	struct ts_public_key our_disco, peer_disco;
};

struct ts_relay_ping {
	uint8_t tx_id[DISCO_TX_ID_LEN];
	uint64_t sent_ms;
};

struct ts_relay_handshake {
	struct ts_relay_handshake *next; /* the owner's */
	const struct ts_relay_ops *ops;
	void *ctx;
	struct ts_relay_pair pair;
	struct ts_disco_relay_endpoint endpoint;
	struct ts_box box;
	uint32_t generation;
	struct ts_path_addr via; /* set: the challenge came, and was answered */
	struct ts_relay_ping pings[RELAY_PINGS_MAX];
	size_t ping_count;
	uint64_t end_ms;
};

/* Sends the Binds. ops, ctx, pair, endpoint and generation are set by the
 * caller. 0, -EACCES (the server's key) or -EADDRNOTAVAIL (no address that
 * could be one). */
int ts_relay_handshake_start(struct ts_relay_handshake *h, uint64_t now_ms);
void ts_relay_handshake_challenge(struct ts_relay_handshake *h,
				  const struct ts_path_addr *from,
				  const struct ts_disco_bind_relay *challenge,
				  uint64_t now_ms);
/* The peer pinged through the relay. */
void ts_relay_handshake_ping(struct ts_relay_handshake *h, uint64_t now_ms);
/* True: it answers one of our pings; *latency_us is set, all is done. */
bool ts_relay_handshake_pong(const struct ts_relay_handshake *h,
			     const uint8_t tx_id[static DISCO_TX_ID_LEN],
			     uint64_t now_ms, uint64_t *latency_us);

#endif
