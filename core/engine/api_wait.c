/* SPDX-License-Identifier: BSD-3-Clause
 * api_wait.c - tsnet.h: calls that wait, for the node or for a descriptor
 *
 * All of them end with -ECANCELED when the server is closed meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>

#include "core/engine/api_internal.h"

enum { LOOK_MS = 1000 };

struct timespec api_deadline(unsigned timeout_s)
{
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += timeout_s;
	return end;
}

int api_left_ms(const struct timespec *end)
{
	struct timespec now;
	int64_t ms;

	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (int64_t)(end->tv_sec - now.tv_sec) * 1000 +
	     (end->tv_nsec - now.tv_nsec) / 1000000;
	if (ms < 0)
		return 0;
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

static int wait_running(struct tsnet *ts, const struct timespec *end)
{
	int late = 0;

	while (ts->state != TS_RUNNING && !late) {
		if (ts->is_closing)
			return -ECANCELED;
		if (ts->state == TS_NEEDS_LOGIN && ts->has_failed)
			return -EACCES;
		late = pthread_cond_timedwait(&ts->changed, &ts->lock, end);
	}
	return ts->state == TS_RUNNING ? 0 : -ETIMEDOUT;
}

int api_wait_running(struct tsnet *ts, const struct timespec *end)
{
	int code;

	pthread_mutex_lock(&ts->lock);
	code = wait_running(ts, end);
	if (code)
		api_fail(ts, code, "%s",
			 code == -ECANCELED  ? "the server is being closed"
			 : ts->node_error[0] ? ts->node_error
					     : "the node is not up yet");
	pthread_mutex_unlock(&ts->lock);
	return code;
}

bool api_is_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags != -1 && (flags & O_NONBLOCK);
}

/* The end of the server does not show at every descriptor, nor does a close of
 * it by another thread. */
int api_wait_readable(struct tsnet *ts, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int n = api_is_nonblocking(fd) ? 1 : 0;

	while (n == 0 || (n < 0 && errno == EINTR)) {
		if (api_is_closing(ts))
			return -ECANCELED;
		n = poll(&p, 1, LOOK_MS);
	}
	if (n < 0)
		return -errno;
	return p.revents & POLLNVAL ? -EBADF : 0;
}

int tsnet_up(struct tsnet *ts, unsigned timeout_s)
{
	const struct timespec end = api_deadline(timeout_s);
	int code = api_enter(ts);

	if (code)
		return code;
	code = api_wait_running(ts, &end);
	if (!code)
		code = api_forget_leftovers(ts);
	api_leave(ts);
	return code;
}
