/* SPDX-License-Identifier: BSD-3-Clause
 * proxy_datagram.c - datagrams of one client of the proxy (UDP ASSOCIATE)
 *
 *   client <-> front   with a header that says where to, or from whom
 *   front  <-> inside  a program's datagram socket to the host: each remote end
 *                      has a virtual address (app_datagram.h)
 *          <-> out4, out6   by the host's network, what is not the tailnet's
 *
 * Who may send: the address of the client's connection, from the port that it
 * named, or else from the port of its first datagram. What others send is
 * dropped, as are fragments. Names are looked up once a minute; while that is
 * under way one datagram to each waits.
 *
 * All ends with the client's connection. Of what is kept here there is a fixed
 * number each; flows that are silent end as those of programs do.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/host/notify.h"
#include "core/host/proxy_internal.h"

enum {
	DATAGRAMS_A_TURN = 32,
	NAMES_MAX = 16,
	NAME_LIFE_MS = 60 * 1000,
	NAME_WAIT_MS = 30 * 1000,
	WAITING_MAX = 2048, /* bytes of the one that waits for a name */
	BACK_MAX = 65535 - PROXY_DATAGRAM_HEAD_MAX,
};

enum name_state { NAME_UNUSED, NAME_ASKED, NAME_KNOWN };

struct name {
	struct proxy_datagrams *d;
	enum name_state state;
	char text[PROXY_HOST_CAP];
	struct proxy_lookup lookup;
	struct ts_ip ip; /* known; zero: there is none */
	uint64_t made_ms;
	uint16_t port; /* of the one that waits */
	uint8_t waiting[WAITING_MAX];
	size_t waiting_len;
};

/* A socket on the far side. */
struct way {
	struct proxy_datagrams *d;
	int fd; /* -1: not opened yet */
	struct ts_watch *watch;
	bool is_inside;
};

enum { INSIDE, OUT4, OUT6, WAYS };

struct proxy_datagrams {
	struct proxy_client *client;
	struct ts_host *host;
	int front;
	struct ts_watch *watch;
	struct ts_addr from; /* port 0: not known yet */
	struct way ways[WAYS];
	struct name names[NAMES_MAX];
};

/* -- sockets -------------------------------------------------------------- */

static int open_udp(struct ts_host *host, const struct ts_addr *at)
{
	int fd = socket(ts_addr_family(at),
			SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err;

	if (fd < 0)
		return -errno;
	fd = ts_sock_keep(host, fd);
	err = ts_sock_bind(fd, at);
	if (!err)
		return fd;
	ts_sock_close(fd);
	return err;
}

static ssize_t send_native(int fd, const struct ts_addr *to, const void *data,
			   size_t len)
{
	struct sockaddr_storage sa;
	int sa_len = ts_addr_to_sockaddr(to, ts_addr_family(to), &sa);

	if (sa_len < 0)
		return sa_len;
	return sendto(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL,
		      (struct sockaddr *)&sa, (socklen_t)sa_len);
}

/* Length, or -1: no more. */
static ssize_t receive_native(int fd, void *data, size_t cap,
			      struct ts_addr *from)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	ssize_t n = recvfrom(fd, data, cap, MSG_DONTWAIT,
			     (struct sockaddr *)&sa, &len);

	if (n < 0 || ts_addr_from_sockaddr((struct sockaddr *)&sa, len, from))
		return -1;
	return n;
}

/* -- back ----------------------------------------------------------------- */

/* Who it is from, as the client knows them. */
static bool find_sender(const struct way *way, struct ts_addr *from)
{
	const struct ts_flow_key key = {.proto = IPPROTO_UDP, .remote = *from};
	const struct ts_entry *entry;

	if (!way->is_inside)
		return true;
	entry = ts_entry_find(way->d->host, &key);
	if (!entry || entry->value.kind != TS_FLOW_DATAGRAM)
		return false;
	*from = entry->value.tailnet_remote;
	return true;
}

static void send_back(const struct proxy_datagrams *d,
		      const struct ts_addr *from, uint8_t *data, size_t len)
{
	uint8_t head[PROXY_DATAGRAM_HEAD_MAX];
	size_t head_len = ts_proxy_write_datagram_head(from, head);

	memcpy(data - head_len, head, head_len);
	(void)send_native(d->front, &d->from, data - head_len, head_len + len);
}

static void on_way(void *ctx, unsigned events)
{
	const struct way *way = ctx;
	uint8_t *data = way->d->host->scratch + PROXY_DATAGRAM_HEAD_MAX;

	(void)events;
	for (int i = 0; i < DATAGRAMS_A_TURN; i++) {
		struct ts_addr from;
		ssize_t n = receive_native(way->fd, data, BACK_MAX, &from);

		if (n < 0)
			return;
		if (way->d->from.port && find_sender(way, &from))
			send_back(way->d, &from, data, (size_t)n);
	}
}

static int open_way(struct way *way, const struct ts_addr *at)
{
	if (way->fd >= 0)
		return 0;
	way->fd = open_udp(way->d->host, at);
	if (way->fd < 0)
		return way->fd;
	way->watch = ts_watch_new(way->d->host->loop, way->fd, TS_READABLE,
				  on_way, way);
	if (way->watch)
		return 0;
	ts_sock_close(way->fd);
	way->fd = -1;
	return -ENOMEM;
}

/* -- there ---------------------------------------------------------------- */

static int find_virtual(struct proxy_datagrams *d, const struct ts_addr *to,
			struct ts_addr *out)
{
	struct ts_broker_request req = {.type = TS_BROKER_SEND,
					.proto = IPPROTO_UDP, .tailnet = *to};
	struct ts_broker_reply rep = {.type = req.type};
	struct ts_flow_key key = {.proto = IPPROTO_UDP, .remote = *to};
	const struct ts_entry *entry;
	int err = ts_sock_local(d->ways[INSIDE].fd, &key.local);

	if (err)
		return err;
	entry = ts_entry_find(d->host, &key);
	if (entry && entry->value.kind == TS_FLOW_SEND) {
		*out = entry->value.tailnet_remote;
		return 0;
	}
	req.native_local = key.local;
	req.node = ts_proxy_node(d->client->proxy->member);
	/* No pid: the kernel says that the socket is there. */
	ts_dgram_send(d->host, &req, -1, 0, &rep);
	*out = rep.native;
	return -rep.error;
}

static int send_inside(struct proxy_datagrams *d, const struct ts_addr *to,
		       const uint8_t *data, size_t len)
{
	struct ts_addr at = {.ip = ts_sock_random_loopback(d->host)}, virtual;
	int err = open_way(&d->ways[INSIDE], &at);

	if (!err)
		err = find_virtual(d, to, &virtual);
	if (!err)
		(void)send_native(d->ways[INSIDE].fd, &virtual, data, len);
	return err;
}

static int send_outside(struct proxy_datagrams *d, const struct ts_addr *to,
			const uint8_t *data, size_t len)
{
	bool v4 = ts_ip_is_v4(&to->ip);
	struct way *way = &d->ways[v4 ? OUT4 : OUT6];
	const struct ts_addr any = {.ip = v4 ? TS_IP4_ZERO : TS_IP_ZERO};
	int err = open_way(way, &any);

	if (!err)
		(void)send_native(way->fd, to, data, len);
	return err;
}

static void send_on(struct proxy_datagrams *d, const struct ts_addr *to,
		    const uint8_t *data, size_t len)
{
	char text[TS_ADDR_TEXT_CAP];
	int err;

	if (to->port == 0 || ts_ip_is_unspecified(&to->ip))
		return;
	err = ts_notify_claims(d->host, to) ? send_inside(d, to, data, len)
					    : send_outside(d, to, data, len);
	if (err)
		log_debug("proxy: datagram to %s: %s",
			  ts_addr_format(to, text), ts_strerror(err));
}

/* -- names ---------------------------------------------------------------- */

static void on_name(void *ctx, int err, const struct ts_ip *ip)
{
	struct name *name = ctx;
	struct ts_addr to = {.port = name->port};

	name->state = NAME_KNOWN;
	name->made_ms = ts_host_now_ms(name->d->host);
	name->ip = err ? TS_IP_ZERO : *ip;
	to.ip = name->ip;
	if (!err)
		send_on(name->d, &to, name->waiting, name->waiting_len);
}

static bool has_ended(const struct name *name, uint64_t now_ms)
{
	return name->state == NAME_UNUSED ||
	       now_ms - name->made_ms >=
		       (name->state == NAME_KNOWN ? NAME_LIFE_MS
						  : NAME_WAIT_MS);
}

/* The entry of text, or one to be used for it; NULL: all are busy. */
static struct name *place_of(struct proxy_datagrams *d, const char *text)
{
	uint64_t now_ms = ts_host_now_ms(d->host);
	struct name *place = NULL;

	for (int i = 0; i < NAMES_MAX; i++) {
		struct name *name = &d->names[i];

		if (has_ended(name, now_ms)) {
			ts_proxy_resolve_cancel(&name->lookup);
			name->state = NAME_UNUSED;
			place = name;
		} else if (strcmp(name->text, text) == 0) {
			return name;
		}
	}
	return place;
}

static void send_by_name(struct proxy_datagrams *d, const char *text,
			 uint16_t port, const uint8_t *data, size_t len)
{
	struct name *name = place_of(d, text);

	if (!name)
		return;
	if (name->state == NAME_KNOWN) {
		const struct ts_addr to = {.ip = name->ip, .port = port};

		send_on(d, &to, data, len);
		return;
	}
	if (name->state == NAME_ASKED || len > WAITING_MAX)
		return;
	name->d = d;
	name->state = NAME_ASKED;
	name->made_ms = ts_host_now_ms(d->host);
	strcpy(name->text, text);
	name->port = port;
	memcpy(name->waiting, data, len);
	name->waiting_len = len;
	name->lookup = (struct proxy_lookup){.host = d->host,
					     .member = d->client->proxy->member,
					     .name = name->text,
					     .done = on_name,
					     .ctx = name};
	ts_proxy_resolve(&name->lookup);
}

/* -- from the client ------------------------------------------------------ */

/* The first that comes from its address says its port. */
static bool is_client(struct proxy_datagrams *d, const struct ts_addr *from)
{
	if (!ts_ip_equal(&from->ip, &d->from.ip))
		return false;
	if (d->from.port == 0)
		d->from.port = from->port;
	return d->from.port == from->port;
}

static void take(struct proxy_datagrams *d, const uint8_t *in, size_t len)
{
	char host[PROXY_HOST_CAP];
	struct ts_addr to;
	const uint8_t *data;
	size_t data_len;

	if (ts_proxy_read_datagram(in, len, host, &to.port, &data, &data_len))
		return;
	if (ts_ip_parse(host, &to.ip) == 0)
		send_on(d, &to, data, data_len);
	else
		send_by_name(d, host, to.port, data, data_len);
}

static void on_front(void *ctx, unsigned events)
{
	struct proxy_datagrams *d = ctx;
	uint8_t *in = d->host->scratch;

	(void)events;
	for (int i = 0; i < DATAGRAMS_A_TURN; i++) {
		struct ts_addr from;
		ssize_t n = receive_native(d->front, in, HOST_SCRATCH_BYTES,
					   &from);

		if (n < 0)
			return;
		if (is_client(d, &from))
			take(d, in, (size_t)n);
	}
}

/* -- its life ------------------------------------------------------------- */

/* What the client says of its address must be true, or nothing (RFC 1928: it
 * may not know); then it is the one that its connection has. */
static int set_client(struct proxy_datagrams *d, const struct ts_addr *from)
{
	int err = ts_sock_peer(d->client->fd, &d->from);

	if (err)
		return err;
	if (!ts_ip_is_unspecified(&from->ip) &&
	    !ts_ip_equal(&from->ip, &d->from.ip))
		return -EACCES;
	d->from.port = from->port;
	return 0;
}

static int open_front(struct proxy_datagrams *d, struct ts_addr *at)
{
	int err = ts_sock_local(d->client->fd, at);

	if (err)
		return err;
	at->port = 0;
	d->front = open_udp(d->host, at);
	if (d->front < 0)
		return d->front;
	err = ts_sock_local(d->front, at);
	if (err)
		return err;
	d->watch = ts_watch_new(d->host->loop, d->front, TS_READABLE, on_front,
				d);
	return d->watch ? 0 : -ENOMEM;
}

int ts_proxy_datagrams_open(struct proxy_client *client,
			    const struct ts_addr *from, struct ts_addr *at)
{
	struct proxy_datagrams *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	d->client = client;
	d->host = client->proxy->host;
	d->front = -1;
	for (int i = 0; i < WAYS; i++)
		d->ways[i] = (struct way){.d = d, .fd = -1,
					  .is_inside = i == INSIDE};
	client->proxy->association_count++;
	err = set_client(d, from);
	if (!err)
		err = open_front(d, at);
	if (err)
		ts_proxy_datagrams_close(d);
	else
		client->datagrams = d;
	return err;
}

void ts_proxy_datagrams_close(struct proxy_datagrams *d)
{
	if (!d)
		return;
	for (int i = 0; i < NAMES_MAX; i++)
		ts_proxy_resolve_cancel(&d->names[i].lookup);
	for (int i = 0; i < WAYS; i++) {
		ts_watch_free(d->ways[i].watch);
		ts_sock_close(d->ways[i].fd);
	}
	ts_watch_free(d->watch);
	ts_sock_close(d->front);
	d->client->proxy->association_count--;
	free(d);
}
