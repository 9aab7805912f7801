/* SPDX-License-Identifier: BSD-3-Clause
 * test_peerapi.c - the PeerAPI's connections, by a stack that is played
 *
 * What a peer sends is there all at once, and is told of once.
 */
#include <stdlib.h>
#include <string.h>

#include "fake_stack.h"

#include "host_fixture.h"

enum { PORT = 4321, SEGMENT = 1240, HELD_CAP = 1024 * 1024, MANY = 2000 };

struct caller {
	struct stack_syn syn;
	const char *bytes;
	size_t len;
	/* seen */
	bool is;
	size_t answers_wanted, aborted;
	char *out;
	size_t out_len;
};

static void call_in(struct fixture *f, void *ctx)
{
	struct caller *c = ctx;

	f->node.peerapi_port = PORT;
	f->node.stack->piece_len = SEGMENT;
	c->syn = (struct stack_syn){.stack = f->node.stack,
				    .local = fake_addr(SELF ":4321"),
				    .remote = fake_addr(PEER ":5555")};
	ts_host_inbound_syn(ts_host_first(f->host), &c->syn, &c->syn.local,
			    &c->syn.remote);
}

static void look_up(struct fixture *f, void *ctx)
{
	struct caller *c = ctx;

	(void)f;
	c->is = c->syn.accepted && c->syn.accepted->is_up;
}

static void burst(struct fixture *f, void *ctx)
{
	struct caller *c = ctx;
	struct stack_tcp *t = c->syn.accepted;

	(void)f;
	assert_int_equal(ts_byte_queue_push(&t->in, c->bytes, c->len), 0);
	t->ops->readable(t->user);
}

static size_t count_in(const char *text, const char *what)
{
	size_t count = 0;

	while ((text = strstr(text, what))) {
		count++;
		text++;
	}
	return count;
}

/* What was said so far is taken, which makes room for more. */
static void look_answers(struct fixture *f, void *ctx)
{
	struct caller *c = ctx;
	struct stack_tcp *t = c->syn.accepted;

	c->aborted = f->node.stack->abort_count;
	if (c->aborted == 0) {
		size_t len = ts_byte_queue_len(&t->out);

		assert_true(c->out_len + len < HELD_CAP);
		memcpy(c->out + c->out_len, ts_byte_queue_data(&t->out), len);
		c->out_len += len;
		c->out[c->out_len] = '\0';
		ts_byte_queue_clear(&t->out);
		fake_pump_soon(t);
	}
	c->is = c->aborted > 0 ||
		count_in(c->out, "HTTP/1.1 200 OK") >= c->answers_wanted;
}

static size_t add(char *out, size_t body_len)
{
	int n = sprintf(out, "GET / HTTP/1.1\r\nHost: peer\r\n"
			"Content-Length: %zu\r\n\r\n", body_len);

	memset(out + n, 'x', body_len);
	return (size_t)n + body_len;
}

static void all_are_answered(const size_t *sizes, size_t count)
{
	char *bytes = malloc(HELD_CAP);
	struct caller c = {.bytes = bytes, .answers_wanted = count,
			   .out = calloc(1, HELD_CAP)};
	struct fixture f;

	for (size_t i = 0; i < count; i++)
		c.len += add(bytes + c.len, sizes[i]);
	open_fixture(&f);
	on_loop(&f, call_in, &c);
	assert_true(eventually(&f, look_up, &c, &c.is));
	on_loop(&f, burst, &c);
	if (!eventually(&f, look_answers, &c, &c.is))
		fail_msg("%zu requests: no more answers", count);
	assert_int_equal(c.aborted, 0);
	close_fixture(&f);
	free(c.out);
	free(bytes);
}

static void one_that_is_large_is_read_to_its_end(void **state)
{
	static const size_t sizes[] = {65535};

	(void)state;
	all_are_answered(sizes, 1);
}

static void one_behind_the_other(void **state)
{
	static const size_t sizes[] = {30000, 65535, 0, 41000, 60000, 1};

	(void)state;
	all_are_answered(sizes, sizeof(sizes) / sizeof(sizes[0]));
}

static void more_than_there_is_room_to_answer(void **state)
{
	static const size_t sizes[MANY];

	(void)state;
	all_are_answered(sizes, MANY);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(one_that_is_large_is_read_to_its_end),
	cmocka_unit_test(one_behind_the_other),
	cmocka_unit_test(more_than_there_is_room_to_answer),
};

RUN_IN_EMPTY_NET(tests)
