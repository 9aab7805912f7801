/* SPDX-License-Identifier: BSD-3-Clause
 * token_bucket.c - a rate limit: so many a second, so many at once
 */
#include "core/base/token_bucket.h"

enum {
	MILLI = 1000,
	/* Above this a limit is none; below it no product here overflows. */
	TOKENS_MAX = 1 << 30,
	REFILL_MAX_MS = 1 << 20,
};

static uint64_t at_most(uint64_t v, uint64_t max)
{
	return v < max ? v : max;
}

void ts_token_bucket_init(struct ts_token_bucket *b, uint64_t per_s,
			  uint64_t burst, uint64_t now_ms)
{
	b->per_s = at_most(per_s, TOKENS_MAX);
	b->burst = at_most(burst, TOKENS_MAX);
	b->milli_tokens = b->burst * MILLI;
	b->last_ms = now_ms;
}

bool ts_token_bucket_take(struct ts_token_bucket *b, uint64_t tokens,
			  uint64_t now_ms)
{
	uint64_t passed_ms = now_ms > b->last_ms ? now_ms - b->last_ms : 0;

	if (b->per_s == 0)
		return true;
	/* A token a second is a thousandth of a token a millisecond. */
	b->milli_tokens += at_most(passed_ms, REFILL_MAX_MS) * b->per_s;
	b->milli_tokens = at_most(b->milli_tokens, b->burst * MILLI);
	b->last_ms = now_ms;
	if (tokens > b->milli_tokens / MILLI)
		return false;
	b->milli_tokens -= tokens * MILLI;
	return true;
}
