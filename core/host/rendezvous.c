/* SPDX-License-Identifier: BSD-3-Clause
 * rendezvous.c - R, the listener that never answers
 *
 * A program's connect must stay in SYN_SENT until the tailnet peer has
 * answered. R makes it so: its backlog is 0 and one dummy connection fills
 * it, so the kernel drops every SYN to it without a word. R is bound to
 * 0.0.0.0 on the loopback device, so each 127.a.b.c:port is R, and a random
 * one per connect lets sockets that share a source port coexist. Sockets that
 * speak IPv6 only cannot reach 127/8; for them a twin listens on ::1.
 *
 * A held socket is released by a connect from the very address that it
 * knocked at: TCP simultaneous open. SO_REUSEPORT lets our sockets join R's
 * port, and keeps those of other uids away from it.
 *
 * Where a kernel answers at R after all, R is an ordinary listener: programs
 * see their connects succeed at once, and a refusal as a reset.
 */
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/host/host_internal.h"

enum {
	OPEN_BACKLOG = 4096, /* when R must accept */
	ACCEPTS_A_TURN = 64,
};

/* A network namespace that was just made has its loopback down. */
static bool raise_loopback(void)
{
	struct ifreq req = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool is_up = false;

	if (fd < 0)
		return false;
	if (ioctl(fd, SIOCGIFFLAGS, &req) == 0) {
		is_up = req.ifr_flags & IFF_UP;
		req.ifr_flags |= IFF_UP;
		if (!is_up)
			is_up = ioctl(fd, SIOCSIFFLAGS, &req) == 0;
	}
	close(fd);
	return is_up;
}

/* 0.0.0.0 on the loopback device, or 127.0.0.1 where that is not allowed. */
static int bind_v4(struct ts_host *host, int fd)
{
	struct ts_addr at = {.ip = TS_IP4_ZERO};

	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3)) {
		log_info("host: cannot bind to the loopback device, using "
			 "127.0.0.1 only: %s", ts_strerror(-errno));
		host->rv.one_loopback = true;
		at.ip = ts_sock_loopback(false);
	}
	return ts_sock_bind(fd, &at);
}

static int bind_v6(int fd)
{
	struct ts_addr at = {.ip = ts_sock_loopback(true)};

	return ts_sock_bind(fd, &at);
}

/* A listener and the dummy that fills it. */
static int open_full(struct ts_host *host, bool v6, int *out_fd, int *out_dummy,
		     uint16_t *out_port)
{
	struct ts_addr at = {.ip = ts_sock_loopback(v6)}, name;
	int fd = ts_sock_open(host, &at.ip);
	int dummy = ts_sock_open(host, &at.ip);
	int err = fd < 0 ? fd : dummy < 0 ? dummy : 0;

	if (!err)
		err = ts_sock_reuse_port(fd);
	if (!err)
		err = v6 ? bind_v6(fd) : bind_v4(host, fd);
	if (!err && listen(fd, 0))
		err = -errno;
	if (!err)
		err = ts_sock_local(fd, &name);
	if (!err) {
		at.port = name.port;
		err = ts_sock_connect(dummy, &at);
	}
	if (err) {
		ts_sock_close(fd);
		ts_sock_close(dummy);
		return err;
	}
	*out_fd = fd;
	*out_dummy = dummy;
	*out_port = name.port;
	return 0;
}

static void close_sockets(struct ts_rendezvous *rv)
{
	ts_watch_free(rv->watch4);
	ts_watch_free(rv->watch6);
	ts_sock_close(rv->fd4);
	ts_sock_close(rv->fd6);
	ts_sock_close(rv->dummy4);
	ts_sock_close(rv->dummy6);
	rv->watch4 = rv->watch6 = NULL;
	rv->fd4 = rv->fd6 = rv->dummy4 = rv->dummy6 = -1;
	rv->port4 = rv->port6 = 0;
}

static int open_sockets(struct ts_host *host)
{
	struct ts_rendezvous *rv = &host->rv;
	int err;

	rv->fd4 = rv->fd6 = rv->dummy4 = rv->dummy6 = -1;
	rv->port4 = rv->port6 = 0;
	rv->uid = geteuid();
	err = open_full(host, false, &rv->fd4, &rv->dummy4, &rv->port4);
	if (err)
		return err;
	err = open_full(host, true, &rv->fd6, &rv->dummy6, &rv->port6);
	if (err)
		log_info("host: no rendezvous on ::1, IPv6-only sockets cannot "
			 "connect: %s", ts_strerror(err));
	return 0;
}

/* -- where R does not hold ------------------------------------------------ */

static void accept_some(struct ts_host *host, int listener)
{
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int fd = accept4(listener, NULL, NULL,
				 SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return;
		ts_conns_arrived(host, ts_sock_keep(host, fd));
	}
}

static void on_readable4(void *ctx, unsigned events)
{
	struct ts_host *host = ctx;

	(void)events;
	accept_some(host, host->rv.fd4);
}

static void on_readable6(void *ctx, unsigned events)
{
	struct ts_host *host = ctx;

	(void)events;
	accept_some(host, host->rv.fd6);
}

static int open_for_accept(struct ts_host *host)
{
	struct ts_rendezvous *rv = &host->rv;

	if (listen(rv->fd4, OPEN_BACKLOG))
		return -errno;
	rv->watch4 = ts_watch_new(host->loop, rv->fd4, TS_READABLE,
				  on_readable4, host);
	if (!rv->watch4)
		return -ENOMEM;
	if (rv->fd6 < 0)
		return 0;
	if (listen(rv->fd6, OPEN_BACKLOG))
		return -errno;
	rv->watch6 = ts_watch_new(host->loop, rv->fd6, TS_READABLE,
				  on_readable6, host);
	return rv->watch6 ? 0 : -ENOMEM;
}

/* -- for the other files -------------------------------------------------- */

int ts_rendezvous_open(struct ts_host *host, bool never_hold,
		       char err[static 256])
{
	int status;

	memset(&host->rv, 0, sizeof(host->rv));
	host->rv.holds = true;
	status = open_sockets(host);
	if (status == -ENETUNREACH && raise_loopback())
		status = open_sockets(host);
	if (status) {
		snprintf(err, 256, "no loopback interface to work with: %s",
			 ts_strerror(status));
		return status;
	}
	ts_self_test(host);
	if (never_hold)
		host->rv.holds = false;
	status = host->rv.holds ? 0 : open_for_accept(host);
	if (status)
		snprintf(err, 256, "cannot listen on the loopback: %s",
			 ts_strerror(status));
	return status;
}

void ts_rendezvous_close(struct ts_host *host)
{
	close_sockets(&host->rv);
}

void ts_rendezvous_follow_uid(struct ts_host *host)
{
	struct ts_rendezvous old = host->rv;

	if (geteuid() == old.uid)
		return;
	host->rv.watch4 = host->rv.watch6 = NULL; /* are in old */
	if (open_sockets(host)) {
		close_sockets(&host->rv);
		host->rv = old;
		log_warn("host: no new rendezvous after the change of uid from "
			 "%u to %u", (unsigned)old.uid, (unsigned)geteuid());
		return;
	}
	/* The old one must go: only then can the sockets that it holds be
	 * released from its port. They have until their next SYN. */
	close_sockets(&old);
	if (!host->rv.holds && open_for_accept(host))
		log_warn("host: cannot accept at the new rendezvous");
	host->info.generation++;
	ts_host_publish(host);
}

bool ts_rendezvous_owns(const struct ts_host *host, const struct ts_addr *at)
{
	const struct ts_rendezvous *rv = &host->rv;
	struct ts_ip one = ts_sock_loopback(!ts_ip_is_v4(&at->ip));

	if (!ts_ip_is_v4(&at->ip))
		return rv->port6 && at->port == rv->port6 &&
		       ts_ip_equal(&at->ip, &one);
	if (rv->one_loopback && !ts_ip_equal(&at->ip, &one))
		return false;
	return rv->port4 && at->port == rv->port4 &&
	       ts_ip_is_loopback(&at->ip);
}

int ts_rendezvous_connect_back(const struct ts_host *host,
			       const struct ts_addr *at,
			       const struct ts_addr *program)
{
	int fd = ts_sock_open(host, &at->ip);
	int err = fd < 0 ? fd : ts_sock_reuse_port(fd);

	if (!err)
		err = ts_sock_bind(fd, at);
	if (!err)
		err = ts_sock_connect(fd, program);
	if (!err)
		return fd;
	ts_sock_close(fd);
	return err;
}
