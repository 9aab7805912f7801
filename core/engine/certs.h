/* SPDX-License-Identifier: BSD-3-Clause
 * certs.h - this node's TLS certificates: kept, obtained, renewed
 *
 * Whoever wants one waits until it is there: programs by the LocalAPI, clients
 * of our own TLS in their handshake. One question to the CA per name at a
 * time, and ever fewer while they fail.
 */
#ifndef CORE_ENGINE_CERTS_H
#define CORE_ENGINE_CERTS_H

#include <jansson.h>

#include "core/acme/cert_pair.h"
#include "core/host/host.h"
#include "core/node/cert_report.h"

struct ts_engine;
struct certs;
struct cert_wait;

struct cert_answer {
	const struct ts_cert_pair *pair; /* NULL: error says why not */
	const char *error;
	bool is_limited; /* the CA has had too many questions */
	int64_t retry_after_s; /* 0: unknown */
};
typedef void (*cert_answer_fn)(void *ctx, const struct cert_answer *answer);

int certs_open(struct ts_engine *engine);
/* Who waits is told so. */
void certs_close(struct ts_engine *engine);

/* One that is valid for min_validity_s more at least (0: valid now, and
 * renewed when it is time, which nobody waits for). fn is called once, never
 * inside, unless it is cancelled. NULL: out of memory, or too many wait. */
struct cert_wait *certs_get(struct ts_engine *engine, const char *domain,
			    int64_t min_validity_s, unsigned limit_ms,
			    cert_answer_fn fn, void *ctx);
void certs_cancel(struct cert_wait *wait); /* NULL is fine */
/* The node runs, has another name, or serves something else: what that needs is
 * asked for soon. Also before certs_open(). */
void certs_changed(struct ts_engine *engine);
/* A program listens behind TLS. */
void certs_listened(struct ts_engine *engine);
/* One that is used, or (obtains false) may be: it is renewed when it is time.
 * obtains: and had from the CA, where there is none. */
void certs_keep_fresh(struct ts_engine *engine, const char *domain,
		      bool obtains);
/* As in ts_node_io; ctx: the engine. */
void certs_report(void *ctx, struct ts_cert_report *out);
struct ts_cert_counts *certs_counts(struct ts_engine *engine,
				    enum ts_cert_challenge challenge);
/* tailcfg.C2NTLSCertInfo of what is stored. NULL: out of memory. */
json_t *certs_status(struct ts_engine *engine, const char *domain);

/* For TLS that the host ends; ctx: the engine. */
extern const struct ts_host_cert_ops engine_cert_ops;

#endif
