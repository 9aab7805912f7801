/* SPDX-License-Identifier: BSD-3-Clause
 * exec_environment.c - what a new program must be told to stay on the tailnet
 *
 * Programs start others with environments of their own making: env -i, sshd's
 * sessions, subprocess with env={}. Without LD_PRELOAD the new program would
 * use the host's network, and nobody would notice. So what is missing is
 * added on the way into exec: our library in LD_PRELOAD, before what is there;
 * and our settings, if there are none at all (some are somebody's decision, as
 * that of a tsrun within a tsrun). Auth keys are never added.
 *
 * follow_exec = no, here or in the new environment, turns it off. Nothing is
 * done for a program that did not get the library by LD_PRELOAD itself, and
 * for tsnet-host, which must not meet its own library.
 *
 * Called on the way into exec: in vfork children, in signal handlers. The
 * settings were copied at the start, into memory of ours; the new environment
 * is made on the caller's stack.
 */
#include "shim/exec.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/base/err.h"
#include "shim/elf_symbols.h"
#include "shim/shim.h"

static const char PRELOAD[] = "LD_PRELOAD=";
static const char FOLLOW_EXEC[] = "TSNET_FOLLOW_EXEC=";
static const char LIBRARY_NAME[] = "libtsnet_shim.so";

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* As conf_values.c has it. */
static bool is_off_entry(const char *entry)
{
	static const char words[][6] = {"no", "off", "false", "0"};
	const char *value = entry + sizeof(FOLLOW_EXEC) - 1;

	if (!begins(entry, FOLLOW_EXEC))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcasecmp(value, words[i]) == 0)
			return true;
	return false;
}

/* Of those that are about the library alone. */
static bool is_about_shim(const char *entry)
{
	return begins(entry, "TSNET_SHIM_") ||
	       begins(entry, FOLLOW_EXEC);
}

/* Those with keys in them begin with TS_AUTH or TS_CLIENT. */
static bool is_setting(const char *entry)
{
	return begins(entry, "TSNET_") || begins(entry, "TS_CONTROL_URL=");
}

/* -- once, at the start --------------------------------------------------- */

/* One that does not fit is not carried. */
static void remember(const char *entry)
{
	size_t len = strlen(entry) + 1;

	if (len > sizeof(shim.settings) - shim.settings_len)
		return;
	memcpy(shim.settings + shim.settings_len, entry, len);
	shim.settings_len += (uint32_t)len;
	shim.settings_count++;
}

/* Is our library in this list, which colons and spaces separate? */
static bool lists_us(const char *list, size_t *our_len)
{
	const size_t name_len = sizeof(LIBRARY_NAME) - 1;

	while (*list) {
		size_t len = strcspn(list, ": ");

		if (len >= name_len &&
		    memcmp(list + len - name_len, LIBRARY_NAME, name_len) ==
			    0 &&
		    (len == name_len || list[len - name_len - 1] == '/')) {
			*our_len = len;
			return true;
		}
		list += len + (list[len] != '\0');
	}
	return false;
}

void shim_exec_read_environment(void)
{
	const char *preload = getenv("LD_PRELOAD");
	const char *own = shim_own_path();
	size_t len;

	shim.follows_exec = preload && own && lists_us(preload, &len) &&
			    strlen(own) < sizeof(shim.library);
	if (!shim.follows_exec)
		return;
	memcpy(shim.library, own, strlen(own) + 1);
	for (char **env = environ; *env; env++) {
		if (is_off_entry(*env))
			shim.follows_exec = false;
		if (is_setting(*env))
			remember(*env);
	}
}

/* -- at each exec --------------------------------------------------------- */

static bool is_off(char *const env[])
{
	for (; env && *env; env++)
		if (is_off_entry(*env))
			return true;
	return false;
}

static bool follows(char *const env[])
{
	return shim.follows_exec && !shim_is_engine_thread() &&
	       (shim.is_hosted || shim.is_configured) && !is_off(env);
}

static bool is_host(const char *program)
{
	const char *slash = program ? strrchr(program, '/') : NULL;

	return program &&
	       strcmp(slash ? slash + 1 : program, "tsnet-host") == 0;
}

static void look_at(struct shim_exec_env *e, char *entry)
{
	size_t len;

	if (begins(entry, PRELOAD)) {
		e->preload = entry + sizeof(PRELOAD) - 1;
		e->has_library = lists_us(e->preload, &len);
	} else if (is_setting(entry) && !is_about_shim(entry)) {
		e->has_settings = true;
	}
}

bool shim_exec_env_plan(struct shim_exec_env *e, const char *program,
			char *const env[])
{
	*e = (struct shim_exec_env){.env = env};
	if (!follows(env) || is_host(program))
		return false;
	for (; env && env[e->count]; e->count++)
		look_at(e, env[e->count]);
	if (e->has_library && e->has_settings)
		return false;
	if (e->count > SHIM_EXEC_ENV_MAX) {
		shim_warn("exec: an environment of %zu entries: left as it is",
			  e->count);
		return false;
	}
	if (!e->has_library && access(shim.library, R_OK) != 0) {
		shim_note("exec: %s: %s", shim.library, ts_strerror(-errno));
		return false;
	}
	e->size = (e->count + shim.settings_count + 2) * sizeof(char *);
	if (!e->has_library)
		e->size += sizeof(PRELOAD) + strlen(shim.library) + 1 +
			   (e->preload ? strlen(e->preload) : 0);
	return true;
}

static char *write_preload(const struct shim_exec_env *e, char *out)
{
	char *at = out;

	memcpy(at, PRELOAD, sizeof(PRELOAD) - 1);
	at += sizeof(PRELOAD) - 1;
	memcpy(at, shim.library, strlen(shim.library) + 1);
	at += strlen(shim.library);
	if (e->preload && *e->preload) {
		*at++ = ':';
		memcpy(at, e->preload, strlen(e->preload) + 1);
	}
	return out;
}

char **shim_exec_env_make(const struct shim_exec_env *e, void *room)
{
	char **out = room;
	char *setting = shim.settings;
	size_t n = 0;

	for (size_t i = 0; i < e->count; i++)
		if (e->has_library || !begins(e->env[i], PRELOAD))
			out[n++] = e->env[i];
	for (uint32_t i = 0; !e->has_settings && i < shim.settings_count; i++) {
		out[n++] = setting;
		setting += strlen(setting) + 1;
	}
	if (!e->has_library)
		out[n++] = write_preload(
			e, (char *)(out + e->count + shim.settings_count + 2));
	out[n] = NULL;
	shim_note("exec: added%s%s", e->has_library ? "" : " LD_PRELOAD",
		  e->has_settings ? "" : " settings");
	return out;
}
