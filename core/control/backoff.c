/* SPDX-License-Identifier: BSD-3-Clause
 * backoff.c - how long to wait after the n-th failure in a row
 */
#include "core/control/backoff.h"

#include "core/crypto/secret.h"
#include "core/model/retry_after.h"

enum {
	STEP_MS = 10,
	FAILURES_MAX = 1000, /* far over the cap already */
	RETRY_AFTER_MAX_S = 3600,
	RETRY_DEFAULT_MS = 5000,
};

uint64_t ts_backoff_next_ms(struct ts_backoff *backoff)
{
	uint64_t wait_ms;

	if (backoff->failures < FAILURES_MAX)
		backoff->failures++;
	wait_ms = (uint64_t)backoff->failures * backoff->failures * STEP_MS;
	if (wait_ms > TS_BACKOFF_MAX_MS)
		wait_ms = TS_BACKOFF_MAX_MS;
	return wait_ms / 2 + ts_random_below((uint32_t)wait_ms + 1);
}

void ts_backoff_reset(struct ts_backoff *backoff)
{
	backoff->failures = 0;
}

uint64_t ts_retry_after_ms(const char *text, int64_t now_unix)
{
	int64_t seconds = ts_retry_after_s(text, now_unix);

	if (seconds <= 0 || seconds > RETRY_AFTER_MAX_S)
		return RETRY_DEFAULT_MS + ts_random_below(RETRY_DEFAULT_MS);
	return (uint64_t)seconds * 1000;
}
