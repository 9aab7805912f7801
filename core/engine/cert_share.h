/* SPDX-License-Identifier: BSD-3-Clause
 * cert_share.h - certificates that several replicas show, in Secrets of their own
 */
#ifndef CORE_ENGINE_CERT_SHARE_H
#define CORE_ENGINE_CERT_SHARE_H

#include <stdbool.h>

#include "core/state/kube_cert.h"

struct ts_engine;
struct cert_share; /* one question */

/* This name's are read there, and, by the replica that writes, put there. A
 * wildcard's name is none that a Secret can have. */
bool cert_share_is_on(const struct ts_engine *engine, const char *domain);
/* This replica obtains none. */
bool cert_share_only_reads(const struct ts_engine *engine);

/* cert NULL: error says why; both NULL: there is none, or it was written. */
typedef void (*cert_share_fn)(void *ctx, const struct ts_kube_cert *cert,
			      const char *error);
/* fn is called once, never inside. NULL: it cannot be asked; the log says
 * why. */
struct cert_share *cert_share_read(struct ts_engine *engine,
				   const char *domain, cert_share_fn fn,
				   void *ctx);
struct cert_share *cert_share_write(struct ts_engine *engine,
				    const char *domain,
				    const struct ts_kube_cert *cert,
				    cert_share_fn fn, void *ctx);
void cert_share_cancel(struct cert_share *share); /* NULL is fine */

#endif
