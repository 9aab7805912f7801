/* SPDX-License-Identifier: BSD-3-Clause
 * home_region.c - which DERP region is our home
 */
#include "core/path/home_region.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void ts_home_history_deinit(struct ts_home_history *h)
{
	free(h->samples);
	*h = (struct ts_home_history){0};
}

static void drop_oldest(struct ts_home_history *h, size_t n)
{
	h->count -= n;
	memmove(h->samples, h->samples + n, h->count * sizeof(*h->samples));
}

static void expire(struct ts_home_history *h, uint64_t now_ms)
{
	size_t n = 0;

	while (n < h->count && h->samples[n].at_ms + HOME_HISTORY_MS < now_ms)
		n++;
	if (n > 0)
		drop_oldest(h, n);
}

static int reserve(struct ts_home_history *h)
{
	size_t cap = h->cap ? 2 * h->cap : 32;
	struct ts_home_sample *samples;

	if (h->count == HOME_SAMPLES_MAX)
		drop_oldest(h, 1);
	if (h->count < h->cap)
		return 0;
	samples = realloc(h->samples, cap * sizeof(*samples));
	if (!samples)
		return -ENOMEM;
	h->samples = samples;
	h->cap = cap;
	return 0;
}

static void remember(struct ts_home_history *h,
		     const struct ts_netcheck_report *report, uint64_t now_ms)
{
	for (size_t i = 0; i < report->region_count; i++) {
		const struct ts_netcheck_region *r = &report->regions[i];

		if (!r->has_latency || reserve(h) != 0)
			continue;
		h->samples[h->count++] = (struct ts_home_sample){
			.region = r->id,
			.at_ms = now_ms,
			.latency_us = r->latency_us,
		};
	}
}

static double score_of(const struct ts_derp_map *map, int region)
{
	for (size_t i = 0; map->region_scores && i < map->region_count; i++)
		if (map->regions[i].id == region && map->region_scores[i] > 0)
			return map->region_scores[i];
	return 1;
}

static double best_recent_us(const struct ts_home_history *h,
			     const struct ts_netcheck_region *r)
{
	uint64_t best_us = r->latency_us;

	for (size_t i = 0; i < h->count; i++)
		if (h->samples[i].region == r->id &&
		    h->samples[i].latency_us < best_us)
			best_us = h->samples[i].latency_us;
	return (double)best_us;
}

static bool was_heard_within(const struct ts_home_old *old, uint64_t window_ms,
			     uint64_t now_ms)
{
	return old->heard_ms != 0 && old->heard_ms + window_ms >= now_ms;
}

/* old_us is 0 when the old home did not answer the STUN probes. */
static bool keeps_old(const struct ts_netcheck_report *report,
		      const struct ts_home_old *old, double old_us,
		      double best_us, uint64_t now_ms)
{
	bool was_heard = was_heard_within(old, HOME_HEARD_RECENTLY_MS, now_ms);

	if (old->heard_ms != 0 && old->heard_ms >= report->started_ms)
		was_heard = true;
	if (old_us <= 0 && !was_heard)
		return false;
	return old_us - best_us < HOME_GAIN_MIN_US || best_us > old_us / 3 * 2;
}

int ts_home_region_choose(struct ts_home_history *h,
			  const struct ts_netcheck_report *report,
			  const struct ts_derp_map *map,
			  const struct ts_home_old *old, uint64_t now_ms)
{
	double best_us = 0, old_us = 0;
	int best = 0;

	expire(h, now_ms);
	remember(h, report, now_ms);
	for (size_t i = 0; i < report->region_count; i++) {
		const struct ts_netcheck_region *r = &report->regions[i];
		double score = score_of(map, r->id);
		double us;

		if (!r->has_latency)
			continue;
		if (r->id == old->region)
			old_us = (double)r->latency_us * score;
		us = best_recent_us(h, r) * score;
		if (best == 0 || us < best_us) {
			best = r->id;
			best_us = us;
		}
	}
	if (best == 0 && was_heard_within(old, HOME_HEARD_SILENT_MS, now_ms))
		return old->region;
	if (best == 0 || old->region == 0 || best == old->region)
		return best;
	return keeps_old(report, old, old_us, best_us, now_ms) ? old->region
							       : best;
}
