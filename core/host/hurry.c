/* SPDX-License-Identifier: BSD-3-Clause
 * hurry.c - calls on programs' sockets that could wait, and must not
 *
 * connect() and accept() have no flag that says "now or never", and O_NONBLOCK
 * belongs to the open file: another thread of the program can take it away
 * between our setting it and the call. close() waits whatever the flags say,
 * when it is the last of a socket that is to linger, and any stranger can send
 * us such a one. A host that waits there would often wait for itself.
 *
 * So a timer runs meanwhile, and its signal ends the wait as any signal would:
 * the call fails with EINTR, and what it began goes on by itself. SIGURG,
 * because whoever else sends it to us means nothing by it. It is for the whole
 * process, and so is what is kept here; a host inside a program, whose signals
 * are the program's, does without.
 */
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include "core/base/err.h"
#include "core/host/host_internal.h"

enum { HURRY_NS = 2 * 1000 * 1000 };

static struct {
	timer_t timer;
	unsigned users, depth;
} hurry;

static void on_hurry(int signo)
{
	(void)signo;
}

void ts_hurry_open(struct ts_host *host)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL,
				 .sigev_signo = SIGURG};
	struct sigaction action = {.sa_handler = on_hurry}; /* no SA_RESTART */

	if (host->in_process)
		return;
	if (hurry.users == 0 &&
	    (sigaction(SIGURG, &action, NULL) ||
	     timer_create(CLOCK_MONOTONIC, &event, &hurry.timer))) {
		log_warn("host: no timer (%s): a hostile program can make it "
			 "wait", ts_strerror(-errno));
		return;
	}
	hurry.users++;
	host->has_hurry = true;
}

void ts_hurry_close(const struct ts_host *host)
{
	if (host->has_hurry && --hurry.users == 0)
		timer_delete(hurry.timer);
}

/* Again and again: the first may come before the call has begun. */
static void set_timer(long ns)
{
	const struct itimerspec spec = {.it_interval.tv_nsec = ns,
					.it_value.tv_nsec = ns};

	if (hurry.users > 0)
		timer_settime(hurry.timer, 0, &spec, NULL);
}

void ts_hurry_begin(void)
{
	if (hurry.depth++ == 0)
		set_timer(HURRY_NS);
}

void ts_hurry_end(void)
{
	if (--hurry.depth == 0)
		set_timer(0);
}

int ts_hurry_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int err;

	ts_hurry_begin();
	err = connect(fd, addr, len) ? -errno : 0;
	ts_hurry_end();
	return err == -EINTR ? -EINPROGRESS : err;
}

int ts_hurry_accept(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	int got;

	ts_hurry_begin();
	got = accept4(fd, addr, len, flags);
	if (got < 0)
		got = errno == EINTR ? -EAGAIN : -errno;
	ts_hurry_end();
	return got;
}

void ts_hurry_drop(int fd)
{
	ts_hurry_begin();
	ts_sock_close(fd);
	ts_hurry_end();
}
