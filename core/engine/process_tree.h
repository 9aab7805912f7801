/* SPDX-License-Identifier: BSD-3-Clause
 * process_tree.h - the command that tsrun runs, and what descends from it
 */
#ifndef CORE_ENGINE_PROCESS_TREE_H
#define CORE_ENGINE_PROCESS_TREE_H

#include <stdbool.h>

#include "core/loop/loop.h"

/* What the command's environment gets (and its descendants inherit). */
struct process_env {
	const char *broker_path, *broker_abstract, *localapi_path;
	const char *localapis; /* of several nodes; NULL: there is one */
	const char *proxy; /* user:password@address:port, or NULL */
	bool has_notify; /* static children are carried by --notify */
	bool follow_exec;
	bool has_exit_node; /* nothing may go beside it, be the host gone */
};

struct process_tree;

/* Call first of all: what the command is to inherit and the host is not to
 * keep. The soft limits, before the host raises its own, and the descriptors
 * from 3 on (sockets of socket activation, pipes): the host closes its copies
 * when the command has them, so that their other ends see its end. */
void process_remember_inheritance(void);
/* Take settings and secrets (TS_AUTHKEY, TSNET_*, ...) out of our own
 * environment, values wiped, so that no child inherits them. */
void process_scrub_environment(void);
void process_scrub_variable(const char *name);

/* fn(ctx, exit status) once the command and all that descends from it have
 * ended (as PID 1: once the command has). The status is the command's, or 128
 * plus the signal that ended it. NULL when it could not be started: then
 * *exit_status is 127 (not found) or 126, and err says why. */
struct process_tree *process_tree_start(struct ts_loop *loop, char **argv,
					const struct process_env *env,
					void (*fn)(void *ctx, int exit_status),
					void *ctx, int *exit_status,
					char err[static 256]);
void process_tree_free(struct process_tree *tree); /* NULL is fine */

#endif
