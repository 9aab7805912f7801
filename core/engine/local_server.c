/* SPDX-License-Identifier: BSD-3-Clause
 * local_server.c - the LocalAPI on a Unix socket
 *
 * libmicrohttpd on the loop (local_server_loop.c). A request whose answer takes
 * time (ping) is suspended and resumed with the reply; one whose answer is a
 * stream is suspended while there is nothing to send (local_server_stream.c).
 * When the server closes first, the request outlives it as an orphan until its
 * answer comes.
 */
#include "core/engine/local_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/base/byte_queue.h"
#include "core/base/err.h"
#include "core/base/heap.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/engine/engine_internal.h"
#include "core/engine/local_caller.h"
#include "core/engine/local_server_loop.h"
#include "core/engine/local_server_stream.h"
#include "core/engine/local_server_upgrade.h"
#include "core/localapi/localapi.h"

enum {
	BODY_MAX = 1024 * 1024,
	CONNECTIONS_MAX = 64,
	IDLE_TIMEOUT_S = 60,
	BODY_MS = 30000, /* for all of it */
	BACKLOG = 16,
	MUCH = 1024 * 1024, /* bytes of a reply */
};

struct request {
	struct local_server *server; /* NULL: closed meanwhile */
	struct MHD_Connection *conn;
	struct ts_byte_queue body;
	uint64_t begin_ms;
	bool too_large, handled, replied, suspended;
	struct ts_localapi_reply reply;
	struct local_stream *stream; /* of a reply that is one */
	struct local_upgrade upgrade; /* of a reply with a descriptor */
	struct request *next; /* of the suspended ones */
};

struct local_server {
	struct ts_engine *engine;
	struct local_server_loop loop;
	struct request *suspended;
	struct local_streams streams;
	bool sent_much; /* memory that malloc is to give back */
	char path[ENGINE_PATH_CAP];
};

static void before_sleep(void *ctx)
{
	struct local_server *server = ctx;

	if (!server->sent_much)
		return;
	server->sent_much = false;
	ts_heap_trim();
}

/* -- one request ----------------------------------------------------------- */
static void free_request(struct request *r)
{
	if (r->server && r->reply.body_len > MUCH)
		r->server->sent_much = true;
	ts_byte_queue_deinit(&r->body);
	if (r->stream)
		local_stream_free(r->stream);
	else if (r->reply.stream) /* nobody came to listen */
		r->reply.stream->close(r->reply.stream->ctx);
	if (r->reply.has_fd && !r->upgrade.host)
		close(r->reply.fd); /* nobody came for it */
	else if (r->upgrade.host && r->upgrade.fd >= 0)
		close(r->upgrade.fd);
	if (r->reply.is_secret)
		ts_wipe_free_text(r->reply.body);
	else
		free(r->reply.body);
	free(r);
}

static void unlink_suspended(struct request *r)
{
	struct request **at = &r->server->suspended;

	while (*at && *at != r)
		at = &(*at)->next;
	if (*at)
		*at = r->next;
	r->suspended = false;
}

static void on_done(void *ctx, const struct ts_localapi_reply *reply)
{
	struct request *r = ctx;

	r->reply = *reply;
	r->replied = true;
	if (!r->server) {
		free_request(r);
		return;
	}
	if (r->suspended) {
		unlink_suspended(r);
		local_server_loop_resume(&r->server->loop, r->conn);
	}
}

static const char *query_value(void *ctx, const char *name)
{
	return MHD_lookup_connection_value(ctx, MHD_GET_ARGUMENT_KIND, name);
}

static const char *header_value(struct MHD_Connection *conn, const char *name)
{
	return MHD_lookup_connection_value(conn, MHD_HEADER_KIND, name);
}

static const char *request_header(void *ctx, const char *name)
{
	return header_value(ctx, name);
}

static const char *operator_user(const struct local_server *server)
{
	return ts_node_prefs(server->engine->node)->operator_user;
}

static int connection_fd(const struct request *r)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		r->conn, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? info->connect_fd : -1;
}

static bool may_write(const struct request *r)
{
	return local_caller_may_write(connection_fd(r),
				      operator_user(r->server));
}

static bool may_have_certs(const struct request *r)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		r->conn, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info && local_caller_is(info->connect_fd,
				       r->server->engine->config
					       .permit_cert_uid);
}

static void wipe_body(void *body)
{
	ts_wipe_free_text(body);
}

static struct MHD_Response *make_response(struct request *r)
{
	struct MHD_Response *response;

	if (r->reply.stream) {
		r->stream = local_stream_new(&r->server->streams, r->conn,
					     r->reply.stream);
		return r->stream ? local_stream_response(r->stream) : NULL;
	}
	if (r->reply.has_fd) {
		r->upgrade.host = r->server->engine->host;
		r->upgrade.fd = r->reply.fd;
		return local_upgrade_response(&r->upgrade);
	}
	if (r->reply.is_secret)
		response = MHD_create_response_from_buffer_with_free_callback_cls(
			r->reply.body_len, r->reply.body, wipe_body,
			r->reply.body);
	else
		response = MHD_create_response_from_buffer(
			r->reply.body_len, r->reply.body,
			MHD_RESPMEM_MUST_FREE);
	if (response)
		r->reply.body = NULL; /* the response owns it */
	return response;
}

static enum MHD_Result send_reply(struct request *r)
{
	struct MHD_Response *response = make_response(r);
	enum MHD_Result result;
	char seconds[24];

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Tailscale-Cap", "145");
	if (r->reply.content_type)
		MHD_add_response_header(response, "Content-Type",
					r->reply.content_type);
	if (r->reply.etag[0])
		MHD_add_response_header(response, "Etag", r->reply.etag);
	if (r->reply.retry_after_s > 0) {
		snprintf(seconds, sizeof(seconds), "%lld",
			 (long long)r->reply.retry_after_s);
		MHD_add_response_header(response, "Retry-After", seconds);
	}
	if (r->reply.dial_self[0]) {
		MHD_add_response_header(response, "Dial-Self", "true");
		MHD_add_response_header(response, "Dial-Addr",
					r->reply.dial_self);
	}
	result = MHD_queue_response(r->conn, (unsigned)r->reply.status,
				    response);
	MHD_destroy_response(response);
	return result;
}

static void reply_too_large(struct request *r)
{
	static const char text[] = "request body is larger than 1 MiB\n";

	r->reply.status = MHD_HTTP_CONTENT_TOO_LARGE;
	r->reply.content_type = "text/plain";
	r->reply.body = strdup(text);
	r->reply.body_len = r->reply.body ? sizeof(text) - 1 : 0;
	r->replied = true;
}

static void handle(struct request *r, const char *method, const char *path)
{
	struct ts_engine *engine = r->server->engine;
	struct ts_localapi_request lr = {
		.method = method,
		.path = path,
		.query = query_value,
		.header = request_header,
		.query_ctx = r->conn,
		.body = (const char *)ts_byte_queue_data(&r->body),
		.body_len = ts_byte_queue_len(&r->body),
		.may_write = may_write(r),
		.is_owner = local_caller_is_owner(connection_fd(r)),
		.may_have_certs = may_have_certs(r),
	};

	r->handled = true;
	if (r->too_large)
		reply_too_large(r);
	else
		ts_localapi_handle(engine->localapi, &lr,
				   ts_loop_now_ms(engine->loop), time(NULL),
				   on_done, r);
	if (r->replied)
		return;
	r->suspended = true;
	r->next = r->server->suspended;
	r->server->suspended = r;
	MHD_suspend_connection(r->conn);
}

/* Each byte in time would still hold the connection for ever. */
static bool is_too_slow(const struct request *r)
{
	return ts_loop_now_ms(r->server->engine->loop) - r->begin_ms > BODY_MS;
}

static enum MHD_Result on_access(void *ctx, struct MHD_Connection *conn,
				 const char *path, const char *method,
				 const char *version, const char *data,
				 size_t *data_len, void **con_ctx)
{
	struct request *r = *con_ctx;

	(void)version;
	if (!r) {
		r = calloc(1, sizeof(*r));
		if (!r)
			return MHD_NO;
		r->server = ctx;
		r->conn = conn;
		r->begin_ms = ts_loop_now_ms(r->server->engine->loop);
		ts_byte_queue_init(&r->body, BODY_MAX);
		*con_ctx = r;
		return MHD_YES;
	}
	if (*data_len > 0) {
		if (is_too_slow(r))
			return MHD_NO;
		if (ts_byte_queue_push(&r->body, data, *data_len))
			r->too_large = true;
		*data_len = 0;
		return MHD_YES;
	}
	if (!r->handled)
		handle(r, method, path);
	return r->replied ? send_reply(r) : MHD_YES;
}

static void on_completed(void *ctx, struct MHD_Connection *conn,
			 void **con_ctx, enum MHD_RequestTerminationCode why)
{
	struct request *r = *con_ctx;

	(void)ctx;
	(void)conn;
	(void)why;
	*con_ctx = NULL;
	if (!r)
		return;
	if (r->handled && !r->replied)
		r->server = NULL; /* an orphan: freed with its answer */
	else
		free_request(r);
}

/* -- the socket -------------------------------------------------------- */
static int open_socket(const char *path, char err[static 256])
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int code = 0;

	if (fd < 0 || strlen(path) >= sizeof(sun.sun_path)) {
		code = fd < 0 ? -errno : -ENAMETOOLONG;
		snprintf(err, 256, "LocalAPI socket %s: %s", path,
			 ts_strerror(code));
		if (fd >= 0)
			close(fd);
		return code;
	}
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	/* We hold the directory's lock: what stands there is abandoned. */
	unlink(path);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) ||
	    chmod(path, 0600) || listen(fd, BACKLOG)) {
		code = -errno;
		snprintf(err, 256, "LocalAPI socket %s: %s", path,
			 ts_strerror(code));
		close(fd);
		return code;
	}
	return fd;
}

int local_server_open(struct local_server **out, struct ts_engine *engine,
		      const char *path, char err[static 256])
{
	struct local_server *server = calloc(1, sizeof(*server));
	int fd = server ? open_socket(path, err) : -ENOMEM;
	struct MHD_Daemon *daemon;

	if (fd < 0) {
		free(server);
		return fd;
	}
	server->engine = engine;
	server->streams.loop = &server->loop;
	snprintf(server->path, sizeof(server->path), "%s", path);
	daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE, 0,
		NULL, NULL, on_access, server, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S,
		MHD_OPTION_END);
	if (!daemon)
		close(fd);
	if (local_server_loop_open(&server->loop, engine->loop, daemon) ||
	    ts_loop_before_sleep(engine->loop, before_sleep, server)) {
		snprintf(err, 256, "cannot serve the LocalAPI at %s", path);
		local_server_close(server);
		return -ENOMEM;
	}
	*out = server;
	return 0;
}

void local_server_follow_operator(struct local_server *server)
{
	const char *user = operator_user(server);
	const char *other = server->engine->config.permit_cert_uid;
	bool has_others = (user && *user) || (other && *other);

	if (chmod(server->path, has_others ? 0666 : 0600))
		log_warn("LocalAPI socket %s: %s", server->path,
			 ts_strerror(-errno));
}

void local_server_close(struct local_server *server)
{
	if (!server)
		return;
	ts_loop_before_sleep_remove(server->engine->loop, before_sleep,
				    server);
	while (server->suspended) {
		struct request *r = server->suspended;

		unlink_suspended(r);
		local_server_loop_resume(&server->loop, r->conn);
	}
	local_streams_end(&server->streams);
	local_server_loop_close(&server->loop);
	unlink(server->path);
	free(server);
}
