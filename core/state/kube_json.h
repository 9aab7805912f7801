/* SPDX-License-Identifier: BSD-3-Clause
 * kube_json.h - the Kubernetes objects of a state's Secret: JSON <-> structs
 * Source: kube/kubeapi/api.go, ipn/store/kubestore/store_kube.go
 */
#ifndef CORE_STATE_KUBE_JSON_H
#define CORE_STATE_KUBE_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "core/state/state_file.h"

enum { KUBE_WORDS_CAP = 256 };

/* A Secret as the server has it. */
struct ts_kube_object {
	struct ts_state *data;
	json_t *rest; /* all but the data; NULL: there is no such Secret */
};
void ts_kube_object_deinit(struct ts_kube_object *o);
/* 0, -EBADMSG or -ENOMEM with the reason in err; *out is empty then. */
int ts_kube_read_secret(const char *body, size_t len,
			struct ts_kube_object *out, char err[static 128]);
/* The version that a change is based on. */
const char *ts_kube_version(const struct ts_kube_object *o);

/* 1: allowed, 0: not, -EBADMSG. */
int ts_kube_read_review(const char *body, size_t len);
#define KUBE_REVIEWS_PATH                                                      \
	"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
/* May we do verb to this object, or (name NULL) to any such? resource:
 * "secrets". Heap text, or NULL. */
char *ts_kube_write_review(const char *namespace, const char *resource,
			   const char *name, const char *verb);

/* The server's own words of a refusal, printable, or "". */
void ts_kube_read_words(const char *body, size_t len,
			char out[static KUBE_WORDS_CAP]);

/* What makes the Secret from `old` hold `state`. Heap texts with keys in them
 * (the caller wipes), or NULL when out of memory. */
char *ts_kube_write_new(const char *namespace, const char *name,
			const struct ts_state *state, size_t *len);
char *ts_kube_write_whole(const struct ts_kube_object *old,
			  const struct ts_state *state, size_t *len);
char *ts_kube_write_patch(const struct ts_kube_object *old,
			  const struct ts_state *state, size_t *len);

#endif
