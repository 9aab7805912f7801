/* SPDX-License-Identifier: BSD-3-Clause
 * tka_chain.c - walking the chain
 *
 * A checkpoint holds the whole state, so the state at an update is that of the
 * last checkpoint before it, with all updates since applied. Forks are decided
 * on the way down only; the way up is given by the parents.
 * Source: tka/tka.go, tka/state.go (applyVerifiedAUM), tka/aum.go (Weight)
 */
#include "core/tka/tka_chain.h"

#include <errno.h>
#include <string.h>

void tka_point_deinit(struct tka_point *point)
{
	ts_tka_state_deinit(&point->state);
}

/* -- one step ------------------------------------------------------------- */

static int apply_checkpoint(struct ts_tka_state *state,
			    const struct ts_tka_aum *aum)
{
	struct ts_tka_state next;
	int err;

	if (aum->state.id1 != state->id1 || aum->state.id2 != state->id2)
		return -EPROTO;
	err = ts_tka_state_copy(&next, &aum->state);
	if (err)
		return err;
	ts_tka_state_deinit(state);
	*state = next;
	return 0;
}

static int apply_add_key(struct ts_tka_state *state,
			 const struct ts_tka_aum *aum)
{
	struct ts_tka_key key;
	int err;

	ts_tka_key_copy(&key, &aum->key);
	err = ts_tka_state_add_key(state, &key);
	return err == -ENOMEM || !err ? err : -EPROTO;
}

static int apply_update_key(struct ts_tka_state *state,
			    const struct ts_tka_aum *aum)
{
	struct ts_tka_key *key = ts_tka_state_key(state, &aum->key_id);

	if (!key || (aum->has_votes &&
		     (aum->votes == 0 || aum->votes > TS_TKA_VOTES_MAX)))
		return -EPROTO;
	if (aum->has_votes)
		key->votes = aum->votes;
	if (aum->meta) {
		json_decref(key->meta);
		key->meta = json_incref(aum->meta);
	}
	return 0;
}

int tka_point_apply(struct tka_point *point, const struct ts_tka_aum *aum)
{
	int err = 0;

	if (!aum->has_parent || !ts_tka_hash_equal(&aum->parent, &point->at))
		return -EPROTO;
	switch (aum->kind) {
	case TS_AUM_CHECKPOINT:
		err = apply_checkpoint(&point->state, aum);
		break;
	case TS_AUM_ADD_KEY:
		err = apply_add_key(&point->state, aum);
		break;
	case TS_AUM_UPDATE_KEY:
		err = apply_update_key(&point->state, aum);
		break;
	case TS_AUM_REMOVE_KEY:
		if (ts_tka_state_remove_key(&point->state, &aum->key_id))
			err = -EPROTO;
		break;
	default: /* a no-op, or of a later version: adds nothing for us */
		break;
	}
	if (!err)
		point->at = aum->hash;
	return err;
}

/* -- up ------------------------------------------------------------------- */

/* From the update to its last checkpoint: how many updates, or an error. */
static int path_to_checkpoint(const struct ts_tka_chonk *chonk,
			      const struct ts_tka_hash *hash,
			      const struct ts_tka_aum **path)
{
	const struct ts_tka_aum *aum = ts_tka_chonk_get(chonk, hash);

	if (!aum)
		return -ENOENT;
	for (int count = 0; count < TS_TKA_SCAN_MAX;) {
		path[count++] = aum;
		if (aum->kind == TS_AUM_CHECKPOINT)
			return count;
		aum = aum->has_parent ? ts_tka_chonk_get(chonk, &aum->parent)
				      : NULL;
		if (!aum)
			break;
	}
	return -EPROTO;
}

int tka_point_at(const struct ts_tka_chonk *chonk,
		 const struct ts_tka_hash *hash, struct tka_point *out)
{
	const struct ts_tka_aum *path[TS_TKA_SCAN_MAX];
	int count = path_to_checkpoint(chonk, hash, path);
	int err;

	if (count < 0)
		return count;
	out->at = path[count - 1]->hash;
	err = ts_tka_state_copy(&out->state, &path[count - 1]->state);
	for (int i = count - 2; !err && i >= 0; i--)
		err = tka_point_apply(out, path[i]);
	if (err)
		tka_point_deinit(out);
	return err;
}

/* -- down ----------------------------------------------------------------- */

static bool signed_before(const struct ts_tka_aum *aum, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (memcmp(aum->signatures[i].key_id.bytes,
			   aum->signatures[at].key_id.bytes, TS_KEY_LEN) == 0)
			return true;
	return false;
}

static unsigned weight(const struct ts_tka_aum *aum,
		       const struct ts_tka_state *state)
{
	unsigned sum = 0;

	for (size_t i = 0; i < aum->signature_count; i++) {
		const struct ts_tka_key *key = ts_tka_state_key(
			state, &aum->signatures[i].key_id);

		if (key && !signed_before(aum, i))
			sum += key->votes;
	}
	return sum;
}

static bool is_better(const struct ts_tka_aum *a, const struct ts_tka_aum *b,
		      const struct ts_tka_state *state)
{
	unsigned a_weight = weight(a, state), b_weight = weight(b, state);
	bool a_removes = a->kind == TS_AUM_REMOVE_KEY;
	bool b_removes = b->kind == TS_AUM_REMOVE_KEY;

	if (a_weight != b_weight)
		return a_weight > b_weight;
	if (a_removes != b_removes)
		return a_removes;
	return memcmp(a->hash.bytes, b->hash.bytes, TS_TKA_HASH_LEN) < 0;
}

const struct ts_tka_aum *tka_next(const struct ts_tka_chonk *chonk,
				  const struct tka_point *point)
{
	const struct ts_tka_aum *best =
		ts_tka_chonk_children(chonk, &point->at);
	const struct ts_tka_aum *other = best ? best->next_sibling : NULL;

	for (; other; other = other->next_sibling)
		if (is_better(other, best, &point->state))
			best = other;
	return best;
}

int tka_forward(const struct ts_tka_chonk *chonk, struct tka_point *point)
{
	const struct ts_tka_aum *next;
	int err = 0;

	for (int i = 0; i < TS_TKA_SCAN_MAX; i++) {
		next = tka_next(chonk, point);
		if (!next)
			return 0;
		err = tka_point_apply(point, next);
		if (err)
			return err;
	}
	return -EPROTO;
}
