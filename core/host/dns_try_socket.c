/* SPDX-License-Identifier: BSD-3-Clause
 * dns_try_socket.c - a query by the host's network, UDP or TCP
 * Source: RFC 1035 section 4.2, RFC 7766
 *
 * These sockets are the host's own: nothing intercepts them, so a name server
 * cannot be reached in a circle but by way of a program that forwards to us
 * what we forward to it. Then the number of queries ends it.
 */
#include <errno.h>

#include "core/host/dns_try_internal.h"
#include "core/host/host_call.h"
#include "core/host/resolv_conf.h"

void ts_dns_try_socket_close(struct ts_dns_try *t)
{
	ts_watch_free(t->watch);
	t->watch = NULL;
	ts_sock_close(t->fd);
	t->fd = -1;
}

static void on_datagram(struct ts_dns_try *t)
{
	uint8_t *msg = t->host->scratch;

	for (int i = 0; i < DNS_REPLIES_A_TURN; i++) {
		ssize_t len = recv(t->fd, msg, HOST_SCRATCH_BYTES, 0);

		if (len < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (len < 0) { /* nobody serves there */
			ts_dns_try_fail(t);
			return;
		}
		if (ts_dns_try_take(t, msg, (size_t)len))
			return;
	}
}

/* 0 or -errno */
static int send_rest(struct ts_dns_try *t)
{
	size_t total = DNS_PREFIX_LEN + t->len;
	ssize_t n = send(t->fd, t->bytes + t->sent, total - t->sent,
			 MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	t->sent += (size_t)n;
	if (t->sent == total)
		ts_watch_set(t->watch, TS_READABLE);
	return 0;
}

/* 0, 1: t may be gone, or -errno. */
static int receive_some(struct ts_dns_try *t)
{
	uint8_t *scratch = t->host->scratch;
	ssize_t n = recv(t->fd, scratch, HOST_SCRATCH_BYTES, 0);
	int err;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	err = ts_byte_queue_push(&t->in, scratch, (size_t)n);
	return err ? err : ts_dns_try_take_stream(t);
}

static void on_event(void *ctx, unsigned events)
{
	struct ts_dns_try *t = ctx;
	int err = 0;

	if (t->way == TS_DNS_BY_UDP) {
		on_datagram(t);
		return;
	}
	if (events & TS_WRITABLE)
		err = send_rest(t);
	if (!err && (events & TS_READABLE))
		err = receive_some(t);
	if (err < 0)
		ts_dns_try_fail(t);
}

/* Its socket is there, or an errno. */
static int begin(struct ts_dns_try *t, unsigned events)
{
	t->watch = ts_watch_new(t->host->loop, t->fd, events, on_event, t);
	return t->watch ? 0 : -ENOMEM;
}

/* As one program of this node calls another: a listener that is the tailnet's
 * alone takes nobody else. */
int ts_dns_try_by_call(struct ts_dns_try *t)
{
	t->fd = ts_host_call(t->member, &t->to);
	return t->fd < 0 ? t->fd : begin(t, TS_WRITABLE);
}

int ts_dns_try_by_socket(struct ts_dns_try *t, unsigned scope)
{
	bool is_udp = t->way == TS_DNS_BY_UDP;
	const struct ts_name_server server = {t->to, scope};
	struct sockaddr_storage to;
	socklen_t len = ts_name_server_sockaddr(&server, &to);
	int err;

	t->fd = ts_sock_keep(t->host,
			     socket(to.ss_family,
				    (is_udp ? SOCK_DGRAM : SOCK_STREAM) |
					    SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	if (t->fd < 0)
		return -EMFILE;
	if (connect(t->fd, (struct sockaddr *)&to, len) &&
	    errno != EINPROGRESS)
		return -errno;
	err = begin(t, is_udp ? TS_READABLE : TS_WRITABLE);
	if (!err && is_udp && send(t->fd, ts_dns_try_query(t), t->len, 0) < 0)
		err = -errno;
	return err;
}
