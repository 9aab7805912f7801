/* SPDX-License-Identifier: BSD-3-Clause
 * aws_profile.c - a profile of ~/.aws/config and ~/.aws/credentials
 *
 * The files are looked through for each value that is wanted: the last line of
 * the profile's sections that has the key counts. "[NAME]" in the credentials
 * file is "[profile NAME]" in the other, but for the default profile. Indented
 * lines belong to the value above and mean nothing here.
 *
 * A role whose credentials come from another profile (source_profile) leads
 * there, and so on; the way ends at keys, at a web identity, or at a place that
 * hands out credentials.
 */
#include "core/control/aws_profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/crypto/secret.h"

#define DEFAULT_NAME "default"

enum { NAME_SHOWN_MAX = 80 };

/* A part of a file's text. */
struct span {
	const char *at;
	size_t len;
};

struct files {
	const char *config, *credentials; /* or NULL */
};

/* -- lines ---------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct span trim(struct span s)
{
	while (s.len > 0 && is_blank(s.at[0])) {
		s.at++;
		s.len--;
	}
	while (s.len > 0 && is_blank(s.at[s.len - 1]))
		s.len--;
	return s;
}

static bool equals(struct span s, const char *text)
{
	return s.len == strlen(text) && memcmp(s.at, text, s.len) == 0;
}

/* The next line, without its end; false: no more. */
static bool next_line(const char **text, struct span *out)
{
	if (!**text)
		return false;
	*out = (struct span){*text, strcspn(*text, "\n")};
	*text += out->len + ((*text)[out->len] == '\n');
	return true;
}

/* "[ TYPE NAME ] # comment"; type is empty for "[NAME]". */
static bool read_section(struct span line, struct span *type,
			 struct span *name)
{
	struct span s;
	size_t n = 0;

	while (n < line.len && line.at[n] != '#' && line.at[n] != ';')
		n++;
	s = trim((struct span){line.at, n});
	if (s.len < 2 || s.at[0] != '[' || s.at[s.len - 1] != ']')
		return false;
	s = trim((struct span){s.at + 1, s.len - 2});
	n = 0;
	while (n < s.len && !is_blank(s.at[n]))
		n++;
	*type = (struct span){s.at, n < s.len ? n : 0};
	*name = trim((struct span){s.at + type->len, s.len - type->len});
	return true;
}

/* A comment begins with a blank before its sign. */
static struct span without_comment(struct span s)
{
	for (size_t i = 1; i < s.len; i++)
		if ((s.at[i] == '#' || s.at[i] == ';') &&
		    (s.at[i - 1] == ' ' || s.at[i - 1] == '\t'))
			return (struct span){s.at, i - 1};
	return s;
}

static struct span unquoted(struct span s)
{
	bool is_quoted = s.len >= 2 && s.at[0] == s.at[s.len - 1] &&
			 (s.at[0] == '"' || s.at[0] == '\'');

	return is_quoted ? (struct span){s.at + 1, s.len - 2} : s;
}

/* The value of a line "key = value"; false: another one. */
static bool read_value(struct span line, const char *key, struct span *out)
{
	struct span s, found;
	size_t n = 0;

	if (line.len == 0 || is_blank(line.at[0]) || line.at[0] == '#' ||
	    line.at[0] == ';')
		return false;
	s = without_comment(line);
	while (n < s.len && s.at[n] != '=' && s.at[n] != ':')
		n++;
	if (n == s.len)
		return false;
	found = trim((struct span){s.at, n});
	if (found.len != strlen(key) ||
	    strncasecmp(found.at, key, found.len) != 0)
		return false;
	*out = unquoted(trim((struct span){s.at + n + 1, s.len - n - 1}));
	return true;
}

/* -- profiles ------------------------------------------------------------- */

static bool is_of_profile(struct span type, struct span name,
			  const char *wanted, bool is_config)
{
	if (!equals(name, wanted))
		return false;
	if (type.len == 0)
		return !is_config || strcmp(wanted, DEFAULT_NAME) == 0;
	return is_config && equals(type, "profile");
}

/* key NULL: is the profile there at all? */
static bool find_in(const char *text, bool is_config, const char *profile,
		    const char *key, struct span *out)
{
	struct span line, type, name;
	bool is_inside = false, is_found = false;

	while (text && next_line(&text, &line)) {
		if (read_section(line, &type, &name)) {
			is_inside = is_of_profile(type, name, profile,
						  is_config);
			is_found |= is_inside && !key;
		} else if (is_inside && key && read_value(line, key, out)) {
			is_found = out->len > 0;
		}
	}
	return is_found;
}

static bool find(const struct files *f, const char *profile, const char *key,
		 struct span *out)
{
	return find_in(f->credentials, false, profile, key, out) ||
	       find_in(f->config, true, profile, key, out);
}

static bool has(const struct files *f, const char *profile, const char *key)
{
	struct span s;

	return find(f, profile, key, &s);
}

/* *out NULL: it has no such value. 0 or -ENOMEM. */
static int copy(const struct files *f, const char *profile, const char *key,
		char **out)
{
	struct span s;

	*out = NULL;
	if (!find(f, profile, key, &s))
		return 0;
	*out = strndup(s.at, s.len);
	return *out ? 0 : -ENOMEM;
}

/* Both from one file: half of a pair is none. */
static int copy_keys(const struct files *f, const char *profile,
		     struct ts_aws_credentials *out)
{
	const struct files each[] = {{.credentials = f->credentials},
				     {.config = f->config}};
	int err = 0;

	for (size_t i = 0; !err && !out->secret && i < 2; i++) {
		if (!has(&each[i], profile, "aws_access_key_id") ||
		    !has(&each[i], profile, "aws_secret_access_key"))
			continue;
		err = copy(&each[i], profile, "aws_access_key_id",
			   &out->key_id);
		if (!err)
			err = copy(&each[i], profile, "aws_secret_access_key",
				   &out->secret);
		if (!err)
			err = copy(&each[i], profile, "aws_session_token",
				   &out->session);
	}
	return err;
}

/* -- what it needs -------------------------------------------------------- */

static int refuse(char error[static TS_AWS_ERROR_CAP], const char *profile,
		  const char *why)
{
	snprintf(error, TS_AWS_ERROR_CAP, "AWS profile %.*s: %s",
		 NAME_SHOWN_MAX, profile, why);
	return -EINVAL;
}

/* Why this node cannot use it; NULL: it can. */
static const char *obstacle(const struct files *f, const char *profile)
{
	static const struct {
		const char *key, *why;
	} keys[] = {
		{"sso_session", "single sign-on (sso_session) is not "
				"supported: give keys or a role"},
		{"sso_start_url", "single sign-on (sso_start_url) is not "
				  "supported: give keys or a role"},
		{"login_session", "a login session (login_session) is not "
				  "supported: give keys or a role"},
		{"credential_process",
		 "no program is run for credentials (credential_process): "
		 "give keys or a role"},
		{"mfa_serial", "nobody is there to enter a second factor "
			       "(mfa_serial)"},
	};
	static const char *const kinds[] = {
		"source_profile", "credential_source", "credential_process",
		"web_identity_token_file"};
	size_t count = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		count += has(f, profile, kinds[i]);
	if (count > 1)
		return "only one credential type may be specified per "
		       "profile: source profile, credential source, "
		       "credential process, web identity token";
	if (count > 0 && !has(f, profile, "role_arn") &&
	    !has(f, profile, "credential_process"))
		return "a source of credentials needs a role (role_arn)";
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (has(f, profile, keys[i].key))
			return keys[i].why;
	return NULL;
}

static int read_source(const struct files *f, const char *profile,
		       enum ts_aws_source *out,
		       char error[static TS_AWS_ERROR_CAP])
{
	struct span s;

	*out = TS_AWS_ANY;
	if (!find(f, profile, "credential_source", &s))
		return 0;
	if (equals(s, "Ec2InstanceMetadata"))
		*out = TS_AWS_INSTANCE;
	else if (equals(s, "EcsContainer"))
		*out = TS_AWS_CONTAINER;
	else if (equals(s, "Environment"))
		*out = TS_AWS_ENVIRONMENT;
	else
		return refuse(error, profile, "credential_source values must "
			      "be EcsContainer, Ec2InstanceMetadata, or "
			      "Environment");
	return 0;
}

static int read_role(const struct files *f, const char *profile,
		     struct ts_aws_role *out)
{
	int err = copy(f, profile, "role_arn", &out->arn);

	if (!err)
		err = copy(f, profile, "role_session_name", &out->session);
	if (!err)
		err = copy(f, profile, "external_id", &out->external_id);
	return err;
}

static int add_role(const struct files *f, const char *profile,
		    struct ts_aws_profile *out,
		    char error[static TS_AWS_ERROR_CAP])
{
	if (!has(f, profile, "role_arn"))
		return 0;
	if (out->role_count == TS_AWS_ROLES_MAX)
		return refuse(error, profile, "too many roles on the way to "
					      "credentials (source_profile)");
	return read_role(f, profile, &out->roles[out->role_count++]);
}

/* Where the credentials of the last role come from. */
static int read_base(const struct files *f, const char *profile,
		     struct ts_aws_profile *out,
		     char error[static TS_AWS_ERROR_CAP])
{
	int err = copy_keys(f, profile, &out->credentials);

	if (!err && !out->credentials.secret)
		err = read_source(f, profile, &out->source, error);
	if (!err && !out->credentials.secret)
		err = copy(f, profile, "web_identity_token_file",
			   &out->token_file);
	if (!err && out->token_file)
		return read_role(f, profile, &out->token_role);
	return err ? err : add_role(f, profile, out, error);
}

/* A profile may name itself as its source: its keys are meant then. So are
 * those of another one's source, wherever they are from. */
static bool is_end(const struct files *f, const char *profile,
		   const char *source, bool is_source)
{
	return !source || strcmp(source, profile) == 0 ||
	       (is_source && has(f, profile, "aws_access_key_id"));
}

static int read_chain(const struct files *f, const char *name,
		      struct ts_aws_profile *out,
		      char error[static TS_AWS_ERROR_CAP])
{
	char *profile = strdup(name), *source = NULL;
	int err = profile ? 0 : -ENOMEM;

	while (!err) {
		const char *why = obstacle(f, profile);

		err = why ? refuse(error, profile, why)
			  : copy(f, profile, "source_profile", &source);
		if (!err && is_end(f, profile, source, out->role_count > 0)) {
			err = read_base(f, profile, out, error);
			break;
		}
		if (err)
			break;
		if (!find_in(f->credentials, false, source, NULL, NULL) &&
		    !find_in(f->config, true, source, NULL, NULL))
			err = refuse(error, source,
				     "there is none (source_profile)");
		if (!err)
			err = add_role(f, profile, out, error);
		free(profile);
		profile = source;
		source = NULL;
	}
	free(source);
	free(profile);
	return err;
}

int ts_aws_profile_read(const char *config, const char *credentials,
			const char *name, bool region_only,
			struct ts_aws_profile *out,
			char error[static TS_AWS_ERROR_CAP])
{
	const struct files f = {config, credentials};
	int err;

	*out = (struct ts_aws_profile){.role_count = 0};
	error[0] = '\0';
	if (name && !find_in(credentials, false, name, NULL, NULL) &&
	    !find_in(config, true, name, NULL, NULL)) {
		snprintf(error, TS_AWS_ERROR_CAP,
			 "failed to get shared config profile, %.*s",
			 NAME_SHOWN_MAX, name);
		return -EINVAL;
	}
	if (!name)
		name = DEFAULT_NAME;
	err = copy(&f, name, "region", &out->region);
	if (!err && !region_only)
		err = read_chain(&f, name, out, error);
	if (err)
		ts_aws_profile_deinit(out);
	return err;
}

static void free_role(struct ts_aws_role *role)
{
	free(role->arn);
	free(role->session);
	ts_wipe_free_text(role->external_id);
}

void ts_aws_profile_deinit(struct ts_aws_profile *profile)
{
	free(profile->region);
	ts_aws_credentials_deinit(&profile->credentials);
	free(profile->token_file);
	free_role(&profile->token_role);
	for (size_t i = 0; i < profile->role_count; i++)
		free_role(&profile->roles[i]);
	memset(profile, 0, sizeof(*profile));
}
