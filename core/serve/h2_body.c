/* SPDX-License-Identifier: BSD-3-Clause
 * h2_body.c - a body in HTTP/1.1's framing, on its way out as DATA
 */
#include "core/serve/h2_body.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/http_trailers.h"
#include "core/serve/h2_head.h"

void ts_h2_body_init(struct ts_h2_body *body, size_t limit)
{
	*body = (struct ts_h2_body){0};
	ts_byte_queue_init(&body->text, limit);
	ts_byte_queue_init(&body->trailers, TS_HTTP_TRAILERS_MAX);
}

void ts_h2_body_deinit(struct ts_h2_body *body)
{
	ts_byte_queue_deinit(&body->text);
	ts_byte_queue_deinit(&body->trailers);
}

/* 0, or there are no trailers to speak of. */
static int submit_trailers(const struct ts_h2_body *body,
			   nghttp2_session *session, int32_t id)
{
	struct ts_h2_fields fields = {0};
	struct ts_http1_head head;
	char *text;
	int err = ts_http_trailers_read(&body->trailers, &head, &text);

	if (!err) {
		ts_h2_fields_copy(&fields, &head);
		err = fields.count == 0 ||
		      nghttp2_submit_trailer(session, id, fields.nv,
					     fields.count);
	}
	free(text);
	return err;
}

/* As much payload as is there, and goes into room. */
static ssize_t unframe(struct ts_h2_body *body, uint8_t *out, size_t room)
{
	size_t done = 0;

	while (done < room && !body->frame.is_done) {
		size_t len = ts_byte_queue_len(&body->text), payload_len;
		const uint8_t *payload;
		ssize_t n = ts_http_body_next(
			&body->frame, ts_byte_queue_data(&body->text),
			len < room - done ? len : room - done, &payload,
			&payload_len);

		if (n < 0)
			return n;
		if (n == 0)
			break;
		memcpy(out + done, payload, payload_len);
		done += payload_len;
		ts_byte_queue_drop(&body->text, (size_t)n);
	}
	return (ssize_t)done;
}

ssize_t ts_h2_body_send(struct ts_h2_body *body, nghttp2_session *session,
			int32_t id, uint8_t *out, size_t room,
			uint32_t *flags)
{
	ssize_t n;

	body->frame.trailers = &body->trailers;
	n = unframe(body, out, room);
	if (body->frame.kind == TS_BODY_TO_END && body->has_ended &&
	    ts_byte_queue_len(&body->text) == 0)
		body->frame.is_done = true;
	if (n < 0 || (n == 0 && !body->frame.is_done && body->has_ended))
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (body->frame.is_done) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (ts_byte_queue_len(&body->trailers) > 0 &&
		    submit_trailers(body, session, id) == 0)
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	} else if (n == 0) {
		body->is_deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	return n;
}

void ts_h2_body_resume(struct ts_h2_body *body, nghttp2_session *session,
		       int32_t id)
{
	if (!body->is_deferred)
		return;
	body->is_deferred = false;
	nghttp2_session_resume_data(session, id);
}
