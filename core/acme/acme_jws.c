/* SPDX-License-Identifier: BSD-3-Clause
 * acme_jws.c - what an account signs: requests, and answers to challenges
 * Source: RFC 7515 (3.2, 5.1, A.3), RFC 7638, RFC 8555 (6.2, 8.1, 8.4), RFC 8737;
 * tempfork/acme/jws.go
 */
#include "core/acme/acme_jws.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nonce and URL are a server's words: jansson quotes them. */
static char *make_header(const struct ts_acme_key *key, const char *kid,
			 const char *nonce, const char *url)
{
	char *jwk = kid ? NULL : ts_acme_key_jwk(key);
	json_t *header = json_pack("{s:s, s:s, s:s}", "alg", "ES256", "nonce",
				   nonce, "url", url);
	char *text = NULL;
	int bad = kid ? json_object_set_new(header, "kid", json_string(kid))
		      : json_object_set_new(header, "jwk",
					    jwk ? json_loads(jwk, 0, NULL)
						: NULL);

	if (!bad)
		text = json_dumps(header, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(header);
	free(jwk);
	return text;
}

char *ts_acme_signing_input(const char *header, const char *payload)
{
	char *head = ts_base64url_encode(header, strlen(header));
	char *body = ts_base64url_encode(payload, strlen(payload));
	char *text = NULL;

	if (head && body && asprintf(&text, "%s.%s", head, body) < 0)
		text = NULL;
	free(head);
	free(body);
	return text;
}

/* input: "protected.payload" */
static char *assemble(const char *input, const char *signature)
{
	const char *dot = strchr(input, '.');
	char *text = NULL;

	if (asprintf(&text, "{\"protected\":\"%.*s\",\"payload\":\"%s\","
		     "\"signature\":\"%s\"}", (int)(dot - input), input,
		     dot + 1, signature) < 0)
		return NULL;
	return text;
}

char *ts_acme_jws(const struct ts_acme_key *key, const char *kid,
		  const char *nonce, const char *url, const char *payload)
{
	char *header = make_header(key, kid, nonce, url);
	char *input = header ? ts_acme_signing_input(header, payload) : NULL;
	uint8_t raw[TS_ES256_LEN];
	char *signature = NULL, *text = NULL;

	if (input && ts_acme_key_sign(key, input, strlen(input), raw) == 0)
		signature = ts_base64url_encode(raw, sizeof(raw));
	if (signature)
		text = assemble(input, signature);
	free(header);
	free(input);
	free(signature);
	return text;
}

int ts_acme_challenge_digest(const struct ts_acme_key *key, const char *token,
			     uint8_t out[static TS_SHA256_LEN])
{
	uint8_t digest[TS_SHA256_LEN];
	char *jwk = ts_acme_key_jwk(key), *thumb = NULL, *answer = NULL;
	int err = -ENOMEM;

	if (jwk && ts_sha256(jwk, strlen(jwk), digest) == 0)
		thumb = ts_base64url_encode(digest, sizeof(digest));
	if (thumb && asprintf(&answer, "%s.%s", token, thumb) < 0)
		answer = NULL;
	if (answer && ts_sha256(answer, strlen(answer), out) == 0)
		err = 0;
	free(jwk);
	free(thumb);
	free(answer);
	return err;
}

char *ts_acme_dns_record(const struct ts_acme_key *key, const char *token)
{
	uint8_t digest[TS_SHA256_LEN];

	if (ts_acme_challenge_digest(key, token, digest))
		return NULL;
	return ts_base64url_encode(digest, sizeof(digest));
}
