/* SPDX-License-Identifier: BSD-3-Clause
 * tka_compact.c - forgetting old updates
 *
 * The chain is cut off before a checkpoint that has 24 updates after it and is
 * two weeks old; what descends from it stays, all else is given up. When a
 * fork before it is younger than that, nothing is: upstream looks for an
 * earlier checkpoint then, which saves as little.
 * Source: tka/tailchonk.go (Compact), tka/limits.go
 */
#include "core/tka/tka.h"

#include <errno.h>
#include <stdlib.h>

#include "core/tka/tka_chain.h"

enum { KEEP_MIN = 24, KEEP_S = 14 * 24 * 3600 };

/* Updates as they come to be kept; each once. */
struct kept {
	struct ts_key_map by_hash;
	struct ts_tka_aum **list;
	size_t count;
};

static int keep(struct kept *kept, struct ts_tka_aum *aum)
{
	int err = ts_key_map_put(&kept->by_hash, aum->hash.bytes, aum);

	if (!err)
		kept->list[kept->count++] = aum;
	return err;
}

/* The checkpoint that the chain will begin at; NULL: none that is old. */
static struct ts_tka_aum *find_cut(const struct ts_tka *tka,
				   int64_t old_before)
{
	struct ts_tka_aum *aum = ts_tka_chonk_get(tka->chonk, &tka->head.at);

	for (int i = 0; aum && i < TS_TKA_SCAN_MAX; i++) {
		if (i >= KEEP_MIN && aum->kind == TS_AUM_CHECKPOINT &&
		    aum->created_unix <= old_before)
			return aum;
		aum = aum->has_parent
			      ? ts_tka_chonk_get(tka->chonk, &aum->parent)
			      : NULL;
	}
	return NULL;
}

static int keep_descendants(const struct ts_tka *tka, struct ts_tka_aum *cut,
			    struct kept *kept)
{
	int err = keep(kept, cut);

	for (size_t i = 0; !err && i < kept->count; i++) {
		struct ts_tka_aum *child = ts_tka_chonk_children(
			tka->chonk, &kept->list[i]->hash);

		for (; !err && child; child = child->next_sibling)
			err = keep(kept, child);
	}
	return err;
}

/* The rest, by the end of kept->list; 0: something of it is too young. */
static size_t list_rest(const struct ts_tka *tka, struct kept *kept,
			int64_t old_before)
{
	struct ts_tka_aum *aum;
	size_t pos = 0, count = 0;

	while ((aum = ts_tka_chonk_next(tka->chonk, &pos))) {
		if (ts_key_map_get(&kept->by_hash, aum->hash.bytes))
			continue;
		if (aum->created_unix > old_before)
			return 0;
		kept->list[kept->count + count++] = aum;
	}
	return count;
}

static int give_up_rest(struct ts_tka *tka, struct ts_tka_aum *cut,
			struct kept *kept, int64_t now_unix)
{
	size_t count;
	int err = keep_descendants(tka, cut, kept);

	if (err)
		return err;
	count = list_rest(tka, kept, now_unix - KEEP_S);
	if (count == 0)
		return 0;
	err = ts_tka_chonk_set_ancestor(tka->chonk, &cut->hash);
	if (err)
		return err;
	tka->oldest = cut->hash;
	for (size_t i = 0; !err && i < count; i++)
		err = ts_tka_chonk_purge(tka->chonk,
					 kept->list[kept->count + i],
					 now_unix);
	return err;
}

int ts_tka_compact(struct ts_tka *tka, int64_t now_unix)
{
	struct ts_tka_aum *cut = find_cut(tka, now_unix - KEEP_S);
	size_t total = tka->chonk->by_hash.len;
	struct kept kept = {.count = 0};
	int err = -ENOMEM;

	if (!cut)
		return 0;
	ts_key_map_init(&kept.by_hash, TS_TKA_HASH_LEN,
			tka->chonk->by_hash.seed);
	kept.list = calloc(total, sizeof(struct ts_tka_aum *));
	if (kept.list)
		err = give_up_rest(tka, cut, &kept, now_unix);
	free(kept.list);
	ts_key_map_deinit(&kept.by_hash);
	return err;
}
