/* SPDX-License-Identifier: BSD-3-Clause
 * lab_login.h - logins that wait for a person
 */
#ifndef TESTS_LAB_LAB_LOGIN_H
#define TESTS_LAB_LAB_LOGIN_H

#include <jansson.h>
#include <stdbool.h>

#include "core/crypto/keys.h"
#include "tests/lab/h2_server.h"
#include "tests/lab/lab_auth.h"

enum {
	LAB_LOGIN_ID_LEN = 10, /* random bytes */
	LAB_LOGIN_ID_CAP = 2 * LAB_LOGIN_ID_LEN + 1,
	LAB_LOGINS_MAX = 1000,
};

struct lab_logins {
	struct lab_login *first;
	size_t count;
};

/* One that waits, or was decided and not fetched yet. */
struct lab_login {
	struct lab_logins *list;
	struct lab_login *next, **pprev;
	char id[LAB_LOGIN_ID_CAP];
	struct ts_public_key key; /* of the node that wants in */
	bool decided;
	char user[LAB_AUTH_USER_CAP]; /* decided: "" turned away */
	/* The follow-up that hangs on it; stream NULL: none. */
	struct lab_h2_stream *stream;
	struct ts_public_key machine;
	json_t *body; /* the RegisterRequest */
};

/* NULL: none */
struct lab_login *lab_login_by_key(const struct lab_logins *list,
				   const struct ts_public_key *key);
/* NULL: out of memory, or LAB_LOGINS_MAX wait. */
struct lab_login *lab_login_new(struct lab_logins *list,
				const struct ts_public_key *key);
void lab_login_free(struct lab_login *login);
/* Let a client's long poll hang on the login, until it goes or
 * lab_login_take_stream(). */
void lab_login_follow(struct lab_login *login, struct lab_h2_stream *stream,
		      const struct ts_public_key *machine, const json_t *body);
struct lab_h2_stream *lab_login_take_stream(struct lab_login *login);

#endif
