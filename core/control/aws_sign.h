/* SPDX-License-Identifier: BSD-3-Clause
 * aws_sign.h - sign a request as AWS wants it (Signature Version 4)
 *
 * As much of it as a form that is posted to "/" needs.
 * Source: AWS General Reference, "Signature Version 4 signing process"
 */
#ifndef CORE_CONTROL_AWS_SIGN_H
#define CORE_CONTROL_AWS_SIGN_H

#include <stdint.h>

#include "core/control/web_call.h"

struct ts_aws_credentials {
	char *key_id, *secret, *session; /* heap, ours; session: or NULL */
};
void ts_aws_credentials_deinit(struct ts_aws_credentials *c); /* wipes */

/* Adds Content-Type, X-Amz-Date, X-Amz-Security-Token and Authorization to a
 * POST whose body is set. host: as in the URL, with a port that it names. */
void ts_aws_sign(struct ts_web_call *call, const char *host,
		 const char *region, const char *service,
		 const struct ts_aws_credentials *credentials, int64_t wall_s);

#endif
