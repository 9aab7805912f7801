/* SPDX-License-Identifier: BSD-3-Clause
 * api_given.c - tsnet.h: what the program does itself, and what users are told
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/engine/api_internal.h"

_Static_assert((int)TSNET_LOG_ERROR == (int)TS_LOG_ERROR &&
		       (int)TSNET_LOG_WARN == (int)TS_LOG_WARN &&
		       (int)TSNET_LOG_INFO == (int)TS_LOG_INFO &&
		       (int)TSNET_LOG_DEBUG == (int)TS_LOG_DEBUG,
	       "programs have our levels");

int tsnet_set_log(struct tsnet *ts, tsnet_log_fn fn, void *ctx)
{
	int code = api_check_open(ts, "log");

	if (code)
		return code;
	pthread_mutex_lock(&ts->start_lock);
	ts->given.log = fn;
	ts->given.log_ctx = ctx;
	pthread_mutex_unlock(&ts->start_lock);
	return 0;
}

int tsnet_set_user_log(struct tsnet *ts, tsnet_log_fn fn, void *ctx)
{
	int code = api_check_open(ts, "user log");

	if (code)
		return code;
	pthread_mutex_lock(&ts->start_lock);
	ts->given.user_log = fn;
	ts->given.user_log_ctx = ctx;
	pthread_mutex_unlock(&ts->start_lock);
	return 0;
}

int tsnet_set_store(struct tsnet *ts, const struct tsnet_store *store)
{
	int code = api_check_open(ts, "store");

	if (!code && store)
		code = api_check(ts, store->read && store->write &&
					     store->remove,
				 "read, write and remove");
	if (code)
		return code;
	pthread_mutex_lock(&ts->start_lock);
	ts->given.has_store = store != NULL;
	if (store)
		ts->given.store = *store;
	pthread_mutex_unlock(&ts->start_lock);
	return 0;
}

void api_tell_user(struct tsnet *ts, enum ts_node_state before,
		   const char *error, const char *url)
{
	char text[sizeof(ts->user_told)];

	if (url)
		snprintf(text, sizeof(text), "to join the tailnet, visit %s",
			 url);
	else if (error)
		snprintf(text, sizeof(text), "%s", error);
	else if (ts->state == TS_RUNNING && before != TS_RUNNING)
		snprintf(text, sizeof(text), "the node is running: %s %s",
			 ts->v4, ts->v6);
	else
		return;
	if (strcmp(text, ts->user_told) == 0)
		return; /* each try fails like the one before */
	strcpy(ts->user_told, text);
	api_calls_tell_user(ts->calls, error ? TS_LOG_ERROR : TS_LOG_INFO,
			    text);
}
