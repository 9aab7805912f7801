/* SPDX-License-Identifier: BSD-3-Clause
 * state_json.c - the state as one JSON object of base64 texts
 * Source: ipn/store/stores.go (FileStore)
 *
 * { "<state key>": "<base64 of the value>", ... }, two spaces, keys sorted, no
 * newline at the end: byte for byte what tsnet writes. The text is put together
 * here rather than by jansson, whose buffers cannot be wiped. A file that is
 * not exactly of this kind is refused as a whole: it is somebody's, and a
 * state that was half read would be written back half.
 */
#include "core/state/state_file.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/crypto/secret.h"
#include "core/state/state_map.h"

/* -- reading -------------------------------------------------------------- */

static int read_value(struct ts_state *s, const char *key, const json_t *value,
		      char err[static 128])
{
	uint8_t *data = NULL;
	size_t len = 0;
	int code;

	if (json_is_null(value)) /* a key that upstream deleted in memory */
		return 0;
	if (!json_is_string(value) || strlen(key) > TS_STATE_KEY_MAX) {
		snprintf(err, 128, "\"%.40s\" is not a base64 text: not a "
			 "tailscaled.state file", key);
		return -EBADMSG;
	}
	code = ts_base64_decode(json_string_value(value),
				json_string_length(value), &data, &len);
	if (code == -EBADMSG)
		snprintf(err, 128, "the value of \"%.40s\" is not base64", key);
	if (code)
		return code;
	code = ts_state_set(s, key, data, len);
	ts_wipe(data, len);
	free(data);
	return code < 0 ? code : 0;
}

/* jansson frees its texts as they are; blank them first. */
static void wipe_values(json_t *root)
{
	const char *key;
	json_t *value;

	json_object_foreach (root, key, value)
		if (json_is_string(value))
			ts_wipe((char *)(uintptr_t)json_string_value(value),
				json_string_length(value));
}

static bool is_sealed(const json_t *root)
{
	return json_object_get(root, "key") && json_object_get(root, "nonce") &&
	       json_object_get(root, "data") &&
	       !json_object_get(root, "_machinekey");
}

static int read_object(struct ts_state *s, json_t *root, char err[static 128])
{
	const char *key;
	json_t *value;
	int code = 0;

	if (!json_is_object(root) ||
	    json_object_size(root) > TS_STATE_ENTRIES_MAX) {
		snprintf(err, 128, "not a tailscaled.state file");
		return -EBADMSG;
	}
	if (is_sealed(root)) {
		snprintf(err, 128, "the state is sealed by a TPM, which is not "
			 "supported");
		return -EBADMSG;
	}
	json_object_foreach (root, key, value) {
		code = read_value(s, key, value, err);
		if (code)
			break;
	}
	return code;
}

static bool is_blank(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!memchr(" \t\r\n", data[i], 4))
			return false;
	return true;
}

int ts_state_parse(struct ts_state *s, const uint8_t *data, size_t len,
		   char err[static 128])
{
	struct ts_state *fresh, swap;
	json_error_t why;
	json_t *root;
	int code;

	if (is_blank(data, len))
		return 0;
	root = json_loadb((const char *)data, len, JSON_REJECT_DUPLICATES,
			  &why);
	if (!root) {
		/* jansson's words would quote the file, and so its keys. */
		snprintf(err, 128, "torn or not JSON, line %d", why.line);
		return -EBADMSG;
	}
	fresh = ts_state_new();
	code = fresh ? read_object(fresh, root, err) : -ENOMEM;
	wipe_values(root);
	json_decref(root);
	if (code == -ENOMEM)
		snprintf(err, 128, "out of memory");
	if (!code) {
		swap = *s;
		*s = *fresh;
		*fresh = swap;
	}
	ts_state_free(fresh);
	return code;
}

/* -- writing -------------------------------------------------------------- */

struct text {
	char *at;
	size_t len, cap;
};

static int add(struct text *t, const char *data, size_t len)
{
	if (t->cap - t->len <= len) {
		size_t cap = (t->cap + len) * 2 + 256;
		char *grown = malloc(cap);

		if (!grown)
			return -ENOMEM;
		if (t->at) {
			memcpy(grown, t->at, t->len);
			ts_wipe(t->at, t->len);
			free(t->at);
		}
		t->at = grown;
		t->cap = cap;
	}
	memcpy(t->at + t->len, data, len);
	t->len += len;
	t->at[t->len] = '\0';
	return 0;
}

static int add_text(struct text *t, const char *text)
{
	return add(t, text, strlen(text));
}

static int add_key(struct text *t, const char *key)
{
	json_t *node = json_string(key);
	char *quoted = node ? json_dumps(node, JSON_ENCODE_ANY) : NULL;
	int code = quoted ? add_text(t, quoted) : -ENOMEM;

	free(quoted);
	json_decref(node);
	return code;
}

static int add_entry(struct text *t, const struct ts_state_entry *e,
		     bool is_first)
{
	char *value = ts_base64_encode(e->data, e->len);
	int code = value ? add_text(t, is_first ? "\n  " : ",\n  ") : -ENOMEM;

	if (!code)
		code = add_key(t, e->key);
	if (!code)
		code = add_text(t, ": \"");
	if (!code)
		code = add_text(t, value);
	if (!code)
		code = add_text(t, "\"");
	ts_wipe_free_text(value);
	return code;
}

char *ts_state_format(const struct ts_state *s, size_t *len)
{
	struct text t = {0};
	int code = add_text(&t, "{");

	for (size_t i = 0; i < s->count && !code; i++)
		code = add_entry(&t, &s->entries[i], i == 0);
	if (!code)
		code = add_text(&t, s->count ? "\n}" : "}");
	if (!code) {
		*len = t.len;
		return t.at;
	}
	if (t.at)
		ts_wipe(t.at, t.len);
	free(t.at);
	return NULL;
}
