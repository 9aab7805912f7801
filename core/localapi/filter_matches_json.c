/* SPDX-License-Identifier: BSD-3-Clause
 * filter_matches_json.c - the packet filter's rules as filtertype.Match
 *
 * Which knows prefixes only: a range becomes the fewest that are just it.
 * Source: wgengine/filter/filtertype/filtertype.go, wgengine/filter/tailcfg.go
 */
#include <netinet/in.h>

#include "core/localapi/localapi_internal.h"

typedef unsigned __int128 wide;

enum { IP_BITS = 128, MAPPED_BITS = 96 };

static wide to_wide(const struct ts_ip *ip)
{
	wide v = 0;

	for (size_t i = 0; i < TS_IP_LEN; i++)
		v = v << 8 | ip->bytes[i];
	return v;
}

static struct ts_ip to_ip(wide v)
{
	struct ts_ip ip;

	for (size_t i = TS_IP_LEN; i-- > 0; v >>= 8)
		ip.bytes[i] = (uint8_t)v;
	return ip;
}

static void add_prefix(json_t *list, const struct ts_prefix *prefix)
{
	char text[TS_PREFIX_TEXT_CAP];

	json_array_append_new(list,
			      json_string(ts_prefix_format(prefix, text)));
}

/* How many bits of first may be free, so that all of it is up to last. */
static int free_bits(wide first, wide last, int most)
{
	int bits = 0;

	while (bits < most && !(first >> bits & 1) &&
	       last - first >= ((wide)2 << bits) - 1)
		bits++;
	return bits;
}

static void add_range(json_t *list, const struct ts_ip *from,
		      const struct ts_ip *to)
{
	bool is_v4 = ts_ip_is_v4(from);
	int most = is_v4 ? IP_BITS - MAPPED_BITS : IP_BITS - 1;
	wide first = to_wide(from), last = to_wide(to);

	/* From one family to the other would be more than anybody can write. */
	while (is_v4 == ts_ip_is_v4(to) && first <= last) {
		int bits = free_bits(first, last, most);
		struct ts_prefix prefix = {
			.ip = to_ip(first), .bits = (uint8_t)(IP_BITS - bits)};

		add_prefix(list, &prefix);
		if (last - first < (wide)1 << bits)
			break;
		first += (wide)1 << bits;
	}
}

static void add_nets(json_t *list, bool is_range,
		     const struct ts_prefix *prefix, const struct ts_ip *first,
		     const struct ts_ip *last)
{
	if (is_range)
		add_range(list, first, last);
	else
		add_prefix(list, prefix);
}

static json_t *nets_of(const struct ts_filter_dst *dst)
{
	json_t *nets = json_array();

	add_nets(nets, dst->is_range, &dst->prefix, &dst->first, &dst->last);
	return nets;
}

static void set_sources(json_t *out, const struct ts_filter_rule *rule)
{
	json_t *nets = json_array(), *caps = json_array();

	for (size_t i = 0; i < rule->src_count; i++) {
		const struct ts_filter_src *src = &rule->srcs[i];

		if (src->node_cap)
			json_array_append_new(caps, json_string(src->node_cap));
		else
			add_nets(nets, src->is_range, &src->prefix,
				 &src->first, &src->last);
	}
	json_object_set_new(out, "Srcs", nets);
	json_object_set_new(out, "SrcCaps", caps);
}

static json_t *destinations(const struct ts_filter_rule *rule)
{
	json_t *list = json_array();

	for (size_t i = 0; !rule->grant_caps && i < rule->dst_count; i++) {
		const struct ts_filter_dst *dst = &rule->dsts[i];
		json_t *nets = nets_of(dst), *net;
		size_t n;

		json_array_foreach (nets, n, net)
			json_array_append_new(
				list,
				json_pack("{s:O, s:{s:i, s:i}}", "Net", net,
					  "Ports", "First",
					  (int)dst->ports.first, "Last",
					  (int)dst->ports.last));
		json_decref(nets);
	}
	return list;
}

static json_t *grants(const struct ts_filter_rule *rule)
{
	json_t *list = json_array(), *values;
	const char *cap;

	for (size_t i = 0; rule->grant_caps && i < rule->dst_count; i++) {
		json_t *nets = nets_of(&rule->dsts[i]), *net;
		size_t n;

		json_array_foreach (nets, n, net)
			json_object_foreach (rule->grant_caps, cap, values)
				json_array_append_new(
					list, json_pack("{s:O, s:s, s:O}",
							"Dst", net, "Cap", cap,
							"Values", values));
		json_decref(nets);
	}
	return list;
}

static json_t *protos(const struct ts_filter_rule *rule)
{
	json_t *list;

	if (rule->proto_count == 0)
		return json_pack("[i, i, i, i]", IPPROTO_TCP, IPPROTO_UDP,
				 IPPROTO_ICMP, IPPROTO_ICMPV6);
	list = json_array();
	for (size_t i = 0; i < rule->proto_count; i++)
		json_array_append_new(list, json_integer(rule->protos[i]));
	return list;
}

json_t *localapi_filter_matches(const struct ts_netmap *map)
{
	json_t *list = json_array();

	for (size_t i = 0; i < map->filter_rule_count; i++) {
		const struct ts_filter_rule *rule = &map->filter[i];
		json_t *out = json_object();

		json_object_set_new(out, "IPProto", protos(rule));
		set_sources(out, rule);
		json_object_set_new(out, "Dsts", destinations(rule));
		json_object_set_new(out, "Caps", grants(rule));
		json_array_append_new(list, out);
	}
	return list;
}

void localapi_debug_filter_matches(const struct localapi_call *call)
{
	const struct ts_netmap *map = ts_node_netmap(call->node);

	if (map->self)
		localapi_reply_json(call, 200, localapi_filter_matches(map));
	else
		localapi_reply_error(call, 404, "no netmap");
}
