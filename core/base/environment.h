/* SPDX-License-Identifier: BSD-3-Clause
 * environment.h - the environment that getenv() reads, and others
 */
#ifndef CORE_BASE_ENVIRONMENT_H
#define CORE_BASE_ENVIRONMENT_H

/* "NAME=value" entries, NULL at the end; the process's own, not a copy. */
char **ts_environment(void);
/* What a list of such entries has; NULL: nothing, or "". Both may be NULL. */
const char *ts_environment_get(char **env, const char *name);

#endif
