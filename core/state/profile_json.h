/* SPDX-License-Identifier: BSD-3-Clause
 * profile_json.h - the list of profiles in the state (private to core/state)
 */
#ifndef CORE_STATE_PROFILE_JSON_H
#define CORE_STATE_PROFILE_JSON_H

#include <jansson.h>

#include "core/state/state_file.h"

#define STATE_PROFILES "_profiles"
#define STATE_CURRENT "_current-profile"

/* "_profiles"; new, or NULL with the reason in err. */
json_t *ts_profiles_read(const struct ts_state *s, char err[static 128]);
/* A field of a profile, or "". */
const char *ts_profile_text(const json_t *obj, const char *name);
/* The state key of a profile's prefs, or "". */
const char *ts_profile_key(const json_t *profile);
json_t *ts_profiles_find_key(json_t *profiles, const char *key);
/* The state key of the current profile, or "" (also when it is unknown to the
 * list: upstream starts a new one then). */
const char *ts_profiles_current_key(const struct ts_state *s,
				    json_t *profiles);
/* The prefs under that key replace *out; *found stays when there are none. */
int ts_profile_read_prefs(const struct ts_state *s, const char *key,
			  struct ts_prefs *out, bool *found,
			  char err[static 128]);

#endif
