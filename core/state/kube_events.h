/* SPDX-License-Identifier: BSD-3-Clause
 * kube_events.h - Events on our Pod about the state's Secret: who looks at the
 * Pod (kubectl describe) sees what became of it
 *
 * No I/O, as kube_secret.h. One Event a reason, whose count goes up; only where
 * the role allows it, and never worth another try: what cannot be told is not
 * told. Source: kube/kubeclient/client.go (Event, setEventPerms),
 * ipn/store/kubestore/store_kube.go
 */
#ifndef CORE_STATE_KUBE_EVENTS_H
#define CORE_STATE_KUBE_EVENTS_H

#include "core/state/kube_secret.h"

enum ts_kube_reason {
	KUBE_STATE_LOADED,
	KUBE_STATE_LOAD_FAILED,
	KUBE_STATE_UPDATED,
	KUBE_STATE_UPDATE_FAILED,
	KUBE_REASON_COUNT,
};

struct ts_kube_events;

/* pod, uid: of our Pod, both valid as names are. NULL: out of memory. */
struct ts_kube_events *ts_kube_events_new(const char *namespace,
					  const char *pod, const char *uid);
void ts_kube_events_free(struct ts_kube_events *e); /* NULL is fine */

/* It happened; message: for a failure, what went wrong, else NULL. */
void ts_kube_events_note(struct ts_kube_events *e, enum ts_kube_reason reason,
			 const char *message);
/* 0: send *out; -ENODATA: nothing to ask; -EAGAIN: not before the answer;
 * -ENOMEM. */
int ts_kube_events_output(struct ts_kube_events *e, int64_t wall_s,
			  struct ts_kube_request *out);
/* status 0: no answer came. */
void ts_kube_events_input(struct ts_kube_events *e, int status,
			  const char *body, size_t len);
/* The role does not allow them. */
bool ts_kube_events_are_forbidden(const struct ts_kube_events *e);

#endif
