/* SPDX-License-Identifier: BSD-3-Clause
 * elf_kind.c - can the dynamic linker put a library into this program?
 */
#include "core/base/elf_kind.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

enum {
	SCRIPT_LINE_CAP = 256, /* what the kernel looks at */
	/* A file may claim more: nobody's linker makes it, and reading them
	 * all would take time. */
	PHDRS_MAX = 128,
	SECTIONS_MAX = 512,
	SECTIONS_A_READ = 8,
	NAMES_A_READ = 512,
	NAMES_CAP = 4096, /* Go's own section names stand in front */
};

#if defined(__x86_64__)
enum { OWN_MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { OWN_MACHINE = EM_AARCH64 };
#else
#error "name this machine's ELF number here"
#endif

/* Bytes read, fewer at the end; 0 on errors too. */
static size_t read_some(int fd, uint64_t at, void *out, size_t len)
{
	ssize_t n;

	if (at > INT64_MAX)
		return 0;
	do {
		n = pread(fd, out, len, (off_t)at);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? 0 : (size_t)n;
}

static bool read_all(int fd, uint64_t at, void *out, size_t len)
{
	return read_some(fd, at, out, len) == len;
}

/* -- scripts -------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void read_script(const char *line, size_t len,
			char out[static TS_INTERPRETER_CAP])
{
	const char *end = memchr(line, '\n', len);
	size_t n;

	if (end)
		len = (size_t)(end - line);
	while (len > 0 && is_blank(*line)) {
		line++;
		len--;
	}
	for (n = 0; n < len && !is_blank(line[n]) && line[n]; n++)
		;
	if (n < TS_INTERPRETER_CAP) {
		memcpy(out, line, n);
		out[n] = '\0';
	}
}

/* -- ELF ------------------------------------------------------------------ */

enum found { FOUND, NOT_FOUND, UNREADABLE };

static enum found find_interpreter(int fd, const Elf64_Ehdr *e,
				   char out[static TS_INTERPRETER_CAP])
{
	Elf64_Phdr p;
	size_t len;

	if (e->e_phentsize != sizeof(p) || e->e_phnum > PHDRS_MAX)
		return UNREADABLE;
	for (uint64_t i = 0; i < e->e_phnum; i++) {
		if (!read_all(fd, e->e_phoff + i * sizeof(p), &p, sizeof(p)))
			return UNREADABLE;
		if (p.p_type != PT_INTERP)
			continue;
		if (p.p_filesz == 0 || p.p_filesz > TS_INTERPRETER_CAP)
			return UNREADABLE;
		len = (size_t)p.p_filesz;
		if (!read_all(fd, p.p_offset, out, len))
			return UNREADABLE;
		out[len - 1] = '\0';
		return FOUND;
	}
	return NOT_FOUND;
}

/* Go links a section .go.buildinfo into everything it makes. The offset of
 * that name, or 0: names begin with an empty one. Piece by piece, as the stack
 * may be a signal handler's; a name across two pieces is whole in the next. */
static uint32_t find_go_name(int fd, const Elf64_Ehdr *e)
{
	static const char go[] = ".go.buildinfo";
	char names[NAMES_A_READ];
	Elf64_Shdr s;

	if (e->e_shentsize != sizeof(s) || e->e_shnum > SECTIONS_MAX ||
	    e->e_shstrndx >= e->e_shnum ||
	    !read_all(fd, e->e_shoff + (uint64_t)e->e_shstrndx * sizeof(s), &s,
		      sizeof(s)))
		return 0;
	for (uint32_t at = 0; at < s.sh_size && at < NAMES_CAP;
	     at += NAMES_A_READ - sizeof(go)) {
		size_t len = read_some(fd, s.sh_offset + at, names,
				       s.sh_size - at < sizeof(names)
					       ? (size_t)(s.sh_size - at)
					       : sizeof(names));
		const char *found = memmem(names, len, go, sizeof(go));

		if (found)
			return at + (uint32_t)(found - names);
	}
	return 0;
}

static bool is_go(int fd, const Elf64_Ehdr *e)
{
	Elf64_Shdr s[SECTIONS_A_READ];
	uint32_t name = find_go_name(fd, e);

	for (uint32_t i = 0; name && i < e->e_shnum; i += SECTIONS_A_READ) {
		size_t n = read_some(fd, e->e_shoff + i * sizeof(*s), s,
				     sizeof(s)) /
			   sizeof(*s);

		for (size_t k = 0; k < n && i + k < e->e_shnum; k++)
			if (s[k].sh_name == name)
				return true;
	}
	return false;
}

static enum ts_elf_kind elf_kind(int fd, const Elf64_Ehdr *e,
				 char interpreter[static TS_INTERPRETER_CAP])
{
	if (e->e_ident[EI_CLASS] != ELFCLASS64 || e->e_machine != OWN_MACHINE)
		return TS_ELF_FOREIGN;
	if (is_go(fd, e))
		return TS_ELF_GO;
	switch (find_interpreter(fd, e, interpreter)) {
	case FOUND:
		return TS_ELF_DYNAMIC;
	case NOT_FOUND:
		return TS_ELF_STATIC;
	default:
		return TS_ELF_DAMAGED;
	}
}

enum ts_elf_kind ts_elf_kind_of(int fd,
				char interpreter[static TS_INTERPRETER_CAP])
{
	union {
		char bytes[SCRIPT_LINE_CAP];
		Elf64_Ehdr elf;
	} head = {{0}};
	size_t len = read_some(fd, 0, head.bytes, sizeof(head.bytes));

	interpreter[0] = '\0';
	if (len >= 2 && memcmp(head.bytes, "#!", 2) == 0) {
		read_script(head.bytes + 2, len - 2, interpreter);
		return TS_ELF_SCRIPT;
	}
	if (len < EI_NIDENT || memcmp(head.bytes, ELFMAG, SELFMAG) != 0)
		return TS_ELF_UNKNOWN;
	if (len < sizeof(head.elf))
		return TS_ELF_FOREIGN;
	return elf_kind(fd, &head.elf, interpreter);
}
