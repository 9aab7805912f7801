/* SPDX-License-Identifier: BSD-3-Clause
 * notify_way.c - which loopback address stands for whom
 *
 * For datagram sockets of programs that cannot be preloaded; the rules are
 * those of shim/datagram_way.c. The table answers for a flow that is known,
 * and only the first datagram to a new destination makes one.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "core/host/node_choice.h"
#include "core/host/notify.h"

static const struct ts_addr ANY = {.ip = {{0}}};

struct asking {
	const struct notify_call *call;
	int fd, domain;
	struct ts_addr local;
	const struct ts_addr *tailnet;
};

static bool is_tied_to_device(int fd)
{
	char name[IFNAMSIZ] = "";
	socklen_t len = sizeof(name);

	return getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len) == 0 &&
	       len > 0 && *name && strcmp(name, "lo") != 0;
}

static bool wants_errors(const struct asking *a)
{
	return ts_notify_option(a->fd, IPPROTO_IP, IP_RECVERR) > 0 ||
	       (a->domain == AF_INET6 &&
		ts_notify_option(a->fd, IPPROTO_IPV6, IPV6_RECVERR) > 0);
}

/* By ::1, because it cannot be otherwise, or because the peer is IPv6's and
 * has a socket for itself. */
static bool needs_loopback6(const struct asking *a, bool is_alone)
{
	if (a->domain != AF_INET6 || ts_ip_is_v4(&a->local.ip))
		return false;
	if (!ts_ip_is_zero(&a->local.ip) || ts_notify_is_v6_only(a->fd))
		return true;
	return is_alone && !ts_ip_is_v4(&a->tailnet->ip) &&
	       a->call->tree->host->info.has_loopback6;
}

/* What the kernel would say before it looks for a route. */
static int check_family(const struct asking *a)
{
	if (a->domain == AF_INET6 && ts_ip_is_v4(&a->tailnet->ip) &&
	    ts_notify_is_v6_only(a->fd))
		return -ENETUNREACH;
	return is_tied_to_device(a->fd) ? -ENETUNREACH : 0;
}

static int ask(const struct asking *a, uint8_t type, bool is_alone,
	       struct ts_addr *virtual)
{
	struct ts_broker_request req = {
		.type = type,
		.proto = IPPROTO_UDP,
		.flags = ts_notify_bind_flags(a->fd),
		.native_local = a->local.port ? a->local : ANY,
		.tailnet = *a->tailnet,
	};
	struct ts_broker_reply rep = {.type = type};
	struct ts_host *host = a->call->tree->host;
	int err = ts_notify_node(host, &req.node);
	int dup;

	if (err)
		return err;
	dup = is_alone ? fcntl(a->fd, F_DUPFD_CLOEXEC, 0) : -1;
	req.interface = ts_choice_interface(a->fd);
	if (needs_loopback6(a, is_alone))
		req.flags |= TS_BROKER_V6_ONLY;
	if (type == TS_BROKER_CONNECT) {
		ts_dgram_connect(host, &req, dup, a->call->tid, &rep);
	} else {
		if (is_alone)
			req.flags |= TS_BROKER_DEDICATED;
		ts_dgram_send(host, &req, dup, a->call->tid, &rep);
	}
	*virtual = rep.native;
	return -rep.error;
}

/* -- addressed ------------------------------------------------------------ */

/* As the kernel does when an unbound socket sends. */
static int bind_if_unbound(struct asking *a)
{
	const struct ts_addr any = {
		.ip = a->domain == AF_INET ? TS_IP4_ZERO : TS_IP_ZERO};
	int err;

	if (a->local.port != 0)
		return 0;
	err = ts_notify_bind_native(a->fd, a->domain, &any);
	if (err && err != -EINVAL)
		return err;
	err = ts_sock_local(a->fd, &a->local);
	return err ? err : a->local.port ? 0 : -EADDRNOTAVAIL;
}

static bool find_send(const struct asking *a, struct ts_addr *virtual)
{
	const struct ts_flow_key key = {.proto = IPPROTO_UDP,
					.local = a->local,
					.remote = *a->tailnet};
	struct ts_flow_entry entry;

	if (!ts_table_find(ts_table_layout(a->call->tree->host->table), &key,
			   &entry) ||
	    entry.kind != TS_FLOW_SEND)
		return false;
	*virtual = entry.tailnet_remote;
	return true;
}

int ts_notify_way(const struct notify_call *call, int fd,
		  const struct ts_addr *to, struct sockaddr_storage *out)
{
	struct asking a = {.call = call, .fd = fd, .tailnet = to,
			   .domain = ts_notify_domain(fd)};
	struct ts_addr virtual;
	int err = ts_sock_local(fd, &a.local);

	if (err)
		return err;
	if (!find_send(&a, &virtual)) {
		err = check_family(&a);
		if (!err)
			err = bind_if_unbound(&a);
		if (!err)
			err = ask(&a, TS_BROKER_SEND, wants_errors(&a),
				  &virtual);
		if (err)
			return err;
	}
	err = ts_addr_to_sockaddr(&virtual, a.domain, out);
	return err < 0 ? -ENETUNREACH : err;
}

bool ts_notify_way_back(const struct ts_host *host, const struct ts_addr *from,
			struct ts_flow_entry *out)
{
	const struct ts_flow_key key = {.proto = IPPROTO_UDP, .remote = *from};

	return ts_table_find(ts_table_layout(host->table), &key, out) &&
	       out->kind == TS_FLOW_DATAGRAM;
}

/* -- connected ------------------------------------------------------------ */

static bool has_tailnet_peer(const struct ts_host *host, int fd)
{
	struct ts_flow_entry entry;
	struct ts_addr peer;

	return ts_sock_peer(fd, &peer) == 0 && ts_ip_is_loopback(&peer.ip) &&
	       ts_notify_way_back(host, &peer, &entry);
}

/* A connected socket has a source address, which it would keep: one that the
 * other network cannot use. What the program bound stays, and so does the
 * port. */
static void let_go(int fd)
{
	const struct sockaddr unspec = {.sa_family = AF_UNSPEC};
	int domain = ts_notify_domain(fd);
	struct ts_addr before, after;

	if (ts_sock_local(fd, &before))
		return;
	(void)connect(fd, &unspec, sizeof(unspec));
	if (ts_sock_local(fd, &after) || after.port != 0)
		return;
	after.ip = domain == AF_INET ? TS_IP4_ZERO : TS_IP_ZERO;
	after.port = before.port;
	(void)ts_notify_bind_native(fd, domain, &after);
}

int ts_notify_connect_udp(const struct notify_call *call, int fd,
			  const struct ts_addr *to)
{
	struct asking a = {.call = call, .fd = fd, .tailnet = to,
			   .domain = ts_notify_domain(fd)};
	struct ts_addr virtual, peer;
	int err = check_family(&a);

	if (!err)
		err = ts_sock_local(fd, &a.local);
	if (!err)
		err = ask(&a, TS_BROKER_CONNECT, true, &virtual);
	if (err)
		return err;
	if (ts_sock_peer(fd, &peer) == 0 &&
	    !has_tailnet_peer(call->tree->host, fd))
		let_go(fd);
	return ts_notify_connect_native(fd, a.domain, &virtual);
}

void ts_notify_leave_udp(struct ts_host *host, int fd, bool lets_go)
{
	if (!has_tailnet_peer(host, fd))
		return;
	ts_dgram_leave(host, fd);
	if (lets_go)
		let_go(fd);
}
