/* SPDX-License-Identifier: BSD-3-Clause
 * kube_reports.c - Events on our Pod about the state's Secret, sent
 *
 * Beside the store's own requests, one at a time. Whoever starts a node in vain
 * wants to see it at the Pod, so a load that failed waits a moment for that.
 */
#include <errno.h>
#include <time.h>

#include "core/base/environment.h"
#include "core/base/log.h"
#include "core/engine/kube_store_internal.h"

enum { REPORT_WAIT_MS = 3000 };

static void pump(struct kube_store *k);

static void on_reply(void *ctx, const struct ts_http_reply *reply)
{
	struct kube_store *k = ctx;

	k->report = NULL;
	if (reply->status / 100 != 2 && reply->status != 404)
		log_debug("state: Event: http %d%s%s", reply->status,
			  reply->error ? ": " : "",
			  reply->error ? reply->error : "");
	ts_kube_events_input(k->events, reply->status, reply->body, reply->len);
	if (ts_kube_events_are_forbidden(k->events))
		log_info("state: Secret %s: no Events on the Pod: the role "
			 "needs get, create and patch for events",
			 k->base.name);
	pump(k);
	if (k->awaits_reports && !k->report)
		kube_store_stop_waiting(k);
}

static void pump(struct kube_store *k)
{
	struct ts_kube_request rq;
	char err[256];

	while (!k->report && ts_kube_events_output(k->events,
						   (int64_t)time(NULL),
						   &rq) == 0) {
		k->report = kube_store_send(k, &rq, on_reply, k, err);
		ts_kube_request_deinit(&rq);
		if (!k->report) {
			log_debug("state: Event: %s", err);
			ts_kube_events_input(k->events, 0, "", 0);
		}
	}
}

int kube_reports_open(struct kube_store *k, const char *namespace, char **env)
{
	const char *pod = ts_environment_get(env, "POD_NAME");
	const char *uid = ts_environment_get(env, "POD_UID");

	if (!pod || !uid)
		return 0;
	if (!ts_kube_name_is_valid(pod) || !ts_kube_name_is_valid(uid)) {
		log_warn("state: no Events on the Pod: POD_NAME and POD_UID "
			 "name none");
		return 0;
	}
	k->events = ts_kube_events_new(namespace, pod, uid);
	return k->events ? 0 : -ENOMEM;
}

void kube_reports_close(struct kube_store *k)
{
	ts_http_cancel(k->report);
	k->report = NULL;
	ts_kube_events_free(k->events);
	k->events = NULL;
}

void kube_report(struct kube_store *k, enum ts_kube_reason reason,
		 const char *message)
{
	if (!k->events)
		return;
	ts_kube_events_note(k->events, reason, message);
	pump(k);
}

void kube_reports_finish(struct kube_store *k)
{
	if (!k->report)
		return;
	k->is_over = false;
	k->awaits_reports = true;
	ts_loop_update(k->loop);
	ts_timer_set(k->limit, ts_loop_now_ms(k->loop) + REPORT_WAIT_MS);
	ts_loop_run(k->loop);
	ts_timer_set(k->limit, UINT64_MAX);
	k->awaits_reports = false;
}
