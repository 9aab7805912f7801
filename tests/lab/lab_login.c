/* SPDX-License-Identifier: BSD-3-Clause
 * lab_login.c - logins that wait for a person
 *
 * A login is kept by the node key that wants in, and named by a random ID in
 * its URL. The client's long poll hangs on it until somebody decides or the
 * client goes; a decision without a poll waits for the next one.
 */
#include "tests/lab/lab_login.h"

#include <stdlib.h>

#include "core/base/encode.h"
#include "core/crypto/secret.h"

struct lab_login *lab_login_by_key(const struct lab_logins *list,
				   const struct ts_public_key *key)
{
	struct lab_login *login = list->first;

	while (login && !ts_public_key_equal(&login->key, key))
		login = login->next;
	return login;
}

struct lab_login *lab_login_new(struct lab_logins *list,
				const struct ts_public_key *key)
{
	struct lab_login *login;
	uint8_t id[LAB_LOGIN_ID_LEN];

	if (list->count >= LAB_LOGINS_MAX)
		return NULL;
	login = calloc(1, sizeof(*login));
	if (!login)
		return NULL;
	ts_random_bytes(id, sizeof(id));
	ts_hex_encode(id, sizeof(id), login->id);
	login->list = list;
	login->key = *key;
	login->next = list->first;
	login->pprev = &list->first;
	if (login->next)
		login->next->pprev = &login->next;
	list->first = login;
	list->count++;
	return login;
}

void lab_login_free(struct lab_login *login)
{
	*login->pprev = login->next;
	if (login->next)
		login->next->pprev = login->pprev;
	login->list->count--;
	lab_login_take_stream(login);
	free(login);
}

static void on_gone(void *ctx)
{
	struct lab_login *login = ctx;

	login->stream = NULL;
	json_decref(login->body);
	login->body = NULL;
}

void lab_login_follow(struct lab_login *login, struct lab_h2_stream *stream,
		      const struct ts_public_key *machine, const json_t *body)
{
	lab_login_take_stream(login);
	login->stream = stream;
	login->machine = *machine;
	login->body = json_deep_copy(body);
	lab_h2_on_gone(stream, on_gone, login);
}

struct lab_h2_stream *lab_login_take_stream(struct lab_login *login)
{
	struct lab_h2_stream *stream = login->stream;

	if (stream) {
		lab_h2_on_gone(stream, NULL, NULL);
		on_gone(login);
	}
	return stream;
}
