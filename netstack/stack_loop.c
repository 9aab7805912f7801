/* SPDX-License-Identifier: BSD-3-Clause
 * stack_loop.c - packets from us to ourselves
 *
 * A program that dials its own tailnet address is served inside the stack. The
 * packet waits here, since lwIP cannot be entered from its own output, and is
 * taken in as soon as the stack is entered next (the deadline says: now).
 * Packets with our source that come from outside are still dropped.
 */
#include "netstack/stack_private.h"

#include <stdlib.h>
#include <string.h>

struct loop_packet {
	struct loop_packet *next;
	size_t len;
	uint8_t data[];
};

void stack_loop_push(struct stack *s, const struct ts_packet *pkt)
{
	struct loop_packet *p;

	if (s->loop_count >= STACK_LOOP_MAX)
		return;
	p = malloc(sizeof(*p) + pkt->len);
	if (!p)
		return;
	p->next = NULL;
	p->len = pkt->len;
	memcpy(p->data, pkt->data, pkt->len);
	if (s->loop_last)
		s->loop_last->next = p;
	else
		s->loop_first = p;
	s->loop_last = p;
	s->loop_count++;
}

static struct loop_packet *take_first(struct stack *s)
{
	struct loop_packet *p = s->loop_first;

	if (!p)
		return NULL;
	s->loop_first = p->next;
	if (!s->loop_first)
		s->loop_last = NULL;
	s->loop_count--;
	return p;
}

/* Only what waits now: answers to it are for the next round, so that a fast
 * pair of ends cannot keep the loop's thread. */
void stack_loop_run(struct stack *s)
{
	for (size_t n = s->loop_count; n > 0; n--) {
		struct loop_packet *p = take_first(s);

		if (!p)
			return;
		stack_packet(s, p->data, p->len, true);
		free(p);
	}
}

void stack_loop_free_all(struct stack *s)
{
	struct loop_packet *p;

	while ((p = take_first(s)))
		free(p);
}
