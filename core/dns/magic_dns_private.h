/* SPDX-License-Identifier: BSD-3-Clause
 * magic_dns_private.h - what magic_dns.c and magic_answer.c share
 */
#ifndef CORE_DNS_MAGIC_DNS_PRIVATE_H
#define CORE_DNS_MAGIC_DNS_PRIVATE_H

#include "core/dns/magic_dns.h"
#include "core/dns/name_table.h"

/* A node of the tailnet, ourselves included. */
struct ts_dns_node {
	struct ts_name_entry entry; /* all of its addresses */
	int64_t id;
	unsigned round; /* of set_config(), when it was seen last */
};

struct ts_magic_dns {
	struct ts_name_table nodes_by_name;
	struct ts_key_map nodes_by_id;
	struct ts_key_map nodes_by_ip;
	unsigned round;
	int64_t self_id;

	/* from the DNS configuration; replaced as a whole */
	struct ts_name_table records_by_name;
	struct ts_name_entry *records;
	size_t record_count;
	char **search_domains;
	size_t search_domain_count;
	char **local_zones; /* an unknown name below one is NXDOMAIN */
	size_t local_zone_count;
	char *suffix; /* of our own tailnet; NULL: not known */
	bool is_on;   /* Proxied: MagicDNS for DNS queries */
	bool has_empty_routes;
	bool accepts; /* more than records and nodes */
	bool is_expired;
	bool self_has_v4, self_has_v6, wants_aaaa;
};

/* The zone that we answer for and that holds name, or NULL. */
const char *ts_magic_dns_zone(const struct ts_magic_dns *dns, const char *name);

/* The addresses of one full name as DNS serves them. Peers that have both
 * families show only IPv4 unless the tailnet asked for more. */
enum ts_dns_answer ts_magic_dns_serve(const struct ts_magic_dns *dns,
				      const char *name, bool want_v4,
				      bool want_v6, struct ts_dns_result *out);

#define MAGIC_DNS_SYMBOLIC_NAME "magicdns.localhost-tailscale-daemon"

#endif
