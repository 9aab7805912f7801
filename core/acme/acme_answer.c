/* SPDX-License-Identifier: BSD-3-Clause
 * acme_answer.c - what an ACME server's answer is to an order, by step
 * Source: RFC 8555 (7.1 to 7.5)
 *
 * Each answer is read whole, and then leads to the next step or ends the order.
 * What the server says of names, keys and URLs is compared with what was asked
 * for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/acme/acme_order_internal.h"
#include "core/model/retry_after.h"

enum { POLL_MIN_MS = 1000 };

/* -- directory, account, order -------------------------------------------- */

static void take_directory(struct ts_acme_order *o,
			   const struct ts_acme_reply *r)
{
	int err = ts_acme_read_directory(r->body, r->len, o->base,
					 &o->directory);

	if (err)
		ts_acme_order_fail_with(o, err);
	else
		ts_acme_order_set_step(o, ACME_STEP_ACCOUNT);
}

static void take_account(struct ts_acme_order *o, const struct ts_acme_reply *r)
{
	if (!ts_acme_url_is_fine(r->location, o->base)) {
		ts_acme_order_fail_with(o, -EBADMSG);
		return;
	}
	if (!ts_acme_account_is_valid(r->body, r->len)) {
		ts_acme_order_fail(
			o, "the account is not valid (any more): remove "
			   "acme-account.key.pem to have a new one");
		return;
	}
	free(o->kid);
	o->kid = strdup(r->location);
	if (o->kid)
		ts_acme_order_set_step(o, ACME_STEP_ORDER);
	else
		ts_acme_order_fail_with(o, -ENOMEM);
}

/* false: it has failed. */
static bool read_order(struct ts_acme_order *o, const struct ts_acme_reply *r)
{
	struct ts_acme_order_answer answer;
	int err = ts_acme_read_order(r->body, r->len, o->base, &answer);

	if (err) {
		ts_acme_order_fail_with(o, err);
		return false;
	}
	ts_acme_order_answer_deinit(&o->order);
	o->order = answer;
	return true;
}

static void take_order(struct ts_acme_order *o, const struct ts_acme_reply *r)
{
	if (!ts_acme_url_is_fine(r->location, o->base)) {
		ts_acme_order_fail_with(o, -EBADMSG);
		return;
	}
	if (!read_order(o, r))
		return;
	free(o->url);
	o->url = strdup(r->location);
	o->authz_at = 0;
	if (!o->url)
		ts_acme_order_fail_with(o, -ENOMEM);
	else if (o->order.status == TS_ACME_PENDING)
		ts_acme_order_set_step(o, ACME_STEP_AUTHZ);
	else if (o->order.status == TS_ACME_READY)
		ts_acme_order_set_step(o, ACME_STEP_FINALIZE);
	else
		ts_acme_order_fail_with(o, -EBADMSG);
}

/* -- authorizations ------------------------------------------------------- */

static void next_authz(struct ts_acme_order *o)
{
	ts_acme_authz_deinit(&o->authz);
	o->authz_at++;
	ts_acme_order_set_step(o, o->authz_at < o->order.authz_count
					  ? ACME_STEP_AUTHZ
					  : ACME_STEP_WAIT_READY);
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
		ts_acme_order_set_step(o, ACME_STEP_PROOF);
	else
		ts_acme_order_fail_with(o, -ENOMEM);
}

static void tell_not_offered(struct ts_acme_order *o)
{
	char why[64];

	snprintf(why, sizeof(why), "%s challenge not offered", challenge_of(o));
	ts_acme_order_fail(o, why);
}

static void take_authz(struct ts_acme_order *o, const struct ts_acme_reply *r)
{
	int err;

	ts_acme_authz_deinit(&o->authz);
	err = ts_acme_read_authz(r->body, r->len, o->base, challenge_of(o),
				 &o->authz);
	if (err)
		ts_acme_order_fail_with(o, err);
	else if (strcasecmp(o->authz.domain, plain_domain(o)) != 0)
		ts_acme_order_fail(o, "the server asks about another name");
	else if (o->authz.status == TS_ACME_VALID)
		next_authz(o);
	else if (o->authz.status != TS_ACME_PENDING)
		ts_acme_order_fail(o, o->authz.words[0] ? o->authz.words
							: "refused");
	else if (!o->authz.url)
		tell_not_offered(o);
	else if (o->authz.is_accepted)
		next_authz(o);
	else
		ask_for_proof(o);
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
		ts_acme_order_fail(o, words);
	else if (++o->authz_at >= o->order.authz_count)
		ts_acme_order_fail(o, "the server found the order invalid");
}

/* -- the order's progress ------------------------------------------------- */

static void wait_more(struct ts_acme_order *o, const struct ts_acme_reply *r,
		      uint64_t now_ms, int64_t now_unix)
{
	int64_t asked_s = ts_retry_after_s(r->retry_after, now_unix);
	uint64_t wait_ms = POLL_MIN_MS;

	if (asked_s > ACME_POLL_MAX_MS / 1000)
		wait_ms = ACME_POLL_MAX_MS;
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
		if (o->step == ACME_STEP_WAIT_READY)
			ts_acme_order_set_step(o, ACME_STEP_FINALIZE);
		else
			wait_more(o, r, now_ms, now_unix);
		break;
	case TS_ACME_VALID:
		if (o->key)
			ts_acme_order_set_step(o, ACME_STEP_DOWNLOAD);
		else /* for a key that is not ours */
			ts_acme_order_fail_with(o, -EBADMSG);
		break;
	case TS_ACME_INVALID:
		if (o->step == ACME_STEP_WAIT_READY && !o->order.words[0]) {
			o->authz_at = 0;
			ts_acme_order_set_step(o, ACME_STEP_WHY);
		} else {
			ts_acme_order_fail(
				o, o->order.words[0] ? o->order.words
						     : "the order was refused");
		}
		break;
	default:
		if (o->step == ACME_STEP_FINALIZE)
			ts_acme_order_set_step(o, ACME_STEP_WAIT_VALID);
		wait_more(o, r, now_ms, now_unix);
	}
}

static void take_chain(struct ts_acme_order *o, const struct ts_acme_reply *r,
		       int64_t now_unix)
{
	o->pair.chain_pem = ts_cert_chain_read(r->body, r->len);
	o->pair.key_pem = ts_acme_key_write(o->key);
	if (!o->pair.key_pem)
		ts_acme_order_fail_with(o, -ENOMEM);
	else if (!o->pair.chain_pem)
		ts_acme_order_fail_with(o, -EBADMSG);
	else if (ts_cert_check(&o->pair, o->domain, NULL, now_unix) !=
		 TS_CERT_FINE)
		ts_acme_order_fail(
			o,
			"the certificate is not the one that was asked for (or "
			"our clock is wrong)");
	else
		ts_acme_order_set_step(o, ACME_STEP_DONE);
}

/* -- which of them -------------------------------------------------------- */

void ts_acme_order_take_success(struct ts_acme_order *o,
				const struct ts_acme_reply *r, uint64_t now_ms,
				int64_t now_unix)
{
	switch (o->step) {
	case ACME_STEP_DIRECTORY:
		take_directory(o, r);
		break;
	case ACME_STEP_ACCOUNT:
		take_account(o, r);
		break;
	case ACME_STEP_ORDER:
		take_order(o, r);
		break;
	case ACME_STEP_AUTHZ:
		take_authz(o, r);
		break;
	case ACME_STEP_ACCEPT:
		next_authz(o);
		break;
	case ACME_STEP_WAIT_READY:
	case ACME_STEP_FINALIZE:
	case ACME_STEP_WAIT_VALID:
		take_progress(o, r, now_ms, now_unix);
		break;
	case ACME_STEP_WHY:
		take_reason(o, r);
		break;
	case ACME_STEP_DOWNLOAD:
		take_chain(o, r, now_unix);
		break;
	default:
		break;
	}
}
