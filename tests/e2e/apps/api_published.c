/* SPDX-License-Identifier: BSD-3-Clause
 * api_published.c - services that a program hosts
 *
 *	api_published URL KEY service   hosts svc:shop: TCP at 90, with a PROXY
 *					header, and HTTP at 80; says "ready" and
 *					each connection's first line; a line on
 *					stdin takes the TCP port back, another
 *					one all of it
 *	api_published URL KEY wrong     what is refused, and why
 *	api_published URL KEY tags      no service: what is advertised, and where
 *	api_published URL KEY up        nothing
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

#include "api_check.h"

static void answer(struct tsnet *ts, int listener, const char *text)
{
	int fd = tsnet_accept(ts, listener, NULL, 0);
	char got[4096];
	ssize_t n;

	CHECK(ts, fd >= 0);
	n = read(fd, got, sizeof(got) - 1);
	got[n < 0 ? 0 : n] = '\0';
	printf("%s\n", strtok(got[0] == 'P' ? got
					    : strstr(got, "Tailscale-User-Lo"),
			      "\r\n"));
	fflush(stdout);
	dprintf(fd, "%s", text);
	close(fd);
}

static void read_line(void)
{
	char line[64];

	CHECK(NULL, fgets(line, sizeof(line), stdin));
	printf("done\n");
	fflush(stdout);
}

static int serve_until_line(struct tsnet *ts, int tcp, int http)
{
	struct pollfd fds[] = {{STDIN_FILENO, POLLIN, 0}, {tcp, POLLIN, 0},
			       {http, POLLIN, 0}};

	for (;;) {
		CHECK(NULL, poll(fds, 3, -1) > 0);
		if (fds[1].revents)
			answer(ts, tcp, "by the program\n");
		else if (fds[2].revents)
			answer(ts, http, "HTTP/1.0 200 OK\r\n"
					 "Content-Length: 4\r\n\r\nshop");
		else
			return 0;
	}
}

static const struct tsnet_service tcp_90 = {
	.kind = TSNET_SERVICE_TCP, .port = 90, .proxy_protocol = 1};
static const struct tsnet_app_cap caps[] = {
	{"/admin", "example.com/cap/admin"}, {NULL, NULL}};
static const struct tsnet_service http_80 = {
	.kind = TSNET_SERVICE_HTTP, .port = 80, .app_caps = caps};

static void service(void)
{
	struct tsnet *a = new_server("alpha", key);
	char name[256], small[4];
	int tcp, http, again;

	CHECK_CODE(a, -ENOBUFS, tsnet_listen_service(a, "svc:shop", &tcp_90,
						     small, sizeof(small)));
	tcp = tsnet_listen_service(a, "svc:shop", &tcp_90, name, sizeof(name));
	CHECK(a, tcp >= 0);
	CHECK_CODE(NULL, FD_CLOEXEC, fcntl(tcp, F_GETFD));
	CHECK(NULL, strcmp(name, "shop.lab.ts.net") == 0);
	CHECK_CODE(a, -EEXIST,
		   tsnet_listen_service(a, "svc:shop", &tcp_90, NULL, 0));
	CHECK_SAID(a, "a Service handler already exists for this port");
	http = tsnet_listen_service(a, "svc:shop", &http_80, NULL, 0);
	CHECK(a, http >= 0);
	printf("ready\n");
	fflush(stdout);
	serve_until_line(a, tcp, http);
	CHECK_CODE(a, 0, tsnet_unlisten(a, tcp));
	read_line();
	/* a port that was taken back can be had again; and one whose
	 * descriptor was just closed is noticed by that */
	tcp = tsnet_listen_service(a, "svc:shop", &tcp_90, NULL, 0);
	CHECK(a, tcp >= 0);
	close(tcp);
	again = tsnet_listen_service(a, "svc:shop", &tcp_90, NULL, 0);
	CHECK(a, again >= 0);
	CHECK_CODE(a, 0, tsnet_unlisten(a, again));
	CHECK_CODE(a, 0, tsnet_unlisten(a, http));
	read_line();
	read_line();
	tsnet_close(a);
}

static void wrong(void)
{
	struct tsnet_service s = tcp_90;
	struct tsnet *a = up("alpha");
	int listener;

	CHECK_CODE(NULL, -EINVAL,
		   tsnet_listen_service(NULL, "svc:shop", &s, NULL, 0));
	CHECK_CODE(a, -EINVAL, tsnet_listen_service(a, NULL, &s, NULL, 0));
	CHECK_CODE(a, -EINVAL,
		   tsnet_listen_service(a, "svc:shop", NULL, NULL, 0));
	CHECK_CODE(a, -EINVAL, tsnet_listen_service(a, "shop", &s, NULL, 0));
	CHECK_SAID(a, "not the name of a service");
	CHECK_CODE(a, -EPERM,
		   tsnet_listen_service(a, "svc:shop", &s, NULL, 0));
	CHECK_SAID(a, "service hosts must be tagged nodes");
	s.port = 0;
	CHECK_CODE(a, -EINVAL,
		   tsnet_listen_service(a, "svc:shop", &s, NULL, 0));
	s = tcp_90;
	s.proxy_protocol = 3;
	CHECK_CODE(a, -EINVAL,
		   tsnet_listen_service(a, "svc:shop", &s, NULL, 0));
	s = http_80;
	s.proxy_protocol = 1;
	CHECK_CODE(a, -EINVAL,
		   tsnet_listen_service(a, "svc:shop", &s, NULL, 0));
	s = tcp_90;
	s.app_caps = caps;
	CHECK_CODE(a, -EINVAL,
		   tsnet_listen_service(a, "svc:shop", &s, NULL, 0));
	CHECK_CODE(a, -EBADF, tsnet_unlisten(a, 0));
	CHECK_CODE(NULL, -EINVAL, tsnet_unlisten(NULL, 0));
	listener = tsnet_listen(a, "tcp", ":80");
	CHECK(a, listener >= 0);
	CHECK_CODE(a, 0, tsnet_unlisten(a, listener));
	CHECK_CODE(NULL, -1, fcntl(listener, F_GETFD));
	tsnet_close(a);
	printf("ok\n");
}

/* At the start, and while it runs. */
static void tags(void)
{
	struct tsnet *a = new_server("alpha", key);

	CHECK_CODE(a, 0, tsnet_set(a, "tags", "tag:one,tag:two"));
	CHECK_CODE(a, 0, tsnet_set(a, "port", "41999"));
	CHECK_CODE(a, 0, tsnet_up(a, UP_S));
	printf("ready\n");
	fflush(stdout);
	read_line();
	free(tsnet_local_send(a, "PATCH", "/localapi/v0/prefs",
			      "{\"AdvertiseTags\":[\"tag:three\"],"
			      "\"AdvertiseTagsSet\":true}"));
	read_line();
	tsnet_close(a);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 64;
	url = argv[1];
	key = argv[2];
	if (strcmp(argv[3], "service") == 0)
		service();
	else if (strcmp(argv[3], "wrong") == 0)
		wrong();
	else if (strcmp(argv[3], "tags") == 0)
		tags();
	else
		tsnet_close(up("alpha"));
	return 0;
}
