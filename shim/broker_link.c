/* SPDX-License-Identifier: BSD-3-Clause
 * broker_link.c - one request and one reply over one connection
 *
 * A new SOCK_SEQPACKET connection each time: 10 us, and the program never
 * owns a descriptor that it does not know of for longer than the call; it may
 * close all it has, fork, or change root and user in between. What needs no
 * answer is a datagram.
 *
 * The path is tried first: its directory's permissions say whose it is. The
 * abstract name has none - when the host is dead, anyone may take it and be
 * handed our sockets - so whoever answers there must be root, our own user, or
 * the process that made the table we already have.
 *
 * All calls are bounded: 5 s to get through and to be answered, but for names
 * and binds, which the host holds until the node knows who it is.
 */
#include "shim/broker_link.h"

#include <pthread.h>
#include <string.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "shim/libc_table.h"

enum { ANSWER_S = 5, NODE_ANSWER_S = 65 };

union control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int set_limit(int fd, int name, int seconds)
{
	struct timeval limit = {.tv_sec = seconds};

	return libc.setsockopt(fd, SOL_SOCKET, name, &limit, sizeof(limit))
		       ? -errno
		       : 0;
}

static int connect_unix(const struct sockaddr_un *sun, socklen_t len)
{
	int fd = libc.socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = set_limit(fd, SO_SNDTIMEO, ANSWER_S);
	while (!err &&
	       libc.connect(fd, (const struct sockaddr *)sun, len) != 0)
		if (errno != EINTR)
			err = -errno;
	if (!err)
		return fd;
	shim_close(fd);
	return err;
}

static int connect_path(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	if (!*path)
		return -ENOENT;
	memcpy(sun.sun_path, path, strlen(path) + 1);
	return connect_unix(&sun, sizeof(sun));
}

static bool is_trusted(int fd)
{
	const struct ts_table_layout *table = atomic_load(&shim.table);
	struct ts_table_info info;
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);

	if (libc.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return false;
	if (peer.uid == 0 || peer.uid == geteuid())
		return true;
	return table && ts_table_read_info(table, &info) && info.host_pid &&
	       peer.pid == info.host_pid;
}

static int connect_abstract(const char *name)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	size_t len = strlen(name);
	int fd;

	if (len == 0)
		return -ENOENT;
	memcpy(sun.sun_path + 1, name, len);
	fd = connect_unix(&sun, (socklen_t)(offsetof(struct sockaddr_un,
						     sun_path) +
					    1 + len));
	if (fd >= 0 && !is_trusted(fd)) {
		shim_note("broker: a stranger listens on @%s", name);
		shim_close(fd);
		return -ECONNREFUSED;
	}
	return fd;
}

bool shim_host_is_gone(int err)
{
	switch (err) {
	case -ENOENT:
	case -ENOTDIR:
	case -EACCES: /* after a change of user or root */
	case -EPERM:
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -EPIPE:
	case -ENETDOWN:
		return true;
	default:
		return false;
	}
}

static int connect_broker(const struct shim_broker *broker)
{
	int fd = connect_path(broker->path);

	if (fd < 0 && shim_host_is_gone(fd))
		fd = connect_abstract(broker->abstract);
	return fd;
}

/* to: NULL for the other end of a connection. */
static int send_request(int fd, const struct ts_broker_request *req,
			int pass_fd, struct sockaddr_un *to)
{
	uint8_t bytes[TS_BROKER_MESSAGE_MAX];
	int len = ts_broker_write_request(req, bytes, sizeof(bytes));
	struct iovec iov = {.iov_base = bytes, .iov_len = (size_t)len};
	struct msghdr msg = {.msg_name = to, .msg_iov = &iov,
			     .msg_namelen = to ? sizeof(*to) : 0,
			     .msg_iovlen = 1};
	union control control;

	if (len < 0)
		return len;
	if (pass_fd >= 0) {
		memset(&control, 0, sizeof(control));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.head), &pass_fd, sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control.bytes);
	}
	while (libc.sendmsg(fd, &msg,
			    MSG_NOSIGNAL | (to ? MSG_DONTWAIT : 0)) < 0)
		if (errno != EINTR)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return 0;
}

/* The first of them; there is room for more than one. */
static int passed_fd(struct msghdr *msg)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg);
	size_t count;
	int fd = -1, surplus;

	if (!cmsg || cmsg->cmsg_level != SOL_SOCKET ||
	    cmsg->cmsg_type != SCM_RIGHTS || cmsg->cmsg_len < CMSG_LEN(0))
		return -1;
	count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	if (count > 0)
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	for (size_t i = 1; i < count; i++) {
		memcpy(&surplus, CMSG_DATA(cmsg) + i * sizeof(surplus),
		       sizeof(surplus));
		shim_close(surplus);
	}
	return fd;
}

static ssize_t receive_now(int fd, struct msghdr *msg, int cancels)
{
	int put_off = shim_cancel_set(cancels);
	ssize_t len = libc.recvmsg(fd, msg, MSG_CMSG_CLOEXEC);

	shim_cancel_set(put_off);
	return len;
}

/* One message; signals may interrupt it, but not prolong it. */
static ssize_t receive(int fd, struct msghdr *msg, int limit_s, int cancels)
{
	int64_t end_ms = now_ms() + limit_s * 1000;
	ssize_t len;

	while ((len = receive_now(fd, msg, cancels)) < 0) {
		if (errno == EAGAIN || (errno == EINTR && now_ms() > end_ms))
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
	return len;
}

static bool is_about_names(uint8_t type)
{
	return type == TS_BROKER_RESOLVE || type == TS_BROKER_REVERSE ||
	       type == TS_BROKER_DNS;
}

static int answer_limit_s(uint8_t type)
{
	return type == TS_BROKER_RESOLVE || type == TS_BROKER_BIND ||
			       type == TS_BROKER_DNS
		       ? NODE_ANSWER_S
		       : ANSWER_S;
}

static int parse_reply(const uint8_t *bytes, size_t len,
		       const struct ts_broker_request *req,
		       struct ts_broker_reply *rep)
{
	size_t head_len = len, got;
	int err;

	if (req->type == TS_BROKER_DNS && len > TS_BROKER_DNS_HEAD_LEN)
		head_len = TS_BROKER_DNS_HEAD_LEN;
	err = ts_broker_read_reply_head(bytes, head_len, rep);
	if (err)
		return err;
	/* What does not fit is cut off, and data_len still says how long it
	 * was, as res_query() has it. */
	got = rep->data_len < req->answer_cap ? rep->data_len
					      : req->answer_cap;
	return rep->type == req->type && len - head_len == got ? 0 : -EBADMSG;
}

/* cancels: may the thread be cancelled while it waits? */
static int receive_reply(int fd, const struct ts_broker_request *req,
			 struct ts_broker_reply *rep, int *got_fd, int cancels)
{
	bool is_dns = req->type == TS_BROKER_DNS;
	uint8_t bytes[TS_BROKER_MESSAGE_MAX];
	union control control;
	/* An answer goes into the program's memory by the kernel's hand. */
	struct iovec iov[] = {
		{.iov_base = bytes,
		 .iov_len = is_dns ? TS_BROKER_DNS_HEAD_LEN : sizeof(bytes)},
		{.iov_base = req->answer, .iov_len = req->answer_cap},
	};
	struct msghdr msg = {.msg_iov = iov,
			     .msg_iovlen = is_dns ? 2 : 1,
			     .msg_control = got_fd ? &control : NULL,
			     .msg_controllen = got_fd ? sizeof(control) : 0};
	int limit_s = answer_limit_s(req->type);
	int err = set_limit(fd, SO_RCVTIMEO, limit_s);
	ssize_t len = err ? err : receive(fd, &msg, limit_s, cancels);

	if (len < 0)
		return (int)len;
	if (got_fd)
		*got_fd = passed_fd(&msg);
	if (len == 0) /* the host went away without a word */
		return -ENETDOWN;
	return parse_reply(bytes, (size_t)len, req, rep);
}

/* By path alone: whoever has the abstract name would have to be asked who he
 * is. */
static int tell_by_datagram(const struct shim_broker *broker,
			    const struct ts_broker_request *req, int pass_fd)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	size_t len = strlen(broker->path);
	int fd, err;

	if (len == 0 || len + sizeof(TS_BROKER_TOLD) > sizeof(sun.sun_path))
		return -ENOENT;
	memcpy(sun.sun_path, broker->path, len);
	memcpy(sun.sun_path + len, TS_BROKER_TOLD, sizeof(TS_BROKER_TOLD));
	fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = send_request(fd, req, pass_fd, &sun);
	shim_close(fd);
	return err;
}

/* What was sent waits for the host when we have closed our end. */
static int tell_by_connection(const struct shim_broker *broker,
			      const struct ts_broker_request *req, int pass_fd)
{
	int fd = connect_broker(broker);
	int err;

	if (fd < 0)
		return fd;
	err = send_request(fd, req, pass_fd, NULL);
	shim_close(fd);
	return err;
}

int shim_broker_tell(const struct shim_broker *broker,
		     const struct ts_broker_request *req, int pass_fd)
{
	int cancels = shim_cancel_put_off();
	int err = tell_by_datagram(broker, req, pass_fd);

	if (err) /* the queue is full, or there is none */
		err = tell_by_connection(broker, req, pass_fd);
	shim_cancel_set(cancels);
	return err;
}

static int exchange(const struct shim_broker *broker,
		    const struct ts_broker_request *req, int pass_fd,
		    struct ts_broker_reply *rep, int *got_fd, int cancels)
{
	int fd = connect_broker(broker);
	int err;

	if (got_fd)
		*got_fd = -1;
	if (fd < 0)
		return fd;
	err = send_request(fd, req, pass_fd, NULL);
	if (!err)
		err = receive_reply(fd, req, rep, got_fd, cancels);
	shim_close(fd);
	if (err && got_fd && *got_fd >= 0) {
		shim_close(*got_fd);
		*got_fd = -1;
	}
	return err;
}

int shim_broker_exchange(const struct shim_broker *broker,
			 const struct ts_broker_request *req, int pass_fd,
			 struct ts_broker_reply *rep, int *got_fd)
{
	int cancels = shim_cancel_put_off();
	int err = exchange(broker, req, pass_fd, rep, got_fd,
			   is_about_names(req->type) ? cancels
						     : PTHREAD_CANCEL_DISABLE);

	shim_cancel_set(cancels);
	return err;
}
