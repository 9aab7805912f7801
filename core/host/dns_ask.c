/* SPDX-License-Identifier: BSD-3-Clause
 * dns_ask.c - a query to the name server at 100.100.100.100, until its answer
 *
 * What the netmap can answer it answers (core/dns/magic_answer.c); the rest
 * goes to who is to be asked for it (dns_forward.c), and is SERVFAIL when none
 * of them helps: the tailnet's resolvers for the names that it routes
 * (core/dns/dns_routes.c), whose answers are remembered; the system's name
 * servers for all others, which is what programs would have heard anyway.
 *
 * Before the netmap is there, a name that can only be the tailnet's waits for
 * it. Any other is forwarded, so that a control server out of reach does not
 * take the program's other names away; but a failure is not believed then,
 * because the tailnet's suffix may be any. When the node has failed, the
 * tailnet's names are SERVFAIL and never go elsewhere.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/wire.h"
#include "core/dns/dns_wire.h"
#include "core/dns/special_names.h"
#include "core/host/dns_choice.h"
#include "core/host/dns_search.h"
#include "core/host/dns_service_internal.h"
#include "core/node/node_dns.h"

enum {
	ASKS_MAX = 1024,
	WAIT_MS = 9000, /* for the netmap; programs give up after 5 to 10 s */
	RCODE_AT = 3, /* the byte of the header that ends with it */
};

struct ask {
	struct ts_link link;
	struct ts_dns_service *service;
	struct ts_member *only;   /* NULL: any that knows */
	struct ts_member *member; /* whose tailnet is asked */
	ts_dns_answer_fn fn;
	void *ctx;
	bool wants_all;
	bool was_early; /* forwarded before the netmap was there */
	bool is_routed; /* asked of the tailnet's resolvers */
	unsigned round; /* of the node's routes, when it was */
	/* Both NULL: waits for the netmap. */
	struct ts_dns_forward *forward;
	struct ts_name_lookup *search;
	uint64_t end_ms;
	size_t len;
	uint8_t query[];
};

/* -- answers of our own --------------------------------------------------- */

/* Into the host's scratch; its length, or 0. */
static size_t plain_answer(const struct ts_host *host, const uint8_t *query,
			   size_t len, enum ts_dns_rcode rcode)
{
	struct ts_dns_response r;
	struct ts_dns_query q;
	int answer_len;

	if (ts_dns_read_query(query, len, &q) == -EBADMSG)
		return 0;
	ts_dns_response_init(&r, &q, rcode, host->scratch, DNS_UDP_MAX);
	answer_len = ts_dns_response_finish(&r);
	return answer_len > 0 ? (size_t)answer_len : 0;
}

static bool is_tailnet_name(const struct ts_dns_query *q)
{
	return !q->is_odd && *q->name && ts_dns_is_tailnet_name(q->name);
}

/* -- what becomes of a query ---------------------------------------------- */

enum fate { FATE_ANSWERED, FATE_FORWARD, FATE_WAIT, FATE_FAIL, FATE_NONE };

/* FATE_ANSWERED: *len bytes in the host's scratch. */
static enum fate by_netmap(const struct ask *a, size_t *len)
{
	struct ts_host *host = a->service->host;
	int n = ts_node_dns_answer(a->member->node, a->query, a->len,
				   !a->wants_all, host->scratch,
				   HOST_SCRATCH_BYTES);

	if (n < 0)
		return FATE_NONE;
	*len = (size_t)n;
	return n > 0 ? FATE_ANSWERED : FATE_FORWARD;
}

/* Of several, one that does not come up must not hold up the others. */
static bool is_given_up(const struct ts_member *member)
{
	return member->host->member_count > 1 &&
	       !ts_member_has_netmap(member) && !ts_member_is_awaited(member);
}

static enum fate without_netmap(const struct ask *a, size_t *len)
{
	const struct ts_host *host = a->service->host;
	struct ts_dns_query q;
	int err = ts_dns_read_query(a->query, a->len, &q);

	if (err == -EBADMSG)
		return FATE_NONE;
	if (err) {
		*len = plain_answer(host, a->query, a->len, DNS_FORMERR);
		return *len ? FATE_ANSWERED : FATE_NONE;
	}
	/* Whoever stopped it wants to do without. */
	if (ts_node_state(a->member->node) == TS_STOPPED ||
	    !is_tailnet_name(&q))
		return FATE_FORWARD;
	return ts_member_is_down(a->member) || is_given_up(a->member)
		       ? FATE_FAIL
		       : FATE_WAIT;
}

static enum fate decide(const struct ask *a, size_t *len)
{
	return ts_member_has_netmap(a->member) ? by_netmap(a, len)
					       : without_netmap(a, len);
}

/* -- the end -------------------------------------------------------------- */

static void free_ask(struct ask *a)
{
	ts_dns_forward_cancel(a->forward);
	ts_name_lookup_cancel(a->search);
	ts_list_remove(&a->link);
	a->service->ask_count--;
	free(a);
}

/* For a program that has all nodes; the same else. */
static const uint8_t *tell_stand_ins(const struct ask *a, const uint8_t *answer,
				     size_t *len)
{
	struct ts_host *host = a->service->host;

	if (a->only || host->member_count == 1 || *len > HOST_SCRATCH_BYTES)
		return answer;
	if (!ts_dns_tell_stand_ins(a->member, a->query, a->len, answer, *len))
		*len = plain_answer(host, a->query, a->len, DNS_SERVFAIL);
	return host->scratch;
}

/* fn may cancel whatever its ctx has asked: by then this is not in the list. */
static void finish(struct ask *a, const uint8_t *answer, size_t len)
{
	if (len)
		answer = tell_stand_ins(a, answer, &len);
	ts_list_remove(&a->link);
	a->fn(a->ctx, len ? answer : NULL, len);
	free_ask(a);
}

static void finish_plainly(struct ask *a, enum ts_dns_rcode rcode)
{
	struct ts_host *host = a->service->host;

	finish(a, host->scratch,
	       plain_answer(host, a->query, a->len, rcode));
}

/* The same, for one who has no room for answers of any length. */
static void finish_fitting(struct ask *a, const uint8_t *answer, size_t len)
{
	uint8_t *scratch = a->service->host->scratch;
	struct ts_dns_query q;

	if (!a->wants_all && ts_dns_read_query(a->query, a->len, &q) == 0 &&
	    len > q.udp_size) {
		memmove(scratch, answer, len);
		answer = scratch;
		len = ts_dns_cut_off(scratch, len);
	}
	finish(a, answer, len);
}

/* -- the way to it -------------------------------------------------------- */

static void on_forwarded(void *ctx, const uint8_t *answer, size_t len,
			 bool is_good);

static void wait_for_netmap(struct ask *a)
{
	struct ts_dns_service *s = a->service;

	a->forward = NULL;
	ts_timer_set(s->timer, ts_host_now_ms(s->host));
}

/* The tailnet's resolvers for this name, or NULL. */
static struct ts_dns_resolvers *route(const struct ask *a)
{
	const struct ts_node *node = a->member->node;
	struct ts_dns_query q;

	if (ts_node_state(node) == TS_STOPPED ||
	    ts_dns_read_query(a->query, a->len, &q))
		return NULL;
	return ts_dns_routes_find(ts_node_dns_routes(node), q.question,
				  q.question_len);
}

/* true: a is finished. */
static bool finish_from_cache(struct ask *a)
{
	struct ts_dns_service *s = a->service;
	uint8_t *scratch = s->host->scratch;
	size_t len = ts_dns_cache_get(s->of[a->member->index].cache, a->query,
				      a->len, ts_host_now_ms(s->host), scratch,
				      HOST_SCRATCH_BYTES);

	if (len > 0)
		finish_fitting(a, scratch, len);
	return len > 0;
}

static void forward_to(struct ask *a, struct ts_dns_resolvers *resolvers)
{
	struct ts_dns_service *s = a->service;

	a->was_early = !ts_member_has_netmap(a->member) ||
		       (!a->only && ts_members_awaited(s->host));
	a->is_routed = resolvers != NULL;
	a->round = s->of[a->member->index].round;
	if (a->is_routed && finish_from_cache(a))
		return;
	a->forward = ts_dns_forward_start(
		&s->forwarder, a->member, resolvers ? resolvers : s->system,
		a->query, a->len, a->wants_all, on_forwarded, a);
	if (!a->forward)
		finish_plainly(a, DNS_SERVFAIL);
}

/* The look-up is over. */
static void on_searched(void *ctx, const struct ts_broker_reply *rep)
{
	struct ask *a = ctx;
	uint8_t *scratch = a->service->host->scratch;
	size_t len = ts_dns_search_answer(rep, a->query, a->len, scratch,
					  HOST_SCRATCH_BYTES);

	a->search = NULL;
	if (len > 0)
		finish_fitting(a, scratch, len);
	else
		forward_to(a, NULL);
}

static void forward(struct ask *a)
{
	struct ts_dns_resolvers *resolvers = route(a);

	if (!resolvers)
		a->search = ts_dns_search_start(a->member, a->query, a->len,
						on_searched, a);
	if (!a->search)
		forward_to(a, resolvers);
}

static void advance(struct ask *a)
{
	struct ts_host *host = a->service->host;
	const uint8_t *scratch = host->scratch;
	size_t len =
		a->only ? 0 : ts_dns_answer_stand_in(host, a->query, a->len);

	if (len > 0) {
		finish(a, scratch, len);
		return;
	}
	a->member = a->only ? a->only : ts_dns_choose(host, a->query, a->len);
	switch (decide(a, &len)) {
	case FATE_FORWARD:
		forward(a);
		break;
	case FATE_WAIT:
		wait_for_netmap(a);
		break;
	case FATE_ANSWERED:
		finish(a, scratch, len);
		break;
	case FATE_FAIL:
		finish_plainly(a, DNS_SERVFAIL);
		break;
	case FATE_NONE:
		finish(a, NULL, 0);
		break;
	}
}

/* No such name, or no server that would say. */
static bool knows_nothing(const uint8_t *answer, size_t len)
{
	return len < DNS_HEADER_LEN ||
	       (answer[RCODE_AT] & DNS_RCODE_MASK) != DNS_NOERROR;
}

/* The forwarder has let go of it. */
static void on_forwarded(void *ctx, const uint8_t *answer, size_t len,
			 bool is_good)
{
	struct ask *a = ctx;
	struct ts_dns_service *s = a->service;
	struct ts_host *host = s->host;

	ts_node_dns_result(a->member->node, answer != NULL);
	a->forward = NULL;
	if (is_good && a->is_routed &&
	    a->round == s->of[a->member->index].round)
		ts_dns_cache_put(s->of[a->member->index].cache, a->query,
				 a->len, answer, len, ts_host_now_ms(host));
	if (a->was_early && knows_nothing(answer, len) &&
	    !ts_member_is_down(a->member)) {
		struct ts_member *awaited = ts_members_awaited(host);

		a->was_early = false;
		if (!a->only && awaited)
			a->member = awaited;
		if (ts_member_has_netmap(a->member))
			advance(a);
		else
			wait_for_netmap(a);
		return;
	}
	if (answer)
		finish_fitting(a, answer, len);
	else
		finish_plainly(a, DNS_SERVFAIL);
}

/* -- those that wait ------------------------------------------------------ */

/* The first that waits for the netmap, or NULL. */
static struct ask *first_waiting(const struct ts_dns_service *s)
{
	for (struct ts_link *at = s->asks.next; at != &s->asks; at = at->next) {
		struct ask *a = TS_LINK_OWNER(at, struct ask, link);

		if (!a->forward && !a->search)
			return a;
	}
	return NULL;
}

void ts_dns_asks_look(void *ctx)
{
	struct ts_dns_service *s = ctx;
	uint64_t now_ms = ts_host_now_ms(s->host);
	struct ask *a;

	while ((a = first_waiting(s)) && a->end_ms <= now_ms)
		finish_plainly(a, DNS_SERVFAIL);
	ts_timer_set(s->timer, a ? a->end_ms : UINT64_MAX);
}

/* The first that has waited for long enough, or NULL. */
static struct ask *first_ready(const struct ts_dns_service *s)
{
	for (struct ts_link *at = s->asks.next; at != &s->asks; at = at->next) {
		struct ask *a = TS_LINK_OWNER(at, struct ask, link);

		if (!a->forward &&
		    (ts_member_has_netmap(a->member) ||
		     ts_member_is_down(a->member) || is_given_up(a->member)))
			return a;
	}
	return NULL;
}

static void follow_routes(const struct ts_member *member)
{
	struct ts_dns_service *s = member->host->dns;
	unsigned round = ts_node_dns_round(member->node);

	if (round == s->of[member->index].round)
		return;
	s->of[member->index].round = round;
	ts_dns_cache_flush(s->of[member->index].cache);
}

void ts_dns_service_node_changed(struct ts_host *host)
{
	struct ts_dns_service *s = host->dns;
	struct ask *a;

	for (unsigned i = 0; i < host->member_count; i++)
		follow_routes(&host->members[i]);
	while ((a = first_ready(s))) /* none waits twice */
		advance(a);
}

/* -- for the other files -------------------------------------------------- */

static void ask(struct ts_host *host, struct ts_member *only,
		const uint8_t *query, size_t len, bool wants_all,
		ts_dns_answer_fn fn, void *ctx)
{
	struct ts_dns_service *s = host->dns;
	struct ask *a = s->ask_count < ASKS_MAX ? malloc(sizeof(*a) + len)
						: NULL;
	size_t answer_len;

	if (!a) {
		answer_len = plain_answer(host, query, len, DNS_SERVFAIL);
		fn(ctx, answer_len ? host->scratch : NULL, answer_len);
		return;
	}
	*a = (struct ask){.service = s,
			  .fn = fn,
			  .ctx = ctx,
			  .only = only,
			  .member = ts_host_first(host),
			  .wants_all = wants_all,
			  .len = len,
			  .end_ms = ts_host_now_ms(host) + WAIT_MS};
	memcpy(a->query, query, len);
	ts_list_insert(&s->asks, &a->link);
	s->ask_count++;
	advance(a);
}

void ts_dns_service_ask(struct ts_host *host, struct ts_member *only,
			const uint8_t *query, size_t len, ts_dns_answer_fn fn,
			void *ctx)
{
	ask(host, only, query, len, false, fn, ctx);
}

void ts_dns_service_ask_all(struct ts_host *host, struct ts_member *only,
			    const uint8_t *query, size_t len,
			    ts_dns_answer_fn fn, void *ctx)
{
	ask(host, only, query, len, true, fn, ctx);
}

static struct ask *find_asked_by(const struct ts_dns_service *s,
				 const void *ctx)
{
	for (struct ts_link *at = s->asks.next; at != &s->asks; at = at->next) {
		struct ask *a = TS_LINK_OWNER(at, struct ask, link);

		if (a->ctx == ctx)
			return a;
	}
	return NULL;
}

/* One may take others with it: those that its search has asked. */
void ts_dns_service_cancel(struct ts_host *host, const void *ctx)
{
	struct ask *a;

	while ((a = find_asked_by(host->dns, ctx)))
		free_ask(a);
}

void ts_dns_asks_end(struct ts_dns_service *s)
{
	while (!ts_list_is_empty(&s->asks))
		finish(TS_LINK_OWNER(s->asks.next, struct ask, link), NULL, 0);
}
