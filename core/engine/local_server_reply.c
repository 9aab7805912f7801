/* SPDX-License-Identifier: BSD-3-Clause
 * local_server_reply.c - a reply of the LocalAPI as an HTTP response
 *
 * A text, a file, a stream (local_server_stream.c), or a descriptor that the
 * connection is joined to (local_server_upgrade.c).
 */
#include <stdio.h>

#include "core/crypto/secret.h"
#include "core/engine/local_server_internal.h"

static void wipe_body(void *body)
{
	ts_wipe_free_text(body);
}

static struct MHD_Response *make_response(struct local_request *r)
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
		response =
			MHD_create_response_from_buffer_with_free_callback_cls(
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

enum MHD_Result local_request_send_reply(struct local_request *r)
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
