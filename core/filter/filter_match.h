/* SPDX-License-Identifier: BSD-3-Clause
 * filter_match.h - the netmap's rules, compiled for one address family
 */
#ifndef CORE_FILTER_FILTER_MATCH_H
#define CORE_FILTER_FILTER_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/filter/ip_set.h"
#include "core/model/netmap.h"

struct ts_match_table;

/* What of a rule has to fit, beside its sources. */
enum ts_match_kind {
	TS_MATCH_PORT,      /* protocol, address and port */
	TS_MATCH_ADDRESS,   /* address alone: ICMP */
	TS_MATCH_ALL_PORTS, /* protocol and address, of a rule for all ports */
};

struct ts_match_query {
	const struct ts_ip *src, *dst;
	uint16_t port;
	uint8_t proto;
	const struct ts_peer *sender; /* for cap: sources; NULL: none apply */
};

/* Destinations outside local can never be asked for and are left out. NULL
 * when out of memory. The table keeps nothing of rules. */
struct ts_match_table *ts_match_table_new(const struct ts_filter_rule *rules,
					  size_t rule_count,
					  enum ts_ip_family family,
					  const struct ts_ip_set *local);
void ts_match_table_free(struct ts_match_table *table);
bool ts_match_table_allows(const struct ts_match_table *table,
			   const struct ts_match_query *query,
			   enum ts_match_kind kind);

/* A source or destination as a range; false for cap: and for nonsense. */
bool ts_filter_src_range(const struct ts_filter_src *src,
			 struct ts_ip_range *out);
bool ts_filter_dst_range(const struct ts_filter_dst *dst,
			 struct ts_ip_range *out);

#endif
