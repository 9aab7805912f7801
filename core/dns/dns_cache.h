/* SPDX-License-Identifier: BSD-3-Clause
 * dns_cache.h - answers of the tailnet's resolvers, for as long as they hold
 *
 * Bounded by number and by bytes; what was not asked for longest goes first.
 */
#ifndef CORE_DNS_DNS_CACHE_H
#define CORE_DNS_DNS_CACHE_H

#include <stddef.h>
#include <stdint.h>

enum {
	TS_DNS_CACHE_ENTRIES_MAX = 1024,
	TS_DNS_CACHE_BYTES_MAX = 512 * 1024,
	TS_DNS_CACHE_ANSWER_MAX = 4096, /* longer ones are not kept */
	TS_DNS_CACHE_POSITIVE_MAX_S = 3600,
	TS_DNS_CACHE_NEGATIVE_MAX_S = 300,
};

struct ts_dns_cache;

struct ts_dns_cache *ts_dns_cache_new(void);
void ts_dns_cache_free(struct ts_dns_cache *cache); /* NULL is fine */
/* Other resolvers, or another network: nothing holds any more. */
void ts_dns_cache_flush(struct ts_dns_cache *cache);
/* The answer to query, as if it had just come: its ID and question are the
 * query's, its times to live have run on. The length, or 0: not there. */
size_t ts_dns_cache_get(struct ts_dns_cache *cache, const uint8_t *query,
			size_t len, uint64_t now_ms, uint8_t *out, size_t cap);
/* answer: one that ts_dns_judge() called good. Keeps it if it may be kept. */
void ts_dns_cache_put(struct ts_dns_cache *cache, const uint8_t *query,
		      size_t query_len, const uint8_t *answer,
		      size_t answer_len, uint64_t now_ms);
size_t ts_dns_cache_count(const struct ts_dns_cache *cache);
size_t ts_dns_cache_bytes(const struct ts_dns_cache *cache);

#endif
