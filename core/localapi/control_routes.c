/* SPDX-License-Identifier: BSD-3-Clause
 * control_routes.c - what the control server has to answer
 *
 * An ID token names this node to others; an earlier expiry ends its key; what a
 * feature of the tailnet lacks is told to who wants to use it.
 * Source: ipn/localapi/localapi.go (serveIDToken, serveSetExpirySooner,
 *   serveQueryFeature, serveSetDeviceAttrs)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/control/register_json.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"

enum { AUDIENCE_MAX = 1024 };

/* NULL: answered already. */
static struct localapi_call *keep(const struct localapi_call *call)
{
	struct localapi_call *kept = malloc(sizeof(*kept));

	if (!kept) {
		localapi_reply_failure(call, "out of memory");
		return NULL;
	}
	*kept = *call;
	kept->request = NULL;
	return kept;
}

static void reply_unasked(struct localapi_call *call, int err)
{
	localapi_reply_error(call, 503,
			     err == -ENETDOWN
				     ? "not connected to the control server"
				     : ts_strerror(err));
	free(call);
}

static void on_id_token(void *ctx, int status, const void *body, size_t len,
			const char *error)
{
	struct localapi_call *call = ctx;

	if (error)
		localapi_reply_error(call, 500, error);
	else
		localapi_reply_text(call, status,
				    status == 200
					    ? "application/json"
					    : "text/plain; charset=utf-8",
				    strndup(body ? body : "", len));
	free(call);
}

static char *token_request(const struct localapi_call *call,
			   const char *audience)
{
	struct ts_public_key key;
	json_t *rq;
	char *text;

	ts_node_public_key(call->node, &key);
	rq = json_pack("{s:i, s:o, s:s}", "CapVersion", TS_CAPABILITY_VERSION,
		       "NodeKey", localapi_key(&key, TS_PREFIX_NODE),
		       "Audience", audience);
	text = json_dumps(rq, JSON_COMPACT);
	json_decref(rq);
	return text;
}

void localapi_id_token(const struct localapi_call *call)
{
	const char *audience = localapi_query(call, "aud");
	struct localapi_call *kept;
	char *body;
	int err;

	if (!ts_node_netmap(call->node)->self) {
		localapi_reply_error(call, 503, "no netmap");
		return;
	}
	if (!audience || !audience[strspn(audience, " ")] ||
	    strlen(audience) > AUDIENCE_MAX) {
		localapi_reply_error(call, 400, "no audience requested");
		return;
	}
	kept = keep(call);
	if (!kept)
		return;
	body = token_request(call, audience);
	err = body ? ts_node_request(call->node, "/machine/id-token", body,
				     on_id_token, kept, call->now_ms)
		   : -ENOMEM;
	free(body);
	if (err)
		reply_unasked(kept, err);
}

/* -- features: what the tailnet's admin would have to do to have one ------ */
static void on_feature(void *ctx, int status, const void *body, size_t len,
		       const char *error)
{
	struct localapi_call *call = ctx;

	if (error)
		localapi_reply_error(call, 500, error);
	else
		localapi_reply_text(call, status, "application/json",
				    strndup(body ? body : "", len));
	free(call);
}

void localapi_query_feature(const struct localapi_call *call)
{
	enum { FEATURE_MAX = 128 };
	const char *feature = localapi_query(call, "feature");
	struct localapi_call *kept;
	struct ts_public_key key;
	char *body;
	json_t *rq;
	int err;

	if (!feature || !*feature || strlen(feature) > FEATURE_MAX) {
		localapi_reply_error(call, 500, "missing feature");
		return;
	}
	if (!ts_node_netmap(call->node)->self) {
		localapi_reply_error(call, 503, "no netmap");
		return;
	}
	kept = keep(call);
	if (!kept)
		return;
	ts_node_public_key(call->node, &key);
	rq = json_pack("{s:s, s:o}", "Feature", feature, "NodeKey",
		       localapi_key(&key, TS_PREFIX_NODE));
	body = json_dumps(rq, JSON_COMPACT);
	json_decref(rq);
	err = body ? ts_node_request(call->node, "/machine/feature/query",
				     body, on_feature, kept, call->now_ms)
		   : -ENOMEM;
	free(body);
	if (err)
		reply_unasked(kept, err);
}

/* -- attributes of this device, for the tailnet's posture rules ----------- */
static void on_attrs_set(void *ctx, int status, const void *body, size_t len,
			 const char *error)
{
	struct localapi_call *call = ctx;
	char text[256];

	snprintf(text, sizeof(text), "HTTP error from control plane: %d: %.*s",
		 status, (int)(len < 160 ? len : 160),
		 body ? (const char *)body : "");
	if (error)
		localapi_reply_error(call, 500, error);
	else if (status != 200)
		localapi_reply_error(call, 500, text);
	else
		localapi_reply_json(call, 200, json_object());
	free(call);
}

static char *attrs_request(const struct localapi_call *call, json_t *attrs)
{
	struct ts_public_key key;
	json_t *rq;
	char *text;

	ts_node_public_key(call->node, &key);
	rq = json_pack("{s:i, s:o, s:o}", "Version", TS_CAPABILITY_VERSION,
		       "NodeKey", localapi_key(&key, TS_PREFIX_NODE), "Update",
		       attrs);
	text = json_dumps(rq, JSON_COMPACT);
	json_decref(rq);
	return text;
}

void localapi_set_device_attrs(const struct localapi_call *call)
{
	enum { BODY_MAX = 64 * 1024, REPLY_MAX = 64 * 1024, WAIT_MS = 30000 };
	json_t *attrs;
	struct localapi_call *kept;
	struct ts_control_ask ask = {.method = "PATCH",
				     .path = "/machine/set-device-attr",
				     .reply_max = REPLY_MAX,
				     .timeout_ms = WAIT_MS};
	char *body;
	int err;

	if (call->request->body_len > BODY_MAX) {
		localapi_reply_error(call, 413, "too many attributes");
		return;
	}
	attrs = localapi_body_object(call);
	kept = attrs ? keep(call) : NULL;
	if (!kept) {
		json_decref(attrs);
		return;
	}
	body = attrs_request(call, attrs);
	ask.body = body;
	err = body ? ts_node_ask(call->node, &ask, on_attrs_set, kept,
				 call->now_ms)
		   : -ENOMEM;
	free(body);
	if (err)
		reply_unasked(kept, err);
}

/* -- an earlier end ------------------------------------------------------- */
static const char *refusal(int status, const void *body, size_t len,
			   struct ts_register_response *response)
{
	if (status != 200)
		return "the control server refused";
	if (ts_register_response_read(body, len, response))
		return "the control server's answer makes no sense";
	return response->error;
}

static void on_expiry_set(void *ctx, int status, const void *body, size_t len,
			  const char *error)
{
	struct ts_register_response response = {0};
	struct localapi_call *call = ctx;

	if (!error)
		error = refusal(status, body, len, &response);
	if (error)
		localapi_reply_error(call, 400, error);
	else
		localapi_reply_text(call, 200, "text/plain", strdup("done\n"));
	ts_register_response_deinit(&response);
	free(call);
}

void localapi_set_expiry_sooner(const struct localapi_call *call)
{
	const char *text = localapi_query(call, "expiry");
	struct localapi_call *kept;
	int64_t expiry;
	int err;

	if (!text || !*text) {
		localapi_reply_error(call, 400, "missing 'expiry' parameter, a "
						"unix timestamp");
		return;
	}
	if (ts_int_parse(text, &expiry) || expiry <= 0) {
		localapi_reply_error(call, 400, "can't parse expiry time, "
						"expects a unix timestamp");
		return;
	}
	kept = keep(call);
	if (!kept)
		return;
	err = ts_node_expire_at(call->node, expiry, on_expiry_set, kept,
				call->now_ms);
	if (err)
		reply_unasked(kept, err);
}
