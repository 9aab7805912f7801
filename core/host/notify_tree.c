/* SPDX-License-Identifier: BSD-3-Clause
 * notify_tree.c - one seccomp listener: the calls of a tree of processes
 *
 * A notified call stops its thread until we answer it: with a result, or with
 * "go on", after which the kernel does it as it was called. Going on reads the
 * program's memory again, and another thread may have changed it; so it is
 * said only where the worst that can come of it is a call to the host's own
 * network, which the program could make anyway. What concerns the tailnet we
 * do ourselves, on the same open file, with the address that was read once.
 *
 * A signal ends the wait of a thread at any moment, as it ends a system call:
 * the kernel says EINTR or makes the call again. A call that we had done by
 * then must not be done twice, so its result is kept for a moment. (A filter
 * can also ask that signals wait, but then nothing could interrupt a connect
 * that takes its time.)
 *
 * Nothing here may block: RECV is only called when poll says that there is
 * something to receive.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/broker/notify_arch.h"
#include "core/host/notify.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

enum {
	CALLS_A_TURN = 64,
	UNREPORTED_MS = 1000,
};

/* -- answers -------------------------------------------------------------- */

bool ts_notify_is_valid(const struct notify_call *call)
{
	return ioctl(call->tree->fd, SECCOMP_IOCTL_NOTIF_ID_VALID,
		     &call->id) == 0;
}

static bool is_same(const struct notify_unreported *u,
		    const struct notify_call *call)
{
	return u->tid == call->tid && u->nr == call->nr &&
	       memcmp(u->args, call->args, sizeof(u->args)) == 0;
}

static void remember(const struct notify_call *call, int result)
{
	struct ts_notify *notify = call->tree->notify;
	unsigned n = notify->unreported_count;
	struct notify_unreported *u;

	if (n == NOTIFY_UNREPORTED_MAX) {
		memmove(notify->unreported, notify->unreported + 1,
			(n - 1) * sizeof(notify->unreported[0]));
		n--;
	}
	u = &notify->unreported[n];
	*u = (struct notify_unreported){
		.tid = call->tid,
		.nr = call->nr,
		.result = result,
		.until_ms = ts_host_now_ms(notify->host) + UNREPORTED_MS};
	memcpy(u->args, call->args, sizeof(u->args));
	notify->unreported_count = n + 1;
}

/* Was this very call done already? Whatever else the thread calls now, what is
 * kept for it is of no use any more. */
static bool recall(const struct notify_call *call, int *result)
{
	struct ts_notify *notify = call->tree->notify;
	uint64_t now_ms = ts_host_now_ms(notify->host);
	unsigned kept = 0;
	bool is_found = false;

	for (unsigned i = 0; i < notify->unreported_count; i++) {
		struct notify_unreported *u = &notify->unreported[i];

		if (is_same(u, call) && u->until_ms >= now_ms) {
			*result = u->result;
			is_found = true;
		} else if (u->tid != call->tid && u->until_ms >= now_ms) {
			notify->unreported[kept++] = *u;
		}
	}
	notify->unreported_count = kept;
	return is_found;
}

static int send_response(const struct notify_call *call, int result)
{
	struct seccomp_notif_resp *resp = call->tree->response;

	memset(resp, 0, call->tree->response_size);
	resp->id = call->id;
	if (result == NOTIFY_CONTINUE)
		resp->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else if (result < 0)
		resp->error = result;
	else
		resp->val = result;
	return ioctl(call->tree->fd, SECCOMP_IOCTL_NOTIF_SEND, resp) ? -errno
								     : 0;
}

void ts_notify_answer(const struct notify_call *call, int result)
{
	int err = send_response(call, result);

	/* ESRCH: it was found gone before anything was done. */
	if (err == -ENOENT && result != NOTIFY_CONTINUE && result != -ESRCH)
		remember(call, result);
}

int ts_notify_answer_fd(const struct notify_call *call, int fd, bool cloexec)
{
	struct seccomp_notif_addfd add = {
		.id = call->id,
		.flags = SECCOMP_ADDFD_FLAG_SEND,
		.srcfd = (uint32_t)fd,
		.newfd_flags = cloexec ? O_CLOEXEC : 0,
	};
	int number = ioctl(call->tree->fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add);

	return number < 0 ? -errno : number;
}

/* -- calls ---------------------------------------------------------------- */

/* Another machine's calls have other numbers and layouts. Its programs could
 * be carried by nothing, so they get no sockets of the Internet. */
static int handle_foreign(const struct notify_call *call)
{
	struct ts_notify *notify = call->tree->notify;
	uint32_t domain = (uint32_t)call->args[0];

	if (call->nr == TS_NOTIFY_I386_SOCKETCALL) {
		if (call->args[0] != 1 /* SYS_SOCKET */ ||
		    ts_notify_read(call, (uint32_t)call->args[1], &domain,
				   sizeof(domain)))
			return NOTIFY_CONTINUE;
	}
	if (domain != AF_INET && domain != AF_INET6)
		return NOTIFY_CONTINUE;
	if (ts_log_allowed(&notify->limit, ts_host_now_ms(notify->host)))
		log_warn("notify: pid %d is built for another machine: it "
			 "gets no Internet sockets", (int)call->tid);
	return -EACCES;
}

static int handle(const struct notify_call *call)
{
	switch (call->nr) {
	case SYS_socket:
		return ts_notify_socket(call);
	case SYS_connect:
		return ts_notify_connect(call);
	case SYS_bind:
		return ts_notify_bind(call);
	case SYS_listen:
		return ts_notify_listen(call);
	case SYS_accept:
	case SYS_accept4:
		return ts_notify_accept(call);
	case SYS_getsockname:
		return ts_notify_getsockname(call);
	case SYS_getpeername:
		return ts_notify_getpeername(call);
	case SYS_getsockopt:
		return ts_notify_getsockopt(call);
	case SYS_setsockopt:
		return ts_notify_setsockopt(call);
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_sendmmsg:
		return ts_notify_send(call);
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_recvmmsg:
		return ts_notify_receive(call);
	default:
		return NOTIFY_CONTINUE;
	}
}

static void serve_call(struct notify_tree *tree,
		       const struct seccomp_notif *got)
{
	struct notify_call call = {.tree = tree, .id = got->id,
				   .tid = (pid_t)got->pid,
				   .nr = got->data.nr};
	int result;

	for (int i = 0; i < 6; i++)
		call.args[i] = got->data.args[i];
	tree->notify->caller = call.tid;
	if (call.tid == 0) /* outside of our pid namespace: unreachable */
		result = -EACCES;
	else if (got->data.arch != TS_NOTIFY_OWN_ARCH)
		result = handle_foreign(&call);
	else if (tree->notify->unreported_count == 0 ||
		 !recall(&call, &result))
		result = handle(&call);
	if (result != NOTIFY_LATER)
		ts_notify_answer(&call, result);
}

/* -- coming and going ----------------------------------------------------- */

static void free_tree(struct notify_tree *tree)
{
	log_debug("notify: the programs of pid %d have ended", (int)tree->pid);
	ts_notify_drop_waits(tree->notify, tree);
	ts_list_remove(&tree->link);
	ts_watch_free(tree->watch);
	ts_sock_close(tree->fd);
	free(tree->request);
	free(tree->response);
	ts_notify_made_sweep(tree->notify);
	free(tree);
}

static void on_calls(void *ctx, unsigned events)
{
	struct notify_tree *tree = ctx;
	struct pollfd p = {.fd = tree->fd, .events = POLLIN};

	(void)events;
	for (int i = 0; i < CALLS_A_TURN; i++) {
		p.revents = 0;
		if (poll(&p, 1, 0) <= 0)
			return;
		if (!(p.revents & POLLIN)) {
			free_tree(tree); /* nobody is under the filter */
			return;
		}
		memset(tree->request, 0, tree->request_size);
		if (ioctl(tree->fd, SECCOMP_IOCTL_NOTIF_RECV, tree->request))
			continue; /* it was killed in this moment */
		serve_call(tree, tree->request);
	}
}

/* An ioctl can do anything to a file that is not what it claims to be. */
static bool is_listener(int fd)
{
	char path[32], target[64];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return false;
	target[len] = '\0';
	return strcmp(target, "anon_inode:seccomp notify") == 0;
}

static int get_sizes(struct notify_tree *tree)
{
	struct seccomp_notif_sizes sizes;

	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes))
		return -errno;
	tree->request_size = sizes.seccomp_notif;
	tree->response_size = sizes.seccomp_notif_resp;
	if (tree->request_size < sizeof(struct seccomp_notif))
		tree->request_size = sizeof(struct seccomp_notif);
	if (tree->response_size < sizeof(struct seccomp_notif_resp))
		tree->response_size = sizeof(struct seccomp_notif_resp);
	tree->request = malloc(tree->request_size);
	tree->response = malloc(tree->response_size);
	return tree->request && tree->response ? 0 : -ENOMEM;
}

static void on_sweep(void *ctx)
{
	ts_notify_sweep(ctx);
}

static struct ts_notify *get_notify(struct ts_host *host)
{
	struct ts_notify *notify = host->notify;

	if (notify)
		return notify;
	notify = calloc(1, sizeof(*notify));
	if (!notify)
		return NULL;
	notify->host = host;
	ts_list_init(&notify->trees);
	ts_list_init(&notify->waits);
	ts_list_init(&notify->orphans);
	ts_list_init(&notify->made);
	ts_key_map_init(&notify->made_by_inode, sizeof(uint64_t), 0);
	notify->makes_sockets = !ts_notify_can_fetch();
	notify->sweep = ts_timer_new(host->loop, on_sweep, notify);
	if (!notify->sweep) {
		free(notify);
		return NULL;
	}
	host->notify = notify;
	return notify;
}

static int add_tree(struct ts_host *host, int fd, pid_t pid)
{
	struct ts_notify *notify = get_notify(host);
	struct notify_tree *tree = notify ? calloc(1, sizeof(*tree)) : NULL;
	uint64_t sync = SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP;
	int err;

	if (!tree) {
		ts_sock_close(fd);
		return -ENOMEM;
	}
	tree->notify = notify;
	tree->host = host;
	tree->fd = fd;
	tree->pid = pid;
	ts_list_insert(&notify->trees, &tree->link);
	err = get_sizes(tree);
	if (!err)
		tree->watch = ts_watch_new(host->loop, fd, TS_READABLE,
					   on_calls, tree);
	if (err || !tree->watch) {
		free_tree(tree);
		return err ? err : -ENOMEM;
	}
	/* Ten times cheaper, since Linux 6.6. It is an argument, no pointer. */
	(void)ioctl(fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, sync);
	return 0;
}

void ts_notify_request(struct ts_host *host, int fd, pid_t pid,
		       struct ts_broker_reply *rep)
{
	int err = 0;

	if (fd < 0)
		err = -EBADF;
	else if (host->in_process) /* it would wait for itself */
		err = -EOPNOTSUPP;
	else if (!is_listener(fd))
		err = -EINVAL;
	else if (pid > 0 && !ts_notify_can_read(pid))
		err = -EACCES;
	if (err)
		ts_sock_close(fd);
	else
		err = add_tree(host, fd, pid);
	rep->error = -err;
	log_debug("notify: pid %d: %s", (int)pid, ts_strerror(err));
}

void ts_notify_node_changed(struct ts_host *host)
{
	if (host->notify)
		ts_notify_retry_waits(host->notify);
}

void ts_notify_close(struct ts_host *host)
{
	struct ts_notify *notify = host->notify;

	if (!notify)
		return;
	while (!ts_list_is_empty(&notify->trees))
		free_tree(TS_LINK_OWNER(notify->trees.next, struct notify_tree,
					link));
	ts_notify_drop_waits(notify, NULL);
	while (!ts_list_is_empty(&notify->orphans)) {
		struct notify_orphan *o =
			TS_LINK_OWNER(notify->orphans.next,
				      struct notify_orphan, link);

		ts_list_remove(&o->link);
		ts_hurry_drop(o->fd);
		free(o);
	}
	ts_timer_free(notify->sweep);
	ts_notify_made_close(notify);
	free(notify->room);
	free(notify);
	host->notify = NULL;
}
