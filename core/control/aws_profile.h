/* SPDX-License-Identifier: BSD-3-Clause
 * aws_profile.h - a profile of ~/.aws/config and ~/.aws/credentials
 *
 * What AWS's own library makes of it, as far as credentials go that need
 * neither a program (credential_process) nor a person (single sign-on, a second
 * factor): such a profile is refused with the reason.
 * Source: aws-sdk-go-v2 config/shared_config.go, internal/ini
 */
#ifndef CORE_CONTROL_AWS_PROFILE_H
#define CORE_CONTROL_AWS_PROFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/control/aws_sign.h"

enum { TS_AWS_ROLES_MAX = 4, TS_AWS_ERROR_CAP = 256 };

enum ts_aws_source {
	TS_AWS_ANY, /* a container's, else the instance's */
	TS_AWS_INSTANCE,
	TS_AWS_CONTAINER,
	TS_AWS_ENVIRONMENT,
};

struct ts_aws_role {
	char *arn, *session, *external_id; /* the last two: or NULL */
};

struct ts_aws_profile {
	char *region;				/* or NULL */
	struct ts_aws_credentials credentials;	/* or NULLs */
	/* A web identity and its role; or NULLs. */
	char *token_file;
	struct ts_aws_role token_role;
	enum ts_aws_source source; /* without both of these */
	/* To be taken on then, the last one first. */
	struct ts_aws_role roles[TS_AWS_ROLES_MAX];
	size_t role_count;
};

/* config, credentials: the files' texts, or NULL. name NULL: the default one,
 * which need not be there. region_only: credentials come from elsewhere. 0;
 * -EINVAL with the reason in error, or -ENOMEM. out is the caller's to deinit
 * after 0 only. */
int ts_aws_profile_read(const char *config, const char *credentials,
			const char *name, bool region_only,
			struct ts_aws_profile *out,
			char error[static TS_AWS_ERROR_CAP]);
void ts_aws_profile_deinit(struct ts_aws_profile *profile); /* wipes */

#endif
