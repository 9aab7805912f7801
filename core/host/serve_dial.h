/* SPDX-License-Identifier: BSD-3-Clause
 * serve_dial.h - a connection to what is behind a port of the node
 */
#ifndef CORE_HOST_SERVE_DIAL_H
#define CORE_HOST_SERVE_DIAL_H

#include "core/host/proxy_internal.h"
#include "core/serve/web_route.h"

enum { SERVE_DIAL_MS = 10 * 1000 };

struct serve_dial {
	struct ts_member *member;
	struct ts_serve_target target; /* its path and query are not used */
	struct proxy_lookup lookup;
	struct ts_timer *timer;
	struct ts_watch *watch;
	int fd;
	bool has_tried_v6; /* of localhost */
	/* err 0: fd is connected, and the callee's. Once, never inside of
	 * serve_dial_start(). */
	void (*done)(void *ctx, int err, int fd);
	void *ctx;
};

/* dial stays where it is until done() or serve_dial_cancel(). 0 or -ENOMEM. */
int serve_dial_start(struct serve_dial *dial, struct ts_member *member,
		     const struct ts_serve_target *target,
		     void (*done)(void *ctx, int err, int fd), void *ctx);
/* May be repeated. */
void serve_dial_cancel(struct serve_dial *dial);

#endif
