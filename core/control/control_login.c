/* SPDX-License-Identifier: BSD-3-Clause
 * control_login.c - register this node, and keep it registered
 *
 * One register request at a time. Its key: the present one; a new one when
 * there is none, the present one has run out, or the server says so (then the
 * present one goes along as the old key); the one on trial while a person is
 * asked to visit an AuthURL. Only an answer without Error and AuthURL makes a
 * key ours. The auth key goes along with every request, as upstream does,
 * unless a person is to log in, or it was made for one login and has been used
 * (control_auth_key.c).
 *
 * A node whose key runs out, or is to be replaced, renews: it follows the map
 * under the present key, which says what state it is in, and registers the next
 * one beside it. The map is asked for anew once that has come through. Before
 * the first registration, and when the server does not know our key, nothing
 * goes on beside.
 *
 * Errors keep coming back on retries: the owner hears each text once, and the
 * state stays FAILED meanwhile. A logout ends with our keys forgotten in any
 * case: who asked for one would not want to hear later that they are still in
 * use.
 * Source: control/controlclient/{auto,direct}.go (authRoutine, doLogin)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/control/control_state.h"
#include "core/control/register_json.h"
#include "core/crypto/secret.h"

enum {
	LOGOUT_MS = 15000,
	REGISTER_BODY_MAX = 1 << 20,
};

void ts_login_init(struct ts_control *c)
{
	c->login.rpc.done = ts_login_on_reply;
	c->login.wants_new_key = c->config.force_login;
}

void ts_login_forget_followup(struct ts_control_login *login)
{
	free(login->followup);
	login->followup = NULL;
}

void ts_login_restart(struct ts_control *c)
{
	struct ts_control_login *login = &c->login;

	ts_rpc_cancel(c, &login->rpc);
	ts_login_forget_followup(login);
	free(login->published_url);
	login->published_url = NULL;
	free(login->old_signature);
	login->old_signature = NULL;
	login->retry_ms = 0;
	login->waits_for_key = false;
	ts_backoff_reset(&login->backoff);
}

void ts_login_deinit(struct ts_control *c)
{
	ts_login_restart(c);
	ts_wipe(&c->login.trying, sizeof(c->login.trying));
	ts_wipe(&c->login.trying_old, sizeof(c->login.trying_old));
}

void ts_login_link_lost(struct ts_control *c)
{
	ts_rpc_cancel(c, &c->login.rpc);
}

void ts_login_again(struct ts_control *c)
{
	struct ts_control_login *login = &c->login;

	login->is_done = false;
	login->renews = false;
	login->made_new_key = false;
	ts_login_forget_followup(login);
	login->retry_ms = c->now_ms + ts_backoff_next_ms(&login->backoff);
}

void ts_login_renew(struct ts_control *c, bool is_expired)
{
	struct ts_control_login *login = &c->login;

	if (login->renews && is_expired)
		return;
	if (is_expired)
		log_warn("control: our node key has expired: logging in again");
	ts_rpc_cancel(c, &login->rpc);
	ts_login_forget_followup(login);
	login->renews = true;
	login->renews_expired = is_expired;
	login->wants_new_key = true;
	login->made_new_key = false;
	login->retry_ms = c->now_ms;
	if (is_expired)
		login->retry_ms += ts_backoff_next_ms(&login->backoff);
}

void ts_login_not_expired(struct ts_control *c)
{
	struct ts_control_login *login = &c->login;

	if (!login->renews || !login->renews_expired)
		return;
	log_info("control: our node key is good for longer");
	ts_login_restart(c);
	login->renews = login->renews_expired = false;
	login->wants_new_key = login->made_new_key = false;
}

bool ts_login_is_wanted(const struct ts_control *c)
{
	return c->goal == GOAL_LOG_OUT || !c->login.is_done || c->login.renews;
}

uint64_t ts_login_deadline_ms(const struct ts_control *c)
{
	const struct ts_control_login *login = &c->login;
	bool is_waiting = c->link.step == LINK_UP && !login->rpc.stream_id &&
			  !login->waits_for_key && ts_login_is_wanted(c);
	uint64_t next = is_waiting ? login->retry_ms : UINT64_MAX;

	if (c->goal == GOAL_LOG_OUT && login->logout_end_ms < next)
		next = login->logout_end_ms;
	return c->goal == GOAL_STOP ? UINT64_MAX : next;
}

void ts_login_show_state(struct ts_control *c, enum ts_control_state state,
			 const char *error)
{
	if (!c->login.renews)
		ts_control_set_state(c, state, error);
	else if (error)
		ts_control_report(c, "%s", error);
}

/* -- the request ---------------------------------------------------------- */

static void choose_key(struct ts_control *c)
{
	struct ts_control_login *login = &c->login;
	const struct ts_control_config *config = &c->config;
	bool has_trial = !ts_private_key_is_zero(&login->trying);

	if (c->goal == GOAL_LOG_OUT) {
		login->trying = config->node_key;
		login->trying_old = config->old_node_key;
		return;
	}
	if (login->followup && has_trial)
		return;
	if (login->made_new_key && has_trial)
		return; /* an earlier attempt with it did not get through */
	if (!login->wants_new_key &&
	    !ts_private_key_is_zero(&config->node_key)) {
		login->trying = config->node_key;
		login->trying_old = config->old_node_key;
		return;
	}
	login->trying_old = ts_private_key_is_zero(&config->node_key)
				    ? config->old_node_key
				    : config->node_key;
	ts_private_key_generate(&login->trying);
	login->made_new_key = true;
	log_info("control: generated a new node key");
}

static void public_or_zero(const struct ts_private_key *key,
			   struct ts_public_key *out)
{
	memset(out, 0, sizeof(*out));
	if (!ts_private_key_is_zero(key))
		ts_public_key_from_private(key, out);
}

static char *write_request(struct ts_control *c)
{
	struct ts_hostinfo hostinfo = ts_control_hostinfo(c);
	bool is_logout = c->goal == GOAL_LOG_OUT;
	bool is_keyless = is_logout || c->login.by_person;
	struct ts_register_request request = {
		.auth_key = is_keyless ? NULL : c->config.auth_key,
		.followup = is_logout ? NULL : c->login.followup,
		.expiry_unix = is_logout ? TS_LOGOUT_EXPIRY_UNIX : 0,
		.ephemeral = c->config.ephemeral,
		.hostinfo = &hostinfo,
	};
	char *signature = NULL, *text;

	public_or_zero(&c->login.trying, &request.node_key);
	public_or_zero(&c->login.trying_old, &request.old_node_key);
	ts_nl_public(&c->config.nl_key, &request.nl_key);
	if (!is_logout && c->ops.sign_node_key)
		signature = c->ops.sign_node_key(c->ctx, &request.node_key,
						 c->login.old_signature,
						 c->config.auth_key);
	request.node_key_signature = signature;
	text = ts_register_request_write(&request);
	free(signature);
	return text;
}

static int send_request(struct ts_control *c)
{
	char old_text[TS_KEY_TEXT_CAP], new_text[TS_KEY_TEXT_CAP];
	struct ts_public_key old_key, new_key;
	const char *lb[TS_H2_LB_MAX] = {NULL, new_text};
	char *body = write_request(c);
	int err;

	if (!body)
		return -ENOMEM;
	public_or_zero(&c->login.trying_old, &old_key);
	public_or_zero(&c->login.trying, &new_key);
	ts_public_key_format(&new_key, TS_PREFIX_NODE, new_text);
	if (!ts_public_key_is_zero(&old_key))
		lb[0] = ts_public_key_format(&old_key, TS_PREFIX_NODE,
					     old_text);
	err = ts_rpc_start(c, &c->login.rpc, "POST", "/machine/register", lb,
			   body, strlen(body), REGISTER_BODY_MAX);
	ts_wipe_free_text(body);
	return err;
}

void ts_login_step(struct ts_control *c)
{
	struct ts_control_login *login = &c->login;
	int err;

	if (login->rpc.stream_id || c->now_ms < login->retry_ms)
		return;
	if (c->state == TS_CONTROL_CONNECTING ||
	    c->state == TS_CONTROL_RUNNING ||
	    c->state == TS_CONTROL_STARTING_MAP)
		ts_login_show_state(c, TS_CONTROL_REGISTERING, NULL);
	if (ts_auth_key_is_awaited(c))
		return;
	choose_key(c);
	login->sent_followup = login->followup != NULL;
	login->sent_ms = c->now_ms;
	err = send_request(c);
	if (err)
		ts_control_link_fail(c, "register request: %s",
				     ts_strerror(err));
}

/* -- out of the tailnet --------------------------------------------------- */

void ts_login_forget(struct ts_control *c, const char *error)
{
	struct ts_control_login *login = &c->login;

	ts_wipe(&c->config.node_key, sizeof(c->config.node_key));
	ts_wipe(&c->config.old_node_key, sizeof(c->config.old_node_key));
	ts_wipe(&login->trying, sizeof(login->trying));
	ts_wipe(&login->trying_old, sizeof(login->trying_old));
	login->is_done = login->renews = login->by_person = false;
	login->wants_new_key = login->made_new_key = false;
	c->goal = GOAL_STOP;
	c->ops.persist_changed(c->ctx);
	ts_poll_forget_map(c);
	ts_control_set_state(c, TS_CONTROL_LOGGED_OUT, error);
}

void ts_login_leave(struct ts_control *c)
{
	if (ts_private_key_is_zero(&c->config.node_key)) {
		ts_login_forget(c, NULL);
		return;
	}
	c->goal = GOAL_LOG_OUT;
	c->login.logout_end_ms = c->now_ms + LOGOUT_MS;
	c->link.retry_ms = 0;
}

void ts_login_tick(struct ts_control *c)
{
	char error[TS_CONTROL_ERROR_CAP];

	if (c->goal != GOAL_LOG_OUT || c->now_ms < c->login.logout_end_ms)
		return;
	snprintf(error, sizeof(error),
		 "logged out here, but the server could not be told%s%.200s",
		 c->error[0] ? ": " : "", c->error);
	ts_login_forget(c, error);
}

/* -- what the owner asks for ---------------------------------------------- */

/* One that waits for something else is begun anew. */
static void begin(struct ts_control *c, bool with_new_key)
{
	struct ts_control_login *login = &c->login;

	if (c->goal != GOAL_RUN) {
		c->goal = GOAL_RUN;
		c->error[0] = '\0';
		login->is_done = false;
		ts_control_set_state(c, TS_CONTROL_CONNECTING, NULL);
	}
	if (login->is_done && !with_new_key && !login->renews)
		return;
	ts_login_restart(c);
	if (login->is_done)
		ts_login_renew(c, login->renews && login->renews_expired &&
					  !with_new_key);
	else
		login->wants_new_key |= with_new_key;
}

void ts_control_login_interactive(struct ts_control *c, uint64_t now_ms)
{
	ts_control_enter(c, now_ms);
	if (c->goal == GOAL_RUN && c->login.followup) {
		c->ops.auth_url(c->ctx, c->login.followup);
	} else if (c->goal != GOAL_LOG_OUT) {
		c->login.by_person = true;
		begin(c, true);
	}
	ts_control_leave(c);
}

int ts_control_login(struct ts_control *c, const char *auth_key,
		     bool with_new_key, uint64_t now_ms)
{
	int err;

	ts_control_enter(c, now_ms);
	err = ts_auth_key_set(c, auth_key, false);
	if (!err && c->goal != GOAL_LOG_OUT) {
		c->login.by_person = false;
		begin(c, with_new_key);
	}
	ts_control_leave(c);
	return err;
}
