/* SPDX-License-Identifier: BSD-3-Clause
 * dns_try.h - one query to one resolver, by one way
 */
#ifndef CORE_HOST_DNS_TRY_H
#define CORE_HOST_DNS_TRY_H

#include "core/dns/dns_routes.h"
#include "core/dns/dns_wire.h"
#include "core/host/host_internal.h"

enum ts_dns_way { TS_DNS_BY_UDP, TS_DNS_BY_TCP, TS_DNS_BY_HTTP };

struct ts_dns_try;
/* msg is good for the call only. DNS_ANSWER_FOREIGN, without a message: nothing
 * has come, and nothing will. Called once and never inside the start; the try
 * is still to be freed, which this may do. */
typedef void (*ts_dns_try_fn)(struct ts_dns_try *t, void *ctx,
			      enum ts_dns_verdict verdict, uint8_t *msg,
			      size_t len);

/* query: a valid one; it is copied, and gets an ID of its own for the way.
 * NULL: this resolver cannot be asked like that. */
struct ts_dns_try *ts_dns_try_start(struct ts_member *member,
				    const struct ts_dns_upstream *up,
				    enum ts_dns_way way, const uint8_t *query,
				    size_t len, ts_dns_try_fn fn, void *ctx);
void ts_dns_try_free(struct ts_dns_try *t); /* NULL is fine */

#endif
