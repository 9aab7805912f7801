/* SPDX-License-Identifier: BSD-3-Clause
 * conf_nodes.c - options for several nodes in one process
 *
 * Which there are, what goes by each of them (node_rules.h), the addresses that
 * stand in for those that two tailnets have, and the interface's name.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/state/conf_values.h"

enum {
	ERR_CAP = 256,
	INTERFACE_MAX_LEN = 15, /* the kernel's */
};

static bool is_node_char(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-';
}

static int add_node(const char *name, size_t len, struct ts_config *config)
{
	char *to = config->node_names[config->node_name_count];

	if (len >= TS_CONF_NODE_NAME_CAP ||
	    config->node_name_count == TS_CONF_NODES_MAX)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if (!is_node_char(name[i]))
			return -EINVAL;
	memcpy(to, name, len);
	to[len] = '\0';
	for (size_t i = 0; i < config->node_name_count; i++)
		if (strcmp(config->node_names[i], to) == 0)
			return -EINVAL;
	config->node_name_count++;
	return 0;
}

int ts_conf_read_nodes(const char *text, struct ts_config *config)
{
	int code = 0;

	config->node_name_count = 0;
	while (!code) {
		size_t len;

		text += strspn(text, ", \t");
		len = strcspn(text, ", \t");
		if (!len)
			break;
		code = add_node(text, len, config);
		text += len;
	}
	return code;
}

int ts_conf_read_rules(const char *text, struct ts_config *config,
		       const struct ts_config_option *option,
		       const char *source, char err[static ERR_CAP])
{
	char why[160] = "";
	int code = option->kind == TS_CONF_PORTS
			   ? ts_node_rules_set_ports(&config->rules, text, why)
			   : ts_node_rules_set_destinations(&config->rules,
							    text, why);

	if (code == -EINVAL)
		snprintf(err, ERR_CAP, "%.80s: %s: %s", source, option->key,
			 why);
	return code;
}

/* Large enough for those that are in use, and nobody else's. */
static int read_stand_in(const char *text, bool v4, struct ts_prefix *out)
{
	const unsigned first = v4 ? 96 + 8 : 32, last = v4 ? 96 + 24 : 96;
	struct ts_prefix p;

	if (ts_prefix_parse(text, &p) || ts_ip_is_v4(&p.ip) != v4 ||
	    p.bits < first || p.bits > last || ts_ip_is_tailscale(&p.ip) ||
	    ts_ip_is_loopback(&p.ip) || ts_ip_is_multicast(&p.ip))
		return -EINVAL;
	*out = p;
	return 0;
}

int ts_conf_read_stand_ins(const char *text, struct ts_config *config)
{
	struct ts_prefix v4, v6;
	char first[TS_PREFIX_TEXT_CAP];
	size_t len = strcspn(text, ", ");
	int code;

	snprintf(first, sizeof(first), "%.*s", (int)len, text);
	text += len;
	text += strspn(text, ", ");
	code = read_stand_in(first, true, &v4);
	if (!code)
		code = read_stand_in(text, false, &v6);
	if (code)
		return code;
	config->stand_in4 = v4;
	config->stand_in6 = v6;
	return 0;
}

int ts_conf_read_interface(const char *text, char **out)
{
	static const char stem[] = "tailscale";
	size_t len = strlen(text);

	if (*text && (len > INTERFACE_MAX_LEN || len == sizeof(stem) - 1 ||
		      strncmp(text, stem, sizeof(stem) - 1) != 0))
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if (!is_node_char(text[i]))
			return -EINVAL;
	return ts_conf_read_text(text, out);
}
