/* SPDX-License-Identifier: BSD-3-Clause
 * proxy_server.c - clients of the proxy, from their first byte to the relay
 *
 * A client says what it wants, its call is made, and from then on the two
 * sockets are a relay's business like any others (app_relay.c). Until then a
 * client has a time limit and a bounded buffer; how many there may be is
 * limited, too.
 */
#include "core/host/proxy.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/host/proxy_internal.h"

enum { CLIENTS_MAX = 1024, BACKLOG = 128, ACCEPTS_A_TURN = 16,
       READ_LIMIT_MS = 30 * 1000 };

static const char USER[] = "tsnet";

/* -- ends ---------------------------------------------------------------- */

static void free_client(struct proxy_client *client)
{
	ts_list_remove(&client->link);
	client->proxy->client_count--;
	ts_proxy_resolve_cancel(client);
	ts_timer_free(client->timer);
	ts_watch_free(client->watch);
	ts_watch_free(client->call_watch);
	ts_sock_close(client->fd);
	ts_sock_close(client->call_fd);
	ts_wipe(client->in, client->in_len);
	free(client);
}

/* Fresh buffers take what we send: all, or the connection is broken. */
static bool send_all(int fd, const void *data, size_t len)
{
	return len == 0 || send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) ==
				   (ssize_t)len;
}

static bool send_answer(const struct proxy_client *client)
{
	return send_all(client->fd, client->parser.answer,
			client->parser.answer_len);
}

static void fail(struct proxy_client *client, int err)
{
	log_debug("proxy: to %s port %u: %s", client->parser.host,
		  client->parser.port, ts_strerror(err));
	ts_proxy_answer(&client->parser, err);
	(void)send_answer(client);
	/* What it sent and we did not read would reset the answer away. */
	(void)shutdown(client->fd, SHUT_WR);
	free_client(client);
}

/* -- the call ------------------------------------------------------------ */

static bool send_first(struct proxy_client *client)
{
	uint8_t head[PROXY_INPUT_MAX + 64];
	size_t used = 0;
	int len = 0;

	if (client->parser.kind == PROXY_HTTP_FORWARD)
		len = ts_proxy_forward(client->in, client->in_len, head,
				       sizeof(head), &used);
	return len >= 0 && send_all(client->call_fd, head, (size_t)len) &&
	       send_all(client->call_fd, client->in + used,
			client->in_len - used);
}

static void join(struct proxy_client *client)
{
	struct ts_host *host = client->proxy->host;
	struct ts_relay_end ends[2] = {{.fd = client->fd},
				       {.fd = client->call_fd}};

	ts_proxy_answer(&client->parser, 0);
	if (!send_first(client) || !send_answer(client)) {
		free_client(client);
		return;
	}
	ts_watch_free(client->watch);
	ts_watch_free(client->call_watch);
	client->watch = client->call_watch = NULL;
	client->fd = client->call_fd = -1;
	free_client(client);
	ts_relay_start(host, ends);
}

static void on_called(void *ctx, unsigned events)
{
	struct proxy_client *client = ctx;
	int err = ts_proxy_call_result(client->proxy->host, client->call_fd);

	(void)events;
	if (err)
		fail(client, err);
	else
		join(client);
}

void ts_proxy_resolved(struct proxy_client *client, int err,
		       const struct ts_ip *ip)
{
	struct ts_host *host = client->proxy->host;
	struct ts_addr to = {.port = client->parser.port};

	if (!err) {
		to.ip = *ip;
		client->call_fd = ts_proxy_call(host, &to);
		err = client->call_fd < 0 ? client->call_fd : 0;
	}
	if (!err) {
		client->call_watch = ts_watch_new(host->loop, client->call_fd,
						  TS_WRITABLE, on_called,
						  client);
		err = client->call_watch ? 0 : -ENOMEM;
	}
	if (err)
		fail(client, err);
}

static void begin_call(struct proxy_client *client)
{
	struct ts_host *host = client->proxy->host;

	/* It waits, and what more it says waits in its socket. */
	ts_watch_set(client->watch, 0);
	ts_timer_set(client->timer, ts_host_now_ms(host) + READ_LIMIT_MS +
					    host->timeout_ms);
	ts_proxy_resolve(client);
}

/* -- what it says -------------------------------------------------------- */

/* false: the client is gone, or makes its call. */
static bool take_step(struct proxy_client *client, bool *goes_on)
{
	size_t used;
	enum ts_proxy_step step = ts_proxy_parse(
		&client->parser, client->in, client->in_len, &used);

	memmove(client->in, client->in + used, client->in_len - used);
	client->in_len -= used;
	*goes_on = step == PROXY_SAY;
	switch (step) {
	case PROXY_MORE:
		break;
	case PROXY_SAY:
		if (send_answer(client))
			break;
		free_client(client);
		return false;
	case PROXY_FAIL:
		(void)send_answer(client);
		(void)shutdown(client->fd, SHUT_WR);
		free_client(client);
		return false;
	case PROXY_CALL:
		begin_call(client);
		return false;
	}
	return true;
}

static void on_client(void *ctx, unsigned events)
{
	struct proxy_client *client = ctx;
	bool goes_on = true;
	ssize_t n = recv(client->fd, client->in + client->in_len,
			 sizeof(client->in) - client->in_len, MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* gone, or more than fits */
		free_client(client);
		return;
	}
	client->in_len += (size_t)n;
	while (goes_on && take_step(client, &goes_on))
		;
}

static void on_limit(void *ctx)
{
	struct proxy_client *client = ctx;

	if (client->parser.is_authorized)
		fail(client, -ETIMEDOUT);
	else
		free_client(client);
}

/* -- coming -------------------------------------------------------------- */

static void add_client(struct ts_proxy *proxy, int fd)
{
	struct proxy_client *client = calloc(1, sizeof(*client));
	struct ts_loop *loop = proxy->host->loop;

	if (!client) {
		ts_sock_close(fd);
		return;
	}
	client->proxy = proxy;
	client->fd = fd;
	client->call_fd = -1;
	client->parser.user = USER;
	client->parser.password = proxy->password;
	ts_list_insert(&proxy->clients, &client->link);
	proxy->client_count++;
	client->timer = ts_timer_new(loop, on_limit, client);
	client->watch = ts_watch_new(loop, fd, TS_READABLE, on_client, client);
	if (!client->timer || !client->watch) {
		free_client(client);
		return;
	}
	ts_timer_set(client->timer,
		     ts_host_now_ms(proxy->host) + READ_LIMIT_MS);
}

static void on_arrival(void *ctx, unsigned events)
{
	struct ts_proxy *proxy = ctx;

	(void)events;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int fd = accept4(proxy->fd, NULL, NULL,
				 SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return;
		if (proxy->client_count < CLIENTS_MAX)
			add_client(proxy, fd);
		else
			ts_sock_close(fd);
	}
}

static int open_listener(struct ts_proxy *proxy, struct ts_addr *at)
{
	const struct ts_addr any_port = {.ip = ts_sock_loopback(false)};
	int err;

	proxy->fd = ts_sock_open(proxy->host, &any_port.ip);
	if (proxy->fd < 0)
		return proxy->fd;
	err = ts_sock_bind(proxy->fd, &any_port);
	if (!err && listen(proxy->fd, BACKLOG))
		err = -errno;
	if (!err)
		err = ts_sock_local(proxy->fd, at);
	if (err)
		return err;
	proxy->watch = ts_watch_new(proxy->host->loop, proxy->fd, TS_READABLE,
				    on_arrival, proxy);
	return proxy->watch ? 0 : -ENOMEM;
}

int ts_proxy_open(struct ts_host *host, char *where, size_t cap)
{
	struct ts_proxy *proxy = calloc(1, sizeof(*proxy));
	uint8_t random[16];
	struct ts_addr at;
	int err;

	if (!proxy)
		return -ENOMEM;
	host->proxy = proxy;
	proxy->host = host;
	proxy->fd = -1;
	ts_list_init(&proxy->clients);
	ts_random_bytes(random, sizeof(random));
	(void)ts_hex_encode(random, sizeof(random), proxy->password);
	ts_wipe(random, sizeof(random));
	err = open_listener(proxy, &at);
	if (err) {
		ts_proxy_close(host);
		return err;
	}
	snprintf(where, cap, "%s:%s@127.0.0.1:%u", USER, proxy->password,
		 at.port);
	return 0;
}

void ts_proxy_close(struct ts_host *host)
{
	struct ts_proxy *proxy = host->proxy;

	if (!proxy)
		return;
	while (!ts_list_is_empty(&proxy->clients))
		free_client(TS_LINK_OWNER(proxy->clients.next,
					  struct proxy_client, link));
	ts_watch_free(proxy->watch);
	ts_sock_close(proxy->fd);
	ts_wipe(proxy->password, sizeof(proxy->password));
	free(proxy);
	host->proxy = NULL;
}
