/* SPDX-License-Identifier: BSD-3-Clause
 * hook_process.c - calls that make what other hooks meet, and that end it
 *
 * exit() runs libtsnet's destructor, which delivers what was sent. _exit and
 * its kin run nothing, so the node inside the program is asked to deliver
 * before. (Death by a signal asks nobody.)
 *
 * An MPTCP socket cannot be completed by connecting back to it, so programs
 * get plain TCP, which is what MPTCP becomes with any peer that has none. For
 * refused ICMP sockets see echo_socket.c.
 */
#include <netinet/in.h>

#include "shim/hooks.h"
#include "shim/libc_table.h"
#include "shim/shim.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

int hook_socket(int domain, int type, int protocol)
{
	int saved_errno = errno;
	int fd;

	shim_libc_ready();
	if (protocol == IPPROTO_MPTCP && !shim_is_engine_thread() &&
	    (domain == AF_INET || domain == AF_INET6))
		protocol = IPPROTO_TCP;
	fd = libc.socket(domain, type, protocol);
	if (fd >= 0)
		shim_listener_is_fresh(fd, type);
	if (fd >= 0 || (errno != EACCES && errno != EPERM))
		return fd;
	fd = shim_echo_open(domain, type, protocol, errno);
	errno = fd < 0 ? -fd : saved_errno;
	return fd < 0 ? -1 : fd;
}

static void deliver(void)
{
	if (!shim_is_engine_thread() && shim_host_is_here())
		shim_host_drain(true);
}

/* _Exit is the same under another name. */
void hook__exit(int status)
{
	shim_libc_ready();
	deliver();
	for (;;)
		libc._exit(status);
}

void hook__Exit(int status)
{
	hook__exit(status);
}

void hook_quick_exit(int status)
{
	shim_libc_ready();
	deliver();
	for (;;)
		libc.quick_exit(status);
}
