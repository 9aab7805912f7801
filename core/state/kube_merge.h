/* SPDX-License-Identifier: BSD-3-Clause
 * kube_merge.h - what others changed in a Secret that holds our state
 */
#ifndef CORE_STATE_KUBE_MERGE_H
#define CORE_STATE_KUBE_MERGE_H

#include <stdbool.h>

#include "core/state/state_file.h"

struct ts_kube_versions {
	struct ts_state *state;	      /* ours, as it is to be */
	const struct ts_state *known; /* as the Secret was, when we saw it */
	const struct ts_state *sent;  /* as we may have made it; or NULL */
};

/* An entry of theirs that makes another node of this one, or NULL. */
const char *ts_kube_find_taken(const struct ts_kube_versions *v,
			       const struct ts_state *theirs);
/* Others' changes into v->state. 0 or -ENOMEM. */
int ts_kube_merge(const struct ts_kube_versions *v,
		  const struct ts_state *theirs);
bool ts_state_is_equal(const struct ts_state *a, const struct ts_state *b);

#endif
