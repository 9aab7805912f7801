/* SPDX-License-Identifier: BSD-3-Clause
 * profile_store.h - the login profiles of a running node
 *
 * For the LocalAPI: what `tailscale switch` asks for. All on the loop's thread,
 * also from within a request. To switch puts another node in the place of this
 * one when the caller's turn is over (node_switch.c); what is asked meanwhile
 * is answered as if it had happened.
 */
#ifndef CORE_ENGINE_PROFILE_STORE_H
#define CORE_ENGINE_PROFILE_STORE_H

#include <jansson.h>

#include "core/engine/engine.h"

/* LoginProfile objects in upstream's order: an array, new; NULL: the log says
 * why. */
json_t *profile_store_list(const struct ts_engine *engine);
/* The current one; one with an empty ID when it has not logged in yet. As
 * above. */
json_t *profile_store_current(const struct ts_engine *engine);
/* Go on as that profile, with its keys and preferences. 0 (also when it is the
 * current one), -ENOENT (no such profile), -EBADMSG (its preferences cannot be
 * read), -ESHUTDOWN (the engine ends), -ENOMEM; the reason in err. */
int profile_store_switch(struct ts_engine *engine, const char *id,
			 char err[static 256]);
/* Go on as a profile that has yet to log in, as a person says: the auth key is
 * not used for it. As above. */
int profile_store_new_empty(struct ts_engine *engine, char err[static 256]);
/* Go on as a profile that has yet to log in, with these preferences and at
 * their control server: by the auth key, or (NULL) as a person says. Takes the
 * contents of prefs. As above. */
int profile_store_log_in_elsewhere(struct ts_engine *engine,
				   struct ts_prefs *prefs, const char *auth_key,
				   char err[static 256]);
/* Forget all profiles, their keys and the machine's: as if it were new. */
int profile_store_reset(struct ts_engine *engine, char err[static 256]);
/* Forget a profile and its keys; the current one is followed by an empty one.
 * The tailnet is not told. As above. */
int profile_store_delete(struct ts_engine *engine, const char *id,
			 char err[static 256]);

#endif
