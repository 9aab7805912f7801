/* SPDX-License-Identifier: BSD-3-Clause
 * conf_values.c - one option's text into its field
 *
 * Every kind of option has one reader. A reader that refuses the text leaves
 * the words to ts_conf_set(): source, key, value, and what is allowed. The
 * value of a secret is never quoted.
 */
#include "core/state/conf_values.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/environment.h"
#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/state/conf_routes.h"
#include "core/state/kube_secret.h"

enum {
	ERR_CAP = 256,
	SECONDS_MAX = 24 * 3600,
	VALUE_SHOWN = 60,
};

#define STATE_IN_MEMORY "mem:"
#define STATE_IN_SECRET "kube:"

static void *field(struct ts_config *config,
		   const struct ts_config_option *option)
{
	return (char *)config + option->offset;
}

/* -- words and numbers ---------------------------------------------------- */

struct word {
	const char *text;
	int value;
};

static int find_word(const struct word *words, size_t count, const char *text,
		     int *out)
{
	for (size_t i = 0; i < count; i++) {
		if (strcasecmp(words[i].text, text) != 0)
			continue;
		*out = words[i].value;
		return 0;
	}
	return -EINVAL;
}

static int read_bool(const char *text, bool *out)
{
	static const struct word words[] = {
		{"yes", 1}, {"no", 0}, {"true", 1}, {"false", 0},
		{"on", 1},  {"off", 0}, {"1", 1},   {"0", 0},
	};
	int value;

	if (find_word(words, ARRAY_LEN(words), text, &value))
		return -EINVAL;
	*out = value;
	return 0;
}

static int read_listen(const char *text, enum ts_listen_mode *out)
{
	static const struct word words[] = {
		{"both", TS_LISTEN_BOTH},
		{"tailnet", TS_LISTEN_TAILNET},
		{"host", TS_LISTEN_HOST},
	};
	int value;

	if (find_word(words, ARRAY_LEN(words), text, &value))
		return -EINVAL;
	*out = (enum ts_listen_mode)value;
	return 0;
}

static int read_dns(const char *text, enum ts_dns_mode *out)
{
	static const struct word words[] = {
		{"intercept", TS_DNS_INTERCEPT},
		{"host", TS_DNS_HOST},
	};
	int value;

	if (find_word(words, ARRAY_LEN(words), text, &value))
		return -EINVAL;
	*out = (enum ts_dns_mode)value;
	return 0;
}

static int read_log_format(const char *text, enum ts_log_format *out)
{
	static const struct word words[] = {
		{"text", TS_LOG_FORMAT_TEXT},
		{"json", TS_LOG_FORMAT_JSON},
	};
	int value;

	if (find_word(words, ARRAY_LEN(words), text, &value))
		return -EINVAL;
	*out = (enum ts_log_format)value;
	return 0;
}

static int read_congestion(const char *text, enum ts_cc *out)
{
	int cc = ts_option_cc_find(text, strlen(text));

	if (cc < 0)
		return -EINVAL;
	*out = (enum ts_cc)cc;
	return 0;
}

/* Digits only, then suffix (which may be left out). */
static int read_number(const char *text, const char *suffix,
		       unsigned long max, unsigned long *out)
{
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	*out = strtoul(text, &end, 10);
	if (errno || *out > max || (*end && strcmp(end, suffix) != 0))
		return -EINVAL;
	return 0;
}

int ts_conf_read_port(const char *text, uint16_t *out)
{
	unsigned long value;

	if (read_number(text, "", UINT16_MAX, &value))
		return -EINVAL;
	*out = (uint16_t)value;
	return 0;
}

static int read_seconds(const char *text, unsigned *out)
{
	unsigned long value;

	if (read_number(text, "s", SECONDS_MAX, &value))
		return -EINVAL;
	*out = (unsigned)value;
	return 0;
}

/* -- texts ---------------------------------------------------------------- */

static int replace(char **out, char *fresh)
{
	if (!fresh)
		return -ENOMEM;
	free(*out);
	*out = fresh;
	return 0;
}

int ts_conf_read_text(const char *text, char **out)
{
	if (!*text) {
		free(*out);
		*out = NULL;
		return 0;
	}
	return replace(out, strdup(text));
}

char *ts_config_sanitize_hostname(const char *text)
{
	enum { LABEL_MAX = 63 };
	char *label = malloc(LABEL_MAX + 1);
	size_t len = 0;

	if (!label)
		return NULL;
	for (; *text && len < LABEL_MAX; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x80 && isalnum(c))
			label[len++] = (char)tolower(c);
		else if (len && label[len - 1] != '-')
			label[len++] = '-';
	}
	while (len && label[len - 1] == '-')
		len--;
	label[len] = '\0';
	return label;
}

static int read_hostname(const char *text, char **out)
{
	char *label;

	if (!*text)
		return 0; /* the program's name, later */
	label = ts_config_sanitize_hostname(text);
	if (label && !*label) {
		free(label);
		return -EINVAL;
	}
	return replace(out, label);
}

/* The slashes at the end go: paths are appended to it. */
static int read_url(const char *text, char **out)
{
	size_t scheme = strncmp(text, "https://", 8) == 0  ? 8
			: strncmp(text, "http://", 7) == 0 ? 7
							   : 0;
	size_t len = strlen(text);

	if (!scheme || strpbrk(text, " \t\r\n\"'<>?#"))
		return -EINVAL;
	while (len > scheme && text[len - 1] == '/')
		len--;
	if (len == scheme || text[scheme] == '/' || text[scheme] == ':')
		return -EINVAL;
	return replace(out, strndup(text, len));
}

static int read_secret_name(const char *name, struct ts_config *config)
{
	int code = ts_conf_read_text("", &config->state_dir);

	if (!ts_kube_name_is_valid(name))
		return -EINVAL;
	config->kube_secret = strdup(name);
	return config->kube_secret ? code : -ENOMEM;
}

static int read_dir(const char *text, char **env, struct ts_config *config)
{
	const char *home = ts_environment_get(env, "HOME");
	char *path = NULL;

	config->state_in_memory = strcmp(text, STATE_IN_MEMORY) == 0;
	free(config->kube_secret);
	config->kube_secret = NULL;
	if (strncmp(text, STATE_IN_SECRET, strlen(STATE_IN_SECRET)) == 0)
		return read_secret_name(text + strlen(STATE_IN_SECRET), config);
	if (config->state_in_memory || !*text)
		return ts_conf_read_text("", &config->state_dir);
	if (strncmp(text, "~/", 2) != 0)
		return replace(&config->state_dir, strdup(text));
	if (!home)
		return -EINVAL;
	if (asprintf(&path, "%s%s", home, text + 1) < 0)
		path = NULL;
	return replace(&config->state_dir, path);
}

/* Where others than this machine's programs can reach, it must not be. */
static int read_loopback(const char *text, struct ts_addr *out)
{
	struct ts_addr addr = {0};

	if (*text && (ts_addr_parse(text, &addr) || addr.port == 0 ||
		      !ts_ip_is_loopback(&addr.ip)))
		return -EINVAL;
	*out = addr;
	return 0;
}

/* -- the door ------------------------------------------------------------- */

static int read_value(struct ts_config *config,
		      const struct ts_config_option *option, const char *value,
		      const char *source, const struct ts_config_input *in,
		      char err[static ERR_CAP])
{
	void *out = field(config, option);

	switch (option->kind) {
	case TS_CONF_TEXT:
		return ts_conf_read_text(value, out);
	case TS_CONF_HOSTNAME:
		return read_hostname(value, out);
	case TS_CONF_SECRET:
		if (in->skips_secrets)
			return 0;
		return ts_conf_read_secret(value, out, config, option, source,
					   in, err);
	case TS_CONF_URL:
		config->has_default_server = strcmp(source, "default") == 0;
		return read_url(value, out);
	case TS_CONF_DIR:
		return read_dir(value, in->env, config);
	case TS_CONF_BOOL:
		return read_bool(value, out);
	case TS_CONF_PORT:
		return ts_conf_read_port(value, out);
	case TS_CONF_SECONDS:
		return read_seconds(value, out);
	case TS_CONF_LISTEN:
		return read_listen(value, out);
	case TS_CONF_DNS:
		return read_dns(value, out);
	case TS_CONF_ENDPOINTS:
		return ts_conf_read_endpoints(value, config);
	case TS_CONF_TAGS:
		return ts_conf_read_tags(value, config);
	case TS_CONF_ROUTES:
		return ts_conf_read_routes(value, config, source, err);
	case TS_CONF_LOG_LEVEL:
		return ts_log_parse_level(value, out);
	case TS_CONF_LOG_FORMAT:
		return read_log_format(value, out);
	case TS_CONF_TLS_PORTS:
		return ts_conf_read_tls_ports(value, config);
	case TS_CONF_LOOPBACK:
		return read_loopback(value, out);
	case TS_CONF_CONGESTION:
		return read_congestion(value, out);
	case TS_CONF_NODES:
		return ts_conf_read_nodes(value, config);
	case TS_CONF_DESTINATIONS:
	case TS_CONF_PORTS:
		return ts_conf_read_rules(value, config, option, source, err);
	case TS_CONF_STAND_INS:
		return ts_conf_read_stand_ins(value, config);
	case TS_CONF_INTERFACE:
		return ts_conf_read_interface(value, out);
	}
	return -EINVAL;
}

static int note_given(struct ts_config *config,
		      const struct ts_config_option *option, const char *value)
{
	size_t count;
	const struct ts_config_option *all = ts_config_options(&count);

	if (option->kind == TS_CONF_SECRET)
		return 0;
	if (!config->given)
		config->given = calloc(count, sizeof(*config->given));
	if (!config->given)
		return -ENOMEM;
	return replace(&config->given[option - all], strdup(value));
}

static void free_given(struct ts_config *config)
{
	size_t count;

	ts_config_options(&count);
	for (size_t i = 0; config->given && i < count; i++)
		free(config->given[i]);
	free(config->given);
}

int ts_conf_set(struct ts_config *config, const struct ts_config_option *option,
		const char *value, const char *source,
		const struct ts_config_input *in, char err[static ERR_CAP])
{
	int code;

	err[0] = '\0';
	code = read_value(config, option, value, source, in, err);
	if (!code)
		code = note_given(config, option, value);
	if (code == -ENOMEM)
		snprintf(err, ERR_CAP, "out of memory");
	else if (code && !err[0])
		snprintf(err, ERR_CAP, "%.80s: %s: \"%.*s\" is not allowed: %s",
			 source, option->key, VALUE_SHOWN, value,
			 option->allowed);
	return code;
}

void ts_config_deinit(struct ts_config *config)
{
	free(config->hostname);
	ts_wipe_free_text(config->auth_key);
	ts_wipe_free_text(config->client_secret);
	ts_wipe_free_text(config->client_id);
	ts_wipe_free_text(config->id_token);
	free(config->id_token_file);
	ts_conf_forget_variables(config);
	free(config->audience);
	free(config->control_url);
	free(config->state_dir);
	free(config->kube_secret);
	free(config->kube_account);
	ts_conf_free_tags(config);
	free(config->advertise_routes);
	free(config->exit_node);
	free(config->taildrop_dir);
	free(config->log_file);
	free(config->acme_directory);
	free(config->permit_cert_uid);
	free_given(config);
	for (char **e = config->environment; e && *e; e++)
		free(*e);
	free(config->environment);
	free(config->node_name);
	free(config->interface);
	ts_node_rules_deinit(&config->rules);
	if (config->next) {
		ts_config_deinit(config->next);
		free(config->next);
	}
	memset(config, 0, sizeof(*config));
}
