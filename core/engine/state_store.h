/* SPDX-License-Identifier: BSD-3-Clause
 * state_store.h - where the node's state is kept: a file, memory, a Secret
 *
 * The state itself is the caller's struct ts_state; a store brings it in once
 * and then keeps a copy of it. What cannot be kept at once is tried again, and
 * the node goes on meanwhile.
 */
#ifndef CORE_ENGINE_STATE_STORE_H
#define CORE_ENGINE_STATE_STORE_H

#include <stdbool.h>

#include "core/io/http_client.h"
#include "core/loop/loop.h"
#include "core/state/state_file.h"

struct state_store;

/* What a kind of store has; struct state_store is its first member. */
struct state_store_ops {
	int (*load)(struct state_store *s, char err[static 256]);
	void (*save)(struct state_store *s);
	int (*save_now)(struct state_store *s, char err[static 256]);
	void (*finish)(struct state_store *s);
	bool (*is_finished)(const struct state_store *s);
	void (*free)(struct state_store *s);
};
struct state_store {
	const struct state_store_ops *ops;
	struct ts_state *state; /* the caller's, outlives the store */
	char *name;		/* for messages */
	/* Why the state is not kept; "": it is. */
	char trouble[256];
};

/* NULL: out of memory. */
struct state_store *state_store_memory(struct ts_state *state);
/* path: of tailscaled.state, in a directory whose lock we hold. */
struct state_store *state_store_file(struct ts_state *state,
				     struct ts_loop *loop, const char *path);

/* The stored state, if there is one, into the state. May take a while where it
 * comes from elsewhere: bounded, and the loop runs meanwhile. 0, or why not in
 * err: then nothing may be saved. */
int state_store_load(struct state_store *s, char err[static 256]);
/* The state has changed. Does not wait; what fails is told in the log, once. */
void state_store_save(struct state_store *s);
/* The same, and back when it is kept: 0, or why it is not in err. */
int state_store_save_now(struct state_store *s, char err[static 256]);
/* Nothing more will change: try once more what is not kept yet. */
void state_store_finish(struct state_store *s);
/* After that: there is nothing to wait for. */
bool state_store_is_finished(const struct state_store *s);
/* NULL is fine. Saves nothing. */
void state_store_free(struct state_store *s);

/* For stores: tells a new trouble ("": it is over) in the log. */
void state_store_set_trouble(struct state_store *s, const char *trouble);

#endif
