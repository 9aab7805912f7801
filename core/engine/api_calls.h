/* SPDX-License-Identifier: BSD-3-Clause
 * api_calls.h - the functions that a program gave us, and the thread they run on
 */
#ifndef CORE_ENGINE_API_CALLS_H
#define CORE_ENGINE_API_CALLS_H

#include <stdbool.h>

#include "core/engine/engine_thread.h"
#include "core/engine/program_ops.h"
#include "tsnet.h"

/* What the program gave; all may be NULL. */
struct api_given {
	tsnet_log_fn log, user_log;
	void *log_ctx, *user_log_ctx;
	bool has_store;
	struct tsnet_store store;
};

struct api_calls;

/* Starts the thread. host: the engine's, for words back to it, from its start
 * to api_calls_stop(). 0, -ENOMEM or what kept the thread from being made. */
int api_calls_start(struct api_calls **out, const struct api_given *given,
		    struct ts_engine_thread *host);
/* For ts_config; lives as long as calls. */
const struct ts_program_ops *api_calls_ops(const struct api_calls *calls);
/* A line of the user's log, from any thread. */
void api_calls_tell_user(struct api_calls *calls, enum ts_log_level level,
			 const char *line);
/* Is this the thread that was started with this host? */
bool api_calls_is_here(const struct ts_engine_thread *host);
/* Everything is said and written, or refused. Frees. NULL is fine. */
void api_calls_stop(struct api_calls *calls);
/* The same, for an engine that may come back late: it finds nobody, and what it
 * holds stays allocated. */
void api_calls_abandon(struct api_calls *calls);

#endif
