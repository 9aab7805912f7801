/* SPDX-License-Identifier: BSD-3-Clause
 * dns_try_tunnel.c - a query to a resolver on the tailnet, or behind a peer
 * Source: RFC 1035 section 4.2, RFC 8484; ipn/ipnlocal/peerapi.go (/dns-query)
 *
 * By the node's own stack, from its own address: the peer sees who asks, and
 * its packet filter has a say. Exit nodes answer names at their PeerAPI, by
 * HTTP inside the tunnel: one request a connection, as a connection costs no
 * handshake but TCP's there.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/http1.h"
#include "core/host/dns_try_internal.h"

enum { HTTP_OK = 200, VIEWS_MAX = 8 };

static const char dns_message[] = "application/dns-message";

void ts_dns_try_tunnel_close(struct ts_dns_try *t)
{
	if (t->udp)
		stack_udp_close(t->udp);
	t->udp = NULL;
	if (t->tcp)
		stack_tcp_abort(t->tcp);
	t->tcp = NULL;
}

/* -- UDP ------------------------------------------------------------------ */

static void on_datagram(void *user, const struct ts_addr *from,
			const struct ts_addr *to, const uint8_t *data,
			size_t len)
{
	struct ts_dns_try *t = user;
	uint8_t *msg = t->host->scratch;

	(void)to;
	if (!ts_addr_equal(from, &t->to) || len > HOST_SCRATCH_BYTES)
		return;
	memcpy(msg, data, len); /* the owner changes it */
	(void)ts_dns_try_take(t, msg, len);
}

static void on_unreachable(void *user, const struct ts_addr *remote, int err)
{
	struct ts_dns_try *t = user;

	(void)err;
	if (ts_addr_equal(remote, &t->to))
		ts_dns_try_fail(t);
}

static int by_udp(struct ts_dns_try *t)
{
	const struct ts_addr any = {.port = 0};
	int err = 0;

	t->udp = stack_udp_open(ts_node_stack(t->member->node), &any,
				on_datagram, t, &err);
	if (!t->udp)
		return err;
	stack_udp_set_error(t->udp, on_unreachable);
	return stack_udp_send(t->udp, &t->to, ts_dns_try_query(t), t->len);
}

/* -- TCP ------------------------------------------------------------------ */

/* What is to be sent, in order: the HTTP request's head or nothing, then the
 * query (with its length where there is no HTTP). */
static void send_some(struct ts_dns_try *t)
{
	size_t head = t->request ? strlen(t->request) : 0;
	const uint8_t *body = t->request ? ts_dns_try_query(t) : t->bytes;
	size_t body_len = t->request ? t->len : DNS_PREFIX_LEN + t->len;

	if (t->request_sent < head)
		t->request_sent += stack_tcp_write(t->tcp,
						   t->request + t->request_sent,
						   head - t->request_sent);
	if (t->request_sent == head && t->sent < body_len)
		t->sent += stack_tcp_write(t->tcp, body + t->sent,
					   body_len - t->sent);
	stack_tcp_flush(t->tcp);
}

static bool is_answer(const struct ts_http1_head *head)
{
	const struct ts_http1_field *type =
		ts_http1_find(head, "Content-Type");

	return head->status == HTTP_OK && type &&
	       ts_http1_value_is(type, dns_message) &&
	       !ts_http1_find(head, "Transfer-Encoding");
}

/* Of the body; -1: up to the end of the connection. Too long for a message is
 * too long for us. */
static long length_of(const struct ts_http1_head *head)
{
	const struct ts_http1_field *field =
		ts_http1_find(head, "Content-Length");
	char text[8] = "";

	if (!field)
		return -1;
	if (field->value_len >= sizeof(text))
		return LONG_MAX;
	memcpy(text, field->value, field->value_len);
	return text[strspn(text, "0123456789")] ? LONG_MAX
						: strtol(text, NULL, 10);
}

/* true: t is over, and may be gone. */
static bool take_http(struct ts_dns_try *t, bool is_end)
{
	uint8_t *data = (uint8_t *)(uintptr_t)ts_byte_queue_data(&t->in);
	size_t len = ts_byte_queue_len(&t->in);
	struct ts_http1_head head;
	int err = ts_http1_read_response(data, len, &head);
	bool is_whole;
	long wanted;

	if (err == -EAGAIN && !is_end)
		return false;
	if (err || !is_answer(&head)) {
		ts_dns_try_fail(t);
		return true;
	}
	wanted = length_of(&head);
	len -= head.head_len;
	is_whole = wanted < 0 ? is_end : len >= (size_t)wanted;
	if (!is_whole && !is_end)
		return false;
	if (wanted >= 0 && is_whole)
		len = (size_t)wanted;
	if (!is_whole || !ts_dns_try_take(t, data + head.head_len, len))
		ts_dns_try_fail(t);
	return true;
}

static bool take(struct ts_dns_try *t, bool is_end)
{
	if (t->request)
		return take_http(t, is_end);
	if (ts_dns_try_take_stream(t))
		return true;
	if (is_end)
		ts_dns_try_fail(t);
	return is_end;
}

static void on_connected(void *user)
{
	send_some(user);
}

static void on_readable(void *user)
{
	struct ts_dns_try *t = user;
	struct iovec views[VIEWS_MAX];
	int n;

	while ((n = stack_tcp_read_view(t->tcp, views, VIEWS_MAX)) > 0) {
		for (int i = 0; i < n; i++) {
			if (ts_byte_queue_push(&t->in, views[i].iov_base,
					       views[i].iov_len)) {
				ts_dns_try_fail(t);
				return;
			}
			stack_tcp_consume(t->tcp, views[i].iov_len);
		}
		if (take(t, false))
			return;
	}
	if (n == -EPIPE)
		(void)take(t, true);
}

static void on_gone(void *user, int err)
{
	struct ts_dns_try *t = user;

	(void)err;
	t->tcp = NULL;
	ts_dns_try_fail(t);
}

static const struct stack_tcp_ops tcp_ops = {
	.connected = on_connected,
	.readable = on_readable,
	.writable = on_connected,
	.gone = on_gone,
};

static int by_tcp(struct ts_dns_try *t)
{
	int err = 0;

	t->tcp = stack_tcp_dial(ts_node_stack(t->member->node), &t->to, 0,
				&tcp_ops, t, ts_host_now_ms(t->host), &err);
	return t->tcp ? 0 : err;
}

/* url: "http://ADDRESS:PORT/PATH" */
static int write_request(struct ts_dns_try *t, const char *url)
{
	const char *host = url + strlen("http://");
	const char *path = strchr(host, '/');

	if (!path || strpbrk(path, " \r\n"))
		return -EINVAL;
	if (asprintf(&t->request,
		     "POST %s HTTP/1.1\r\nHost: %.*s\r\n"
		     "User-Agent: tsnet-shim\r\nAccept: %s\r\n"
		     "Content-Type: %s\r\nContent-Length: %zu\r\n"
		     "Connection: close\r\n\r\n",
		     path, (int)(path - host), host, dns_message, dns_message,
		     t->len) < 0) {
		t->request = NULL;
		return -ENOMEM;
	}
	return 0;
}

int ts_dns_try_by_tunnel(struct ts_dns_try *t, const char *url)
{
	int err = 0;

	if (t->way == TS_DNS_BY_UDP)
		return by_udp(t);
	if (url)
		err = write_request(t, url);
	return err ? err : by_tcp(t);
}
