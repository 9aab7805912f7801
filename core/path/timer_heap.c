/* SPDX-License-Identifier: BSD-3-Clause
 * timer_heap.c - the earliest of many deadlines, in O(log n)
 */
#include "core/path/timer_heap.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_CAP = 16 };

static void place(struct ts_timer_heap *h, struct ts_heap_timer *t, size_t slot)
{
	h->slots[slot] = t;
	t->slot = slot;
}

static void sift_up(struct ts_timer_heap *h, struct ts_heap_timer *t,
		    size_t slot)
{
	while (slot > 1 && h->slots[slot / 2]->at_ms > t->at_ms) {
		place(h, h->slots[slot / 2], slot);
		slot /= 2;
	}
	place(h, t, slot);
}

static void sift_down(struct ts_timer_heap *h, struct ts_heap_timer *t,
		      size_t slot)
{
	for (;;) {
		size_t child = 2 * slot;

		if (child < h->len &&
		    h->slots[child + 1]->at_ms < h->slots[child]->at_ms)
			child++;
		if (child > h->len || h->slots[child]->at_ms >= t->at_ms)
			break;
		place(h, h->slots[child], slot);
		slot = child;
	}
	place(h, t, slot);
}

/* t, now or soon at slot, has a new time. */
static void settle(struct ts_timer_heap *h, struct ts_heap_timer *t,
		   size_t slot)
{
	if (slot > 1 && h->slots[slot / 2]->at_ms > t->at_ms)
		sift_up(h, t, slot);
	else
		sift_down(h, t, slot);
}

static int grow(struct ts_timer_heap *h)
{
	size_t cap = h->cap ? 2 * h->cap : FIRST_CAP;
	struct ts_heap_timer **slots = realloc(h->slots, cap * sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	h->slots = slots;
	h->cap = cap;
	return 0;
}

void ts_timer_heap_deinit(struct ts_timer_heap *h)
{
	free(h->slots);
	*h = (struct ts_timer_heap){0};
}

int ts_timer_heap_set(struct ts_timer_heap *h, struct ts_heap_timer *t,
		      uint64_t at_ms)
{
	if (at_ms == UINT64_MAX) {
		ts_timer_heap_clear(h, t);
		return 0;
	}
	t->at_ms = at_ms;
	if (t->slot != 0) {
		settle(h, t, t->slot);
		return 0;
	}
	if (h->len + 1 >= h->cap && grow(h) != 0)
		return -ENOMEM;
	h->len++;
	sift_up(h, t, h->len);
	return 0;
}

void ts_timer_heap_clear(struct ts_timer_heap *h, struct ts_heap_timer *t)
{
	size_t slot = t->slot;
	struct ts_heap_timer *last;

	if (slot == 0)
		return;
	t->slot = 0;
	last = h->slots[h->len--];
	if (last != t)
		settle(h, last, slot);
}

uint64_t ts_timer_heap_deadline_ms(const struct ts_timer_heap *h)
{
	return h->len > 0 ? h->slots[1]->at_ms : UINT64_MAX;
}

struct ts_heap_timer *ts_timer_heap_take_due(struct ts_timer_heap *h,
					     uint64_t now_ms)
{
	struct ts_heap_timer *t;

	if (ts_timer_heap_deadline_ms(h) > now_ms)
		return NULL;
	t = h->slots[1];
	ts_timer_heap_clear(h, t);
	return t;
}
