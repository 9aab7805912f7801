/* SPDX-License-Identifier: BSD-3-Clause
 * notify_send.c - addressed sends of programs that cannot be preloaded
 *
 * What is addressed to the tailnet is sent by us, from a copy of the program's
 * bytes, to the loopback address that stands for its destination. All else
 * goes on as it was called. MSG_FASTOPEN is connect and send in one call, and
 * becomes just that; a TCP send without it ignores its address, as natively.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "core/host/notify_message.h"

#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif

enum { MESSAGES_MAX = 1024 /* UIO_MAXIOV: what sendmmsg takes */ };
enum { OPENS = INT_MIN + 2 /* beside NOTIFY_CONTINUE: to be connected */ };

struct outgoing {
	const struct notify_call *call;
	struct notify_room *room;
	struct notify_msghdr head;
	struct notify_sockaddr to;
	int fd, flags;
	bool is_open; /* by MSG_FASTOPEN, in this call */
};

/* -- whose is it? --------------------------------------------------------- */

/* An AF_INET socket takes AF_UNSPEC for AF_INET. */
static int read_name(struct outgoing *out)
{
	int err = ts_notify_read_sockaddr(out->call, out->head.name,
					  (uint64_t)(uint32_t)
						  out->head.name_len,
					  &out->to);
	struct sockaddr *sa = (struct sockaddr *)&out->to.native;

	if (err || out->to.is_inet || sa->sa_family != AF_UNSPEC)
		return err;
	sa->sa_family = AF_INET;
	out->to.is_inet = ts_addr_from_sockaddr(sa, out->to.len,
						&out->to.addr) == 0;
	sa->sa_family = AF_UNSPEC;
	return 0;
}

static bool fits_family(int domain, sa_family_t family)
{
	return domain == AF_INET ? family != AF_INET6 : family != AF_UNSPEC;
}

/* 0: it is for us to send, out->fd is open; NOTIFY_CONTINUE, OPENS, -errno. */
static int claim(struct outgoing *out)
{
	const struct notify_call *call = out->call;
	int err = read_name(out);
	int domain, protocol;

	if (err)
		return err;
	if (!out->to.is_inet ||
	    !ts_notify_claims(call->tree->host, &out->to.addr)) {
		if (out->flags & MSG_FASTOPEN)
			ts_notify_made_leave(call);
		return NOTIFY_CONTINUE;
	}
	if (out->fd < 0)
		out->fd = ts_notify_fetch(call, (int)call->args[0]);
	if (out->fd < 0)
		return out->fd == -EISCONN ? NOTIFY_CONTINUE : out->fd;
	domain = ts_notify_domain(out->fd);
	protocol = ts_notify_option(out->fd, SOL_SOCKET, SO_PROTOCOL);
	if ((domain != AF_INET && domain != AF_INET6) ||
	    !fits_family(domain, out->to.native.ss_family))
		return NOTIFY_CONTINUE; /* the kernel's own complaint */
	if (protocol == IPPROTO_TCP && (!(out->flags & MSG_FASTOPEN) ||
					domain != out->to.native.ss_family))
		return NOTIFY_CONTINUE;
	if (protocol == IPPROTO_TCP)
		return out->is_open ? 0 : OPENS;
	return protocol == IPPROTO_UDP ? 0 : -ENETUNREACH;
}

/* -- sending -------------------------------------------------------------- */

/* What the kernel allows by the rights of who calls, and those are ours. */
static bool needs_rights(const struct msghdr *msg)
{
	for (const struct cmsghdr *c = CMSG_FIRSTHDR(msg); c;
	     c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)msg,
			     (struct cmsghdr *)(uintptr_t)c))
		if (c->cmsg_level == SOL_SOCKET &&
		    (c->cmsg_type == SO_MARK || c->cmsg_type == SO_PRIORITY))
			return true;
	return false;
}

static int take_control(struct outgoing *out, struct msghdr *msg,
			uint8_t room[static TS_CONTROL_CAP])
{
	const struct ts_host *host = out->call->tree->host;
	struct msghdr copy;
	int err;

	if (!out->head.control || !out->head.control_len)
		return 0;
	if (out->head.control_len > NOTIFY_CONTROL_CAP)
		return -ENOBUFS;
	err = ts_notify_read(out->call, out->head.control, out->room->control,
			     (size_t)out->head.control_len);
	if (err)
		return err;
	msg->msg_control = out->room->control;
	msg->msg_controllen = (size_t)out->head.control_len;
	if (needs_rights(msg))
		return -EPERM;
	if (!ts_control_has_source(msg))
		return 0;
	copy = *msg;
	return ts_control_rewrite(ts_table_layout(host->table), &copy, msg,
				  room);
}

/* Bytes, or -errno. */
static int send_claimed(struct outgoing *out)
{
	_Alignas(struct cmsghdr) uint8_t control[TS_CONTROL_CAP];
	struct sockaddr_storage virtual;
	struct iovec iov = {.iov_base = out->room->data};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t len;
	int ret;

	if (out->is_open)
		ts_notify_room_cut(out->room); /* a stream: the rest later */
	len = ts_notify_gather(out->call, out->room);
	if (len < 0)
		return (int)len;
	iov.iov_len = (size_t)len;
	ret = take_control(out, &msg, control);
	if (!ret && !out->is_open) {
		ret = ts_notify_way(out->call, out->fd, &out->to.addr,
				    &virtual);
		msg.msg_name = &virtual;
		msg.msg_namelen = (socklen_t)ret;
	}
	if (ret < 0)
		return ret;
	len = sendmsg(out->fd, &msg, (out->flags & ~MSG_FASTOPEN) |
					     MSG_DONTWAIT | MSG_NOSIGNAL);
	return len < 0 ? -errno : (int)len;
}

static int send_vector(struct outgoing *out)
{
	int err = claim(out);

	if (!err)
		err = ts_notify_room_vector(out->call, out->room, &out->head);
	return err ? err : send_claimed(out);
}

static int send_plain(struct outgoing *out)
{
	const struct notify_call *call = out->call;
	int err;

	out->flags = (int)call->args[3];
	out->head.name = call->args[4];
	out->head.name_len = (int32_t)call->args[5];
	err = claim(out);
	if (err)
		return err;
	ts_notify_room_plain(out->room, call->args[1], call->args[2]);
	return send_claimed(out);
}

static int send_message(struct outgoing *out)
{
	const struct notify_call *call = out->call;
	int err = ts_notify_read(call, call->args[1], &out->head,
				 sizeof(out->head));

	out->flags = (int)call->args[2];
	if (err == -EFAULT || (!err && !out->head.name))
		return NOTIFY_CONTINUE;
	return err ? err : send_vector(out);
}

/* -- many ----------------------------------------------------------------- */

/* Those for the host's network go on only when there are no others, since we
 * cannot say how many of them. */
static int send_native(struct outgoing *out)
{
	struct msghdr msg = {0};
	struct iovec iov = {.iov_base = out->room->data};
	_Alignas(struct cmsghdr) uint8_t control[NOTIFY_CONTROL_CAP];
	ssize_t len;
	int err = ts_notify_room_vector(out->call, out->room, &out->head);

	if (err)
		return err;
	len = ts_notify_gather(out->call, out->room);
	if (len < 0)
		return (int)len;
	iov.iov_len = (size_t)len;
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	msg.msg_name = out->to.len ? &out->to.native : NULL;
	msg.msg_namelen = out->to.len;
	if (out->head.control && out->head.control_len) {
		if (out->head.control_len > sizeof(control))
			return -ENOBUFS;
		err = ts_notify_read(out->call, out->head.control, control,
				     (size_t)out->head.control_len);
		if (err)
			return err;
		msg.msg_control = control;
		msg.msg_controllen = (size_t)out->head.control_len;
		if (needs_rights(&msg))
			return -EPERM;
	}
	len = sendmsg(out->fd, &msg, out->flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	return len < 0 ? -errno : (int)len;
}

static uint64_t message_at(const struct notify_call *call, uint32_t i)
{
	return call->args[1] + i * sizeof(struct notify_mmsghdr);
}

/* Reads the i-th: is it for us? As claim(). */
static int claim_nth(struct outgoing *out, uint32_t i)
{
	struct notify_mmsghdr msg;
	int err = ts_notify_read(out->call, message_at(out->call, i), &msg,
				 sizeof(msg));

	if (err)
		return err;
	out->head = msg.head;
	memset(&out->to, 0, sizeof(out->to));
	err = msg.head.name ? claim(out) : NOTIFY_CONTINUE;
	return err == OPENS ? -EOPNOTSUPP : err;
}

static bool has_claimed(struct outgoing *out, uint32_t count, int *err)
{
	for (uint32_t i = 0; i < count; i++) {
		*err = claim_nth(out, i);
		if (*err != NOTIFY_CONTINUE)
			return *err != -EFAULT;
	}
	return false;
}

static int send_nth(struct outgoing *out, uint32_t i)
{
	int ret = claim_nth(out, i);

	if (ret == NOTIFY_CONTINUE)
		return send_native(out);
	if (!ret)
		ret = ts_notify_room_vector(out->call, out->room, &out->head);
	return ret ? ret : send_claimed(out);
}

static int send_many(struct outgoing *out)
{
	const struct notify_call *call = out->call;
	uint32_t count = (uint32_t)call->args[2];
	int ret = 0;
	uint32_t i;

	out->flags = (int)call->args[3];
	if (count > MESSAGES_MAX)
		count = MESSAGES_MAX;
	if (!has_claimed(out, count, &ret))
		return NOTIFY_CONTINUE;
	if (out->fd < 0)
		return ret;
	for (i = 0; i < count; i++) {
		uint32_t len;

		ret = send_nth(out, i);
		if (ret < 0)
			break;
		len = (uint32_t)ret;
		ret = ts_notify_write(call,
				      message_at(call, i) +
					      offsetof(struct notify_mmsghdr,
						       len),
				      &len, sizeof(len));
		if (ret)
			break;
	}
	return i > 0 ? (int)i : ret;
}

/* -- the calls ------------------------------------------------------------ */

static int send_by_call(struct outgoing *out)
{
	out->room = ts_notify_room(out->call->tree->notify);
	if (!out->room)
		return -ENOMEM;
	switch (out->call->nr) {
	case SYS_sendto:
		return send_plain(out);
	case SYS_sendmsg:
		return send_message(out);
	default:
		return send_many(out);
	}
}

/* Held, the queue was full: once more. */
static int send_held(const struct notify_call *call, int fd)
{
	struct outgoing out = {.call = call, .fd = fd};
	int ret = send_by_call(&out);

	return ret == NOTIFY_CONTINUE ? -EINVAL : ret; /* it was changed */
}

static int send_opened(const struct notify_call *call, int fd)
{
	struct outgoing out = {.call = call, .fd = fd, .is_open = true};
	int ret = ts_notify_connect_end(call, fd);

	if (!ret)
		ret = send_by_call(&out);
	return ret == NOTIFY_CONTINUE ? -EINVAL : ret;
}

/* Without waiting the data stays with the program, as it does natively where
 * the peer is not known yet. */
static int open_and_send(struct outgoing *out)
{
	int ret = ts_notify_connect_begin(out->call, out->fd, &out->to.addr);

	out->is_open = !ret;
	return ret ? ret : send_by_call(out);
}

int ts_notify_send(const struct notify_call *call)
{
	struct outgoing out = {.call = call, .fd = -1};
	struct notify_hold hold = {.fn = send_held, .events = TS_WRITABLE,
				   .limit_result = -EAGAIN};
	int ret = send_by_call(&out);

	if (ret == OPENS) {
		ret = open_and_send(&out);
		hold.fn = send_opened;
		hold.limit_result = ret;
	}
	if ((ret == -EAGAIN || ret == -EINPROGRESS || ret == -EALREADY) &&
	    !(out.flags & MSG_DONTWAIT) && out.fd >= 0 &&
	    ts_notify_is_blocking(out.fd)) {
		hold.fd = out.fd;
		hold.limit_ms = ts_notify_time_limit(out.fd, SO_SNDTIMEO);
		return ts_notify_hold(call, &hold);
	}
	ts_hurry_drop(out.fd);
	return ret == -EPERM && out.fd < 0 ? -EACCES : ret;
}
