/* SPDX-License-Identifier: BSD-3-Clause
 * api_host.c - the API's questions to its own server
 *
 * The engine's thread has a table of descriptors of its own, so what callers
 * have of it are sockets on loopback that its host serves: those that the host
 * serves to any program, by the same questions (core/broker/broker_wire.h). So
 * there is one way from a descriptor to the tailnet, and each caller may wait
 * in a call of its own.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/engine/api_internal.h"

/* The host holds what needs the node's addresses for its own time-out. */
enum { ANSWER_S = 5, NODE_ANSWER_S = 3600 };

union control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static bool is_held(const struct ts_broker_request *req)
{
	return req->type == TS_BROKER_RESOLVE || req->type == TS_BROKER_BIND;
}

static void set_limits(int fd, const struct ts_broker_request *req)
{
	struct timeval limit = {.tv_sec = ANSWER_S};

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	limit.tv_sec = is_held(req) ? NODE_ANSWER_S : ANSWER_S;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

/* A forked child has no host; who took its name is a stranger. */
static bool is_ours(int fd)
{
	struct ucred peer = {0};
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       peer.pid == getpid();
}

static int call_host(const struct tsnet *ts)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	size_t name_len = strlen(ts->broker);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				    1 + name_len);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int err = 0;

	if (fd < 0)
		return -errno;
	memcpy(sun.sun_path + 1, ts->broker, name_len);
	if (connect(fd, (struct sockaddr *)&sun, len) != 0)
		err = -errno;
	else if (!is_ours(fd))
		err = -ENETDOWN;
	if (!err)
		return fd;
	close(fd);
	return err;
}

static int send_request(int fd, const struct ts_broker_request *req,
			int pass_fd)
{
	uint8_t bytes[TS_BROKER_MESSAGE_MAX];
	int len = ts_broker_write_request(req, bytes, sizeof(bytes));
	struct iovec iov = {.iov_base = bytes, .iov_len = (size_t)len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control = {.bytes = {0}};

	if (len < 0)
		return len;
	if (pass_fd >= 0) {
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(pass_fd));
		memcpy(CMSG_DATA(&control.head), &pass_fd, sizeof(pass_fd));
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int take_fd(struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	int fd = -1;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(fd)))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* *got: a descriptor that came along, or -1. */
static int receive_reply(int fd, struct ts_broker_reply *rep, int *got)
{
	uint8_t bytes[TS_BROKER_MESSAGE_MAX];
	struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(bytes)};
	union control control;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	ssize_t len;

	*got = -1;
	do {
		len = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	} while (len < 0 && errno == EINTR);
	if (len < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (len == 0)
		return -ENETDOWN; /* the host has ended */
	*got = take_fd(&msg);
	return ts_broker_read_reply(bytes, (size_t)len, rep);
}

static int exchange(const struct tsnet *ts, const struct ts_broker_request *req,
		    int pass_fd, struct ts_broker_reply *rep, int *got)
{
	int fd = call_host(ts);
	int err;

	*got = -1;
	if (fd < 0)
		return fd;
	set_limits(fd, req);
	err = send_request(fd, req, pass_fd);
	if (!err)
		err = receive_reply(fd, rep, got);
	close(fd);
	return err ? err : -rep->error;
}

int api_host_attach(struct tsnet *ts)
{
	const struct ts_broker_request req = {.type = TS_BROKER_ATTACH};
	struct ts_broker_reply rep;
	int fd, err = exchange(ts, &req, -1, &rep, &fd);

	if (!err && fd < 0)
		err = -EMFILE;
	if (!err)
		ts->table = ts_table_map(fd, &err);
	if (fd >= 0)
		close(fd);
	return ts->table ? 0 : err;
}

void api_host_detach(struct tsnet *ts)
{
	if (ts->table)
		ts_table_unmap(ts->table);
	ts->table = NULL;
}

int api_host_ask(struct tsnet *ts, struct ts_broker_request *req, int pass_fd,
		 struct ts_broker_reply *rep)
{
	struct ts_table_info info;
	int err, got;

	if (!ts_table_read_info(ts->table, &info))
		return -ENETDOWN;
	memcpy(req->token, info.token, sizeof(req->token));
	err = exchange(ts, req, pass_fd, rep, &got);
	if (got >= 0)
		close(got);
	return err;
}

bool api_host_find(const struct tsnet *ts, uint8_t proto,
		   const struct ts_addr *local, const struct ts_addr *remote,
		   struct ts_flow_entry *out)
{
	const struct ts_flow_key key = {
		.proto = proto, .local = *local, .remote = *remote};

	return ts_table_find(ts->table, &key, out);
}
