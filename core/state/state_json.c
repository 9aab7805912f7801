/* SPDX-License-Identifier: BSD-3-Clause
 * state_json.c - the state as one JSON object of base64 texts
 * Source: ipn/store/stores.go (FileStore)
 *
 * { "<state key>": "<base64 of the value>", ... }, two spaces, keys sorted, no
 * newline at the end: byte for byte what tsnet writes. A file that is
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
#include "core/model/json_fields.h"
#include "core/state/secret_text.h"
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
			 "node's state", key);
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

static bool is_sealed(const json_t *root)
{
	return json_object_get(root, "key") && json_object_get(root, "nonce") &&
	       json_object_get(root, "data") &&
	       !json_object_get(root, "_machinekey");
}

int ts_state_read_values(struct ts_state *s, json_t *object,
			 char err[static 128])
{
	const char *key;
	json_t *value;
	int code = 0;

	if (json_object_size(object) > TS_STATE_ENTRIES_MAX) {
		snprintf(err, 128, "more than %d entries: not a node's state",
			 TS_STATE_ENTRIES_MAX);
		code = -EBADMSG;
	}
	json_object_foreach (object, key, value) {
		if (!code)
			code = read_value(s, key, value, err);
	}
	if (code == -ENOMEM)
		snprintf(err, 128, "out of memory");
	ts_json_wipe(object);
	return code;
}

static int read_object(struct ts_state *s, json_t *root, char err[static 128])
{
	if (!json_is_object(root)) {
		snprintf(err, 128, "not a tailscaled.state file");
		return -EBADMSG;
	}
	if (is_sealed(root)) {
		snprintf(err, 128, "the state is sealed by a TPM, which is not "
			 "supported");
		return -EBADMSG;
	}
	return ts_state_read_values(s, root, err);
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
	if (fresh) {
		fresh->has_plain_keys = s->has_plain_keys;
		code = read_object(fresh, root, err);
	} else {
		snprintf(err, 128, "out of memory");
		code = -ENOMEM;
	}
	json_decref(root);
	if (!code) {
		swap = *s;
		*s = *fresh;
		*fresh = swap;
	}
	ts_state_free(fresh);
	return code;
}

/* -- writing -------------------------------------------------------------- */

static void add_entry(struct ts_secret_text *t, const struct ts_state_entry *e,
		      bool is_first)
{
	ts_secret_text_add(t, is_first ? "\n  " : ",\n  ");
	ts_secret_text_add_quoted(t, e->key);
	ts_secret_text_add(t, ": ");
	ts_secret_text_add_base64(t, e->data, e->len);
}

char *ts_state_format(const struct ts_state *s, size_t *len)
{
	struct ts_secret_text t = {0};

	ts_secret_text_add(&t, "{");
	for (size_t i = 0; i < s->count; i++)
		add_entry(&t, &s->entries[i], i == 0);
	ts_secret_text_add(&t, s->count ? "\n}" : "}");
	return ts_secret_text_take(&t, len);
}
