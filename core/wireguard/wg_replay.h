/* SPDX-License-Identifier: BSD-3-Clause
 * wg_replay.h - the window of counters already received (RFC 6479)
 */
#ifndef CORE_WIREGUARD_WG_REPLAY_H
#define CORE_WIREGUARD_WG_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

enum {
	WG_REPLAY_WORD_BITS = 64,
	WG_REPLAY_WORDS = 128,
	/* One word is always being filled anew. */
	WG_REPLAY_WINDOW = (WG_REPLAY_WORDS - 1) * WG_REPLAY_WORD_BITS,
};

struct ts_wg_replay {
	uint64_t last; /* highest counter accepted */
	uint64_t words[WG_REPLAY_WORDS];
};

/* Would this counter be accepted? Changes nothing: for use before the packet
 * is authenticated. */
bool ts_wg_replay_is_fresh(const struct ts_wg_replay *win, uint64_t counter);
/* After authentication: false when seen before or older than the window. */
bool ts_wg_replay_accept(struct ts_wg_replay *win, uint64_t counter);

#endif
