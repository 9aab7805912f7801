/* SPDX-License-Identifier: BSD-3-Clause
 * tka_state.c - what the authority is at one point of its chain
 */
#include "core/tka/tka_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/crypto/argon2i.h"
#include "core/crypto/secret.h"
#include "core/tka/cbor.h"

enum {
	STATE_LAST_AUM_HASH = 1,
	STATE_DISABLEMENT_VALUES = 2,
	STATE_KEYS = 3,
	STATE_ID1 = 4,
	STATE_ID2 = 5,
};

static const char disablement_salt[] =
	"tailscale network-lock disablement salt";

static int read_disablements(struct ts_reader *r, struct ts_tka_state *out)
{
	size_t count = ts_cbor_read_array(r);

	if (count == 0 || count > TS_TKA_DISABLEMENTS_MAX) {
		ts_cbor_fail(r);
		return 0;
	}
	out->disablements = calloc(count, sizeof(*out->disablements));
	if (!out->disablements)
		return -ENOMEM;
	out->disablement_count = count;
	for (size_t i = 0; i < count; i++) {
		ts_cbor_read_fixed(r, out->disablements[i].bytes,
				   TS_TKA_DISABLEMENT_LEN);
		for (size_t k = 0; k < i; k++)
			if (memcmp(&out->disablements[i],
				   &out->disablements[k],
				   TS_TKA_DISABLEMENT_LEN) == 0)
				ts_cbor_fail(r);
	}
	return 0;
}

static int read_keys(struct ts_reader *r, struct ts_tka_state *out)
{
	size_t count = ts_cbor_read_array(r);

	if (count == 0 || count > TS_TKA_KEYS_MAX) {
		ts_cbor_fail(r);
		return 0;
	}
	out->keys = calloc(count, sizeof(*out->keys));
	if (!out->keys)
		return -ENOMEM;
	for (size_t i = 0; i < count && !r->bad; i++) {
		struct ts_tka_key key;

		ts_tka_key_read(r, &key);
		if (ts_tka_state_key(out, &key.public))
			ts_cbor_fail(r);
		out->keys[out->key_count++] = key;
	}
	return 0;
}

/* Zero is written by leaving it out. */
static uint64_t read_id(struct ts_reader *r)
{
	uint64_t id = ts_cbor_read_uint(r);

	if (id == 0)
		ts_cbor_fail(r);
	return id;
}

int ts_tka_state_read(struct ts_reader *r, struct ts_tka_state *out)
{
	struct ts_cbor_map map;
	bool has_last = false;
	uint64_t key;
	int err = 0;

	memset(out, 0, sizeof(*out));
	ts_cbor_map_open(r, &map);
	while (!err && ts_cbor_map_next(r, &map, &key)) {
		switch (key) {
		case STATE_LAST_AUM_HASH: /* is the checkpoint itself */
			has_last = ts_cbor_read_null(r);
			break;
		case STATE_DISABLEMENT_VALUES:
			err = read_disablements(r, out);
			break;
		case STATE_KEYS:
			err = read_keys(r, out);
			break;
		case STATE_ID1:
			out->id1 = read_id(r);
			break;
		case STATE_ID2:
			out->id2 = read_id(r);
			break;
		default:
			ts_cbor_skip(r);
		}
	}
	if (!err && (!has_last || !out->keys || !out->disablements))
		ts_cbor_fail(r);
	return err;
}

void ts_tka_state_write(struct ts_writer *w, const struct ts_tka_state *state)
{
	ts_cbor_write_map(w, (size_t)3 + (state->id1 != 0) +
				     (state->id2 != 0));
	ts_cbor_write_uint(w, STATE_LAST_AUM_HASH);
	ts_cbor_write_null(w);
	ts_cbor_write_uint(w, STATE_DISABLEMENT_VALUES);
	ts_cbor_write_array(w, state->disablement_count);
	for (size_t i = 0; i < state->disablement_count; i++)
		ts_cbor_write_bytes(w, state->disablements[i].bytes,
				    TS_TKA_DISABLEMENT_LEN);
	ts_cbor_write_uint(w, STATE_KEYS);
	ts_cbor_write_array(w, state->key_count);
	for (size_t i = 0; i < state->key_count; i++)
		ts_tka_key_write(w, &state->keys[i]);
	if (state->id1) {
		ts_cbor_write_uint(w, STATE_ID1);
		ts_cbor_write_uint(w, state->id1);
	}
	if (state->id2) {
		ts_cbor_write_uint(w, STATE_ID2);
		ts_cbor_write_uint(w, state->id2);
	}
}

int ts_tka_state_copy(struct ts_tka_state *to, const struct ts_tka_state *from)
{
	struct ts_tka_state copy = {
		.disablement_count = from->disablement_count,
		.id1 = from->id1,
		.id2 = from->id2,
	};

	memset(to, 0, sizeof(*to));
	copy.keys = calloc(from->key_count + 1, sizeof(*copy.keys));
	copy.disablements = calloc(from->disablement_count + 1,
				   sizeof(*copy.disablements));
	if (!copy.keys || !copy.disablements) {
		free(copy.keys);
		free(copy.disablements);
		return -ENOMEM;
	}
	for (; copy.key_count < from->key_count; copy.key_count++)
		ts_tka_key_copy(&copy.keys[copy.key_count],
				&from->keys[copy.key_count]);
	for (size_t i = 0; i < from->disablement_count; i++)
		copy.disablements[i] = from->disablements[i];
	*to = copy;
	return 0;
}

void ts_tka_state_deinit(struct ts_tka_state *state)
{
	for (size_t i = 0; i < state->key_count; i++)
		ts_tka_key_deinit(&state->keys[i]);
	free(state->keys);
	free(state->disablements);
	memset(state, 0, sizeof(*state));
}

struct ts_tka_key *ts_tka_state_key(const struct ts_tka_state *state,
				    const struct ts_public_key *id)
{
	for (size_t i = 0; i < state->key_count; i++)
		if (memcmp(state->keys[i].public.bytes, id->bytes,
			   TS_KEY_LEN) == 0)
			return &state->keys[i];
	return NULL;
}

int ts_tka_state_add_key(struct ts_tka_state *state, struct ts_tka_key *key)
{
	struct ts_tka_key *grown;
	int err = 0;

	if (ts_tka_state_key(state, &key->public))
		err = -EEXIST;
	else if (state->key_count >= TS_TKA_KEYS_MAX)
		err = -EMSGSIZE;
	grown = err ? NULL
		    : reallocarray(state->keys, state->key_count + 1,
				   sizeof(*grown));
	if (!grown) {
		ts_tka_key_deinit(key);
		return err ? err : -ENOMEM;
	}
	state->keys = grown;
	grown[state->key_count++] = *key;
	memset(key, 0, sizeof(*key));
	return 0;
}

int ts_tka_state_remove_key(struct ts_tka_state *state,
			    const struct ts_public_key *id)
{
	struct ts_tka_key *key = ts_tka_state_key(state, id);
	size_t after;

	if (!key)
		return -ENOENT;
	after = state->key_count - (size_t)(key - state->keys) - 1;
	ts_tka_key_deinit(key);
	memmove(key, key + 1, after * sizeof(*key)); /* order is kept */
	state->key_count--;
	return 0;
}

int ts_tka_disablement_of(const void *secret, size_t len,
			  struct ts_tka_disablement *out)
{
	static const struct ts_argon2i_cost cost = {
		.passes = 4, .memory_kib = 16 * 1024, .lanes = 4};

	return ts_argon2i(&cost, secret, len, disablement_salt,
			  sizeof(disablement_salt) - 1, out->bytes,
			  sizeof(out->bytes));
}

int ts_tka_state_check_secret(const struct ts_tka_state *state,
			      const void *secret, size_t len)
{
	struct ts_tka_disablement derived;
	int err = ts_tka_disablement_of(secret, len, &derived);
	bool fits = false;

	for (size_t i = 0; !err && i < state->disablement_count; i++)
		fits |= ts_secret_equal(derived.bytes,
					state->disablements[i].bytes,
					TS_TKA_DISABLEMENT_LEN);
	if (err)
		return err;
	return fits ? 0 : -EACCES;
}
