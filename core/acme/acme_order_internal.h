/* SPDX-License-Identifier: BSD-3-Clause
 * acme_order_internal.h - an order, as its files share it
 *
 *   acme_order   its requests, in turn; what fails and is tried again
 *   acme_answer  what an answer without an error says, by step
 */
#ifndef CORE_ACME_ACME_ORDER_INTERNAL_H
#define CORE_ACME_ACME_ORDER_INTERNAL_H

#include "core/acme/acme_json.h"
#include "core/acme/acme_jws.h"
#include "core/acme/acme_order.h"

enum {
	ACME_POLL_MAX_MS = 30000,
	ACME_ERROR_CAP = TS_ACME_WORDS_CAP + 64,
	ACME_RECORD_NAME_CAP = 300,
};

enum ts_acme_order_step {
	ACME_STEP_DIRECTORY,
	ACME_STEP_ACCOUNT,
	ACME_STEP_ORDER,
	ACME_STEP_AUTHZ,
	ACME_STEP_PROOF,
	ACME_STEP_ACCEPT,
	ACME_STEP_WAIT_READY,
	ACME_STEP_WHY, /* it failed: which authorization did, and why? */
	ACME_STEP_FINALIZE,
	ACME_STEP_WAIT_VALID,
	ACME_STEP_DOWNLOAD,
	ACME_STEP_DONE,
	ACME_STEP_FAILED,
};

struct ts_acme_order {
	const struct ts_acme_key *account;
	char *base, *domain;
	bool by_alpn;
	char *replaces; /* NULL: nothing, or the server does not want it */
	enum ts_acme_order_step step;
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
	char record_name[ACME_RECORD_NAME_CAP];
	char *record;
	uint8_t digest[TS_SHA256_LEN];
	struct ts_acme_key *key; /* of the certificate */
	struct ts_cert_pair pair;
	char error[ACME_ERROR_CAP];
	bool is_limited;
	int64_t retry_after_s;
};

void ts_acme_order_set_step(struct ts_acme_order *o,
			    enum ts_acme_order_step next);
/* The order has failed. */
void ts_acme_order_fail(struct ts_acme_order *o, const char *why);
void ts_acme_order_fail_with(struct ts_acme_order *o, int err);

/* -- acme_answer.c -------------------------------------------------------- */
void ts_acme_order_take_success(struct ts_acme_order *o,
				const struct ts_acme_reply *r, uint64_t now_ms,
				int64_t now_unix);

#endif
