/* SPDX-License-Identifier: BSD-3-Clause
 * config_load.c - this process's configuration
 */
#include "core/engine/config_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/environment.h"
#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/io/disk.h"

enum { CONF_MAX = 1024 * 1024 };

static int read_text(const char *path, char **out)
{
	uint8_t *data = NULL;
	size_t len;
	int code = ts_disk_read(path, CONF_MAX, &data, &len);

	*out = (char *)data;
	return code;
}

static const char *value_of(char **env, const char *name)
{
	size_t len = strlen(name);

	for (; *env; env++)
		if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
			return *env + len + 1;
	return NULL;
}

static const char *conf_path(char **env, char *buf, size_t cap)
{
	const char *named = value_of(env, "TSNET_CONF");
	const char *xdg = value_of(env, "XDG_CONFIG_HOME");
	const char *home = value_of(env, "HOME");

	if (named && *named)
		return named;
	if (xdg && *xdg) {
		snprintf(buf, cap, "%s/tsnet/tsnet.conf", xdg);
		if (access(buf, F_OK) == 0)
			return buf;
	} else if (home && *home) {
		snprintf(buf, cap, "%s/.config/tsnet/tsnet.conf", home);
		if (access(buf, F_OK) == 0)
			return buf;
	}
	snprintf(buf, cap, "/etc/tsnet/tsnet.conf");
	return access(buf, F_OK) == 0 ? buf : NULL;
}

static int load(struct ts_config *out, struct ts_config_input in,
		char err[static 256])
{
	char path_buf[512];
	const char *path = conf_path(in.env, path_buf, sizeof(path_buf));
	char *text = NULL;
	const char *named_program = value_of(in.env, "TSNET_PROGRAM");
	int code = path ? read_text(path, &text) : 0;

	in.program = named_program && *named_program
			     ? named_program
			     : program_invocation_short_name;
	in.read_file = read_text;
	if (code) {
		snprintf(err, 256, "cannot read %.160s: %s", path,
			 ts_strerror(code));
		return code;
	}
	in.conf_text = text;
	in.conf_path = path;
	in.conf_len = text ? strlen(text) : 0;
	code = ts_config_load(out, &in, err);
	ts_wipe_free_text(text);
	return code;
}

int config_load_alone(struct ts_config *out, char **env, char err[static 256])
{
	return load(out, (struct ts_config_input){.env = env, .is_alone = true},
		    err);
}

/* -- once more ------------------------------------------------------------ */

static bool names_secret(const char *entry)
{
	size_t count;
	const struct ts_config_option *all = ts_config_options(&count);

	for (size_t i = 0; i < count; i++) {
		const char *const names[] = {all[i].env, all[i].env_alias};

		if (all[i].kind != TS_CONF_SECRET)
			continue;
		for (size_t k = 0; k < ARRAY_LEN(names); k++) {
			size_t len = names[k] ? strlen(names[k]) : 0;

			if (len && strncmp(entry, names[k], len) == 0 &&
			    entry[len] == '=')
				return true;
		}
	}
	return false;
}

static bool is_wanted_again(const char *entry)
{
	static const char *const prefixes[] = {"TS_", "TSNET_", "HOME=",
					       "XDG_CONFIG_HOME=",
					       "XDG_STATE_HOME=",
					       "STATE_DIRECTORY="};

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
		if (strncmp(entry, prefixes[i], strlen(prefixes[i])) == 0)
			return !names_secret(entry);
	return false;
}

static int keep_environment(struct ts_config *config, char **env)
{
	size_t count = 0, kept = 0;

	while (env[count])
		count++;
	config->environment = calloc(count + 1, sizeof(*env));
	for (size_t i = 0; config->environment && i < count; i++) {
		if (!is_wanted_again(env[i]))
			continue;
		config->environment[kept] = strdup(env[i]);
		if (!config->environment[kept++])
			return -ENOMEM;
	}
	return config->environment ? 0 : -ENOMEM;
}

int config_load_from_environment(struct ts_config *out, char err[static 256])
{
	char **env = ts_environment();
	int code = load(out, (struct ts_config_input){.env = env}, err);

	if (code)
		return code;
	for (struct ts_config *c = out; !code && c; c = c->next)
		code = keep_environment(c, env);
	if (code) {
		snprintf(err, 256, "out of memory");
		ts_config_deinit(out);
	}
	return code;
}

/* Is it the configuration of the same of several nodes? */
static bool is_same_node(const struct ts_config *a, const struct ts_config *b)
{
	if (!a->node_name || !b->node_name)
		return a->node_name == b->node_name;
	return strcmp(a->node_name, b->node_name) == 0;
}

int config_load_again(struct ts_config *out, const struct ts_config *before,
		      char err[static 256])
{
	struct ts_config all, *found = &all;
	int code = load(&all,
			(struct ts_config_input){.env = before->environment,
						 .skips_secrets = true},
			err);

	if (code)
		return code;
	while (found && !is_same_node(found, before))
		found = found->next;
	if (found) {
		*out = *found;
		*found = (struct ts_config){.next = out->next};
		out->next = NULL;
	} else {
		snprintf(err, 256,
			 "node \"%.60s\" is not among `nodes` any more: "
			 "that takes a new start",
			 before->node_name ? before->node_name : "");
		code = -EINVAL;
	}
	ts_config_deinit(&all);
	return code;
}
