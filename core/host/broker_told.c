/* SPDX-License-Identifier: BSD-3-Clause
 * broker_told.c - what programs say without waiting for an answer
 *
 * A datagram with the program's socket: no connection to be made, taken in and
 * closed, on the way of every connect and every accept. The kernel adds who
 * sent it. The queue is short (net.unix.max_dgram_qlen): who finds it
 * full goes the long way, by a connection. So do all where this socket is not
 * there, because its name is too long, or out of sight (chroot).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/host/broker_server.h"

enum { TOLD_A_TURN = 64, FDS_MAX = 4 };

union told_control {
	char bytes[CMSG_SPACE(FDS_MAX * sizeof(int)) +
		   CMSG_SPACE(sizeof(struct ucred))];
	struct cmsghdr align;
};

/* false: it does not say. */
static bool sender_of(struct msghdr *msg, struct ucred *out)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c;
	     c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET ||
		    c->cmsg_type != SCM_CREDENTIALS ||
		    c->cmsg_len != CMSG_LEN(sizeof(*out)))
			continue;
		memcpy(out, CMSG_DATA(c), sizeof(*out));
		return true;
	}
	return false;
}

/* false: nothing is left. */
static bool take_one(struct ts_broker_server *server)
{
	uint8_t in[TS_BROKER_MESSAGE_MAX];
	union told_control control;
	struct iovec iov = {.iov_base = in, .iov_len = sizeof(in)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	ssize_t len = recvmsg(server->told_fd, &msg,
			      MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct ucred who;
	int fd;

	if (len < 0)
		return errno == EINTR;
	fd = ts_broker_take_fd(server->host, &msg);
	if (sender_of(&msg, &who))
		ts_broker_hear(server, &who, in,
			       msg.msg_flags & MSG_TRUNC ? -EMSGSIZE : len, fd);
	else
		ts_sock_close(fd);
	return true;
}

void ts_broker_take_told(struct ts_broker_server *server)
{
	bool is_more = server->told_fd >= 0;

	for (int i = 0; i < TOLD_A_TURN && is_more; i++) {
		if (!ts_broker_has_descriptors(server)) {
			ts_broker_set_accepting(server, false);
			return;
		}
		is_more = take_one(server);
	}
}

static void on_told(void *ctx, unsigned events)
{
	(void)events;
	ts_hurry_begin();
	ts_broker_take_told(ctx);
	ts_hurry_end();
}

static int open_at(struct ts_broker_server *server,
		   const struct sockaddr_un *addr)
{
	const int on = 1;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	server->told_fd = ts_sock_keep(server->host, fd);
	(void)unlink(addr->sun_path);
	if (fchmod(server->told_fd, 0600) ||
	    setsockopt(server->told_fd, SOL_SOCKET, SO_PASSCRED, &on,
		       sizeof(on)) ||
	    bind(server->told_fd, (const struct sockaddr *)addr,
		 sizeof(*addr)))
		return -errno;
	server->told_watch = ts_watch_new(server->host->loop, server->told_fd,
					  TS_READABLE, on_told, server);
	return server->told_watch ? 0 : -ENOMEM;
}

/* false: it does not fit. */
static bool name_of(const struct ts_broker_server *server,
		    struct sockaddr_un *out)
{
	int len;

	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	len = snprintf(out->sun_path, sizeof(out->sun_path), "%s%s",
		       server->path, TS_BROKER_TOLD);
	return len > 0 && (size_t)len < sizeof(out->sun_path);
}

int ts_broker_open_told(struct ts_broker_server *server)
{
	struct sockaddr_un addr;
	int err;

	if (server->host->in_process || !name_of(server, &addr))
		return 0;
	err = open_at(server, &addr);
	if (err) {
		log_info("broker: no datagrams at %s: %s", addr.sun_path,
			 ts_strerror(err));
		ts_broker_close_told(server);
	}
	return 0;
}

void ts_broker_close_told(struct ts_broker_server *server)
{
	struct sockaddr_un addr;

	if (server->told_fd < 0)
		return;
	ts_watch_free(server->told_watch);
	ts_sock_close(server->told_fd);
	server->told_watch = NULL;
	server->told_fd = -1;
	if (name_of(server, &addr))
		(void)unlink(addr.sun_path);
}
