/* SPDX-License-Identifier: BSD-3-Clause
 * tka_aum.h - an authority update message: one link of the chain
 *
 * It is kept as it came, with what it says beside; its hash is its name. A
 * field that a later version invents is skipped, but hashed and signed with
 * the rest.
 * Source: tka/aum.go
 */
#ifndef CORE_TKA_TKA_AUM_H
#define CORE_TKA_TKA_AUM_H

#include "core/crypto/signature.h"
#include "core/tka/tka_state.h"

enum ts_tka_aum_kind {
	TS_AUM_ADD_KEY = 1,
	TS_AUM_REMOVE_KEY = 2,
	TS_AUM_NO_OP = 3,
	TS_AUM_UPDATE_KEY = 4,
	TS_AUM_CHECKPOINT = 5,
	/* Others may come one day; they change nothing. */
};

enum {
	/* 512 keys with all the metadata that they may have. */
	TS_TKA_AUM_MAX = 512 * 1024,
	TS_TKA_SIGNERS_MAX = 512,
};

struct ts_tka_signature {
	struct ts_public_key key_id;
	uint8_t bytes[TS_SIGNATURE_LEN];
};

struct ts_tka_aum {
	uint8_t *raw; /* NULL in one that is to be written */
	size_t len;
	struct ts_tka_hash hash, sig_hash; /* of raw; without signatures */

	uint64_t kind;
	bool has_parent; /* not so the genesis */
	struct ts_tka_hash parent;
	bool has_key, has_key_id, has_state, has_votes;
	struct ts_tka_key key;	     /* AddKey */
	struct ts_public_key key_id; /* RemoveKey, UpdateKey */
	struct ts_tka_state state;   /* Checkpoint */
	unsigned votes;		     /* UpdateKey; may be out of range */
	json_t *meta;		     /* UpdateKey, or NULL */
	struct ts_tka_signature *signatures;
	size_t signature_count;

	/* Of whoever stores it (tka_chonk.h). */
	int64_t created_unix;
	struct ts_tka_aum *next_sibling;
};

/* Well-formed in itself; whether it is rightly signed is another question.
 * 0, -EBADMSG, -EMSGSIZE or -ENOMEM. */
int ts_tka_aum_read(const void *data, size_t len, struct ts_tka_aum **out);
void ts_tka_aum_free(struct ts_tka_aum *aum);
/* "add-key", ...: as upstream's CLI says it. */
const char *ts_tka_aum_kind_name(uint64_t kind);

/* An update of these contents (raw, hashes and signatures are not looked at),
 * signed by the keys, as a new one. 0, -EBADMSG: it makes no sense, or
 * -ENOMEM. */
int ts_tka_aum_sign(const struct ts_tka_aum *contents,
		    const struct ts_nl_private_key *keys, size_t key_count,
		    struct ts_tka_aum **out);

#endif
