/* SPDX-License-Identifier: BSD-3-Clause
 * login_answer.c - what the server says to a register request
 *
 * Only an answer without Error and AuthURL makes the key on trial ours. Any
 * other says what the next request is to have: the AuthURL that a person is
 * asked to visit, another key, a signature over it; or when to come again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clean_text.h"
#include "core/base/err.h"
#include "core/control/control_state.h"
#include "core/control/register_json.h"
#include "core/crypto/secret.h"

enum {
	HTTP_TOO_MANY = 429,
	/* A follow-up that was answered sooner did not wait for anybody. */
	FOLLOWUP_HASTY_MS = 5000,
};

static void retry_later(struct ts_control *c)
{
	struct ts_control_login *login = &c->login;

	login->retry_ms = c->now_ms + ts_backoff_next_ms(&login->backoff);
}

/* -- no ------------------------------------------------------------------- */

/* The server said no. A visit that it no longer waits for is given up. */
static void refused(struct ts_control *c, const char *error)
{
	char text[TS_CONTROL_ERROR_CAP];

	snprintf(text, sizeof(text), "%s", error);
	ts_clean_text(text, ' ');
	if (c->goal == GOAL_LOG_OUT) {
		ts_login_forget(c, text);
		return;
	}
	ts_login_forget_followup(&c->login);
	retry_later(c);
	ts_login_show_state(c, TS_CONTROL_FAILED, text);
	ts_auth_key_refused(c);
}

static void take_http_error(struct ts_control *c, const struct ts_rpc *rpc)
{
	char text[208], error[TS_CONTROL_ERROR_CAP];
	uint64_t wait_ms;

	if (rpc->status == HTTP_TOO_MANY && c->goal != GOAL_LOG_OUT) {
		wait_ms = ts_retry_after_ms(rpc->retry_after,
					    ts_control_wall_clock(c));
		c->login.retry_ms = c->now_ms + wait_ms;
		ts_control_report(c,
				  "node registration rate limited; will retry "
				  "after %llu s",
				  (unsigned long long)wait_ms / 1000);
		return;
	}
	ts_rpc_body_text(rpc, text);
	snprintf(error, sizeof(error), "register request: http %d: %s",
		 rpc->status, text);
	if (rpc->status < 500) {
		refused(c, error);
		return;
	}
	retry_later(c);
	ts_control_report(c, "%s", error);
}

/* -- not yet -------------------------------------------------------------- */

static void take_key_request(struct ts_control *c)
{
	struct ts_control_login *login = &c->login;

	if (login->made_new_key) {
		/* The next attempt starts over with another key. */
		login->made_new_key = false;
		refused(c, "the server says that a new node key has expired");
		return;
	}
	login->wants_new_key = true;
	ts_login_forget_followup(login);
	login->retry_ms = 0;
}

/* The present key's signature, to be signed over for the new one. */
static void take_signature(struct ts_control *c,
			   struct ts_register_response *response)
{
	struct ts_control_login *login = &c->login;

	if (login->old_signature) {
		refused(c, "the server does not take this node's Tailnet Lock "
			   "signature");
		free(login->old_signature);
		login->old_signature = NULL;
		return;
	}
	login->old_signature = response->node_key_signature;
	response->node_key_signature = NULL;
	login->wants_new_key |= !login->made_new_key;
	ts_login_forget_followup(login);
	login->retry_ms = 0;
}

static bool has_text(const char *text)
{
	return text && *text;
}

static void publish_url(struct ts_control *c, const char *url)
{
	struct ts_control_login *login = &c->login;

	if (login->published_url && strcmp(login->published_url, url) == 0)
		return;
	free(login->published_url);
	login->published_url = strdup(url);
	c->ops.auth_url(c->ctx, url);
}

static void take_auth_url(struct ts_control *c, const char *url)
{
	struct ts_control_login *login = &c->login;
	bool is_same = login->sent_followup && login->followup &&
		       strcmp(login->followup, url) == 0;
	bool is_hasty = login->sent_followup &&
			c->now_ms - login->sent_ms < FOLLOWUP_HASTY_MS;
	char *copy = strdup(url);

	if (!copy) {
		retry_later(c);
		return;
	}
	/* It will be printed on someone's terminal. */
	ts_clean_text(copy, ' ');
	ts_login_forget_followup(login);
	login->followup = copy;
	if (is_same || is_hasty) {
		retry_later(c); /* do not spin on a server that never waits */
	} else {
		ts_backoff_reset(&login->backoff);
		login->retry_ms = 0;
	}
	ts_login_show_state(c, TS_CONTROL_NEEDS_LOGIN, NULL);
	publish_url(c, copy);
}

/* -- yes ------------------------------------------------------------------ */

static void move_text(char **from, char **to)
{
	free(*to);
	*to = *from;
	*from = NULL;
}

static void commit(struct ts_control *c, struct ts_register_response *response)
{
	struct ts_control_login *login = &c->login;

	c->config.node_key = login->trying;
	c->config.old_node_key = login->trying_old;
	c->user_id = response->user_id;
	move_text(&response->login_name, &c->login_name);
	move_text(&response->display_name, &c->display_name);
	move_text(&response->profile_pic_url, &c->profile_pic_url);
	ts_wipe(&login->trying, sizeof(login->trying));
	ts_wipe(&login->trying_old, sizeof(login->trying_old));
	login->wants_new_key = false;
	login->is_done = true;
	login->renews = login->by_person = false;
	if (login->made_new_key)
		ts_update_want(c); /* the server knows nothing of this key */
	c->poll.is_stale = login->made_new_key;
	login->made_new_key = false;
	login->retry_ms = 0;
	ts_login_forget_followup(login);
	free(login->old_signature);
	login->old_signature = NULL;
	free(login->published_url);
	login->published_url = NULL;
	ts_auth_key_used(c);
	ts_control_set_state(c, TS_CONTROL_STARTING_MAP, NULL);
	c->ops.persist_changed(c->ctx);
}

/* -- which of them -------------------------------------------------------- */

static void take_response(struct ts_control *c,
			  struct ts_register_response *response)
{
	if (response->error)
		refused(c, response->error);
	else if (c->goal == GOAL_LOG_OUT)
		ts_login_forget(c, NULL);
	else if (has_text(response->node_key_signature))
		take_signature(c, response);
	else if (response->node_key_expired)
		take_key_request(c);
	else if (response->auth_url)
		take_auth_url(c, response->auth_url);
	else
		commit(c, response);
}

void ts_login_on_reply(struct ts_control *c, struct ts_rpc *rpc,
		       const char *error)
{
	struct ts_register_response response;
	int err;

	if (error) {
		ts_control_link_fail(c, "register request: %s", error);
		return;
	}
	if (rpc->status != 200) {
		take_http_error(c, rpc);
		return;
	}
	err = rpc->is_truncated
		      ? -EMSGSIZE
		      : ts_register_response_read(
				ts_byte_queue_data(&rpc->body),
				ts_byte_queue_len(&rpc->body), &response);
	if (err) {
		retry_later(c);
		ts_control_report(c, "register response: %s", ts_strerror(err));
		return;
	}
	take_response(c, &response);
	ts_register_response_deinit(&response);
}
