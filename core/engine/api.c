/* SPDX-License-Identifier: BSD-3-Clause
 * api.c - tsnet.h: a node for C programs
 *
 * Settings are collected as "NAME=value" entries in front of the process's
 * environment, so that one parser and one set of error texts serve tsrun, the
 * shim and this. The engine runs on a thread of its own; what callers ask is
 * read under a lock from a copy that the engine's thread keeps.
 */
#include "tsnet.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/environment.h"
#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/engine/config_load.h"
#include "core/engine/engine_thread.h"

enum { SETTINGS_MAX = 32, ERR_CAP = 256 };

struct tsnet {
	char *settings[SETTINGS_MAX]; /* "NAME=value", wiped when freed */
	size_t setting_count;
	struct ts_engine_thread host;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	enum ts_node_state state;
	char v4[TS_IP_TEXT_CAP], v6[TS_IP_TEXT_CAP];
	char node_error[ERR_CAP];
	bool has_failed; /* node_error is one, not where to log in */
	char errmsg[ERR_CAP];
};

static int fail(struct tsnet *ts, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct tsnet *ts, int code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(ts->errmsg, sizeof(ts->errmsg), fmt, args);
	va_end(args);
	return code;
}

struct tsnet *tsnet_new(void)
{
	struct tsnet *ts = calloc(1, sizeof(*ts));
	pthread_condattr_t attr;

	if (!ts)
		return NULL;
	pthread_mutex_init(&ts->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&ts->changed, &attr);
	pthread_condattr_destroy(&attr);
	return ts;
}

static const struct ts_config_option *find_option(const char *key)
{
	size_t count;
	const struct ts_config_option *options = ts_config_options(&count);

	for (size_t i = 0; i < count; i++) {
		if (strcmp(options[i].key, key) == 0)
			return &options[i];
	}
	return NULL;
}

static void unset(struct tsnet *ts, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < ts->setting_count; i++) {
		if (strncmp(ts->settings[i], name, len) != 0 ||
		    ts->settings[i][len] != '=')
			continue;
		ts_wipe_free_text(ts->settings[i]);
		ts->settings[i] = ts->settings[--ts->setting_count];
		return;
	}
}

int tsnet_set(struct tsnet *ts, const char *key, const char *value)
{
	const struct ts_config_option *option = find_option(key);
	char *entry = NULL;

	if (ts->host.engine)
		return fail(ts, -EBUSY, "%s: the server has been started", key);
	if (!option)
		return fail(ts, -EINVAL, "%s: no such setting", key);
	unset(ts, option->env);
	if (!value)
		return 0;
	if (ts->setting_count == SETTINGS_MAX ||
	    asprintf(&entry, "%s=%s", option->env, value) < 0)
		return fail(ts, -ENOMEM, "out of memory");
	ts->settings[ts->setting_count++] = entry;
	return 0;
}

/* -- the engine's thread ------------------------------------------------------ */
static void format_ip(const struct ts_node *node, bool v6,
		      char out[static TS_IP_TEXT_CAP])
{
	struct ts_ip ip = ts_node_ip(node, v6);

	if (ts_ip_is_zero(&ip))
		out[0] = '\0';
	else
		ts_ip_format(&ip, out);
}

static void on_state(void *ctx, enum ts_node_state state, const char *error,
		     const char *url)
{
	struct tsnet *ts = ctx;

	pthread_mutex_lock(&ts->lock);
	ts->state = state;
	ts->has_failed = error != NULL;
	if (error)
		snprintf(ts->node_error, ERR_CAP, "%s", error);
	else if (url)
		snprintf(ts->node_error, ERR_CAP,
			 "to join the tailnet, visit %.200s", url);
	else if (state == TS_RUNNING)
		ts->node_error[0] = '\0';
	format_ip(ts_engine_node(ts->host.engine), false, ts->v4);
	format_ip(ts_engine_node(ts->host.engine), true, ts->v6);
	pthread_cond_broadcast(&ts->changed);
	pthread_mutex_unlock(&ts->lock);
}

/* Our settings first: the first entry of a name counts. */
static char **make_environment(const struct tsnet *ts)
{
	char **inherited = ts_environment();
	size_t count = 0;
	char **env;

	while (inherited[count])
		count++;
	env = calloc(ts->setting_count + count + 1, sizeof(*env));
	if (!env)
		return NULL;
	memcpy(env, ts->settings, ts->setting_count * sizeof(*env));
	memcpy(env + ts->setting_count, inherited, count * sizeof(*env));
	return env;
}

int tsnet_start(struct tsnet *ts)
{
	struct ts_config config;
	char **env;
	int code;

	if (ts->host.engine)
		return 0;
	env = make_environment(ts);
	if (!env)
		return fail(ts, -ENOMEM, "out of memory");
	code = config_load(&config, env, ts->errmsg);
	free(env);
	if (code)
		return code;
	return ts_engine_thread_open(&ts->host, &config, NULL, on_state, ts,
				     ts->errmsg);
}

static int wait_running(struct tsnet *ts, const struct timespec *end)
{
	int late = 0;

	while (ts->state != TS_RUNNING && !late) {
		if (ts->state == TS_NEEDS_LOGIN && ts->has_failed)
			return -EACCES;
		late = pthread_cond_timedwait(&ts->changed, &ts->lock, end);
	}
	return ts->state == TS_RUNNING ? 0 : -ETIMEDOUT;
}

int tsnet_up(struct tsnet *ts, unsigned timeout_s)
{
	struct timespec end;
	int code = tsnet_start(ts);

	if (code)
		return code;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += timeout_s;
	pthread_mutex_lock(&ts->lock);
	code = wait_running(ts, &end);
	if (code)
		fail(ts, code, "%s", ts->node_error[0]
					     ? ts->node_error
					     : "the node is not up yet");
	pthread_mutex_unlock(&ts->lock);
	return code;
}

int tsnet_ips(struct tsnet *ts, char *v4, char *v6, size_t cap)
{
	int code = 0;

	pthread_mutex_lock(&ts->lock);
	if (!ts->v4[0] && !ts->v6[0])
		code = fail(ts, -ENOTCONN, "the node has no address yet");
	else if (strlen(ts->v4) >= cap || strlen(ts->v6) >= cap)
		code = fail(ts, -ENOBUFS, "the buffers are too small");
	if (!code) {
		snprintf(v4, cap, "%s", ts->v4);
		snprintf(v6, cap, "%s", ts->v6);
	}
	pthread_mutex_unlock(&ts->lock);
	return code;
}

const char *tsnet_localapi(struct tsnet *ts)
{
	return ts->host.engine ? ts_engine_localapi_path(ts->host.engine) : NULL;
}

const char *tsnet_errmsg(struct tsnet *ts)
{
	return ts->errmsg;
}

void tsnet_close(struct tsnet *ts)
{
	if (!ts)
		return;
	if (ts->host.engine)
		ts_engine_thread_close(&ts->host);
	for (size_t i = 0; i < ts->setting_count; i++)
		ts_wipe_free_text(ts->settings[i]);
	pthread_cond_destroy(&ts->changed);
	pthread_mutex_destroy(&ts->lock);
	free(ts);
}
