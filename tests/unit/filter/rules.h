/* SPDX-License-Identifier: BSD-3-Clause
 * rules.h - packet filter rules and packets from short texts
 */
#ifndef TESTS_UNIT_FILTER_RULES_H
#define TESTS_UNIT_FILTER_RULES_H

#include "unit/addresses.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/filter/packet_filter.h"

enum { RULES_MAX = 16, PATTERNS_MAX = 8 };

/* A rule list in one piece of memory. */
struct rule_list {
	struct ts_filter_rule rules[RULES_MAX];
	struct ts_filter_src srcs[RULES_MAX][PATTERNS_MAX];
	struct ts_filter_dst dsts[RULES_MAX][PATTERNS_MAX];
	size_t count;
};

static inline void add_src(struct ts_filter_rule *rule, const char *text)
{
	struct ts_filter_src *src = &rule->srcs[rule->src_count++];

	assert_true(rule->src_count <= PATTERNS_MAX);
	if (strncmp(text, "cap:", 4) == 0)
		src->node_cap = (char *)(uintptr_t)(text + 4);
	else
		assert_int_equal(ts_prefix_parse(text, &src->prefix), 0);
}

static inline void add_dst(struct ts_filter_rule *rule, const char *text,
			   uint16_t first, uint16_t last)
{
	struct ts_filter_dst *dst = &rule->dsts[rule->dst_count++];

	assert_true(rule->dst_count <= PATTERNS_MAX);
	assert_int_equal(ts_prefix_parse(text, &dst->prefix), 0);
	dst->ports = (struct ts_port_range){first, last};
}

static inline struct ts_filter_rule *add_rule(struct rule_list *list,
					      const char *src, const char *dst,
					      uint16_t first, uint16_t last)
{
	struct ts_filter_rule *rule = &list->rules[list->count];

	assert_true(list->count < RULES_MAX);
	rule->srcs = list->srcs[list->count];
	rule->dsts = list->dsts[list->count];
	list->count++;
	add_src(rule, src);
	add_dst(rule, dst, first, last);
	return rule;
}

static inline struct ts_packet_header header_of(const char *src,
						const char *dst, uint8_t proto,
						uint16_t src_port,
						uint16_t dst_port)
{
	return (struct ts_packet_header){.src = ip_of(src),
					 .dst = ip_of(dst),
					 .proto = proto,
					 .src_port = src_port,
					 .dst_port = dst_port};
}

#endif
