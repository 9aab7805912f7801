/* SPDX-License-Identifier: BSD-3-Clause
 * tka_chonk.c - the updates that are known, as a tree
 *
 * The children of an update are a list in no particular order.
 */
#include "core/tka/tka_chonk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/tka/cbor.h"

enum { FILE_AUM = 2, FILE_CREATED = 3, FILE_PURGED = 4, DIR_LETTERS = 2 };

struct ts_tka_chonk *ts_tka_chonk_new(const struct ts_tka_disk *disk)
{
	struct ts_tka_chonk *chonk = calloc(1, sizeof(*chonk));

	if (!chonk)
		return NULL;
	ts_key_map_init(&chonk->by_hash, TS_TKA_HASH_LEN, ts_random_u64());
	ts_key_map_init(&chonk->children, TS_TKA_HASH_LEN, ts_random_u64());
	if (disk)
		chonk->disk = *disk;
	return chonk;
}

void ts_tka_chonk_free(struct ts_tka_chonk *chonk)
{
	struct ts_tka_aum *aum;
	size_t pos = 0;

	if (!chonk)
		return;
	while ((aum = ts_tka_chonk_next(chonk, &pos)))
		ts_tka_aum_free(aum);
	ts_key_map_deinit(&chonk->by_hash);
	ts_key_map_deinit(&chonk->children);
	free(chonk);
}

bool ts_tka_chonk_is_empty(const struct ts_tka_chonk *chonk)
{
	return chonk->by_hash.len == 0;
}

struct ts_tka_aum *ts_tka_chonk_get(const struct ts_tka_chonk *chonk,
				    const struct ts_tka_hash *hash)
{
	return ts_key_map_get(&chonk->by_hash, hash->bytes);
}

struct ts_tka_aum *ts_tka_chonk_children(const struct ts_tka_chonk *chonk,
					 const struct ts_tka_hash *parent)
{
	return ts_key_map_get(&chonk->children, parent->bytes);
}

struct ts_tka_aum *ts_tka_chonk_next(const struct ts_tka_chonk *chonk,
				     size_t *pos)
{
	return ts_key_map_next(&chonk->by_hash, pos);
}

/* -- memory --------------------------------------------------------------- */

int ts_tka_chonk_add(struct ts_tka_chonk *chonk, struct ts_tka_aum *aum)
{
	int err;

	if (chonk->by_hash.len >= TS_TKA_AUMS_MAX ||
	    aum->len > TS_TKA_BYTES_MAX - chonk->total_len)
		return -EMSGSIZE;
	err = ts_key_map_put(&chonk->by_hash, aum->hash.bytes, aum);
	if (err)
		return err;
	aum->next_sibling = NULL;
	if (aum->has_parent) {
		aum->next_sibling = ts_tka_chonk_children(chonk, &aum->parent);
		err = ts_key_map_put(&chonk->children, aum->parent.bytes, aum);
	}
	if (err)
		ts_key_map_take(&chonk->by_hash, aum->hash.bytes);
	else
		chonk->total_len += aum->len;
	return err;
}

static void unlink_child(struct ts_tka_chonk *chonk, struct ts_tka_aum *aum)
{
	struct ts_tka_aum *at = ts_tka_chonk_children(chonk, &aum->parent);

	if (at == aum) {
		ts_key_map_take(&chonk->children, aum->parent.bytes);
		if (aum->next_sibling) /* there is room: one was taken */
			ts_key_map_put(&chonk->children, aum->parent.bytes,
				       aum->next_sibling);
		return;
	}
	while (at && at->next_sibling != aum)
		at = at->next_sibling;
	if (at)
		at->next_sibling = aum->next_sibling;
}

void ts_tka_chonk_drop(struct ts_tka_chonk *chonk, struct ts_tka_aum *aum)
{
	if (aum->has_parent)
		unlink_child(chonk, aum);
	ts_key_map_take(&chonk->by_hash, aum->hash.bytes);
	chonk->total_len -= aum->len;
	ts_tka_aum_free(aum);
}

/* -- files ---------------------------------------------------------------- */

static const char *file_name(const struct ts_tka_hash *hash,
			     char out[static TS_TKA_FILE_NAME_CAP])
{
	char text[TS_TKA_HASH_TEXT_CAP];

	ts_tka_hash_format(hash, text);
	snprintf(out, TS_TKA_FILE_NAME_CAP, "%.*s/%s", DIR_LETTERS, text,
		 text);
	return out;
}

static int put_file(const struct ts_tka_chonk *chonk,
		    const struct ts_tka_aum *aum, int64_t purged_unix)
{
	char name[TS_TKA_FILE_NAME_CAP];
	size_t cap = aum->len + TS_TKA_FILE_MAX - TS_TKA_AUM_MAX;
	uint8_t *buf;
	struct ts_writer w;
	int err;

	if (!chonk->disk.put)
		return 0;
	buf = malloc(cap);
	if (!buf)
		return -ENOMEM;
	w = ts_writer_init(buf, cap);
	ts_cbor_write_map(&w, 1 + (size_t)(aum->created_unix > 0) +
				      (purged_unix > 0));
	ts_cbor_write_uint(&w, FILE_AUM);
	ts_write_bytes(&w, aum->raw, aum->len);
	if (aum->created_unix > 0) {
		ts_cbor_write_uint(&w, FILE_CREATED);
		ts_cbor_write_uint(&w, (uint64_t)aum->created_unix);
	}
	if (purged_unix > 0) {
		ts_cbor_write_uint(&w, FILE_PURGED);
		ts_cbor_write_uint(&w, (uint64_t)purged_unix);
	}
	err = w.bad ? -ENOBUFS
		    : chonk->disk.put(chonk->disk.ctx,
				      file_name(&aum->hash, name), buf, w.len);
	free(buf);
	return err;
}

int ts_tka_chonk_store(struct ts_tka_chonk *chonk, struct ts_tka_aum *aum,
		       int64_t now_unix)
{
	aum->created_unix = now_unix;
	return put_file(chonk, aum, 0);
}

int ts_tka_chonk_purge(struct ts_tka_chonk *chonk, struct ts_tka_aum *aum,
		       int64_t now_unix)
{
	int err = put_file(chonk, aum, now_unix);

	if (!err)
		ts_tka_chonk_drop(chonk, aum);
	return err;
}

int ts_tka_chonk_set_ancestor(struct ts_tka_chonk *chonk,
			      const struct ts_tka_hash *ancestor)
{
	int err = 0;

	if (chonk->has_ancestor &&
	    ts_tka_hash_equal(&chonk->ancestor, ancestor))
		return 0;
	if (chonk->disk.put)
		err = chonk->disk.put(chonk->disk.ctx, TS_TKA_ANCESTOR_FILE,
				      ancestor->bytes, TS_TKA_HASH_LEN);
	if (err)
		return err;
	chonk->ancestor = *ancestor;
	chonk->has_ancestor = true;
	return 0;
}

static int load_ancestor(struct ts_tka_chonk *chonk, const void *data,
			 size_t len)
{
	if (len != TS_TKA_HASH_LEN)
		return -EBADMSG;
	memcpy(chonk->ancestor.bytes, data, len);
	chonk->has_ancestor = true;
	return 0;
}

struct stored { /* what a file says */
	struct ts_cbor_bytes aum;
	uint64_t created_unix, purged_unix;
};

static int read_file(const void *data, size_t len, struct stored *out)
{
	struct ts_reader r = ts_reader_init(data, len);
	struct ts_cbor_map map;
	uint64_t key;

	memset(out, 0, sizeof(*out));
	ts_cbor_map_open(&r, &map);
	while (ts_cbor_map_next(&r, &map, &key)) {
		switch (key) {
		case FILE_AUM:
			if (ts_cbor_read_null(&r))
				break; /* one that only had children */
			out->aum.data = r.at;
			ts_cbor_skip(&r);
			if (!r.bad)
				out->aum.len = (size_t)(r.at - out->aum.data);
			break;
		case FILE_CREATED:
			out->created_unix = ts_cbor_read_uint(&r);
			break;
		case FILE_PURGED:
			out->purged_unix = ts_cbor_read_uint(&r);
			break;
		default: /* "children", once */
			ts_cbor_skip(&r);
		}
	}
	return r.bad || r.left > 0 || out->created_unix > INT64_MAX ||
			       out->purged_unix > INT64_MAX
		       ? -EBADMSG
		       : 0;
}

int ts_tka_chonk_load(struct ts_tka_chonk *chonk, const char *name,
		      const void *data, size_t len)
{
	char right_name[TS_TKA_FILE_NAME_CAP];
	struct ts_tka_aum *aum;
	struct stored stored;
	int err;

	if (strcmp(name, TS_TKA_ANCESTOR_FILE) == 0)
		return load_ancestor(chonk, data, len);
	err = read_file(data, len, &stored);
	if (err || !stored.aum.data || stored.purged_unix)
		return err;
	err = ts_tka_aum_read(stored.aum.data, stored.aum.len, &aum);
	if (err)
		return err;
	aum->created_unix = (int64_t)stored.created_unix;
	if (strcmp(name, file_name(&aum->hash, right_name)) != 0)
		err = -EBADMSG; /* not what its name says */
	else if (!ts_tka_chonk_get(chonk, &aum->hash))
		err = ts_tka_chonk_add(chonk, aum);
	else
		err = -EEXIST;
	if (err)
		ts_tka_aum_free(aum);
	return err == -EEXIST ? 0 : err;
}
