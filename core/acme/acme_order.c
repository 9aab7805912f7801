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
#include <strings.h>

#include "core/acme/acme_json.h"
#include "core/acme/acme_jws.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/model/retry_after.h"

enum {
	TRIES_MAX = 5, /* of one request */
	RETRY_FIRST_MS = 1000,
	POLL_MIN_MS = 1000,
	POLL_MAX_MS = 30000,
	ERROR_CAP = TS_ACME_WORDS_CAP + 64,
	RECORD_NAME_CAP = 300,
};

enum step {
	STEP_DIRECTORY,
	STEP_ACCOUNT,
	STEP_ORDER,
	STEP_AUTHZ,
	STEP_PROOF,
	STEP_ACCEPT,
	STEP_WAIT_READY,
	STEP_WHY, /* it failed: which authorization did, and why? */
	STEP_FINALIZE,
	STEP_WAIT_VALID,
	STEP_DOWNLOAD,
	STEP_DONE,
	STEP_FAILED,
};

/* As messages call them. */
static const char *const step_names[] = {
	[STEP_DIRECTORY] = "directory",
	[STEP_ACCOUNT] = "new account",
	[STEP_ORDER] = "new order",
	[STEP_AUTHZ] = "authorization",
	[STEP_PROOF] = "DNS record",
	[STEP_ACCEPT] = "challenge",
	[STEP_WAIT_READY] = "validation",
	[STEP_WHY] = "validation",
	[STEP_FINALIZE] = "finalize",
	[STEP_WAIT_VALID] = "issuance",
	[STEP_DOWNLOAD] = "download",
	[STEP_DONE] = "done",
	[STEP_FAILED] = "failed",
};

struct ts_acme_order {
	const struct ts_acme_key *account;
	char *base, *domain;
	bool by_alpn;
	char *replaces; /* NULL: nothing, or the server does not want it */
	enum step step;
	bool is_waiting; /* for an answer */
	bool wants_nonce; /* which is asked for now */
	unsigned tries;	  /* of this step's request */
	uint64_t next_ms, end_ms;
	struct ts_acme_directory directory;
	char nonce[TS_ACME_TOKEN_MAX + 1];
	char *kid, *url; /* of the account, of the order */
	struct ts_acme_order_answer order;
	size_t authz_at;
	struct ts_acme_authz authz;
	char record_name[RECORD_NAME_CAP];
	char *record;
	uint8_t digest[TS_SHA256_LEN];
	struct ts_acme_key *key; /* of the certificate */
	struct ts_cert_pair pair;
	char error[ERROR_CAP];
	bool is_limited;
	int64_t retry_after_s;
};

/* -- steps ---------------------------------------------------------------- */

static void set_step(struct ts_acme_order *o, enum step next)
{
	log_debug("acme: %s: %s -> %s", o->domain, step_names[o->step],
		  step_names[next]);
	o->step = next;
	o->tries = 0;
	o->next_ms = 0;
}

static void fail(struct ts_acme_order *o, const char *why)
{
	snprintf(o->error, sizeof(o->error), "acme: %s: %s",
		 step_names[o->step], why);
	set_step(o, STEP_FAILED);
}

static void fail_with(struct ts_acme_order *o, int err)
{
	fail(o, err == -EBADMSG ? "the server's answer makes no sense"
				: ts_strerror(err));
}

static void next_authz(struct ts_acme_order *o)
{
	ts_acme_authz_deinit(&o->authz);
	o->authz_at++;
	set_step(o, o->authz_at < o->order.authz_count ? STEP_AUTHZ
						       : STEP_WAIT_READY);
}

/* -- answers, by step ----------------------------------------------------- */

static void take_directory(struct ts_acme_order *o,
			   const struct ts_acme_reply *r)
{
	int err = ts_acme_read_directory(r->body, r->len, o->base,
					 &o->directory);

	if (err)
		fail_with(o, err);
	else
		set_step(o, STEP_ACCOUNT);
}

static void take_account(struct ts_acme_order *o, const struct ts_acme_reply *r)
{
	if (!ts_acme_url_is_fine(r->location, o->base)) {
		fail_with(o, -EBADMSG);
		return;
	}
	if (!ts_acme_account_is_valid(r->body, r->len)) {
		fail(o, "the account is not valid (any more): remove "
			"acme-account.key.pem to have a new one");
		return;
	}
	free(o->kid);
	o->kid = strdup(r->location);
	if (o->kid)
		set_step(o, STEP_ORDER);
	else
		fail_with(o, -ENOMEM);
}

/* false: it has failed. */
static bool read_order(struct ts_acme_order *o, const struct ts_acme_reply *r)
{
	struct ts_acme_order_answer answer;
	int err = ts_acme_read_order(r->body, r->len, o->base, &answer);

	if (err) {
		fail_with(o, err);
		return false;
	}
	ts_acme_order_answer_deinit(&o->order);
	o->order = answer;
	return true;
}

static void take_order(struct ts_acme_order *o, const struct ts_acme_reply *r)
{
	if (!ts_acme_url_is_fine(r->location, o->base)) {
		fail_with(o, -EBADMSG);
		return;
	}
	if (!read_order(o, r))
		return;
	free(o->url);
	o->url = strdup(r->location);
	o->authz_at = 0;
	if (!o->url)
		fail_with(o, -ENOMEM);
	else if (o->order.status == TS_ACME_PENDING)
		set_step(o, STEP_AUTHZ);
	else if (o->order.status == TS_ACME_READY)
		set_step(o, STEP_FINALIZE);
	else
		fail_with(o, -EBADMSG);
}

static const char *plain_domain(const struct ts_acme_order *o)
{
	return strncmp(o->domain, "*.", 2) == 0 ? o->domain + 2 : o->domain;
}

static const char *challenge_of(const struct ts_acme_order *o)
{
	return o->by_alpn ? "tls-alpn-01" : "dns-01";
}

static void ask_for_proof(struct ts_acme_order *o)
{
	int err = ts_acme_challenge_digest(o->account, o->authz.token,
					   o->digest);

	free(o->record);
	o->record = ts_acme_dns_record(o->account, o->authz.token);
	snprintf(o->record_name, sizeof(o->record_name), "_acme-challenge.%s",
		 plain_domain(o));
	if (!err && o->record)
		set_step(o, STEP_PROOF);
	else
		fail_with(o, -ENOMEM);
}

static void tell_not_offered(struct ts_acme_order *o)
{
	char why[64];

	snprintf(why, sizeof(why), "%s challenge not offered", challenge_of(o));
	fail(o, why);
}

static void take_authz(struct ts_acme_order *o, const struct ts_acme_reply *r)
{
	int err;

	ts_acme_authz_deinit(&o->authz);
	err = ts_acme_read_authz(r->body, r->len, o->base, challenge_of(o),
				 &o->authz);
	if (err)
		fail_with(o, err);
	else if (strcasecmp(o->authz.domain, plain_domain(o)) != 0)
		fail(o, "the server asks about another name");
	else if (o->authz.status == TS_ACME_VALID)
		next_authz(o);
	else if (o->authz.status != TS_ACME_PENDING)
		fail(o, o->authz.words[0] ? o->authz.words : "refused");
	else if (!o->authz.url)
		tell_not_offered(o);
	else if (o->authz.is_accepted)
		next_authz(o);
	else
		ask_for_proof(o);
}

static void wait_more(struct ts_acme_order *o, const struct ts_acme_reply *r,
		      uint64_t now_ms, int64_t now_unix)
{
	int64_t asked_s = ts_retry_after_s(r->retry_after, now_unix);
	uint64_t wait_ms = POLL_MIN_MS;

	if (asked_s > POLL_MAX_MS / 1000)
		wait_ms = POLL_MAX_MS;
	else if (asked_s > 0)
		wait_ms = (uint64_t)asked_s * 1000;
	o->next_ms = now_ms + wait_ms;
}

static void take_progress(struct ts_acme_order *o,
			  const struct ts_acme_reply *r, uint64_t now_ms,
			  int64_t now_unix)
{
	if (!read_order(o, r))
		return;
	switch (o->order.status) {
	case TS_ACME_READY:
		if (o->step == STEP_WAIT_READY)
			set_step(o, STEP_FINALIZE);
		else
			wait_more(o, r, now_ms, now_unix);
		break;
	case TS_ACME_VALID:
		if (o->key)
			set_step(o, STEP_DOWNLOAD);
		else /* for a key that is not ours */
			fail_with(o, -EBADMSG);
		break;
	case TS_ACME_INVALID:
		if (o->step == STEP_WAIT_READY && !o->order.words[0]) {
			o->authz_at = 0;
			set_step(o, STEP_WHY);
		} else {
			fail(o, o->order.words[0] ? o->order.words
						  : "the order was refused");
		}
		break;
	default:
		if (o->step == STEP_FINALIZE)
			set_step(o, STEP_WAIT_VALID);
		wait_more(o, r, now_ms, now_unix);
	}
}

static void take_reason(struct ts_acme_order *o, const struct ts_acme_reply *r)
{
	struct ts_acme_authz authz;
	char words[TS_ACME_WORDS_CAP] = "";

	if (ts_acme_read_authz(r->body, r->len, o->base, challenge_of(o),
			       &authz) == 0) {
		memcpy(words, authz.words, sizeof(words));
		ts_acme_authz_deinit(&authz);
	}
	if (words[0])
		fail(o, words);
	else if (++o->authz_at >= o->order.authz_count)
		fail(o, "the server found the order invalid");
}

static void take_chain(struct ts_acme_order *o, const struct ts_acme_reply *r,
		       int64_t now_unix)
{
	o->pair.chain_pem = ts_cert_chain_read(r->body, r->len);
	o->pair.key_pem = ts_acme_key_write(o->key);
	if (!o->pair.key_pem)
		fail_with(o, -ENOMEM);
	else if (!o->pair.chain_pem)
		fail_with(o, -EBADMSG);
	else if (ts_cert_check(&o->pair, o->domain, NULL, now_unix) !=
		 TS_CERT_FINE)
		fail(o, "the certificate is not the one that was asked for (or "
			"our clock is wrong)");
	else
		set_step(o, STEP_DONE);
}

static void take_success(struct ts_acme_order *o,
			 const struct ts_acme_reply *r, uint64_t now_ms,
			 int64_t now_unix)
{
	switch (o->step) {
	case STEP_DIRECTORY:
		take_directory(o, r);
		break;
	case STEP_ACCOUNT:
		take_account(o, r);
		break;
	case STEP_ORDER:
		take_order(o, r);
		break;
	case STEP_AUTHZ:
		take_authz(o, r);
		break;
	case STEP_ACCEPT:
		next_authz(o);
		break;
	case STEP_WAIT_READY:
	case STEP_FINALIZE:
	case STEP_WAIT_VALID:
		take_progress(o, r, now_ms, now_unix);
		break;
	case STEP_WHY:
		take_reason(o, r);
		break;
	case STEP_DOWNLOAD:
		take_chain(o, r, now_unix);
		break;
	default:
		break;
	}
}

/* -- what failed ---------------------------------------------------------- */

static void try_again(struct ts_acme_order *o, const char *why, int64_t wait_s,
		      uint64_t now_ms)
{
	uint64_t wait_ms = RETRY_FIRST_MS;

	if (++o->tries >= TRIES_MAX) {
		fail(o, why);
		return;
	}
	wait_ms <<= o->tries - 1;
	if (wait_s > POLL_MAX_MS / 1000)
		wait_ms = POLL_MAX_MS;
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
		fail(o, problem.words);
	} else if (r->status >= 500) {
		try_again(o, problem.words, asked_s, now_ms);
	} else if (o->step == STEP_ORDER && o->replaces) {
		log_debug("acme: %s: not as a renewal: %s", o->domain,
			  problem.words);
		free(o->replaces);
		o->replaces = NULL;
	} else {
		fail(o, problem.words);
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
	if (o->step >= STEP_DONE)
		return;
	note_nonce(o, reply);
	if (reply->status == 0)
		try_again(o, reply->error, 0, now_ms);
	else if (!is_success)
		take_problem(o, reply, now_ms, now_unix);
	else if (!was_nonce)
		take_success(o, reply, now_ms, now_unix);
	else if (!o->nonce[0])
		fail(o, "the server gives no nonce");
}

void ts_acme_order_proof_reply(struct ts_acme_order *o, const char *error)
{
	o->is_waiting = false;
	if (o->step != STEP_PROOF)
		return;
	if (error)
		fail(o, error);
	else
		set_step(o, STEP_ACCEPT);
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
	case STEP_ACCOUNT:
		return o->directory.new_account;
	case STEP_ORDER:
		return o->directory.new_order;
	case STEP_AUTHZ:
	case STEP_WHY:
		return o->order.authz[o->authz_at];
	case STEP_ACCEPT:
		return o->authz.url;
	case STEP_FINALIZE:
		return o->order.finalize;
	case STEP_DOWNLOAD:
		return o->order.certificate;
	default:
		return o->url;
	}
}

/* Heap; "" for what is only read. */
static char *step_payload(struct ts_acme_order *o)
{
	switch (o->step) {
	case STEP_ACCOUNT: /* one that is there already is found by its key */
		return strdup("{\"termsOfServiceAgreed\":true}");
	case STEP_ORDER:
		return order_payload(o);
	case STEP_ACCEPT:
		return strdup("{}");
	case STEP_FINALIZE:
		return finalize_payload(o);
	default:
		return strdup("");
	}
}

static void make_post(struct ts_acme_order *o, struct ts_acme_step *out)
{
	const char *kid = o->step == STEP_ACCOUNT ? NULL : o->kid;
	char *payload = step_payload(o);

	out->method = "POST";
	out->url = step_url(o);
	if (o->step == STEP_DOWNLOAD) {
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
	if (o->step == STEP_DIRECTORY) {
		out->method = "GET";
		out->url = o->base;
	} else if (!o->nonce[0]) {
		o->wants_nonce = true;
		out->method = "HEAD";
		out->url = o->directory.new_nonce;
	} else {
		make_post(o, out);
	}
	if (out->body || o->step == STEP_DIRECTORY || o->wants_nonce)
		return;
	o->is_waiting = false;
	fail_with(o, -ENOMEM);
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
	if (o->step < STEP_DONE && now_ms >= o->end_ms)
		fail(o, "it takes too long");
	if (o->step == STEP_DONE)
		out->kind = TS_ACME_DONE;
	else if (o->step == STEP_FAILED)
		out->kind = TS_ACME_FAILED;
	else if (o->is_waiting || now_ms < o->next_ms)
		return;
	else if (o->step != STEP_PROOF)
		make_call(o, out);
	else
		want_proof(o, out);
}

uint64_t ts_acme_order_deadline_ms(const struct ts_acme_order *o)
{
	if (o->step >= STEP_DONE)
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
