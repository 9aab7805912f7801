/* SPDX-License-Identifier: BSD-3-Clause
 * notify_probe.c - a static program that asks odd things of its sockets
 *
 * usage: notify_probe MODE HOST PORT     prints one line, or fails with 1
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *host;
static int port;
static struct sockaddr_storage dest;
static socklen_t dest_len;

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static void fill(const char *text, int p, struct sockaddr_storage *ss,
		 socklen_t *len)
{
	struct sockaddr_in *in = (void *)ss;
	struct sockaddr_in6 *in6 = (void *)ss;

	memset(ss, 0, sizeof(*ss));
	if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)p);
		*len = sizeof(*in);
	} else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)p);
		*len = sizeof(*in6);
	} else {
		die(text);
	}
}

static const char *name(const struct sockaddr_storage *ss)
{
	static char texts[4][80];
	static int next;
	char ip[64];
	char *out = texts[next++ % 4];
	const struct sockaddr_in *in = (const void *)ss;
	const struct sockaddr_in6 *in6 = (const void *)ss;

	if (ss->ss_family == AF_INET6)
		inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof(ip));
	else
		inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
	snprintf(out, 80, "%s:%d", ip,
		 ntohs(ss->ss_family == AF_INET6 ? in6->sin6_port
						 : in->sin_port));
	return out;
}

static const char *own(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (void *)&ss, &len))
		die("getsockname");
	return name(&ss);
}

static const char *peer(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getpeername(fd, (void *)&ss, &len))
		return strerrorname_np(errno);
	return name(&ss);
}

static int new_socket(int flags)
{
	int fd = socket(dest.ss_family, SOCK_STREAM | flags, 0);

	if (fd < 0)
		die("socket");
	return fd;
}

static const char *result(int ret)
{
	return ret == 0 ? "OK" : strerrorname_np(errno);
}

static int so_error(int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len))
		die("SO_ERROR");
	return err;
}

static const char *connect_now(int fd)
{
	return result(connect(fd, (void *)&dest, dest_len));
}

/* One line there, one line back. */
static void ask(int fd, const char *line, char *out, size_t cap)
{
	size_t len = 0;
	ssize_t n;

	if (write(fd, line, strlen(line)) != (ssize_t)strlen(line))
		die("write");
	while (len < cap - 1 && (n = read(fd, out + len, cap - 1 - len)) > 0) {
		len += (size_t)n;
		if (memchr(out, '\n', len))
			break;
	}
	out[len] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

/* -- client --------------------------------------------------------------- */

static void mode_names(void)
{
	int fd = new_socket(0);
	char answer[200];

	if (connect(fd, (void *)&dest, dest_len))
		die("connect");
	ask(fd, "who\n", answer, sizeof(answer));
	printf("%s %s %s\n", own(fd), peer(fd), answer);
	if (strcmp(result(connect(fd, (void *)&dest, dest_len)), "EISCONN"))
		die("again");
}

static void mode_refused(void)
{
	int fd = new_socket(0);
	const char *blocking = connect_now(fd);
	const char *first, *second, *third;
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET};
	int ep = epoll_create1(0);

	close(fd);
	fd = new_socket(SOCK_NONBLOCK);
	/* nginx and Java add it before they connect */
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	epoll_wait(ep, &ev, 1, 0);
	first = connect_now(fd);
	if (epoll_wait(ep, &ev, 1, 20000) != 1)
		die("epoll");
	second = strerrorname_np(so_error(fd));
	third = so_error(fd) ? "again" : "once";
	printf("%s %s %s %s", blocking, first, second, third);
	/* hiredis learns by a second connect */
	fd = new_socket(SOCK_NONBLOCK);
	connect(fd, (void *)&dest, dest_len);
	do {
		usleep(1000);
		first = connect_now(fd);
	} while (strcmp(first, "EALREADY") == 0);
	printf(" %s %s\n", first, peer(fd));
}

static void mode_epoll(void)
{
	struct epoll_event ev = {.events = EPOLLOUT | EPOLLET};
	int fd = new_socket(SOCK_NONBLOCK), ep = epoll_create1(0);
	const char *first;
	char answer[200];

	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
	epoll_wait(ep, &ev, 1, 0);
	first = connect_now(fd);
	if (epoll_wait(ep, &ev, 1, 20000) != 1 || so_error(fd))
		die("epoll");
	fcntl(fd, F_SETFL, 0);
	ask(fd, "who\n", answer, sizeof(answer));
	printf("%s %s %s\n", first, answer, own(fd));
}

static void on_alarm(int signo)
{
	(void)signo;
}

static void set_alarm(int flags, long us)
{
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = flags};
	struct itimerval t = {.it_value = {us / 1000000, us % 1000000}};

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
}

/* Nobody answers. */
static void mode_eintr(void)
{
	int fd = new_socket(0);

	set_alarm(0, 200000);
	printf("%s", connect_now(fd));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	printf(" %s\n", connect_now(fd));
}

static void mode_restart(void)
{
	struct itimerval often = {{0, 20000}, {0, 20000}};
	int fd = new_socket(0);

	set_alarm(SA_RESTART, 20000);
	setitimer(ITIMER_REAL, &often, NULL);
	printf("%s\n", connect_now(fd));
}

static void mode_sndtimeo(void)
{
	struct timeval limit = {.tv_usec = 200000};
	int fd = new_socket(0);

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	printf("%s", connect_now(fd));
	printf(" %s\n", connect_now(fd));
}

static void mode_killed(void)
{
	int fd = new_socket(0);

	puts("connecting");
	fflush(stdout);
	connect(fd, (void *)&dest, dest_len);
}

/* connect and send in one call: waiting, in two pieces, not waiting, refused */
static void mode_fastopen(void)
{
	struct iovec iov[2] = {{"wh", 2}, {"o\n", 2}};
	struct msghdr msg = {.msg_name = &dest, .msg_namelen = dest_len,
			     .msg_iov = iov, .msg_iovlen = 2};
	struct sockaddr_in *in = (void *)&dest;
	char answer[200];
	int fd = new_socket(0);

	printf("%d ", (int)sendto(fd, "who\n", 4, MSG_FASTOPEN, (void *)&dest,
				  dest_len));
	ask(fd, "", answer, sizeof(answer));
	printf("%s ", strcmp(strtok(answer, " "), own(fd)) ? "no" : "heard");
	printf("%s ", result((int)sendto(fd, "x", 1, MSG_FASTOPEN,
					 (void *)&dest, dest_len)));
	fd = new_socket(0);
	printf("%d ", (int)sendmsg(fd, &msg, MSG_FASTOPEN));
	ask(fd, "", answer, sizeof(answer));
	printf("%s ", strcmp(strtok(answer, " "), own(fd)) ? "no" : "heard");
	fd = new_socket(SOCK_NONBLOCK);
	printf("%s ", result((int)sendmsg(fd, &msg, MSG_FASTOPEN)));
	in->sin_port = htons(7009);
	fd = new_socket(0);
	printf("%s\n", result((int)sendmsg(fd, &msg, MSG_FASTOPEN)));
}

static void mode_hear(void)
{
	int fd = new_socket(0);
	char line[100];

	if (connect(fd, (void *)&dest, dest_len))
		die("connect");
	ask(fd, "", line, sizeof(line));
	puts(line);
}

/* Many sockets of each kind, one after the other; then it waits. */
static void mode_many(void)
{
	char answer[200];

	for (int i = 0; i < 300; i++) {
		int fd = new_socket(i & 1 ? SOCK_CLOEXEC : 0), udp;

		if (connect(fd, (void *)&dest, dest_len))
			die("connect");
		ask(fd, "who\n", answer, sizeof(answer));
		if (strcmp(strtok(answer, " "), own(fd)))
			die("names");
		close(fd);
		udp = socket(dest.ss_family, SOCK_DGRAM, 0);
		if (sendto(udp, "x", 1, 0, (void *)&dest, dest_len) != 1)
			die("sendto");
		close(udp);
		close(new_socket(0));
	}
	puts("done");
	fflush(stdout);
	pause();
}

/* -- nonsense ------------------------------------------------------------- */

static void say(const char *what, int ret)
{
	printf("%s=%s ", what, ret < 0 ? strerrorname_np(errno) : "OK");
}

static void mode_nonsense(void)
{
	struct sockaddr_storage ss, cut = dest;
	struct sockaddr_un un = {.sun_family = AF_UNIX,
				 .sun_path = "/nonexistent"};
	void *bad = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	char *edge = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = new_socket(0), udp = socket(dest.ss_family, SOCK_DGRAM, 0);
	int other = socket(dest.ss_family == AF_INET ? AF_INET6 : AF_INET,
			   SOCK_STREAM, 0);
	int pair[2], file = open("/dev/null", O_RDWR);
	socklen_t len = sizeof(ss), minus = (socklen_t)-1, two = 2;

	munmap(edge + 4096, 4096);
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	say("null", connect(fd, NULL, dest_len));
	say("bad", connect(fd, bad, dest_len));
	say("edge", connect(fd, (void *)(edge + 4096 - 4), dest_len));
	say("short", connect(fd, (void *)&dest, 6));
	say("zero", connect(fd, (void *)&dest, 0));
	say("minus", connect(fd, (void *)&dest, minus));
	say("long", connect(fd, (void *)&dest, 4000));
	say("closed", connect(99, (void *)&dest, dest_len));
	say("file", connect(file, (void *)&dest, dest_len));
	say("pair", connect(pair[0], (void *)&dest, dest_len));
	say("unix", connect(fd, (void *)&un, sizeof(un)));
	say("family", connect(other, (void *)&dest, dest_len));
	cut.ss_family = AF_UNSPEC;
	say("unspec", connect(fd, (void *)&cut, dest_len));
	say("bind_bad", bind(fd, bad, dest_len));
	say("bind_closed", bind(99, (void *)&dest, dest_len));
	say("listen_file", listen(file, 1));
	say("listen_closed", listen(99, 1));
	say("listen_udp", listen(udp, 1));
	say("accept_unlistening", accept(fd, NULL, NULL));
	say("accept_file", accept(file, NULL, NULL));
	say("accept_flags", accept4(fd, NULL, NULL, 0x7fff));
	say("accept_closed", accept(99, NULL, NULL));
	say("name_bad", getsockname(fd, bad, &len));
	say("name_null", getsockname(fd, (void *)&ss, NULL));
	say("name_minus", getsockname(fd, (void *)&ss, &minus));
	say("name_file", getsockname(file, (void *)&ss, &len));
	say("peer_none", getpeername(fd, (void *)&ss, &len));
	say("error_bad", getsockopt(fd, SOL_SOCKET, SO_ERROR, bad, &len));
	say("error_two", getsockopt(fd, SOL_SOCKET, SO_ERROR, &ss, &two));
	say("sendto_bad", (int)sendto(udp, "x", 1, 0, bad, dest_len));
	say("sendmsg_bad", (int)sendmsg(udp, bad, 0));
	say("uring", (int)syscall(425, 1, NULL));
	puts("");
}

/* Ways into the kernel that are not x86-64's own. */
static void mode_other_abis(void)
{
#if defined(__x86_64__)
	long ret, domain = AF_INET;

	__asm__ volatile("int $0x80" : "=a"(ret)
			 : "a"(359L), "b"(domain), "c"(SOCK_STREAM), "d"(0L)
			 : "memory", "r8", "r9", "r10", "r11");
	printf("%s", strerrorname_np((int)-ret));
	domain = AF_UNIX;
	__asm__ volatile("int $0x80" : "=a"(ret)
			 : "a"(359L), "b"(domain), "c"(SOCK_STREAM), "d"(0L)
			 : "memory", "r8", "r9", "r10", "r11");
	printf(" %s", ret >= 0 ? "OK" : strerrorname_np((int)-ret));
	ret = syscall(0x40000000 | SYS_socket, AF_INET, SOCK_STREAM, 0);
	printf(" %s\n", ret >= 0 ? "OK" : strerrorname_np(errno));
#endif
}

/* The same on a socket that is connected to the tailnet. */
static void mode_nonsense_connected(void)
{
	struct sockaddr_storage ss;
	void *bad = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	void *fixed = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	int fd = new_socket(0);
	socklen_t len = sizeof(ss), minus = (socklen_t)-1, two = 2, none = 0;

	if (connect(fd, (void *)&dest, dest_len))
		die("connect");
	say("bad", getpeername(fd, bad, &len));
	say("fixed", getpeername(fd, fixed, &len));
	say("null_len", getpeername(fd, (void *)&ss, NULL));
	say("minus", getpeername(fd, (void *)&ss, &minus));
	say("two", getpeername(fd, (void *)&ss, &two));
	printf("len=%d ", (int)two);
	say("none", getpeername(fd, (void *)&ss, &none));
	printf("len=%d ", (int)none);
	len = 100;
	say("much", getpeername(fd, (void *)&ss, &len));
	printf("len=%d ", (int)len);
	say("listen", listen(fd, 1));
	say("accept", accept(fd, NULL, NULL));
	puts("");
}

/* A second thread changes the address all the time: what the kernel connects
 * to must be what was looked at. */
static _Atomic bool stop;
static struct sockaddr_storage flipping;

static void *flip(void *arg)
{
	struct sockaddr_storage local;
	socklen_t len;

	(void)arg;
	fill("127.0.0.1", 9, &local, &len); /* nobody is there */
	for (unsigned i = 0; !stop; i++) {
		memcpy(&flipping, i & 1 ? &dest : &local, sizeof(dest));
		for (volatile unsigned n = 0; n < i * 7919 % 1000; n++)
			;
		__asm__ volatile("" : : : "memory");
	}
	return NULL;
}

static void mode_flip(void)
{
	pthread_t thread;
	int ours = 0, local = 0;

	signal(SIGPIPE, SIG_IGN);
	flipping = dest;
	pthread_create(&thread, NULL, flip, NULL);
	for (int i = 0; i < 400 || (i < 20000 && !(ours && local)); i++) {
		int fd = new_socket(0);
		char answer[200];

		if (i % 16 == 0)
			usleep(100); /* on one processor, too */
		if (connect(fd, (void *)&flipping, dest_len) == 0) {
			/* A torn one is one of the two, or nobody. */
			ask(fd, "who\n", answer, sizeof(answer));
			if (strncmp(peer(fd), host, strlen(host)) || !*answer)
				die("wrong peer");
			ours++;
		} else if (errno == ECONNREFUSED || errno == ENETUNREACH) {
			local++; /* unreachable: it was looked at as local */
		} else {
			die("connect");
		}
		close(fd);
	}
	stop = true;
	pthread_join(thread, NULL);
	printf("%s %s\n", ours ? "tailnet" : "-", local ? "local" : "-");
}

static _Atomic int unblocked = -1;

static void *unblock(void *unused)
{
	(void)unused;
	while (!stop)
		fcntl(unblocked, F_SETFL, 0);
	return NULL;
}

/* The other thread takes O_NONBLOCK away from whoever wants it for a moment:
 * that one would wait for an answer that it has to give itself. */
static void mode_unblock(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, unblock, NULL);
	for (int i = 0; i < 500; i++) {
		char answer[200];
		int fd = new_socket(0);

		unblocked = fd;
		if (connect(fd, (void *)&dest, dest_len) != 0)
			die("connect");
		ask(fd, "who\n", answer, sizeof(answer));
		if (!*answer)
			die("answer");
		unblocked = -1;
		close(fd);
	}
	stop = true;
	pthread_join(thread, NULL);
	puts("ok");
}

/* One call for both networks, and the batch form back. */
static void mode_mixed(void)
{
	struct sockaddr_storage local, names[2];
	socklen_t len = sizeof(local);
	char bytes[2][100] = {"to the host", "to the tailnet"}, in[100];
	struct iovec iov[2] = {{bytes[0], 11}, {bytes[1], 14}};
	struct mmsghdr msgs[2] = {{.msg_hdr = {.msg_iov = &iov[0],
					       .msg_iovlen = 1}},
				  {.msg_hdr = {.msg_iov = &iov[1],
					       .msg_iovlen = 1}}};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int neighbour = socket(AF_INET, SOCK_DGRAM, 0);
	ssize_t n;

	fill("127.0.0.1", 0, &local, &len);
	if (bind(neighbour, (void *)&local, len) ||
	    getsockname(neighbour, (void *)&local, &len))
		die("bind");
	msgs[0].msg_hdr.msg_name = &local;
	msgs[0].msg_hdr.msg_namelen = len;
	msgs[1].msg_hdr.msg_name = &dest;
	msgs[1].msg_hdr.msg_namelen = dest_len;
	if (sendmmsg(fd, msgs, 2, 0) != 2)
		die("sendmmsg");
	n = recv(neighbour, in, sizeof(in), 0);
	printf("%u+%u %.*s ", msgs[0].msg_len, msgs[1].msg_len, (int)n, in);
	msgs[0].msg_hdr.msg_name = &names[0];
	msgs[0].msg_hdr.msg_namelen = sizeof(names[0]);
	iov[0].iov_len = sizeof(bytes[0]);
	if (recvmmsg(fd, msgs, 1, MSG_WAITFORONE, NULL) != 1)
		die("recvmmsg");
	printf("%s %.*s\n", name(&names[0]), (int)msgs[0].msg_len, bytes[0]);
}

/* Each socket sends and is disconnected, or connected elsewhere, at once. */
static void mode_leaves(void)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct sockaddr_storage local;
	char bytes[200] = "";
	socklen_t len;

	fill("127.0.0.1", 9, &local, &len);
	for (int i = 0; i < 60; i++) {
		int fd = socket(AF_INET, SOCK_DGRAM, 0);

		if (connect(fd, (void *)&dest, dest_len) ||
		    send(fd, bytes, (size_t)(100 + i), 0) != 100 + i)
			die("send");
		if (i % 2 ? connect(fd, (void *)&local, len)
			  : connect(fd, &none, sizeof(none)))
			die("connect");
		close(fd);
	}
}

/* Answers from the address that was written to, as DNS servers do. */
static void mode_pktinfo(void)
{
	struct sockaddr_storage ss;
	struct in_pktinfo info = {0};
	char bytes[100] = "source", control[CMSG_SPACE(sizeof(info))];
	struct iovec iov = {bytes, 6};
	struct msghdr msg = {.msg_name = &dest, .msg_namelen = dest_len,
			     .msg_iov = &iov, .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
	int asking = socket(AF_INET, SOCK_DGRAM, 0);
	socklen_t len = sizeof(ss);

	connect(asking, (void *)&dest, dest_len);
	getsockname(asking, (void *)&ss, &len);
	info.ipi_spec_dst = ((struct sockaddr_in *)&ss)->sin_addr;
	*c = (struct cmsghdr){.cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO,
			      .cmsg_len = CMSG_LEN(sizeof(info))};
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	if (sendmsg(fd, &msg, 0) != 6)
		die("sendmsg");
	iov.iov_len = sizeof(bytes);
	if (recvmsg(fd, &msg, 0) < 0 || !(c = CMSG_FIRSTHDR(&msg)) ||
	    c->cmsg_type != IP_PKTINFO)
		die("recvmsg");
	memcpy(&info, CMSG_DATA(c), sizeof(info));
	printf("%s %s\n", strtok(bytes, " "), inet_ntoa(info.ipi_addr));
}

/* A batch counts up to what fails; the failure is told where it is first. */
static void mode_batches(void)
{
	char bytes[3][100] = {"one", "two", "three"};
	struct iovec iov[3];
	struct mmsghdr msgs[3] = {0};
	int fd = socket(AF_INET, SOCK_DGRAM, 0), got = 0, n;

	for (int i = 0; i < 3; i++) {
		iov[i] = (struct iovec){bytes[i], 3};
		msgs[i].msg_hdr = (struct msghdr){
			.msg_name = &dest, .msg_namelen = dest_len,
			.msg_iov = &iov[i], .msg_iovlen = 1};
	}
	iov[2].iov_base = (void *)8;
	printf("%d ", sendmmsg(fd, msgs, 3, 0));
	printf("%s ", result(sendmmsg(fd, msgs + 2, 1, 0)));
	for (int i = 0; i < 3; i++) {
		iov[i] = (struct iovec){bytes[i], sizeof(bytes[i])};
		msgs[i].msg_hdr.msg_name = NULL;
	}
	while (got < 2) {
		n = recvmmsg(fd, msgs, 3, MSG_WAITFORONE, NULL);
		if (n < 1)
			die("recvmmsg");
		got += n;
	}
	printf("%d ", got);
	printf("%s\n", result(recvmmsg(fd, msgs, 3, MSG_DONTWAIT, NULL)));
}

/* -- server --------------------------------------------------------------- */

static int serve_on(const char *where)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int one = 1, fd;

	fill(where, port, &ss, &len);
	fd = socket(ss.ss_family, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (void *)&ss, len))
		die("bind");
	if (listen(fd, 64))
		die("listen");
	printf("listening %s\n", own(fd));
	fflush(stdout);
	return fd;
}

/* Answers each line with the names that this end has of the connection. */
static void answer_one(int listener, int accept_flags)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd = accept4(listener, (void *)&ss, &len, accept_flags);
	char line[200], out[300];
	ssize_t n;

	if (fd < 0) {
		printf("accept %s\n", strerrorname_np(errno));
		fflush(stdout);
		return;
	}
	n = read(fd, line, sizeof(line) - 1);
	if (n > 0) {
		snprintf(out, sizeof(out), "%s %s %s %d\n", name(&ss),
			 peer(fd), own(fd), (int)getpid());
		if (write(fd, out, strlen(out)) < 0)
			die("write");
	}
	close(fd);
}

static void mode_serve(void)
{
	int listener = serve_on(host);

	for (;;)
		answer_one(listener, SOCK_CLOEXEC);
}

/* Signals come while it waits, some restart the call. */
static void mode_serve_signals(void)
{
	struct itimerval often = {{0, 3000}, {0, 3000}};
	int listener = serve_on(host);

	set_alarm(SA_RESTART, 3000);
	setitimer(ITIMER_REAL, &often, NULL);
	for (;;)
		answer_one(listener, 0);
}

static void mode_serve_timeout(void)
{
	struct timeval limit = {.tv_usec = 100000};
	int listener = serve_on(host);

	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	answer_one(listener, 0);
	set_alarm(0, 100000);
	limit.tv_usec = 0;
	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	answer_one(listener, 0);
	fcntl(listener, F_SETFL, O_NONBLOCK);
	answer_one(listener, 0);
	fcntl(listener, F_SETFL, 0);
	/* The port is free at once when a blocked accept was interrupted. */
	close(listener);
	listener = serve_on(host);
	for (;;)
		answer_one(listener, 0);
}

/* Speaks first, though it has asked to hear something before. */
static void mode_serve_greeting(void)
{
	int seconds = 60, listener = serve_on(host);
	socklen_t len = sizeof(seconds);
	const char *line;

	if (setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, len))
		die("TCP_DEFER_ACCEPT");
	seconds = 0;
	getsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &len);
	line = seconds >= 60 ? "deferred\n" : "not deferred\n";
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0 || write(fd, line, strlen(line)) < 0)
			die("greeting");
		close(fd);
	}
}

/* No number is left: the connection stays where it is, and can be seen. */
static void mode_serve_full(void)
{
	struct rlimit limit = {20, 20};
	int listener = serve_on(host), ep = epoll_create1(0), last = -1, fd;
	struct epoll_event ev = {.events = EPOLLIN};

	setrlimit(RLIMIT_NOFILE, &limit);
	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev);
	while ((fd = dup(0)) >= 0)
		last = fd;
	for (int i = 0; i < 3; i++) {
		if (epoll_wait(ep, &ev, 1, 20000) != 1)
			die("epoll");
		answer_one(listener, SOCK_NONBLOCK);
	}
	close(last);
	for (;;)
		answer_one(listener, 0);
}

/* Then nobody listens any more. */
static void mode_serve_once(void)
{
	int listener = serve_on(host);

	answer_one(listener, 0);
	close(listener);
	pause();
}

static void mode_serve_prefork(void)
{
	int listener = serve_on(host);

	for (int i = 0; i < 3; i++)
		if (fork() == 0)
			for (;;)
				answer_one(listener, 0);
	while (wait(NULL) > 0)
		;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} modes[] = {
		{"names", mode_names},
		{"refused", mode_refused},
		{"epoll", mode_epoll},
		{"eintr", mode_eintr},
		{"restart", mode_restart},
		{"sndtimeo", mode_sndtimeo},
		{"killed", mode_killed},
		{"many", mode_many},
		{"hear", mode_hear},
		{"fastopen", mode_fastopen},
		{"nonsense", mode_nonsense},
		{"nonsense_connected", mode_nonsense_connected},
		{"flip", mode_flip},
		{"unblock", mode_unblock},
		{"mixed", mode_mixed},
		{"leaves", mode_leaves},
		{"pktinfo", mode_pktinfo},
		{"batches", mode_batches},
		{"other_abis", mode_other_abis},
		{"serve", mode_serve},
		{"serve_signals", mode_serve_signals},
		{"serve_timeout", mode_serve_timeout},
		{"serve_prefork", mode_serve_prefork},
		{"serve_greeting", mode_serve_greeting},
		{"serve_full", mode_serve_full},
		{"serve_once", mode_serve_once},
	};

	if (argc < 4)
		return 64;
	host = argv[2];
	port = atoi(argv[3]);
	fill(host, port, &dest, &dest_len);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(argv[1], modes[i].name) == 0) {
			modes[i].fn();
			return 0;
		}
	}
	return 64;
}
