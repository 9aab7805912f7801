/* SPDX-License-Identifier: BSD-3-Clause
 * token_bucket.h - a rate limit: so many a second, so many at once
 *
 * Tokens are counted in thousandths, so that a refill of less than one is not
 * lost. A bucket of rate 0 has no limit.
 */
#ifndef CORE_BASE_TOKEN_BUCKET_H
#define CORE_BASE_TOKEN_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct ts_token_bucket {
	uint64_t per_s, burst;
	uint64_t milli_tokens;
	uint64_t last_ms;
};

/* Full at first. */
void ts_token_bucket_init(struct ts_token_bucket *b, uint64_t per_s,
			  uint64_t burst, uint64_t now_ms);
bool ts_token_bucket_take(struct ts_token_bucket *b, uint64_t tokens,
			  uint64_t now_ms);

#endif
