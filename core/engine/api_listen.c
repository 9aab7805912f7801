/* SPDX-License-Identifier: BSD-3-Clause
 * api_listen.c - connections from others
 *
 * A listener is bound to a loopback address that the host chose, so that the
 * tailnet alone reaches it, and the host connects to it for each peer. Whoever
 * else finds that address is turned away when he is accepted: only the host's
 * connections are in the table. The kernel keeps the queue, and says by poll()
 * that there is something in it.
 *
 * The host notices by itself that a listener was closed (core/host/
 * app_listener.c). What is remembered here is which descriptors are listeners,
 * to end them with the server.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/engine/api_internal.h"

enum { BACKLOG = 1024, HOST_CAP = 64 };

/* -- which they are ------------------------------------------------------- */

static ino_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) ? st.st_ino : 0;
}

/* Under lock. */
static void forget_closed(struct tsnet *ts)
{
	size_t kept = 0;

	for (size_t i = 0; i < ts->listener_count; i++) {
		struct api_listener *l = &ts->listeners[i];

		if (inode_of(l->fd) == l->inode)
			ts->listeners[kept++] = *l;
	}
	ts->listener_count = kept;
}

int api_remember(struct tsnet *ts, const struct api_listener *l)
{
	struct api_listener *grown = NULL;

	pthread_mutex_lock(&ts->lock);
	forget_closed(ts);
	if (!ts->is_closing)
		grown = realloc(ts->listeners, (ts->listener_count + 1) *
						       sizeof(*grown));
	if (grown) {
		grown[ts->listener_count] = *l;
		grown[ts->listener_count++].inode = inode_of(l->fd);
		ts->listeners = grown;
	}
	pthread_mutex_unlock(&ts->lock);
	return grown ? 0 : -ENOMEM;
}

bool api_find_listener(struct tsnet *ts, int fd, struct api_listener *out)
{
	ino_t inode = inode_of(fd);
	bool is_one = false;

	pthread_mutex_lock(&ts->lock);
	for (size_t i = 0; i < ts->listener_count && inode && !is_one; i++) {
		is_one = ts->listeners[i].fd == fd &&
			 ts->listeners[i].inode == inode;
		if (is_one && out)
			*out = ts->listeners[i];
	}
	pthread_mutex_unlock(&ts->lock);
	return is_one;
}

void api_end_listeners(struct tsnet *ts)
{
	pthread_mutex_lock(&ts->lock);
	forget_closed(ts);
	for (size_t i = 0; i < ts->listener_count; i++)
		(void)shutdown(ts->listeners[i].fd, SHUT_RDWR);
	ts->listener_count = 0;
	pthread_mutex_unlock(&ts->lock);
}

/* -- binding -------------------------------------------------------------- */

static int tell_bound(struct tsnet *ts, uint8_t proto, int fd,
		      struct ts_addr *asked)
{
	struct ts_broker_request req = {.type = TS_BROKER_BOUND,
					.proto = proto,
					.tailnet = *asked};
	struct ts_broker_reply rep;
	int err = api_native_local(fd, &req.native_local);

	if (err)
		return err;
	if (proto == IPPROTO_TCP)
		req.flags |= TS_BROKER_REUSE;
	if (req.tailnet.port == 0)
		req.tailnet.port = req.native_local.port;
	*asked = req.tailnet;
	return api_host_ask(ts, &req, fd, &rep);
}

/* SO_REUSEADDR looks past what closed connections left behind. Datagram sockets
 * must not have it: two could have one address. */
static int bind_native(uint8_t proto, const struct ts_addr *native)
{
	const int on = 1;
	bool is_tcp = proto == IPPROTO_TCP;
	int fd = api_socket(is_tcp ? SOCK_STREAM : SOCK_DGRAM, native);
	int err;

	if (fd < 0)
		return fd;
	if (is_tcp)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on,
				 sizeof(on));
	err = api_bind(fd, native);
	if (!err)
		return fd;
	close(fd);
	return err;
}

int api_bind_tailnet(struct tsnet *ts, uint8_t proto, int family,
		     struct ts_addr *asked)
{
	struct ts_broker_request req = {.type = TS_BROKER_BIND,
					.proto = proto,
					.tailnet = *asked};
	struct ts_broker_reply rep;
	int fd, err;

	if (proto == IPPROTO_TCP)
		req.flags |= TS_BROKER_REUSE;
	if (family == 6)
		req.flags |= TS_BROKER_V6_ONLY;
	err = api_host_ask(ts, &req, -1, &rep);
	if (!err && !ts_ip_is_loopback(&rep.native.ip))
		err = -EADDRNOTAVAIL;
	if (err)
		return err;
	fd = bind_native(proto, &rep.native);
	if (fd < 0)
		return fd;
	err = tell_bound(ts, proto, fd, asked);
	if (!err)
		return fd;
	close(fd);
	return err;
}

/* flags: TS_BROKER_FALLBACK, _TLS, _FUNNEL, _FUNNEL_ONLY. */
static int tell_listening(struct tsnet *ts, const struct api_listener *l,
			  const struct ts_addr *asked, uint8_t flags)
{
	struct ts_broker_request req = {
		.type = TS_BROKER_LISTEN,
		.proto = IPPROTO_TCP,
		.flags = (uint8_t)(TS_BROKER_REUSE | flags),
		.tailnet = *asked};
	struct ts_broker_reply rep;
	int err = api_native_local(l->fd, &req.native_local);

	if (!err && listen(l->fd, BACKLOG) != 0)
		err = -errno;
	if (!err)
		err = api_host_ask(ts, &req, -1, &rep);
	return err ? err : api_remember(ts, l);
}

/* -- what was asked for --------------------------------------------------- */

/* The host part: empty or an address, which the family has to fit. */
static int parse_host(struct tsnet *ts, const char *network, int family,
		      const char *host, struct ts_ip *ip)
{
	*ip = family == 4 ? TS_IP4_ZERO : TS_IP_ZERO;
	if (!*host)
		return 0;
	if (ts_ip_parse(host, ip))
		return api_fail(ts, -EINVAL,
				"invalid Listen addr \"%.60s\"; host part must "
				"be empty or IP literal", host);
	if (ts_ip_is_unspecified(ip) && family == 0)
		*ip = TS_IP_ZERO; /* of both families, as Go has it */
	else if ((family == 4 && !ts_ip_is_v4(ip)) ||
		 (family == 6 && ts_ip_is_v4(ip)))
		return api_fail(ts, -EINVAL,
				"invalid non-IPv%d addr %.60s for network "
				"\"%s\"", family, host, network);
	return 0;
}

int api_parse_listen(struct tsnet *ts, const char *network, int proto,
		     int family, const char *address, struct ts_addr *out)
{
	char host[HOST_CAP];

	if (api_split_address(address, proto == IPPROTO_TCP ? "tcp" : "udp",
			      host, sizeof(host), &out->port))
		return api_fail(ts, -EINVAL, "%.80s: not \"host:port\"",
				address);
	return parse_host(ts, network, family, host, &out->ip);
}

int api_fail_listen(struct tsnet *ts, int code, const char *network,
		    const char *address)
{
	if (code == -EADDRINUSE)
		return api_fail(ts, code, "listener already open for %s, %.60s",
				network, address);
	return api_fail(ts, code, "listen %s %.60s: %s", network, address,
			ts_strerror(code));
}

int api_listen_tcp(struct tsnet *ts, int family, struct ts_addr *asked,
		   uint8_t flags)
{
	struct api_listener l = {
		.fd = api_bind_tailnet(ts, IPPROTO_TCP, family, asked)};
	int err = l.fd < 0 ? l.fd : tell_listening(ts, &l, asked, flags);

	if (!err)
		return l.fd;
	if (l.fd >= 0)
		close(l.fd);
	return err;
}

static int listen_at(struct tsnet *ts, const char *network,
		     const char *address)
{
	struct ts_addr asked = {0};
	int family, fd, err;
	int proto = api_parse_network(*network ? network : "tcp", &family);

	if (proto < 0)
		return api_fail(ts, -EPROTONOSUPPORT,
				"unsupported network type \"%.20s\"", network);
	err = api_parse_listen(ts, network, proto, family, address, &asked);
	if (err)
		return err;
	fd = proto == IPPROTO_TCP ? api_listen_tcp(ts, family, &asked, 0)
				  : api_listen_flows(ts, family, &asked);
	return fd >= 0 ? fd : api_fail_listen(ts, fd, network, address);
}

int tsnet_listen(struct tsnet *ts, const char *network, const char *address)
{
	int fd = api_check(ts, network && address, "network and address");

	if (!fd)
		fd = api_enter(ts);
	if (fd)
		return fd;
	fd = listen_at(ts, network, address);
	api_leave(ts);
	return fd;
}

/* All ports that nobody listens at: a native socket, and no port. */
static int listen_fallback(struct tsnet *ts, tsnet_wants_fn wants, void *ctx)
{
	struct ts_broker_request req = {.type = TS_BROKER_BIND,
					.proto = IPPROTO_TCP};
	struct api_listener l = {.is_fallback = true, .wants = wants,
				 .wants_ctx = ctx};
	const struct ts_addr none = {.port = 0};
	struct ts_broker_reply rep;
	int err = api_host_ask(ts, &req, -1, &rep);

	if (!err && !ts_ip_is_loopback(&rep.native.ip))
		err = -EADDRNOTAVAIL;
	if (err)
		return err;
	l.fd = bind_native(IPPROTO_TCP, &rep.native);
	if (l.fd < 0)
		return l.fd;
	err = tell_listening(ts, &l, &none, TS_BROKER_FALLBACK);
	if (!err)
		return l.fd;
	close(l.fd);
	return err;
}

int tsnet_listen_fallback(struct tsnet *ts, tsnet_wants_fn wants, void *ctx)
{
	int fd = api_enter(ts);

	if (fd)
		return fd;
	fd = listen_fallback(ts, wants, ctx);
	if (fd < 0)
		api_fail(ts, fd, "listen for all other ports: %s",
			 ts_strerror(fd));
	api_leave(ts);
	return fd;
}

/* -- accepting ------------------------------------------------------------ */

/* The server that waits for the program's answer; NULL: none. */
static __thread const struct tsnet *asking;

bool api_is_asking(const struct tsnet *ts)
{
	return asking == ts;
}

static bool is_wanted(const struct tsnet *ts, const struct api_listener *l,
		      const struct ts_flow_entry *entry)
{
	char src[TS_ADDR_TEXT_CAP], dst[TS_ADDR_TEXT_CAP];
	const struct tsnet *before = asking;
	bool yes;

	if (!l->wants)
		return true;
	ts_addr_format(&entry->tailnet_remote, src);
	ts_addr_format(&entry->tailnet_local, dst);
	asking = ts;
	yes = l->wants(l->wants_ctx, src, dst);
	asking = before;
	return yes;
}

/* false: it is a stranger's, or not wanted. */
static bool welcome(struct tsnet *ts, const struct api_listener *l, int fd,
		    struct ts_addr *peer)
{
	struct ts_broker_request req = {.type = TS_BROKER_ACCEPTED,
					.proto = IPPROTO_TCP};
	struct ts_broker_reply rep;
	struct ts_flow_entry entry;

	if (l->is_native)
		return api_native_peer(fd, peer) == 0;
	if (api_native_local(fd, &req.native_local) ||
	    api_native_peer(fd, &req.native_remote) ||
	    !api_host_find(ts, IPPROTO_TCP, &req.native_local,
			   &req.native_remote, &entry) ||
	    entry.kind != TS_FLOW_ACCEPT || !is_wanted(ts, l, &entry))
		return false;
	*peer = entry.tailnet_remote;
	api_send_at_once(fd);
	/* Whatever comes of it shows at the connection. */
	(void)api_host_ask(ts, &req, fd, &rep);
	return true;
}

static int accept_native(struct tsnet *ts, int listener)
{
	int fd = api_wait_readable(ts, listener);

	if (fd)
		return fd;
	do {
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	} while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd >= 0)
		return fd;
	/* EINVAL: it listens no more. */
	return errno == EINVAL ? -EBADF : -errno;
}

/* By a reset a peer is refused whom a fallback does not want. */
static void turn_away(const struct api_listener *l, int fd)
{
	const struct linger now = {.l_onoff = 1};

	if (l->is_fallback)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

static int accept_tcp(struct tsnet *ts, const struct api_listener *l,
		      struct ts_addr *peer)
{
	bool is_peer = false;
	int fd = -1;

	while (!is_peer) {
		fd = accept_native(ts, l->fd);
		if (fd < 0)
			return fd;
		is_peer = welcome(ts, l, fd, peer);
		if (!is_peer)
			turn_away(l, fd);
	}
	return fd;
}

static int accept_peer(struct tsnet *ts, int listener, char *peer, size_t cap)
{
	struct api_listener l;
	struct ts_addr addr, local;
	int fd;

	if (!api_find_listener(ts, listener, &l))
		return -EBADF;
	fd = l.is_flows ? api_accept_flow(ts, listener)
			: accept_tcp(ts, &l, &addr);
	if (fd < 0)
		return fd;
	if (l.is_flows && api_names_of(ts, fd, &local, &addr))
		addr = (struct ts_addr){.port = 0}; /* over already */
	if (!peer || api_write_addr(&addr, peer, cap) == 0)
		return fd;
	close(fd);
	return -ENOBUFS;
}

int tsnet_accept(struct tsnet *ts, int listener, char *peer, size_t cap)
{
	int fd = api_enter(ts);

	if (fd)
		return fd;
	fd = accept_peer(ts, listener, peer, cap);
	if (fd == -EBADF)
		api_fail(ts, fd, "accept: not a listener of this server");
	else if (fd < 0)
		api_fail(ts, fd, "accept: %s", ts_strerror(fd));
	api_leave(ts);
	return fd;
}

