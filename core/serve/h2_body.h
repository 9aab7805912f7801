/* SPDX-License-Identifier: BSD-3-Clause
 * h2_body.h - a body in HTTP/1.1's framing, on its way out as DATA
 *
 * It is taken out of its framing when nghttp2 has room for it, so no second
 * copy of it waits. What comes after chunks goes as trailers.
 */
#ifndef CORE_SERVE_H2_BODY_H
#define CORE_SERVE_H2_BODY_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>

#include "core/base/byte_queue.h"
#include "core/base/http_body.h"

struct ts_h2_body {
	struct ts_byte_queue text; /* the head's, too, until that is read */
	struct ts_byte_queue trailers;
	struct ts_http_body frame; /* set when the head is read */
	bool has_ended;	   /* nothing more will be put into text */
	bool is_deferred;  /* nghttp2 waits for more */
};

void ts_h2_body_init(struct ts_h2_body *body, size_t limit);
void ts_h2_body_deinit(struct ts_h2_body *body);
/* As a nghttp2_data_source_read_callback is to answer. */
ssize_t ts_h2_body_send(struct ts_h2_body *body, nghttp2_session *session,
			int32_t id, uint8_t *out, size_t room,
			uint32_t *flags);
/* There is more, or its end. */
void ts_h2_body_resume(struct ts_h2_body *body, nghttp2_session *session,
		       int32_t id);

#endif
