/* SPDX-License-Identifier: BSD-3-Clause
 * derp_tasks.c - the ways that a report tries a DERP node by
 *
 * Each is one task: TLS and DERP's greeting, which shows the server's key; the
 * page at port 80 that captive portals show as something else; STUN.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/err.h"
#include "core/base/http1.h"
#include "core/crypto/secret.h"
#include "core/engine/derp_report_internal.h"

enum { PAGE_MAX = 64 * 1024, STUN_PORT = 3478, STUN_TRIES = 3 };

/* -- TLS, and DERP's greeting --------------------------------------------- */

static void add_key(struct derp_node_report *n, const struct ts_public_key *key)
{
	for (size_t i = 0; i < n->key_count; i++)
		if (ts_public_key_equal(&n->keys[i], key))
			return;
	if (n->key_count < DERP_REPORT_KEYS_MAX)
		n->keys[n->key_count++] = *key;
}

static int on_frame(void *ctx, const struct ts_derp_frame *frame)
{
	struct derp_task *t = ctx;
	struct ts_public_key key;

	if (ts_derp_read_server_key(frame, &key))
		return -EBADMSG;
	add_key(t->node, &key);
	t->has_key = true;
	return 1; /* that is all we want */
}

/* 0: more is needed; 1: it has greeted us; or why it has not. */
static int take_greeting(struct derp_task *t, const uint8_t *data, size_t len)
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
	struct derp_task *t = ctx;
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
	struct derp_task *t = ctx;
	int result = take_greeting(t, data, len);

	if (result == 0)
		return;
	if (result < 0)
		derp_report_say(t->report, "Errors",
				"Node \"%s\" does not speak DERP%s: %s",
				t->node->name, derp_task_way(t),
				ts_strerror(result));
	derp_task_end(t);
}

static void on_closed(void *ctx, const char *error)
{
	struct derp_task *t = ctx;

	t->link = NULL;
	derp_report_say(t->report, "Errors",
			"Error connecting to node \"%s\"%s: %s", t->node->name,
			derp_task_way(t),
			error ? error : "the connection was closed");
	derp_task_end(t);
}

static const struct ts_link_ops link_ops = {
	.connected = on_connected,
	.input = on_input,
	.closed = on_closed,
};

void derp_task_greet(struct derp_report *r, struct derp_node_report *n,
		     const struct ts_derp_node *node, enum derp_task_kind kind)
{
	struct derp_task *t = derp_task_new(r, n, kind);
	struct ts_link_config lc;

	if (!t)
		return;
	engine_derp_link(node, &lc);
	lc.timeout_ms = DERP_REPORT_MS;
	if (kind == BY_IPV4)
		lc.ipv6 = "none";
	if (kind == BY_IPV6)
		lc.ipv4 = "none";
	t->link = ts_link_open(r->engine->loop, r->engine->resolver, &lc,
			       &link_ops, t);
	if (!t->link)
		derp_task_end(t);
}

/* -- port 80 -------------------------------------------------------------- */

static void on_page(void *ctx, int status, const char *body, size_t len,
		    const char *error)
{
	struct derp_task *t = ctx;

	(void)body;
	(void)len;
	t->http = NULL;
	if (status == 0)
		derp_report_say(
			t->report, "Warnings",
			"Error making request to the captive portal check of node "
			"\"%s\": %s; is port 80 blocked?",
			t->node->name, error ? error : "no answer");
	derp_task_end(t);
}

void derp_task_page(struct derp_report *r, struct derp_node_report *n)
{
	struct derp_task *t = derp_task_new(r, n, BY_PORT_80);
	char url[320];

	if (!t)
		return;
	snprintf(url, sizeof(url), "http://%.255s/generate_204", n->name);
	t->http = ts_http_get(r->engine->http, url, PAGE_MAX, DERP_REPORT_MS / 2,
			      on_page, t);
	if (!t->http)
		derp_task_end(t);
}

/* -- STUN ----------------------------------------------------------------- */

static void send_stun(const struct derp_task *t)
{
	uint8_t request[STUN_REQUEST_LEN];
	struct sockaddr_storage ss;
	int len = ts_addr_to_sockaddr(&t->stun, AF_INET, &ss);

	ts_stun_write_request(t->tx_id, request);
	(void)sendto(t->fd, request, sizeof(request), MSG_DONTWAIT,
		     (struct sockaddr *)&ss, (socklen_t)len);
}

void derp_tasks_stun_again(void *ctx)
{
	struct derp_report *r = ctx;
	struct derp_task *next;

	for (struct derp_task *t = r->tasks; t; t = next) {
		next = t->next;
		if (t->fd >= 0 && ++t->tries < STUN_TRIES) {
			send_stun(t);
		} else if (t->fd >= 0) {
			derp_task_no_stun(t);
			derp_task_end(t);
		}
	}
	ts_timer_set(r->again, ts_loop_now_ms(r->engine->loop) +
				       DERP_REPORT_STUN_AGAIN_MS);
}

static void on_datagram(void *ctx, unsigned events)
{
	struct derp_task *t = ctx;
	uint8_t data[1500], tx_id[STUN_TX_ID_LEN];
	char text[TS_ADDR_TEXT_CAP];
	struct ts_addr mapped;
	ssize_t n = recv(t->fd, data, sizeof(data), MSG_DONTWAIT);

	(void)events;
	if (n <= 0 ||
	    ts_stun_read_response(data, (size_t)n, tx_id, &mapped) ||
	    memcmp(tx_id, t->tx_id, sizeof(tx_id)) != 0)
		return;
	derp_report_say(t->report, "Info",
			"Node \"%s\" returned IPv4 STUN response: %s",
			t->node->name, ts_addr_format(&mapped, text));
	derp_task_end(t);
}

static void ask_stun(struct derp_task *t, const struct ts_ip *ip)
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
	derp_report_say(t->report, "Errors",
			"Error creating IPv4 STUN socket: %s",
			ts_strerror(t->fd < 0 ? -errno : -ENOMEM));
	derp_task_end(t);
}

static void on_resolved(void *ctx, const char *error, const struct ts_ip *ips,
			size_t count)
{
	struct derp_task *t = ctx;
	size_t i = 0;

	t->lookup = NULL;
	while (i < count && !ts_ip_is_v4(&ips[i]))
		i++;
	if (i < count) {
		ask_stun(t, &ips[i]);
		return;
	}
	derp_report_say(t->report, "Errors",
			"Error resolving node \"%s\" IPv4 addresses: %s",
			t->node->name, error ? error : "it has none");
	derp_task_end(t);
}

void derp_task_stun(struct derp_report *r, struct derp_node_report *n,
		    const struct ts_derp_node *node)
{
	struct derp_task *t;
	struct ts_ip ip;

	if (node->stun_port < 0)
		return;
	t = derp_task_new(r, n, BY_STUN);
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
		derp_task_end(t);
}
