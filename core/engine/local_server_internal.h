/* SPDX-License-Identifier: BSD-3-Clause
 * local_server_internal.h - the LocalAPI's server and its requests
 *
 *   local_server        the socket, who may ask, requests as they come
 *   local_server_reply  what they are answered, as HTTP
 */
#ifndef CORE_ENGINE_LOCAL_SERVER_INTERNAL_H
#define CORE_ENGINE_LOCAL_SERVER_INTERNAL_H

#include "core/base/byte_queue.h"
#include "core/engine/engine_internal.h"
#include "core/engine/local_server.h"
#include "core/engine/local_server_loop.h"
#include "core/engine/local_server_stream.h"
#include "core/engine/local_server_upgrade.h"
#include "core/localapi/localapi.h"

struct local_request {
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
	struct local_request *next; /* of the suspended ones */
};

struct local_server {
	struct ts_engine *engine;
	struct local_server_loop loop;
	struct local_request *suspended;
	struct local_streams streams;
	bool sent_much; /* memory that malloc is to give back */
	unsigned strangers;
	char path[ENGINE_PATH_CAP];
};

/* r->reply, whose parts are the response's from then on. */
enum MHD_Result local_request_send_reply(struct local_request *r);

#endif
