/* SPDX-License-Identifier: BSD-3-Clause
 * notify_connect.c - connect() of a program that cannot be preloaded
 *
 * The same steps as in shim/hook_connect.c, on the program's own open file:
 * bind it to a random loopback address, ask for the tailnet connection, call
 * R, which holds it. A program that does not wait is told EINPROGRESS, and
 * learns the rest from its socket; one that does is held until the socket has
 * become writable, and then asked once more how it went, as a program would.
 *
 * A signal that interrupts the wait leaves the socket in SYN_SENT, as it does
 * natively; when the kernel makes the call again, it is held again.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "core/broker/rendezvous_rule.h"
#include "core/host/dns_service.h"
#include "core/host/node_choice.h"
#include "core/host/notify.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif
#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif

enum { BIND_TRIES = 8, CONNECT_TRIES = 3 };

static const struct ts_ip LOOPBACK6 = {{[15] = 1}};

struct attempt {
	const struct notify_call *call;
	struct ts_host *host;
	int fd, domain;
	struct ts_addr local, rendezvous;
	const struct ts_addr *tailnet;
	bool is_bound;	   /* by us */
	bool is_announced; /* CONNECT was taken */
};

/* -- does it belong to the tailnet? --------------------------------------- */

bool ts_notify_claims(const struct ts_host *host, const struct ts_addr *addr)
{
	if (ts_dns_service_owns(host, addr))
		return true;
	if (ts_ip_is_unspecified(&addr->ip) || ts_ip_is_loopback(&addr->ip) ||
	    ts_ip_is_multicast(&addr->ip))
		return false;
	return ts_table_claims(ts_table_layout(host->table), &addr->ip);
}

/* -- before --------------------------------------------------------------- */

/* The tailnet is not behind another interface that the socket is tied to. */
static int check_device(int fd)
{
	char name[IFNAMSIZ] = "";
	socklen_t len = sizeof(name);

	if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len) != 0 ||
	    len == 0 || !*name || strcmp(name, "lo") == 0)
		return 0;
	return -ENETUNREACH;
}

/* Through 127/8, or the twin of R on ::1? */
static bool needs_twin(const struct attempt *a)
{
	if (a->domain != AF_INET6)
		return false;
	return ts_notify_is_v6_only(a->fd) ||
	       !(ts_ip_is_v4(&a->local.ip) || ts_ip_is_zero(&a->local.ip));
}

/* EINVAL: the program has bound it, then its choice stands. */
static int bind_if_unbound(struct attempt *a, bool is_twin)
{
	const int off = 0;
	int err = -EADDRINUSE;

	if (is_twin && !a->host->info.has_loopback6)
		return -ENETUNREACH;
	(void)setsockopt(a->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &off,
			 sizeof(off));
	for (int i = 0; i < BIND_TRIES && err == -EADDRINUSE; i++) {
		struct ts_addr addr = {
			.ip = is_twin ? LOOPBACK6
				      : ts_sock_random_loopback(a->host)};

		err = ts_notify_bind_native(a->fd, a->domain, &addr);
	}
	a->is_bound = err == 0;
	return err == -EINVAL ? 0 : err;
}

/* A connect that was refused before it began leaves no bound socket behind;
 * see shim/hook_connect.c. */
static void unbind(const struct attempt *a)
{
	const struct sockaddr unspec = {.sa_family = AF_UNSPEC};
	const struct ts_addr any = {.ip = TS_IP_ZERO};
	struct ts_addr nowhere = {.ip = ts_ip_from_v4_host(0x7f000001)};
	const int on = 1, off = 0;

	if (!ts_ip_is_v4(&a->local.ip))
		nowhere.ip = LOOPBACK6;
	(void)ts_notify_connect_native(a->fd, a->domain, &nowhere);
	(void)connect(a->fd, &unspec, sizeof(unspec.sa_family));
	(void)ts_notify_take_error(a->fd);
	(void)setsockopt(a->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
			 sizeof(on));
	(void)ts_notify_bind_native(a->fd, a->domain, &any);
	(void)setsockopt(a->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &off,
			 sizeof(off));
}

static int prepare(struct attempt *a)
{
	const int off = 0;
	int err = check_device(a->fd);
	bool is_twin;

	if (!err)
		err = ts_sock_local(a->fd, &a->local);
	if (err)
		return err;
	is_twin = needs_twin(a);
	err = bind_if_unbound(a, is_twin);
	if (!err)
		err = ts_sock_local(a->fd, &a->local);
	if (err)
		return err;
	if (is_twin && ts_ip_is_unspecified(&a->local.ip))
		a->local.ip = LOOPBACK6;
	(void)setsockopt(a->fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &off,
			 sizeof(off));
	return a->local.port ? 0 : -EADDRNOTAVAIL;
}

/* -- the call ------------------------------------------------------------- */

static int announce(const struct attempt *a)
{
	struct ts_broker_request req = {
		.type = TS_BROKER_CONNECT,
		.interface = ts_choice_interface(a->fd),
		.proto = IPPROTO_TCP,
		.native_local = a->local,
		.native_remote = a->rendezvous,
		.tailnet = *a->tailnet,
	};
	struct ts_broker_reply rep = {.type = req.type};
	int err = ts_notify_node(a->host, &req.node);

	if (err)
		return err;
	ts_conn_request(a->host, &req,
			fcntl(a->fd, F_DUPFD_CLOEXEC, 0), a->call->tid, &rep);
	return -rep.error;
}

static int call_rendezvous(struct attempt *a)
{
	const struct ts_table_layout *table = ts_table_layout(a->host->table);
	unsigned n = 0;
	int err = -EADDRNOTAVAIL;

	for (int i = 0; i < CONNECT_TRIES && err == -EADDRNOTAVAIL; i++, n++) {
		if (!ts_rendezvous_choose(table, &a->host->info, &a->local, &n,
					  &a->rendezvous))
			return i ? err : -ENETUNREACH;
		err = announce(a);
		a->is_announced |= !err;
		if (err)
			return err;
		err = ts_notify_connect_native(a->fd, a->domain,
					       &a->rendezvous);
	}
	return err;
}

static int connect_first(const struct notify_call *call, int fd, int domain,
			 const struct ts_addr *dst)
{
	struct attempt a = {.call = call, .host = call->tree->host, .fd = fd,
			    .domain = domain, .tailnet = dst};
	int err;

	if (ts_ip_is_v4(&dst->ip) && domain == AF_INET6 &&
	    ts_notify_is_v6_only(fd))
		return -ENETUNREACH;
	ts_rendezvous_follow_uid(a.host);
	err = prepare(&a);
	if (!err)
		err = call_rendezvous(&a);
	if (err && a.is_bound && !a.is_announced)
		unbind(&a);
	return ts_notify_flow_error(a.host, fd, err);
}

/* -- how did the first one go? -------------------------------------------- */

/* Taking the kernel's error is what makes it be told once. */
static int take_failure(const struct ts_host *host, int fd)
{
	struct ts_flow_entry entry;
	struct ts_addr local;
	int err;

	if (ts_sock_local(fd, &local) ||
	    !ts_rendezvous_find(ts_table_layout(host->table), &local, true,
				&entry))
		return 0;
	err = ts_notify_take_error(fd);
	return err == -ECONNRESET && entry.error > 0 ? -entry.error : err;
}

/* The address is of no importance any more; nobody listens on port 0, should
 * the socket fail in this very moment. */
static int connect_again(const struct ts_host *host, int fd, int domain)
{
	const struct ts_addr nowhere = {.ip = ts_ip_from_v4_host(0x7f000001)};

	return ts_notify_flow_error(
		host, fd, ts_notify_connect_native(fd, domain, &nowhere));
}

int ts_notify_connect_begin(const struct notify_call *call, int fd,
			    const struct ts_addr *dst)
{
	const struct ts_host *host = call->tree->host;
	int state = ts_sock_state(fd), domain = ts_notify_domain(fd);
	int err;

	if (state < 0)
		return state;
	if (state != TCP_CLOSE)
		return connect_again(host, fd, domain);
	err = take_failure(host, fd);
	if (!err)
		err = connect_first(call, fd, domain, dst);
	if (err == -EINPROGRESS)
		ts_notify_made_connecting(call);
	return err;
}

int ts_notify_connect_end(const struct notify_call *call, int fd)
{
	int err = connect_again(call->tree->host, fd, ts_notify_domain(fd));

	return err == -EALREADY || err == -EINPROGRESS ? -EAGAIN : err;
}

/* Owns fd. */
static int connect_tcp(const struct notify_call *call, int fd,
		       const struct ts_addr *dst)
{
	int err = ts_notify_connect_begin(call, fd, dst);
	/* Out of time a call says what it would without waiting. */
	struct notify_hold hold = {.fn = ts_notify_connect_end, .fd = fd,
				   .events = TS_WRITABLE,
				   .limit_result = err};

	if ((err != -EINPROGRESS && err != -EALREADY) ||
	    !ts_notify_is_blocking(fd)) {
		ts_hurry_drop(fd);
		return err;
	}
	hold.limit_ms = ts_notify_time_limit(fd, SO_SNDTIMEO);
	return ts_notify_hold(call, &hold);
}

/* -- elsewhere ------------------------------------------------------------ */

/* A socket that failed in the tailnet and now tries the host network must not
 * go there from 127.x.y.z; the bind fails, harmlessly, on any other. */
static void leave_loopback(const struct notify_call *call,
			   const struct notify_sockaddr *to)
{
	const struct ts_addr any = {.ip = TS_IP_ZERO};
	bool lets_go = !ts_ip_is_loopback(&to->addr.ip);
	struct ts_addr local;
	int fd;

	fd = ts_notify_fetch(call, (int)call->args[0]);
	if (fd < 0)
		return;
	if (ts_sock_local(fd, &local) || !ts_ip_is_loopback(&local.ip))
		;
	else if (ts_notify_is_udp(fd))
		ts_notify_leave_udp(call->tree->host, fd, lets_go);
	else if (ts_notify_is_tcp(fd) && lets_go)
		(void)ts_notify_bind_native(fd, to->native.ss_family, &any);
	ts_hurry_drop(fd);
}

/* What was sent is taken in first. */
static void disconnect(const struct notify_call *call)
{
	int fd = ts_notify_fetch(call, (int)call->args[0]);

	if (fd >= 0 && ts_notify_is_udp(fd))
		ts_notify_leave_udp(call->tree->host, fd, false);
	ts_hurry_drop(fd);
}

/* An AF_INET6 datagram socket takes an AF_INET address as well. */
static bool fits_family(int fd, sa_family_t family)
{
	int domain = ts_notify_domain(fd);

	if (domain != AF_INET && domain != AF_INET6)
		return false;
	return domain == family || (domain == AF_INET6 && family == AF_INET &&
				    !ts_notify_is_tcp(fd));
}

static void warn_unreached(const struct notify_call *call)
{
	struct ts_notify *notify = call->tree->notify;

	if (ts_log_allowed(&notify->limit, ts_host_now_ms(notify->host)))
		log_warn("notify: pid %d: its socket %d is out of our reach",
			 (int)call->tid, (int)call->args[0]);
}

int ts_notify_connect(const struct notify_call *call)
{
	struct notify_sockaddr to;
	int err = ts_notify_read_sockaddr(call, call->args[1], call->args[2],
					  &to);
	int fd;

	if (err)
		return err;
	if (to.native.ss_family == AF_UNSPEC) {
		disconnect(call);
		ts_notify_made_leave(call);
	}
	if (!to.is_inet)
		return NOTIFY_CONTINUE;
	if (!ts_notify_claims(call->tree->host, &to.addr)) {
		leave_loopback(call, &to);
		ts_notify_made_leave(call);
		return NOTIFY_CONTINUE;
	}
	fd = ts_notify_fetch(call, (int)call->args[0]);
	if (fd == -EPERM)
		warn_unreached(call);
	if (fd < 0)
		return fd;
	if (!fits_family(fd, to.native.ss_family)) {
		ts_hurry_drop(fd);
		return NOTIFY_CONTINUE; /* the kernel's own complaint */
	}
	if (ts_notify_is_tcp(fd))
		return connect_tcp(call, fd, &to.addr);
	err = ts_notify_is_udp(fd) ? ts_notify_connect_udp(call, fd, &to.addr)
				   : -ENETUNREACH;
	ts_hurry_drop(fd);
	return err;
}
