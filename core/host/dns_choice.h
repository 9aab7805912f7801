/* SPDX-License-Identifier: BSD-3-Clause
 * dns_choice.h - of several nodes: whose tailnet answers a query
 */
#ifndef CORE_HOST_DNS_CHOICE_H
#define CORE_HOST_DNS_CHOICE_H

#include "core/host/host_internal.h"

/* The first that has the most to say. It may have nothing at all: then it is
 * the first, and a matter of the system's name servers. */
struct ts_member *ts_dns_choose(struct ts_host *host, const uint8_t *query,
				size_t len);
/* A query for the name of a stand-in: the length of its answer, in the host's
 * scratch; 0: it is another one. */
size_t ts_dns_answer_stand_in(struct ts_host *host, const uint8_t *query,
			      size_t len);
/* member's answer for a program that has all nodes: a copy in the scratch, with
 * stand-ins for addresses that would lead elsewhere. false: there is no room
 * for them. */
bool ts_dns_tell_stand_ins(struct ts_member *member, const uint8_t *query,
			   size_t query_len, const uint8_t *answer, size_t len);

#endif
