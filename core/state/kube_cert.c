/* SPDX-License-Identifier: BSD-3-Clause
 * kube_cert.c - a certificate in a Secret of its own, shared by replicas
 *
 * It is written as a merge patch (RFC 7386), which needs no look at what is
 * there, and no version: there is one writer, and the last certificate counts.
 */
#include "core/state/kube_cert.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/state/kube_json.h"
#include "core/state/secret_text.h"

#define KEY_CHAIN "tls.crt"
#define KEY_KEY "tls.key"
#define KEY_ACCOUNT "acme-account-fingerprint"

void ts_kube_cert_deinit(struct ts_kube_cert *cert)
{
	ts_wipe_free_text(cert->key_pem);
	free(cert->chain_pem);
	*cert = (struct ts_kube_cert){.key_pem = NULL};
}

static char *path_of(const char *namespace, const char *domain)
{
	char *path = NULL;

	if (asprintf(&path, "/api/v1/namespaces/%s/secrets/%s", namespace,
		     domain) < 0)
		return NULL;
	return path;
}

int ts_kube_cert_ask(const char *namespace, const char *domain,
		     struct ts_kube_request *out)
{
	*out = (struct ts_kube_request){
		.method = "GET",
		.path = path_of(namespace, domain),
	};
	return out->path ? 0 : -ENOMEM;
}

/* -- reading -------------------------------------------------------------- */

/* 0, -ENOENT, -ENOMEM */
static int take_text(const struct ts_state *data, const char *key, char **out)
{
	size_t len = 0;
	const uint8_t *value = ts_state_get(data, key, &len);

	if (!value || len == 0)
		return -ENOENT;
	*out = strndup((const char *)value, len);
	return *out ? 0 : -ENOMEM;
}

static void take_account(const struct ts_state *data, struct ts_kube_cert *out)
{
	size_t len = 0;
	const uint8_t *value = ts_state_get(data, KEY_ACCOUNT, &len);

	out->has_account = value && len == sizeof(out->account);
	if (out->has_account)
		memcpy(out->account, value, len);
}

int ts_kube_cert_read(const char *body, size_t len, struct ts_kube_cert *out,
		      char err[static 128])
{
	struct ts_kube_object object;
	int code = ts_kube_read_secret(body, len, &object, err);

	*out = (struct ts_kube_cert){.key_pem = NULL};
	if (code)
		return code;
	code = take_text(object.data, KEY_CHAIN, &out->chain_pem);
	if (!code)
		code = take_text(object.data, KEY_KEY, &out->key_pem);
	take_account(object.data, out);
	ts_kube_object_deinit(&object);
	if (!code)
		return 0;
	snprintf(err, 128, code == -ENOENT ? "no certificate is in it"
					   : "out of memory");
	ts_kube_cert_deinit(out);
	return code;
}

/* -- writing -------------------------------------------------------------- */

static void add_text(struct ts_secret_text *t, const char *key,
		     const char *value)
{
	ts_secret_text_add_quoted(t, key);
	ts_secret_text_add(t, ":");
	ts_secret_text_add_base64(t, (const uint8_t *)value, strlen(value));
}

int ts_kube_cert_write(const char *namespace, const char *domain,
		       const struct ts_kube_cert *cert,
		       struct ts_kube_request *out)
{
	struct ts_secret_text t = {0};

	*out = (struct ts_kube_request){
		.method = "PATCH",
		.content_type = "application/merge-patch+json",
		.path = path_of(namespace, domain),
	};
	ts_secret_text_add(&t, "{\"data\":{");
	add_text(&t, KEY_CHAIN, cert->chain_pem);
	ts_secret_text_add(&t, ",");
	add_text(&t, KEY_KEY, cert->key_pem);
	if (cert->has_account) {
		ts_secret_text_add(&t, ",\"" KEY_ACCOUNT "\":");
		ts_secret_text_add_base64(&t, cert->account,
					  sizeof(cert->account));
	}
	ts_secret_text_add(&t, "}}");
	out->body = ts_secret_text_take(&t, &out->body_len);
	if (out->path && out->body)
		return 0;
	ts_kube_request_deinit(out);
	return -ENOMEM;
}
