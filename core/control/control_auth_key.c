/* SPDX-License-Identifier: BSD-3-Clause
 * control_auth_key.c - the auth key of a login
 *
 * Given by the user it is kept, and goes along with every register request.
 * One that the owner makes (by an OAuth client secret or an identity token) is
 * good for one login: so it is made when a login needs it, not before, and
 * forgotten after. A restart of a node that the server knows therefore needs
 * neither the OAuth server nor leaves unused keys there.
 *
 * A key that was made and refused is not made again at once: what is wrong is
 * most likely wrong with the next one too (a tag, the policy), and each of
 * them stays in the server's list. One that was given may have been good for
 * the first login only; when the node has to log in again and it is refused, a
 * person is asked for.
 */
#include <errno.h>
#include <string.h>

#include "core/base/log.h"
#include "core/control/control_state.h"
#include "core/crypto/secret.h"

enum { MAKE_AGAIN_MS = 300000 };

static void forget(struct ts_control *c)
{
	ts_wipe_free_text((char *)(uintptr_t)c->config.auth_key);
	c->config.auth_key = NULL;
	c->auth_key_was_made = false;
}

int ts_auth_key_set(struct ts_control *c, const char *auth_key, bool was_made)
{
	char *copy;

	if (!auth_key || !*auth_key)
		return -EINVAL;
	copy = strdup(auth_key);
	if (!copy)
		return -ENOMEM;
	forget(c);
	c->config.auth_key = copy;
	c->auth_key_was_made = was_made;
	c->login.waits_for_key = false;
	return 0;
}

/* A node that the server knows, or that a person vouches for, needs none. */
static bool is_needed(const struct ts_control *c)
{
	const struct ts_control_login *login = &c->login;

	return c->config.mints_auth_key && !c->config.auth_key &&
	       c->goal == GOAL_RUN && !login->by_person && !login->followup &&
	       (login->wants_new_key ||
		ts_private_key_is_zero(&c->config.node_key));
}

bool ts_auth_key_is_awaited(struct ts_control *c)
{
	if (c->login.waits_for_key)
		return true;
	if (!is_needed(c))
		return false;
	c->login.waits_for_key = true;
	c->ops.want_auth_key(c->ctx);
	return true;
}

void ts_auth_key_used(struct ts_control *c)
{
	if (c->auth_key_was_made)
		forget(c);
}

void ts_auth_key_refused(struct ts_control *c)
{
	if (c->auth_key_was_made) {
		forget(c);
		c->login.retry_ms = c->now_ms + MAKE_AGAIN_MS;
	} else if (c->config.auth_key && !c->login.by_person &&
		   !ts_private_key_is_zero(&c->config.node_key)) {
		log_warn("control: the auth key is of no use any more, a "
			 "person has to log in");
		c->login.by_person = true;
	}
}

void ts_control_auth_key_made(struct ts_control *c, const char *auth_key,
			      uint64_t now_ms)
{
	ts_control_enter(c, now_ms);
	if (ts_auth_key_set(c, auth_key, true) == 0)
		c->login.retry_ms = c->now_ms;
	ts_control_leave(c);
}

/* Who is refused needs a person; who reaches nobody is as far as one whose
 * control server is out of reach. */
void ts_control_auth_key_failed(struct ts_control *c, const char *error,
				bool is_refused, uint64_t now_ms)
{
	bool is_awaited = c->login.waits_for_key && c->goal == GOAL_RUN;

	ts_control_enter(c, now_ms);
	if (is_awaited && is_refused && !c->login.renews)
		ts_control_set_state(c, TS_CONTROL_FAILED, error);
	else if (is_awaited)
		ts_control_report(c, "%s", error);
	ts_control_leave(c);
}
