/* SPDX-License-Identifier: BSD-3-Clause
 * wg_replay.c - the window of counters already received (RFC 6479)
 *
 * A ring of 64-bit words, one bit a counter. Moving on clears whole words
 * ahead instead of shifting, which costs one word of the window's width.
 */
#include "core/wireguard/wg_replay.h"

#include <string.h>

static uint64_t *word_of(struct ts_wg_replay *win, uint64_t counter)
{
	return &win->words[counter / WG_REPLAY_WORD_BITS % WG_REPLAY_WORDS];
}

static uint64_t bit_of(uint64_t counter)
{
	return 1ULL << (counter % WG_REPLAY_WORD_BITS);
}

bool ts_wg_replay_is_fresh(const struct ts_wg_replay *win, uint64_t counter)
{
	if (counter > win->last)
		return true;
	if (win->last - counter > WG_REPLAY_WINDOW)
		return false;
	return !(win->words[counter / WG_REPLAY_WORD_BITS % WG_REPLAY_WORDS] &
		 bit_of(counter));
}

static void move_on(struct ts_wg_replay *win, uint64_t counter)
{
	uint64_t from = win->last / WG_REPLAY_WORD_BITS;
	uint64_t to = counter / WG_REPLAY_WORD_BITS;

	if (to - from >= WG_REPLAY_WORDS)
		memset(win->words, 0, sizeof(win->words));
	else
		for (uint64_t i = from + 1; i <= to; i++)
			win->words[i % WG_REPLAY_WORDS] = 0;
	win->last = counter;
}

bool ts_wg_replay_accept(struct ts_wg_replay *win, uint64_t counter)
{
	if (!ts_wg_replay_is_fresh(win, counter))
		return false;
	if (counter > win->last)
		move_on(win, counter);
	*word_of(win, counter) |= bit_of(counter);
	return true;
}
