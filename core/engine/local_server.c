/* SPDX-License-Identifier: BSD-3-Clause
 * local_server.c - the LocalAPI on a Unix socket
 *
 * libmicrohttpd on the loop (local_server_loop.c). A request whose answer takes
 * time (ping) is suspended and resumed with the reply; one whose answer is a
 * stream is suspended while there is nothing to send (local_server_stream.c).
 * When the server closes first, the request outlives it as an orphan until its
 * answer comes.
 *
 * Where there is an operator, or somebody who may have certificates, all users
 * of the machine reach the socket. Those who may only read have a share of the
 * connections, and so of the watchers of the bus, that leaves room for others.
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
	STRANGERS_MAX = 16, /* of them, who may only read */
	IDLE_TIMEOUT_S = 60,
	UPLOAD_TIMEOUT_S = 3600, /* a file may come out of a slow pipe */
	BODY_MS = 30000, /* for all of it */
	RECORDING_S = 12 * 3600, /* of one that is a recording */
	BACKLOG = 16,
	MUCH = 1024 * 1024, /* bytes of a reply */
};

struct request {
	struct local_server *server; /* NULL: closed meanwhile */
	struct MHD_Connection *conn;
	struct ts_byte_queue body;
	uint64_t begin_ms;
	bool too_large, handled, replied, suspended, is_recording;
	struct ts_localapi_reply reply;
	struct local_stream *stream; /* of a reply that is one */
	struct local_upgrade upgrade; /* of a reply with a descriptor */
	/* A body that is taken as it comes; NULL: it is answered already. */
	bool is_upload;
	struct ts_localapi_upload *upload;
	struct request *next; /* of the suspended ones */
};

struct local_server {
	struct ts_engine *engine;
	struct local_server_loop loop;
	struct request *suspended;
	struct local_streams streams;
	bool sent_much; /* memory that malloc is to give back */
	unsigned strangers;
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
	if (r->upload)
		r->upload->close(r->upload->ctx);
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

static void suspend(struct request *r)
{
	r->suspended = true;
	r->next = r->server->suspended;
	r->server->suspended = r;
	MHD_suspend_connection(r->conn);
}

static void resume(struct request *r)
{
	if (!r->suspended)
		return;
	unlink_suspended(r);
	local_server_loop_resume(&r->server->loop, r->conn);
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
	resume(r);
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

static int connection_fd(struct MHD_Connection *conn)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
		conn, MHD_CONNECTION_INFO_CONNECTION_FD);

	return info ? info->connect_fd : -1;
}

static bool may_write(const struct local_server *server, int fd)
{
	return local_caller_may_write(fd, operator_user(server));
}

static bool may_have_certs(const struct local_server *server, int fd)
{
	return local_caller_is(fd, server->engine->config.permit_cert_uid);
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
	if (r->reply.is_file) {
		response = MHD_create_response_from_fd64(r->reply.file_len,
							 r->reply.fd);
		r->reply.has_fd = !response; /* else it is the response's */
		return response;
	}
	if (r->reply.has_fd) {
		r->upgrade.host = r->server->engine->host;
		r->upgrade.loop = &r->server->loop;
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

static struct ts_localapi_request request_of(struct request *r,
					     const char *method,
					     const char *path)
{
	int fd = connection_fd(r->conn);

	return (struct ts_localapi_request){
		.method = method,
		.path = path,
		.query = query_value,
		.header = request_header,
		.query_ctx = r->conn,
		.body = (const char *)ts_byte_queue_data(&r->body),
		.body_len = ts_byte_queue_len(&r->body),
		.may_write = may_write(r->server, fd),
		.is_owner = local_caller_is_owner(fd),
		.may_have_certs = may_have_certs(r->server, fd),
	};
}

static void handle(struct request *r, const char *method, const char *path)
{
	struct ts_engine *engine = r->server->engine;
	struct ts_localapi_request lr = request_of(r, method, path);

	r->handled = true;
	if (r->upload && !r->replied)
		r->upload->end(r->upload->ctx);
	else if (r->too_large)
		reply_too_large(r);
	else if (!r->is_upload)
		ts_localapi_handle(engine->localapi, &lr,
				   ts_loop_now_ms(engine->loop), time(NULL),
				   on_done, r);
	if (!r->replied)
		suspend(r);
}

/* Each byte in time would still hold the connection for ever. */
static bool is_too_slow(const struct request *r)
{
	return !r->is_recording &&
	       ts_loop_now_ms(r->server->engine->loop) - r->begin_ms > BODY_MS;
}

/* Before its body, which ends when the recording does. */
static void begin_recording(struct request *r, const char *method,
			    const char *path)
{
	struct ts_engine *engine = r->server->engine;
	const struct ts_localapi_request head = {
		.method = method, .path = path, .query = query_value,
		.query_ctx = r->conn};

	r->is_recording = ts_localapi_begin_recording(
		engine->localapi, &head, ts_loop_now_ms(engine->loop));
	if (r->is_recording)
		MHD_set_connection_option(r->conn,
					  MHD_CONNECTION_OPTION_TIMEOUT,
					  (unsigned)RECORDING_S);
}

static void end_recording(struct request *r)
{
	if (!r->is_recording)
		return;
	r->is_recording = false;
	ts_localapi_end_recording(r->server->engine->localapi);
}

/* -- bodies that are taken as they come ------------------------------------ */
static void on_room(void *ctx)
{
	resume(ctx);
}

static void begin_upload(struct request *r, const char *method,
			 const char *path)
{
	struct ts_engine *engine = r->server->engine;
	struct ts_localapi_request lr = request_of(r, method, path);

	r->is_upload = ts_localapi_upload(engine->localapi, &lr,
					  ts_loop_now_ms(engine->loop),
					  time(NULL), on_done, r, &r->upload);
	if (!r->upload)
		return;
	r->upload->wake = on_room;
	r->upload->wake_ctx = r;
	MHD_set_connection_option(r->conn, MHD_CONNECTION_OPTION_TIMEOUT,
				  (unsigned)UPLOAD_TIMEOUT_S);
}

/* After the answer the rest is passed over, for a while: a caller who is still
 * writing would not see it. */
static enum MHD_Result take_upload(struct request *r, const char *data,
				   size_t *data_len)
{
	if (!r->replied) {
		r->begin_ms = ts_loop_now_ms(r->server->engine->loop);
		*data_len -= r->upload->write(r->upload->ctx, data, *data_len);
		if (*data_len > 0)
			suspend(r);
		return MHD_YES;
	}
	*data_len = 0;
	return is_too_slow(r) ? MHD_NO : MHD_YES;
}

static struct request *new_request(struct local_server *server,
				   struct MHD_Connection *conn)
{
	struct request *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->server = server;
	r->conn = conn;
	r->begin_ms = ts_loop_now_ms(server->engine->loop);
	ts_byte_queue_init(&r->body, BODY_MAX);
	return r;
}

static enum MHD_Result on_access(void *ctx, struct MHD_Connection *conn,
				 const char *path, const char *method,
				 const char *version, const char *data,
				 size_t *data_len, void **con_ctx)
{
	struct request *r = *con_ctx;

	(void)version;
	if (!r) {
		*con_ctx = r = new_request(ctx, conn);
		if (!r)
			return MHD_NO;
		begin_upload(r, method, path);
		begin_recording(r, method, path);
		return MHD_YES;
	}
	if (*data_len > 0 && r->is_upload)
		return take_upload(r, data, data_len);
	if (*data_len > 0) {
		if (is_too_slow(r))
			return MHD_NO;
		if (ts_byte_queue_push(&r->body, data, *data_len))
			r->too_large = true;
		*data_len = 0;
		return MHD_YES;
	}
	if (r->is_recording)
		MHD_set_connection_option(conn, MHD_CONNECTION_OPTION_TIMEOUT,
					  (unsigned)IDLE_TIMEOUT_S);
	end_recording(r);
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
	end_recording(r);
	if (r->handled && !r->replied && !r->is_upload)
		r->server = NULL; /* an orphan: freed with its answer */
	else
		free_request(r);
}

/* -- who is too many ------------------------------------------------------- */
/* *is_stranger: counted as one, until it closes. */
static void on_connection(void *ctx, struct MHD_Connection *conn,
			  void **is_stranger,
			  enum MHD_ConnectionNotificationCode what)
{
	struct local_server *server = ctx;
	int fd = connection_fd(conn);

	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		server->strangers -= *is_stranger != NULL;
		return;
	}
	if (may_write(server, fd) || may_have_certs(server, fd))
		return;
	if (server->strangers >= STRANGERS_MAX) {
		(void)shutdown(fd, SHUT_RDWR);
		return;
	}
	*is_stranger = server;
	server->strangers++;
}

/* -- the socket ------------------------------------------------------------ */
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
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
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
