/* SPDX-License-Identifier: BSD-3-Clause
 * dns_search.h - names without dots, for programs with a resolver of their own
 *
 * Such a program appends what the system's resolv.conf has it search, and asks
 * for the bare name in the end. The tailnet's search domains are not in that
 * file: the name server looks below them, as it answers for "web" as for
 * "web.tail-scale.ts.net".
 */
#ifndef CORE_HOST_DNS_SEARCH_H
#define CORE_HOST_DNS_SEARCH_H

#include "core/host/name_lookup.h"

/* A query for addresses of a bare name that the tailnet's resolvers may know
 * below a search domain: fn as in name_lookup.h. NULL: it is another one. */
struct ts_name_lookup *ts_dns_search_start(struct ts_host *host,
					   const uint8_t *query, size_t len,
					   ts_name_lookup_fn fn, void *ctx);
/* The answer to query that rep means, into out; 0: nobody there knows it. */
size_t ts_dns_search_answer(const struct ts_broker_reply *rep,
			    const uint8_t *query, size_t len, uint8_t *out,
			    size_t cap);

#endif
