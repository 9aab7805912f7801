/* SPDX-License-Identifier: BSD-3-Clause
 * wg_timers.h - when a peer must do something by itself
 *
 * Each peer has four deadlines; a heap over the peers knows the earliest.
 */
#ifndef CORE_WIREGUARD_WG_TIMERS_H
#define CORE_WIREGUARD_WG_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	WG_REKEY_TIMEOUT_MS = 5000,
	WG_REKEY_JITTER_MS = 334, /* 0..333 are added */
	WG_KEEPALIVE_TIMEOUT_MS = 10000,
	WG_ZERO_KEYS_MS = 540000, /* 3 * REJECT_AFTER_TIME */
	WG_HANDSHAKE_TRIES = 20,
};
#define WG_NEVER UINT64_MAX

enum ts_wg_timer {
	WG_TIMER_RETRANSMIT,    /* no response to our initiation */
	WG_TIMER_KEEPALIVE,     /* received, but had nothing to send */
	WG_TIMER_NEW_HANDSHAKE, /* sent, but heard nothing */
	WG_TIMER_ZERO_KEYS,     /* no new session for long */
	WG_TIMER_COUNT,
};

/* Part of a peer. */
struct ts_wg_timers {
	uint64_t due_ms[WG_TIMER_COUNT];
	uint64_t heap_ms; /* place in the heap: never later than any due_ms */
	size_t heap_at;   /* WG_NOT_QUEUED: not in the heap */
};
#define WG_NOT_QUEUED SIZE_MAX

/* A binary min-heap by heap_ms. Room is reserved when a peer is added, so
 * that arming a timer cannot fail. */
struct ts_wg_timer_heap {
	struct ts_wg_timers **at;
	size_t len, cap;
};

void ts_wg_timers_init(struct ts_wg_timers *t);
/* Room for that many peers; 0 or -ENOMEM. */
int ts_wg_timer_heap_reserve(struct ts_wg_timer_heap *heap, size_t peers);
void ts_wg_timer_heap_deinit(struct ts_wg_timer_heap *heap);

static inline bool ts_wg_timer_is_armed(const struct ts_wg_timers *t,
					enum ts_wg_timer which)
{
	return t->due_ms[which] != WG_NEVER;
}
static inline void ts_wg_timer_disarm(struct ts_wg_timers *t,
				      enum ts_wg_timer which)
{
	t->due_ms[which] = WG_NEVER;
}
void ts_wg_timer_arm(struct ts_wg_timer_heap *heap, struct ts_wg_timers *t,
		     enum ts_wg_timer which, uint64_t due_ms);
/* Forget the peer, before it is freed. */
void ts_wg_timers_remove(struct ts_wg_timer_heap *heap, struct ts_wg_timers *t);

/* Not later than the earliest due timer; WG_NEVER when nothing is queued. */
uint64_t ts_wg_timer_heap_deadline_ms(const struct ts_wg_timer_heap *heap);
/* The next timer due at now_ms, disarmed; NULL when there is none. */
struct ts_wg_timers *ts_wg_timer_heap_expire(struct ts_wg_timer_heap *heap,
					     uint64_t now_ms,
					     enum ts_wg_timer *which);

#endif
