/* SPDX-License-Identifier: BSD-3-Clause
 * identity_aws.h - an identity token from AWS (STS GetWebIdentityToken)
 *
 * Needs a region and credentials, and looks for both where AWS's own library
 * does: AWS_REGION, AWS_DEFAULT_REGION, the profile or the instance; the
 * variables AWS_ACCESS_KEY_ID..., a web identity's token file and role (EKS),
 * the profile (AWS_PROFILE, aws_profile.h), the container's credentials service
 * (ECS, EKS), the instance's role.
 * Source: PROTOCOL 3.4; wif/wif.go, aws-sdk-go-v2 config
 */
#ifndef CORE_CONTROL_IDENTITY_AWS_H
#define CORE_CONTROL_IDENTITY_AWS_H

#include "core/control/identity_token.h"

struct ts_aws;

struct ts_aws *ts_aws_new(const char *audience,
			  const struct ts_identity_place *place);
void ts_aws_free(struct ts_aws *aws);
/* Of the instance's metadata service, as its discovery brought it (copied). */
void ts_aws_set_imds_token(struct ts_aws *aws, const char *token);
bool ts_aws_next(struct ts_aws *aws, int64_t wall_s, struct ts_web_call *out);
void ts_aws_reply(struct ts_aws *aws, const struct ts_web_reply *reply);
enum ts_identity_outcome ts_aws_outcome(const struct ts_aws *aws);
const char *ts_aws_token(const struct ts_aws *aws);
const char *ts_aws_error(const struct ts_aws *aws);

/* PUT: a token for the metadata service of an EC2 instance. */
void ts_aws_imds_token_call(struct ts_web_call *out);

#endif
