/* SPDX-License-Identifier: BSD-3-Clause
 * filter_rules_json.c - the packet filter's rules as tailcfg.FilterRule
 *
 * Ours are in a form that is ready to be compiled; this writes them back, in
 * names of upstream's and an order of ours.
 * Source: tailcfg/tailcfg.go (FilterRule, NetPortRange, CapGrant)
 */
#include <stdio.h>

#include "core/localapi/localapi_internal.h"

static json_t *range_text(const struct ts_ip *first, const struct ts_ip *last)
{
	char a[TS_IP_TEXT_CAP], b[TS_IP_TEXT_CAP];

	return json_sprintf("%s-%s", ts_ip_format(first, a),
			    ts_ip_format(last, b));
}

static json_t *prefix_text(const struct ts_prefix *prefix)
{
	char text[TS_PREFIX_TEXT_CAP];

	return json_string(ts_prefix_format(prefix, text));
}

static json_t *src_json(const struct ts_filter_src *src)
{
	if (src->node_cap)
		return json_sprintf("cap:%s", src->node_cap);
	return src->is_range ? range_text(&src->first, &src->last)
			     : prefix_text(&src->prefix);
}

static json_t *dst_ip(const struct ts_filter_dst *dst)
{
	return dst->is_range ? range_text(&dst->first, &dst->last)
			     : prefix_text(&dst->prefix);
}

static json_t *dst_json(const struct ts_filter_dst *dst)
{
	return json_pack("{s:o, s:{s:i, s:i}}", "IP", dst_ip(dst), "Ports",
			 "First", (int)dst->ports.first, "Last",
			 (int)dst->ports.last);
}

static json_t *grant_json(const struct ts_filter_rule *rule)
{
	json_t *dsts = json_array();

	for (size_t i = 0; i < rule->dst_count; i++)
		json_array_append_new(dsts, dst_ip(&rule->dsts[i]));
	return json_pack("[{s:o, s:O}]", "Dsts", dsts, "CapMap",
			 rule->grant_caps);
}

static json_t *rule_json(const struct ts_filter_rule *rule)
{
	json_t *out = json_object(), *srcs = json_array();
	json_t *list;

	for (size_t i = 0; i < rule->src_count; i++)
		json_array_append_new(srcs, src_json(&rule->srcs[i]));
	json_object_set_new(out, "SrcIPs", srcs);
	if (rule->grant_caps) {
		json_object_set_new(out, "CapGrant", grant_json(rule));
		return out;
	}
	list = json_array();
	for (size_t i = 0; i < rule->dst_count; i++)
		json_array_append_new(list, dst_json(&rule->dsts[i]));
	json_object_set_new(out, "DstPorts", list);
	if (rule->proto_count == 0)
		return out;
	list = json_array();
	for (size_t i = 0; i < rule->proto_count; i++)
		json_array_append_new(list, json_integer(rule->protos[i]));
	json_object_set_new(out, "IPProto", list);
	return out;
}

json_t *localapi_filter_rules(const struct ts_netmap *map)
{
	json_t *rules = json_array();

	for (size_t i = 0; i < map->filter_rule_count; i++)
		json_array_append_new(rules, rule_json(&map->filter[i]));
	return rules;
}
