/* SPDX-License-Identifier: BSD-3-Clause
 * wg_keypairs.h - the up to three sessions that one peer has at a time
 *
 * current  seals and opens.
 * previous opens what was under way when current took over.
 * next     we answered an initiation: opens, and becomes current with the
 *          first packet that proves that the initiator has it too.
 */
#ifndef CORE_WIREGUARD_WG_KEYPAIRS_H
#define CORE_WIREGUARD_WG_KEYPAIRS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/key_map.h"
#include "core/wireguard/wg_noise.h"
#include "core/wireguard/wg_replay.h"

enum { WG_REKEY_AFTER_MS = 120000, WG_REJECT_AFTER_MS = 180000 };
#define WG_REKEY_AFTER_MESSAGES (1ULL << 60)
#define WG_REJECT_AFTER_MESSAGES (UINT64_MAX - (1ULL << 13))

struct ts_wg_peer;

struct ts_wg_keypair {
	struct ts_aead *send, *receive;
	struct ts_wg_replay replay;
	uint64_t created_ms;
	uint64_t send_counter; /* of the next packet */
	uint32_t local_index, remote_index;
	bool is_initiator;
	struct ts_wg_peer *peer;
};

struct ts_wg_keypairs {
	struct ts_wg_keypair *previous, *current, *next;
};

/* unit: NULL or for the device's life. NULL when out of memory. */
struct ts_wg_keypair *ts_wg_keypair_new(struct ts_aead_unit *unit,
					const struct ts_wg_session_keys *keys,
					const struct ts_wg_handshake *hs,
					bool is_initiator, uint64_t now_ms);
void ts_wg_keypair_free(struct ts_wg_keypair *keypair);
bool ts_wg_keypair_can_open(const struct ts_wg_keypair *keypair,
			    uint64_t now_ms);
/* keypair may be NULL. */
bool ts_wg_keypair_can_seal(const struct ts_wg_keypair *keypair,
			    uint64_t now_ms);

/* Takes the keypair and lists it in index (local_index -> keypair); what it
 * pushes out is taken off and freed. -ENOMEM: keypair was freed. */
int ts_wg_keypairs_install(struct ts_wg_keypairs *set, struct ts_key_map *index,
			   struct ts_wg_keypair *keypair);
/* A valid packet came under keypair: true if that made it current. */
bool ts_wg_keypairs_confirm(struct ts_wg_keypairs *set,
			    struct ts_key_map *index,
			    struct ts_wg_keypair *keypair);
void ts_wg_keypairs_clear(struct ts_wg_keypairs *set, struct ts_key_map *index);

#endif
