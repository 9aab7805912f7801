/* SPDX-License-Identifier: BSD-3-Clause
 * api_listens.c - the listeners of tsnet.h, between two servers of one process
 *
 *	api_listens URL KEY fallback   ports that nobody listens at
 *	api_listens URL KEY several    more than one for these
 *	api_listens URL KEY flows      UDP by connected sockets
 *	api_listens URL KEY routed     addresses that the node routes; says "ready"
 *				       and waits for a line on stdin first
 *	api_listens URL KEY arguments  what is wrong is said, and crashes nothing
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "api_check.h"

/* -- fallback ------------------------------------------------------------- */

struct wish {
	char src[TSNET_ADDR_CAP], dst[TSNET_ADDR_CAP];
	int asked;
	struct tsnet *ts; /* that asks */
};

/* Odd ports only. */
static int wants_odd(void *ctx, const char *src, const char *dst)
{
	struct wish *wish = ctx;

	wish->asked++;
	tsnet_close(wish->ts); /* would wait for this, and is not done */
	CHECK_SAID(wish->ts, "from a function that the server waits for");
	snprintf(wish->src, sizeof(wish->src), "%s", src);
	snprintf(wish->dst, sizeof(wish->dst), "%s", dst);
	return strtoul(strrchr(dst, ':') + 1, NULL, 10) % 2;
}

struct call {
	struct tsnet *ts;
	const char *address;
	int fd;
};

static void *dial(void *ctx)
{
	struct call *call = ctx;

	/* until it has heard of the way there */
	for (int i = 0; i < UP_S * 20; i++) {
		call->fd = tsnet_dial(call->ts, "tcp", call->address, UP_S);
		if (call->fd != -EHOSTUNREACH && call->fd != -ENETUNREACH)
			break;
		usleep(50 * 1000);
	}
	return NULL;
}

/* A call that is under way while we decide. */
static void begin(struct call *call, pthread_t *thread)
{
	CHECK_CODE(NULL, 0, pthread_create(thread, NULL, dial, call));
}

static void wanted(struct tsnet *a, struct tsnet *b, int fallback,
		   const struct wish *wish, const char *a4)
{
	struct call call = {.ts = b, .address = "alpha:7777"};
	char peer[TSNET_ADDR_CAP], name[TSNET_ADDR_CAP], to[80];
	struct pollfd p = {.fd = fallback, .events = POLLIN};
	pthread_t thread;
	int far;

	begin(&call, &thread);
	CHECK_CODE(NULL, 1, poll(&p, 1, UP_S * 1000));
	far = tsnet_accept(a, fallback, peer, sizeof(peer));
	CHECK(a, far >= 0);
	pthread_join(thread, NULL);
	CHECK(b, call.fd >= 0);
	snprintf(to, sizeof(to), "%s:7777", a4);
	CHECK(NULL, strcmp(wish->dst, to) == 0);
	CHECK(NULL, strcmp(wish->src, peer) == 0);
	CHECK_CODE(a, 0, tsnet_local_addr(a, far, name, sizeof(name)));
	CHECK(NULL, strcmp(name, to) == 0);
	CHECK_CODE(b, 0, tsnet_local_addr(b, call.fd, name, sizeof(name)));
	CHECK(NULL, strcmp(name, peer) == 0);
	says(call.fd, far, "hello");
	says(far, call.fd, "and back");
	close(far);
	close(call.fd);
}

/* Refused as by nobody; the listener waits for the next. */
static void unwanted(struct tsnet *a, struct tsnet *b, int fallback,
		     struct wish *wish, const char *a4)
{
	char to[80]; /* one address: a name's others would be tried as well */
	struct call call = {.ts = b, .address = to};
	struct pollfd p = {.fd = fallback, .events = POLLIN};
	pthread_t thread;

	snprintf(to, sizeof(to), "%s:7778", a4);
	wish->asked = 0;
	begin(&call, &thread);
	CHECK_CODE(NULL, 1, poll(&p, 1, UP_S * 1000));
	CHECK_CODE(NULL, 0, fcntl(fallback, F_SETFL, O_NONBLOCK));
	CHECK_CODE(a, -EAGAIN, tsnet_accept(a, fallback, NULL, 0));
	CHECK_CODE(NULL, 0, fcntl(fallback, F_SETFL, 0));
	CHECK_CODE(NULL, 1, wish->asked);
	pthread_join(thread, NULL);
	CHECK_CODE(b, -ECONNREFUSED, call.fd);
	CHECK(NULL, strstr(wish->dst, ":7778"));
}

/* A listener of its own comes first, and nobody is asked. */
static void listened_for(struct tsnet *a, struct tsnet *b, struct wish *wish)
{
	int listener = tsnet_listen(a, "tcp", ":7779"), near, far;

	CHECK(a, listener >= 0);
	wish->asked = 0;
	near = tsnet_dial(b, "tcp", "alpha:7779", UP_S);
	CHECK(b, near >= 0);
	far = tsnet_accept(a, listener, NULL, 0);
	CHECK(a, far >= 0);
	says(near, far, "listened for");
	CHECK_CODE(NULL, 0, wish->asked);
	close(near);
	close(far);
	close(listener);
}

static void fallback(void)
{
	struct tsnet *a = up("alpha"), *b = up("bravo");
	struct wish wish = {.ts = a};
	char a4[TSNET_ADDR_CAP], a6[TSNET_ADDR_CAP], name[TSNET_ADDR_CAP];
	int fd = tsnet_listen_fallback(a, wants_odd, &wish);

	CHECK(a, fd >= 0);
	CHECK_CODE(NULL, FD_CLOEXEC, fcntl(fd, F_GETFD));
	CHECK_CODE(a, -ENOTCONN,
		   tsnet_local_addr(a, fd, name, sizeof(name)));
	tsnet_ips(a, a4, a6, sizeof(a4));
	wanted(a, b, fd, &wish, a4);
	unwanted(a, b, fd, &wish, a4);
	listened_for(a, b, &wish);
	wanted(a, a, fd, &wish, a4); /* from itself */
	close(fd);
	CHECK_CODE(b, -ECONNREFUSED, tsnet_dial(b, "tcp", "alpha:7777", UP_S));
	fd = tsnet_listen_fallback(a, NULL, NULL); /* wants all */
	CHECK(a, fd >= 0);
	close(fd);
	tsnet_close(b);
	tsnet_close(a);
}

/* -- several of them ------------------------------------------------------ */

struct asked {
	int listener, from, to; /* it wants these ports */
	int count;
};

static int wants_range(void *ctx, const char *src, const char *dst)
{
	struct asked *asked = ctx;
	int port = atoi(strrchr(dst, ':') + 1);

	(void)src;
	asked->count++;
	return port >= asked->from && port <= asked->to;
}

/* Those who are asked say no, in turn, up to the one who says yes. By one
 * address: a name has two, and the second is tried when the first is refused. */
static void call_asks(struct tsnet *a, struct tsnet *b, int port,
		      struct asked *const order[], int takes)
{
	char v4[TSNET_ADDR_CAP], v6[TSNET_ADDR_CAP], address[80];
	struct call call = {.ts = b, .address = address};
	pthread_t thread;
	int far = -1;

	CHECK_CODE(a, 0, tsnet_ips(a, v4, v6, sizeof(v4)));
	snprintf(address, sizeof(address), "%s:%d", v4, port);
	begin(&call, &thread);
	for (int i = 0; order[i]; i++) {
		struct pollfd p = {.fd = order[i]->listener, .events = POLLIN};

		order[i]->count = 0;
		if (takes >= 0 && i > takes)
			continue;
		CHECK_CODE(NULL, 1, poll(&p, 1, UP_S * 1000));
		far = tsnet_accept(a, order[i]->listener, NULL, 0);
		if (i != takes)
			CHECK_CODE(a, -EAGAIN, far);
	}
	pthread_join(thread, NULL);
	for (int i = 0; order[i]; i++)
		CHECK_CODE(NULL, takes < 0 || i <= takes, order[i]->count);
	if (takes < 0) {
		CHECK_CODE(b, -ECONNREFUSED, call.fd);
		return;
	}
	CHECK(a, far >= 0);
	CHECK(b, call.fd >= 0);
	says(call.fd, far, address);
	says(far, call.fd, "taken");
	close(far);
	close(call.fd);
}

static void listen_range(struct tsnet *a, struct asked *asked)
{
	asked->listener = tsnet_listen_fallback(a, wants_range, asked);
	CHECK(a, asked->listener >= 0);
	CHECK_CODE(NULL, 0, fcntl(asked->listener, F_SETFL, O_NONBLOCK));
}

static void several(void)
{
	struct tsnet *a = up("alpha"), *b = up("bravo");
	struct asked first = {.from = 7000, .to = 7999},
		     second = {.from = 7500, .to = 8999}, third = {.to = 0};
	struct asked *made[] = {&first, &second, &third, NULL};
	struct asked *left[] = {&second, &third, NULL};
	struct asked *again[] = {&second, &third, &first, NULL};

	listen_range(a, &first);
	listen_range(a, &second);
	listen_range(a, &third);
	call_asks(a, b, 7777, made, 0);
	call_asks(a, b, 8000, made, 1);
	call_asks(a, b, 9000, made, -1);
	call_asks(a, a, 8001, made, 1); /* from itself */
	close(first.listener);
	call_asks(a, b, 7777, left, 0);
	listen_range(a, &first); /* behind the others now */
	call_asks(a, b, 7778, again, 0);
	call_asks(a, b, 7001, again, 2);
	tsnet_close(b);
	tsnet_close(a);
}

/* -- routed addresses ----------------------------------------------------- */

static void call_and_greet(struct tsnet *a, struct tsnet *b, int listener,
			   const char *address)
{
	struct call call = {.ts = b, .address = address};
	char name[TSNET_ADDR_CAP];
	pthread_t thread;
	int far;

	begin(&call, &thread);
	far = tsnet_accept(a, listener, NULL, 0);
	CHECK(a, far >= 0);
	pthread_join(thread, NULL);
	CHECK(b, call.fd >= 0);
	CHECK_CODE(a, 0, tsnet_local_addr(a, far, name, sizeof(name)));
	CHECK(NULL, strcmp(name, address) == 0);
	says(far, call.fd, "here");
	close(far);
	close(call.fd);
}

static void await_route(struct tsnet *ts, const char *route)
{
	bool is_there = false;

	for (int i = 0; !is_there && i < UP_S * 20; i++) {
		char *status = tsnet_local_request(ts, "GET",
						   "/localapi/v0/status");

		is_there = status && strstr(status, route);
		free(status);
		if (!is_there)
			usleep(50 * 1000);
	}
	CHECK(ts, is_there);
}

static void routed(void)
{
	struct tsnet *a = new_server("alpha", key);
	struct tsnet *b = new_server("bravo", key);
	int listener = -EADDRNOTAVAIL, all, fallback;
	char byte;

	CHECK_CODE(a, 0, tsnet_set(a, "advertise_routes", "10.7.0.0/24"));
	CHECK_CODE(b, 0, tsnet_set(b, "accept_routes", "yes"));
	CHECK_CODE(a, 0, tsnet_up(a, UP_S));
	CHECK_CODE(b, 0, tsnet_up(b, UP_S));
	printf("ready\n");
	fflush(stdout);
	CHECK_CODE(NULL, 1, read(STDIN_FILENO, &byte, 1));
	/* until the route has been approved */
	for (int i = 0; listener == -EADDRNOTAVAIL && i < UP_S * 20; i++) {
		listener = tsnet_listen(a, "tcp", "10.7.0.5:80");
		if (listener == -EADDRNOTAVAIL)
			usleep(50 * 1000);
	}
	CHECK(a, listener >= 0);
	await_route(b, "10.7.0.0/24"); /* it is told by itself */
	CHECK_CODE(a, -EADDRNOTAVAIL, tsnet_listen(a, "tcp", "10.8.0.5:80"));
	CHECK_CODE(a, -EADDRNOTAVAIL, tsnet_listen(a, "udp", "10.7.0.5:80"));
	all = tsnet_listen(a, "tcp", ":81"); /* of the node's own alone */
	CHECK(a, all >= 0);
	call_and_greet(a, b, listener, "10.7.0.5:80");
	CHECK(b, tsnet_dial(b, "tcp", "10.7.0.5:81", 2) < 0);
	fallback = tsnet_listen_fallback(a, NULL, NULL);
	CHECK(a, fallback >= 0);
	call_and_greet(a, b, fallback, "10.7.0.5:81");
	call_and_greet(a, b, fallback, "10.7.0.6:82");
	call_and_greet(a, b, listener, "10.7.0.5:80");
	tsnet_close(b);
	tsnet_close(a);
}

/* -- flows ---------------------------------------------------------------- */

static void say_by(struct tsnet *ts, int fd, const char *text, const char *to)
{
	CHECK_CODE(ts, (long)strlen(text),
		   tsnet_sendto(ts, fd, text, strlen(text), to));
}

/* Two remote ends, and each has a connection of its own. */
static void two_ends(struct tsnet *a, struct tsnet *b, int listener,
		     const char *to)
{
	int one = tsnet_listen_packet(b, "udp4", "0.0.0.0:0");
	int two = tsnet_dial(b, "udp", to, UP_S), first, second;
	char peer[TSNET_ADDR_CAP], name[TSNET_ADDR_CAP], got[64];
	char from[TSNET_ADDR_CAP];

	CHECK(b, one >= 0 && two >= 0);
	say_by(b, one, "one", to);
	say_by(b, one, "more", to); /* in the same connection */
	first = tsnet_accept(a, listener, peer, sizeof(peer));
	CHECK(a, first >= 0);
	CHECK_CODE(NULL, FD_CLOEXEC, fcntl(first, F_GETFD));
	CHECK_CODE(NULL, 0, fcntl(first, F_GETFL) & O_NONBLOCK);
	CHECK_CODE(NULL, 3, read(first, got, sizeof(got)));
	CHECK(NULL, memcmp(got, "one", 3) == 0);
	CHECK_CODE(NULL, 4, read(first, got, sizeof(got)));
	CHECK_CODE(NULL, 3, write(two, "two", 3));
	second = tsnet_accept(a, listener, peer, sizeof(peer));
	CHECK(a, second >= 0);
	CHECK_CODE(b, 0, tsnet_local_addr(b, two, name, sizeof(name)));
	CHECK(NULL, strcmp(peer, name) == 0);
	CHECK_CODE(a, 0, tsnet_peer_addr(a, second, name, sizeof(name)));
	CHECK(NULL, strcmp(peer, name) == 0);
	CHECK_CODE(a, 0, tsnet_local_addr(a, second, name, sizeof(name)));
	CHECK(NULL, strcmp(name, to) == 0);
	CHECK_CODE(NULL, 3, read(second, got, sizeof(got)));
	CHECK_CODE(NULL, 6, write(second, "answer", 6));
	CHECK_CODE(NULL, 6, read(two, got, sizeof(got)));
	CHECK_CODE(NULL, 5, write(first, "again", 5));
	CHECK_CODE(b, 5, tsnet_recvfrom(b, one, got, sizeof(got), from,
					sizeof(from)));
	CHECK(NULL, strcmp(from, to) == 0);
	close(first);
	close(second);
	close(one);
	close(two);
}

static void flows(void)
{
	struct tsnet *a = up("alpha"), *b = up("bravo");
	char a4[TSNET_ADDR_CAP], a6[TSNET_ADDR_CAP], to[80];
	char name[TSNET_ADDR_CAP];
	int listener = tsnet_listen(a, "udp", ":7002"), other, packets;

	CHECK(a, listener >= 0);
	CHECK_CODE(NULL, FD_CLOEXEC, fcntl(listener, F_GETFD));
	CHECK_CODE(a, -EADDRINUSE, tsnet_listen(a, "udp", ":7002"));
	CHECK_SAID(a, "listener already open for udp, :7002");
	CHECK_CODE(a, -EADDRINUSE,
		   tsnet_listen_packet(a, "udp", "0.0.0.0:7002"));
	CHECK_CODE(a, 0, tsnet_local_addr(a, listener, name, sizeof(name)));
	CHECK(NULL, strcmp(name, "[::]:7002") == 0);
	CHECK_CODE(NULL, 0, fcntl(listener, F_SETFL, O_NONBLOCK));
	CHECK_CODE(a, -EAGAIN, tsnet_accept(a, listener, NULL, 0));
	CHECK_CODE(NULL, 0, fcntl(listener, F_SETFL, 0));
	tsnet_ips(a, a4, a6, sizeof(a4));
	snprintf(to, sizeof(to), "%s:7002", a4);
	two_ends(a, b, listener, to);
	two_ends(a, a, listener, to); /* from itself */
	/* one address, and a port of the server's choice */
	snprintf(to, sizeof(to), "[%s]:0", a6);
	other = tsnet_listen(a, "udp6", to);
	CHECK(a, other >= 0);
	CHECK_CODE(a, 0, tsnet_local_addr(a, other, to, sizeof(to)));
	CHECK(NULL, strstr(to, a6));
	packets = tsnet_dial(b, "udp6", to, UP_S);
	CHECK(b, packets >= 0);
	CHECK_CODE(NULL, 2, write(packets, "v6", 2));
	close(tsnet_accept(a, other, name, sizeof(name)));
	CHECK(NULL, name[0] == '[');
	close(other);
	close(packets);
	/* closed, it is free for others */
	close(listener);
	packets = tsnet_listen_packet(a, "udp", "0.0.0.0:7002");
	for (int i = 0; packets == -EADDRINUSE && i < UP_S * 100; i++) {
		usleep(10 * 1000); /* until the server has heard of it */
		packets = tsnet_listen_packet(a, "udp", "0.0.0.0:7002");
	}
	CHECK(a, packets >= 0);
	CHECK_CODE(a, -EADDRINUSE, tsnet_listen(a, "udp", ":7002"));
	close(packets);
	listener = tsnet_listen(a, "udp", ":7003");
	tsnet_close(b);
	tsnet_close(a);
	CHECK_CODE(NULL, 0, read(listener, name, 1)); /* it has ended */
	close(listener);
}

/* -- arguments ------------------------------------------------------------ */

/* NULL where something must be, no server, and numbers that are no listeners.
 * ts may be NULL, too. */
static void nonsense(struct tsnet *ts)
{
	char text[TSNET_ADDR_CAP], cred[TSNET_CRED_CAP];

	CHECK_CODE(ts, -EINVAL, tsnet_set(ts, NULL, "x"));
	CHECK_CODE(ts, -EINVAL, tsnet_ips(ts, NULL, text, sizeof(text)));
	CHECK_CODE(ts, -EINVAL, tsnet_ips(ts, text, NULL, sizeof(text)));
	CHECK_CODE(ts, -EINVAL, tsnet_dial(ts, NULL, "x:1", 1));
	CHECK_CODE(ts, -EINVAL, tsnet_dial(ts, "tcp", NULL, 1));
	CHECK_CODE(ts, -EINVAL, tsnet_listen(ts, NULL, ":1"));
	CHECK_CODE(ts, -EINVAL, tsnet_listen(ts, "tcp", NULL));
	CHECK_CODE(ts, -EINVAL, tsnet_listen_packet(ts, "udp", NULL));
	CHECK_CODE(ts, -EINVAL, tsnet_local_addr(ts, 0, NULL, 9));
	CHECK_CODE(ts, -EINVAL, tsnet_peer_addr(ts, 0, NULL, 9));
	CHECK_CODE(ts, -EINVAL, tsnet_sendto(ts, 0, NULL, 1, "100.64.0.1:1"));
	CHECK_CODE(ts, -EINVAL, tsnet_sendto(ts, 0, "x", 1, NULL));
	CHECK_CODE(ts, -EINVAL, tsnet_recvfrom(ts, 0, NULL, 1, NULL, 0));
	CHECK(ts, !tsnet_local_request(ts, NULL, "/"));
	CHECK(ts, !tsnet_local_request(ts, "GET", NULL));
	CHECK(ts, !tsnet_local_send(ts, NULL, "/", "{}"));
	CHECK(ts, !tsnet_local_send(ts, "POST", NULL, "{}"));
	CHECK(ts, !tsnet_whois(ts, NULL));
	CHECK_CODE(ts, -EINVAL, tsnet_listen_tls(ts, "tcp", NULL));
	CHECK_CODE(ts, -EINVAL, tsnet_listen_funnel(ts, NULL, ":443", 0));
	CHECK_CODE(ts, -EINVAL, tsnet_listen_service(ts, NULL, NULL, NULL, 0));
	CHECK_CODE(ts, -EINVAL, tsnet_capture_pcap(ts, NULL));
	CHECK_CODE(ts, -EINVAL, tsnet_loopback(ts, NULL, 9, cred, cred));
	CHECK_CODE(ts, -EINVAL,
		   tsnet_loopback(ts, text, sizeof(text), NULL, cred));
	CHECK(ts, *tsnet_errmsg(ts));
}

static void arguments(void)
{
	char long_text[2000], v4[TSNET_ADDR_CAP];
	struct tsnet *a;

	nonsense(NULL);
	CHECK_CODE(NULL, -EINVAL, tsnet_start(NULL));
	CHECK_CODE(NULL, -EINVAL, tsnet_up(NULL, 1));
	CHECK_CODE(NULL, -EINVAL, tsnet_accept(NULL, 0, NULL, 0));
	CHECK_CODE(NULL, -EINVAL, tsnet_listen_fallback(NULL, NULL, NULL));
	CHECK(NULL, !tsnet_localapi(NULL) && !tsnet_root_path(NULL));
	CHECK(NULL, !tsnet_cert_domains(NULL));
	a = up("alpha");
	nonsense(a);
	CHECK_SAID(a, "NULL");
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	CHECK_CODE(a, -EINVAL, tsnet_dial(a, "tcp", long_text, 1));
	CHECK_CODE(a, -EPROTONOSUPPORT, tsnet_dial(a, long_text, "x:1", 1));
	CHECK_CODE(a, -EINVAL, tsnet_listen(a, "tcp", long_text));
	CHECK_CODE(a, -EPROTONOSUPPORT, tsnet_listen(a, long_text, ":1"));
	CHECK(a, !tsnet_whois(a, long_text));
	CHECK(a, !tsnet_local_request(a, "GET", long_text));
	CHECK(a, !tsnet_local_request(a, "GET", "localapi/v0/status"));
	CHECK_SAID(a, "localapi/v0/status: not a path of the LocalAPI");
	memcpy(long_text, "/localapi/v0/status?", 20);
	CHECK(a, !tsnet_local_request(a, "GET", long_text)); /* not cut off */
	CHECK_SAID(a, "xxx...: not a path of the LocalAPI");
	CHECK_CODE(a, -EBADF, tsnet_unlisten(a, -1));
	CHECK_CODE(a, -ENOENT, tsnet_capture_pcap(a, "/no/such/directory"));
	CHECK_SAID(a, "/no/such/directory: no such file or directory");
	CHECK(a, tsnet_capture_pcap(a, long_text) < 0);
	CHECK(a, !tsnet_local_request(a, "GET\r\nX: y", "/"));
	CHECK(a, !tsnet_local_request(a, "GET", "/ HTTP/1.1\r\n\r\n"));
	memcpy(long_text + sizeof(long_text) - 3, ":1", 3);
	CHECK_CODE(a, -EINVAL, tsnet_dial(a, "tcp", long_text, 1));
	CHECK_CODE(a, -EINVAL, tsnet_listen(a, "tcp", long_text));
	for (int fd = -3; fd < 3; fd++) {
		CHECK_CODE(a, -EBADF, tsnet_accept(a, fd, NULL, 0));
		CHECK(a, tsnet_local_addr(a, fd, v4, sizeof(v4)) < 0);
		CHECK(a, tsnet_sendto(a, fd, "x", 1, "100.64.0.9:1") < 0);
		CHECK(a, *tsnet_errmsg(a));
	}
	CHECK_CODE(a, -EBADF,
		   tsnet_recvfrom(a, -1, v4, sizeof(v4), NULL, 0));
	CHECK_CODE(a, -ENOBUFS, tsnet_ips(a, v4, v4, 0));
	tsnet_close(a);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} parts[] = {
		{"fallback", fallback}, {"several", several},
		{"flows", flows}, {"routed", routed},
		{"arguments", arguments},
	};

	if (argc != 4)
		return 64;
	url = argv[1];
	key = argv[2];
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (strcmp(argv[3], parts[i].name) != 0)
			continue;
		parts[i].run();
		printf("ok\n");
		return 0;
	}
	return 64;
}
