/* SPDX-License-Identifier: BSD-3-Clause
 * local_server_upgrade.c - a LocalAPI connection that becomes another one
 *
 * libmicrohttpd gives the caller's connection away after its 101: the host
 * relays between a duplicate of it and the call, and libmicrohttpd's own goes.
 */
#include "core/engine/local_server_upgrade.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/engine/local_server_loop.h"
#include "core/host/host_call.h"

/* What came with the head of the request belongs to the call. A fresh socket
 * takes it, or the connection is no good. */
static bool pass_on(int fd, const char *data, size_t len)
{
	return len == 0 || send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) ==
				   (ssize_t)len;
}

static void on_upgraded(void *ctx, struct MHD_Connection *conn, void *con_ctx,
			const char *extra, size_t extra_len, MHD_socket sock,
			struct MHD_UpgradeResponseHandle *handle)
{
	struct local_upgrade *up = ctx;
	int copy = fcntl(sock, F_DUPFD_CLOEXEC, 0);

	(void)conn;
	(void)con_ctx;
	if (copy >= 0 && pass_on(up->fd, extra, extra_len)) {
		fcntl(copy, F_SETFL, fcntl(copy, F_GETFL) | O_NONBLOCK);
		ts_host_join(up->host, copy, up->fd);
		up->fd = -1;
	} else {
		log_warn("LocalAPI: a dialled connection was dropped");
		if (copy >= 0)
			close(copy);
	}
	/* Its own descriptor would keep open what we close. */
	MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
	up->loop->has_resumed = true;
}

struct MHD_Response *local_upgrade_response(struct local_upgrade *up)
{
	struct MHD_Response *response =
		MHD_create_response_for_upgrade(on_upgraded, up);

	if (response)
		MHD_add_response_header(response, MHD_HTTP_HEADER_UPGRADE,
					"ts-dial");
	return response;
}
