/* SPDX-License-Identifier: BSD-3-Clause
 * dns_cache.c - answers of the tailnet's resolvers, for as long as they hold
 * Source: RFC 1035 section 7.4, RFC 2308 (negative answers), RFC 8767 section 4
 *
 * An answer is kept whole and given to the same question only, with the same
 * flags: no record of it answers for another name, so whoever forges one for
 * his own name gains nothing for others. It is gone with its shortest time to
 * live; "no such name", and "nothing of that type", with what their SOA says,
 * and they are not kept without one. Failures are never kept, nor are options
 * of EDNS, which are one asker's cookie or filling.
 *
 * A keyed hash of 128 bits stands for a question: nobody finds two that share
 * one.
 */
#include "core/dns/dns_cache.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/key_map.h"
#include "core/crypto/blake2s.h"
#include "core/crypto/secret.h"
#include "core/dns/dns_records.h"

enum { HASH_LEN = 16, SOA_MINIMUM_LEN = 4, MS_PER_S = 1000 };

/* EDNS: the asker wants signatures. */
enum { EDNS_DNSSEC_OK = 0x8000 };

struct entry {
	struct entry *newer, *older; /* by use */
	uint8_t hash[HASH_LEN];
	uint64_t since_ms, until_ms;
	size_t len;
	uint8_t answer[];
};

struct ts_dns_cache {
	struct ts_key_map by_hash;
	struct entry *newest, *oldest;
	size_t bytes;
	uint8_t key[HASH_LEN];
};

struct ts_dns_cache *ts_dns_cache_new(void)
{
	struct ts_dns_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return NULL;
	ts_random_bytes(cache->key, sizeof(cache->key));
	ts_key_map_init(&cache->by_hash, HASH_LEN, ts_random_u64());
	return cache;
}

/* -- entries -------------------------------------------------------------- */

static void take_out(struct ts_dns_cache *cache, struct entry *e)
{
	*(e->newer ? &e->newer->older : &cache->newest) = e->older;
	*(e->older ? &e->older->newer : &cache->oldest) = e->newer;
	e->newer = e->older = NULL;
}

static void put_first(struct ts_dns_cache *cache, struct entry *e)
{
	e->older = cache->newest;
	*(e->older ? &e->older->newer : &cache->oldest) = e;
	cache->newest = e;
}

static void drop(struct ts_dns_cache *cache, struct entry *e)
{
	take_out(cache, e);
	ts_key_map_take(&cache->by_hash, e->hash);
	cache->bytes -= sizeof(*e) + e->len;
	free(e);
}

void ts_dns_cache_flush(struct ts_dns_cache *cache)
{
	while (cache->oldest)
		drop(cache, cache->oldest);
}

void ts_dns_cache_free(struct ts_dns_cache *cache)
{
	if (!cache)
		return;
	ts_dns_cache_flush(cache);
	ts_key_map_deinit(&cache->by_hash);
	free(cache);
}

size_t ts_dns_cache_count(const struct ts_dns_cache *cache)
{
	return cache->by_hash.len;
}

size_t ts_dns_cache_bytes(const struct ts_dns_cache *cache)
{
	return cache->bytes;
}

/* -- questions ------------------------------------------------------------ */

/* false: of no kind that is kept. */
static bool hash_query(const struct ts_dns_cache *cache,
		       const struct ts_dns_query *q,
		       uint8_t out[static HASH_LEN])
{
	uint8_t text[sizeof(q->question) + 4];
	struct ts_writer w = ts_writer_init(text, sizeof(text));

	if (q->has_more || (q->flags & DNS_OPCODE_MASK) ||
	    q->class != DNS_CLASS_IN || q->type >= DNS_TYPE_TKEY ||
	    q->type == DNS_TYPE_OPT)
		return false;
	for (size_t i = 0; i < q->question_len; i++)
		ts_write_u8(&w, (uint8_t)tolower(q->question[i]));
	ts_write_be16(&w, q->flags);
	ts_write_u8(&w, q->has_edns);
	ts_write_u8(&w, (q->edns_flags & EDNS_DNSSEC_OK) != 0);
	ts_blake2s(out, HASH_LEN, cache->key, sizeof(cache->key), text, w.len);
	return true;
}

/* -- out ------------------------------------------------------------------ */

static void age_records(uint8_t *msg, size_t len, uint32_t age_s)
{
	struct ts_dns_walk walk;
	struct ts_dns_rr rr;

	if (ts_dns_walk_init(&walk, msg, len))
		return;
	while (ts_dns_walk_next(&walk, &rr) > 0) {
		struct ts_writer w = ts_writer_init(msg + rr.ttl_at, 4);

		if (rr.type != DNS_TYPE_OPT)
			ts_write_be32(&w, rr.ttl_s > age_s ? rr.ttl_s - age_s
							   : 0);
	}
}

/* With the letters' cases of this question, and under this ID. */
static void put_question(uint8_t *msg, size_t len,
			 const struct ts_dns_query *q)
{
	struct ts_writer w = ts_writer_init(msg, len);

	ts_write_be16(&w, q->id);
	if (len >= DNS_HEADER_LEN + q->question_len)
		memcpy(msg + DNS_HEADER_LEN, q->question, q->question_len);
}

size_t ts_dns_cache_get(struct ts_dns_cache *cache, const uint8_t *query,
			size_t len, uint64_t now_ms, uint8_t *out, size_t cap)
{
	struct ts_dns_query q;
	uint8_t hash[HASH_LEN];
	struct entry *e;

	if (ts_dns_read_query(query, len, &q) ||
	    !hash_query(cache, &q, hash))
		return 0;
	e = ts_key_map_get(&cache->by_hash, hash);
	if (!e || e->len > cap)
		return 0;
	if (now_ms >= e->until_ms) {
		drop(cache, e);
		return 0;
	}
	take_out(cache, e);
	put_first(cache, e);
	memcpy(out, e->answer, e->len);
	age_records(out, e->len, (uint32_t)((now_ms - e->since_ms) / MS_PER_S));
	put_question(out, e->len, &q);
	return e->len;
}

/* -- in ------------------------------------------------------------------- */

struct lifetime {
	uint32_t shortest_s;
	bool has_answer; /* of another type than CNAME, or that was asked for */
	bool has_soa;
	uint32_t negative_s; /* as the SOA says */
};

static void look_at_soa(const uint8_t *msg, const struct ts_dns_rr *rr,
			struct lifetime *life)
{
	struct ts_reader r = ts_reader_init(msg + rr->data_at, rr->data_len);
	uint32_t minimum;

	if (rr->data_len < SOA_MINIMUM_LEN)
		return;
	ts_read_skip(&r, rr->data_len - SOA_MINIMUM_LEN);
	minimum = ts_read_be32(&r);
	life->has_soa = true;
	life->negative_s = minimum < rr->ttl_s ? minimum : rr->ttl_s;
}

/* false: not a whole message. */
static bool look_at_records(const uint8_t *msg, size_t len, uint16_t asked,
			    struct lifetime *life)
{
	struct ts_dns_walk walk;
	struct ts_dns_rr rr;
	int more = ts_dns_walk_init(&walk, msg, len);

	*life = (struct lifetime){.shortest_s = UINT32_MAX};
	if (more)
		return false;
	while ((more = ts_dns_walk_next(&walk, &rr)) > 0) {
		if (rr.type == DNS_TYPE_OPT)
			continue;
		/* RFC 2181: the highest bit means none. */
		if (rr.ttl_s > INT32_MAX)
			rr.ttl_s = 0;
		if (rr.ttl_s < life->shortest_s)
			life->shortest_s = rr.ttl_s;
		if (rr.section == DNS_ANSWERS &&
		    (rr.type != DNS_TYPE_CNAME || asked == DNS_TYPE_CNAME))
			life->has_answer = true;
		if (rr.section == DNS_AUTHORITIES && rr.type == DNS_TYPE_SOA)
			look_at_soa(msg, &rr, life);
	}
	return more == 0;
}

/* 0: not at all. */
static uint32_t lifetime_s(const uint8_t *msg, size_t len, uint16_t asked)
{
	struct ts_reader r = ts_reader_init(msg, len);
	struct lifetime life;
	uint16_t flags;
	uint32_t s;

	ts_read_skip(&r, 2);
	flags = ts_read_be16(&r);
	if (flags & DNS_FLAG_TRUNCATED ||
	    !look_at_records(msg, len, asked, &life))
		return 0;
	if ((flags & DNS_RCODE_MASK) == DNS_NOERROR && life.has_answer)
		return life.shortest_s < TS_DNS_CACHE_POSITIVE_MAX_S
			       ? life.shortest_s
			       : TS_DNS_CACHE_POSITIVE_MAX_S;
	if (((flags & DNS_RCODE_MASK) != DNS_NOERROR &&
	     (flags & DNS_RCODE_MASK) != DNS_NXDOMAIN) || !life.has_soa)
		return 0;
	s = life.negative_s < life.shortest_s ? life.negative_s
					      : life.shortest_s;
	return s < TS_DNS_CACHE_NEGATIVE_MAX_S ? s
					       : TS_DNS_CACHE_NEGATIVE_MAX_S;
}

/* The answer's length without the options of its OPT record, which its new
 * length says; 0: there is more behind them. */
static size_t without_options(uint8_t *msg, size_t len)
{
	struct ts_dns_walk walk;
	struct ts_dns_rr rr;

	if (ts_dns_walk_init(&walk, msg, len))
		return 0;
	while (ts_dns_walk_next(&walk, &rr) > 0) {
		struct ts_writer w = ts_writer_init(msg + rr.data_at - 2, 2);

		if (rr.type != DNS_TYPE_OPT || rr.data_len == 0)
			continue;
		if (rr.data_at + rr.data_len != len)
			return 0;
		ts_write_be16(&w, 0);
		return rr.data_at;
	}
	return len;
}

static bool is_full(const struct ts_dns_cache *cache, size_t more)
{
	return cache->by_hash.len >= TS_DNS_CACHE_ENTRIES_MAX ||
	       cache->bytes + more > TS_DNS_CACHE_BYTES_MAX;
}

void ts_dns_cache_put(struct ts_dns_cache *cache, const uint8_t *query,
		      size_t query_len, const uint8_t *answer,
		      size_t answer_len, uint64_t now_ms)
{
	struct ts_dns_query q;
	uint8_t hash[HASH_LEN];
	struct entry *e;
	uint32_t s;

	if (answer_len > TS_DNS_CACHE_ANSWER_MAX ||
	    ts_dns_read_query(query, query_len, &q) ||
	    answer_len < DNS_HEADER_LEN + q.question_len ||
	    !hash_query(cache, &q, hash))
		return;
	e = ts_key_map_get(&cache->by_hash, hash);
	if (e)
		drop(cache, e);
	s = lifetime_s(answer, answer_len, q.type);
	if (s == 0)
		return;
	while (is_full(cache, sizeof(*e) + answer_len))
		drop(cache, cache->oldest);
	e = calloc(1, sizeof(*e) + answer_len);
	if (!e)
		return;
	memcpy(e->hash, hash, sizeof(hash));
	memcpy(e->answer, answer, answer_len);
	e->len = without_options(e->answer, answer_len);
	e->since_ms = now_ms;
	e->until_ms = now_ms + (uint64_t)s * MS_PER_S;
	if (e->len == 0 || ts_key_map_put(&cache->by_hash, hash, e)) {
		free(e);
		return;
	}
	put_first(cache, e);
	cache->bytes += sizeof(*e) + e->len;
}
