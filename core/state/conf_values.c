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
	TAGS_MAX = 64,
	INTERFACE_MAX_LEN = 15, /* the kernel's */
	VALUE_SHOWN = 60,
};

#define SECRET_FILE_PREFIX "file:"
#define SECRET_VARIABLE_PREFIX "env:"
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

static int read_port(const char *text, uint16_t *out)
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

static int read_text(const char *text, char **out)
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
	int code = read_text("", &config->state_dir);

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
		return read_text("", &config->state_dir);
	if (strncmp(text, "~/", 2) != 0)
		return replace(&config->state_dir, strdup(text));
	if (!home)
		return -EINVAL;
	if (asprintf(&path, "%s%s", home, text + 1) < 0)
		path = NULL;
	return replace(&config->state_dir, path);
}

/* -- tags ----------------------------------------------------------------- */

static void free_tags(struct ts_config *config)
{
	for (size_t i = 0; i < config->tag_count; i++)
		free(config->tags[i]);
	free(config->tags);
	config->tags = NULL;
	config->tag_count = 0;
}

/* "tag:", a letter, then letters, digits and dashes. */
static bool is_tag(const char *text, size_t len)
{
	if (len < 5 || strncmp(text, "tag:", 4) != 0 ||
	    !isalpha((unsigned char)text[4]))
		return false;
	for (size_t i = 5; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '-')
			return false;
	return true;
}

static int read_tags(const char *text, struct ts_config *config)
{
	char **tags = calloc(TAGS_MAX, sizeof(*tags));

	if (!tags)
		return -ENOMEM;
	free_tags(config);
	config->tags = tags;
	while (*text) {
		size_t len;

		text += strspn(text, ", \t");
		len = strcspn(text, ", \t");
		if (!len)
			break;
		if (!is_tag(text, len) || config->tag_count == TAGS_MAX)
			return -EINVAL;
		tags[config->tag_count] = strndup(text, len);
		if (!tags[config->tag_count])
			return -ENOMEM;
		config->tag_count++;
		text += len;
	}
	return 0;
}

/* -- endpoints ------------------------------------------------------------ */

static int read_endpoints(const char *text, struct ts_config *config)
{
	config->endpoint_count = 0;
	while (*text) {
		char one[TS_ADDR_TEXT_CAP];
		struct ts_addr addr;
		size_t len;

		text += strspn(text, ", \t");
		len = strcspn(text, ", \t");
		if (!len)
			break;
		if (len >= sizeof(one) ||
		    config->endpoint_count == TS_CONF_ENDPOINTS_MAX)
			return -EINVAL;
		memcpy(one, text, len);
		one[len] = '\0';
		if (ts_addr_parse(one, &addr) || addr.port == 0)
			return -EINVAL;
		config->endpoints[config->endpoint_count++] = addr;
		text += len;
	}
	return 0;
}

static int read_tls_ports(const char *text, struct ts_config *config)
{
	config->tls_port_count = 0;
	while (*text) {
		char one[8];
		uint16_t port;
		size_t len;

		text += strspn(text, ", \t");
		len = strcspn(text, ", \t");
		if (!len)
			break;
		if (len >= sizeof(one) ||
		    config->tls_port_count == TS_CONF_TLS_PORTS_MAX)
			return -EINVAL;
		memcpy(one, text, len);
		one[len] = '\0';
		if (read_port(one, &port) || port == 0)
			return -EINVAL;
		config->tls_ports[config->tls_port_count++] = port;
		text += len;
	}
	return 0;
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

/* -- secrets -------------------------------------------------------------- */

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

static void forget_variables(struct ts_config *config)
{
	for (size_t i = 0; i < config->secret_variable_count; i++)
		free(config->secret_variables[i]);
	free(config->secret_variables);
}

static int read_secret(const char *text, char **out, struct ts_config *config,
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
	return read_text(is_file ? text + prefix : "", &config->id_token_file);
}

/* -- several nodes -------------------------------------------------------- */

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

static int read_nodes(const char *text, struct ts_config *config)
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

static int read_rules(const char *text, struct ts_config *config,
		      const struct ts_config_option *option, const char *source,
		      char err[static ERR_CAP])
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

static int read_stand_ins(const char *text, struct ts_config *config)
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

static int read_interface(const char *text, char **out)
{
	static const char stem[] = "tailscale";
	size_t len = strlen(text);

	if (*text && (len > INTERFACE_MAX_LEN || len == sizeof(stem) - 1 ||
		      strncmp(text, stem, sizeof(stem) - 1) != 0))
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if (!is_node_char(text[i]))
			return -EINVAL;
	return read_text(text, out);
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
		return read_text(value, out);
	case TS_CONF_HOSTNAME:
		return read_hostname(value, out);
	case TS_CONF_SECRET:
		if (in->skips_secrets)
			return 0;
		return read_secret(value, out, config, option, source, in,
				   err);
	case TS_CONF_URL:
		config->has_default_server = strcmp(source, "default") == 0;
		return read_url(value, out);
	case TS_CONF_DIR:
		return read_dir(value, in->env, config);
	case TS_CONF_BOOL:
		return read_bool(value, out);
	case TS_CONF_PORT:
		return read_port(value, out);
	case TS_CONF_SECONDS:
		return read_seconds(value, out);
	case TS_CONF_LISTEN:
		return read_listen(value, out);
	case TS_CONF_DNS:
		return read_dns(value, out);
	case TS_CONF_ENDPOINTS:
		return read_endpoints(value, config);
	case TS_CONF_TAGS:
		return read_tags(value, config);
	case TS_CONF_ROUTES:
		return ts_conf_read_routes(value, config, source, err);
	case TS_CONF_LOG_LEVEL:
		return ts_log_parse_level(value, out);
	case TS_CONF_LOG_FORMAT:
		return read_log_format(value, out);
	case TS_CONF_TLS_PORTS:
		return read_tls_ports(value, config);
	case TS_CONF_LOOPBACK:
		return read_loopback(value, out);
	case TS_CONF_CONGESTION:
		return read_congestion(value, out);
	case TS_CONF_NODES:
		return read_nodes(value, config);
	case TS_CONF_DESTINATIONS:
	case TS_CONF_PORTS:
		return read_rules(value, config, option, source, err);
	case TS_CONF_STAND_INS:
		return read_stand_ins(value, config);
	case TS_CONF_INTERFACE:
		return read_interface(value, out);
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
	forget_variables(config);
	free(config->audience);
	free(config->control_url);
	free(config->state_dir);
	free(config->kube_secret);
	free(config->kube_account);
	free_tags(config);
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
