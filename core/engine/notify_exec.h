/* SPDX-License-Identifier: BSD-3-Clause
 * notify_exec.h - tsnet-host --notify: become a program under our filter
 */
#ifndef CORE_ENGINE_NOTIFY_EXEC_H
#define CORE_ENGINE_NOTIFY_EXEC_H

#include <stdbool.h>

/* argv: PATH ARGV0 [ARG]... is_open: PATH is /proc/self/fd/N, which the program
 * is not to inherit. Serves the program by the host that the
 * environment names (TSNET_BROKER, TSNET_BROKER_ABSTRACT), and execs it.
 * Returns only when that failed: the exit status, after a line on stderr. */
int notify_exec_main(int argc, char **argv, bool is_open);
/* 0, or a negative errno: seccomp is denied here, or too old. */
int notify_exec_probe(void);

#endif
