/* SPDX-License-Identifier: BSD-3-Clause
 * node_lock_admin.h - what a person does to Tailnet Lock from this node
 *
 * What takes a function asks the control server; it is called once, at once or
 * later, with NULL or with why it did not work. The changes themselves come by
 * the netmap. The others are done here alone (node_lock_alone.c).
 * Source: ipn/ipnlocal/tailnet-lock.go (TailnetLock{Init,Sign,Modify,...})
 */
#ifndef CORE_NODE_NODE_LOCK_ADMIN_H
#define CORE_NODE_NODE_LOCK_ADMIN_H

#include "core/node/node.h"

typedef void (*ts_lock_fn)(void *ctx, const char *error);
typedef void (*ts_lock_signatures_fn)(void *ctx, const char *error,
				      const json_t *signatures);

/* Lock the tailnet, with these keys and disablement values; its ID is chosen
 * here. support: base64 of a secret for the server's people, or NULL. */
void ts_node_lock_init(struct ts_node *node, struct ts_tka_state *state,
		       const char *support, ts_lock_fn fn, void *ctx,
		       uint64_t now_ms);
/* rotation_key: what may sign the node's next key, or NULL. */
void ts_node_lock_sign(struct ts_node *node, const struct ts_public_key *key,
		       const struct ts_public_key *rotation_key, ts_lock_fn fn,
		       void *ctx, uint64_t now_ms);
void ts_node_lock_modify(struct ts_node *node, const struct ts_tka_key *add,
			 size_t add_count, const struct ts_tka_key *remove,
			 size_t remove_count, ts_lock_fn fn, void *ctx,
			 uint64_t now_ms);
void ts_node_lock_disable(struct ts_node *node, const void *secret, size_t len,
			  ts_lock_fn fn, void *ctx, uint64_t now_ms);
/* The signatures that rest on a key: a list of base64 texts, each checked. */
void ts_node_lock_affected(struct ts_node *node,
			   const struct ts_public_key *key,
			   ts_lock_signatures_fn fn, void *ctx,
			   uint64_t now_ms);
/* An auth key with a credential by that key: heap text, which the caller wipes;
 * NULL with *error set. */
char *ts_node_lock_wrap(const struct ts_node *node, const char *auth_key,
			const struct ts_nl_private_key *signer,
			const char **error);
/* tka_builder.h: an update for others to sign as well, or NULL with *error
 * set; the caller frees it. */
struct ts_tka_aum *ts_node_lock_make_recovery(const struct ts_node *node,
					      const struct ts_public_key *keys,
					      size_t count,
					      const struct ts_tka_hash *from,
					      const char **error);
struct ts_tka_aum *ts_node_lock_cosign(const struct ts_node *node,
				       const struct ts_tka_aum *aum,
				       const char **error);
void ts_node_lock_submit(struct ts_node *node, const struct ts_tka_aum *aum,
			 ts_lock_fn fn, void *ctx, uint64_t now_ms);
/* This node alone takes the tailnet for unlocked from now on. NULL, or why
 * not. */
const char *ts_node_lock_disable_locally(struct ts_node *node,
					 uint64_t now_ms);

#endif
