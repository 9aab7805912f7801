/* SPDX-License-Identifier: BSD-3-Clause
 * secret_text.c - a text with keys in it, put together piece by piece
 */
#include "core/state/secret_text.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/crypto/secret.h"

static int make_room(struct ts_secret_text *t, size_t len)
{
	size_t cap = (t->cap + len) * 2 + 256;
	char *grown;

	if (t->cap - t->len > len)
		return 0;
	grown = malloc(cap);
	if (!grown)
		return -ENOMEM;
	if (t->at) {
		memcpy(grown, t->at, t->len);
		ts_wipe(t->at, t->len);
		free(t->at);
	}
	t->at = grown;
	t->cap = cap;
	return 0;
}

void ts_secret_text_add(struct ts_secret_text *t, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	if (!t->err)
		t->err = text ? make_room(t, len) : -ENOMEM;
	if (t->err)
		return;
	memcpy(t->at + t->len, text, len + 1);
	t->len += len;
}

void ts_secret_text_add_quoted(struct ts_secret_text *t, const char *text)
{
	json_t *node = json_string(text);
	char *quoted = node ? json_dumps(node, JSON_ENCODE_ANY) : NULL;

	ts_secret_text_add(t, quoted);
	free(quoted);
	json_decref(node);
}

void ts_secret_text_add_base64(struct ts_secret_text *t, const uint8_t *data,
			       size_t len)
{
	char *value = ts_base64_encode(data, len);

	ts_secret_text_add(t, "\"");
	ts_secret_text_add(t, value);
	ts_secret_text_add(t, "\"");
	ts_wipe_free_text(value);
}

char *ts_secret_text_take(struct ts_secret_text *t, size_t *len)
{
	char *text = t->at;

	*len = t->len;
	if (t->err && text) {
		ts_wipe(text, t->len);
		free(text);
		text = NULL;
	}
	*t = (struct ts_secret_text){0};
	return text;
}
