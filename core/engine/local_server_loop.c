/* SPDX-License-Identifier: BSD-3-Clause
 * local_server_loop.c - one of libmicrohttpd's daemons on the loop
 *
 * Without threads: its epoll descriptor is one watch of the loop, its time-outs
 * one timer, set anew before each sleep. It does not tell of a connection that
 * was resumed, neither by its descriptor nor by its time-out.
 */
#include "core/engine/local_server_loop.h"

#include <errno.h>

static void run(struct local_server_loop *l)
{
	l->has_resumed = false;
	MHD_run(l->daemon);
}

static void on_ready(void *ctx, unsigned events)
{
	(void)events;
	run(ctx);
}

static void on_timer(void *ctx)
{
	run(ctx);
}

static void before_sleep(void *ctx)
{
	struct local_server_loop *l = ctx;
	uint64_t now_ms = ts_loop_now_ms(l->loop);
	MHD_UNSIGNED_LONG_LONG wait_ms;

	if (l->has_resumed)
		ts_timer_set(l->timer, now_ms);
	else if (MHD_get_timeout(l->daemon, &wait_ms) == MHD_YES)
		ts_timer_set(l->timer, now_ms + wait_ms);
	else
		ts_timer_set(l->timer, UINT64_MAX);
}

int local_server_loop_open(struct local_server_loop *l, struct ts_loop *loop,
			   struct MHD_Daemon *daemon)
{
	const union MHD_DaemonInfo *info =
		daemon ? MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)
		       : NULL;

	*l = (struct local_server_loop){.loop = loop, .daemon = daemon};
	if (!info)
		return -ENOMEM;
	l->watch = ts_watch_new(loop, info->epoll_fd, TS_READABLE, on_ready, l);
	l->timer = ts_timer_new(loop, on_timer, l);
	if (!l->watch || !l->timer)
		return -ENOMEM;
	return ts_loop_before_sleep(loop, before_sleep, l);
}

void local_server_loop_resume(struct local_server_loop *l,
			      struct MHD_Connection *conn)
{
	MHD_resume_connection(conn);
	l->has_resumed = true;
}

void local_server_loop_close(struct local_server_loop *l)
{
	if (!l->daemon)
		return;
	ts_loop_before_sleep_remove(l->loop, before_sleep, l);
	MHD_stop_daemon(l->daemon);
	ts_watch_free(l->watch);
	ts_timer_free(l->timer);
	*l = (struct local_server_loop){0};
}
