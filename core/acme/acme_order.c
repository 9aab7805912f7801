/* SPDX-License-Identifier: BSD-3-Clause
 * acme_order.c - one certificate, obtained from an ACME server
 * Source: RFC 8555 (7.1 to 7.5), RFC 9773 5; feature/acme/cert.go,
 * tempfork/acme/{acme,rfc8555,http}.go
 *
 *   directory -> account -> order -> each authorization: read, have its proof
 *   where the CA looks (a TXT record, or a digest by TLS), have it looked at ->
 *   wait -> finalize -> wait -> download
 *
 * Every POST needs a nonce, which comes with the answer before it, else it is
 * asked for. A nonce that is refused is replaced by that answer's. What fails
 * by the network, or by a fault of the server, is tried again a few times, ever
 * later; what the server refuses is the end, in its words. Nobody waits longer
 * than TS_ACME_ORDER_MS in all, whatever the server asks for.
 */
#include "core/acme/acme_order.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/acme/acme_order_internal.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/model/retry_after.h"

enum {
	TRIES_MAX = 5, /* of one request */
	RETRY_FIRST_MS = 1000,
};

/* As messages call them. */
static const char *const step_names[] = {
	[ACME_STEP_DIRECTORY] = "directory",
	[ACME_STEP_ACCOUNT] = "new account",
	[ACME_STEP_ORDER] = "new order",
	[ACME_STEP_AUTHZ] = "authorization",
	[ACME_STEP_PROOF] = "DNS record",
	[ACME_STEP_ACCEPT] = "challenge",
	[ACME_STEP_WAIT_READY] = "validation",
	[ACME_STEP_WHY] = "validation",
	[ACME_STEP_FINALIZE] = "finalize",
	[ACME_STEP_WAIT_VALID] = "issuance",
	[ACME_STEP_DOWNLOAD] = "download",
	[ACME_STEP_DONE] = "done",
	[ACME_STEP_FAILED] = "failed",
};

/* -- steps ---------------------------------------------------------------- */

void ts_acme_order_set_step(struct ts_acme_order *o,
			    enum ts_acme_order_step next)
{
	log_debug("acme: %s: %s -> %s", o->domain, step_names[o->step],
		  step_names[next]);
	o->step = next;
	o->tries = 0;
	o->next_ms = 0;
}

void ts_acme_order_fail(struct ts_acme_order *o, const char *why)
{
	snprintf(o->error, sizeof(o->error), "acme: %s: %s",
		 step_names[o->step], why);
	ts_acme_order_set_step(o, ACME_STEP_FAILED);
}

void ts_acme_order_fail_with(struct ts_acme_order *o, int err)
{
	ts_acme_order_fail(o, err == -EBADMSG
				      ? "the server's answer makes no sense"
				      : ts_strerror(err));
}

/* -- what failed ---------------------------------------------------------- */

static void try_again(struct ts_acme_order *o, const char *why, int64_t wait_s,
		      uint64_t now_ms)
{
	uint64_t wait_ms = RETRY_FIRST_MS;

	if (++o->tries >= TRIES_MAX) {
		ts_acme_order_fail(o, why);
		return;
	}
	wait_ms <<= o->tries - 1;
	if (wait_s > ACME_POLL_MAX_MS / 1000)
		wait_ms = ACME_POLL_MAX_MS;
	else if (wait_s > 0 && (uint64_t)wait_s * 1000 > wait_ms)
		wait_ms = (uint64_t)wait_s * 1000;
	o->next_ms = now_ms + wait_ms;
	log_debug("acme: %s: %s: %s: again in %llu ms", o->domain,
		  step_names[o->step], why, (unsigned long long)wait_ms);
}

static void take_problem(struct ts_acme_order *o,
			 const struct ts_acme_reply *r, uint64_t now_ms,
			 int64_t now_unix)
{
	int64_t asked_s = ts_retry_after_s(r->retry_after, now_unix);
	struct ts_acme_problem problem;

	ts_acme_read_problem(r->status, r->body, r->len, &problem);
	if (problem.is_bad_nonce && ++o->tries < TRIES_MAX)
		return; /* at once, with the nonce that came along */
	if (problem.is_rate_limit) {
		o->is_limited = true;
		o->retry_after_s = asked_s > 0 ? asked_s : 0;
		ts_acme_order_fail(o, problem.words);
	} else if (r->status >= 500) {
		try_again(o, problem.words, asked_s, now_ms);
	} else if (o->step == ACME_STEP_ORDER && o->replaces) {
		log_debug("acme: %s: not as a renewal: %s", o->domain,
			  problem.words);
		free(o->replaces);
		o->replaces = NULL;
	} else {
		ts_acme_order_fail(o, problem.words);
	}
}

static void note_nonce(struct ts_acme_order *o, const struct ts_acme_reply *r)
{
	o->nonce[0] = '\0';
	if (ts_acme_token_is_fine(r->nonce))
		snprintf(o->nonce, sizeof(o->nonce), "%s", r->nonce);
}

void ts_acme_order_reply(struct ts_acme_order *o,
			 const struct ts_acme_reply *reply, uint64_t now_ms,
			 int64_t now_unix)
{
	bool was_nonce = o->wants_nonce;
	bool is_success = reply->status >= 200 && reply->status < 300;

	o->is_waiting = false;
	o->wants_nonce = false;
	if (o->step >= ACME_STEP_DONE)
		return;
	note_nonce(o, reply);
	if (reply->status == 0)
		try_again(o, reply->error, 0, now_ms);
	else if (!is_success)
		take_problem(o, reply, now_ms, now_unix);
	else if (!was_nonce)
		ts_acme_order_take_success(o, reply, now_ms, now_unix);
	else if (!o->nonce[0])
		ts_acme_order_fail(o, "the server gives no nonce");
}

void ts_acme_order_proof_reply(struct ts_acme_order *o, const char *error)
{
	o->is_waiting = false;
	if (o->step != ACME_STEP_PROOF)
		return;
	if (error)
		ts_acme_order_fail(o, error);
	else
		ts_acme_order_set_step(o, ACME_STEP_ACCEPT);
}

/* -- requests ------------------------------------------------------------- */

static char *order_payload(const struct ts_acme_order *o)
{
	bool is_wild = o->domain[0] == '*';
	json_t *names = json_pack("[{s:s, s:s}]", "type", "dns", "value",
				  o->domain);
	json_t *root;
	char *text;

	if (is_wild)
		json_array_append_new(names, json_pack("{s:s, s:s}", "type",
						       "dns", "value",
						       o->domain + 2));
	root = json_pack("{s:o, s:s*}", "identifiers", names, "replaces",
			 o->replaces);
	text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return text;
}

static char *finalize_payload(struct ts_acme_order *o)
{
	char *csr = NULL, *text = NULL;

	if (!o->key)
		o->key = ts_acme_key_new();
	if (o->key)
		csr = ts_cert_request(o->key, o->domain);
	if (csr && asprintf(&text, "{\"csr\":\"%s\"}", csr) < 0)
		text = NULL;
	free(csr);
	return text;
}

static const char *step_url(const struct ts_acme_order *o)
{
	switch (o->step) {
	case ACME_STEP_ACCOUNT:
		return o->directory.new_account;
	case ACME_STEP_ORDER:
		return o->directory.new_order;
	case ACME_STEP_AUTHZ:
	case ACME_STEP_WHY:
		return o->order.authz[o->authz_at];
	case ACME_STEP_ACCEPT:
		return o->authz.url;
	case ACME_STEP_FINALIZE:
		return o->order.finalize;
	case ACME_STEP_DOWNLOAD:
		return o->order.certificate;
	default:
		return o->url;
	}
}

/* Heap; "" for what is only read. */
static char *step_payload(struct ts_acme_order *o)
{
	switch (o->step) {
	case ACME_STEP_ACCOUNT: /* one that is there already is found by its key
				 */
		return strdup("{\"termsOfServiceAgreed\":true}");
	case ACME_STEP_ORDER:
		return order_payload(o);
	case ACME_STEP_ACCEPT:
		return strdup("{}");
	case ACME_STEP_FINALIZE:
		return finalize_payload(o);
	default:
		return strdup("");
	}
}

static void make_post(struct ts_acme_order *o, struct ts_acme_step *out)
{
	const char *kid = o->step == ACME_STEP_ACCOUNT ? NULL : o->kid;
	char *payload = step_payload(o);

	out->method = "POST";
	out->url = step_url(o);
	if (o->step == ACME_STEP_DOWNLOAD) {
		out->accept = "application/pem-certificate-chain";
		out->answer_max = TS_ACME_CHAIN_MAX;
	}
	if (payload)
		out->body = ts_acme_jws(o->account, kid, o->nonce, out->url,
					payload);
	free(payload);
	o->nonce[0] = '\0'; /* good for one */
}

static void make_call(struct ts_acme_order *o, struct ts_acme_step *out)
{
	out->kind = TS_ACME_CALL;
	out->answer_max = TS_ACME_ANSWER_MAX;
	o->is_waiting = true;
	if (o->step == ACME_STEP_DIRECTORY) {
		out->method = "GET";
		out->url = o->base;
	} else if (!o->nonce[0]) {
		o->wants_nonce = true;
		out->method = "HEAD";
		out->url = o->directory.new_nonce;
	} else {
		make_post(o, out);
	}
	if (out->body || o->step == ACME_STEP_DIRECTORY || o->wants_nonce)
		return;
	o->is_waiting = false;
	ts_acme_order_fail_with(o, -ENOMEM);
	*out = (struct ts_acme_step){.kind = TS_ACME_FAILED};
}

static void want_proof(struct ts_acme_order *o, struct ts_acme_step *out)
{
	o->is_waiting = true;
	if (o->by_alpn) {
		out->kind = TS_ACME_ALPN;
		out->digest = o->digest;
		return;
	}
	out->kind = TS_ACME_DNS;
	out->dns_name = o->record_name;
	out->dns_value = o->record;
}

void ts_acme_order_next(struct ts_acme_order *o, uint64_t now_ms,
			struct ts_acme_step *out)
{
	*out = (struct ts_acme_step){.kind = TS_ACME_IDLE};
	if (o->step < ACME_STEP_DONE && now_ms >= o->end_ms)
		ts_acme_order_fail(o, "it takes too long");
	if (o->step == ACME_STEP_DONE)
		out->kind = TS_ACME_DONE;
	else if (o->step == ACME_STEP_FAILED)
		out->kind = TS_ACME_FAILED;
	else if (o->is_waiting || now_ms < o->next_ms)
		return;
	else if (o->step != ACME_STEP_PROOF)
		make_call(o, out);
	else
		want_proof(o, out);
}

uint64_t ts_acme_order_deadline_ms(const struct ts_acme_order *o)
{
	if (o->step >= ACME_STEP_DONE)
		return 0;
	if (o->is_waiting || o->next_ms > o->end_ms)
		return o->end_ms;
	return o->next_ms;
}

/* -- life ----------------------------------------------------------------- */

struct ts_acme_order *ts_acme_order_new(const struct ts_acme_want *want,
					const struct ts_acme_key *account,
					uint64_t now_ms)
{
	struct ts_acme_order *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->account = account;
	o->end_ms = now_ms + TS_ACME_ORDER_MS;
	o->by_alpn = want->by_alpn;
	o->base = strdup(want->directory_url);
	o->domain = strdup(want->domain);
	if (want->replaces && *want->replaces)
		o->replaces = strdup(want->replaces);
	if (o->base && o->domain)
		return o;
	ts_acme_order_free(o);
	return NULL;
}

void ts_acme_order_free(struct ts_acme_order *o)
{
	if (!o)
		return;
	ts_acme_directory_deinit(&o->directory);
	ts_acme_order_answer_deinit(&o->order);
	ts_acme_authz_deinit(&o->authz);
	ts_acme_key_free(o->key);
	ts_cert_pair_deinit(&o->pair);
	free(o->base);
	free(o->domain);
	free(o->replaces);
	free(o->kid);
	free(o->url);
	free(o->record);
	free(o);
}

void ts_acme_order_take(struct ts_acme_order *o, struct ts_cert_pair *out)
{
	*out = o->pair;
	o->pair = (struct ts_cert_pair){NULL, NULL};
}

const char *ts_acme_order_error(const struct ts_acme_order *o)
{
	return o->error;
}

bool ts_acme_order_is_limited(const struct ts_acme_order *o,
			      int64_t *retry_after_s)
{
	*retry_after_s = o->retry_after_s;
	return o->is_limited;
}
