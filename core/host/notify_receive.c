/* SPDX-License-Identifier: BSD-3-Clause
 * notify_receive.c - whom a datagram is from, for programs without the shim
 *
 * The kernel would tell the loopback address that stands for the sender. So we
 * receive, from the program's own socket, and write what came into its memory,
 * with the tailnet's names. Only sockets that can hear from the tailnet are
 * treated so: of datagrams, and not connected to somebody else.
 *
 * recvmmsg returns what is there, at least one; a program that asked to wait
 * for all of them gets fewer, as it does natively at a signal.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "core/host/notify_message.h"

enum { MESSAGES_A_CALL = 64 };

struct incoming {
	const struct notify_call *call;
	struct notify_room *room;
	struct notify_msghdr head; /* as the program gave it */
	struct sockaddr_storage name;
	struct msghdr msg;
	int fd, flags;
};

/* -- one message ---------------------------------------------------------- */

/* As the tailnet has it; a local sender is told as it is. */
static void show(struct incoming *in)
{
	struct sockaddr *sa = (struct sockaddr *)&in->name;
	struct ts_flow_entry entry;
	struct ts_addr from;
	int len;

	if (!ts_sockaddr_is_loopback(sa, in->msg.msg_namelen) ||
	    ts_addr_from_sockaddr(sa, in->msg.msg_namelen, &from) ||
	    !ts_notify_way_back(in->call->tree->host, &from, &entry))
		return;
	ts_control_show(&in->msg, &entry, 0);
	len = ts_addr_to_sockaddr(&entry.tailnet_remote, sa->sa_family,
				  &in->name);
	if (len > 0)
		in->msg.msg_namelen = (socklen_t)len;
}

/* Bytes, or -errno; -EAGAIN: nothing there. */
static int receive(struct incoming *in)
{
	struct iovec iov = {.iov_base = in->room->data,
			    .iov_len = in->room->data_cap};
	size_t control_cap = (size_t)in->head.control_len;
	ssize_t len;

	if (control_cap > NOTIFY_CONTROL_CAP)
		control_cap = NOTIFY_CONTROL_CAP;
	memset(&in->msg, 0, sizeof(in->msg));
	in->msg.msg_name = &in->name;
	in->msg.msg_namelen = sizeof(in->name);
	in->msg.msg_iov = &iov;
	in->msg.msg_iovlen = 1;
	in->msg.msg_control = in->head.control ? in->room->control : NULL;
	in->msg.msg_controllen = in->head.control ? control_cap : 0;
	len = recvmsg(in->fd, &in->msg, in->flags | MSG_DONTWAIT);
	if (len < 0)
		return -errno;
	show(in);
	return (int)len;
}

static size_t copied(const struct incoming *in, int len)
{
	size_t n = (size_t)len; /* with MSG_TRUNC more than there was room */

	return n < in->room->data_cap ? n : in->room->data_cap;
}

/* -- recvfrom ------------------------------------------------------------- */

static int receive_plain(struct incoming *in)
{
	const struct notify_call *call = in->call;
	int len, err;

	in->flags = (int)call->args[3];
	ts_notify_room_plain(in->room, call->args[1], call->args[2]);
	len = receive(in);
	if (len < 0)
		return len;
	err = ts_notify_scatter(call, in->room, copied(in, len));
	if (!err)
		err = ts_notify_write_sockaddr(call, call->args[4],
					       call->args[5], &in->name,
					       in->msg.msg_namelen);
	return err ? err : len;
}

/* -- recvmsg, recvmmsg ---------------------------------------------------- */

static int write_name(const struct incoming *in)
{
	int32_t cap = in->head.name_len;

	if (!in->head.name)
		return 0;
	if (cap > (int32_t)in->msg.msg_namelen)
		cap = (int32_t)in->msg.msg_namelen;
	return ts_notify_write(in->call, in->head.name, &in->name,
			       (size_t)cap);
}

/* at: of the message's header in the program. */
static int write_message(struct incoming *in, uint64_t at, int len)
{
	struct notify_msghdr head = in->head;
	int err = ts_notify_scatter(in->call, in->room, copied(in, len));

	if (!err)
		err = write_name(in);
	if (!err && in->msg.msg_controllen)
		err = ts_notify_write(in->call, in->head.control,
				      in->room->control,
				      in->msg.msg_controllen);
	if (err)
		return err;
	if (head.name)
		head.name_len = (int32_t)in->msg.msg_namelen;
	head.control_len = in->msg.msg_controllen;
	head.flags = (uint32_t)in->msg.msg_flags & ~(uint32_t)MSG_CMSG_CLOEXEC;
	return ts_notify_write(in->call, at, &head, sizeof(head));
}

static int receive_at(struct incoming *in, uint64_t at)
{
	int err = ts_notify_read(in->call, at, &in->head, sizeof(in->head));
	int len;

	if (!err && in->head.name && in->head.name_len < 0)
		err = -EINVAL;
	if (!err)
		err = ts_notify_room_vector(in->call, in->room, &in->head);
	if (err)
		return err;
	len = receive(in);
	if (len < 0)
		return len;
	err = write_message(in, at, len);
	return err ? err : len;
}

static int receive_message(struct incoming *in)
{
	in->flags = (int)in->call->args[2];
	return receive_at(in, in->call->args[1]);
}

static int receive_many(struct incoming *in)
{
	const struct notify_call *call = in->call;
	uint32_t count = (uint32_t)call->args[2], i;
	int ret = 0;

	in->flags = (int)call->args[3] & ~MSG_WAITFORONE;
	if (count > MESSAGES_A_CALL)
		count = MESSAGES_A_CALL;
	for (i = 0; i < count; i++) {
		uint64_t at = call->args[1] + i * sizeof(struct notify_mmsghdr);
		uint32_t len;

		ret = receive_at(in, at);
		if (ret < 0)
			break;
		len = (uint32_t)ret;
		ret = ts_notify_write(
			call, at + offsetof(struct notify_mmsghdr, len), &len,
			sizeof(len));
		if (ret)
			break;
	}
	return i > 0 ? (int)i : ret;
}

/* -- the calls ------------------------------------------------------------ */

static int receive_by_call(const struct notify_call *call, int fd)
{
	struct incoming in = {.call = call, .fd = fd};

	in.room = ts_notify_room(call->tree->notify);
	if (!in.room)
		return -ENOMEM;
	switch (call->nr) {
	case SYS_recvfrom:
		return receive_plain(&in);
	case SYS_recvmsg:
		return receive_message(&in);
	default:
		return receive_many(&in);
	}
}

/* Can it hear from the tailnet? */
static bool is_ours(const struct notify_call *call, int fd)
{
	struct ts_addr peer;
	int domain = ts_notify_domain(fd);

	if ((domain != AF_INET && domain != AF_INET6) ||
	    ts_notify_option(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_UDP)
		return false;
	if (ts_sock_peer(fd, &peer) == 0)
		return ts_ip_is_loopback(&peer.ip);
	(void)ts_notify_meet_datagrams(call->tree->host, fd);
	return true;
}

static bool may_wait(const struct notify_call *call, int fd)
{
	int flags = (int)call->args[call->nr == SYS_recvmsg ? 2 : 3];

	return !(flags & (MSG_DONTWAIT | MSG_ERRQUEUE)) &&
	       ts_notify_is_blocking(fd);
}

/* recvmmsg's own: struct timespec. */
static uint64_t call_limit(const struct notify_call *call)
{
	int64_t limit[2];

	if (call->nr != SYS_recvmmsg || !call->args[4] ||
	    ts_notify_read(call, call->args[4], limit, sizeof(limit)) ||
	    limit[0] < 0 || limit[0] > INT32_MAX || limit[1] < 0)
		return 0;
	return (uint64_t)limit[0] * 1000 + (uint64_t)limit[1] / 1000000 + 1;
}

int ts_notify_receive(const struct notify_call *call)
{
	struct notify_hold hold = {.fn = receive_by_call,
				   .events = TS_READABLE,
				   .limit_result = -EAGAIN};
	int ret;

	hold.fd = ts_notify_fetch(call, (int)call->args[0]);
	if (hold.fd < 0)
		return NOTIFY_CONTINUE;
	if (!is_ours(call, hold.fd)) {
		ts_hurry_drop(hold.fd);
		return NOTIFY_CONTINUE;
	}
	ret = receive_by_call(call, hold.fd);
	if (ret == -EAGAIN && may_wait(call, hold.fd)) {
		hold.limit_ms = call_limit(call);
		if (!hold.limit_ms)
			hold.limit_ms = ts_notify_time_limit(hold.fd,
							     SO_RCVTIMEO);
		return ts_notify_hold(call, &hold);
	}
	ts_hurry_drop(hold.fd);
	return ret;
}
