/* SPDX-License-Identifier: BSD-3-Clause
 * cert_share.c - certificates that several replicas show, in Secrets of their own
 * Source: ipn/store/kubestore/store_kube.go, envknob/envknob.go
 *
 * TS_CERT_SHARE_MODE says which replica this is: one has "rw" and obtains the
 * certificates, the others have "ro" and read them. The Secrets are made by
 * whoever runs the replicas (upstream's operator), each with the name of what it
 * is for; a name whose Secret is not there, or not ours to read, has none.
 */
#include "core/engine/cert_share.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/engine/engine_internal.h"
#include "core/engine/kube_store_internal.h"
#include "core/state/kube_json.h"

struct cert_share {
	struct ts_http_request *request;
	bool is_write;
	cert_share_fn fn;
	void *ctx;
};

bool cert_share_only_reads(const struct ts_engine *engine)
{
	return engine->config.cert_share == TS_CERT_SHARE_READ;
}

bool cert_share_is_on(const struct ts_engine *engine, const char *domain)
{
	return engine->config.cert_share != TS_CERT_SHARE_NONE &&
	       engine->config.kube_secret && ts_kube_name_is_valid(domain);
}

static void finish(struct cert_share *share, const struct ts_kube_cert *cert,
		   const char *error)
{
	struct cert_share done = *share;

	free(share);
	done.fn(done.ctx, cert, error);
}

static void take_cert(struct cert_share *share,
		      const struct ts_http_reply *reply)
{
	struct ts_kube_cert cert;
	char err[128];
	int code = ts_kube_cert_read(reply->body, reply->len, &cert, err);

	finish(share, code ? NULL : &cert, code && code != -ENOENT ? err
								   : NULL);
	ts_kube_cert_deinit(&cert);
}

static void tell_refusal(struct cert_share *share,
			 const struct ts_http_reply *reply)
{
	char words[KUBE_WORDS_CAP], error[KUBE_WORDS_CAP + 64];

	ts_kube_read_words(reply->body, reply->len, words);
	snprintf(error, sizeof(error), "the API server answers %s with %d%s%s",
		 share->is_write ? "patch" : "get", reply->status,
		 words[0] ? ": " : "", words);
	finish(share, NULL, error);
}

static void on_reply(void *ctx, const struct ts_http_reply *reply)
{
	struct cert_share *share = ctx;

	share->request = NULL;
	if (reply->error)
		finish(share, NULL, reply->error);
	else if (reply->status / 100 == 2 && !share->is_write)
		take_cert(share, reply);
	else if (reply->status / 100 == 2)
		finish(share, NULL, NULL);
	else if (!share->is_write &&
		 (reply->status == 404 || reply->status == 403))
		finish(share, NULL, NULL); /* not for us */
	else
		tell_refusal(share, reply);
}

/* Takes rq. */
static struct cert_share *send_it(struct ts_engine *engine, const char *domain,
				  struct ts_kube_request *rq, cert_share_fn fn,
				  void *ctx)
{
	struct cert_share *share = calloc(1, sizeof(*share));
	char err[256] = "out of memory";

	if (share) {
		share->is_write = strcmp(rq->method, "GET") != 0;
		share->fn = fn;
		share->ctx = ctx;
		share->request = kube_store_send(
			(struct kube_store *)engine->store.kept, rq, on_reply,
			share, err);
	}
	ts_kube_request_deinit(rq);
	if (share && share->request)
		return share;
	log_warn("cert: %s: the Secret: %s", domain, err);
	free(share);
	return NULL;
}

static const char *namespace_of(const struct ts_engine *engine)
{
	return ((const struct kube_store *)engine->store.kept)->namespace;
}

struct cert_share *cert_share_read(struct ts_engine *engine,
				   const char *domain, cert_share_fn fn,
				   void *ctx)
{
	struct ts_kube_request rq;

	if (ts_kube_cert_ask(namespace_of(engine), domain, &rq))
		return NULL;
	return send_it(engine, domain, &rq, fn, ctx);
}

struct cert_share *cert_share_write(struct ts_engine *engine,
				    const char *domain,
				    const struct ts_kube_cert *cert,
				    cert_share_fn fn, void *ctx)
{
	struct ts_kube_request rq;

	if (ts_kube_cert_write(namespace_of(engine), domain, cert, &rq))
		return NULL;
	return send_it(engine, domain, &rq, fn, ctx);
}

void cert_share_cancel(struct cert_share *share)
{
	if (!share)
		return;
	ts_http_cancel(share->request);
	free(share);
}
