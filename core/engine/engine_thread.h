/* SPDX-License-Identifier: BSD-3-Clause
 * engine_thread.h - an engine on a thread inside somebody else's program
 */
#ifndef CORE_ENGINE_ENGINE_THREAD_H
#define CORE_ENGINE_ENGINE_THREAD_H

#include <pthread.h>

#include "core/engine/engine.h"

struct ts_engine_control; /* engine_thread.c */

struct ts_engine_thread {
	/* NULL: none. Other threads may ask for its names; to stop it is for
	 * ts_engine_thread_close(). */
	struct ts_engine *engine;
	struct ts_engine_control *control;
	pthread_t thread;
	bool shares_files; /* its descriptors are in the program's table */
};

/* Starts a thread with all signals blocked and descriptors of its own, opens
 * the engine on it and runs it. Takes config's contents in every case.
 *   begin  called on the new thread first of all, or NULL
 *   state  as ts_engine_watch_state(), from the beginning, or NULL
 * out->engine is set before state is called. 0 or a negative errno with one
 * line in err, as ts_engine_open(); -ETIMEDOUT when that does not return. */
int ts_engine_thread_open(struct ts_engine_thread *out,
			  struct ts_config *config, void (*begin)(void),
			  ts_engine_state_fn state, void *state_ctx,
			  char err[static 256]);
/* Calls fn on the engine's thread and waits for the end of it. Any thread but
 * that one, several at once; not after ts_engine_thread_close(). 0, or what
 * kept it from being called: -ENETDOWN (the engine has ended), -ENOMEM. */
int ts_engine_thread_call(const struct ts_engine_thread *t,
			  void (*fn)(struct ts_engine *engine, void *ctx),
			  void *ctx);
/* Drain, log out, stop; waits for the end. Any thread; once. Calls that come
 * after that end, or have not been made by then, are refused. */
void ts_engine_thread_stop(struct ts_engine_thread *t);
/* Stops if that has not been done, and frees. */
void ts_engine_thread_close(struct ts_engine_thread *t);

#endif
