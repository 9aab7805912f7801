/* SPDX-License-Identifier: BSD-3-Clause
 * kube_secret.h - a node's state in a Kubernetes Secret: requests and answers
 *
 * No I/O: output() says what to ask the API server, input() takes its answer.
 * One request at a time. First the permissions are asked for and the Secret is
 * read; from then on whatever the state has that the Secret has not is written,
 * as often as output() is called.
 * Source: ipn/store/kubestore/store_kube.go, kube/kubeclient/client.go
 */
#ifndef CORE_STATE_KUBE_SECRET_H
#define CORE_STATE_KUBE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/state/state_file.h"

struct ts_kube_secret;

enum ts_kube_phase {
	TS_KUBE_LOADING,
	TS_KUBE_READY,	 /* loaded; follows the state */
	TS_KUBE_REFUSED, /* for good: ts_kube_secret_error() says why */
};

/* As in an HTTP request to the API server. */
struct ts_kube_request {
	const char *method;
	const char *content_type; /* NULL: no body */
	char *path;
	char *body; /* may hold keys */
	size_t body_len;
};
void ts_kube_request_deinit(struct ts_kube_request *rq); /* wipes */

/* A DNS subdomain (RFC 1123), as a Secret is named. */
bool ts_kube_name_is_valid(const char *name);

/* state stays the caller's and is filled when the Secret is read. NULL: out of
 * memory. Names must be valid. */
struct ts_kube_secret *ts_kube_secret_new(const char *namespace,
					  const char *name,
					  struct ts_state *state);
void ts_kube_secret_free(struct ts_kube_secret *k);

/* 0: send *out; -ENODATA: nothing to ask until the state changes; -EAGAIN: not
 * before the deadline, or before the answer; -ENOMEM. */
int ts_kube_secret_output(struct ts_kube_secret *k, uint64_t now_ms,
			  struct ts_kube_request *out);
void ts_kube_secret_input(struct ts_kube_secret *k, int status,
			  const char *body, size_t len, uint64_t now_ms);
/* No answer came, for this reason. */
void ts_kube_secret_failed(struct ts_kube_secret *k, const char *reason,
			   uint64_t now_ms);
uint64_t ts_kube_secret_deadline_ms(const struct ts_kube_secret *k);
/* Nobody will wait much longer: try at once, and again soon. */
void ts_kube_secret_hurry(struct ts_kube_secret *k);

enum ts_kube_phase ts_kube_secret_phase(const struct ts_kube_secret *k);
/* What is wrong, in the server's words where it has any, and what to do about
 * it; NULL: all went well last time. */
const char *ts_kube_secret_error(const struct ts_kube_secret *k);
/* The Secret holds what the state holds. */
bool ts_kube_secret_is_saved(const struct ts_kube_secret *k);

#endif
