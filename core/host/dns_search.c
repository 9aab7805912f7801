/* SPDX-License-Identifier: BSD-3-Clause
 * dns_search.c - names without dots, for programs with a resolver of their own
 *
 * The look-up is getaddrinfo()'s; what comes of it are addresses, which are
 * told of the name that was asked for. They hold as long as names of nodes do,
 * since the record's own time is not kept that far.
 */
#include "core/host/dns_search.h"

#include <string.h>

#include "core/dns/dns_wire.h"

enum { SEARCH_TTL_S = 5 };

static bool is_bare(const struct ts_dns_query *q)
{
	return !q->is_odd && *q->name && !strchr(q->name, '.') &&
	       q->class == DNS_CLASS_IN && !(q->flags & DNS_OPCODE_MASK) &&
	       (q->type == DNS_TYPE_A || q->type == DNS_TYPE_AAAA);
}

struct ts_name_lookup *ts_dns_search_start(struct ts_host *host,
					   const uint8_t *query, size_t len,
					   ts_name_lookup_fn fn, void *ctx)
{
	struct ts_broker_request req = {.type = TS_BROKER_RESOLVE};
	struct ts_dns_query q;

	if (ts_dns_read_query(query, len, &q) || !is_bare(&q))
		return NULL;
	req.flags = q.type == DNS_TYPE_A ? TS_BROKER_WANT_V4
					 : TS_BROKER_WANT_V6;
	memcpy(req.name, q.name, strlen(q.name) + 1);
	return ts_name_lookup_start(host, &req, fn, ctx);
}

size_t ts_dns_search_answer(const struct ts_broker_reply *rep,
			    const uint8_t *query, size_t len, uint8_t *out,
			    size_t cap)
{
	struct ts_dns_response r;
	struct ts_dns_query q;
	int n;

	if ((rep->answer != TS_ANSWER_FOUND && !rep->error) ||
	    ts_dns_read_query(query, len, &q))
		return 0;
	ts_dns_response_init(&r, &q, rep->error ? DNS_SERVFAIL : DNS_NOERROR,
			     out, cap);
	for (size_t i = 0; i < rep->addr_count; i++)
		ts_dns_add_ip(&r, &rep->addrs[i], SEARCH_TTL_S);
	n = ts_dns_response_finish(&r);
	return n > 0 ? (size_t)n : 0;
}
