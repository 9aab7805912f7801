/* SPDX-License-Identifier: BSD-3-Clause
 * fake_stack.h - test doubles for what core/host calls of the stack
 *
 * Connections whose far end is played by the test: it echoes, swallows, or
 * does only what it is told. Everything here runs on the loop's thread.
 */
#ifndef TESTS_UNIT_HOST_FAKE_STACK_H
#define TESTS_UNIT_HOST_FAKE_STACK_H

#include "core/base/byte_queue.h"
#include "core/loop/loop.h"
#include "fake_datagrams.h"
#include "fake_node.h"

enum {
	FAKE_QUEUE_BYTES = 128 * 1024,
	FAKE_PEER_PORT_ECHO = 7,
	FAKE_PEER_PORT_REFUSED = 9,
	FAKE_PEER_PORT_MANUAL = 100, /* answers when the test says so */
	FAKE_DIALS_MAX = 4096,
};

struct stack_tcp {
	struct stack_tcp_options options;
	const char *congestion;
	struct stack *stack;
	const struct stack_tcp_ops *ops;
	void *user;
	struct ts_addr local, remote;
	struct ts_byte_queue in, out; /* to, from the program */
	bool is_up, fin_in, fin_out, wants_room, is_echo, saw_eof;
	bool is_silent; /* leaves what the program wrote in out */
	bool is_pump_due;
};

struct stack_syn {
	struct stack *stack;
	struct ts_addr local, remote;
	struct stack_tcp *accepted;
	bool is_refused, is_dropped;
};

struct stack {
	struct ts_loop *loop;
	struct stack_tcp *tcps[FAKE_DIALS_MAX]; /* living ones */
	size_t tcp_count;
	size_t dial_count, abort_count;
	struct stack_tcp *last_dialled;
	size_t piece_len; /* of a view; 0: it has two pieces */
	bool is_far_away; /* peers' SYNs: the test says when it is up */
};

static inline struct stack_tcp *fake_tcp_new(struct stack *stack,
					     const struct ts_addr *local,
					     const struct ts_addr *remote)
{
	struct stack_tcp *t = calloc(1, sizeof(*t));

	if (!t || stack->tcp_count == FAKE_DIALS_MAX)
		abort();
	t->stack = stack;
	t->local = *local;
	t->remote = *remote;
	ts_byte_queue_init(&t->in, 4 * FAKE_QUEUE_BYTES);
	ts_byte_queue_init(&t->out, FAKE_QUEUE_BYTES);
	stack->tcps[stack->tcp_count++] = t;
	return t;
}

static inline bool fake_is_alive(const struct stack *stack,
				 const struct stack_tcp *t)
{
	for (size_t i = 0; i < stack->tcp_count; i++)
		if (stack->tcps[i] == t)
			return true;
	return false;
}

static inline void fake_tcp_free(struct stack_tcp *t)
{
	struct stack *stack = t->stack;

	for (size_t i = 0; i < stack->tcp_count; i++) {
		if (stack->tcps[i] != t)
			continue;
		stack->tcps[i] = stack->tcps[--stack->tcp_count];
		break;
	}
	ts_byte_queue_deinit(&t->in);
	ts_byte_queue_deinit(&t->out);
	free(t);
}

/* A task that survives the connection it is for. */
struct fake_task {
	struct stack *stack;
	struct stack_tcp *t;
	void (*fn)(struct stack_tcp *t);
};

static inline void fake_run_task(void *ctx)
{
	struct fake_task task = *(struct fake_task *)ctx;

	free(ctx);
	if (fake_is_alive(task.stack, task.t))
		task.fn(task.t);
}

static inline void fake_later(struct stack_tcp *t,
			      void (*fn)(struct stack_tcp *t))
{
	struct fake_task *task = malloc(sizeof(*task));

	if (!task)
		abort();
	*task = (struct fake_task){t->stack, t, fn};
	if (ts_loop_post(t->stack->loop, fake_run_task, task))
		abort();
}

static inline void fake_gone(struct stack_tcp *t, int err)
{
	const struct stack_tcp_ops *ops = t->ops;
	void *user = t->user;

	fake_tcp_free(t);
	ops->gone(user, err);
}

static inline void fake_up(struct stack_tcp *t)
{
	t->is_up = true;
	t->ops->connected(t->user);
}

static inline void fake_refuse(struct stack_tcp *t)
{
	fake_gone(t, -ECONNREFUSED);
}

static inline void fake_pump(struct stack_tcp *t);

static inline void fake_pump_soon(struct stack_tcp *t)
{
	if (t->is_pump_due)
		return;
	t->is_pump_due = true;
	fake_later(t, fake_pump);
}

static inline void fake_echo(struct stack_tcp *t)
{
	size_t room = t->in.limit - ts_byte_queue_len(&t->in);
	size_t len = ts_byte_queue_len(&t->out);

	if (len > room)
		len = room;
	if (len == 0)
		return;
	if (ts_byte_queue_push(&t->in, ts_byte_queue_data(&t->out), len))
		abort();
	ts_byte_queue_drop(&t->out, len);
	t->ops->readable(t->user);
}

static inline void fake_pump(struct stack_tcp *t)
{
	struct stack *stack = t->stack;

	t->is_pump_due = false;
	if (t->is_echo)
		fake_echo(t);
	else if (!t->is_silent)
		ts_byte_queue_clear(&t->out);
	if (t->wants_room && ts_byte_queue_len(&t->out) < t->out.limit) {
		t->wants_room = false;
		t->ops->writable(t->user);
	}
	if (!fake_is_alive(stack, t))
		return;
	if (t->is_echo && t->fin_out && !t->fin_in &&
	    ts_byte_queue_len(&t->out) == 0) {
		t->fin_in = true;
		t->ops->readable(t->user);
	}
	if (t->fin_in && t->fin_out && t->saw_eof &&
	    ts_byte_queue_len(&t->in) == 0 && ts_byte_queue_len(&t->out) == 0)
		fake_gone(t, 0);
}

struct stack_tcp *stack_tcp_dial(struct stack *s, const struct ts_addr *remote,
				 uint16_t local_port,
				 const struct stack_tcp_ops *ops, void *user,
				 uint64_t now_ms, int *err)
{
	struct ts_addr local = {.ip = fake_ip("100.64.0.1"),
				.port = local_port};
	struct stack_tcp *t = fake_tcp_new(s, &local, remote);

	(void)now_ms;
	*err = 0;
	t->ops = ops;
	t->user = user;
	t->is_echo = remote->port == FAKE_PEER_PORT_ECHO;
	t->is_silent = remote->port == FAKE_PEER_PORT_MANUAL;
	s->last_dialled = t;
	s->dial_count++;
	if (remote->port == FAKE_PEER_PORT_REFUSED)
		fake_later(t, fake_refuse);
	else if (remote->port != FAKE_PEER_PORT_MANUAL)
		fake_later(t, fake_up);
	return t;
}

struct stack_tcp *stack_syn_accept(struct stack_syn *syn,
				   const struct stack_tcp_ops *ops, void *user,
				   uint64_t now_ms)
{
	struct stack_tcp *t = fake_tcp_new(syn->stack, &syn->local,
					   &syn->remote);

	(void)now_ms;
	t->ops = ops;
	t->user = user;
	t->is_silent = true;
	syn->accepted = t;
	if (!syn->stack->is_far_away)
		fake_later(t, fake_up);
	return t;
}

void stack_syn_refuse(struct stack_syn *syn)
{
	syn->is_refused = true;
}

void stack_syn_unreachable(struct stack_syn *syn, int err)
{
	(void)err;
	syn->is_refused = true;
}

void stack_syn_drop(struct stack_syn *syn)
{
	syn->is_dropped = true;
}

static inline int fake_pieces(uint8_t *data, size_t len, size_t piece_len,
			      struct iovec *iov, int iov_cap)
{
	int n = 0;

	for (; len > 0 && n < iov_cap; n++) {
		iov[n] = (struct iovec){data, len < piece_len ? len
							      : piece_len};
		data += iov[n].iov_len;
		len -= iov[n].iov_len;
	}
	return n;
}

/* In two pieces, so that writers must cope with more than one. */
int stack_tcp_read_view(struct stack_tcp *t, struct iovec *iov, int iov_cap)
{
	uint8_t *data = (uint8_t *)(uintptr_t)ts_byte_queue_data(&t->in);
	size_t len = ts_byte_queue_len(&t->in);
	size_t half = len / 2;

	if (len == 0 && t->fin_in) {
		t->saw_eof = true;
		fake_pump_soon(t);
		return -EPIPE;
	}
	if (len == 0)
		return 0;
	if (t->stack->piece_len)
		return fake_pieces(data, len, t->stack->piece_len, iov,
				   iov_cap);
	if (half == 0 || iov_cap < 2) {
		iov[0] = (struct iovec){data, len};
		return 1;
	}
	iov[0] = (struct iovec){data, half};
	iov[1] = (struct iovec){data + half, len - half};
	return 2;
}

void stack_tcp_consume(struct stack_tcp *t, size_t len)
{
	ts_byte_queue_drop(&t->in, len);
	fake_pump_soon(t);
}

size_t stack_tcp_send_room(const struct stack_tcp *t)
{
	return t->out.limit - ts_byte_queue_len(&t->out);
}

size_t stack_tcp_write(struct stack_tcp *t, const void *data, size_t len)
{
	size_t room = stack_tcp_send_room(t);
	size_t took = len < room ? len : room;

	if (took > 0 && ts_byte_queue_push(&t->out, data, took))
		abort();
	t->wants_room = took < len;
	fake_pump_soon(t);
	return took;
}

void stack_tcp_flush(struct stack_tcp *t)
{
	(void)t;
}

void stack_tcp_shutdown_write(struct stack_tcp *t)
{
	t->fin_out = true;
	fake_pump_soon(t);
}

void stack_tcp_abort(struct stack_tcp *t)
{
	t->stack->abort_count++;
	fake_tcp_free(t);
}

void stack_tcp_close(struct stack_tcp *t)
{
	fake_tcp_free(t);
}

size_t stack_tcp_pending(const struct stack_tcp *t)
{
	return ts_byte_queue_len(&t->out);
}

struct ts_addr stack_tcp_local(const struct stack_tcp *t)
{
	return t->local;
}

struct ts_addr stack_tcp_remote(const struct stack_tcp *t)
{
	return t->remote;
}

void stack_tcp_set_user(struct stack_tcp *t, const struct stack_tcp_ops *ops,
			void *user)
{
	t->ops = ops;
	t->user = user;
}

void stack_tcp_set_nodelay(struct stack_tcp *t, bool on)
{
	(void)t;
	(void)on;
}

void stack_set_now(struct stack *stack, uint64_t now_ms)
{
	(void)stack;
	(void)now_ms;
}

void stack_tcp_set_options(struct stack_tcp *t,
			   const struct stack_tcp_options *o)
{
	t->options = *o;
}

int stack_tcp_set_congestion(struct stack_tcp *t, const char *name)
{
	t->congestion = name;
	return 0;
}

const char *stack_tcp_congestion(const struct stack_tcp *t)
{
	return t->congestion ? t->congestion : "bbr";
}

int stack_tcp_info(const struct stack_tcp *t, struct stack_tcp_info *out)
{
	*out = (struct stack_tcp_info){.state = STACK_ESTABLISHED,
				       .rtt_us = 12345,
				       .send_mss = 1240,
				       .bytes_acked = t->options.keepalive};
	return 0;
}

static inline struct stack *test_stack_new(struct ts_loop *loop)
{
	struct stack *stack = calloc(1, sizeof(*stack));

	if (!stack)
		abort();
	stack->loop = loop;
	return stack;
}

static inline void test_stack_free(struct stack *stack)
{
	while (stack->tcp_count > 0)
		fake_tcp_free(stack->tcps[0]);
	free(stack);
}

#endif
