/* SPDX-License-Identifier: BSD-3-Clause
 * link_bench.h - one link under test: what its callbacks said
 */
#ifndef TESTS_UNIT_IO_LINK_BENCH_H
#define TESTS_UNIT_IO_LINK_BENCH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/link.h"

struct bench {
	struct ts_loop *loop;
	struct ts_resolver *res;
	struct ts_link *link;
	struct ts_timer *guard;
	int connected, closed, drained, late;
	bool has_error;
	char error[512];
	char input[65536];
	size_t input_len, total;
	/* What to do inside callbacks. */
	bool stop_on_connected, close_on_connected, close_on_input;
	bool close_on_closed;
	size_t stop_after; /* bytes of input; 0: never */
	const char *greeting;
};

static inline void bench_give_up(void *ctx)
{
	struct bench *b = ctx;

	b->late = 1;
	ts_loop_stop(b->loop);
}

static inline void bench_connected(void *ctx, struct ts_link *link)
{
	struct bench *b = ctx;

	b->connected++;
	if (link != b->link)
		abort();
	if (b->greeting)
		ts_link_write(link, b->greeting, strlen(b->greeting));
	if (b->close_on_connected) {
		ts_link_close(link);
		b->link = NULL;
	}
	if (b->close_on_connected || b->stop_on_connected)
		ts_loop_stop(b->loop);
}

static inline void bench_input(void *ctx, const uint8_t *data, size_t len)
{
	struct bench *b = ctx;
	size_t room = sizeof(b->input) - b->input_len;

	memcpy(b->input + b->input_len, data, len < room ? len : room);
	b->input_len += len < room ? len : room;
	b->total += len;
	if (b->close_on_input) {
		ts_link_close(b->link);
		b->link = NULL;
		ts_loop_stop(b->loop);
	} else if (b->stop_after && b->total >= b->stop_after) {
		ts_loop_stop(b->loop);
	}
}

static inline void bench_closed(void *ctx, const char *error)
{
	struct bench *b = ctx;

	b->closed++;
	b->has_error = error != NULL;
	snprintf(b->error, sizeof(b->error), "%s", error ? error : "");
	if (b->close_on_closed)
		ts_link_close(b->link);
	b->link = NULL;
	ts_loop_stop(b->loop);
}

static inline void bench_drained(void *ctx)
{
	struct bench *b = ctx;

	b->drained++;
	ts_loop_stop(b->loop);
}

static const struct ts_link_ops bench_ops = {
	.connected = bench_connected,
	.input = bench_input,
	.closed = bench_closed,
	.drained = bench_drained,
};

static inline int bench_set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	b->loop = ts_loop_new();
	b->res = ts_resolver_new(b->loop);
	b->guard = ts_timer_new(b->loop, bench_give_up, b);
	*state = b;
	return 0;
}

static inline int bench_tear_down(void **state)
{
	struct bench *b = *state;

	ts_link_close(b->link);
	ts_timer_free(b->guard);
	ts_resolver_free(b->res);
	ts_loop_free(b->loop);
	free(b);
	return 0;
}

/* Until a callback stops the loop; late = 1 when none did. */
static inline void bench_run(struct bench *b, unsigned limit_ms)
{
	ts_loop_update(b->loop);
	ts_timer_set(b->guard, ts_loop_now_ms(b->loop) + limit_ms);
	ts_loop_run(b->loop);
	ts_timer_set(b->guard, UINT64_MAX);
}

#endif
