/* SPDX-License-Identifier: BSD-3-Clause
 * broker_listen.c - the two sockets at which programs ask
 *
 * A program can lose either: the path is gone after chroot, the abstract name
 * in a new network namespace. Who cannot be taken in now waits in the queue,
 * and the listeners rest for a moment, since a queue that is never emptied
 * would spin the loop.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/host/broker_server.h"

enum { ACCEPTS_A_TURN = 64, ACCEPT_PAUSE_MS = 50, BACKLOG = 1024 };

void ts_broker_set_accepting(struct ts_broker_server *server, bool on)
{
	unsigned events = on ? TS_READABLE : 0;

	server->resume_ms = UINT64_MAX;
	if (!on)
		server->resume_ms =
			ts_host_now_ms(server->host) + ACCEPT_PAUSE_MS;
	if (server->path_watch)
		ts_watch_set(server->path_watch, events);
	if (server->abstract_watch)
		ts_watch_set(server->abstract_watch, events);
	if (server->told_watch)
		ts_watch_set(server->told_watch, events);
	ts_broker_set_reading(server, on);
	ts_broker_arm_timer(server);
}

static bool is_free(int fd)
{
	return fcntl(fd, F_GETFD) < 0 && errno == EBADF;
}

/* For a client and what it brings. One that nobody answers must not lose its
 * socket on the way. The last two numbers are mostly free: others are taken
 * first. */
bool ts_broker_has_descriptors(const struct ts_broker_server *server)
{
	int any = server->path_fd >= 0 ? server->path_fd : server->abstract_fd;
	int one, two;

	if (server->host->in_process ||
	    (is_free(server->last_fd) && is_free(server->last_fd - 1)))
		return true;
	one = fcntl(any, F_DUPFD_CLOEXEC, 0);
	two = fcntl(any, F_DUPFD_CLOEXEC, 0);
	if (one >= 0)
		close(one);
	if (two >= 0)
		close(two);
	return two >= 0;
}

static void find_last_fd(struct ts_broker_server *server)
{
	struct rlimit limit;

	server->last_fd = INT_MAX;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	    limit.rlim_cur > 0 && limit.rlim_cur <= INT_MAX)
		server->last_fd = (int)limit.rlim_cur - 1;
}

static void accept_some(struct ts_broker_server *server, int listener)
{
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int fd;

		if (!ts_broker_has_room(server) ||
		    !ts_broker_has_descriptors(server)) {
			ts_broker_set_accepting(server, false);
			return;
		}
		fd = accept4(listener, NULL, NULL,
			     SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			fd = ts_sock_keep(server->host, fd);
			ts_broker_add_client(server, fd);
			continue;
		}
		if (errno == ECONNABORTED || errno == EINTR)
			continue;
		if (errno != EAGAIN)
			ts_broker_set_accepting(server, false);
		return;
	}
}

static void on_path(void *ctx, unsigned events)
{
	struct ts_broker_server *server = ctx;

	(void)events;
	ts_hurry_begin();
	accept_some(server, server->path_fd);
	ts_hurry_end();
}

static void on_abstract(void *ctx, unsigned events)
{
	struct ts_broker_server *server = ctx;

	(void)events;
	ts_hurry_begin();
	accept_some(server, server->abstract_fd);
	ts_hurry_end();
}

/* fd or -errno. addr_len says how much of the name counts. */
static int listen_at(const struct ts_host *host, const struct sockaddr_un *addr,
		     socklen_t addr_len)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
			0);
	int err;

	if (fd < 0)
		return -errno;
	fd = ts_sock_keep(host, fd);
	/* bind() gives the file the socket's own mode; umask() is the whole
	 * process's and not ours to change. */
	if (fchmod(fd, 0600) ||
	    bind(fd, (const struct sockaddr *)addr, addr_len) ||
	    listen(fd, BACKLOG)) {
		err = -errno;
		ts_sock_close(fd);
		return err;
	}
	return fd;
}

static int open_path(struct ts_broker_server *server, const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(path);

	if (len >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, len);
	/* The state directory is locked: what is there was left behind. */
	(void)unlink(path);
	server->path_fd = listen_at(server->host, &addr, sizeof(addr));
	if (server->path_fd < 0)
		return server->path_fd;
	memcpy(server->path, path, len);
	server->path_watch = ts_watch_new(server->host->loop, server->path_fd,
					  TS_READABLE, on_path, server);
	return server->path_watch ? ts_broker_open_told(server) : -ENOMEM;
}

static int open_abstract(struct ts_broker_server *server, const char *name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = strlen(name);

	if (len >= sizeof(addr.sun_path) - 1)
		return -ENAMETOOLONG;
	memcpy(addr.sun_path + 1, name, len);
	server->abstract_fd =
		listen_at(server->host, &addr,
			  (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				      1 + len));
	if (server->abstract_fd < 0)
		return server->abstract_fd;
	server->abstract_watch =
		ts_watch_new(server->host->loop, server->abstract_fd,
			     TS_READABLE, on_abstract, server);
	return server->abstract_watch ? 0 : -ENOMEM;
}

int ts_broker_listen(struct ts_broker_server *server,
		     const struct ts_host_config *config)
{
	int path_err = -ENOENT, abstract_err = -ENOENT;

	find_last_fd(server);
	if (config->socket_path) {
		path_err = open_path(server, config->socket_path);
		if (path_err)
			log_warn("broker: cannot listen at %s: %s",
				 config->socket_path, ts_strerror(path_err));
	}
	if (config->abstract_name) {
		abstract_err = open_abstract(server, config->abstract_name);
		if (abstract_err)
			log_warn("broker: cannot listen at @%s: %s",
				 config->abstract_name,
				 ts_strerror(abstract_err));
	}
	if (!path_err || !abstract_err)
		return 0;
	return config->socket_path ? path_err : abstract_err;
}

void ts_broker_unlisten(struct ts_broker_server *server)
{
	ts_watch_free(server->path_watch);
	ts_watch_free(server->abstract_watch);
	ts_sock_close(server->path_fd);
	ts_sock_close(server->abstract_fd);
	ts_broker_close_told(server);
	if (server->path[0])
		(void)unlink(server->path);
}
