/* SPDX-License-Identifier: BSD-3-Clause
 * tka_nks.c - node-key signatures: who vouches for a node's key
 */
#include "core/tka/tka_nks.h"

#include <errno.h>
#include <string.h>

#include "core/tka/cbor.h"

enum {
	NKS_SIG_KIND = 1,
	NKS_PUBKEY = 2,
	NKS_KEY_ID = 3,
	NKS_SIGNATURE = 4,
	NKS_NESTED = 5,
	NKS_WRAPPING_PUBKEY = 6,
};

/* A node key in binary: its kind, then the key. */
static const char node_prefix[] = {'n', 'p'};
enum { NODE_KEY_LEN = sizeof(node_prefix) + TS_KEY_LEN };

/* -- reading -------------------------------------------------------------- */

static void read_node_key(struct ts_reader *r, struct ts_nks_level *out)
{
	uint8_t bytes[NODE_KEY_LEN];

	ts_cbor_read_fixed(r, bytes, sizeof(bytes));
	if (memcmp(bytes, node_prefix, sizeof(node_prefix)) != 0)
		ts_cbor_fail(r);
	memcpy(out->node_key.bytes, bytes + sizeof(node_prefix), TS_KEY_LEN);
	out->has_node_key = true;
}

static void read_level(struct ts_reader *r, const uint8_t *start,
		       struct ts_nks *out);

/* One field, whose key has been read. */
static void read_field(struct ts_reader *r, const uint8_t *start,
		       uint64_t field, struct ts_nks *nks, size_t at)
{
	struct ts_nks_level *out = &nks->levels[at];

	switch (field) {
	case NKS_SIG_KIND:
		out->kind = ts_cbor_read_uint(r);
		break;
	case NKS_PUBKEY:
		read_node_key(r, out);
		break;
	case NKS_KEY_ID:
		ts_cbor_read_fixed(r, out->key_id.bytes, TS_KEY_LEN);
		out->has_key_id = true;
		break;
	case NKS_SIGNATURE:
		ts_cbor_read_fixed(r, out->signature, TS_SIGNATURE_LEN);
		out->has_signature = true;
		break;
	case NKS_NESTED:
		read_level(r, start, nks);
		break;
	case NKS_WRAPPING_PUBKEY:
		ts_cbor_read_fixed(r, out->wrapping_key.bytes, TS_KEY_LEN);
		out->has_wrapping_key = true;
		break;
	default:
		ts_cbor_skip(r);
	}
}

/* Calls itself for what is nested, TS_NKS_LEVELS_MAX deep at most. */
static void read_level(struct ts_reader *r, const uint8_t *start,
		       struct ts_nks *nks)
{
	size_t at = nks->count;
	struct ts_nks_level *out;
	struct ts_cbor_map map;
	struct ts_tka_cut cut;
	const uint8_t *own = r->at;
	uint64_t field;

	if (at == TS_NKS_LEVELS_MAX) {
		ts_cbor_fail(r);
		return;
	}
	nks->count++;
	out = &nks->levels[at];
	ts_cbor_map_open(r, &map);
	cut.pairs = map.count;
	cut.head_len = cut.from = cut.to = (size_t)(r->at - own);
	for (;;) {
		size_t from = (size_t)(r->at - own);

		if (!ts_cbor_map_next(r, &map, &field))
			break;
		read_field(r, start, field, nks, at);
		if (field == NKS_SIGNATURE && !r->bad) {
			cut.from = from;
			cut.to = (size_t)(r->at - own);
		}
	}
	if (r->bad)
		return;
	out->from = (size_t)(own - start);
	out->to = (size_t)(r->at - start);
	ts_tka_hash_without(own, (size_t)(r->at - own), &cut, &out->sig_hash);
}

int ts_nks_read(const void *data, size_t len, struct ts_nks *out)
{
	struct ts_reader r = ts_reader_init(data, len);

	memset(out, 0, sizeof(*out));
	if (len > TS_NKS_LEN_MAX)
		return -EBADMSG;
	read_level(&r, data, out);
	return r.bad || r.left > 0 ? -EBADMSG : 0;
}

const char *ts_nks_kind_name(uint64_t kind)
{
	switch (kind) {
	case TS_NKS_DIRECT:
		return "direct";
	case TS_NKS_ROTATION:
		return "rotation";
	case TS_NKS_CREDENTIAL:
		return "credential";
	default:
		return "unknown";
	}
}

/* -- verifying ------------------------------------------------------------ */

const struct ts_public_key *ts_nks_authority(const struct ts_nks *nks)
{
	for (size_t i = 0; i < nks->count; i++) {
		const struct ts_nks_level *level = &nks->levels[i];

		if (level->kind == TS_NKS_ROTATION)
			continue;
		if (level->kind != TS_NKS_DIRECT &&
		    level->kind != TS_NKS_CREDENTIAL)
			return NULL;
		return level->has_key_id ? &level->key_id : NULL;
	}
	return NULL;
}

/* Who has to sign what is around the level: a rotation that names nobody
 * leaves it to the one inside of it. */
static const struct ts_public_key *wrapping_key(const struct ts_nks *nks,
						size_t at)
{
	for (; at < nks->count; at++) {
		if (nks->levels[at].has_wrapping_key)
			return &nks->levels[at].wrapping_key;
		if (nks->levels[at].kind != TS_NKS_ROTATION)
			return NULL;
	}
	return NULL;
}

static bool is_signed_by(const struct ts_nks_level *level,
			 const struct ts_public_key *key)
{
	return key && level->has_signature &&
	       ts_signature_is_valid(key, level->sig_hash.bytes,
				     TS_TKA_HASH_LEN, level->signature);
}

/* NULL, or what is wrong. */
static const char *find_fault(const struct ts_nks *nks,
			      const struct ts_tka_key *trusted,
			      const struct ts_public_key *node_key)
{
	for (size_t i = 0; i < nks->count; i++) {
		const struct ts_nks_level *level = &nks->levels[i];
		bool is_last = i + 1 == nks->count;

		if (level->kind != TS_NKS_CREDENTIAL) {
			if (!node_key || !level->has_node_key ||
			    !ts_public_key_equal(node_key, &level->node_key))
				return "signature of another node key";
		}
		if (level->kind != TS_NKS_ROTATION) {
			if (!is_last)
				return "direct signature or credential with "
				       "another one inside";
			return is_signed_by(level, &trusted->public)
				       ? NULL
				       : "invalid signature";
		}
		if (is_last)
			return "rotation of nothing";
		if (!is_signed_by(level, wrapping_key(nks, i + 1)))
			return "invalid signature of a rotation";
		node_key = nks->levels[i + 1].has_node_key
				   ? &nks->levels[i + 1].node_key
				   : NULL;
	}
	return "no signature"; /* not reached: the last one returned */
}

bool ts_nks_is_valid(const struct ts_nks *nks,
		     const struct ts_tka_state *state,
		     const struct ts_public_key *node_key, const char **why)
{
	const struct ts_public_key *id = ts_nks_authority(nks);
	const struct ts_tka_key *key = id ? ts_tka_state_key(state, id) : NULL;

	if (nks->levels[0].kind == TS_NKS_CREDENTIAL)
		*why = "a credential alone authorises no node";
	else if (!id)
		*why = "no trusted key is named";
	else if (!key)
		*why = "signed by a key that is not trusted";
	else
		*why = find_fault(nks, key, node_key);
	return *why == NULL;
}

/* -- signing -------------------------------------------------------------- */

static void write_level(struct ts_writer *w, const struct ts_nks_level *level,
			const uint8_t *nested, size_t nested_len)
{
	size_t pairs = 1 + (size_t)level->has_node_key + level->has_key_id +
		       level->has_signature + (nested != NULL) +
		       level->has_wrapping_key;
	uint8_t node_key[NODE_KEY_LEN];

	ts_cbor_write_map(w, pairs);
	ts_cbor_write_uint(w, NKS_SIG_KIND);
	ts_cbor_write_uint(w, level->kind);
	if (level->has_node_key) {
		memcpy(node_key, node_prefix, sizeof(node_prefix));
		memcpy(node_key + sizeof(node_prefix), level->node_key.bytes,
		       TS_KEY_LEN);
		ts_cbor_write_uint(w, NKS_PUBKEY);
		ts_cbor_write_bytes(w, node_key, sizeof(node_key));
	}
	if (level->has_key_id) {
		ts_cbor_write_uint(w, NKS_KEY_ID);
		ts_cbor_write_bytes(w, level->key_id.bytes, TS_KEY_LEN);
	}
	if (level->has_signature) {
		ts_cbor_write_uint(w, NKS_SIGNATURE);
		ts_cbor_write_bytes(w, level->signature, TS_SIGNATURE_LEN);
	}
	if (nested) {
		ts_cbor_write_uint(w, NKS_NESTED);
		ts_write_bytes(w, nested, nested_len);
	}
	if (level->has_wrapping_key) {
		ts_cbor_write_uint(w, NKS_WRAPPING_PUBKEY);
		ts_cbor_write_bytes(w, level->wrapping_key.bytes, TS_KEY_LEN);
	}
}

/* Writes the level, signed. out may not overlap with nested. */
static int sign_level(struct ts_nks_level *level, const uint8_t *nested,
		      size_t nested_len, const struct ts_nl_private_key *key,
		      uint8_t out[static TS_NKS_LEN_MAX])
{
	struct ts_writer w = ts_writer_init(out, TS_NKS_LEN_MAX);
	struct ts_tka_hash hash;

	level->has_signature = false;
	write_level(&w, level, nested, nested_len);
	if (w.bad)
		return -ENOBUFS;
	ts_tka_hash_of(out, w.len, &hash);
	ts_sign(key, hash.bytes, TS_TKA_HASH_LEN, level->signature);
	level->has_signature = true;
	w = ts_writer_init(out, TS_NKS_LEN_MAX);
	write_level(&w, level, nested, nested_len);
	return w.bad ? -ENOBUFS : (int)w.len;
}

int ts_nks_sign(const struct ts_nl_private_key *signer,
		const struct ts_public_key *node_key,
		const struct ts_public_key *wrapping,
		uint8_t out[static TS_NKS_LEN_MAX])
{
	struct ts_nks_level level = {.kind = TS_NKS_DIRECT,
				     .has_node_key = true,
				     .node_key = *node_key,
				     .has_key_id = true};

	ts_nl_public(signer, &level.key_id);
	if (wrapping) {
		level.has_wrapping_key = true;
		level.wrapping_key = *wrapping;
	}
	return sign_level(&level, NULL, 0, signer, out);
}

int ts_nks_delegate(const struct ts_nl_private_key *signer,
		    const struct ts_public_key *wrapping,
		    uint8_t out[static TS_NKS_LEN_MAX])
{
	struct ts_nks_level level = {.kind = TS_NKS_CREDENTIAL,
				     .has_key_id = true,
				     .has_wrapping_key = true,
				     .wrapping_key = *wrapping};

	ts_nl_public(signer, &level.key_id);
	return sign_level(&level, NULL, 0, signer, out);
}

static int rotate(const struct ts_nl_private_key *key,
		  const struct ts_public_key *node_key, const uint8_t *nested,
		  size_t nested_len, uint8_t out[static TS_NKS_LEN_MAX])
{
	struct ts_nks_level level = {.kind = TS_NKS_ROTATION,
				     .has_node_key = true,
				     .node_key = *node_key};

	return sign_level(&level, nested, nested_len, key, out);
}

int ts_nks_sign_by_credential(const struct ts_nl_private_key *delegate,
			      const uint8_t *credential, size_t credential_len,
			      const struct ts_public_key *node_key,
			      uint8_t out[static TS_NKS_LEN_MAX])
{
	struct ts_nks nks;

	if (ts_nks_read(credential, credential_len, &nks) ||
	    nks.levels[0].kind != TS_NKS_CREDENTIAL)
		return -EBADMSG;
	return rotate(delegate, node_key, credential, credential_len, out);
}

/* A chain that is as deep as readers go: made anew from its innermost
 * signature, with the newest of its node keys, the oldest ones left out. */
static int shorten(const struct ts_nl_private_key *own,
		   const struct ts_nks *nks, const uint8_t *old,
		   uint8_t out[static TS_NKS_LEN_MAX])
{
	const struct ts_nks_level *last = &nks->levels[nks->count - 1];
	uint8_t around[TS_NKS_LEN_MAX];
	int len = (int)(last->to - last->from);

	memcpy(out, old + last->from, (size_t)len);
	for (size_t i = TS_NKS_LEVELS_MAX - 2; i-- > 0;) {
		len = rotate(own, &nks->levels[i].node_key, out, (size_t)len,
			     around);
		if (len < 0)
			return len;
		memcpy(out, around, (size_t)len);
	}
	return len;
}

int ts_nks_resign(const struct ts_nl_private_key *own,
		  const struct ts_public_key *node_key, const uint8_t *old,
		  size_t old_len, uint8_t out[static TS_NKS_LEN_MAX])
{
	uint8_t nested[TS_NKS_LEN_MAX];
	int len = (int)old_len;
	struct ts_nks nks;

	if (ts_nks_read(old, old_len, &nks))
		return -EBADMSG;
	memcpy(nested, old, old_len);
	if (nks.levels[0].has_node_key &&
	    ts_public_key_equal(&nks.levels[0].node_key, node_key)) {
		memcpy(out, old, old_len);
		return len;
	}
	if (nks.count == TS_NKS_LEVELS_MAX)
		len = shorten(own, &nks, old, nested);
	if (len < 0)
		return len;
	return rotate(own, node_key, nested, (size_t)len, out);
}
