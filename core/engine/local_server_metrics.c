/* SPDX-License-Identifier: BSD-3-Clause
 * local_server_metrics.c - GET /metrics on a loopback port
 *
 * For a Prometheus on this machine. Everybody who can connect may read, so it
 * is on loopback only, has nothing but these numbers, and is off unless asked
 * for. A page in a browser cannot get at it by a name of its own that leads
 * here: Host has to be the address itself, or localhost.
 */
#include "core/engine/local_server_metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/engine/engine_internal.h"
#include "core/engine/local_server_loop.h"

enum { CONNECTIONS_MAX = 8, IDLE_TIMEOUT_S = 10, BACKLOG = 8 };

struct metrics_server {
	struct ts_engine *engine;
	struct local_server_loop loop;
};

/* -- one request ---------------------------------------------------------- */
/* "127.0.0.1:9100", "[::1]:9100", "localhost", with or without a port. */
static bool host_is_ours(const char *host)
{
	struct ts_addr addr;
	size_t name_len;

	if (!host)
		return true;
	name_len = strcspn(host, ":");
	if (name_len == 9 && strncasecmp(host, "localhost", 9) == 0)
		return true;
	if (ts_ip_parse(host, &addr.ip) && ts_addr_parse(host, &addr))
		return false;
	return ts_ip_is_loopback(&addr.ip);
}

static enum MHD_Result reply(struct MHD_Connection *conn, unsigned status,
			     char *text)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		text ? strlen(text) : 0, text, MHD_RESPMEM_MUST_FREE);
	enum MHD_Result result;

	if (!response) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, "Content-Type",
				"text/plain;version=0.0.4;charset=utf-8");
	result = MHD_queue_response(conn, text ? status : 500, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result on_access(void *ctx, struct MHD_Connection *conn,
				 const char *path, const char *method,
				 const char *version, const char *data,
				 size_t *data_len, void **con_ctx)
{
	struct metrics_server *server = ctx;
	const char *host = MHD_lookup_connection_value(conn, MHD_HEADER_KIND,
						       "Host");

	(void)version;
	(void)data;
	if (!*con_ctx) { /* called again once the headers are all there */
		*con_ctx = server;
		return MHD_YES;
	}
	*data_len = 0;
	if (!host_is_ours(host))
		return reply(conn, 403, strdup("this is not your host\n"));
	if (strcmp(path, "/metrics") != 0)
		return reply(conn, 404, strdup("only /metrics is here\n"));
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return reply(conn, 405, strdup("only GET\n"));
	return reply(conn, 200,
		     ts_node_user_metrics(server->engine->node));
}

/* -- the socket ----------------------------------------------------------- */
static int open_socket(const struct ts_addr *addr)
{
	struct sockaddr_storage ss;
	int family = ts_addr_family(addr);
	int len = ts_addr_to_sockaddr(addr, family, &ss);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1, code;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&ss, (socklen_t)len) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	code = -errno;
	close(fd);
	return code;
}

int metrics_server_open(struct metrics_server **out, struct ts_engine *engine,
			char err[static 256])
{
	const struct ts_addr *addr = &engine->config.metrics_listen;
	struct metrics_server *server;
	struct MHD_Daemon *daemon;
	char text[TS_ADDR_TEXT_CAP];
	int fd;

	*out = NULL;
	if (addr->port == 0)
		return 0;
	fd = open_socket(addr);
	server = fd < 0 ? NULL : calloc(1, sizeof(*server));
	if (!server) {
		snprintf(err, 256, "cannot listen at metrics_listen %s: %s",
			 ts_addr_format(addr, text),
			 ts_strerror(fd < 0 ? fd : -ENOMEM));
		if (fd >= 0)
			close(fd);
		return fd < 0 ? fd : -ENOMEM;
	}
	server->engine = engine;
	daemon = MHD_start_daemon(
		MHD_USE_EPOLL, 0, NULL, NULL, on_access, server,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)IDLE_TIMEOUT_S, MHD_OPTION_END);
	if (!daemon)
		close(fd);
	if (local_server_loop_open(&server->loop, engine->loop, daemon)) {
		snprintf(err, 256, "cannot serve metrics at %s",
			 ts_addr_format(addr, text));
		metrics_server_close(server);
		return -ENOMEM;
	}
	*out = server;
	return 0;
}

void metrics_server_close(struct metrics_server *server)
{
	if (!server)
		return;
	local_server_loop_close(&server->loop);
	free(server);
}
