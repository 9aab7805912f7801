/* SPDX-License-Identifier: BSD-3-Clause
 * backoff.h - how long to wait after the n-th failure in a row
 * Source: util/backoff/backoff.go
 */
#ifndef CORE_CONTROL_BACKOFF_H
#define CORE_CONTROL_BACKOFF_H

#include <stdint.h>

struct ts_backoff {
	unsigned failures;
};

enum { TS_BACKOFF_MAX_MS = 30000 };

/* Counts one failure: n^2 * 10 ms, at most 30 s, times 0.5 to 1.5. */
uint64_t ts_backoff_next_ms(struct ts_backoff *backoff);
void ts_backoff_reset(struct ts_backoff *backoff);

/* Retry-After (seconds or an HTTP date) in ms; 5 to 10 s when it is absent,
 * malformed, past or over an hour. */
uint64_t ts_retry_after_ms(const char *text, int64_t now_unix);

#endif
