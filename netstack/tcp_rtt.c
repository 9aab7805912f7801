/* SPDX-License-Identifier: BSD-3-Clause
 * tcp_rtt.c - the round trip
 * Source: RFC 6298
 *
 * The floor of 200 ms is under the variance, not under the time-out, as peers
 * delay ACKs on top of the round trip. Kernels do the same.
 */
#include "netstack/tcp_rtt.h"

enum {
	TIMEOUT_FIRST_US = 1000 * 1000,
	VARIANCE_MIN_US = 200 * 1000,
	TRIP_MAX_US = 60 * 1000 * 1000,
	HALF_US = 30 * 1000 * 1000,
};

static void follow_min(struct tcp_rtt *r, uint32_t us, uint64_t now_us)
{
	if (r->srtt_us == 0) {
		r->min_us = r->min_old_us = us;
		r->half_from_us = now_us;
		return;
	}
	if (now_us - r->half_from_us > HALF_US) {
		r->min_old_us = r->min_us;
		r->min_us = us;
		r->half_from_us = now_us;
	}
	if (us < r->min_us)
		r->min_us = us;
}

static uint32_t bounded(uint64_t trip_us)
{
	if (trip_us == 0)
		return 1;
	return trip_us > TRIP_MAX_US ? TRIP_MAX_US : (uint32_t)trip_us;
}

void stack_rtt_add(struct tcp_rtt *r, uint64_t first_us, uint64_t last_us,
		   uint64_t now_us)
{
	uint32_t us = bounded(first_us), off;

	r->latest_us = bounded(last_us);
	follow_min(r, r->latest_us, now_us);
	if (r->srtt_us == 0) {
		r->srtt_us = us;
		r->var_us = us / 2;
		return;
	}
	off = us > r->srtt_us ? us - r->srtt_us : r->srtt_us - us;
	r->var_us = (uint32_t)((3ull * r->var_us + off) / 4);
	r->srtt_us = (uint32_t)((7ull * r->srtt_us + us) / 8);
}

uint32_t stack_rtt_min(const struct tcp_rtt *r)
{
	return r->min_us < r->min_old_us ? r->min_us : r->min_old_us;
}

uint32_t stack_rtt_timeout(const struct tcp_rtt *r)
{
	uint32_t var = 4 * r->var_us;

	if (r->srtt_us == 0)
		return TIMEOUT_FIRST_US;
	return r->srtt_us + (var > VARIANCE_MIN_US ? var : VARIANCE_MIN_US);
}
