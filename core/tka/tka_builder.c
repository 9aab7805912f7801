/* SPDX-License-Identifier: BSD-3-Clause
 * tka_builder.c - updates that this node makes, for the server to take
 */
#include "core/tka/tka_builder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/tka/tka_chain.h"

enum { CHECKPOINT_EVERY = 50 };

struct ts_tka_builder {
	const struct ts_tka *tka;
	struct ts_nl_private_key signer;
	struct tka_point point;
	struct ts_tka_aum *list[TS_TKA_BUILDER_MAX + 1];
	size_t count;
};

static bool is_trusted(const struct ts_tka_state *state,
		       const struct ts_nl_private_key *signer)
{
	struct ts_public_key id;

	ts_nl_public(signer, &id);
	return ts_tka_state_key(state, &id) != NULL;
}

int ts_tka_builder_new(const struct ts_tka *tka,
		       const struct ts_nl_private_key *signer,
		       struct ts_tka_builder **out)
{
	struct ts_tka_builder *b;

	if (!is_trusted(&tka->head.state, signer))
		return -EACCES;
	b = calloc(1, sizeof(*b));
	if (!b || ts_tka_state_copy(&b->point.state, &tka->head.state)) {
		free(b);
		return -ENOMEM;
	}
	b->tka = tka;
	b->signer = *signer;
	b->point.at = tka->head.at;
	*out = b;
	return 0;
}

void ts_tka_builder_free(struct ts_tka_builder *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->count; i++)
		ts_tka_aum_free(b->list[i]);
	tka_point_deinit(&b->point);
	ts_wipe(&b->signer, sizeof(b->signer));
	free(b);
}

static int append(struct ts_tka_builder *b, struct ts_tka_aum *contents)
{
	struct ts_tka_aum *aum;
	int err;

	contents->has_parent = true;
	contents->parent = b->point.at;
	err = ts_tka_aum_sign(contents, &b->signer, 1, &aum);
	if (err)
		return err == -EBADMSG ? -EPROTO : err;
	err = tka_point_apply(&b->point, aum);
	if (err)
		ts_tka_aum_free(aum);
	else
		b->list[b->count++] = aum;
	return err;
}

int ts_tka_builder_add_key(struct ts_tka_builder *b,
			   const struct ts_tka_key *key)
{
	struct ts_tka_aum contents = {.kind = TS_AUM_ADD_KEY, .has_key = true,
				      .key = *key};

	return b->count < TS_TKA_BUILDER_MAX ? append(b, &contents)
					     : -EMSGSIZE;
}

int ts_tka_builder_remove_key(struct ts_tka_builder *b,
			      const struct ts_public_key *id)
{
	struct ts_tka_aum contents = {.kind = TS_AUM_REMOVE_KEY,
				      .has_key_id = true, .key_id = *id};

	if (b->count == TS_TKA_BUILDER_MAX)
		return -EMSGSIZE;
	if (b->point.state.key_count < 2)
		return -EPROTO; /* the last one */
	return append(b, &contents);
}

static size_t since_checkpoint(const struct ts_tka_builder *b)
{
	const struct ts_tka_aum *aum = ts_tka_aum(b->tka, &b->tka->head.at);
	size_t count = b->count;

	while (aum && aum->kind != TS_AUM_CHECKPOINT &&
	       count < CHECKPOINT_EVERY) {
		count++;
		aum = aum->has_parent ? ts_tka_aum(b->tka, &aum->parent)
				      : NULL;
	}
	return count;
}

int ts_tka_builder_finish(struct ts_tka_builder *b,
			  const struct ts_tka_aum *const **list, size_t *count)
{
	struct ts_tka_aum contents = {.kind = TS_AUM_CHECKPOINT,
				      .has_state = true};
	int err = 0;

	/* A signer that has removed itself cannot sign it any more. */
	if (b->count > 0 && since_checkpoint(b) >= CHECKPOINT_EVERY &&
	    is_trusted(&b->point.state, &b->signer)) {
		err = ts_tka_state_copy(&contents.state, &b->point.state);
		if (!err)
			err = append(b, &contents);
		ts_tka_state_deinit(&contents.state);
	}
	*list = (const struct ts_tka_aum *const *)b->list;
	*count = b->count;
	return err;
}

int ts_tka_make_genesis(const struct ts_tka_state *state,
			const struct ts_nl_private_key *signer,
			struct ts_tka_aum **out)
{
	struct ts_tka_aum contents = {.kind = TS_AUM_CHECKPOINT,
				      .has_state = true, .state = *state};

	if (!is_trusted(state, signer))
		return -EACCES;
	return ts_tka_aum_sign(&contents, signer, 1, out);
}

/* -- recovery ------------------------------------------------------------- */

static bool trusts_any(const struct ts_tka_state *state,
		       const struct ts_public_key *keys, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (ts_tka_state_key(state, &keys[i]))
			return true;
	return false;
}

/* The latest update after which none of the keys was trusted yet and the
 * signer was; else the oldest. */
static int find_fork(const struct ts_tka *tka, const struct ts_public_key *keys,
		     size_t count, const struct ts_nl_private_key *signer,
		     struct ts_tka_hash *out)
{
	const struct ts_tka_aum *aum = ts_tka_aum(tka, &tka->head.at);

	for (int i = 0; aum && i < TS_TKA_SCAN_MAX; i++) {
		struct tka_point point;
		bool is_right;
		int err;

		*out = aum->hash;
		if (ts_tka_hash_equal(&aum->hash, &tka->oldest))
			return 0;
		err = tka_point_at(tka->chonk, &aum->hash, &point);
		if (err)
			return err;
		is_right = !trusts_any(&point.state, keys, count) &&
			   is_trusted(&point.state, signer);
		tka_point_deinit(&point);
		if (is_right)
			return 0;
		aum = aum->has_parent ? ts_tka_aum(tka, &aum->parent) : NULL;
	}
	return aum ? -EPROTO : 0;
}

static int make_recovery(const struct ts_tka *tka, struct ts_tka_aum *contents,
			 const struct ts_public_key *remove, size_t count,
			 const struct ts_nl_private_key *signer,
			 struct ts_tka_aum **out)
{
	int err = ts_tka_state_copy(&contents->state, &tka->head.state);

	for (size_t i = 0; !err && i < count; i++)
		ts_tka_state_remove_key(&contents->state, &remove[i]);
	if (!err && contents->state.key_count == 0)
		err = -EPROTO;
	if (!err)
		err = ts_tka_aum_sign(contents, signer, 1, out);
	ts_tka_state_deinit(&contents->state);
	return err;
}

int ts_tka_make_recovery(const struct ts_tka *tka,
			 const struct ts_public_key *remove, size_t count,
			 const struct ts_tka_hash *fork_from,
			 const struct ts_nl_private_key *signer,
			 struct ts_tka_aum **out)
{
	struct ts_tka_aum contents = {.kind = TS_AUM_CHECKPOINT,
				      .has_parent = true, .has_state = true};
	int err = 0;

	if (fork_from) {
		contents.parent = *fork_from;
		if (!ts_tka_aum(tka, fork_from))
			err = -EPROTO;
	} else if (!trusts_any(&tka->head.state, remove, count)) {
		err = -ENOENT;
	} else {
		err = find_fork(tka, remove, count, signer, &contents.parent);
	}
	return err ? err
		   : make_recovery(tka, &contents, remove, count, signer, out);
}
