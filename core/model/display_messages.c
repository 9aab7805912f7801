/* SPDX-License-Identifier: BSD-3-Clause
 * display_messages.c - the messages that the server wants shown, by ID
 */
#include <errno.h>
#include <string.h>

#include "core/model/netmap.h"
#include "core/model/netmap_edit.h"

#define ALL_MESSAGES "*"

void ts_netmap_clear_messages(struct ts_netmap *map)
{
	json_decref(map->display_messages);
	map->display_messages = NULL;
}

int ts_netmap_patch_messages(struct ts_netmap *map, json_t *patch)
{
	const char *key;
	json_t *value;
	int err = 0;

	if (json_is_null(json_object_get(patch, ALL_MESSAGES)))
		ts_netmap_clear_messages(map);
	if (!map->display_messages)
		map->display_messages = json_object();
	if (!map->display_messages)
		return -ENOMEM;
	json_object_foreach (patch, key, value) {
		if (strcmp(key, ALL_MESSAGES) == 0)
			continue;
		if (json_is_null(value))
			json_object_del(map->display_messages, key);
		else if (json_object_set(map->display_messages, key, value))
			err = -ENOMEM;
	}
	return err;
}
