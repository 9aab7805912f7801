/* SPDX-License-Identifier: BSD-3-Clause
 * node_lock.c - Tailnet Lock: the authority, opened, begun, ended, asked
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/node/node_internal.h"

static void set_damaged(struct ts_node *node, const char *why)
{
	struct node_lock *lock = &node->lock;

	lock->is_damaged = true;
	snprintf(lock->problem, sizeof(lock->problem),
		 "Tailnet Lock: the stored chain cannot be read (%s): no peer "
		 "is trusted", why);
	log_error("node-%s: %s", node->prefs.hostname, lock->problem);
}

static void tell_head(struct ts_node *node)
{
	char text[TS_TKA_HASH_TEXT_CAP] = "";
	struct ts_tka_hash head;

	if (node->lock.tka) {
		ts_tka_head(node->lock.tka, &head);
		ts_tka_hash_format(&head, text);
	}
	ts_control_set_tka_head(node->control, text, node->now_ms);
}

void node_lock_init(struct ts_node *node, struct ts_tka_chonk *chonk,
		    bool is_damaged)
{
	struct node_lock *lock = &node->lock;
	char text[TS_TKA_HASH_TEXT_CAP];
	struct ts_tka_hash head;
	int err = -ENOENT;

	ts_key_map_init(&lock->judged, sizeof(int64_t), ts_random_u64());
	ts_rotations_init(&lock->rotations, ts_random_u64());
	if (chonk) {
		lock->disk = chonk->disk;
		err = ts_tka_open(chonk, &lock->tka);
	}
	if (is_damaged || (err && err != -ENOENT)) {
		set_damaged(node, is_damaged ? "damaged files"
					     : ts_strerror(err));
		ts_tka_free(lock->tka);
		lock->tka = NULL;
	}
	if (!lock->tka)
		return;
	ts_tka_head(lock->tka, &head);
	log_info("node-%s: Tailnet Lock: stored head %s", node->prefs.hostname,
		 ts_tka_hash_format(&head, text));
	tell_head(node);
}

void node_lock_deinit(struct ts_node *node)
{
	struct node_lock *lock = &node->lock;

	node_lock_peers_deinit(node);
	ts_rotations_deinit(&lock->rotations);
	ts_key_map_deinit(&lock->judged);
	ts_tka_free(lock->tka);
	free(lock->round_head);
	free(lock->done_head);
}

void node_lock_restart(struct ts_node *node, struct ts_tka_chonk *chonk,
		       bool is_damaged)
{
	bool is_asking = node->lock.is_asking;

	node_lock_deinit(node);
	memset(&node->lock, 0, sizeof(node->lock));
	node->lock.is_asking = node->lock.is_stale = is_asking;
	node_lock_init(node, chonk, is_damaged);
	node_lock_changed(node);
	node_lock_follow(node);
}

bool node_lock_is_wanted(const struct ts_node *node)
{
	const struct ts_netmap *map = ts_node_netmap(node);

	/* Who has an authority does not lose it by losing a capability. */
	return map->tka_enabled && !node->lock.is_disallowed &&
	       (node->lock.tka ||
		(map->self && ts_peer_has_cap(map->self, TS_CAP_TAILNET_LOCK)));
}

bool node_lock_is_enforced(const struct ts_node *node)
{
	return node->lock.tka || node->lock.is_damaged ||
	       node_lock_is_wanted(node);
}

bool node_lock_is_pending(const struct ts_node *node)
{
	return (!node->lock.is_settled || node->lock.has_unjudged) &&
	       !node->lock.is_damaged && node_lock_is_wanted(node);
}

void node_lock_changed(struct ts_node *node)
{
	tell_head(node);
	node_lock_judge_all(node);
	node_update_state(node);
	node->io.netmap_changed(node->io_ctx,
				TS_CHANGED_TKA | TS_CHANGED_PEERS);
}

static int fail(struct node_lock *lock, int err, const char *what,
		const char *why)
{
	snprintf(lock->problem, sizeof(lock->problem), "Tailnet Lock: %s: %s",
		 what, why ? why : ts_strerror(err));
	return err;
}

void node_lock_state_id(const struct ts_tka *tka, char out[static 48])
{
	const struct ts_tka_state *state = ts_tka_state(tka);

	snprintf(out, 48, "%llu:%llu", (unsigned long long)state->id1,
		 (unsigned long long)state->id2);
}

/* An authority that a person has switched off on this node stays off. */
static bool is_disallowed(const struct ts_node *node, const struct ts_tka *tka)
{
	const json_t *config = json_object_get(node->prefs.unknown, "Config");
	const json_t *list = json_object_get(config, "DisallowedTKAStateIDs");
	const json_t *entry;
	char id[48];
	size_t i;

	node_lock_state_id(tka, id);
	json_array_foreach (list, i, entry)
		if (json_is_string(entry) &&
		    strcmp(json_string_value(entry), id) == 0)
			return true;
	return false;
}

int node_lock_begin(struct ts_node *node, const uint8_t *genesis, size_t len)
{
	struct node_lock *lock = &node->lock;
	struct ts_tka_chonk *chonk = ts_tka_chonk_new(&lock->disk);
	struct ts_tka *tka;
	const char *why;
	int err;

	if (!chonk)
		return fail(lock, -ENOMEM, "genesis", NULL);
	err = ts_tka_bootstrap(chonk, genesis, len, node_wall_s(node), &tka,
			       &why);
	if (err)
		return fail(lock, err, "genesis", why);
	if (is_disallowed(node, tka)) {
		ts_tka_remove_all(tka);
		ts_tka_free(tka);
		lock->is_disallowed = true;
		log_warn("node-%s: Tailnet Lock stays off on this node, as it "
			 "was disabled here", node->prefs.hostname);
		node_lock_changed(node);
		return 0;
	}
	lock->tka = tka;
	log_info("node-%s: Tailnet Lock is on, %zu keys are trusted",
		 node->prefs.hostname, ts_tka_state(tka)->key_count);
	node_lock_changed(node);
	return 0;
}

int node_lock_end(struct ts_node *node, const uint8_t *secret, size_t len)
{
	struct node_lock *lock = &node->lock;
	int err = ts_tka_state_check_secret(ts_tka_state(lock->tka), secret,
					    len);

	if (err)
		return fail(lock, err, "the server wants it disabled",
			    err == -EACCES ? "its secret is wrong" : NULL);
	err = ts_tka_remove_all(lock->tka);
	if (err)
		return fail(lock, err, "cannot be removed", NULL);
	ts_tka_free(lock->tka);
	lock->tka = NULL;
	log_warn("node-%s: Tailnet Lock was disabled", node->prefs.hostname);
	node_lock_changed(node);
	return 0;
}

const struct ts_nl_private_key *node_lock_own_key(const struct ts_node *node)
{
	return &node->prefs.persist.nl_key;
}

/* -- for others ----------------------------------------------------------- */

void ts_node_set_tka(struct ts_node *node, struct ts_tka_chonk *chonk,
		     bool is_damaged, uint64_t now_ms)
{
	node->now_ms = now_ms;
	node_lock_restart(node, chonk, is_damaged);
}

const struct ts_tka *ts_node_tka(const struct ts_node *node)
{
	return node->lock.tka;
}

bool ts_node_key_is_signed(const struct ts_node *node)
{
	return node->lock.self_is_signed;
}

const char *ts_node_lock_problem(const struct ts_node *node)
{
	const struct node_lock *lock = &node->lock;

	if (*lock->problem)
		return lock->problem;
	if (!lock->tka && node_lock_is_wanted(node))
		return "Tailnet Lock is on and its chain is not here yet: no "
		       "peer is trusted";
	if (lock->tka && ts_node_netmap(node)->self && !lock->self_is_signed)
		return "this node is locked out; it will not have "
		       "connectivity until it is signed. For more info, see "
		       "https://tailscale.com/s/locked-out";
	return NULL;
}
