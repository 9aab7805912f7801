/* SPDX-License-Identifier: BSD-3-Clause
 * node_lock_admin.c - what a person asks the server to do about Tailnet Lock
 */
#include "core/node/node_lock_admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clean_text.h"
#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/model/json_fields.h"
#include "core/node/node_internal.h"
#include "core/tka/tka_builder.h"

enum {
	RPC_TIMEOUT_MS = 60000,
	REPLY_MAX = 10 << 20,
	HTTP_OK = 200,
	ERROR_CAP = 320,
	REFUSAL_SHOWN = 200,
};

static const char not_trusted[] =
	"this node does not have a trusted tailnet lock key";

/* One of these, on its way. */
struct request {
	struct ts_node *node;
	ts_lock_fn fn;
	ts_lock_signatures_fn signatures_fn; /* instead of fn, for affected */
	void *ctx;
	/* With the reply, which makes sense as JSON: NULL, or why it does not
	 * do. It may go on with another request; then *again. */
	const char *(*take)(struct request *rq, const json_t *reply,
			    bool *again);
	struct ts_tka_hash wanted_head;	 /* modify */
	struct ts_public_key key;	 /* affected */
	char *support;			 /* init: base64, or NULL */
};

static void finish(struct request *rq, const char *error, const json_t *reply)
{
	struct request last = *rq;

	ts_wipe_free_text(rq->support);
	free(rq);
	if (last.signatures_fn)
		last.signatures_fn(last.ctx, error, reply);
	else
		last.fn(last.ctx, error);
}

static void refusal(const struct node_lock_answer *reply,
		    char out[static ERROR_CAP])
{
	size_t len = reply->len < REFUSAL_SHOWN ? reply->len : REFUSAL_SHOWN;

	snprintf(out, ERROR_CAP, "request returned (%d): %.*s", reply->status,
		 (int)len, reply->body);
	ts_clean_text(out, ' ');
}

static void on_reply(void *ctx, int status, const void *body, size_t len,
		     const char *link_error)
{
	const struct node_lock_answer answer = {link_error, status, body, len};
	const struct node_lock_answer *reply = &answer;
	struct request *rq = ctx;
	char text[ERROR_CAP];
	const char *error = reply->error;
	json_t *json = NULL;
	bool again = false;

	if (!error && reply->status != HTTP_OK) {
		refusal(reply, text);
		error = text;
	} else if (!error) {
		json = json_loadb(reply->body, reply->len, TS_JSON_READ_FLAGS,
				  NULL);
		error = json_is_object(json) ? NULL
					     : "the server's answer makes no "
					       "sense";
	}
	if (!error && rq->take)
		error = rq->take(rq, json, &again);
	if (error || !again)
		finish(rq, error, json);
	json_decref(json);
}

/* Takes body. False: not sent, and rq still the caller's. */
static bool ask_server(struct request *rq, const char *path, char *body)
{
	struct ts_control_ask request = {.method = "GET",
					     .path = path,
					     .body = body,
					     .reply_max = REPLY_MAX,
					     .timeout_ms = RPC_TIMEOUT_MS};
	int err = body ? ts_control_ask(rq->node->control, &request, on_reply,
					 rq, rq->node->now_ms)
		       : -ENOMEM;

	ts_wipe_free_text(body);
	return !err;
}

static void begin(struct request *rq, const char *path, char *body)
{
	if (!ask_server(rq, path, body))
		finish(rq, "cannot ask the control server now", NULL);
}

static struct request *new_request(struct ts_node *node, ts_lock_fn fn,
				   void *ctx, uint64_t now_ms)
{
	struct request *rq = calloc(1, sizeof(*rq));

	node->now_ms = now_ms;
	if (!rq) {
		fn(ctx, NODE_LOCK_NO_MEMORY);
		return NULL;
	}
	rq->node = node;
	rq->fn = fn;
	rq->ctx = ctx;
	return rq;
}

/* NULL, or why nothing can be signed here. */
static const char *find_obstacle(const struct ts_node *node)
{
	struct ts_public_key id;

	if (!node->lock.tka)
		return NODE_LOCK_NOT_ACTIVE;
	ts_nl_public(node_lock_own_key(node), &id);
	return ts_tka_state_key(ts_tka_state(node->lock.tka), &id)
		       ? NULL
		       : not_trusted;
}

/* Takes value. */
static char *body_with(const struct ts_node *node, const char *name,
		       json_t *value)
{
	json_t *body = node_lock_body(node);
	char *text = NULL;

	if (json_object_set_new(body, name, value) == 0)
		text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	return text;
}

/* -- sign ----------------------------------------------------------------- */

void ts_node_lock_sign(struct ts_node *node, const struct ts_public_key *key,
		       const struct ts_public_key *rotation_key, ts_lock_fn fn,
		       void *ctx, uint64_t now_ms)
{
	struct request *rq = new_request(node, fn, ctx, now_ms);
	const char *obstacle = find_obstacle(node);
	uint8_t signature[TS_NKS_LEN_MAX];
	int len;

	if (!rq)
		return;
	if (obstacle) {
		finish(rq, obstacle, NULL);
		return;
	}
	len = ts_nks_sign(node_lock_own_key(node), key, rotation_key,
			  signature);
	begin(rq, "/machine/tka/sign",
	      len < 0 ? NULL
		      : body_with(node, "Signature",
				  ts_json_base64(signature, (size_t)len)));
}

/* -- modify --------------------------------------------------------------- */

static const char *take_modified(struct request *rq, const json_t *reply,
				 bool *again)
{
	const char *head = ts_json_text(reply, "Head");
	struct ts_tka_hash hash;

	(void)again;
	if (!head || ts_tka_hash_parse(head, &hash) ||
	    !ts_tka_hash_equal(&hash, &rq->wanted_head))
		return "central tka head differs from submitted AUM, try "
		       "again";
	return NULL;
}

static int build(struct ts_tka_builder *builder, const struct ts_tka_key *add,
		 size_t add_count, const struct ts_tka_key *remove,
		 size_t remove_count)
{
	int err = 0;

	for (size_t i = 0; !err && i < add_count; i++)
		err = ts_tka_builder_add_key(builder, &add[i]);
	for (size_t i = 0; !err && i < remove_count; i++)
		err = ts_tka_builder_remove_key(builder, &remove[i].public);
	return err;
}

static const char *modify_error(int err)
{
	switch (err) {
	case -EPROTO:
		return "a key that is to be added is there already, or one "
		       "that is to be removed is not, or is the last";
	case -EMSGSIZE:
		return "too many keys at a time";
	default:
		return NODE_LOCK_NO_MEMORY;
	}
}

void ts_node_lock_modify(struct ts_node *node, const struct ts_tka_key *add,
			 size_t add_count, const struct ts_tka_key *remove,
			 size_t remove_count, ts_lock_fn fn, void *ctx,
			 uint64_t now_ms)
{
	struct request *rq = new_request(node, fn, ctx, now_ms);
	const char *obstacle = find_obstacle(node);
	struct ts_tka_builder *builder = NULL;
	const struct ts_tka_aum *const *list;
	size_t count = 0;
	int err;

	if (!rq)
		return;
	if (obstacle) {
		finish(rq, obstacle, NULL);
		return;
	}
	err = ts_tka_builder_new(node->lock.tka, node_lock_own_key(node),
				 &builder);
	if (!err)
		err = build(builder, add, add_count, remove, remove_count);
	if (!err)
		err = ts_tka_builder_finish(builder, &list, &count);
	if (err || count == 0) {
		finish(rq, err ? modify_error(err) : NULL, NULL);
	} else {
		rq->take = take_modified;
		rq->wanted_head = list[count - 1]->hash;
		begin(rq, "/machine/tka/sync/send",
		      node_lock_send_body(node, list, count, true));
	}
	ts_tka_builder_free(builder);
}

/* -- init ----------------------------------------------------------------- */

/* One of NeedSignatures, as "ID": signature. 0 or -EBADMSG. */
static int sign_info(const struct ts_node *node, const json_t *info,
		     json_t *signatures)
{
	const char *key_text = ts_json_text(info, "NodePublic");
	const char *rotation = ts_json_text(info, "RotationPubkey");
	uint8_t *raw = NULL, signature[TS_NKS_LEN_MAX];
	struct ts_public_key key, rotation_key;
	size_t raw_len = 0;
	char id[24];
	int len;

	if (!key_text || ts_public_key_parse(key_text, TS_PREFIX_NODE, &key))
		return -EBADMSG;
	if (rotation && ts_base64_decode(rotation, strlen(rotation), &raw,
					 &raw_len))
		return -EBADMSG;
	if (raw_len == TS_KEY_LEN)
		memcpy(rotation_key.bytes, raw, TS_KEY_LEN);
	free(raw);
	if (raw_len != 0 && raw_len != TS_KEY_LEN)
		return -EBADMSG;
	len = ts_nks_sign(node_lock_own_key(node), &key,
			  raw_len ? &rotation_key : NULL, signature);
	if (len < 0)
		return -EBADMSG;
	snprintf(id, sizeof(id), "%lld",
		 (long long)ts_json_int(info, "NodeID"));
	return json_object_set_new(signatures, id,
				   ts_json_base64(signature, (size_t)len))
		       ? -EBADMSG
		       : 0;
}

static const char *take_begun(struct request *rq, const json_t *reply,
			      bool *again)
{
	const json_t *list = json_object_get(reply, "NeedSignatures");
	json_t *signatures = json_object(), *body;
	const json_t *info;
	char *text;
	size_t i;
	int err = 0;

	json_array_foreach (list, i, info)
		err |= sign_info(rq->node, info, signatures);
	if (err) {
		json_decref(signatures);
		return "the server's list of nodes makes no sense";
	}
	body = node_lock_body(rq->node);
	json_object_set_new(body, "Signatures", signatures);
	if (rq->support)
		json_object_set_new(body, "SupportDisablement",
				    json_string(rq->support));
	text = json_dumps(body, JSON_COMPACT);
	ts_json_wipe(json_object_get(body, "SupportDisablement"));
	json_decref(body);
	rq->take = NULL;
	*again = ask_server(rq, "/machine/tka/init/finish", text);
	return *again ? NULL : "cannot ask the control server now";
}

void ts_node_lock_init(struct ts_node *node, struct ts_tka_state *state,
		       const char *support, ts_lock_fn fn, void *ctx,
		       uint64_t now_ms)
{
	struct request *rq = new_request(node, fn, ctx, now_ms);
	struct ts_tka_aum *genesis;
	int err;

	if (!rq)
		return;
	do { /* zero is not written */
		ts_random_bytes(&state->id1, sizeof(state->id1));
		ts_random_bytes(&state->id2, sizeof(state->id2));
	} while (!state->id1 || !state->id2);
	err = ts_tka_make_genesis(state, node_lock_own_key(node), &genesis);
	if (err) {
		finish(rq, err == -EACCES ? "this node's own key must be one "
					    "of the trusted ones"
			   : err == -EBADMSG ? "invalid state: keys and "
					       "disablement values, each once"
					     : NODE_LOCK_NO_MEMORY,
		       NULL);
		return;
	}
	rq->take = take_begun;
	rq->support = support ? strdup(support) : NULL;
	if (support && !rq->support) /* locked for good, without it */
		finish(rq, NODE_LOCK_NO_MEMORY, NULL);
	else
		begin(rq, "/machine/tka/init/begin",
		      body_with(node, "GenesisAUM",
				ts_json_base64(genesis->raw, genesis->len)));
	ts_tka_aum_free(genesis);
}

/* -- disable -------------------------------------------------------------- */

void ts_node_lock_disable(struct ts_node *node, const void *secret, size_t len,
			  ts_lock_fn fn, void *ctx, uint64_t now_ms)
{
	struct request *rq = new_request(node, fn, ctx, now_ms);
	const char *obstacle = node->lock.tka ? NULL : NODE_LOCK_NOT_ACTIVE;
	json_t *body;
	char *text;

	if (!rq)
		return;
	if (!obstacle && ts_tka_state_check_secret(
				 ts_tka_state(node->lock.tka), secret, len))
		obstacle = "incorrect disablement secret";
	if (obstacle) {
		finish(rq, obstacle, NULL);
		return;
	}
	body = node_lock_body(node);
	json_object_set_new(body, "Head", node_lock_head(node));
	json_object_set_new(body, "DisablementSecret",
			    ts_json_base64(secret, len));
	text = json_dumps(body, JSON_COMPACT);
	ts_json_wipe(json_object_get(body, "DisablementSecret"));
	json_decref(body);
	begin(rq, "/machine/tka/disable", text);
}

/* -- affected signatures -------------------------------------------------- */

/* NULL, or what is wrong with the server's word. */
static const char *check_affected(const struct request *rq, const char *text)
{
	const char *why = NULL;
	const struct ts_public_key *id;
	struct ts_nks nks;
	uint8_t *data;
	size_t len;
	int err;

	if (!text || ts_base64_decode(text, strlen(text), &data, &len))
		return "failed decoding a signature";
	err = ts_nks_read(data, len, &nks);
	free(data);
	if (err)
		return "failed decoding a signature";
	id = ts_nks_authority(&nks);
	if (!id || !ts_public_key_equal(id, &rq->key))
		return "got a signature by another key";
	if (!nks.levels[0].has_node_key)
		return "a signature without a node key";
	ts_nks_is_valid(&nks, ts_tka_state(rq->node->lock.tka),
			&nks.levels[0].node_key, &why);
	return why;
}

static const char *take_affected(struct request *rq, const json_t *reply,
				 bool *again)
{
	const json_t *list = json_object_get(reply, "Signatures"), *signature;
	const char *error = rq->node->lock.tka ? NULL : NODE_LOCK_NOT_ACTIVE;
	size_t i;

	(void)again;
	json_array_foreach (list, i, signature)
		if (!error)
			error = check_affected(rq,
					       json_string_value(signature));
	return error;
}

static void no_fn(void *ctx, const char *error)
{
	(void)ctx;
	(void)error;
}

void ts_node_lock_affected(struct ts_node *node,
			   const struct ts_public_key *key,
			   ts_lock_signatures_fn fn, void *ctx,
			   uint64_t now_ms)
{
	struct request *rq = new_request(node, no_fn, ctx, now_ms);

	if (!rq) {
		fn(ctx, NODE_LOCK_NO_MEMORY, NULL);
		return;
	}
	rq->signatures_fn = fn;
	rq->take = take_affected;
	rq->key = *key;
	if (node->lock.tka)
		begin(rq, "/machine/tka/affected-sigs",
		      body_with(node, "KeyID",
				ts_json_base64(key->bytes, TS_KEY_LEN)));
	else
		finish(rq, NODE_LOCK_NOT_ACTIVE, NULL);
}

/* -- recovery ------------------------------------------------------------- */

void ts_node_lock_submit(struct ts_node *node, const struct ts_tka_aum *aum,
			 ts_lock_fn fn, void *ctx, uint64_t now_ms)
{
	struct request *rq = new_request(node, fn, ctx, now_ms);
	char text[TS_TKA_HASH_TEXT_CAP];
	json_t *body;
	char *request;

	if (!rq)
		return;
	if (!node->lock.tka) {
		finish(rq, NODE_LOCK_NOT_ACTIVE, NULL);
		return;
	}
	body = node_lock_body(node);
	json_object_set_new(body, "Head", json_string(ts_tka_hash_format(
						  &aum->hash, text)));
	json_object_set_new(body, "MissingAUMs",
			    json_pack("[o]",
				      ts_json_base64(aum->raw, aum->len)));
	json_object_set_new(body, "Interactive", json_false());
	request = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	begin(rq, "/machine/tka/sync/send", request);
}
