/* SPDX-License-Identifier: BSD-3-Clause
 * tka_routes.c - tka/status and tka/log: what `tailscale lock` shows; and
 * tka/verify-deeplink: whose is a link that asks for a signature?
 *
 * In the JSON that Go makes of its structs: byte slices are base64 or null,
 * arrays of bytes are numbers.
 * Source: ipn/localapi/tailnetlock.go, ipn/ipnstate/ipnstate.go,
 * tka/sig.go
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/localapi/localapi_internal.h"
#include "core/model/json_fields.h"
#include "core/tka/tka_link.h"

enum { LOG_DEFAULT = 50 };

static const char node_key_mark[] = {'n', 'p'};

static json_t *key_bytes(bool is_there, const struct ts_public_key *key)
{
	return is_there ? ts_json_base64(key->bytes, TS_KEY_LEN) : json_null();
}

static json_t *node_key_bytes(const struct ts_nks_level *level)
{
	uint8_t bytes[sizeof(node_key_mark) + TS_KEY_LEN];

	if (!level->has_node_key)
		return json_null();
	memcpy(bytes, node_key_mark, sizeof(node_key_mark));
	memcpy(bytes + sizeof(node_key_mark), level->node_key.bytes,
	       TS_KEY_LEN);
	return ts_json_base64(bytes, sizeof(bytes));
}

static json_t *signature_bytes(const struct ts_nks_level *level)
{
	return level->has_signature
		       ? ts_json_base64(level->signature, TS_SIGNATURE_LEN)
		       : json_null();
}

/* tka.NodeKeySignature; what is nested first, as it goes inside. */
static json_t *signature_json(const struct ts_nks *nks)
{
	json_t *nested = json_null();

	for (size_t i = nks->count; i-- > 0;) {
		const struct ts_nks_level *level = &nks->levels[i];
		json_t *s = json_object();

		json_object_set_new(s, "SigKind",
				    json_integer((json_int_t)level->kind));
		json_object_set_new(s, "Pubkey", node_key_bytes(level));
		json_object_set_new(s, "KeyID", key_bytes(level->has_key_id,
							  &level->key_id));
		json_object_set_new(s, "Signature",
				    signature_bytes(level));
		json_object_set_new(s, "Nested", nested);
		json_object_set_new(s, "WrappingPubkey",
				    key_bytes(level->has_wrapping_key,
					      &level->wrapping_key));
		nested = s;
	}
	return nested;
}

/* An empty one when there is none, or it cannot be read: as upstream. */
static json_t *peer_signature(const struct ts_peer *peer)
{
	const char *text = peer->key_signature ? peer->key_signature : "";
	struct ts_nks nks = {.count = 1};
	uint8_t *data = NULL;
	size_t len;

	if (ts_base64_decode(text, strlen(text), &data, &len) == 0 &&
	    ts_nks_read(data, len, &nks))
		nks = (struct ts_nks){.count = 1};
	free(data);
	return signature_json(&nks);
}

static json_t *tailscale_ips(const struct ts_peer *peer)
{
	json_t *list = json_array();
	char text[TS_IP_TEXT_CAP];

	for (size_t i = 0; i < peer->address_count; i++) {
		const struct ts_prefix *p = &peer->addresses[i];

		if (ts_prefix_is_host(p) && ts_ip_is_tailscale(&p->ip))
			json_array_append_new(
				list, json_string(ts_ip_format(&p->ip, text)));
	}
	return list;
}

static json_t *peer_json(const struct ts_peer *peer)
{
	json_t *p = json_object();

	json_object_set_new(p, "Name",
			    json_string(peer->name ? peer->name : ""));
	json_object_set_new(p, "ID", json_integer(peer->id));
	json_object_set_new(p, "StableID", json_string(peer->stable_id
							       ? peer->stable_id
							       : ""));
	json_object_set_new(p, "TailscaleIPs", tailscale_ips(peer));
	json_object_set_new(p, "NodeKey",
			    localapi_key(&peer->key, TS_PREFIX_NODE));
	json_object_set_new(p, "NodeKeySignature", peer_signature(peer));
	return p;
}

static json_t *trusted_keys(const struct ts_tka_state *state)
{
	json_t *list = json_array();

	for (size_t i = 0; i < state->key_count; i++) {
		const struct ts_tka_key *key = &state->keys[i];
		json_t *k = json_object();

		json_object_set_new(k, "Kind", json_string("25519"));
		json_object_set_new(k, "Key",
				    localapi_key(&key->public,
						 TS_PREFIX_NL_PUBLIC));
		json_object_set_new(k, "Metadata",
				    key->meta ? json_incref(key->meta)
					      : json_null());
		json_object_set_new(k, "Votes",
				    json_integer((json_int_t)key->votes));
		json_array_append_new(list, k);
	}
	return list;
}

static void set_peers(json_t *status, const struct ts_netmap *map)
{
	json_t *visible = json_array(), *filtered = json_array();
	const struct ts_peer *peer;
	size_t pos = 0;

	while ((peer = ts_netmap_next_known_peer(map, &pos)))
		json_array_append_new(peer->is_locked_out ? filtered : visible,
				      peer_json(peer));
	if (json_array_size(filtered) == 0) {
		json_decref(filtered);
		filtered = json_null();
	}
	json_object_set_new(status, "VisiblePeers", visible);
	json_object_set_new(status, "FilteredPeers", filtered);
}

static json_t *byte_numbers(const struct ts_tka_hash *hash)
{
	json_t *list = json_array();

	for (size_t i = 0; i < TS_TKA_HASH_LEN; i++)
		json_array_append_new(list, json_integer(hash->bytes[i]));
	return list;
}

static void set_authority(const struct localapi_call *call, json_t *status,
			  const struct ts_tka *tka)
{
	const struct ts_netmap *map = ts_node_netmap(call->node);
	struct ts_tka_hash head;

	ts_tka_head(tka, &head);
	json_object_set_new(status, "Head", byte_numbers(&head));
	json_object_set_new(status, "NodeKeySigned",
			    json_boolean(ts_node_key_is_signed(call->node)));
	if (map->self)
		json_object_set_new(status, "NodeKeySignature",
				    peer_signature(map->self));
	json_object_set_new(status, "TrustedKeys",
			    trusted_keys(ts_tka_state(tka)));
	set_peers(status, map);
}

/* jansson's integers have a sign, the ID has none: so it is written behind what
 * jansson has made of the rest. */
static char *with_id(const json_t *status, uint64_t id)
{
	char *text = json_dumps(status, JSON_COMPACT), *out = NULL;

	if (text && asprintf(&out, "%.*s,\"StateID\":%llu}",
			     (int)strlen(text) - 1, text,
			     (unsigned long long)id) < 0)
		out = NULL;
	free(text);
	return out;
}

void localapi_tka_status(const struct localapi_call *call)
{
	static const char *const absent[] = {
		"Head", "NodeKeySignature", "TrustedKeys", "VisiblePeers",
		"FilteredPeers"};
	const struct ts_tka *tka = ts_node_tka(call->node);
	json_t *status = json_object();
	struct ts_public_key key;
	uint64_t id = tka ? ts_tka_state(tka)->id1 : 0;
	char *text;

	json_object_set_new(status, "Enabled", json_boolean(tka != NULL));
	for (size_t i = 0; i < ARRAY_LEN(absent); i++)
		json_object_set_new(status, absent[i], json_null());
	ts_nl_public(&ts_node_prefs(call->node)->persist.nl_key, &key);
	json_object_set_new(status, "PublicKey",
			    localapi_key(&key, TS_PREFIX_NL_PUBLIC));
	ts_node_public_key(call->node, &key);
	json_object_set_new(status, "NodeKey",
			    ts_public_key_is_zero(&key)
				    ? json_null()
				    : localapi_key(&key, TS_PREFIX_NODE));
	json_object_set_new(status, "NodeKeySigned", json_false());
	if (tka)
		set_authority(call, status, tka);
	text = with_id(status, id);
	json_decref(status);
	localapi_reply_text(call, 200, "application/json", text);
}

/* -- the log -------------------------------------------------------------- */

static json_t *update_json(const struct ts_tka_aum *aum)
{
	json_t *u = json_object();

	json_object_set_new(u, "Hash", byte_numbers(&aum->hash));
	json_object_set_new(u, "Change",
			    json_string(ts_tka_aum_kind_name(aum->kind)));
	json_object_set_new(u, "Raw", ts_json_base64(aum->raw, aum->len));
	return u;
}

static bool read_limit(const struct localapi_call *call, long *limit)
{
	const struct ts_localapi_request *rq = call->request;
	const char *text = rq->query(rq->query_ctx, "limit");
	char *end;

	*limit = LOG_DEFAULT;
	if (!text || !*text)
		return true;
	errno = 0;
	*limit = strtol(text, &end, 10);
	return !errno && !*end;
}

void localapi_tka_log(const struct localapi_call *call)
{
	const struct ts_tka *tka = ts_node_tka(call->node);
	const struct ts_tka_aum *aum;
	struct ts_tka_hash head;
	json_t *list;
	long limit;

	if (!read_limit(call, &limit)) {
		localapi_reply_error(call, 400, "parsing 'limit' parameter");
		return;
	}
	if (!tka) {
		localapi_reply_error(call, 500, "reading log failed: "
						"tailnet-lock is not active");
		return;
	}
	list = json_array();
	ts_tka_head(tka, &head);
	aum = ts_tka_aum(tka, &head);
	for (long i = 0; aum && i < limit; i++) {
		json_array_append_new(list, update_json(aum));
		aum = aum->has_parent ? ts_tka_aum(tka, &aum->parent) : NULL;
	}
	localapi_reply_json(call, 200, list);
}

/* -- links ---------------------------------------------------------------- */

/* tka.DeeplinkValidationResult; its Version is never set. */
static json_t *link_json(const struct ts_tka_link *link, const char *error)
{
	static const struct ts_tka_link none;
	const struct ts_tka_link *l = error ? &none : link;
	json_t *r = json_object();

	json_object_set_new(r, "IsValid", json_boolean(!error));
	json_object_set_new(r, "Error", json_string(error ? error : ""));
	json_object_set_new(r, "Version", json_integer(0));
	json_object_set_new(r, "NodeKey", json_string(l->node_key));
	json_object_set_new(r, "TLPub", json_string(l->key));
	json_object_set_new(r, "DeviceName", json_string(l->device));
	json_object_set_new(r, "OSName", json_string(l->os));
	json_object_set_new(r, "EmailAddress", json_string(l->login));
	return r;
}

void localapi_tka_verify_link(const struct localapi_call *call)
{
	const struct ts_localapi_request *rq = call->request;
	const struct ts_tka *tka = ts_node_tka(call->node);
	char error[TKA_LINK_ERROR_CAP] = "tailnet-lock is not active";
	json_t *body = json_loadb(rq->body ? rq->body : "", rq->body_len,
				  TS_JSON_READ_FLAGS, NULL);
	const char *url = ts_json_text(body, "URL");
	struct ts_tka_link link;
	int err = -ENOENT;

	if (!json_is_object(body)) {
		localapi_reply_error(call, 400,
				     "invalid JSON for verifyRequest body");
	} else {
		if (tka)
			err = ts_tka_link_read(url ? url : "",
					       ts_tka_state(tka)->id1, &link,
					       error);
		localapi_reply_json(call, 200,
				    link_json(&link, err ? error : NULL));
	}
	json_decref(body);
}
