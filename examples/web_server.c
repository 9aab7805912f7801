/* SPDX-License-Identifier: BSD-3-Clause
 * web_server.c - a web server with HTTPS on a tailnet, or for the internet
 *
 *	cc web_server.c $(pkg-config --cflags --libs tsnet) -o web_server
 *	TS_AUTHKEY=tskey-auth-... ./web_server [funnel]
 *
 * The node ends TLS with a certificate of its own name, so that a page is all
 * that there is to do here. Who of the tailnet asks is known by the address;
 * with funnel anybody may, and is told so.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tsnet.h"

/* 0: there was no whole request. */
static int read_request(int fd)
{
	char got[8192];
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, got + len, sizeof(got) - 1 - len)) > 0) {
		len += (size_t)n;
		got[len] = '\0';
		if (strstr(got, "\r\n\r\n"))
			return 1;
	}
	return 0;
}

static void answer(struct tsnet *ts, int fd, const char *peer)
{
	char *who = tsnet_whois(ts, peer), page[256];
	int len = snprintf(page, sizeof(page), "hello %s, %s\n", peer,
			   who ? "of this tailnet" : "whoever you are");

	if (read_request(fd))
		dprintf(fd,
			"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
			"Content-Length: %d\r\nConnection: close\r\n\r\n%s",
			len, page);
	free(who);
	close(fd);
}

int main(int argc, char **argv)
{
	int is_public = argc > 1 && strcmp(argv[1], "funnel") == 0;
	struct tsnet *ts = tsnet_new();
	char peer[TSNET_ADDR_CAP], *names;
	int listener = -1, fd;

	if (!ts)
		return 1;
	if (tsnet_set(ts, "hostname", "web") == 0 && tsnet_up(ts, 60) == 0)
		listener = is_public
				   ? tsnet_listen_funnel(ts, "tcp", ":443", 0)
				   : tsnet_listen_tls(ts, "tcp", ":443");
	if (listener >= 0 && (names = tsnet_cert_domains(ts))) {
		printf("https://%.*s/\n", (int)strcspn(names, "\n"), names);
		fflush(stdout);
		free(names);
	}
	while (listener >= 0 &&
	       (fd = tsnet_accept(ts, listener, peer, sizeof(peer))) >= 0)
		answer(ts, fd, peer);
	fprintf(stderr, "web_server: %s\n", tsnet_errmsg(ts));
	tsnet_close(ts);
	return 1;
}
