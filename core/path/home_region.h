/* SPDX-License-Identifier: BSD-3-Clause
 * home_region.h - which DERP region is our home
 *
 * The nearest by the best latency of the last five minutes, scaled by the
 * map's scores, among those that answer now - but the old home is kept as long
 * as it works and the gain is small: every change must reach all peers first.
 * Source: net/netcheck/netcheck.go (addReportHistoryAndSetPreferredDERP),
 * PROTOCOL 7.3
 */
#ifndef CORE_PATH_HOME_REGION_H
#define CORE_PATH_HOME_REGION_H

#include <stddef.h>
#include <stdint.h>

#include "core/model/netmap.h"
#include "core/path/netcheck.h"

enum {
	HOME_HISTORY_MS = 305000,
	HOME_SAMPLES_MAX = 2048, /* the oldest are dropped */
	HOME_GAIN_MIN_US = 10000,
	HOME_HEARD_RECENTLY_MS = 8000,
	HOME_HEARD_SILENT_MS = 120000,
};

struct ts_home_sample {
	int region;
	uint64_t at_ms, latency_us;
};

struct ts_home_history {
	struct ts_home_sample *samples; /* heap, oldest first */
	size_t count, cap;
};

struct ts_home_old {
	int region;        /* 0: none */
	uint64_t heard_ms; /* last DERP bytes from there, 0: none */
};

void ts_home_history_deinit(struct ts_home_history *h);
/* Takes the report into the history. The region to use, or 0: the report does
 * not tell. */
int ts_home_region_choose(struct ts_home_history *h,
			  const struct ts_netcheck_report *report,
			  const struct ts_derp_map *map,
			  const struct ts_home_old *old, uint64_t now_ms);

#endif
