/* SPDX-License-Identifier: BSD-3-Clause
 * tka.c - the tailnet key authority: which keys are trusted to sign nodes
 *
 * Updates are verified against the state before them and put into memory; then
 * the chain is walked anew from its oldest update, as it may take another fork
 * now, and they are stored.
 */
#include "core/tka/tka.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/tka/tka_chain.h"

void ts_tka_free(struct ts_tka *tka)
{
	if (!tka)
		return;
	tka_point_deinit(&tka->head);
	ts_tka_chonk_free(tka->chonk);
	free(tka);
}

void ts_tka_head(const struct ts_tka *tka, struct ts_tka_hash *out)
{
	*out = tka->head.at;
}

const struct ts_tka_state *ts_tka_state(const struct ts_tka *tka)
{
	return &tka->head.state;
}

const struct ts_tka_chonk *ts_tka_chonk(const struct ts_tka *tka)
{
	return tka->chonk;
}

const struct ts_tka_aum *ts_tka_aum(const struct ts_tka *tka,
				    const struct ts_tka_hash *hash)
{
	return ts_tka_chonk_get(tka->chonk, hash);
}

/* -- opening -------------------------------------------------------------- */

/* The oldest update before this one that is there. *passes: the way leads
 * through the ancestor that was in use the last time. */
static const struct ts_tka_aum *oldest_before(const struct ts_tka_chonk *chonk,
					      const struct ts_tka_aum *aum,
					      bool *passes)
{
	const struct ts_tka_aum *parent;

	for (int i = 0; i < TS_TKA_AUMS_MAX; i++) {
		*passes |= chonk->has_ancestor &&
			   ts_tka_hash_equal(&aum->hash, &chonk->ancestor);
		parent = aum->has_parent
				 ? ts_tka_chonk_get(chonk, &aum->parent)
				 : NULL;
		if (!parent)
			break;
		aum = parent;
	}
	return aum;
}

/* Where the chain in use begins. Several trees may be stored; then it is the
 * one that was in use before. NULL: nobody knows. */
static const struct ts_tka_aum *find_oldest(const struct ts_tka_chonk *chonk)
{
	const struct ts_tka_aum *aum, *found = NULL;
	bool found_passes = false, is_alone = true;
	size_t pos = 0;

	while ((aum = ts_tka_chonk_next(chonk, &pos))) {
		const struct ts_tka_aum *oldest;
		bool passes = false;

		if (ts_tka_chonk_children(chonk, &aum->hash))
			continue; /* not a head */
		oldest = oldest_before(chonk, aum, &passes);
		if (found && found != oldest)
			is_alone = false;
		if (!found || (passes && !found_passes)) {
			found = oldest;
			found_passes = passes;
		}
	}
	return is_alone || found_passes ? found : NULL;
}

/* Where the chain ends. */
static int walk(const struct ts_tka *tka, struct tka_point *out)
{
	int err = tka_point_at(tka->chonk, &tka->oldest, out);

	if (err)
		return err;
	err = tka_forward(tka->chonk, out);
	if (err)
		tka_point_deinit(out);
	return err;
}

static void set_head(struct ts_tka *tka, const struct tka_point *point)
{
	tka_point_deinit(&tka->head);
	tka->head = *point;
}

int ts_tka_open(struct ts_tka_chonk *chonk, struct ts_tka **out)
{
	const struct ts_tka_aum *oldest = find_oldest(chonk);
	struct ts_tka *tka = calloc(1, sizeof(*tka));
	int err;

	if (!tka || !oldest) {
		err = !tka ? -ENOMEM
		      : ts_tka_chonk_is_empty(chonk) ? -ENOENT
						     : -EBADMSG;
		ts_tka_chonk_free(chonk);
		free(tka);
		return err;
	}
	tka->chonk = chonk;
	tka->oldest = oldest->hash;
	err = walk(tka, &tka->head);
	if (err) {
		ts_tka_free(tka);
		return err == -ENOMEM ? err : -EBADMSG;
	}
	*out = tka;
	return 0;
}

/* -- verifying ------------------------------------------------------------ */

static int verify_signatures(const struct ts_tka_aum *aum,
			     const struct ts_tka_state *state,
			     const char **why)
{
	for (size_t i = 0; i < aum->signature_count; i++) {
		const struct ts_tka_signature *s = &aum->signatures[i];
		const struct ts_tka_key *key =
			ts_tka_state_key(state, &s->key_id);

		if (!key)
			*why = "update signed by a key that is not trusted";
		else if (!ts_signature_is_valid(&key->public,
						aum->sig_hash.bytes,
						TS_TKA_HASH_LEN, s->bytes))
			*why = "update with an invalid signature";
		if (*why)
			return -EACCES;
	}
	if (aum->signature_count == 0)
		*why = "unsigned update";
	return *why ? -EACCES : 0;
}

static int verify(const struct ts_tka_aum *aum,
		  const struct ts_tka_state *state, const char **why)
{
	int err = verify_signatures(aum, state, why);

	if (err)
		return err;
	if (aum->kind == TS_AUM_REMOVE_KEY && state->key_count == 1 &&
	    ts_tka_state_key(state, &aum->key_id)) {
		*why = "update that removes the last key";
		return -EPROTO;
	}
	return 0;
}

int ts_tka_bootstrap(struct ts_tka_chonk *chonk, const void *data, size_t len,
		     int64_t now_unix, struct ts_tka **out, const char **why)
{
	struct ts_tka_aum *aum = NULL;
	int err = ts_tka_chonk_is_empty(chonk) ? 0 : -EEXIST;

	*why = NULL;
	if (!err)
		err = ts_tka_aum_read(data, len, &aum);
	if (!err && aum->kind != TS_AUM_CHECKPOINT)
		err = -EBADMSG;
	if (err)
		*why = err == -EEXIST ? "an authority is stored already"
				      : "the genesis is no checkpoint";
	if (!err)
		err = verify(aum, &aum->state, why);
	if (!err)
		err = ts_tka_chonk_add(chonk, aum);
	if (err) {
		ts_tka_aum_free(aum);
		ts_tka_chonk_free(chonk);
		return err;
	}
	err = ts_tka_chonk_store(chonk, aum, now_unix);
	if (!err)
		err = ts_tka_chonk_set_ancestor(chonk, &aum->hash);
	if (err) {
		*why = "cannot be stored";
		ts_tka_chonk_free(chonk);
		return err;
	}
	return ts_tka_open(chonk, out);
}

/* -- updates -------------------------------------------------------------- */

/* What has been put into memory, and may have to leave it again. */
struct staged {
	struct ts_tka_aum **list;
	size_t count;
	struct tka_point point; /* after the last one */
};

static int move_to_parent(const struct ts_tka *tka, struct staged *staged,
			  const struct ts_tka_aum *aum)
{
	struct tka_point point;
	int err;

	if (ts_tka_hash_equal(&aum->parent, &staged->point.at))
		return 0;
	err = tka_point_at(tka->chonk, &aum->parent, &point);
	if (err)
		return err == -ENOENT ? -EPROTO : err;
	tka_point_deinit(&staged->point);
	staged->point = point;
	return 0;
}

/* Takes the update, but not on error. */
static int stage_aum(struct ts_tka *tka, struct staged *staged,
		     struct ts_tka_aum *aum, const char **why)
{
	int err;

	*why = "update of something that is not known";
	err = aum->has_parent ? move_to_parent(tka, staged, aum) : -EPROTO;
	if (err)
		return err;
	*why = NULL;
	err = verify(aum, &staged->point.state, why);
	if (err)
		return err;
	*why = "update that does not fit the state before it";
	err = tka_point_apply(&staged->point, aum);
	if (err)
		return err;
	*why = NULL;
	err = ts_tka_chonk_add(tka->chonk, aum);
	if (!err)
		staged->list[staged->count++] = aum;
	return err;
}

static int stage(struct ts_tka *tka, struct staged *staged,
		 const struct ts_tka_update *update, const char **why)
{
	struct ts_tka_aum *aum;
	int err = ts_tka_aum_read(update->data, update->len, &aum);

	if (err) {
		*why = "malformed update";
		return err;
	}
	if (ts_tka_chonk_get(tka->chonk, &aum->hash)) {
		ts_tka_aum_free(aum);
		return 0;
	}
	err = stage_aum(tka, staged, aum, why);
	if (err)
		ts_tka_aum_free(aum);
	return err;
}

static int store_all(struct ts_tka *tka, struct staged *staged,
		     int64_t now_unix)
{
	int err = 0;

	for (size_t i = 0; !err && i < staged->count; i++)
		err = ts_tka_chonk_store(tka->chonk, staged->list[i],
					 now_unix);
	return err;
}

/* What reached the disk before it was full may stay there: it is good. */
static void unstage(struct ts_tka *tka, struct staged *staged)
{
	while (staged->count > 0)
		ts_tka_chonk_drop(tka->chonk, staged->list[--staged->count]);
}

/* Stored is only what can be walked: the next start walks it again. */
static int take_staged(struct ts_tka *tka, struct staged *staged,
		       int64_t now_unix)
{
	struct tka_point head;
	int err = walk(tka, &head);

	if (err)
		return err;
	err = store_all(tka, staged, now_unix);
	if (err)
		tka_point_deinit(&head);
	else
		set_head(tka, &head);
	return err;
}

int ts_tka_inform(struct ts_tka *tka, const struct ts_tka_update *updates,
		  size_t count, int64_t now_unix, const char **why)
{
	struct staged staged = {.point.at = tka->head.at};
	int err = ts_tka_state_copy(&staged.point.state, &tka->head.state);

	*why = NULL;
	staged.list = calloc(count + 1, sizeof(struct ts_tka_aum *));
	if (!staged.list)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < count; i++)
		err = stage(tka, &staged, &updates[i], why);
	if (!err)
		err = take_staged(tka, &staged, now_unix);
	if (err)
		unstage(tka, &staged);
	tka_point_deinit(&staged.point);
	free(staged.list);
	return err;
}

int ts_tka_remove_all(struct ts_tka *tka)
{
	const struct ts_tka_disk *disk = &tka->chonk->disk;

	return disk->remove_all ? disk->remove_all(disk->ctx) : 0;
}
