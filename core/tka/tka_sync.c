/* SPDX-License-Identifier: BSD-3-Clause
 * tka_sync.c - what two holders of the chain lack of each other
 *
 * Each makes an offer: its head, and some of what is before it. Who knows the
 * other's head among its own ancestors sends what comes after; else all that
 * comes after the first of the other's ancestors that lies on its chain.
 * Source: tka/sync.go
 */
#include "core/tka/tka.h"

#include <errno.h>
#include <stdlib.h>

#include "core/tka/tka_chain.h"

enum { OFFER_STEPS_MAX = 1000 };

static const struct ts_tka_aum *parent_of(const struct ts_tka *tka,
					  const struct ts_tka_aum *aum)
{
	return aum->has_parent ? ts_tka_aum(tka, &aum->parent) : NULL;
}

int ts_tka_make_offer(const struct ts_tka *tka, struct ts_tka_offer *out)
{
	const struct ts_tka_aum *aum = ts_tka_aum(tka, &tka->head.at);

	out->head = tka->head.at;
	out->ancestor_count = 0;
	out->ancestors = calloc(OFFER_STEPS_MAX + 1, sizeof(*out->ancestors));
	if (!out->ancestors)
		return -ENOMEM;
	for (int i = 0; aum && i < OFFER_STEPS_MAX; i++) {
		if (ts_tka_hash_equal(&aum->hash, &tka->oldest))
			break;
		if (aum->kind == TS_AUM_CHECKPOINT)
			out->ancestors[out->ancestor_count++] = aum->hash;
		aum = parent_of(tka, aum);
	}
	out->ancestors[out->ancestor_count++] = tka->oldest;
	return 0;
}

void ts_tka_offer_deinit(struct ts_tka_offer *offer)
{
	free(offer->ancestors);
	offer->ancestors = NULL;
	offer->ancestor_count = 0;
}

static bool is_behind_us(const struct ts_tka *tka,
			 const struct ts_tka_hash *hash)
{
	const struct ts_tka_aum *aum = ts_tka_aum(tka, &tka->head.at);

	if (!ts_tka_aum(tka, hash))
		return false;
	for (int i = 0; aum && i < TS_TKA_SCAN_MAX; i++) {
		if (ts_tka_hash_equal(&aum->hash, hash))
			return true;
		aum = parent_of(tka, aum);
	}
	return false;
}

static int find_common(const struct ts_tka *tka,
		       const struct ts_tka_offer *offer,
		       struct ts_tka_hash *out)
{
	if (is_behind_us(tka, &offer->head)) {
		*out = offer->head;
		return 0;
	}
	for (size_t i = 0; i < offer->ancestor_count; i++) {
		if (!is_behind_us(tka, &offer->ancestors[i]))
			continue;
		*out = offer->ancestors[i];
		return 0;
	}
	return -ENOENT;
}

int ts_tka_missing(const struct ts_tka *tka, const struct ts_tka_offer *offer,
		   const struct ts_tka_aum ***out, size_t *count)
{
	const struct ts_tka_aum **list, *next;
	struct ts_tka_hash common;
	struct tka_point point;
	int err;

	*out = NULL;
	*count = 0;
	if (ts_tka_hash_equal(&offer->head, &tka->head.at))
		return 0;
	err = find_common(tka, offer, &common);
	if (!err)
		err = tka_point_at(tka->chonk, &common, &point);
	if (err)
		return err;
	list = calloc(TS_TKA_SCAN_MAX, sizeof(struct ts_tka_aum *));
	if (!list)
		err = -ENOMEM;
	while (!err && *count < TS_TKA_SCAN_MAX &&
	       (next = tka_next(tka->chonk, &point))) {
		list[(*count)++] = next;
		err = tka_point_apply(&point, next);
	}
	tka_point_deinit(&point);
	if (err)
		free(list);
	else
		*out = list;
	return err;
}
