/* SPDX-License-Identifier: BSD-3-Clause
 * node_lock.h - Tailnet Lock: only nodes that somebody trusted vouches for
 *
 *	node_lock        the authority: opened, begun, ended, asked
 *	node_lock_sync   how it follows the control server's
 *	node_lock_json   what is said to the server for that
 *	node_lock_peers  which peers are locked out
 *	node_lock_keys   our own key's signatures
 *	node_lock_admin  what a person does to the lock from here
 *
 * While the tailnet has a lock and we have no authority yet (or none that can
 * be read) nobody is trusted that needs a signature. Upstream trusts everybody
 * then; but a server that keeps the genesis back would have turned the lock
 * off by that.
 * Source: ipn/ipnlocal/tailnet-lock.go
 */
#ifndef CORE_NODE_NODE_LOCK_H
#define CORE_NODE_NODE_LOCK_H

#include "core/control/control_client.h"
#include "core/tka/tka.h"
#include "core/tka/tka_rotation.h"

struct ts_node;

/* What the control server answered. */
struct node_lock_answer {
	const char *error; /* NULL: there is an answer */
	int status;
	const char *body;
	size_t len;
};

enum node_lock_step { LOCK_IDLE, LOCK_BOOTSTRAP, LOCK_OFFER, LOCK_SEND };

enum {
	LOCK_PROBLEM_CAP = 200,
	/* Signatures verified in one go, a few milliseconds each hundred: a
	 * large tailnet is not to hold up everything else. */
	LOCK_PROOFS_PER_TURN = 256,
};

struct node_lock {
	struct ts_tka *tka;	 /* NULL: none */
	struct ts_tka_disk disk; /* .put NULL: the chain stays in memory */
	bool is_damaged;	 /* what is stored cannot be read */
	bool is_disallowed;	 /* switched off by a person, on this node */

	enum node_lock_step step;
	bool is_asking;	    /* an answer is to come ... */
	bool is_stale;	    /* ... to a question of another profile */
	bool has_begun;	    /* in this round of requests */
	bool is_closing;    /* the node goes: answers do not matter */
	bool is_settled;    /* the first round has ended, one way or another */
	/* The server's head as this round began; and as the last one did that
	 * has ended. It may be another one by now. */
	char *round_head, *done_head;
	unsigned failures;  /* in a row */
	uint64_t retry_ms;  /* no round before */
	char problem[LOCK_PROBLEM_CAP]; /* of the last round; "": none */

	struct ts_key_map judged; /* node ID -> struct judged */
	struct ts_rotations rotations;
	bool rotations_are_stale;
	unsigned proofs;    /* made in this turn */
	bool has_unjudged;  /* some peers wait for the next turn, locked out */
	bool is_enforced;   /* as the peers were judged */
	bool self_is_signed;
};

/* node_lock.c */
/* As below, for another profile: what was known is forgotten. */
void node_lock_restart(struct ts_node *node, struct ts_tka_chonk *chonk,
		       bool is_damaged);
/* Takes chonk: what was stored, or empty, with the disk for more; NULL: kept
 * in memory. is_damaged: something stored could not be read. */
void node_lock_init(struct ts_node *node, struct ts_tka_chonk *chonk,
		    bool is_damaged);
void node_lock_deinit(struct ts_node *node);
/* "ID1:ID2" */
void node_lock_state_id(const struct ts_tka *tka, char out[static 48]);
/* Does the tailnet have a lock, as far as we are concerned? */
bool node_lock_is_wanted(const struct ts_node *node);
/* Are peers judged? */
bool node_lock_is_enforced(const struct ts_node *node);
/* Nobody knows yet who may be spoken with. */
bool node_lock_is_pending(const struct ts_node *node);
/* The server gave us the genesis / the secret that ends the authority: 0 or a
 * negative errno, with the reason in problem. */
int node_lock_begin(struct ts_node *node, const uint8_t *genesis, size_t len);
int node_lock_end(struct ts_node *node, const uint8_t *secret, size_t len);
/* The authority is another one, or has another head. */
void node_lock_changed(struct ts_node *node);

/* Errors, as upstream has them. */
#define NODE_LOCK_NOT_ACTIVE "tailnet-lock is not active"
#define NODE_LOCK_NO_MEMORY "out of memory"
/* What this node signs with. */
const struct ts_nl_private_key *node_lock_own_key(const struct ts_node *node);

/* node_lock_sync.c */
void node_lock_follow(struct ts_node *node);
uint64_t node_lock_deadline_ms(const struct ts_node *node);
void node_lock_tick(struct ts_node *node);

/* node_lock_json.c: bodies are heap text, NULL when out of memory */
json_t *node_lock_body(const struct ts_node *node); /* to begin one */
json_t *node_lock_head(const struct ts_node *node); /* "": none */
char *node_lock_bootstrap_body(const struct ts_node *node);
char *node_lock_offer_body(const struct ts_node *node);
char *node_lock_send_body(const struct ts_node *node,
			  const struct ts_tka_aum *const *aums, size_t count,
			  bool is_interactive);
struct node_lock_bootstrap_reply { /* NULL: was not there */
	uint8_t *genesis, *secret;
	size_t genesis_len, secret_len;
};
struct node_lock_offer_reply {
	struct ts_tka_offer offer;
	struct ts_tka_update *missing; /* each on the heap */
	size_t missing_count;
};
/* 0, -EBADMSG, -ENOMEM; deinit only after 0. */
int node_lock_read_bootstrap(const char *json, size_t len,
			     struct node_lock_bootstrap_reply *out);
void node_lock_bootstrap_deinit(struct node_lock_bootstrap_reply *reply);
int node_lock_read_offer(const char *json, size_t len,
			 struct node_lock_offer_reply *out);
void node_lock_offer_deinit(struct node_lock_offer_reply *reply);
int node_lock_read_head(const char *json, size_t len, struct ts_tka_hash *out);

/* node_lock_peers.c */
/* The peer is new or changed: sets is_locked_out, and says no for it. */
bool node_lock_admits(struct ts_node *node, struct ts_peer *peer);
void node_lock_forget_peer(struct ts_node *node, const struct ts_peer *peer);
/* What the last changes mean for others: keys that were replaced. */
void node_lock_settle_peers(struct ts_node *node);
/* The authority has changed: all of them. */
void node_lock_judge_all(struct ts_node *node);
/* A turn for those who wait. */
void node_lock_judge_rest(struct ts_node *node);
void node_lock_judge_self(struct ts_node *node);
void node_lock_peers_deinit(struct ts_node *node);

/* node_lock_keys.c: as in ts_control_ops.sign_node_key */
char *node_lock_sign_key(const struct ts_node *node,
			 const struct ts_public_key *key,
			 const char *old_signature, const char *auth_key);

#endif
