/* SPDX-License-Identifier: BSD-3-Clause
 * proxy_server.c - clients of the proxy, from their first byte to the relay
 *
 * A client says what it wants, its call is made, and from then on the two
 * sockets are a relay's business like any others (app_relay.c). Until then a
 * client has a time limit and a bounded buffer; how many there may be is
 * limited, too. One whose datagrams are carried stays a client, and has only to
 * stay connected.
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

enum { CLIENTS_MAX = 1024, ASSOCIATIONS_MAX = 128, BACKLOG = 128,
       ACCEPTS_A_TURN = 16, READ_LIMIT_MS = 30 * 1000 };

/* -- ends ----------------------------------------------------------------- */

static void free_client(struct proxy_client *client)
{
	ts_list_remove(&client->link);
	client->proxy->client_count--;
	ts_proxy_resolve_cancel(&client->lookup);
	ts_proxy_datagrams_close(client->datagrams);
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

/* -- the call ------------------------------------------------------------- */

static bool send_first(struct proxy_client *client)
{
	uint8_t head[PROXY_INPUT_MAX + 64];
	size_t used = 0;
	int len = 0;

	if (client->parser.kind == PROXY_HTTP_FORWARD)
		len = ts_proxy_forward(client->in, client->in_len, head,
				       sizeof(head), &used);
	else if (client->parser.kind == PROXY_LOCALAPI)
		len = ts_proxy_forward_local(client->in, client->in_len, head,
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
	ts_relay_start(host, NULL, ends);
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

/* Takes fd, the socket of its call, or -errno. */
static void await_call(struct proxy_client *client, int fd)
{
	client->call_fd = fd;
	if (fd < 0) {
		fail(client, fd);
		return;
	}
	client->call_watch = ts_watch_new(client->proxy->host->loop, fd,
					  TS_WRITABLE, on_called, client);
	if (!client->call_watch)
		fail(client, -ENOMEM);
}

static void on_resolved(void *ctx, int err, const struct ts_ip *ip)
{
	struct proxy_client *client = ctx;
	struct ts_addr to = {.port = client->parser.port};

	if (err) {
		fail(client, err);
		return;
	}
	to.ip = *ip;
	await_call(client, ts_proxy_call(client->proxy->member, &to));
}

static void begin_call(struct proxy_client *client)
{
	struct ts_host *host = client->proxy->host;

	/* It waits, and what more it says waits in its socket. */
	ts_watch_set(client->watch, 0);
	ts_timer_set(client->timer, ts_host_now_ms(host) + READ_LIMIT_MS +
					    host->timeout_ms);
	if (client->parser.kind == PROXY_LOCALAPI) {
		await_call(client, ts_proxy_call_localapi(client->proxy));
		return;
	}
	client->lookup = (struct proxy_lookup){.host = host,
					       .member = client->proxy->member,
					       .name = client->parser.host,
					       .done = on_resolved,
					       .ctx = client};
	ts_proxy_resolve(&client->lookup);
}

/* -- datagrams ------------------------------------------------------------ */

/* false: the client is gone. */
static bool begin_datagrams(struct proxy_client *client)
{
	struct ts_addr from = {.port = client->parser.port}, at;
	int err = 0;

	/* A name says nothing that we could check. */
	if (ts_ip_parse(client->parser.host, &from.ip))
		from.ip = TS_IP_ZERO;
	if (client->proxy->association_count >= ASSOCIATIONS_MAX)
		err = -ENOBUFS;
	if (!err)
		err = ts_proxy_datagrams_open(client, &from, &at);
	if (err) {
		fail(client, err);
		return false;
	}
	ts_timer_set(client->timer, UINT64_MAX);
	ts_proxy_answer_at(&client->parser, &at);
	if (send_answer(client))
		return true;
	free_client(client);
	return false;
}

/* -- what it says --------------------------------------------------------- */

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
	case PROXY_ASSOCIATE:
		return begin_datagrams(client);
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
	if (client->datagrams) /* it has nothing more to say */
		return;
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

/* -- coming --------------------------------------------------------------- */

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
	client->parser.user = proxy->access.user;
	client->parser.password = proxy->access.password;
	if (proxy->localapi[0])
		client->parser.local_password = proxy->access.local_password;
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

static int open_listener(struct ts_proxy *proxy, const struct ts_addr *where,
			 struct ts_addr *at)
{
	int err;

	proxy->fd = ts_sock_open(proxy->host, &where->ip);
	if (proxy->fd < 0)
		return proxy->fd;
	err = ts_sock_bind(proxy->fd, where);
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

static void make_password(char out[static TS_PROXY_SECRET_CAP])
{
	uint8_t random[(TS_PROXY_SECRET_CAP - 1) / 2];

	ts_random_bytes(random, sizeof(random));
	(void)ts_hex_encode(random, sizeof(random), out);
	ts_wipe(random, sizeof(random));
}

static int open_proxy(struct ts_member *member, const struct ts_addr *where)
{
	const struct ts_addr any_port = {.ip = ts_sock_loopback(false)};
	struct ts_proxy *proxy = calloc(1, sizeof(*proxy));
	int err;

	if (!proxy)
		return -ENOMEM;
	member->proxy = proxy;
	proxy->host = member->host;
	proxy->member = member;
	proxy->fd = -1;
	ts_list_init(&proxy->clients);
	strcpy(proxy->access.user, "tsnet");
	make_password(proxy->access.password);
	err = open_listener(proxy, where ? where : &any_port,
			    &proxy->access.at);
	if (err)
		ts_proxy_close(member);
	return err;
}

static int serve_localapi(struct ts_proxy *proxy, const char *path)
{
	if (strlen(path) >= sizeof(proxy->localapi))
		return -ENAMETOOLONG;
	if (!proxy->localapi[0])
		make_password(proxy->access.local_password);
	strcpy(proxy->localapi, path);
	return 0;
}

int ts_proxy_open(struct ts_member *member, const struct ts_addr *where,
		  const char *localapi, struct ts_proxy_access *out)
{
	int err = member->proxy ? 0 : open_proxy(member, where);

	if (!err && localapi)
		err = serve_localapi(member->proxy, localapi);
	if (!err)
		*out = member->proxy->access;
	return err;
}

void ts_proxy_close(struct ts_member *member)
{
	struct ts_proxy *proxy = member->proxy;

	if (!proxy)
		return;
	while (!ts_list_is_empty(&proxy->clients))
		free_client(TS_LINK_OWNER(proxy->clients.next,
					  struct proxy_client, link));
	ts_watch_free(proxy->watch);
	ts_sock_close(proxy->fd);
	ts_wipe(&proxy->access, sizeof(proxy->access));
	free(proxy);
	member->proxy = NULL;
}
