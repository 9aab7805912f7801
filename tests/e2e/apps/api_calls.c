/* SPDX-License-Identifier: BSD-3-Clause
 * api_calls.c - every call of tsnet.h, between two servers of one process
 *
 *	api_calls URL KEY calls      names the first that goes wrong
 *	api_calls URL KEY loopback   tells the port's address and credentials,
 *				     and serves until stdin ends
 *	api_calls URL KEY ends       closes while others wait
 *	api_calls URL KEY leaves     ends without closing anything
 *	api_calls URL KEY threads    many calls at once on the same servers
 *	api_calls URL KEY capture    packets into a file
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api_check.h"

/* -- settings ------------------------------------------------------------- */

static void settings(void)
{
	struct tsnet *ts = tsnet_new();
	char v4[TSNET_ADDR_CAP], v6[TSNET_ADDR_CAP];

	CHECK_CODE(ts, -EINVAL, tsnet_set(ts, "colour", "blue"));
	CHECK_SAID(ts, "colour: no such setting");
	CHECK_CODE(ts, -ENOTCONN, tsnet_ips(ts, v4, v6, sizeof(v4)));
	CHECK(ts, !tsnet_localapi(ts) && !tsnet_root_path(ts));
	CHECK_CODE(ts, 0, tsnet_set(ts, "ephemeral", "perhaps"));
	CHECK_CODE(ts, -EINVAL, tsnet_start(ts));
	CHECK_SAID(ts, "ephemeral");
	CHECK_CODE(ts, 0, tsnet_set(ts, "ephemeral", NULL));
	tsnet_close(ts);
	tsnet_close(NULL);
}

static void started(struct tsnet *a)
{
	char v4[TSNET_ADDR_CAP], v6[TSNET_ADDR_CAP], *text;

	CHECK_CODE(a, 0, tsnet_start(a));
	CHECK_CODE(a, -EBUSY, tsnet_set(a, "hostname", "other"));
	CHECK_CODE(a, -ENOBUFS, tsnet_ips(a, v4, v6, 4));
	CHECK_CODE(a, 0, tsnet_ips(a, v4, v6, sizeof(v4)));
	CHECK(a, strncmp(v4, "100.", 4) == 0 && strchr(v6, ':'));
	CHECK(a, strstr(tsnet_root_path(a), "alpha"));
	CHECK(a, access(tsnet_localapi(a), F_OK) == 0);
	text = tsnet_cert_domains(a);
	CHECK(a, text);
	free(text);
	text = tsnet_local_request(a, "GET", "/localapi/v0/status");
	CHECK(a, text && strstr(text, "\"BackendState\":\"Running\""));
	free(text);
	CHECK(a, !tsnet_local_request(a, "GET", "/localapi/v0/no-such"));
	CHECK(a, !tsnet_local_request(a, "DELETE", "/localapi/v0/status"));
	text = tsnet_local_send(a, "PATCH", "/localapi/v0/prefs",
				"{\"ShieldsUp\":true,\"ShieldsUpSet\":true}");
	CHECK(a, text && strstr(text, "\"ShieldsUp\":true"));
	free(text);
	free(tsnet_local_send(a, "PATCH", "/localapi/v0/prefs",
			      "{\"ShieldsUp\":false,\"ShieldsUpSet\":true}"));
	CHECK(a, !tsnet_local_send(a, "PATCH", "/localapi/v0/prefs", "{"));
	CHECK(a, !tsnet_local_send(a, "BAD METHOD", "/", NULL));
}

/* -- connections ---------------------------------------------------------- */

static void wrong_listens(struct tsnet *a)
{
	CHECK_CODE(a, -EPROTONOSUPPORT, tsnet_listen(a, "tcp9", ":1"));
	CHECK_CODE(a, -EINVAL, tsnet_listen(a, "tcp", "localhost:80"));
	CHECK_SAID(a, "host part must be empty or IP literal");
	CHECK_CODE(a, -EINVAL, tsnet_listen(a, "tcp4", "[::1]:80"));
	CHECK_CODE(a, -EINVAL, tsnet_listen(a, "tcp", "80"));
	CHECK_CODE(a, -EADDRNOTAVAIL, tsnet_listen(a, "tcp", "192.0.2.1:80"));
	CHECK_CODE(a, -EBADF, tsnet_accept(a, 0, NULL, 0));
}

static void wrong_dials(struct tsnet *b)
{
	CHECK_CODE(b, -EPROTONOSUPPORT, tsnet_dial(b, "icmp", "alpha:1", 5));
	CHECK_CODE(b, -EINVAL, tsnet_dial(b, "tcp", "alpha", 5));
	CHECK_CODE(b, -EINVAL, tsnet_dial(b, "tcp", "alpha:70000", 5));
	CHECK_CODE(b, -ECONNREFUSED, tsnet_dial(b, "tcp", "alpha:9", UP_S));
	CHECK_SAID(b, "dial tcp alpha:9: connection refused");
	CHECK_CODE(b, -ENOENT,
		   tsnet_dial(b, "tcp", "nobody.lab.ts.net:9", UP_S));
	CHECK_SAID(b, "no such host");
	CHECK_CODE(b, -EHOSTUNREACH,
		   tsnet_dial(b, "tcp", "100.127.255.1:9", UP_S));
}

/* Not the tailnet's: by the host's network. */
static void by_the_host(struct tsnet *b)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t len = sizeof(sin);
	int listener = socket(AF_INET, SOCK_STREAM, 0), near, far;
	char address[TSNET_ADDR_CAP], peer[TSNET_ADDR_CAP];

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK_CODE(NULL, 0, bind(listener, (struct sockaddr *)&sin, len));
	CHECK_CODE(NULL, 0, listen(listener, 1));
	CHECK_CODE(NULL, 0,
		   getsockname(listener, (struct sockaddr *)&sin, &len));
	snprintf(address, sizeof(address), "127.0.0.1:%u",
		 ntohs(sin.sin_port));
	near = tsnet_dial(b, "tcp", address, UP_S);
	CHECK(b, near >= 0);
	far = accept(listener, NULL, NULL);
	says(near, far, "host");
	CHECK_CODE(b, 0, tsnet_peer_addr(b, near, peer, sizeof(peer)));
	CHECK(b, strcmp(peer, address) == 0);
	close(near);
	close(far);
	close(listener);
}

/* Whoever is on this machine finds the listener's own address. */
static void a_stranger_calls(struct tsnet *a, int listener)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct pollfd p = {.fd = listener, .events = POLLIN};
	char byte;

	CHECK_CODE(NULL, 0,
		   getsockname(listener, (struct sockaddr *)&sa, &len));
	CHECK_CODE(NULL, 0, connect(fd, (struct sockaddr *)&sa, len));
	CHECK_CODE(NULL, 1, poll(&p, 1, UP_S * 1000));
	CHECK_CODE(NULL, 0, fcntl(listener, F_SETFL, O_NONBLOCK));
	CHECK_CODE(a, -EAGAIN, tsnet_accept(a, listener, NULL, 0));
	CHECK_CODE(NULL, 0, fcntl(listener, F_SETFL, 0));
	CHECK_CODE(NULL, 0, read(fd, &byte, 1));
	close(fd);
}

/* Between a listener of a and a call of b's. */
static void talk(struct tsnet *a, struct tsnet *b, int listener,
		 const char *address, const char *b_ip)
{
	char peer[TSNET_ADDR_CAP], name[TSNET_ADDR_CAP], byte;
	int near = tsnet_dial(b, "tcp", address, UP_S);
	int far;

	CHECK(b, near >= 0);
	CHECK_CODE(NULL, 0, fcntl(near, F_GETFL) & O_NONBLOCK);
	CHECK_CODE(NULL, FD_CLOEXEC, fcntl(near, F_GETFD));
	far = tsnet_accept(a, listener, peer, sizeof(peer));
	CHECK(a, far >= 0);
	CHECK(NULL, strncmp(peer, b_ip, strlen(b_ip)) == 0);
	says(near, far, "there");
	says(far, near, "and back");
	CHECK_CODE(b, 0, tsnet_local_addr(b, near, name, sizeof(name)));
	CHECK(NULL, strcmp(name, peer) == 0);
	CHECK_CODE(a, 0, tsnet_peer_addr(a, far, name, sizeof(name)));
	CHECK(NULL, strcmp(name, peer) == 0);
	CHECK_CODE(a, -ENOBUFS, tsnet_peer_addr(a, far, name, 5));
	CHECK_CODE(NULL, 0, shutdown(near, SHUT_WR));
	CHECK_CODE(NULL, 0, read(far, &byte, 1));
	says(far, near, "still");
	close(far);
	CHECK_CODE(NULL, 0, read(near, &byte, 1));
	close(near);
}

static void whois(struct tsnet *a, const char *b_ip)
{
	char *who = tsnet_whois(a, b_ip);

	CHECK(a, who && strstr(who, "\"Name\":\"bravo."));
	CHECK(a, strstr(who, "alice@example.com"));
	free(who);
	CHECK(a, !tsnet_whois(a, "100.127.255.1"));
	CHECK(a, !tsnet_whois(a, "nonsense"));
}

/* A descriptor works in a child, where the server does not. */
static void in_a_child(struct tsnet *a, struct tsnet *b, int listener)
{
	int near = tsnet_dial(b, "tcp", "alpha:7001", UP_S);
	int far = tsnet_accept(a, listener, NULL, 0), status;
	char got[16] = "";
	pid_t pid;

	CHECK(b, near >= 0 && far >= 0);
	pid = fork();
	if (pid == 0) {
		close(near);
		CHECK_CODE(NULL, 5, write(far, "child", 5));
		CHECK_CODE(NULL, -ENETDOWN,
			   tsnet_dial(b, "tcp", "alpha:7001", 1));
		tsnet_close(b);
		_exit(0);
	}
	close(far);
	CHECK_CODE(NULL, 5, read(near, got, sizeof(got)));
	CHECK(NULL, strcmp(got, "child") == 0);
	CHECK_CODE(NULL, pid, waitpid(pid, &status, 0));
	CHECK_CODE(NULL, 0, status);
	CHECK_CODE(NULL, 0, read(near, got, sizeof(got)));
	close(near);
}

static void connections(struct tsnet *a, struct tsnet *b)
{
	char a4[TSNET_ADDR_CAP], a6[TSNET_ADDR_CAP], address[80];
	char b4[TSNET_ADDR_CAP], b6[TSNET_ADDR_CAP], b6_text[80];
	int listener = tsnet_listen(a, "tcp", ":7001"), other;

	CHECK(a, listener >= 0);
	tsnet_ips(a, a4, a6, sizeof(a4));
	tsnet_ips(b, b4, b6, sizeof(b4));
	CHECK_CODE(a, -EADDRINUSE, tsnet_listen(a, "tcp", ":7001"));
	CHECK_SAID(a, "listener already open for tcp, :7001");
	CHECK_CODE(b, -EBADF, tsnet_accept(b, listener, NULL, 0));
	talk(a, b, listener, "alpha:7001", b4);
	snprintf(address, sizeof(address), "%s:7001", a4);
	talk(a, b, listener, address, b4);
	snprintf(address, sizeof(address), "[%s]:7001", a6);
	snprintf(b6_text, sizeof(b6_text), "[%s]", b6);
	talk(a, b, listener, address, b6_text);
	talk(a, a, listener, address, "[");
	a_stranger_calls(a, listener);
	in_a_child(a, b, listener);
	close(listener);
	CHECK_CODE(b, -ECONNREFUSED, tsnet_dial(b, "tcp", "alpha:7001", UP_S));
	listener = tsnet_listen(a, "tcp4", ":7001");
	CHECK(a, listener >= 0);
	CHECK_CODE(b, -ECONNREFUSED, tsnet_dial(b, "tcp6", "alpha:7001", UP_S));
	close(listener);
	/* one address, and a port of the server's choice */
	snprintf(address, sizeof(address), "%s:0", a4);
	other = tsnet_listen(a, "tcp", address);
	CHECK(a, other >= 0);
	CHECK_CODE(a, 0, tsnet_local_addr(a, other, address, sizeof(address)));
	CHECK_CODE(a, -ENOTCONN, tsnet_peer_addr(a, other, a6, sizeof(a6)));
	talk(a, b, other, address, b4);
	close(other);
	whois(a, b4);
	snprintf(address, sizeof(address), "%s:1234", b4);
	whois(a, address);
}

/* -- datagrams ------------------------------------------------------------ */

static void datagrams(struct tsnet *a, struct tsnet *b)
{
	char from[TSNET_ADDR_CAP], name[TSNET_ADDR_CAP], got[64] = "";
	char a4[TSNET_ADDR_CAP], a6[TSNET_ADDR_CAP], address[80];
	int server = tsnet_listen_packet(a, "udp", "0.0.0.0:7002");
	int client = tsnet_dial(b, "udp", "alpha:7002", UP_S), other;

	CHECK(a, server >= 0);
	CHECK(b, client >= 0);
	CHECK_CODE(a, -EINVAL, tsnet_listen_packet(a, "udp", ":7002"));
	CHECK_CODE(a, -EPROTONOSUPPORT,
		   tsnet_listen_packet(a, "tcp", "0.0.0.0:7002"));
	CHECK_CODE(NULL, 4, write(client, "ping", 4));
	CHECK_CODE(NULL, 0, write(client, "", 0));
	CHECK_CODE(a, 4, tsnet_recvfrom(a, server, got, sizeof(got), from,
					sizeof(from)));
	CHECK(NULL, memcmp(got, "ping", 4) == 0);
	CHECK_CODE(b, 0, tsnet_local_addr(b, client, name, sizeof(name)));
	CHECK(NULL, strcmp(from, name) == 0);
	CHECK_CODE(a, 0, tsnet_recvfrom(a, server, got, sizeof(got), NULL, 0));
	CHECK_CODE(a, 4, tsnet_sendto(a, server, "pong", 4, from));
	CHECK_CODE(NULL, 4, read(client, got, sizeof(got)));
	CHECK(NULL, memcmp(got, "pong", 4) == 0);
	CHECK_CODE(a, -EINVAL, tsnet_sendto(a, server, "x", 1, "alpha:1"));
	close(client);
	/* both unconnected */
	tsnet_ips(a, a4, a6, sizeof(a4));
	snprintf(address, sizeof(address), "%s:7002", a4);
	other = tsnet_listen_packet(b, "udp4", "0.0.0.0:0");
	CHECK(b, other >= 0);
	CHECK_CODE(b, 3, tsnet_sendto(b, other, "two", 3, address));
	CHECK_CODE(a, 3, tsnet_recvfrom(a, server, got, sizeof(got), from,
					sizeof(from)));
	CHECK_CODE(a, 5, tsnet_sendto(a, server, "three", 5, from));
	CHECK_CODE(b, 5, tsnet_recvfrom(b, other, got, sizeof(got), from,
					sizeof(from)));
	CHECK(NULL, strcmp(from, address) == 0);
	close(other);
	close(server);
}

/* -- ends ----------------------------------------------------------------- */

struct waiter {
	struct tsnet *ts;
	int listener, code;
};

static void *wait_up(void *ctx)
{
	struct waiter *w = ctx;

	w->code = tsnet_up(w->ts, TSNET_FOREVER);
	return NULL;
}

static void *wait_accept(void *ctx)
{
	struct waiter *w = ctx;

	w->code = tsnet_accept(w->ts, w->listener, NULL, 0);
	return NULL;
}

static void *wait_dial(void *ctx)
{
	struct waiter *w = ctx;

	w->code = tsnet_dial(w->ts, "tcp", "alpha:1", TSNET_FOREVER);
	return NULL;
}

static void ends(void)
{
	struct tsnet *a = up("alpha");
	struct tsnet *never = new_server("never", key);
	struct waiter up_waits = {.ts = never}, dial_waits = {.ts = never};
	struct waiter accept_waits = {.ts = a};
	pthread_t threads[3];

	CHECK_CODE(never, 0,
		   tsnet_set(never, "control_url", "http://127.0.0.1:9"));
	CHECK_CODE(never, -ETIMEDOUT, tsnet_up(never, 1));
	CHECK_CODE(never, -ETIMEDOUT, tsnet_dial(never, "tcp", "x:1", 1));
	accept_waits.listener = tsnet_listen(a, "tcp", ":7001");
	CHECK(a, accept_waits.listener >= 0);
	pthread_create(&threads[0], NULL, wait_up, &up_waits);
	pthread_create(&threads[1], NULL, wait_dial, &dial_waits);
	pthread_create(&threads[2], NULL, wait_accept, &accept_waits);
	usleep(200 * 1000); /* most likely they wait by now */
	tsnet_close(never);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	CHECK_CODE(NULL, -ECANCELED, up_waits.code);
	CHECK_CODE(NULL, -ECANCELED, dial_waits.code);
	tsnet_close(a);
	pthread_join(threads[2], NULL);
	CHECK(NULL, accept_waits.code == -EBADF ||
			    accept_waits.code == -ECANCELED);
	CHECK_CODE(NULL, -1, accept(accept_waits.listener, NULL, NULL));
	close(accept_waits.listener);
}

/* -- many at once --------------------------------------------------------- */

enum { DIALLERS = 6, ACCEPTORS = 3, CALLS_EACH = 20, PIECE = 40000 };

static struct tsnet *crowd[2];
static int crowd_listener;

/* Whatever comes goes back. */
static void *accept_some(void *ctx)
{
	char buf[PIECE];
	int fd;

	(void)ctx;
	while ((fd = tsnet_accept(crowd[0], crowd_listener, NULL, 0)) >= 0) {
		ssize_t n;

		while ((n = read(fd, buf, sizeof(buf))) > 0)
			for (ssize_t at = 0; at < n;)
				at += write(fd, buf + at, (size_t)(n - at));
		close(fd);
	}
	return NULL;
}

static void exchange(int fd, char fill)
{
	char sent[PIECE], got[PIECE];
	size_t at = 0;

	memset(sent, fill, sizeof(sent));
	CHECK_CODE(NULL, PIECE, write(fd, sent, sizeof(sent)));
	shutdown(fd, SHUT_WR);
	while (at < sizeof(got)) {
		ssize_t n = read(fd, got + at, sizeof(got) - at);

		CHECK(NULL, n > 0);
		at += (size_t)n;
	}
	CHECK(NULL, memcmp(sent, got, sizeof(got)) == 0);
}

static void *dial_some(void *ctx)
{
	char fill = *(char *)ctx, name[TSNET_ADDR_CAP], v6[TSNET_ADDR_CAP];

	for (int i = 0; i < CALLS_EACH; i++) {
		int fd = tsnet_dial(crowd[i % 2], "tcp", "alpha:7001", UP_S);

		CHECK(crowd[i % 2], fd >= 0);
		CHECK_CODE(NULL, 0, tsnet_peer_addr(crowd[i % 2], fd, name,
						    sizeof(name)));
		CHECK_CODE(NULL, 0, tsnet_ips(crowd[i % 2], name, v6,
					      sizeof(v6)));
		exchange(fd, fill);
		close(fd);
	}
	return NULL;
}

/* Each thread's bytes come back to it, while the servers take turns. */
static void threads(void)
{
	pthread_t dial[DIALLERS], acceptors[ACCEPTORS];
	char fill[DIALLERS];

	crowd[0] = up("alpha");
	crowd[1] = up("bravo");
	crowd_listener = tsnet_listen(crowd[0], "tcp", ":7001");
	CHECK(crowd[0], crowd_listener >= 0);
	for (int i = 0; i < ACCEPTORS; i++)
		pthread_create(&acceptors[i], NULL, accept_some, NULL);
	for (int i = 0; i < DIALLERS; i++) {
		fill[i] = (char)('a' + i);
		pthread_create(&dial[i], NULL, dial_some, &fill[i]);
	}
	for (int i = 0; i < DIALLERS; i++)
		pthread_join(dial[i], NULL);
	shutdown(crowd_listener, SHUT_RDWR);
	for (int i = 0; i < ACCEPTORS; i++)
		pthread_join(acceptors[i], NULL);
	close(crowd_listener);
	tsnet_close(crowd[1]);
	tsnet_close(crowd[0]);
}

static void loopback(void)
{
	char addr[TSNET_ADDR_CAP], again[TSNET_ADDR_CAP];
	char proxy[TSNET_CRED_CAP], local[TSNET_CRED_CAP], byte;
	struct tsnet *a = up("alpha");

	CHECK_CODE(a, -ENOBUFS, tsnet_loopback(a, addr, 5, proxy, local));
	CHECK(NULL, !*addr && !*proxy && !*local);
	CHECK_CODE(a, 0, tsnet_loopback(a, addr, sizeof(addr), proxy, local));
	printf("%s %s %s\n", addr, proxy, local);
	CHECK_CODE(a, 0, tsnet_loopback(a, again, sizeof(again), proxy, local));
	CHECK(NULL, strcmp(addr, again) == 0);
	fflush(stdout);
	(void)!read(STDIN_FILENO, &byte, 1);
	tsnet_close(a);
}

static void capture(void)
{
	struct tsnet *a = up("alpha"), *b = up("bravo");
	int listener = tsnet_listen(a, "tcp", ":7001"), near, far;

	CHECK(a, listener >= 0);
	CHECK_CODE(a, -EINVAL, tsnet_capture_pcap(a, NULL));
	CHECK_CODE(NULL, -EINVAL, tsnet_capture_pcap(NULL, "packets"));
	CHECK_CODE(a, -ENOENT, tsnet_capture_pcap(a, "not/there"));
	CHECK_SAID(a, "cannot capture to not/there: ");
	CHECK_CODE(a, -ENOSPC, tsnet_capture_pcap(a, "/dev/full"));
	CHECK_CODE(a, 0, tsnet_capture_pcap(a, "packets"));
	near = tsnet_dial(b, "tcp", "alpha:7001", UP_S);
	CHECK(b, near >= 0);
	far = tsnet_accept(a, listener, NULL, 0);
	CHECK(a, far >= 0);
	says(near, far, "what was said");
	says(far, near, "and heard");
	tsnet_close(b);
	tsnet_close(a); /* ends it */
}

static void calls(void)
{
	struct tsnet *a, *b;

	settings();
	a = up("alpha");
	b = up("bravo");
	started(a);
	wrong_listens(a);
	wrong_dials(b);
	by_the_host(b);
	connections(a, b);
	datagrams(a, b);
	tsnet_close(b);
	tsnet_close(a);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 64;
	url = argv[1];
	key = argv[2];
	if (strcmp(argv[3], "calls") == 0)
		calls();
	else if (strcmp(argv[3], "ends") == 0)
		ends();
	else if (strcmp(argv[3], "threads") == 0)
		threads();
	else if (strcmp(argv[3], "loopback") == 0)
		loopback();
	else if (strcmp(argv[3], "capture") == 0)
		capture();
	else
		(void)up("alpha");
	if (strcmp(argv[3], "loopback") != 0)
		printf("ok\n");
	return 0;
}
