/* SPDX-License-Identifier: BSD-3-Clause
 * api_flows.c - a UDP port whose remote ends get a descriptor each
 *
 * The listener is one end of a pair of AF_UNIX sockets; the host has the other,
 * and sends a connected UDP socket by it for each remote end that is new
 * (core/host/datagram_listener.c).
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/engine/api_internal.h"

/* The host chooses a native address, which no socket of ours has: a name for
 * the record. */
static int tell(struct tsnet *ts, int family, struct ts_addr *asked,
		int host_end)
{
	struct ts_broker_request req = {.type = TS_BROKER_BIND,
					.proto = IPPROTO_UDP,
					.tailnet = *asked};
	struct ts_broker_reply rep;
	int err;

	if (family == 6)
		req.flags = TS_BROKER_V6_ONLY;
	err = api_host_ask(ts, &req, -1, &rep);
	if (err)
		return err;
	if (asked->port == 0)
		asked->port = rep.native.port;
	req.type = TS_BROKER_LISTEN;
	req.flags |= TS_BROKER_FLOWS;
	req.native_local = rep.native;
	req.tailnet = *asked;
	return api_host_ask(ts, &req, host_end, &rep);
}

int api_listen_flows(struct tsnet *ts, int family, struct ts_addr *asked)
{
	struct api_listener l = {.is_flows = true};
	int ends[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	err = tell(ts, family, asked, ends[1]);
	close(ends[1]);
	l.fd = ends[0];
	l.local = *asked;
	if (!err)
		err = api_remember(ts, &l);
	if (!err)
		return ends[0];
	close(ends[0]);
	return err;
}

/* -ENETDOWN: the host has closed its end. */
static int receive_fd(int listener)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char note;
	struct iovec iov = {&note, sizeof(note)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(listener, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int fd;

	if (n < 0)
		return -errno;
	if (n == 0)
		return -ENETDOWN;
	if (!c || c->cmsg_len != CMSG_LEN(sizeof(fd)))
		return -EMFILE; /* no room for it: it is gone */
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

int api_accept_flow(struct tsnet *ts, int listener)
{
	int fd = -EAGAIN;

	while (fd == -EAGAIN || fd == -EINTR) { /* another may be faster */
		int err = api_wait_readable(ts, listener);

		if (err)
			return err;
		fd = receive_fd(listener);
		if (fd == -EAGAIN && api_is_nonblocking(listener))
			break;
	}
	return fd == -ENETDOWN ? -EBADF : fd;
}
