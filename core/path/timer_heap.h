/* SPDX-License-Identifier: BSD-3-Clause
 * timer_heap.h - the earliest of many deadlines, in O(log n)
 *
 * A binary heap of timers that live inside their owners. A timer that is not
 * set is not in the heap: ten thousand idle peers cost nothing here.
 */
#ifndef CORE_PATH_TIMER_HEAP_H
#define CORE_PATH_TIMER_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct ts_heap_timer {
	uint64_t at_ms;
	size_t slot; /* 1-based place in the heap; 0: not set */
};

struct ts_timer_heap {
	struct ts_heap_timer **slots; /* 1-based */
	size_t len, cap;
};

void ts_timer_heap_deinit(struct ts_timer_heap *h);
/* Set or move; UINT64_MAX clears. 0 or -ENOMEM (then it is not set). */
int ts_timer_heap_set(struct ts_timer_heap *h, struct ts_heap_timer *t,
		      uint64_t at_ms);
void ts_timer_heap_clear(struct ts_timer_heap *h, struct ts_heap_timer *t);
uint64_t ts_timer_heap_deadline_ms(const struct ts_timer_heap *h);
/* The earliest timer that is due, now cleared; NULL: none. */
struct ts_heap_timer *ts_timer_heap_take_due(struct ts_timer_heap *h,
					     uint64_t now_ms);

#endif
