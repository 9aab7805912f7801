/* SPDX-License-Identifier: BSD-3-Clause
 * identity_aws.c - an identity token from AWS (STS GetWebIdentityToken)
 *
 * No sequence of steps: next() asks for the first thing that is missing, in the
 * order region, credentials, roles to be taken on with them, token; what was
 * asked for says how the answer is to be read (identity_aws_reply.c). Each
 * answer fills in one thing or ends the attempt, so it cannot go round in
 * circles.
 *
 * The credentials service's address comes from the environment, and what goes
 * there is a token: so it has to be https, or one of the addresses that AWS's
 * library allows.
 */
#include "core/control/identity_aws.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/control/identity_aws_internal.h"
#include "core/crypto/secret.h"

enum { HOST_CAP = 200, NEAR_MS = 3000 };

#define IMDS "http://169.254.169.254/latest"
#define CONTAINER_HOST "http://169.254.170.2"
#define STS_VERSION "2011-06-15"
#define SESSION_NAME "tsnet-shim"

void ts_aws_fail(struct ts_aws *aws, enum ts_identity_outcome outcome,
		 const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(aws->error, sizeof(aws->error), fmt, args);
	va_end(args);
	ts_web_hide(aws->error, aws->imds_token);
	ts_web_hide(aws->error, aws->credentials.session);
	aws->outcome = outcome;
}

int ts_aws_set_region(struct ts_aws *aws, const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len >= sizeof(aws->region) ||
	    strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
		return -EBADMSG;
	memcpy(aws->region, text, len + 1);
	return 0;
}

static char *dup_env(const struct ts_aws *aws, const char *name)
{
	const char *value = ts_identity_env(aws->place, name);

	return value ? strdup(value) : NULL;
}

static bool has_env(const struct ts_aws *aws, const char *a, const char *b)
{
	return ts_identity_env(aws->place, a) && ts_identity_env(aws->place, b);
}

/* The variable's file, or the one in ~/.aws; NULL: it cannot be read. */
static char *read_aws_file(const struct ts_aws *aws, const char *variable,
			   const char *name)
{
	const char *named = ts_identity_env(aws->place, variable);
	const char *home = ts_identity_env(aws->place, "HOME");
	char *path = NULL, *text = NULL;

	if (!named && (!home || asprintf(&path, "%s/.aws/%s", home, name) < 0))
		return NULL;
	if (aws->place->read_file(named ? named : path, &text))
		text = NULL;
	free(path);
	return text;
}

/* What the variables say already is not the profile's to say. */
static void read_profile(struct ts_aws *aws)
{
	const char *name = ts_identity_env(aws->place, "AWS_PROFILE");
	char *config = read_aws_file(aws, "AWS_CONFIG_FILE", "config");
	char *keys = read_aws_file(aws, "AWS_SHARED_CREDENTIALS_FILE",
				   "credentials");
	char error[TS_AWS_ERROR_CAP];
	int err;

	if (!name)
		name = ts_identity_env(aws->place, "AWS_DEFAULT_PROFILE");
	err = ts_aws_profile_read(config, keys, name, !aws->uses_profile,
				  &aws->profile, error);
	ts_wipe_free_text(config);
	ts_wipe_free_text(keys);
	if (err)
		ts_aws_fail(aws, TS_IDENTITY_REFUSED, "%s",
			    err == -ENOMEM ? "out of memory" : error);
}

static void read_environment(struct ts_aws *aws)
{
	const char *region = ts_identity_env(aws->place, "AWS_REGION");
	bool has_keys = has_env(aws, "AWS_ACCESS_KEY_ID",
				"AWS_SECRET_ACCESS_KEY");

	aws->uses_profile = !has_keys &&
			    !has_env(aws, "AWS_WEB_IDENTITY_TOKEN_FILE",
				     "AWS_ROLE_ARN");
	read_profile(aws);
	if (!region)
		region = ts_identity_env(aws->place, "AWS_DEFAULT_REGION");
	if (!region)
		region = aws->profile.region;
	if (region && ts_aws_set_region(aws, region))
		ts_aws_fail(aws, TS_IDENTITY_REFUSED,
			    "AWS_REGION is not a region");
	if (aws->uses_profile) {
		aws->roles_left = aws->profile.role_count;
		aws->credentials = aws->profile.credentials;
		aws->profile.credentials = (struct ts_aws_credentials){0};
	}
	if (!has_keys)
		return;
	aws->credentials.key_id = dup_env(aws, "AWS_ACCESS_KEY_ID");
	aws->credentials.secret = dup_env(aws, "AWS_SECRET_ACCESS_KEY");
	aws->credentials.session = dup_env(aws, "AWS_SESSION_TOKEN");
}

struct ts_aws *ts_aws_new(const char *audience,
			  const struct ts_identity_place *place)
{
	struct ts_aws *aws = calloc(1, sizeof(*aws));

	if (!aws)
		return NULL;
	aws->place = place;
	aws->audience = strdup(audience);
	if (!aws->audience) {
		free(aws);
		return NULL;
	}
	read_environment(aws);
	return aws;
}

void ts_aws_free(struct ts_aws *aws)
{
	if (!aws)
		return;
	ts_aws_credentials_deinit(&aws->credentials);
	ts_aws_profile_deinit(&aws->profile);
	ts_wipe_free_text(aws->imds_token);
	ts_wipe_free_text(aws->token);
	free(aws->role);
	free(aws->audience);
	free(aws);
}

void ts_aws_set_imds_token(struct ts_aws *aws, const char *token)
{
	ts_wipe_free_text(aws->imds_token);
	aws->imds_token = strdup(token);
}

/* -- requests ------------------------------------------------------------- */

void ts_aws_imds_token_call(struct ts_web_call *out)
{
	ts_web_call_init(out, "PUT", IMDS "/api/token");
	ts_web_call_field(out, "X-aws-ec2-metadata-token-ttl-seconds: 300");
	ts_web_call_take_body(out, strdup(""));
	out->is_near = true;
	out->timeout_ms = NEAR_MS;
}

/* A question to the instance; the token for it comes first. */
static enum ts_aws_asked ask_instance(struct ts_aws *aws,
				      enum ts_aws_asked what,
				      struct ts_web_call *out)
{
	if (!aws->imds_token) {
		ts_aws_imds_token_call(out);
		return TS_AWS_ASKED_IMDS_TOKEN;
	}
	if (what == TS_AWS_ASKED_REGION)
		ts_web_call_init(out, "GET",
				 IMDS "/dynamic/instance-identity/document");
	else
		ts_web_call_init(out, "GET",
				 IMDS "/meta-data/iam/security-credentials/%s",
				 what == TS_AWS_ASKED_ROLE ? "" : aws->role);
	ts_web_call_field(out, "X-aws-ec2-metadata-token: %s",
			  aws->imds_token);
	out->is_near = true;
	out->timeout_ms = NEAR_MS;
	return what;
}

/* Where STS is, and which host that is. */
static void sts_url(const struct ts_aws *aws, char url[static HOST_CAP],
		    char host[static HOST_CAP])
{
	const char *named = ts_identity_env(aws->place, "AWS_ENDPOINT_URL_STS");
	char *at;

	if (!named)
		named = ts_identity_env(aws->place, "AWS_ENDPOINT_URL");
	if (named)
		snprintf(url, HOST_CAP, "%s", named);
	else
		snprintf(url, HOST_CAP, "https://sts.%s.amazonaws.com%s",
			 aws->region,
			 strncmp(aws->region, "cn-", 3) == 0 ? ".cn" : "");
	url[strcspn(url, "?#")] = '\0';
	at = strstr(url, "://");
	at = at ? at + 3 : url;
	snprintf(host, HOST_CAP, "%.*s", (int)strcspn(at, "/"), at);
	at[strlen(host)] = '\0'; /* the path is "/", and so it is signed */
}

static int read_token_file(const struct ts_aws *aws, const char *path,
			   char **out)
{
	char *text = NULL;
	int err = aws->place->read_file(path, &text);

	*out = NULL;
	if (!err)
		err = ts_web_read_token(text, strlen(text), out);
	ts_wipe_free_text(text);
	return err;
}

/* With the token in a file: of the profile, or of the environment. */
static enum ts_aws_asked ask_assume(struct ts_aws *aws, struct ts_web_call *out)
{
	bool ours = aws->uses_profile;
	const struct ts_aws_role *role = &aws->profile.token_role;
	const char *path =
		ours ? aws->profile.token_file
		     : ts_identity_env(aws->place,
				       "AWS_WEB_IDENTITY_TOKEN_FILE");
	const char *arn = ours ? role->arn
			       : ts_identity_env(aws->place, "AWS_ROLE_ARN");
	const char *session =
		ours ? role->session
		     : ts_identity_env(aws->place, "AWS_ROLE_SESSION_NAME");
	char url[HOST_CAP], host[HOST_CAP];
	struct ts_web_form form;
	char *jwt;

	if (read_token_file(aws, path, &jwt)) {
		ts_aws_fail(aws, TS_IDENTITY_REFUSED,
			    "%.120s (%s) holds no token", path,
			    ours ? "web_identity_token_file"
				 : "AWS_WEB_IDENTITY_TOKEN_FILE");
		return TS_AWS_ASKED_NOTHING;
	}
	sts_url(aws, url, host);
	ts_web_call_init(out, "POST", "%s/", url);
	ts_web_form_init(&form);
	ts_web_form_add(&form, "Action", "AssumeRoleWithWebIdentity");
	ts_web_form_add(&form, "Version", STS_VERSION);
	ts_web_form_add(&form, "RoleArn", arn);
	ts_web_form_add(&form, "RoleSessionName",
			session ? session : SESSION_NAME);
	ts_web_form_add(&form, "WebIdentityToken", jwt);
	ts_web_call_take_body(out, ts_web_form_take(&form));
	ts_wipe_free_text(jwt);
	return TS_AWS_ASKED_ASSUME;
}

static bool begins_with_host(const char *url, const char *host)
{
	size_t len = strlen(host);

	return strncmp(url, host, len) == 0 &&
	       (url[len] == '/' || url[len] == ':' || !url[len]);
}

static bool is_allowed(const char *url)
{
	static const char *const hosts[] = {
		"http://127.0.0.1", "http://localhost", "http://[::1]",
		CONTAINER_HOST, "http://169.254.170.23",
		"http://[fd00:ec2::23]"};

	if (strchr(url, '@')) /* a name before it would be no host */
		return false;
	if (strncmp(url, "https://", 8) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
		if (begins_with_host(url, hosts[i]))
			return true;
	return false;
}

/* The token for the credentials service, when it wants one. */
static void add_container_token(const struct ts_aws *aws,
				struct ts_web_call *out)
{
	const char *token = ts_identity_env(
		aws->place, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
	const char *path = ts_identity_env(
		aws->place, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	char *text = NULL;

	if (path && read_token_file(aws, path, &text))
		out->is_bad = true;
	if (text || token)
		ts_web_call_field(out, "Authorization: %s",
				  text ? text : token);
	ts_wipe_free_text(text);
}

static enum ts_aws_asked ask_container(struct ts_aws *aws, const char *relative,
				       const char *full,
				       struct ts_web_call *out)
{
	if (!relative && !is_allowed(full)) {
		ts_aws_fail(
			aws, TS_IDENTITY_REFUSED,
			"AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor "
			"a container's own");
		return TS_AWS_ASKED_NOTHING;
	}
	ts_web_call_init(out, "GET", "%s%s", relative ? CONTAINER_HOST : "",
			 relative ? relative : full);
	add_container_token(aws, out);
	out->is_near = strncmp(out->url ? out->url : "", "http:", 5) == 0;
	return TS_AWS_ASKED_CONTAINER;
}

static enum ts_aws_asked ask_credentials(struct ts_aws *aws,
					 struct ts_web_call *out)
{
	const char *relative = ts_identity_env(
		aws->place, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = ts_identity_env(
		aws->place, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
	enum ts_aws_source source = aws->profile.source;

	if (!aws->uses_profile || aws->profile.token_file)
		return ask_assume(aws, out);
	if (source == TS_AWS_ENVIRONMENT ||
	    (source == TS_AWS_CONTAINER && !relative && !full)) {
		ts_aws_fail(
			aws, TS_IDENTITY_REFUSED,
			"AWS: the environment has no "
			"credentials, as the profile says (credential_source)");
		return TS_AWS_ASKED_NOTHING;
	}
	if ((relative || full) && source != TS_AWS_INSTANCE)
		return ask_container(aws, relative, full, out);
	return ask_instance(
		aws, aws->role ? TS_AWS_ASKED_INSTANCE : TS_AWS_ASKED_ROLE,
		out);
}

/* The next role of the profile, by the credentials that there are. */
static enum ts_aws_asked ask_next_role(struct ts_aws *aws, int64_t wall_s,
				       struct ts_web_call *out)
{
	const struct ts_aws_role *role =
		&aws->profile.roles[aws->roles_left - 1];
	char url[HOST_CAP], host[HOST_CAP];
	struct ts_web_form form;

	sts_url(aws, url, host);
	ts_web_call_init(out, "POST", "%s/", url);
	ts_web_form_init(&form);
	ts_web_form_add(&form, "Action", "AssumeRole");
	ts_web_form_add(&form, "Version", STS_VERSION);
	ts_web_form_add(&form, "RoleArn", role->arn);
	ts_web_form_add(&form, "RoleSessionName",
			role->session ? role->session : SESSION_NAME);
	if (role->external_id)
		ts_web_form_add(&form, "ExternalId", role->external_id);
	ts_web_call_take_body(out, ts_web_form_take(&form));
	ts_aws_sign(out, host, aws->region, "sts", &aws->credentials, wall_s);
	return TS_AWS_ASKED_NEXT_ROLE;
}

static enum ts_aws_asked ask_token(struct ts_aws *aws, int64_t wall_s,
				   struct ts_web_call *out)
{
	char url[HOST_CAP], host[HOST_CAP];
	struct ts_web_form form;

	sts_url(aws, url, host);
	ts_web_call_init(out, "POST", "%s/", url);
	ts_web_form_init(&form);
	ts_web_form_add(&form, "Action", "GetWebIdentityToken");
	ts_web_form_add(&form, "Version", STS_VERSION);
	ts_web_form_add(&form, "Audience.member.1", aws->audience);
	ts_web_form_add(&form, "DurationSeconds", "300");
	ts_web_form_add(&form, "SigningAlgorithm", "ES384");
	ts_web_call_take_body(out, ts_web_form_take(&form));
	ts_aws_sign(out, host, aws->region, "sts", &aws->credentials, wall_s);
	return TS_AWS_ASKED_TOKEN;
}

bool ts_aws_next(struct ts_aws *aws, int64_t wall_s, struct ts_web_call *out)
{
	*out = (struct ts_web_call){0};
	if (aws->outcome != TS_IDENTITY_BUSY)
		return false;
	if (!aws->region[0])
		aws->asked = ask_instance(aws, TS_AWS_ASKED_REGION, out);
	else if (!aws->credentials.key_id || !aws->credentials.secret)
		aws->asked = ask_credentials(aws, out);
	else if (aws->roles_left > 0)
		aws->asked = ask_next_role(aws, wall_s, out);
	else
		aws->asked = ask_token(aws, wall_s, out);
	if (aws->asked != TS_AWS_ASKED_NOTHING && !out->is_bad)
		return true;
	ts_web_call_deinit(out);
	if (aws->outcome == TS_IDENTITY_BUSY)
		ts_aws_fail(
			aws, TS_IDENTITY_REFUSED,
			"AWS: a credential or an address of the environment "
			"cannot be sent");
	return false;
}

enum ts_identity_outcome ts_aws_outcome(const struct ts_aws *aws)
{
	return aws->outcome;
}

const char *ts_aws_token(const struct ts_aws *aws)
{
	return aws->token;
}

const char *ts_aws_error(const struct ts_aws *aws)
{
	return aws->error;
}
