/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_dns_answer.c - what name servers, and those who play one, send
 *
 * First byte: the length of the query, which comes next and, once it is read,
 * is ours and valid; the answer is the rest.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/dns/dns_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *query = data + 1, *answer;
	struct ts_dns_query q;
	size_t query_len, answer_len;
	enum ts_dns_verdict verdict;

	if (len < 1 || data[0] > len - 1)
		return 0;
	query_len = data[0];
	if (ts_dns_read_query(query, query_len, &q))
		return 0;
	answer = query + query_len;
	answer_len = len - 1 - query_len;
	verdict = ts_dns_judge(query, q.question_len, answer, answer_len);
	if (verdict != DNS_ANSWER_FOREIGN &&
	    (answer_len < DNS_HEADER_LEN || memcmp(query, answer, 2) != 0))
		abort();
	return 0;
}
