/* SPDX-License-Identifier: BSD-3-Clause
 * node_rules.c - what of a program's traffic is one node's, as the user says
 *
 * A rule that is not quite right is refused with words: traffic that goes to
 * another tailnet than the one that was meant is found late.
 */
#include "core/state/node_rules.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { WHY_CAP = 160, PORT_MAX = 65535 };

static int refuse(char why[static WHY_CAP], const char *item, const char *what)
{
	snprintf(why, WHY_CAP, "\"%.60s\" %.80s", item, what);
	return -EINVAL;
}

/* The next item of *text, which may be longer than cap: then it is cut. false:
 * no more. */
static bool next_item(const char **text, char *out, size_t cap)
{
	size_t len;

	*text += strspn(*text, ", \t");
	len = strcspn(*text, ", \t");
	if (len == 0)
		return false;
	snprintf(out, cap, "%.*s", (int)(len < cap ? len : cap), *text);
	*text += len;
	return true;
}

/* -- destinations --------------------------------------------------------- */

static int add_prefix(struct ts_node_rules *rules, const struct ts_prefix *p)
{
	struct ts_prefix *longer;

	if (rules->prefix_count == TS_RULES_PREFIXES_MAX)
		return -ENOSPC;
	longer = realloc(rules->prefixes,
			 (rules->prefix_count + 1) * sizeof(*longer));
	if (!longer)
		return -ENOMEM;
	rules->prefixes = longer;
	rules->prefixes[rules->prefix_count++] = *p;
	return 0;
}

/* Letters, digits, - and _, with dots between. */
static bool is_name(const char *text)
{
	size_t label = 0;

	for (; *text; text++) {
		if (*text == '.' && label == 0)
			return false;
		if (*text != '.' && *text != '-' && *text != '_' &&
		    !isalnum((unsigned char)*text))
			return false;
		label = *text == '.' ? 0 : label + 1;
	}
	return label > 0;
}

static int add_name(struct ts_node_rules *rules, const char *item,
		    char why[static WHY_CAP])
{
	bool is_suffix = strncmp(item, "*.", 2) == 0;
	char name[TS_RULES_NAME_CAP];
	char **longer;
	size_t len;

	snprintf(name, sizeof(name), "%s", item + is_suffix);
	len = strlen(name);
	if (len > 0 && name[len - 1] == '.')
		name[--len] = '\0';
	if (!is_name(name + is_suffix))
		return refuse(why, item,
			      "is no address, CIDR prefix, name or *.suffix");
	for (size_t i = 0; i < len; i++)
		name[i] = (char)tolower((unsigned char)name[i]);
	if (rules->name_count == TS_RULES_NAMES_MAX)
		return -ENOSPC;
	longer = realloc(rules->names,
			 (rules->name_count + 1) * sizeof(*longer));
	if (!longer)
		return -ENOMEM;
	rules->names = longer;
	longer[rules->name_count] = strdup(name);
	if (!longer[rules->name_count])
		return -ENOMEM;
	rules->name_count++;
	return 0;
}

/* What is written like an address is none of the names. */
static bool is_like_address(const char *item)
{
	return strchr(item, ':') || strchr(item, '/') ||
	       item[strspn(item, "0123456789.")] == '\0';
}

static int add_destination(struct ts_node_rules *rules, const char *item,
			   char why[static WHY_CAP])
{
	struct ts_prefix prefix;
	int err;

	if (ts_prefix_parse(item, &prefix) == 0)
		err = add_prefix(rules, &prefix);
	else if (is_like_address(item))
		err = refuse(why, item, "is no address or CIDR prefix");
	else
		err = add_name(rules, item, why);
	return err == -ENOSPC ? refuse(why, item, "is one too many") : err;
}

static void forget_destinations(struct ts_node_rules *rules)
{
	for (size_t i = 0; i < rules->name_count; i++)
		free(rules->names[i]);
	free(rules->names);
	free(rules->prefixes);
	rules->names = NULL;
	rules->prefixes = NULL;
	rules->name_count = rules->prefix_count = 0;
}

int ts_node_rules_set_destinations(struct ts_node_rules *rules,
				   const char *text, char why[static WHY_CAP])
{
	char item[TS_RULES_NAME_CAP];
	int err = 0;

	forget_destinations(rules);
	while (!err && next_item(&text, item, sizeof(item)))
		err = strlen(item) + 1 < sizeof(item)
			      ? add_destination(rules, item, why)
			      : refuse(why, item, "is too long");
	return err;
}

/* -- listen_ports --------------------------------------------------------- */

static bool read_port(const char **text, uint16_t *out)
{
	unsigned long port;
	char *end;

	if (!isdigit((unsigned char)**text))
		return false;
	port = strtoul(*text, &end, 10);
	if (port == 0 || port > PORT_MAX)
		return false;
	*text = end;
	*out = (uint16_t)port;
	return true;
}

static int add_range(struct ts_node_rules *rules, const char *item,
		     char why[static WHY_CAP])
{
	struct ts_rule_ports range, *longer;
	const char *at = item;
	bool is_ok = read_port(&at, &range.first);

	range.last = range.first;
	if (is_ok && *at == '-') {
		at++;
		is_ok = read_port(&at, &range.last);
	}
	if (!is_ok || *at || range.last < range.first)
		return refuse(why, item, "is no port (1 to 65535) or FROM-TO");
	if (rules->port_count == TS_RULES_PORTS_MAX)
		return refuse(why, item, "is one too many");
	longer = realloc(rules->ports,
			 (rules->port_count + 1) * sizeof(*longer));
	if (!longer)
		return -ENOMEM;
	rules->ports = longer;
	rules->ports[rules->port_count++] = range;
	return 0;
}

int ts_node_rules_set_ports(struct ts_node_rules *rules, const char *text,
			    char why[static WHY_CAP])
{
	char item[16];
	int err = 0;

	rules->port_count = 0;
	while (!err && next_item(&text, item, sizeof(item)))
		err = add_range(rules, item, why);
	return err;
}

void ts_node_rules_deinit(struct ts_node_rules *rules)
{
	forget_destinations(rules);
	free(rules->ports);
	*rules = (struct ts_node_rules){.ports = NULL};
}

/* -- matches -------------------------------------------------------------- */

int ts_node_rules_match_ip(const struct ts_node_rules *rules,
			   const struct ts_ip *ip)
{
	int best = -1;

	for (size_t i = 0; i < rules->prefix_count; i++) {
		const struct ts_prefix *p = &rules->prefixes[i];

		if ((int)p->bits > best && ts_prefix_contains(p, ip))
			best = p->bits;
	}
	return best;
}

int ts_node_rules_match_name(const struct ts_node_rules *rules,
			     const char *name)
{
	int len = (int)strlen(name), best = -1;

	if (len > 0 && name[len - 1] == '.')
		len--;
	for (size_t i = 0; i < rules->name_count; i++) {
		const char *rule = rules->names[i];
		int rule_len = (int)strlen(rule);
		bool is_suffix = *rule == '.';

		if (is_suffix ? rule_len >= len : rule_len != len)
			continue;
		if (rule_len > best && strncasecmp(name + len - rule_len, rule,
						   (size_t)rule_len) == 0)
			best = rule_len;
	}
	return best;
}

bool ts_node_rules_has_port(const struct ts_node_rules *rules, uint16_t port)
{
	for (size_t i = 0; i < rules->port_count; i++)
		if (port >= rules->ports[i].first &&
		    port <= rules->ports[i].last)
			return true;
	return false;
}
