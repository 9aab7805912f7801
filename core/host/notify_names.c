/* SPDX-License-Identifier: BSD-3-Clause
 * notify_names.c - names of sockets, as the tailnet has them
 *
 * As shim/hook_options.c: only where the kernel answers with a loopback
 * address the table is looked at; everything else is the kernel's to say, with
 * its own treatment of bad pointers and lengths.
 */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "core/broker/rendezvous_rule.h"
#include "core/host/notify.h"

static bool find_connected(const struct ts_host *host, int fd,
			   const struct ts_addr *local,
			   const struct ts_addr *peer,
			   struct ts_flow_entry *out)
{
	return (ts_notify_is_tcp(fd) &&
		ts_notify_flow_find(host, local, peer, out)) ||
	       (ts_notify_is_udp(fd) && ts_notify_way_back(host, peer, out));
}

static bool find_peer_name(const struct ts_host *host, int fd,
			   struct ts_addr *out)
{
	struct ts_flow_entry entry;
	struct ts_addr local, peer;

	if (ts_sock_peer(fd, &peer) || !ts_ip_is_loopback(&peer.ip) ||
	    ts_sock_local(fd, &local) ||
	    !find_connected(host, fd, &local, &peer, &entry))
		return false;
	*out = entry.tailnet_remote;
	return true;
}

static bool find_unconnected(const struct ts_host *host, int fd,
			     const struct ts_addr *local, struct ts_addr *out)
{
	const struct ts_table_layout *table = ts_table_layout(host->table);
	bool is_udp = ts_notify_is_udp(fd);
	struct ts_flow_entry entry;

	if (!is_udp && !ts_notify_is_tcp(fd))
		return false;
	if (ts_notify_find_bind(host, is_udp ? IPPROTO_UDP : IPPROTO_TCP,
				local, &entry))
		*out = entry.tailnet_local;
	else if (!is_udp && ts_rendezvous_find(table, local, false, &entry))
		*out = ts_flow_unconnected_name(&entry, local);
	else
		return false;
	return true;
}

static bool find_own_name(const struct ts_host *host, int fd,
			  struct ts_addr *out)
{
	struct ts_flow_entry entry;
	struct ts_addr local, peer;

	if (ts_sock_local(fd, &local) || !ts_ip_is_loopback(&local.ip))
		return false;
	if (ts_sock_peer(fd, &peer))
		return find_unconnected(host, fd, &local, out);
	if (!find_connected(host, fd, &local, &peer, &entry) ||
	    ts_ip_is_zero(&entry.tailnet_local.ip))
		return false;
	*out = entry.tailnet_local;
	return true;
}

/* Of a connection that we made, and do not have any more. */
static bool find_made(const struct notify_call *call, struct ts_addr *name,
		      int *domain)
{
	struct ts_flow_entry entry;
	struct ts_addr local, peer;

	if (!ts_notify_made_ends(call, (int)call->args[0], &local, &peer,
				 domain) ||
	    !ts_notify_flow_find(call->tree->host, &local, &peer, &entry))
		return false;
	*name = call->nr == SYS_getpeername ? entry.tailnet_remote
					    : entry.tailnet_local;
	return !ts_ip_is_zero(&name->ip);
}

static int get_name(const struct notify_call *call,
		    bool (*find)(const struct ts_host *host, int fd,
				 struct ts_addr *out))
{
	struct sockaddr_storage ss;
	struct ts_addr name;
	int fd = ts_notify_fetch(call, (int)call->args[0]);
	int domain, len = -1;

	if (fd >= 0 && find(call->tree->host, fd, &name))
		len = ts_addr_to_sockaddr(&name, ts_notify_domain(fd), &ss);
	else if (fd == -EISCONN && find_made(call, &name, &domain))
		len = ts_addr_to_sockaddr(&name, domain, &ss);
	ts_hurry_drop(fd);
	if (len < 0)
		return NOTIFY_CONTINUE;
	return ts_notify_write_sockaddr(call, call->args[1], call->args[2],
					&ss, (socklen_t)len);
}

int ts_notify_getpeername(const struct notify_call *call)
{
	return get_name(call, find_peer_name);
}

int ts_notify_getsockname(const struct notify_call *call)
{
	return get_name(call, find_own_name);
}
