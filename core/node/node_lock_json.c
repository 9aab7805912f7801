/* SPDX-License-Identifier: BSD-3-Clause
 * node_lock_json.c - Tailnet Lock's requests to the control server
 * Source: tailcfg/tka.go
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/crypto/secret.h"
#include "core/model/json_fields.h"
#include "core/node/node_internal.h"

/* -- requests ------------------------------------------------------------- */

json_t *node_lock_body(const struct ts_node *node)
{
	char key[TS_KEY_TEXT_CAP];

	ts_public_key_format(&node->node_public, TS_PREFIX_NODE, key);
	return json_pack("{s:i, s:s}", "Version", TS_CAPABILITY_VERSION,
			 "NodeKey", key);
}

static json_t *hash_text(const struct ts_tka_hash *hash)
{
	char text[TS_TKA_HASH_TEXT_CAP];

	return json_string(ts_tka_hash_format(hash, text));
}

json_t *node_lock_head(const struct ts_node *node)
{
	struct ts_tka_hash head;

	if (!node->lock.tka)
		return json_string("");
	ts_tka_head(node->lock.tka, &head);
	return hash_text(&head);
}

/* Takes the object. */
static char *finish_body(json_t *body, int err)
{
	char *text = err ? NULL : json_dumps(body, JSON_COMPACT);

	json_decref(body);
	return text;
}

char *node_lock_bootstrap_body(const struct ts_node *node)
{
	json_t *body = node_lock_body(node);
	int err = json_object_set_new(body, "Head", node_lock_head(node));

	return finish_body(body, err);
}

char *node_lock_offer_body(const struct ts_node *node)
{
	json_t *body = node_lock_body(node), *list = json_array();
	struct ts_tka_offer offer;
	int err = ts_tka_make_offer(node->lock.tka, &offer);

	if (err) {
		json_decref(list);
		return finish_body(body, err);
	}
	for (size_t i = 0; i < offer.ancestor_count; i++)
		err |= json_array_append_new(list,
					     hash_text(&offer.ancestors[i]));
	err |= json_object_set_new(body, "Head", hash_text(&offer.head));
	err |= json_object_set_new(body, "Ancestors", list);
	ts_tka_offer_deinit(&offer);
	return finish_body(body, err);
}

char *node_lock_send_body(const struct ts_node *node,
			  const struct ts_tka_aum *const *aums, size_t count,
			  bool is_interactive)
{
	json_t *body = node_lock_body(node), *list = json_array();
	int err = 0;

	for (size_t i = 0; i < count; i++)
		err |= json_array_append_new(
			list, ts_json_base64(aums[i]->raw, aums[i]->len));
	err |= json_object_set_new(body, "Head", node_lock_head(node));
	err |= json_object_set_new(body, "MissingAUMs", list);
	err |= json_object_set_new(body, "Interactive",
				   json_boolean(is_interactive));
	return finish_body(body, err);
}

/* -- replies -------------------------------------------------------------- */

static json_t *load(const char *json, size_t len)
{
	json_t *root = json_loadb(json, len, TS_JSON_READ_FLAGS, NULL);

	if (json_is_object(root))
		return root;
	json_decref(root);
	return NULL;
}

static int decode(const json_t *value, uint8_t **out, size_t *len)
{
	*out = NULL;
	*len = 0;
	if (!json_is_string(value) || json_string_length(value) == 0)
		return 0;
	return ts_base64_decode(json_string_value(value),
				json_string_length(value), out, len);
}

int node_lock_read_bootstrap(const char *json, size_t len,
			     struct node_lock_bootstrap_reply *out)
{
	json_t *root = load(json, len);
	int err;

	memset(out, 0, sizeof(*out));
	if (!root)
		return -EBADMSG;
	err = decode(json_object_get(root, "GenesisAUM"), &out->genesis,
		     &out->genesis_len);
	if (!err)
		err = decode(json_object_get(root, "DisablementSecret"),
			     &out->secret, &out->secret_len);
	if (err)
		node_lock_bootstrap_deinit(out);
	json_decref(root);
	return err;
}

void node_lock_bootstrap_deinit(struct node_lock_bootstrap_reply *reply)
{
	if (reply->secret)
		ts_wipe(reply->secret, reply->secret_len);
	free(reply->secret);
	free(reply->genesis);
	memset(reply, 0, sizeof(*reply));
}

static int read_hash(const json_t *value, struct ts_tka_hash *out)
{
	const char *text = json_string_value(value);

	return text ? ts_tka_hash_parse(text, out) : -EBADMSG;
}

static int read_ancestors(const json_t *list, struct ts_tka_offer *out)
{
	size_t count = json_array_size(list);
	int err = 0;

	if (count > TS_TKA_ANCESTORS_MAX)
		return -EMSGSIZE;
	out->ancestors = calloc(count + 1, sizeof(*out->ancestors));
	if (!out->ancestors)
		return -ENOMEM;
	out->ancestor_count = count;
	for (size_t i = 0; !err && i < count; i++)
		err = read_hash(json_array_get(list, i), &out->ancestors[i]);
	return err;
}

static int read_missing(const json_t *list, struct node_lock_offer_reply *out)
{
	size_t count = json_array_size(list);
	int err = 0;

	if (count > TS_TKA_AUMS_MAX)
		return -EMSGSIZE;
	out->missing = calloc(count + 1, sizeof(*out->missing));
	if (!out->missing)
		return -ENOMEM;
	for (size_t i = 0; !err && i < count; i++) {
		uint8_t *data;
		size_t len;

		err = decode(json_array_get(list, i), &data, &len);
		if (!err && !data)
			err = -EBADMSG;
		if (!err)
			out->missing[out->missing_count++] =
				(struct ts_tka_update){data, len};
	}
	return err;
}

int node_lock_read_offer(const char *json, size_t len,
			 struct node_lock_offer_reply *out)
{
	json_t *root = load(json, len);
	int err;

	memset(out, 0, sizeof(*out));
	if (!root)
		return -EBADMSG;
	err = read_hash(json_object_get(root, "Head"), &out->offer.head);
	if (!err)
		err = read_ancestors(json_object_get(root, "Ancestors"),
				     &out->offer);
	if (!err)
		err = read_missing(json_object_get(root, "MissingAUMs"), out);
	if (err)
		node_lock_offer_deinit(out);
	json_decref(root);
	return err;
}

void node_lock_offer_deinit(struct node_lock_offer_reply *reply)
{
	ts_tka_offer_deinit(&reply->offer);
	for (size_t i = 0; i < reply->missing_count; i++)
		free((uint8_t *)(uintptr_t)reply->missing[i].data);
	free(reply->missing);
	memset(reply, 0, sizeof(*reply));
}

int node_lock_read_head(const char *json, size_t len, struct ts_tka_hash *out)
{
	json_t *root = load(json, len);
	int err = root ? read_hash(json_object_get(root, "Head"), out)
		       : -EBADMSG;

	json_decref(root);
	return err;
}
