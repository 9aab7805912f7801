/* SPDX-License-Identifier: BSD-3-Clause
 * tka_chain.h - walking the chain (private to core/tka)
 */
#ifndef CORE_TKA_TKA_CHAIN_H
#define CORE_TKA_TKA_CHAIN_H

#include "core/tka/tka.h"

/* The state after one update. */
struct tka_point {
	struct ts_tka_hash at;
	struct ts_tka_state state;
};

struct ts_tka {
	struct ts_tka_chonk *chonk;
	struct tka_point head;
	struct ts_tka_hash oldest;
};

void tka_point_deinit(struct tka_point *point);
/* 0, -ENOENT: no such update, -EPROTO: no way to a checkpoint, -ENOMEM. out
 * needs deinit after 0. */
int tka_point_at(const struct ts_tka_chonk *chonk,
		 const struct ts_tka_hash *hash, struct tka_point *out);
/* One step on. 0, -EPROTO: it does not follow, or -ENOMEM; then point is as
 * before. */
int tka_point_apply(struct tka_point *point, const struct ts_tka_aum *aum);
/* The child that everybody takes; NULL at the head. */
const struct ts_tka_aum *tka_next(const struct ts_tka_chonk *chonk,
				  const struct tka_point *point);
/* To the head, TS_TKA_SCAN_MAX steps at most. */
int tka_forward(const struct ts_tka_chonk *chonk, struct tka_point *point);

#endif
