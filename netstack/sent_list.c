/* SPDX-License-Identifier: BSD-3-Clause
 * sent_list.c - the sender's scoreboard
 *
 * The ring doubles when it is full and is given back when it is empty and was
 * large, so an idle connection holds a few records. Ids never change, so the
 * links between records survive a move.
 */
#include "netstack/sent_list.h"

#include <errno.h>
#include <stdlib.h>

enum { CAP_FIRST = 4, CAP_KEPT = 64 };

void stack_sent_init(struct sent_list *l)
{
	*l = (struct sent_list){.oldest = SENT_NONE, .newest = SENT_NONE};
}

void stack_sent_deinit(struct sent_list *l)
{
	free(l->ring);
	stack_sent_init(l);
}

/* -- in order of transmission --------------------------------------------- */
static void link_newest(struct sent_list *l, uint64_t id)
{
	struct stack_sent *sent = stack_sent_at(l, id);

	sent->older = l->newest;
	sent->newer = SENT_NONE;
	if (l->newest != SENT_NONE)
		stack_sent_at(l, l->newest)->newer = id;
	else
		l->oldest = id;
	l->newest = id;
	l->flight_bytes += sent->len;
}

static void unlink_flight(struct sent_list *l, const struct stack_sent *sent)
{
	if (sent->older != SENT_NONE)
		stack_sent_at(l, sent->older)->newer = sent->newer;
	else
		l->oldest = sent->newer;
	if (sent->newer != SENT_NONE)
		stack_sent_at(l, sent->newer)->older = sent->older;
	else
		l->newest = sent->older;
	l->flight_bytes -= sent->len;
}

/* -- states --------------------------------------------------------------- */
static void leave_state(struct sent_list *l, const struct stack_sent *sent)
{
	switch (sent->state) {
	case SENT_IN_FLIGHT:
		unlink_flight(l, sent);
		break;
	case SENT_LOST:
		l->lost_bytes -= sent->len;
		l->lost_count--;
		break;
	default:
		l->sacked_bytes -= sent->len;
		l->sacked_count--;
	}
}

void stack_sent_set_lost(struct sent_list *l, uint64_t id)
{
	struct stack_sent *sent = stack_sent_at(l, id);

	leave_state(l, sent);
	sent->state = SENT_LOST;
	l->lost_bytes += sent->len;
	l->lost_count++;
	if (id < l->lost_from)
		l->lost_from = id;
}

void stack_sent_set_sacked(struct sent_list *l, uint64_t id)
{
	struct stack_sent *sent = stack_sent_at(l, id);

	leave_state(l, sent);
	sent->state = SENT_SACKED;
	l->sacked_bytes += sent->len;
	l->sacked_count++;
}

void stack_sent_set_found(struct sent_list *l, uint64_t id)
{
	struct stack_sent *sent = stack_sent_at(l, id);

	leave_state(l, sent);
	sent->state = SENT_IN_FLIGHT;
	link_newest(l, id);
}

void stack_sent_set_resent(struct sent_list *l, uint64_t id, uint64_t now_us)
{
	struct stack_sent *sent = stack_sent_at(l, id);

	sent->sent_us = now_us;
	sent->was_resent = true;
	stack_sent_set_found(l, id);
}

/* -- in order of sequence ------------------------------------------------- */
static int grow(struct sent_list *l)
{
	size_t cap = l->cap ? l->cap * 2 : CAP_FIRST;
	struct stack_sent *ring = malloc(cap * sizeof(*ring));

	if (!ring)
		return -ENOMEM;
	for (uint64_t id = l->first; id < l->end; id++)
		ring[id & (cap - 1)] = *stack_sent_at(l, id);
	free(l->ring);
	l->ring = ring;
	l->cap = cap;
	return 0;
}

int stack_sent_reserve(struct sent_list *l)
{
	return l->end - l->first < l->cap ? 0 : grow(l);
}

struct stack_sent *stack_sent_push(struct sent_list *l, uint32_t seq,
				   uint32_t len, void *segment, uint64_t now_us)
{
	uint64_t id = l->end++;
	struct stack_sent *sent = stack_sent_at(l, id);

	*sent = (struct stack_sent){
		.segment = segment,
		.seq = seq,
		.len = len,
		.sent_us = now_us,
		.state = SENT_IN_FLIGHT,
	};
	link_newest(l, id);
	return sent;
}

static void give_back(struct sent_list *l)
{
	free(l->ring);
	l->ring = NULL;
	l->cap = 0;
}

void stack_sent_pop(struct sent_list *l)
{
	leave_state(l, stack_sent_at(l, l->first));
	l->first++;
	if (l->lost_from < l->first)
		l->lost_from = l->first;
	if (l->first == l->end && l->cap > CAP_KEPT)
		give_back(l);
}

uint64_t stack_sent_find(const struct sent_list *l, uint32_t seq)
{
	uint64_t low = l->first, high = l->end;

	while (low < high) {
		uint64_t mid = low + (high - low) / 2;
		const struct stack_sent *sent = stack_sent_at(l, mid);

		if ((int32_t)(sent->seq + sent->len - seq) > 0)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

uint64_t stack_sent_next_lost(struct sent_list *l)
{
	if (l->lost_count == 0)
		return SENT_NONE;
	while (l->lost_from < l->end &&
	       stack_sent_at(l, l->lost_from)->state != SENT_LOST)
		l->lost_from++;
	return l->lost_from < l->end ? l->lost_from : SENT_NONE;
}
