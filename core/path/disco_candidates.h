/* SPDX-License-Identifier: BSD-3-Clause
 * disco_candidates.h - the addresses where one peer might be reached
 *
 * From the netmap, from its CallMeMaybe, or seen as the source of its pings.
 * In the order they were learned; what is only learned, and silent for as long
 * as a session lasts, gives way.
 */
#ifndef CORE_PATH_DISCO_CANDIDATES_H
#define CORE_PATH_DISCO_CANDIDATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/path/disco_wire.h"
#include "core/path/path_addr.h"

enum {
	/* Above PRUNE the learned candidates that went silent are dropped, at
	 * MAX no more are learned. */
	DISCO_CANDIDATES_PRUNE = 100,
	DISCO_CANDIDATES_MAX = 128,
	DISCO_CANDIDATE_SILENT_MS = 45000,
};

struct ts_disco_candidate {
	struct ts_path_addr to;
	bool is_in_netmap, is_call_me_maybe;
	bool was_heard; /* a ping came from there */
	uint8_t heard_tx_id[DISCO_TX_ID_LEN];
	uint64_t heard_ms;
	uint64_t pinged_ms;   /* 0: never */
	uint64_t ping_due_ms; /* discovery may ping it again from then on */
};

struct ts_disco_candidates {
	struct ts_disco_candidate *at; /* heap */
	size_t count, cap;
	uint64_t dropped;
};

void ts_disco_candidates_deinit(struct ts_disco_candidates *l);
struct ts_disco_candidate *
ts_disco_candidates_find(const struct ts_disco_candidates *l,
			 const struct ts_path_addr *to);
/* One that is not there yet. NULL: no room. Others may move. */
struct ts_disco_candidate *
ts_disco_candidates_add(struct ts_disco_candidates *l,
			const struct ts_path_addr *to, uint64_t now_ms);
/* For one that netmap or peer name: the longest silent of the learned goes.
 * Anybody who overheard a ping can repeat it from as many addresses as there
 * are, so those must not keep the others out. */
void ts_disco_candidates_make_room(struct ts_disco_candidates *l,
				   const struct ts_path_addr *keep);
/* Without those that nobody names any more and that are silent. */
void ts_disco_candidates_prune(struct ts_disco_candidates *l, uint64_t now_ms);
/* Only those of the netmap stay, and nothing that was learned of them. */
void ts_disco_candidates_reset(struct ts_disco_candidates *l);
/* All may be pinged at once. */
void ts_disco_candidates_due(struct ts_disco_candidates *l);

#endif
