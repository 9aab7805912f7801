/* SPDX-License-Identifier: BSD-3-Clause
 * preload_check.h - can the dynamic linker put our library into a program?
 */
#ifndef CORE_ENGINE_PRELOAD_CHECK_H
#define CORE_ENGINE_PRELOAD_CHECK_H

/* Looks program up in PATH as execvp does and reads its ELF header; scripts
 * are judged by their interpreter. 0, or a negative errno with one sentence
 * in err: -ENOENT not found, -EACCES not executable, -ENOTSUP it would run
 * without the shim, but its system calls can be served (static, Go), -ENOEXEC
 * it would run without either (set-id, foreign libc or machine). */
int preload_check(const char *program, char err[static 256]);

#endif
