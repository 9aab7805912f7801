/* SPDX-License-Identifier: BSD-3-Clause
 * echo_slots.h - echo requests of peers that wait for their replies
 *
 * So many for all. When none is free, the oldest goes of whoever has the most:
 * a peer that has fewer than another loses none, however fast that one asks. No
 * I/O. The sequence number under which a request is sent on names its slot, and
 * how often that was used, so a late reply to an earlier one is nobody's.
 */
#ifndef CORE_HOST_ECHO_SLOTS_H
#define CORE_HOST_ECHO_SLOTS_H

#include "core/base/addr.h"
#include "core/base/key_map.h"
#include "core/host/host_list.h"

enum {
	ECHO_SLOTS = 4096,
	ECHO_WAIT_MS = 30 * 1000, /* then a slot is free */
};

struct echo_owner; /* echo_slots.c */

struct echo_slot {
	struct ts_link by_age;	 /* in waiting, or in free */
	struct ts_link by_owner; /* in owner->slots: the oldest is first */
	struct echo_owner *owner; /* NULL: it is free */
	uint64_t due_ms;
	uint16_t own_seq;
	/* The caller's. */
	struct ts_ip peer, dst; /* in the tailnet */
	struct ts_ip target;
	uint16_t id, seq; /* the peer's */
};

struct echo_slots {
	struct echo_slot slots[ECHO_SLOTS];
	struct ts_link waiting, free; /* the oldest is first */
	struct ts_key_map owners;     /* int64_t: struct echo_owner */
};

void echo_slots_init(struct echo_slots *s);
void echo_slots_deinit(struct echo_slots *s);
/* One for a request of that peer; NULL: no memory. */
struct echo_slot *echo_slots_take(struct echo_slots *s, int64_t peer_id,
				  uint64_t now_ms);
/* Whose it was; NULL: nobody waits for it. */
struct echo_slot *echo_slots_find(struct echo_slots *s, uint16_t own_seq,
				  uint64_t now_ms);
/* It is answered, or will not be. A slot that is free stays so. */
void echo_slots_give(struct echo_slots *s, struct echo_slot *slot);

#endif
