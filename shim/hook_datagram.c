/* SPDX-License-Identifier: BSD-3-Clause
 * hook_datagram.c - addressed sends
 *
 * Datagrams to the tailnet fail closed: ENETUNREACH, never the host network.
 * TCP's MSG_FASTOPEN is connect and send in one call, and becomes just that.
 * A TCP send without it ignores its address, as natively.
 */
#include <netinet/in.h>

#include "shim/hooks.h"
#include "shim/libc_table.h"
#include "shim/shim.h"

#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif

/* May what is to be sent to addr go to libc? 0: as it is; 1: the socket is
 * connected now, without address and MSG_FASTOPEN; or a negative errno. */
static int check(int fd, const struct sockaddr *addr, socklen_t len, int flags)
{
	struct ts_addr dst;
	char text[TS_ADDR_TEXT_CAP];
	int err;

	if (!shim_claims(addr, len, &dst))
		return 0;
	if (shim_native_is_tcp(fd)) {
		if (!(flags & MSG_FASTOPEN))
			return 0;
		err = shim_connect_tailnet(fd, addr, len, &dst);
		return err ? err : 1;
	}
	if (shim_native_domain(fd) < 0)
		return 0; /* not a socket: the kernel's own complaint */
	shim_note("send: fd %d to %s: no datagrams yet", fd,
		  ts_addr_format(&dst, text));
	return -ENETUNREACH;
}

ssize_t hook_sendto(int fd, const void *buf, size_t len, int flags,
		    const struct sockaddr *addr, socklen_t addr_len)
{
	int saved_errno = errno;
	int ret;

	shim_libc_ready();
	if (!addr)
		return libc.sendto(fd, buf, len, flags, addr, addr_len);
	ret = check(fd, addr, addr_len, flags);
	errno = saved_errno;
	if (ret < 0)
		return shim_to_libc(ret);
	if (ret == 0)
		return libc.sendto(fd, buf, len, flags, addr, addr_len);
	return libc.sendto(fd, buf, len, flags & ~MSG_FASTOPEN, NULL, 0);
}

static ssize_t send_message(int fd, const struct msghdr *msg, int flags)
{
	struct msghdr connected;
	int saved_errno = errno;
	int ret = check(fd, msg->msg_name, msg->msg_namelen, flags);

	errno = saved_errno;
	if (ret < 0)
		return shim_to_libc(ret);
	if (ret == 0)
		return libc.sendmsg(fd, msg, flags);
	connected = *msg;
	connected.msg_name = NULL;
	connected.msg_namelen = 0;
	return libc.sendmsg(fd, &connected, flags & ~MSG_FASTOPEN);
}

ssize_t hook_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	shim_libc_ready();
	if (!shim_can_read(msg, sizeof(*msg)) || !msg->msg_name)
		return libc.sendmsg(fd, msg, flags);
	return send_message(fd, msg, flags);
}

static bool is_claimed(const struct msghdr *msg)
{
	struct ts_addr dst;

	return msg->msg_name &&
	       shim_claims(msg->msg_name, msg->msg_namelen, &dst);
}

/* Those before the first tailnet one go out natively; it is the next call's
 * business then. */
int hook_sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
	unsigned native = 0;
	ssize_t len;

	shim_libc_ready();
	if (!shim_can_read(msgs, sizeof(*msgs)))
		return libc.sendmmsg(fd, msgs, count, flags);
	while (native < count &&
	       shim_can_read(&msgs[native], sizeof(*msgs)) &&
	       !is_claimed(&msgs[native].msg_hdr))
		native++;
	if (native > 0 || count == 0)
		return libc.sendmmsg(fd, msgs, native, flags);
	len = send_message(fd, &msgs[0].msg_hdr, flags);
	if (len < 0)
		return -1;
	msgs[0].msg_len = (unsigned)len;
	return 1;
}
