/* SPDX-License-Identifier: BSD-3-Clause
 * dns_service_internal.h - what the files of the name server share
 *
 *   dns_service  where it is found, the system's name servers, begin and end
 *   dns_ask      a query, from where it comes to its answer
 */
#ifndef CORE_HOST_DNS_SERVICE_INTERNAL_H
#define CORE_HOST_DNS_SERVICE_INTERNAL_H

#include "core/dns/dns_cache.h"
#include "core/host/dns_forward.h"
#include "core/host/dns_service.h"
#include "core/host/resolv_conf.h"

struct ts_dns_service {
	struct ts_host *host;
	bool intercepts;
	struct ts_resolv_conf conf;
	struct ts_dns_resolvers *system;
	struct ts_dns_forwarder forwarder;
	struct {
		struct ts_dns_cache *cache;
		unsigned round; /* of its routes, when that was filled */
	} of[TS_HOST_NODES_MAX];
	struct ts_link asks; /* by end_ms */
	size_t ask_count;
	struct ts_timer *timer;	     /* of those that wait */
	struct ts_timer *conf_timer; /* looks at resolv.conf */
};

/* -- dns_ask.c ------------------------------------------------------------ */
void ts_dns_asks_look(void *service); /* the timer: who has waited too long? */
void ts_dns_asks_end(struct ts_dns_service *s); /* all, without an answer */

#endif
