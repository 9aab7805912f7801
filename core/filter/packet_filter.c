/* SPDX-License-Identifier: BSD-3-Clause
 * packet_filter.c - which packets of a peer may come in
 *
 * Theory of operation. The server sends rules that name who may reach which of
 * our addresses and ports; whatever no rule names is dropped. Rules are about
 * who starts: TCP is judged at the SYN alone, everything else of a connection
 * passes, as the stack knows its own connections. UDP has no SYN, so what we
 * send is remembered as a flow and the flow's answers pass. ICMP answers and
 * errors pass, and other ICMP does where any rule names the pair of addresses.
 *
 * Two things overrule the rules. A peer whose key the tailnet lock did not
 * sign may only reach the PeerAPI: rules that would let it in anyway mean that
 * the server is not to be trusted, and void them all. And a jailed peer, or
 * any peer while shields are up, gets answers only.
 *
 * Until the first rules arrive nothing passes in either direction.
 */
#include "core/filter/packet_filter.h"

#include <errno.h>
#include <stdlib.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/filter/filter_match.h"
#include "core/filter/flow_table.h"
#include "core/filter/grants_json.h"
#include "core/filter/ip_proto.h"
#include "core/filter/local_nets.h"

/* What one netmap's rules compile to; replaced as a whole. */
struct rules {
	struct ts_local_nets local;
	struct ts_match_table *tables[TS_FAMILY_COUNT];
	struct ts_grants *grants;
};

struct ts_filter {
	struct rules rules;
	struct ts_flow_table flows; /* outlives the rules */
	bool has_rules, is_void, are_shields_up;
};

/* The cloud's metadata and DNS service. */
static const uint32_t METADATA_IP4 = 0xa9fea9fe;

struct ts_filter *ts_filter_new(void)
{
	struct ts_filter *filter = calloc(1, sizeof(*filter));

	if (filter)
		ts_flow_table_init(&filter->flows);
	return filter;
}

static void rules_deinit(struct rules *rules)
{
	for (int f = 0; f < TS_FAMILY_COUNT; f++) {
		ts_match_table_free(rules->tables[f]);
	}
	ts_local_nets_deinit(&rules->local);
	ts_grants_free(rules->grants);
	*rules = (struct rules){0};
}

void ts_filter_free(struct ts_filter *filter)
{
	if (!filter)
		return;
	rules_deinit(&filter->rules);
	free(filter);
}

static bool
any_src_overlaps(const struct ts_filter_rule *rule,
		 const struct ts_ip_set sets[static TS_FAMILY_COUNT])
{
	struct ts_ip_range range;

	for (size_t i = 0; i < rule->src_count; i++)
		if (ts_filter_src_range(&rule->srcs[i], &range) &&
		    ts_ip_set_overlaps(&sets[ts_ip_family_of(&range.first)],
				       &range))
			return true;
	return false;
}

/* All that unsigned peers may use as a source: routes too, not only their
 * own addresses. */
static int collect_unsigned(const struct ts_netmap *map,
			    struct ts_ip_set sets[static TS_FAMILY_COUNT])
{
	const struct ts_peer *peer;
	size_t pos = 0;
	int err = 0;

	while (!err && (peer = ts_netmap_next_peer(map, &pos))) {
		if (!peer->unsigned_peerapi_only)
			continue;
		err = ts_ip_sets_add(sets, peer->addresses,
				     peer->address_count);
		if (!err)
			err = ts_ip_sets_add(sets, peer->allowed_ips,
					   peer->allowed_ip_count);
	}
	return err;
}

/* 1 when the rules let an unsigned peer in, 0, or -ENOMEM. */
static int admits_unsigned(const struct ts_netmap *map)
{
	struct ts_ip_set sets[TS_FAMILY_COUNT] = {{0}};
	int result = collect_unsigned(map, sets);

	for (size_t i = 0; i < map->filter_rule_count && result == 0; i++) {
		const struct ts_filter_rule *rule = &map->filter[i];

		if (!rule->grant_caps && rule->dst_count > 0)
			result = any_src_overlaps(rule, sets);
	}
	for (int f = 0; f < TS_FAMILY_COUNT; f++)
		ts_ip_set_deinit(&sets[f]);
	return result;
}

static int compile(struct rules *out, const struct ts_netmap *map,
		   size_t rule_count, const struct ts_local_routes *routes)
{
	int err = 0;

	if (map->self)
		err = ts_local_nets_init(&out->local, map->self->addresses,
					 map->self->address_count, routes);
	for (int f = 0; f < TS_FAMILY_COUNT && !err; f++) {
		out->tables[f] = ts_match_table_new(map->filter, rule_count,
						    (enum ts_ip_family)f,
						    &out->local.all[f]);
		err = out->tables[f] ? 0 : -ENOMEM;
	}
	if (!err) {
		out->grants = ts_grants_new(map->filter, rule_count);
		err = out->grants ? 0 : -ENOMEM;
	}
	return err;
}

int ts_filter_set(struct ts_filter *filter, const struct ts_netmap *map)
{
	return ts_filter_set_routing(filter, map, NULL);
}

int ts_filter_set_routing(struct ts_filter *filter,
			  const struct ts_netmap *map,
			  const struct ts_local_routes *routes)
{
	struct rules next = {0};
	int verdict = admits_unsigned(map);
	size_t count = verdict == 0 ? map->filter_rule_count : 0;
	int err = verdict < 0 ? verdict : compile(&next, map, count, routes);

	if (verdict > 0 && !filter->is_void)
		log_warn("filter: all %zu rules void, nothing is let in: "
			 "they would admit a peer without a signed key",
			 map->filter_rule_count);
	filter->is_void = verdict > 0;
	filter->has_rules = !err && map->has_filter;
	rules_deinit(&filter->rules);
	if (err) {
		log_error("filter: rules not compiled, everything is dropped: "
			  "%s",
			  ts_strerror(err));
		rules_deinit(&next);
		return err;
	}
	filter->rules = next;
	return 0;
}

bool ts_filter_is_void(const struct ts_filter *filter)
{
	return filter->is_void;
}

void ts_filter_set_shields(struct ts_filter *filter, bool are_up)
{
	filter->are_shields_up = are_up;
}

/* Nobody outside has business with these, whatever the rules say. */
static bool is_never_routed(const struct ts_ip *dst)
{
	if (ts_ip_is_multicast(dst))
		return true;
	return ts_ip_is_link_local(dst) && ts_ip_v4_host(dst) != METADATA_IP4;
}

bool ts_filter_is_local(const struct ts_filter *filter, const struct ts_ip *dst)
{
	return ts_local_nets_contain(&filter->rules.local, dst);
}

static bool is_restricted(const struct ts_filter *filter,
			  const struct ts_peer *sender)
{
	return filter->are_shields_up || (sender && sender->is_jailed);
}

static bool is_syn(const struct ts_packet_header *h)
{
	return h->proto == IPPROTO_TCP &&
	       (h->tcp_flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == TCP_FLAG_SYN;
}

static bool is_icmp_answer(const struct ts_packet_header *h)
{
	if (h->proto == IPPROTO_ICMP)
		return h->icmp_type == ICMP4_ECHO_REPLY ||
		       h->icmp_type == ICMP4_UNREACHABLE ||
		       h->icmp_type == ICMP4_TIME_EXCEEDED ||
		       h->icmp_type == ICMP4_PARAMETER_PROBLEM;
	return h->icmp_type == ICMP6_ECHO_REPLY_TYPE ||
	       h->icmp_type == ICMP6_UNREACHABLE ||
	       h->icmp_type == ICMP6_PACKET_TOO_BIG ||
	       h->icmp_type == ICMP6_TIME_EXCEEDED ||
	       h->icmp_type == ICMP6_PARAMETER_PROBLEM;
}

static bool is_answer(struct ts_filter *filter,
		      const struct ts_packet_header *h)
{
	struct ts_flow flow = {h->src, h->dst, h->src_port, h->dst_port,
			       h->proto};

	switch (h->proto) {
	case IPPROTO_TCP:
		return !is_syn(h);
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		return ts_flow_table_has(&filter->flows, &flow);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return is_icmp_answer(h);
	default:
		return false;
	}
}

/* ICMP of the other version has no meaning; no rule is asked about it. */
static bool icmp_fits_version(const struct ts_packet_header *h)
{
	bool is_v4 = ts_ip_is_v4(&h->dst);

	return (h->proto != IPPROTO_ICMP || is_v4) &&
	       (h->proto != IPPROTO_ICMPV6 || !is_v4);
}

static enum ts_match_kind kind_of(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
	case IPPROTO_SCTP:
		return TS_MATCH_PORT;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return TS_MATCH_ADDRESS;
	default:
		return TS_MATCH_ALL_PORTS;
	}
}

static bool rules_allow(const struct ts_filter *filter,
			const struct ts_match_query *q)
{
	enum ts_ip_family family = ts_ip_family_of(q->dst);

	return ts_ip_family_of(q->src) == family &&
	       ts_match_table_allows(filter->rules.tables[family], q,
				     kind_of(q->proto));
}

static bool is_new_allowed(const struct ts_filter *filter,
			   const struct ts_packet_header *h,
			   const struct ts_peer *sender, uint16_t peerapi_port)
{
	struct ts_match_query q = {.src = &h->src,
				   .dst = &h->dst,
				   .port = h->dst_port,
				   .proto = h->proto,
				   .sender = sender};

	if (rules_allow(filter, &q))
		return true;
	/* The PeerAPI judges its callers itself. */
	return is_syn(h) && peerapi_port != 0 && h->dst_port == peerapi_port;
}

enum ts_verdict ts_filter_in(struct ts_filter *filter,
			     const struct ts_packet_header *h,
			     const struct ts_peer *sender,
			     uint16_t own_peerapi_port)
{
	if (!filter->has_rules || is_never_routed(&h->dst))
		return TS_DROP;
	if (h->is_fragment)
		return TS_ACCEPT; /* useless without the first, judged one */
	if (!ts_filter_is_local(filter, &h->dst) || !icmp_fits_version(h))
		return TS_DROP;
	if (h->proto == TS_IPPROTO_TSMP)
		return TS_TSMP;
	if (is_answer(filter, h))
		return TS_ACCEPT;
	if (!is_restricted(filter, sender) &&
	    is_new_allowed(filter, h, sender, own_peerapi_port))
		return TS_ACCEPT;
	return is_syn(h) && ts_ip_is_v4(&h->src) ? TS_REJECT_ACL : TS_DROP;
}

enum ts_verdict ts_filter_out(struct ts_filter *filter,
			      const struct ts_packet_header *h)
{
	struct ts_flow answer = {h->dst, h->src, h->dst_port, h->src_port,
				 h->proto};

	if (!filter->has_rules || is_never_routed(&h->dst) ||
	    h->proto == TS_IPPROTO_TSMP)
		return TS_DROP;
	if (!h->is_fragment &&
	    (h->proto == IPPROTO_UDP || h->proto == IPPROTO_SCTP))
		ts_flow_table_add(&filter->flows, &answer);
	return TS_ACCEPT;
}

bool ts_filter_allows_tcp(const struct ts_filter *filter,
			  const struct ts_ip *src, const struct ts_ip *dst,
			  uint16_t port, const struct ts_peer *sender)
{
	struct ts_match_query q = {.src = src,
				   .dst = dst,
				   .port = port,
				   .proto = IPPROTO_TCP,
				   .sender = sender};

	return filter->has_rules && !is_restricted(filter, sender) &&
	       ts_filter_is_local(filter, dst) && rules_allow(filter, &q);
}

bool ts_filter_grants(const struct ts_filter *filter, const struct ts_ip *src,
		      const struct ts_ip *dst, const char *cap)
{
	return filter->has_rules &&
	       ts_grants_include(filter->rules.grants, src, dst, cap);
}

bool ts_filter_knows_cap(const struct ts_filter *filter, const char *cap)
{
	return filter->has_rules &&
	       ts_grants_know(filter->rules.grants, cap);
}

json_t *ts_filter_caps(const struct ts_filter *filter, const struct ts_ip *src,
		       const struct ts_ip *dst)
{
	return ts_grants_of(filter->has_rules ? filter->rules.grants : NULL,
			    src, dst);
}
