/* SPDX-License-Identifier: BSD-3-Clause
 * libtailscale_funnel.c - a plain web server on loopback, and Funnel to it
 *
 * Says "up"; after a line on stdin, "open".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tailscale.h"

static void fail(tailscale sd, const char *what)
{
	char err[256] = "";

	tailscale_errmsg(sd, err, sizeof(err));
	fprintf(stderr, "%s: %s\n", what, err);
	_exit(1);
}

static void say(const char *text)
{
	printf("%s\n", text);
	fflush(stdout);
}

static int open_native(int *port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&sin, len) || listen(fd, 5) ||
	    getsockname(fd, (struct sockaddr *)&sin, &len))
		_exit(2);
	*port = ntohs(sin.sin_port);
	return fd;
}

static void answer(int fd)
{
	char got[4096];

	if (read(fd, got, sizeof(got)) > 0)
		dprintf(fd, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n"
			    "Connection: close\r\n\r\nplain\n");
	close(fd);
}

int main(void)
{
	tailscale sd = tailscale_new();
	int port, listener = open_native(&port), code = -1;
	char byte;

	tailscale_set_hostname(sd, "web");
	if (tailscale_enable_funnel_to_localhost_plaintext_http1(sd, port) !=
	    -1)
		fail(sd, "not up yet, but open");
	if (tailscale_up(sd))
		fail(sd, "up");
	if (tailscale_enable_funnel_to_localhost_plaintext_http1(sd, 0) != -1 ||
	    tailscale_enable_funnel_to_localhost_plaintext_http1(3, port) !=
		    EBADF)
		fail(sd, "nonsense");
	say("up");
	if (read(STDIN_FILENO, &byte, 1) != 1)
		return 3;
	for (int i = 0; code && i < 600; i++) { /* until it has the right */
		code = tailscale_enable_funnel_to_localhost_plaintext_http1(
			sd, port);
		if (code)
			usleep(50 * 1000);
	}
	if (code)
		fail(sd, "funnel");
	say("open");
	for (;;)
		answer(accept(listener, NULL, NULL));
}
