/* SPDX-License-Identifier: BSD-3-Clause
 * elf_kind.h - can the dynamic linker put a library into this program?
 *
 * What LD_PRELOAD cannot reach: statically linked programs have no dynamic
 * linker, Go makes its system calls without libc, another machine's cannot
 * load our object. Reads by pread(2), allocates nothing and believes nothing,
 * so that the shim can ask on its way into exec, in a signal handler or in a
 * vfork child.
 * Source: elf(5), execve(2), Go's debug/buildinfo.
 */
#ifndef CORE_BASE_ELF_KIND_H
#define CORE_BASE_ELF_KIND_H

enum {
	TS_INTERPRETER_CAP = 256,
	TS_SCRIPT_DEPTH_MAX = 4, /* as the kernel */
};

enum ts_elf_kind {
	TS_ELF_UNKNOWN, /* neither ELF nor a script, or unreadable */
	TS_ELF_SCRIPT,	/* interpreter: what its #! line names, or "" */
	TS_ELF_DYNAMIC, /* interpreter: its dynamic linker */
	TS_ELF_STATIC,
	TS_ELF_GO,
	TS_ELF_FOREIGN, /* another machine or class */
	TS_ELF_DAMAGED,
};

/* Of the file that fd has open. */
enum ts_elf_kind ts_elf_kind_of(int fd,
				char interpreter[static TS_INTERPRETER_CAP]);

#endif
