/* SPDX-License-Identifier: BSD-3-Clause
 * filter_match.c - the netmap's rules, compiled for one address family
 *
 * A large tailnet sends thousands of rules with thousands of sources each, and
 * a UDP server asks about every packet. Nearly all rules concern one of our
 * few addresses, so it is the source that tells them apart: the sources of all
 * rules cut the address space into elementary intervals, and over these lies
 * a segment tree whose nodes list the rules that cover them whole. Looking an
 * address up is one binary search and one walk to the root, which meets
 * exactly the rules that have it as a source, each once. Memory is n log n in
 * the number of ranges, host addresses taking a single place.
 *
 * Sources "cap:NAME" have no address; they are tried one by one, only for
 * senders that have capabilities at all.
 */
#include "core/filter/filter_match.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/filter/ip_proto.h"

enum { PROTO_BYTES = 256 / 8, PORT_MAX = 65535 };

struct match_dst {
	struct ts_ip_range range;
	struct ts_port_range ports;
};

struct match_rule {
	uint8_t protos[PROTO_BYTES]; /* a bit each */
	struct match_dst *dsts;
	size_t dst_count;
};

/* One range of one rule's sources. */
struct rule_range {
	struct ts_ip_range range;
	uint32_t rule;
};

struct cap_source {
	char *cap;
	uint32_t rule;
};

struct ts_match_table {
	struct match_rule *rules;
	size_t rule_count;
	struct cap_source *caps;
	size_t cap_count;

	struct rule_range *ranges; /* while compiling */
	size_t range_count, range_cap;

	struct ts_ip *starts; /* of the elementary intervals, sorted */
	size_t start_count;
	/* Node i of the tree (1 is the root, leaves from start_count on) has
	 * the rules lists[list_start[i] .. list_start[i + 1]). */
	uint32_t *list_start, *lists;
};

bool ts_filter_src_range(const struct ts_filter_src *src,
			 struct ts_ip_range *out)
{
	if (src->node_cap)
		return false;
	*out = src->is_range ? (struct ts_ip_range){src->first, src->last}
			     : ts_ip_range_of_prefix(&src->prefix);
	return ts_ip_range_is_valid(out);
}

bool ts_filter_dst_range(const struct ts_filter_dst *dst,
			 struct ts_ip_range *out)
{
	*out = dst->is_range ? (struct ts_ip_range){dst->first, dst->last}
			     : ts_ip_range_of_prefix(&dst->prefix);
	return ts_ip_range_is_valid(out);
}

static void set_protos(struct match_rule *rule, const struct ts_filter_rule *in)
{
	static const uint8_t usual[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP,
					IPPROTO_ICMPV6};
	const uint8_t *protos = in->proto_count ? in->protos : usual;
	size_t count = in->proto_count ? in->proto_count : sizeof(usual);

	for (size_t i = 0; i < count; i++)
		rule->protos[protos[i] / 8] |= (uint8_t)(1 << protos[i] % 8);
}

static int add_dsts(struct match_rule *rule, const struct ts_filter_rule *in,
		    enum ts_ip_family family, const struct ts_ip_set *local)
{
	rule->dsts = calloc(in->dst_count, sizeof(*rule->dsts));
	if (!rule->dsts)
		return -ENOMEM;
	for (size_t i = 0; i < in->dst_count; i++) {
		struct ts_ip_range range;

		if (!ts_filter_dst_range(&in->dsts[i], &range) ||
		    ts_ip_family_of(&range.first) != family ||
		    !ts_ip_set_overlaps(local, &range))
			continue;
		rule->dsts[rule->dst_count++] =
			(struct match_dst){range, in->dsts[i].ports};
	}
	return 0;
}

static int push_range(struct ts_match_table *t, const struct ts_ip_range *range,
		      uint32_t rule)
{
	if (t->range_count == t->range_cap) {
		size_t cap = t->range_cap ? t->range_cap * 2 : 64;
		struct rule_range *grown =
			reallocarray(t->ranges, cap, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		t->ranges = grown;
		t->range_cap = cap;
	}
	t->ranges[t->range_count++] = (struct rule_range){*range, rule};
	return 0;
}

static int add_cap(struct ts_match_table *t, const char *cap, uint32_t rule)
{
	struct cap_source *grown =
		reallocarray(t->caps, t->cap_count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	t->caps = grown;
	grown[t->cap_count] = (struct cap_source){strdup(cap), rule};
	if (!grown[t->cap_count].cap)
		return -ENOMEM;
	t->cap_count++;
	return 0;
}

/* Overlaps within one rule are joined: the tree then lists it once. */
static int add_srcs(struct ts_match_table *t, const struct ts_filter_rule *in,
		    enum ts_ip_family family, uint32_t rule)
{
	struct ts_ip_set set = {0};
	int err = 0;

	for (size_t i = 0; i < in->src_count && !err; i++) {
		struct ts_ip_range range;

		if (in->srcs[i].node_cap)
			err = add_cap(t, in->srcs[i].node_cap, rule);
		else if (ts_filter_src_range(&in->srcs[i], &range) &&
			 ts_ip_family_of(&range.first) == family)
			err = ts_ip_set_add(&set, &range);
	}
	ts_ip_set_seal(&set);
	for (size_t i = 0; i < set.count && !err; i++)
		err = push_range(t, &set.ranges[i], rule);
	ts_ip_set_deinit(&set);
	return err;
}

static int add_rule(struct ts_match_table *t, const struct ts_filter_rule *in,
		    enum ts_ip_family family, const struct ts_ip_set *local)
{
	struct match_rule *rule = &t->rules[t->rule_count];
	int err;

	if (in->grant_caps || in->dst_count == 0)
		return 0;
	err = add_dsts(rule, in, family, local);
	if (err)
		return err;
	if (rule->dst_count == 0) {
		free(rule->dsts);
		rule->dsts = NULL;
		return 0;
	}
	set_protos(rule, in);
	return add_srcs(t, in, family, (uint32_t)t->rule_count++);
}

static int compare_ips(const void *a, const void *b)
{
	return ts_ip_compare(a, b);
}

/* ip + 1; false when there is none. */
static bool successor(const struct ts_ip *ip, struct ts_ip *out)
{
	*out = *ip;
	for (int i = TS_IP_LEN - 1; i >= 0; i--)
		if (++out->bytes[i] != 0)
			return true;
	return false;
}

static int cut_space(struct ts_match_table *t)
{
	size_t kept = 0, count = 0;

	t->starts = calloc(2 * t->range_count + 1, sizeof(*t->starts));
	if (!t->starts)
		return -ENOMEM;
	for (size_t i = 0; i < t->range_count; i++) {
		const struct ts_ip_range *range = &t->ranges[i].range;

		t->starts[count++] = range->first;
		if (successor(&range->last, &t->starts[count]))
			count++;
	}
	qsort(t->starts, count, sizeof(*t->starts), compare_ips);
	for (size_t i = 0; i < count; i++)
		if (i == 0 ||
		    ts_ip_compare(&t->starts[i], &t->starts[i - 1]) != 0)
			t->starts[kept++] = t->starts[i];
	t->start_count = kept;
	return 0;
}

/* How many intervals start at or before ip. */
static size_t starts_until(const struct ts_match_table *t,
			   const struct ts_ip *ip)
{
	size_t low = 0, high = t->start_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (ts_ip_compare(&t->starts[mid], ip) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

typedef void (*visit_fn)(struct ts_match_table *t, size_t node, uint32_t rule);

static void count_node(struct ts_match_table *t, size_t node, uint32_t rule)
{
	(void)rule;
	t->list_start[node + 1]++;
}

/* list_start[node + 1] is where the node's next entry goes; when all are
 * placed it is where the node ends. */
static void fill_node(struct ts_match_table *t, size_t node, uint32_t rule)
{
	t->lists[t->list_start[node + 1]++] = rule;
}

/* The nodes that together are one rule's range. */
static void visit_cover(struct ts_match_table *t, const struct rule_range *r,
			visit_fn visit)
{
	size_t low = t->start_count + starts_until(t, &r->range.first) - 1;
	size_t high = t->start_count + starts_until(t, &r->range.last);

	for (; low < high; low /= 2, high /= 2) {
		if (low & 1)
			visit(t, low++, r->rule);
		if (high & 1)
			visit(t, --high, r->rule);
	}
}

static void visit_all(struct ts_match_table *t, visit_fn visit)
{
	for (size_t i = 0; i < t->range_count; i++)
		visit_cover(t, &t->ranges[i], visit);
}

/* Two passes: how long each node's list is, then the lists. */
static int plant_tree(struct ts_match_table *t)
{
	size_t nodes = 2 * t->start_count, total = 0;

	t->list_start = calloc(nodes + 2, sizeof(*t->list_start));
	if (!t->list_start)
		return -ENOMEM;
	visit_all(t, count_node);
	for (size_t i = 0; i <= nodes; i++) {
		size_t count = t->list_start[i + 1];

		t->list_start[i + 1] = (uint32_t)total;
		total += count;
	}
	t->lists = calloc(total + 1, sizeof(*t->lists));
	if (!t->lists || total > UINT32_MAX)
		return -ENOMEM;
	visit_all(t, fill_node);
	return 0;
}

static int compile(struct ts_match_table *t, const struct ts_filter_rule *rules,
		   size_t rule_count, enum ts_ip_family family,
		   const struct ts_ip_set *local)
{
	int err = 0;

	t->rules = calloc(rule_count + 1, sizeof(*t->rules));
	if (!t->rules)
		return -ENOMEM;
	for (size_t i = 0; i < rule_count && !err; i++)
		err = add_rule(t, &rules[i], family, local);
	if (!err)
		err = cut_space(t);
	if (!err)
		err = plant_tree(t);
	free(t->ranges);
	t->ranges = NULL;
	return err;
}

struct ts_match_table *ts_match_table_new(const struct ts_filter_rule *rules,
					  size_t rule_count,
					  enum ts_ip_family family,
					  const struct ts_ip_set *local)
{
	struct ts_match_table *t = calloc(1, sizeof(*t));

	if (t && compile(t, rules, rule_count, family, local)) {
		ts_match_table_free(t);
		t = NULL;
	}
	return t;
}

void ts_match_table_free(struct ts_match_table *table)
{
	if (!table)
		return;
	/* One more: a rule that failed half-way is not counted yet. */
	for (size_t i = 0; table->rules && i <= table->rule_count; i++)
		free(table->rules[i].dsts);
	for (size_t i = 0; i < table->cap_count; i++)
		free(table->caps[i].cap);
	free(table->rules);
	free(table->caps);
	free(table->ranges);
	free(table->starts);
	free(table->list_start);
	free(table->lists);
	free(table);
}

static bool dst_fits(const struct match_dst *dst,
		     const struct ts_match_query *q, enum ts_match_kind kind)
{
	if (!ts_ip_range_contains(&dst->range, q->dst))
		return false;
	switch (kind) {
	case TS_MATCH_PORT:
		return dst->ports.first <= q->port &&
		       q->port <= dst->ports.last;
	case TS_MATCH_ALL_PORTS:
		return dst->ports.first == 0 && dst->ports.last == PORT_MAX;
	case TS_MATCH_ADDRESS:
		return true;
	}
	return false;
}

static bool rule_fits(const struct match_rule *rule,
		      const struct ts_match_query *q, enum ts_match_kind kind)
{
	if (kind != TS_MATCH_ADDRESS &&
	    !(rule->protos[q->proto / 8] & 1 << q->proto % 8))
		return false;
	for (size_t i = 0; i < rule->dst_count; i++)
		if (dst_fits(&rule->dsts[i], q, kind))
			return true;
	return false;
}

static bool source_fits(const struct ts_match_table *t,
			const struct ts_match_query *q, enum ts_match_kind kind)
{
	size_t node = starts_until(t, q->src);

	if (node == 0)
		return false;
	for (node += t->start_count - 1; node > 0; node /= 2) {
		for (uint32_t i = t->list_start[node];
		     i < t->list_start[node + 1]; i++)
			if (rule_fits(&t->rules[t->lists[i]], q, kind))
				return true;
	}
	return false;
}

/* Upstream does not honour these for protocols without ports, and asks for
 * no destination when it is ICMP. */
static bool capability_fits(const struct ts_match_table *t,
			    const struct ts_match_query *q,
			    enum ts_match_kind kind)
{
	/* A peer whose key nobody signed has no say by what it claims. */
	if (!q->sender || !q->sender->cap_map ||
	    q->sender->unsigned_peerapi_only || kind == TS_MATCH_ALL_PORTS)
		return false;
	for (size_t i = 0; i < t->cap_count; i++) {
		if (!ts_peer_has_cap(q->sender, t->caps[i].cap))
			continue;
		if (kind == TS_MATCH_ADDRESS ||
		    rule_fits(&t->rules[t->caps[i].rule], q, kind))
			return true;
	}
	return false;
}

bool ts_match_table_allows(const struct ts_match_table *table,
			   const struct ts_match_query *query,
			   enum ts_match_kind kind)
{
	return source_fits(table, query, kind) ||
	       capability_fits(table, query, kind);
}
