/* SPDX-License-Identifier: BSD-3-Clause
 * local_dial.c - connections that LocalAPI callers ask for
 *
 * The call is made by the host, as for the proxy's clients; what becomes of it
 * once the far end has answered is in local_server_upgrade.c.
 */
#include "core/engine/local_dial.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/host/host_call.h"

struct local_dial {
	struct ts_engine *engine;
	struct ts_watch *watch;
	int fd;
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

static void on_answered(void *ctx, unsigned events)
{
	struct local_dial *d = ctx;

	(void)events;
	end(d, ts_host_call_result(d->engine->host, d->fd));
}

void engine_local_dial(void *ctx, const struct ts_addr *to,
		       ts_localapi_dialled_fn done, void *done_ctx)
{
	struct ts_engine *engine = ctx;
	struct local_dial *d = calloc(1, sizeof(*d));
	int fd = d ? ts_host_call(engine->member, to) : -ENOMEM;

	if (fd < 0) {
		free(d);
		done(done_ctx, fd, -1);
		return;
	}
	d->engine = engine;
	d->fd = fd;
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

void engine_local_dials_end(struct ts_engine *engine)
{
	while (engine->local_dials)
		end(engine->local_dials, -ECONNABORTED);
}
