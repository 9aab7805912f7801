/* SPDX-License-Identifier: BSD-3-Clause
 * disco_wire.h - disco messages: bytes <-> structs
 *
 * A disco packet is | magic 6 | sender's disco key 32 | box |, the box being
 * crypto_box (nonce in front) over | type u8 | version u8 | body |. Sealing is
 * apart from the messages, so that each can be looked at on its own.
 * Source: disco/disco.go, net/udprelay/endpoint/endpoint.go, PROTOCOL 6.2
 */
#ifndef CORE_PATH_DISCO_WIRE_H
#define CORE_PATH_DISCO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"
#include "core/base/wire.h"
#include "core/crypto/box.h"
#include "core/crypto/keys.h"

enum ts_disco_type {
	DISCO_PING = 1,
	DISCO_PONG = 2,
	DISCO_CALL_ME_MAYBE = 3,
	DISCO_BIND_RELAY = 4,
	DISCO_BIND_RELAY_CHALLENGE = 5,
	DISCO_BIND_RELAY_ANSWER = 6,
	DISCO_CALL_ME_MAYBE_VIA = 7,
	DISCO_ALLOCATE_RELAY_REQUEST = 8,
	DISCO_ALLOCATE_RELAY_RESPONSE = 9,
};

enum {
	DISCO_VERSION = 0,
	DISCO_MAGIC_LEN = 6,
	DISCO_HEADER_LEN = DISCO_MAGIC_LEN + TS_KEY_LEN, /* before the box */
	/* Less than this is not disco: header and nonce. */
	DISCO_PACKET_MIN_LEN = DISCO_HEADER_LEN + TS_BOX_NONCE_LEN,
	DISCO_TX_ID_LEN = 12,
	/* A whole ping without padding: type, version, TxID and node key. */
	DISCO_PING_LEN = DISCO_PACKET_MIN_LEN + TS_BOX_MAC_LEN + 2 +
			 DISCO_TX_ID_LEN + TS_KEY_LEN,
	/* With padding: what fits in the packet of a jumbo frame. */
	DISCO_PING_MAX_LEN = 8972,
	DISCO_CHALLENGE_LEN = 32,
	DISCO_ENDPOINTS_MAX = 64, /* read and written; more are ignored */
	DISCO_ENDPOINT_LEN = 18,  /* IP 16, port 2 */
	/* Read: a ping padded to a jumbo frame (path MTU discovery). */
	DISCO_PAYLOAD_MAX_LEN = 9216,
	/* Written: the largest is a ping that fills a jumbo frame. */
	DISCO_WRITE_PAYLOAD_CAP = 9000,
	DISCO_WRITE_CAP =
		DISCO_HEADER_LEN + TS_BOX_OVERHEAD + DISCO_WRITE_PAYLOAD_CAP,
	DISCO_GENEVE_LEN = 8,
	DISCO_VNI_MAX = 0xffffff, /* 24 bits */
};

struct ts_disco_ping {
	uint8_t tx_id[DISCO_TX_ID_LEN];
	struct ts_public_key node_key; /* zero: not given (old clients) */
	size_t padding_len;            /* written only */
};
struct ts_disco_pong {
	uint8_t tx_id[DISCO_TX_ID_LEN];
	struct ts_addr src; /* where the ping was seen to come from */
};
struct ts_disco_endpoints {
	struct ts_addr addrs[DISCO_ENDPOINTS_MAX];
	size_t count;
};
struct ts_disco_bind_relay { /* types 4, 5 and 6 */
	uint32_t vni, generation;
	struct ts_public_key remote_key; /* disco key of the other client */
	uint8_t challenge[DISCO_CHALLENGE_LEN];
};
struct ts_disco_relay_endpoint {
	struct ts_public_key server_disco, client_disco[2];
	uint64_t lamport_id;
	uint32_t vni;
	uint64_t bind_lifetime_ns, steady_state_lifetime_ns;
	struct ts_disco_endpoints addrs; /* at least one */
};
struct ts_disco_allocate_relay {
	struct ts_public_key client_disco[2]; /* sorted */
	uint32_t generation;
};
struct ts_disco_allocated_relay {
	uint32_t generation;
	struct ts_disco_relay_endpoint endpoint;
};

struct ts_disco_message {
	enum ts_disco_type type;
	union {
		struct ts_disco_ping ping;
		struct ts_disco_pong pong;
		struct ts_disco_endpoints call_me_maybe;
		struct ts_disco_bind_relay bind_relay;
		struct ts_disco_relay_endpoint call_me_maybe_via;
		struct ts_disco_allocate_relay allocate_relay;
		struct ts_disco_allocated_relay allocated_relay;
	};
};

/* -- payload: type, version, body ----------------------------------------- */

/* 0 or -EBADMSG (cut short, no such type). Longer bodies are accepted, and a
 * CallMeMaybe that is not a whole number of endpoints or of another version
 * has none, as upstream reads them. */
int ts_disco_read(const uint8_t *payload, size_t len,
		  struct ts_disco_message *out);
/* 0, -ENOBUFS or -EMSGSIZE (more endpoints than DISCO_ENDPOINTS_MAX). */
int ts_disco_write(struct ts_writer *w, const struct ts_disco_message *msg);

/* -- envelope ------------------------------------------------------------- */

bool ts_disco_is_packet(const uint8_t *pkt, size_t len);
/* The sender's disco key; only for what ts_disco_is_packet() accepted. */
void ts_disco_read_sender(const uint8_t *pkt, struct ts_public_key *out);
/* Opens the box into out (room DISCO_PAYLOAD_MAX_LEN) and gives its length.
 * 0, -EBADMSG (too short), -EMSGSIZE, -EACCES. */
int ts_disco_unseal(const uint8_t *pkt, size_t len, const struct ts_box *box,
		    uint8_t out[static DISCO_PAYLOAD_MAX_LEN], size_t *out_len);
/* Writes the whole packet. 0, -ENOBUFS or -EMSGSIZE. */
int ts_disco_seal(struct ts_writer *w, const struct ts_public_key *sender,
		  const struct ts_box *box, const uint8_t *payload, size_t len);

/* -- Geneve, in front of what goes through a peer relay ------------------- */

enum ts_geneve_proto {
	GENEVE_PROTO_DISCO = 0x7a11,
	GENEVE_PROTO_WIREGUARD = 0x7a12,
};
struct ts_geneve {
	bool control;
	enum ts_geneve_proto proto;
	uint32_t vni; /* 24 bits, not 0 */
};
/* 0 or -EBADMSG (other version, options, protocol, or VNI 0). */
int ts_geneve_read(struct ts_reader *r, struct ts_geneve *out);
int ts_geneve_write(struct ts_writer *w, const struct ts_geneve *geneve);

/* -- what a datagram on our UDP socket is (PROTOCOL 6.1) ------------------ */

enum ts_datagram_kind {
	DATAGRAM_STUN,
	DATAGRAM_RELAYED_DISCO,
	DATAGRAM_RELAYED_WIREGUARD,
	DATAGRAM_DISCO,
	DATAGRAM_WIREGUARD,
};
enum ts_datagram_kind ts_datagram_kind(const uint8_t *pkt, size_t len);

#endif
