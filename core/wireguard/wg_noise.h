/* SPDX-License-Identifier: BSD-3-Clause
 * wg_noise.h - the handshake Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s
 *
 * Only the cryptographic conversation: no indices are made up here, no timers
 * and no MACs. The preshared key is always zero in a tailnet.
 * Source: the WireGuard paper, section 5.4; the Noise specification
 */
#ifndef CORE_WIREGUARD_WG_NOISE_H
#define CORE_WIREGUARD_WG_NOISE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/crypto/blake2s.h"
#include "core/wireguard/wg_wire.h"

/* The node's own key and what every handshake starts from. */
struct ts_wg_identity {
	struct ts_private_key private;
	struct ts_public_key public;
	uint8_t first_chain_key[TS_BLAKE2S_LEN]; /* H(construction) */
	uint8_t first_hash[TS_BLAKE2S_LEN];      /* H(ck || identifier) */
};

/* One handshake under way, in either role. Holds secrets. */
struct ts_wg_handshake {
	uint8_t hash[TS_BLAKE2S_LEN];
	uint8_t chain_key[TS_BLAKE2S_LEN];
	struct ts_private_key ephemeral;
	struct ts_public_key remote_ephemeral; /* responder only */
	uint32_t local_index, remote_index;
};

/* What a handshake needs to know about the other side. */
struct ts_wg_remote {
	struct ts_public_key public;
	uint8_t static_static[TS_KEY_LEN]; /* DH of both static keys */
};

struct ts_wg_session_keys {
	uint8_t send[TS_AEAD_KEY_LEN], receive[TS_AEAD_KEY_LEN];
};

void ts_wg_identity_init(struct ts_wg_identity *id,
			 const struct ts_private_key *key);
/* -EACCES for a low-order public key. */
int ts_wg_remote_init(struct ts_wg_remote *remote,
		      const struct ts_wg_identity *id,
		      const struct ts_public_key *public);

/* TAI64N, rounded down to 2^24 ns as wireguard-go does. */
void ts_wg_timestamp(uint64_t wall_ns, uint8_t out[static WG_TIMESTAMP_LEN]);

/* Initiator: start hs with local_index; -EACCES when a DH fails. */
int ts_wg_initiation_create(const struct ts_wg_identity *id,
			    const struct ts_wg_remote *remote,
			    uint32_t local_index,
			    const uint8_t timestamp[static WG_TIMESTAMP_LEN],
			    struct ts_wg_handshake *hs,
			    struct ts_wg_initiation *out);
/* Responder, first half: who says to be there? Not authenticated yet. */
int ts_wg_initiation_open(const struct ts_wg_identity *id,
			  const struct ts_wg_initiation *in,
			  struct ts_wg_handshake *hs,
			  struct ts_public_key *claimed);
/* Second half: proves the claim; gives the timestamp for the replay check. */
int ts_wg_initiation_verify(const struct ts_wg_remote *remote,
			    const struct ts_wg_initiation *in,
			    struct ts_wg_handshake *hs,
			    uint8_t timestamp[static WG_TIMESTAMP_LEN]);
int ts_wg_response_create(const struct ts_wg_remote *remote,
			  uint32_t local_index, struct ts_wg_handshake *hs,
			  struct ts_wg_response *out);
/* Initiator: hs changes only on success. */
int ts_wg_response_consume(const struct ts_wg_identity *id,
			   const struct ts_wg_response *in,
			   struct ts_wg_handshake *hs);
/* Ends the handshake: the keys go out, hs is wiped but for its indices. */
void ts_wg_handshake_split(struct ts_wg_handshake *hs, bool is_initiator,
			   struct ts_wg_session_keys *out);

#endif
