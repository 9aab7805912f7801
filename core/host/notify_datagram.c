/* SPDX-License-Identifier: BSD-3-Clause
 * notify_datagram.c - addressed sends of programs that cannot be preloaded
 *
 * Datagrams to the tailnet fail closed: ENETUNREACH, never the host network.
 * MSG_FASTOPEN to the tailnet is answered as by a kernel that has it switched
 * off, and programs fall back to connect(). A TCP send without it ignores its
 * address, as natively.
 */
#include <errno.h>
#include <sys/socket.h>

#include "core/host/notify.h"

#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif

enum { MESSAGES_MAX = 1024 /* UIO_MAXIOV: what sendmmsg takes */ };

static int check(const struct notify_call *call, uint64_t at, uint64_t len,
		 int flags)
{
	struct notify_sockaddr to;
	int err = ts_notify_read_sockaddr(call, at, len, &to);
	int fd, domain;
	bool is_tcp;

	if (err)
		return err;
	if (!to.is_inet || !ts_notify_claims(call->tree->host, &to.addr))
		return NOTIFY_CONTINUE;
	fd = ts_notify_fetch(call, (int)call->args[0]);
	if (fd < 0)
		return fd;
	is_tcp = ts_notify_is_tcp(fd);
	domain = ts_notify_domain(fd);
	ts_sock_close(fd);
	if (is_tcp)
		return flags & MSG_FASTOPEN ? -EOPNOTSUPP : NOTIFY_CONTINUE;
	return domain == AF_INET || domain == AF_INET6 ? -ENETUNREACH
						       : NOTIFY_CONTINUE;
}

int ts_notify_sendto(const struct notify_call *call)
{
	return check(call, call->args[4], call->args[5], (int)call->args[3]);
}

int ts_notify_sendmsg(const struct notify_call *call)
{
	struct msghdr msg;
	int err = ts_notify_read(call, call->args[1], &msg, sizeof(msg));

	if (err == -ESRCH)
		return err;
	if (err || !msg.msg_name)
		return err == -EPERM ? -EACCES : NOTIFY_CONTINUE;
	return check(call, (uintptr_t)msg.msg_name, msg.msg_namelen,
		     (int)call->args[2]);
}

/* One that may not go by the host's network keeps all from going. */
int ts_notify_sendmmsg(const struct notify_call *call)
{
	uint32_t count = (uint32_t)call->args[2];
	struct mmsghdr msg;

	for (uint32_t i = 0; i < count && i < MESSAGES_MAX; i++) {
		int err = ts_notify_read(call, call->args[1] + i * sizeof(msg),
					 &msg, sizeof(msg));

		if (err == -ESRCH)
			return err;
		if (err)
			return err == -EPERM ? -EACCES : NOTIFY_CONTINUE;
		if (!msg.msg_hdr.msg_name)
			continue;
		err = check(call, (uintptr_t)msg.msg_hdr.msg_name,
			    msg.msg_hdr.msg_namelen, (int)call->args[3]);
		if (err != NOTIFY_CONTINUE)
			return err;
	}
	return NOTIFY_CONTINUE;
}
