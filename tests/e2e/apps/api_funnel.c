/* SPDX-License-Identifier: BSD-3-Clause
 * api_funnel.c - listeners for the internet
 *
 *	api_funnel wait    says "up"; after a line on stdin, "listening" at :443
 *			   for everybody; after the next, "only" for the
 *			   internet; then "gone"
 *	api_funnel raw     the same with TLS of its own, and the first byte
 *	api_funnel wrong   what is refused, and why
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "api_check.h"

static void say(const char *text)
{
	printf("%s\n", text);
	fflush(stdout);
}

/* 1: there was a line. */
static int has_line(int listener, int *fd, struct tsnet *ts, char *peer)
{
	struct pollfd fds[] = {{STDIN_FILENO, POLLIN, 0}, {listener, POLLIN, 0}};
	char byte;

	CHECK(NULL, poll(fds, 2, -1) > 0);
	if (fds[0].revents) {
		CHECK_CODE(NULL, 1, read(STDIN_FILENO, &byte, 1));
		return 1;
	}
	*fd = tsnet_accept(ts, listener, peer, TSNET_ADDR_CAP);
	CHECK(ts, *fd >= 0);
	return 0;
}

/* HTTP for one request each, until there is a line. */
static void serve(struct tsnet *ts, int listener, const char *what)
{
	char peer[TSNET_ADDR_CAP], got[4096];
	int fd;

	while (!has_line(listener, &fd, ts, peer)) {
		if (read(fd, got, sizeof(got)) > 0)
			dprintf(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n"
				    "Content-Length: %zu\r\n\r\n%s %s\n",
				strlen(what) + strlen(peer) + 2, what, peer);
		close(fd);
	}
}

static void wait_for_line(void)
{
	char byte;

	CHECK_CODE(NULL, 1, read(STDIN_FILENO, &byte, 1));
}

/* The rights come with the next map. */
static int listen_when_allowed(struct tsnet *ts, unsigned flags)
{
	int listener = -EPERM;

	for (int i = 0; listener == -EPERM && i < UP_S * 20; i++) {
		listener = tsnet_listen_funnel(ts, "tcp", ":443", flags);
		if (listener == -EPERM)
			usleep(50 * 1000);
	}
	CHECK(ts, listener >= 0);
	return listener;
}

static struct tsnet *up_as_web(void)
{
	struct tsnet *ts = tsnet_new();

	CHECK_CODE(ts, 0, tsnet_set(ts, "hostname", "web"));
	CHECK_CODE(ts, 0, tsnet_up(ts, UP_S));
	say("up");
	return ts;
}

static void funnel(void)
{
	struct tsnet *ts = up_as_web();
	int listener;

	wait_for_line();
	listener = listen_when_allowed(ts, 0);
	CHECK_CODE(NULL, FD_CLOEXEC, fcntl(listener, F_GETFD));
	CHECK_CODE(ts, -EADDRINUSE,
		   tsnet_listen_funnel(ts, "tcp", ":443", 0));
	say("listening");
	serve(ts, listener, "funnel");
	CHECK_CODE(ts, 0, tsnet_unlisten(ts, listener));
	listener = listen_when_allowed(ts, TSNET_FUNNEL_ONLY);
	say("only");
	serve(ts, listener, "only");
	CHECK_CODE(ts, 0, tsnet_unlisten(ts, listener));
	say("gone");
	wait_for_line();
	tsnet_close(ts);
}

static void raw(void)
{
	struct tsnet *ts = up_as_web();
	unsigned char byte = 0;
	int listener, fd;

	wait_for_line();
	listener = listen_when_allowed(ts, TSNET_FUNNEL_OWN_TLS);
	say("listening");
	fd = tsnet_accept(ts, listener, NULL, 0);
	CHECK(ts, fd >= 0);
	CHECK_CODE(NULL, 1, read(fd, &byte, 1));
	printf("first byte %d\n", byte);
	fflush(stdout);
	close(fd);
	wait_for_line();
}

static void wrong(void)
{
	struct tsnet *ts = up_as_web();

	CHECK_CODE(NULL, -EINVAL, tsnet_listen_funnel(NULL, "tcp", ":443", 0));
	CHECK_CODE(NULL, -EINVAL, tsnet_listen_tls(NULL, "tcp", ":443"));
	CHECK_CODE(ts, -EINVAL, tsnet_listen_funnel(ts, NULL, ":443", 0));
	CHECK_CODE(ts, -EINVAL, tsnet_listen_tls(ts, "tcp", NULL));
	CHECK_CODE(ts, -EPROTONOSUPPORT, tsnet_listen_tls(ts, "udp", ":443"));
	CHECK_SAID(ts, "only tcp is supported");
	CHECK_CODE(ts, -EPROTONOSUPPORT,
		   tsnet_listen_funnel(ts, "tcp4", ":443", 0));
	CHECK_CODE(ts, -EINVAL,
		   tsnet_listen_funnel(ts, "tcp", "100.64.0.1:443", 0));
	CHECK_SAID(ts, "host must be empty");
	CHECK_CODE(ts, -EINVAL, tsnet_listen_funnel(ts, "tcp", ":443", 64));
	CHECK_CODE(ts, -EINVAL, tsnet_listen_tls(ts, "tcp", "443"));
	CHECK_CODE(ts, -EPERM, tsnet_listen_funnel(ts, "tcp", ":444", 0));
	CHECK_SAID(ts, "port 444 is not allowed for funnel");
	tsnet_close(ts);
}

int main(int argc, char **argv)
{
	url = key = NULL;
	if (argc != 2)
		return 64;
	if (strcmp(argv[1], "wait") == 0)
		funnel();
	else if (strcmp(argv[1], "raw") == 0)
		raw();
	else
		wrong();
	return 0;
}
