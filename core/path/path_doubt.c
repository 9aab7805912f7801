/* SPDX-License-Identifier: BSD-3-Clause
 * path_doubt.c - may the path in use have ended?
 */
#include "core/path/path_doubt.h"

void ts_path_doubt_init(struct ts_path_doubt *d)
{
	*d = (struct ts_path_doubt){
		.end_ms = UINT64_MAX,
		.quiet_ms = UINT64_MAX,
	};
}

void ts_path_doubt_clear(struct ts_path_doubt *d)
{
	d->unheard_ms = 0;
	d->end_ms = UINT64_MAX;
}

void ts_path_doubt_confirmed(struct ts_path_doubt *d, uint64_t now_ms)
{
	ts_path_doubt_clear(d);
	d->heard_ms = now_ms;
}

bool ts_path_doubt_sent(struct ts_path_doubt *d, uint64_t now_ms)
{
	if (d->end_ms != UINT64_MAX)
		return false;
	if (d->unheard_ms == 0)
		d->unheard_ms = now_ms;
	return now_ms >= d->unheard_ms + DOUBT_SILENCE_MS ||
	       now_ms >= d->heard_ms + DOUBT_STALE_MS;
}

void ts_path_doubt_asked(struct ts_path_doubt *d, uint64_t latency_us,
			 uint64_t now_ms)
{
	uint64_t wait_ms = 4 * latency_us / 1000;

	d->end_ms = now_ms + (wait_ms > DOUBT_WAIT_MS ? wait_ms
						      : DOUBT_WAIT_MS);
}

bool ts_path_doubt_heard(struct ts_path_doubt *d, uint64_t now_ms)
{
	bool was_lost = d->is_lost;

	d->is_lost = false;
	d->any_heard_ms = now_ms;
	if (d->quiet_ms == UINT64_MAX && ++d->packets >= DOUBT_BUSY_PACKETS) {
		d->quiet_ms = now_ms + DOUBT_QUIET_MS;
		d->packets = 0;
	}
	return was_lost;
}

void ts_path_doubt_elsewhere(struct ts_path_doubt *d,
			     const struct ts_path_addr *from, uint64_t now_ms)
{
	if (ts_path_addr_equal(from, &d->elsewhere) ||
	    now_ms < d->heard_ms + DOUBT_ELSEWHERE_MS || now_ms < d->again_ms)
		return;
	d->elsewhere = *from;
	d->again_ms = now_ms + DOUBT_AGAIN_MS;
	d->end_ms = now_ms;
}

void ts_path_doubt_ended(struct ts_path_doubt *d)
{
	ts_path_doubt_clear(d);
	d->is_lost = true;
}

bool ts_path_doubt_is_quiet(struct ts_path_doubt *d, uint64_t now_ms)
{
	if (now_ms < d->any_heard_ms + DOUBT_QUIET_MS) {
		d->quiet_ms = d->any_heard_ms + DOUBT_QUIET_MS;
		return false;
	}
	d->quiet_ms = UINT64_MAX;
	d->packets = 0;
	return true;
}

uint64_t ts_path_doubt_deadline_ms(const struct ts_path_doubt *d)
{
	return d->end_ms < d->quiet_ms ? d->end_ms : d->quiet_ms;
}
