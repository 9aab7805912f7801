/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_prefs_edit.c - a LocalAPI caller's change of preferences: what was taken
 * must be written so that it can be read, and the keys must be the old ones
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/model/json_fields.h"
#include "core/model/prefs_edit.h"

static void check(const struct ts_prefs *from, struct ts_prefs *to)
{
	struct ts_prefs again;
	char err[128], *text = ts_prefs_to_json(to, true);

	if (!ts_secret_equal(from->persist.node_key.bytes,
			     to->persist.node_key.bytes, TS_KEY_LEN))
		abort();
	if (!text || ts_prefs_from_json(text, strlen(text), &again, err))
		abort();
	ts_prefs_deinit(&again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	json_t *edit = json_loadb((const char *)data, len, TS_JSON_READ_FLAGS,
				  NULL);
	struct ts_prefs from, to;
	char err[128];

	ts_prefs_init_default(&from);
	memset(from.persist.node_key.bytes, 0x42, TS_KEY_LEN);
	for (int how = TS_PREFS_MASKED; edit && how <= TS_PREFS_WHOLE; how++) {
		if (ts_prefs_edit(&from, edit, (enum ts_prefs_edit)how, &to,
				  err))
			continue;
		check(&from, &to);
		ts_prefs_deinit(&to);
	}
	ts_prefs_deinit(&from);
	json_decref(edit);
	return 0;
}
