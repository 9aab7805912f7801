/* SPDX-License-Identifier: BSD-3-Clause
 * aws_sign.c - sign a request as AWS wants it (Signature Version 4)
 *
 *   canonical = method, path, query, fields, names of fields, SHA-256(body)
 *   to sign   = algorithm, time, scope, SHA-256(canonical)
 *   key       = HMAC chain over date, region, service from the secret
 */
#include "core/control/aws_sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "core/base/encode.h"
#include "core/crypto/secret.h"

enum {
	SHA_LEN = crypto_hash_sha256_BYTES,
	SHA_HEX_CAP = 2 * SHA_LEN + 1,
	TIME_CAP = 20, /* 20150830T123600Z */
	DATE_LEN = 8,
	SCOPE_CAP = 160,
};

#define CONTENT_TYPE "application/x-www-form-urlencoded"

struct signing {
	const char *host, *region, *service;
	const struct ts_aws_credentials *credentials;
	char time[TIME_CAP], date[TIME_CAP], scope[SCOPE_CAP];
};

void ts_aws_credentials_deinit(struct ts_aws_credentials *c)
{
	ts_wipe_free_text(c->key_id);
	ts_wipe_free_text(c->secret);
	ts_wipe_free_text(c->session);
	*c = (struct ts_aws_credentials){0};
}

static void hash_hex(const char *text, char out[static SHA_HEX_CAP])
{
	uint8_t hash[SHA_LEN];

	crypto_hash_sha256(hash, (const uint8_t *)text, strlen(text));
	ts_hex_encode(hash, sizeof(hash), out);
}

static void hmac(const void *key, size_t key_len, const char *text,
		 uint8_t out[static SHA_LEN])
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, key, key_len);
	crypto_auth_hmacsha256_update(&state, (const uint8_t *)text,
				      strlen(text));
	crypto_auth_hmacsha256_final(&state, out);
	ts_wipe(&state, sizeof(state));
}

static void set_time(struct signing *s, int64_t wall_s)
{
	time_t t = (time_t)wall_s;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(s->time, sizeof(s->time), "%Y%m%dT%H%M%SZ", &tm);
	snprintf(s->date, sizeof(s->date), "%.*s", DATE_LEN, s->time);
	snprintf(s->scope, sizeof(s->scope), "%s/%.60s/%.60s/aws4_request",
		 s->date, s->region, s->service);
}

static const char *signed_fields(const struct signing *s)
{
	return s->credentials->session
		       ? "content-type;host;x-amz-date;x-amz-security-token"
		       : "content-type;host;x-amz-date";
}

/* Heap, with a secret in it when there is a session; NULL: no memory. */
static char *canonical(const struct signing *s, const char *body)
{
	const char *session = s->credentials->session;
	char body_hash[SHA_HEX_CAP];
	char *text = NULL;

	hash_hex(body, body_hash);
	if (asprintf(&text,
		     "POST\n/\n\ncontent-type:" CONTENT_TYPE "\nhost:%s\n"
		     "x-amz-date:%s\n%s%s%s\n%s\n%s",
		     s->host, s->time, session ? "x-amz-security-token:" : "",
		     session ? session : "", session ? "\n" : "",
		     signed_fields(s), body_hash) < 0)
		return NULL;
	return text;
}

/* What is to be signed, and the signature of it. */
static int sign(const struct signing *s, const char *body,
		char out[static SHA_HEX_CAP])
{
	char *request = canonical(s, body), *key0 = NULL, *text = NULL;
	char request_hash[SHA_HEX_CAP];
	uint8_t key[SHA_LEN];
	int err = -1;

	if (request)
		hash_hex(request, request_hash);
	if (request &&
	    asprintf(&key0, "AWS4%s", s->credentials->secret) >= 0 &&
	    asprintf(&text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", s->time, s->scope,
		     request_hash) >= 0) {
		hmac(key0, strlen(key0), s->date, key);
		hmac(key, sizeof(key), s->region, key);
		hmac(key, sizeof(key), s->service, key);
		hmac(key, sizeof(key), "aws4_request", key);
		hmac(key, sizeof(key), text, key);
		ts_hex_encode(key, sizeof(key), out);
		err = 0;
	}
	ts_wipe(key, sizeof(key));
	ts_wipe_free_text(request);
	ts_wipe_free_text(key0);
	free(text);
	return err;
}

void ts_aws_sign(struct ts_web_call *call, const char *host,
		 const char *region, const char *service,
		 const struct ts_aws_credentials *credentials, int64_t wall_s)
{
	struct signing s = {.host = host,
			    .region = region,
			    .service = service,
			    .credentials = credentials};
	char signature[SHA_HEX_CAP];

	set_time(&s, wall_s);
	if (!call->body || sign(&s, call->body, signature)) {
		call->is_bad = true;
		return;
	}
	ts_web_call_field(call, "Content-Type: " CONTENT_TYPE);
	ts_web_call_field(call, "X-Amz-Date: %s", s.time);
	if (credentials->session)
		ts_web_call_field(call, "X-Amz-Security-Token: %s",
				  credentials->session);
	ts_web_call_field(call,
			  "Authorization: AWS4-HMAC-SHA256 Credential=%s/%s, "
			  "SignedHeaders=%s, Signature=%s",
			  credentials->key_id, s.scope, signed_fields(&s),
			  signature);
}
