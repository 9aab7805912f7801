/* SPDX-License-Identifier: BSD-3-Clause
 * cert_routes.c - this node's TLS certificates
 *
 * A private key goes to those alone who may change the node, or whom the user
 * has named for that.
 * Source: ipn/localapi/cert.go, ipn/localapi/localapi.go (serveCertDomains,
 * serveSetDNS)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/localapi/go_duration.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"
#include "core/node/node_set_dns.h"

#define CERT_PATH "/localapi/v0/cert/"

enum { DOMAIN_MAX = 255 };

enum wanted { WANT_CHAIN, WANT_KEY, WANT_PAIR };

struct kept_call {
	struct localapi_call call;
	enum wanted wanted;
};

static int read_wanted(const char *type, enum wanted *out)
{
	*out = WANT_CHAIN;
	if (!type || !*type || strcmp(type, "crt") == 0 ||
	    strcmp(type, "cert") == 0)
		return 0;
	*out = strcmp(type, "key") == 0 ? WANT_KEY : WANT_PAIR;
	return *out == WANT_KEY || strcmp(type, "pair") == 0 ? 0 : -EINVAL;
}

/* Upstream's line of text, and a word about when to come again. */
static void refuse(const struct localapi_call *call,
		   const struct ts_localapi_cert *cert)
{
	struct ts_localapi_reply reply = {
		.status = cert->is_limited ? 429 : 500,
		.content_type = "text/plain; charset=utf-8",
		.retry_after_s = cert->is_limited ? cert->retry_after_s : 0,
	};

	if (asprintf(&reply.body, "%s\n", cert->error) < 0)
		reply.body = NULL;
	reply.body_len = reply.body ? strlen(reply.body) : 0;
	call->done(call->ctx, &reply);
}

static char *join(const char *first, const char *second)
{
	size_t len = strlen(first) + strlen(second) + 1;
	char *text = malloc(len);

	if (text)
		snprintf(text, len, "%s%s", first, second);
	return text;
}

static void hand_out(const struct kept_call *kept,
		     const struct ts_localapi_cert *cert)
{
	struct ts_localapi_reply reply = {
		.status = 200,
		.content_type = "text/plain",
		.is_secret = true,
	};

	reply.body = join(kept->wanted == WANT_CHAIN ? "" : cert->key_pem,
			  kept->wanted == WANT_KEY ? "" : cert->chain_pem);
	if (!reply.body)
		reply.status = 500;
	reply.body_len = reply.body ? strlen(reply.body) : 0;
	kept->call.done(kept->call.ctx, &reply);
}

static void on_cert(void *ctx, const struct ts_localapi_cert *cert)
{
	struct kept_call *kept = ctx;

	if (cert->error)
		refuse(&kept->call, cert);
	else
		hand_out(kept, cert);
	free(kept);
}

static int64_t min_validity(const struct localapi_call *call, int *err)
{
	const char *text = localapi_query(call, "min_validity");
	int64_t seconds = 0;

	*err = text && *text ? localapi_read_duration(text, &seconds) : 0;
	return seconds > 0 ? seconds : 0;
}

static void begin(const struct localapi_call *call, const char *domain,
		  int64_t validity_s, enum wanted wanted)
{
	struct ts_localapi *api = call->api;
	struct kept_call *kept = malloc(sizeof(*kept));

	if (!kept) {
		localapi_reply_error(call, 500, "out of memory");
		return;
	}
	*kept = (struct kept_call){.call = *call, .wanted = wanted};
	kept->call.request = NULL;
	api->env.cert(api->env_ctx, domain, validity_s, on_cert, kept);
}

void localapi_cert(const struct localapi_call *call)
{
	const struct ts_localapi_request *rq = call->request;
	const char *domain = rq->path + strlen(CERT_PATH);
	enum wanted wanted;
	int64_t validity_s;
	int err;

	if (!rq->may_write && !rq->may_have_certs) {
		localapi_reply_error(call, 403, "cert access denied");
		return;
	}
	if (!call->api->env.cert || strlen(domain) > DOMAIN_MAX) {
		localapi_reply_error(call, 500, "invalid domain");
		return;
	}
	validity_s = min_validity(call, &err);
	if (err)
		localapi_reply_error(call, 400, "invalid validity parameter: "
						"time: invalid duration");
	else if (read_wanted(localapi_query(call, "type"), &wanted))
		localapi_reply_error(call, 400,
				     "invalid type; want \"cert\" (default), "
				     "\"key\", or \"pair\"");
	else
		begin(call, domain, validity_s, wanted);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void localapi_cert_domains(const struct localapi_call *call)
{
	const struct ts_netmap *map = ts_node_netmap(call->node);
	const json_t *domains =
		map->dns ? ts_json_array(map->dns->raw, "CertDomains") : NULL;
	char **names = NULL;
	size_t count = 0;

	if (ts_json_dup_list(domains, &names, &count)) {
		localapi_reply_failure(call, "out of memory");
		return;
	}
	if (count > 1)
		qsort(names, count, sizeof(*names), compare);
	localapi_reply_json(call, 200, count ? localapi_texts(names, count)
					     : json_null());
	ts_text_list_free(names, count);
}

static void on_dns_set(void *ctx, const char *error)
{
	struct localapi_call *kept = ctx;

	if (error)
		localapi_reply_failure(kept, error);
	else
		localapi_reply_json(kept, 200, json_object());
	free(kept);
}

void localapi_set_dns(const struct localapi_call *call)
{
	const char *name = localapi_query(call, "name");
	const char *value = localapi_query(call, "value");
	struct localapi_call *kept = malloc(sizeof(*kept));
	int err = kept ? 0 : -ENOMEM;

	if (!err) {
		*kept = *call;
		kept->request = NULL;
		err = ts_node_set_dns(call->node, name ? name : "",
				      value ? value : "", on_dns_set, kept,
				      call->now_ms);
	}
	if (!err)
		return;
	free(kept);
	localapi_reply_failure(call, err == -ENETDOWN
					     ? "not connected to the control "
					       "server"
					     : ts_strerror(err));
}
