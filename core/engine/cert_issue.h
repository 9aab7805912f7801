/* SPDX-License-Identifier: BSD-3-Clause
 * cert_issue.h - questions to the CA: a certificate, and when to renew one
 */
#ifndef CORE_ENGINE_CERT_ISSUE_H
#define CORE_ENGINE_CERT_ISSUE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/acme/acme_order.h"
#include "core/node/cert_report.h"

struct ts_engine;
struct cert_issue;
struct cert_window;

/* error NULL: here is the pair, which is the callee's. */
struct cert_outcome {
	struct ts_cert_pair pair;
	const char *error;
	bool is_limited; /* by the CA, for so many seconds (0: unknown) */
	int64_t retry_after_s;
};
typedef void (*cert_issue_fn)(void *ctx, struct cert_outcome *outcome);

struct cert_issue_want {
	const char *domain;
	const char *replaces; /* the ARI ID of what is renewed, or NULL */
	enum ts_cert_challenge challenge;
};
/* fn is called once, never inside. NULL: err says why. */
struct cert_issue *cert_issue_start(struct ts_engine *engine,
				    const struct cert_issue_want *want,
				    cert_issue_fn fn, void *ctx,
				    char err[static 256]);
/* What the CA is to be shown by TLS now; NULL: nothing. */
const struct ts_cert_pair *cert_issue_proof(const struct cert_issue *issue);
void cert_issue_cancel(struct cert_issue *issue); /* NULL is fine */

/* RFC 9773: when the CA wants it renewed (0: it does not say). fn as above. */
typedef void (*cert_window_fn)(void *ctx, int64_t first, int64_t last);
struct cert_window *cert_window_ask(struct ts_engine *engine,
				    const char *ari_id, cert_window_fn fn,
				    void *ctx);
void cert_window_cancel(struct cert_window *window); /* NULL is fine */

#endif
