/* SPDX-License-Identifier: BSD-3-Clause
 * early_callers.c - a short ring of initiations, the latest of each caller
 */
#include "core/path/early_callers.h"

#include <string.h>

bool ts_is_wg_initiation(const uint8_t *data, size_t len)
{
	return len == WG_INITIATION_BYTES && data[0] == WG_INITIATION_TYPE;
}

static struct ts_early_caller *place_of(struct ts_early_callers *callers,
					const struct ts_public_key *node_key)
{
	for (size_t i = 0; i < EARLY_CALLERS_MAX; i++)
		if (callers->at[i].is_waiting &&
		    ts_public_key_equal(&callers->at[i].node_key, node_key))
			return &callers->at[i];
	return &callers->at[callers->next++ % EARLY_CALLERS_MAX];
}

bool ts_early_callers_keep(struct ts_early_callers *callers, int region,
			   const struct ts_public_key *node_key,
			   const uint8_t *data, size_t len, uint64_t now_ms)
{
	struct ts_early_caller *caller;

	if (!ts_is_wg_initiation(data, len))
		return false;
	caller = place_of(callers, node_key);
	caller->is_waiting = true;
	caller->node_key = *node_key;
	caller->region = region;
	caller->at_ms = now_ms;
	memcpy(caller->initiation, data, WG_INITIATION_BYTES);
	return true;
}

struct ts_early_caller *ts_early_callers_at(struct ts_early_callers *callers,
					    size_t i, uint64_t now_ms)
{
	struct ts_early_caller *caller = &callers->at[i];

	if (caller->is_waiting && now_ms - caller->at_ms > EARLY_CALLER_MS)
		caller->is_waiting = false;
	return caller->is_waiting ? caller : NULL;
}
