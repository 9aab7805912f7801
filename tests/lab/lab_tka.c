/* SPDX-License-Identifier: BSD-3-Clause
 * lab_tka.c - the tailnet's lock, as a control server keeps it
 *
 * Here the server has the signing keys as well, so that tests can lock the
 * tailnet, sign and unsign its nodes, change who is trusted, and cheat. What
 * nodes send is taken as a server would: updates that verify, signatures as
 * they are.
 * Source: tailcfg/tka.go
 */
#include "tests/lab/lab_tka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/tka/tka.h"
#include "tests/lab/lab_command.h"
#include "tests/lab/lab_routes.h"

enum { SIGNERS_MAX = 8, SECRET_LEN = 32 };

struct lab_tka {
	struct lab *lab;
	struct ts_tka *tka; /* NULL: no lock */
	uint8_t *genesis;
	size_t genesis_len;
	bool is_disabled; /* nodes are to end theirs */
	bool secret_is_wrong;
	uint8_t secret[SECRET_LEN];
	/* Trusted, oldest first; the last one signs. */
	struct ts_nl_private_key signers[SIGNERS_MAX];
	size_t signer_count;
	unsigned failing; /* so many requests are answered with an error */
	unsigned bootstraps, offers, sends;
};

struct lab_tka *lab_tka_new(struct lab *lab)
{
	struct lab_tka *t = calloc(1, sizeof(*t));

	if (t)
		t->lab = lab;
	return t;
}

static void forget(struct lab_tka *t)
{
	ts_tka_free(t->tka);
	free(t->genesis);
	t->tka = NULL;
	t->genesis = NULL;
	t->signer_count = 0;
}

void lab_tka_free(struct lab_tka *t)
{
	if (!t)
		return;
	forget(t);
	free(t);
}

bool lab_tka_is_on(const struct lab *lab)
{
	return lab->tka->tka && !lab->tka->is_disabled;
}

static json_t *hash_text(const struct ts_tka_hash *hash)
{
	char text[TS_TKA_HASH_TEXT_CAP];

	return json_string(ts_tka_hash_format(hash, text));
}

static json_t *head_text(const struct lab_tka *t)
{
	struct ts_tka_hash head;

	if (!t->tka)
		return json_string("");
	ts_tka_head(t->tka, &head);
	return hash_text(&head);
}

json_t *lab_tka_info(const struct lab *lab, bool is_delta)
{
	if (lab_tka_is_on(lab))
		return json_pack("{s:o}", "Head", head_text(lab->tka));
	return is_delta ? json_pack("{s:b}", "Disabled", 1) : NULL;
}

static void changed(struct lab_tka *t)
{
	struct lab_state *st = &t->lab->state;

	lab_state_touch(st, &st->lock_rev);
}

static json_t *base64(const void *data, size_t len)
{
	char *text = ts_base64_encode(data, len);
	json_t *json = json_string(text ? text : "");

	free(text);
	return json;
}

/* -- nodes' signatures ---------------------------------------------------- */

static void set_signature(struct lab_tka *t, struct lab_node *node,
			  const char *base64_text)
{
	free(node->key_signature);
	node->key_signature = base64_text ? strdup(base64_text) : NULL;
	lab_node_changed(&t->lab->state, node, LAB_CHANGE_FULL);
}

static void sign_node(struct lab_tka *t, struct lab_node *node,
		      const struct ts_nl_private_key *signer)
{
	uint8_t signature[TS_NKS_LEN_MAX];
	bool has_nl_key = !ts_public_key_is_zero(&node->nl_key);
	int len = ts_nks_sign(signer, &node->key,
			      has_nl_key ? &node->nl_key : NULL, signature);
	char *text = ts_base64_encode(signature, (size_t)len);

	set_signature(t, node, text);
	free(text);
}

void lab_tka_take_register(struct lab *lab, struct lab_node *node,
			   const json_t *body)
{
	const char *signature = lab_json_text(body, "NodeKeySignature");

	lab_json_key(body, "NLKey", TS_PREFIX_NL_PUBLIC, &node->nl_key);
	if (*signature)
		set_signature(lab->tka, node, signature);
}

const char *lab_tka_wants(const struct lab *lab, const struct lab_node *node,
			  const json_t *body)
{
	if (!lab_tka_is_on(lab) || !node->key_signature ||
	    *lab_json_text(body, "NodeKeySignature"))
		return NULL;
	return node->key_signature;
}

/* -- requests ------------------------------------------------------------- */

static void serve_bootstrap(struct lab_tka *t, struct lab_h2_stream *stream,
			    const json_t *body)
{
	json_t *reply = json_object();
	uint8_t wrong[SECRET_LEN] = {0};

	(void)body;
	t->bootstraps++;
	if (t->is_disabled)
		json_object_set_new(
			reply, "DisablementSecret",
			base64(t->secret_is_wrong ? wrong : t->secret,
			       SECRET_LEN));
	else if (t->genesis)
		json_object_set_new(reply, "GenesisAUM",
				    base64(t->genesis, t->genesis_len));
	lab_respond_json(stream, reply);
}

static size_t read_ancestors(const json_t *list, struct ts_tka_offer *offer)
{
	size_t count = json_array_size(list);

	offer->ancestors = calloc(count + 1, sizeof(*offer->ancestors));
	for (size_t i = 0; offer->ancestors && i < count; i++) {
		const char *text = json_string_value(json_array_get(list, i));

		if (text &&
		    !ts_tka_hash_parse(
			    text, &offer->ancestors[offer->ancestor_count]))
			offer->ancestor_count++;
	}
	return offer->ancestor_count;
}

static void serve_offer(struct lab_tka *t, struct lab_h2_stream *stream,
			const json_t *body)
{
	json_t *ancestors = json_array(), *missing = json_array();
	struct ts_tka_offer theirs = {.ancestor_count = 0}, ours;
	const struct ts_tka_aum **list = NULL;
	size_t count = 0;

	t->offers++;
	read_ancestors(json_object_get(body, "Ancestors"), &theirs);
	if (ts_tka_hash_parse(lab_json_text(body, "Head"), &theirs.head) ||
	    ts_tka_make_offer(t->tka, &ours)) {
		json_decref(ancestors);
		json_decref(missing);
		ts_tka_offer_deinit(&theirs);
		lab_respond_error(stream, 400, "bad offer\n");
		return;
	}
	ts_tka_missing(t->tka, &theirs, &list, &count);
	for (size_t i = 0; i < count; i++)
		json_array_append_new(missing,
				      base64(list[i]->raw, list[i]->len));
	for (size_t i = 0; i < ours.ancestor_count; i++)
		json_array_append_new(ancestors,
				      hash_text(&ours.ancestors[i]));
	free(list);
	ts_tka_offer_deinit(&theirs);
	ts_tka_offer_deinit(&ours);
	lab_respond_json(stream, json_pack("{s:o, s:o, s:o}", "Head",
					   head_text(t), "Ancestors",
					   ancestors, "MissingAUMs", missing));
}

static int take_update(struct lab_tka *t, const char *text)
{
	struct ts_tka_update update;
	const char *why;
	uint8_t *data;
	int err = ts_base64_decode(text, strlen(text), &data, &update.len);

	if (err)
		return err;
	update.data = data;
	err = ts_tka_inform(t->tka, &update, 1, time(NULL), &why);
	if (err)
		log_warn("tka: update refused: %s", why ? why
							: ts_strerror(err));
	free(data);
	return err;
}

static void serve_send(struct lab_tka *t, struct lab_h2_stream *stream,
		       const json_t *body)
{
	const json_t *list = json_object_get(body, "MissingAUMs");
	size_t count = json_array_size(list);

	t->sends++;
	for (size_t i = 0; i < count; i++)
		if (take_update(t, json_string_value(json_array_get(list, i))))
			break;
	if (count > 0)
		changed(t);
	lab_respond_json(stream, json_pack("{s:o}", "Head", head_text(t)));
}

static void serve_sign(struct lab_tka *t, struct lab_h2_stream *stream,
		       const json_t *body)
{
	const char *text = lab_json_text(body, "Signature");
	struct lab_node *node = NULL;
	uint8_t *data = NULL;
	struct ts_nks nks;
	size_t len;

	if (!ts_base64_decode(text, strlen(text), &data, &len) &&
	    !ts_nks_read(data, len, &nks))
		node = lab_node_by_key(&t->lab->state,
				       &nks.levels[0].node_key);
	free(data);
	if (!node) {
		lab_respond_error(stream, 400, "no such node\n");
		return;
	}
	set_signature(t, node, text);
	lab_respond_json(stream, json_object());
}

/* Those of all nodes that rest on that key. */
static void serve_affected(struct lab_tka *t, struct lab_h2_stream *stream,
			   const json_t *body)
{
	const struct lab_state *st = &t->lab->state;
	json_t *list = json_array();
	uint8_t *id = NULL, *data;
	size_t id_len = 0, len;

	if (ts_base64_decode(lab_json_text(body, "KeyID"),
			     strlen(lab_json_text(body, "KeyID")), &id,
			     &id_len))
		id_len = 0;
	for (size_t i = 0; i < st->node_count; i++) {
		const char *text = st->nodes[i]->key_signature;
		const struct ts_public_key *key;
		struct ts_nks nks;

		if (!text || ts_base64_decode(text, strlen(text), &data, &len))
			continue;
		key = ts_nks_read(data, len, &nks) ? NULL
						   : ts_nks_authority(&nks);
		if (key && id_len == TS_KEY_LEN &&
		    memcmp(key->bytes, id, TS_KEY_LEN) == 0)
			json_array_append_new(list, json_string(text));
		free(data);
	}
	free(id);
	lab_respond_json(stream, json_pack("{s:o}", "Signatures", list));
}

static void serve_disable(struct lab_tka *t, struct lab_h2_stream *stream,
			  const json_t *body)
{
	const char *text = lab_json_text(body, "DisablementSecret");
	uint8_t *secret = NULL;
	size_t len = 0;

	if (ts_base64_decode(text, strlen(text), &secret, &len) ||
	    ts_tka_state_check_secret(ts_tka_state(t->tka), secret, len)) {
		lab_respond_error(stream, 403, "wrong secret\n");
	} else {
		memcpy(t->secret, secret,
		       len < SECRET_LEN ? len : SECRET_LEN);
		t->is_disabled = true;
		changed(t);
		lab_respond_json(stream, json_object());
	}
	free(secret);
}

/* A member locks the tailnet: its genesis waits until all nodes are signed. */
static void serve_init_begin(struct lab_tka *t, struct lab_h2_stream *stream,
			     const json_t *body)
{
	const char *text = lab_json_text(body, "GenesisAUM");
	const struct lab_state *st = &t->lab->state;
	json_t *list = json_array();
	char key[TS_KEY_TEXT_CAP];

	forget(t);
	if (ts_base64_decode(text, strlen(text), &t->genesis,
			     &t->genesis_len)) {
		json_decref(list);
		lab_respond_error(stream, 400, "bad genesis\n");
		return;
	}
	for (size_t i = 0; i < st->node_count; i++) {
		const struct lab_node *node = st->nodes[i];

		ts_public_key_format(&node->key, TS_PREFIX_NODE, key);
		json_array_append_new(
			list, json_pack("{s:I, s:s, s:o}", "NodeID",
					(json_int_t)node->id, "NodePublic",
					key, "RotationPubkey",
					base64(node->nl_key.bytes,
					       TS_KEY_LEN)));
	}
	lab_respond_json(stream, json_pack("{s:o}", "NeedSignatures", list));
}

static void serve_init_finish(struct lab_tka *t, struct lab_h2_stream *stream,
			      const json_t *body)
{
	json_t *signatures = json_object_get(body, "Signatures"), *signature;
	const char *id, *why;

	if (!t->genesis ||
	    ts_tka_bootstrap(ts_tka_chonk_new(NULL), t->genesis,
			     t->genesis_len, time(NULL), &t->tka, &why)) {
		lab_respond_error(stream, 400, "bad genesis\n");
		return;
	}
	json_object_foreach (signatures, id, signature) {
		struct lab_node *node = lab_node_by_id(&t->lab->state,
						       strtoll(id, NULL, 10));

		if (node)
			set_signature(t, node, json_string_value(signature));
	}
	t->is_disabled = t->secret_is_wrong = false;
	changed(t);
	lab_respond_json(stream, json_object());
}

static const struct {
	const char *path;
	bool needs_lock;
	void (*serve)(struct lab_tka *t, struct lab_h2_stream *stream,
		      const json_t *body);
} REQUESTS[] = {
	{"/machine/tka/bootstrap", false, serve_bootstrap},
	{"/machine/tka/init/begin", false, serve_init_begin},
	{"/machine/tka/init/finish", false, serve_init_finish},
	{"/machine/tka/sync/offer", true, serve_offer},
	{"/machine/tka/sync/send", true, serve_send},
	{"/machine/tka/sign", true, serve_sign},
	{"/machine/tka/disable", true, serve_disable},
	{"/machine/tka/affected-sigs", true, serve_affected},
};

void lab_tka_request(struct lab *lab, struct lab_h2_stream *stream,
		     const struct ts_public_key *machine,
		     const struct lab_h2_request *req)
{
	json_t *body = lab_request_json(stream, req);
	struct lab_tka *t = lab->tka;

	(void)machine;
	if (!body)
		return;
	if (t->failing) {
		t->failing--;
		lab_respond_error(stream, 500, "the lock is out of order\n");
		json_decref(body);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(REQUESTS); i++) {
		if (strcmp(req->path, REQUESTS[i].path) != 0 ||
		    (REQUESTS[i].needs_lock && !t->tka))
			continue;
		REQUESTS[i].serve(t, stream, body);
		json_decref(body);
		return;
	}
	lab_respond_error(stream, 501, "Not implemented yet\n");
	json_decref(body);
}

/* -- commands ------------------------------------------------------------- */

static const struct ts_nl_private_key *signer(const struct lab_tka *t)
{
	return &t->signers[t->signer_count - 1];
}

static json_t *tell(struct lab_tka *t, int err, const char *what)
{
	if (err)
		return lab_error("%s: %s", what, ts_strerror(err));
	changed(t);
	return json_pack("{s:b, s:o}", "ok", 1, "head", head_text(t));
}

/* By its own key, from one signer on. */
static int make_genesis(struct lab_tka *t, struct ts_tka_aum **out)
{
	struct ts_tka_key key = {.votes = 1};
	struct ts_tka_disablement disablement;
	struct ts_tka_aum contents = {
		.kind = TS_AUM_CHECKPOINT,
		.has_state = true,
		.state = {.keys = &key, .key_count = 1,
			  .disablements = &disablement,
			  .disablement_count = 1},
	};
	int err = ts_tka_disablement_of(t->secret, SECRET_LEN, &disablement);

	/* The highest bit is set, as in every other real one. */
	ts_random_bytes(&contents.state.id1, sizeof(contents.state.id1));
	ts_random_bytes(&contents.state.id2, sizeof(contents.state.id2));
	contents.state.id1 |= 1ull << 63;
	contents.state.id2 |= 1;
	ts_nl_public(signer(t), &key.public);
	return err ? err : ts_tka_aum_sign(&contents, signer(t), 1, out);
}

static json_t *lock_init(struct lab_tka *t, struct lab_call *call)
{
	struct lab_state *st = &t->lab->state;
	struct ts_tka_chonk *chonk = ts_tka_chonk_new(NULL);
	struct ts_tka_aum *genesis;
	const char *why;
	int err;

	(void)call;
	forget(t);
	t->is_disabled = t->secret_is_wrong = false;
	ts_random_bytes(t->secret, SECRET_LEN);
	ts_nl_key_generate(&t->signers[t->signer_count++]);
	err = make_genesis(t, &genesis);
	if (err)
		return tell(t, err, "genesis");
	t->genesis_len = genesis->len;
	t->genesis = malloc(genesis->len);
	memcpy(t->genesis, genesis->raw, genesis->len);
	ts_tka_aum_free(genesis);
	err = ts_tka_bootstrap(chonk, t->genesis, t->genesis_len, time(NULL),
			       &t->tka, &why);
	if (err)
		return tell(t, err, why ? why : "bootstrap");
	for (size_t i = 0; i < st->node_count; i++)
		sign_node(t, st->nodes[i], signer(t));
	return tell(t, 0, NULL);
}

static json_t *lock_sign(struct lab_tka *t, struct lab_call *call)
{
	json_t *error = NULL;
	struct lab_node *node = lab_arg_node(call, 2, &error);

	if (!node)
		return error;
	sign_node(t, node, signer(t));
	return lab_ok();
}

/* By a key that nobody trusts. */
static json_t *lock_forge(struct lab_tka *t, struct lab_call *call)
{
	json_t *error = NULL;
	struct lab_node *node = lab_arg_node(call, 2, &error);
	struct ts_nl_private_key key;

	if (!node)
		return error;
	ts_nl_key_generate(&key);
	sign_node(t, node, &key);
	return lab_ok();
}

/* Signs it, and takes it. */
static int extend(struct lab_tka *t, struct ts_tka_aum *contents)
{
	struct ts_tka_update update;
	struct ts_tka_aum *aum;
	const char *why;
	int err;

	ts_tka_head(t->tka, &contents->parent);
	contents->has_parent = true;
	err = ts_tka_aum_sign(contents, signer(t), 1, &aum);
	if (err)
		return err;
	update = (struct ts_tka_update){aum->raw, aum->len};
	err = ts_tka_inform(t->tka, &update, 1, time(NULL), &why);
	ts_tka_aum_free(aum);
	return err;
}

/* lock add-key [NLPUB]: without one, one of our own, which signs from now */
static json_t *lock_add_key(struct lab_tka *t, struct lab_call *call)
{
	struct ts_tka_aum contents = {.kind = TS_AUM_ADD_KEY, .has_key = true,
				      .key = {.votes = 1}};
	struct ts_nl_private_key key;
	int err;

	if (call->argc > 2) {
		if (ts_public_key_parse(call->argv[2], TS_PREFIX_NL_PUBLIC,
					&contents.key.public))
			return lab_error("not a key: %s", call->argv[2]);
		return tell(t, extend(t, &contents), "add-key");
	}
	if (t->signer_count == SIGNERS_MAX)
		return lab_error("too many keys");
	ts_nl_key_generate(&key);
	ts_nl_public(&key, &contents.key.public);
	err = extend(t, &contents);
	if (!err)
		t->signers[t->signer_count++] = key;
	return tell(t, err, "add-key");
}

/* The oldest one. */
static json_t *lock_remove_key(struct lab_tka *t, struct lab_call *call)
{
	struct ts_tka_aum contents = {.kind = TS_AUM_REMOVE_KEY,
				      .has_key_id = true};
	int err;

	(void)call;
	if (t->signer_count < 2)
		return lab_error("the last key stays");
	ts_nl_public(&t->signers[0], &contents.key_id);
	err = extend(t, &contents);
	if (!err)
		memmove(t->signers, t->signers + 1,
			--t->signer_count * sizeof(t->signers[0]));
	return tell(t, err, "remove-key");
}

/* lock disable [wrong] */
static json_t *lock_disable(struct lab_tka *t, struct lab_call *call)
{
	t->is_disabled = true;
	t->secret_is_wrong = call->argc > 2;
	return tell(t, 0, NULL);
}

/* lock wrap AUTHKEY: with a credential */
static json_t *lock_wrap(struct lab_tka *t, struct lab_call *call)
{
	uint8_t credential[TS_NKS_LEN_MAX];
	struct ts_nl_private_key delegate;
	struct ts_public_key public;
	char *sig, *key;
	json_t *answer;
	int len;

	if (call->argc < 3)
		return lab_error("which auth key?");
	ts_nl_key_generate(&delegate);
	ts_nl_public(&delegate, &public);
	len = ts_nks_delegate(signer(t), &public, credential);
	sig = ts_base64_encode(credential, (size_t)len);
	key = ts_base64_encode(delegate.bytes, sizeof(delegate.bytes));
	answer = json_pack("{s:b, s:o}", "ok", 1, "key",
			   json_sprintf("%s--TL%.*s-%.*s", call->argv[2],
					(int)strcspn(sig, "="), sig,
					(int)strcspn(key, "="), key));
	free(sig);
	free(key);
	return answer;
}

static json_t *lock_fail(struct lab_tka *t, struct lab_call *call)
{
	json_t *error = NULL;
	uint64_t count;

	if (lab_arg_number(call, 2, 1, &count, &error))
		return error;
	t->failing = (unsigned)count;
	return lab_ok();
}

static json_t *lock_show(struct lab_tka *t, struct lab_call *call)
{
	(void)call;
	return json_pack("{s:b, s:b, s:o, s:i, s:i, s:i}", "ok", 1, "on",
			 lab_tka_is_on(t->lab), "head", head_text(t),
			 "bootstraps", (int)t->bootstraps, "offers",
			 (int)t->offers, "sends", (int)t->sends);
}

static const struct {
	const char *name;
	bool needs_lock;
	json_t *(*run)(struct lab_tka *t, struct lab_call *call);
} VERBS[] = {
	{"init", false, lock_init},
	{"sign", true, lock_sign},
	{"forge", true, lock_forge},
	{"add-key", true, lock_add_key},
	{"remove-key", true, lock_remove_key},
	{"disable", true, lock_disable},
	{"wrap", true, lock_wrap},
	{"fail", false, lock_fail},
	{"show", false, lock_show},
};

static json_t *cmd_lock(struct lab_call *call)
{
	struct lab_tka *t = call->lab->tka;

	for (size_t i = 0; i < ARRAY_LEN(VERBS); i++) {
		if (strcmp(call->argv[1], VERBS[i].name) != 0)
			continue;
		if (VERBS[i].needs_lock && !t->signer_count)
			return lab_error("the tailnet has no lock of the lab");
		return VERBS[i].run(t, call);
	}
	return lab_error("no such verb: %s", call->argv[1]);
}

const struct lab_command_entry LAB_LOCK_COMMANDS[] = {
	{"lock", 1, 3, cmd_lock,
	 "init|sign NODE|forge NODE|add-key [NLPUB]|remove-key|"
	 "disable [wrong]|wrap AUTHKEY|fail [N]|show"},
	{0},
};
