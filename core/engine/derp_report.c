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

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/http1.h"
#include "core/crypto/secret.h"
#include "core/engine/engine_internal.h"
#include "core/path/derp_wire.h"
#include "core/path/stun.h"

enum {
	LIMIT_MS = 10 * 1000,
	NODES_MAX = 16, /* that are tried */
	TRIES_MORE = 3,
	KEYS_MAX = 2 + TRIES_MORE,
	HEAD_MAX = 16 * 1024,
	PAGE_MAX = 64 * 1024,
	STUN_PORT = 3478,
	STUN_AGAIN_MS = 1000,
	STUN_TRIES = 3,
};

enum task_kind { BY_IPV4, BY_IPV6, ONCE_MORE, BY_PORT_80, BY_STUN };

struct node_report {
	char *name;
	struct ts_public_key keys[KEYS_MAX]; /* that are different */
	size_t key_count;
	bool has_v4, has_v6;
};

struct task {
	struct derp_report *report;
	struct node_report *node;
	enum task_kind kind;
	struct task *next, **pprev;
	struct ts_link *link;
	struct ts_http_request *http;
	struct ts_resolve *lookup;
	struct ts_watch *watch;
	int fd; /* -1: none */
	struct ts_addr stun;
	uint8_t tx_id[STUN_TX_ID_LEN];
	int tries;
	struct ts_byte_queue head;
	struct ts_derp_stream stream;
	bool has_head, has_key;
};

struct derp_report {
	struct ts_engine *engine;
	struct derp_report *next, **pprev;
	json_t *json;
	struct node_report nodes[NODES_MAX];
	size_t node_count;
	struct task *tasks;
	bool has_all; /* tasks */
	struct ts_timer *timer, *again;
	void (*done)(void *done_ctx, json_t *report);
	void *done_ctx;
};

/* -- sentences ------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void
say(struct derp_report *r, const char *list, const char *format, ...)
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

static const char *way_of(const struct task *t)
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

static void sum_up(struct derp_report *r, const struct node_report *n)
{
	if (n->has_v4 && n->has_v6)
		say(r, "Info",
		    "Node \"%s\" has working IPv4 and IPv6 connectivity",
		    n->name);
	else if (n->has_v6)
		say(r, "Warnings",
		    "Node \"%s\" only has IPv6 connectivity, not IPv4",
		    n->name);
	if (n->key_count > 0)
		say(r, "Info",
		    "Successfully established a DERP connection with node "
		    "\"%s\"", n->name);
	if (n->key_count > 1)
		say(r, "Errors",
		    "Node \"%s\" has shown %zu different public keys; is the "
		    "DERP server behind a load balancer?", n->name,
		    n->key_count);
}

/* -- ends ------------------------------------------------------------------ */

static void free_task(struct task *t)
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

static void end_task(struct task *t)
{
	struct derp_report *r = t->report;

	free_task(t);
	finish_soon(r);
}

static void say_no_stun(const struct task *t)
{
	say(t->report, "Warnings",
	    "Node \"%s\" did not return a IPv4 STUN response",
	    t->node->name);
}

/* What is still under way has no answer. */
static void on_timer(void *ctx)
{
	struct derp_report *r = ctx;

	for (const struct task *t = r->tasks; t; t = t->next) {
		if (t->kind == BY_STUN)
			say_no_stun(t);
		else if (t->kind != BY_PORT_80)
			say(r, "Errors", "Error connecting to node \"%s\"%s: "
					 "no answer in time", t->node->name,
			    way_of(t));
	}
	finish(r);
}

void engine_derp_reports_end(struct ts_engine *engine)
{
	while (engine->derp_reports)
		finish(engine->derp_reports);
}

static struct task *new_task(struct derp_report *r, struct node_report *node,
			     enum task_kind kind)
{
	struct task *t = calloc(1, sizeof(*t));

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

/* -- TLS, and DERP's greeting ---------------------------------------------- */

static void add_key(struct node_report *n, const struct ts_public_key *key)
{
	for (size_t i = 0; i < n->key_count; i++)
		if (ts_public_key_equal(&n->keys[i], key))
			return;
	if (n->key_count < KEYS_MAX)
		n->keys[n->key_count++] = *key;
}

static int on_frame(void *ctx, const struct ts_derp_frame *frame)
{
	struct task *t = ctx;
	struct ts_public_key key;

	if (ts_derp_read_server_key(frame, &key))
		return -EBADMSG;
	add_key(t->node, &key);
	t->has_key = true;
	return 1; /* that is all we want */
}

/* 0: more is needed; 1: it has greeted us; or why it has not. */
static int take_greeting(struct task *t, const uint8_t *data, size_t len)
{
	struct ts_http1_head head;
	int err;

	if (t->has_head)
		return ts_derp_stream_input(&t->stream, data, len, on_frame,
					    t);
	err = ts_byte_queue_push(&t->head, data, len);
	if (!err)
		err = ts_http1_read_response(ts_byte_queue_data(&t->head),
					     ts_byte_queue_len(&t->head),
					     &head);
	if (err)
		return err == -EAGAIN ? 0 : err;
	if (head.status != 101)
		return -EPROTO;
	t->has_head = true;
	return ts_derp_stream_input(
		&t->stream, ts_byte_queue_data(&t->head) + head.head_len,
		ts_byte_queue_len(&t->head) - head.head_len, on_frame, t);
}

static void on_connected(void *ctx, struct ts_link *link)
{
	struct task *t = ctx;
	char request[512];
	int len = snprintf(request, sizeof(request),
			   "GET /derp HTTP/1.1\r\nHost: %.255s\r\n"
			   "Upgrade: DERP\r\nConnection: Upgrade\r\n\r\n",
			   t->node->name);

	t->link = link;
	t->node->has_v4 |= t->kind == BY_IPV4;
	t->node->has_v6 |= t->kind == BY_IPV6;
	ts_link_write(link, request, (size_t)len);
}

static void on_input(void *ctx, const uint8_t *data, size_t len)
{
	struct task *t = ctx;
	int result = take_greeting(t, data, len);

	if (result == 0)
		return;
	if (result < 0)
		say(t->report, "Errors",
		    "Node \"%s\" does not speak DERP%s: %s", t->node->name,
		    way_of(t), ts_strerror(result));
	end_task(t);
}

static void on_closed(void *ctx, const char *error)
{
	struct task *t = ctx;

	t->link = NULL;
	say(t->report, "Errors", "Error connecting to node \"%s\"%s: %s",
	    t->node->name, way_of(t),
	    error ? error : "the connection was closed");
	end_task(t);
}

static const struct ts_link_ops link_ops = {
	.connected = on_connected,
	.input = on_input,
	.closed = on_closed,
};

static void start_link(struct derp_report *r, struct node_report *n,
		       const struct ts_derp_node *node, enum task_kind kind)
{
	struct task *t = new_task(r, n, kind);
	struct ts_link_config lc;

	if (!t)
		return;
	engine_derp_link(node, &lc);
	lc.timeout_ms = LIMIT_MS;
	if (kind == BY_IPV4)
		lc.ipv6 = "none";
	if (kind == BY_IPV6)
		lc.ipv4 = "none";
	t->link = ts_link_open(r->engine->loop, r->engine->resolver, &lc,
			       &link_ops, t);
	if (!t->link)
		end_task(t);
}

/* -- port 80 --------------------------------------------------------------- */

static void on_page(void *ctx, int status, const char *body, size_t len,
		    const char *error)
{
	struct task *t = ctx;

	(void)body;
	(void)len;
	t->http = NULL;
	if (status == 0)
		say(t->report, "Warnings",
		    "Error making request to the captive portal check of node "
		    "\"%s\": %s; is port 80 blocked?", t->node->name,
		    error ? error : "no answer");
	end_task(t);
}

static void start_page(struct derp_report *r, struct node_report *n)
{
	struct task *t = new_task(r, n, BY_PORT_80);
	char url[320];

	if (!t)
		return;
	snprintf(url, sizeof(url), "http://%.255s/generate_204", n->name);
	t->http = ts_http_get(r->engine->http, url, PAGE_MAX, LIMIT_MS / 2,
			      on_page, t);
	if (!t->http)
		end_task(t);
}

/* -- STUN ------------------------------------------------------------------ */

static void send_stun(const struct task *t)
{
	uint8_t request[STUN_REQUEST_LEN];
	struct sockaddr_storage ss;
	int len = ts_addr_to_sockaddr(&t->stun, AF_INET, &ss);

	ts_stun_write_request(t->tx_id, request);
	(void)sendto(t->fd, request, sizeof(request), MSG_DONTWAIT,
		     (struct sockaddr *)&ss, (socklen_t)len);
}

/* A datagram may be lost. */
static void on_again(void *ctx)
{
	struct derp_report *r = ctx;
	struct task *next;

	for (struct task *t = r->tasks; t; t = next) {
		next = t->next;
		if (t->fd >= 0 && ++t->tries < STUN_TRIES) {
			send_stun(t);
		} else if (t->fd >= 0) {
			say_no_stun(t);
			end_task(t);
		}
	}
	ts_timer_set(r->again, ts_loop_now_ms(r->engine->loop) +
				       STUN_AGAIN_MS);
}

static void on_datagram(void *ctx, unsigned events)
{
	struct task *t = ctx;
	uint8_t data[1500], tx_id[STUN_TX_ID_LEN];
	char text[TS_ADDR_TEXT_CAP];
	struct ts_addr mapped;
	ssize_t n = recv(t->fd, data, sizeof(data), MSG_DONTWAIT);

	(void)events;
	if (n <= 0 ||
	    ts_stun_read_response(data, (size_t)n, tx_id, &mapped) ||
	    memcmp(tx_id, t->tx_id, sizeof(tx_id)) != 0)
		return;
	say(t->report, "Info", "Node \"%s\" returned IPv4 STUN response: %s",
	    t->node->name, ts_addr_format(&mapped, text));
	end_task(t);
}

static void ask_stun(struct task *t, const struct ts_ip *ip)
{
	struct ts_loop *loop = t->report->engine->loop;

	t->stun.ip = *ip;
	ts_random_bytes(t->tx_id, sizeof(t->tx_id));
	t->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (t->fd >= 0)
		t->watch = ts_watch_new(loop, t->fd, TS_READABLE, on_datagram,
					t);
	if (t->watch) {
		send_stun(t);
		return;
	}
	say(t->report, "Errors", "Error creating IPv4 STUN socket: %s",
	    ts_strerror(t->fd < 0 ? -errno : -ENOMEM));
	end_task(t);
}

static void on_resolved(void *ctx, const char *error, const struct ts_ip *ips,
			size_t count)
{
	struct task *t = ctx;
	size_t i = 0;

	t->lookup = NULL;
	while (i < count && !ts_ip_is_v4(&ips[i]))
		i++;
	if (i < count) {
		ask_stun(t, &ips[i]);
		return;
	}
	say(t->report, "Errors",
	    "Error resolving node \"%s\" IPv4 addresses: %s", t->node->name,
	    error ? error : "it has none");
	end_task(t);
}

static void start_stun(struct derp_report *r, struct node_report *n,
		       const struct ts_derp_node *node)
{
	struct task *t;
	struct ts_ip ip;

	if (node->stun_port < 0)
		return;
	t = new_task(r, n, BY_STUN);
	if (!t)
		return;
	t->stun.port = (uint16_t)(node->stun_port ? node->stun_port
						  : STUN_PORT);
	if ((node->ipv4 && ts_ip_parse(node->ipv4, &ip) == 0) ||
	    ts_ip_parse(n->name, &ip) == 0) {
		ask_stun(t, &ip);
		return;
	}
	t->lookup = ts_resolver_lookup(r->engine->resolver, n->name,
				       on_resolved, t);
	if (!t->lookup)
		end_task(t);
}

/* -- a region -------------------------------------------------------------- */

static void start_node(struct derp_report *r, const struct ts_derp_node *node)
{
	struct node_report *n = &r->nodes[r->node_count];

	n->name = strdup(node->host_name ? node->host_name : "");
	if (!n->name)
		return;
	r->node_count++;
	start_stun(r, n, node);
	if (node->stun_only) {
		say(r, "Info", "Node \"%s\" is marked STUNOnly; skipped "
			       "non-STUN checks", n->name);
		return;
	}
	start_link(r, n, node, BY_IPV4);
	start_link(r, n, node, BY_IPV6);
	for (int i = 0; i < TRIES_MORE; i++)
		start_link(r, n, node, ONCE_MORE);
	start_page(r, n);
}

static bool open_timers(struct derp_report *r)
{
	struct ts_loop *loop = r->engine->loop;

	r->timer = ts_timer_new(loop, on_timer, r);
	r->again = ts_timer_new(loop, on_again, r);
	if (!r->timer || !r->again)
		return false;
	ts_timer_set(r->timer, ts_loop_now_ms(loop) + LIMIT_MS);
	ts_timer_set(r->again, ts_loop_now_ms(loop) + STUN_AGAIN_MS);
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
		say(r, "Errors", "out of memory");
		finish(r);
		return;
	}
	for (size_t i = 0; i < region->node_count && i < NODES_MAX; i++)
		start_node(r, &region->nodes[i]);
	r->has_all = true;
	finish_soon(r);
}
