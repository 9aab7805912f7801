/* SPDX-License-Identifier: BSD-3-Clause
 * peerapi_dns_text.h - names for people who ask our PeerAPI
 *
 * "/dns-query?q=NAME&t=TYPE", answered in JSON: no standard, but upstream's way
 * to look by hand. Source: ipn/ipnlocal/peerapi.go (dnsQueryForName,
 * writePrettyDNSReply)
 */
#ifndef CORE_HOST_PEERAPI_DNS_TEXT_H
#define CORE_HOST_PEERAPI_DNS_TEXT_H

#include "core/dns/dns_wire.h"
#include "core/host/peerapi_request.h"

/* The query that is meant; t= is aaaa or txt, all else is A. Its length;
 * -ENOENT: there is no q=, or it is no GET; -EBADMSG: no name. */
int ts_peerapi_dns_question(const struct ts_peerapi_request *req,
			    uint8_t out[static DNS_PLAIN_QUERY_CAP]);
/* What the answer says: a list of texts, null for none, or an object with an
 * Error. Heap, with a newline; NULL: out of memory. */
char *ts_peerapi_dns_text(const uint8_t *answer, size_t len);

#endif
