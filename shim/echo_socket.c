/* SPDX-License-Identifier: BSD-3-Clause
 * echo_socket.c - a UDP socket in place of one of ping's
 *
 * An ICMP socket's packets cannot be led to the host, a UDP socket's can. So
 * with the first packet to the tailnet a UDP socket takes the descriptor over
 * (socket_copy.c); what it carries are ICMP messages, and the host sends them
 * through the tunnel and gives the answers the form that the kernel would.
 *
 * Where the kernel refuses ICMP sockets of either type (no CAP_NET_RAW, no
 * ping_group_range), the program gets a stand-in at once: it can ping the
 * tailnet then, and hears the kernel's refusal when it tries anything else.
 * Where it only refuses one type, programs know to try the other one.
 *
 * A stand-in is marked in the kernel, by a value of SO_RCVLOWAT that nobody
 * else sets and that datagrams have no use for: so duplicates and children
 * know it, and a descriptor's number that is used again does not carry it.
 */
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <unistd.h>

#include "shim/libc_table.h"
#include "shim/shim.h"

enum {
	MARK = 0x54530000,
	MARK_MASK = 0x7fff0000,
	MARK_V6 = 1 << 0,
	MARK_RAW = 1 << 1,
	MARK_ERRNO_SHIFT = 8,
};

#ifndef SOL_RAW
#define SOL_RAW 255
#endif
#ifndef ICMP_FILTER
#define ICMP_FILTER 1
#endif
#ifndef ICMP6_FILTER
#define ICMP6_FILTER 1
#endif
#ifndef IPV6_CHECKSUM
#define IPV6_CHECKSUM 7
#endif

enum { TYPE_MASK = 0xf }; /* of socket(), without SOCK_NONBLOCK, ... */

static int put_mark(int fd, int domain, int type, int err)
{
	int mark = MARK | (err & 0xff) << MARK_ERRNO_SHIFT;

	if (domain == AF_INET6)
		mark |= MARK_V6;
	if (type == SOCK_RAW)
		mark |= MARK_RAW;
	if (libc.setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof(mark)) !=
	    0)
		return -errno;
	if (shim_native_option(fd, SOL_SOCKET, SO_RCVLOWAT) != mark)
		return -EOPNOTSUPP;
	atomic_store(&shim.has_echo_sockets, true);
	return 0;
}

static int mark_of(int fd)
{
	int mark;

	if (!atomic_load_explicit(&shim.has_echo_sockets, memory_order_relaxed))
		return 0;
	mark = shim_native_option(fd, SOL_SOCKET, SO_RCVLOWAT);
	return mark > 0 && (mark & MARK_MASK) == MARK ? mark : 0;
}

/* -- where the kernel refuses --------------------------------------------- */

static bool is_echo(int domain, int type, int protocol)
{
	type &= TYPE_MASK;
	return (type == SOCK_DGRAM || type == SOCK_RAW) &&
	       ((domain == AF_INET && protocol == IPPROTO_ICMP) ||
		(domain == AF_INET6 && protocol == IPPROTO_ICMPV6));
}

/* The kernel's other way to ping is the program's, or may be. */
static bool has_other_way(int domain, int type, int protocol)
{
	int other = (type & TYPE_MASK) == SOCK_RAW ? SOCK_DGRAM : SOCK_RAW;
	int fd = libc.socket(domain, other | SOCK_CLOEXEC, protocol);

	if (fd < 0)
		return false;
	shim_close(fd);
	return true;
}

int shim_echo_open(int domain, int type, int protocol, int err)
{
	int fd;

	if ((err != EACCES && err != EPERM) ||
	    !is_echo(domain, type, protocol) || shim_is_engine_thread() ||
	    !(shim.is_hosted || shim.is_configured ||
	      atomic_load(&shim.table)) ||
	    has_other_way(domain, type, protocol))
		return -err;
	fd = libc.socket(domain, SOCK_DGRAM | (type & ~TYPE_MASK), IPPROTO_UDP);
	if (fd < 0)
		return -err;
	if (put_mark(fd, domain, type & TYPE_MASK, err) == 0)
		return fd;
	shim_close(fd);
	return -err;
}

int shim_echo_replace(int fd, int domain)
{
	int type = shim_native_option(fd, SOL_SOCKET, SO_TYPE);
	int err = shim_socket_replace(fd, domain);

	return err ? err : put_mark(fd, domain, type, ENETUNREACH);
}

/* -- what it is ----------------------------------------------------------- */

uint8_t shim_echo_protocol(int fd)
{
	int mark = mark_of(fd);

	if (!mark)
		return 0;
	return mark & MARK_V6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
}

bool shim_echo_is_raw(int fd)
{
	return mark_of(fd) & MARK_RAW;
}

int shim_echo_refusal(int fd)
{
	int mark = mark_of(fd);

	return mark ? -(mark >> MARK_ERRNO_SHIFT & 0xff) : 0;
}

/* What these options do, the host does: it delivers the answers to what was
 * sent and nothing else, and fills in checksums. */
bool shim_echo_keeps_option(int fd, int level, int name, socklen_t len)
{
	if (len < sizeof(int) || !mark_of(fd))
		return false;
	return (level == SOL_RAW &&
		(name == ICMP_FILTER || name == IPV6_CHECKSUM)) ||
	       (level == IPPROTO_IPV6 && name == IPV6_CHECKSUM) ||
	       (level == IPPROTO_ICMPV6 && name == ICMP6_FILTER);
}
