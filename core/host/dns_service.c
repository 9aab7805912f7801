/* SPDX-License-Identifier: BSD-3-Clause
 * dns_service.c - the name server at 100.100.100.100
 *
 * Programs with a resolver of their own (c-ares, Go, Java, dig) ask here, by
 * UDP or TCP. What the netmap can answer it answers (core/dns/magic_answer.c);
 * the rest goes to who is to be asked for it (dns_forward.c), and is SERVFAIL
 * when none of them helps: the tailnet's resolvers for the names that it routes
 * (core/dns/dns_routes.c), whose answers are remembered; the system's name
 * servers for all others, which is what they would have heard anyway.
 *
 * Before the netmap is there, a name that can only be the tailnet's waits for
 * it. Any other is forwarded, so that a control server out of reach does not
 * take the program's other names away; but a failure is not believed then,
 * because the tailnet's suffix may be any. When the node has failed, the
 * tailnet's names are SERVFAIL and never go elsewhere.
 *
 * With dns = intercept the table names the system's name servers, and programs
 * are led here when they call one of them. The file is looked at again every
 * few seconds, because networks change.
 */
#include "core/host/dns_service.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/wire.h"
#include "core/dns/dns_cache.h"
#include "core/dns/dns_wire.h"
#include "core/dns/special_names.h"
#include "core/host/dns_forward.h"
#include "core/host/node_choice.h"
#include "core/host/resolv_conf.h"
#include "core/host/stand_ins.h"
#include "core/node/node_dns.h"

enum {
	DNS_PORT = 53,
	ASKS_MAX = 1024,
	WAIT_MS = 9000, /* for the netmap; programs give up after 5 to 10 s */
	LOOK_AT_CONF_MS = 5000,
	RCODE_AT = 3, /* the byte of the header that ends with it */
	STAND_IN_TTL_S = 60,
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
	struct ts_dns_forward *forward; /* NULL: waits for the netmap */
	uint64_t end_ms;
	size_t len;
	uint8_t query[];
};

struct ts_dns_service {
	struct ts_host *host;
	bool intercepts;
	struct ts_resolv_conf conf;
	struct ts_dns_resolvers *system;
	struct ts_dns_forwarder forwarder;
	struct {
		struct ts_dns_cache *cache;
		unsigned round; /* of its routes, when that was filled */
	} of[TS_HOST_NODES_MAX];
	struct ts_link asks; /* by end_ms */
	size_t ask_count;
	struct ts_timer *timer;	     /* of those that wait */
	struct ts_timer *conf_timer; /* looks at resolv.conf */
};

/* -- answers of our own -------------------------------------------------- */

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

/* -- what becomes of a query --------------------------------------------- */

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

/* -- asks ---------------------------------------------------------------- */

static void free_ask(struct ask *a)
{
	ts_dns_forward_cancel(a->forward);
	ts_list_remove(&a->link);
	a->service->ask_count--;
	free(a);
}

/* For a program that has all nodes: addresses that would lead elsewhere get
 * stand-ins, in a copy in the scratch. */
static const uint8_t *tell_stand_ins(struct ask *a, const uint8_t *answer,
				     size_t *len)
{
	struct ts_host *host = a->service->host;
	struct ts_dns_query q;

	if (a->only || host->member_count == 1 || *len > HOST_SCRATCH_BYTES ||
	    ts_dns_read_query(a->query, a->len, &q))
		return answer;
	if (answer != host->scratch)
		memmove(host->scratch, answer, *len);
	if (!ts_stand_ins_tell_message(a->member, q.name, host->scratch, *len))
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

static void forward(struct ask *a)
{
	struct ts_dns_service *s = a->service;
	struct ts_dns_resolvers *resolvers = route(a);

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

/* What a tailnet has to say: the higher the better. */
enum say {
	SAY_NOTHING,
	SAY_BY_DEFAULT,
	SAY_BY_ROUTE,
	SAY_LATER,
	SAY_NO,
	SAY_YES
};

static bool knows_nothing(const uint8_t *answer, size_t len);

static enum say say_of(const struct ask *a, const struct ts_member *member,
		       const struct ts_dns_query *q)
{
	struct ts_host *host = member->host;
	const struct ts_dns_routes *routes = ts_node_dns_routes(member->node);
	struct ts_dns_resolvers *resolvers;
	int len;

	if (!ts_member_has_netmap(member))
		return is_tailnet_name(q) && ts_member_is_awaited(member)
			       ? SAY_LATER
			       : SAY_NOTHING;
	len = ts_node_dns_answer(member->node, a->query, a->len, !a->wants_all,
				 host->scratch, HOST_SCRATCH_BYTES);
	if (len > 0)
		return knows_nothing(host->scratch, (size_t)len) ? SAY_NO
								 : SAY_YES;
	if (ts_node_state(member->node) == TS_STOPPED)
		return SAY_NOTHING;
	resolvers = ts_dns_routes_find(routes, q->question, q->question_len);
	if (!resolvers)
		return SAY_NOTHING;
	return ts_dns_routes_are_for_all(routes, resolvers) ? SAY_BY_DEFAULT
							    : SAY_BY_ROUTE;
}

/* Whose tailnet is asked: who was meant, or the first that has the most to
 * say. */
static struct ts_member *pick_member(const struct ask *a)
{
	struct ts_host *host = a->service->host;
	struct ts_member *best = ts_host_first(host);
	enum say most = SAY_NOTHING;
	struct ts_dns_query q;

	if (a->only || host->member_count == 1 ||
	    ts_dns_read_query(a->query, a->len, &q))
		return a->only ? a->only : best;
	if (!q.is_odd && ts_choose_for_name(host, q.name))
		return ts_choose_for_name(host, q.name);
	for (unsigned i = 0; i < host->member_count; i++) {
		enum say say = say_of(a, &host->members[i], &q);

		if (say <= most)
			continue;
		best = &host->members[i];
		most = say;
	}
	return best;
}

/* The name of a stand-in's address: its length in the scratch; 0: none. */
static size_t answer_stand_in(const struct ask *a)
{
	struct ts_host *host = a->service->host;
	const struct ts_stand_in *s = NULL;
	struct ts_dns_response r;
	struct ts_dns_query q;
	struct ts_ip ip;
	int len;

	if (ts_dns_read_query(a->query, a->len, &q) || q.type != DNS_TYPE_PTR ||
	    !ts_dns_parse_reverse(q.name, &ip))
		return 0;
	s = ts_stand_in_find(host, &ip);
	if (!s)
		return 0;
	ts_dns_response_init(&r, &q, DNS_NOERROR, host->scratch, DNS_UDP_MAX);
	ts_dns_add_ptr(&r, s->name, STAND_IN_TTL_S);
	len = ts_dns_response_finish(&r);
	return len > 0 ? (size_t)len : 0;
}

static void advance(struct ask *a)
{
	const uint8_t *scratch = a->service->host->scratch;
	size_t len = 0;

	len = answer_stand_in(a);
	if (len > 0) {
		finish(a, scratch, len);
		return;
	}
	a->member = pick_member(a);
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

/* The first that waits for the netmap, or NULL. */
static struct ask *first_waiting(const struct ts_dns_service *s)
{
	for (struct ts_link *at = s->asks.next; at != &s->asks; at = at->next) {
		struct ask *a = TS_LINK_OWNER(at, struct ask, link);

		if (!a->forward)
			return a;
	}
	return NULL;
}

/* Those that wait, at the end of their patience. */
static void on_timer(void *ctx)
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

void ts_dns_service_cancel(struct ts_host *host, const void *ctx)
{
	struct ts_dns_service *s = host->dns;
	struct ts_link *at, *next;

	for (at = s->asks.next; at != &s->asks; at = next) {
		struct ask *a = TS_LINK_OWNER(at, struct ask, link);

		next = at->next;
		if (a->ctx == ctx)
			free_ask(a);
	}
}

/* -- where we are found -------------------------------------------------- */

bool ts_dns_service_owns(const struct ts_host *host, const struct ts_addr *at)
{
	const struct ts_table_info *info = &host->info;

	if (!host->dns || at->port != DNS_PORT)
		return false;
	if (ts_ip_equal(&at->ip, &TS_SERVICE_IP) ||
	    ts_ip_equal(&at->ip, &TS_SERVICE_IP6))
		return true;
	for (size_t i = 0; i < info->resolver_count; i++)
		if (ts_ip_equal(&at->ip, &info->resolvers[i]))
			return true;
	return false;
}

/* 0, or -ENOMEM: the former ones are kept. */
static int follow_conf(struct ts_dns_service *s)
{
	struct ts_dns_resolvers *fresh = ts_dns_resolvers_new();
	int err = fresh ? 0 : -ENOMEM;

	for (size_t i = 0; !err && i < s->conf.count; i++)
		err = ts_dns_resolvers_add(fresh, &s->conf.servers[i].addr,
					   s->conf.servers[i].scope);
	if (err) {
		ts_dns_resolvers_put(fresh);
		return err;
	}
	fresh->in_turn = true;
	ts_dns_resolvers_put(s->system);
	s->system = fresh;
	return 0;
}

static void fill_info(const struct ts_dns_service *s)
{
	struct ts_table_info *info = &s->host->info;

	memset(info->resolvers, 0, sizeof(info->resolvers));
	info->resolver_count = 0;
	for (size_t i = 0; s->intercepts && i < s->conf.count; i++)
		info->resolvers[info->resolver_count++] =
			s->conf.servers[i].addr.ip;
}

static void on_conf_timer(void *ctx)
{
	struct ts_dns_service *s = ctx;

	if (ts_resolv_conf_refresh(&s->conf)) {
		log_debug("dns: %zu name servers of the system", s->conf.count);
		if (follow_conf(s))
			log_error("dns: other name servers of the system are "
				  "not asked: out of memory");
		fill_info(s);
		ts_host_publish(s->host);
	}
	ts_timer_set(s->conf_timer,
		     ts_host_now_ms(s->host) + LOOK_AT_CONF_MS);
}

/* -- for those who stand beside the host ---------------------------------- */

static void host_ask(void *ctx, const uint8_t *query, size_t len,
		     ts_node_dns_fn fn, void *fn_ctx)
{
	struct ts_member *member = ctx;

	ts_dns_service_ask_all(member->host, member, query, len, fn, fn_ctx);
}

static void host_cancel(void *ctx, const void *fn_ctx)
{
	const struct ts_member *member = ctx;

	ts_dns_service_cancel(member->host, fn_ctx);
}

static void host_read_system(void *ctx, struct ts_dns_system *out)
{
	const struct ts_member *member = ctx;
	const struct ts_dns_service *s = member->host->dns;

	*out = (struct ts_dns_system){.server_count = s->conf.count};
	for (size_t i = 0; i < s->conf.count; i++)
		out->servers[i] = s->conf.servers[i].addr.ip;
	out->search_count = ts_resolv_conf_read_search(s->conf.path,
						       out->search);
}

_Static_assert((int)TS_DNS_SYSTEM_SERVERS_MAX >= (int)TS_TABLE_RESOLVER_MAX,
	       "all name servers fit");

static const struct ts_node_dns_host dns_host = {
	.ask = host_ask,
	.cancel = host_cancel,
	.read_system = host_read_system,
};

int ts_dns_service_open(struct ts_host *host,
			const struct ts_host_config *config)
{
	struct ts_dns_service *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	host->dns = s;
	s->host = host;
	s->intercepts = config->dns == TS_DNS_INTERCEPT;
	s->conf.path = config->resolv_conf ? config->resolv_conf
					   : "/etc/resolv.conf";
	ts_list_init(&s->asks);
	s->forwarder = (struct ts_dns_forwarder){.host = host};
	s->timer = ts_timer_new(host->loop, on_timer, s);
	s->conf_timer = ts_timer_new(host->loop, on_conf_timer, s);
	if (!s->timer || !s->conf_timer)
		return -ENOMEM;
	(void)ts_resolv_conf_refresh(&s->conf);
	if (follow_conf(s))
		return -ENOMEM;
	fill_info(s);
	ts_timer_set(s->conf_timer, ts_host_now_ms(host) + LOOK_AT_CONF_MS);
	return 0;
}

int ts_dns_service_add(struct ts_member *member)
{
	struct ts_dns_service *s = member->host->dns;

	s->of[member->index].cache = ts_dns_cache_new();
	if (!s->of[member->index].cache)
		return -ENOMEM;
	ts_dns_service_enter_node(member);
	return 0;
}

void ts_dns_service_enter_node(struct ts_member *member)
{
	ts_node_set_dns_host(member->node, &dns_host, member);
}

void ts_dns_service_close(struct ts_host *host)
{
	struct ts_dns_service *s = host->dns;

	if (!s)
		return;
	for (unsigned i = 0; i < host->member_count; i++)
		ts_node_set_dns_host(host->members[i].node, NULL, NULL);
	/* Who is left stands beside the host: the others cancelled theirs. */
	while (!ts_list_is_empty(&s->asks))
		finish(TS_LINK_OWNER(s->asks.next, struct ask, link), NULL, 0);
	ts_timer_free(s->timer);
	ts_timer_free(s->conf_timer);
	ts_dns_resolvers_put(s->system);
	for (unsigned i = 0; i < TS_HOST_NODES_MAX; i++)
		ts_dns_cache_free(s->of[i].cache);
	free(s);
	host->dns = NULL;
}
