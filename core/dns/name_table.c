/* SPDX-License-Identifier: BSD-3-Clause
 * name_table.c - names to the addresses that stand for them
 *
 * The map's keys have one size, so a name goes in as its keyed hash; entries
 * with the same hash are chained and told apart by the name itself.
 */
#include "core/dns/name_table.h"

#include <string.h>

#include "core/crypto/blake2s.h"
#include "core/crypto/secret.h"

enum { HASH_LEN = 16 };

void ts_name_table_init(struct ts_name_table *t)
{
	ts_random_bytes(t->key, sizeof(t->key));
	ts_key_map_init(&t->by_hash, HASH_LEN, ts_random_u64());
}

void ts_name_table_deinit(struct ts_name_table *t)
{
	ts_key_map_deinit(&t->by_hash);
}

static void hash_name(const struct ts_name_table *t, const char *name,
		      uint8_t out[static HASH_LEN])
{
	ts_blake2s(out, HASH_LEN, t->key, sizeof(t->key), name, strlen(name));
}

int ts_name_table_add(struct ts_name_table *t, struct ts_name_entry *entry)
{
	uint8_t hash[HASH_LEN];
	struct ts_name_entry *first;

	hash_name(t, entry->name, hash);
	entry->next_same_hash = NULL;
	first = ts_key_map_get(&t->by_hash, hash);
	if (!first)
		return ts_key_map_put(&t->by_hash, hash, entry);
	while (first->next_same_hash)
		first = first->next_same_hash;
	first->next_same_hash = entry;
	return 0;
}

void ts_name_table_remove(struct ts_name_table *t, struct ts_name_entry *entry)
{
	uint8_t hash[HASH_LEN];
	struct ts_name_entry *at;

	hash_name(t, entry->name, hash);
	at = ts_key_map_get(&t->by_hash, hash);
	if (at == entry) {
		/* replacing a value needs no memory */
		if (entry->next_same_hash)
			ts_key_map_put(&t->by_hash, hash,
				       entry->next_same_hash);
		else
			ts_key_map_take(&t->by_hash, hash);
		return;
	}
	while (at && at->next_same_hash != entry)
		at = at->next_same_hash;
	if (at)
		at->next_same_hash = entry->next_same_hash;
}

static struct ts_name_entry *same_name(struct ts_name_entry *entry,
				       const char *name)
{
	while (entry && strcmp(entry->name, name) != 0)
		entry = entry->next_same_hash;
	return entry;
}

struct ts_name_entry *ts_name_table_first(const struct ts_name_table *t,
					  const char *name)
{
	uint8_t hash[HASH_LEN];

	if (t->by_hash.len == 0)
		return NULL;
	hash_name(t, name, hash);
	return same_name(ts_key_map_get(&t->by_hash, hash), name);
}

struct ts_name_entry *ts_name_table_next(const struct ts_name_entry *entry)
{
	return same_name(entry->next_same_hash, entry->name);
}
