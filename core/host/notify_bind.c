/* SPDX-License-Identifier: BSD-3-Clause
 * notify_bind.c - bind() and listen() of programs that cannot be preloaded
 *
 * The same rules as in shim/hook_listen.c and shim/listener.c. A wildcard bind
 * with listen=both is the kernel's: it goes on as it was called. Only where we
 * see that the kernel would refuse it (a port under 1024) it becomes one on
 * the tailnet only. We never bind a program's socket to an address that it
 * chose: our rights may be more than its own.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "core/base/err.h"
#include "core/host/node_choice.h"
#include "core/host/notify.h"

/* -- bind ----------------------------------------------------------------- */

static uint8_t protocol_of(int fd)
{
	int protocol = ts_notify_option(fd, SOL_SOCKET, SO_PROTOCOL);

	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP
		       ? (uint8_t)protocol
		       : 0;
}

/* What of the caller and its socket says whose traffic it is. */
static int name_node(struct ts_host *host, int fd,
		     struct ts_broker_request *req)
{
	req->interface = ts_choice_interface(fd);
	return ts_notify_node(host, &req->node);
}

static int tell_bound(struct ts_host *host, int fd,
		      const struct ts_addr *tailnet)
{
	struct ts_broker_request req = {
		.type = TS_BROKER_BOUND,
		.proto = protocol_of(fd),
		.flags = ts_notify_bind_flags(fd),
		.tailnet = *tailnet,
	};
	struct ts_broker_reply rep = {.type = req.type};
	int err = ts_sock_local(fd, &req.native_local);

	if (!err)
		err = name_node(host, fd, &req);
	if (err)
		return err;
	if (req.tailnet.port == 0)
		req.tailnet.port = req.native_local.port;
	ts_listener_bound(host, &req, &rep);
	return -rep.error;
}

/* By ::1, where only IPv6 can be spoken? */
static bool binds_loopback6(const struct ts_host *host, int fd,
			    const struct ts_addr *asked)
{
	if (ts_notify_domain(fd) != AF_INET6)
		return false;
	return ts_notify_is_v6_only(fd) ||
	       (!ts_ip_is_unspecified(&asked->ip) &&
		ts_notify_is_udp(fd) && host->info.has_loopback6);
}

/* In the tailnet only: natively on an address that we choose. -EAGAIN: the
 * node does not know its addresses yet. */
static int bind_tailnet(struct ts_host *host, int fd,
			const struct ts_addr *asked)
{
	struct ts_broker_request req = {
		.type = TS_BROKER_BIND,
		.proto = protocol_of(fd),
		.flags = ts_notify_bind_flags(fd),
		.tailnet = *asked,
	};
	struct ts_broker_reply rep = {.type = req.type};
	int domain = ts_notify_domain(fd);
	int err;

	if (domain == AF_INET && ts_ip_is_unspecified(&asked->ip))
		req.tailnet.ip = TS_IP4_ZERO;
	if (binds_loopback6(host, fd, asked))
		req.flags |= TS_BROKER_V6_ONLY;
	err = name_node(host, fd, &req);
	if (err)
		return err;
	if (!ts_listener_bind(host, &req, &rep))
		return -EAGAIN;
	if (rep.error)
		return -rep.error;
	err = ts_notify_bind_native(fd, domain, &rep.native);
	return err ? err : tell_bound(host, fd, &req.tailnet);
}

static int bind_held(const struct notify_call *call, int fd)
{
	struct notify_sockaddr at;
	int err = ts_notify_read_sockaddr(call, call->args[1], call->args[2],
					  &at);

	if (err)
		return err == NOTIFY_CONTINUE ? -EFAULT : err;
	if (!at.is_inet || !ts_ip_is_tailscale(&at.addr.ip))
		return -EADDRNOTAVAIL; /* it was another one before */
	return bind_tailnet(call->tree->host, fd, &at.addr);
}

/* Owns fd. */
static int bind_or_hold(const struct notify_call *call, int fd,
			const struct ts_addr *asked)
{
	struct ts_host *host = call->tree->host;
	const struct notify_hold hold = {.fn = bind_held, .fd = fd,
					 .limit_ms = host->timeout_ms,
					 .limit_result = -EADDRNOTAVAIL};
	int err = bind_tailnet(host, fd, asked);

	if (err == -EAGAIN)
		return ts_notify_hold(call, &hold);
	ts_hurry_drop(fd);
	return err;
}

/* An address of a node: ours or, it will turn out, someone else's. */
static bool is_node_address(const struct ts_host *host, const struct ts_ip *ip)
{
	if (ts_ip_is_unspecified(ip))
		return false;
	return ts_ip_is_tailscale(ip) ||
	       ts_table_is_own(ts_table_layout(host->table), ip);
}

/* What remains natively: true when bind() is the kernel's. */
static bool binds_natively(const struct notify_call *call,
			   const struct notify_sockaddr *at)
{
	const struct ts_table_info *info = &call->tree->host->info;

	if (!at->is_inet)
		return true;
	if (is_node_address(call->tree->host, &at->addr.ip))
		return false;
	if (!ts_ip_is_unspecified(&at->addr.ip) ||
	    info->listen_mode == TS_LISTEN_HOST)
		return true;
	return info->listen_mode == TS_LISTEN_BOTH && at->addr.port == 0;
}

/* With the program's own choice of address: what anybody may bind. */
static int bind_datagrams(struct ts_host *host, int fd,
			  const struct ts_addr *asked)
{
	int err = ts_notify_bind_native(fd, ts_notify_domain(fd), asked);

	return err ? err : ts_notify_meet_datagrams(host, fd);
}

/* A wildcard with listen=both. */
static int bind_both(const struct notify_call *call, int fd,
		     const struct ts_addr *asked)
{
	int err = NOTIFY_CONTINUE;

	if (!ts_notify_may_bind(call, asked->port))
		return bind_or_hold(call, fd, asked);
	/* A listener is told of by listen(); of datagrams, now. */
	if (ts_notify_is_udp(fd) && ts_notify_is_free_port(asked->port))
		err = bind_datagrams(call->tree->host, fd, asked);
	ts_hurry_drop(fd);
	return err;
}

/* Owns fd. */
static int bind_fetched(const struct notify_call *call, int fd,
			const struct notify_sockaddr *at)
{
	const struct ts_host *host = call->tree->host;
	bool is_own = is_node_address(host, &at->addr.ip);
	int err = NOTIFY_CONTINUE;

	if (ts_notify_domain(fd) != at->native.ss_family)
		; /* the kernel's own complaint */
	else if (!protocol_of(fd))
		err = is_own ? -EADDRNOTAVAIL : NOTIFY_CONTINUE;
	else if (is_own && host->info.listen_mode == TS_LISTEN_HOST)
		err = -EADDRNOTAVAIL;
	/* An ephemeral port of datagrams is a client's. */
	else if (!is_own && at->addr.port == 0 && ts_notify_is_udp(fd))
		;
	else if (is_own || host->info.listen_mode == TS_LISTEN_TAILNET)
		return bind_or_hold(call, fd, &at->addr);
	else
		return bind_both(call, fd, &at->addr);
	ts_hurry_drop(fd);
	return err;
}

int ts_notify_bind(const struct notify_call *call)
{
	struct notify_sockaddr at;
	int err = ts_notify_read_sockaddr(call, call->args[1], call->args[2],
					  &at);
	int fd;

	if (err)
		return err;
	/* The socket of an interrupted accept may be in its way. */
	ts_notify_sweep(call->tree->notify);
	if (at.is_inet && at.addr.port != 0)
		ts_notify_made_look(call->tree->notify);
	if (binds_natively(call, &at))
		return NOTIFY_CONTINUE;
	fd = ts_notify_fetch(call, (int)call->args[0]);
	if (fd == -EISCONN || (fd == -EPERM &&
			       !is_node_address(call->tree->host, &at.addr.ip)))
		return NOTIFY_CONTINUE;
	return fd < 0 ? fd : bind_fetched(call, fd, &at);
}

/* -- listen --------------------------------------------------------------- */

/* The tailnet address that a listening socket serves; false: none. */
static bool listen_address(const struct ts_host *host, int fd,
			   struct ts_broker_request *req)
{
	struct ts_flow_entry entry;
	int domain = ts_notify_domain(fd);

	if (ts_sock_local(fd, &req->native_local))
		return false;
	if (!ts_ip_is_unspecified(&req->native_local.ip)) {
		if (!ts_notify_find_bind(host, req->proto,
					 &req->native_local, &entry))
			return false;
		req->tailnet = entry.tailnet_local;
		return true;
	}
	if (host->info.listen_mode == TS_LISTEN_HOST)
		return false;
	req->tailnet.port = req->native_local.port;
	if (domain == AF_INET)
		req->tailnet.ip = TS_IP4_ZERO;
	if (domain == AF_INET || !ts_notify_is_v6_only(fd))
		req->native_local.ip = TS_IP4_ZERO;
	return true;
}

static bool is_told(const struct ts_host *host,
		    const struct ts_broker_request *req)
{
	const struct ts_listener *l =
		ts_listener_at(host, req->proto, &req->native_local);

	return l && l->is_listening &&
	       ts_addr_equal(&l->tailnet, &req->tailnet);
}

static struct ts_listener *listener_of(const struct ts_host *host, int fd)
{
	struct ts_broker_request req = {.proto = IPPROTO_TCP};

	return ts_notify_is_tcp(fd) && listen_address(host, fd, &req)
		       ? ts_listener_at(host, IPPROTO_TCP, &req.native_local)
		       : NULL;
}

/* The host waits for the program to accept before it sends, the kernel for
 * data before it lets the program accept: one of the two has to go. */
static int take_defer(int fd)
{
	const int off = 0;
	int seconds = ts_notify_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT);

	if (seconds > 0)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &off,
				 sizeof(off));
	return seconds > 0 ? seconds : 0;
}

void ts_notify_defer(struct ts_host *host, int fd)
{
	struct ts_listener *l = listener_of(host, fd);

	if (l)
		l->deferred_s = take_defer(fd);
}

int ts_notify_deferred(const struct ts_host *host, int fd)
{
	const struct ts_listener *l = ts_sock_state(fd) == TCP_LISTEN
					      ? listener_of(host, fd)
					      : NULL;

	return l ? l->deferred_s : 0;
}

int ts_notify_tell_listener(struct ts_host *host, int fd)
{
	struct ts_broker_request req = {.type = TS_BROKER_LISTEN,
					.proto = IPPROTO_TCP,
					.flags = ts_notify_bind_flags(fd)};
	struct ts_broker_reply rep = {.type = req.type};
	struct ts_listener *l;
	int deferred_s;

	if (!ts_notify_is_tcp(fd) || !listen_address(host, fd, &req))
		return 0;
	deferred_s = take_defer(fd);
	if (!is_told(host, &req) && name_node(host, fd, &req) == 0)
		ts_listener_listen(host, &req, -1, &rep);
	if (rep.error)
		log_warn("notify: port %u is not reached from the tailnet: %s",
			 req.tailnet.port, ts_strerror(-rep.error));
	l = deferred_s ? listener_of(host, fd) : NULL;
	if (l)
		l->deferred_s = deferred_s;
	return rep.error == EADDRINUSE ? -EADDRINUSE : 0;
}

int ts_notify_meet_datagrams(struct ts_host *host, int fd)
{
	struct ts_broker_request req = {.type = TS_BROKER_LISTEN,
					.proto = IPPROTO_UDP,
					.flags = ts_notify_bind_flags(fd)};
	struct ts_broker_reply rep = {.type = req.type};

	if (!listen_address(host, fd, &req) || req.native_local.port == 0 ||
	    is_told(host, &req) || name_node(host, fd, &req))
		return 0;
	ts_listener_listen(host, &req, -1, &rep);
	return rep.error == EADDRINUSE ? -EADDRINUSE : 0;
}

int ts_notify_listen(const struct notify_call *call)
{
	int fd = ts_notify_fetch(call, (int)call->args[0]);
	int err, domain;

	if (fd < 0)
		return NOTIFY_CONTINUE;
	domain = ts_notify_domain(fd);
	if (!ts_notify_is_tcp(fd) ||
	    (domain != AF_INET && domain != AF_INET6)) {
		ts_hurry_drop(fd);
		return NOTIFY_CONTINUE;
	}
	err = listen(fd, (int)call->args[1]) ? -errno : 0;
	if (!err)
		err = ts_notify_tell_listener(call->tree->host, fd);
	if (err == -EADDRINUSE)
		(void)shutdown(fd, SHUT_RD); /* no longer listening */
	ts_hurry_drop(fd);
	return err;
}
