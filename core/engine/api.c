/* SPDX-License-Identifier: BSD-3-Clause
 * api.c - tsnet.h: a server's settings, its start and its end
 *
 * Settings are collected as "NAME=value" entries in front of the process's
 * environment, so that one parser and one set of error texts serve tsrun, the
 * shim and this. The engine runs on a thread of its own; what callers ask of
 * its state is read under a lock from a copy that the engine's thread keeps.
 *
 * A call is "inside" from api_enter() to api_leave(). The end stops the engine
 * first, which ends every wait inside, and frees when nobody is inside.
 */
#include "core/engine/api_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/environment.h"
#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/engine/config_load.h"

/* Its threads stayed behind, and may have held the locks. */
static bool is_in_child(const struct tsnet *ts)
{
	return ts->pid != 0 && ts->pid != getpid();
}

int api_fail(struct tsnet *ts, int code, const char *fmt, ...)
{
	bool is_alone = is_in_child(ts);
	va_list args;

	va_start(args, fmt);
	if (!is_alone)
		pthread_mutex_lock(&ts->errmsg_lock);
	vsnprintf(ts->errmsg, sizeof(ts->errmsg), fmt, args);
	if (!is_alone)
		pthread_mutex_unlock(&ts->errmsg_lock);
	va_end(args);
	return code;
}

int api_check(struct tsnet *ts, bool is_given, const char *what)
{
	if (!ts)
		return -EINVAL;
	return is_given ? 0 : api_fail(ts, -EINVAL, "%s: NULL", what);
}

struct tsnet *tsnet_new(void)
{
	struct tsnet *ts = calloc(1, sizeof(*ts));
	pthread_condattr_t attr;

	if (!ts)
		return NULL;
	pthread_mutex_init(&ts->start_lock, NULL);
	pthread_mutex_init(&ts->lock, NULL);
	pthread_mutex_init(&ts->errmsg_lock, NULL);
	pthread_mutex_init(&ts->publish_lock, NULL);
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

static bool is_started(struct tsnet *ts)
{
	bool yes;

	if (!ts || is_in_child(ts))
		return false;
	pthread_mutex_lock(&ts->lock);
	yes = ts->is_started;
	pthread_mutex_unlock(&ts->lock);
	return yes;
}

bool api_is_closing(struct tsnet *ts)
{
	bool yes;

	pthread_mutex_lock(&ts->lock);
	yes = ts->is_closing;
	pthread_mutex_unlock(&ts->lock);
	return yes;
}

static int set(struct tsnet *ts, const char *env, const char *value)
{
	char *entry = NULL;

	unset(ts, env);
	if (!value)
		return 0;
	if (ts->setting_count == API_SETTINGS_MAX ||
	    asprintf(&entry, "%s=%s", env, value) < 0)
		return api_fail(ts, -ENOMEM, "out of memory");
	ts->settings[ts->setting_count++] = entry;
	return 0;
}

static int fail_inside(struct tsnet *ts)
{
	return api_fail(ts, -EDEADLK, "called from a function that the server "
			"waits for");
}

int api_check_open(struct tsnet *ts, const char *what)
{
	if (!ts)
		return -EINVAL;
	if (api_calls_is_here(&ts->host))
		return fail_inside(ts);
	return is_started(ts) ? api_fail(ts, -EBUSY, "%s: the server has been "
					 "started", what)
			      : 0;
}

int tsnet_set(struct tsnet *ts, const char *key, const char *value)
{
	const struct ts_config_option *option = key ? find_option(key) : NULL;
	int code = api_check(ts, key, "key");

	if (code)
		return code;
	code = api_check_open(ts, key);
	if (code)
		return code;
	if (!option)
		return api_fail(ts, -EINVAL, "%s: no such setting", key);
	pthread_mutex_lock(&ts->start_lock);
	code = set(ts, option->env, value);
	pthread_mutex_unlock(&ts->start_lock);
	return code;
}

/* -- the engine's thread -------------------------------------------------- */

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
	enum ts_node_state before;

	pthread_mutex_lock(&ts->lock);
	before = ts->state;
	ts->state = state;
	ts->has_failed = error != NULL;
	if (error)
		snprintf(ts->node_error, API_ERR_CAP, "%s", error);
	else if (url)
		snprintf(ts->node_error, API_ERR_CAP,
			 "to join the tailnet, visit %.200s", url);
	else if (state == TS_RUNNING)
		ts->node_error[0] = '\0';
	format_ip(ts_engine_node(ts->host.engine), false, ts->v4);
	format_ip(ts_engine_node(ts->host.engine), true, ts->v6);
	api_tell_user(ts, before, error, url);
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

/* -- the start ------------------------------------------------------------ */

static int open_engine(struct tsnet *ts)
{
	struct ts_config config;
	char err[256] = "";
	char **env = make_environment(ts);
	int code;

	if (!env)
		return api_fail(ts, -ENOMEM, "out of memory");
	code = config_load_alone(&config, env, err);
	free(env);
	if (code)
		return api_fail(ts, code, "%s", err);
	if (ts->calls)
		config.program = api_calls_ops(ts->calls);
	code = ts_engine_thread_open(&ts->host, &config, NULL, on_state, ts,
				     err);
	return code ? api_fail(ts, code, "%s", err) : 0;
}

static int open_calls(struct tsnet *ts)
{
	const struct api_given *g = &ts->given;
	int code;

	if (!g->log && !g->user_log && !g->has_store)
		return 0;
	code = api_calls_start(&ts->calls, g, &ts->host);
	return code ? api_fail(ts, code, "cannot start a thread: %s",
			       ts_strerror(code))
		    : 0;
}

static void close_calls(struct tsnet *ts, int code)
{
	if (code == -ETIMEDOUT) /* it may still be on its way */
		api_calls_abandon(ts->calls);
	else
		api_calls_stop(ts->calls);
	ts->calls = NULL;
}

static int start(struct tsnet *ts)
{
	int code = open_calls(ts);

	if (code)
		return code;
	code = open_engine(ts);
	if (code) {
		close_calls(ts, code);
		return code;
	}
	snprintf(ts->broker, sizeof(ts->broker), "%s",
		 ts_engine_broker_abstract(ts->host.engine));
	snprintf(ts->localapi, sizeof(ts->localapi), "%s",
		 ts_engine_localapi_path(ts->host.engine));
	snprintf(ts->root, sizeof(ts->root), "%.*s",
		 (int)(strrchr(ts->localapi, '/') - ts->localapi),
		 ts->localapi);
	code = api_host_attach(ts);
	if (!code)
		return 0;
	ts_engine_thread_stop(&ts->host);
	close_calls(ts, 0);
	ts_engine_thread_close(&ts->host);
	return api_fail(ts, code, "the node's thread does not answer: %s",
			ts_strerror(code));
}

/* Under start_lock. */
static int start_if_open(struct tsnet *ts)
{
	int code;

	if (api_is_closing(ts))
		return api_fail(ts, -ECANCELED, "the server is being closed");
	if (is_started(ts))
		return 0;
	ts->pid = getpid();
	code = start(ts);
	if (code)
		return code;
	pthread_mutex_lock(&ts->lock);
	ts->is_started = true;
	pthread_mutex_unlock(&ts->lock);
	return 0;
}

int api_enter(struct tsnet *ts)
{
	int code;

	if (!ts)
		return -EINVAL;
	if (is_in_child(ts))
		return api_fail(ts, -ENETDOWN, "the server was started before "
				"this process was forked");
	if (api_calls_is_here(&ts->host))
		return fail_inside(ts);
	pthread_mutex_lock(&ts->lock);
	ts->users++;
	pthread_mutex_unlock(&ts->lock);
	pthread_mutex_lock(&ts->start_lock);
	code = start_if_open(ts);
	pthread_mutex_unlock(&ts->start_lock);
	if (code)
		api_leave(ts);
	return code;
}

int tsnet_start(struct tsnet *ts)
{
	int code = api_enter(ts);

	if (!code)
		api_leave(ts);
	return code;
}

void api_leave(struct tsnet *ts)
{
	pthread_mutex_lock(&ts->lock);
	ts->users--;
	pthread_cond_broadcast(&ts->changed);
	pthread_mutex_unlock(&ts->lock);
}

/* -- what it is ----------------------------------------------------------- */

int tsnet_ips(struct tsnet *ts, char *v4, char *v6, size_t cap)
{
	int code = api_check(ts, v4 && v6, "v4 and v6");

	if (code)
		return code;
	if (is_in_child(ts))
		return api_fail(ts, -ENETDOWN, "the server was started before "
				"this process was forked");
	pthread_mutex_lock(&ts->lock);
	if (!ts->v4[0] && !ts->v6[0])
		code = api_fail(ts, -ENOTCONN, "the node has no address yet");
	else if (strlen(ts->v4) >= cap || strlen(ts->v6) >= cap)
		code = api_fail(ts, -ENOBUFS, "the buffers are too small");
	if (!code) {
		snprintf(v4, cap, "%s", ts->v4);
		snprintf(v6, cap, "%s", ts->v6);
	}
	pthread_mutex_unlock(&ts->lock);
	return code;
}

const char *tsnet_localapi(struct tsnet *ts)
{
	return is_started(ts) ? ts->localapi : NULL;
}

const char *tsnet_root_path(struct tsnet *ts)
{
	return is_started(ts) ? ts->root : NULL;
}

const char *tsnet_errmsg(struct tsnet *ts)
{
	/* A copy: another thread may be about to fail. */
	static __thread char words[API_ERR_CAP];

	if (!ts)
		return "no server";
	if (is_in_child(ts))
		return ts->errmsg;
	pthread_mutex_lock(&ts->errmsg_lock);
	memcpy(words, ts->errmsg, sizeof(words));
	pthread_mutex_unlock(&ts->errmsg_lock);
	return words;
}

/* -- the end -------------------------------------------------------------- */

static void begin_end(struct tsnet *ts)
{
	pthread_mutex_lock(&ts->lock);
	ts->is_closing = true;
	pthread_cond_broadcast(&ts->changed);
	pthread_mutex_unlock(&ts->lock);
}

static void wait_until_left(struct tsnet *ts)
{
	pthread_mutex_lock(&ts->lock);
	while (ts->users > 0)
		pthread_cond_wait(&ts->changed, &ts->lock);
	pthread_mutex_unlock(&ts->lock);
}

void api_stop(struct tsnet *ts)
{
	if (is_in_child(ts))
		return;
	begin_end(ts);
	pthread_mutex_lock(&ts->start_lock); /* one that is under way */
	if (is_started(ts)) {
		api_end_listeners(ts);
		ts_engine_thread_stop(&ts->host);
		close_calls(ts, 0);
	}
	pthread_mutex_unlock(&ts->start_lock);
	wait_until_left(ts);
}

void api_free(struct tsnet *ts)
{
	if (is_in_child(ts))
		return;
	if (ts->host.control)
		ts_engine_thread_close(&ts->host);
	api_host_detach(ts);
	for (size_t i = 0; i < ts->setting_count; i++)
		ts_wipe_free_text(ts->settings[i]);
	free(ts->listeners);
	api_free_published(ts);
	pthread_mutex_destroy(&ts->publish_lock);
	pthread_cond_destroy(&ts->changed);
	pthread_mutex_destroy(&ts->errmsg_lock);
	pthread_mutex_destroy(&ts->lock);
	pthread_mutex_destroy(&ts->start_lock);
	free(ts);
}

void tsnet_close(struct tsnet *ts)
{
	if (!ts)
		return;
	if (api_calls_is_here(&ts->host) || api_is_asking(ts)) {
		(void)fail_inside(ts);
		return;
	}
	api_stop(ts);
	api_free(ts);
}
