/* SPDX-License-Identifier: BSD-3-Clause
 * filter_json.c - read packet filter rules
 *
 * Everything that does not parse is left out, so that a mistake in one entry
 * never lets more in: an address that is no address, a prefix with host bits,
 * a protocol number that is none. Note the two traps: a protocol list whose
 * numbers are all invalid matches nothing (an empty list would mean the usual
 * four), and SrcBits or Bits anywhere, the form before prefixes, voids the
 * complete filter.
 * Source: wgengine/filter/tailcfg.go (MatchesFromFilterRules)
 */
#include "core/control/filter_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/control/scan_json.h"
#include "core/model/json_fields.h"
#include "core/model/netmap_edit.h"

#define NODE_CAP_PREFIX "cap:"

enum {
	V4_BITS_START = 96, /* of the 16-byte form */
	WILDCARD_PREFIXES = 2,
	RANGE_TEXT_CAP = 2 * TS_IP_TEXT_CAP,
	PROTO_MAX = 255,
};

/* One address pattern: up to two prefixes, or a range. */
struct pattern {
	struct ts_prefix prefixes[WILDCARD_PREFIXES];
	size_t prefix_count;
	struct ts_ip first, last;
	bool is_range;
};

static bool has_host_bits(const struct ts_prefix *prefix)
{
	for (size_t bit = prefix->bits; bit < 8 * TS_IP_LEN; bit++)
		if (prefix->ip.bytes[bit / 8] & (0x80 >> bit % 8))
			return true;
	return false;
}

static void pattern_all(struct pattern *out)
{
	out->prefixes[0] = (struct ts_prefix){TS_IP4_ZERO, V4_BITS_START};
	out->prefixes[1] = (struct ts_prefix){TS_IP_ZERO, 0};
	out->prefix_count = 2;
}

static int read_range(const char *text, const char *dash, struct pattern *out)
{
	char copy[RANGE_TEXT_CAP];
	size_t split = (size_t)(dash - text);

	if (strlen(text) >= sizeof(copy))
		return -EBADMSG;
	snprintf(copy, sizeof(copy), "%s", text);
	copy[split] = '\0';
	if (ts_ip_parse(copy, &out->first) ||
	    ts_ip_parse(copy + split + 1, &out->last) ||
	    ts_ip_is_v4(&out->first) != ts_ip_is_v4(&out->last) ||
	    memcmp(&out->first, &out->last, sizeof(out->first)) > 0)
		return -EBADMSG;
	out->is_range = true;
	return 0;
}

static int read_pattern(const char *text, struct pattern *out)
{
	const char *dash = strchr(text, '-');

	memset(out, 0, sizeof(*out));
	if (strcmp(text, "*") == 0) {
		pattern_all(out);
		return 0;
	}
	if (dash)
		return read_range(text, dash, out);
	if (ts_prefix_parse(text, &out->prefixes[0]) ||
	    has_host_bits(&out->prefixes[0]))
		return -EBADMSG;
	out->prefix_count = 1;
	return 0;
}

static void add_src(struct ts_filter_rule *rule, struct ts_filter_src src)
{
	rule->srcs[rule->src_count++] = src;
}

static int read_src(const char *text, struct ts_filter_rule *rule)
{
	struct pattern p;
	char *cap;

	if (strncmp(text, NODE_CAP_PREFIX, strlen(NODE_CAP_PREFIX)) == 0) {
		cap = strdup(text + strlen(NODE_CAP_PREFIX));
		if (!cap)
			return -ENOMEM;
		add_src(rule, (struct ts_filter_src){.node_cap = cap});
		return 0;
	}
	if (read_pattern(text, &p))
		return 0;
	if (p.is_range)
		add_src(rule, (struct ts_filter_src){.first = p.first,
						     .last = p.last,
						     .is_range = true});
	for (size_t i = 0; i < p.prefix_count; i++)
		add_src(rule,
			(struct ts_filter_src){.prefix = p.prefixes[i]});
	return 0;
}

static int read_srcs(const json_t *json, struct ts_filter_rule *rule)
{
	json_t *list = ts_json_array(json, "SrcIPs"), *entry;
	size_t i;
	int err = 0;

	rule->srcs = calloc(json_array_size(list) * WILDCARD_PREFIXES + 1,
			    sizeof(*rule->srcs));
	if (!rule->srcs)
		return -ENOMEM;
	json_array_foreach (list, i, entry)
		if (!err && json_is_string(entry))
			err = read_src(json_string_value(entry), rule);
	return err;
}

/* First and Last must both be there and be ports: -1, say, is no port. */
static bool read_ports(const json_t *ports, struct ts_port_range *out)
{
	int64_t first = ts_json_int(ports, "First");
	int64_t last = ts_json_int(ports, "Last");

	if (!ports || first < 0 || last > UINT16_MAX || first > last)
		return false;
	*out = (struct ts_port_range){(uint16_t)first, (uint16_t)last};
	return true;
}

static void add_dsts(struct ts_filter_rule *rule, const struct pattern *p,
		     struct ts_port_range ports)
{
	struct ts_filter_dst dst = {.ports = ports};

	if (p->is_range) {
		dst.is_range = true;
		dst.first = p->first;
		dst.last = p->last;
		rule->dsts[rule->dst_count++] = dst;
	}
	for (size_t i = 0; i < p->prefix_count; i++) {
		dst.prefix = p->prefixes[i];
		rule->dsts[rule->dst_count++] = dst;
	}
}

static int read_dst_ports(const json_t *list, struct ts_filter_rule *rule)
{
	json_t *entry;
	size_t i;

	rule->dsts = calloc(json_array_size(list) * WILDCARD_PREFIXES + 1,
			    sizeof(*rule->dsts));
	if (!rule->dsts)
		return -ENOMEM;
	json_array_foreach (list, i, entry) {
		const char *text = ts_json_text(entry, "IP");
		struct ts_port_range ports;
		struct pattern p;

		if (text && !read_pattern(text, &p) &&
		    read_ports(ts_json_object(entry, "Ports"), &ports))
			add_dsts(rule, &p, ports);
	}
	return 0;
}

static bool has_proto(const struct ts_filter_rule *rule, int64_t proto)
{
	for (size_t i = 0; i < rule->proto_count; i++)
		if (rule->protos[i] == proto)
			return true;
	return false;
}

/* false: there is a list, but nothing in it that could match. */
static bool read_protos(const json_t *json, struct ts_filter_rule *rule)
{
	json_t *list = ts_json_array(json, "IPProto"), *entry;
	size_t i;

	json_array_foreach (list, i, entry) {
		int64_t proto = json_is_integer(entry)
					? json_integer_value(entry)
					: -1;

		if (proto < 0 || proto > PROTO_MAX ||
		    has_proto(rule, proto) ||
		    rule->proto_count == ARRAY_LEN(rule->protos))
			continue;
		rule->protos[rule->proto_count++] = (uint8_t)proto;
	}
	return json_array_size(list) == 0 || rule->proto_count > 0;
}

static bool has_legacy_bits(const json_t *json)
{
	json_t *entry;
	size_t i;

	if (json_array_size(ts_json_array(json, "SrcBits")) > 0)
		return true;
	json_array_foreach (ts_json_array(json, "DstPorts"), i, entry)
		if (ts_json_get(entry, "Bits"))
			return true;
	return false;
}

/* Append; takes the rule's contents, also on error. */
static int push_rule(struct ts_named_filter *named, struct ts_filter_rule *rule)
{
	size_t count = named->rule_count;
	struct ts_filter_rule *grown = named->rules;

	if ((count & (count - 1)) == 0) { /* room is a power of two */
		grown = reallocarray(grown, count ? count * 2 : 1,
				     sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		named->rules = grown;
	}
	grown[count] = *rule;
	named->rule_count++;
	memset(rule, 0, sizeof(*rule));
	return 0;
}

static int read_ports_rule(const json_t *json, struct ts_named_filter *named)
{
	struct ts_filter_rule rule = {0};
	int err;

	if (!read_protos(json, &rule))
		return 0;
	err = read_srcs(json, &rule);
	if (!err)
		err = read_dst_ports(ts_json_array(json, "DstPorts"), &rule);
	if (!err)
		err = push_rule(named, &rule);
	if (err)
		ts_filter_rule_deinit(&rule);
	return err;
}

/* {cap: [raw...]}; Caps is the older list of names without values. */
static json_t *read_grant_caps(const json_t *grant)
{
	json_t *caps = json_object(), *cap;
	size_t i;

	json_array_foreach (ts_json_array(grant, "Caps"), i, cap)
		if (json_is_string(cap))
			json_object_set_new(caps, json_string_value(cap),
					    json_array());
	json_object_update(caps, ts_json_object(grant, "CapMap"));
	return caps;
}

static int read_grant_dsts(const json_t *grant, struct ts_filter_rule *rule)
{
	static const struct ts_port_range all_ports = {0, UINT16_MAX};
	struct ts_prefix *prefixes;
	size_t count;
	int err = ts_json_prefixes(ts_json_array(grant, "Dsts"), &prefixes,
				   &count);

	if (err)
		return err;
	rule->dsts = calloc(count + 1, sizeof(*rule->dsts));
	if (!rule->dsts)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < count; i++)
		rule->dsts[rule->dst_count++] = (struct ts_filter_dst){
			.prefix = prefixes[i], .ports = all_ports};
	free(prefixes);
	return err;
}

static int read_grant(const json_t *json, const json_t *grant,
		      struct ts_named_filter *named)
{
	struct ts_filter_rule rule = {0};
	int err = read_srcs(json, &rule);

	if (!err)
		err = read_grant_dsts(grant, &rule);
	rule.grant_caps = read_grant_caps(grant);
	if (!err && !rule.grant_caps)
		err = -ENOMEM;
	if (!err)
		err = push_rule(named, &rule);
	if (err)
		ts_filter_rule_deinit(&rule);
	return err;
}

static int read_rule(const json_t *json, struct ts_named_filter *named)
{
	json_t *grants = ts_json_array(json, "CapGrant"), *grant;
	size_t i;
	int err = 0;

	if (!json_is_object(json))
		return -EBADMSG;
	if (has_legacy_bits(json))
		named->has_legacy_bits = true;
	json_array_foreach (grants, i, grant)
		if (!err)
			err = read_grant(json, grant, named);
	if (!err && json_array_size(ts_json_array(json, "DstPorts")) > 0)
		err = read_ports_rule(json, named);
	return err;
}

static int read_rules(struct ts_reader *r, struct ts_named_filter *named)
{
	bool is_first = true;
	int more, err = ts_scan_enter(r, '[');

	while (!err && (more = ts_scan_element(r, &is_first)) != 0) {
		json_t *json = more > 0 ? ts_scan_value(r) : NULL;

		err = json ? read_rule(json, named) : -EBADMSG;
		json_decref(json);
	}
	return err;
}

int ts_filter_rules_read(struct ts_reader *r, struct ts_named_filter *named)
{
	int err = read_rules(r, named);

	if (err) {
		ts_filter_rules_free(named->rules, named->rule_count);
		named->rules = NULL;
		named->rule_count = 0;
	}
	return err;
}
