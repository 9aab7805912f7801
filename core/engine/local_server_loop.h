/* SPDX-License-Identifier: BSD-3-Clause
 * local_server_loop.h - one of libmicrohttpd's daemons on the loop
 */
#ifndef CORE_ENGINE_LOCAL_SERVER_LOOP_H
#define CORE_ENGINE_LOCAL_SERVER_LOOP_H

#include <microhttpd.h>
#include <stdbool.h>

#include "core/loop/loop.h"

struct local_server_loop {
	struct ts_loop *loop;
	struct MHD_Daemon *daemon;
	struct ts_watch *watch;
	struct ts_timer *timer;
	bool has_resumed;
};

/* Takes the daemon, which was started with MHD_USE_EPOLL and without threads;
 * NULL: it was not, which is an error as well. 0 or -ENOMEM; to be closed in
 * any case. */
int local_server_loop_open(struct local_server_loop *l, struct ts_loop *loop,
			   struct MHD_Daemon *daemon);
/* Resumes a suspended connection, and runs the daemon soon. */
void local_server_loop_resume(struct local_server_loop *l,
			      struct MHD_Connection *conn);
/* Stops the daemon. A zeroed one is fine. */
void local_server_loop_close(struct local_server_loop *l);

#endif
