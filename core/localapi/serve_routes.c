/* SPDX-License-Identifier: BSD-3-Clause
 * serve_routes.c - the serve configuration: read, replaced, and kept
 *
 * It is stored as upstream stores it, under _serve/<profile>, with an ETag
 * that tells whose view a change is based on, and takes effect in the node
 * (core/node/node_serve.h). What a watcher of the bus asked for "in the
 * foreground" lives as long as its stream: the stream's end takes it away, and
 * who takes it away ends the stream.
 * Source: ipn/serve.go, ipn/localapi/serve.go, ipn/ipnlocal/serve.go
 *   (setServeConfigLocked, DeleteForegroundSession)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"
#include "core/node/node_serve.h"
#include "core/serve/funnel_rule.h"

enum { KEY_CAP = 160 };

/* The state's key; false: there is no profile yet. */
static bool config_key(const struct ts_localapi *api, char out[static KEY_CAP])
{
	json_t *profile = api->env.current_profile
				  ? api->env.current_profile(api->env_ctx)
				  : NULL;
	const char *id = ts_json_text(profile, "ID");
	bool ok = id && *id && strlen(id) < KEY_CAP - sizeof("_serve/");

	if (ok)
		snprintf(out, KEY_CAP, "_serve/%s", id);
	json_decref(profile);
	return ok;
}

void localapi_get_serve_config(const struct localapi_call *call)
{
	const json_t *config = ts_node_serve(call->node);
	char *text = ts_serve_format(config);
	struct ts_localapi_reply reply = {
		.status = text ? 200 : 500,
		.content_type = "application/json",
		.body = text,
		.body_len = text ? strlen(text) : 0,
	};

	if (text)
		ts_go_json_hash(text, "", reply.etag);
	call->done(call->ctx, &reply);
}

/* -- replacing it --------------------------------------------------------- */

static int store(const struct ts_localapi *api, const json_t *config,
		 char err[static TS_SERVE_ERROR_CAP])
{
	char key[KEY_CAP], *text;
	int code;

	if (!api->env.store || !config_key(api, key)) {
		snprintf(err, TS_SERVE_ERROR_CAP,
			 "no profile to store it with: log in first");
		return -ENOENT;
	}
	text = ts_serve_format(config);
	code = text ? api->env.store(api->env_ctx, key, text) : -ENOMEM;
	free(text);
	if (code)
		snprintf(err, TS_SERVE_ERROR_CAP, "it could not be stored: %s",
			 ts_strerror(code));
	return code;
}

static int check(const struct ts_localapi *api, const json_t *next,
		 const char *etag, char err[static TS_SERVE_ERROR_CAP])
{
	const json_t *now = ts_node_serve(api->node);
	char current[TS_GO_HASH_CAP];

	err[0] = '\0';
	if (ts_serve_is_funnel_on(next) && ts_node_prefs(api->node)->shields_up)
		snprintf(err, TS_SERVE_ERROR_CAP, "Unable to turn on Funnel "
			 "while shields-up is enabled");
	else if (!ts_node_netmap(api->node)->self)
		snprintf(err, TS_SERVE_ERROR_CAP, "netMap is nil");
	if (err[0])
		return -EINVAL;
	if (etag && *etag) {
		if (ts_serve_etag(now, current))
			return -ENOMEM;
		if (strcmp(etag, current) != 0) {
			snprintf(err, TS_SERVE_ERROR_CAP, "etag mismatch");
			return -ESTALE;
		}
	}
	return ts_serve_may_follow(now, next, err) ? 0 : -EINVAL;
}

/* Nobody is there whose end would end them. */
static void drop_strangers(const struct ts_localapi *api, json_t *config)
{
	json_t *sessions = json_object_get(config, "Foreground"), *one;
	const char *session;
	void *next;

	json_object_foreach_safe(sessions, next, session, one)
		if (!bus_has_session(api->bus, session))
			json_object_del(sessions, session);
	if (json_object_size(sessions) == 0)
		json_object_del(config, "Foreground");
}

static void end_sessions(struct ts_localapi *api, const json_t *before)
{
	json_t *sessions = json_object_get(before, "Foreground"), *one;
	const json_t *now = ts_node_serve(api->node);
	const char *session;

	json_object_foreach(sessions, session, one)
		if (!ts_serve_has_session(now, session))
			bus_end_session(api->bus, session);
}

/* Takes next. */
static int replace(struct ts_localapi *api, json_t *next, const char *etag,
		   uint64_t now_ms, char err[static TS_SERVE_ERROR_CAP])
{
	json_t *before = json_incref(
		(json_t *)(uintptr_t)ts_node_serve(api->node));
	int code = check(api, next, etag, err);

	if (!code)
		code = store(api, next, err);
	if (code) {
		json_decref(next);
	} else {
		drop_strangers(api, next);
		ts_node_set_serve(api->node, next, now_ms);
		end_sessions(api, before);
	}
	json_decref(before);
	return code;
}

int ts_localapi_set_serve(struct ts_localapi *api, const json_t *config,
			  const char *etag, uint64_t now_ms,
			  char err[static TS_SERVE_ERROR_CAP])
{
	json_t *next;
	int code = ts_serve_normalise(config, &next, err);

	return code ? code : replace(api, next, etag, now_ms, err);
}

void localapi_serve_session_gone(struct ts_localapi *api, const char *session,
				 uint64_t now_ms)
{
	const json_t *now = ts_node_serve(api->node);
	char err[TS_SERVE_ERROR_CAP];
	json_t *next;

	if (!ts_serve_has_session(now, session))
		return;
	next = ts_serve_without_session(now, session);
	if (!next || replace(api, next, NULL, now_ms, err))
		log_error("serve: what a watcher asked for outlives it: %s",
			  next ? err : "out of memory");
}

/* -- the request ---------------------------------------------------------- */

static const char *header(const struct localapi_call *call, const char *name)
{
	const struct ts_localapi_request *rq = call->request;

	return rq->header ? rq->header(rq->query_ctx, name) : NULL;
}

static void reply_problem(const struct localapi_call *call, const char *what,
			  const char *err)
{
	char text[TS_SERVE_ERROR_CAP + 32];

	snprintf(text, sizeof(text), "%s: %s", what, err);
	localapi_reply_failure(call, text);
}

void localapi_post_serve_config(const struct localapi_call *call)
{
	const struct ts_localapi_request *rq = call->request;
	char err[TS_SERVE_ERROR_CAP] = "";
	json_t *next;
	int code = ts_serve_parse(rq->body ? rq->body : "", rq->body_len,
				  &next, err);

	if (code) {
		reply_problem(call, "decoding config", err);
		return;
	}
	if (ts_serve_needs_admin(next) && !rq->is_owner) {
		json_decref(next);
		localapi_reply_error(call, 401,
				     "must be root, or the user that this node "
				     "runs as, to serve a path or Unix socket");
		return;
	}
	code = replace(call->api, next, header(call, "If-Match"), call->now_ms,
		       err);
	if (code == -ESTALE)
		localapi_reply_error(call, 412, err);
	else if (code)
		reply_problem(call, "updating config",
			      err[0] ? err : ts_strerror(code));
	else
		localapi_reply_empty(call, 200);
}
