/* SPDX-License-Identifier: BSD-3-Clause
 * api_capture.c - the packets inside the tunnel, into a file, while a server is
 *
 * As `tsrun capture -o` does it, on a thread of its own. It counts as a call
 * that is under way, so the end of the server waits for it, and it ends by
 * that. Its table of descriptors is its own as well, where that can be had:
 * libcurl's have no close-on-exec, and would be left open in whatever the
 * program runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/engine/api_internal.h"
#include "core/engine/local_client.h"
#include "core/engine/own_files.h"

struct capture {
	struct tsnet *ts;
	const char *path; /* the starter's */
	int fd;
	pthread_t thread;
	/* The starter waits for the first bytes, or for why there are none, and
	 * does not look again after bytes. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool has_begun, has_ended;
	int code;
	char err[256];
};

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* data NULL: nothing comes, so this is the time to look. */
static int on_data(void *ctx, const char *data, size_t len)
{
	struct capture *c = ctx;
	int code = data ? write_all(c->fd, data, len) : 0;

	if (data && !code && !c->has_begun) {
		pthread_mutex_lock(&c->lock);
		c->has_begun = true;
		pthread_cond_signal(&c->changed);
		pthread_mutex_unlock(&c->lock);
	}
	return !code && api_is_closing(c->ts) ? -ECANCELED : code;
}

static void free_capture(struct capture *c)
{
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* 0600: what passes may be anybody's secret. */
static int write_file(struct capture *c)
{
	int code;

	(void)own_files_take();
	c->fd = open(c->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC |
			      O_NOCTTY, 0600);
	if (c->fd < 0)
		return -errno;
	code = local_client_stream(c->ts->localapi, "POST",
				   "/localapi/v0/debug-capture?format=pcapng",
				   on_data, c, c->err);
	close(c->fd);
	return code;
}

static void *run(void *ctx)
{
	struct capture *c = ctx;
	struct tsnet *ts = c->ts;
	int code = write_file(c);

	if (c->has_begun) { /* nobody waits for us any more */
		pthread_detach(pthread_self());
		free_capture(c);
		api_leave(ts);
		return NULL;
	}
	pthread_mutex_lock(&c->lock);
	c->code = code ? code : -ENETDOWN;
	c->has_ended = true;
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* All signals blocked: a pipe that nobody reads ends the capture alone. */
static int start_thread(struct capture *c)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&c->thread, NULL, run, c);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -err;
}

/* 0: it runs, and c and the server's use are its own. */
static int begin(struct capture *c)
{
	int code = start_thread(c);

	if (code)
		return code;
	pthread_mutex_lock(&c->lock);
	while (!c->has_begun && !c->has_ended)
		pthread_cond_wait(&c->changed, &c->lock);
	code = c->has_begun ? 0 : c->code;
	pthread_mutex_unlock(&c->lock);
	if (code)
		pthread_join(c->thread, NULL);
	return code;
}

static struct capture *new_capture(struct tsnet *ts)
{
	struct capture *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->ts = ts;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	return c;
}

static int capture(struct tsnet *ts, const char *path)
{
	struct capture *c = new_capture(ts);
	int code = c ? 0 : -ENOMEM;

	if (code)
		return api_fail(ts, code, "out of memory");
	c->path = path;
	code = begin(c);
	if (!code)
		return 0;
	api_fail(ts, code, "cannot capture to %.120s: %.100s", path,
		 c->err[0] ? c->err : ts_strerror(code));
	free_capture(c);
	return code;
}

int tsnet_capture_pcap(struct tsnet *ts, const char *path)
{
	int code = api_check(ts, path, "path");

	if (!code)
		code = api_enter(ts);
	if (code)
		return code;
	code = capture(ts, path);
	if (code) /* else the capture leaves */
		api_leave(ts);
	return code;
}
