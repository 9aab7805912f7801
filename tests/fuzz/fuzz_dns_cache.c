/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_dns_cache.c - what resolvers send, remembered and read again
 *
 * First byte: the length of the query, which comes next and, once it is read,
 * is ours and valid; the answer is the rest. What comes out of the cache must
 * pass for an answer to that query, and is no longer than what went in.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/dns/dns_cache.h"
#include "core/dns/dns_records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void read_records(const uint8_t *msg, size_t len, const char *name)
{
	struct ts_ip ips[4];
	struct ts_dns_found found = {.ips = ips, .cap = 4};
	char text[DNS_TEXT_CAP];

	(void)ts_dns_find_addresses(msg, len, name, DNS_TYPE_A, &found);
	(void)ts_dns_find_addresses(msg, len, name, DNS_TYPE_AAAA, &found);
	if (found.count > found.cap)
		abort();
	(void)ts_dns_find_ptr(msg, len, name, text);
}

static void cut_off(const uint8_t *msg, size_t len)
{
	uint8_t *copy = malloc(len + 1);

	if (!copy)
		return;
	memcpy(copy, msg, len);
	if (ts_dns_cut_off(copy, len) > len)
		abort();
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t out[DNS_MESSAGE_MAX];
	struct ts_dns_cache *cache;
	const uint8_t *query, *answer;
	struct ts_dns_query q;
	size_t query_len, answer_len, n;

	if (len < 1 || data[0] > len - 1)
		return 0;
	query = data + 1;
	query_len = data[0];
	answer = query + query_len;
	answer_len = len - 1 - query_len;
	if (ts_dns_read_query(query, query_len, &q))
		return 0;
	read_records(answer, answer_len, q.name);
	cut_off(answer, answer_len);
	if (ts_dns_judge(query, q.question_len, answer, answer_len) !=
	    DNS_ANSWER_GOOD)
		return 0;
	cache = ts_dns_cache_new();
	if (!cache)
		return 0;
	ts_dns_cache_put(cache, query, query_len, answer, answer_len, 1000);
	n = ts_dns_cache_get(cache, query, query_len, 1999, out, sizeof(out));
	if (n && (n > answer_len ||
		  ts_dns_judge(query, q.question_len, out, n) !=
			  DNS_ANSWER_GOOD))
		abort();
	ts_dns_cache_free(cache);
	return 0;
}
