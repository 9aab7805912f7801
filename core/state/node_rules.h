/* SPDX-License-Identifier: BSD-3-Clause
 * node_rules.h - what of a program's traffic is one node's, as the user says
 *
 *   destinations   addresses, CIDR prefixes, names, *.suffix
 *   listen_ports   port numbers and ranges
 */
#ifndef CORE_STATE_NODE_RULES_H
#define CORE_STATE_NODE_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/addr.h"

enum {
	TS_RULES_PREFIXES_MAX = 256,
	TS_RULES_NAMES_MAX = 256,
	TS_RULES_PORTS_MAX = 64,
	TS_RULES_NAME_CAP = 256,
};

struct ts_rule_ports {
	uint16_t first, last;
};

struct ts_node_rules {
	struct ts_prefix *prefixes;
	char **names; /* lower case, no dot at the end; ".b" is for *.b */
	struct ts_rule_ports *ports;
	size_t prefix_count, name_count, port_count;
};

/* Items, separated by commas or blanks, in place of those that are there. 0,
 * -ENOMEM, or -EINVAL: why has a line of words. */
int ts_node_rules_set_destinations(struct ts_node_rules *rules,
				   const char *text, char why[static 160]);
int ts_node_rules_set_ports(struct ts_node_rules *rules, const char *text,
			    char why[static 160]);
void ts_node_rules_deinit(struct ts_node_rules *rules);

/* How long the longest match is, by which rules of several nodes are compared;
 * negative: none. A name is longer than every suffix that it is under. */
int ts_node_rules_match_ip(const struct ts_node_rules *rules,
			   const struct ts_ip *ip);
int ts_node_rules_match_name(const struct ts_node_rules *rules,
			     const char *name);
bool ts_node_rules_has_port(const struct ts_node_rules *rules, uint16_t port);

#endif
