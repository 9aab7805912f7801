/* SPDX-License-Identifier: BSD-3-Clause
 * notify_made.c - programs whose descriptors cannot be fetched
 *
 * Docker's profile lets a container without CAP_SYS_PTRACE read its children's
 * memory, but not take a copy of a descriptor (pidfd_getfd). There the filter
 * shows socket() too: the host makes the socket, puts it into the program's
 * table, and keeps a duplicate. So it is one file from the start, whatever the
 * program does with it (epoll, dup, fork); it is known by its inode.
 *
 * A duplicate keeps a socket open that its program has closed. So a TCP
 * connection's is given up as soon as it is made, and only its two ends are
 * remembered, for getsockname; of a connect to the host's network, at once.
 * What is left are sockets that are in nobody's way (not connected, failed),
 * listeners and datagram sockets: whether their programs still have them is
 * looked up in /proc once a second, before each bind, and before a peer's
 * connection is brought to a listener.
 *
 * A socket that came another way (inherited, or passed by a process outside
 * the filter), and one that was connected to the host's network before, is
 * nothing that we can act on: to connect it to the tailnet is EPERM.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/host/notify.h"

enum {
	MADE_MAX = 65536,
	SWEEP_MIN_MS = 1000,
	SWEEP_MAX_MS = 20000,
	SWEEP_SHARE = 50, /* of the time, one part goes into looking */
	FRESH_MIN_MS = 20, /* a look that is not repeated for each peer */
	FRESH_SHARE = 10,
};

struct notify_made {
	struct ts_link link; /* in ts_notify.made */
	struct ts_notify *notify;
	uint64_t inode;
	pid_t pid; /* who used it last */
	int fd;	   /* -1: it is connected, and not ours any more */
	int domain;
	struct ts_addr local, peer; /* once connected */
	struct ts_watch *watch;	    /* while it connects */
};

/* -- keeping them --------------------------------------------------------- */

static void forget(struct notify_made *made)
{
	(void)ts_key_map_take(&made->notify->made_by_inode, &made->inode);
	ts_list_remove(&made->link);
	made->notify->made_count--;
	ts_watch_free(made->watch);
	ts_hurry_drop(made->fd);
	free(made);
}

static struct notify_made *made_at(struct ts_link *at)
{
	return TS_LINK_OWNER(at, struct notify_made, link);
}

static void arm(struct ts_notify *notify, uint64_t interval_ms)
{
	if (!notify->made_timer)
		return; /* looked at before binds, at least */
	ts_timer_set(notify->made_timer,
		     ts_host_now_ms(notify->host) + interval_ms);
}

static void on_timer(void *ctx)
{
	ts_notify_made_sweep(ctx);
}

/* Owns fd when it succeeds; -1: none. */
static struct notify_made *keep(const struct notify_call *call, int file,
				int fd)
{
	struct ts_notify *notify = call->tree->notify;
	struct notify_made *made;
	struct stat st;

	if (notify->made_count >= MADE_MAX || fstat(file, &st))
		return NULL;
	made = calloc(1, sizeof(*made));
	if (!made)
		return NULL;
	*made = (struct notify_made){.notify = notify, .inode = st.st_ino,
				     .pid = call->tid, .fd = fd,
				     .domain = ts_notify_domain(file)};
	if (ts_key_map_put(&notify->made_by_inode, &made->inode, made)) {
		free(made);
		return NULL;
	}
	ts_list_insert(&notify->made, &made->link);
	if (!notify->made_timer)
		notify->made_timer = ts_timer_new(notify->host->loop, on_timer,
						  notify);
	if (notify->made_count++ == 0)
		arm(notify, SWEEP_MIN_MS);
	return made;
}

void ts_notify_made_close(struct ts_notify *notify)
{
	while (!ts_list_is_empty(&notify->made))
		forget(made_at(notify->made.next));
	ts_timer_free(notify->made_timer);
	ts_key_map_deinit(&notify->made_by_inode);
}

/* -- which are closed? ---------------------------------------------------- */

/* Those that keep a file open; with the others it takes longer. */
static void look(struct ts_notify *notify, bool is_for_all)
{
	struct ts_held *held = notify->made_count
				       ? calloc(notify->made_count,
						sizeof(*held))
				       : NULL;
	struct ts_link *at, *next;
	size_t count = 0, i = 0;

	if (!held)
		return;
	for (at = notify->made.next; at != &notify->made; at = at->next)
		if (is_for_all || made_at(at)->fd >= 0)
			held[count++] = (struct ts_held){
				.pid = made_at(at)->pid,
				.inode = made_at(at)->inode,
				.is_elsewhere = true};
	if (count)
		ts_held_look(notify->host, held, count);
	for (at = notify->made.next; i < count; at = next) {
		next = at->next;
		if ((is_for_all || made_at(at)->fd >= 0) && !held[i++].is_held)
			forget(made_at(at));
	}
	free(held);
}

/* How long it took, in ms: /proc may be large. */
static uint64_t timed_look(struct ts_notify *notify, bool is_for_all)
{
	struct ts_loop *loop = notify->host->loop;
	uint64_t begin_ms;

	ts_loop_update(loop);
	begin_ms = ts_loop_now_ms(loop);
	look(notify, is_for_all);
	ts_loop_update(loop);
	return ts_loop_now_ms(loop) - begin_ms;
}

void ts_notify_made_look(struct ts_notify *notify)
{
	uint64_t cost_ms = timed_look(notify, false);

	notify->made_next_ms = ts_host_now_ms(notify->host) + FRESH_MIN_MS +
			       FRESH_SHARE * cost_ms;
}

void ts_notify_made_sweep(struct ts_notify *notify)
{
	uint64_t interval_ms = SWEEP_SHARE * timed_look(notify, true);

	if (interval_ms < SWEEP_MIN_MS)
		interval_ms = SWEEP_MIN_MS;
	if (interval_ms > SWEEP_MAX_MS)
		interval_ms = SWEEP_MAX_MS;
	if (notify->made_count)
		arm(notify, interval_ms);
}

void ts_notify_before_inbound(struct ts_host *host)
{
	struct ts_notify *notify = host->notify;

	if (notify && notify->made_count &&
	    ts_host_now_ms(host) >= notify->made_next_ms)
		ts_notify_made_look(notify);
}

/* -- which is it? --------------------------------------------------------- */

/* A socket's inode; 0: *err says why not. */
static uint64_t inode_at(const struct notify_call *call, int fd, int *err)
{
	unsigned long long inode = 0;
	char path[64], target[64];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)call->tid, fd);
	len = readlink(path, target, sizeof(target) - 1);
	*err = len < 0 ? -errno : -ENOTSOCK;
	if (*err == -ENOENT)
		*err = -EBADF;
	if (len < 0)
		return 0;
	target[len] = '\0';
	if (sscanf(target, "socket:[%llu]", &inode) != 1)
		return 0;
	*err = 0;
	return inode;
}

static struct notify_made *find(const struct notify_call *call, int fd,
				int *err)
{
	uint64_t inode = inode_at(call, fd, err);
	struct notify_made *made = NULL;

	if (inode && !ts_notify_is_valid(call))
		*err = -ESRCH;
	if (*err)
		return NULL;
	made = ts_key_map_get(&call->tree->notify->made_by_inode, &inode);
	if (made)
		made->pid = call->tid;
	else
		*err = -EPERM;
	return made;
}

int ts_notify_made_fetch(const struct notify_call *call, int fd)
{
	int err, copy;
	struct notify_made *made = find(call, fd, &err);

	if (!made)
		return err;
	if (made->fd < 0)
		return -EISCONN;
	copy = fcntl(made->fd, F_DUPFD_CLOEXEC, 0);
	return copy < 0 ? -errno : copy;
}

bool ts_notify_made_ends(const struct notify_call *call, int fd,
			 struct ts_addr *local, struct ts_addr *peer,
			 int *domain)
{
	struct notify_made *made;
	int err;

	if (!call->tree->notify->makes_sockets)
		return false;
	made = find(call, fd, &err);
	if (!made || made->fd >= 0)
		return false;
	*local = made->local;
	*peer = made->peer;
	*domain = made->domain;
	return true;
}

/* -- connections ---------------------------------------------------------- */

static void on_connected(void *ctx, unsigned events)
{
	struct notify_made *made = ctx;
	int state = ts_sock_state(made->fd);

	(void)events;
	if (state == TCP_SYN_SENT)
		return;
	ts_watch_free(made->watch);
	made->watch = NULL;
	/* One that failed stays: SO_ERROR will be asked for. */
	if (state == TCP_CLOSE || ts_sock_local(made->fd, &made->local) ||
	    ts_sock_peer(made->fd, &made->peer))
		return;
	ts_hurry_drop(made->fd);
	made->fd = -1;
}

void ts_notify_made_connecting(const struct notify_call *call)
{
	struct ts_notify *notify = call->tree->notify;
	struct notify_made *made;
	int err;

	if (!notify->makes_sockets)
		return;
	made = find(call, (int)call->args[0], &err);
	if (!made || made->fd < 0 || made->watch)
		return;
	made->watch = ts_watch_new(notify->host->loop, made->fd, TS_WRITABLE,
				   on_connected, made);
	if (!made->watch)
		forget(made);
}

void ts_notify_made_accepted(const struct notify_call *call, int fd,
			     const struct ts_addr *local,
			     const struct ts_addr *peer)
{
	struct notify_made *made;

	if (!call->tree->notify->makes_sockets)
		return;
	made = keep(call, fd, -1);
	if (made) {
		made->local = *local;
		made->peer = *peer;
	}
}

void ts_notify_made_leave(const struct notify_call *call)
{
	struct notify_made *made;
	int err;

	if (!call->tree->notify->makes_sockets)
		return;
	made = find(call, (int)call->args[0], &err);
	if (made && (made->fd < 0 || ts_notify_is_tcp(made->fd)))
		forget(made);
}

/* -- making them ---------------------------------------------------------- */

/* Such as we know what to do with. */
static bool is_plain(int domain, int type, int protocol)
{
	type &= ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (domain != AF_INET && domain != AF_INET6)
		return false;
	return (type == SOCK_STREAM &&
		(protocol == 0 || protocol == IPPROTO_TCP)) ||
	       (type == SOCK_DGRAM &&
		(protocol == 0 || protocol == IPPROTO_UDP));
}

/* A socket lives in the network namespace of who makes it. */
static bool is_in_our_network(const struct notify_call *call)
{
	struct stat own, theirs;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)call->tid);
	return stat(path, &theirs) == 0 &&
	       stat("/proc/self/ns/net", &own) == 0 &&
	       own.st_ino == theirs.st_ino && own.st_dev == theirs.st_dev;
}

static int make(struct ts_notify *notify, int domain, int type, int protocol)
{
	int fd = socket(domain, type | SOCK_CLOEXEC, protocol);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
		ts_notify_made_sweep(notify);
		fd = socket(domain, type | SOCK_CLOEXEC, protocol);
	}
	return fd < 0 ? -errno : fd;
}

/* What we cannot make the kernel makes, for the host's network. */
int ts_notify_socket(const struct notify_call *call)
{
	int domain = (int)call->args[0], type = (int)call->args[1];
	int protocol = (int)call->args[2];
	struct notify_made *made;
	int fd, number;

	if (!call->tree->notify->makes_sockets ||
	    !is_plain(domain, type, protocol) || !is_in_our_network(call))
		return NOTIFY_CONTINUE;
	fd = make(call->tree->notify, domain, type, protocol);
	if (fd < 0)
		return NOTIFY_CONTINUE;
	made = keep(call, fd, fd);
	if (!made) {
		ts_sock_close(fd);
		return NOTIFY_CONTINUE;
	}
	number = ts_notify_answer_fd(call, fd, (type & SOCK_CLOEXEC) != 0);
	if (number >= 0)
		return NOTIFY_LATER;
	forget(made);
	return number == -ENOENT ? NOTIFY_LATER : number;
}
