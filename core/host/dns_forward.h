/* SPDX-License-Identifier: BSD-3-Clause
 * dns_forward.h - a DNS query to one or more resolvers
 */
#ifndef CORE_HOST_DNS_FORWARD_H
#define CORE_HOST_DNS_FORWARD_H

#include "core/dns/dns_routes.h"
#include "core/host/dns_service.h"
#include "core/host/host_internal.h"

enum { DNS_FORWARDS_MAX = 512, DNS_TRIES_MAX = 1024 };

struct ts_dns_forward; /* one query on its way */

struct ts_dns_forwarder {
	struct ts_host *host;
	size_t count, try_count;
};

/* is_good: an answer that may be remembered; else "I cannot", from the one who
 * said so, or nothing (NULL, 0). */
typedef void (*ts_dns_forward_fn)(void *ctx, const uint8_t *answer, size_t len,
				  bool is_good);

/* member: through whose tunnel resolvers there are asked. wants_all: an answer
 * that was cut off is asked for again by TCP. fn is called once, never from
 * inside. NULL: too many on their way, or out of memory. */
struct ts_dns_forward *ts_dns_forward_start(struct ts_dns_forwarder *f,
					    struct ts_member *member,
					    struct ts_dns_resolvers *resolvers,
					    const uint8_t *query, size_t len,
					    bool wants_all,
					    ts_dns_forward_fn fn, void *ctx);
void ts_dns_forward_cancel(struct ts_dns_forward *q); /* NULL is fine */

#endif
