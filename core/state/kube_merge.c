/* SPDX-License-Identifier: BSD-3-Clause
 * kube_merge.c - what others changed in a Secret that holds our state
 *
 * An entry is somebody else's change when it is neither as we saw it last, nor
 * as the state has it, nor as a change of ours may have made it whose answer
 * got lost. Kubernetes' own tools keep entries beside ours (an operator notes
 * the node's addresses there): those are taken over, unless the state has
 * changed them too.
 */
#include "core/state/kube_merge.h"

#include <string.h>

#include "core/crypto/secret.h"
#include "core/state/state_map.h"

static bool is_same(const struct ts_state *a, const struct ts_state *b,
		    const char *key)
{
	size_t a_len, b_len;
	const uint8_t *in_a = ts_state_get(a, key, &a_len);
	const uint8_t *in_b = ts_state_get(b, key, &b_len);

	if (!in_a || !in_b)
		return !in_a && !in_b;
	return a_len == b_len && ts_secret_equal(in_a, in_b, a_len);
}

bool ts_state_is_equal(const struct ts_state *a, const struct ts_state *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!is_same(a, b, a->entries[i].key))
			return false;
	return true;
}

static bool is_foreign(const struct ts_kube_versions *v,
		       const struct ts_state *theirs, const char *key)
{
	return !is_same(theirs, v->known, key) &&
	       !is_same(theirs, v->state, key) &&
	       !(v->sent && is_same(theirs, v->sent, key));
}

/* What makes a node this node. */
static bool is_identity(const char *key)
{
	return strcmp(key, "_machinekey") == 0 ||
	       strcmp(key, "_profiles") == 0 ||
	       strcmp(key, "_current-profile") == 0 ||
	       strncmp(key, "profile-", strlen("profile-")) == 0;
}

/* One that was deleted does not count: ours is written again. */
const char *ts_kube_find_taken(const struct ts_kube_versions *v,
			       const struct ts_state *theirs)
{
	for (size_t i = 0; i < theirs->count; i++) {
		const char *key = theirs->entries[i].key;

		if (is_identity(key) && is_foreign(v, theirs, key))
			return key;
	}
	return NULL;
}

static int take_over(const struct ts_kube_versions *v,
		     const struct ts_state *theirs, const char *key)
{
	size_t len;
	const uint8_t *data = ts_state_get(theirs, key, &len);
	int code;

	if (is_identity(key) || !is_same(v->state, v->known, key) ||
	    !is_foreign(v, theirs, key))
		return 0;
	code = ts_state_set(v->state, key, data, len);
	return code < 0 ? code : 0;
}

int ts_kube_merge(const struct ts_kube_versions *v,
		  const struct ts_state *theirs)
{
	int code = 0;

	for (size_t i = 0; i < theirs->count && !code; i++)
		code = take_over(v, theirs, theirs->entries[i].key);
	for (size_t i = 0; i < v->known->count && !code; i++)
		code = take_over(v, theirs, v->known->entries[i].key);
	return code;
}
