/* SPDX-License-Identifier: BSD-3-Clause
 * notify_exec.c - tsnet-host --notify: become a program under our filter
 *
 * A program that LD_PRELOAD cannot reach is started through here: connect to
 * the host, put the filter on, hand the listener to the host, exec. From the
 * filter on this thread's own calls would wait for a host that does not have
 * the listener yet; so a second thread, which was there before and has no
 * filter, sends it. exec ends that thread.
 *
 * A task can have one listener. Where this process descends from one that the
 * same host serves it has nothing to do; a listener of somebody else (a nested
 * tsrun, a container manager that uses notifications) stays alone.
 */
#include "core/engine/notify_exec.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/broker/broker_wire.h"
#include "core/broker/notify_abi.h"
#include "core/engine/notify_filter.h"

enum { EXIT_USAGE = 64, EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127,
       ANSWER_S = 5 };

struct hand_over {
	int broker;   /* connected */
	int listener; /* valid once go is readable */
	int go[2];
	int error;
};

/* -- the host ------------------------------------------------------------- */

static int connect_to(const struct sockaddr_un *addr, socklen_t len)
{
	const struct timeval limit = {.tv_sec = ANSWER_S};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)addr, len) == 0)
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* Anybody may have taken an abstract name. */
static bool is_trusted(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

static int connect_broker(const char *path, const char *abstract)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = -ENOENT;

	if (*path && strlen(path) < sizeof(addr.sun_path)) {
		strcpy(addr.sun_path, path);
		fd = connect_to(&addr, sizeof(addr));
	}
	if (fd >= 0 || !*abstract ||
	    strlen(abstract) >= sizeof(addr.sun_path) - 1)
		return fd;
	memset(addr.sun_path, 0, sizeof(addr.sun_path));
	strcpy(addr.sun_path + 1, abstract);
	fd = connect_to(&addr, (socklen_t)(offsetof(struct sockaddr_un,
						    sun_path) +
					   1 + strlen(abstract)));
	if (fd >= 0 && !is_trusted(fd)) {
		close(fd);
		return -EACCES;
	}
	return fd;
}

static int send_listener(int broker, int listener)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr head;
	} control = {{0}};
	const struct ts_broker_request req = {.type = TS_BROKER_NOTIFY};
	uint8_t bytes[TS_BROKER_MESSAGE_MAX];
	int len = ts_broker_write_request(&req, bytes, sizeof(bytes));
	struct iovec iov = {.iov_base = bytes, .iov_len = (size_t)len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};

	if (len < 0)
		return len;
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.head), &listener, sizeof(int));
	return sendmsg(broker, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int receive_answer(int broker)
{
	uint8_t bytes[TS_BROKER_MESSAGE_MAX];
	struct ts_broker_reply rep;
	ssize_t len = recv(broker, bytes, sizeof(bytes), 0);
	int err;

	if (len <= 0)
		return len < 0 ? -errno : -ENETDOWN;
	err = ts_broker_read_reply(bytes, (size_t)len, &rep);
	return err ? err : -rep.error;
}

/* -- the second thread ---------------------------------------------------- */

static void *hand_over_main(void *arg)
{
	struct hand_over *h = arg;
	char go;

	if (read(h->go[0], &go, 1) != 1)
		return NULL;
	h->error = send_listener(h->broker, h->listener);
	if (!h->error)
		h->error = receive_answer(h->broker);
	return NULL;
}

static int install(uint32_t host_id, int broker)
{
	struct hand_over h = {.broker = broker, .listener = -1,
			      .error = -EIO};
	pthread_t thread;
	int err;

	if (pipe2(h.go, O_CLOEXEC))
		return -errno;
	err = pthread_create(&thread, NULL, hand_over_main, &h);
	if (err)
		return -err;
	h.listener = notify_filter_install(host_id);
	if (h.listener >= 0 && write(h.go[1], "", 1) != 1)
		h.error = -EIO;
	close(h.go[1]);
	pthread_join(thread, NULL);
	return h.listener < 0 ? h.listener : h.error;
}

/* -- the program ---------------------------------------------------------- */

static bool is_served_by(uint32_t host_id)
{
	return getsockopt(-1, TS_NOTIFY_PROBE_LEVEL, (int)host_id, NULL,
			  NULL) < 0 &&
	       errno == TS_NOTIFY_PROBE_ERRNO;
}

static int complain(const char *program, int err)
{
	const char *why = ts_strerror(err);

	if (err == -EBUSY)
		why = "it is under another supervisor already (a tsrun in a "
		      "tsrun?)";
	else if (err == -EPERM || err == -EACCES)
		why = "seccomp, or reading its memory, is denied here";
	else if (err == -ENOSYS || err == -EINVAL || err == -EOPNOTSUPP)
		why = "this kernel is too old";
	fprintf(stderr,
		"tsrun: %s: cannot be preloaded, and its system calls cannot "
		"be served: %s; \"tsrun --proxy\" offers it a proxy\n",
		program, why);
	return EXIT_CANNOT_RUN;
}

/* The shim that is preloaded here, for the program's sake, would have us start
 * ourselves once more. */
static void pass_hooks(void)
{
	void (*mark)(int on) =
		(void (*)(int))dlsym(RTLD_DEFAULT, "tsnet_shim_engine_thread");

	if (mark)
		mark(1);
}

/* The descriptor that this is the name of. */
static int fd_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? atoi(slash + 1) : -1;
}

int notify_exec_main(int argc, char **argv, bool is_open)
{
	const char *path = getenv("TSNET_BROKER");
	const char *abstract = getenv("TSNET_BROKER_ABSTRACT");
	uint32_t host_id;
	int broker, err = 0;

	if (argc < 2 || (!path && !abstract)) {
		fprintf(stderr, "usage: tsnet-host --notify -- PATH ARGV0 "
				"[ARG]... (under tsrun)\n");
		return EXIT_USAGE;
	}
	path = path ? path : "";
	abstract = abstract ? abstract : "";
	host_id = ts_notify_host_id(abstract, path);
	if (!is_served_by(host_id)) {
		broker = connect_broker(path, abstract);
		err = broker < 0 ? broker : install(host_id, broker);
		if (broker >= 0)
			close(broker);
	}
	if (err)
		return complain(argv[0], err);
	if (is_open)
		(void)fcntl(fd_of(argv[0]), F_SETFD, FD_CLOEXEC);
	pass_hooks();
	execvp(argv[0], argv + 1);
	err = errno;
	fprintf(stderr, "tsrun: cannot run %s: %s\n", argv[0],
		ts_strerror(-err));
	return err == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}

int notify_exec_probe(void)
{
	return notify_filter_probe();
}
