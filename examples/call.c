/* SPDX-License-Identifier: BSD-3-Clause
 * call.c - call somebody on a tailnet, say what comes on stdin, print the
 *	    answer
 *
 *	cc call.c -ltsnet -o call
 *	echo hello | TS_AUTHKEY=tskey-auth-... ./call tcp echo:1999
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tsnet.h"

/* Until from ends. */
static int copy(int from, int to)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(from, buf, sizeof(buf))) > 0)
		if (write(to, buf, (size_t)n) != n)
			return -1;
	return (int)n;
}

static int talk(struct tsnet *ts, const char *network, const char *address)
{
	int fd = tsnet_dial(ts, network, address, 60);
	int result;

	if (fd < 0)
		return -1;
	result = copy(STDIN_FILENO, fd);
	shutdown(fd, SHUT_WR);
	if (strcmp(network, "tcp") == 0 && result == 0)
		result = copy(fd, STDOUT_FILENO);
	close(fd);
	return result;
}

int main(int argc, char **argv)
{
	struct tsnet *ts = tsnet_new();
	int status = 0;

	if (!ts || argc != 3) {
		fprintf(stderr, "usage: call tcp|udp HOST:PORT\n");
		return 64;
	}
	tsnet_set(ts, "hostname", "caller");
	tsnet_set(ts, "ephemeral", "yes");
	if (talk(ts, argv[1], argv[2]) < 0) {
		fprintf(stderr, "call: %s\n", tsnet_errmsg(ts));
		status = 1;
	}
	tsnet_close(ts);
	return status;
}
