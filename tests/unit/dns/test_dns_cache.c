/* SPDX-License-Identifier: BSD-3-Clause
 * test_dns_cache.c - what is remembered, for how long, and what never
 */
#include "unit/test.h"

#include <stdio.h>

#include "core/dns/dns_cache.h"
#include "core/dns/dns_records.h"
#include "dns_messages.h"

static const uint8_t ip[] = {192, 0, 2, 1};

static struct message m;
static uint8_t out[DNS_MESSAGE_MAX];

struct query {
	uint8_t bytes[DNS_PLAIN_QUERY_CAP + 16];
	size_t len;
};

static struct query ask(const char *name, uint16_t type)
{
	struct query q;

	q.len = (size_t)ts_dns_write_query(1, name, type, q.bytes,
					   sizeof(q.bytes));
	return q;
}

/* With EDNS: an OPT record at the end. */
static struct query ask_edns(const char *name, uint16_t flags, size_t options)
{
	struct query q = ask(name, DNS_TYPE_A);
	struct ts_writer w = ts_writer_init(q.bytes + q.len,
					    sizeof(q.bytes) - q.len);

	q.bytes[11] = 1;
	ts_write_u8(&w, 0);
	ts_write_be16(&w, DNS_TYPE_OPT);
	ts_write_be16(&w, 1232);
	ts_write_be16(&w, 0);
	ts_write_be16(&w, flags);
	ts_write_be16(&w, (uint16_t)options);
	ts_write_zeros(&w, options);
	q.len += w.len;
	return q;
}

static void put(struct ts_dns_cache *cache, const struct query *q,
		uint64_t now_ms)
{
	ts_dns_cache_put(cache, q->bytes, q->len, m.bytes, end_answer(&m),
			 now_ms);
}

static size_t get(struct ts_dns_cache *cache, const struct query *q,
		  uint64_t now_ms)
{
	return ts_dns_cache_get(cache, q->bytes, q->len, now_ms, out,
				sizeof(out));
}

/* An address with that time to live. */
static void answer(const struct query *q, const char *name, uint32_t ttl_s)
{
	begin_answer(&m, q->bytes, q->len, 0);
	put_record(&m, 0, name, DNS_TYPE_A, ttl_s, ip, sizeof(ip));
}

static void an_answer_lives_as_long_as_it_says(void **state)
{
	struct ts_dns_cache *cache = ts_dns_cache_new();
	struct query q = ask("a.example", DNS_TYPE_A);
	struct ts_dns_walk walk;
	struct ts_dns_rr rr;
	size_t len;

	(void)state;
	answer(&q, "a.example", 60);
	assert_int_equal(get(cache, &q, 1000), 0);
	put(cache, &q, 1000);
	len = get(cache, &q, 1000 + 20 * 1000);
	assert_int_equal(len, m.w.len);
	assert_int_equal(ts_dns_walk_init(&walk, out, len), 0);
	assert_int_equal(ts_dns_walk_next(&walk, &rr), 1);
	assert_int_equal(rr.ttl_s, 40);
	assert_true(get(cache, &q, 1000 + 59999) > 0);
	assert_int_equal(get(cache, &q, 1000 + 60000), 0);
	assert_int_equal(ts_dns_cache_count(cache), 0);
	assert_int_equal(ts_dns_cache_bytes(cache), 0);
	ts_dns_cache_free(cache);
}

/* Under the asker's ID, and with his letters. */
static void it_looks_like_a_fresh_one(void **state)
{
	struct ts_dns_cache *cache = ts_dns_cache_new();
	struct query q = ask("a.example", DNS_TYPE_A);
	struct query other = ask("A.eXample", DNS_TYPE_A);
	size_t len;

	(void)state;
	answer(&q, "a.example", 60);
	put(cache, &q, 0);
	other.bytes[0] = 0x77;
	len = get(cache, &other, 0);
	assert_true(len > 0);
	assert_memory_equal(out, other.bytes, 2);
	assert_memory_equal(out + 12, other.bytes + 12, other.len - 12);
	assert_int_equal(ts_dns_judge(other.bytes, other.len - 12, out, len),
			 DNS_ANSWER_GOOD);
	ts_dns_cache_free(cache);
}

static void another_question_is_another_answer(void **state)
{
	struct ts_dns_cache *cache = ts_dns_cache_new();
	struct query q = ask("a.example", DNS_TYPE_A), other;

	(void)state;
	answer(&q, "a.example", 60);
	put(cache, &q, 0);
	other = ask("b.example", DNS_TYPE_A);
	assert_int_equal(get(cache, &other, 0), 0);
	other = ask("a.example", DNS_TYPE_AAAA);
	assert_int_equal(get(cache, &other, 0), 0);
	other = q;
	other.bytes[2] ^= 1; /* recursion desired */
	assert_int_equal(get(cache, &other, 0), 0);
	other = q;
	other.bytes[3] ^= 0x10; /* checking disabled */
	assert_int_equal(get(cache, &other, 0), 0);
	other = ask_edns("a.example", 0, 0);
	assert_int_equal(get(cache, &other, 0), 0);
	put(cache, &other, 0);
	assert_true(get(cache, &other, 0) > 0);
	other = ask_edns("a.example", 0x8000, 0); /* with signatures */
	assert_int_equal(get(cache, &other, 0), 0);
	other = q;
	other.bytes[other.len - 1] = 3; /* CH */
	put(cache, &other, 0);
	assert_int_equal(get(cache, &other, 0), 0);
	ts_dns_cache_free(cache);
}

static void what_is_meant_for_one_is_not_kept(void **state)
{
	struct ts_dns_cache *cache = ts_dns_cache_new();
	struct query q = ask_edns("a.example", 0, 4);

	(void)state;
	answer(&q, "a.example", 60);
	put(cache, &q, 0);
	q = ask("a.example", DNS_TYPE_AXFR);
	answer(&q, "a.example", 60);
	put(cache, &q, 0);
	q = ask("a.example", DNS_TYPE_ANY);
	answer(&q, "a.example", 60);
	put(cache, &q, 0);
	assert_int_equal(ts_dns_cache_count(cache), 0);
	ts_dns_cache_free(cache);
}

/* An answer to a query with a cookie has one, too: not for the next asker. */
static void cookies_are_not_handed_on(void **state)
{
	static const uint8_t cookie[] = {0, 10, 0, 4, 1, 2, 3, 4};
	struct ts_dns_cache *cache = ts_dns_cache_new();
	struct query plain = ask("a.example", DNS_TYPE_A);
	struct query q = ask_edns("a.example", 0, 0);
	struct ts_dns_walk walk;
	struct ts_dns_rr rr;
	size_t len;

	(void)state;
	memcpy(q.bytes + q.len, cookie, sizeof(cookie));
	q.len += sizeof(cookie);
	q.bytes[q.len - sizeof(cookie) - 1] = sizeof(cookie);
	begin_answer(&m, plain.bytes, plain.len, 0);
	put_record(&m, 0, "a.example", DNS_TYPE_A, 60, ip, sizeof(ip));
	put_record(&m, 2, "", DNS_TYPE_OPT, 0, cookie, sizeof(cookie));
	put(cache, &q, 0);
	len = get(cache, &q, 0);
	assert_int_equal(len, m.w.len - sizeof(cookie));
	assert_int_equal(ts_dns_walk_init(&walk, out, len), 0);
	assert_int_equal(ts_dns_walk_next(&walk, &rr), 1);
	assert_int_equal(ts_dns_walk_next(&walk, &rr), 1);
	assert_int_equal(rr.data_len, 0);
	assert_int_equal(ts_dns_walk_next(&walk, &rr), 0);
	/* something behind it that would be cut off */
	put_record(&m, 2, "x", DNS_TYPE_A, 60, ip, sizeof(ip));
	put(cache, &q, 0);
	assert_int_equal(ts_dns_cache_count(cache), 0);
	ts_dns_cache_free(cache);
}

static void the_shortest_counts_up_to_an_hour(void **state)
{
	struct ts_dns_cache *cache = ts_dns_cache_new();
	struct query q = ask("a.example", DNS_TYPE_A);

	(void)state;
	answer(&q, "a.example", 600);
	put_record(&m, 0, "a.example", DNS_TYPE_A, 5, ip, sizeof(ip));
	put(cache, &q, 0);
	assert_true(get(cache, &q, 4999) > 0);
	assert_int_equal(get(cache, &q, 5000), 0);
	answer(&q, "a.example", 1000000);
	put(cache, &q, 0);
	assert_true(get(cache, &q, 3599 * 1000) > 0);
	assert_int_equal(get(cache, &q, 3600 * 1000), 0);
	answer(&q, "a.example", 0);
	put(cache, &q, 0);
	answer(&q, "a.example", 0x80000000u);
	put(cache, &q, 0);
	assert_int_equal(ts_dns_cache_count(cache), 0);
	ts_dns_cache_free(cache);
}

/* A new answer that may not be kept ends the old one. */
static void the_last_word_counts(void **state)
{
	struct ts_dns_cache *cache = ts_dns_cache_new();
	struct query q = ask("a.example", DNS_TYPE_A);

	(void)state;
	answer(&q, "a.example", 60);
	put(cache, &q, 0);
	put(cache, &q, 0);
	assert_int_equal(ts_dns_cache_count(cache), 1);
	begin_answer(&m, q.bytes, q.len, DNS_SERVFAIL);
	put(cache, &q, 0);
	assert_int_equal(ts_dns_cache_count(cache), 0);
	ts_dns_cache_free(cache);
}

static void negative_answers_obey_their_soa(void **state)
{
	static const uint16_t flags[] = {0, DNS_NXDOMAIN};
	struct ts_dns_cache *cache = ts_dns_cache_new();
	struct query q = ask("a.example", DNS_TYPE_A);

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		begin_answer(&m, q.bytes, q.len, flags[i]);
		put(cache, &q, 0);
		assert_int_equal(ts_dns_cache_count(cache), 0);
		put_soa(&m, "example", 100, 30);
		put(cache, &q, 0);
		assert_true(get(cache, &q, 29999) > 0);
		assert_int_equal(get(cache, &q, 30000), 0);
		begin_answer(&m, q.bytes, q.len, flags[i]);
		put_soa(&m, "example", 100000, 100000);
		put(cache, &q, 0);
		assert_true(get(cache, &q, 299 * 1000) > 0);
		assert_int_equal(get(cache, &q, 300 * 1000), 0);
	}
	/* an alias alone says nothing about where it leads */
	begin_answer(&m, q.bytes, q.len, 0);
	put_alias(&m, "a.example", "b.example");
	put(cache, &q, 0);
	assert_int_equal(ts_dns_cache_count(cache), 0);
	ts_dns_cache_free(cache);
}

static void failures_and_pieces_are_not_kept(void **state)
{
	static const uint16_t flags[] = {DNS_FLAG_TRUNCATED, DNS_SERVFAIL,
					 DNS_REFUSED, DNS_FORMERR, 9};
	struct ts_dns_cache *cache = ts_dns_cache_new();
	struct query q = ask("a.example", DNS_TYPE_A);
	size_t len;

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		begin_answer(&m, q.bytes, q.len, flags[i]);
		put_record(&m, 0, "a.example", DNS_TYPE_A, 60, ip, sizeof(ip));
		put(cache, &q, 0);
	}
	answer(&q, "a.example", 60);
	len = end_answer(&m);
	for (size_t cut = 0; cut < len; cut++)
		ts_dns_cache_put(cache, q.bytes, q.len, m.bytes, cut, 0);
	for (size_t cut = 0; cut < q.len; cut++)
		ts_dns_cache_put(cache, q.bytes, cut, m.bytes, len, 0);
	assert_int_equal(ts_dns_cache_count(cache), 0);
	for (int i = 0; i < 400; i++) /* too long */
		put_record(&m, 0, "a.example", DNS_TYPE_A, 60, ip, sizeof(ip));
	put(cache, &q, 0);
	assert_int_equal(ts_dns_cache_count(cache), 0);
	ts_dns_cache_free(cache);
}

/* Whoever makes us ask for ever new names pushes out others, no more. */
static void a_flood_stays_in_its_bounds(void **state)
{
	struct ts_dns_cache *cache = ts_dns_cache_new();
	struct query kept = ask("kept.example", DNS_TYPE_A);
	char name[32];

	(void)state;
	answer(&kept, "kept.example", 60);
	put(cache, &kept, 0);
	for (int i = 0; i < 3000; i++) {
		struct query q;

		snprintf(name, sizeof(name), "%d.example", i);
		q = ask(name, DNS_TYPE_A);
		answer(&q, name, 60);
		for (int more = 0; i % 2 && more < 60; more++)
			put_record(&m, 0, name, DNS_TYPE_A, 60, ip,
				   sizeof(ip));
		put(cache, &q, 0);
		assert_true(ts_dns_cache_count(cache) <=
			    TS_DNS_CACHE_ENTRIES_MAX);
		assert_true(ts_dns_cache_bytes(cache) <=
			    TS_DNS_CACHE_BYTES_MAX);
		assert_true(get(cache, &q, 0) > 0);
		assert_true(get(cache, &kept, 0) > 0); /* is asked for often */
	}
	ts_dns_cache_flush(cache);
	assert_int_equal(ts_dns_cache_count(cache), 0);
	assert_int_equal(ts_dns_cache_bytes(cache), 0);
	ts_dns_cache_free(cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_lives_as_long_as_it_says),
		cmocka_unit_test(it_looks_like_a_fresh_one),
		cmocka_unit_test(another_question_is_another_answer),
		cmocka_unit_test(what_is_meant_for_one_is_not_kept),
		cmocka_unit_test(cookies_are_not_handed_on),
		cmocka_unit_test(the_shortest_counts_up_to_an_hour),
		cmocka_unit_test(the_last_word_counts),
		cmocka_unit_test(negative_answers_obey_their_soa),
		cmocka_unit_test(failures_and_pieces_are_not_kept),
		cmocka_unit_test(a_flood_stays_in_its_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
