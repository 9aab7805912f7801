/* SPDX-License-Identifier: BSD-3-Clause
 * api_forks.c - tsnet.h in a program that forks
 *
 *	api_forks URL KEY exec      what a child that execs still has open
 *	api_forks URL KEY children  children that use descriptors, and servers of
 *				    their own, while the parent's are at work
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "api_check.h"

/* -- exec ----------------------------------------------------------------- */

static int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	CHECK(NULL, dir);
	for (struct dirent *e; (e = readdir(dir));) {
		char path[300], to[64] = "";

		snprintf(path, sizeof(path), "/proc/self/fd/%s", e->d_name);
		if (readlink(path, to, sizeof(to) - 1) > 0)
			fprintf(stderr, "%s: %s\n", e->d_name, to);
		count++;
	}
	closedir(dir);
	return count - 3; /* itself, . and .. */
}

/* Every kind of descriptor, and then a program that counts what it got. */
static void exec_one(char *const *argv)
{
	char *again[] = {argv[0], argv[1], argv[2], (char *)"count", NULL};
	struct tsnet *a = up("alpha"), *b = up("bravo");
	int listener = tsnet_listen(a, "tcp", ":7001");
	int flows = tsnet_listen(a, "udp", ":7002");
	int fallback = tsnet_listen_fallback(a, NULL, NULL);
	int packets = tsnet_listen_packet(a, "udp", "0.0.0.0:7003");
	int near = tsnet_dial(b, "tcp", "alpha:7001", UP_S);
	int udp = tsnet_dial(b, "udp", "alpha:7002", UP_S);
	char addr[TSNET_ADDR_CAP], one[TSNET_CRED_CAP], two[TSNET_CRED_CAP];

	CHECK(a, listener >= 0 && flows >= 0 && fallback >= 0 && packets >= 0);
	CHECK(b, near >= 0 && udp >= 0);
	CHECK(a, tsnet_accept(a, listener, NULL, 0) >= 0);
	CHECK_CODE(NULL, 1, write(udp, "x", 1));
	CHECK(a, tsnet_accept(a, flows, NULL, 0) >= 0);
	CHECK_CODE(a, 0, tsnet_capture_pcap(a, "packets"));
	CHECK_CODE(a, 0, tsnet_loopback(a, addr, sizeof(addr), one, two));
	execv(argv[0], again);
	CHECK(NULL, !"exec");
}

/* -- children ------------------------------------------------------------- */

enum { CHILDREN = 4 };

static void *echo(void *ctx)
{
	struct tsnet *a = ctx;
	int listener = tsnet_listen(a, "tcp", ":7001"), fd;
	char got[64];

	CHECK(a, listener >= 0);
	while ((fd = tsnet_accept(a, listener, NULL, 0)) >= 0) {
		ssize_t n = read(fd, got, sizeof(got));

		CHECK(NULL, n <= 0 || write(fd, got, (size_t)n) == n);
		close(fd);
	}
	close(listener);
	return NULL;
}

static void ask(struct tsnet *ts, int fd)
{
	char got[16] = "";

	CHECK(ts, fd >= 0);
	CHECK_CODE(NULL, 5, write(fd, "hello", 5));
	CHECK_CODE(NULL, 5, read(fd, got, sizeof(got)));
	CHECK(NULL, strcmp(got, "hello") == 0);
	close(fd);
}

/* The parent's connection works, its servers do not; one of its own does. */
static void be_a_child(struct tsnet *a, struct tsnet *b, int fd, int number)
{
	char name[32];
	struct tsnet *own;

	ask(NULL, fd);
	CHECK_CODE(NULL, -ENETDOWN, tsnet_dial(b, "tcp", "alpha:7001", 1));
	CHECK_SAID(b, "before this process was forked");
	CHECK_CODE(NULL, -ENETDOWN, tsnet_start(a));
	CHECK_CODE(NULL, -ENETDOWN, tsnet_capture_pcap(a, "never"));
	CHECK_CODE(NULL, -EINVAL, tsnet_dial(b, NULL, "alpha:7001", 1));
	CHECK(NULL, *tsnet_errmsg(b));
	CHECK(NULL, !tsnet_localapi(a));
	tsnet_close(a);
	tsnet_close(b);
	snprintf(name, sizeof(name), "child%d", number);
	own = up(name);
	ask(own, tsnet_dial(own, "tcp", "alpha:7001", UP_S));
	tsnet_close(own);
	_exit(0);
}

static void children(void)
{
	struct tsnet *a = up("alpha"), *b = up("bravo");
	pid_t pids[CHILDREN];
	pthread_t thread;
	int fds[CHILDREN], status;

	CHECK_CODE(NULL, 0, pthread_create(&thread, NULL, echo, a));
	for (int i = 0; i < CHILDREN; i++) {
		do
			fds[i] = tsnet_dial(b, "tcp", "alpha:7001", UP_S);
		while (fds[i] == -ECONNREFUSED); /* it listens in a moment */
		CHECK(b, fds[i] >= 0);
		pids[i] = fork();
		if (pids[i] == 0)
			be_a_child(a, b, fds[i], i);
		CHECK(NULL, pids[i] > 0);
		close(fds[i]);
	}
	for (int i = 0; i < CHILDREN; i++) {
		ask(b, tsnet_dial(b, "tcp", "alpha:7001", UP_S));
		CHECK_CODE(NULL, pids[i], waitpid(pids[i], &status, 0));
		CHECK_CODE(NULL, 0, status);
	}
	tsnet_close(b);
	tsnet_close(a);
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 64;
	url = argv[1];
	key = argv[2];
	if (strcmp(argv[3], "count") == 0)
		CHECK_CODE(NULL, 3, count_descriptors());
	else if (strcmp(argv[3], "exec") == 0)
		exec_one(argv);
	else
		children();
	printf("ok\n");
	return 0;
}
