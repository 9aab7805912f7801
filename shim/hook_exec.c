/* SPDX-License-Identifier: BSD-3-Clause
 * hook_exec.c - becoming another program, starting one
 *
 * What the new program lacks to stay on the tailnet is added to its
 * environment (exec_environment.c), and one that LD_PRELOAD does not reach is
 * run by tsnet-host (exec_target.c). All else, and every error, is libc's.
 *
 * libc's own callers of these functions - system(), popen(), wordexp() - do
 * not pass here; they give their children the environment of this process.
 *
 * A node inside this program ends with it: what was sent before is delivered
 * first.
 *
 * The room for what is made is on the stack: these functions are called in
 * vfork children, whose memory is the parent's, and in signal handlers.
 */
#include <alloca.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/exec.h"
#include "shim/hooks.h"
#include "shim/libc_table.h"
#include "shim/shim.h"

/* -- exec with arrays ----------------------------------------------------- */

typedef int (*exec_fn)(const char *program, char *const argv[],
		       char *const env[]);

/* What was sent is delivered first, unless there is no such program: shells
 * try directory by directory. A name that libc looks for is there mostly. */
static void deliver(bool searches, const char *program)
{
	if (!shim_host_is_here())
		return;
	if ((searches && program && !strchr(program, '/')) ||
	    access(program, X_OK) == 0)
		shim_host_drain(false);
}

/* Where libc's own would go on as the program, this one does. */
static int exec_by(exec_fn exec, bool searches, const char *program,
		   char *const argv[], char *const env[])
{
	int saved_errno = errno;
	struct shim_exec_env plan;
	struct shim_exec_target target;
	size_t size = shim_exec_paths_size(program, searches);

	if (shim_exec_env_plan(&plan, program, env))
		env = shim_exec_env_make(&plan, alloca(plan.size));
	if (size > 0 && shim_exec_needs_host(&target, program, searches, argv,
					     alloca(size), size)) {
		argv = shim_exec_argv_make(
			&target, argv, alloca(shim_exec_argv_size(&target)));
		program = target.host;
		exec = libc.execve;
	}
	deliver(searches, program);
	errno = saved_errno;
	return exec(program, argv, env);
}

int hook_execve(const char *path, char *const argv[], char *const env[])
{
	shim_libc_ready();
	return exec_by(libc.execve, false, path, argv, env);
}

int hook_execv(const char *path, char *const argv[])
{
	shim_libc_ready();
	return exec_by(libc.execve, false, path, argv, environ);
}

int hook_execvp(const char *file, char *const argv[])
{
	shim_libc_ready();
	return exec_by(libc.execvpe, true, file, argv, environ);
}

int hook_execvpe(const char *file, char *const argv[], char *const env[])
{
	shim_libc_ready();
	return exec_by(libc.execvpe, true, file, argv, env);
}

/* true: it was tried, and errno says why it failed. */
static bool exec_open_by_host(int fd, char *const argv[], char *const env[])
{
	struct shim_exec_target target;
	int saved_errno = errno, copy;
	char name[SHIM_EXEC_FD_PATH_CAP];
	size_t size;

	shim_exec_fd_path(name, fd);
	size = shim_exec_paths_size(name, false);
	if (size == 0 || !shim_exec_file_needs_host(&target, fd, name, argv,
						    &copy, alloca(size), size))
		return false;
	errno = saved_errno;
	libc.execve(target.host,
		    shim_exec_argv_make(&target, argv,
					alloca(shim_exec_argv_size(&target))),
		    env);
	saved_errno = errno;
	if (copy >= 0)
		shim_close(copy);
	errno = saved_errno;
	return true;
}

int hook_execveat(int fd, const char *path, char *const argv[],
		  char *const env[], int flags)
{
	struct shim_exec_env plan;
	int saved_errno = errno, file = -1;
	bool was_tried;

	shim_libc_ready();
	if (shim_exec_env_plan(&plan, path && *path ? path : NULL, env))
		env = shim_exec_env_make(&plan, alloca(plan.size));
	if (shim_host_is_here())
		shim_host_drain(false);
	if (path && !*path && flags == AT_EMPTY_PATH)
		file = fd;
	else if (path && flags == 0 && shim.has_notify)
		file = openat(fd, path, O_PATH | O_CLOEXEC);
	was_tried = exec_open_by_host(file, argv, env);
	if (was_tried)
		saved_errno = errno;
	if (file >= 0 && file != fd)
		shim_close(file);
	errno = saved_errno;
	return was_tried ? -1
			 : (int)libc.syscall(SYS_execveat, fd, (long)path,
					     (long)argv, (long)env, flags, 0);
}

/* As libc's does, where it has the choice. */
int hook_fexecve(int fd, char *const argv[], char *const env[])
{
	shim_libc_ready();
	if (fd < 0 || !argv || !env)
		return libc.fexecve(fd, argv, env);
	return hook_execveat(fd, "", argv, env, AT_EMPTY_PATH);
}

/* -- exec with lists ------------------------------------------------------ */

/* Of the arguments after first, up to the NULL. */
static size_t count_list(va_list list)
{
	size_t count = 0;

	while (va_arg(list, char *))
		count++;
	return count;
}

static void copy_list(va_list list, const char *first, size_t count,
		      char **out)
{
	*out++ = (char *)(uintptr_t)first;
	for (size_t i = 0; i < count; i++)
		*out++ = va_arg(list, char *);
	*out = NULL;
}

/* argv: an array in the caller's frame, made from its list. */
#define ARGV_FROM_LIST(argv, first)                                          \
	do {                                                                 \
		va_list list_;                                               \
		size_t count_ = 0;                                           \
                                                                             \
		va_start(list_, first);                                      \
		if (first)                                                   \
			count_ = count_list(list_);                          \
		va_end(list_);                                               \
		(argv) = alloca((count_ + 2) * sizeof(char *));              \
		va_start(list_, first);                                      \
		copy_list(list_, first, count_, argv);                       \
		va_end(list_);                                               \
	} while (0)

int hook_execl(const char *path, const char *arg, ...)
{
	char **argv;

	ARGV_FROM_LIST(argv, arg);
	return hook_execv(path, argv);
}

int hook_execlp(const char *file, const char *arg, ...)
{
	char **argv;

	ARGV_FROM_LIST(argv, arg);
	return hook_execvp(file, argv);
}

/* The environment comes after the NULL. */
int hook_execle(const char *path, const char *arg, ...)
{
	char **argv, *const *env;
	va_list list;

	ARGV_FROM_LIST(argv, arg);
	va_start(list, arg);
	while (arg && va_arg(list, char *))
		;
	env = va_arg(list, char *const *);
	va_end(list);
	return hook_execve(path, argv, env);
}

/* -- posix_spawn ---------------------------------------------------------- */

static int spawn_by(int (*spawn)(pid_t *, const char *,
				 const posix_spawn_file_actions_t *,
				 const posix_spawnattr_t *, char *const[],
				 char *const[]),
		    bool searches, pid_t *pid, const char *program,
		    const posix_spawn_file_actions_t *actions,
		    const posix_spawnattr_t *attr, char *const argv[],
		    char *const env[])
{
	int saved_errno = errno;
	struct shim_exec_env plan;
	struct shim_exec_target target;
	size_t size = shim_exec_paths_size(program, searches);

	if (shim_exec_env_plan(&plan, program, env))
		env = shim_exec_env_make(&plan, alloca(plan.size));
	if (size > 0 && shim_exec_needs_host(&target, program, searches, argv,
					     alloca(size), size)) {
		argv = shim_exec_argv_make(
			&target, argv, alloca(shim_exec_argv_size(&target)));
		program = target.host;
		spawn = libc.posix_spawn;
	}
	errno = saved_errno;
	return spawn(pid, program, actions, attr, argv, env);
}

int hook_posix_spawn(pid_t *pid, const char *path,
		     const posix_spawn_file_actions_t *actions,
		     const posix_spawnattr_t *attr, char *const argv[],
		     char *const env[])
{
	shim_libc_ready();
	return spawn_by(libc.posix_spawn, false, pid, path, actions, attr,
			argv, env);
}

int hook_posix_spawnp(pid_t *pid, const char *file,
		      const posix_spawn_file_actions_t *actions,
		      const posix_spawnattr_t *attr, char *const argv[],
		      char *const env[])
{
	shim_libc_ready();
	return spawn_by(libc.posix_spawnp, true, pid, file, actions, attr,
			argv, env);
}
