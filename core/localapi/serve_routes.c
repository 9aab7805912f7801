/* SPDX-License-Identifier: BSD-3-Clause
 * serve_routes.c - the serve configuration
 *
 * It is stored as upstream stores it, under _serve/<profile>, with an ETag
 * that tells whose view a change is based on. Nothing here serves: programs
 * under tsrun listen on the tailnet by themselves. So a configuration that
 * asks for more than nothing is refused.
 * Source: ipn/serve.go, ipn/localapi/serve.go, ipn/ipnlocal/serve.go
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"

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

/* Heap; "null": there is none, as upstream has it. */
static char *load_config(const struct ts_localapi *api)
{
	char key[KEY_CAP];
	char *text = NULL;

	if (api->env.load && config_key(api, key))
		text = api->env.load(api->env_ctx, key);
	if (text && *text)
		return text;
	free(text);
	return strdup("null");
}

static void etag_of(const char *text, char out[static TS_LOCALAPI_ETAG_CAP])
{
	uint8_t hash[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(hash, (const uint8_t *)text, strlen(text));
	ts_hex_encode(hash, sizeof(hash), out);
}

void localapi_get_serve_config(const struct localapi_call *call)
{
	char *text = load_config(call->api);
	struct ts_localapi_reply reply = {
		.status = text ? 200 : 500,
		.content_type = "application/json",
		.body = text,
		.body_len = text ? strlen(text) : 0,
	};

	if (text)
		etag_of(text, reply.etag);
	call->done(call->ctx, &reply);
}

static bool asks_for_something(const json_t *config)
{
	static const char *const fields[] = {"TCP", "Web", "Services",
					     "AllowFunnel", "Foreground"};

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		const json_t *value = ts_json_get(config, fields[i]);

		if (value && (!json_is_object(value) ||
			      json_object_size(value) > 0))
			return true;
	}
	return false;
}

/* NULL: stored. */
static const char *store_empty(const struct ts_localapi *api)
{
	char key[KEY_CAP];

	if (!api->env.store || !config_key(api, key))
		return "updating config: no profile to store it with: log in "
		       "first";
	if (api->env.store(api->env_ctx, key, "{}"))
		return "updating config: it could not be stored";
	return NULL;
}

static bool is_stale(const struct localapi_call *call)
{
	const struct ts_localapi_request *rq = call->request;
	const char *base = rq->header ? rq->header(rq->query_ctx, "If-Match")
				      : NULL;
	char etag[TS_LOCALAPI_ETAG_CAP];
	char *text;

	if (!base || !*base)
		return false;
	text = load_config(call->api);
	etag_of(text ? text : "", etag);
	free(text);
	return strcmp(base, etag) != 0;
}

void localapi_post_serve_config(const struct localapi_call *call)
{
	json_t *config = localapi_body_object(call);
	const char *problem;

	if (!config)
		return;
	if (asks_for_something(config)) {
		localapi_reply_failure(
			call, "updating config: this node does not serve or "
			      "funnel by itself; run the server under tsrun, "
			      "and it listens on the tailnet");
	} else if (is_stale(call)) {
		localapi_reply_error(call, 412, "etag mismatch");
	} else {
		problem = store_empty(call->api);
		if (problem)
			localapi_reply_failure(call, problem);
		else
			localapi_reply_empty(call, 200);
	}
	json_decref(config);
}
