/* SPDX-License-Identifier: BSD-3-Clause
 * tka_state.h - what the authority is at one point of its chain: the trusted
 * keys, and how it can be ended
 * Source: tka/state.go
 */
#ifndef CORE_TKA_TKA_STATE_H
#define CORE_TKA_TKA_STATE_H

#include "core/tka/tka_hash.h"
#include "core/tka/tka_key.h"

enum {
	TS_TKA_KEYS_MAX = 512,
	TS_TKA_DISABLEMENTS_MAX = 32,
	TS_TKA_DISABLEMENT_LEN = 32,
};

struct ts_tka_disablement {
	uint8_t bytes[TS_TKA_DISABLEMENT_LEN];
};

struct ts_tka_state {
	struct ts_tka_key *keys;
	size_t key_count;
	/* Argon2i of the secrets that end the authority. */
	struct ts_tka_disablement *disablements;
	size_t disablement_count;
	uint64_t id1, id2; /* the same for the authority's whole life */
};

/* As a checkpoint carries it; the reader turns bad on malformed input. out
 * needs deinit in any case. 0 or -ENOMEM. */
int ts_tka_state_read(struct ts_reader *r, struct ts_tka_state *out);
void ts_tka_state_write(struct ts_writer *w, const struct ts_tka_state *state);
/* 0 or -ENOMEM, then to is empty. */
int ts_tka_state_copy(struct ts_tka_state *to,
		      const struct ts_tka_state *from);
void ts_tka_state_deinit(struct ts_tka_state *state);

/* NULL: not trusted. */
struct ts_tka_key *ts_tka_state_key(const struct ts_tka_state *state,
				    const struct ts_public_key *id);
/* Takes the key. 0, -ENOMEM, -EEXIST or -EMSGSIZE. */
int ts_tka_state_add_key(struct ts_tka_state *state, struct ts_tka_key *key);
/* 0 or -ENOENT. */
int ts_tka_state_remove_key(struct ts_tka_state *state,
			    const struct ts_public_key *id);

/* What a state keeps of a secret. Takes 16 MB and a tenth of a second. 0 or
 * -ENOMEM. */
int ts_tka_disablement_of(const void *secret, size_t len,
			  struct ts_tka_disablement *out);
/* 0, -EACCES: not the secret, or -ENOMEM. */
int ts_tka_state_check_secret(const struct ts_tka_state *state,
			      const void *secret, size_t len);

#endif
