/* SPDX-License-Identifier: BSD-3-Clause
 * local_dial.c - connections, and names, that LocalAPI callers ask for
 *
 * The call is made by the host, as for the proxy's clients; what becomes of it
 * once the far end has answered is in local_server_upgrade.c. By the host's
 * network it is a plain connect.
 */
#include "core/engine/local_dial.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/host/host_call.h"

struct local_dial {
	struct ts_engine *engine;
	struct ts_watch *watch;
	int fd;
	bool by_host;
	ts_localapi_dialled_fn done;
	void *done_ctx;
	struct local_dial *next, **pprev;
};

static void end(struct local_dial *d, int err)
{
	int fd = d->fd;

	ts_watch_free(d->watch);
	*d->pprev = d->next;
	if (d->next)
		d->next->pprev = d->pprev;
	if (err && fd >= 0)
		close(fd);
	d->done(d->done_ctx, err, err ? -1 : fd);
	free(d);
}

static int connect_result(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
		return -errno;
	return -err;
}

static int begin_connect(const struct ts_addr *to)
{
	int family = ts_ip_is_v4(&to->ip) ? AF_INET : AF_INET6;
	struct sockaddr_storage sa;
	int len = ts_addr_to_sockaddr(to, family, &sa), err = 0;
	int fd = len < 0 ? -1
			 : socket(family, SOCK_STREAM | SOCK_CLOEXEC |
					  SOCK_NONBLOCK, 0);

	if (fd < 0)
		return len < 0 ? len : -errno;
	if (connect(fd, (struct sockaddr *)&sa, (socklen_t)len) &&
	    errno != EINPROGRESS)
		err = -errno;
	if (!err)
		return fd;
	close(fd);
	return err;
}

static void on_answered(void *ctx, unsigned events)
{
	struct local_dial *d = ctx;

	(void)events;
	end(d, d->by_host ? connect_result(d->fd)
			  : ts_host_call_result(d->engine->host, d->fd));
}

/* fd: of a connect that has begun, or -errno. */
static void await_answer(struct ts_engine *engine, int fd, bool by_host,
			 ts_localapi_dialled_fn done, void *done_ctx)
{
	struct local_dial *d = fd < 0 ? NULL : calloc(1, sizeof(*d));

	if (!d) {
		if (fd >= 0)
			close(fd);
		done(done_ctx, fd < 0 ? fd : -ENOMEM, -1);
		return;
	}
	d->engine = engine;
	d->fd = fd;
	d->by_host = by_host;
	d->done = done;
	d->done_ctx = done_ctx;
	d->next = engine->local_dials;
	d->pprev = &engine->local_dials;
	if (d->next)
		d->next->pprev = &d->next;
	engine->local_dials = d;
	d->watch = ts_watch_new(engine->loop, fd, TS_WRITABLE, on_answered, d);
	if (!d->watch)
		end(d, -ENOMEM);
}

void engine_local_dial(void *ctx, const struct ts_addr *to,
		       ts_localapi_dialled_fn done, void *done_ctx)
{
	struct ts_engine *engine = ctx;

	await_answer(engine, ts_host_call(engine->member, to), false, done,
		     done_ctx);
}

void engine_local_dial_host(void *ctx, const struct ts_addr *to,
			    ts_localapi_dialled_fn done, void *done_ctx)
{
	await_answer(ctx, begin_connect(to), true, done, done_ctx);
}

void engine_local_dial_cancel(void *ctx, const void *done_ctx)
{
	struct ts_engine *engine = ctx;
	struct local_dial *d = engine->local_dials;

	while (d && d->done_ctx != done_ctx)
		d = d->next;
	if (d)
		end(d, -ETIMEDOUT);
}

/* -- names ---------------------------------------------------------------- */
struct local_name {
	struct ts_resolve *query;
	ts_localapi_resolved_fn done;
	void *done_ctx;
	struct local_name *next, **pprev;
};

static void end_name(struct local_name *n, const struct ts_ip *ips,
		     size_t count)
{
	*n->pprev = n->next;
	if (n->next)
		n->next->pprev = n->pprev;
	n->done(n->done_ctx, ips, count);
	free(n);
}

static void on_resolved(void *ctx, const char *error, const struct ts_ip *ips,
			size_t count)
{
	end_name(ctx, ips, error ? 0 : count);
}

void engine_local_resolve(void *ctx, const char *name,
			  ts_localapi_resolved_fn done, void *done_ctx)
{
	struct ts_engine *engine = ctx;
	struct local_name *n = calloc(1, sizeof(*n));

	if (!n) {
		done(done_ctx, NULL, 0);
		return;
	}
	n->done = done;
	n->done_ctx = done_ctx;
	n->next = engine->local_names;
	n->pprev = &engine->local_names;
	if (n->next)
		n->next->pprev = &n->next;
	engine->local_names = n;
	n->query = ts_resolver_lookup(engine->resolver, name, on_resolved, n);
	if (!n->query)
		end_name(n, NULL, 0);
}

void engine_local_dials_end(struct ts_engine *engine)
{
	while (engine->local_names) {
		ts_resolve_cancel(engine->local_names->query);
		end_name(engine->local_names, NULL, 0);
	}
	while (engine->local_dials)
		end(engine->local_dials, -ECONNABORTED);
}
