/* SPDX-License-Identifier: BSD-3-Clause
 * kube_store_internal.h - what the store in a Secret and its reports share
 *
 *	kube_store.c    the service account, the Secret
 *	kube_reports.c  Events on the Pod about it
 */
#ifndef CORE_ENGINE_KUBE_STORE_INTERNAL_H
#define CORE_ENGINE_KUBE_STORE_INTERNAL_H

#include "core/engine/kube_store.h"
#include "core/io/http_client.h"
#include "core/loop/loop.h"
#include "core/state/kube_events.h"
#include "core/state/kube_secret.h"

struct kube_store {
	struct state_store base;
	struct ts_loop *loop;
	struct ts_http_client *http;
	struct ts_kube_secret *secret;
	struct ts_http_request *request;
	bool is_writing;	/* the request changes the Secret */
	struct ts_timer *timer; /* ask what there is to ask */
	char *server, *account_dir, *ca_pem, *namespace;
	/* Somebody waits and the loop runs for them: until done() or limit. */
	bool (*done)(const struct ts_kube_secret *k);
	bool is_over; /* the loop has been told to stop */
	struct ts_timer *limit;
	/* kube_reports.c */
	struct ts_kube_events *events; /* NULL: nothing is reported */
	struct ts_http_request *report;
	bool awaits_reports; /* the loop runs for them */
};

/* With the account's token, which is read for it. NULL: err says why. */
struct ts_http_request *kube_store_send(struct kube_store *k,
					const struct ts_kube_request *rq,
					ts_http_reply_fn fn, void *ctx,
					char err[static 256]);
/* The loop has run long enough for somebody. */
void kube_store_stop_waiting(struct kube_store *k);

/* Where POD_NAME and POD_UID of env name our Pod. 0 or -ENOMEM. */
int kube_reports_open(struct kube_store *k, const char *namespace, char **env);
void kube_reports_close(struct kube_store *k);
/* message: as in ts_kube_events_note(). */
void kube_report(struct kube_store *k, enum ts_kube_reason reason,
		 const char *message);
/* Runs the loop, on which nothing else is, until all is told or a while over. */
void kube_reports_finish(struct kube_store *k);

#endif
