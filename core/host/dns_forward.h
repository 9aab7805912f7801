/* SPDX-License-Identifier: BSD-3-Clause
 * dns_forward.h - DNS queries to the system's name servers
 */
#ifndef CORE_HOST_DNS_FORWARD_H
#define CORE_HOST_DNS_FORWARD_H

#include "core/host/dns_service.h"
#include "core/host/host_internal.h"
#include "core/host/resolv_conf.h"

enum { DNS_FORWARDS_MAX = 512 };

struct ts_dns_forward; /* one query on its way */

struct ts_dns_forwarder {
	struct ts_host *host;
	const struct ts_resolv_conf *conf;
	size_t count;
};

/* wants_all: an answer that was cut off is asked for again by TCP. fn is called
 * once, never from inside; without an answer (NULL, 0) when no server gave one.
 * NULL: too many on their way, or out of memory. */
struct ts_dns_forward *ts_dns_forward_start(struct ts_dns_forwarder *f,
					    const uint8_t *query, size_t len,
					    bool wants_all,
					    ts_dns_answer_fn fn, void *ctx);
void ts_dns_forward_cancel(struct ts_dns_forward *q); /* NULL is fine */

#endif
