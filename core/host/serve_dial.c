/* SPDX-License-Identifier: BSD-3-Clause
 * serve_dial.c - a connection to what is behind a port of the node
 *
 * Numbers, names of the tailnet or of the host's network, Unix sockets. Our own
 * LocalAPI and broker are no backends: who reached them through us would be
 * taken for ourselves.
 */
#include "core/host/serve_dial.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static void finish(struct serve_dial *dial, int err)
{
	int fd = dial->fd;

	if (!err)
		dial->fd = -1;
	serve_dial_cancel(dial);
	dial->done(dial->ctx, err, err ? -1 : fd);
}

void serve_dial_cancel(struct serve_dial *dial)
{
	if (!dial->timer)
		return;
	ts_timer_free(dial->timer);
	dial->timer = NULL;
	ts_proxy_resolve_cancel(&dial->lookup);
	ts_watch_free(dial->watch);
	dial->watch = NULL;
	ts_sock_close(dial->fd);
	dial->fd = -1;
}

/* -- the way there -------------------------------------------------------- */

static void call(struct serve_dial *dial, const struct ts_ip *ip);

/* Who listens at one of localhost's two addresses only. */
static bool try_v6(struct serve_dial *dial)
{
	const struct ts_ip v6 = ts_sock_loopback(true);

	if (dial->has_tried_v6 ||
	    strcasecmp(dial->target.host, "localhost") != 0)
		return false;
	dial->has_tried_v6 = true;
	ts_watch_free(dial->watch);
	dial->watch = NULL;
	ts_sock_close(dial->fd);
	dial->fd = -1;
	call(dial, &v6);
	return true;
}

static void on_connected(void *ctx, unsigned events)
{
	struct serve_dial *dial = ctx;
	int err = ts_proxy_call_result(dial->member->host, dial->fd);

	(void)events;
	if (err == -ECONNREFUSED && try_v6(dial))
		return;
	finish(dial, err);
}

static void await(struct serve_dial *dial)
{
	dial->watch = ts_watch_new(dial->member->host->loop, dial->fd, TS_WRITABLE,
				   on_connected, dial);
	if (!dial->watch)
		finish(dial, -ENOMEM);
}

static void call(struct serve_dial *dial, const struct ts_ip *ip)
{
	const struct ts_addr to = {.ip = *ip, .port = dial->target.port};
	int fd = ts_proxy_call(dial->member, &to);

	if (fd < 0) {
		finish(dial, fd);
		return;
	}
	dial->fd = fd;
	await(dial);
}

static void on_resolved(void *ctx, int err, const struct ts_ip *ip)
{
	struct serve_dial *dial = ctx;

	if (err)
		finish(dial, err);
	else
		call(dial, ip);
}

static bool is_same_file(const char *a, const char *b)
{
	struct stat x, y;

	return *b && stat(a, &x) == 0 && stat(b, &y) == 0 &&
	       x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool is_localapi(const struct ts_host *host, const char *path)
{
	for (unsigned i = 0; i < host->member_count; i++)
		if (is_same_file(path, host->members[i].localapi_path))
			return true;
	return false;
}

static int call_unix(struct serve_dial *dial)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	const struct ts_host *host = dial->member->host;
	int fd, err = 0;

	if (is_same_file(dial->target.host, host->info.broker_path) ||
	    is_localapi(host, dial->target.host))
		return -EACCES;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	dial->fd = ts_sock_keep(dial->member->host, fd);
	memcpy(sun.sun_path, dial->target.host,
	       strnlen(dial->target.host, sizeof(sun.sun_path) - 1));
	ts_hurry_begin();
	if (connect(dial->fd, (struct sockaddr *)&sun, sizeof(sun)))
		err = -errno; /* EAGAIN: too many wait there */
	ts_hurry_end();
	return err;
}

/* The timer: at first to begin in a turn of its own, then the limit. */
static void on_timer(void *ctx)
{
	struct serve_dial *dial = ctx;

	finish(dial, -ETIMEDOUT);
}

static void begin(void *ctx)
{
	struct serve_dial *dial = ctx;
	struct ts_loop *loop = dial->member->host->loop;
	int err;

	ts_timer_free(dial->timer);
	dial->timer = ts_timer_new(loop, on_timer, dial);
	if (!dial->timer) {
		dial->done(dial->ctx, -ENOMEM, -1);
		return;
	}
	ts_timer_set(dial->timer, ts_loop_now_ms(loop) + SERVE_DIAL_MS);
	if (dial->target.scheme != TS_SERVE_UNIX &&
	    strlen(dial->target.host) >= PROXY_HOST_CAP) {
		finish(dial, -ENOENT); /* no name is so long */
		return;
	}
	if (dial->target.scheme != TS_SERVE_UNIX) {
		ts_proxy_resolve(&dial->lookup);
		return;
	}
	err = call_unix(dial);
	if (err)
		finish(dial, err);
	else
		await(dial);
}

int serve_dial_start(struct serve_dial *dial, struct ts_member *member,
		     const struct ts_serve_target *target,
		     void (*done)(void *ctx, int err, int fd), void *ctx)
{
	*dial = (struct serve_dial){
		.member = member, .target = *target, .fd = -1, .done = done,
		.ctx = ctx};
	dial->lookup = (struct proxy_lookup){
		.host = member->host, .name = dial->target.host, .done = on_resolved,
		.ctx = dial};
	dial->timer = ts_timer_new(member->host->loop, begin, dial);
	if (!dial->timer)
		return -ENOMEM;
	ts_timer_set(dial->timer, ts_loop_now_ms(member->host->loop));
	return 0;
}
