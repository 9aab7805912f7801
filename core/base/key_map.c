/* SPDX-License-Identifier: BSD-3-Clause
 * key_map.c - hash map from a fixed-size byte key to a pointer
 *
 * Slots are {value pointer, key bytes}; a NULL value is an empty slot.
 * Deletion shifts the cluster back instead of leaving tombstones.
 */
#include "core/base/key_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 16 };

static size_t slot_size(const struct ts_key_map *m)
{
	size_t align = sizeof(void *);

	return sizeof(void *) + (m->key_len + align - 1) / align * align;
}

static uint8_t *slot_at(const struct ts_key_map *m, size_t i)
{
	return m->slots + i * slot_size(m);
}

static void *slot_value(const uint8_t *slot)
{
	void *value;

	memcpy(&value, slot, sizeof(value));
	return value;
}

__extension__ typedef unsigned __int128 wide;

static uint64_t mix(uint64_t h, uint64_t word)
{
	wide product = (wide)(h ^ word) * 0x9e3779b97f4a7c15u;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* By words, since every packet looks some keys up. */
static uint64_t hash_key(const struct ts_key_map *m, const void *key)
{
	const uint8_t *k = key;
	size_t left = m->key_len;
	uint64_t h = m->seed, word;

	for (; left >= sizeof(word); left -= sizeof(word), k += sizeof(word)) {
		memcpy(&word, k, sizeof(word));
		h = mix(h, word);
	}
	for (word = 0; left > 0; left--)
		word = word << 8 | *k++;
	return mix(mix(h, word), m->seed >> 32 | m->seed << 32);
}

static size_t home_of(const struct ts_key_map *m, const void *key)
{
	return (size_t)hash_key(m, key) & (m->cap - 1);
}

void ts_key_map_init(struct ts_key_map *m, size_t key_len, uint64_t seed)
{
	*m = (struct ts_key_map){.key_len = key_len, .seed = seed};
}

void ts_key_map_deinit(struct ts_key_map *m)
{
	free(m->slots);
	*m = (struct ts_key_map){.key_len = m->key_len, .seed = m->seed};
}

/* The slot that holds key, or the empty one where it belongs. */
static size_t find_slot(const struct ts_key_map *m, const void *key)
{
	size_t i = home_of(m, key);

	for (;; i = (i + 1) & (m->cap - 1)) {
		const uint8_t *slot = slot_at(m, i);

		if (!slot_value(slot) ||
		    memcmp(slot + sizeof(void *), key, m->key_len) == 0)
			return i;
	}
}

void *ts_key_map_get(const struct ts_key_map *m, const void *key)
{
	if (m->len == 0)
		return NULL;
	return slot_value(slot_at(m, find_slot(m, key)));
}

static void fill_slot(struct ts_key_map *m, size_t i, const void *key,
		      void *value)
{
	uint8_t *slot = slot_at(m, i);

	memcpy(slot, &value, sizeof(value));
	memcpy(slot + sizeof(void *), key, m->key_len);
}

static int grow(struct ts_key_map *m)
{
	struct ts_key_map next = *m;

	next.cap = m->cap ? m->cap * 2 : FIRST_CAP;
	next.slots = calloc(next.cap, slot_size(m));
	if (!next.slots)
		return -ENOMEM;
	for (size_t i = 0; i < m->cap; i++) {
		const uint8_t *slot = slot_at(m, i);
		const uint8_t *key = slot + sizeof(void *);

		if (slot_value(slot))
			fill_slot(&next, find_slot(&next, key), key,
				  slot_value(slot));
	}
	free(m->slots);
	*m = next;
	return 0;
}

int ts_key_map_put(struct ts_key_map *m, const void *key, void *value)
{
	size_t i;

	if ((m->len + 1) * 4 > m->cap * 3 && grow(m))
		return -ENOMEM;
	i = find_slot(m, key);
	if (!slot_value(slot_at(m, i)))
		m->len++;
	fill_slot(m, i, key, value);
	return 0;
}

/* Close the gap at i: move back every later entry of the cluster that may
 * stand there. */
static void close_gap(struct ts_key_map *m, size_t gap)
{
	size_t mask = m->cap - 1;

	for (size_t i = (gap + 1) & mask; slot_value(slot_at(m, i));
	     i = (i + 1) & mask) {
		size_t home = home_of(m, slot_at(m, i) + sizeof(void *));

		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		memcpy(slot_at(m, gap), slot_at(m, i), slot_size(m));
		gap = i;
	}
	memset(slot_at(m, gap), 0, slot_size(m));
}

void *ts_key_map_take(struct ts_key_map *m, const void *key)
{
	size_t i;
	void *value;

	if (m->len == 0)
		return NULL;
	i = find_slot(m, key);
	value = slot_value(slot_at(m, i));
	if (value) {
		close_gap(m, i);
		m->len--;
	}
	return value;
}

void *ts_key_map_next(const struct ts_key_map *m, size_t *pos)
{
	while (*pos < m->cap) {
		void *value = slot_value(slot_at(m, (*pos)++));

		if (value)
			return value;
	}
	return NULL;
}
