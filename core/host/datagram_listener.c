/* SPDX-License-Identifier: BSD-3-Clause
 * datagram_listener.c - a UDP port whose remote ends get a socket each
 *
 * As Go's tsnet has it for Listen("udp"): what accept() gives is a connection
 * to one remote end. Here it is a UDP socket that is connected to the flow's D,
 * made by us in the program's stead and handed over by a pair of AF_UNIX
 * sockets, of which the program has one end: so poll() says when there is one,
 * and what has come from that end meanwhile waits in the socket's own queue.
 *
 * How many wait to be taken is bounded by the pair's buffer; what else comes is
 * dropped, as from a full queue. The program closes its end to listen no more;
 * the connections stay, and end as any other flow (datagram_sweep.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/host/app_datagram.h"

enum {
	WAITING_BYTES = 128 * 1024, /* some 70 of them */
	BIND_TRIES = 8,
};

struct ts_flow_listener {
	struct ts_host *host;
	struct ts_listener *listener;
	int fd;
	struct ts_watch *watch;
};

static int int_option(int fd, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, name, &value, &len) ? -1 : value;
}

/* The program has nothing to say here: it is the end. */
static void on_end(void *ctx, unsigned events)
{
	struct ts_flow_listener *flows = ctx;
	char text[TS_ADDR_TEXT_CAP];

	(void)events;
	log_debug("listener: UDP %s is not served any more",
		  ts_addr_format(&flows->listener->tailnet, text));
	ts_listener_end(flows->host, flows->listener);
}

int ts_flow_listener_new(struct ts_host *host, struct ts_listener *l, int fd)
{
	const int bytes = WAITING_BYTES;
	struct ts_flow_listener *flows;

	if (int_option(fd, SO_DOMAIN) != AF_UNIX ||
	    int_option(fd, SO_TYPE) != SOCK_SEQPACKET) {
		ts_sock_close(fd);
		return -EINVAL;
	}
	flows = calloc(1, sizeof(*flows));
	if (!flows) {
		ts_sock_close(fd);
		return -ENOMEM;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	flows->host = host;
	flows->listener = l;
	flows->fd = fd;
	l->flows = flows;
	flows->watch = ts_watch_new(host->loop, fd, TS_READABLE, on_end, flows);
	if (flows->watch)
		return 0;
	l->flows = NULL;
	ts_flow_listener_free(flows);
	return -ENOMEM;
}

void ts_flow_listener_free(struct ts_flow_listener *flows)
{
	if (!flows)
		return;
	ts_watch_free(flows->watch);
	ts_sock_close(flows->fd);
	free(flows);
}

/* -- one remote end ------------------------------------------------------- */

/* The program's: blocking, and at an address that nobody can guess. */
static int open_program_socket(const struct ts_host *host)
{
	struct ts_addr at = {.ip = ts_sock_loopback(false)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int err = -EADDRINUSE;

	if (fd < 0)
		return -errno;
	fd = ts_sock_keep(host, fd);
	for (int i = 0; i < BIND_TRIES && err == -EADDRINUSE; i++) {
		if (!host->rv.one_loopback)
			at.ip = ts_sock_random_loopback(host);
		err = ts_sock_bind(fd, &at);
	}
	if (!err)
		return fd;
	ts_sock_close(fd);
	return err;
}

/* The copy is enough for it: ours is closed by then. */
static int hand_over(const struct ts_flow_listener *flows, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	char note = 0;
	struct iovec iov = {&note, sizeof(note)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *c = &control.align;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	return sendmsg(flows->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0
		       ? -errno
		       : 0;
}

/* As if the program had connected it (datagram_request.c). The kernel's list
 * of sockets says when it is gone, so that no duplicate is kept. */
static int join(const struct ts_flow_listener *flows, struct ts_dgram *flow,
		int fd)
{
	struct stat st;
	int err = ts_sock_connect(fd, &flow->virtual);

	if (!err && fstat(fd, &st))
		err = -errno;
	if (!err && !ts_dgram_learn_program(flow))
		err = -ENOTCONN;
	if (err)
		return err;
	flow->inode = st.st_ino;
	(void)ts_key_map_put(&flow->host->dgrams->by_inode, &flow->inode, flow);
	flow->keeps_dup = false;
	err = hand_over(flows, fd);
	ts_dgram_drop_dup(flow);
	return err;
}

struct ts_dgram *ts_flow_listener_begin(struct ts_flow_listener *flows,
					struct ts_dgram_port *port,
					const struct ts_addr *from)
{
	struct ts_host *host = flows->host;
	struct dgram_wish wish = {.member = port->member,
				  .remote = *from,
				  .shown = *from,
				  .is_connected = true,
				  .pid = getpid()};
	struct ts_dgram *flow;
	int err;

	wish.dup_fd = open_program_socket(host);
	if (wish.dup_fd < 0)
		return NULL;
	port->users++;
	wish.port = port;
	flow = ts_dgram_new(host, &wish, &err);
	if (!flow)
		return NULL;
	(void)ts_dgram_route(port->member, from, &flow->route);
	err = join(flows, flow, flow->dup_fd);
	if (!err)
		return flow;
	log_debug("datagram-%llu: nobody takes it: %s",
		  (unsigned long long)flow->id, ts_strerror(err));
	ts_dgram_end(flow);
	return NULL;
}
