/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_profiles.c - the list of login profiles in a state
 *
 * Whatever the list says, the machine key stays, what is listed can be chosen
 * and deleted, and what was deleted is gone.
 */
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/state/profile_list.h"

static void use_all(struct ts_state *s, json_t *list)
{
	char err[128];
	json_t *profile;
	size_t i;

	json_array_foreach (list, i, profile) {
		const char *id = json_string_value(
			json_object_get(profile, "ID"));
		struct ts_prefs prefs;

		if (ts_profiles_choose(s, id, err))
			abort();
		ts_profiles_prefs(s, id, &prefs, err);
		ts_prefs_deinit(&prefs);
		if (ts_profiles_delete(s, id, err) ||
		    ts_profiles_choose(s, id, err) == 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ts_state *s = ts_state_new();
	char err[128];
	json_t *list, *current;
	size_t key_len;

	ts_crypto_init();
	ts_state_set(s, "_machinekey", "kept", 4);
	ts_state_set(s, "_current-profile", "profile-a", 9);
	ts_state_set(s, "profile-a", "{}", 2);
	ts_state_set(s, "_profiles", data, len);
	list = ts_profiles_list(s, err);
	current = ts_profiles_current(s, err);
	if (!list != !current)
		abort();
	use_all(s, list);
	if (!ts_state_get(s, "_machinekey", &key_len) || key_len != 4)
		abort();
	json_decref(list);
	json_decref(current);
	ts_state_free(s);
	return 0;
}
