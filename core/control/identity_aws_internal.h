/* SPDX-License-Identifier: BSD-3-Clause
 * identity_aws_internal.h - an attempt at a token from AWS
 *
 *   identity_aws        what there is, what is missing, how it is asked for
 *   identity_aws_reply  what the answers say
 */
#ifndef CORE_CONTROL_IDENTITY_AWS_INTERNAL_H
#define CORE_CONTROL_IDENTITY_AWS_INTERNAL_H

#include "core/control/aws_profile.h"
#include "core/control/identity_aws.h"

enum { TS_AWS_REGION_CAP = 40 };

enum ts_aws_asked {
	TS_AWS_ASKED_NOTHING,
	TS_AWS_ASKED_IMDS_TOKEN,
	TS_AWS_ASKED_REGION,
	TS_AWS_ASKED_ROLE,
	TS_AWS_ASKED_INSTANCE, /* credentials */
	TS_AWS_ASKED_CONTAINER,
	TS_AWS_ASKED_ASSUME,
	TS_AWS_ASKED_NEXT_ROLE,
	TS_AWS_ASKED_TOKEN,
};

struct ts_aws {
	const struct ts_identity_place *place;
	char *audience;
	enum ts_aws_asked asked;
	enum ts_identity_outcome outcome;
	char region[TS_AWS_REGION_CAP];
	char *imds_token, *role, *token;
	bool uses_profile; /* for credentials */
	size_t roles_left; /* of the profile */
	struct ts_aws_profile profile; /* its credentials are moved out */
	struct ts_aws_credentials credentials;
	char error[256];
};

/* The attempt is over; fmt without secrets. */
__attribute__((format(printf, 3, 4))) void
ts_aws_fail(struct ts_aws *aws, enum ts_identity_outcome outcome,
	    const char *fmt, ...);
/* It becomes part of a host's name: 0 or -EBADMSG. */
int ts_aws_set_region(struct ts_aws *aws, const char *text);

#endif
