/* SPDX-License-Identifier: BSD-3-Clause
 * cli_choose.c - which of several nodes is asked
 *
 * In a tree of tsrun's TSNET_LOCALAPIS says where each of them answers, as
 * NAME=PATH:NAME=PATH. Outside of it the section that is named (--node), or
 * those of the `nodes` setting, say where its state directory is, or (its state
 * is in memory) which of the running nodes it is, by its hostname.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/engine/cli_internal.h"
#include "core/engine/config_load.h"
#include "core/engine/local_client.h"

/* "frontend" of "frontend,backend"; its length. */
static size_t first_name(const char *names)
{
	return names ? strcspn(names, ", ") : 0;
}

/* -- in a tree ------------------------------------------------------------ */

/* The next NAME=PATH of *list; false: no more. */
static bool next_entry(const char **list, const char **name, size_t *name_len,
		       const char **path, size_t *path_len)
{
	const char *at = *list;

	if (!*at)
		return false;
	*name = at;
	*name_len = strcspn(at, "=:");
	*path = at + *name_len + (at[*name_len] == '=');
	*path_len = strcspn(*path, ":");
	*list = *path + *path_len;
	*list += **list == ':';
	return true;
}

static void tell_others(const char *list)
{
	const char *name, *path;
	size_t name_len, path_len, count = 0;

	while (next_entry(&list, &name, &name_len, &path, &path_len)) {
		if (count++ == 0)
			fprintf(stderr, "tsrun: node %.*s; others (--node):",
				(int)name_len, name);
		else
			fprintf(stderr, " %.*s", (int)name_len, name);
	}
	fputc('\n', stderr);
}

static int choose_of_tree(struct cli *cli, const char *list, size_t wanted_len)
{
	const char *name, *path, *at = list;
	size_t name_len, path_len;

	if (wanted_len == 0)
		tell_others(list);
	while (next_entry(&at, &name, &name_len, &path, &path_len)) {
		if (wanted_len > 0 && (name_len != wanted_len ||
				       strncmp(name, cli->node, name_len) != 0))
			continue;
		cli->socket = strndup(path, path_len);
		return cli->socket ? 0 : -ENOMEM;
	}
	snprintf(cli->no_node, sizeof(cli->no_node),
		 "there is no node \"%.*s\" here", (int)wanted_len, cli->node);
	return -ENOENT;
}

/* -- by the configuration ------------------------------------------------- */

static const struct ts_config *find(const struct ts_config *config,
				    const char *name, size_t len)
{
	for (; config; config = config->next)
		if (config->node_name && strlen(config->node_name) == len &&
		    strncmp(config->node_name, name, len) == 0)
			return config;
	return NULL;
}

static int use_config(struct cli *cli, const struct ts_config *config)
{
	if (!config->state_dir)
		return local_client_find(config->hostname, &cli->socket,
					 cli->no_node);
	return asprintf(&cli->socket, "%s/tailscaled.sock", config->state_dir) <
			       0
		       ? -ENOMEM
		       : 0;
}

static void tell_other_configs(const struct ts_config *config)
{
	fprintf(stderr, "tsrun: node %s; others (--node):", config->node_name);
	for (config = config->next; config; config = config->next)
		fprintf(stderr, " %s", config->node_name);
	fputc('\n', stderr);
}

static int choose_of_configs(struct cli *cli, const struct ts_config *configs)
{
	size_t len = first_name(cli->node);
	const struct ts_config *config =
		len ? find(configs, cli->node, len) : configs;

	if (!config) {
		snprintf(cli->no_node, sizeof(cli->no_node),
			 "there is no node \"%.*s\"", (int)len, cli->node);
		return -ENOENT;
	}
	if (!len && configs->next)
		tell_other_configs(configs);
	return use_config(cli, config);
}

int cli_choose_node(struct cli *cli)
{
	const char *list = getenv("TSNET_LOCALAPIS");
	struct ts_config config;
	char err[256];
	int code;

	if (cli->socket)
		return 0;
	if (!cli->node)
		cli->node = getenv("TSNET_NODES");
	if (list && *list)
		return choose_of_tree(cli, list, first_name(cli->node));
	if (getenv("TSNET_LOCALAPI"))
		return 0;
	if (cli->node)
		setenv("TSNET_NODES", cli->node, 1);
	code = config_load_from_environment(&config, err);
	if (code && cli->node)
		snprintf(cli->no_node, sizeof(cli->no_node), "%s", err);
	if (code) /* it may do without */
		return cli->node ? code : 0;
	if (config.node_name)
		code = choose_of_configs(cli, &config);
	ts_config_deinit(&config);
	return code;
}
