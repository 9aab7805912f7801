/* SPDX-License-Identifier: BSD-3-Clause
 * cert_store.h - where certificates and the ACME account's key are kept
 *
 * certs/ in the state directory, as tsnet has it; without one (the state is in
 * memory, or in a Secret) entries of the state under the same names.
 */
#ifndef CORE_ENGINE_CERT_STORE_H
#define CORE_ENGINE_CERT_STORE_H

#include <stdbool.h>

#include "core/acme/cert_pair.h"

struct ts_engine;

/* 0, -ENOENT (one of both is missing), or what the system said. */
int cert_store_read(struct ts_engine *engine, const char *domain,
		    struct ts_cert_pair *out);
bool cert_store_has(struct ts_engine *engine, const char *domain);
int cert_store_write(struct ts_engine *engine, const char *domain,
		     const struct ts_cert_pair *pair);
/* A chain that this system has no root for is not fit, as upstream has it, so
 * that a leftover of some test CA does not stay: unless the CA is one that was
 * chosen, or is_ours: we have got it ourselves. */
enum ts_cert_verdict cert_store_judge(const struct ts_engine *engine,
				      const struct ts_cert_pair *pair,
				      const char *domain, bool is_ours);
/* The stored one, or a new one, which is stored first. err says why not. */
int cert_store_account(struct ts_engine *engine, struct ts_acme_key **out,
		       char err[static 256]);
/* SHA-256 of its text; false: there is none. */
bool cert_store_account_hash(struct ts_engine *engine,
			     uint8_t out[static TS_SHA256_LEN]);

#endif
