/* SPDX-License-Identifier: BSD-3-Clause
 * profile_list.h - the login profiles of a state: list, choose, leave, delete
 * Source: ipn/ipnlocal/profiles.go
 */
#ifndef CORE_STATE_PROFILE_LIST_H
#define CORE_STATE_PROFILE_LIST_H

#include <jansson.h>

#include "core/state/state_file.h"

/* An array of LoginProfile objects in upstream's order, new; NULL with the
 * reason in err. */
json_t *ts_profiles_list(const struct ts_state *s, char err[static 128]);
/* The current one, new: upstream's zero LoginProfile when there is none. NULL
 * as above. */
json_t *ts_profiles_current(const struct ts_state *s, char err[static 128]);
/* The prefs of a profile: 0, -ENOENT (no such profile) or what is wrong with
 * them. *out is to be deinited in each case. */
int ts_profiles_prefs(const struct ts_state *s, const char *id,
		      struct ts_prefs *out, char err[static 128]);
/* Makes it the current one. 0, -ENOENT, -EBADMSG, -ENOMEM. */
int ts_profiles_choose(struct ts_state *s, const char *id,
		       char err[static 128]);
/* Makes the last one that was made for this control server the current one,
 * unless that is for it anyway; nothing happens when there is none. As above.
 */
int ts_profiles_choose_server(struct ts_state *s, const char *control_url,
			      char err[static 128]);
/* No profile is the current one until one is chosen or a login is stored as a
 * new one; a restart before that comes back to the last one, as upstream's. */
void ts_profiles_leave(struct ts_state *s);
/* Its keys are gone; when it was the current one, it is left. As above. */
int ts_profiles_delete(struct ts_state *s, const char *id,
		       char err[static 128]);

#endif
