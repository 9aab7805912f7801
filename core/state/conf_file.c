/* SPDX-License-Identifier: BSD-3-Clause
 * conf_file.c - every option, from tsnet.conf, the environment and defaults
 *
 * Which there are says conf_options.c. Values are laid over each other in the
 * order of their weight: the table's default, the file's general part, the
 * file's part for this program, the environment. An empty environment variable
 * counts as unset.
 *
 * The file is read twice by inih, once for each part, so that the order of
 * sections does not matter. inih tells no line numbers but that of the first
 * refused line, which is all that is needed: we remember the words for it.
 */
#include "core/state/conf_file.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/environment.h"
#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/state/conf_options.h"
#include "core/state/conf_routes.h"
#include "core/state/conf_values.h"
#include "core/state/kube_secret.h"

enum { ERR_CAP = 256, LINE_CAP = INI_MAX_LINE, SECTION_CAP = 80 };

#define SECTION_ALL "node"

/* -- tsnet.conf ----------------------------------------------------------- */

struct reading {
	struct ts_config *config;
	const struct ts_config_input *in;
	size_t at; /* of conf_text */
	unsigned line;
	bool for_program; /* only [node "PROGRAM"], else only the others */
	bool seen[TS_CONF_OPTIONS_MAX];
	int code;
	unsigned bad_line; /* 0: not known yet */
	char err[ERR_CAP];
};

static const char *conf_name(const struct ts_config_input *in)
{
	return in->conf_path ? in->conf_path : "tsnet.conf";
}

static int refuse(struct reading *r, const char *what, const char *name)
{
	if (r->code)
		return 0;
	r->code = -EINVAL;
	r->bad_line = r->line;
	snprintf(r->err, sizeof(r->err), "%.80s:%u: %s \"%.60s\"",
		 conf_name(r->in), r->line, what, name);
	return 0;
}

/* inih's source of lines: fgets() over conf_text. A line that inih would cut
 * into two is refused instead, and NUL bytes with it. */
static char *next_line(char *out, int cap, void *ctx)
{
	struct reading *r = ctx;
	const char *text = r->in->conf_text + r->at;
	size_t left = r->in->conf_len - r->at;
	const char *end = left ? memchr(text, '\n', left) : NULL;
	size_t len = end ? (size_t)(end - text) + 1 : left;

	if (!left || r->code)
		return NULL;
	r->line++;
	r->at += len;
	if (len + 1 > (size_t)cap || memchr(text, '\0', len)) {
		refuse(r, "not a line of text of at most 198 bytes:", "");
		return NULL;
	}
	memcpy(out, text, len);
	out[len] = '\0';
	return out;
}

/* 1: the general part, 2: somebody's own part (its name in *name), 0: no. */
static int section_kind(const char *section, char name[static SECTION_CAP])
{
	size_t len = strlen(SECTION_ALL);

	if (!*section || strcmp(section, SECTION_ALL) == 0)
		return 1;
	if (strncmp(section, SECTION_ALL " \"", len + 2) != 0)
		return 0;
	section += len + 2;
	len = strlen(section);
	if (len < 2 || len >= SECTION_CAP || section[len - 1] != '"')
		return 0;
	memcpy(name, section, len - 1);
	name[len - 1] = '\0';
	return 2;
}

/* Is the section of the part that is being read? Negative: no such section. */
static int is_wanted(const struct reading *r, const char *section)
{
	char name[SECTION_CAP];
	int kind = section_kind(section, name);

	if (!kind)
		return -EINVAL;
	if (kind == 1)
		return !r->for_program;
	return r->for_program && strcmp(name, r->in->program) == 0;
}

/* "text" -> text */
static const char *unquote(const char *value, char buf[static LINE_CAP])
{
	size_t len = strlen(value);

	if (len < 2 || len >= LINE_CAP || value[0] != '"' ||
	    value[len - 1] != '"')
		return value;
	memcpy(buf, value + 1, len - 2);
	buf[len - 2] = '\0';
	return buf;
}

/* inih calls this for each key; 1: fine, 0: refused. */
static int on_key(void *ctx, const char *section, const char *key,
		  const char *value)
{
	struct reading *r = ctx;
	size_t count;
	const struct ts_config_option *options = ts_config_options(&count);
	const struct ts_config_option *option = ts_conf_find_option(key);
	char source[ERR_CAP / 2], text[LINE_CAP];
	int wanted = is_wanted(r, section);

	if (r->code)
		return 0;
	if (wanted < 0)
		return refuse(r, "no such section:", section);
	if (!option)
		return refuse(r, "no such option:", key);
	if (!wanted)
		return 1;
	if (r->seen[option - options])
		return refuse(r, "given twice (or the line is indented):", key);
	r->seen[option - options] = true;
	snprintf(source, sizeof(source), "%.80s:%u", conf_name(r->in), r->line);
	r->code = ts_conf_set(r->config, option, unquote(value, text), source,
			      r->in, r->err);
	ts_wipe(text, sizeof(text));
	r->bad_line = r->code ? r->line : 0;
	return !r->code;
}

static int read_part(struct ts_config *config, const struct ts_config_input *in,
		     bool for_program, char err[static ERR_CAP])
{
	struct reading r = {.config = config,
			    .in = in,
			    .for_program = for_program};
	int line = ini_parse_stream(next_line, &r, on_key, &r);

	/* Lines that are no "key = value" at all are inih's own finding; they
	 * come first when their number is lower. */
	if (line > 0 && (!r.code || (unsigned)line < r.bad_line)) {
		snprintf(err, ERR_CAP, "%.80s:%d: neither \"key = value\", "
			 "[section] nor comment", conf_name(in), line);
		return -EINVAL;
	}
	if (line < 0 && !r.code) {
		snprintf(err, ERR_CAP, "out of memory");
		return -ENOMEM;
	}
	if (r.code)
		memcpy(err, r.err, ERR_CAP);
	return r.code;
}

/* -- the environment ------------------------------------------------------ */

static int read_env(struct ts_config *config, const struct ts_config_input *in,
		    char err[static ERR_CAP])
{
	size_t count;
	const struct ts_config_option *options = ts_config_options(&count);
	int code = 0;

	for (size_t i = 0; i < count && !code; i++) {
		const char *name = options[i].env;
		const char *value = ts_environment_get(in->env, name);

		if (!value) {
			name = options[i].env_alias;
			value = ts_environment_get(in->env, name);
		}
		if (value)
			code = ts_conf_set(config, &options[i], value, name,
					   in, err);
	}
	return code;
}

/* -- defaults ------------------------------------------------------------- */

static int read_defaults(struct ts_config *config,
			 const struct ts_config_input *in,
			 char err[static ERR_CAP])
{
	size_t count;
	const struct ts_config_option *options = ts_config_options(&count);
	int code = 0;

	for (size_t i = 0; i < count && !code; i++)
		code = ts_conf_set(config, &options[i], options[i].fallback,
				   "default", in, err);
	return code;
}

char *ts_config_default_state_dir(char **env, const char *hostname)
{
	const char *given = ts_environment_get(env, "STATE_DIRECTORY");
	const char *xdg = ts_environment_get(env, "XDG_STATE_HOME");
	const char *home = ts_environment_get(env, "HOME");
	char *dir = NULL;
	int len = -1;

	/* systemd separates several by colons; the first is the unit's. */
	if (given && given[0] == '/')
		return strndup(given, strcspn(given, ":"));
	if (xdg && xdg[0] == '/')
		len = asprintf(&dir, "%s/tsnet/%s", xdg, hostname);
	else if (home && home[0] == '/')
		len = asprintf(&dir, "%s/.local/state/tsnet/%s", home,
			       hostname);
	return len < 0 ? NULL : dir;
}

static int complete_account(struct ts_config *config, char **env)
{
	const char *dir = ts_environment_get(env, "TSNET_KUBE_ACCOUNT");

	config->kube_account = dir ? strdup(dir) : NULL;
	return dir && !config->kube_account ? -ENOMEM : 0;
}

static int complete_share(struct ts_config *config, char **env,
			  char err[static ERR_CAP])
{
	const char *mode = ts_environment_get(env, "TS_CERT_SHARE_MODE");

	if (!mode || !*mode)
		return 0;
	if (strcmp(mode, "ro") != 0 && strcmp(mode, "rw") != 0) {
		snprintf(err, ERR_CAP, "TS_CERT_SHARE_MODE: \"%.80s\" is "
			 "neither \"ro\" nor \"rw\"", mode);
		return -EINVAL;
	}
	config->cert_share = strcmp(mode, "ro") == 0 ? TS_CERT_SHARE_READ
						     : TS_CERT_SHARE_WRITE;
	return 0;
}

static int complete_secret(struct ts_config *config, const char *name,
			   char err[static ERR_CAP])
{
	if (!ts_kube_name_is_valid(name)) {
		snprintf(err, ERR_CAP, "TS_KUBE_SECRET: \"%.80s\" is not the "
			 "name of a Secret", name);
		return -EINVAL;
	}
	config->kube_secret = strdup(name);
	return config->kube_secret ? 0 : -ENOMEM;
}

/* As the container of upstream's image is told where: the Secret comes first.
 * 1: here is neither. */
static int complete_as_container(struct ts_config *config, char **env,
				 char err[static ERR_CAP])
{
	const char *secret = ts_environment_get(env, "TS_KUBE_SECRET");
	const char *dir = ts_environment_get(env, "TS_STATE_DIR");

	if (secret)
		return complete_secret(config, secret, err);
	if (!dir)
		return 1;
	if (dir[0] != '/') {
		snprintf(err, ERR_CAP,
			 "TS_STATE_DIR: \"%.80s\" is not the path "
			 "of a directory",
			 dir);
		return -EINVAL;
	}
	config->state_dir = strdup(dir);
	return config->state_dir ? 0 : -ENOMEM;
}

/* What depends on other options. */
static int complete(struct ts_config *config, const struct ts_config_input *in,
		    char err[static ERR_CAP])
{
	int code;

	if (!config->hostname) {
		char *label = ts_config_sanitize_hostname(in->program);

		if (label && !*label) {
			free(label);
			label = strdup("tsnet");
		}
		if (!label)
			return -ENOMEM;
		config->hostname = label;
	}
	if (config->advertise_exit_node && ts_conf_add_exit_routes(config))
		return -ENOMEM;
	if (complete_account(config, in->env))
		return -ENOMEM;
	code = complete_share(config, in->env, err);
	if (code)
		return code;
	if (config->state_in_memory || config->state_dir ||
	    config->kube_secret)
		return 0;
	code = complete_as_container(config, in->env, err);
	if (code <= 0)
		return code;
	/* An ephemeral node, and one that has no home to keep its keys in,
	 * lives in memory. */
	if (!config->ephemeral)
		config->state_dir = ts_config_default_state_dir(
			in->env, config->hostname);
	config->state_in_memory = !config->state_dir;
	return 0;
}

static int load_one(struct ts_config *out, const struct ts_config_input *in,
		    char err[static ERR_CAP])
{
	struct ts_config config = {0};
	int code = read_defaults(&config, in, err);

	if (!code && in->conf_text)
		code = read_part(&config, in, false, err);
	if (!code && in->conf_text)
		code = read_part(&config, in, true, err);
	if (!code)
		code = read_env(&config, in, err);
	if (!code)
		code = complete(&config, in, err);
	if (code == -ENOMEM)
		snprintf(err, ERR_CAP, "out of memory");
	if (code)
		ts_config_deinit(&config);
	*out = config;
	return code;
}

/* -- several nodes -------------------------------------------------------- */

/* Each has the section of its name, in place of the program's. */
static int load_named(struct ts_config *out, const struct ts_config_input *in,
		      const char *name, char err[static ERR_CAP])
{
	struct ts_config_input of_node = *in;
	int code;

	of_node.program = name;
	code = load_one(out, &of_node, err);
	if (code)
		return code;
	out->node_name = strdup(name);
	if (out->node_name)
		return 0;
	ts_config_deinit(out);
	snprintf(err, ERR_CAP, "out of memory");
	return -ENOMEM;
}

static int check_apart(const struct ts_config *first,
		       const struct ts_config *next, char err[static ERR_CAP])
{
	const char *dir = next->state_dir;

	for (; first; first = first->next) {
		if (!dir || !first->state_dir ||
		    strcmp(first->state_dir, dir) != 0)
			continue;
		snprintf(err, ERR_CAP,
			 "nodes \"%.40s\" and \"%.40s\" have the same "
			 "state_dir: give each its own in its section",
			 first->node_name, next->node_name);
		return -EINVAL;
	}
	return 0;
}

/* Takes next's contents. */
static int append(struct ts_config *first, struct ts_config *next,
		  char err[static ERR_CAP])
{
	struct ts_config *copy = NULL;
	int code = check_apart(first, next, err);

	if (!code)
		copy = malloc(sizeof(*copy));
	if (!code && !copy) {
		snprintf(err, ERR_CAP, "out of memory");
		code = -ENOMEM;
	}
	if (code) {
		ts_config_deinit(next);
		return code;
	}
	*copy = *next;
	while (first->next)
		first = first->next;
	first->next = copy;
	return 0;
}

int ts_config_load(struct ts_config *out, const struct ts_config_input *in,
		   char err[static ERR_CAP])
{
	struct ts_config program, next;
	int code = load_one(&program, in, err);

	*out = program;
	if (code || program.node_name_count == 0 || in->is_alone)
		return code;
	code = load_named(out, in, program.node_names[0], err);
	for (size_t i = 1; !code && i < program.node_name_count; i++) {
		code = load_named(&next, in, program.node_names[i], err);
		if (!code)
			code = append(out, &next, err);
		if (code)
			ts_config_deinit(out);
	}
	ts_config_deinit(&program);
	return code;
}
