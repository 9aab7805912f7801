/* SPDX-License-Identifier: BSD-3-Clause
 * key_map.h - hash map from a fixed-size byte key to a pointer
 *
 * Open addressing with linear probing; keys are copied in. The hash is
 * SipHash-free on purpose (FNV with a per-map random seed given by the
 * owner), good enough since the load stays below 3/4. One map, one key size.
 */
#ifndef CORE_BASE_KEY_MAP_H
#define CORE_BASE_KEY_MAP_H

#include <stddef.h>
#include <stdint.h>

struct ts_key_map {
	uint8_t *slots;
	size_t key_len, cap, len;
	uint64_t seed;
};

void ts_key_map_init(struct ts_key_map *m, size_t key_len, uint64_t seed);
void ts_key_map_deinit(struct ts_key_map *m);
void *ts_key_map_get(const struct ts_key_map *m, const void *key);
/* Adds or replaces; value must not be NULL. 0 or -ENOMEM. */
int ts_key_map_put(struct ts_key_map *m, const void *key, void *value);
/* Removes and returns the value, or NULL. */
void *ts_key_map_take(struct ts_key_map *m, const void *key);
/* Walks all entries; *pos starts at 0. Returns NULL at the end. The map must
 * not change meanwhile. */
void *ts_key_map_next(const struct ts_key_map *m, size_t *pos);

#endif
