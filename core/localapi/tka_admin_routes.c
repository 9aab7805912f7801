/* SPDX-License-Identifier: BSD-3-Clause
 * tka_admin_routes.c - tka/init, sign, modify and others: changes to Tailnet
 * Lock that `tailscale lock` asks for
 *
 * Most wait for the control server. Statuses and the beginnings of errors are
 * upstream's.
 * Source: ipn/localapi/tailnetlock.go
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"
#include "core/node/node_lock_admin.h"

enum { KEYS_MAX = 64, ERROR_CAP = 400, KIND_ED25519 = 1 };

/* A call that waits for the control server. */
struct waiting {
	struct localapi_call call;
	const char *what; /* before an error */
	int error_status, ok_status;
	bool shows_status; /* the answer is tka/status */
};

static void on_done(void *ctx, const char *error)
{
	struct waiting *w = ctx;
	char text[ERROR_CAP];

	snprintf(text, sizeof(text), "%s%s", w->what, error ? error : "");
	if (error)
		localapi_reply_error(&w->call, w->error_status, text);
	else if (w->shows_status)
		localapi_tka_status(&w->call);
	else
		localapi_reply_empty(&w->call, w->ok_status);
	free(w);
}

static struct waiting *wait_for(const struct localapi_call *call,
				const char *what, int error_status)
{
	struct waiting *w = calloc(1, sizeof(*w));

	if (!w) {
		localapi_reply_failure(call, "out of memory");
		return NULL;
	}
	w->call = *call;
	w->call.request = NULL;
	w->what = what;
	w->error_status = error_status;
	w->ok_status = 200;
	return w;
}

/* Exactly len bytes; false: something else. */
static bool read_fixed(const json_t *value, void *out, size_t len)
{
	const char *text = json_string_value(value);
	uint8_t *raw = NULL;
	size_t raw_len = 0;
	bool fits;

	if (!text || ts_base64_decode(text, strlen(text), &raw, &raw_len))
		return false;
	fits = raw_len == len;
	if (fits)
		memcpy(out, raw, len);
	ts_wipe(raw, raw_len);
	free(raw);
	return fits;
}

static bool read_meta(json_t *meta, struct ts_tka_key *out)
{
	const char *name;
	json_t *value;
	size_t total = 0;

	if (json_object_size(meta) == 0)
		return !meta || json_is_null(meta) || json_is_object(meta);
	json_object_foreach (meta, name, value) {
		if (!json_is_string(value))
			return false;
		total += strlen(name) + json_string_length(value);
	}
	out->meta = json_incref(meta);
	return total <= TS_TKA_META_MAX;
}

/* tka.Key as Go writes it. */
static bool read_key(const json_t *value, struct ts_tka_key *out)
{
	json_int_t votes = json_integer_value(json_object_get(value, "Votes"));

	if (json_integer_value(json_object_get(value, "Kind")) !=
		    KIND_ED25519 ||
	    votes < 1 || votes > TS_TKA_VOTES_MAX ||
	    !read_fixed(json_object_get(value, "Public"), out->public.bytes,
			TS_KEY_LEN))
		return false;
	out->votes = (unsigned)votes;
	return read_meta(json_object_get(value, "Meta"), out);
}

struct keys {
	struct ts_tka_key list[KEYS_MAX];
	size_t count;
};

static void keys_deinit(struct keys *keys)
{
	for (size_t i = 0; i < keys->count; i++)
		ts_tka_key_deinit(&keys->list[i]);
}

/* An absent list is an empty one. */
static bool read_keys(const json_t *list, struct keys *out)
{
	const json_t *value;
	size_t i;

	if (json_array_size(list) > KEYS_MAX)
		return false;
	json_array_foreach (list, i, value)
		if (!read_key(value, &out->list[out->count++]))
			return false;
	return true;
}

/* -- routes --------------------------------------------------------------- */

void localapi_tka_sign(const struct localapi_call *call)
{
	json_t *body = localapi_body_object(call);
	const json_t *rotation = json_object_get(body, "RotationPublic");
	const char *key_text = ts_json_text(body, "NodeKey");
	struct ts_public_key key, rotation_key;
	bool has_rotation = json_string_length(rotation) > 0;
	struct waiting *w;

	if (!body)
		return;
	if (!key_text || ts_public_key_parse(key_text, TS_PREFIX_NODE, &key) ||
	    (has_rotation &&
	     !read_fixed(rotation, rotation_key.bytes, TS_KEY_LEN)))
		localapi_reply_error(call, 400, "invalid JSON body");
	else if ((w = wait_for(call, "signing failed: ", 500)))
		ts_node_lock_sign(call->node, &key,
				  has_rotation ? &rotation_key : NULL, on_done,
				  w, call->now_ms);
	json_decref(body);
}

void localapi_tka_modify(const struct localapi_call *call)
{
	json_t *body = localapi_body_object(call);
	struct keys add = {.count = 0}, remove = {.count = 0};
	struct waiting *w;

	if (!body)
		return;
	if (!read_keys(json_object_get(body, "AddKeys"), &add) ||
	    !read_keys(json_object_get(body, "RemoveKeys"), &remove)) {
		localapi_reply_error(call, 400, "invalid JSON body");
	} else if ((w = wait_for(call,
				 "tailnet-lock modify failed: modify "
				 "tailnet-lock keys: ",
				 500))) {
		w->ok_status = 204;
		ts_node_lock_modify(call->node, add.list, add.count,
				    remove.list, remove.count, on_done, w,
				    call->now_ms);
	}
	keys_deinit(&add);
	keys_deinit(&remove);
	json_decref(body);
}

static bool read_disablements(const json_t *list, struct ts_tka_state *out)
{
	static const size_t max = TS_TKA_DISABLEMENTS_MAX;
	const json_t *value;
	size_t i;

	if (json_array_size(list) > max)
		return false;
	json_array_foreach (list, i, value)
		if (!read_fixed(value,
				out->disablements[out->disablement_count++]
					.bytes,
				TS_TKA_DISABLEMENT_LEN))
			return false;
	return true;
}

static bool may_have_lock(const struct localapi_call *call)
{
	const struct ts_peer *self = ts_node_netmap(call->node)->self;

	return self && ts_peer_has_cap(self, TS_CAP_TAILNET_LOCK);
}

void localapi_tka_init(const struct localapi_call *call)
{
	struct ts_tka_disablement disablements[TS_TKA_DISABLEMENTS_MAX];
	json_t *body = localapi_body_object(call);
	struct keys keys = {.count = 0};
	struct ts_tka_state state = {.keys = keys.list,
				     .disablements = disablements};
	struct waiting *w;

	if (!body)
		return;
	if (!read_keys(json_object_get(body, "Keys"), &keys) ||
	    !read_disablements(json_object_get(body, "DisablementValues"),
			       &state)) {
		localapi_reply_error(call, 400, "invalid JSON body");
	} else if (!may_have_lock(call)) {
		localapi_reply_error(call, 403, "Tailnet Lock is not supported "
						"on your pricing plan");
	} else if ((w = wait_for(call, "initialization failed: ", 500))) {
		const char *support =
			ts_json_text(body, "SupportDisablement");

		state.key_count = keys.count;
		w->shows_status = true;
		ts_node_lock_init(call->node, &state,
				  support && *support ? support : NULL,
				  on_done, w, call->now_ms);
	}
	keys_deinit(&keys);
	ts_json_wipe(json_object_get(body, "SupportDisablement"));
	json_decref(body);
}

void localapi_tka_disable(const struct localapi_call *call)
{
	struct waiting *w =
		wait_for(call, "tailnet-lock disable failed: ", 400);

	if (w)
		ts_node_lock_disable(call->node, call->request->body,
				     call->request->body_len, on_done, w,
				     call->now_ms);
}

void localapi_tka_local_disable(const struct localapi_call *call)
{
	/* It keeps browsers' forms out. */
	json_t *body = localapi_body_object(call);
	struct waiting *w;

	if (!body)
		return;
	json_decref(body);
	w = wait_for(call, "tailnet-lock local disable failed: ", 400);
	if (w)
		on_done(w, ts_node_lock_disable_locally(call->node,
							call->now_ms));
}

void localapi_tka_wrap(const struct localapi_call *call)
{
	json_t *body = localapi_body_object(call);
	const char *auth_key = ts_json_text(body, "TSKey");
	const char *key_text = ts_json_text(body, "TKAKey");
	struct ts_nl_private_key key;
	const char *error = NULL;
	char *wrapped = NULL;

	if (!body)
		return;
	if (!auth_key || !key_text || ts_nl_key_parse(key_text, &key))
		localapi_reply_error(call, 400, "invalid JSON body");
	else if (!(wrapped = ts_node_lock_wrap(call->node, auth_key, &key,
					       &error)))
		localapi_reply_error(call, 500, error);
	else
		localapi_reply_secret(call, "text/plain; charset=utf-8",
				      wrapped);
	ts_wipe(&key, sizeof(key));
	ts_json_wipe(body);
	json_decref(body);
}

static void on_affected(void *ctx, const char *error, const json_t *reply)
{
	struct waiting *w = ctx;
	json_t *list = json_object_get(reply, "Signatures");

	if (error)
		localapi_reply_error(&w->call, w->error_status, error);
	else
		localapi_reply_json(&w->call, 200,
				    json_is_array(list) ? json_incref(list)
							: json_null());
	free(w);
}

void localapi_tka_affected(const struct localapi_call *call)
{
	const struct ts_localapi_request *rq = call->request;
	struct ts_public_key key;
	struct waiting *w;

	if (rq->body_len != TS_KEY_LEN) {
		localapi_reply_error(call, 400, "the body is no key ID");
		return;
	}
	memcpy(key.bytes, rq->body, TS_KEY_LEN);
	w = wait_for(call, "", 500);
	if (w)
		ts_node_lock_affected(call->node, &key, on_affected, w,
				      call->now_ms);
}

/* -- recovery ------------------------------------------------------------- */

/* Frees aum. */
static void reply_aum(const struct localapi_call *call, struct ts_tka_aum *aum,
		      const char *error)
{
	struct ts_localapi_reply reply = {
		.status = 200, .content_type = "application/octet-stream"};

	reply.body = aum ? malloc(aum->len) : NULL;
	if (!reply.body) {
		localapi_reply_error(call, 500,
				     error ? error : "out of memory");
		ts_tka_aum_free(aum);
		return;
	}
	memcpy(reply.body, aum->raw, aum->len);
	reply.body_len = aum->len;
	ts_tka_aum_free(aum);
	call->done(call->ctx, &reply);
}

static bool read_key_ids(const json_t *list, struct ts_public_key *out,
			 size_t *count)
{
	const json_t *value;
	size_t i;

	if (json_array_size(list) > KEYS_MAX)
		return false;
	json_array_foreach (list, i, value)
		if (!read_fixed(value, out[(*count)++].bytes, TS_KEY_LEN))
			return false;
	return true;
}

void localapi_tka_recover(const struct localapi_call *call)
{
	json_t *body = localapi_body_object(call);
	struct ts_public_key ids[KEYS_MAX];
	const char *fork_text = ts_json_text(body, "ForkFrom");
	static const struct ts_tka_hash none; /* how the CLI says it */
	bool has_fork = fork_text && *fork_text;
	struct ts_tka_hash fork = none;
	const char *error;
	size_t count = 0;

	if (!body)
		return;
	if (!read_key_ids(json_object_get(body, "Keys"), ids, &count)) {
		localapi_reply_error(call, 400,
				     "invalid JSON for verifyRequest body");
	} else if (has_fork && ts_tka_hash_parse(fork_text, &fork)) {
		localapi_reply_error(call, 400, "decoding fork-from");
	} else {
		struct ts_tka_aum *aum = ts_node_lock_make_recovery(
			call->node, ids, count,
			ts_tka_hash_equal(&fork, &none) ? NULL : &fork,
			&error);

		reply_aum(call, aum, error);
	}
	json_decref(body);
}

/* NULL: answered already. */
static struct ts_tka_aum *read_aum(const struct localapi_call *call)
{
	const struct ts_localapi_request *rq = call->request;
	struct ts_tka_aum *aum;

	if (ts_tka_aum_read(rq->body ? rq->body : "", rq->body_len, &aum) == 0)
		return aum;
	localapi_reply_error(call, 400, "decoding AUM");
	return NULL;
}

void localapi_tka_cosign(const struct localapi_call *call)
{
	struct ts_tka_aum *aum = read_aum(call), *cosigned;
	const char *error;

	if (!aum)
		return;
	cosigned = ts_node_lock_cosign(call->node, aum, &error);
	ts_tka_aum_free(aum);
	reply_aum(call, cosigned, error);
}

void localapi_tka_submit(const struct localapi_call *call)
{
	struct ts_tka_aum *aum = read_aum(call);
	struct waiting *w = aum ? wait_for(call, "", 500) : NULL;

	if (w)
		ts_node_lock_submit(call->node, aum, on_done, w, call->now_ms);
	ts_tka_aum_free(aum);
}
