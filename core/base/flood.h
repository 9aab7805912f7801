/* SPDX-License-Identifier: BSD-3-Clause
 * flood.h - is something coming far too often, and is it time to say so?
 *
 * What a stranger can cause is not worth a line each time; that it goes on and
 * on is worth one. A flood is a rate above a limit for more than a second. It
 * is told when that is certain, and once a minute while it lasts.
 */
#ifndef CORE_BASE_FLOOD_H
#define CORE_BASE_FLOOD_H

#include <stdbool.h>
#include <stdint.h>

enum { TS_FLOOD_TOLD_MS = 60000 };

/* Zero-initialise. */
struct ts_flood {
	uint64_t second_ms; /* when the second under way began */
	uint64_t told_ms;
	uint64_t count; /* since it began, or was told */
	uint32_t in_second;
	bool is_on, was_told;
};

/* One more came; as many as per_s a second are nothing unusual. 0, or a line is
 * due: how many came since the flood began or the last line. */
uint64_t ts_flood_count(struct ts_flood *f, uint32_t per_s, uint64_t now_ms);

#endif
