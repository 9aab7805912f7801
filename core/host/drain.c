/* SPDX-License-Identifier: BSD-3-Clause
 * drain.c - DRAIN: the process that we live in is about to end
 *
 * A node inside a program dies with it, and with the node whatever the program
 * had sent and the peers had not got yet. So before exec and _exit the shim
 * asks for it to be delivered. The question is held and looked at again every
 * few milliseconds; the shim stops waiting by itself.
 */
#include <errno.h>
#include <unistd.h>

#include "core/host/host_internal.h"

enum { LOOK_MS = 5 };

static void on_look(void *ctx)
{
	ts_broker_retry_held(ctx);
}

static bool look_again(struct ts_host *host)
{
	if (!host->drain_timer)
		host->drain_timer = ts_timer_new(host->loop, on_look, host);
	if (host->drain_timer)
		ts_timer_set(host->drain_timer,
			     ts_host_now_ms(host) + LOOK_MS);
	return host->drain_timer != NULL;
}

bool ts_drain_answer(struct ts_host *host, const struct ts_broker_request *req,
		     pid_t pid, struct ts_broker_reply *rep)
{
	if (!host->in_process || pid != getpid()) {
		rep->error = EPERM;
		return true;
	}
	if (req->flags & TS_BROKER_END)
		ts_host_finish(host);
	if (ts_host_undelivered(host) == 0)
		return true;
	if (look_again(host))
		return false;
	rep->error = ENOMEM;
	return true;
}
