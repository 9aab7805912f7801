/* SPDX-License-Identifier: BSD-3-Clause
 * preload_check.c - can the dynamic linker put our library into a program?
 *
 * What LD_PRELOAD cannot reach would silently use the host's network, so
 * tsrun refuses it by name: statically linked programs have no dynamic
 * linker, set-id programs ignore LD_PRELOAD, Go makes its system calls
 * without libc, a libc that is neither glibc nor musl, or another machine,
 * cannot load our object.
 * Source: ld.so(8), elf(5), Go's debug/buildinfo.
 */
#include "core/engine/preload_check.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/base/err.h"

enum { SCRIPT_DEPTH_MAX = 4, PATH_CAP = 4096, INTERPRETER_CAP = 256 };

struct image {
	const uint8_t *data;
	size_t len;
};

static int fail(char err[static 256], int code, const char *path,
		const char *why)
{
	snprintf(err, 256, "%.120s: %s", path, why);
	return code;
}

/* -- finding it ------------------------------------------------------------------ */
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

/* -- ELF ------------------------------------------------------------------------- */
static const void *view(const struct image *image, uint64_t at, uint64_t len)
{
	if (at > image->len || len > image->len - at)
		return NULL;
	return image->data + at;
}

/* Headers are copied out: nothing says that they are aligned. */
static bool read_at(const struct image *image, uint64_t at, void *out,
		    size_t len)
{
	const void *from = view(image, at, len);

	if (from)
		memcpy(out, from, len);
	return from != NULL;
}

static bool find_phdr(const struct image *image, uint32_t type,
		      Elf64_Phdr *out)
{
	Elf64_Ehdr e;

	if (!read_at(image, 0, &e, sizeof(e)))
		return false;
	for (uint64_t i = 0; i < e.e_phnum; i++) {
		if (read_at(image, e.e_phoff + i * sizeof(*out), out,
			    sizeof(*out)) &&
		    out->p_type == type)
			return true;
	}
	return false;
}

/* Go links a section .go.buildinfo into everything it makes. */
static bool is_go(const struct image *image)
{
	static const char go[] = ".go.buildinfo";
	Elf64_Ehdr e;
	Elf64_Shdr names, s;

	if (!read_at(image, 0, &e, sizeof(e)) || e.e_shstrndx >= e.e_shnum ||
	    !read_at(image, e.e_shoff + (uint64_t)e.e_shstrndx * sizeof(s),
		     &names, sizeof(names)))
		return false;
	for (uint64_t i = 0; i < e.e_shnum; i++) {
		const char *name;

		if (!read_at(image, e.e_shoff + i * sizeof(s), &s, sizeof(s)))
			continue;
		name = view(image, names.sh_offset + s.sh_name, sizeof(go));
		if (name && memcmp(name, go, sizeof(go)) == 0)
			return true;
	}
	return false;
}

/* The text of PT_INTERP, cut to what fits. */
static bool read_interpreter(const struct image *image, const Elf64_Phdr *p,
			     char out[static INTERPRETER_CAP])
{
	uint64_t len = p->p_filesz < INTERPRETER_CAP - 1 ? p->p_filesz
							 : INTERPRETER_CAP - 1;

	if (!view(image, p->p_offset, p->p_filesz) ||
	    !read_at(image, p->p_offset, out, len))
		return false;
	out[len] = '\0';
	return true;
}

static uint16_t own_machine(void)
{
#if defined(__x86_64__)
	return EM_X86_64;
#elif defined(__aarch64__)
	return EM_AARCH64;
#else
#error "name this machine's ELF number here"
#endif
}

/* The shim needs only what glibc and musl both have. */
static bool is_known_linker(const char *interpreter)
{
	const char *slash = strrchr(interpreter, '/');
	const char *name = slash ? slash + 1 : interpreter;

	return strncmp(name, "ld-linux", 8) == 0 ||
	       strncmp(name, "ld-musl", 7) == 0 ||
	       strncmp(name, "ld.so", 5) == 0;
}

static int check_linker(const struct image *image, const Elf64_Phdr *interp,
			const char *path, char err[static 256])
{
	char interpreter[INTERPRETER_CAP];

	if (!read_interpreter(image, interp, interpreter))
		return fail(err, -ENOEXEC, path, "its ELF header is damaged");
	if (is_known_linker(interpreter))
		return 0;
	snprintf(err, 256,
		 "%.80s: is loaded by %.80s, which is neither glibc's nor "
		 "musl's: the shim cannot be loaded into it",
		 path, interpreter);
	return -ENOEXEC;
}

static int check_elf(const struct image *image, const char *path,
		     char err[static 256])
{
	Elf64_Ehdr e;
	Elf64_Phdr interp;

	if (image->data[EI_CLASS] != ELFCLASS64 ||
	    !read_at(image, 0, &e, sizeof(e)) ||
	    e.e_machine != own_machine())
		return fail(err, -ENOEXEC, path,
			    "is built for another machine: the shim cannot be "
			    "loaded into it");
	if (is_go(image))
		return fail(err, -ENOEXEC, path,
			    "is a Go program, which makes system calls "
			    "without libc: the shim would not see them");
	if (!find_phdr(image, PT_INTERP, &interp))
		return fail(err, -ENOEXEC, path,
			    "is statically linked, so LD_PRELOAD has no "
			    "effect on it");
	return check_linker(image, &interp, path, err);
}

/* -- scripts ------------------------------------------------------------------------ */
static int check_file(const char *path, int depth, char err[static 256]);

static int check_script(const struct image *image, const char *path, int depth,
			char err[static 256])
{
	const char *line = (const char *)image->data + 2;
	size_t len = image->len - 2;
	const char *end = memchr(line, '\n', len);
	char interpreter[INTERPRETER_CAP];
	size_t n;

	if (end)
		len = (size_t)(end - line);
	while (len > 0 && (*line == ' ' || *line == '\t')) {
		line++;
		len--;
	}
	for (n = 0; n < len && line[n] != ' ' && line[n] != '\t'; n++)
		;
	if (n == 0 || n >= sizeof(interpreter) || depth >= SCRIPT_DEPTH_MAX)
		return fail(err, -ENOEXEC, path,
			    "its #! line names no interpreter");
	memcpy(interpreter, line, n);
	interpreter[n] = '\0';
	return check_file(interpreter, depth + 1, err);
}

static int check_image(const struct image *image, const char *path, int depth,
		       char err[static 256])
{
	if (image->len >= 2 && memcmp(image->data, "#!", 2) == 0)
		return check_script(image, path, depth, err);
	if (image->len < EI_NIDENT || memcmp(image->data, ELFMAG, SELFMAG) != 0)
		return fail(err, -ENOEXEC, path,
			    "is neither an ELF program nor a #! script");
	return check_elf(image, path, err);
}

static int check_file(const char *path, int depth, char err[static 256])
{
	struct image image = {0};
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
	/* For root a set-id bit of root's changes nothing, so ld.so obeys. */
	if ((st.st_mode & S_ISUID && st.st_uid != geteuid()) ||
	    (st.st_mode & S_ISGID && st.st_gid != getegid())) {
		close(fd);
		return fail(err, -ENOEXEC, path,
			    "is set-user-ID or set-group-ID, so the dynamic "
			    "linker ignores LD_PRELOAD");
	}
	if (geteuid() != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0) {
		close(fd);
		return fail(err, -ENOEXEC, path,
			    "has file capabilities, so the dynamic linker "
			    "ignores LD_PRELOAD");
	}
	image.len = (size_t)st.st_size;
	image.data = image.len ? mmap(NULL, image.len, PROT_READ, MAP_PRIVATE,
				      fd, 0)
			       : MAP_FAILED;
	close(fd);
	if (image.data == MAP_FAILED)
		return fail(err, -ENOEXEC, path, "is empty or unreadable");
	code = check_image(&image, path, depth, err);
	munmap((void *)(uintptr_t)image.data, image.len);
	return code;
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
