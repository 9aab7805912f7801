/* SPDX-License-Identifier: BSD-3-Clause
 * echo_slots.c - echo requests of peers that wait for their replies
 */
#include "core/host/echo_slots.h"

#include <stdlib.h>

#include "core/crypto/secret.h"

struct echo_owner {
	int64_t id;
	size_t count;
	struct ts_link slots;
};

void echo_slots_init(struct echo_slots *s)
{
	uint16_t round = (uint16_t)ts_random_u32();

	ts_list_init(&s->waiting);
	ts_list_init(&s->free);
	ts_key_map_init(&s->owners, sizeof(int64_t), ts_random_u64());
	for (size_t i = 0; i < ECHO_SLOTS; i++) {
		struct echo_slot *slot = &s->slots[i];

		slot->owner = NULL;
		slot->own_seq = (uint16_t)(round * ECHO_SLOTS + i);
		ts_list_insert(&s->free, &slot->by_age);
	}
}

void echo_slots_deinit(struct echo_slots *s)
{
	while (!ts_list_is_empty(&s->waiting))
		echo_slots_give(s, TS_LINK_OWNER(s->waiting.next,
						 struct echo_slot, by_age));
	ts_key_map_deinit(&s->owners);
}

/* -- owners --------------------------------------------------------------- */

static struct echo_owner *find_or_add(struct echo_slots *s, int64_t id)
{
	struct echo_owner *owner = ts_key_map_get(&s->owners, &id);

	if (owner)
		return owner;
	owner = calloc(1, sizeof(*owner));
	if (!owner)
		return NULL;
	owner->id = id;
	ts_list_init(&owner->slots);
	if (ts_key_map_put(&s->owners, &owner->id, owner)) {
		free(owner);
		return NULL;
	}
	return owner;
}

static const struct echo_owner *who_has_most(const struct echo_slots *s)
{
	const struct echo_owner *most = NULL, *owner;
	size_t pos = 0;

	while ((owner = ts_key_map_next(&s->owners, &pos)))
		if (!most || owner->count > most->count)
			most = owner;
	return most;
}

/* -- slots ---------------------------------------------------------------- */

void echo_slots_give(struct echo_slots *s, struct echo_slot *slot)
{
	struct echo_owner *owner = slot->owner;

	if (!owner)
		return;
	slot->owner = NULL;
	ts_list_remove(&slot->by_owner);
	ts_list_remove(&slot->by_age);
	ts_list_insert(&s->free, &slot->by_age);
	if (--owner->count > 0)
		return;
	ts_key_map_take(&s->owners, &owner->id);
	free(owner);
}

static void make_room(struct echo_slots *s, uint64_t now_ms)
{
	const struct echo_owner *most;

	while (!ts_list_is_empty(&s->waiting)) {
		struct echo_slot *oldest = TS_LINK_OWNER(
			s->waiting.next, struct echo_slot, by_age);

		if (now_ms < oldest->due_ms)
			break;
		echo_slots_give(s, oldest);
	}
	if (!ts_list_is_empty(&s->free))
		return;
	most = who_has_most(s);
	if (most)
		echo_slots_give(s, TS_LINK_OWNER(most->slots.next,
						 struct echo_slot, by_owner));
}

struct echo_slot *echo_slots_take(struct echo_slots *s, int64_t peer_id,
				  uint64_t now_ms)
{
	struct echo_owner *owner;
	struct echo_slot *slot;

	make_room(s, now_ms);
	owner = find_or_add(s, peer_id);
	if (!owner)
		return NULL;
	slot = TS_LINK_OWNER(s->free.next, struct echo_slot, by_age);
	ts_list_remove(&slot->by_age);
	ts_list_insert(&s->waiting, &slot->by_age);
	ts_list_insert(&owner->slots, &slot->by_owner);
	owner->count++;
	slot->owner = owner;
	slot->due_ms = now_ms + ECHO_WAIT_MS;
	slot->own_seq = (uint16_t)(slot->own_seq + ECHO_SLOTS);
	return slot;
}

struct echo_slot *echo_slots_find(struct echo_slots *s, uint16_t own_seq,
				  uint64_t now_ms)
{
	struct echo_slot *slot = &s->slots[own_seq % ECHO_SLOTS];

	return slot->owner && slot->own_seq == own_seq && now_ms < slot->due_ms
		       ? slot : NULL;
}
