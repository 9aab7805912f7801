/* SPDX-License-Identifier: BSD-3-Clause
 * state_file.c - the map from state keys to bytes
 * Source: ipn/store/stores.go (FileStore), ipn/store.go
 *
 * A few dozen entries at most, so a sorted array; the order is the one in
 * which upstream writes its file. Every value may hold a key and is wiped.
 */
#include "core/state/state_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto/secret.h"
#include "core/state/state_map.h"

#define STATE_MACHINE_KEY "_machinekey"

struct ts_state *ts_state_new(void)
{
	return calloc(1, sizeof(struct ts_state));
}

static void clear_entry(struct ts_state_entry *e)
{
	ts_wipe(e->data, e->len);
	free(e->data);
	free(e->key);
}

void ts_state_free(struct ts_state *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++)
		clear_entry(&s->entries[i]);
	free(s->entries);
	free(s);
}

size_t ts_state_count(const struct ts_state *s)
{
	return s->count;
}

const char *ts_state_key(const struct ts_state *s, size_t i)
{
	return s->entries[i].key;
}

struct ts_state *ts_state_copy(const struct ts_state *s)
{
	struct ts_state *copy = ts_state_new();

	if (!copy)
		return NULL;
	copy->has_plain_keys = s->has_plain_keys;
	copy->has_no_current = s->has_no_current;
	for (size_t i = 0; i < s->count; i++) {
		const struct ts_state_entry *e = &s->entries[i];

		if (ts_state_set(copy, e->key, e->data, e->len) < 0) {
			ts_state_free(copy);
			return NULL;
		}
	}
	return copy;
}

void ts_state_use_plain_keys(struct ts_state *s)
{
	s->has_plain_keys = true;
}

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

/* The name that an entry has here. One longer than all is nobody's. */
static const char *name_of(const struct ts_state *s, const char *key,
			   char buf[static TS_STATE_KEY_MAX + 1])
{
	size_t len = 0;

	if (!s->has_plain_keys || strlen(key) > TS_STATE_KEY_MAX)
		return key;
	for (; *key; key++) {
		if ((*key & 0xc0) == 0x80) /* a character's second byte */
			continue;
		buf[len++] = is_plain(*key) ? *key : '_';
	}
	buf[len] = '\0';
	return buf;
}

/* Where the entry of that name is, or where it belongs. */
static size_t position(const struct ts_state *s, const char *key, bool *found)
{
	size_t low = 0, high = s->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(s->entries[mid].key, key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*found = low < s->count && strcmp(s->entries[low].key, key) == 0;
	return low;
}

const uint8_t *ts_state_get(const struct ts_state *s, const char *key,
			    size_t *len)
{
	char buf[TS_STATE_KEY_MAX + 1];
	bool found;
	size_t at = position(s, name_of(s, key, buf), &found);

	*len = found ? s->entries[at].len : 0;
	return found ? s->entries[at].data : NULL;
}

static void remove_at(struct ts_state *s, size_t at)
{
	clear_entry(&s->entries[at]);
	s->count--;
	memmove(&s->entries[at], &s->entries[at + 1],
		(s->count - at) * sizeof(s->entries[0]));
}

static uint8_t *copy_data(const void *data, size_t len)
{
	uint8_t *copy = malloc(len + 1);

	if (copy) {
		memcpy(copy, data, len);
		copy[len] = '\0';
	}
	return copy;
}

static int make_room(struct ts_state *s)
{
	size_t cap = s->cap ? s->cap * 2 : 8;
	struct ts_state_entry *grown;

	if (s->count < s->cap)
		return 0;
	grown = realloc(s->entries, cap * sizeof(*grown)); /* only pointers */
	if (!grown)
		return -ENOMEM;
	s->entries = grown;
	s->cap = cap;
	return 0;
}

static int insert_at(struct ts_state *s, size_t at, const char *key,
		     uint8_t *data, size_t len)
{
	char *name = strdup(key);

	if (!name || make_room(s)) {
		free(name);
		return -ENOMEM;
	}
	memmove(&s->entries[at + 1], &s->entries[at],
		(s->count - at) * sizeof(s->entries[0]));
	s->entries[at] = (struct ts_state_entry){name, data, len};
	s->count++;
	return 1;
}

int ts_state_set(struct ts_state *s, const char *key, const void *data,
		 size_t len)
{
	char buf[TS_STATE_KEY_MAX + 1];
	const char *name = name_of(s, key, buf);
	bool found;
	size_t at = position(s, name, &found);
	struct ts_state_entry *e = found ? &s->entries[at] : NULL;
	uint8_t *copy;
	int changed;

	if (!data) {
		if (found)
			remove_at(s, at);
		return found;
	}
	if (found && e->len == len && ts_secret_equal(e->data, data, len))
		return 0;
	copy = copy_data(data, len);
	if (!copy)
		return -ENOMEM;
	if (found) {
		ts_wipe(e->data, e->len);
		free(e->data);
		e->data = copy;
		e->len = len;
		return 1;
	}
	changed = insert_at(s, at, name, copy, len);
	if (changed < 0) {
		ts_wipe(copy, len);
		free(copy);
	}
	return changed;
}

/* -- the machine key ------------------------------------------------------ */

static int make_machine_key(struct ts_state *s, struct ts_private_key *out)
{
	char text[TS_KEY_TEXT_CAP];
	int changed;

	ts_private_key_generate(out);
	ts_private_key_format(out, text);
	changed = ts_state_set(s, STATE_MACHINE_KEY, text, strlen(text));
	ts_wipe(text, sizeof(text));
	if (changed < 0)
		ts_wipe(out, sizeof(*out));
	return changed < 0 ? changed : 0;
}

int ts_state_forget_machine_key(struct ts_state *s)
{
	return ts_state_set(s, STATE_MACHINE_KEY, NULL, 0);
}

int ts_state_machine_key(struct ts_state *s, struct ts_private_key *out,
			 bool *created, char err[static 128])
{
	size_t len;
	const uint8_t *data = ts_state_get(s, STATE_MACHINE_KEY, &len);
	const char *text = (const char *)data; /* with its spare NUL */

	*created = !data;
	if (!data) {
		int code = make_machine_key(s, out);

		if (code)
			snprintf(err, 128, "out of memory");
		return code;
	}
	if (strlen(text) == len && ts_private_key_parse(text, out) == 0 &&
	    !ts_private_key_is_zero(out))
		return 0;
	ts_wipe(out, sizeof(*out));
	snprintf(err, 128, STATE_MACHINE_KEY " holds no private key");
	return -EBADMSG;
}
