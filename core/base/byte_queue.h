/* SPDX-License-Identifier: BSD-3-Clause
 * byte_queue.h - a growing FIFO of bytes with a hard limit
 *
 * One contiguous buffer: the head moves on as bytes are taken, and the bytes
 * are moved down only when room runs out. Used where a peer's stream is put
 * together or a slow peer must be waited for.
 */
#ifndef CORE_BASE_BYTE_QUEUE_H
#define CORE_BASE_BYTE_QUEUE_H

#include <stddef.h>
#include <stdint.h>

struct ts_byte_queue {
	uint8_t *buf;
	size_t head, len, cap;
	size_t limit; /* never hold more than this many bytes */
};

void ts_byte_queue_init(struct ts_byte_queue *q, size_t limit);
void ts_byte_queue_deinit(struct ts_byte_queue *q); /* also wipes */
/* All or nothing: 0, -EMSGSIZE over the limit, -ENOMEM. */
int ts_byte_queue_push(struct ts_byte_queue *q, const void *data, size_t len);
const uint8_t *ts_byte_queue_data(const struct ts_byte_queue *q);
static inline size_t ts_byte_queue_len(const struct ts_byte_queue *q)
{
	return q->len;
}
void ts_byte_queue_drop(struct ts_byte_queue *q, size_t len);
void ts_byte_queue_clear(struct ts_byte_queue *q);

#endif
