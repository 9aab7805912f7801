/* SPDX-License-Identifier: BSD-3-Clause
 * auth_choice.c - which of the settings a login goes by
 *
 * "tskey-client-...?ephemeral=false&baseURL=..." carries attributes of the key
 * to be made, in a URL's query. Both kinds of credential have them, with other
 * defaults and other words for what is wrong, as upstream.
 */
#include "core/control/auth_choice.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/model/json_fields.h"

enum { ERR_CAP = 256, ATTRIBUTE_CAP = 300 };

#define CLIENT_PREFIX "tskey-client-"
#define API_URL "https://api.tailscale.com"
#define CONTROL_URL "https://controlplane.tailscale.com"
#define RESOLVING "error resolving auth key: "

static bool is_set(const char *text)
{
	return text && *text;
}

/* -- attributes ----------------------------------------------------------- */

/* One name or value of a query, in place. */
static int unescape(char *text)
{
	char *to = text;
	int byte;

	for (; *text; text++, to++) {
		*to = *text == '+' ? ' ' : *text;
		if (*text != '%')
			continue;
		byte = ts_hex_byte(text + 1);
		if (byte <= 0)
			return -EINVAL;
		*to = (char)byte;
		text += 2;
	}
	*to = '\0';
	return 0;
}

/* As Go's strconv.ParseBool. */
static int read_bool(const char *text, bool *out)
{
	static const char *const words[2][6] = {
		{"0", "f", "F", "false", "FALSE", "False"},
		{"1", "t", "T", "true", "TRUE", "True"}};

	for (int value = 0; value < 2; value++)
		for (size_t i = 0; i < ARRAY_LEN(words[0]); i++)
			if (strcmp(words[value][i], text) == 0) {
				*out = value;
				return 0;
			}
	return -EINVAL;
}

struct attributes {
	struct ts_auth_choice *choice;
	unsigned seen; /* Go's Values.Get() knows the first of a name only */
	char *err;
};

static int take_bool(struct attributes *a, const char *name, const char *value,
		     bool *out)
{
	/* An empty one is the default there, an error here: upstream. */
	if (!*value && a->choice->kind == TS_AUTH_CLIENT)
		return 0;
	if (read_bool(value, out) == 0)
		return 0;
	snprintf(a->err, ERR_CAP,
		 RESOLVING "invalid attribute boolean attribute %.20s "
			   "value \"%.60s\"",
		 name, value);
	return -EINVAL;
}

/* Every path is appended to it. */
static int take_url(struct attributes *a, const char *value)
{
	size_t len = strlen(value);
	size_t scheme = strncmp(value, "https://", 8) == 0  ? 8
			: strncmp(value, "http://", 7) == 0 ? 7
							    : 0;

	while (len > scheme && value[len - 1] == '/')
		len--;
	if (!scheme || len == scheme || strpbrk(value, " \t\r\n\"'<>?#@")) {
		snprintf(a->err, ERR_CAP,
			 RESOLVING "baseURL \"%.80s\" is no http or https URL",
			 value);
		return -EINVAL;
	}
	free(a->choice->base_url);
	a->choice->base_url = strndup(value, len);
	return a->choice->base_url ? 0 : -ENOMEM;
}

static int take_attribute(struct attributes *a, const char *name,
			  const char *value)
{
	static const char *const names[] = {"ephemeral", "preauthorized",
					    "baseURL"};
	bool is_client = a->choice->kind == TS_AUTH_CLIENT;
	size_t i = 0;

	while (i < ARRAY_LEN(names) && strcmp(name, names[i]) != 0)
		i++;
	if (i == ARRAY_LEN(names) || (i == 2 && !is_client)) {
		snprintf(a->err, ERR_CAP, RESOLVING "unknown %sattribute "
			 "\"%.60s\"", is_client ? "" : "optional config ",
			 name);
		return -EINVAL;
	}
	if (a->seen & 1u << i)
		return 0;
	a->seen |= 1u << i;
	if (i == 2)
		return *value ? take_url(a, value) : 0;
	return take_bool(a, name, value,
			 i ? &a->choice->preauthorized : &a->choice->ephemeral);
}

static int take_pair(struct attributes *a, const char *pair, size_t len)
{
	char text[ATTRIBUTE_CAP];
	char *value;

	if (len >= sizeof(text) || memchr(pair, ';', len)) {
		snprintf(a->err, ERR_CAP, RESOLVING "the attributes behind "
			 "\"?\" are no URL query");
		return -EINVAL;
	}
	memcpy(text, pair, len);
	text[len] = '\0';
	value = strchr(text, '=');
	if (value)
		*value++ = '\0';
	if (unescape(text) || (value && unescape(value))) {
		snprintf(a->err, ERR_CAP, RESOLVING "invalid URL escape "
			 "behind \"?\"");
		return -EINVAL;
	}
	return take_attribute(a, text, value ? value : "");
}

/* Text up to "?" in *out, the attributes behind it in the choice. */
static int take_credential(struct ts_auth_choice *choice, const char *text,
			   char **out, char err[static ERR_CAP])
{
	struct attributes a = {.choice = choice, .err = err};
	size_t len = strcspn(text, "?");
	const char *query = text[len] ? text + len + 1 : "";
	int code = 0;

	choice->ephemeral = choice->kind == TS_AUTH_CLIENT || !text[len];
	*out = strndup(text, len);
	if (!*out)
		return -ENOMEM;
	while (*query && !code) {
		len = strcspn(query, "&");
		if (len > 0)
			code = take_pair(&a, query, len);
		query += len + (query[len] == '&');
	}
	return code;
}

/* -- the choice ----------------------------------------------------------- */

static int copy_tags(const struct ts_auth_settings *from,
		     struct ts_auth_choice *to, const char *who,
		     char err[static ERR_CAP])
{
	if (from->tag_count == 0) {
		snprintf(err, ERR_CAP, RESOLVING "%s authkeys require "
			 "--advertise-tags (tags, TSNET_TAGS)", who);
		return -EINVAL;
	}
	to->tags = calloc(from->tag_count, sizeof(*to->tags));
	if (!to->tags)
		return -ENOMEM;
	for (size_t i = 0; i < from->tag_count; i++) {
		to->tags[i] = strdup(from->tags[i]);
		if (!to->tags[i])
			return -ENOMEM;
		to->tag_count++;
	}
	return 0;
}

static int choose_client(const struct ts_auth_settings *s, const char *secret,
			 struct ts_auth_choice *out, char err[static ERR_CAP])
{
	int code = copy_tags(s, out, "oauth", err);

	out->kind = TS_AUTH_CLIENT;
	if (!code)
		code = take_credential(out, secret, &out->secret, err);
	if (!code && !out->base_url)
		out->base_url = strdup(API_URL);
	return code;
}

static int check_federation(const struct ts_auth_settings *s,
			    char err[static ERR_CAP])
{
	bool has_id = is_set(s->client_id), has_token = is_set(s->id_token);
	bool has_audience = is_set(s->audience);
	const char *what = NULL;

	if (has_id && !has_token && !has_audience)
		what = "client ID for workload identity federation found, but "
		       "ID token and audience are empty";
	else if (has_token && has_audience)
		what = "only one of ID token and audience should be for "
		       "workload identity federation";
	else if (!has_id && has_token)
		what = "ID token for workload identity federation found, but "
		       "client ID is empty";
	else if (!has_id && has_audience)
		what = "audience for workload identity federation found, but "
		       "client ID is empty";
	if (!what)
		return 0;
	snprintf(err, ERR_CAP, RESOLVING "%s", what);
	return -EINVAL;
}

static int copy(const char *text, char **out)
{
	*out = is_set(text) ? strdup(text) : NULL;
	return *out || !is_set(text) ? 0 : -ENOMEM;
}

static int choose_federation(const struct ts_auth_settings *s,
			     struct ts_auth_choice *out,
			     char err[static ERR_CAP])
{
	int code = check_federation(s, err);

	if (code || !is_set(s->client_id))
		return code; /* nothing at all: a person */
	out->kind = TS_AUTH_FEDERATION;
	code = copy_tags(s, out, "federated identity", err);
	if (!code)
		code = take_credential(out, s->client_id, &out->client_id,
				       err);
	if (!code)
		code = copy(s->id_token, &out->id_token);
	if (!code)
		code = copy(s->id_token_file, &out->id_token_file);
	if (!code)
		code = copy(s->audience, &out->audience);
	if (!code)
		code = copy(is_set(s->control_url) ? s->control_url
						   : CONTROL_URL,
			    &out->base_url);
	return code;
}

int ts_auth_choose(const struct ts_auth_settings *s,
		   struct ts_auth_choice *out, char err[static ERR_CAP])
{
	const char *key = is_set(s->auth_key) ? s->auth_key : s->client_secret;
	int code;

	*out = (struct ts_auth_choice){0};
	if (!is_set(key)) {
		code = choose_federation(s, out, err);
	} else if (strncmp(key, CLIENT_PREFIX, strlen(CLIENT_PREFIX)) == 0) {
		code = choose_client(s, key, out, err);
	} else {
		/* Anything else is an auth key, wherever it was given. */
		out->kind = TS_AUTH_KEY;
		code = copy(key, &out->auth_key);
	}
	if (!code && out->kind >= TS_AUTH_CLIENT && !out->base_url)
		code = -ENOMEM;
	if (code == -ENOMEM)
		snprintf(err, ERR_CAP, "out of memory");
	if (code)
		ts_auth_choice_deinit(out);
	return code;
}

void ts_auth_choice_deinit(struct ts_auth_choice *choice)
{
	ts_wipe_free_text(choice->auth_key);
	ts_wipe_free_text(choice->secret);
	ts_wipe_free_text(choice->client_id);
	ts_wipe_free_text(choice->id_token);
	free(choice->id_token_file);
	free(choice->audience);
	free(choice->base_url);
	ts_text_list_free(choice->tags, choice->tag_count);
	*choice = (struct ts_auth_choice){0};
}
