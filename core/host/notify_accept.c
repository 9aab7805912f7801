/* SPDX-License-Identifier: BSD-3-Clause
 * notify_accept.c - accept() of programs that cannot be preloaded
 *
 * The connection is taken by us, from the program's own queue, and put into
 * its table of descriptors with the answer; so its peer can be named, and
 * bytes flow from then on. Connections that are not for the program are
 * treated as in shim/hook_listen.c. A call that would wait is held until the
 * queue has something.
 *
 * A program that is not there any more to be handed its connection (a signal
 * came) finds it at its next accept().
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/host/notify.h"

enum { ORPHANS_MAX = 64, ORPHAN_MS = 5000 };

struct arrival {
	int listener, fd;
	struct sockaddr_storage native_peer; /* as the kernel said it */
	socklen_t native_len;
	struct ts_addr local, peer;
	struct ts_addr name; /* what the program is told */
};

/* -- connections that nobody took ----------------------------------------- */

static uint64_t inode_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : st.st_ino;
}

/* Owns fd. */
static void put_back(struct ts_notify *notify, int listener, int fd)
{
	struct notify_orphan *o = notify->orphan_count < ORPHANS_MAX
					  ? calloc(1, sizeof(*o))
					  : NULL;

	if (!o) {
		ts_hurry_drop(fd);
		return;
	}
	o->inode = inode_of(listener);
	o->fd = fd;
	o->until_ms = ts_host_now_ms(notify->host) + ORPHAN_MS;
	ts_list_insert(&notify->orphans, &o->link);
	if (notify->orphan_count++ == 0)
		ts_timer_set(notify->sweep, o->until_ms);
}

static int take_back(struct ts_notify *notify, int listener)
{
	uint64_t inode = notify->orphan_count ? inode_of(listener) : 0;

	for (struct ts_link *at = notify->orphans.next;
	     inode && at != &notify->orphans; at = at->next) {
		struct notify_orphan *o =
			TS_LINK_OWNER(at, struct notify_orphan, link);
		int fd = o->fd;

		if (o->inode != inode)
			continue;
		ts_list_remove(&o->link);
		notify->orphan_count--;
		free(o);
		return fd;
	}
	return -1;
}

/* -- whose is it? --------------------------------------------------------- */

static bool is_from_host(const struct ts_host *host, const struct ts_addr *peer)
{
	return ts_ip_is_v4(&peer->ip) ? peer->port == host->rv.port4
				      : peer->port == host->rv.port6;
}

static bool tell_accepted(struct ts_host *host, const struct arrival *in)
{
	const struct ts_broker_request req = {
		.type = TS_BROKER_ACCEPTED,
		.proto = IPPROTO_TCP,
		.native_local = in->local,
		.native_remote = in->peer,
	};
	struct ts_broker_reply rep = {.type = req.type};

	ts_inbound_accepted(host, &req, in->fd, 0, &rep);
	return rep.error == 0;
}

/* Is this connection one for the program? */
static bool is_welcome(struct ts_host *host, struct arrival *in)
{
	struct ts_flow_entry entry;

	in->name = in->peer;
	if (!ts_ip_is_loopback(&in->peer.ip) ||
	    ts_sock_local(in->fd, &in->local))
		return true;
	if (!ts_notify_flow_find(host, &in->local, &in->peer, &entry) ||
	    entry.kind != TS_FLOW_ACCEPT)
		return !is_from_host(host, &in->peer) &&
		       !ts_notify_find_bind(host, IPPROTO_TCP, &in->local,
					    &entry);
	in->name = entry.tailnet_remote;
	if (!ts_ip_is_v4(&in->name.ip) && ts_notify_domain(in->fd) == AF_INET)
		return false; /* an AF_INET program cannot be told */
	return true;
}

/* -- taking one ----------------------------------------------------------- */

static int accept_native(struct arrival *in, int flags)
{
	int file = fcntl(in->listener, F_GETFL);
	struct pollfd p = {.fd = in->listener, .events = POLLIN};
	int fd;

	/* Also when it is not listening: then accept() says so. */
	if (!(file & O_NONBLOCK) && poll(&p, 1, 0) == 0)
		return -EAGAIN;
	if (!(file & O_NONBLOCK))
		(void)fcntl(in->listener, F_SETFL, file | O_NONBLOCK);
	fd = ts_hurry_accept(in->listener, (struct sockaddr *)&in->native_peer,
			     &in->native_len, flags | SOCK_CLOEXEC);
	if (!(file & O_NONBLOCK))
		(void)fcntl(in->listener, F_SETFL, file);
	return fd;
}

/* -ECONNABORTED: not one that can be handed over; the next, please. */
static int take_one(const struct notify_call *call, struct arrival *in)
{
	int flags = call->nr == SYS_accept4 ? (int)call->args[3] : 0;

	in->native_len = sizeof(in->native_peer);
	in->fd = take_back(call->tree->notify, in->listener);
	if (in->fd < 0)
		in->fd = accept_native(in, flags & SOCK_NONBLOCK);
	else if (getpeername(in->fd, (struct sockaddr *)&in->native_peer,
			     &in->native_len) != 0)
		in->native_len = 0;
	if (in->fd < 0)
		return in->fd;
	if (ts_addr_from_sockaddr((struct sockaddr *)&in->native_peer,
				  in->native_len, &in->peer) == 0)
		return 0;
	ts_hurry_drop(in->fd);
	return -ECONNABORTED;
}

static int take_welcome(const struct notify_call *call, struct arrival *in)
{
	for (;;) {
		int err = take_one(call, in);

		if (err == -ECONNABORTED)
			continue;
		if (err || is_welcome(call->tree->host, in))
			return err;
		ts_hurry_drop(in->fd);
	}
}

static int write_peer(const struct notify_call *call, const struct arrival *in)
{
	struct sockaddr_storage ss = in->native_peer;
	int len = (int)in->native_len;

	if (call->args[1] == 0)
		return 0;
	/* The kernel's own words for whoever is not from the tailnet. */
	if (!ts_addr_equal(&in->name, &in->peer))
		len = ts_addr_to_sockaddr(&in->name, ts_notify_domain(in->fd),
					  &ss);
	return ts_notify_write_sockaddr(call, call->args[1], call->args[2],
					&ss, (socklen_t)len);
}

static int hand_over(const struct notify_call *call, struct arrival *in)
{
	bool cloexec = call->nr == SYS_accept4 &&
		       (call->args[3] & SOCK_CLOEXEC);
	int err = write_peer(call, in);
	int fd;

	if (err == -EFAULT || err == -EINVAL) {
		ts_hurry_drop(in->fd); /* as the kernel does */
		return err;
	}
	fd = err ? err : ts_notify_answer_fd(call, in->fd, cloexec);
	if (fd < 0) { /* gone, or no room: it stays in the queue */
		put_back(call->tree->notify, in->listener, in->fd);
		return fd == -ENOENT || fd == -ESRCH ? NOTIFY_LATER : fd;
	}
	if (!ts_addr_equal(&in->name, &in->peer)) {
		ts_notify_made_accepted(call, in->fd, &in->local, &in->peer);
		(void)tell_accepted(call->tree->host, in);
	}
	ts_hurry_drop(in->fd);
	return NOTIFY_LATER;
}

static int try_accept(const struct notify_call *call, int listener)
{
	struct arrival in = {.listener = listener};
	int err;

	/* As natively: before anything is taken from the queue. */
	if (!ts_notify_has_room(call))
		return -EMFILE;
	err = take_welcome(call, &in);
	return err ? err : hand_over(call, &in);
}

/* Does the kernel know better? Then we are not needed. */
static bool is_ours(const struct notify_call *call, int fd)
{
	struct ts_flow_entry entry;
	struct ts_addr local;
	int domain = ts_notify_domain(fd);

	if ((domain != AF_INET && domain != AF_INET6) ||
	    !ts_notify_is_tcp(fd) || ts_sock_state(fd) != TCP_LISTEN ||
	    ts_sock_local(fd, &local))
		return false;
	return ts_ip_is_unspecified(&local.ip) ||
	       ts_notify_find_bind(call->tree->host, IPPROTO_TCP, &local,
				   &entry);
}

int ts_notify_accept(const struct notify_call *call)
{
	struct notify_hold hold = {.fn = try_accept, .events = TS_READABLE,
				   .limit_result = -EAGAIN};
	int err;

	if (call->nr == SYS_accept4 &&
	    (call->args[3] & ~(uint64_t)(SOCK_NONBLOCK | SOCK_CLOEXEC)))
		return NOTIFY_CONTINUE;
	hold.fd = ts_notify_fetch(call, (int)call->args[0]);
	if (hold.fd < 0)
		return NOTIFY_CONTINUE;
	if (!is_ours(call, hold.fd)) {
		ts_hurry_drop(hold.fd);
		return NOTIFY_CONTINUE;
	}
	(void)ts_notify_tell_listener(call->tree->host, hold.fd);
	err = try_accept(call, hold.fd);
	if (err == -EAGAIN && ts_notify_is_blocking(hold.fd)) {
		hold.limit_ms = ts_notify_time_limit(hold.fd, SO_RCVTIMEO);
		hold.queue = inode_of(hold.fd);
		return ts_notify_hold(call, &hold);
	}
	ts_hurry_drop(hold.fd);
	return err;
}
