/* SPDX-License-Identifier: BSD-3-Clause
 * shapes.c - processes of many shapes that use the tailnet
 *
 *   shapes CLIENT-SHAPE IP PORT   talks to shape_server.py; prints "ok"
 *   shapes SERVER-SHAPE PORT      answers each line with "PEER LINE WHO"
 *
 * Every client checks that the server saw the address that our own socket
 * has, so that a connection past the tailnet fails.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534, LINE = 256, WORKERS = 4 };

static struct sockaddr_in server;
static const char *self;
static char **words; /* of the command line, after the shape */

#define CHECK(ok)                                                            \
	do {                                                                 \
		if (!(ok)) {                                                 \
			fprintf(stderr, "line %d: %s: %s\n", __LINE__, #ok,  \
				strerror(errno));                            \
			_exit(1);                                            \
		}                                                            \
	} while (0)

static int tcp(int flags)
{
	int fd = socket(AF_INET, SOCK_STREAM | flags, 0);

	CHECK(fd >= 0);
	return fd;
}

static int call(int fd)
{
	return connect(fd, (struct sockaddr *)&server, sizeof(server));
}

static int connected(void)
{
	int fd = tcp(0);

	CHECK(call(fd) == 0);
	return fd;
}

static void read_line(int fd, char out[static LINE])
{
	size_t len = 0;

	while (len == 0 || out[len - 1] != '\n') {
		CHECK(len < LINE - 1 && read(fd, out + len, 1) == 1);
		len++;
	}
	out[len - 1] = '\0';
}

/* The server must know us by the name that our socket has. */
static void talk(int fd)
{
	static _Atomic int number;
	struct sockaddr_in own = {0};
	socklen_t len = sizeof(own);
	char line[LINE], ip[64], expected[LINE];
	int n = ++number;

	CHECK(getsockname(fd, (struct sockaddr *)&own, &len) == 0);
	inet_ntop(AF_INET, &own.sin_addr, ip, sizeof(ip));
	CHECK(strncmp(ip, "100.", 4) == 0);
	snprintf(expected, sizeof(expected), "%s %d-%d", ip, getpid(), n);
	snprintf(line, sizeof(line), "%d-%d\n", getpid(), n);
	CHECK(write(fd, line, strlen(line)) == (ssize_t)strlen(line));
	read_line(fd, line);
	if (strcmp(line, expected) != 0)
		fprintf(stderr, "%s, not %s\n", line, expected);
	CHECK(strcmp(line, expected) == 0);
}

static void call_and_talk(void)
{
	int fd = connected();

	talk(fd);
	close(fd);
}

static void in_child(void (*fn)(void))
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	if (pid == 0) {
		fn();
		exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void become_nobody(void)
{
	CHECK(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 &&
	      setuid(NOBODY) == 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM); /* the change cleared it */
}

static void go_to_jail(void)
{
	char dir[] = "/tmp/jail-XXXXXX";

	CHECK(mkdtemp(dir) && chmod(dir, 0755) == 0 && chroot(dir) == 0 &&
	      chdir("/") == 0);
}

/* -- clients -------------------------------------------------------------- */

static int inherited;

static void talk_inherited(void)
{
	talk(inherited);
}

static void fork_after_connect(void)
{
	inherited = connected();
	in_child(talk_inherited);
	talk(inherited);
	in_child(call_and_talk);
}

static void fork_before_connect(void)
{
	in_child(call_and_talk);
	/* In-process each is a node that begins anew with the same key, and
	 * WireGuard takes a start within 17 ms of the last for a replay. */
	usleep(50000);
	call_and_talk();
	in_child(call_and_talk);
}

static void two_forks_at_once(void)
{
	pid_t pid = fork();
	int status;

	CHECK(pid >= 0);
	call_and_talk();
	if (pid == 0)
		exit(0);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	call_and_talk();
}

static void exec_connected(void)
{
	char fd[16];

	if (words[2]) { /* after the exec */
		talk(atoi(words[2]));
		call_and_talk();
		return;
	}
	snprintf(fd, sizeof(fd), "%d", connected());
	execl(self, self, "exec_connected", words[0], words[1], fd, NULL);
	CHECK(!"exec");
}

static void setuid_then_connect(void)
{
	become_nobody();
	call_and_talk();
}

static void connect_then_setuid(void)
{
	int before = connected(), bound = tcp(0);

	talk(before);
	become_nobody();
	talk(before);
	CHECK(call(bound) == 0);
	talk(bound);
	call_and_talk();
}

static void setuid_worker(void)
{
	call_and_talk();
	in_child(setuid_then_connect);
	call_and_talk();
}

static void jailed(void)
{
	go_to_jail();
	setuid_then_connect();
}

static void chroot_worker(void)
{
	call_and_talk();
	in_child(jailed);
	call_and_talk();
}

static void close_all_first(void)
{
	CHECK(syscall(SYS_close_range, 3, ~0u, 0) == 0);
	call_and_talk();
}

static void close_all_later(void)
{
	call_and_talk();
	CHECK(syscall(SYS_close_range, 3, ~0u, 0) == 0);
	call_and_talk();
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	call_and_talk();
}

static void dup2_over(void)
{
	int first = connected(), second = tcp(0);

	CHECK(dup2(first, 50) == 50 && close(first) == 0);
	talk(50);
	CHECK(dup2(second, 50) == 50); /* closes the first connection */
	CHECK(call(second) == 0);
	talk(50);
	CHECK(dup2(50, 0) == 0 && close(50) == 0 && close(second) == 0);
	talk(0);
}

static void *thread(void *arg)
{
	call_and_talk();
	return arg;
}

static void thousand_threads(void)
{
	static pthread_t threads[1000];
	struct rlimit limit = {4096, 4096};
	pthread_attr_t attr;

	setrlimit(RLIMIT_NOFILE, &limit);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * 1024);
	for (int i = 0; i < 1000; i++)
		CHECK(pthread_create(&threads[i], &attr, thread, NULL) == 0);
	for (int i = 0; i < 1000; i++)
		pthread_join(threads[i], NULL);
}

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

static void expect_signals(int flags)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
	struct itimerval every = {{0, 100000}, {0, 100000}};

	signals = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
}

static void no_more_signals(void)
{
	struct itimerval off = {0};

	setitimer(ITIMER_REAL, &off, NULL);
}

static void wait_for(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	while (poll(&p, 1, 20000) < 0)
		CHECK(errno == EINTR);
	CHECK(p.revents == POLLOUT);
}

/* The test stops the peer meanwhile, so that both calls are held. */
static void signal_in_connect(void)
{
	int fd = tcp(0), again = tcp(0);

	puts("now");
	fflush(stdout);
	usleep(200000);
	expect_signals(0);
	CHECK(call(fd) == -1 && errno == EINTR);
	CHECK(call(fd) == -1 && (errno == EALREADY || errno == EINTR));
	expect_signals(SA_RESTART);
	CHECK(call(again) == 0);
	CHECK(signals > 1);
	no_more_signals();
	wait_for(fd);
	CHECK(call(fd) == 0 || errno == EISCONN);
	talk(fd);
	talk(again);
}

static void send_timeout(void)
{
	struct timeval limit = {.tv_usec = 200000};
	int fd = tcp(0);

	puts("now");
	fflush(stdout);
	usleep(200000);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	CHECK(call(fd) == -1 && errno == EINPROGRESS);
	CHECK(call(fd) == -1 && errno == EALREADY);
	wait_for(fd);
	talk(fd);
}

static void connect_and_close(void)
{
	for (int i = 0; i < 2000; i++) {
		int fd = tcp(SOCK_NONBLOCK);

		CHECK(call(fd) == -1 && errno == EINPROGRESS);
		close(fd);
	}
	call_and_talk();
	puts("closed");
	fflush(stdout);
	pause();
}

/* A refused socket is as good as new, here or on the host network. */
static void refused_then_elsewhere(void)
{
	struct sockaddr_in host = {.sin_family = AF_INET};
	struct sockaddr_in wrong = server, seen;
	socklen_t len = sizeof(host);
	int fd = tcp(0), listener = tcp(0), accepted;

	CHECK(inet_pton(AF_INET, words[2], &host.sin_addr) == 1);
	CHECK(bind(listener, (struct sockaddr *)&host, sizeof(host)) == 0 &&
	      listen(listener, 1) == 0 &&
	      getsockname(listener, (struct sockaddr *)&host, &len) == 0);
	/* refused at once, by the host, and later, by the peer */
	inet_pton(AF_INET, "100.99.99.99", &wrong.sin_addr);
	CHECK(connect(fd, (struct sockaddr *)&wrong, sizeof(wrong)) == -1);
	CHECK(errno == EHOSTUNREACH || errno == ENETUNREACH);
	wrong = server;
	wrong.sin_port = htons(1);
	CHECK(connect(fd, (struct sockaddr *)&wrong, sizeof(wrong)) == -1);
	CHECK(errno == ECONNREFUSED);
	inet_pton(AF_INET, "100.99.99.99", &wrong.sin_addr);
	CHECK(connect(fd, (struct sockaddr *)&wrong, sizeof(wrong)) == -1);
	CHECK(connect(fd, (struct sockaddr *)&host, len) == 0);
	accepted = accept(listener, (struct sockaddr *)&seen, &len);
	CHECK(accepted >= 0);
	CHECK(seen.sin_addr.s_addr == host.sin_addr.s_addr);
	close(fd);
	fd = tcp(0);
	wrong.sin_addr = server.sin_addr;
	CHECK(connect(fd, (struct sockaddr *)&wrong, sizeof(wrong)) == -1);
	CHECK(call(fd) == 0);
	talk(fd);
}

/* -- what is not carried: nothing may leave past it ----------------------- */

static void to_address(const char *text, struct sockaddr_in6 *out)
{
	*out = (struct sockaddr_in6){.sin6_family = AF_INET6,
				     .sin6_port = htons(9)};
	CHECK(inet_pton(AF_INET6, text, &out->sin6_addr) == 1);
}

static void no_way(int fd, const void *addr, socklen_t len)
{
	char byte = 'x';
	struct iovec iov = {&byte, 1};
	struct mmsghdr msgs[2] = {{{.msg_name = (void *)(uintptr_t)addr,
				    .msg_namelen = len, .msg_iov = &iov,
				    .msg_iovlen = 1}, 0}};
	struct sockaddr_storage name;
	socklen_t name_len = sizeof(name);

	CHECK(fd >= 0);
	msgs[1] = msgs[0];
	CHECK(sendto(fd, &byte, 1, 0, addr, len) == -1 &&
	      errno == ENETUNREACH);
	CHECK(sendmsg(fd, &msgs[0].msg_hdr, 0) == -1 && errno == ENETUNREACH);
	CHECK(sendmmsg(fd, msgs, 2, 0) == -1 && errno == ENETUNREACH);
	CHECK(connect(fd, addr, len) == -1 && errno == ENETUNREACH);
	CHECK(getpeername(fd, (struct sockaddr *)&name, &name_len) == -1 &&
	      errno == ENOTCONN);
	CHECK(send(fd, &byte, 1, 0) == -1);
	close(fd);
}

static void datagrams(void)
{
	struct sockaddr_in6 mapped, ula;
	char text[64] = "::ffff:";

	strcat(text, words[0]);
	to_address(text, &mapped);
	to_address("fd7a:115c:a1e0::1", &ula);
	no_way(socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE), &server,
	       sizeof(server));
	no_way(socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE), &mapped,
	       sizeof(mapped));
	no_way(socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDPLITE), &ula,
	       sizeof(ula));
	no_way(socket(AF_INET, SOCK_RAW, IPPROTO_UDP), &server,
	       sizeof(server));
	no_way(socket(AF_INET, SOCK_RAW, IPPROTO_TCP), &server,
	       sizeof(server));
	no_way(socket(AF_INET6, SOCK_RAW, IPPROTO_UDP), &ula, sizeof(ula));
	no_way(socket(AF_INET, SOCK_RAW, IPPROTO_RAW), &server,
	       sizeof(server));
	call_and_talk();
}

/* -- servers -------------------------------------------------------------- */

static int listening(const char *ip, int port, bool reuse_port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port)};
	int fd = tcp(0);
	const int on = 1;

	CHECK(inet_pton(AF_INET, ip, &at.sin_addr) == 1);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (reuse_port)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	CHECK(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
	CHECK(listen(fd, 128) == 0);
	return fd;
}

static void serve_one(int fd, const char *who)
{
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	int conn = accept(fd, (struct sockaddr *)&peer, &len);
	char line[LINE], ip[64], answer[2 * LINE];

	CHECK(conn >= 0);
	inet_ntop(AF_INET, &peer.sin_addr, ip, sizeof(ip));
	if (recv(conn, line, 1, MSG_PEEK) == 1) {
		read_line(conn, line);
		snprintf(answer, sizeof(answer), "%s %s %s\n", ip, line, who);
		CHECK(write(conn, answer, strlen(answer)) > 0);
	}
	close(conn);
}

static void serve(int fd, const char *who)
{
	for (;;)
		serve_one(fd, who);
}

static void start_workers(int fd, void (*before)(void))
{
	for (int i = 0; i < WORKERS; i++) {
		char who[16];

		if (fork() > 0)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (before)
			before();
		snprintf(who, sizeof(who), "w%d", i);
		serve(fd >= 0 ? fd : listening("0.0.0.0", atoi(words[0]), true),
		      who);
	}
	while (wait(NULL) > 0)
		;
}

static void prefork(void)
{
	start_workers(listening("0.0.0.0", atoi(words[0]), false), NULL);
}

static void reuse_port_workers(void)
{
	start_workers(-1, NULL);
}

static void setuid_workers(void)
{
	start_workers(listening("0.0.0.0", atoi(words[0]), false),
		      become_nobody);
}

static void jailed_and_nobody(void)
{
	go_to_jail();
	become_nobody();
}

static void jailed_workers(void)
{
	start_workers(listening("0.0.0.0", atoi(words[0]), false),
		      jailed_and_nobody);
}

static void one_worker_as_nobody(void)
{
	int fd = listening("0.0.0.0", atoi(words[0]), false);

	become_nobody();
	serve(fd, "nobody");
}

static void exec_listening(void)
{
	char fd[16];

	if (words[1])
		serve(atoi(words[1]), "exec");
	snprintf(fd, sizeof(fd), "%d",
		 listening("0.0.0.0", atoi(words[0]), false));
	execl(self, self, "exec_listening", words[0], fd, NULL);
	CHECK(!"exec");
}

/* The process that hosts the node ends, its child serves on. */
static void orphan(void)
{
	int fd = listening("0.0.0.0", atoi(words[0]), false);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (fork() > 0) {
		usleep(500000);
		exit(0);
	}
	alarm(40);
	printf("%d\n", getpid());
	fflush(stdout);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	for (;;) {
		int conn = accept(fd, NULL, NULL);

		if (conn >= 0) {
			CHECK(write(conn, "served\n", 7) == 7);
			close(conn);
		} else if (errno == EAGAIN) {
			poll(&p, 1, 100);
		}
	}
}

/* The process that hosts the node is killed; one child waits in accept() and
 * cannot know, another one starts the next host by listening itself. */
static void killed(void)
{
	int fd = listening("0.0.0.0", atoi(words[0]), false);
	int parent = getpid();
	pid_t pid;

	pid = fork();
	if (pid == 0)
		serve(fd, "waiting");
	printf("%d ", (int)pid);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		close(fd);
		while (getppid() == parent)
			usleep(100000);
		fd = listening("0.0.0.0", atoi(words[0]) + 1, false);
		serve(fd, "active");
	}
	printf("%d\n", (int)pid);
	fflush(stdout);
	for (;;)
		pause();
}

/* As systemd hands it over: bound and listening, by someone else. */
static void activated(void)
{
	struct sockaddr_in name;
	socklen_t len = sizeof(name);

	CHECK(getsockname(3, (struct sockaddr *)&name, &len) == 0);
	serve(3, "fd3");
}

static void reopened(void)
{
	int fd = -1;

	for (int i = 0; i < 50; i++) {
		close(fd);
		fd = listening("0.0.0.0", atoi(words[0]), false);
	}
	serve(fd, "last");
}

static void any_port(void)
{
	struct sockaddr_in name;
	socklen_t len = sizeof(name);
	int fd = words[0] ? listening(words[0], 0, false) : tcp(0);

	if (!words[0]) /* listen() without a bind */
		CHECK(listen(fd, 10) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&name, &len) == 0);
	printf("%s %d\n", inet_ntoa(name.sin_addr), ntohs(name.sin_port));
	fflush(stdout);
	serve(fd, "any");
}

static void at(void)
{
	int fd = listening(words[1], atoi(words[0]), false);

	puts("listening");
	fflush(stdout);
	serve(fd, "at");
}

/* httpd's default; what was set is what is told. */
static void defer_accept(void)
{
	int fd = tcp(0), got = -1, seconds = 30, on = 1;
	socklen_t len = sizeof(got);
	struct sockaddr_in any = {.sin_family = AF_INET,
				  .sin_port = htons((uint16_t)atoi(words[0]))};

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	CHECK(setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds,
			 sizeof(seconds)) == 0);
	CHECK(bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0);
	CHECK(listen(fd, 128) == 0);
	CHECK(getsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &got, &len) == 0);
	CHECK(got >= seconds && got < 2 * seconds + 3);
	serve(fd, "deferred");
}

#define SHAPE(name) {#name, name}
static const struct {
	const char *name;
	void (*fn)(void);
} clients[] = {
	SHAPE(call_and_talk), SHAPE(fork_after_connect),
	SHAPE(fork_before_connect), SHAPE(two_forks_at_once),
	SHAPE(exec_connected), SHAPE(setuid_worker), SHAPE(chroot_worker),
	SHAPE(connect_then_setuid),
	SHAPE(close_all_first), SHAPE(close_all_later), SHAPE(dup2_over),
	SHAPE(thousand_threads), SHAPE(signal_in_connect),
	SHAPE(send_timeout), SHAPE(connect_and_close),
	SHAPE(refused_then_elsewhere), SHAPE(datagrams),
}, servers[] = {
	SHAPE(prefork), SHAPE(reuse_port_workers), SHAPE(setuid_workers),
	SHAPE(jailed_workers), SHAPE(exec_listening), SHAPE(activated),
	SHAPE(one_worker_as_nobody), SHAPE(reopened), SHAPE(orphan),
	SHAPE(killed), SHAPE(any_port), SHAPE(at), SHAPE(defer_accept),
};

int main(int argc, char **argv)
{
	CHECK(argc >= 2);
	self = argv[0];
	words = argv + 2;
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(servers) / sizeof(*servers); i++)
		if (strcmp(servers[i].name, argv[1]) == 0)
			servers[i].fn();
	CHECK(argc >= 4);
	server.sin_family = AF_INET;
	server.sin_port = htons((uint16_t)atoi(words[1]));
	CHECK(inet_pton(AF_INET, words[0], &server.sin_addr) == 1);
	for (size_t i = 0; i < sizeof(clients) / sizeof(*clients); i++) {
		if (strcmp(clients[i].name, argv[1]) != 0)
			continue;
		clients[i].fn();
		puts("ok");
		return 0;
	}
	return 2;
}
