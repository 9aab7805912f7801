/* SPDX-License-Identifier: BSD-3-Clause
 * identity_token.c - ask the place we run at who we are: an OIDC identity token
 *
 * The metadata services are plain HTTP at addresses of the machine's own
 * network, so they are asked past any proxy. Whoever answers there in their
 * place could give us a token of somebody else, but learns none of ours.
 */
#include "core/control/identity_token.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/environment.h"
#include "core/base/err.h"
#include "core/control/identity_aws.h"
#include "core/crypto/secret.h"

enum { ERROR_CAP = 256, NEAR_MS = 3000 };

#define GOOGLE "http://metadata.google.internal"
#define GITHUB_URL "ACTIONS_ID_TOKEN_REQUEST_URL"
#define GITHUB_TOKEN "ACTIONS_ID_TOKEN_REQUEST_TOKEN"

const char *const ts_identity_variables[] = {
	GITHUB_URL,
	GITHUB_TOKEN,
	"ECS_CONTAINER_METADATA_URI_V4",
	"AWS_REGION",
	"AWS_DEFAULT_REGION",
	"AWS_ACCESS_KEY_ID",
	"AWS_SECRET_ACCESS_KEY",
	"AWS_SESSION_TOKEN",
	"AWS_WEB_IDENTITY_TOKEN_FILE",
	"AWS_ROLE_ARN",
	"AWS_ROLE_SESSION_NAME",
	"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
	"AWS_CONTAINER_CREDENTIALS_FULL_URI",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	"AWS_ENDPOINT_URL",
	"AWS_ENDPOINT_URL_STS",
	"AWS_PROFILE",
	"AWS_DEFAULT_PROFILE",
	"AWS_CONFIG_FILE",
	"AWS_SHARED_CREDENTIALS_FILE",
	"HOME", /* of .aws */
	NULL,
};

enum step {
	STEP_GITHUB,
	STEP_FIND_EC2,
	STEP_FIND_GOOGLE,
	STEP_GOOGLE,
	STEP_AWS,
	STEP_END,
};

struct ts_identity {
	const struct ts_identity_place *place;
	char *audience;
	enum step step;
	enum ts_identity_outcome outcome;
	struct ts_aws *aws;
	char *token;
	char error[ERROR_CAP];
};

const char *ts_identity_env(const struct ts_identity_place *place,
			    const char *name)
{
	return ts_environment_get(place->env, name);
}

static void set_step(struct ts_identity *id, enum step next)
{
	id->step = next;
}

static void end(struct ts_identity *id, enum ts_identity_outcome outcome,
		const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void end(struct ts_identity *id, enum ts_identity_outcome outcome,
		const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(id->error, sizeof(id->error), fmt, args);
	va_end(args);
	ts_web_hide(id->error, ts_identity_env(id->place, GITHUB_TOKEN));
	id->outcome = outcome;
	set_step(id, STEP_END);
}

struct ts_identity *ts_identity_new(const char *audience,
				    const struct ts_identity_place *place)
{
	struct ts_identity *id = calloc(1, sizeof(*id));

	if (!id)
		return NULL;
	id->place = place;
	id->audience = strdup(audience);
	if (!id->audience) {
		free(id);
		return NULL;
	}
	id->step = ts_identity_env(place, GITHUB_URL) &&
				   ts_identity_env(place, GITHUB_TOKEN)
			   ? STEP_GITHUB
			   : STEP_FIND_EC2;
	return id;
}

void ts_identity_free(struct ts_identity *id)
{
	if (!id)
		return;
	ts_aws_free(id->aws);
	ts_wipe_free_text(id->token);
	free(id->audience);
	free(id);
}

/* -- requests ------------------------------------------------------------- */

static void ask_github(struct ts_identity *id, const char *audience,
		       struct ts_web_call *out)
{
	const char *url = ts_identity_env(id->place, GITHUB_URL);

	ts_web_call_init(out, "GET", "%s%caudience=%s", url,
			 strchr(url, '?') ? '&' : '?', audience);
	ts_web_call_field(out, "Authorization: Bearer %s",
			  ts_identity_env(id->place, GITHUB_TOKEN));
	ts_web_call_field(out, "Accept: application/json");
}

static void ask_google(const char *audience, struct ts_web_call *out)
{
	if (audience)
		ts_web_call_init(out, "GET",
				 GOOGLE "/computeMetadata/v1/instance/"
					"service-accounts/default/identity?"
					"audience=%s&format=full",
				 audience);
	else
		ts_web_call_init(out, "GET", GOOGLE "/");
	ts_web_call_field(out, "Metadata-Flavor: Google");
	out->want_field = "Metadata-Flavor";
	out->is_near = true;
	out->timeout_ms = NEAR_MS;
}

static bool next_of_aws(struct ts_identity *id, int64_t wall_s,
			struct ts_web_call *out)
{
	if (ts_aws_next(id->aws, wall_s, out))
		return true;
	if (ts_aws_outcome(id->aws) != TS_IDENTITY_BUSY)
		end(id, ts_aws_outcome(id->aws), "%s", ts_aws_error(id->aws));
	return false;
}

bool ts_identity_next(struct ts_identity *id, int64_t wall_s,
		      struct ts_web_call *out)
{
	char *audience = ts_web_escape(id->audience);

	*out = (struct ts_web_call){0};
	if (!audience)
		end(id, TS_IDENTITY_UNREACHED, "out of memory");
	if (id->step == STEP_AWS) {
		free(audience);
		return next_of_aws(id, wall_s, out);
	}
	if (id->step == STEP_GITHUB)
		ask_github(id, audience, out);
	else if (id->step == STEP_FIND_EC2)
		ts_aws_imds_token_call(out);
	else if (id->step == STEP_FIND_GOOGLE || id->step == STEP_GOOGLE)
		ask_google(id->step == STEP_GOOGLE ? audience : NULL, out);
	free(audience);
	if (id->step != STEP_END && !out->is_bad)
		return true;
	ts_web_call_deinit(out);
	if (id->step != STEP_END)
		end(id, TS_IDENTITY_REFUSED, "the environment's address or "
		    "token for identity tokens cannot be sent");
	return false;
}

/* -- replies -------------------------------------------------------------- */

static void fail(struct ts_identity *id, const char *who,
		 const struct ts_web_reply *reply)
{
	char words[TS_WEB_WORDS_CAP];

	if (reply->status == 0) {
		end(id, TS_IDENTITY_UNREACHED, "%s cannot be reached: %s", who,
		    reply->error);
		return;
	}
	ts_web_words(reply, words);
	end(id,
	    ts_web_is_passing(reply) ? TS_IDENTITY_UNREACHED
				     : TS_IDENTITY_REFUSED,
	    "%s returned http %d: %s", who, reply->status, words);
}

static void take_token(struct ts_identity *id, const char *who, int err)
{
	if (err == -ENOMEM) {
		end(id, TS_IDENTITY_UNREACHED, "out of memory");
	} else if (err) {
		end(id, TS_IDENTITY_REFUSED, "%s returned no token", who);
	} else {
		id->outcome = TS_IDENTITY_FOUND;
		set_step(id, STEP_END);
	}
}

static void take_github(struct ts_identity *id,
			const struct ts_web_reply *reply)
{
	static const char who[] = "github oidc token endpoint";

	if (ts_web_is_success(reply))
		take_token(id, who, ts_web_read_json_token(reply, "value",
							   &id->token));
	else
		fail(id, who, reply);
}

static void take_google(struct ts_identity *id,
			const struct ts_web_reply *reply)
{
	static const char who[] = "gcp metadata identity endpoint";

	if (ts_web_is_success(reply))
		take_token(id, who, ts_web_read_token(reply->body, reply->len,
						      &id->token));
	else
		fail(id, who, reply);
}

static void begin_aws(struct ts_identity *id, const char *imds_token)
{
	id->aws = ts_aws_new(id->audience, id->place);
	if (!id->aws) {
		end(id, TS_IDENTITY_UNREACHED, "out of memory");
		return;
	}
	if (imds_token)
		ts_aws_set_imds_token(id->aws, imds_token);
	set_step(id, STEP_AWS);
}

static void look_for_ec2(struct ts_identity *id,
			 const struct ts_web_reply *reply)
{
	char *token = NULL;

	if (reply->status == 200)
		ts_web_read_token(reply->body, reply->len, &token);
	if (token)
		begin_aws(id, token);
	else
		set_step(id, STEP_FIND_GOOGLE);
	ts_wipe_free_text(token);
}

static void look_for_google(struct ts_identity *id,
			    const struct ts_web_reply *reply)
{
	if (reply->status != 0 && strcmp(reply->field, "Google") == 0)
		set_step(id, STEP_GOOGLE);
	else if (ts_identity_env(id->place, "ECS_CONTAINER_METADATA_URI_V4"))
		begin_aws(id, NULL);
	else
		end(id, TS_IDENTITY_REFUSED, "could not detect environment "
		    "(GitHub Actions, AWS, Google Cloud); provide the token "
		    "itself (id_token, TS_ID_TOKEN)");
}

static void take_aws(struct ts_identity *id, const struct ts_web_reply *reply)
{
	ts_aws_reply(id->aws, reply);
	if (ts_aws_outcome(id->aws) == TS_IDENTITY_BUSY)
		return;
	if (ts_aws_outcome(id->aws) != TS_IDENTITY_FOUND) {
		end(id, ts_aws_outcome(id->aws), "%s", ts_aws_error(id->aws));
		return;
	}
	id->token = strdup(ts_aws_token(id->aws));
	take_token(id, "aws", id->token ? 0 : -ENOMEM);
}

void ts_identity_reply(struct ts_identity *id,
		       const struct ts_web_reply *reply)
{
	switch (id->step) {
	case STEP_GITHUB:
		take_github(id, reply);
		break;
	case STEP_FIND_EC2:
		look_for_ec2(id, reply);
		break;
	case STEP_FIND_GOOGLE:
		look_for_google(id, reply);
		break;
	case STEP_GOOGLE:
		take_google(id, reply);
		break;
	case STEP_AWS:
		take_aws(id, reply);
		break;
	case STEP_END:
		break;
	}
}

enum ts_identity_outcome ts_identity_outcome(const struct ts_identity *id)
{
	return id->outcome;
}

const char *ts_identity_token(const struct ts_identity *id)
{
	return id->token;
}

const char *ts_identity_error(const struct ts_identity *id)
{
	return id->error;
}
