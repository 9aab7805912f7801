/* SPDX-License-Identifier: BSD-3-Clause
 * sent_list.h - what was sent and is not acknowledged, segment by segment
 *
 * A ring in order of sequence number, and through its records a list in order
 * of transmission of those that are taken to be on their way: not reported by
 * SACK, and not lost unless they were sent again since. Everything is O(1) but
 * the search for a sequence number, which is O(log n).
 */
#ifndef NETSTACK_SENT_LIST_H
#define NETSTACK_SENT_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sent_state { SENT_IN_FLIGHT, SENT_LOST, SENT_SACKED };

/* One segment. Its id counts up from the first that was ever sent. */
struct stack_sent {
	void *segment;	  /* whose bytes these are; not ours */
	uint64_t sent_us; /* most recently */
	/* As of then, for the delivery rate: bytes that had been delivered,
	 * when the last of them was, and when the sample began. */
	uint64_t delivered, delivered_us, first_sent_us;
	uint64_t older, newer; /* ids in order of transmission */
	uint32_t seq, len;     /* len counts a FIN, too */
	uint8_t state;	       /* enum sent_state */
	bool was_resent, is_app_limited;
};

#define SENT_NONE UINT64_MAX

struct sent_list {
	struct stack_sent *ring; /* id's place: id & (cap - 1) */
	size_t cap;
	uint64_t first, end;	 /* ids; empty when the same */
	uint64_t oldest, newest; /* in flight; SENT_NONE */
	uint64_t lost_from;	 /* none below it is lost */
	uint32_t flight_bytes, lost_bytes, sacked_bytes;
	uint32_t lost_count, sacked_count;
};

void stack_sent_init(struct sent_list *l);
void stack_sent_deinit(struct sent_list *l);

static inline bool stack_sent_is_empty(const struct sent_list *l)
{
	return l->first == l->end;
}

static inline struct stack_sent *stack_sent_at(const struct sent_list *l,
					       uint64_t id)
{
	return &l->ring[id & (l->cap - 1)];
}

/* Room for one more, which stack_sent_push() then cannot lack: 0, -ENOMEM. */
int stack_sent_reserve(struct sent_list *l);
/* A new segment at the end, in flight. */
struct stack_sent *stack_sent_push(struct sent_list *l, uint32_t seq,
				   uint32_t len, void *segment,
				   uint64_t now_us);
/* The first one is acknowledged. */
void stack_sent_pop(struct sent_list *l);
void stack_sent_set_lost(struct sent_list *l, uint64_t id);
void stack_sent_set_sacked(struct sent_list *l, uint64_t id);
/* Sent again: in flight now, the newest. */
void stack_sent_set_resent(struct sent_list *l, uint64_t id, uint64_t now_us);
/* Not lost after all, as it was before. */
void stack_sent_set_found(struct sent_list *l, uint64_t id);
/* The first id whose segment ends behind seq; l->end when there is none. */
uint64_t stack_sent_find(const struct sent_list *l, uint32_t seq);
/* The first lost one, or SENT_NONE. */
uint64_t stack_sent_next_lost(struct sent_list *l);

#endif
