/* SPDX-License-Identifier: BSD-3-Clause
 * dns_service.h - the name server at 100.100.100.100
 *
 * One DNS query in, one answer out: the tailnet's names from the netmap, those
 * that it routes from its resolvers, all others from the system's name servers.
 */
#ifndef CORE_HOST_DNS_SERVICE_H
#define CORE_HOST_DNS_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"

struct ts_host;
struct ts_host_config;
struct ts_member;
struct ts_entry;

/* answer is good for the call only; NULL and 0: there is none to give. */
typedef void (*ts_dns_answer_fn)(void *ctx, const uint8_t *answer, size_t len);

int ts_dns_service_open(struct ts_host *host,
			const struct ts_host_config *config);
/* For one node more, whose own questions come here, too. */
int ts_dns_service_add(struct ts_member *member);
/* That one has been exchanged. */
void ts_dns_service_enter_node(struct ts_member *member);
void ts_dns_service_close(struct ts_host *host);
/* Is what is sent to at a query for us? Port 53 of the service addresses, and
 * of the system's name servers with dns = intercept. */
bool ts_dns_service_owns(const struct ts_host *host, const struct ts_addr *at);
/* A query that came as a datagram; only: by that node's tailnet, NULL: by all
 * of them. fn is called once, perhaps before this returns, and within about
 * 10 s. */
void ts_dns_service_ask(struct ts_host *host, struct ts_member *only,
			const uint8_t *query, size_t len, ts_dns_answer_fn fn,
			void *ctx);
/* The same with room for answers of any length. */
void ts_dns_service_ask_all(struct ts_host *host, struct ts_member *only,
			    const uint8_t *query, size_t len,
			    ts_dns_answer_fn fn, void *ctx);
/* fn of all that ctx asked will not be called any more. */
void ts_dns_service_cancel(struct ts_host *host, const void *ctx);
/* The netmap is there, or will never be. */
void ts_dns_service_node_changed(struct ts_host *host);

/* -- dns_stream.c --------------------------------------------------------- */
/* A program's connection to the name server: owns fd and entry from here, in
 * every case. only: as in ts_dns_service_ask(). */
void ts_dns_stream_start(struct ts_host *host, struct ts_member *only, int fd,
			 struct ts_entry *entry);
void ts_dns_streams_close(struct ts_host *host);

#endif
