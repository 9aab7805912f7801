/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_prefs_json.c - a profile's file: what was read must be written so that
 * it can be read again
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/prefs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ts_prefs prefs, again;
	char err[128], *text;

	if (ts_prefs_from_json((const char *)data, len, &prefs, err))
		return 0;
	text = ts_prefs_to_json(&prefs, true);
	ts_prefs_deinit(&prefs);
	if (!text)
		return 0;
	if (ts_prefs_from_json(text, strlen(text), &again, err))
		abort();
	ts_prefs_deinit(&again);
	free(text);
	return 0;
}
