/* SPDX-License-Identifier: BSD-3-Clause
 * tka_rotation.c - node keys that newer ones have replaced
 */
#include "core/tka/tka_rotation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One that goes back to a direct signature. */
struct ts_rotation {
	struct ts_public_key wrapping_key, node_key;
	size_t replaced; /* how many keys were before it */
};

void ts_rotations_init(struct ts_rotations *r, uint64_t seed)
{
	memset(r, 0, sizeof(*r));
	ts_key_map_init(&r->obsolete, TS_KEY_LEN, seed);
}

void ts_rotations_deinit(struct ts_rotations *r)
{
	ts_key_map_deinit(&r->obsolete);
	free(r->list);
	memset(r, 0, sizeof(*r));
}

static int mark(struct ts_rotations *r, const struct ts_public_key *key)
{
	return ts_key_map_put(&r->obsolete, key->bytes, r);
}

bool ts_rotations_has_replaced(const struct ts_rotations *r,
			       const struct ts_public_key *node_key)
{
	return ts_key_map_get(&r->obsolete, node_key->bytes) != NULL;
}

static int append(struct ts_rotations *r, const struct ts_rotation *rotation)
{
	if (r->count == r->cap) {
		size_t cap = r->cap ? r->cap * 2 : 8;
		struct ts_rotation *grown =
			reallocarray(r->list, cap, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		r->list = grown;
		r->cap = cap;
	}
	r->list[r->count++] = *rotation;
	return 0;
}

int ts_rotations_add(struct ts_rotations *r, const struct ts_nks *nks)
{
	const struct ts_nks_level *last = &nks->levels[nks->count - 1];
	struct ts_rotation rotation = {.node_key = nks->levels[0].node_key,
				       .wrapping_key = last->wrapping_key};
	int err = 0;

	if (nks->levels[0].kind != TS_NKS_ROTATION)
		return 0;
	for (size_t i = 1; !err && i < nks->count; i++) {
		if (!nks->levels[i].has_node_key)
			continue;
		rotation.replaced++;
		err = mark(r, &nks->levels[i].node_key);
	}
	/* Many nodes may come in by one wrapped auth key: one credential. */
	if (err || last->kind != TS_NKS_DIRECT)
		return err;
	return append(r, &rotation);
}

static int compare(const void *a, const void *b)
{
	const struct ts_rotation *x = a, *y = b;
	int order = memcmp(x->wrapping_key.bytes, y->wrapping_key.bytes,
			   TS_KEY_LEN);

	if (order)
		return order;
	return (x->replaced < y->replaced) - (x->replaced > y->replaced);
}

static bool same_wrapping_key(const struct ts_rotation *a,
			      const struct ts_rotation *b)
{
	return ts_public_key_equal(&a->wrapping_key, &b->wrapping_key);
}

/* Those of one wrapping key, the longest first. */
static int settle_group(struct ts_rotations *r,
			const struct ts_rotation *group, size_t count)
{
	bool is_tie = count > 1 && group[0].replaced == group[1].replaced;
	int err = 0;

	for (size_t i = is_tie ? 0 : 1; !err && i < count; i++)
		err = mark(r, &group[i].node_key);
	return err;
}

int ts_rotations_settle(struct ts_rotations *r)
{
	size_t kept = 0, from = 0;
	int err = 0;

	for (size_t i = 0; i < r->count; i++)
		if (!ts_rotations_has_replaced(r, &r->list[i].node_key))
			r->list[kept++] = r->list[i];
	r->count = kept;
	if (r->count > 0)
		qsort(r->list, r->count, sizeof(*r->list), compare);
	for (size_t i = 1; !err && i <= r->count; i++) {
		if (i < r->count &&
		    same_wrapping_key(&r->list[from], &r->list[i]))
			continue;
		err = settle_group(r, r->list + from, i - from);
		from = i;
	}
	return err;
}
