/* SPDX-License-Identifier: BSD-3-Clause
 * identity_token.h - ask the place we run at who we are: an OIDC identity token
 *
 * Places are looked for in upstream's order: GitHub Actions (by its variables),
 * an EC2 instance, a Google Cloud instance (by their metadata services), an ECS
 * task (by its variable). The first that is there gives the token, or nobody.
 * Sans-IO, as oauth_key.h. Source: PROTOCOL 3.4; wif/wif.go
 */
#ifndef CORE_CONTROL_IDENTITY_TOKEN_H
#define CORE_CONTROL_IDENTITY_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "core/control/web_call.h"

struct ts_identity_place {
	char **env; /* "NAME=value"..., NULL at the end; those below suffice */
	/* A small local file, as heap text; 0 or a negative errno. */
	int (*read_file)(const char *path, char **out);
};
/* The variables that are looked at, NULL at the end. */
extern const char *const ts_identity_variables[];
/* "NAME=value" -> value; NULL when it is not there or empty. */
const char *ts_identity_env(const struct ts_identity_place *place,
			    const char *name);

struct ts_identity;

/* Both are borrowed until free; NULL: out of memory. */
struct ts_identity *ts_identity_new(const char *audience,
				    const struct ts_identity_place *place);
void ts_identity_free(struct ts_identity *id);
bool ts_identity_next(struct ts_identity *id, int64_t wall_s,
		      struct ts_web_call *out);
void ts_identity_reply(struct ts_identity *id,
		       const struct ts_web_reply *reply);

enum ts_identity_outcome {
	TS_IDENTITY_BUSY,
	TS_IDENTITY_FOUND,
	TS_IDENTITY_REFUSED,
	TS_IDENTITY_UNREACHED,
};
enum ts_identity_outcome ts_identity_outcome(const struct ts_identity *id);
const char *ts_identity_token(const struct ts_identity *id);
const char *ts_identity_error(const struct ts_identity *id);

#endif
