/* SPDX-License-Identifier: BSD-3-Clause
 * cert_issue.c - questions to the CA: a certificate, and when to renew one
 *
 * What to ask is core/acme's; here are the requests, by HTTPS to the CA and by
 * the control connection for the DNS record. The control connection may be
 * gone for a moment: that is waited for. With tls-alpn-01 there is a certificate
 * to show instead, to a CA that comes by Funnel, as long as the order lives.
 */
#include "core/engine/cert_issue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/acme/acme_json.h"
#include "core/acme/alpn_cert.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/engine/cert_store.h"
#include "core/engine/engine_internal.h"
#include "core/node/node_set_dns.h"

enum {
	CALL_MS = 30000,
	DNS_TRIES = 20,
	DNS_AGAIN_MS = 1000,
	WINDOW_MS = 5000, /* each of two requests */
};

/* What waits for the control server outlives a cancelled issue. */
struct dns_wait {
	struct cert_issue *issue; /* NULL: nobody waits any more */
};

struct cert_issue {
	struct ts_engine *engine;
	struct ts_acme_key *account;
	struct ts_acme_order *order;
	struct ts_http_request *request;
	struct ts_timer *timer;
	struct dns_wait *dns;
	unsigned dns_tries;
	char dns_name[320], dns_value[64]; /* not set yet; "": none */
	char *domain;
	struct ts_cert_pair proof; /* NULLs: none is wanted */
	cert_issue_fn fn;
	void *ctx;
};

static uint64_t now_of(const struct cert_issue *issue)
{
	return ts_loop_now_ms(issue->engine->loop);
}

static void step(struct cert_issue *issue);

/* -- the CA --------------------------------------------------------------- */

static void on_reply(void *ctx, const struct ts_http_reply *from)
{
	struct cert_issue *issue = ctx;
	struct ts_acme_reply reply = {.status = from->status,
				      .body = from->body,
				      .len = from->len,
				      .error = from->error,
				      .nonce = from->fields[0],
				      .location = from->fields[1],
				      .retry_after = from->fields[2]};

	issue->request = NULL;
	ts_acme_order_reply(issue->order, &reply, now_of(issue), time(NULL));
	step(issue);
}

static int send_call(struct cert_issue *issue, const struct ts_acme_step *step)
{
	char accept[64] = "";
	const char *fields[2] = {"Content-Type: application/jose+json"};
	struct ts_http_call call = {
		.method = step->method,
		.url = step->url,
		.fields = fields,
		.field_count = 1,
		.body = step->body,
		.want_fields = {"Replay-Nonce", "Location", "Retry-After"},
		.body_max = step->answer_max,
		.timeout_ms = CALL_MS,
	};

	if (step->accept) {
		snprintf(accept, sizeof(accept), "Accept: %s", step->accept);
		fields[call.field_count++] = accept;
	}
	log_debug("acme: %s %s", step->method, step->url);
	issue->request = ts_http_call(issue->engine->http, &call, on_reply,
				      issue);
	return issue->request ? 0 : -ENOMEM;
}

/* -- the DNS record ------------------------------------------------------- */

static void on_dns(void *ctx, const char *error)
{
	struct dns_wait *wait = ctx;
	struct cert_issue *issue = wait->issue;

	free(wait);
	if (!issue)
		return;
	issue->dns = NULL;
	issue->dns_name[0] = '\0';
	if (!error)
		log_info("acme: the control server has set a DNS record");
	ts_acme_order_proof_reply(issue->order, error);
	/* Not at once: we are inside a call of the node's. */
	ts_timer_set(issue->timer, now_of(issue));
}

static void set_dns(struct cert_issue *issue)
{
	struct dns_wait *wait = malloc(sizeof(*wait));
	int err = -ENOMEM;

	if (wait) {
		wait->issue = issue;
		issue->dns = wait;
		err = ts_node_set_dns(issue->engine->node, issue->dns_name,
				      issue->dns_value, on_dns, wait,
				      now_of(issue));
	}
	if (!err)
		return;
	issue->dns = NULL;
	free(wait);
	if ((err == -ENETDOWN || err == -EAGAIN) &&
	    ++issue->dns_tries < DNS_TRIES)
		return; /* with the timer */
	issue->dns_name[0] = '\0';
	ts_acme_order_proof_reply(issue->order,
				err == -ENETDOWN
					? "not connected to the control server"
					: ts_strerror(err));
}

static void begin_dns(struct cert_issue *issue, const struct ts_acme_step *step)
{
	snprintf(issue->dns_name, sizeof(issue->dns_name), "%s",
		 step->dns_name);
	snprintf(issue->dns_value, sizeof(issue->dns_value), "%s",
		 step->dns_value);
	issue->dns_tries = 0;
	set_dns(issue);
}

/* -- what is shown -------------------------------------------------------- */

static void begin_alpn(struct cert_issue *issue,
		       const struct ts_acme_step *step)
{
	int err;

	ts_cert_pair_deinit(&issue->proof);
	err = ts_acme_alpn_cert(issue->domain, step->digest, time(NULL),
				&issue->proof);
	ts_acme_order_proof_reply(issue->order, err ? ts_strerror(err) : NULL);
	log_info("acme: %s: the CA may look, by tls-alpn-01", issue->domain);
}

const struct ts_cert_pair *cert_issue_proof(const struct cert_issue *issue)
{
	return issue->proof.key_pem ? &issue->proof : NULL;
}

/* -- steps ---------------------------------------------------------------- */

static void finish(struct cert_issue *issue, bool is_done)
{
	struct cert_outcome outcome = {.error = NULL};
	cert_issue_fn fn = issue->fn;
	void *ctx = issue->ctx;
	char error[TS_ACME_WORDS_CAP + 64];

	if (is_done) {
		ts_acme_order_take(issue->order, &outcome.pair);
	} else {
		snprintf(error, sizeof(error), "%s",
			 ts_acme_order_error(issue->order));
		outcome.error = error;
		outcome.is_limited = ts_acme_order_is_limited(
			issue->order, &outcome.retry_after_s);
	}
	cert_issue_cancel(issue);
	fn(ctx, &outcome);
}

static void step(struct cert_issue *issue)
{
	struct ts_acme_step next;
	struct ts_acme_reply none = {.error = "out of memory", .body = "",
				     .nonce = "", .location = "",
				     .retry_after = ""};

	ts_acme_order_next(issue->order, now_of(issue), &next);
	switch (next.kind) {
	case TS_ACME_DONE:
	case TS_ACME_FAILED:
		finish(issue, next.kind == TS_ACME_DONE);
		return;
	case TS_ACME_CALL:
		if (send_call(issue, &next))
			ts_acme_order_reply(issue->order, &none, now_of(issue),
					    time(NULL));
		free(next.body);
		break;
	case TS_ACME_DNS:
		begin_dns(issue, &next);
		break;
	case TS_ACME_ALPN:
		begin_alpn(issue, &next);
		break;
	default:
		break;
	}
	ts_timer_set(issue->timer,
		     issue->dns_name[0] && !issue->dns
			     ? now_of(issue) + DNS_AGAIN_MS
			     : ts_acme_order_deadline_ms(issue->order));
}

static void on_timer(void *ctx)
{
	struct cert_issue *issue = ctx;

	if (issue->dns_name[0] && !issue->dns)
		set_dns(issue);
	step(issue);
}

struct cert_issue *cert_issue_start(struct ts_engine *engine,
				    const struct cert_issue_want *wanted,
				    cert_issue_fn fn, void *ctx,
				    char err[static 256])
{
	struct ts_acme_want want = {
		.directory_url = engine->config.acme_directory,
		.domain = wanted->domain,
		.replaces = wanted->replaces,
		.by_alpn = wanted->challenge == TS_CERT_TLS_ALPN01,
	};
	struct cert_issue *issue = calloc(1, sizeof(*issue));
	int code = issue ? 0 : -ENOMEM;

	snprintf(err, 256, "out of memory");
	if (!code)
		code = cert_store_account(engine, &issue->account, err);
	if (!code) {
		issue->engine = engine;
		issue->fn = fn;
		issue->ctx = ctx;
		issue->timer = ts_timer_new(engine->loop, on_timer, issue);
		issue->order = ts_acme_order_new(&want, issue->account,
						 now_of(issue));
		issue->domain = strdup(wanted->domain);
		code = issue->timer && issue->order && issue->domain ? 0
								     : -ENOMEM;
	}
	if (!code) {
		ts_timer_set(issue->timer, now_of(issue));
		return issue;
	}
	cert_issue_cancel(issue);
	return NULL;
}

void cert_issue_cancel(struct cert_issue *issue)
{
	if (!issue)
		return;
	if (issue->dns)
		issue->dns->issue = NULL;
	ts_http_cancel(issue->request);
	ts_timer_free(issue->timer);
	ts_acme_order_free(issue->order);
	ts_acme_key_free(issue->account);
	ts_cert_pair_deinit(&issue->proof);
	free(issue->domain);
	free(issue);
}

/* -- when to renew -------------------------------------------------------- */

struct cert_window {
	struct ts_engine *engine;
	struct ts_http_request *request;
	char ari_id[TS_ARI_ID_CAP];
	cert_window_fn fn;
	void *ctx;
};

static void tell_window(struct cert_window *window, int64_t first, int64_t last)
{
	struct cert_window done = *window;

	free(window);
	done.fn(done.ctx, first, last);
}

static void on_window(void *ctx, int status, const char *body, size_t len,
		      const char *error)
{
	struct cert_window *window = ctx;
	int64_t first = 0, last = 0;

	window->request = NULL;
	if (error || status != 200 ||
	    ts_acme_read_window(body, len, &first, &last))
		first = last = 0;
	tell_window(window, first, last);
}

static void on_directory(void *ctx, int status, const char *body, size_t len,
			 const char *error)
{
	struct cert_window *window = ctx;
	struct ts_engine *engine = window->engine;
	struct ts_acme_directory directory = {0};
	char *url = NULL;

	window->request = NULL;
	if (!error && status == 200 &&
	    ts_acme_read_directory(body, len, engine->config.acme_directory,
				   &directory) == 0 &&
	    directory.renewal_info &&
	    asprintf(&url, "%s/%s", directory.renewal_info,
		     window->ari_id) < 0)
		url = NULL;
	if (url)
		window->request = ts_http_get(engine->http, url,
					      TS_ACME_ANSWER_MAX, WINDOW_MS,
					      on_window, window);
	free(url);
	ts_acme_directory_deinit(&directory);
	if (!window->request)
		tell_window(window, 0, 0);
}

struct cert_window *cert_window_ask(struct ts_engine *engine,
				    const char *ari_id, cert_window_fn fn,
				    void *ctx)
{
	struct cert_window *window = calloc(1, sizeof(*window));

	if (!window)
		return NULL;
	window->engine = engine;
	window->fn = fn;
	window->ctx = ctx;
	snprintf(window->ari_id, sizeof(window->ari_id), "%s", ari_id);
	window->request = ts_http_get(engine->http,
				      engine->config.acme_directory,
				      TS_ACME_ANSWER_MAX, WINDOW_MS,
				      on_directory, window);
	if (window->request)
		return window;
	free(window);
	return NULL;
}

void cert_window_cancel(struct cert_window *window)
{
	if (!window)
		return;
	ts_http_cancel(window->request);
	free(window);
}
