/* SPDX-License-Identifier: BSD-3-Clause
 * signal_storm.c - a signal in every moment, none of them restarts a call
 *
 *   signal_storm serve PORT               says which connections it was given
 *   signal_storm call HOST PORT SIGNALS   until so many have come
 *
 * EINTR may come from where the kernel waits: connect, accept, poll and the
 * receive calls. From all others it is an error, and so is a connection that
 * was lost or made twice.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { CALLS_MIN = 40 };

static volatile sig_atomic_t signals;

/* Again, but only after EINTR. */
#define INSIST(call)                                                           \
	({                                                                     \
		long got_;                                                     \
		while ((got_ = (call)) == -1 && errno == EINTR)                \
			;                                                      \
		got_;                                                          \
	})

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	_exit(1);
}

static void must(int ret, const char *what)
{
	if (ret != 0)
		die(what);
}

static void on_alarm(int signo)
{
	(void)signo;
	signals++;
}

static void begin_storm(void)
{
	const struct sigaction action = {.sa_handler = on_alarm};
	const struct itimerval often = {{0, 300}, {0, 300}};

	must(sigaction(SIGALRM, &action, NULL), "sigaction");
	must(setitimer(ITIMER_REAL, &often, NULL), "setitimer");
}

static const char *text_of(const struct sockaddr_in *addr)
{
	return inet_ntoa(addr->sin_addr);
}

/* A line, without its end; 0: none came. */
static size_t read_line(int fd, char *out, size_t cap)
{
	size_t len = 0;

	while (len < cap - 1 && (len == 0 || out[len - 1] != '\n')) {
		long n = INSIST(read(fd, out + len, cap - 1 - len));

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	out[len] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return len;
}

/* -- server --------------------------------------------------------------- */

static int socket_at(int type, int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, type, 0);

	if (fd < 0)
		die("socket");
	must(bind(fd, (struct sockaddr *)&at, sizeof(at)), "bind");
	return fd;
}

static void serve_datagrams(int fd)
{
	struct sockaddr_in from;
	char data[64];

	for (;;) {
		socklen_t len = sizeof(from);
		long n = INSIST(recvfrom(fd, data, sizeof(data), 0,
					 (struct sockaddr *)&from, &len));

		if (n < 0)
			die("recvfrom");
		if (sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from,
			   len) != n)
			die("sendto");
	}
}

static void serve_connections(int listener)
{
	struct sockaddr_in peer;
	char line[64];

	for (;;) {
		socklen_t len = sizeof(peer);
		long fd = INSIST(accept(listener, (struct sockaddr *)&peer,
					&len));

		if (fd < 0)
			die("accept");
		if (read_line((int)fd, line, sizeof(line)) == 0)
			strcpy(line, "nothing");
		printf("%s from %s\n", line, text_of(&peer));
		fflush(stdout);
		if (dprintf((int)fd, "%s %s\n", text_of(&peer), line) < 0)
			die("answer");
		must(close((int)fd), "close");
	}
}

static void serve(int port)
{
	int listener, datagrams;

	begin_storm();
	listener = socket_at(SOCK_STREAM, port);
	datagrams = socket_at(SOCK_DGRAM, port);
	must(listen(listener, 64), "listen");
	if (fork() == 0) {
		begin_storm(); /* timers are not inherited */
		serve_datagrams(datagrams);
	}
	serve_connections(listener);
}

/* -- client --------------------------------------------------------------- */

static struct sockaddr_in look_up(const char *host, const char *port)
{
	const struct addrinfo hints = {.ai_family = AF_INET,
				       .ai_socktype = SOCK_STREAM};
	struct addrinfo *list;
	struct sockaddr_in out;
	int err = getaddrinfo(host, port, &hints, &list);

	if (err) {
		fprintf(stderr, "getaddrinfo: %s\n", gai_strerror(err));
		_exit(1);
	}
	memcpy(&out, list->ai_addr, sizeof(out));
	freeaddrinfo(list);
	return out;
}

/* What was interrupted goes on; there are two ways to hear how it went. */
static void connect_to(int fd, const struct sockaddr_in *to, int ask_again)
{
	int err = connect(fd, (const struct sockaddr *)to, sizeof(*to));
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(err);

	while (err && (errno == EINTR || errno == EALREADY) && ask_again)
		err = connect(fd, (const struct sockaddr *)to, sizeof(*to));
	if (!err || (ask_again && errno == EISCONN))
		return;
	if (errno != EINTR)
		die("connect");
	if (INSIST(poll(&p, 1, -1)) != 1)
		die("poll");
	must(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len), "SO_ERROR");
	errno = err;
	must(err, "connect");
}

static void check_names(int fd, const struct sockaddr_in *to)
{
	struct sockaddr_in name;
	socklen_t len = sizeof(name);

	must(getpeername(fd, (struct sockaddr *)&name, &len), "getpeername");
	if (name.sin_addr.s_addr != to->sin_addr.s_addr ||
	    name.sin_port != to->sin_port)
		die("another peer");
	len = sizeof(name);
	must(getsockname(fd, (struct sockaddr *)&name, &len), "getsockname");
	if (strncmp(text_of(&name), "100.", 4) != 0)
		die(text_of(&name));
}

static void check_options(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	const int on = 1;

	must(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)),
	     "SO_KEEPALIVE");
	must(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len), "TCP_INFO");
}

static void call_once(const struct sockaddr_in *to, int number)
{
	char line[64], want[64];
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	connect_to(fd, to, number % 2);
	check_names(fd, to);
	check_options(fd);
	if (dprintf(fd, "%d\n", number) < 0)
		die("request");
	read_line(fd, line, sizeof(line));
	snprintf(want, sizeof(want), " %d", number);
	if (!strstr(line, want)) {
		fprintf(stderr, "%d: answer \"%s\"\n", number, line);
		_exit(1);
	}
	must(close(fd), "close");
}

static void exchange(int fd, const struct sockaddr_in *to, int number)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	int got = -1;

	if (sendto(fd, &number, sizeof(number), 0, (const struct sockaddr *)to,
		   sizeof(*to)) != sizeof(number))
		die("sendto");
	if (INSIST(recvfrom(fd, &got, sizeof(got), 0, (struct sockaddr *)&from,
			    &len)) != sizeof(got))
		die("recvfrom");
	if (got != number || from.sin_addr.s_addr != to->sin_addr.s_addr ||
	    from.sin_port != to->sin_port)
		die("another datagram");
}

static void call(const char *host, const char *port, int signals_wanted)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int i;

	begin_storm();
	for (i = 0; i < CALLS_MIN || signals < signals_wanted; i++) {
		struct sockaddr_in to = look_up(host, port);

		call_once(&to, i);
		exchange(fd, &to, i);
	}
	printf("%d\n", i);
}

int main(int argc, char **argv)
{
	if (argc == 3)
		serve(atoi(argv[2]));
	else if (argc == 5)
		call(argv[2], argv[3], atoi(argv[4]));
	else
		return 64;
	return 0;
}
