/* SPDX-License-Identifier: BSD-3-Clause
 * libc_probe.c - a server and a client that use what libcs do differently
 *
 *   libc_probe serve PORT COUNT     answers COUNT connections, dual-stack
 *   libc_probe call NAME PORT TEXT  one connection to each address of NAME
 *   libc_probe udp-serve PORT COUNT, udp-call NAME PORT TEXT   datagrams
 *
 * Plain POSIX, so that one file is built for glibc, musl and other machines.
 * The messages are filled with ones before use: under musl the padding beside
 * its narrow lengths then holds garbage, as uninitialized ones do.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TEXT_CAP = 512, LOOK_UPS = 50 };

static int fail(const char *what)
{
	perror(what);
	exit(1);
}

static void numeric(const struct sockaddr *addr, socklen_t len, char *out)
{
	if (getnameinfo(addr, len, out, TEXT_CAP, NULL, 0, NI_NUMERICHOST))
		strcpy(out, "?");
}

static void send_text(int fd, const char *text)
{
	struct iovec iov[2] = {{(void *)text, strlen(text)}, {"\n", 1}};
	struct msghdr msg;

	memset(&msg, 0xff, sizeof(msg));
	msg.msg_name = NULL;
	msg.msg_namelen = 0;
	msg.msg_iov = iov;
	msg.msg_iovlen = 2;
	msg.msg_control = NULL;
	msg.msg_controllen = 0;
	msg.msg_flags = 0;
	if (sendmsg(fd, &msg, MSG_NOSIGNAL) != (ssize_t)strlen(text) + 1)
		fail("sendmsg");
}

static void read_text(int fd, char *out)
{
	size_t len = 0;
	ssize_t got;

	while (len < TEXT_CAP - 1 &&
	       (got = recv(fd, out + len, TEXT_CAP - 1 - len, 0)) > 0)
		len += (size_t)got;
	out[len] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

/* -- serve ---------------------------------------------------------------- */
static void answer(int fd, const struct sockaddr *peer, socklen_t peer_len)
{
	char text[TEXT_CAP], whom[TEXT_CAP], told[TEXT_CAP * 2 + 32];
	struct sockaddr_storage again;
	socklen_t len = sizeof(again);

	if (getpeername(fd, (struct sockaddr *)&again, &len) != 0 ||
	    len != peer_len || memcmp(&again, peer, len) != 0)
		fail("accept and getpeername differ");
	numeric(peer, peer_len, whom);
	read_text(fd, text);
	snprintf(told, sizeof(told), "%s says %s", whom, text);
	send_text(fd, told);
	printf("served %s\n", told);
	close(fd);
}

static int serve(const char *port, int count)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6,
				   .sin6_port = htons((uint16_t)atoi(port))};
	int fd = socket(AF_INET6, SOCK_STREAM, 0), off = 0;

	if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)) || listen(fd, 8))
		fail("listen");
	puts("listening");
	fflush(stdout);
	while (count-- > 0) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		int conn = accept(fd, (struct sockaddr *)&peer, &len);

		if (conn < 0)
			fail("accept");
		answer(conn, (struct sockaddr *)&peer, len);
		fflush(stdout);
	}
	return 0;
}

/* -- call ----------------------------------------------------------------- */
static struct addrinfo *look_up(const char *name, const char *port)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				       .ai_flags = AI_CANONNAME};
	struct addrinfo *list;
	int err = getaddrinfo(name, port, &hints, &list);

	if (err) {
		fprintf(stderr, "%s: %s\n", name, gai_strerror(err));
		exit(1);
	}
	return list;
}

static void ask(const struct addrinfo *at, const char *text)
{
	char whom[TEXT_CAP], told[TEXT_CAP];
	int fd = socket(at->ai_family, at->ai_socktype, at->ai_protocol);

	numeric(at->ai_addr, at->ai_addrlen, whom);
	if (connect(fd, at->ai_addr, at->ai_addrlen) != 0)
		fail("connect");
	send_text(fd, text);
	shutdown(fd, SHUT_WR);
	read_text(fd, told);
	printf("%s: %s\n", whom, told);
	close(fd);
}

static int call(const char *name, const char *port, const char *text)
{
	struct addrinfo *list = look_up(name, port);
	struct hostent *old = gethostbyname(name);
	char back[TEXT_CAP];

	printf("canonical %s\n", list->ai_canonname);
	for (struct addrinfo *at = list; at; at = at->ai_next)
		ask(at, text);
	if (getnameinfo(list->ai_addr, list->ai_addrlen, back, sizeof(back),
			NULL, 0, NI_NAMEREQD) == 0)
		printf("reverse %s\n", back);
	freeaddrinfo(list);
	if (old && old->h_addrtype == AF_INET)
		printf("gethostbyname %s %s\n", old->h_name,
		       inet_ntop(AF_INET, old->h_addr_list[0], back,
				 sizeof(back)));
	for (int i = 0; i < LOOK_UPS; i++)
		freeaddrinfo(look_up(name, port));
	return 0;
}

/* -- datagrams ------------------------------------------------------------ */
static void fill(struct msghdr *msg, struct iovec *iov,
		 struct sockaddr_storage *addr, socklen_t len)
{
	memset(msg, 0xff, sizeof(*msg));
	msg->msg_name = addr;
	msg->msg_namelen = len;
	msg->msg_iov = iov;
	msg->msg_iovlen = 1;
	msg->msg_control = NULL;
	msg->msg_controllen = 0;
	msg->msg_flags = 0;
}

static void receive(int fd, struct sockaddr_storage *from, socklen_t *len,
		    char *out)
{
	struct iovec iov = {out, TEXT_CAP - 1};
	struct msghdr msg;
	ssize_t got;

	fill(&msg, &iov, from, sizeof(*from));
	got = recvmsg(fd, &msg, 0);
	if (got < 0)
		fail("recvmsg");
	out[got] = '\0';
	*len = msg.msg_namelen;
}

static void send_to(int fd, const char *text, const struct sockaddr *to,
		    socklen_t len)
{
	struct iovec iov = {(void *)text, strlen(text)};
	struct sockaddr_storage copy;
	struct msghdr msg;

	memcpy(&copy, to, len);
	fill(&msg, &iov, &copy, len);
	if (sendmsg(fd, &msg, 0) != (ssize_t)strlen(text))
		fail("sendmsg");
}

static int udp_serve(const char *port, int count)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6,
				   .sin6_port = htons((uint16_t)atoi(port))};
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), off = 0;

	if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) ||
	    bind(fd, (struct sockaddr *)&any, sizeof(any)))
		fail("bind");
	puts("listening");
	fflush(stdout);
	while (count-- > 0) {
		char text[TEXT_CAP], whom[TEXT_CAP], told[TEXT_CAP * 2 + 32];
		struct sockaddr_storage from;
		socklen_t len;

		receive(fd, &from, &len, text);
		numeric((struct sockaddr *)&from, len, whom);
		snprintf(told, sizeof(told), "%s says %s", whom, text);
		send_to(fd, told, (struct sockaddr *)&from, len);
		printf("served %s\n", told);
		fflush(stdout);
	}
	return 0;
}

static int udp_call(const char *name, const char *port, const char *text)
{
	struct addrinfo *list = look_up(name, port);

	printf("canonical %s\n", list->ai_canonname);
	for (struct addrinfo *at = list; at; at = at->ai_next) {
		char whom[TEXT_CAP], told[TEXT_CAP];
		struct sockaddr_storage from;
		int fd = socket(at->ai_family, SOCK_DGRAM, 0);
		socklen_t len;

		send_to(fd, text, at->ai_addr, at->ai_addrlen);
		receive(fd, &from, &len, told);
		numeric((struct sockaddr *)&from, len, whom);
		printf("%s: %s\n", whom, told);
		close(fd);
	}
	freeaddrinfo(list);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2], atoi(argv[3]));
	if (argc == 5 && strcmp(argv[1], "call") == 0)
		return call(argv[2], argv[3], argv[4]);
	if (argc == 4 && strcmp(argv[1], "udp-serve") == 0)
		return udp_serve(argv[2], atoi(argv[3]));
	if (argc == 5 && strcmp(argv[1], "udp-call") == 0)
		return udp_call(argv[2], argv[3], argv[4]);
	return 64;
}
