/* SPDX-License-Identifier: BSD-3-Clause
 * tka_key.c - a key that the tailnet's members trust to sign
 */
#include "core/tka/tka_key.h"

#include <stdlib.h>
#include <string.h>

#include "core/tka/cbor.h"

enum { KEY_KIND = 1, KEY_VOTES = 2, KEY_PUBLIC = 3, KEY_META = 12 };
enum { KIND_ED25519 = 1 };
enum { META_PAIRS_MAX = TS_TKA_META_MAX };

static int compare_texts(const char *a, size_t a_len, const char *b,
			 size_t b_len)
{
	if (a_len != b_len)
		return a_len < b_len ? -1 : 1;
	return memcmp(a, b, a_len);
}

/* One pair; false: malformed. A zero byte in a name is more than jansson's
 * objects can hold, and nobody's metadata. */
static bool read_pair(struct ts_reader *r, json_t *meta,
		      struct ts_cbor_bytes *last, size_t *total)
{
	struct ts_cbor_bytes name = ts_cbor_read_text(r);
	struct ts_cbor_bytes value = ts_cbor_read_text(r);
	char text[TS_TKA_META_MAX + 1];
	json_t *json;

	*total += name.len + value.len;
	if (r->bad || *total > TS_TKA_META_MAX ||
	    memchr(name.data, 0, name.len) ||
	    (last->data && compare_texts((const char *)last->data, last->len,
					 (const char *)name.data,
					 name.len) >= 0))
		return false;
	*last = name;
	memcpy(text, name.data, name.len);
	text[name.len] = '\0';
	json = json_stringn((const char *)value.data, value.len);
	return json && json_object_set_new(meta, text, json) == 0;
}

json_t *ts_tka_meta_read(struct ts_reader *r)
{
	struct ts_cbor_bytes last = {NULL, 0};
	size_t pairs = ts_cbor_read_pairs(r), total = 0;
	json_t *meta = json_object();
	bool is_good = meta && pairs > 0 && pairs <= META_PAIRS_MAX;

	for (size_t i = 0; is_good && i < pairs; i++)
		is_good = read_pair(r, meta, &last, &total);
	if (is_good && !r->bad)
		return meta;
	json_decref(meta);
	ts_cbor_fail(r);
	return NULL;
}

static int compare_names(const void *a, const void *b)
{
	const char *x = *(const char *const *)a, *y = *(const char *const *)b;

	return compare_texts(x, strlen(x), y, strlen(y));
}

void ts_tka_meta_write(struct ts_writer *w, const json_t *meta)
{
	const char *names[META_PAIRS_MAX];
	size_t count = 0;
	const char *name;
	json_t *value;

	json_object_foreach ((json_t *)(uintptr_t)meta, name, value)
		if (count < META_PAIRS_MAX)
			names[count++] = name;
	qsort(names, count, sizeof(names[0]), compare_names);
	ts_cbor_write_map(w, count);
	for (size_t i = 0; i < count; i++) {
		value = json_object_get(meta, names[i]);
		ts_cbor_write_text(w, names[i], strlen(names[i]));
		ts_cbor_write_text(w, json_string_value(value),
				   json_string_length(value));
	}
}

void ts_tka_key_read(struct ts_reader *r, struct ts_tka_key *out)
{
	struct ts_cbor_map map;
	uint64_t key, kind = 0, votes = 0;
	bool has_public = false;

	memset(out, 0, sizeof(*out));
	ts_cbor_map_open(r, &map);
	while (ts_cbor_map_next(r, &map, &key)) {
		switch (key) {
		case KEY_KIND:
			kind = ts_cbor_read_uint(r);
			break;
		case KEY_VOTES:
			votes = ts_cbor_read_uint(r);
			break;
		case KEY_PUBLIC:
			ts_cbor_read_fixed(r, out->public.bytes, TS_KEY_LEN);
			has_public = true;
			break;
		case KEY_META:
			out->meta = ts_tka_meta_read(r);
			break;
		default:
			ts_cbor_skip(r);
		}
	}
	if (kind != KIND_ED25519 || votes == 0 || votes > TS_TKA_VOTES_MAX ||
	    !has_public)
		ts_cbor_fail(r);
	else
		out->votes = (unsigned)votes;
}

void ts_tka_key_write(struct ts_writer *w, const struct ts_tka_key *key)
{
	ts_cbor_write_map(w, key->meta ? 4 : 3);
	ts_cbor_write_uint(w, KEY_KIND);
	ts_cbor_write_uint(w, KIND_ED25519);
	ts_cbor_write_uint(w, KEY_VOTES);
	ts_cbor_write_uint(w, key->votes);
	ts_cbor_write_uint(w, KEY_PUBLIC);
	ts_cbor_write_bytes(w, key->public.bytes, TS_KEY_LEN);
	if (!key->meta)
		return;
	ts_cbor_write_uint(w, KEY_META);
	ts_tka_meta_write(w, key->meta);
}

void ts_tka_key_copy(struct ts_tka_key *to, const struct ts_tka_key *from)
{
	*to = *from;
	json_incref(to->meta);
}

void ts_tka_key_deinit(struct ts_tka_key *key)
{
	json_decref(key->meta);
	key->meta = NULL;
}
