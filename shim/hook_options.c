/* SPDX-License-Identifier: BSD-3-Clause
 * hook_options.c - names and errors of sockets, as the tailnet has them
 *
 * The kernel is asked first. Only where it answers with a loopback address the
 * table is looked at; what it does not know stays as the kernel said it. The
 * options changed: SO_ERROR tells the recorded errno where the kernel knows of
 * our refusal only as ECONNRESET; TCP_DEFER_ACCEPT is kept off the listeners of
 * the tailnet, where the host, which sends nothing before it is told ACCEPTED,
 * would wait for ever, but still reads as it was set. Who asks whether a socket
 * listens (SO_ACCEPTCONN) was handed it: the host is told of it.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "core/broker/rendezvous_rule.h"
#include "shim/hooks.h"
#include "shim/libc_table.h"
#include "shim/shim.h"

#ifndef SO_PEERNAME
#define SO_PEERNAME 28
#endif
#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

/* Something other than everybody's 127.0.0.1: in a program that was exec'ed, or
 * was handed the socket, worth a question to the host, which is tsrun's or a
 * neighbour's. */
static bool has_table_for(const struct ts_addr *peer)
{
	if (atomic_load(&shim.table))
		return true;
	return ts_ip_is_loopback(&peer->ip) &&
	       ts_ip_v4_host(&peer->ip) > 0x7f000001 &&
	       shim_table_if_configured();
}

static bool is_native(const void *addr, const socklen_t *len)
{
	return !addr || !len || shim_is_engine_thread() ||
	       !(shim.is_hosted || shim.is_configured ||
		 atomic_load(&shim.table));
}

static bool find_connected(int fd, const struct ts_addr *local,
			   const struct ts_addr *peer,
			   struct ts_flow_entry *out)
{
	int protocol = shim_native_protocol(fd);

	return (protocol == IPPROTO_TCP && shim_flow_find(local, peer, out)) ||
	       (protocol == IPPROTO_UDP && shim_flow_find_datagram(peer, out));
}

static bool find_peer_name(int fd, struct ts_addr *out)
{
	struct ts_flow_entry entry;
	struct ts_addr local, peer;

	if (shim_native_peer(fd, &peer) || !ts_ip_is_loopback(&peer.ip) ||
	    !has_table_for(&peer) || shim_native_local(fd, &local) ||
	    !find_connected(fd, &local, &peer, &entry))
		return false;
	*out = entry.tailnet_remote;
	return true;
}

int hook_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	int saved_errno = errno;
	struct ts_addr name;
	int err;

	shim_libc_ready();
	if (is_native(addr, len))
		return libc.getpeername(fd, addr, len);
	err = find_peer_name(fd, &name) &&
			      shim_write_addr(&name, shim_native_domain(fd),
					      addr, len) == 0
		      ? 0
		      : -1;
	errno = saved_errno;
	return err ? libc.getpeername(fd, addr, len) : 0;
}

static bool find_own_name(int fd, struct ts_addr *out)
{
	struct ts_flow_entry entry;
	struct ts_addr local, peer;
	bool is_found;
	int protocol;

	if (shim_native_local(fd, &local) || !ts_ip_is_loopback(&local.ip))
		return false;
	is_found = shim_native_peer(fd, &peer) == 0;
	/* A connected datagram socket is at 127.0.0.1, its peer is not. */
	if (!has_table_for(is_found ? &peer : &local))
		return false;
	protocol = shim_native_protocol(fd);
	if (is_found && find_connected(fd, &local, &peer, &entry) &&
	    !ts_ip_is_zero(&entry.tailnet_local.ip))
		*out = entry.tailnet_local;
	else if (!is_found && (protocol == IPPROTO_TCP ||
			       protocol == IPPROTO_UDP) &&
		 shim_flow_find_bind((uint8_t)protocol, &local, &entry))
		*out = entry.tailnet_local;
	else if (!is_found && protocol == IPPROTO_TCP &&
		 shim_flow_find_unconnected(&local, &entry))
		*out = ts_flow_unconnected_name(&entry, &local);
	else
		return false;
	return true;
}

int hook_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	int saved_errno = errno;
	struct ts_addr name;
	int err;

	shim_libc_ready();
	if (is_native(addr, len))
		return libc.getsockname(fd, addr, len);
	err = find_own_name(fd, &name) &&
			      shim_write_addr(&name, shim_native_domain(fd),
					      addr, len) == 0
		      ? 0
		      : -1;
	errno = saved_errno;
	return err ? libc.getsockname(fd, addr, len) : 0;
}

static bool is_int_option(const void *value, socklen_t len)
{
	return value && len >= sizeof(int);
}

static void put_right(int fd, int level, int name, int *value)
{
	if (level == SOL_SOCKET && name == SO_ERROR && *value == ECONNRESET)
		*value = -shim_flow_error(fd, -ECONNRESET);
	else if (level == SOL_SOCKET && name == SO_ACCEPTCONN && *value &&
		 (shim.is_hosted || shim.is_configured))
		shim_listener_meet(fd);
	else if (level == IPPROTO_TCP && name == TCP_DEFER_ACCEPT &&
		 *value == 0)
		*value = shim_listener_defer(fd);
	else if ((level == IPPROTO_IP && name == IP_MTU) ||
		 (level == IPPROTO_IPV6 && name == IPV6_MTU))
		*value = shim_size_mtu(fd, *value);
}

/* SO_PEERNAME: the kernel has filled in as much as was asked for. */
static void tell_peer(int fd, void *value, socklen_t len)
{
	struct sockaddr_storage ss;
	struct ts_addr name;
	int whole;

	if (is_native(value, &len) || !find_peer_name(fd, &name))
		return;
	whole = ts_addr_to_sockaddr(&name, shim_native_domain(fd), &ss);
	if (whole >= (int)len)
		memcpy(value, &ss, len);
}

/* Whom a socket is connected and which interface it is tied to. */
static int tell_name(int fd, int name, void *value, socklen_t *len)
{
	if (name == SO_PEERNAME)
		tell_peer(fd, value, *len);
	if (name == SO_BINDTODEVICE)
		return *len > 0 ? shim_tied_name(fd, value, len) : 0;
	if (name == SO_BINDTOIFINDEX)
		shim_tied_index(fd, value, *len);
	return 0;
}

int hook_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	int saved_errno = errno;
	int ret;

	shim_libc_ready();
	ret = libc.getsockopt(fd, level, name, value, len);
	if (ret != 0 || !value || shim_is_engine_thread())
		return ret;
	if (level == SOL_SOCKET)
		ret = tell_name(fd, name, value, len);
	else
		shim_option_was_read(fd, level, name, value, len);
	if (is_int_option(value, *len))
		put_right(fd, level, name, value);
	errno = saved_errno;
	return shim_to_libc(ret);
}

static bool is_device(int level, int name)
{
	return level == SOL_SOCKET &&
	       (name == SO_BINDTODEVICE || name == SO_BINDTOIFINDEX);
}

/* A name that no interface has is refused by the kernel; a number is not. */
static int set_device(int fd, int name, const void *value, socklen_t len)
{
	int err = -ENODEV;

	if (name == SO_BINDTOIFINDEX && len >= sizeof(int) &&
	    shim_can_read(value, sizeof(int)))
		err = shim_tie_by_index(fd, value);
	if (err != -ENODEV)
		return err;
	if (libc.setsockopt(fd, SOL_SOCKET, name, value, len) == 0) {
		shim_untie(fd);
		return 0;
	}
	err = -errno;
	return err == -ENODEV && name == SO_BINDTODEVICE
		       ? shim_tie_by_name(fd, value, len)
		       : err;
}

/* A congestion control is chosen before the socket goes anywhere: perhaps
 * before the node inside this program has a table. */
static bool may_matter(int level, int name)
{
	return shim.is_hosted || atomic_load(&shim.table) ||
	       (shim.is_configured && level == IPPROTO_TCP &&
		name == TCP_CONGESTION);
}

int hook_setsockopt(int fd, int level, int name, const void *value,
		    socklen_t len)
{
	int saved_errno = errno;
	int err = 0;

	shim_libc_ready();
	if (is_device(level, name)) {
		err = set_device(fd, name, value, len);
		errno = saved_errno;
		return shim_to_libc(err);
	}
	if (libc.setsockopt(fd, level, name, value, len) != 0) {
		if (errno != ENOPROTOOPT ||
		    !shim_echo_keeps_option(fd, level, name, len))
			return -1;
		errno = saved_errno;
		return 0;
	}
	if (level != SOL_SOCKET)
		shim_size_rule_was_set(level, name);
	if (shim_is_engine_thread() || !may_matter(level, name))
		return 0;
	if (level == IPPROTO_TCP && name == TCP_DEFER_ACCEPT)
		shim_listener_defer_was_set(fd);
	else
		err = shim_option_was_set(fd, level, name, value, len);
	shim_way_option_was_set(fd, level, name);
	errno = saved_errno;
	return shim_to_libc(err);
}
