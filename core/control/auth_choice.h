/* SPDX-License-Identifier: BSD-3-Clause
 * auth_choice.h - which of the settings a login goes by
 *
 *   auth_key                       as it is; a client secret there counts too
 *   client_secret                  an OAuth client makes an auth key
 *   client_id, id_token|audience   workload identity federation makes one
 *   none of them                   a person visits a login page
 *
 * The first that is set wins; that two of the third kind contradict each other
 * is an error only where it comes to them.
 * Source: PROTOCOL 3.3, 3.4, 19.2; tsnet/tsnet.go (resolveAuthKey),
 * feature/oauthkey, feature/identityfederation
 */
#ifndef CORE_CONTROL_AUTH_CHOICE_H
#define CORE_CONTROL_AUTH_CHOICE_H

#include <stdbool.h>
#include <stddef.h>

struct ts_auth_settings {
	/* NULL or "": not set */
	const char *auth_key, *client_secret, *client_id, *id_token, *audience;
	const char *id_token_file; /* id_token is from there */
	const char *control_url;
	const char *const *tags;
	size_t tag_count;
};

enum ts_auth_kind {
	TS_AUTH_PERSON,
	TS_AUTH_KEY,
	TS_AUTH_CLIENT,	    /* secret */
	TS_AUTH_FEDERATION, /* client_id and id_token or audience */
};

struct ts_auth_choice {
	enum ts_auth_kind kind;
	char *auth_key, *secret, *client_id, *id_token, *audience;
	char *id_token_file; /* with a newer one, perhaps; or NULL */
	char *base_url; /* of the API, without a slash at the end */
	bool ephemeral, preauthorized; /* of the key to be made */
	char **tags;
	size_t tag_count;
};

/* 0, or -EINVAL with upstream's words in err, or -ENOMEM. out is the caller's
 * to deinit after 0 only. */
int ts_auth_choose(const struct ts_auth_settings *settings,
		   struct ts_auth_choice *out, char err[static 256]);
void ts_auth_choice_deinit(struct ts_auth_choice *choice); /* wipes */

#endif
