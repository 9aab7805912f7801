/* SPDX-License-Identifier: BSD-3-Clause
 * preload_check.c - can the dynamic linker put our library into a program?
 *
 * What LD_PRELOAD cannot reach would silently use the host's network, so
 * tsrun refuses it by name: set-id programs ignore LD_PRELOAD, a libc that is
 * neither glibc nor musl, or another machine, cannot load our object.
 * Statically linked programs have no dynamic linker, and Go makes its system
 * calls without libc: these two are carried by seccomp notifications where
 * that is possible (notify_exec.h).
 * (core/base/elf_kind.c tells them apart.)
 * Source: ld.so(8).
 */
#include "core/engine/preload_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/base/elf_kind.h"
#include "core/base/err.h"

enum { PATH_CAP = 4096 };

static int fail(char err[static 256], int code, const char *path,
		const char *why)
{
	snprintf(err, 256, "%.120s: %s", path, why);
	return code;
}

/* -- finding it ----------------------------------------------------------- */
static bool is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static int find_in_path(const char *program, char out[static PATH_CAP])
{
	const char *path = getenv("PATH");
	int code = -ENOENT;

	if (strchr(program, '/')) {
		snprintf(out, PATH_CAP, "%s", program);
		if (!is_file(out))
			return -ENOENT;
		return access(out, X_OK) == 0 ? 0 : -EACCES;
	}
	for (path = path ? path : "/bin:/usr/bin"; *path;) {
		size_t n = strcspn(path, ":");

		snprintf(out, PATH_CAP, "%.*s/%s", n ? (int)n : 1,
			 n ? path : ".", program);
		if (is_file(out) && access(out, X_OK) == 0)
			return 0;
		if (is_file(out))
			code = -EACCES;
		path += n + (path[n] == ':');
	}
	return code;
}

/* -- what it is ----------------------------------------------------------- */
/* The shim needs only what glibc and musl both have. */
static bool is_known_linker(const char *interpreter)
{
	const char *slash = strrchr(interpreter, '/');
	const char *name = slash ? slash + 1 : interpreter;

	return strncmp(name, "ld-linux", 8) == 0 ||
	       strncmp(name, "ld-musl", 7) == 0 ||
	       strncmp(name, "ld.so", 5) == 0;
}

static int check_linker(const char *interpreter, const char *path,
			char err[static 256])
{
	if (is_known_linker(interpreter))
		return 0;
	snprintf(err, 256,
		 "%.80s: is loaded by %.80s, which is neither glibc's nor "
		 "musl's: the shim cannot be loaded into it",
		 path, interpreter);
	return -ENOEXEC;
}

static int check_file(const char *path, int depth, char err[static 256]);

static int check_kind(enum ts_elf_kind kind, const char *interpreter,
		      const char *path, int depth, char err[static 256])
{
	switch (kind) {
	case TS_ELF_SCRIPT:
		if (*interpreter && depth < TS_SCRIPT_DEPTH_MAX)
			return check_file(interpreter, depth + 1, err);
		return fail(err, -ENOEXEC, path,
			    "its #! line names no interpreter");
	case TS_ELF_DYNAMIC:
		return check_linker(interpreter, path, err);
	case TS_ELF_STATIC:
		return fail(err, -ENOTSUP, path,
			    "is statically linked, so LD_PRELOAD has no "
			    "effect on it");
	case TS_ELF_GO:
		return fail(err, -ENOTSUP, path,
			    "is a Go program, which makes system calls "
			    "without libc: the shim would not see them");
	case TS_ELF_FOREIGN:
		return fail(err, -ENOEXEC, path,
			    "is built for another machine: the shim cannot be "
			    "loaded into it");
	case TS_ELF_DAMAGED:
		return fail(err, -ENOEXEC, path, "its ELF header is damaged");
	case TS_ELF_UNKNOWN:
		break;
	}
	return fail(err, -ENOEXEC, path,
		    "is neither an ELF program nor a #! script");
}

/* For root a set-id bit of root's changes nothing, so ld.so obeys. */
static int check_privileges(int fd, const struct stat *st, const char *path,
			    char err[static 256])
{
	if ((st->st_mode & S_ISUID && st->st_uid != geteuid()) ||
	    (st->st_mode & S_ISGID && st->st_gid != getegid()))
		return fail(err, -ENOEXEC, path,
			    "is set-user-ID or set-group-ID, so the dynamic "
			    "linker ignores LD_PRELOAD");
	if (geteuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0)
		return fail(err, -ENOEXEC, path,
			    "has file capabilities, so the dynamic linker "
			    "ignores LD_PRELOAD");
	return 0;
}

static int check_file(const char *path, int depth, char err[static 256])
{
	char interpreter[TS_INTERPRETER_CAP];
	enum ts_elf_kind kind;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int code;

	if (fd < 0 || fstat(fd, &st) != 0) {
		code = fail(err, -errno, path, ts_strerror(-errno));
		if (fd >= 0)
			close(fd);
		/* Executable but unreadable: nothing to judge by. */
		return code == -EACCES ? 0 : code;
	}
	code = check_privileges(fd, &st, path, err);
	if (!code && st.st_size == 0)
		code = fail(err, -ENOEXEC, path, "is empty or unreadable");
	kind = ts_elf_kind_of(fd, interpreter);
	close(fd);
	return code ? code : check_kind(kind, interpreter, path, depth, err);
}

int preload_check(const char *program, char err[static 256])
{
	char path[PATH_CAP];
	int code = find_in_path(program, path);

	if (code == -ENOENT)
		return fail(err, code, program, "command not found");
	if (code)
		return fail(err, code, program, "is not executable");
	return check_file(path, 0, err);
}
