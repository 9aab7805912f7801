/* SPDX-License-Identifier: BSD-3-Clause
 * elf_symbols.h - functions of other libraries, with and without libdl
 */
#ifndef SHIM_ELF_SYMBOLS_H
#define SHIM_ELF_SYMBOLS_H

#include <stdbool.h>

/* The first function of this name in a library loaded after us, or NULL.
 * Neither allocates nor waits for long. */
void *shim_next_symbol(const char *name);
/* The same without libdl. */
void *shim_elf_search(const char *name);
/* The file that we were loaded from, or NULL. */
const char *shim_own_path(void);

struct shim_dl {
	void *(*open)(const char *file, int flags);
	void *(*sym)(void *handle, const char *name);
	char *(*error)(void);
};
/* May load libdl; false: there is no way. */
bool shim_dl_ready(struct shim_dl *dl);

#endif
