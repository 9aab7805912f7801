/* SPDX-License-Identifier: BSD-3-Clause
 * reply.c - the forms that an answer has, and reading of what came with a call
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clean_text.h"
#include "core/base/encode.h"
#include "core/crypto/secret.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"

void localapi_reply_text(const struct localapi_call *call, int status,
			 const char *type, char *text)
{
	struct ts_localapi_reply reply = {
		.status = text ? status : 500,
		.content_type = type,
		.body = text,
		.body_len = text ? strlen(text) : 0,
	};

	call->done(call->ctx, &reply);
}

void localapi_reply_secret(const struct localapi_call *call, const char *type,
			   char *text)
{
	struct ts_localapi_reply reply = {
		.status = 200,
		.content_type = type,
		.body = text,
		.body_len = strlen(text),
		.is_secret = true,
	};

	call->done(call->ctx, &reply);
}

void localapi_reply_empty(const struct localapi_call *call, int status)
{
	struct ts_localapi_reply reply = {.status = status};

	call->done(call->ctx, &reply);
}

void localapi_reply_json(const struct localapi_call *call, int status,
			 json_t *body)
{
	char *text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);

	json_decref(body);
	localapi_reply_text(call, status, "application/json", text);
}

void localapi_reply_error(const struct localapi_call *call, int status,
			  const char *text)
{
	size_t len = strlen(text);
	char *line = malloc(len + 2);

	if (line) {
		memcpy(line, text, len + 1);
		ts_clean_text(line, ' '); /* it may be a server's */
		line[len] = '\n';
		line[len + 1] = '\0';
	}
	localapi_reply_text(call, status, "text/plain; charset=utf-8", line);
}

void localapi_reply_failure(const struct localapi_call *call, const char *text)
{
	json_t *body = json_object();

	json_object_set_new(body, "error", ts_json_words(text));
	localapi_reply_json(call, 500, body);
}

const char *localapi_query(const struct localapi_call *call, const char *name)
{
	const struct ts_localapi_request *rq = call->request;

	return rq->query ? rq->query(rq->query_ctx, name) : NULL;
}

json_t *localapi_body_object(const struct localapi_call *call)
{
	const struct ts_localapi_request *rq = call->request;
	json_t *body = json_loadb(rq->body ? rq->body : "", rq->body_len,
				  TS_JSON_READ_FLAGS, NULL);

	if (json_is_object(body))
		return body;
	json_decref(body);
	/* The parser's own text would quote what is near: an auth key. */
	localapi_reply_error(call, 400, "invalid JSON body");
	return NULL;
}

void localapi_random_hex(char out[static LOCALAPI_SESSION_CAP])
{
	uint8_t bytes[(LOCALAPI_SESSION_CAP - 1) / 2];

	ts_random_bytes(bytes, sizeof(bytes));
	ts_hex_encode(bytes, sizeof(bytes), out);
}
