/* SPDX-License-Identifier: BSD-3-Clause
 * program_ops.h - what a program that has the node inside does itself
 *
 * The functions are called on the engine's thread; what the program has given
 * runs on another one (api_calls.c), which has the program's descriptors and
 * may take its time.
 */
#ifndef CORE_ENGINE_PROGRAM_OPS_H
#define CORE_ENGINE_PROGRAM_OPS_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/log.h"

struct ts_program_ops {
	void *ctx;
	/* NULL: the log goes where the settings say. Does not wait. */
	void (*log)(void *ctx, enum ts_log_level level, const char *line);
	/* The state, by its keys; read NULL: kept where the settings say.
	 * Waits, at most wait_ms: 0 and heap data, which is to be wiped;
	 * -ENOENT, -ETIMEDOUT, or the program's own -errno. */
	int (*read)(void *ctx, const char *key, unsigned wait_ms,
		    uint8_t **out, size_t *len);
	/* data NULL: it goes. With then, does not wait, and then(then_ctx) is
	 * called later, with what write would have returned; unless it returns
	 * an error at once. Without, waits as above. */
	int (*write)(void *ctx, const char *key, const void *data, size_t len,
		     unsigned wait_ms, void (*then)(void *ctx, int code),
		     void *then_ctx);
};

#endif
