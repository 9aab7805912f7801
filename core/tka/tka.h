/* SPDX-License-Identifier: BSD-3-Clause
 * tka.h - the tailnet key authority: which keys are trusted to sign nodes
 *
 * A chain of updates, each signed by keys that the state before it trusts.
 * It may fork; everybody takes the same way: the child whose signers have the
 * most votes, then one that removes a key, then the one of the lowest hash.
 * The state at the chain's head is what node keys are judged by.
 *
 * Nobody's word but the first: the genesis is taken from the control server
 * once (and is the server's chance to cheat); all that follows is verified.
 * Source: tka/{tka,sync}.go
 */
#ifndef CORE_TKA_TKA_H
#define CORE_TKA_TKA_H

#include "core/tka/tka_chonk.h"
#include "core/tka/tka_nks.h"

enum {
	TS_TKA_SCAN_MAX = 2000,	    /* steps along the chain */
	TS_TKA_ANCESTORS_MAX = 1024, /* of an offer */
};

struct ts_tka; /* an authority */

/* From what was stored. Takes the chonk in any case. 0, -ENOENT: it is empty,
 * -EBADMSG: it makes no chain, -ENOMEM. */
int ts_tka_open(struct ts_tka_chonk *chonk, struct ts_tka **out);
/* Begin with a genesis, or a later checkpoint, which must be signed by a key
 * of its own. Takes the chonk (an empty one) in any case. *why: words for
 * -EACCES and -EBADMSG. */
int ts_tka_bootstrap(struct ts_tka_chonk *chonk, const void *aum, size_t len,
		     int64_t now_unix, struct ts_tka **out, const char **why);
void ts_tka_free(struct ts_tka *tka);

void ts_tka_head(const struct ts_tka *tka, struct ts_tka_hash *out);
const struct ts_tka_state *ts_tka_state(const struct ts_tka *tka);
const struct ts_tka_chonk *ts_tka_chonk(const struct ts_tka *tka);
/* The update of that hash, or NULL. */
const struct ts_tka_aum *ts_tka_aum(const struct ts_tka *tka,
				    const struct ts_tka_hash *hash);

/* Updates, oldest first; those that are known already are passed over. All or
 * none: 0, -EACCES (wrongly signed), -EBADMSG, -EPROTO (does not fit what is
 * known), -EMSGSIZE, -ENOMEM or what the disk said. */
struct ts_tka_update {
	const uint8_t *data;
	size_t len;
};
int ts_tka_inform(struct ts_tka *tka, const struct ts_tka_update *updates,
		  size_t count, int64_t now_unix, const char **why);

/* What we know, for somebody to compare: checkpoints of our chain from the
 * head backwards, and its oldest. */
struct ts_tka_offer {
	struct ts_tka_hash head;
	struct ts_tka_hash *ancestors; /* heap */
	size_t ancestor_count;
};
int ts_tka_make_offer(const struct ts_tka *tka, struct ts_tka_offer *out);
void ts_tka_offer_deinit(struct ts_tka_offer *offer);
/* What the maker of an offer lacks: *out is a heap array of our updates,
 * oldest first. 0, -ENOENT: nothing in common, or -ENOMEM. */
int ts_tka_missing(const struct ts_tka *tka, const struct ts_tka_offer *offer,
		   const struct ts_tka_aum ***out, size_t *count);

/* Forgets old updates, as upstream does: 24 are kept, and those of the last
 * two weeks, back to a checkpoint. */
int ts_tka_compact(struct ts_tka *tka, int64_t now_unix);
/* The authority has ended: nothing of it stays on disk. */
int ts_tka_remove_all(struct ts_tka *tka);

#endif
