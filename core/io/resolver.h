/* SPDX-License-Identifier: BSD-3-Clause
 * resolver.h - names of the host's network, without blocking (c-ares)
 */
#ifndef CORE_IO_RESOLVER_H
#define CORE_IO_RESOLVER_H

#include <stddef.h>

#include "core/base/addr.h"
#include "core/loop/loop.h"

struct ts_resolver;
struct ts_resolver *ts_resolver_new(struct ts_loop *loop);
void ts_resolver_free(struct ts_resolver *r); /* cancels silently */
/* error: NULL on success. fn is always called later, never inside. */
typedef void (*ts_resolve_fn)(void *ctx, const char *error,
			      const struct ts_ip *ips, size_t count);
struct ts_resolve; /* handle, for cancelling */
struct ts_resolve *ts_resolver_lookup(struct ts_resolver *r, const char *name,
				      ts_resolve_fn fn, void *ctx);
void ts_resolve_cancel(struct ts_resolve *q);

#endif
