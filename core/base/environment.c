/* SPDX-License-Identifier: BSD-3-Clause
 * environment.c - the environment that getenv() reads
 *
 * A library's own "environ" may be a stale twin: a program that is not
 * position independent holds a copy of libc's variable, and RTLD_DEEPBIND
 * hides it from what was loaded with it. The main program's scope knows which
 * one is in use.
 */
#include "core/base/environment.h"

#include <dlfcn.h>
#include <unistd.h>

char **ts_environment(void)
{
	void *program = dlopen(NULL, RTLD_LAZY);
	char ***found = program ? dlsym(program, "environ") : NULL;
	char **env = found ? *found : environ;

	if (program)
		dlclose(program);
	return env;
}
