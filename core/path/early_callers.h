/* SPDX-License-Identifier: BSD-3-Clause
 * early_callers.h - initiations of nodes that our map does not have yet
 *
 * A node that has just joined calls us as soon as its map has us. Ours may
 * have it a moment later, and WireGuard would not call again for 5 s. So the
 * last few initiations of unknown senders off DERP wait for the next map.
 */
#ifndef CORE_PATH_EARLY_CALLERS_H
#define CORE_PATH_EARLY_CALLERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/crypto/keys.h"

enum {
	EARLY_CALLERS_MAX = 8, /* the oldest makes room: anybody may call */
	EARLY_CALLER_MS = 2000,
	WG_INITIATION_TYPE = 1,
	WG_INITIATION_BYTES = 148,
};

struct ts_early_caller {
	bool is_waiting;
	struct ts_public_key node_key; /* as DERP says */
	int region;
	uint64_t at_ms;
	uint8_t initiation[WG_INITIATION_BYTES];
};

struct ts_early_callers {
	struct ts_early_caller at[EARLY_CALLERS_MAX];
	size_t next;
};

/* Is it a WireGuard initiation, by type and length? */
bool ts_is_wg_initiation(const uint8_t *data, size_t len);

/* Copies data if it is an initiation; a caller has one place. False if not. */
bool ts_early_callers_keep(struct ts_early_callers *callers, int region,
			   const struct ts_public_key *node_key,
			   const uint8_t *data, size_t len, uint64_t now_ms);

/* The caller at place i < EARLY_CALLERS_MAX, if it still waits and has not
 * waited for too long; else NULL. */
struct ts_early_caller *ts_early_callers_at(struct ts_early_callers *callers,
					    size_t i, uint64_t now_ms);

#endif
