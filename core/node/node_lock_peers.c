/* SPDX-License-Identifier: BSD-3-Clause
 * node_lock_peers.c - which peers Tailnet Lock locks out
 *
 * A peer is judged when the netmap brings or changes it, and all are when the
 * authority changes. A proof is remembered with what it was of: only whether
 * the key that it rests on is still trusted is asked again. Keys that others'
 * rotations replace are looked for at the end of a message, as that depends on
 * all of them.
 * A peer that is locked out is to everybody as if it had been removed. So is
 * one that waits for its turn, as signatures take time.
 * Source: ipn/ipnlocal/tailnet-lock.go (tkaFilterNetmapLocked)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/base/log.h"
#include "core/node/node_internal.h"

static const char waits[] = "not verified yet";

/* What is known of a peer's signature; present while peers are judged. */
struct judged {
	bool is_proven; /* signature is good for key, if authority is trusted */
	bool is_valid;	/* and it was, when last looked at */
	struct ts_public_key key, authority;
	struct ts_tka_hash signature; /* of its text */
	struct ts_nks *rotation;      /* heap: it is one; or NULL */
};

static void free_judged(struct judged *judged)
{
	free(judged->rotation);
	free(judged);
}

void node_lock_peers_deinit(struct ts_node *node)
{
	struct judged *judged;
	size_t pos = 0;

	while ((judged = ts_key_map_next(&node->lock.judged, &pos)))
		free_judged(judged);
	ts_key_map_deinit(&node->lock.judged);
}

static struct judged *entry_of(struct ts_node *node, const struct ts_peer *peer)
{
	struct judged *judged = ts_key_map_get(&node->lock.judged, &peer->id);

	if (judged)
		return judged;
	judged = calloc(1, sizeof(*judged));
	if (judged && ts_key_map_put(&node->lock.judged, &peer->id, judged)) {
		free(judged);
		judged = NULL;
	}
	return judged;
}

/* -- one signature -------------------------------------------------------- */

static int decode(const char *text, struct ts_nks *out)
{
	uint8_t *data;
	size_t len;
	int err = ts_base64_decode(text, strlen(text), &data, &len);

	if (err)
		return err;
	err = ts_nks_read(data, len, out);
	free(data);
	return err;
}

/* NULL, or why not. */
static const char *find_fault(const struct ts_node *node,
			      const struct ts_public_key *key,
			      const char *signature, struct ts_nks *nks)
{
	const char *why = NULL;

	if (!node->lock.tka)
		return "nobody is trusted yet";
	if (!signature || !*signature)
		return "missing signature";
	if (decode(signature, nks))
		return "malformed signature";
	ts_nks_is_valid(nks, ts_tka_state(node->lock.tka), key, &why);
	return why;
}

static bool is_proven_still(const struct ts_node *node,
			    const struct judged *judged,
			    const struct ts_peer *peer,
			    const struct ts_tka_hash *signature)
{
	return judged->is_proven && node->lock.tka &&
	       ts_public_key_equal(&judged->key, &peer->key) &&
	       ts_tka_hash_equal(&judged->signature, signature) &&
	       ts_tka_state_key(ts_tka_state(node->lock.tka),
				&judged->authority);
}

static void note_proof(struct judged *judged, const struct ts_nks *nks)
{
	judged->is_proven = true;
	judged->authority = *ts_nks_authority(nks);
	if (nks->levels[0].kind != TS_NKS_ROTATION)
		return;
	judged->rotation = malloc(sizeof(*nks));
	if (judged->rotation)
		*judged->rotation = *nks;
	else
		judged->is_proven = false; /* or old keys would stay good */
}

/* True when it is valid. */
static bool judge(struct ts_node *node, const struct ts_peer *peer,
		  struct judged *judged, const char **why)
{
	const char *text = peer->key_signature ? peer->key_signature : "";
	struct ts_tka_hash signature;
	struct ts_nks nks;

	*why = NULL;
	ts_tka_hash_of(text, strlen(text), &signature);
	if (is_proven_still(node, judged, peer, &signature))
		return true;
	node->lock.rotations_are_stale |= judged->rotation != NULL;
	free(judged->rotation);
	memset(judged, 0, sizeof(*judged));
	judged->key = peer->key;
	judged->signature = signature;
	if (node->lock.proofs == LOCK_PROOFS_PER_TURN) {
		node->lock.has_unjudged = true;
		*why = waits;
		return false;
	}
	node->lock.proofs++;
	*why = find_fault(node, &peer->key, text, &nks);
	if (*why)
		return false;
	note_proof(judged, &nks);
	node->lock.rotations_are_stale |= judged->rotation != NULL;
	if (!judged->is_proven)
		*why = "out of memory";
	return judged->is_proven;
}

/* -- one peer ------------------------------------------------------------- */

static void set_locked_out(struct ts_node *node, struct ts_peer *peer,
			   const char *why)
{
	if (!peer->is_locked_out && why && why != waits)
		log_info("node-%s: Tailnet Lock: %s is locked out: %s",
			 node->prefs.hostname, peer->name ? peer->name : "?",
			 why);
	peer->is_locked_out = why != NULL;
}

static bool is_exempt(const struct ts_node *node, const struct ts_peer *peer)
{
	return !node_lock_is_enforced(node) || peer->unsigned_peerapi_only;
}

bool node_lock_admits(struct ts_node *node, struct ts_peer *peer)
{
	struct judged *judged;
	const char *why = NULL;

	if (is_exempt(node, peer)) {
		node_lock_forget_peer(node, peer);
		peer->is_locked_out = false;
		return true;
	}
	judged = entry_of(node, peer);
	if (judged)
		judged->is_valid = judge(node, peer, judged, &why);
	else
		why = "out of memory";
	if (!why && ts_rotations_has_replaced(&node->lock.rotations,
					      &peer->key))
		why = "its key was replaced by a newer one";
	set_locked_out(node, peer, why);
	return !why;
}

void node_lock_forget_peer(struct ts_node *node, const struct ts_peer *peer)
{
	struct judged *judged = ts_key_map_take(&node->lock.judged, &peer->id);

	if (!judged)
		return;
	node->lock.rotations_are_stale |= judged->rotation != NULL;
	free_judged(judged);
}

/* -- all peers ------------------------------------------------------------ */

static int collect_rotations(struct ts_node *node)
{
	struct node_lock *lock = &node->lock;
	const struct judged *judged;
	size_t pos = 0;
	int err = 0;

	ts_rotations_deinit(&lock->rotations);
	ts_rotations_init(&lock->rotations, lock->judged.seed);
	while (!err && (judged = ts_key_map_next(&lock->judged, &pos)))
		if (judged->is_valid && judged->rotation)
			err = ts_rotations_add(&lock->rotations,
					       judged->rotation);
	return err ? err : ts_rotations_settle(&lock->rotations);
}

/* Tell the tables, where it makes a difference. */
static void apply_anew(struct ts_node *node, struct ts_peer *peer)
{
	bool was_out = peer->is_locked_out;

	if (node_lock_admits(node, peer) && was_out)
		node_peer_enter(node, peer);
	else if (peer->is_locked_out && !was_out)
		node_peer_leave(node, peer);
}

static void apply_all(struct ts_node *node)
{
	struct ts_peer *peer;
	size_t pos = 0;

	while ((peer = ts_netmap_next_known_peer(ts_node_netmap(node), &pos)))
		apply_anew(node, peer);
}

static void settle_rotations(struct ts_node *node)
{
	if (!node->lock.rotations_are_stale)
		return;
	node->lock.rotations_are_stale = false;
	if (collect_rotations(node))
		log_error("node-%s: Tailnet Lock: out of memory: replaced "
			  "keys may be taken", node->prefs.hostname);
	apply_all(node);
}

void node_lock_settle_peers(struct ts_node *node)
{
	struct node_lock *lock = &node->lock;

	if (lock->is_enforced != node_lock_is_enforced(node)) {
		lock->is_enforced = !lock->is_enforced;
		apply_all(node);
	}
	settle_rotations(node);
	lock->proofs = 0;
}

void node_lock_judge_rest(struct ts_node *node)
{
	node->lock.has_unjudged = false;
	apply_all(node);
	node_lock_settle_peers(node);
	if (node->lock.has_unjudged)
		return;
	node_update_state(node);
	node->io.netmap_changed(node->io_ctx, TS_CHANGED_PEERS);
}

void node_lock_judge_all(struct ts_node *node)
{
	node->lock.is_enforced = node_lock_is_enforced(node);
	node->lock.has_unjudged = false;
	apply_all(node);
	node_lock_settle_peers(node);
	node_lock_judge_self(node);
}

void node_lock_judge_self(struct ts_node *node)
{
	const struct ts_peer *self = ts_node_netmap(node)->self;
	bool was_signed = node->lock.self_is_signed;
	struct ts_nks nks;

	node->lock.self_is_signed =
		self && node->lock.tka &&
		!find_fault(node, &self->key, self->key_signature, &nks);
	if (node->lock.tka && self && !node->lock.self_is_signed &&
	    was_signed)
		log_warn("node-%s: Tailnet Lock: this node's key is no longer "
			 "signed", node->prefs.hostname);
}
