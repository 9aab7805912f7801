/* SPDX-License-Identifier: BSD-3-Clause
 * socket_copy.c - a fresh UDP socket in place of a program's
 *
 * Where the kernel leaves no other way: an ICMP socket cannot be made to talk
 * with the host, and a bound UDP socket cannot be unbound. The descriptor
 * keeps its number and flags, the socket the options that matter. What cannot
 * come along: registrations with epoll, and duplicates made before.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/time.h>
#include <unistd.h>

#include "core/base/err.h"
#include "shim/libc_table.h"
#include "shim/shim.h"

static const struct {
	int level, name;
} int_options[] = {
	{SOL_SOCKET, SO_REUSEADDR},
	{SOL_SOCKET, SO_REUSEPORT},
	{SOL_SOCKET, SO_BROADCAST},
	{SOL_SOCKET, SO_PRIORITY},
	{SOL_SOCKET, SO_TIMESTAMP},
	{SOL_SOCKET, SO_TIMESTAMPNS},
	{SOL_SOCKET, SO_TIMESTAMPING},
	{SOL_SOCKET, SO_RXQ_OVFL},
	{IPPROTO_IP, IP_TOS},
	{IPPROTO_IP, IP_TTL},
	{IPPROTO_IP, IP_RECVTTL},
	{IPPROTO_IP, IP_RECVTOS},
	{IPPROTO_IP, IP_RECVERR},
	{IPPROTO_IP, IP_PKTINFO},
	{IPPROTO_IP, IP_RETOPTS},
	{IPPROTO_IP, IP_MTU_DISCOVER},
	{IPPROTO_IP, IP_MULTICAST_TTL},
	{IPPROTO_IP, IP_MULTICAST_LOOP},
	{IPPROTO_IPV6, IPV6_V6ONLY},
	{IPPROTO_IPV6, IPV6_RECVERR},
	{IPPROTO_IPV6, IPV6_RECVPKTINFO},
	{IPPROTO_IPV6, IPV6_RECVHOPLIMIT},
	{IPPROTO_IPV6, IPV6_RECVTCLASS},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS},
	{IPPROTO_IPV6, IPV6_TCLASS},
	{IPPROTO_IPV6, IPV6_MTU_DISCOVER},
	{IPPROTO_IPV6, IPV6_MULTICAST_HOPS},
};

static void copy_options(int from, int to)
{
	static const int sizes[] = {SO_RCVBUF, SO_SNDBUF};
	static const int times[] = {SO_RCVTIMEO, SO_SNDTIMEO};
	struct timeval limit;
	int value, now;

	for (size_t i = 0; i < ARRAY_LEN(int_options); i++) {
		value = shim_native_option(from, int_options[i].level,
					   int_options[i].name);
		now = shim_native_option(to, int_options[i].level,
					 int_options[i].name);
		if (value >= 0 && value != now)
			libc.setsockopt(to, int_options[i].level,
					int_options[i].name, &value,
					sizeof(value));
	}
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		value = shim_native_option(from, SOL_SOCKET, sizes[i]);
		value /= 2; /* the kernel doubles what is set */
		if (value > 0)
			libc.setsockopt(to, SOL_SOCKET, sizes[i], &value,
					sizeof(value));
	}
	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		socklen_t len = sizeof(limit);

		if (libc.getsockopt(from, SOL_SOCKET, times[i], &limit, &len) ==
		    0)
			libc.setsockopt(to, SOL_SOCKET, times[i], &limit, len);
	}
}

int shim_socket_replace(int fd, int domain)
{
	int flags = fcntl(fd, F_GETFL), fd_flags = fcntl(fd, F_GETFD);
	int fresh = libc.socket(domain, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
	int err = 0;

	if (fresh < 0)
		return -errno;
	copy_options(fd, fresh);
	if (flags == -1 || fd_flags == -1 ||
	    fcntl(fresh, F_SETFL, flags & (O_NONBLOCK | O_ASYNC)) == -1 ||
	    dup3(fresh, fd, fd_flags & FD_CLOEXEC ? O_CLOEXEC : 0) < 0)
		err = -errno;
	shim_close(fresh);
	return err;
}
