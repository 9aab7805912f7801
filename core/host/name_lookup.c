/* SPDX-License-Identifier: BSD-3-Clause
 * name_lookup.c - RESOLVE, REVERSE and DNS, by the tailnet's resolvers
 *
 * What getaddrinfo() and its kin ask for, and the netmap does not have, when
 * the tailnet routes the name (core/dns/dns_routes.c). Both families are asked
 * for at once. A single label is tried below each search domain of the tailnet;
 * if none of them knows it, it is the program's own search list's business.
 *
 * A server that knows nothing of the zone where a CNAME leads says no more than
 * that: then we ask for that name ourselves, and may find it in the netmap. A
 * resolver that fails is "try again", never "no such name".
 */
#include "core/host/name_lookup.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/dns/dns_records.h"
#include "core/dns/special_names.h"
#include "core/host/dns_service.h"
#include "core/host/node_choice.h"
#include "core/node/node_dns.h"

enum {
	LOOKUP_MS = 10 * 1000,
	ALIASES_MAX = 8, /* names that are asked for on behalf of another */
	RCODE_AT = 3,
	PARTS = 2,
	/* Of an answer with both families, the second's at least. */
	KEPT_OF_SECOND = 2,
};

enum part_state { PART_IDLE, PART_ASKED, PART_SAID, PART_UNKNOWN, PART_FAILED };

/* One type of the name. */
struct part {
	struct ts_name_lookup *lookup;
	enum part_state state;
	uint16_t type;
	struct ts_ip ips[TS_BROKER_ADDRS_MAX];
	struct ts_dns_found found;
};

struct ts_name_lookup {
	struct ts_host *host;
	struct ts_member *member; /* whose resolvers are asked */
	ts_name_lookup_fn fn;
	void *ctx;
	bool is_by_suffix; /* resolvers for all names do not count */
	uint8_t node;      /* as in the request */
	uint8_t type;  /* of the request */
	uint8_t flags; /* RESOLVE: families */
	char asked[DNS_TEXT_CAP]; /* RESOLVE: as the program has it */
	char name[DNS_TEXT_CAP];  /* what is asked for now */
	size_t next_domain;
	unsigned aliases;
	struct part parts[PARTS]; /* A, AAAA; REVERSE and DNS: the first */
	char ptr[DNS_TEXT_CAP];
	uint8_t *answer; /* DNS */
	size_t answer_len;
	struct ts_timer *timer;
	uint64_t end_ms;
};

/* -- ends ----------------------------------------------------------------- */

void ts_name_lookup_cancel(struct ts_name_lookup *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < PARTS; i++)
		ts_dns_service_cancel(l->host, &l->parts[i]);
	ts_timer_free(l->timer);
	free(l->answer);
	free(l);
}

static void finish(struct ts_name_lookup *l, const struct ts_broker_reply *rep)
{
	l->fn(l->ctx, rep);
	ts_name_lookup_cancel(l);
}

static void finish_plainly(struct ts_name_lookup *l, uint8_t answer, int error)
{
	const struct ts_broker_reply rep = {.type = l->type, .answer = answer,
					    .error = error};

	finish(l, &rep);
}

/* -- one question --------------------------------------------------------- */

/* From the loop: never inside a caller's call. */
static void go_on_soon(struct ts_name_lookup *l)
{
	ts_timer_set(l->timer, ts_host_now_ms(l->host));
}

static enum part_state read_part(struct part *part, const uint8_t *answer,
				 size_t len)
{
	struct ts_name_lookup *l = part->lookup;

	if (len < DNS_HEADER_LEN)
		return PART_FAILED;
	switch (answer[RCODE_AT] & DNS_RCODE_MASK) {
	case DNS_NOERROR:
		break;
	case DNS_NXDOMAIN:
		return PART_UNKNOWN;
	default:
		return PART_FAILED;
	}
	if (part->type == DNS_TYPE_PTR)
		return ts_dns_find_ptr(answer, len, l->name, l->ptr)
			       ? PART_SAID : PART_UNKNOWN;
	return ts_dns_find_addresses(answer, len, l->name, part->type,
				     &part->found) ? PART_FAILED : PART_SAID;
}

static void on_answer(void *ctx, const uint8_t *answer, size_t len)
{
	struct part *part = ctx;
	struct ts_name_lookup *l = part->lookup;

	part->state = read_part(part, answer, len);
	for (size_t i = 0; i < PARTS; i++)
		if (l->parts[i].state == PART_ASKED)
			return;
	go_on_soon(l);
}

static void ask_part(struct part *part, uint16_t type)
{
	struct ts_name_lookup *l = part->lookup;
	uint8_t query[DNS_PLAIN_QUERY_CAP];
	int len = ts_dns_write_query((uint16_t)ts_random_u32(), l->name, type,
				     query, sizeof(query));

	part->type = type;
	part->found = (struct ts_dns_found){.ips = part->ips,
					    .cap = TS_BROKER_ADDRS_MAX};
	part->state = len < 0 ? PART_UNKNOWN : PART_ASKED;
	if (len > 0)
		ts_dns_service_ask_all(l->host, l->member, query, (size_t)len,
				       on_answer, part);
	else
		go_on_soon(l);
}

static void ask(struct ts_name_lookup *l)
{
	bool both = l->flags & TS_BROKER_WANT_V4 &&
		    l->flags & TS_BROKER_WANT_V6;

	ts_timer_set(l->timer, l->end_ms);
	for (size_t i = 0; i < PARTS; i++)
		l->parts[i].state = PART_IDLE;
	if (l->type == TS_BROKER_REVERSE) {
		ask_part(&l->parts[0], DNS_TYPE_PTR);
		return;
	}
	/* Asked, before either answers: nobody is the last one yet. */
	if (both)
		l->parts[1].state = PART_ASKED;
	if (l->flags & TS_BROKER_WANT_V4)
		ask_part(&l->parts[0], DNS_TYPE_A);
	if (l->flags & TS_BROKER_WANT_V6)
		ask_part(&l->parts[1], DNS_TYPE_AAAA);
}

/* -- which name ----------------------------------------------------------- */

static bool is_good(const struct ts_name_lookup *l,
		    const struct ts_dns_resolvers *found)
{
	const struct ts_dns_routes *routes =
		ts_node_dns_routes(l->member->node);

	return found &&
	       !(l->is_by_suffix && ts_dns_routes_are_for_all(routes, found));
}

static bool is_routed(const struct ts_name_lookup *l, const char *name)
{
	return is_good(l, ts_dns_routes_find_text(
				  ts_node_dns_routes(l->member->node), name));
}

/* The next one below a search domain that the tailnet's resolvers know of; what
 * the netmap answers for was looked up before. */
static bool next_candidate(struct ts_name_lookup *l)
{
	const char *domain;

	while ((domain = ts_node_search_domain(l->member->node,
					       l->next_domain++))) {
		int len = snprintf(l->name, sizeof(l->name), "%.*s.%s",
				   DNS_LABEL_MAX, l->asked, domain);

		if (len > 0 && (size_t)len < sizeof(l->name) &&
		    is_routed(l, l->name))
			return true;
	}
	return false;
}

static bool first_name(struct ts_name_lookup *l,
		       const struct ts_broker_request *req)
{
	size_t len = strlen(req->name);

	if (len == 0 || len >= sizeof(l->name))
		return false;
	for (size_t i = 0; i <= len; i++) /* as answers have it */
		l->asked[i] = (char)tolower((unsigned char)req->name[i]);
	if (!strchr(l->asked, '.'))
		return len <= DNS_LABEL_MAX && next_candidate(l);
	memcpy(l->name, l->asked, len + 1);
	return is_routed(l, l->name);
}

static bool first_reverse_name(struct ts_name_lookup *l,
			       const struct ts_broker_request *req)
{
	const struct ts_ip *ip = &req->tailnet.ip;

	/* What is never seen outside this machine and its links. */
	if (ts_ip_is_loopback(ip) || ts_ip_is_unspecified(ip) ||
	    ts_ip_is_multicast(ip) || ts_ip_is_link_local(ip))
		return false;
	ts_dns_format_reverse(ip, l->name);
	return is_routed(l, l->name);
}

/* -- what came of it ------------------------------------------------------ */

/* Both families find room; the first has more of it. */
static void finish_found(struct ts_name_lookup *l)
{
	struct ts_broker_reply rep = {.type = l->type,
				      .answer = TS_ANSWER_FOUND};
	const struct ts_dns_found *first = &l->parts[0].found;
	const struct ts_dns_found *second = &l->parts[1].found;
	const struct ts_dns_found *any = first->count ? first : second;
	size_t spare = second->count < KEPT_OF_SECOND ? second->count
						      : KEPT_OF_SECOND;
	size_t n = first->count;

	if (n > TS_BROKER_ADDRS_MAX - spare)
		n = TS_BROKER_ADDRS_MAX - spare;
	if (n > 0)
		memcpy(rep.addrs, first->ips, n * sizeof(rep.addrs[0]));
	for (size_t i = 0; i < second->count && n < TS_BROKER_ADDRS_MAX; i++)
		rep.addrs[n++] = second->ips[i];
	rep.addr_count = (uint8_t)n;
	snprintf(rep.name, sizeof(rep.name), "%s", any->canonical);
	ts_names_tell(l->member, l->node, &rep);
	finish(l, &rep);
}

static bool has_part(const struct ts_name_lookup *l, enum part_state state)
{
	return l->parts[0].state == state || l->parts[1].state == state;
}

/* Where a CNAME led that nobody followed; NULL: nowhere. */
static const char *alias_of(const struct ts_name_lookup *l)
{
	for (size_t i = 0; i < PARTS; i++)
		if (l->parts[i].state == PART_SAID &&
		    *l->parts[i].found.canonical &&
		    strcmp(l->parts[i].found.canonical, l->name) != 0)
			return l->parts[i].found.canonical;
	return NULL;
}

static void go_on_with_addresses(struct ts_name_lookup *l)
{
	const char *alias = alias_of(l);

	if (has_part(l, PART_ASKED))
		return; /* the last one tells */
	if (l->parts[0].found.count + l->parts[1].found.count > 0) {
		finish_found(l);
	} else if (has_part(l, PART_FAILED)) {
		finish_plainly(l, TS_ANSWER_NOT_OURS, EAGAIN);
	} else if (alias && l->aliases++ < ALIASES_MAX) {
		snprintf(l->name, sizeof(l->name), "%s", alias);
		ask(l);
	} else if (has_part(l, PART_SAID)) {
		finish_found(l); /* it exists, without an address */
	} else if (strchr(l->asked, '.')) {
		finish_plainly(l, TS_ANSWER_NXDOMAIN, 0);
	} else if (next_candidate(l)) {
		ask(l);
	} else {
		finish_plainly(l, TS_ANSWER_NOT_OURS, 0);
	}
}

static void go_on_with_name(struct ts_name_lookup *l)
{
	struct ts_broker_reply rep = {.type = l->type,
				      .answer = TS_ANSWER_FOUND};

	if (l->parts[0].state == PART_FAILED) {
		finish_plainly(l, TS_ANSWER_NOT_OURS, EAGAIN);
		return;
	}
	/* No name at all is an answer, too. */
	snprintf(rep.name, sizeof(rep.name), "%s", l->ptr);
	finish(l, &rep);
}

static void on_timer(void *ctx)
{
	struct ts_name_lookup *l = ctx;
	struct ts_broker_reply rep = {.type = l->type,
				      .answer = TS_ANSWER_FOUND,
				      .data = l->answer,
				      .data_len = l->answer_len};

	if (l->type == TS_BROKER_DNS && l->answer)
		finish(l, &rep);
	else if (ts_host_now_ms(l->host) >= l->end_ms ||
		 l->type == TS_BROKER_DNS)
		finish_plainly(l, TS_ANSWER_NOT_OURS, ETIMEDOUT);
	else if (l->type == TS_BROKER_REVERSE)
		go_on_with_name(l);
	else
		go_on_with_addresses(l);
}

/* -- a ready-made query --------------------------------------------------- */

static void on_dns(void *ctx, const uint8_t *answer, size_t len)
{
	struct part *part = ctx;
	struct ts_name_lookup *l = part->lookup;

	part->state = PART_SAID;
	l->answer = len ? malloc(len) : NULL;
	if (l->answer)
		memcpy(l->answer, answer, len);
	l->answer_len = l->answer ? len : 0;
	go_on_soon(l);
}

static bool is_routed_query(const struct ts_name_lookup *l,
			    const struct ts_broker_request *req)
{
	struct ts_dns_query q;

	return ts_dns_read_query(req->data, req->data_len, &q) == 0 &&
	       is_good(l,
		       ts_dns_routes_find(ts_node_dns_routes(l->member->node),
					  q.question, q.question_len));
}

/* -- for the broker ------------------------------------------------------- */

static bool begin(struct ts_name_lookup *l, const struct ts_broker_request *req)
{
	bool is_ours;

	if (l->type == TS_BROKER_DNS) {
		is_ours = is_routed_query(l, req);
		ts_timer_set(l->timer, l->end_ms);
		if (is_ours)
			ts_dns_service_ask_all(l->host, l->member, req->data,
					       req->data_len, on_dns,
					       &l->parts[0]);
		return is_ours;
	}
	is_ours = l->type == TS_BROKER_RESOLVE ? first_name(l, req)
					       : first_reverse_name(l, req);
	if (is_ours)
		ask(l);
	return is_ours;
}

/* NULL: not routed to its resolvers, or out of memory. */
static struct ts_name_lookup *start(struct ts_member *member,
				    const struct ts_broker_request *req,
				    bool is_by_suffix, ts_name_lookup_fn fn,
				    void *ctx)
{
	struct ts_host *host = member->host;
	struct ts_name_lookup *l;

	if (ts_node_state(member->node) == TS_STOPPED ||
	    ts_dns_routes_are_empty(ts_node_dns_routes(member->node)))
		return NULL;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	*l = (struct ts_name_lookup){
		.host = host,
		.member = member,
		.fn = fn,
		.ctx = ctx,
		.type = req->type,
		.flags = req->flags,
		.is_by_suffix = is_by_suffix,
		.node = req->node,
		.timer = ts_timer_new(host->loop, on_timer, l),
		.end_ms = ts_host_now_ms(host) + LOOKUP_MS};
	for (size_t i = 0; i < PARTS; i++)
		l->parts[i].lookup = l;
	if (l->timer && begin(l, req))
		return l;
	ts_name_lookup_cancel(l);
	return NULL;
}

/* Of several tailnets the first whose resolvers are there for names like it,
 * else the first whose resolvers are there for all. */
struct ts_name_lookup *ts_name_lookup_start(struct ts_host *host,
					    const struct ts_broker_request *req,
					    ts_name_lookup_fn fn, void *ctx)
{
	struct ts_member *owner = ts_choose_named(host, req->node);
	unsigned first = owner || host->member_count == 1 ? 1 : 0;
	struct ts_name_lookup *l = NULL;

	/* dns = host: these resolvers are not wanted */
	if (host->info.resolver_count == 0)
		return NULL;
	if (!owner && req->type == TS_BROKER_RESOLVE)
		owner = ts_choose_for_name(host, req->name);
	for (unsigned pass = first; !l && pass < 2; pass++)
		for (unsigned i = 0; !l && i < host->member_count; i++)
			if (!owner || owner == &host->members[i])
				l = start(&host->members[i], req, pass == 0, fn,
					  ctx);
	return l;
}
