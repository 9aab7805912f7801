/* SPDX-License-Identifier: BSD-3-Clause
 * process_shapes.c - ends, interruptions, narrow limits and sandboxes
 *
 *   process_shapes SHAPE IP PORT   prints "ok", or what the shape is about
 *
 * Connections are to shape_server.py (talk) or to a sink that counts (send).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LINE = 256, MEGABYTE = 1 << 20, THREADS = 50 };

static struct sockaddr_in server;

#define CHECK(ok)                                                            \
	do {                                                                 \
		if (!(ok)) {                                                 \
			fprintf(stderr, "line %d: %s: %s\n", __LINE__, #ok,  \
				strerror(errno));                            \
			_exit(1);                                            \
		}                                                            \
	} while (0)

static int call(int fd)
{
	return connect(fd, (struct sockaddr *)&server, sizeof(server));
}

static int connected(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(fd >= 0 && call(fd) == 0);
	return fd;
}

/* The server must know us by the name that our socket has. */
static void talk(int fd)
{
	struct sockaddr_in own = {0};
	socklen_t len = sizeof(own);
	char line[LINE], ip[64], expected[LINE];
	size_t got = 0;

	CHECK(getsockname(fd, (struct sockaddr *)&own, &len) == 0);
	inet_ntop(AF_INET, &own.sin_addr, ip, sizeof(ip));
	CHECK(strncmp(ip, "100.", 4) == 0);
	snprintf(line, sizeof(line), "%d-%d\n", getpid(), fd);
	snprintf(expected, sizeof(expected), "%s %d-%d\n", ip, getpid(), fd);
	CHECK(write(fd, line, strlen(line)) == (ssize_t)strlen(line));
	while (got == 0 || line[got - 1] != '\n') {
		ssize_t n = read(fd, line + got, sizeof(line) - 1 - got);

		CHECK(n > 0);
		got += (size_t)n;
	}
	line[got] = '\0';
	CHECK(strcmp(line, expected) == 0);
}

static void call_and_talk(void)
{
	int fd = connected();

	talk(fd);
	close(fd);
}

static void wait_ok(pid_t pid)
{
	int status;

	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

/* -- ends with unsent data ------------------------------------------------ */

static void send_megabyte(void)
{
	static char data[MEGABYTE];
	int fd = connected();
	size_t sent = 0;

	memset(data, 'x', sizeof(data));
	while (sent < sizeof(data)) {
		ssize_t n = write(fd, data + sent, sizeof(data) - sent);

		CHECK(n > 0);
		sent += (size_t)n;
	}
}

static void then_exit(void)
{
	send_megabyte();
	exit(0);
}

static void then__exit(void)
{
	send_megabyte();
	_exit(0);
}

static void then__Exit(void)
{
	send_megabyte();
	_Exit(0);
}

static void then_quick_exit(void)
{
	send_megabyte();
	quick_exit(0);
}

static void then_kill(void)
{
	send_megabyte();
	raise(SIGKILL);
}

static void then_exec(void)
{
	send_megabyte();
	execl("/bin/true", "true", NULL);
}

static void then_execlp(void)
{
	send_megabyte();
	execlp("true", "true", NULL);
}

/* Its node is the parent's. */
static void then__exit_in_child(void)
{
	pid_t pid;

	call_and_talk();
	pid = fork();
	if (pid == 0)
		_exit(0);
	wait_ok(pid);
	pid = vfork();
	if (pid == 0)
		_exit(0);
	wait_ok(pid);
	call_and_talk();
	puts("ok");
}

/* -- a held connect that is left ------------------------------------------ */

static sigjmp_buf out;

static void jump(int signo)
{
	(void)signo;
	siglongjmp(out, 1);
}

static void after(void (*handler)(int), int ms)
{
	struct itimerval once = {{0, 0}, {0, ms * 1000}};

	signal(SIGALRM, handler);
	setitimer(ITIMER_REAL, &once, NULL);
}

static void now(void)
{
	puts("now"); /* the test stops the peer */
	fflush(stdout);
	usleep(300000);
}

static void resumed(void)
{
	puts("resume");
	fflush(stdout);
}

static void longjmp_from_connect(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	now();
	if (sigsetjmp(out, 1) == 0) {
		after(jump, 400);
		call(fd);
		CHECK(!"held");
	}
	close(fd);
	resumed();
	for (int i = 0; i < 10; i++)
		call_and_talk();
	puts("ok");
}

static void *held(void *arg)
{
	call(*(int *)arg);
	return arg;
}

static int lowest_fd(void)
{
	int fd = open("/dev/null", O_RDONLY);

	close(fd);
	return fd;
}

static int open_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) != -1;
	return count;
}

static void cancelled_connects(void)
{
	pthread_t threads[THREADS];
	int fds[THREADS], before;
	void *result;

	now();
	for (int i = 0; i < THREADS; i++)
		CHECK((fds[i] = socket(AF_INET, SOCK_STREAM, 0)) >= 0);
	before = open_fds();
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, held, &fds[i]) == 0);
	usleep(200000);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_cancel(threads[i]) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], &result) == 0 &&
		      result == PTHREAD_CANCELED);
	CHECK(open_fds() == before);
	for (int i = 0; i < THREADS; i++)
		close(fds[i]);
	resumed();
	call_and_talk();
	puts("ok");
}

/* Cancelled anywhere in it: no lock is left behind, no descriptor either. */
static void cancelled_anywhere(void)
{
	int before;

	call_and_talk();
	before = open_fds();
	for (int i = 0; i < 200; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		pthread_t thread;

		CHECK(pthread_create(&thread, NULL, held, &fd) == 0);
		usleep((useconds_t)(i * 7 % 400));
		pthread_cancel(thread);
		pthread_join(thread, NULL);
		close(fd);
	}
	CHECK(open_fds() == before);
	call_and_talk();
	puts("ok");
}

/* Calls that ask the host, and are no cancellation points. */
static void *cancelled_after(void *arg)
{
	struct sockaddr_in own = {.sin_family = AF_INET};
	int fd = *(int *)arg, listener = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(own);
	const int on = 1;
	char info[104];

	*(int *)arg = -1;
	pthread_cancel(pthread_self());
	CHECK(getsockname(fd, (struct sockaddr *)&own, &len) == 0);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) == 0);
	len = sizeof(info);
	CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len) == 0);
	own.sin_port = 0;
	CHECK(bind(listener, (struct sockaddr *)&own, sizeof(own)) == 0);
	CHECK(listen(listener, 1) == 0);
	*(int *)arg = listener;
	close(fd); /* is one */
	return NULL;
}

static void cancelled_where_posix_says(void)
{
	int fd = connected(), arg = fd;
	pthread_t thread;
	void *result;

	CHECK(pthread_create(&thread, NULL, cancelled_after, &arg) == 0);
	CHECK(pthread_join(thread, &result) == 0);
	CHECK(result == PTHREAD_CANCELED && arg >= 0);
	talk(fd);
	puts("ok");
}

static volatile sig_atomic_t served;

static void connect_here(int signo)
{
	int saved_errno = errno;

	(void)signo;
	call_and_talk();
	served++;
	errno = saved_errno;
}

/* While malloc, stdio and connect are interrupted. */
static void connect_in_handler(void)
{
	struct itimerval every = {{0, 20000}, {0, 20000}};
	struct itimerval off = {{0, 0}, {0, 0}};

	call_and_talk();
	signal(SIGALRM, connect_here);
	setitimer(ITIMER_REAL, &every, NULL);
	while (served < 20) {
		char *text = malloc(100 + (size_t)(served * 1000));
		FILE *f = fopen("/dev/null", "w");
		sigset_t set;

		CHECK(text && f);
		fprintf(f, "%p", (void *)text);
		fclose(f);
		free(text);
		sigemptyset(&set);
		sigaddset(&set, SIGALRM);
		sigprocmask(SIG_BLOCK, &set, NULL);
		call_and_talk();
		sigprocmask(SIG_UNBLOCK, &set, NULL);
	}
	setitimer(ITIMER_REAL, &off, NULL);
	puts("ok");
}

/* -- narrow limits -------------------------------------------------------- */

static void limit_fds(rlim_t n)
{
	struct rlimit limit = {n, n};

	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void sixteen_fds(void)
{
	int fds[32], count = 0;

	limit_fds(16);
	call_and_talk();
	while (count < 32 && (fds[count] = dup(0)) >= 0)
		count++;
	CHECK(errno == EMFILE && count >= 12);
	close(fds[--count]);
	close(fds[--count]);
	call_and_talk();
	puts("ok");
}

/* The node is up, and every number of the program's is used. */
static void sixty_four_fds(void)
{
	int fd, count = 0;

	limit_fds(64);
	CHECK(open("/dev/null", O_RDONLY) == 3);
	call_and_talk();
	CHECK(open("/dev/null", O_RDONLY) == 4);
	while ((fd = dup(0)) >= 0)
		count++;
	CHECK(errno == EMFILE && count == 59);
	close(63);
	close(62);
	call_and_talk();
	puts("ok");
}

static void all_closed_in_child(void)
{
	pid_t pid;

	call_and_talk();
	pid = fork();
	if (pid == 0) {
		syscall(SYS_close_range, 3, ~0u, 0);
		call_and_talk();
		exit(0);
	}
	wait_ok(pid);
	closefrom(3);
	call_and_talk();
	for (int fd = 3; fd < 700; fd++)
		CHECK(close(fd) == -1 && errno == EBADF);
	call_and_talk();
	puts("ok");
}

/* Nothing that the program could see is taken. */
static void first_number_is_three(void)
{
	CHECK(lowest_fd() == 3);
	call_and_talk();
	CHECK(lowest_fd() == 3);
	for (int fd = 3; fd < 1024; fd++)
		CHECK(fcntl(fd, F_GETFD) == -1);
	puts("ok");
}

/* -- daemons -------------------------------------------------------------- */

static void daemonized(void)
{
	int fds[2];
	char answer[4] = "";

	CHECK(pipe(fds) == 0);
	call_and_talk();
	if (fork() > 0) { /* its daemon is ours to wait for */
		close(fds[1]);
		CHECK(read(fds[0], answer, 3) == 3);
		fputs(answer, stdout);
		exit(0);
	}
	CHECK(daemon(0, 1) == 0);
	call_and_talk();
	CHECK(setsid() == -1 || 1);
	if (fork() > 0)
		_exit(0);
	call_and_talk();
	CHECK(write(fds[1], "ok\n", 3) == 3);
	exit(0);
}

/* -- a sandbox of its own ------------------------------------------------- */

#define ALLOW(name)                                                          \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1),               \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* A worker that may use sockets, read, write, ask for its pid and end; all else
 * kills, and what the shim needs is what the man page says. */
static void sandboxed(void)
{
	static struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		ALLOW(socket), ALLOW(connect), ALLOW(accept), ALLOW(accept4),
		ALLOW(bind), ALLOW(listen), ALLOW(read), ALLOW(write),
		ALLOW(close), ALLOW(sendmsg), ALLOW(recvmsg), ALLOW(sendto),
		ALLOW(recvfrom), ALLOW(getsockname), ALLOW(getpeername),
		ALLOW(getsockopt), ALLOW(setsockopt), ALLOW(fcntl),
		ALLOW(getpid), ALLOW(exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = {sizeof(rules) / sizeof(*rules), rules};

	call_and_talk();
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
	call_and_talk();
	call_and_talk();
	CHECK(write(STDOUT_FILENO, "ok\n", 3) == 3);
	_exit(0);
}

static void plain(void)
{
	call_and_talk();
	puts("ok");
}

#define SHAPE(name) {#name, name}
static const struct {
	const char *name;
	void (*fn)(void);
} shapes[] = {
	SHAPE(then_exit), SHAPE(then__exit), SHAPE(then__Exit),
	SHAPE(then_quick_exit), SHAPE(then_kill), SHAPE(then_exec),
	SHAPE(then_execlp),
	SHAPE(then__exit_in_child), SHAPE(longjmp_from_connect),
	SHAPE(cancelled_connects), SHAPE(cancelled_anywhere),
	SHAPE(cancelled_where_posix_says),
	SHAPE(connect_in_handler), SHAPE(sixteen_fds), SHAPE(sixty_four_fds),
	SHAPE(all_closed_in_child), SHAPE(first_number_is_three),
	SHAPE(daemonized), SHAPE(sandboxed), SHAPE(plain),
};

int main(int argc, char **argv)
{
	CHECK(argc == 4);
	signal(SIGPIPE, SIG_IGN);
	server.sin_family = AF_INET;
	server.sin_port = htons((uint16_t)atoi(argv[3]));
	CHECK(inet_pton(AF_INET, argv[2], &server.sin_addr) == 1);
	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
		if (strcmp(shapes[i].name, argv[1]) != 0)
			continue;
		shapes[i].fn();
		return 0;
	}
	return 2;
}
