/* SPDX-License-Identifier: BSD-3-Clause
 * doctor_fetch.c - one GET over a link of core/io, and its whole answer
 *
 * The node's own way to a server: the same look-up, race of addresses, proxies,
 * TLS and words for what fails. The request is HTTP/1.0, so that the answer is
 * in one piece and ends with the connection, or with its Content-Length.
 */
#include "core/engine/doctor_fetch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 4 * 1024 * 1024 };

static void stop_when_done(struct fetch *f)
{
	f->link = NULL;
	if (--f->all->running == 0)
		ts_loop_stop(f->all->loop);
}

static void read_answer(struct fetch *f)
{
	const char *data = (const char *)ts_byte_queue_data(&f->answer);
	size_t len = ts_byte_queue_len(&f->answer);

	if (len == 0 || ts_http1_read_response(data, len, &f->head)) {
		f->head.status = 0;
		return;
	}
	f->body = data + f->head.head_len;
	f->body_len = len - f->head.head_len;
}

/* All that Content-Length promises is there. */
static bool is_complete(struct fetch *f)
{
	const struct ts_http1_field *length;
	char text[24];

	read_answer(f);
	if (f->head.status == 0)
		return false;
	length = ts_http1_find(&f->head, "Content-Length");
	if (!length || length->value_len >= sizeof(text))
		return false;
	memcpy(text, length->value, length->value_len);
	text[length->value_len] = '\0';
	return f->body_len >= strtoul(text, NULL, 10);
}

static void on_connected(void *ctx, struct ts_link *link)
{
	struct fetch *f = ctx;

	f->was_connected = true;
	ts_link_write(link, f->request, strlen(f->request));
}

static void on_input(void *ctx, const uint8_t *data, size_t len)
{
	struct fetch *f = ctx;
	bool is_too_long = ts_byte_queue_push(&f->answer, data, len) != 0;

	if (is_too_long)
		snprintf(f->error, sizeof(f->error), "the answer is too long");
	if (!is_too_long && !is_complete(f))
		return;
	ts_link_close(f->link);
	stop_when_done(f);
}

static void on_closed(void *ctx, const char *error)
{
	struct fetch *f = ctx;

	read_answer(f);
	if (f->head.status == 0)
		snprintf(f->error, sizeof(f->error), "%s",
			 error ? error : "closed without an answer");
	stop_when_done(f);
}

static const struct ts_link_ops fetch_ops = {
	.connected = on_connected,
	.input = on_input,
	.closed = on_closed,
};

void fetch_start(struct fetch *f, struct fetches *all,
		 const struct ts_link_config *link, const char *host,
		 const char *path)
{
	memset(f, 0, sizeof(*f));
	f->all = all;
	ts_byte_queue_init(&f->answer, ANSWER_MAX);
	snprintf(f->request, sizeof(f->request),
		 "GET %.200s HTTP/1.0\r\nHost: %.256s\r\n"
		 "User-Agent: tsnet-shim\r\nConnection: close\r\n\r\n",
		 path, host);
	f->link = ts_link_open(all->loop, all->resolver, link, &fetch_ops, f);
	if (f->link)
		all->running++;
	else
		snprintf(f->error, sizeof(f->error), "out of memory");
}

static void on_late(void *ctx)
{
	struct fetches *all = ctx;

	all->is_late = true;
	ts_loop_stop(all->loop);
}

void fetches_run(struct fetches *all, unsigned timeout_ms)
{
	if (all->running == 0)
		return;
	ts_loop_update(all->loop);
	ts_timer_set(all->timer, ts_loop_now_ms(all->loop) + timeout_ms);
	ts_loop_run(all->loop);
	ts_timer_set(all->timer, UINT64_MAX);
}

void fetch_end(struct fetch *f)
{
	if (f->link)
		ts_link_close(f->link);
	f->link = NULL;
	ts_byte_queue_deinit(&f->answer);
}

bool fetch_has_answer(const struct fetch *f)
{
	return f->head.status != 0 && !f->link;
}

int fetches_init(struct fetches *all)
{
	memset(all, 0, sizeof(*all));
	all->loop = ts_loop_new();
	if (!all->loop)
		return -ENOMEM;
	all->resolver = ts_resolver_new(all->loop);
	all->timer = ts_timer_new(all->loop, on_late, all);
	if (all->resolver && all->timer)
		return 0;
	fetches_deinit(all);
	return -ENOMEM;
}

void fetches_deinit(struct fetches *all)
{
	ts_timer_free(all->timer);
	if (all->resolver)
		ts_resolver_free(all->resolver);
	if (all->loop)
		ts_loop_free(all->loop);
	memset(all, 0, sizeof(*all));
}
