/* SPDX-License-Identifier: BSD-3-Clause
 * tka_aum.c - an authority update message: one link of the chain
 */
#include "core/tka/tka_aum.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/tka/cbor.h"

enum {
	AUM_MESSAGE_KIND = 1,
	AUM_PREV_AUM_HASH = 2,
	AUM_KEY = 3,
	AUM_KEY_ID = 4,
	AUM_STATE = 5,
	AUM_VOTES = 6,
	AUM_META = 7,
	AUM_SIGNATURES = 23,
};
enum { SIGNATURE_KEY_ID = 1, SIGNATURE_SIGNATURE = 2 };
enum { KIND_MAX = 255 }; /* it is a byte */

/* -- reading -------------------------------------------------------------- */

static void read_parent(struct ts_reader *r, struct ts_tka_aum *out)
{
	if (ts_cbor_read_null(r))
		return;
	ts_cbor_read_fixed(r, out->parent.bytes, TS_TKA_HASH_LEN);
	out->has_parent = true;
}

static void read_signature(struct ts_reader *r, struct ts_tka_signature *out)
{
	struct ts_cbor_map map;
	uint64_t key;
	unsigned found = 0;

	ts_cbor_map_open(r, &map);
	while (ts_cbor_map_next(r, &map, &key)) {
		switch (key) {
		case SIGNATURE_KEY_ID:
			ts_cbor_read_fixed(r, out->key_id.bytes, TS_KEY_LEN);
			found++;
			break;
		case SIGNATURE_SIGNATURE:
			ts_cbor_read_fixed(r, out->bytes, TS_SIGNATURE_LEN);
			found++;
			break;
		default:
			ts_cbor_skip(r);
		}
	}
	if (found != 2)
		ts_cbor_fail(r);
}

static int read_signatures(struct ts_reader *r, struct ts_tka_aum *out)
{
	size_t count = ts_cbor_read_array(r);

	if (count == 0 || count > TS_TKA_SIGNERS_MAX) {
		ts_cbor_fail(r);
		return 0;
	}
	out->signatures = calloc(count, sizeof(*out->signatures));
	if (!out->signatures)
		return -ENOMEM;
	out->signature_count = count;
	for (size_t i = 0; i < count && !r->bad; i++)
		read_signature(r, &out->signatures[i]);
	return 0;
}

/* One field, whose key has been read. */
static int read_field(struct ts_reader *r, uint64_t field,
		      struct ts_tka_aum *out)
{
	uint64_t votes;

	switch (field) {
	case AUM_MESSAGE_KIND:
		out->kind = ts_cbor_read_uint(r);
		return 0;
	case AUM_PREV_AUM_HASH:
		read_parent(r, out);
		return 0;
	case AUM_KEY:
		out->has_key = true;
		ts_tka_key_read(r, &out->key);
		return 0;
	case AUM_KEY_ID:
		out->has_key_id = true;
		ts_cbor_read_fixed(r, out->key_id.bytes, TS_KEY_LEN);
		return 0;
	case AUM_STATE:
		out->has_state = true;
		return ts_tka_state_read(r, &out->state);
	case AUM_VOTES:
		votes = ts_cbor_read_uint(r);
		out->has_votes = true;
		out->votes = votes > TS_TKA_VOTES_MAX ? TS_TKA_VOTES_MAX + 1
						      : (unsigned)votes;
		return 0;
	case AUM_META:
		out->meta = ts_tka_meta_read(r);
		return 0;
	case AUM_SIGNATURES:
		return read_signatures(r, out);
	default:
		ts_cbor_skip(r);
		return 0;
	}
}

/* Each kind has its own fields, and no others. */
static bool has_right_fields(const struct ts_tka_aum *aum)
{
	switch (aum->kind) {
	case TS_AUM_ADD_KEY:
		return aum->has_key && !aum->has_key_id && !aum->has_state &&
		       !aum->has_votes && !aum->meta;
	case TS_AUM_REMOVE_KEY:
		return aum->has_key_id && !aum->has_key && !aum->has_state &&
		       !aum->has_votes && !aum->meta;
	case TS_AUM_UPDATE_KEY:
		return aum->has_key_id && (aum->has_votes || aum->meta) &&
		       !aum->has_key && !aum->has_state;
	case TS_AUM_CHECKPOINT:
		return aum->has_state && !aum->has_key && !aum->has_key_id &&
		       !aum->has_votes && !aum->meta;
	default:
		return aum->kind <= KIND_MAX;
	}
}

static int read_fields(struct ts_tka_aum *out)
{
	struct ts_reader r = ts_reader_init(out->raw, out->len);
	struct ts_cbor_map map;
	struct ts_tka_cut cut;
	uint64_t field, fields = 0;
	int err = 0;

	ts_cbor_map_open(&r, &map);
	cut.pairs = map.count;
	cut.head_len = (size_t)(r.at - out->raw);
	cut.from = cut.to = cut.head_len;
	while (!err) {
		size_t from = (size_t)(r.at - out->raw);

		if (!ts_cbor_map_next(&r, &map, &field))
			break;
		if (field < 64)
			fields |= 1ull << field;
		err = read_field(&r, field, out);
		if (field == AUM_SIGNATURES && !r.bad) {
			cut.from = from;
			cut.to = (size_t)(r.at - out->raw);
		}
	}
	if (err)
		return err;
	if (r.bad || r.left > 0 || !(fields & 1ull << AUM_MESSAGE_KIND) ||
	    !(fields & 1ull << AUM_PREV_AUM_HASH) || !has_right_fields(out))
		return -EBADMSG;
	ts_tka_hash_of(out->raw, out->len, &out->hash);
	ts_tka_hash_without(out->raw, out->len, &cut, &out->sig_hash);
	return 0;
}

int ts_tka_aum_read(const void *data, size_t len, struct ts_tka_aum **out)
{
	struct ts_tka_aum *aum;
	int err;

	if (len > TS_TKA_AUM_MAX)
		return -EMSGSIZE;
	aum = calloc(1, sizeof(*aum));
	if (!aum)
		return -ENOMEM;
	aum->raw = malloc(len ? len : 1);
	aum->len = len;
	if (aum->raw && len)
		memcpy(aum->raw, data, len);
	err = aum->raw ? read_fields(aum) : -ENOMEM;
	if (err)
		ts_tka_aum_free(aum);
	else
		*out = aum;
	return err;
}

void ts_tka_aum_free(struct ts_tka_aum *aum)
{
	if (!aum)
		return;
	ts_tka_key_deinit(&aum->key);
	ts_tka_state_deinit(&aum->state);
	json_decref(aum->meta);
	free(aum->signatures);
	free(aum->raw);
	free(aum);
}

const char *ts_tka_aum_kind_name(uint64_t kind)
{
	switch (kind) {
	case TS_AUM_ADD_KEY:
		return "add-key";
	case TS_AUM_REMOVE_KEY:
		return "remove-key";
	case TS_AUM_NO_OP:
		return "no-op";
	case TS_AUM_UPDATE_KEY:
		return "update-key";
	case TS_AUM_CHECKPOINT:
		return "checkpoint";
	default:
		return "unknown";
	}
}

/* -- writing -------------------------------------------------------------- */

static void write_signatures(struct ts_writer *w, const struct ts_tka_aum *aum)
{
	ts_cbor_write_uint(w, AUM_SIGNATURES);
	ts_cbor_write_array(w, aum->signature_count);
	for (size_t i = 0; i < aum->signature_count; i++) {
		const struct ts_tka_signature *s = &aum->signatures[i];

		ts_cbor_write_map(w, 2);
		ts_cbor_write_uint(w, SIGNATURE_KEY_ID);
		ts_cbor_write_bytes(w, s->key_id.bytes, TS_KEY_LEN);
		ts_cbor_write_uint(w, SIGNATURE_SIGNATURE);
		ts_cbor_write_bytes(w, s->bytes, TS_SIGNATURE_LEN);
	}
}

static void write_fields(struct ts_writer *w, const struct ts_tka_aum *aum)
{
	size_t pairs = 2 + (size_t)aum->has_key + aum->has_key_id +
		       aum->has_state + aum->has_votes + (aum->meta != NULL) +
		       (aum->signature_count > 0);

	ts_cbor_write_map(w, pairs);
	ts_cbor_write_uint(w, AUM_MESSAGE_KIND);
	ts_cbor_write_uint(w, aum->kind);
	ts_cbor_write_uint(w, AUM_PREV_AUM_HASH);
	if (aum->has_parent)
		ts_cbor_write_bytes(w, aum->parent.bytes, TS_TKA_HASH_LEN);
	else
		ts_cbor_write_null(w);
	if (aum->has_key) {
		ts_cbor_write_uint(w, AUM_KEY);
		ts_tka_key_write(w, &aum->key);
	}
	if (aum->has_key_id) {
		ts_cbor_write_uint(w, AUM_KEY_ID);
		ts_cbor_write_bytes(w, aum->key_id.bytes, TS_KEY_LEN);
	}
	if (aum->has_state) {
		ts_cbor_write_uint(w, AUM_STATE);
		ts_tka_state_write(w, &aum->state);
	}
	if (aum->has_votes) {
		ts_cbor_write_uint(w, AUM_VOTES);
		ts_cbor_write_uint(w, aum->votes);
	}
	if (aum->meta) {
		ts_cbor_write_uint(w, AUM_META);
		ts_tka_meta_write(w, aum->meta);
	}
	if (aum->signature_count > 0)
		write_signatures(w, aum);
}

/* Reading it back tells whether it makes sense, and what its hashes are. */
static int write_and_read(const struct ts_tka_aum *contents,
			  struct ts_tka_aum **out)
{
	uint8_t *buf = malloc(TS_TKA_AUM_MAX);
	struct ts_writer w;
	int err;

	if (!buf)
		return -ENOMEM;
	w = ts_writer_init(buf, TS_TKA_AUM_MAX);
	write_fields(&w, contents);
	err = w.bad ? -EBADMSG : ts_tka_aum_read(buf, w.len, out);
	free(buf);
	return err;
}

int ts_tka_aum_sign(const struct ts_tka_aum *contents,
		    const struct ts_nl_private_key *keys, size_t key_count,
		    struct ts_tka_aum **out)
{
	struct ts_tka_aum whole = *contents, *bare;
	int err;

	whole.signatures = NULL;
	whole.signature_count = 0;
	err = write_and_read(&whole, &bare);
	if (err)
		return err;
	whole.signatures = calloc(key_count + 1, sizeof(*whole.signatures));
	if (!whole.signatures) {
		ts_tka_aum_free(bare);
		return -ENOMEM;
	}
	whole.signature_count = key_count;
	for (size_t i = 0; i < key_count; i++) {
		ts_nl_public(&keys[i], &whole.signatures[i].key_id);
		ts_sign(&keys[i], bare->sig_hash.bytes, TS_TKA_HASH_LEN,
			whole.signatures[i].bytes);
	}
	err = write_and_read(&whole, out);
	free(whole.signatures);
	ts_tka_aum_free(bare);
	return err;
}

static bool has_signed(const struct ts_tka_aum *aum,
		       const struct ts_public_key *id)
{
	for (size_t i = 0; i < aum->signature_count; i++)
		if (ts_public_key_equal(&aum->signatures[i].key_id, id))
			return true;
	return false;
}

int ts_tka_aum_cosign(const struct ts_tka_aum *aum,
		      const struct ts_nl_private_key *key,
		      struct ts_tka_aum **out)
{
	struct ts_tka_signature *last;
	struct ts_tka_aum whole = *aum;
	struct ts_public_key id;
	int err;

	ts_nl_public(key, &id);
	if (has_signed(aum, &id))
		return -EEXIST;
	if (aum->signature_count == TS_TKA_SIGNERS_MAX)
		return -EMSGSIZE;
	whole.signatures = calloc(aum->signature_count + 1,
				  sizeof(*whole.signatures));
	if (!whole.signatures)
		return -ENOMEM;
	for (size_t i = 0; i < aum->signature_count; i++)
		whole.signatures[i] = aum->signatures[i];
	last = &whole.signatures[whole.signature_count++];
	last->key_id = id;
	ts_sign(key, aum->sig_hash.bytes, TS_TKA_HASH_LEN, last->bytes);
	err = write_and_read(&whole, out);
	free(whole.signatures);
	return err;
}
