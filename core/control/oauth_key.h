/* SPDX-License-Identifier: BSD-3-Clause
 * oauth_key.h - make an auth key by an OAuth client or an identity token
 *
 *   client secret     POST /api/v2/oauth/token -> access token
 *   identity token    [ask the environment for it: identity_token.h]
 *                     POST /api/v2/oauth/token-exchange -> access token
 *   both              POST /api/v2/tailnet/-/keys -> an auth key
 *
 * Sans-IO: next() says what to send, reply() takes the answer, until outcome()
 * is another than BUSY. One of these is one attempt.
 * Source: PROTOCOL 3.3, 3.4; feature/oauthkey, feature/identityfederation,
 * client/tailscale/keys.go
 */
#ifndef CORE_CONTROL_OAUTH_KEY_H
#define CORE_CONTROL_OAUTH_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/control/auth_choice.h"
#include "core/control/identity_token.h"
#include "core/control/web_call.h"

struct ts_oauth_key;

/* choice: of kind CLIENT or FEDERATION; both are borrowed until free. NULL: out
 * of memory. */
struct ts_oauth_key *ts_oauth_key_new(const struct ts_auth_choice *choice,
				      const struct ts_identity_place *place);
void ts_oauth_key_free(struct ts_oauth_key *k);
/* The request that is due, the caller's to deinit; call it again only after a
 * reply. false: none, see the outcome. */
bool ts_oauth_key_next(struct ts_oauth_key *k, int64_t wall_s,
		       struct ts_web_call *out);
void ts_oauth_key_reply(struct ts_oauth_key *k,
			const struct ts_web_reply *reply);

enum ts_oauth_outcome {
	TS_OAUTH_BUSY,
	TS_OAUTH_MADE,
	TS_OAUTH_REFUSED,   /* the same would be refused again */
	TS_OAUTH_UNREACHED, /* worth another try */
};
enum ts_oauth_outcome ts_oauth_key_outcome(const struct ts_oauth_key *k);
/* MADE: the key, until free. */
const char *ts_oauth_key_made(const struct ts_oauth_key *k);
/* UNREACHED: for how long the server asks to be left alone; 0: it does not. */
uint64_t ts_oauth_key_wait_ms(const struct ts_oauth_key *k);
/* REFUSED, UNREACHED: what a person should know, without secrets. */
const char *ts_oauth_key_error(const struct ts_oauth_key *k);

#endif
