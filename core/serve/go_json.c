/* SPDX-License-Identifier: BSD-3-Clause
 * go_json.c - JSON as Go's encoder writes it, byte for byte
 *
 * Where jansson differs: Go writes <, > and & and the two Unicode line ends as
 * escapes, so that its output may stand in a page, and of control characters
 * only the usual five by letter.
 * Source: Go's encoding/json (appendString, htmlSafeSet)
 */
#include "core/serve/go_json.h"

#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"

struct text {
	char *at;
	size_t len, cap;
	bool is_bad;
};

static void put(struct text *t, const char *data, size_t len)
{
	size_t cap = t->cap ? t->cap : 256;
	char *grown;

	while (cap - t->len <= len)
		cap *= 2;
	if (cap != t->cap) {
		grown = t->is_bad ? NULL : realloc(t->at, cap);
		if (!grown) {
			t->is_bad = true;
			return;
		}
		t->at = grown;
		t->cap = cap;
	}
	memcpy(t->at + t->len, data, len);
	t->len += len;
	t->at[t->len] = '\0';
}

static void put_text(struct text *t, const char *text)
{
	put(t, text, strlen(text));
}

/* What c is written as; NULL: as it is. */
static const char *escape_of(unsigned char c, char room[static 8])
{
	switch (c) {
	case '"':
		return "\\\"";
	case '\\':
		return "\\\\";
	case '\b':
		return "\\b";
	case '\f':
		return "\\f";
	case '\n':
		return "\\n";
	case '\r':
		return "\\r";
	case '\t':
		return "\\t";
	default:
		break;
	}
	if (c >= 0x20 && c != '<' && c != '>' && c != '&')
		return NULL;
	snprintf(room, 8, "\\u%04x", c);
	return room;
}

/* U+2028 and U+2029 */
static bool is_line_end(const char *at, size_t left)
{
	return left >= 3 && memcmp(at, "\xe2\x80", 2) == 0 &&
	       ((unsigned char)at[2] == 0xa8 || (unsigned char)at[2] == 0xa9);
}

static void put_string(struct text *t, const char *text, size_t len)
{
	char room[8];

	put(t, "\"", 1);
	for (size_t i = 0; i < len; i++) {
		const char *escape = escape_of((unsigned char)text[i], room);

		if (escape) {
			put_text(t, escape);
		} else if (is_line_end(text + i, len - i)) {
			put_text(t, (unsigned char)text[i + 2] == 0xa8
					    ? "\\u2028" : "\\u2029");
			i += 2;
		} else {
			put(t, text + i, 1);
		}
	}
	put(t, "\"", 1);
}

static void put_value(struct text *t, const json_t *value);

static void put_object(struct text *t, const json_t *object)
{
	json_t *root = (json_t *)(uintptr_t)object;
	const char *comma = "{";
	void *it;

	if (json_object_size(object) == 0)
		put_text(t, comma);
	for (it = json_object_iter(root); it;
	     it = json_object_iter_next(root, it)) {
		put_text(t, comma);
		comma = ",";
		put_string(t, json_object_iter_key(it),
			   json_object_iter_key_len(it));
		put_text(t, ":");
		put_value(t, json_object_iter_value(it));
	}
	put_text(t, "}");
}

static void put_array(struct text *t, const json_t *array)
{
	const char *comma = "[";
	json_t *item;
	size_t i;

	if (json_array_size(array) == 0)
		put_text(t, comma);
	json_array_foreach((json_t *)(uintptr_t)array, i, item) {
		put_text(t, comma);
		comma = ",";
		put_value(t, item);
	}
	put_text(t, "]");
}

static void put_value(struct text *t, const json_t *value)
{
	char number[32];

	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_OBJECT:
		put_object(t, value);
		break;
	case JSON_ARRAY:
		put_array(t, value);
		break;
	case JSON_STRING:
		put_string(t, json_string_value(value),
			   json_string_length(value));
		break;
	case JSON_INTEGER:
		snprintf(number, sizeof(number), "%lld",
			 (long long)json_integer_value(value));
		put_text(t, number);
		break;
	case JSON_REAL:
		snprintf(number, sizeof(number), "%.17g",
			 json_real_value(value));
		put_text(t, number);
		break;
	case JSON_TRUE:
		put_text(t, "true");
		break;
	case JSON_FALSE:
		put_text(t, "false");
		break;
	default:
		put_text(t, "null");
		break;
	}
}

char *ts_go_json(const json_t *value)
{
	struct text t = {0};

	put_value(&t, value);
	if (!t.is_bad)
		return t.at;
	free(t.at);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *ts_go_json_sorted(const json_t *object)
{
	json_t *root = (json_t *)(uintptr_t)object, *out = json_object();
	size_t count = 0, size = json_object_size(object);
	const char **keys = calloc(size + 1, sizeof(*keys));
	int err = !keys || !out;

	for (void *it = json_object_iter(root); it && !err;
	     it = json_object_iter_next(root, it))
		keys[count++] = json_object_iter_key(it);
	if (!err)
		qsort(keys, count, sizeof(*keys), compare);
	for (size_t i = 0; i < count && !err; i++)
		err = json_object_set(out, keys[i],
				      json_object_get(root, keys[i]));
	free(keys);
	if (!err)
		return out;
	json_decref(out);
	return NULL;
}

void ts_go_json_hash(const char *text, const char *end,
		     char out[static TS_GO_HASH_CAP])
{
	uint8_t hash[crypto_hash_sha256_BYTES];
	crypto_hash_sha256_state state;

	crypto_hash_sha256_init(&state);
	crypto_hash_sha256_update(&state, (const uint8_t *)text, strlen(text));
	crypto_hash_sha256_update(&state, (const uint8_t *)end, strlen(end));
	crypto_hash_sha256_final(&state, hash);
	ts_hex_encode(hash, sizeof(hash), out);
}
