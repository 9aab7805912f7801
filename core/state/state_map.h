/* SPDX-License-Identifier: BSD-3-Clause
 * state_map.h - how the state is held: a sorted array (private to core/state)
 */
#ifndef CORE_STATE_STATE_MAP_H
#define CORE_STATE_STATE_MAP_H

#include <jansson.h>

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
	bool has_plain_keys; /* ts_state_use_plain_keys() */
	bool has_no_current; /* ts_profiles_leave(): until a profile is stored
			      * or chosen; not written */
};

/* Entries of a JSON object of base64 texts, whose values are wiped. 0, -EBADMSG
 * or -ENOMEM with the reason in err. */
int ts_state_read_values(struct ts_state *s, json_t *object,
			 char err[static 128]);

#endif
