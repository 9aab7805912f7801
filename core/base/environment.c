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
#include <stddef.h>
#include <string.h>
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

const char *ts_environment_get(char **env, const char *name)
{
	size_t len = name ? strlen(name) : 0;

	for (; name && env && *env; env++)
		if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
			return (*env)[len + 1] ? *env + len + 1 : NULL;
	return NULL;
}
