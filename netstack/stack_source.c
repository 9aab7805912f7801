/* SPDX-License-Identifier: BSD-3-Clause
 * stack_source.c - what one peer may have of what is there for all
 *
 * A connection that is not up yet costs memory and a socket of the owner's, and
 * who sends SYNs and nothing else has each of them for 20 s. So they are
 * counted by peer, and one that has its share gets no more: it harms itself
 * only. SYN cookies would not do, as a SYN is answered when a program has taken
 * the connection, not before.
 *
 * Answers to echo requests are counted by the second, in a small table that
 * peers share by a hash with a seed of the stack's own: exact enough for what
 * costs one packet, and there is nothing to allocate.
 *
 * A peer is the address that ops->owner() names, since one that routes a
 * network can send from all of it.
 */
#include "netstack/stack_private.h"

#include <stdlib.h>

struct stack_source {
	struct stack *s;
	struct ts_ip ip;
	unsigned half_open;
};

static struct ts_ip owner_of(const struct stack *s, const struct ts_ip *ip)
{
	struct ts_ip owner = *ip;

	if (s->ops.owner)
		s->ops.owner(s->ctx, ip, &owner);
	return owner;
}

/* -- connections that are not up yet -------------------------------------- */
static void tell_syns(struct stack *s, const struct ts_ip *owner)
{
	uint64_t count = ts_flood_count(&s->syn_flood, STACK_SYN_FLOOD_PER_S,
					s->now_ms);
	char text[TS_IP_TEXT_CAP];

	if (count)
		log_warn("stack: flood of connections that are only begun: %llu"
			 " dropped, the last of %s",
			 (unsigned long long)count, ts_ip_format(owner, text));
}

struct stack_source *stack_source_take(struct stack *s, const struct ts_ip *ip)
{
	struct ts_ip owner = owner_of(s, ip);
	struct stack_source *source = ts_key_map_get(&s->sources, owner.bytes);

	if (s->half_open >= STACK_HALF_OPEN_MAX ||
	    (source && source->half_open >= STACK_HALF_OPEN_EACH)) {
		tell_syns(s, &owner);
		return NULL;
	}
	if (!source) {
		source = calloc(1, sizeof(*source));
		if (!source)
			return NULL;
		source->s = s;
		source->ip = owner;
		if (ts_key_map_put(&s->sources, owner.bytes, source)) {
			free(source);
			return NULL;
		}
	}
	source->half_open++;
	s->half_open++;
	return source;
}

void stack_source_give_back(struct stack_source *source)
{
	if (!source)
		return;
	source->s->half_open--;
	if (--source->half_open > 0)
		return;
	ts_key_map_take(&source->s->sources, source->ip.bytes);
	free(source);
}

/* -- echo ----------------------------------------------------------------- */
static struct ts_second_quota *share_of(struct stack *s,
					const struct ts_ip *owner)
{
	uint32_t h = ts_ip_hash(owner, s->echo_seed);

	return &s->echo_shares[h % STACK_ECHO_SHARES];
}

static void tell_echoes(struct stack *s, const struct ts_ip *owner)
{
	uint64_t count = ts_flood_count(&s->echo_flood, STACK_ECHO_PER_S,
					s->now_ms);
	char text[TS_IP_TEXT_CAP];

	if (count)
		log_warn("stack: flood of echo requests: %llu not answered, the"
			 " last of %s", (unsigned long long)count,
			 ts_ip_format(owner, text));
}

bool stack_source_may_echo(struct stack *s, const struct ts_ip *ip)
{
	struct ts_ip owner = owner_of(s, ip);

	if (ts_second_quota_take(share_of(s, &owner), STACK_ECHO_PER_S,
				 s->now_ms))
		return true;
	tell_echoes(s, &owner);
	return false;
}
