/* SPDX-License-Identifier: BSD-3-Clause
 * lab_listener.c - a listening TCP or Unix socket that can refuse for a while
 *
 * Refusal must look as it does when the server's process is gone: the kernel
 * answers RST. So the listening socket is closed and a fresh one is bound to
 * the same port without listening; it holds the port until refusal ends, when
 * the same socket starts to listen.
 */
#include "tests/lab/lab_listener.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 512, ACCEPTS_PER_EVENT = 64 };

struct lab_listener {
	struct ts_loop *loop;
	struct ts_watch *watch; /* NULL: refusing */
	int fd;
	struct ts_addr addr; /* with the real port; TCP only */
	char *path;          /* Unix only: removed at close */
	void (*accepted)(void *ctx, int fd);
	void *ctx;
};

static void on_readable(void *ctx, unsigned events)
{
	struct lab_listener *l = ctx;
	const int on = 1;

	(void)events;
	for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
		int fd = accept4(l->fd, NULL, NULL,
				 SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return;
		if (!l->path)
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
				   sizeof(on));
		l->accepted(l->ctx, fd);
		if (!l->watch) /* the callback turned refusal on */
			return;
	}
}

static int start(struct lab_listener *l)
{
	if (listen(l->fd, BACKLOG) < 0)
		return -errno;
	l->watch = ts_watch_new(l->loop, l->fd, TS_READABLE, on_readable, l);
	return l->watch ? 0 : -ENOMEM;
}

/* A bound socket for l->addr; fills in the port when it was 0. */
static int bind_tcp(struct lab_listener *l)
{
	struct sockaddr_storage ss;
	socklen_t ss_len = sizeof(ss);
	int family = ts_addr_family(&l->addr);
	int len = ts_addr_to_sockaddr(&l->addr, family, &ss);
	const int on = 1;

	if (len < 0)
		return len;
	l->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return -errno;
	setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(l->fd, (struct sockaddr *)&ss, (socklen_t)len) < 0)
		return -errno;
	if (getsockname(l->fd, (struct sockaddr *)&ss, &ss_len) < 0)
		return -errno;
	return ts_addr_from_sockaddr((struct sockaddr *)&ss, ss_len, &l->addr);
}

static int bind_unix(struct lab_listener *l, const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	strcpy(sun.sun_path, path);
	l->path = strdup(path);
	if (!l->path)
		return -ENOMEM;
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return -errno;
	unlink(path);
	return bind(l->fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 ? -errno
								     : 0;
}

static struct lab_listener *listener_new(struct ts_loop *loop,
					 void (*accepted)(void *ctx, int fd),
					 void *ctx)
{
	struct lab_listener *l = calloc(1, sizeof(*l));

	if (l)
		*l = (struct lab_listener){.loop = loop,
					   .fd = -1,
					   .accepted = accepted,
					   .ctx = ctx};
	return l;
}

static int finish_open(struct lab_listener *l, int err,
		       struct lab_listener **out)
{
	if (!err)
		err = start(l);
	if (err)
		lab_listener_close(l);
	else
		*out = l;
	return err;
}

int lab_listener_open(struct ts_loop *loop, const struct ts_addr *bind_to,
		      void (*accepted)(void *ctx, int fd), void *ctx,
		      struct lab_listener **out)
{
	struct lab_listener *l = listener_new(loop, accepted, ctx);

	if (!l)
		return -ENOMEM;
	l->addr = *bind_to;
	return finish_open(l, bind_tcp(l), out);
}

int lab_listener_open_path(struct ts_loop *loop, const char *path,
			   void (*accepted)(void *ctx, int fd), void *ctx,
			   struct lab_listener **out)
{
	struct lab_listener *l = listener_new(loop, accepted, ctx);

	if (!l)
		return -ENOMEM;
	return finish_open(l, bind_unix(l, path), out);
}

void lab_listener_close(struct lab_listener *l)
{
	if (!l)
		return;
	ts_watch_free(l->watch);
	if (l->fd >= 0)
		close(l->fd);
	if (l->path)
		unlink(l->path);
	free(l->path);
	free(l);
}

uint16_t lab_listener_port(const struct lab_listener *l)
{
	return l->addr.port;
}

int lab_listener_refuse(struct lab_listener *l, bool on)
{
	if (on == !l->watch)
		return 0;
	if (!on)
		return start(l);
	ts_watch_free(l->watch);
	l->watch = NULL;
	close(l->fd);
	l->fd = -1;
	return bind_tcp(l);
}
