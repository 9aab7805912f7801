/* SPDX-License-Identifier: BSD-3-Clause
 * flood.c - counting by the second, telling by the minute
 */
#include "core/base/flood.h"

enum { SECOND_MS = 1000 };

/* A second that nobody counted in ends a flood as one below the limit does. */
static void next_second(struct ts_flood *f, uint32_t per_s, uint64_t now_ms)
{
	f->is_on = f->in_second > per_s &&
		   now_ms - f->second_ms < 2 * SECOND_MS;
	if (!f->is_on)
		f->count = 0;
	f->second_ms = now_ms;
	f->in_second = 0;
}

uint64_t ts_flood_count(struct ts_flood *f, uint32_t per_s, uint64_t now_ms)
{
	uint64_t count;

	if (now_ms - f->second_ms >= SECOND_MS)
		next_second(f, per_s, now_ms);
	f->in_second++;
	count = ++f->count;
	if (!f->is_on ||
	    (f->was_told && now_ms - f->told_ms < TS_FLOOD_TOLD_MS))
		return 0;
	f->was_told = true;
	f->told_ms = now_ms;
	f->count = 0;
	return count;
}
