/* SPDX-License-Identifier: BSD-3-Clause
 * lab_register.c - POST /machine/register: who may be a node
 *
 * A request is one of: a log-out or an earlier expiry (Expiry is set), the
 * wait for a person (Followup), a known node that comes back, or a new key.
 * A new key needs an auth key, an approval by command, or an open lab; when
 * machine and user are known already it is the same node with a rotated key
 * and keeps its addresses.
 *
 * Logins that wait for a person are kept in lab_login.c.
 * Source: tailcfg/tailcfg.go (RegisterRequest, RegisterResponse)
 */
#include "tests/lab/lab_register.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/log.h"
#include "tests/lab/lab_auth.h"
#include "tests/lab/lab_control.h"
#include "tests/lab/lab_json.h"
#include "tests/lab/lab_login.h"
#include "tests/lab/lab_routes.h"
#include "tests/lab/lab_tka.h"

enum { HEADER_CAP = 64 };

/* One request, taken apart. */
struct request {
	struct lab *lab;
	struct lab_h2_stream *stream;
	struct ts_public_key machine, key, old_key;
	const json_t *body;
	json_t *hostinfo; /* borrowed from body, may be NULL */
	const char *auth_key, *followup;
	int64_t expiry_unix;
	bool has_expiry, ephemeral, unapproved;
	int version;
};

struct lab_register {
	struct lab *lab;
	struct lab_auth_key *keys;
	struct lab_logins logins;
	unsigned limit_left, retry_after_s;
	uint64_t requests, refused;
};

/* -- answers -------------------------------------------------------------- */

static void answer_error(struct request *rq, const char *text)
{
	rq->lab->registrar->refused++;
	log_info("register: refused: %s", text);
	lab_respond_json(rq->stream, json_pack("{s:s}", "Error", text));
}

static void answer_node(struct request *rq, const struct lab_node *node,
			bool key_expired)
{
	const struct lab_user *user =
		lab_state_user_by_id(&rq->lab->state, node->user);
	const char *login = user ? user->login : "";

	lab_respond_json(
		rq->stream,
		json_pack("{s:{s:I, s:s}, s:{s:I, s:s, s:s, s:s}, s:b, s:b, "
			  "s:s}",
			  "User", "ID", (json_int_t)node->user, "DisplayName",
			  login, "Login", "ID", (json_int_t)node->user,
			  "Provider", "lab", "LoginName", login, "DisplayName",
			  login, "NodeKeyExpired", key_expired,
			  "MachineAuthorized", !node->unauthorized, "AuthURL",
			  ""));
}

/* -- nodes ---------------------------------------------------------------- */

static void take_hostinfo(struct request *rq, struct lab_node *node)
{
	json_t *copy = rq->hostinfo ? json_deep_copy(rq->hostinfo) : NULL;

	if (copy)
		json_object_del(copy, "NetInfo");
	lab_json_replace(&node->hostinfo, copy);
}

static struct lab_node *known_node(struct request *rq, int64_t user)
{
	struct lab_state *st = &rq->lab->state;
	struct lab_node *node = lab_node_by_key(st, &rq->key);

	if (node)
		return node;
	if (!ts_public_key_is_zero(&rq->old_key))
		node = lab_node_by_key(st, &rq->old_key);
	if (node && ts_public_key_equal(&node->machine, &rq->machine))
		return node;
	return lab_node_by_machine(st, &rq->machine, user);
}

/* The node for a key that was let in; NULL: out of memory. */
static struct lab_node *enroll(struct request *rq, int64_t user, bool ephemeral,
			       json_t *tags)
{
	struct lab_state *st = &rq->lab->state;
	struct lab_node *node = known_node(rq, user);

	if (!node) {
		node = lab_node_add(st, &rq->key,
				    lab_json_text(rq->hostinfo, "Hostname"));
		if (node)
			node->unauthorized = rq->unapproved;
	}
	if (!node || lab_node_set_key(st, node, &rq->key))
		return NULL;
	node->machine = rq->machine;
	node->user = user;
	node->expiry_unix = 0;
	node->rekey_wanted = false;
	node->ephemeral = ephemeral || rq->ephemeral;
	node->cap_version = rq->version;
	lab_json_replace(&node->tags, json_incref(tags));
	take_hostinfo(rq, node);
	lab_tka_take_register(rq->lab, node, rq->body);
	lab_node_changed(st, node, LAB_CHANGE_FULL);
	log_info("node-%lld: %s enrolled%s", (long long)node->id, node->name,
		 node->ephemeral ? ", ephemeral" : "");
	return node;
}

static void enroll_and_answer(struct request *rq, const char *user,
			      bool ephemeral, json_t *tags)
{
	struct lab_state *st = &rq->lab->state;
	int64_t id = json_array_size(tags) ? LAB_TAGGED_USER
					   : lab_state_user(st, user);
	struct lab_node *node = id ? enroll(rq, id, ephemeral, tags) : NULL;

	if (node)
		answer_node(rq, node, false);
	else
		answer_error(rq, "internal error: the lab is full");
}

/* Requested tags, when the key grants none of its own or grants them all. */
static json_t *choose_tags(const struct request *rq, json_t *granted)
{
	json_t *wanted = json_object_get(rq->hostinfo, "RequestTags");
	json_t *tag;
	size_t i;

	if (!json_is_array(wanted) || !json_array_size(wanted))
		return granted;
	json_array_foreach(wanted, i, tag)
	{
		bool ok = !json_array_size(granted);
		json_t *have;
		size_t j;

		json_array_foreach(granted, j, have) ok =
			ok || json_equal(have, tag);
		if (!ok || !json_is_string(tag))
			return NULL;
	}
	return wanted;
}

static void register_with_key(struct request *rq)
{
	const char *error = NULL;
	struct lab_auth_key *key =
		lab_auth_check(rq->lab->registrar->keys, rq->auth_key, &error);
	json_t *tags;

	if (!key) {
		answer_error(rq, error);
		return;
	}
	tags = choose_tags(rq, key->tags);
	if (!tags) {
		answer_error(rq, "requested tags are invalid or not permitted");
		return;
	}
	key->used++;
	rq->unapproved = key->unapproved;
	enroll_and_answer(rq, key->user, key->ephemeral, tags);
}

static void register_open(struct request *rq, const char *user)
{
	json_t *none = json_array();
	json_t *tags = choose_tags(rq, none);

	if (tags)
		enroll_and_answer(rq, user, false, tags);
	else
		answer_error(rq, "requested tags are invalid or not permitted");
	json_decref(none);
}

/* -- logins that wait for a person ---------------------------------------- */

static json_t *login_url(const struct lab *lab, const struct lab_login *login)
{
	return json_sprintf("http://127.0.0.1:%u/auth/%s",
			    lab_control_port(lab->control), login->id);
}

/* Ask for a person, anew or again with the same URL. */
static void answer_auth_url(struct request *rq)
{
	struct lab_register *reg = rq->lab->registrar;
	struct lab_login *login = lab_login_by_key(&reg->logins, &rq->key);

	if (!login)
		login = lab_login_new(&reg->logins, &rq->key);
	if (!login) {
		answer_error(rq, "internal error: too many logins wait");
		return;
	}
	log_info("register: login %s waits for approval", login->id);
	lab_respond_json(rq->stream, json_pack("{s:o, s:b}", "AuthURL",
					       login_url(reg->lab, login),
					       "MachineAuthorized", 0));
}

/* Consumes a decided login. */
static void answer_login(struct request *rq, struct lab_login *login)
{
	char user[LAB_AUTH_USER_CAP];

	strcpy(user, login->user);
	lab_login_free(login);
	if (*user)
		register_open(rq, user);
	else
		answer_error(rq, "login was turned down");
}

static void follow_up(struct request *rq)
{
	const char *slash = strrchr(rq->followup, '/');
	struct lab_login *login =
		lab_login_by_key(&rq->lab->registrar->logins, &rq->key);

	if (!login || !slash || strcmp(slash + 1, login->id)) {
		answer_auth_url(rq);
		return;
	}
	if (login->decided) {
		answer_login(rq, login);
		return;
	}
	if (login->stream) /* the client asked again on another stream */
		lab_respond_error(lab_login_take_stream(login), 409,
				  "superseded\n");
	lab_login_follow(login, rq->stream, &rq->machine, rq->body);
}

/* -- requests ------------------------------------------------------------- */

static int read_request(struct request *rq, json_t *body)
{
	const char *expiry = lab_json_text(body, "Expiry");

	rq->body = body;
	rq->hostinfo = json_object_get(body, "Hostinfo");
	if (!json_is_object(rq->hostinfo))
		rq->hostinfo = NULL;
	rq->auth_key = lab_json_text(json_object_get(body, "Auth"), "AuthKey");
	rq->followup = lab_json_text(body, "Followup");
	rq->ephemeral = json_is_true(json_object_get(body, "Ephemeral"));
	rq->version = (int)json_integer_value(json_object_get(body, "Version"));
	rq->expiry_unix = lab_json_parse_time(expiry);
	rq->has_expiry = *expiry && strncmp(expiry, "0001-", 5) != 0;
	if (rq->version < 1 ||
	    lab_json_key(body, "NodeKey", TS_PREFIX_NODE, &rq->key) ||
	    lab_json_key(body, "OldNodeKey", TS_PREFIX_NODE, &rq->old_key) ||
	    ts_public_key_is_zero(&rq->key))
		return -EBADMSG;
	return 0;
}

static void change_expiry(struct request *rq, struct lab_node *node)
{
	struct lab_state *st = &rq->lab->state;

	if (!node->expiry_unix || rq->expiry_unix < node->expiry_unix)
		node->expiry_unix = rq->expiry_unix;
	answer_node(rq, node, false);
	log_info("node-%lld: %s %s", (long long)node->id, node->name,
		 lab_node_has_expired(node) ? "logged out" : "expires sooner");
	if (node->ephemeral && lab_node_has_expired(node))
		lab_node_remove(st, node);
	else
		lab_node_changed(st, node, LAB_CHANGE_FULL);
}

static void register_known(struct request *rq, struct lab_node *node)
{
	if (lab_node_has_expired(node)) {
		answer_node(rq, node, true);
		return;
	}
	node->cap_version = rq->version;
	take_hostinfo(rq, node);
	lab_node_changed(&rq->lab->state, node, LAB_CHANGE_FULL);
	answer_node(rq, node, false);
}

/* A node that the command "rekey" sent away needs nothing but a new key. */
static bool may_rekey(const struct request *rq, const struct lab_node *old)
{
	return old && old->rekey_wanted &&
	       ts_public_key_equal(&old->machine, &rq->machine);
}

static void register_new_key(struct request *rq)
{
	struct lab_register *reg = rq->lab->registrar;
	struct lab_node *old = lab_node_by_key(&rq->lab->state, &rq->old_key);
	struct lab_login *login = lab_login_by_key(&reg->logins, &rq->key);
	struct lab_node *node;
	const char *wanted = old ? lab_tka_wants(rq->lab, old, rq->body)
				 : NULL;

	if (wanted) {
		lab_respond_json(rq->stream, json_pack("{s:s}",
						       "NodeKeySignature",
						       wanted));
	} else if (may_rekey(rq, old)) {
		node = enroll(rq, old->user, old->ephemeral, old->tags);
		if (node)
			answer_node(rq, node, false);
		else
			answer_error(rq, "internal error: out of memory");
	} else if (*rq->auth_key && (reg->keys || rq->lab->opt.interactive)) {
		register_with_key(rq);
	} else if (login && login->decided) {
		answer_login(rq, login);
	} else if (reg->keys || rq->lab->opt.interactive) {
		answer_auth_url(rq);
	} else {
		register_open(rq, LAB_DEFAULT_USER);
	}
}

static void dispatch(struct request *rq)
{
	struct lab_node *node = lab_node_by_key(&rq->lab->state, &rq->key);

	if (node && !ts_public_key_equal(&node->machine, &rq->machine))
		answer_error(rq, "node key belongs to another machine");
	else if (rq->has_expiry && node)
		change_expiry(rq, node);
	else if (rq->has_expiry)
		answer_error(rq, "unknown node key");
	else if (*rq->followup)
		follow_up(rq);
	else if (node)
		register_known(rq, node);
	else
		register_new_key(rq);
}

static bool is_rate_limited(struct lab_register *reg,
			    struct lab_h2_stream *stream)
{
	char header[HEADER_CAP];

	if (!reg->limit_left)
		return false;
	reg->limit_left--;
	snprintf(header, sizeof(header), "retry-after: %u", reg->retry_after_s);
	lab_h2_respond(stream, 429, "text/plain", header, "slow down\n", 10);
	return true;
}

void lab_register_request(struct lab *lab, struct lab_h2_stream *stream,
			  const struct ts_public_key *machine,
			  const struct lab_h2_request *req)
{
	struct request rq = {.lab = lab, .stream = stream, .machine = *machine};
	json_t *body;

	lab->registrar->requests++;
	if (is_rate_limited(lab->registrar, stream))
		return;
	body = lab_request_json(stream, req);
	if (!body)
		return;
	if (read_request(&rq, body))
		lab_respond_error(stream, 400, "bad register request\n");
	else
		dispatch(&rq);
	json_decref(body);
}

/* -- commands ------------------------------------------------------------- */

static void wake_follower(struct lab *lab, struct lab_login *login)
{
	struct request rq = {.lab = lab, .machine = login->machine};
	json_t *body = json_incref(login->body);

	rq.stream = lab_login_take_stream(login);
	if (!read_request(&rq, body))
		answer_login(&rq, login);
	json_decref(body);
}

size_t lab_register_decide(struct lab_register *reg, const char *id,
			   const char *user)
{
	struct lab_login *next;
	size_t count = 0;

	for (struct lab_login *login = reg->logins.first; login; login = next) {
		next = login->next;
		if (login->decided || (id && strcmp(login->id, id)))
			continue;
		count++;
		login->decided = true;
		snprintf(login->user, sizeof(login->user), "%s",
			 user ? user : "");
		if (login->stream)
			wake_follower(reg->lab, login);
	}
	return count;
}

json_t *lab_register_pending(const struct lab_register *reg)
{
	json_t *list = json_array();
	char key[TS_KEY_TEXT_CAP];

	for (const struct lab_login *login = reg->logins.first; login;
	     login = login->next)
		if (!login->decided)
			json_array_append_new(
				list,
				json_pack("{s:s, s:o, s:s, s:b}", "id",
					  login->id, "url",
					  login_url(reg->lab, login),
					  "node_key",
					  ts_public_key_format(&login->key,
							       TS_PREFIX_NODE,
							       key),
					  "waits", login->stream != NULL));
	return list;
}

int lab_register_add_key(struct lab_register *reg, const char *text)
{
	return lab_auth_add(&reg->keys, text);
}

void lab_register_rate_limit(struct lab_register *reg, unsigned count,
			     unsigned retry_after_s)
{
	reg->limit_left = count;
	reg->retry_after_s = retry_after_s;
}

json_t *lab_register_stats(const struct lab_register *reg)
{
	return json_pack("{s:I, s:I, s:I}", "requests",
			 (json_int_t)reg->requests, "refused",
			 (json_int_t)reg->refused, "waiting",
			 (json_int_t)reg->logins.count);
}

int lab_register_new(struct lab *lab, struct lab_register **out)
{
	struct lab_register *reg = calloc(1, sizeof(*reg));
	int err = 0;

	if (!reg)
		return -ENOMEM;
	reg->lab = lab;
	for (size_t i = 0; !err && i < lab->opt.auth_key_count; i++) {
		err = lab_auth_add(&reg->keys, lab->opt.auth_keys[i]);
		if (err)
			log_error("lab: bad auth key attributes: %s",
				  lab->opt.auth_keys[i]);
	}
	if (err)
		lab_register_free(reg);
	else
		*out = reg;
	return err;
}

void lab_register_free(struct lab_register *reg)
{
	if (!reg)
		return;
	while (reg->logins.first)
		lab_login_free(reg->logins.first);
	lab_auth_free(&reg->keys);
	free(reg);
}
