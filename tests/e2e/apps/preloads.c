/* SPDX-License-Identifier: BSD-3-Clause
 * preloads.c - a library that is preloaded beside ours
 *
 * It counts connect() calls in front of whoever comes next, and, as some
 * runtimes do, starts a thread in a constructor that connects at once when
 * PRELOADS_CONNECT=IP:PORT says where.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int connects;

int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int (*next)(int, const struct sockaddr *, socklen_t) =
		(int (*)(int, const struct sockaddr *, socklen_t))dlsym(
			RTLD_NEXT, "connect");

	connects++;
	return next(fd, addr, len);
}

static void *early(void *arg)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	char ip[64], line[] = "early\n", answer[128] = "";
	int port = 0, fd = socket(AF_INET, SOCK_STREAM, 0);

	if (sscanf(arg, "%63[^:]:%d", ip, &port) == 2 &&
	    inet_pton(AF_INET, ip, &at.sin_addr) == 1) {
		at.sin_port = htons((unsigned short)port);
		if (connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0 &&
		    write(fd, line, strlen(line)) > 0 &&
		    read(fd, answer, sizeof(answer) - 1) > 0)
			fprintf(stderr, "%s", answer);
	}
	close(fd);
	return NULL;
}

static pthread_t thread;

__attribute__((constructor)) static void start(void)
{
	char *where = getenv("PRELOADS_CONNECT");

	if (where)
		pthread_create(&thread, NULL, early, where);
}

__attribute__((destructor)) static void end(void)
{
	if (thread)
		pthread_join(thread, NULL);
	if (getenv("PRELOADS_COUNT"))
		fprintf(stderr, "connects: %d\n", connects > 0);
}
