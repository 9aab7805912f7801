/* SPDX-License-Identifier: BSD-3-Clause
 * local_server_stream.h - replies of the LocalAPI that come bit by bit
 */
#ifndef CORE_ENGINE_LOCAL_SERVER_STREAM_H
#define CORE_ENGINE_LOCAL_SERVER_STREAM_H

#include "core/engine/local_server_loop.h"
#include "core/localapi/localapi.h"

struct local_stream;

/* Those of one server. */
struct local_streams {
	struct local_server_loop *loop;
	struct local_stream *list;
};

/* Takes over the reply's stream, which is closed by local_stream_free(). NULL
 * when out of memory: then it is still the caller's. */
struct local_stream *local_stream_new(struct local_streams *all,
				      struct MHD_Connection *conn,
				      struct ts_localapi_stream *source);
struct MHD_Response *local_stream_response(struct local_stream *s);
/* The request has ended. */
void local_stream_free(struct local_stream *s);
/* The server ends: none stays suspended. */
void local_streams_end(struct local_streams *all);

#endif
