/* SPDX-License-Identifier: BSD-3-Clause
 * conf_secret.c - secrets among the options
 *
 * As they are, or file:PATH, or env:NAME. The names of such variables are
 * remembered, so that programs do not inherit them; a file of an ID token is
 * remembered, since such files are written anew. No copy is left behind.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/environment.h"
#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/state/conf_values.h"

enum { ERR_CAP = 256 };

#define SECRET_FILE_PREFIX "file:"
#define SECRET_VARIABLE_PREFIX "env:"

/* First line without blanks around it; text is wiped and freed. */
static char *take_first_line(char *text)
{
	char *start = text + strspn(text, " \t\r\n");
	size_t len = strcspn(start, "\r\n");
	char *line;

	while (len && isspace((unsigned char)start[len - 1]))
		len--;
	line = strndup(start, len);
	ts_wipe_free_text(text);
	return line;
}

static int read_secret_file(const char *path, char **out,
			    const struct ts_config_option *option,
			    const char *source,
			    const struct ts_config_input *in,
			    char err[static ERR_CAP])
{
	char *text = NULL;
	int code = in->read_file ? in->read_file(path, &text) : -ENOSYS;

	if (code) {
		snprintf(err, ERR_CAP, "%s: %s: cannot read %.120s: %s",
			 source, option->key, path, ts_strerror(code));
		return code == -ENOENT ? -ENOENT : -EINVAL;
	}
	text = take_first_line(text);
	if (text && !*text) {
		free(text);
		snprintf(err, ERR_CAP, "%s: %s: %.120s holds no key", source,
			 option->key, path);
		return -EINVAL;
	}
	*out = text;
	return text ? 0 : -ENOMEM;
}

/* Remembered, so that whoever has an environment of its own takes it out. */
static int remember_variable(struct ts_config *config, const char *name)
{
	char **list = reallocarray(config->secret_variables,
				   config->secret_variable_count + 1,
				   sizeof(*list));

	if (!list)
		return -ENOMEM;
	config->secret_variables = list;
	list[config->secret_variable_count] = strdup(name);
	if (!list[config->secret_variable_count])
		return -ENOMEM;
	config->secret_variable_count++;
	return 0;
}

static int read_secret_variable(const char *name, char **out,
				struct ts_config *config,
				const struct ts_config_option *option,
				const char *source,
				const struct ts_config_input *in,
				char err[static ERR_CAP])
{
	const char *value = ts_environment_get(in->env, name);

	if (!value) {
		snprintf(err, ERR_CAP, "%s: %s: the variable \"%.60s\" is not "
			 "set", source, option->key, name);
		return -EINVAL;
	}
	*out = strdup(value);
	return *out ? remember_variable(config, name) : -ENOMEM;
}

void ts_conf_forget_variables(struct ts_config *config)
{
	for (size_t i = 0; i < config->secret_variable_count; i++)
		free(config->secret_variables[i]);
	free(config->secret_variables);
}

int ts_conf_read_secret(const char *text, char **out, struct ts_config *config,
			const struct ts_config_option *option,
			const char *source, const struct ts_config_input *in,
			char err[static ERR_CAP])
{
	size_t prefix = strlen(SECRET_FILE_PREFIX);
	size_t variable = strlen(SECRET_VARIABLE_PREFIX);
	bool is_file = strncmp(text, SECRET_FILE_PREFIX, prefix) == 0;
	char *secret = NULL;
	int code = 0;

	if (is_file)
		code = read_secret_file(text + prefix, &secret, option, source,
					in, err);
	else if (strncmp(text, SECRET_VARIABLE_PREFIX, variable) == 0)
		code = read_secret_variable(text + variable, &secret, config,
					    option, source, in, err);
	else if (*text)
		secret = strdup(text);
	if (code || (*text && !secret)) {
		ts_wipe_free_text(secret);
		return code ? code : -ENOMEM;
	}
	ts_wipe_free_text(*out);
	*out = secret;
	if (out != &config->id_token)
		return 0;
	return ts_conf_read_text(is_file ? text + prefix : "",
				 &config->id_token_file);
}
