/* SPDX-License-Identifier: BSD-3-Clause
 * second_quota.h - a rate limit in eight bytes: so many in each second
 *
 * For what is counted for each of many; token_bucket.h is smoother.
 */
#ifndef CORE_BASE_SECOND_QUOTA_H
#define CORE_BASE_SECOND_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

/* Zero-initialise. */
struct ts_second_quota {
	uint32_t second; /* that spent is of */
	uint32_t spent;
};

static inline bool ts_second_quota_take(struct ts_second_quota *q,
					uint32_t per_s, uint64_t now_ms)
{
	uint32_t second = (uint32_t)(now_ms / 1000);

	if (q->second != second)
		*q = (struct ts_second_quota){.second = second};
	return q->spent++ < per_s;
}

#endif
