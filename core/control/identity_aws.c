/* SPDX-License-Identifier: BSD-3-Clause
 * identity_aws.c - an identity token from AWS (STS GetWebIdentityToken)
 *
 * No sequence of steps: next() asks for the first thing that is missing, in the
 * order region, credentials, token; what was asked for says how the answer is
 * to be read. Each answer fills in one thing or ends the attempt, so it cannot
 * go round in circles.
 *
 * The credentials service's address comes from the environment, and what goes
 * there is a token: so it has to be https, or one of the addresses that AWS's
 * library allows.
 */
#include "core/control/identity_aws.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/control/aws_sign.h"
#include "core/crypto/secret.h"
#include "core/model/json_fields.h"

enum { ERROR_CAP = 256, REGION_CAP = 40, HOST_CAP = 200, NEAR_MS = 3000 };

#define IMDS "http://169.254.169.254/latest"
#define CONTAINER_HOST "http://169.254.170.2"
#define STS_VERSION "2011-06-15"

enum asked {
	ASKED_NOTHING,
	ASKED_IMDS_TOKEN,
	ASKED_REGION,
	ASKED_ROLE,
	ASKED_INSTANCE, /* credentials */
	ASKED_CONTAINER,
	ASKED_ASSUME,
	ASKED_TOKEN,
};

struct ts_aws {
	const struct ts_identity_place *place;
	char *audience;
	enum asked asked;
	enum ts_identity_outcome outcome;
	char region[REGION_CAP];
	char *imds_token, *role, *token;
	struct ts_aws_credentials credentials;
	char error[ERROR_CAP];
};

static void fail(struct ts_aws *aws, enum ts_identity_outcome outcome,
		 const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void fail(struct ts_aws *aws, enum ts_identity_outcome outcome,
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

/* It becomes part of a host's name. */
static int set_region(struct ts_aws *aws, const char *text)
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

static void read_environment(struct ts_aws *aws)
{
	const char *region = ts_identity_env(aws->place, "AWS_REGION");

	if (!region)
		region = ts_identity_env(aws->place, "AWS_DEFAULT_REGION");
	if (region && set_region(aws, region))
		fail(aws, TS_IDENTITY_REFUSED, "AWS_REGION is not a region");
	if (!ts_identity_env(aws->place, "AWS_ACCESS_KEY_ID") ||
	    !ts_identity_env(aws->place, "AWS_SECRET_ACCESS_KEY"))
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

/* -- requests --------------------------------------------------------------- */

void ts_aws_imds_token_call(struct ts_web_call *out)
{
	ts_web_call_init(out, "PUT", IMDS "/api/token");
	ts_web_call_field(out, "X-aws-ec2-metadata-token-ttl-seconds: 300");
	ts_web_call_take_body(out, strdup(""));
	out->is_near = true;
	out->timeout_ms = NEAR_MS;
}

/* A question to the instance; the token for it comes first. */
static enum asked ask_instance(struct ts_aws *aws, enum asked what,
			       struct ts_web_call *out)
{
	if (!aws->imds_token) {
		ts_aws_imds_token_call(out);
		return ASKED_IMDS_TOKEN;
	}
	if (what == ASKED_REGION)
		ts_web_call_init(out, "GET",
				 IMDS "/dynamic/instance-identity/document");
	else
		ts_web_call_init(out, "GET",
				 IMDS "/meta-data/iam/security-credentials/%s",
				 what == ASKED_ROLE ? "" : aws->role);
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

static enum asked ask_assume(struct ts_aws *aws, struct ts_web_call *out)
{
	const char *path = ts_identity_env(aws->place,
					   "AWS_WEB_IDENTITY_TOKEN_FILE");
	const char *session = ts_identity_env(aws->place,
					      "AWS_ROLE_SESSION_NAME");
	char url[HOST_CAP], host[HOST_CAP];
	struct ts_web_form form;
	char *jwt;

	if (read_token_file(aws, path, &jwt)) {
		fail(aws, TS_IDENTITY_REFUSED, "%.120s "
		     "(AWS_WEB_IDENTITY_TOKEN_FILE) holds no token", path);
		return ASKED_NOTHING;
	}
	sts_url(aws, url, host);
	ts_web_call_init(out, "POST", "%s/", url);
	ts_web_form_init(&form);
	ts_web_form_add(&form, "Action", "AssumeRoleWithWebIdentity");
	ts_web_form_add(&form, "Version", STS_VERSION);
	ts_web_form_add(&form, "RoleArn",
			ts_identity_env(aws->place, "AWS_ROLE_ARN"));
	ts_web_form_add(&form, "RoleSessionName",
			session ? session : "tsnet-shim");
	ts_web_form_add(&form, "WebIdentityToken", jwt);
	ts_web_call_take_body(out, ts_web_form_take(&form));
	ts_wipe_free_text(jwt);
	return ASKED_ASSUME;
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
	const char *token = ts_identity_env(aws->place,
					    "AWS_CONTAINER_AUTHORIZATION_TOKEN");
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

static enum asked ask_container(struct ts_aws *aws, const char *relative,
				const char *full, struct ts_web_call *out)
{
	if (!relative && !is_allowed(full)) {
		fail(aws, TS_IDENTITY_REFUSED,
		     "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor "
		     "a container's own");
		return ASKED_NOTHING;
	}
	ts_web_call_init(out, "GET", "%s%s", relative ? CONTAINER_HOST : "",
			 relative ? relative : full);
	add_container_token(aws, out);
	out->is_near = strncmp(out->url ? out->url : "", "http:", 5) == 0;
	return ASKED_CONTAINER;
}

static enum asked ask_credentials(struct ts_aws *aws, struct ts_web_call *out)
{
	const char *relative = ts_identity_env(
		aws->place, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = ts_identity_env(
		aws->place, "AWS_CONTAINER_CREDENTIALS_FULL_URI");

	if (ts_identity_env(aws->place, "AWS_WEB_IDENTITY_TOKEN_FILE") &&
	    ts_identity_env(aws->place, "AWS_ROLE_ARN"))
		return ask_assume(aws, out);
	if (relative || full)
		return ask_container(aws, relative, full, out);
	return ask_instance(aws, aws->role ? ASKED_INSTANCE : ASKED_ROLE, out);
}

static enum asked ask_token(struct ts_aws *aws, int64_t wall_s,
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
	return ASKED_TOKEN;
}

bool ts_aws_next(struct ts_aws *aws, int64_t wall_s, struct ts_web_call *out)
{
	*out = (struct ts_web_call){0};
	if (aws->outcome != TS_IDENTITY_BUSY)
		return false;
	if (!aws->region[0])
		aws->asked = ask_instance(aws, ASKED_REGION, out);
	else if (!aws->credentials.key_id || !aws->credentials.secret)
		aws->asked = ask_credentials(aws, out);
	else
		aws->asked = ask_token(aws, wall_s, out);
	if (aws->asked != ASKED_NOTHING && !out->is_bad)
		return true;
	ts_web_call_deinit(out);
	if (aws->outcome == TS_IDENTITY_BUSY)
		fail(aws, TS_IDENTITY_REFUSED,
		     "AWS: a credential or an address of the environment "
		     "cannot be sent");
	return false;
}

/* -- replies ---------------------------------------------------------------- */

/* The text of the first such element: STS's answers have each of those that
 * are looked for once, and without attributes. */
static const char *find_element(const struct ts_web_reply *reply,
				const char *name, size_t *len)
{
	char open[40], close[40];
	const char *from, *to;

	snprintf(open, sizeof(open), "<%s>", name);
	snprintf(close, sizeof(close), "</%s>", name);
	from = reply->len ? strstr(reply->body, open) : NULL;
	if (!from)
		return NULL;
	from += strlen(open);
	to = strstr(from, close);
	*len = to ? (size_t)(to - from) : 0;
	return to ? from : NULL;
}

static int read_element(const struct ts_web_reply *reply, const char *name,
			char **out)
{
	size_t len;
	const char *text = find_element(reply, name, &len);

	*out = NULL;
	return text ? ts_web_read_token(text, len, out) : -EBADMSG;
}

static int read_json_credentials(struct ts_aws_credentials *out,
				 const struct ts_web_reply *reply)
{
	int err = ts_web_read_json_token(reply, "AccessKeyId", &out->key_id);

	if (!err)
		err = ts_web_read_json_token(reply, "SecretAccessKey",
					     &out->secret);
	/* Keys of a user, as a service of one's own may hand out, have none. */
	if (!err && ts_web_read_json_token(reply, "Token", &out->session) ==
			    -ENOMEM)
		err = -ENOMEM;
	return err;
}

static int read_xml_credentials(struct ts_aws_credentials *out,
				const struct ts_web_reply *reply)
{
	int err = read_element(reply, "AccessKeyId", &out->key_id);

	if (!err)
		err = read_element(reply, "SecretAccessKey", &out->secret);
	if (!err)
		err = read_element(reply, "SessionToken", &out->session);
	return err;
}

static int read_region(struct ts_aws *aws, const struct ts_web_reply *reply)
{
	json_t *root = json_loadb(reply->body, reply->len, TS_JSON_READ_FLAGS,
				  NULL);
	const char *text = ts_json_text(root, "region");
	int err = text ? set_region(aws, text) : -EBADMSG;

	json_decref(root);
	return err;
}

static const char *what_was_asked(const struct ts_aws *aws)
{
	static const char *const names[] = {
		[ASKED_NOTHING] = "",
		[ASKED_IMDS_TOKEN] = "EC2 metadata",
		[ASKED_REGION] = "EC2 metadata: region",
		[ASKED_ROLE] = "EC2 metadata: the instance's role",
		[ASKED_INSTANCE] = "EC2 metadata: credentials",
		[ASKED_CONTAINER] = "the container's credentials",
		[ASKED_ASSUME] = "aws sts:AssumeRoleWithWebIdentity",
		[ASKED_TOKEN] = "aws sts:GetWebIdentityToken",
	};

	return names[aws->asked];
}

static void take_refusal(struct ts_aws *aws, const struct ts_web_reply *reply)
{
	const char *what = what_was_asked(aws), *code, *message;
	size_t code_len = 0, message_len = 0;
	char words[TS_WEB_WORDS_CAP];

	if (reply->status == 0) {
		fail(aws, TS_IDENTITY_UNREACHED, "%s cannot be reached: %s",
		     what, reply->error);
		return;
	}
	code = find_element(reply, "Code", &code_len);
	message = find_element(reply, "Message", &message_len);
	if (code)
		snprintf(words, sizeof(words), "%.*s: %.*s", (int)code_len,
			 code, (int)message_len, message ? message : "");
	else
		ts_web_words(reply, words);
	fail(aws,
	     ts_web_is_passing(reply) ? TS_IDENTITY_UNREACHED
				      : TS_IDENTITY_REFUSED,
	     "%s failed: http %d: %s", what, reply->status, words);
}

static int take_answer(struct ts_aws *aws, const struct ts_web_reply *reply)
{
	switch (aws->asked) {
	case ASKED_IMDS_TOKEN:
		return ts_web_read_token(reply->body, reply->len,
					 &aws->imds_token);
	case ASKED_REGION:
		return read_region(aws, reply);
	case ASKED_ROLE:
		return ts_web_read_token(reply->body, reply->len, &aws->role);
	case ASKED_INSTANCE:
	case ASKED_CONTAINER:
		return read_json_credentials(&aws->credentials, reply);
	case ASKED_ASSUME:
		return read_xml_credentials(&aws->credentials, reply);
	case ASKED_TOKEN:
		return read_element(reply, "WebIdentityToken", &aws->token);
	case ASKED_NOTHING:
		break;
	}
	return -EPROTO;
}

void ts_aws_reply(struct ts_aws *aws, const struct ts_web_reply *reply)
{
	int err;

	if (aws->outcome != TS_IDENTITY_BUSY)
		return;
	if (!ts_web_is_success(reply)) {
		take_refusal(aws, reply);
		return;
	}
	err = take_answer(aws, reply);
	if (err == -ENOMEM)
		fail(aws, TS_IDENTITY_UNREACHED, "out of memory");
	else if (err)
		fail(aws, TS_IDENTITY_REFUSED, "%s: an answer that makes no "
		     "sense", what_was_asked(aws));
	else if (aws->token)
		aws->outcome = TS_IDENTITY_FOUND;
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
