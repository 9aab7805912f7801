/* SPDX-License-Identifier: BSD-3-Clause
 * identity_aws_reply.c - what AWS's services answer
 *
 * JSON from the instance and from a container, XML from STS. Whatever was asked
 * for fills in one thing, or ends the attempt: with the service's own words.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clean_text.h"
#include "core/control/identity_aws_internal.h"
#include "core/crypto/secret.h"
#include "core/model/json_fields.h"

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

/* In place of those that asked for them. */
static int read_next_credentials(struct ts_aws *aws,
				 const struct ts_web_reply *reply)
{
	struct ts_aws_credentials next = {0};
	int err = read_xml_credentials(&next, reply);

	if (err) {
		ts_aws_credentials_deinit(&next);
		return err;
	}
	ts_aws_credentials_deinit(&aws->credentials);
	aws->credentials = next;
	aws->roles_left--;
	return 0;
}

static int read_region(struct ts_aws *aws, const struct ts_web_reply *reply)
{
	json_t *root = json_loadb(reply->body, reply->len, TS_JSON_READ_FLAGS,
				  NULL);
	const char *text = ts_json_text(root, "region");
	int err = text ? ts_aws_set_region(aws, text) : -EBADMSG;

	json_decref(root);
	return err;
}

static const char *what_was_asked(const struct ts_aws *aws)
{
	static const char *const names[] = {
		[TS_AWS_ASKED_NOTHING] = "",
		[TS_AWS_ASKED_IMDS_TOKEN] = "EC2 metadata",
		[TS_AWS_ASKED_REGION] = "EC2 metadata: region",
		[TS_AWS_ASKED_ROLE] = "EC2 metadata: the instance's role",
		[TS_AWS_ASKED_INSTANCE] = "EC2 metadata: credentials",
		[TS_AWS_ASKED_CONTAINER] = "the container's credentials",
		[TS_AWS_ASKED_ASSUME] = "aws sts:AssumeRoleWithWebIdentity",
		[TS_AWS_ASKED_NEXT_ROLE] = "aws sts:AssumeRole",
		[TS_AWS_ASKED_TOKEN] = "aws sts:GetWebIdentityToken",
	};

	return names[aws->asked];
}

static void take_refusal(struct ts_aws *aws, const struct ts_web_reply *reply)
{
	const char *what = what_was_asked(aws), *code, *message;
	size_t code_len = 0, message_len = 0;
	char words[TS_WEB_WORDS_CAP];

	if (reply->status == 0) {
		ts_aws_fail(aws, TS_IDENTITY_UNREACHED,
			    "%s cannot be reached: %s", what, reply->error);
		return;
	}
	code = find_element(reply, "Code", &code_len);
	message = find_element(reply, "Message", &message_len);
	if (code) {
		snprintf(words, sizeof(words), "%.*s: %.*s", (int)code_len,
			 code, (int)message_len, message ? message : "");
		ts_clean_text(words, ' ');
	} else {
		ts_web_words(reply, words);
	}
	ts_aws_fail(aws,
		    ts_web_is_passing(reply) ? TS_IDENTITY_UNREACHED
					     : TS_IDENTITY_REFUSED,
		    "%s failed: http %d: %s", what, reply->status, words);
}

static int take_answer(struct ts_aws *aws, const struct ts_web_reply *reply)
{
	switch (aws->asked) {
	case TS_AWS_ASKED_IMDS_TOKEN:
		return ts_web_read_token(reply->body, reply->len,
					 &aws->imds_token);
	case TS_AWS_ASKED_REGION:
		return read_region(aws, reply);
	case TS_AWS_ASKED_ROLE:
		return ts_web_read_token(reply->body, reply->len, &aws->role);
	case TS_AWS_ASKED_INSTANCE:
	case TS_AWS_ASKED_CONTAINER:
		return read_json_credentials(&aws->credentials, reply);
	case TS_AWS_ASKED_ASSUME:
		return read_xml_credentials(&aws->credentials, reply);
	case TS_AWS_ASKED_NEXT_ROLE:
		return read_next_credentials(aws, reply);
	case TS_AWS_ASKED_TOKEN:
		return read_element(reply, "WebIdentityToken", &aws->token);
	case TS_AWS_ASKED_NOTHING:
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
		ts_aws_fail(aws, TS_IDENTITY_UNREACHED, "out of memory");
	else if (err)
		ts_aws_fail(aws, TS_IDENTITY_REFUSED,
			    "%s: an answer that makes no "
			    "sense",
			    what_was_asked(aws));
	else if (aws->token)
		aws->outcome = TS_IDENTITY_FOUND;
}
