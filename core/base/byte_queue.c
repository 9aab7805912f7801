/* SPDX-License-Identifier: BSD-3-Clause
 * byte_queue.c - a growing FIFO of bytes with a hard limit
 */
#include "core/base/byte_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 4096 };

void ts_byte_queue_init(struct ts_byte_queue *q, size_t limit)
{
	*q = (struct ts_byte_queue){.limit = limit};
}

/* What went through may have been a secret; explicit_bzero is not elided. */
void ts_byte_queue_deinit(struct ts_byte_queue *q)
{
	if (q->buf)
		explicit_bzero(q->buf, q->cap);
	free(q->buf);
	*q = (struct ts_byte_queue){.limit = q->limit};
}

static int grow(struct ts_byte_queue *q, size_t need)
{
	size_t cap = q->cap ? q->cap : FIRST_CAP;
	uint8_t *buf;

	while (cap < need)
		cap *= 2;
	buf = malloc(cap);
	if (!buf)
		return -ENOMEM;
	if (q->buf) {
		memcpy(buf, q->buf + q->head, q->len);
		explicit_bzero(q->buf, q->cap);
		free(q->buf);
	}
	q->buf = buf;
	q->cap = cap;
	q->head = 0;
	return 0;
}

/* Room for len more bytes at the tail; NULL when out of memory. */
static uint8_t *reserve(struct ts_byte_queue *q, size_t len)
{
	if (q->head > 0 && q->cap - q->head - q->len < len) {
		memmove(q->buf, q->buf + q->head, q->len);
		q->head = 0;
	}
	if (q->cap - q->head - q->len < len && grow(q, q->len + len))
		return NULL;
	return q->buf + q->head + q->len;
}

int ts_byte_queue_push(struct ts_byte_queue *q, const void *data, size_t len)
{
	uint8_t *to;

	if (len == 0)
		return 0;
	if (len > q->limit || q->len > q->limit - len)
		return -EMSGSIZE;
	to = reserve(q, len);
	if (!to)
		return -ENOMEM;
	memcpy(to, data, len);
	q->len += len;
	return 0;
}

const uint8_t *ts_byte_queue_data(const struct ts_byte_queue *q)
{
	return q->buf ? q->buf + q->head : NULL;
}

void ts_byte_queue_drop(struct ts_byte_queue *q, size_t len)
{
	if (len >= q->len) {
		q->head = 0;
		q->len = 0;
		return;
	}
	q->head += len;
	q->len -= len;
}

void ts_byte_queue_clear(struct ts_byte_queue *q)
{
	q->head = 0;
	q->len = 0;
}
