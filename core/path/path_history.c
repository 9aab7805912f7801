/* SPDX-License-Identifier: BSD-3-Clause
 * path_history.c - what became of a peer's paths lately
 */
#include "core/path/path_history.h"

#include <stdlib.h>

struct ts_path_history {
	struct ts_path_change ring[TS_PATH_CHANGES_MAX];
	size_t next, count;
};

void ts_path_history_add(struct ts_path_history **h,
			 const struct ts_path_change *change)
{
	if (!*h)
		*h = calloc(1, sizeof(**h));
	if (!*h)
		return;
	(*h)->ring[(*h)->next] = *change;
	(*h)->next = ((*h)->next + 1) % TS_PATH_CHANGES_MAX;
	if ((*h)->count < TS_PATH_CHANGES_MAX)
		(*h)->count++;
}

size_t ts_path_history_read(const struct ts_path_history *h,
			    struct ts_path_change out[TS_PATH_CHANGES_MAX])
{
	size_t count = h ? h->count : 0;

	for (size_t i = 0; i < count; i++)
		out[i] = h->ring[(h->next + TS_PATH_CHANGES_MAX - count + i) %
				 TS_PATH_CHANGES_MAX];
	return count;
}
