/* SPDX-License-Identifier: BSD-3-Clause
 * dns_forward.c - a DNS query to one or more resolvers
 * Source: net/dns/resolver/forwarder.go (forwardWithDestChan, send);
 * RFC 1035 section 7
 *
 * A plan says who is asked when, and how. The tailnet's resolvers race: all at
 * once but for those that give others a start (dns_routes.c), by UDP, and by
 * TCP too when two seconds have brought nothing. The system's are asked in
 * turn, twice, as libc does. Whoever has been asked may still answer when
 * others are asked; and when nobody is left who could, the next step of the
 * plan need not wait for its time.
 *
 * The tailnet may want no TCP (dns-forwarder-disable-tcp-retries): then an
 * answer that was cut off is all there is.
 *
 * The first good answer is the answer. "I cannot" (SERVFAIL, REFUSED) is kept,
 * and told when nobody knows better.
 */
#include "core/host/dns_forward.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/wire.h"
#include "core/host/dns_try.h"

enum {
	ROUNDS = 2, /* of those who are asked in turn */
	TURN_MS = 2000,
	TCP_AFTER_MS = 2000,
	ALL_TRIES_MS = 9000, /* programs give up after 10 s, most after 5 */
	STEPS_MAX = 3 * TS_DNS_UPSTREAMS_MAX,
	RCODE_AT = 3, /* the byte of the header that ends with it */
};

struct step {
	size_t upstream; /* of the resolvers' list */
	enum ts_dns_way way;
	uint64_t at_ms;
	bool is_begun;
	struct ts_dns_try *try; /* NULL: not yet, or over */
};

struct ts_dns_forward {
	struct ts_dns_forwarder *forwarder;
	struct ts_member *member;
	struct ts_dns_resolvers *resolvers;
	ts_dns_forward_fn fn;
	void *ctx;
	bool wants_all, no_tcp;
	uint16_t program_id;
	uint8_t *query;
	size_t len;
	struct step steps[STEPS_MAX];
	size_t step_count, running;
	struct ts_timer *timer;
	uint64_t end_ms;
	uint8_t *excuse; /* "I cannot", or what there is of a long answer */
	size_t excuse_len;
};

/* -- ends ----------------------------------------------------------------- */

static void end_try(struct ts_dns_forward *q, struct step *step)
{
	if (!step->try)
		return;
	ts_dns_try_free(step->try);
	step->try = NULL;
	q->running--;
	q->forwarder->try_count--;
}

void ts_dns_forward_cancel(struct ts_dns_forward *q)
{
	if (!q)
		return;
	for (size_t i = 0; i < q->step_count; i++)
		end_try(q, &q->steps[i]);
	q->forwarder->count--;
	ts_timer_free(q->timer);
	ts_dns_resolvers_put(q->resolvers);
	free(q->excuse);
	free(q->query);
	free(q);
}

/* answer may lie in one of q's tries, or be its excuse. */
static void deliver(struct ts_dns_forward *q, uint8_t *answer, size_t len,
		    bool is_good)
{
	struct ts_writer w = ts_writer_init(answer, len);

	if (answer)
		ts_write_be16(&w, q->program_id);
	q->fn(q->ctx, answer, len, is_good);
	ts_dns_forward_cancel(q);
}

/* -- the plan ------------------------------------------------------------- */

static void add_step(struct ts_dns_forward *q, size_t upstream,
		     enum ts_dns_way way, uint64_t at_ms)
{
	if (q->step_count < STEPS_MAX)
		q->steps[q->step_count++] = (struct step){
			.upstream = upstream, .way = way, .at_ms = at_ms};
}

static void plan_turns(struct ts_dns_forward *q, uint64_t now_ms)
{
	size_t count = q->resolvers->count;

	for (size_t i = 0; i < ROUNDS * count; i++)
		add_step(q, i % count, TS_DNS_BY_UDP, now_ms + i * TURN_MS);
}

static void plan_race(struct ts_dns_forward *q, uint64_t now_ms)
{
	for (size_t i = 0; i < q->resolvers->count; i++) {
		const struct ts_dns_upstream *up = &q->resolvers->list[i];
		uint64_t at_ms = now_ms + up->delay_ms;

		switch (up->kind) {
		case TS_DNS_PLAIN:
			add_step(q, i, TS_DNS_BY_UDP, at_ms);
			if (!q->no_tcp)
				add_step(q, i, TS_DNS_BY_TCP,
					 at_ms + TCP_AFTER_MS);
			break;
		case TS_DNS_HTTPS:
		case TS_DNS_PEER_HTTP:
			add_step(q, i, TS_DNS_BY_HTTP, at_ms);
			break;
		case TS_DNS_UNKNOWN:
			break;
		}
	}
}

/* -- answers -------------------------------------------------------------- */

static bool is_refusal(const uint8_t *msg)
{
	return (msg[RCODE_AT] & DNS_RCODE_MASK) == DNS_REFUSED;
}

/* The first; but who has failed may work again, who refuses never will. */
static void keep_excuse(struct ts_dns_forward *q, const uint8_t *msg,
			size_t len)
{
	uint8_t *copy;

	if (q->excuse && (!is_refusal(q->excuse) || is_refusal(msg)))
		return;
	copy = malloc(len);
	if (!copy)
		return;
	memcpy(copy, msg, len);
	free(q->excuse);
	q->excuse = copy;
	q->excuse_len = len;
}

/* The rest of an answer that did not fit: now, from the same one. */
static void ask_by_tcp(struct ts_dns_forward *q, size_t upstream)
{
	uint64_t now_ms = ts_host_now_ms(q->forwarder->host);

	for (size_t i = 0; i < q->step_count; i++) {
		struct step *step = &q->steps[i];

		if (step->upstream != upstream || step->way != TS_DNS_BY_TCP)
			continue;
		if (!step->is_begun)
			step->at_ms = now_ms;
		return;
	}
	add_step(q, upstream, TS_DNS_BY_TCP, now_ms);
}

/* The next step, or the end, from the loop: never inside a caller's call. */
static void go_on_soon(struct ts_dns_forward *q)
{
	ts_timer_set(q->timer, ts_host_now_ms(q->forwarder->host));
}

static struct step *step_of(struct ts_dns_forward *q,
			    const struct ts_dns_try *try)
{
	for (size_t i = 0; i < q->step_count; i++)
		if (q->steps[i].try == try)
			return &q->steps[i];
	return NULL;
}

static void on_try(struct ts_dns_try *try, void *ctx,
		   enum ts_dns_verdict verdict, uint8_t *msg, size_t len)
{
	struct ts_dns_forward *q = ctx;
	struct step *step = step_of(q, try);
	bool is_cut = verdict == DNS_ANSWER_CUT_OFF && q->wants_all &&
		      !q->no_tcp && step->way == TS_DNS_BY_UDP;

	if (verdict == DNS_ANSWER_GOOD ||
	    (verdict == DNS_ANSWER_CUT_OFF && !is_cut)) {
		deliver(q, msg, len, verdict == DNS_ANSWER_GOOD);
		return;
	}
	if (verdict != DNS_ANSWER_FOREIGN)
		keep_excuse(q, msg, len);
	if (is_cut)
		ask_by_tcp(q, step->upstream);
	end_try(q, step);
	go_on_soon(q);
}

/* -- in time -------------------------------------------------------------- */

static void begin(struct ts_dns_forward *q, struct step *step)
{
	struct ts_dns_forwarder *f = q->forwarder;

	step->is_begun = true;
	if (f->try_count >= DNS_TRIES_MAX)
		return;
	step->try =
		ts_dns_try_start(q->member, &q->resolvers->list[step->upstream],
				 step->way, q->query, q->len, on_try, q);
	if (!step->try)
		return;
	q->running++;
	f->try_count++;
}

/* Of those that are not begun, the first in time; NULL: none. */
static struct step *next_step(struct ts_dns_forward *q)
{
	struct step *next = NULL;

	for (size_t i = 0; i < q->step_count; i++) {
		struct step *step = &q->steps[i];

		if (!step->is_begun && (!next || step->at_ms < next->at_ms))
			next = step;
	}
	return next;
}

static void on_timer(void *ctx)
{
	struct ts_dns_forward *q = ctx;
	uint64_t now_ms = ts_host_now_ms(q->forwarder->host);
	uint64_t wake_ms = q->end_ms;
	struct step *next;

	while ((next = next_step(q)) && now_ms < q->end_ms &&
	       (next->at_ms <= now_ms || q->running == 0))
		begin(q, next);
	if (now_ms >= q->end_ms || (!next && q->running == 0)) {
		deliver(q, q->excuse, q->excuse_len, false);
		return;
	}
	if (next && next->at_ms < wake_ms)
		wake_ms = next->at_ms;
	ts_timer_set(q->timer, wake_ms);
}

static bool has_attribute(const struct ts_node *node, const char *name)
{
	const struct ts_peer *self = ts_node_netmap(node)->self;

	return self && ts_peer_has_cap(self, name);
}

/* -- for the service ------------------------------------------------------ */

struct ts_dns_forward *ts_dns_forward_start(struct ts_dns_forwarder *f,
					    struct ts_member *member,
					    struct ts_dns_resolvers *resolvers,
					    const uint8_t *query, size_t len,
					    bool wants_all,
					    ts_dns_forward_fn fn, void *ctx)
{
	struct ts_dns_forward *q;
	struct ts_reader r = ts_reader_init(query, len);
	uint64_t now_ms = ts_host_now_ms(f->host);

	if (f->count >= DNS_FORWARDS_MAX || len < DNS_HEADER_LEN ||
	    len > DNS_MESSAGE_MAX)
		return NULL;
	q = calloc(1, sizeof(*q));
	if (!q)
		return NULL;
	*q = (struct ts_dns_forward){
		.forwarder = f,
		.member = member,
		.fn = fn,
		.ctx = ctx,
		.wants_all = wants_all,
		.no_tcp = has_attribute(member->node,
					"dns-forwarder-disable-tcp-retries"),
		.program_id = ts_read_be16(&r),
		.query = malloc(len),
		.len = len,
		.timer = ts_timer_new(f->host->loop, on_timer, q),
		.end_ms = now_ms + ALL_TRIES_MS,
	};
	if (!q->query || !q->timer) {
		ts_timer_free(q->timer);
		free(q->query);
		free(q);
		return NULL;
	}
	memcpy(q->query, query, len);
	q->resolvers = ts_dns_resolvers_get(resolvers);
	f->count++;
	if (resolvers->in_turn)
		plan_turns(q, now_ms);
	else
		plan_race(q, now_ms);
	go_on_soon(q);
	return q;
}
