/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_state_file.c - tailscaled.state and the profiles in it
 *
 * What parses must come back byte for byte from its own formatted text, and a
 * profile that was stored must load.
 */
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/state/state_file.h"

static void check_round_trip(const struct ts_state *s)
{
	struct ts_state *again = ts_state_new();
	size_t len, len2;
	char *text = ts_state_format(s, &len);
	char *text2;
	char err[128];

	if (ts_state_parse(again, (const uint8_t *)text, len, err))
		abort();
	text2 = ts_state_format(again, &len2);
	if (len != len2 || memcmp(text, text2, len) != 0)
		abort();
	free(text);
	free(text2);
	ts_state_free(again);
}

static void check_profile(struct ts_state *s)
{
	struct ts_prefs prefs;
	struct ts_private_key key;
	bool found, created;
	char err[128];

	ts_state_machine_key(s, &key, &created, err);
	ts_state_load_profile(s, &prefs, &found, err);
	if (ts_state_store_profile(s, &prefs, NULL, "example.com", 0) == 0) {
		ts_prefs_deinit(&prefs);
		if (ts_state_load_profile(s, &prefs, &found, err) || !found)
			abort();
	}
	ts_prefs_deinit(&prefs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct ts_state *s = ts_state_new();
	char err[128] = "";

	ts_crypto_init();
	if (ts_state_parse(s, data, len, err)) {
		if (!err[0])
			abort();
	} else {
		check_round_trip(s);
		check_profile(s);
	}
	ts_state_free(s);
	return 0;
}
