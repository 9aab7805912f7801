/* SPDX-License-Identifier: BSD-3-Clause
 * drop_send.h - a file on its way to a peer's PeerAPI
 *
 * By the node's own stack. First the peer is asked for what it has of the file
 * already; then the rest goes there. Nothing is kept of the file but a block:
 * who has it gives as much as is taken, and is told when there is room again.
 * Source: feature/taildrop/localapi.go (singleFilePut)
 */
#ifndef CORE_DROP_DROP_SEND_H
#define CORE_DROP_DROP_SEND_H

#include "core/drop/drop_name.h"
#include "core/loop/loop.h"
#include "core/node/node.h"

struct ts_drop_send;

struct ts_drop_send_ops {
	/* More of the file can be given. */
	void (*room)(void *ctx);
	/* Once, and never within a call: what the peer answered, or what came
	 * in between (a status of 502 or 504). The text ends in a newline. */
	void (*done)(void *ctx, int status, const char *text);
};

/* length: -1 unknown. NULL: no memory. */
struct ts_drop_send *ts_drop_send_new(struct ts_node *node,
				      struct ts_loop *loop,
				      const struct ts_addr *peerapi,
				      const char *name, int64_t length,
				      const struct ts_drop_send_ops *ops,
				      void *ctx);
/* At any time; no callback follows. */
void ts_drop_send_free(struct ts_drop_send *s);
/* How much of data was taken: less than len, then room() follows. After done()
 * everything is. */
size_t ts_drop_send_write(struct ts_drop_send *s, const void *data,
			  size_t len);
/* That was all of it. */
void ts_drop_send_end(struct ts_drop_send *s);
/* Bytes of the file so far, with what the peer had already. */
uint64_t ts_drop_send_progress(const struct ts_drop_send *s);

#endif
