/* SPDX-License-Identifier: BSD-3-Clause
 * drop_send_internal.h - a file on its way, as its files share it
 *
 *   drop_send         its states, its connections, what goes to the peer
 *   drop_send_answer  what comes from the peer
 */
#ifndef CORE_DROP_DROP_SEND_INTERNAL_H
#define CORE_DROP_DROP_SEND_INTERNAL_H

#include "core/base/byte_queue.h"
#include "core/base/http_body.h"
#include "core/drop/drop_block.h"
#include "core/drop/drop_send.h"

enum {
	DROP_SEND_ASK_MS = 10 * 1000, /* of silence */
	DROP_SEND_IN_MAX = 64 * 1024,
	DROP_SEND_PIECE_MAX = DROP_SEND_IN_MAX / 2,
	DROP_SEND_TEXT_CAP = 1024,
};

enum ts_drop_send_state { DROP_ASKING, DROP_SENDING, DROP_ENDED, DROP_DONE };

struct ts_drop_send {
	struct ts_node *node;
	struct ts_loop *loop;
	struct ts_timer *timer;
	const struct ts_drop_send_ops *ops;
	void *ctx;
	struct ts_addr peerapi;
	char name[TS_DROP_ESCAPED_CAP];
	int64_t length;
	enum ts_drop_send_state state;
	struct stack_tcp *tcp;
	bool is_up, is_chunked, wants_room, is_all;
	struct ts_byte_queue in, out; /* out: what is no piece of the file */
	/* the answer */
	bool has_head;
	struct ts_http_body body;
	int status;
	char text[DROP_SEND_TEXT_CAP];
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

/* -- drop_send.c ---------------------------------------------------------- */
void ts_drop_send_due(struct ts_drop_send *s, uint64_t in_ms);
/* done() from the timer: whoever gave us bytes is not in the middle of it. */
void ts_drop_send_finish(struct ts_drop_send *s, int status, const char *text);
void ts_drop_send_fail(struct ts_drop_send *s, int err);
/* What the peer has is known, or never will be. */
void ts_drop_send_begin(struct ts_drop_send *s);
void ts_drop_send_ask_for_more(struct ts_drop_send *s);

/* -- drop_send_answer.c --------------------------------------------------- */
/* The peer's block with as much of the file: it is there, or the file ends in
 * it. */
void ts_drop_send_compare(struct ts_drop_send *s);
/* How much of data, the file's next bytes, was taken to be compared. */
size_t ts_drop_send_take_for_block(struct ts_drop_send *s, const void *data,
				   size_t len);
void ts_drop_send_on_readable(void *user); /* of stack_tcp_ops */

#endif
