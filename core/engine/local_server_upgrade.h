/* SPDX-License-Identifier: BSD-3-Clause
 * local_server_upgrade.h - a LocalAPI connection that becomes another one
 */
#ifndef CORE_ENGINE_LOCAL_SERVER_UPGRADE_H
#define CORE_ENGINE_LOCAL_SERVER_UPGRADE_H

#include <microhttpd.h>

struct local_server_loop;
struct ts_host;

/* A call that waits for its caller's connection; the owner closes fd unless it
 * has become -1. */
struct local_upgrade {
	struct ts_host *host;
	struct local_server_loop *loop;
	int fd;
};
/* NULL: out of memory. up stays until the request is over. */
struct MHD_Response *local_upgrade_response(struct local_upgrade *up);

#endif
