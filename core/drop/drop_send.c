/* SPDX-License-Identifier: BSD-3-Clause
 * drop_send.c - a file on its way to a peer's PeerAPI
 *
 * ASKING: GET of the blocks that the peer has, compared with the file as it
 * comes, a block at a time. That it cannot be asked, or says nonsense, costs
 * only what it would have saved. SENDING: PUT of the rest by a connection of
 * its own; an answer before the end is the end. ENDED: the file is whole, its
 * answer is waited for. What the peer says is read in drop_send_answer.c.
 */
#include "core/drop/drop_send.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/drop/drop_send_internal.h"

enum {
	DIAL_MS = 60 * 1000,
	STALL_MS = 60 * 1000,       /* nothing is acknowledged */
	ANSWER_MS = 10 * 60 * 1000, /* it may have to compare a large file */
	CHUNK_HEAD_MAX = 20,
	HEAD_CAP = TS_DROP_ESCAPED_CAP + 512,
	KEEP_IDLE_MS = 15 * 1000,
	KEEP_COUNT = 3,
	HTTP_BAD_GATEWAY = 502,
	HTTP_GATEWAY_TIMEOUT = 504,
};

void ts_drop_send_due(struct ts_drop_send *s, uint64_t in_ms)
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

/* -- the end -------------------------------------------------------------- */

void ts_drop_send_finish(struct ts_drop_send *s, int status, const char *text)
{
	if (s->state == DROP_DONE)
		return;
	hang_up(s);
	s->state = DROP_DONE;
	s->status = status;
	if (text != s->text)
		snprintf(s->text, sizeof(s->text), "%s\n", text);
	ts_drop_send_due(s, 0);
}

void ts_drop_send_fail(struct ts_drop_send *s, int err)
{
	char text[128];

	snprintf(text, sizeof(text), "cannot send to the peer: %s",
		 ts_strerror(err));
	ts_drop_send_finish(
		s, err == -ETIMEDOUT ? HTTP_GATEWAY_TIMEOUT : HTTP_BAD_GATEWAY,
		text);
}

/* -- connections ---------------------------------------------------------- */

static void send_some(struct ts_drop_send *s);
static void on_gone(void *user, int err);

static void on_connected(void *user)
{
	struct ts_drop_send *s = user;

	s->is_up = true;
	ts_drop_send_due(s, s->state == DROP_ASKING ? (uint64_t)DROP_SEND_ASK_MS
						    : UINT64_MAX);
	send_some(s);
}

static void on_writable(void *user)
{
	send_some(user);
}

static const struct stack_tcp_ops tcp_ops = {
	.connected = on_connected,
	.readable = ts_drop_send_on_readable,
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
	ts_drop_send_due(s,
			 s->state == DROP_ASKING ? DROP_SEND_ASK_MS : DIAL_MS);
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

void ts_drop_send_begin(struct ts_drop_send *s)
{
	char head[HEAD_CAP];
	int err;

	if (s->length >= 0 && s->offset > (uint64_t)s->length) {
		ts_drop_send_finish(s, HTTP_BAD_GATEWAY,
				    "the file is longer than it said");
		return;
	}
	if (s->offset > 0)
		log_info("taildrop: a file goes on at byte %llu",
			 (unsigned long long)s->offset);
	s->state = DROP_SENDING;
	s->is_chunked = s->length < 0;
	s->has_block = false;
	s->sent = s->offset;
	put_head(s, head);
	err = dial(s, head);
	if (!err)
		err = push_held(s);
	if (err)
		ts_drop_send_fail(s, err);
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
	if (s->state == DROP_ASKING && !s->lines_are_over)
		ts_drop_send_begin(s);
	else if (s->state != DROP_ASKING)
		ts_drop_send_fail(s, err ? err : -ECONNRESET);
}

static void on_due(void *ctx)
{
	struct ts_drop_send *s = ctx;

	if (s->state == DROP_DONE)
		s->ops->done(s->ctx, s->status, s->text);
	else if (s->state == DROP_ASKING)
		ts_drop_send_begin(s);
	else
		ts_drop_send_fail(s, -ETIMEDOUT);
}

/* -- to the peer ---------------------------------------------------------- */

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

	if (len > DROP_SEND_PIECE_MAX)
		len = DROP_SEND_PIECE_MAX;
	err = push_chunk(s, data, len);
	if (err) {
		ts_drop_send_fail(s, err);
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
		ts_drop_send_finish(s, HTTP_BAD_GATEWAY,
				    err == -ENODATA
					    ? "the file is shorter than it said"
					    : "out of memory");
		return;
	}
	s->state = DROP_ENDED;
	ts_drop_send_due(s, ANSWER_MS);
	drain(s);
}

void ts_drop_send_ask_for_more(struct ts_drop_send *s)
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
	if (is_empty && s->state == DROP_SENDING && s->is_all) {
		end_content(s);
		has_written = true;
	}
	if (s->tcp && has_written)
		stack_tcp_flush(s->tcp);
	if (is_empty && s->state == DROP_SENDING)
		ts_drop_send_ask_for_more(s);
}

/* -- for the owner -------------------------------------------------------- */

static size_t take_once(struct ts_drop_send *s, const uint8_t *data, size_t len)
{
	if (s->state == DROP_ASKING && !s->has_block && s->tcp)
		ts_drop_send_on_readable(
			s); /* it paused while there was enough to do */
	if (s->state == DROP_ASKING)
		return ts_drop_send_take_for_block(s, data, len);
	return s->state == DROP_SENDING ? write_content(s, data, len) : 0;
}

/* room() is for later: wants_room is off within. */
size_t ts_drop_send_write(struct ts_drop_send *s, const void *data, size_t len)
{
	const uint8_t *at = data;
	size_t done = 0, n = 1;

	s->wants_room = false;
	while (n > 0 && done < len && s->state != DROP_DONE) {
		n = take_once(s, at + done, len - done);
		done += n;
	}
	if (s->state == DROP_DONE)
		return len;
	s->wants_room = done < len;
	return done;
}

void ts_drop_send_end(struct ts_drop_send *s)
{
	s->is_all = true;
	if (s->state == DROP_ASKING && s->has_block)
		ts_drop_send_compare(s);
	else if (s->state == DROP_SENDING)
		send_some(s);
}

uint64_t ts_drop_send_progress(const struct ts_drop_send *s)
{
	return s->state == DROP_ASKING ? s->offset : s->sent;
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
	ts_byte_queue_init(&s->in, DROP_SEND_IN_MAX);
	ts_byte_queue_init(&s->out,
			   TS_DROP_BLOCK_MAX + HEAD_CAP + DROP_SEND_PIECE_MAX);
	ts_byte_queue_init(&s->lines, 2 * DROP_SEND_IN_MAX);
	s->timer = ts_timer_new(loop, on_due, s);
	if (!s->timer) {
		ts_drop_send_free(s);
		return NULL;
	}
	if (begin_ask(s))
		ts_drop_send_begin(s);
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
