/* SPDX-License-Identifier: BSD-3-Clause
 * magic_dns.h - names of the tailnet, looked up in the netmap
 *
 * Source: net/dns/resolver/tsdns.go, ipn/ipnlocal/node_backend.go; PROTOCOL 11
 */
#ifndef CORE_DNS_MAGIC_DNS_H
#define CORE_DNS_MAGIC_DNS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/model/netmap.h"

struct ts_magic_dns;

enum { TS_DNS_NAME_CAP = 256, TS_MAGIC_DNS_ADDRS_MAX = 8 };

struct ts_magic_dns *ts_magic_dns_new(void);
void ts_magic_dns_free(struct ts_magic_dns *dns);
/* Does the node want the tailnet's DNS (CorpDNS)? If not, records and nodes
 * are all that the next set_config() takes. */
void ts_magic_dns_accept(struct ts_magic_dns *dns, bool accepts);
/* Deltas: upsert and remove touch one node's names only. */
int ts_magic_dns_set_config(struct ts_magic_dns *dns,
			    const struct ts_netmap *map);
int ts_magic_dns_upsert(struct ts_magic_dns *dns, const struct ts_peer *peer);
void ts_magic_dns_remove(struct ts_magic_dns *dns, const struct ts_peer *peer);

enum ts_dns_answer {
	TS_DNS_NOT_OURS, /* ask somebody else */
	TS_DNS_FOUND,	 /* addresses; count 0: exists, not in this family */
	TS_DNS_NXDOMAIN, /* under our suffix, unknown */
};
struct ts_dns_result {
	struct ts_ip addrs[TS_MAGIC_DNS_ADDRS_MAX];
	size_t count;
	char canonical[TS_DNS_NAME_CAP]; /* FQDN without trailing dot */
};
/* name: any case, with or without trailing dot; short names of our own suffix
 * and search domains count. want_v4/want_v6 choose families. For in-process
 * lookups (getaddrinfo): both families of a peer are returned if asked. */
enum ts_dns_answer ts_magic_dns_lookup(const struct ts_magic_dns *dns,
				       const char *name, bool want_v4,
				       bool want_v6,
				       struct ts_dns_result *out);
/* PTR: name without trailing dot, or NULL. */
const char *ts_magic_dns_reverse(const struct ts_magic_dns *dns,
				 const struct ts_ip *ip);
/* One DNS message in, one answer out (RFC 1035) for 100.100.100.100. Returns
 * the answer's length; 0 when the query must be forwarded instead;
 * -EBADMSG when not even a FORMERR can be made. udp: limit and TC by EDNS. */
int ts_magic_dns_answer(const struct ts_magic_dns *dns, const uint8_t *query,
			size_t len, bool udp, uint8_t *out, size_t out_cap);
const char *ts_magic_dns_suffix(const struct ts_magic_dns *dns);
/* Are there names that are neither nodes' nor below the suffix: records, routes
 * to nobody? */
bool ts_magic_dns_has_other_names(const struct ts_magic_dns *dns);
/* The tailnet's search domains, one by one; NULL: no more. */
const char *ts_magic_dns_search_domain(const struct ts_magic_dns *dns,
				       size_t i);

#endif
