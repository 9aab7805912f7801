/* SPDX-License-Identifier: BSD-3-Clause
 * lab_derp_http.c - the HTTP/1.1 before DERP's frames
 *
 * A client that read our meta certificate asks for a fast start, has sent its
 * ClientInfo already and gets no HTTP answer.
 * Source: derp/derpserver/handler.go
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/base/encode.h"
#include "tests/lab/lab_derp_client.h"
#include "tests/lab/lab_http1.h"

enum { UPGRADE_CAP = 256, CHALLENGE_MAX_LEN = 64 };

static int upgrade(struct lab_derp_client *c, const struct ts_http1_head *head)
{
	const struct ts_http1_field *fast =
		ts_http1_find(head, "Derp-Fast-Start");
	char text[UPGRADE_CAP], key[2 * TS_KEY_LEN + 1];
	uint8_t buf[DERP_SMALL_FRAME_CAP];
	struct ts_writer w = ts_writer_init(buf, sizeof(buf));
	int err = 0;

	if (!fast || !ts_http1_value_is(fast, "1")) {
		ts_hex_encode(c->derp->public.bytes, TS_KEY_LEN, key);
		snprintf(text, sizeof(text),
			 "HTTP/1.1 101 Switching Protocols\r\n"
			 "Upgrade: DERP\r\nConnection: Upgrade\r\n"
			 "Derp-Version: %d\r\nDerp-Public-Key: %s\r\n\r\n",
			 DERP_PROTOCOL_VERSION, key);
		err = lab_stream_write(c->stream, text, strlen(text));
	}
	ts_derp_write_server_key(&w, &c->derp->public);
	if (!err)
		err = lab_derp_write_small(c, &w, buf);
	c->state = LAB_DERP_INFO;
	return err;
}

static void answer(struct lab_derp_client *c, int status, const char *extra,
		   const char *body)
{
	c->state = LAB_DERP_CLOSING;
	lab_http1_respond(c->stream, status, "text/plain", extra, body);
}

static void answer_no_content(struct lab_derp_client *c,
			      const struct ts_http1_head *head)
{
	const struct ts_http1_field *f =
		ts_http1_find(head, "X-Tailscale-Challenge");
	char extra[UPGRADE_CAP] = "";

	if (f && f->value_len <= CHALLENGE_MAX_LEN)
		snprintf(extra, sizeof(extra),
			 "X-Tailscale-Response: response %.*s\r\n",
			 (int)f->value_len, f->value);
	answer(c, 204, extra, "");
}

static int serve(struct lab_derp_client *c, const struct ts_http1_head *head)
{
	const struct ts_http1_field *up = ts_http1_find(head, "Upgrade");

	if (lab_http1_path_is(head, "/derp/probe") ||
	    lab_http1_path_is(head, "/derp/latency-check"))
		answer(c, 200, "Access-Control-Allow-Origin: *\r\n", "");
	else if (lab_http1_path_is(head, "/generate_204"))
		answer_no_content(c, head);
	else if (!lab_http1_path_is(head, "/derp"))
		answer(c, 404, NULL, "404 page not found\n");
	else if (!up || !ts_http1_value_is(up, "DERP"))
		answer(c, 426, NULL, "DERP requires connection upgrade\n");
	else
		return upgrade(c, head);
	return 0;
}

int lab_derp_read_head(struct lab_derp_client *c)
{
	struct ts_http1_head head;
	int err = ts_http1_read_request(ts_byte_queue_data(&c->head),
					ts_byte_queue_len(&c->head), &head);

	if (err == -EAGAIN)
		return 0;
	if (!err)
		err = serve(c, &head);
	if (err || c->state != LAB_DERP_INFO)
		return err;
	ts_byte_queue_drop(&c->head, head.head_len);
	err = ts_derp_stream_input(&c->frames, ts_byte_queue_data(&c->head),
				   ts_byte_queue_len(&c->head),
				   lab_derp_on_frame, c);
	ts_byte_queue_clear(&c->head);
	return err;
}
