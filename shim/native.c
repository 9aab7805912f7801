/* SPDX-License-Identifier: BSD-3-Clause
 * native.c - what the kernel says about a program's socket
 *
 * Small questions with ts_addr answers. None of them can block.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "shim/libc_table.h"
#include "shim/shim.h"

int shim_native_local(int fd, struct ts_addr *out)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (libc.getsockname(fd, (struct sockaddr *)&ss, &len) != 0)
		return -errno;
	return ts_addr_from_sockaddr((struct sockaddr *)&ss, len, out);
}

int shim_native_peer(int fd, struct ts_addr *out)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (libc.getpeername(fd, (struct sockaddr *)&ss, &len) != 0)
		return -errno;
	return ts_addr_from_sockaddr((struct sockaddr *)&ss, len, out);
}

int shim_native_bind(int fd, int domain, const struct ts_addr *addr)
{
	struct sockaddr_storage ss;
	int len = ts_addr_to_sockaddr(addr, domain, &ss);

	if (len < 0)
		return len;
	return libc.bind(fd, (struct sockaddr *)&ss, (socklen_t)len) ? -errno
								     : 0;
}

int shim_native_connect(int fd, int domain, const struct ts_addr *addr)
{
	struct sockaddr_storage ss;
	int len = ts_addr_to_sockaddr(addr, domain, &ss);

	if (len < 0)
		return len;
	return libc.connect(fd, (struct sockaddr *)&ss, (socklen_t)len)
		       ? -errno
		       : 0;
}

int shim_native_option(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	if (libc.getsockopt(fd, level, name, &value, &len) != 0)
		return -errno;
	return value;
}

int shim_native_domain(int fd)
{
	return shim_native_option(fd, SOL_SOCKET, SO_DOMAIN);
}

int shim_native_protocol(int fd)
{
	return shim_native_option(fd, SOL_SOCKET, SO_PROTOCOL);
}

bool shim_native_is_tcp(int fd)
{
	return shim_native_protocol(fd) == IPPROTO_TCP;
}

int shim_native_tcp_state(int fd)
{
	uint8_t state = 0; /* the first byte of struct tcp_info */
	socklen_t len = sizeof(state);

	if (libc.getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &len) != 0)
		return -errno;
	return state;
}

bool shim_native_is_v6_only(int fd)
{
	return shim_native_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1;
}

int shim_native_take_error(int fd)
{
	int err = shim_native_option(fd, SOL_SOCKET, SO_ERROR);

	return err > 0 ? -err : 0;
}

int shim_write_addr(const struct ts_addr *addr, int domain,
		    struct sockaddr *out, socklen_t *len)
{
	struct sockaddr_storage ss;
	int whole = ts_addr_to_sockaddr(addr, domain, &ss);

	if (whole < 0)
		return whole;
	memcpy(out, &ss, *len < (socklen_t)whole ? *len : (socklen_t)whole);
	*len = (socklen_t)whole;
	return 0;
}
