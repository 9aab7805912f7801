/* SPDX-License-Identifier: BSD-3-Clause
 * datagram_way.c - which loopback address stands for whom
 *
 * A remote end that a datagram socket talks with has a virtual address, a
 * loopback one that belongs to this flow alone. Programs name and are told the
 * tailnet's address; the kernel only sees the virtual one. The table has both
 * directions, so a datagram costs a look-up, and only the first one to a new
 * destination a question.
 *
 *   addressed    SEND: the virtual address is one of the host's socket W, or,
 *                where errors are to reach the socket's queue or the socket
 *                cannot call 127/8, one of a host socket of its own
 *   connected    CONNECT: always a host socket of its own, so that the kernel
 *                filters strangers, and refusals become errors
 *
 * Nothing is remembered here: a socket is known by its native names, so that
 * duplicates, forked and exec'ed processes agree. When the host has forgotten
 * a flow, or another host has taken over, the look-up fails and it is asked
 * again.
 */
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "core/broker/datagram_control.h"
#include "shim/libc_table.h"
#include "shim/shim.h"

static const struct ts_addr ANY = {.ip = {{0}}};

struct asking {
	int fd, domain;
	uint8_t proto;
	struct ts_addr local;
	const struct ts_addr *tailnet;
};

/* -- the question --------------------------------------------------------- */

static bool is_tied_to_device(int fd)
{
	char name[IFNAMSIZ] = "";
	socklen_t len = sizeof(name);

	return libc.getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len) ==
		       0 &&
	       len > 0 && *name && strcmp(name, "lo") != 0;
}

/* By ::1, because 127/8 is out of reach? */
static bool needs_loopback6(const struct asking *a)
{
	return a->domain == AF_INET6 && !ts_ip_is_v4(&a->local.ip) &&
	       (!ts_ip_is_zero(&a->local.ip) || shim_native_is_v6_only(a->fd));
}

/* A socket that can do both is better off there with an IPv6 peer: what the
 * kernel says about its packets is IPv6's then. Not when it has a port: one
 * that is known as a dual-stack socket must stay one. */
static bool prefers_loopback6(const struct asking *a)
{
	const struct ts_table_layout *table = atomic_load(&shim.table);
	struct ts_table_info info;

	return a->domain == AF_INET6 && ts_ip_is_zero(&a->local.ip) &&
	       !ts_ip_is_v4(&a->tailnet->ip) &&
	       (a->local.port == 0 || a->proto != IPPROTO_UDP) && table &&
	       ts_table_read_info(table, &info) && info.has_loopback6;
}

static uint8_t flags_of(const struct asking *a)
{
	int flags = fcntl(a->fd, F_GETFL);
	uint8_t out = shim_bind_flags(a->fd);

	if (flags != -1 && (flags & O_NONBLOCK))
		out |= TS_BROKER_NONBLOCK;
	if (needs_loopback6(a) || prefers_loopback6(a))
		out |= TS_BROKER_V6_ONLY;
	if (a->proto != IPPROTO_UDP && shim_echo_is_raw(a->fd))
		out |= TS_BROKER_RAW;
	return out;
}

/* IPv6's wish is not enough where the errors come by 127/8. */
static bool wants_errors(const struct asking *a)
{
	const int on = 1;

	if (shim_native_option(a->fd, IPPROTO_IP, IP_RECVERR) > 0)
		return true;
	if (a->domain != AF_INET6 ||
	    shim_native_option(a->fd, IPPROTO_IPV6, IPV6_RECVERR) <= 0)
		return false;
	libc.setsockopt(a->fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on));
	return true;
}

static int read_names(struct asking *a)
{
	int err = shim_native_local(a->fd, &a->local);

	if (!err)
		a->domain = shim_native_domain(a->fd);
	return err ? err : a->domain < 0 ? a->domain : 0;
}

/* What the kernel would say before it looks for a route. A raw socket of UDP
 * would have its own headers. */
static int check_socket(const struct asking *a)
{
	if (shim_native_option(a->fd, SOL_SOCKET, SO_TYPE) != SOCK_DGRAM)
		return -ENETUNREACH;
	if (a->domain == AF_INET6 && ts_ip_is_v4(&a->tailnet->ip) &&
	    shim_native_is_v6_only(a->fd))
		return -ENETUNREACH;
	return is_tied_to_device(a->fd) ? -ENETUNREACH : 0;
}

static int ask(const struct asking *a, uint8_t type, struct ts_addr *virtual)
{
	bool has_errors = wants_errors(a);
	bool is_alone = has_errors || type == TS_BROKER_CONNECT;
	struct ts_broker_request req = {
		.type = type,
		.proto = a->proto,
		.flags = flags_of(a),
		.native_local = a->local,
		.tailnet = *a->tailnet,
	};
	struct ts_broker_reply rep;
	int err;

	if (type == TS_BROKER_SEND && is_alone)
		req.flags |= TS_BROKER_DEDICATED;
	if (a->local.port == 0)
		req.native_local = ANY;
	err = shim_ask_for(&req, a->fd, &rep);
	if (err)
		return err;
	if (!ts_ip_is_loopback(&rep.native.ip) || rep.native.port == 0)
		return -ENETUNREACH;
	*virtual = rep.native;
	return 0;
}

/* -- addressed ------------------------------------------------------------ */

/* As the kernel does when an unbound socket sends. */
static int bind_if_unbound(struct asking *a)
{
	int err;

	if (a->local.port != 0)
		return 0;
	err = shim_native_bind(a->fd, a->domain,
			       &(struct ts_addr){.ip = a->domain == AF_INET
							       ? TS_IP4_ZERO
							       : TS_IP_ZERO});
	if (err && err != -EINVAL) /* EINVAL: another thread was faster */
		return err;
	err = shim_native_local(a->fd, &a->local);
	return err ? err : a->local.port ? 0 : -EADDRNOTAVAIL;
}

static int ask_way(struct asking *a, struct ts_addr *virtual)
{
	int err = shim_attach();

	if (!err)
		err = check_socket(a);
	if (!err)
		err = bind_if_unbound(a);
	return err ? err : ask(a, TS_BROKER_SEND, virtual);
}

/* A connected socket, which always has an address, hears its peer alone: what
 * is addressed to that peer has to go to where answers come from. */
static bool is_to_peer(const struct asking *a, struct ts_addr *virtual)
{
	struct ts_flow_entry entry;

	return !ts_ip_is_unspecified(&a->local.ip) &&
	       shim_native_peer(a->fd, virtual) == 0 &&
	       ts_ip_is_loopback(&virtual->ip) &&
	       shim_flow_find_datagram(virtual, &entry) &&
	       ts_addr_equal(&entry.tailnet_remote, a->tailnet);
}

/* What was found is one of W's, which has no errors for this socket, and it
 * wants them now? */
static bool is_without_errors(const struct asking *a,
			      const struct ts_addr *virtual)
{
	return atomic_load_explicit(&shim.has_late_errors,
				    memory_order_relaxed) &&
	       virtual->port ==
		       ts_table_datagram_port(atomic_load(&shim.table)) &&
	       wants_errors(a);
}

int shim_way_find(int fd, uint8_t proto, struct shim_way *way)
{
	struct asking a = {.fd = fd, .proto = proto, .tailnet = &way->tailnet};
	struct ts_addr virtual;
	socklen_t len = sizeof(way->virtual);
	int ret;

	if (libc.getsockname(fd, (struct sockaddr *)&way->virtual, &len) != 0)
		return -errno;
	ret = ts_addr_from_sockaddr((struct sockaddr *)&way->virtual, len,
				    &a.local);
	if (ret)
		return ret;
	way->domain = a.domain = way->virtual.ss_family;
	if (!is_to_peer(&a, &virtual) &&
	    (!shim_flow_find_send(&a.local, &way->tailnet, &virtual) ||
	     is_without_errors(&a, &virtual))) {
		ret = ask_way(&a, &virtual);
		if (ret)
			return ret;
	}
	ret = ts_addr_to_sockaddr(&virtual, a.domain, &way->virtual);
	if (ret < 0)
		return -ENETUNREACH;
	way->len = (socklen_t)ret;
	return 0;
}

/* -- connected ------------------------------------------------------------ */

bool shim_way_peer(int fd, struct ts_flow_entry *out)
{
	struct ts_addr peer;

	return shim_native_peer(fd, &peer) == 0 &&
	       ts_ip_is_loopback(&peer.ip) &&
	       shim_flow_find_datagram(&peer, out);
}

/* A connected socket has a source address, which it would keep: one that the
 * other network cannot use. What the program bound stays, and so does the
 * port, as in every reconnect. */
static void let_go(int fd, int domain)
{
	const struct sockaddr unspec = {.sa_family = AF_UNSPEC};
	struct ts_addr before, after;

	if (shim_native_local(fd, &before) != 0)
		return;
	libc.connect(fd, &unspec, sizeof(unspec));
	if (shim_native_local(fd, &after) != 0 || after.port != 0)
		return;
	after.ip = domain == AF_INET ? TS_IP4_ZERO : TS_IP_ZERO;
	after.port = before.port;
	shim_native_bind(fd, domain, &after);
}

int shim_way_connect(int fd, int domain, uint8_t proto,
		     const struct ts_addr *to)
{
	struct asking a = {
		.fd = fd, .domain = domain, .proto = proto, .tailnet = to};
	struct ts_flow_entry old;
	struct ts_addr virtual, peer;
	int err = shim_attach();

	if (!err)
		err = check_socket(&a);
	if (err)
		return err;
	err = read_names(&a);
	if (!err)
		err = ask(&a, TS_BROKER_CONNECT, &virtual);
	if (err)
		return err;
	if (shim_native_peer(fd, &peer) == 0 && !shim_way_peer(fd, &old))
		let_go(fd, domain);
	err = shim_native_connect(fd, domain, &virtual);
	if (!err)
		shim_listener_note(fd);
	return err;
}

void shim_way_option_was_set(int fd, int level, int name)
{
	struct asking a = {.fd = fd};
	struct ts_flow_entry entry;

	if (!((level == IPPROTO_IP && name == IP_RECVERR) ||
	      (level == IPPROTO_IPV6 && name == IPV6_RECVERR)) ||
	    shim_native_protocol(fd) != IPPROTO_UDP || read_names(&a) != 0 ||
	    a.local.port == 0)
		return;
	atomic_store(&shim.has_late_errors, true);
	if (shim_way_peer(fd, &entry))
		(void)wants_errors(&a);
}

void shim_way_leave(int fd, bool lets_go)
{
	struct ts_broker_request req = {.type = TS_BROKER_CONNECT,
					.proto = IPPROTO_UDP};
	struct ts_flow_entry entry;
	struct ts_broker_reply rep;

	if (!shim_way_peer(fd, &entry))
		return;
	(void)shim_ask_for(&req, fd, &rep);
	if (lets_go)
		let_go(fd, shim_native_domain(fd));
}

/* -- back ----------------------------------------------------------------- */

bool shim_way_back(const struct sockaddr *addr, socklen_t len,
		   struct ts_flow_entry *out)
{
	struct sockaddr_storage whole = {0};
	struct ts_addr virtual;

	if (!ts_sockaddr_is_loopback(addr, len))
		return false;
	memcpy(&whole, addr, len < sizeof(whole) ? len : sizeof(whole));
	return ts_addr_from_sockaddr((struct sockaddr *)&whole, sizeof(whole),
				     &virtual) == 0 &&
	       (atomic_load(&shim.table) || shim_table()) &&
	       shim_flow_find_datagram(&virtual, out);
}

/* -- another host --------------------------------------------------------- */

static bool find_old_peer(int fd, const struct ts_table_layout *old,
			  struct ts_flow_entry *out)
{
	struct ts_flow_key key = {.proto = IPPROTO_UDP};

	return shim_native_peer(fd, &key.remote) == 0 &&
	       ts_table_find(old, &key, out) && out->kind == TS_FLOW_DATAGRAM;
}

void shim_way_move(int fd, const struct ts_table_layout *old)
{
	uint8_t echo = shim_echo_protocol(fd);
	struct ts_flow_entry entry;

	if (find_old_peer(fd, old, &entry))
		(void)shim_way_connect(fd, shim_native_domain(fd),
				       echo ? echo : IPPROTO_UDP,
				       &entry.tailnet_remote);
}
