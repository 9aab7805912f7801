/* SPDX-License-Identifier: BSD-3-Clause
 * program_store.h - the state in a store of the program's own
 */
#ifndef CORE_ENGINE_PROGRAM_STORE_H
#define CORE_ENGINE_PROGRAM_STORE_H

#include "core/engine/program_ops.h"
#include "core/engine/state_store.h"

/* ops outlives it. NULL: out of memory. */
struct state_store *program_store_new(struct ts_state *state,
				      struct ts_loop *loop,
				      const struct ts_program_ops *ops);

#endif
