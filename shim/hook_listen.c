/* SPDX-License-Identifier: BSD-3-Clause
 * hook_listen.c - bind, listen, accept: being reached from the tailnet
 *
 * A wildcard bind stays native (listen=both, the default): listen() tells the
 * host which tailnet port the program now serves, and the host connects to the
 * native listener for each peer. A bind to the node's own address, or to a
 * wildcard with listen=tailnet, is made on a loopback address that the host
 * chose; the table says what the program asked for. Wildcards only count when
 * a node was asked for: a plain LD_PRELOAD starts none for a local server.
 * Datagram sockets do not listen; for them bind() is what counts.
 *
 * accept: the host connects from 127.x.y.z and R's port, which no other user
 * can bind, and puts the tuple into the table before. ACCEPTED lets the bytes
 * flow. A connection from R's port that is not in the table is one that ended
 * before the program looked; on a tailnet-only listener any other one is a
 * local stranger: closed, and the next one is taken. Elsewhere strangers are
 * the program's normal local clients.
 */
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "shim/hooks.h"
#include "shim/libc_table.h"
#include "shim/shim.h"

enum { FIRST_UNPRIVILEGED_PORT = 1024 };

/* -- bind ----------------------------------------------------------------- */

/* By ::1, where only IPv6 can be spoken? Datagrams then have all of IPv6's
 * control data. (A listener of TCP is better off with an address that nobody
 * else has.) */
static bool binds_loopback6(int fd, int domain, const struct ts_addr *asked)
{
	struct ts_table_info info;

	if (domain != AF_INET6)
		return false;
	if (shim_native_is_v6_only(fd))
		return true;
	return !ts_ip_is_unspecified(&asked->ip) && !ts_ip_is_v4(&asked->ip) &&
	       shim_native_protocol(fd) == IPPROTO_UDP &&
	       ts_table_read_info(atomic_load(&shim.table), &info) &&
	       info.has_loopback6;
}

/* In the tailnet only: natively on an address that the host chose. */
static int bind_tailnet(int fd, int domain, const struct ts_addr *asked)
{
	struct ts_broker_request req = {
		.type = TS_BROKER_BIND,
		.proto = (uint8_t)shim_native_protocol(fd),
		.flags = shim_bind_flags(fd),
		.tailnet = *asked,
	};
	struct ts_broker_reply rep;
	int err;

	if (domain == AF_INET && ts_ip_is_unspecified(&asked->ip))
		req.tailnet.ip = TS_IP4_ZERO;
	if (binds_loopback6(fd, domain, asked))
		req.flags |= TS_BROKER_V6_ONLY;
	err = shim_ask_for(&req, -1, &rep);
	if (err)
		return err;
	if (!ts_ip_is_loopback(&rep.native.ip))
		return -EADDRNOTAVAIL;
	err = shim_native_bind(fd, domain, &rep.native);
	return err ? err : shim_listener_tell_bound(fd, &req.tailnet);
}

/* A datagram socket is reached once it is bound; a bound one cannot be unbound,
 * but the program may want to try another port. */
static int bind_datagrams(int fd, int domain, const struct sockaddr *addr,
			  socklen_t len)
{
	int err = libc.bind(fd, addr, len) ? -errno : 0;

	if (err)
		return err;
	err = shim_listener_tell_datagrams(fd);
	if (err)
		(void)shim_socket_replace(fd, domain);
	return err;
}

static int bind_natively(int fd, int domain, const struct sockaddr *addr,
			 socklen_t len)
{
	if (shim_native_protocol(fd) == IPPROTO_UDP)
		return bind_datagrams(fd, domain, addr, len);
	return libc.bind(fd, addr, len) ? -errno : 0;
}

static int bind_wildcard(int fd, int domain, const struct sockaddr *addr,
			 socklen_t len, const struct ts_addr *asked)
{
	const struct ts_table_layout *table = shim_table_if_configured();
	int err;

	if (table && (shim_listens_to(table, TS_LISTEN_TAILNET) ||
		      (atomic_load(&shim.has_tied) && shim_is_tied(fd))))
		return bind_tailnet(fd, domain, asked);
	/* The node that would serve it cannot be reached, and the host network
	 * was not asked for. */
	if (!table && (shim.is_hosted || shim.is_configured) &&
	    shim_listens_to(NULL, TS_LISTEN_TAILNET))
		return -EADDRNOTAVAIL;
	err = bind_natively(fd, domain, addr, len);
	if (err != -EACCES || asked->port >= FIRST_UNPRIVILEGED_PORT ||
	    !table || !shim_listens_to(table, TS_LISTEN_BOTH) ||
	    bind_tailnet(fd, domain, asked) != 0)
		return err;
	shim_warn("port %u: not permitted on this host: on the tailnet only",
		  asked->port);
	return 0;
}

/* An address of a node: ours or, the host will say, someone else's. */
static bool is_node_address(const struct ts_ip *ip)
{
	const struct ts_table_layout *table = atomic_load(&shim.table);

	return ts_ip_is_tailscale(ip) || (table && ts_table_is_own(table, ip));
}

/* The node has one address a family, which is what it sends from anyway. */
static int bind_echo(int fd, int domain, const struct ts_ip *ip)
{
	const struct ts_addr any = {
		.ip = domain == AF_INET ? TS_IP4_ZERO : TS_IP_ZERO};
	int err = shim_attach();

	if (err || !ts_table_is_own(atomic_load(&shim.table), ip))
		return -EADDRNOTAVAIL;
	if (!shim_echo_protocol(fd))
		err = shim_echo_replace(fd, domain);
	return err ? err : shim_native_bind(fd, domain, &any);
}

static int bind_node_address(int fd, int domain, const struct sockaddr *addr,
			     socklen_t len, const struct ts_addr *asked)
{
	int protocol = shim_native_protocol(fd);
	int err;

	if (domain != addr->sa_family) /* for the kernel's own complaint */
		return libc.bind(fd, addr, len) ? -errno : 0;
	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6 ||
	    shim_echo_protocol(fd))
		return bind_echo(fd, domain, &asked->ip);
	if ((protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) ||
	    shim_listens_to(shim_table(), TS_LISTEN_HOST))
		return -EADDRNOTAVAIL;
	err = shim_attach();
	if (err)
		return -EADDRNOTAVAIL;
	err = bind_tailnet(fd, domain, asked);
	if (!err && protocol == IPPROTO_UDP)
		shim_listener_note(fd);
	return err;
}

/* An ephemeral port of datagrams is a client's more often than not: it starts
 * no node, stays on the host network whatever `listen` says, and is given even
 * where it is somebody else's in the tailnet. */
static int bind_ephemeral(int fd, const struct sockaddr *addr, socklen_t len)
{
	(void)shim_table();
	if (libc.bind(fd, addr, len) != 0)
		return -errno;
	(void)shim_listener_tell_datagrams(fd);
	return 0;
}

static int bind_claimed(int fd, const struct sockaddr *addr, socklen_t len,
			const struct ts_addr *asked)
{
	int domain = shim_native_domain(fd);
	int protocol = shim_native_protocol(fd);

	if (domain < 0)
		return libc.bind(fd, addr, len) ? -errno : 0;
	if (is_node_address(&asked->ip))
		return bind_node_address(fd, domain, addr, len, asked);
	if ((protocol != IPPROTO_TCP && protocol != IPPROTO_UDP) ||
	    domain != addr->sa_family || shim_echo_protocol(fd))
		return libc.bind(fd, addr, len) ? -errno : 0;
	if (protocol == IPPROTO_UDP && asked->port == 0)
		return bind_ephemeral(fd, addr, len);
	return bind_wildcard(fd, domain, addr, len, asked);
}

int hook_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	int saved_errno = errno;
	struct ts_addr asked;
	int err;

	shim_libc_ready();
	if (shim_is_engine_thread() || !shim_can_read_addr(fd, addr, len) ||
	    ts_addr_from_sockaddr(addr, len, &asked) != 0 ||
	    !(ts_ip_is_unspecified(&asked.ip) || is_node_address(&asked.ip)))
		return libc.bind(fd, addr, len);
	err = bind_claimed(fd, addr, len, &asked);
	errno = saved_errno;
	return shim_to_libc(err);
}

/* -- listen --------------------------------------------------------------- */

int hook_listen(int fd, int backlog)
{
	int saved_errno = errno;
	int err;

	shim_libc_ready();
	if (shim_is_engine_thread())
		return libc.listen(fd, backlog);
	shim_listener_forget(fd);
	errno = saved_errno;
	if (libc.listen(fd, backlog) != 0)
		return -1;
	err = shim_listener_tell(fd);
	if (err)
		shutdown(fd, SHUT_RD); /* no longer listening */
	errno = saved_errno;
	return shim_to_libc(err);
}

/* -- accept --------------------------------------------------------------- */

struct arrival {
	int listener, fd;
	struct sockaddr_storage native_peer; /* as the kernel said it */
	socklen_t native_len;
	struct ts_addr local, peer;
	struct ts_addr name; /* what the program is told */
};

static bool is_from_host(const struct ts_addr *peer)
{
	const struct ts_table_layout *table = atomic_load(&shim.table);
	struct ts_table_info info;

	return table && ts_table_read_info(table, &info) &&
	       (ts_ip_is_v4(&peer->ip) ? peer->port == info.rendezvous_port
				       : peer->port == info.rendezvous6_port);
}

/* A worker that was exec'ed may not have the table yet; 127.0.0.1 and ::1 are
 * ordinary local clients. */
static void attach_for(const struct ts_addr *peer)
{
	if (ts_ip_v4_host(&peer->ip) > 0x7f000001)
		shim_table();
}

static bool tell_accepted(const struct arrival *in)
{
	struct ts_broker_request req = {
		.type = TS_BROKER_ACCEPTED,
		.proto = IPPROTO_TCP,
		.native_local = in->local,
		.native_remote = in->peer,
	};

	return shim_tell(&req, in->fd) == 0;
}

/* While we waited, another process may have started another host, whose table
 * knows this connection. 127.0.0.1 is no host's end. */
static bool find_accepted(const struct arrival *in, struct ts_flow_entry *out)
{
	if (shim_flow_find(&in->local, &in->peer, out))
		return true;
	if (shim.is_hosted || ts_ip_v4_host(&in->peer.ip) <= 0x7f000001)
		return false;
	shim_follow_host_now();
	return shim_flow_find(&in->local, &in->peer, out);
}

/* Is this connection one for the program? */
static bool is_welcome(struct arrival *in)
{
	struct ts_flow_entry entry;

	in->name = in->peer;
	if (!ts_ip_is_loopback(&in->peer.ip))
		return true;
	attach_for(&in->peer);
	if (!atomic_load(&shim.table) || shim_native_local(in->fd, &in->local))
		return true;
	if (!find_accepted(in, &entry) || entry.kind != TS_FLOW_ACCEPT)
		return !is_from_host(&in->peer) &&
		       !shim_flow_find_bind(IPPROTO_TCP, &in->local, &entry) &&
		       !shim_is_tied(in->listener);
	in->name = entry.tailnet_remote;
	if (!ts_ip_is_v4(&in->name.ip) &&
	    shim_native_domain(in->fd) == AF_INET)
		return false; /* an AF_INET program cannot be told */
	return tell_accepted(in);
}

static int accept_native(struct arrival *in, const int *flags)
{
	struct sockaddr *sa = (struct sockaddr *)&in->native_peer;

	in->native_len = sizeof(in->native_peer);
	in->fd = flags ? libc.accept4(in->listener, sa, &in->native_len, *flags)
		       : libc.accept(in->listener, sa, &in->native_len);
	return in->fd < 0 ? -errno : 0;
}

/* Takes connections until one is for the program; an error is the kernel's. */
static int accept_welcome(struct arrival *in, const int *flags)
{
	for (;;) {
		int err = accept_native(in, flags);

		if (err || ts_addr_from_sockaddr(
				   (struct sockaddr *)&in->native_peer,
				   in->native_len, &in->peer) != 0 ||
		    is_welcome(in))
			return err;
		shim_note("accept: fd %d: not from the tailnet: closed",
			  in->fd);
		shim_close(in->fd);
	}
}

/* The kernel's own words for whoever is not from the tailnet: scope ids and
 * AF_UNIX names are its business. */
static int tell_peer(const struct arrival *in, struct sockaddr *addr,
		     socklen_t *len)
{
	if (!addr)
		return 0;
	if (!ts_addr_equal(&in->name, &in->peer))
		return shim_write_addr(&in->name, shim_native_domain(in->fd),
				       addr, len);
	return shim_write_sockaddr(&in->native_peer, in->native_len, addr, len);
}

static int accept_any(int listener, struct sockaddr *addr, socklen_t *len,
		      const int *flags)
{
	struct arrival in = {.listener = listener};
	int saved_errno = errno;
	int err;

	shim_listener_meet(listener);
	shim_follow_host();
	err = accept_welcome(&in, flags);
	if (!err) {
		err = tell_peer(&in, addr, len);
		if (err) /* it is lost, as the kernel would have lost it */
			shim_close(in.fd);
	}
	errno = saved_errno;
	return err ? shim_to_libc(err) : in.fd;
}

static bool accepts_natively(const struct sockaddr *addr, const socklen_t *len)
{
	return shim_is_engine_thread() || (addr && !len) ||
	       !(shim.is_hosted || shim.is_configured ||
		 atomic_load(&shim.table));
}

int hook_accept(int fd, struct sockaddr *addr, socklen_t *len)
{
	shim_libc_ready();
	if (accepts_natively(addr, len))
		return libc.accept(fd, addr, len);
	return accept_any(fd, addr, len, NULL);
}

int hook_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	shim_libc_ready();
	if (accepts_natively(addr, len))
		return libc.accept4(fd, addr, len, flags);
	return accept_any(fd, addr, len, &flags);
}
