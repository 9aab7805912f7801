/* SPDX-License-Identifier: BSD-3-Clause
 * far_end.h - play the far end of a connection of the fake stack
 */
#ifndef TESTS_UNIT_HOST_FAR_END_H
#define TESTS_UNIT_HOST_FAR_END_H

#include "fake_stack.h"

#include "host_fixture.h"

struct far_end {
	struct stack_tcp *t;
	const char *data;
	size_t len;
	char got[256];
	bool is;
};

static inline void far_answer(struct fixture *f, void *ctx)
{
	(void)ctx;
	fake_up(f->node.stack->last_dialled);
}

static inline void far_look_dialled(struct fixture *f, void *ctx)
{
	struct far_end *far = ctx;

	far->t = f->node.stack->last_dialled;
	far->is = f->node.stack->dial_count > 0;
}

static inline void far_send(struct fixture *f, void *ctx)
{
	struct far_end *far = ctx;

	(void)f;
	if (ts_byte_queue_push(&far->t->in, far->data, far->len))
		abort();
	far->t->ops->readable(far->t->user);
}

static inline void far_fin(struct fixture *f, void *ctx)
{
	struct far_end *far = ctx;

	(void)f;
	far->t->fin_in = true;
	far->t->ops->readable(far->t->user);
}

static inline void far_reset(struct fixture *f, void *ctx)
{
	struct far_end *far = ctx;

	(void)f;
	fake_gone(far->t, -ECONNRESET);
}

/* is: at least len bytes came; they are copied to got. */
static inline void far_look_got(struct fixture *f, void *ctx)
{
	struct far_end *far = ctx;
	size_t len = ts_byte_queue_len(&far->t->out);

	(void)f;
	far->is = len >= far->len;
	if (far->is)
		memcpy(far->got, ts_byte_queue_data(&far->t->out), far->len);
}

static inline void far_look_alive(struct fixture *f, void *ctx)
{
	struct far_end *far = ctx;

	far->is = !fake_is_alive(f->node.stack, far->t);
}

static inline void far_look_fin(struct fixture *f, void *ctx)
{
	struct far_end *far = ctx;

	(void)f;
	far->is = far->t->fin_out;
}

#endif
