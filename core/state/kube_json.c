/* SPDX-License-Identifier: BSD-3-Clause
 * kube_json.c - the Kubernetes objects of a state's Secret: JSON <-> structs
 *
 * A change names the version that it is based on (resourceVersion), in a patch
 * by replacing it with itself: the server then refuses one that is based on an
 * older Secret with 409, and nobody's change is lost. What the Secret has
 * besides its data (labels, owners, fields of a later Kubernetes) is written
 * back as it came.
 */
#include "core/state/kube_json.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/model/json_fields.h"
#include "core/state/secret_text.h"
#include "core/state/state_map.h"

/* -- reading -------------------------------------------------------------- */

void ts_kube_object_deinit(struct ts_kube_object *o)
{
	ts_state_free(o->data);
	json_decref(o->rest);
	*o = (struct ts_kube_object){0};
}

const char *ts_kube_version(const struct ts_kube_object *o)
{
	return ts_json_text(ts_json_object(o->rest, "metadata"),
			    "resourceVersion");
}

static int check_kind(const struct ts_kube_object *o, char err[static 128])
{
	const char *kind = ts_json_text(o->rest, "kind");
	const char *version = ts_kube_version(o);

	if (kind && strcmp(kind, "Secret") == 0 && version && *version)
		return 0;
	snprintf(err, 128, "the answer is no Secret with a version");
	return -EBADMSG;
}

static int take_data(struct ts_kube_object *o, char err[static 128])
{
	json_t *data = json_object_get(o->rest, "data");
	int code = 0;

	if (json_is_object(data)) {
		code = ts_state_read_values(o->data, data, err);
	} else if (data && !json_is_null(data)) {
		snprintf(err, 128, "the Secret's data is no object");
		code = -EBADMSG;
	}
	json_object_del(o->rest, "data");
	return code;
}

int ts_kube_read_secret(const char *body, size_t len,
			struct ts_kube_object *out, char err[static 128])
{
	struct ts_kube_object o = {
		.data = ts_state_new(),
		.rest = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL),
	};
	int code = 0;

	if (!o.data) {
		snprintf(err, 128, "out of memory");
		code = -ENOMEM;
	} else if (!json_is_object(o.rest)) {
		snprintf(err, 128, "the answer is cut short, or no JSON");
		code = -EBADMSG;
	} else {
		ts_state_use_plain_keys(o.data);
		code = take_data(&o, err); /* first: it wipes the values */
	}
	if (!code)
		code = check_kind(&o, err);
	if (code)
		ts_kube_object_deinit(&o);
	*out = o;
	return code;
}

int ts_kube_read_review(const char *body, size_t len)
{
	json_t *root = json_loadb(body, len, 0, NULL);
	const json_t *allowed =
		ts_json_get(ts_json_object(root, "status"), "allowed");
	int code = json_is_boolean(allowed) ? json_is_true(allowed) : -EBADMSG;

	json_decref(root);
	return code;
}

/* They go into a log, and are anybody's until the certificate is checked. */
void ts_kube_read_words(const char *body, size_t len,
			char out[static KUBE_WORDS_CAP])
{
	json_t *root = json_loadb(body, len, 0, NULL);
	const char *text = ts_json_text(root, "message");
	size_t used = 0;

	for (; text && *text && used < KUBE_WORDS_CAP - 1; text++)
		out[used++] = isprint((unsigned char)*text) ? *text : ' ';
	out[used] = '\0';
	json_decref(root);
}

/* -- writing -------------------------------------------------------------- */

char *ts_kube_write_review(const char *namespace, const char *resource,
			   const char *name, const char *verb)
{
	json_t *root = json_pack(
		"{s:s, s:s, s:{s:{s:s, s:s, s:s, s:s*}}}", "apiVersion",
		"authorization.k8s.io/v1", "kind", "SelfSubjectAccessReview",
		"spec", "resourceAttributes", "namespace", namespace, "verb",
		verb, "resource", resource, "name", name);
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

	json_decref(root);
	return text;
}

static void add_member(struct ts_secret_text *t, const char *name)
{
	ts_secret_text_add_quoted(t, name);
	ts_secret_text_add(t, ":");
}

static void add_data(struct ts_secret_text *t, const struct ts_state *state)
{
	ts_secret_text_add(t, "{");
	for (size_t i = 0; i < state->count; i++) {
		const struct ts_state_entry *e = &state->entries[i];

		if (i)
			ts_secret_text_add(t, ",");
		add_member(t, e->key);
		ts_secret_text_add_base64(t, e->data, e->len);
	}
	ts_secret_text_add(t, "}");
}

char *ts_kube_write_new(const char *namespace, const char *name,
			const struct ts_state *state, size_t *len)
{
	struct ts_secret_text t = {0};

	ts_secret_text_add(&t, "{\"apiVersion\":\"v1\",\"kind\":\"Secret\","
			       "\"metadata\":{\"name\":");
	ts_secret_text_add_quoted(&t, name);
	ts_secret_text_add(&t, ",\"namespace\":");
	ts_secret_text_add_quoted(&t, namespace);
	ts_secret_text_add(&t, "},\"data\":");
	add_data(&t, state);
	ts_secret_text_add(&t, "}");
	return ts_secret_text_take(&t, len);
}

char *ts_kube_write_whole(const struct ts_kube_object *old,
			  const struct ts_state *state, size_t *len)
{
	char *rest = json_dumps(old->rest, JSON_COMPACT); /* never "{}" */
	struct ts_secret_text t = {0};

	ts_secret_text_add(&t, "{\"data\":");
	add_data(&t, state);
	ts_secret_text_add(&t, ",");
	ts_secret_text_add(&t, rest ? rest + 1 : NULL);
	free(rest);
	return ts_secret_text_take(&t, len);
}

static void add_operation(struct ts_secret_text *t, const char *op,
			  const char *folder, const char *key)
{
	ts_secret_text_add(t, ",{\"op\":\"");
	ts_secret_text_add(t, op);
	ts_secret_text_add(t, "\",\"path\":\"");
	ts_secret_text_add(t, folder);
	ts_secret_text_add(t, key); /* plain: nothing to escape */
	ts_secret_text_add(t, "\"");
}

static bool is_held(const struct ts_state *s, const struct ts_state_entry *e)
{
	size_t len;
	const uint8_t *data = ts_state_get(s, e->key, &len);

	return data && len == e->len && ts_secret_equal(data, e->data, len);
}

static void add_changes(struct ts_secret_text *t, const struct ts_state *old,
			const struct ts_state *state)
{
	size_t len;

	for (size_t i = 0; i < state->count; i++) {
		const struct ts_state_entry *e = &state->entries[i];

		if (is_held(old, e))
			continue;
		add_operation(t, "add", "/data/", e->key);
		ts_secret_text_add(t, ",\"value\":");
		ts_secret_text_add_base64(t, e->data, e->len);
		ts_secret_text_add(t, "}");
	}
	for (size_t i = 0; i < old->count; i++) {
		if (ts_state_get(state, old->entries[i].key, &len))
			continue;
		add_operation(t, "remove", "/data/", old->entries[i].key);
		ts_secret_text_add(t, "}");
	}
}

char *ts_kube_write_patch(const struct ts_kube_object *old,
			  const struct ts_state *state, size_t *len)
{
	struct ts_secret_text t = {0};

	ts_secret_text_add(&t, "[{\"op\":\"replace\","
			       "\"path\":\"/metadata/resourceVersion\","
			       "\"value\":");
	ts_secret_text_add_quoted(&t, ts_kube_version(old));
	ts_secret_text_add(&t, "}");
	if (old->data->count) {
		add_changes(&t, old->data, state);
	} else { /* a Secret without entries has no /data to add them to */
		add_operation(&t, "add", "/data", "");
		ts_secret_text_add(&t, ",\"value\":");
		add_data(&t, state);
		ts_secret_text_add(&t, "}");
	}
	ts_secret_text_add(&t, "]");
	return ts_secret_text_take(&t, len);
}
