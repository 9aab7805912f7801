/* SPDX-License-Identifier: BSD-3-Clause
 * derp_report.c - what is wrong with a DERP region, for people
 * Source: ipn/localapi/debugderp.go
 *
 * Each node is tried by TLS and DERP's greeting, by both families and then
 * again, as a load balancer in front of several servers shows by their keys;
 * by plain HTTP, as captive portals show there; and by STUN. All at once, and
 * at most so long. The node's own connections have no part in it.
 */
#include "core/engine/derp_report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/engine/derp_report_internal.h"

enum { HEAD_MAX = 16 * 1024 };

/* -- sentences ------------------------------------------------------------ */

void derp_report_say(struct derp_report *r, const char *list,
		     const char *format, ...)
{
	json_t *lines = json_object_get(r->json, list);
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (!json_is_array(lines)) {
		lines = json_array();
		json_object_set_new(r->json, list, lines);
	}
	if (text)
		json_array_append_new(lines, json_string(text));
	free(text);
}

const char *derp_task_way(const struct derp_task *t)
{
	switch (t->kind) {
	case BY_IPV4:
		return " over IPv4";
	case BY_IPV6:
		return " over IPv6";
	default:
		return "";
	}
}

static void sum_up(struct derp_report *r, const struct derp_node_report *n)
{
	if (n->has_v4 && n->has_v6)
		derp_report_say(
			r, "Info",
			"Node \"%s\" has working IPv4 and IPv6 connectivity",
			n->name);
	else if (n->has_v6)
		derp_report_say(
			r, "Warnings",
			"Node \"%s\" only has IPv6 connectivity, not IPv4",
			n->name);
	if (n->key_count > 0)
		derp_report_say(
			r, "Info",
			"Successfully established a DERP connection with node "
			"\"%s\"",
			n->name);
	if (n->key_count > 1)
		derp_report_say(
			r, "Errors",
			"Node \"%s\" has shown %zu different public keys; is the "
			"DERP server behind a load balancer?",
			n->name, n->key_count);
}

/* -- ends ----------------------------------------------------------------- */

static void free_task(struct derp_task *t)
{
	*t->pprev = t->next;
	if (t->next)
		t->next->pprev = t->pprev;
	if (t->link)
		ts_link_close(t->link);
	if (t->http)
		ts_http_cancel(t->http);
	if (t->lookup)
		ts_resolve_cancel(t->lookup);
	ts_watch_free(t->watch);
	if (t->fd >= 0)
		close(t->fd);
	ts_byte_queue_deinit(&t->head);
	ts_derp_stream_deinit(&t->stream);
	free(t);
}

static void finish(struct derp_report *r)
{
	while (r->tasks)
		free_task(r->tasks);
	for (size_t i = 0; i < r->node_count; i++) {
		sum_up(r, &r->nodes[i]);
		free(r->nodes[i].name);
	}
	*r->pprev = r->next;
	if (r->next)
		r->next->pprev = r->pprev;
	ts_timer_free(r->timer);
	ts_timer_free(r->again);
	r->done(r->done_ctx, r->json);
	free(r);
}

/* When nothing is under way; not at once, as one of them may be on the stack.
 */
static void finish_soon(struct derp_report *r)
{
	if (r->has_all && !r->tasks)
		ts_timer_set(r->timer, ts_loop_now_ms(r->engine->loop));
}

void derp_task_end(struct derp_task *t)
{
	struct derp_report *r = t->report;

	free_task(t);
	finish_soon(r);
}

void derp_task_no_stun(const struct derp_task *t)
{
	derp_report_say(t->report, "Warnings",
			"Node \"%s\" did not return a IPv4 STUN response",
			t->node->name);
}

/* What is still under way has no answer. */
static void on_timer(void *ctx)
{
	struct derp_report *r = ctx;

	for (const struct derp_task *t = r->tasks; t; t = t->next) {
		if (t->kind == BY_STUN)
			derp_task_no_stun(t);
		else if (t->kind != BY_PORT_80)
			derp_report_say(r, "Errors",
					"Error connecting to node \"%s\"%s: "
					"no answer in time",
					t->node->name, derp_task_way(t));
	}
	finish(r);
}

void engine_derp_reports_end(struct ts_engine *engine)
{
	while (engine->derp_reports)
		finish(engine->derp_reports);
}

struct derp_task *derp_task_new(struct derp_report *r,
				struct derp_node_report *node,
				enum derp_task_kind kind)
{
	struct derp_task *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->report = r;
	t->node = node;
	t->kind = kind;
	t->fd = -1;
	ts_byte_queue_init(&t->head, HEAD_MAX);
	ts_derp_stream_init(&t->stream);
	t->next = r->tasks;
	t->pprev = &r->tasks;
	if (t->next)
		t->next->pprev = &t->next;
	r->tasks = t;
	return t;
}

/* -- a region ------------------------------------------------------------- */

static void start_node(struct derp_report *r, const struct ts_derp_node *node)
{
	struct derp_node_report *n = &r->nodes[r->node_count];

	n->name = strdup(node->host_name ? node->host_name : "");
	if (!n->name)
		return;
	r->node_count++;
	derp_task_stun(r, n, node);
	if (node->stun_only) {
		derp_report_say(r, "Info",
				"Node \"%s\" is marked STUNOnly; skipped "
				"non-STUN checks",
				n->name);
		return;
	}
	derp_task_greet(r, n, node, BY_IPV4);
	derp_task_greet(r, n, node, BY_IPV6);
	for (int i = 0; i < DERP_REPORT_TRIES_MORE; i++)
		derp_task_greet(r, n, node, ONCE_MORE);
	derp_task_page(r, n);
}

static bool open_timers(struct derp_report *r)
{
	struct ts_loop *loop = r->engine->loop;

	r->timer = ts_timer_new(loop, on_timer, r);
	r->again = ts_timer_new(loop, derp_tasks_stun_again, r);
	if (!r->timer || !r->again)
		return false;
	ts_timer_set(r->timer, ts_loop_now_ms(loop) + DERP_REPORT_MS);
	ts_timer_set(r->again, ts_loop_now_ms(loop) + DERP_REPORT_STUN_AGAIN_MS);
	return true;
}

void engine_derp_report(void *ctx, const struct ts_derp_region *region,
			json_t *report,
			void (*done)(void *done_ctx, json_t *report),
			void *done_ctx)
{
	struct ts_engine *engine = ctx;
	struct derp_report *r = calloc(1, sizeof(*r));

	if (!r) {
		done(done_ctx, report);
		return;
	}
	r->engine = engine;
	r->json = report;
	r->done = done;
	r->done_ctx = done_ctx;
	r->next = engine->derp_reports;
	r->pprev = &engine->derp_reports;
	if (r->next)
		r->next->pprev = &r->next;
	engine->derp_reports = r;
	if (!open_timers(r)) {
		derp_report_say(r, "Errors", "out of memory");
		finish(r);
		return;
	}
	for (size_t i = 0; i < region->node_count && i < DERP_REPORT_NODES_MAX; i++)
		start_node(r, &region->nodes[i]);
	r->has_all = true;
	finish_soon(r);
}
