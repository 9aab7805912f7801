/* SPDX-License-Identifier: BSD-3-Clause
 * exec.h - what a program takes along when it becomes, or starts, another
 *
 * Everything here is for vfork children and signal handlers, too: no lock, no
 * allocation; room is the caller's stack.
 */
#ifndef SHIM_EXEC_H
#define SHIM_EXEC_H

#include <stdbool.h>
#include <stddef.h>

enum { SHIM_EXEC_ENV_MAX = 16384 };

/* -- exec_environment.c --------------------------------------------------- */
struct shim_exec_env {
	char *const *env;
	size_t count;
	char *preload; /* the value of LD_PRELOAD there, or NULL */
	bool has_library, has_settings;
	size_t size; /* of the room that shim_exec_env_make() wants */
};

/* In the constructor. */
void shim_exec_read_environment(void);
/* Does env (may be NULL) lack something that program needs? program may be
 * NULL where it has no name. */
bool shim_exec_env_plan(struct shim_exec_env *e, const char *program,
			char *const env[]);
/* The whole environment, in room, which is aligned for pointers. */
char **shim_exec_env_make(const struct shim_exec_env *e, void *room);

/* -- exec_target.c -------------------------------------------------------- */
struct shim_exec_target {
	const char *path; /* of what is to run in the end */
	const char *host; /* of tsnet-host */
	size_t count;	  /* of the program's arguments */
	bool is_open; /* path is a descriptor that the program must not see */
};

enum { SHIM_EXEC_FD_PATH_CAP = 32 };
/* The name of an open file, for as long as it is open. */
void shim_exec_fd_path(char out[static SHIM_EXEC_FD_PATH_CAP], int fd);
/* What shim_exec_needs_host() wants as room for paths; 0: do not ask it. */
size_t shim_exec_paths_size(const char *program, bool searches);
/* Must program (looked for in PATH if searches) be run by tsnet-host, since
 * it makes its system calls without libc? The paths in t are in room, of
 * that size, or program itself. */
bool shim_exec_needs_host(struct shim_exec_target *t, const char *program,
			  bool searches, char *const argv[], char *room,
			  size_t size);
/* The same for the program that is open as fd, by the name that
 * shim_exec_fd_path() gave; it changes to that of *copy, where this is for the
 * caller to close after an exec that failed. */
bool shim_exec_file_needs_host(struct shim_exec_target *t, int fd,
			       char name[static SHIM_EXEC_FD_PATH_CAP],
			       char *const argv[], int *copy, char *room,
			       size_t size);
/* tsnet-host's arguments, in room for shim_exec_argv_size() bytes. */
size_t shim_exec_argv_size(const struct shim_exec_target *t);
char **shim_exec_argv_make(const struct shim_exec_target *t,
			   char *const argv[], void *room);

#endif
