/* SPDX-License-Identifier: BSD-3-Clause
 * tka_rotation.h - node keys that newer ones have replaced
 *
 * A rotation names the keys before it: they are good no more, whoever still
 * has them. And of several nodes whose rotations go back to direct signatures
 * for one wrapping key (a machine that was cloned, say), only the one with the
 * longest chain is right; when two are as long, nobody knows, and none is.
 * Source: ipn/ipnlocal/tailnet-lock.go (rotationTracker)
 */
#ifndef CORE_TKA_TKA_ROTATION_H
#define CORE_TKA_TKA_ROTATION_H

#include "core/base/key_map.h"
#include "core/tka/tka_nks.h"

struct ts_rotations {
	struct ts_key_map obsolete; /* node key -> something */
	struct ts_rotation *list;
	size_t count, cap;
};

void ts_rotations_init(struct ts_rotations *r, uint64_t seed);
void ts_rotations_deinit(struct ts_rotations *r);
/* A signature that is valid for its node; others than rotations say nothing.
 * 0 or -ENOMEM. */
int ts_rotations_add(struct ts_rotations *r, const struct ts_nks *nks);
/* When all are added: 0 or -ENOMEM. */
int ts_rotations_settle(struct ts_rotations *r);
bool ts_rotations_has_replaced(const struct ts_rotations *r,
			       const struct ts_public_key *node_key);

#endif
