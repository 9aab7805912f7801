/* SPDX-License-Identifier: BSD-3-Clause
 * exec_target.c - programs that LD_PRELOAD does not reach
 *
 * A statically linked program, and one written in Go, makes system calls that
 * no hook sees. Where the host can watch those calls (TSNET_NOTIFY=1),
 * tsnet-host is run in its place, which has them watched and then becomes the
 * program:
 *
 *   tsnet-host --notify -- PATH ARGV0 ARGUMENT...
 *
 * A program that is open and has no name to rely on (fexecve) goes along as a
 * descriptor, /proc/self/fd/N, of which it is not to know: --notify-open.
 *
 * Elsewhere such a program is left alone: nothing can be done, and to look at
 * each file would cost. Set-id programs are left alone everywhere; the kernel
 * would take their privileges away.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/elf_kind.h"
#include "shim/exec.h"
#include "shim/libc_table.h"
#include "shim/shim.h"

enum {
	EXTRA_ARGUMENTS = 4, /* tsnet-host --notify -- PATH */
	PATH_CAP = 4096,
};

static const char HOST_NAME[] = "tsnet-host";

/* By the plain system calls: libc's stat() is younger than our libc may be,
 * and the structure is the kernel's on the machines that we know. */
static bool is_set_id(int fd)
{
	struct stat st;

	return libc.syscall(SYS_fstat, fd, (long)&st, 0, 0, 0, 0) == 0 &&
	       (st.st_mode & (S_ISUID | S_ISGID));
}

static bool is_regular(const char *path)
{
	struct stat st;

	return libc.syscall(SYS_newfstatat, AT_FDCWD, (long)path, (long)&st, 0,
			    0, 0) == 0 &&
	       S_ISREG(st.st_mode);
}

/* A script is what its interpreter is; chains end as the kernel's do. */
static bool is_out_of_reach(const char *path)
{
	char interpreter[2][TS_INTERPRETER_CAP];

	for (int depth = 0; depth <= TS_SCRIPT_DEPTH_MAX; depth++) {
		char *next = interpreter[depth & 1];
		int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		enum ts_elf_kind kind;
		bool set_id;

		if (fd < 0)
			return false;
		kind = ts_elf_kind_of(fd, next);
		set_id = is_set_id(fd);
		shim_close(fd);
		if (set_id) {
			shim_note("exec: %s is set-id: not on the tailnet",
				  path);
			return false;
		}
		if (kind != TS_ELF_SCRIPT)
			return kind == TS_ELF_STATIC || kind == TS_ELF_GO;
		path = next;
	}
	return false;
}

/* dir's first len bytes, a slash, name; an empty dir is this one. */
static bool join(char *out, size_t cap, const char *dir, size_t len,
		 const char *name)
{
	size_t name_len = strlen(name);

	if (len + 1 + name_len >= cap)
		return false;
	memcpy(out, dir, len);
	if (len > 0)
		out[len++] = '/';
	memcpy(out + len, name, name_len + 1);
	return true;
}

static const char *search_path(void)
{
	const char *path = getenv("PATH");

	return path ? path : "/bin:/usr/bin";
}

/* The first that may be executed, as execvp(3) goes. */
static bool find(char *out, size_t cap, const char *program)
{
	for (const char *path = search_path();;) {
		size_t len = strcspn(path, ":");

		if (join(out, cap, path, len, program) &&
		    access(out, X_OK) == 0 && is_regular(out))
			return true;
		if (!path[len])
			return false;
		path += len + 1;
	}
}

static bool has_host(char *out, size_t cap)
{
	const char *slash = strrchr(shim.library, '/');

	return slash &&
	       join(out, cap, shim.library, (size_t)(slash - shim.library),
		    HOST_NAME) &&
	       access(out, X_OK) == 0;
}

static bool is_searched(const char *program, bool searches)
{
	return searches && !strchr(program, '/');
}

static size_t host_size(void)
{
	return strlen(shim.library) + sizeof(HOST_NAME) + 1;
}

/* Mostly far less than the longest path there is. */
size_t shim_exec_paths_size(const char *program, bool searches)
{
	size_t len;

	if (!shim.has_notify || !shim.follows_exec || !program ||
	    shim_is_engine_thread())
		return 0;
	if (!is_searched(program, searches))
		return host_size();
	len = strlen(search_path()) + strlen(program) + 2;
	return host_size() + (len < PATH_CAP ? len : PATH_CAP);
}

bool shim_exec_needs_host(struct shim_exec_target *t, const char *program,
			  bool searches, char *const argv[], char *room,
			  size_t size)
{
	char *found = room + host_size();
	int saved_errno = errno, cancels = shim_cancel_put_off();
	bool needs = true;

	t->host = room;
	t->path = program;
	t->is_open = false;
	if (is_searched(program, searches)) {
		needs = find(found, size - host_size(), program);
		t->path = found;
	}
	needs = needs && access(t->path, X_OK) == 0 &&
		is_out_of_reach(t->path) && has_host(room, host_size());
	for (t->count = 0; needs && argv && argv[t->count]; t->count++)
		;
	shim_cancel_set(cancels);
	errno = saved_errno;
	return needs;
}

void shim_exec_fd_path(char out[static SHIM_EXEC_FD_PATH_CAP], int fd)
{
	snprintf(out, SHIM_EXEC_FD_PATH_CAP, "/proc/self/fd/%d", fd);
}

/* A script whose descriptor is closed by exec fails, as it does without us. */
bool shim_exec_file_needs_host(struct shim_exec_target *t, int fd,
			       char name[static SHIM_EXEC_FD_PATH_CAP],
			       char *const argv[], int *copy, char *room,
			       size_t size)
{
	int saved_errno = errno;

	*copy = -1;
	if (fd < 0 || !shim_exec_needs_host(t, name, false, argv, room, size))
		return false;
	if (fcntl(fd, F_GETFD) & FD_CLOEXEC) {
		*copy = fcntl(fd, F_DUPFD, 3);
		shim_exec_fd_path(name, *copy);
		t->is_open = true;
	}
	errno = saved_errno;
	return !t->is_open || *copy >= 0;
}

size_t shim_exec_argv_size(const struct shim_exec_target *t)
{
	/* An empty argv gets an ARGV0: the kernel does so, too. */
	return (t->count + EXTRA_ARGUMENTS + 2) * sizeof(char *);
}

char **shim_exec_argv_make(const struct shim_exec_target *t,
			   char *const argv[], void *room)
{
	static char name[] = "tsnet-host", notify[] = "--notify",
		    notify_open[] = "--notify-open", end[] = "--",
		    nothing[] = "";
	char **out = room;
	size_t n = 0;

	out[n++] = name;
	out[n++] = t->is_open ? notify_open : notify;
	out[n++] = end;
	out[n++] = (char *)(uintptr_t)t->path;
	if (t->count == 0)
		out[n++] = nothing;
	for (size_t i = 0; i < t->count; i++)
		out[n++] = argv[i];
	out[n] = NULL;
	shim_note("exec: %s by tsnet-host", t->path);
	return out;
}
