/* SPDX-License-Identifier: BSD-3-Clause
 * relay_client.h - paths through peer relays: asking for one, setting it up
 *
 * Other nodes of the tailnet may relay UDP for us, where the packet filter
 * says so. When a peer has no direct path, each such relay is asked, through
 * DERP, for a session; what it offers is passed on to the peer, which does the
 * same, and both shake hands with the relay (relay_handshake.h). The peer may
 * be the one who asked: then its offer arrives here. Offers of one relay are
 * ordered by its Lamport clock, the newest counts.
 *
 * Bounded: so many requests and handshakes in all, and of one peer; one more
 * is not made. Whether a path that works is used is disco_peer's decision.
 * Source: wgengine/magicsock/relaymanager.go, PROTOCOL 9
 */
#ifndef CORE_PATH_RELAY_CLIENT_H
#define CORE_PATH_RELAY_CLIENT_H

#include "core/path/relay_handshake.h"

enum {
	RELAY_SERVERS_MAX = 64, /* more are not asked */
	RELAY_REQUESTS_MAX = 1024,
	RELAY_HANDSHAKES_MAX = 512,
	/* Of one peer, who can offer as many sessions as it likes. */
	RELAY_PEER_HANDSHAKES_MAX = RELAY_SERVERS_MAX,
	RELAY_RETRY_MS = 3000,
	RELAY_REQUEST_MS = 10000,
};

/* A node that relays for us. */
struct ts_relay_server {
	struct ts_public_key node_key, disco_key;
	int home_derp;
};

struct ts_relay_request; /* waits for a session */

struct ts_relay_client {
	const struct ts_relay_ops *ops;
	void *ctx;
	struct ts_relay_server servers[RELAY_SERVERS_MAX];
	size_t server_count;
	struct ts_relay_request *requests;
	struct ts_relay_handshake *handshakes;
	size_t request_count, handshake_count;
	uint32_t last_request, last_handshake; /* generations */
	uint64_t deadline_ms; /* or later; UINT64_MAX: none */
	uint64_t dropped_offers;
};

void ts_relay_client_init(struct ts_relay_client *c,
			  const struct ts_relay_ops *ops, void *ctx);
void ts_relay_client_deinit(struct ts_relay_client *c);
/* Replaces the list; requests under way go on. */
void ts_relay_client_set_servers(struct ts_relay_client *c,
				 const struct ts_relay_server *servers,
				 size_t count);
/* Ask all relays, unless something is under way for this peer. False: there
 * is no relay to ask. */
bool ts_relay_client_discover(struct ts_relay_client *c,
			      const struct ts_relay_pair *pair,
			      uint64_t now_ms);
/* End all that is under way for the peer. */
void ts_relay_client_cancel(struct ts_relay_client *c, const void *peer);

/* A relay answered; server_key: its node, as DERP vouches. */
void ts_relay_client_allocated(struct ts_relay_client *c,
			       const struct ts_public_key *server_key,
			       const struct ts_disco_allocated_relay *msg,
			       uint64_t now_ms);
/* The peer asked a relay, and says what it offered (CallMeMaybeVia). */
void ts_relay_client_offered(struct ts_relay_client *c,
			     const struct ts_relay_pair *pair,
			     const struct ts_disco_relay_endpoint *endpoint,
			     uint64_t now_ms);
/* The box of a relay that we are shaking hands with, else NULL. */
const struct ts_box *
ts_relay_client_box(const struct ts_relay_client *c,
		    const struct ts_public_key *server_disco);
void ts_relay_client_challenge(struct ts_relay_client *c,
			       const struct ts_public_key *server_disco,
			       const struct ts_path_addr *from,
			       const struct ts_disco_bind_relay *challenge,
			       uint64_t now_ms);
void ts_relay_client_ping(struct ts_relay_client *c, const void *peer,
			  const struct ts_path_addr *from, uint64_t now_ms);
/* True when it ended a handshake. */
bool ts_relay_client_pong(struct ts_relay_client *c, const void *peer,
			  const struct ts_path_addr *from,
			  const uint8_t tx_id[static DISCO_TX_ID_LEN],
			  uint64_t now_ms);

uint64_t ts_relay_client_deadline_ms(const struct ts_relay_client *c);
void ts_relay_client_tick(struct ts_relay_client *c, uint64_t now_ms);

#endif
