/* SPDX-License-Identifier: BSD-3-Clause
 * dns_choice.c - of several nodes: whose tailnet answers a query
 *
 * In this order: the one whose `destinations` have the name; the first that
 * knows it; the first that knows that nobody has it; one that may know it and
 * is about to come up; the first whose resolvers are there for names like it;
 * the first whose resolvers are there for all.
 */
#include "core/host/dns_choice.h"

#include <string.h>

#include "core/dns/dns_wire.h"
#include "core/dns/special_names.h"
#include "core/host/node_choice.h"
#include "core/host/stand_ins.h"
#include "core/node/node_dns.h"

enum { STAND_IN_TTL_S = 60, RCODE_AT = 3 };

/* What a tailnet has to say: the higher the better. */
enum say {
	SAY_NOTHING,
	SAY_BY_DEFAULT,
	SAY_BY_ROUTE,
	SAY_LATER,
	SAY_NO,
	SAY_YES
};

static enum say say_by_route(const struct ts_member *member,
			     const struct ts_dns_query *q)
{
	const struct ts_dns_routes *routes = ts_node_dns_routes(member->node);
	const struct ts_dns_resolvers *resolvers;

	if (ts_node_state(member->node) == TS_STOPPED)
		return SAY_NOTHING;
	resolvers = ts_dns_routes_find(routes, q->question, q->question_len);
	if (!resolvers)
		return SAY_NOTHING;
	return ts_dns_routes_are_for_all(routes, resolvers) ? SAY_BY_DEFAULT
							    : SAY_BY_ROUTE;
}

static enum say say_of(const struct ts_member *member, const uint8_t *query,
		       size_t len, const struct ts_dns_query *q)
{
	uint8_t *scratch = member->host->scratch;
	int answer_len;

	if (!ts_member_has_netmap(member))
		return !q->is_odd && *q->name &&
				       ts_dns_is_tailnet_name(q->name) &&
				       ts_member_is_awaited(member)
			       ? SAY_LATER
			       : SAY_NOTHING;
	answer_len = ts_node_dns_answer(member->node, query, len, false,
					scratch, HOST_SCRATCH_BYTES);
	if (answer_len < DNS_HEADER_LEN)
		return say_by_route(member, q);
	return (scratch[RCODE_AT] & DNS_RCODE_MASK) == DNS_NOERROR ? SAY_YES
								   : SAY_NO;
}

struct ts_member *ts_dns_choose(struct ts_host *host, const uint8_t *query,
				size_t len)
{
	struct ts_member *best = ts_host_first(host), *owner;
	enum say most = SAY_NOTHING;
	struct ts_dns_query q;

	if (host->member_count == 1 || ts_dns_read_query(query, len, &q))
		return best;
	owner = q.is_odd ? NULL : ts_choose_for_name(host, q.name);
	if (owner)
		return owner;
	for (unsigned i = 0; i < host->member_count; i++) {
		enum say say = say_of(&host->members[i], query, len, &q);

		if (say <= most)
			continue;
		best = &host->members[i];
		most = say;
	}
	return best;
}

size_t ts_dns_answer_stand_in(struct ts_host *host, const uint8_t *query,
			      size_t len)
{
	const struct ts_stand_in *s;
	struct ts_dns_response r;
	struct ts_dns_query q;
	struct ts_ip ip;
	int answer_len;

	if (host->member_count == 1 || ts_dns_read_query(query, len, &q) ||
	    q.type != DNS_TYPE_PTR || !ts_dns_parse_reverse(q.name, &ip))
		return 0;
	s = ts_stand_in_find(host, &ip);
	if (!s)
		return 0;
	ts_dns_response_init(&r, &q, DNS_NOERROR, host->scratch, DNS_UDP_MAX);
	ts_dns_add_ptr(&r, s->name, STAND_IN_TTL_S);
	answer_len = ts_dns_response_finish(&r);
	return answer_len > 0 ? (size_t)answer_len : 0;
}

bool ts_dns_tell_stand_ins(struct ts_member *member, const uint8_t *query,
			   size_t query_len, const uint8_t *answer, size_t len)
{
	uint8_t *scratch = member->host->scratch;
	struct ts_dns_query q;

	if (answer != scratch)
		memmove(scratch, answer, len);
	return ts_dns_read_query(query, query_len, &q) ||
	       ts_stand_ins_tell_message(member, q.name, scratch, len);
}
