/* SPDX-License-Identifier: BSD-3-Clause
 * wg_timers.c - when a peer must do something by itself
 *
 * Under traffic every packet moves a timer: sending cancels the keepalive,
 * receiving cancels the new handshake. If each of those went through the heap
 * the data path would pay for it, so the heap is lazy: a peer's place may be
 * earlier than its earliest timer, never later. Disarming and postponing touch
 * one field; only a timer earlier than the place moves the peer up. When the
 * place comes due and no timer is, the peer is put where it belongs. A peer
 * without timers leaves the heap, so ten thousand idle ones cost nothing.
 */
#include "core/wireguard/wg_timers.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_CAP = 16 };

void ts_wg_timers_init(struct ts_wg_timers *t)
{
	for (int i = 0; i < WG_TIMER_COUNT; i++)
		t->due_ms[i] = WG_NEVER;
	t->heap_ms = WG_NEVER;
	t->heap_at = WG_NOT_QUEUED;
}

int ts_wg_timer_heap_reserve(struct ts_wg_timer_heap *heap, size_t peers)
{
	size_t cap = heap->cap ? heap->cap : FIRST_CAP;
	struct ts_wg_timers **grown;

	if (peers <= heap->cap)
		return 0;
	while (cap < peers)
		cap *= 2;
	grown = reallocarray(heap->at, cap, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	heap->at = grown;
	heap->cap = cap;
	return 0;
}

void ts_wg_timer_heap_deinit(struct ts_wg_timer_heap *heap)
{
	free(heap->at);
	*heap = (struct ts_wg_timer_heap){0};
}

static void place(struct ts_wg_timer_heap *heap, size_t at,
		  struct ts_wg_timers *t)
{
	heap->at[at] = t;
	t->heap_at = at;
}

static void sift_up(struct ts_wg_timer_heap *heap, struct ts_wg_timers *t)
{
	size_t at = t->heap_at;

	while (at > 0) {
		size_t parent = (at - 1) / 2;

		if (heap->at[parent]->heap_ms <= t->heap_ms)
			break;
		place(heap, at, heap->at[parent]);
		at = parent;
	}
	place(heap, at, t);
}

static void sift_down(struct ts_wg_timer_heap *heap, struct ts_wg_timers *t)
{
	size_t at = t->heap_at;

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= heap->len)
			break;
		if (child + 1 < heap->len &&
		    heap->at[child + 1]->heap_ms < heap->at[child]->heap_ms)
			child++;
		if (heap->at[child]->heap_ms >= t->heap_ms)
			break;
		place(heap, at, heap->at[child]);
		at = child;
	}
	place(heap, at, t);
}

void ts_wg_timer_arm(struct ts_wg_timer_heap *heap, struct ts_wg_timers *t,
		     enum ts_wg_timer which, uint64_t due_ms)
{
	t->due_ms[which] = due_ms;
	if (due_ms >= t->heap_ms)
		return;
	t->heap_ms = due_ms;
	if (t->heap_at == WG_NOT_QUEUED)
		t->heap_at = heap->len++;
	sift_up(heap, t);
}

void ts_wg_timers_remove(struct ts_wg_timer_heap *heap, struct ts_wg_timers *t)
{
	size_t at = t->heap_at;
	struct ts_wg_timers *last;

	if (at == WG_NOT_QUEUED)
		return;
	last = heap->at[--heap->len];
	if (last != t) {
		place(heap, at, last);
		sift_up(heap, last);
		sift_down(heap, last);
	}
	t->heap_at = WG_NOT_QUEUED;
	t->heap_ms = WG_NEVER;
}

uint64_t ts_wg_timer_heap_deadline_ms(const struct ts_wg_timer_heap *heap)
{
	return heap->len ? heap->at[0]->heap_ms : WG_NEVER;
}

static enum ts_wg_timer earliest(const struct ts_wg_timers *t)
{
	enum ts_wg_timer best = 0;

	for (int i = 1; i < WG_TIMER_COUNT; i++)
		if (t->due_ms[i] < t->due_ms[best])
			best = (enum ts_wg_timer)i;
	return best;
}

struct ts_wg_timers *ts_wg_timer_heap_expire(struct ts_wg_timer_heap *heap,
					     uint64_t now_ms,
					     enum ts_wg_timer *which)
{
	while (ts_wg_timer_heap_deadline_ms(heap) <= now_ms) {
		struct ts_wg_timers *t = heap->at[0];
		enum ts_wg_timer first = earliest(t);

		if (t->due_ms[first] <= now_ms) {
			ts_wg_timer_disarm(t, first);
			*which = first;
			return t;
		}
		if (t->due_ms[first] == WG_NEVER) {
			ts_wg_timers_remove(heap, t);
		} else {
			t->heap_ms = t->due_ms[first];
			sift_down(heap, t);
		}
	}
	return NULL;
}
