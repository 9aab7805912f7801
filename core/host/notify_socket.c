/* SPDX-License-Identifier: BSD-3-Clause
 * notify_socket.c - small questions to a program's socket, and its flow
 *
 * fd is the program's own open file: what is set here is set there. A call
 * that could wait is made with O_NONBLOCK for its moment. The program sees it
 * only if another thread of it looks at the flags of a socket that is not
 * connected yet in the very microseconds that this one spends in connect() or
 * accept().
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "core/broker/rendezvous_rule.h"
#include "core/host/notify.h"

int ts_notify_option(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, name, &value, &len) ? -errno : value;
}

int ts_notify_domain(int fd)
{
	return ts_notify_option(fd, SOL_SOCKET, SO_DOMAIN);
}

bool ts_notify_is_tcp(int fd)
{
	return ts_notify_option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP;
}

bool ts_notify_is_udp(int fd)
{
	return ts_notify_option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_UDP;
}

uint8_t ts_notify_bind_flags(int fd)
{
	uint8_t flags = 0;

	if (ts_notify_option(fd, SOL_SOCKET, SO_REUSEADDR) > 0)
		flags |= TS_BROKER_REUSE;
	if (ts_notify_option(fd, SOL_SOCKET, SO_REUSEPORT) > 0)
		flags |= TS_BROKER_REUSE_PORT;
	return flags;
}

bool ts_notify_is_v6_only(int fd)
{
	return ts_notify_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1;
}

bool ts_notify_is_blocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags != -1 && !(flags & O_NONBLOCK);
}

uint64_t ts_notify_time_limit(int fd, int name)
{
	struct timeval limit = {0};
	socklen_t len = sizeof(limit);
	uint64_t ms;

	if (getsockopt(fd, SOL_SOCKET, name, &limit, &len))
		return 0;
	ms = (uint64_t)limit.tv_sec * 1000 + (uint64_t)limit.tv_usec / 1000;
	return ms == 0 && limit.tv_usec > 0 ? 1 : ms;
}

int ts_notify_bind_native(int fd, int domain, const struct ts_addr *addr)
{
	struct sockaddr_storage ss;
	int len = ts_addr_to_sockaddr(addr, domain, &ss);

	if (len < 0)
		return len;
	return bind(fd, (struct sockaddr *)&ss, (socklen_t)len) ? -errno : 0;
}

int ts_notify_connect_native(int fd, int domain, const struct ts_addr *addr)
{
	struct sockaddr_storage ss;
	int len = ts_addr_to_sockaddr(addr, domain, &ss);
	int flags = fcntl(fd, F_GETFL);
	int err;

	if (len < 0)
		return len;
	if (!(flags & O_NONBLOCK))
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	err = ts_hurry_connect(fd, (struct sockaddr *)&ss, (socklen_t)len);
	if (!(flags & O_NONBLOCK))
		(void)fcntl(fd, F_SETFL, flags);
	return err;
}

int ts_notify_take_error(int fd)
{
	int err = ts_notify_option(fd, SOL_SOCKET, SO_ERROR);

	return err > 0 ? -err : 0;
}

static bool find(const struct ts_host *host, uint8_t proto,
		 const struct ts_addr *local, const struct ts_addr *remote,
		 struct ts_flow_entry *out)
{
	struct ts_flow_key key = {.proto = proto, .local = *local,
				  .remote = *remote};

	return ts_table_find(ts_table_layout(host->table), &key, out);
}

bool ts_notify_flow_find(const struct ts_host *host,
			 const struct ts_addr *local,
			 const struct ts_addr *remote,
			 struct ts_flow_entry *out)
{
	return find(host, IPPROTO_TCP, local, remote, out) &&
	       out->kind != TS_FLOW_BIND;
}

bool ts_notify_find_bind(const struct ts_host *host, uint8_t proto,
			 const struct ts_addr *local,
			 struct ts_flow_entry *out)
{
	const struct ts_addr none = {0};

	return ts_ip_is_loopback(&local->ip) &&
	       find(host, proto, local, &none, out) &&
	       out->kind == TS_FLOW_BIND;
}

int ts_notify_flow_error(const struct ts_host *host, int fd, int err)
{
	struct ts_flow_entry entry;
	struct ts_addr local;

	if (err != -ECONNRESET || ts_sock_local(fd, &local) ||
	    !ts_rendezvous_find(ts_table_layout(host->table), &local, true,
				&entry) ||
	    entry.error <= 0)
		return err;
	return -entry.error;
}
