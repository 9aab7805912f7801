/* SPDX-License-Identifier: BSD-3-Clause
 * cli_switch.c - tsrun switch: which login the node goes by
 */
#include <stdio.h>
#include <string.h>

#include "core/engine/cli_internal.h"

#define PROFILES "/localapi/v0/profiles/"

static const char *login_of(const json_t *profile)
{
	return cli_text(json_object_get(profile, "UserProfile"), "LoginName");
}

static void print_profile(const json_t *profile, const char *current)
{
	const char *id = cli_text(profile, "ID");

	printf("%-4s  %-24s  %-24s  %s%s\n", id, cli_text(profile, "Name"),
	       login_of(profile), cli_text(profile, "ControlURL"),
	       strcmp(id, current) == 0 ? "  *" : "");
}

static int list(const struct cli *cli, json_t *profiles)
{
	json_t *current = NULL, *profile;
	size_t i;
	int code = cli_ask(cli, "GET", PROFILES "current", &current);

	if (code)
		return code;
	printf("%-4s  %-24s  %-24s  %s\n", "ID", "NAME", "USER", "SERVER");
	json_array_foreach (profiles, i, profile)
		print_profile(profile, cli_text(current, "ID"));
	json_decref(current);
	return 0;
}

/* How many are called so, by one of their names; *id: the last one's. */
static size_t find(const json_t *profiles, const char *name,
		   const char *(*its)(const json_t *profile), const char **id)
{
	const json_t *profile;
	size_t i, count = 0;

	json_array_foreach (profiles, i, profile) {
		if (strcmp(its(profile), name) != 0)
			continue;
		*id = cli_text(profile, "ID");
		count++;
	}
	return count;
}

static const char *id_of(const json_t *profile)
{
	return cli_text(profile, "ID");
}

static const char *name_of(const json_t *profile)
{
	return cli_text(profile, "Name");
}

static int go(const struct cli *cli, const json_t *profiles, const char *name)
{
	char path[CLI_PATH_CAP];
	const char *id = "";
	size_t count = find(profiles, name, id_of, &id);

	if (count == 0)
		count = find(profiles, name, name_of, &id);
	if (count == 0)
		count = find(profiles, name, login_of, &id);
	if (count == 0)
		return cli_fail("no such profile: tsrun switch lists them");
	if (count > 1)
		return cli_fail("several profiles are called so: use the ID");
	/* An ID has nothing that would need an escape: it is the node's. */
	snprintf(path, sizeof(path), PROFILES "%.40s", id);
	return cli_send(cli, "POST", path, NULL);
}

int cli_switch(const struct cli *cli)
{
	const char *name = cli_arg(cli, 0);
	json_t *profiles = NULL;
	int code = cli_ask(cli, "GET", PROFILES, &profiles);

	if (code)
		return code;
	if (!name && cli->json)
		return cli_print_json(profiles);
	code = name ? go(cli, profiles, name) : list(cli, profiles);
	json_decref(profiles);
	return code;
}
