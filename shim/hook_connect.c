/* SPDX-License-Identifier: BSD-3-Clause
 * hook_connect.c - connect to the tailnet over a held loopback connection
 *
 * The program's socket calls R, the host's rendezvous, which never answers:
 * the kernel keeps it in SYN_SENT, blocking or not, until the host calls back
 * from R's address (then it is connected) or shuts down the duplicate that
 * went along with CONNECT (then it fails with ECONNRESET, and the table has
 * the errno that the far end meant). So what happens here is only:
 *
 *   bind the socket to a random loopback address, if it is not bound;
 *   tell the host: from there, to R, meant for T; and its answer;
 *   the real connect() to R, whatever it says;
 *   the recorded errno in place of ECONNRESET.
 *
 * A program that waits in connect() need not wait for the answer before: an
 * error ends the real connect(), and is in the table. Where that was refused
 * and the table has nothing of it, the host did not take it, and is asked why.
 *
 * A second connect() asks how the first one went, as it does natively:
 * EALREADY, 0, EISCONN are the kernel's own answers, and the pending error is
 * told once. What the kernel forgets is that a refused socket had failed - our
 * refusal leaves it fresh - so a fresh-looking one is looked up in the table
 * first. After that every connect starts over with a bind and a new CONNECT.
 */
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "core/broker/rendezvous_rule.h"
#include "shim/hooks.h"
#include "shim/libc_table.h"
#include "shim/shim.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif
#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif

enum { BIND_TRIES = 8, CONNECT_TRIES = 3, HOST_TRIES = 4 };

static const struct ts_ip LOOPBACK6 = {{[15] = 1}};

/* What is read of the table's info lies in the frames of functions that have
 * returned before the host is asked: this may be a signal handler's stack. */
#define BRIEF_FRAME __attribute__((noinline))

struct attempt {
	int fd, domain;
	const struct ts_table_layout *table;
	uint16_t port, port6; /* of R */
	struct ts_addr local, rendezvous;
	const struct ts_addr *tailnet;
	bool is_bound;	   /* by us */
	bool is_answered;  /* the host is asked, and not only told */
	bool is_held;	   /* R will hold it */
	bool is_announced; /* the host took it */
};

/* -- before --------------------------------------------------------------- */

/* The tailnet is not behind another interface that the socket is tied to. Tied
 * to lo, by the program or in place of the tailnet's own, it reaches us. */
static int check_device(int fd)
{
	char name[IFNAMSIZ] = "";
	socklen_t len = sizeof(name);

	if (libc.getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len) != 0 ||
	    len == 0 || !*name || strcmp(name, "lo") == 0)
		return 0;
	return -ENETUNREACH;
}

/* Through 127/8, or the twin of R on ::1? */
static bool needs_twin(const struct attempt *a)
{
	if (a->domain != AF_INET6)
		return false;
	return shim_native_is_v6_only(a->fd) ||
	       !(ts_ip_is_v4(&a->local.ip) || ts_ip_is_zero(&a->local.ip));
}

/* EINVAL: the program has bound it, then its choice stands. */
static BRIEF_FRAME int bind_if_unbound(struct attempt *a, bool is_twin)
{
	const int off = 0;
	int err = -EADDRINUSE;
	struct ts_table_info info;

	if (!ts_table_read_info(a->table, &info))
		return -ENETDOWN;
	a->port = info.rendezvous_port;
	a->port6 = info.rendezvous6_port;
	a->is_held = info.holds;
	if (is_twin && !info.has_loopback6)
		return -ENETUNREACH;
	libc.setsockopt(a->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &off,
			sizeof(off));
	for (int i = 0; i < BIND_TRIES && err == -EADDRINUSE; i++) {
		struct ts_addr addr = {
			.ip = is_twin ? LOOPBACK6
				      : shim_loopback_random(&info)};

		err = shim_native_bind(a->fd, a->domain, &addr);
		if (err == -EADDRNOTAVAIL && !is_twin) {
			/* lo has less than 127.0.0.0/8 */
			addr.ip = ts_ip_from_v4_host(0x7f000001);
			err = shim_native_bind(a->fd, a->domain, &addr);
		}
	}
	a->is_bound = err == 0;
	return err == -EINVAL ? 0 : err;
}

/* A connect that was refused before it began leaves no bound socket behind:
 * the next one may go to the host network, and must not go there from
 * 127.x.y.z. Only a connect that fails gives a port back; nobody can listen on
 * port 0. (An AF_INET6 socket that has called an IPv4 address can call only
 * such ones from then on; so it is in Linux without us, too.) */
static void unbind(const struct attempt *a)
{
	const struct sockaddr unspec = {.sa_family = AF_UNSPEC};
	const struct ts_addr any = {.ip = TS_IP_ZERO};
	struct ts_addr nowhere = {.ip = ts_ip_from_v4_host(0x7f000001)};
	const int on = 1, off = 0;

	if (!ts_ip_is_v4(&a->local.ip))
		nowhere.ip = LOOPBACK6;
	shim_native_connect(a->fd, a->domain, &nowhere);
	libc.connect(a->fd, &unspec, sizeof(unspec.sa_family));
	shim_native_take_error(a->fd);
	libc.setsockopt(a->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
			sizeof(on));
	shim_native_bind(a->fd, a->domain, &any);
	libc.setsockopt(a->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &off,
			sizeof(off));
}

/* Who does not wait may ask for names at once, and wants errors now; a port
 * that the program chose may be in use to this R; and one that accepts must
 * know whom. */
static bool waits_for_end(const struct attempt *a)
{
	int flags = fcntl(a->fd, F_GETFL);

	return a->is_bound && a->is_held && flags != -1 &&
	       !(flags & O_NONBLOCK);
}

static int prepare(struct attempt *a)
{
	const int off = 0;
	int err = check_device(a->fd);
	bool is_twin;

	if (!err)
		err = shim_native_local(a->fd, &a->local);
	if (err)
		return err;
	is_twin = needs_twin(a);
	err = bind_if_unbound(a, is_twin);
	if (!err)
		err = shim_native_local(a->fd, &a->local);
	if (err)
		return err;
	if (is_twin && ts_ip_is_unspecified(&a->local.ip))
		a->local.ip = LOOPBACK6;
	/* What AF_UNSPEC left behind: connect() forgets it, but the host would
	 * take it for the end of this connect. */
	shim_native_take_error(a->fd);
	libc.setsockopt(a->fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &off,
			sizeof(off));
	a->is_answered |= !waits_for_end(a);
	return a->local.port ? 0 : -EADDRNOTAVAIL;
}

/* -- the call ------------------------------------------------------------- */

/* A wildcard goes as it is: the host knows what this kernel makes of it. */
static int announce(const struct attempt *a)
{
	struct ts_broker_request req = {
		.type = TS_BROKER_CONNECT,
		.proto = IPPROTO_TCP,
		.native_local = a->local,
		.native_remote = a->rendezvous,
		.tailnet = *a->tailnet,
	};
	struct ts_broker_reply rep;

	return a->is_answered ? shim_ask_for(&req, a->fd, &rep)
			      : shim_tell(&req, a->fd);
}

static bool was_turned_away(const struct attempt *a, int err)
{
	struct ts_flow_entry entry;

	return !a->is_answered &&
	       (err == -ECONNRESET || err == -ECONNREFUSED) &&
	       !shim_flow_find(&a->local, &a->rendezvous, &entry);
}

static BRIEF_FRAME int choose_rendezvous(struct attempt *a, unsigned *n)
{
	struct ts_table_info info;

	if (!ts_table_read_info(a->table, &info))
		return -ENETDOWN;
	return ts_rendezvous_choose(a->table, &info, &a->local, n,
				    &a->rendezvous)
		       ? 0
		       : -ENETUNREACH;
}

static int call_rendezvous(struct attempt *a)
{
	unsigned n = 0;
	int err = -EADDRNOTAVAIL;

	for (int i = 0; i < CONNECT_TRIES && err == -EADDRNOTAVAIL; i++, n++) {
		int none = choose_rendezvous(a, &n);

		if (none)
			return i ? err : none;
		err = announce(a);
		a->is_announced |= !err;
		if (err)
			return err;
		err = shim_native_connect(a->fd, a->domain, &a->rendezvous);
	}
	return err;
}

static int connect_once(struct attempt *a)
{
	int err = prepare(a);

	return err ? err : call_rendezvous(a);
}

static int connect_by(struct attempt *a, const struct ts_table_layout *table)
{
	int err;

	a->table = table;
	if (!table)
		return -ENETDOWN;
	err = connect_once(a);
	if (was_turned_away(a, err)) {
		a->is_answered = true;
		a->is_announced = false;
		err = connect_once(a);
	}
	if (err && a->is_bound && !a->is_announced)
		unbind(a);
	return shim_flow_error(a->fd, err);
}

/* A host that took over meanwhile has another R, and so has one in a process
 * that changed its user. */
static BRIEF_FRAME bool has_moved(const struct attempt *a)
{
	struct ts_table_info now;

	if (atomic_load(&shim.table) != a->table)
		return true;
	return a->table && ts_table_read_info(a->table, &now) &&
	       (now.rendezvous_port != a->port ||
		now.rendezvous6_port != a->port6);
}

/* The far end never knew of a connect that failed because the host, a
 * neighbour's thread, has ended: there is another one to ask. */
static bool ended_with_host(const struct attempt *a, int err)
{
	if (shim.is_hosted || !err || err == -EINPROGRESS || err == -EINTR)
		return false;
	shim_follow_host_now();
	return atomic_load(&shim.table) != a->table;
}

static int connect_first(int fd, int domain, const struct ts_addr *dst)
{
	struct attempt a = {.fd = fd, .domain = domain, .tailnet = dst};
	int err = shim_attach();

	if (err)
		return err;
	if (ts_ip_is_v4(&dst->ip) && domain == AF_INET6 &&
	    shim_native_is_v6_only(fd))
		return -ENETUNREACH;
	err = connect_by(&a, atomic_load(&shim.table));
	for (int i = 0; i < HOST_TRIES &&
			((err && !a.is_announced && has_moved(&a)) ||
			 ended_with_host(&a, err));
	     i++) {
		a.is_bound = a.is_announced = false;
		err = connect_by(&a, atomic_load(&shim.table));
	}
	return err;
}

/* -- how did the first one go? -------------------------------------------- */

/* The address is of no importance any more; nobody listens on port 0, should
 * the socket fail in this very moment. */
static int connect_again(int fd, int domain)
{
	const struct ts_addr nowhere = {.ip = ts_ip_from_v4_host(0x7f000001)};

	return shim_flow_error(fd, shim_native_connect(fd, domain, &nowhere));
}

/* Taking the kernel's error is what makes it be told once. */
static int take_failure(int fd)
{
	struct ts_flow_entry entry;
	struct ts_addr local;
	int err;

	if (shim_native_local(fd, &local) ||
	    !shim_flow_find_failed(&local, &entry))
		return 0;
	err = shim_native_take_error(fd);
	return err == -ECONNRESET && entry.error > 0 ? -entry.error : err;
}

static int connect_tcp(int fd, int domain, const struct ts_addr *dst)
{
	int state = shim_native_tcp_state(fd);
	int err;

	if (state < 0)
		return state;
	if (state != TCP_CLOSE)
		return connect_again(fd, domain);
	err = take_failure(fd);
	return err ? err : connect_first(fd, domain, dst);
}

/* An AF_INET6 datagram socket takes an AF_INET address as well. */
static bool fits_family(int fd, int domain, sa_family_t family)
{
	return domain == family || (domain == AF_INET6 && family == AF_INET &&
				    !shim_native_is_tcp(fd));
}

static int connect_echo(int fd, int domain, uint8_t proto,
			const struct ts_addr *dst)
{
	const struct ts_addr host = {.ip = dst->ip}; /* ICMP has no ports */
	int err = 0;

	if (!shim_echo_protocol(fd))
		err = shim_echo_replace(fd, domain);
	return err ? err : shim_way_connect(fd, domain, proto, &host);
}

static int connect_by_protocol(int fd, int domain, const struct ts_addr *dst)
{
	int protocol = shim_native_protocol(fd);
	uint8_t echo = shim_echo_protocol(fd);

	switch (protocol) {
	case IPPROTO_TCP:
		if (shim_native_option(fd, SOL_SOCKET, SO_TYPE) != SOCK_STREAM)
			return -ENETUNREACH;
		return connect_tcp(fd, domain, dst);
	case IPPROTO_UDP:
		return echo ? connect_echo(fd, domain, echo, dst)
			    : shim_way_connect(fd, domain, IPPROTO_UDP, dst);
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return connect_echo(fd, domain, (uint8_t)protocol, dst);
	default:
		return -ENETUNREACH;
	}
}

int shim_connect_tailnet(int fd, const struct sockaddr *addr, socklen_t len,
			 const struct ts_addr *dst)
{
	int domain = shim_native_domain(fd);
	char text[TS_ADDR_TEXT_CAP];
	int err;

	/* Not a socket, or one that this address does not fit: the kernel's
	 * own complaint. */
	if (domain < 0 || !fits_family(fd, domain, addr->sa_family))
		return libc.connect(fd, addr, len) ? -errno : 0;
	err = connect_by_protocol(fd, domain, dst);
	shim_note("connect: fd %d to %s: %d", fd, ts_addr_format(dst, text),
		  err);
	return err;
}

/* -- elsewhere ------------------------------------------------------------ */

/* A socket that failed in the tailnet, or one of datagrams that was connected
 * to it, and now tries the host network must not go there from 127.x.y.z; the
 * bind fails, harmlessly, on any other. */
static void leave_loopback(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct ts_addr dst, local;
	const struct ts_addr any = {.ip = TS_IP_ZERO};
	int protocol;

	if (!atomic_load(&shim.table) ||
	    ts_addr_from_sockaddr(addr, len, &dst) ||
	    shim_native_local(fd, &local) || !ts_ip_is_loopback(&local.ip))
		return;
	protocol = shim_native_protocol(fd);
	if (protocol == IPPROTO_UDP)
		shim_way_leave(fd, !ts_ip_is_loopback(&dst.ip));
	else if (protocol == IPPROTO_TCP && !ts_ip_is_loopback(&dst.ip))
		shim_native_bind(fd, addr->sa_family, &any);
}

/* To the host network, by a socket that is for the tailnet alone? */
static bool is_shut_out(int fd, const struct sockaddr *addr, socklen_t len)
{
	struct ts_addr dst;

	return atomic_load(&shim.has_tied) &&
	       ts_addr_from_sockaddr(addr, len, &dst) == 0 && shim_is_tied(fd);
}

/* AF_UNSPEC has ended a connection to the tailnet: natively the address that
 * connect() chose goes with it. What the program bound itself stays bound. */
static void forget_loopback(int fd)
{
	const struct ts_addr any = {.ip = TS_IP_ZERO};
	const int on = 1, off = 0;
	struct ts_flow_entry entry;
	struct ts_addr local;

	if (!atomic_load(&shim.table) || shim_native_local(fd, &local) ||
	    !ts_ip_is_loopback(&local.ip) || !shim_native_is_tcp(fd) ||
	    !shim_flow_find_unconnected(&local, &entry))
		return;
	libc.setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
			sizeof(on));
	shim_native_bind(fd, shim_native_domain(fd), &any);
	libc.setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &off,
			sizeof(off));
}

static int disconnect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int saved_errno = errno;

	if (atomic_load(&shim.table) && !shim_is_engine_thread())
		shim_way_leave(fd, false);
	errno = saved_errno;
	if (libc.connect(fd, addr, len) != 0)
		return -1;
	forget_loopback(fd);
	errno = saved_errno;
	return 0;
}

static int connect_elsewhere(int fd, const struct sockaddr *addr, socklen_t len)
{
	int saved_errno = errno;
	int err;

	if (len >= sizeof(addr->sa_family) && addr->sa_family == AF_UNSPEC)
		return disconnect(fd, addr, len);
	if (is_shut_out(fd, addr, len))
		return shim_to_libc(-ENETUNREACH);
	err = shim_echo_refusal(fd);
	if (err)
		return shim_to_libc(err);
	leave_loopback(fd, addr, len);
	errno = saved_errno;
	return libc.connect(fd, addr, len);
}

int hook_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int saved_errno = errno;
	struct ts_addr dst;
	int err;

	shim_libc_ready();
	if (shim_is_engine_thread() || !shim_can_read_addr(fd, addr, len))
		return libc.connect(fd, addr, len);
	if (!shim_claims(addr, len, &dst))
		return connect_elsewhere(fd, addr, len);
	err = shim_connect_tailnet(fd, addr, len, &dst);
	errno = saved_errno;
	return shim_to_libc(err);
}
