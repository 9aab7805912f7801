/* SPDX-License-Identifier: BSD-3-Clause
 * tka_key.h - a key that the tailnet's members trust to sign
 *
 * Ed25519 only; its public half is its ID as well.
 * Source: tka/key.go, tka/limits.go
 */
#ifndef CORE_TKA_TKA_KEY_H
#define CORE_TKA_TKA_KEY_H

#include <jansson.h>

#include "core/base/wire.h"
#include "core/crypto/keys.h"

enum { TS_TKA_VOTES_MAX = 4096, TS_TKA_META_MAX = 512 };

struct ts_tka_key {
	struct ts_public_key public;
	unsigned votes; /* 1..TS_TKA_VOTES_MAX */
	json_t *meta;	/* {text: text}, never empty; or NULL */
};

/* The reader turns bad on malformed input; out needs deinit in any case. */
void ts_tka_key_read(struct ts_reader *r, struct ts_tka_key *out);
void ts_tka_key_write(struct ts_writer *w, const struct ts_tka_key *key);
void ts_tka_key_copy(struct ts_tka_key *to, const struct ts_tka_key *from);
void ts_tka_key_deinit(struct ts_tka_key *key);

/* {text: text} as a map with text keys, which are short before long, then by
 * their bytes. NULL (and the reader bad) when malformed or empty. */
json_t *ts_tka_meta_read(struct ts_reader *r);
void ts_tka_meta_write(struct ts_writer *w, const json_t *meta);

#endif
