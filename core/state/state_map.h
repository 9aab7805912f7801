/* SPDX-License-Identifier: BSD-3-Clause
 * state_map.h - how the state is held: a sorted array (private to core/state)
 */
#ifndef CORE_STATE_STATE_MAP_H
#define CORE_STATE_STATE_MAP_H

#include "core/state/state_file.h"

enum {
	TS_STATE_ENTRIES_MAX = 4096,
	TS_STATE_KEY_MAX = 1024, /* bytes of one key */
};

struct ts_state_entry {
	char *key;
	uint8_t *data; /* never NULL; a spare NUL follows */
	size_t len;
};

struct ts_state {
	struct ts_state_entry *entries; /* by key, bytewise: upstream's order */
	size_t count, cap;
};

#endif
