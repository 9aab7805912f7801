/* SPDX-License-Identifier: BSD-3-Clause
 * name_lookup.h - RESOLVE, REVERSE and DNS, by the tailnet's resolvers
 */
#ifndef CORE_HOST_NAME_LOOKUP_H
#define CORE_HOST_NAME_LOOKUP_H

#include "core/host/host_internal.h"

struct ts_name_lookup;
/* rep, and what it points to, is good for the call only. The look-up is over. */
typedef void (*ts_name_lookup_fn)(void *ctx,
				  const struct ts_broker_reply *rep);

/* For a request that the netmap cannot answer. fn is called once, within some
 * ten seconds and never from inside. NULL: the tailnet's resolvers have nothing
 * to do with it (or there is no memory). */
struct ts_name_lookup *
ts_name_lookup_start(struct ts_host *host, const struct ts_broker_request *req,
		     ts_name_lookup_fn fn, void *ctx);
void ts_name_lookup_cancel(struct ts_name_lookup *l); /* NULL is fine */

#endif
