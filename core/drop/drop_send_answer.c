/* SPDX-License-Identifier: BSD-3-Clause
 * drop_send_answer.c - what a peer says to a file that is sent to it
 *
 * First which blocks it has: lines that are compared with the file as far as
 * they are the same. Then what became of the file. What it says is bounded, and
 * its text is made printable, as it goes to somebody's terminal.
 */
#include <errno.h>
#include <string.h>

#include "core/base/clean_text.h"
#include "core/drop/drop_send_internal.h"

enum { HTTP_OK = 200 };

/* -- what the peer has ---------------------------------------------------- */

/* The next block that it says, if a line of it is there. */
static void next_block(struct ts_drop_send *s)
{
	const char *data = (const char *)ts_byte_queue_data(&s->lines);
	size_t len = ts_byte_queue_len(&s->lines);
	const char *end = len ? memchr(data, '\n', len) : NULL;

	s->held_len = 0;
	if (!end) {
		if (s->lines_are_over || len >= TS_DROP_LINE_CAP)
			ts_drop_send_begin(s);
		else
			ts_drop_send_due(s, DROP_SEND_ASK_MS);
		return;
	}
	if (ts_drop_block_parse(data, (size_t)(end - data), &s->block)) {
		ts_drop_send_begin(s);
		return;
	}
	ts_byte_queue_drop(&s->lines, (size_t)(end - data) + 1);
	s->has_block = true;
	ts_drop_send_due(s, UINT64_MAX); /* the file's owner may be slow */
	if (s->is_all)
		ts_drop_send_begin(s); /* it has more than the file */
	else
		ts_drop_send_ask_for_more(s);
}

void ts_drop_send_compare(struct ts_drop_send *s)
{
	if (s->held_len != s->block.len ||
	    !ts_drop_block_is(&s->block, s->held, s->held_len)) {
		ts_drop_send_begin(s);
		return;
	}
	s->offset += s->held_len;
	s->has_block = false;
	if (s->is_all)
		s->held_len = 0;
	if (s->is_all)
		ts_drop_send_begin(s);
	else
		next_block(s);
}

size_t ts_drop_send_take_for_block(struct ts_drop_send *s, const void *data,
				   size_t len)
{
	size_t n = s->has_block ? s->block.len - s->held_len : 0;

	if (n > len)
		n = len;
	memcpy(s->held + s->held_len, data, n);
	s->held_len += n;
	if (s->has_block && s->held_len == s->block.len)
		ts_drop_send_compare(s);
	return n;
}

/* -- from the peer -------------------------------------------------------- */

static int add_text(struct ts_drop_send *s, const uint8_t *data, size_t len)
{
	size_t room = DROP_SEND_TEXT_CAP - 2 - s->text_len;

	if (len > room)
		len = room;
	memcpy(s->text + s->text_len, data, len);
	s->text_len += len;
	return 0;
}

/* Of an answer's body. */
static int take_body(struct ts_drop_send *s, const uint8_t *data, size_t len)
{
	if (s->state != DROP_ASKING)
		return add_text(s, data, len);
	return ts_byte_queue_push(&s->lines, data, len);
}

static void answered(struct ts_drop_send *s)
{
	if (s->state == DROP_ASKING) {
		s->lines_are_over = true;
		if (!s->has_block)
			next_block(s);
		return;
	}
	if (s->text_len > 0 && s->text[s->text_len - 1] == '\n')
		s->text_len--;
	s->text[s->text_len] = '\0';
	ts_clean_text(s->text, '?');
	strcat(s->text, "\n"); /* add_text() left room */
	ts_drop_send_finish(s, s->status, s->text);
}

/* 0; -EAGAIN; -EBADMSG */
static int take_head(struct ts_drop_send *s)
{
	struct ts_http1_head head;
	int err = ts_http1_read_response(ts_byte_queue_data(&s->in),
					 ts_byte_queue_len(&s->in), &head);

	if (!err)
		err = ts_http_body_of_response(&head, false, &s->body);
	if (err)
		return err;
	ts_byte_queue_drop(&s->in, head.head_len);
	if (head.status < HTTP_OK)
		return 0; /* "100 Continue" */
	s->has_head = true;
	s->status = head.status;
	return s->state == DROP_ASKING && head.status != HTTP_OK ? -EPROTO : 0;
}

/* What is in s->in; 0, -EAGAIN: more is needed, else: it makes no sense. */
static int take_some(struct ts_drop_send *s)
{
	const uint8_t *piece;
	size_t piece_len;
	ssize_t n = 1;
	int err = 0;

	while (!err && !s->has_head)
		err = take_head(s);
	if (err)
		return err;
	while (!err && n > 0) {
		n = ts_http_body_next(&s->body, ts_byte_queue_data(&s->in),
				      ts_byte_queue_len(&s->in), &piece,
				      &piece_len);
		if (n < 0)
			return (int)n;
		if (piece_len > 0)
			err = take_body(s, piece, piece_len);
		ts_byte_queue_drop(&s->in, (size_t)n);
	}
	if (!err && !s->body.is_done)
		return -EAGAIN;
	ts_byte_queue_clear(&s->in); /* whatever else it says */
	return err;
}

static void on_input(struct ts_drop_send *s, bool is_end)
{
	int err = take_some(s);

	if (err == -EAGAIN && is_end)
		err = s->has_head && s->body.kind == TS_BODY_TO_END
			      ? 0
			      : -ECONNRESET;
	if (!err)
		answered(s);
	else if (err == -EAGAIN && s->state == DROP_ASKING && s->has_head &&
		 !s->has_block)
		next_block(s);
	else if (err != -EAGAIN && s->state == DROP_ASKING)
		ts_drop_send_begin(s);
	else if (err != -EAGAIN)
		ts_drop_send_fail(s, err);
}

void ts_drop_send_on_readable(void *user)
{
	struct ts_drop_send *s = user;
	struct stack_tcp *tcp = s->tcp;
	struct iovec view;
	int n = 0;

	while (s->tcp == tcp &&
	       (n = stack_tcp_read_view(tcp, &view, 1)) > 0) {
		size_t len = view.iov_len < DROP_SEND_PIECE_MAX ? view.iov_len
						      : DROP_SEND_PIECE_MAX;

		if (s->has_block &&
		    ts_byte_queue_len(&s->lines) > DROP_SEND_IN_MAX)
			return; /* until the file is compared so far */
		if (ts_byte_queue_push(&s->in, view.iov_base, len)) {
			ts_drop_send_fail(s, -EMSGSIZE);
			return;
		}
		stack_tcp_consume(tcp, len);
		on_input(s, false);
	}
	if (s->tcp == tcp && n == -EPIPE)
		on_input(s, true);
}
