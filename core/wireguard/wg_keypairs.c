/* SPDX-License-Identifier: BSD-3-Clause
 * wg_keypairs.c - the up to three sessions that one peer has at a time
 *
 * The rotation is wireguard-go's. When both sides start a handshake at the
 * same time, each ends up with two sessions: the one it initiated as current
 * and the one it answered as previous, so what the other side seals under
 * either is opened.
 */
#include "core/wireguard/wg_keypairs.h"

#include <errno.h>
#include <stdlib.h>

#include "core/crypto/secret.h"

struct ts_wg_keypair *ts_wg_keypair_new(struct ts_aead_unit *unit,
					const struct ts_wg_session_keys *keys,
					const struct ts_wg_handshake *hs,
					bool is_initiator, uint64_t now_ms)
{
	struct ts_wg_keypair *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->send = ts_aead_new(unit, keys->send);
	k->receive = ts_aead_new(unit, keys->receive);
	k->created_ms = now_ms;
	k->local_index = hs->local_index;
	k->remote_index = hs->remote_index;
	k->is_initiator = is_initiator;
	if (!k->send || !k->receive) {
		ts_wg_keypair_free(k);
		return NULL;
	}
	return k;
}

void ts_wg_keypair_free(struct ts_wg_keypair *keypair)
{
	if (!keypair)
		return;
	ts_aead_free(keypair->send);
	ts_aead_free(keypair->receive);
	free(keypair);
}

static bool is_young(const struct ts_wg_keypair *keypair, uint64_t now_ms)
{
	return now_ms - keypair->created_ms < WG_REJECT_AFTER_MS;
}

bool ts_wg_keypair_can_open(const struct ts_wg_keypair *keypair,
			    uint64_t now_ms)
{
	return is_young(keypair, now_ms);
}

bool ts_wg_keypair_can_seal(const struct ts_wg_keypair *keypair,
			    uint64_t now_ms)
{
	return keypair && is_young(keypair, now_ms) &&
	       keypair->send_counter < WG_REJECT_AFTER_MESSAGES;
}

static void drop(struct ts_key_map *index, struct ts_wg_keypair *keypair)
{
	if (!keypair)
		return;
	ts_key_map_take(index, &keypair->local_index);
	ts_wg_keypair_free(keypair);
}

static void install_initiated(struct ts_wg_keypairs *set,
			      struct ts_key_map *index,
			      struct ts_wg_keypair *keypair)
{
	drop(index, set->previous);
	if (set->next) {
		drop(index, set->current);
		set->previous = set->next;
		set->next = NULL;
	} else {
		set->previous = set->current;
	}
	set->current = keypair;
}

/* Until the initiator confirms, current goes on sealing. */
static void install_answered(struct ts_wg_keypairs *set,
			     struct ts_key_map *index,
			     struct ts_wg_keypair *keypair)
{
	drop(index, set->next);
	drop(index, set->previous);
	set->previous = NULL;
	set->next = keypair;
}

int ts_wg_keypairs_install(struct ts_wg_keypairs *set, struct ts_key_map *index,
			   struct ts_wg_keypair *keypair)
{
	if (ts_key_map_put(index, &keypair->local_index, keypair)) {
		ts_wg_keypair_free(keypair);
		return -ENOMEM;
	}
	if (keypair->is_initiator)
		install_initiated(set, index, keypair);
	else
		install_answered(set, index, keypair);
	return 0;
}

bool ts_wg_keypairs_confirm(struct ts_wg_keypairs *set,
			    struct ts_key_map *index,
			    struct ts_wg_keypair *keypair)
{
	if (keypair != set->next)
		return false;
	drop(index, set->previous);
	set->previous = set->current;
	set->current = set->next;
	set->next = NULL;
	return true;
}

void ts_wg_keypairs_clear(struct ts_wg_keypairs *set, struct ts_key_map *index)
{
	drop(index, set->previous);
	drop(index, set->current);
	drop(index, set->next);
	*set = (struct ts_wg_keypairs){0};
}
