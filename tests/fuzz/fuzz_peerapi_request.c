/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_peerapi_request.c - what a peer sends to our PeerAPI
 */
#include <stdlib.h>
#include <string.h>

#include "core/host/peerapi_dns_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ts_peerapi_request req;
	const char *problem = NULL;
	uint8_t *query = NULL;
	uint8_t question[DNS_PLAIN_QUERY_CAP];
	char host[48];
	size_t query_len = 0;

	while (ts_peerapi_read(data, len, &req) == 0) {
		if (req.len > len || req.len == 0 ||
		    req.body + req.body_len > data + len)
			abort();
		if (ts_peerapi_host(&req, host, sizeof(host)) &&
		    !memchr(host, '\0', sizeof(host)))
			abort();
		(void)ts_peerapi_is_of_browser(&req);
		(void)ts_peerapi_path_is(&req, "/");
		if (ts_peerapi_dns_query(&req, &query, &query_len,
					 &problem) == 0) {
			if (query_len > PEERAPI_BODY_MAX)
				abort();
			free(query);
		} else if (!problem) {
			abort();
		}
		if (ts_peerapi_dns_question(&req, question) >
		    (int)sizeof(question))
			abort();
		/* Any bytes may be an answer. */
		free(ts_peerapi_dns_text(req.body, req.body_len));
		data += req.len;
		len -= req.len;
	}
	return 0;
}
