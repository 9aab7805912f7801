/* SPDX-License-Identifier: BSD-3-Clause
 * drop_send.c - a file on its way to a peer's PeerAPI
 *
 * ASKING: GET of the blocks that the peer has, compared with the file as it
 * comes, a block at a time. That it cannot be asked, or says nonsense, costs
 * only what it would have saved. SENDING: PUT of the rest by a connection of
 * its own; an answer before the end is the end. ENDED: the file is whole, its
 * answer is waited for. What the peer says is bounded, and its text is made
 * printable, as it goes to somebody's terminal.
 */
#include "core/drop/drop_send.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/byte_queue.h"
#include "core/base/clean_text.h"
#include "core/base/err.h"
#include "core/base/http_body.h"
#include "core/base/log.h"
#include "core/drop/drop_block.h"

enum {
	ASK_MS = 10 * 1000, /* of silence */
	DIAL_MS = 60 * 1000,
	STALL_MS = 60 * 1000, /* nothing is acknowledged */
	ANSWER_MS = 10 * 60 * 1000, /* it may have to compare a large file */
	IN_MAX = 64 * 1024,
	TEXT_CAP = 1024,
	PIECE_MAX = IN_MAX / 2,
	CHUNK_HEAD_MAX = 20,
	HEAD_CAP = TS_DROP_ESCAPED_CAP + 512,
	KEEP_IDLE_MS = 15 * 1000,
	KEEP_COUNT = 3,
	HTTP_OK = 200,
	HTTP_BAD_GATEWAY = 502,
	HTTP_GATEWAY_TIMEOUT = 504,
};

enum state { ASKING, SENDING, ENDED, DONE };

struct ts_drop_send {
	struct ts_node *node;
	struct ts_loop *loop;
	struct ts_timer *timer;
	const struct ts_drop_send_ops *ops;
	void *ctx;
	struct ts_addr peerapi;
	char name[TS_DROP_ESCAPED_CAP];
	int64_t length;
	enum state state;
	struct stack_tcp *tcp;
	bool is_up, is_chunked, wants_room, is_all;
	struct ts_byte_queue in, out; /* out: what is no piece of the file */
	/* the answer */
	bool has_head;
	struct ts_http_body body;
	int status;
	char text[TEXT_CAP];
	size_t text_len;
	/* what the peer has: the block that is compared, and the file's bytes
	 * in its place, which are sent first when they differ */
	struct ts_byte_queue lines;
	struct ts_drop_block block;
	bool has_block, lines_are_over;
	uint8_t held[TS_DROP_BLOCK_MAX];
	size_t held_len;
	uint64_t offset, sent;
};

static void set_due(struct ts_drop_send *s, uint64_t in_ms)
{
	ts_timer_set(s->timer, in_ms == UINT64_MAX
				       ? UINT64_MAX
				       : ts_loop_now_ms(s->loop) + in_ms);
}

static void hang_up(struct ts_drop_send *s)
{
	if (s->tcp)
		stack_tcp_abort(s->tcp);
	s->tcp = NULL;
	s->is_up = false;
	s->has_head = false;
	ts_byte_queue_clear(&s->in);
	ts_byte_queue_clear(&s->out);
}

/* -- the end --------------------------------------------------------------- */

/* done() from the timer: whoever gave us bytes is not in the middle of it. */
static void finish(struct ts_drop_send *s, int status, const char *text)
{
	if (s->state == DONE)
		return;
	hang_up(s);
	s->state = DONE;
	s->status = status;
	if (text != s->text)
		snprintf(s->text, sizeof(s->text), "%s\n", text);
	set_due(s, 0);
}

static void fail(struct ts_drop_send *s, int err)
{
	char text[128];

	snprintf(text, sizeof(text), "cannot send to the peer: %s",
		 ts_strerror(err));
	finish(s, err == -ETIMEDOUT ? HTTP_GATEWAY_TIMEOUT : HTTP_BAD_GATEWAY,
	       text);
}

/* -- connections ----------------------------------------------------------- */

static void send_some(struct ts_drop_send *s);
static void on_readable(void *user);
static void on_gone(void *user, int err);

static void on_connected(void *user)
{
	struct ts_drop_send *s = user;

	s->is_up = true;
	set_due(s, s->state == ASKING ? (uint64_t)ASK_MS : UINT64_MAX);
	send_some(s);
}

static void on_writable(void *user)
{
	send_some(user);
}

static const struct stack_tcp_ops tcp_ops = {
	.connected = on_connected,
	.readable = on_readable,
	.writable = on_writable,
	.gone = on_gone,
};

static int dial(struct ts_drop_send *s, const char *head)
{
	static const struct stack_tcp_options options = {
		.keepalive = true,
		.keep_idle_ms = KEEP_IDLE_MS,
		.keep_interval_ms = KEEP_IDLE_MS,
		.keep_count = KEEP_COUNT,
		.user_timeout_ms = STALL_MS,
	};
	int err;

	hang_up(s);
	err = ts_byte_queue_push(&s->out, head, strlen(head));
	if (!err)
		s->tcp = stack_tcp_dial(ts_node_stack(s->node), &s->peerapi, 0,
					&tcp_ops, s, ts_loop_now_ms(s->loop),
					&err);
	if (!s->tcp)
		return err;
	stack_tcp_set_options(s->tcp, &options);
	set_due(s, s->state == ASKING ? ASK_MS : DIAL_MS);
	return 0;
}

static void put_head(const struct ts_drop_send *s, char out[static HEAD_CAP])
{
	char range[64] = "", length[64] = "Transfer-Encoding: chunked\r\n";

	if (s->offset > 0)
		snprintf(range, sizeof(range), "Range: bytes=%llu-\r\n",
			 (unsigned long long)s->offset);
	if (s->length >= 0)
		snprintf(length, sizeof(length), "Content-Length: %llu\r\n",
			 (unsigned long long)s->length -
				 (unsigned long long)s->offset);
	snprintf(out, HEAD_CAP,
		 "PUT /v0/put/%s HTTP/1.1\r\nHost: peer\r\n"
		 "User-Agent: tsnet-shim\r\n%s%sConnection: close\r\n\r\n",
		 s->name, length, range);
}

static int push_chunk(struct ts_drop_send *s, const void *data, size_t len)
{
	char head[CHUNK_HEAD_MAX];
	int n = snprintf(head, sizeof(head), "%zx\r\n", len);
	int err = ts_byte_queue_push(&s->out, head, (size_t)n);

	if (!err)
		err = ts_byte_queue_push(&s->out, data, len);
	if (!err)
		err = ts_byte_queue_push(&s->out, "\r\n", 2);
	return err;
}

/* The bytes in place of the block that the peer does not have. */
static int push_held(struct ts_drop_send *s)
{
	size_t len = s->held_len;

	s->held_len = 0;
	s->sent += len;
	if (len == 0)
		return 0;
	return s->is_chunked ? push_chunk(s, s->held, len)
			     : ts_byte_queue_push(&s->out, s->held, len);
}

/* What the peer has is known, or never will be. */
static void begin_put(struct ts_drop_send *s)
{
	char head[HEAD_CAP];
	int err;

	if (s->length >= 0 && s->offset > (uint64_t)s->length) {
		finish(s, HTTP_BAD_GATEWAY, "the file is longer than it said");
		return;
	}
	if (s->offset > 0)
		log_info("taildrop: a file goes on at byte %llu",
			 (unsigned long long)s->offset);
	s->state = SENDING;
	s->is_chunked = s->length < 0;
	s->has_block = false;
	s->sent = s->offset;
	put_head(s, head);
	err = dial(s, head);
	if (!err)
		err = push_held(s);
	if (err)
		fail(s, err);
}

static int begin_ask(struct ts_drop_send *s)
{
	char head[HEAD_CAP];

	snprintf(head, sizeof(head),
		 "GET /v0/put/%s HTTP/1.1\r\nHost: peer\r\n"
		 "User-Agent: tsnet-shim\r\nConnection: close\r\n\r\n",
		 s->name);
	return dial(s, head);
}

static void on_gone(void *user, int err)
{
	struct ts_drop_send *s = user;

	s->tcp = NULL;
	if (s->state == ASKING && !s->lines_are_over)
		begin_put(s);
	else if (s->state != ASKING)
		fail(s, err ? err : -ECONNRESET);
}

static void on_due(void *ctx)
{
	struct ts_drop_send *s = ctx;

	if (s->state == DONE)
		s->ops->done(s->ctx, s->status, s->text);
	else if (s->state == ASKING)
		begin_put(s);
	else
		fail(s, -ETIMEDOUT);
}

/* -- to the peer ----------------------------------------------------------- */

/* Is there nothing in front of the file's next byte? */
static bool drain(struct ts_drop_send *s)
{
	size_t len = ts_byte_queue_len(&s->out);

	if (!s->tcp || !s->is_up)
		return false;
	if (len > 0)
		ts_byte_queue_drop(&s->out,
				   stack_tcp_write(s->tcp,
						   ts_byte_queue_data(&s->out),
						   len));
	return ts_byte_queue_len(&s->out) == 0;
}

static size_t write_chunk(struct ts_drop_send *s, const void *data, size_t len)
{
	int err;

	if (len > PIECE_MAX)
		len = PIECE_MAX;
	err = push_chunk(s, data, len);
	if (err) {
		fail(s, err);
		return 0;
	}
	drain(s);
	return len;
}

static size_t write_content(struct ts_drop_send *s, const void *data,
			    size_t len)
{
	size_t n = 0;

	if (len > 0 && drain(s))
		n = s->is_chunked ? write_chunk(s, data, len)
				  : stack_tcp_write(s->tcp, data, len);
	s->sent += n;
	if (n > 0 && s->tcp)
		stack_tcp_flush(s->tcp);
	return n;
}

static void end_content(struct ts_drop_send *s)
{
	static const char last_chunk[] = "0\r\n\r\n";
	int err = 0;

	if (s->is_chunked)
		err = ts_byte_queue_push(&s->out, last_chunk,
					 sizeof(last_chunk) - 1);
	else if (s->sent != (uint64_t)s->length)
		err = -ENODATA;
	if (err) {
		finish(s, HTTP_BAD_GATEWAY,
		       err == -ENODATA ? "the file is shorter than it said"
				       : "out of memory");
		return;
	}
	s->state = ENDED;
	set_due(s, ANSWER_MS);
	drain(s);
}

static void ask_for_more(struct ts_drop_send *s)
{
	if (!s->wants_room)
		return;
	s->wants_room = false;
	s->ops->room(s->ctx);
}

/* What is flushed without a write has the stack call again, for ever. */
static void send_some(struct ts_drop_send *s)
{
	bool has_written = ts_byte_queue_len(&s->out) > 0;
	bool is_empty = drain(s);

	if (!s->tcp)
		return;
	if (is_empty && s->state == SENDING && s->is_all) {
		end_content(s);
		has_written = true;
	}
	if (s->tcp && has_written)
		stack_tcp_flush(s->tcp);
	if (is_empty && s->state == SENDING)
		ask_for_more(s);
}

/* -- what the peer has ----------------------------------------------------- */

/* The next block that it says, if a line of it is there. */
static void next_block(struct ts_drop_send *s)
{
	const char *data = (const char *)ts_byte_queue_data(&s->lines);
	size_t len = ts_byte_queue_len(&s->lines);
	const char *end = len ? memchr(data, '\n', len) : NULL;

	s->held_len = 0;
	if (!end) {
		if (s->lines_are_over || len >= TS_DROP_LINE_CAP)
			begin_put(s);
		else
			set_due(s, ASK_MS);
		return;
	}
	if (ts_drop_block_parse(data, (size_t)(end - data), &s->block)) {
		begin_put(s);
		return;
	}
	ts_byte_queue_drop(&s->lines, (size_t)(end - data) + 1);
	s->has_block = true;
	set_due(s, UINT64_MAX); /* the file's owner may be slow */
	if (s->is_all)
		begin_put(s); /* it has more than the file */
	else
		ask_for_more(s);
}

/* The block is there, or the file ends in it. */
static void compare(struct ts_drop_send *s)
{
	if (s->held_len != s->block.len ||
	    !ts_drop_block_is(&s->block, s->held, s->held_len)) {
		begin_put(s);
		return;
	}
	s->offset += s->held_len;
	s->has_block = false;
	if (s->is_all)
		s->held_len = 0;
	if (s->is_all)
		begin_put(s);
	else
		next_block(s);
}

static size_t take_for_block(struct ts_drop_send *s, const void *data,
			     size_t len)
{
	size_t n = s->has_block ? s->block.len - s->held_len : 0;

	if (n > len)
		n = len;
	memcpy(s->held + s->held_len, data, n);
	s->held_len += n;
	if (s->has_block && s->held_len == s->block.len)
		compare(s);
	return n;
}

/* -- from the peer --------------------------------------------------------- */

static int add_text(struct ts_drop_send *s, const uint8_t *data, size_t len)
{
	size_t room = TEXT_CAP - 2 - s->text_len;

	if (len > room)
		len = room;
	memcpy(s->text + s->text_len, data, len);
	s->text_len += len;
	return 0;
}

/* Of an answer's body. */
static int take_body(struct ts_drop_send *s, const uint8_t *data, size_t len)
{
	if (s->state != ASKING)
		return add_text(s, data, len);
	return ts_byte_queue_push(&s->lines, data, len);
}

static void answered(struct ts_drop_send *s)
{
	if (s->state == ASKING) {
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
	finish(s, s->status, s->text);
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
	return s->state == ASKING && head.status != HTTP_OK ? -EPROTO : 0;
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
	else if (err == -EAGAIN && s->state == ASKING && s->has_head &&
		 !s->has_block)
		next_block(s);
	else if (err != -EAGAIN && s->state == ASKING)
		begin_put(s);
	else if (err != -EAGAIN)
		fail(s, err);
}

static void on_readable(void *user)
{
	struct ts_drop_send *s = user;
	struct stack_tcp *tcp = s->tcp;
	struct iovec view;
	int n = 0;

	while (s->tcp == tcp &&
	       (n = stack_tcp_read_view(tcp, &view, 1)) > 0) {
		size_t len = view.iov_len < PIECE_MAX ? view.iov_len
						      : PIECE_MAX;

		if (s->has_block && ts_byte_queue_len(&s->lines) > IN_MAX)
			return; /* until the file is compared so far */
		if (ts_byte_queue_push(&s->in, view.iov_base, len)) {
			fail(s, -EMSGSIZE);
			return;
		}
		stack_tcp_consume(tcp, len);
		on_input(s, false);
	}
	if (s->tcp == tcp && n == -EPIPE)
		on_input(s, true);
}

/* -- for the owner --------------------------------------------------------- */

static size_t take_once(struct ts_drop_send *s, const uint8_t *data, size_t len)
{
	if (s->state == ASKING && !s->has_block && s->tcp)
		on_readable(s); /* it paused while there was enough to do */
	if (s->state == ASKING)
		return take_for_block(s, data, len);
	return s->state == SENDING ? write_content(s, data, len) : 0;
}

/* room() is for later: wants_room is off within. */
size_t ts_drop_send_write(struct ts_drop_send *s, const void *data, size_t len)
{
	const uint8_t *at = data;
	size_t done = 0, n = 1;

	s->wants_room = false;
	while (n > 0 && done < len && s->state != DONE) {
		n = take_once(s, at + done, len - done);
		done += n;
	}
	if (s->state == DONE)
		return len;
	s->wants_room = done < len;
	return done;
}

void ts_drop_send_end(struct ts_drop_send *s)
{
	s->is_all = true;
	if (s->state == ASKING && s->has_block)
		compare(s);
	else if (s->state == SENDING)
		send_some(s);
}

uint64_t ts_drop_send_progress(const struct ts_drop_send *s)
{
	return s->state == ASKING ? s->offset : s->sent;
}

struct ts_drop_send *ts_drop_send_new(struct ts_node *node,
				      struct ts_loop *loop,
				      const struct ts_addr *peerapi,
				      const char *name, int64_t length,
				      const struct ts_drop_send_ops *ops,
				      void *ctx)
{
	struct ts_drop_send *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->node = node;
	s->loop = loop;
	s->ops = ops;
	s->ctx = ctx;
	s->peerapi = *peerapi;
	s->length = length;
	s->wants_room = true;
	ts_drop_name_escape(name, s->name);
	ts_byte_queue_init(&s->in, IN_MAX);
	ts_byte_queue_init(&s->out, TS_DROP_BLOCK_MAX + HEAD_CAP + PIECE_MAX);
	ts_byte_queue_init(&s->lines, 2 * IN_MAX);
	s->timer = ts_timer_new(loop, on_due, s);
	if (!s->timer) {
		ts_drop_send_free(s);
		return NULL;
	}
	if (begin_ask(s))
		begin_put(s);
	return s;
}

void ts_drop_send_free(struct ts_drop_send *s)
{
	if (!s)
		return;
	hang_up(s);
	ts_byte_queue_deinit(&s->in);
	ts_byte_queue_deinit(&s->out);
	ts_byte_queue_deinit(&s->lines);
	ts_timer_free(s->timer);
	free(s);
}
