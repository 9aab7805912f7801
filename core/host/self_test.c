/* SPDX-License-Identifier: BSD-3-Clause
 * self_test.c - does this kernel hold, release and refuse as we need it?
 *
 * Runs once at start against R itself, in a few milliseconds: what is missing
 * is found here and said in the log, and not by the first program that hangs.
 * On Linux each step is over when its system call returns; other kernels
 * (gVisor) get SETTLE_MS for it.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/host/host_internal.h"

enum { SETTLE_MS = 50, HOLD_LOOK_MS = 1 };

static bool reaches_state(int fd, int wanted)
{
	for (int i = 0; i < SETTLE_MS; i++) {
		if (ts_sock_state(fd) == wanted)
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

static bool can_bind(const struct ts_host *host, const struct ts_ip *ip)
{
	struct ts_addr at = {.ip = *ip};
	int fd = ts_sock_open(host, ip);
	bool ok = fd >= 0 && ts_sock_bind(fd, &at) == 0;

	ts_sock_close(fd);
	return ok;
}

/* As the shim does it: bound to a loopback address, then to R. fd or -1. */
static int knock(const struct ts_host *host, const struct ts_ip *from,
		 const struct ts_addr *at)
{
	struct ts_addr local = {.ip = *from};
	int fd = ts_sock_open(host, &at->ip);

	if (fd >= 0 && ts_sock_bind(fd, &local) == 0 &&
	    ts_sock_connect(fd, at) == 0)
		return fd;
	ts_sock_close(fd);
	return -1;
}

static bool is_held(int fd)
{
	return fd >= 0 && ts_sock_state(fd) == TCP_SYN_SENT;
}

static bool byte_passes(int from, int to)
{
	struct pollfd p = {.fd = to, .events = POLLIN};
	char byte = 'x', got = 0;

	return send(from, &byte, 1, MSG_NOSIGNAL) == 1 &&
	       poll(&p, 1, SETTLE_MS) == 1 && recv(to, &got, 1, 0) == 1 &&
	       got == byte;
}

static bool can_release(const struct ts_host *host, int held,
			const struct ts_addr *at)
{
	struct ts_addr program, peer;
	bool ok;
	int back;

	if (ts_sock_local(held, &program))
		return false;
	back = ts_rendezvous_connect_back(host, at, &program);
	if (back < 0)
		return false;
	ok = reaches_state(held, TCP_ESTABLISHED) &&
	     reaches_state(back, TCP_ESTABLISHED) &&
	     ts_sock_peer(held, &peer) == 0 && ts_addr_equal(&peer, at) &&
	     byte_passes(held, back) && byte_passes(back, held);
	ts_sock_reset(back);
	return ok;
}

static bool can_refuse(int held)
{
	int copy = dup(held);
	bool ok = copy >= 0 && shutdown(copy, SHUT_RDWR) == 0 &&
		  ts_sock_error(held) != 0;

	ts_sock_close(copy);
	return ok;
}

/* Two connects to R: one to release, one to refuse. */
struct trial {
	struct ts_addr at;
	int first, second;
};

static struct trial begin_trial(const struct ts_host *host,
				const struct ts_ip *from,
				const struct ts_addr *at)
{
	return (struct trial){
		.at = *at,
		.first = knock(host, from, at),
		.second = knock(host, from, at),
	};
}

/* NULL: all is well; else what does not work. */
static const char *end_trial(const struct ts_host *host,
			     const struct trial *trial)
{
	const char *missing = NULL;

	if (!is_held(trial->first) || !is_held(trial->second))
		missing = "connects are answered at once";
	else if (!can_release(host, trial->first, &trial->at))
		missing = "held connects cannot be released";
	else if (!can_refuse(trial->second))
		missing = "held connects cannot be refused";
	ts_sock_reset(trial->first);
	ts_sock_reset(trial->second);
	return missing;
}

static bool wildcard_follows(const struct ts_host *host,
			     const struct ts_addr *at)
{
	struct ts_addr local;
	int fd = knock(host, &TS_IP4_ZERO, at);
	bool follows = fd >= 0 && ts_sock_local(fd, &local) == 0 &&
		       ts_ip_equal(&local.ip, &at->ip);

	ts_sock_reset(fd);
	return follows;
}

static void close_twin(struct ts_host *host, const char *missing)
{
	log_info("host: IPv6-only sockets cannot connect, ::1: %s", missing);
	ts_sock_close(host->rv.fd6);
	ts_sock_close(host->rv.dummy6);
	host->rv.fd6 = host->rv.dummy6 = -1;
	host->rv.port6 = 0;
}

void ts_self_test(struct ts_host *host)
{
	struct ts_ip from = ts_sock_random_loopback(host);
	struct ts_addr at = {.port = host->rv.port4};
	struct ts_addr at6 = {.ip = ts_sock_loopback(true),
			      .port = host->rv.port6};
	struct trial trial, trial6 = {.first = -1, .second = -1};
	const char *missing, *missing6;

	if (!host->rv.one_loopback && !can_bind(host, &from)) {
		log_info("host: only 127.0.0.1 can be bound: about 28,000 "
			 "connections at a time");
		host->rv.one_loopback = true;
	}
	from = ts_sock_random_loopback(host);
	at.ip = ts_sock_random_loopback(host);
	trial = begin_trial(host, &from, &at);
	if (at6.port)
		trial6 = begin_trial(host, &at6.ip, &at6);
	poll(NULL, 0, HOLD_LOOK_MS); /* one wait for all: starts are awaited */
	missing = end_trial(host, &trial);
	missing6 = end_trial(host, &trial6);
	host->rv.holds = !missing;
	if (missing)
		log_warn("host: programs will see connects succeed early, and "
			 "refusals as resets: %s", missing);
	host->rv.source_follows = wildcard_follows(host, &at);
	if (at6.port && host->rv.holds && missing6)
		close_twin(host, missing6);
}
