/* SPDX-License-Identifier: BSD-3-Clause
 * kube_events.c - Events on our Pod about the state's Secret
 * Source: kube/kubeclient/client.go (Event, setEventPerms)
 *
 * First the permissions are asked for, once. Then, for each reason that waits:
 * is there such an Event already? If so, its count and its last time are
 * patched, else it is made. What happens again meanwhile counts, and does not
 * wait twice.
 */
#include "core/state/kube_events.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/model/json_fields.h"
#include "core/state/kube_json.h"

enum { MESSAGE_CAP = 512, TIME_CAP = 32, HTTP_FORBIDDEN = 403,
       HTTP_NOT_FOUND = 404 };

static const char *const verbs[] = {"get", "create", "patch"};
enum { VERB_COUNT = 3 };

static const struct {
	const char *name, *in_path; /* in_path: in lower case */
	const char *message;	    /* of what went well */
} reasons[KUBE_REASON_COUNT] = {
	[KUBE_STATE_LOADED] = {"TailscaleStateLoaded", "tailscalestateloaded",
			       "Successfully loaded tailscaled state from "
			       "Secret"},
	[KUBE_STATE_LOAD_FAILED] = {"TailscaleStateLoadFailed",
				    "tailscalestateloadfailed", NULL},
	[KUBE_STATE_UPDATED] = {"TailscaledStateUpdated",
				"tailscaledstateupdated",
				"Successfully updated tailscaled state "
				"Secret"},
	[KUBE_STATE_UPDATE_FAILED] = {"TailscaleStateUpdateFailed",
				      "tailscalestateupdatefailed", NULL},
};

enum ask { ASK_NOTHING, ASK_REVIEW, ASK_GET, ASK_POST, ASK_PATCH };

struct waiting {
	unsigned times; /* 0: nothing to tell */
	char message[MESSAGE_CAP];
};

struct ts_kube_events {
	char *namespace, *pod, *uid;
	bool is_forbidden;
	unsigned review; /* the next verb to ask about */
	struct waiting waiting[KUBE_REASON_COUNT];
	enum ask asked;
	enum ts_kube_reason at; /* being told, unless ASK_NOTHING */
	enum ask next;		/* ASK_GET, or what the answer to it means */
	unsigned told;		/* times, as they were sent */
	json_int_t count;	/* of the Event that there is */
};

struct ts_kube_events *ts_kube_events_new(const char *namespace,
					  const char *pod, const char *uid)
{
	struct ts_kube_events *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->namespace = strdup(namespace);
	e->pod = strdup(pod);
	e->uid = strdup(uid);
	e->next = ASK_GET;
	if (e->namespace && e->pod && e->uid)
		return e;
	ts_kube_events_free(e);
	return NULL;
}

void ts_kube_events_free(struct ts_kube_events *e)
{
	if (!e)
		return;
	free(e->namespace);
	free(e->pod);
	free(e->uid);
	free(e);
}

void ts_kube_events_note(struct ts_kube_events *e, enum ts_kube_reason reason,
			 const char *message)
{
	struct waiting *w = &e->waiting[reason];

	if (e->is_forbidden)
		return;
	if (!message)
		message = reasons[reason].message;
	w->times++;
	snprintf(w->message, sizeof(w->message), "%s", message ? message : "");
	for (char *at = w->message; *at; at++)
		if (!isprint((unsigned char)*at))
			*at = ' ';
}

bool ts_kube_events_are_forbidden(const struct ts_kube_events *e)
{
	return e->is_forbidden;
}

/* -- requests ------------------------------------------------------------- */

static char *path_of(const struct ts_kube_events *e, enum ask ask)
{
	char *path = NULL;
	int len;

	if (ask == ASK_REVIEW)
		return strdup(KUBE_REVIEWS_PATH);
	if (ask == ASK_POST)
		len = asprintf(&path, "/api/v1/namespaces/%s/events",
			       e->namespace);
	else
		len = asprintf(&path, "/api/v1/namespaces/%s/events/%s.%s.%s",
			       e->namespace, e->pod, e->uid,
			       reasons[e->at].in_path);
	return len < 0 ? NULL : path;
}

static void time_text(int64_t wall_s, char out[static TIME_CAP])
{
	time_t at = (time_t)wall_s;
	struct tm tm;

	strftime(out, TIME_CAP, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &tm));
}

static bool is_warning(enum ts_kube_reason reason)
{
	return !reasons[reason].message;
}

static json_t *new_event(const struct ts_kube_events *e, const char *now)
{
	char name[MESSAGE_CAP];

	snprintf(name, sizeof(name), "%s.%s.%s", e->pod, e->uid,
		 reasons[e->at].in_path);
	return json_pack(
		"{s:s, s:s, s:{s:s, s:s}, s:s*, s:s, s:{s:s}, s:s,"
		" s:{s:s, s:s, s:s, s:s, s:s}, s:i, s:s, s:s}",
		"kind", "Event", "apiVersion", "v1", "metadata", "name", name,
		"namespace", e->namespace, "message",
		e->waiting[e->at].message, "reason", reasons[e->at].name,
		"source", "component", "tailscale-state-store", "type",
		is_warning(e->at) ? "Warning" : "Normal", "involvedObject",
		"kind", "Pod", "namespace", e->namespace, "name", e->pod,
		"uid", e->uid, "apiVersion", "v1", "count", (int)e->told,
		"firstTimestamp", now, "lastTimestamp", now);
}

static json_t *patch(const struct ts_kube_events *e, const char *now)
{
	return json_pack("[{s:s, s:s, s:I}, {s:s, s:s, s:s}]", "op", "replace",
			 "path", "/count", "value",
			 e->count + (json_int_t)e->told, "op", "replace",
			 "path", "/lastTimestamp", "value", now);
}

static char *body_of(const struct ts_kube_events *e, enum ask ask,
		     int64_t wall_s)
{
	char now[TIME_CAP], *text;
	json_t *root;

	if (ask == ASK_REVIEW)
		return ts_kube_write_review(e->namespace, "events", NULL,
					    verbs[e->review]);
	time_text(wall_s, now);
	root = ask == ASK_POST ? new_event(e, now) : patch(e, now);
	text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	return text;
}

/* What to ask, and about which reason; ASK_NOTHING: nothing waits. */
static enum ask choose(struct ts_kube_events *e)
{
	unsigned i = 0;

	if (e->next != ASK_GET)
		return e->next;
	while (i < KUBE_REASON_COUNT && e->waiting[i].times == 0)
		i++;
	if (i == KUBE_REASON_COUNT)
		return ASK_NOTHING;
	e->at = (enum ts_kube_reason)i;
	return e->review < VERB_COUNT ? ASK_REVIEW : ASK_GET;
}

int ts_kube_events_output(struct ts_kube_events *e, int64_t wall_s,
			  struct ts_kube_request *out)
{
	static const char *const methods[] = {
		[ASK_REVIEW] = "POST", [ASK_GET] = "GET", [ASK_POST] = "POST",
		[ASK_PATCH] = "PATCH"};
	enum ask ask;

	*out = (struct ts_kube_request){0};
	if (e->asked != ASK_NOTHING)
		return -EAGAIN;
	ask = choose(e);
	if (ask == ASK_NOTHING)
		return -ENODATA;
	e->told = e->waiting[e->at].times;
	*out = (struct ts_kube_request){.method = methods[ask],
					.path = path_of(e, ask)};
	if (ask != ASK_GET) {
		out->content_type = ask == ASK_PATCH
					    ? "application/json-patch+json"
					    : "application/json";
		out->body = body_of(e, ask, wall_s);
		out->body_len = out->body ? strlen(out->body) : 0;
	}
	if (!out->path || (ask != ASK_GET && !out->body)) {
		ts_kube_request_deinit(out);
		return -ENOMEM;
	}
	e->asked = ask;
	return 0;
}

/* -- answers -------------------------------------------------------------- */

static void forbid(struct ts_kube_events *e)
{
	e->is_forbidden = true;
	memset(e->waiting, 0, sizeof(e->waiting));
}

/* Told, or not to be told. */
static void end(struct ts_kube_events *e)
{
	struct waiting *w = &e->waiting[e->at];

	w->times = w->times > e->told ? w->times - e->told : 0;
	e->next = ASK_GET;
}

static void read_review(struct ts_kube_events *e, int status, const char *body,
			size_t len)
{
	int allowed = status / 100 == 2 ? ts_kube_read_review(body, len)
					: -EBADMSG;

	if (allowed == 1)
		e->review++;
	else if (allowed == 0 || status == HTTP_FORBIDDEN)
		forbid(e);
	else
		end(e); /* the server is away, or in trouble */
}

static void read_event(struct ts_kube_events *e, int status, const char *body,
		       size_t len)
{
	json_t *root = NULL;

	if (status == HTTP_NOT_FOUND) {
		e->next = ASK_POST;
		return;
	}
	if (status / 100 == 2)
		root = json_loadb(body, len, TS_JSON_READ_FLAGS, NULL);
	if (json_is_object(root)) {
		e->count = ts_json_small(root, "count", 0, INT32_MAX / 2);
		e->next = ASK_PATCH;
	} else {
		end(e);
	}
	json_decref(root);
}

void ts_kube_events_input(struct ts_kube_events *e, int status,
			  const char *body, size_t len)
{
	enum ask asked = e->asked;

	e->asked = ASK_NOTHING;
	switch (asked) {
	case ASK_REVIEW:
		read_review(e, status, body, len);
		break;
	case ASK_GET:
		read_event(e, status, body, len);
		break;
	case ASK_POST:
	case ASK_PATCH:
		end(e);
		break;
	case ASK_NOTHING:
		break;
	}
}
