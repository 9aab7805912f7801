/* SPDX-License-Identifier: BSD-3-Clause
 * libtailscale_calls.c - tailscale.h between two servers of one process
 *
 *	libtailscale_calls URL KEY
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "libtailscale.h"
#include "tailscale.h"

static void check_at(int line, const char *what, int is_true, tailscale sd)
{
	char err[256] = "";

	if (is_true)
		return;
	tailscale_errmsg(sd, err, sizeof(err));
	fprintf(stderr, "libtailscale_calls.c:%d: %s: %s\n", line, what, err);
	_exit(1);
}
#define CHECK(sd, x) check_at(__LINE__, #x, !!(x), sd)

static void bad_numbers(void)
{
	char buf[64] = "x";
	int fd;

	CHECK(0, tailscale_start(3) == EBADF && tailscale_up(3) == EBADF);
	CHECK(0, tailscale_close(3) == EBADF);
	CHECK(0, tailscale_set_dir(3, "x") == EBADF);
	CHECK(0, tailscale_set_logfd(3, -1) == EBADF);
	CHECK(0, tailscale_getips(3, buf, sizeof(buf)) == EBADF && !*buf);
	CHECK(0, tailscale_errmsg(3, buf, sizeof(buf)) == EBADF && !*buf);
	CHECK(0, tailscale_dial(3, "tcp", "x:1", &fd) == EBADF);
	CHECK(0, tailscale_listen(3, "tcp", ":1", &fd) == EBADF);
	CHECK(0, tailscale_accept(0, &fd) == EBADF);
	CHECK(0, tailscale_getremoteaddr(0, 1, buf, sizeof(buf)) == EBADF);
}

static void *wait_up(void *ctx)
{
	int *result = ctx;

	*result = TsnetUp(*result);
	return NULL;
}

/* Nobody answers there: only the close ends it. */
static void up_is_cancelled(void)
{
	tailscale sd = tailscale_new();
	pthread_t thread;
	int result = sd;

	CHECK(sd, tailscale_set_dir(sd, "never") == 0);
	CHECK(sd, tailscale_set_logfd(sd, -1) == 0);
	CHECK(sd, tailscale_set_control_url(sd, "http://127.0.0.1:9") == 0);
	CHECK(sd, pthread_create(&thread, NULL, wait_up, &result) == 0);
	usleep(200 * 1000);
	CHECK(sd, tailscale_close(sd) == 0);
	pthread_join(thread, NULL);
	CHECK(sd, result == -1 || result == EBADF);
	CHECK(sd, tailscale_close(sd) == EBADF);
}

static void talk(tailscale near_sd, tailscale far_sd, const char *v4)
{
	struct pollfd p = {.events = POLLIN};
	char buf[64], address[160];
	int conn, accepted;

	CHECK(far_sd, tailscale_listen(far_sd, "tcp", ":1999", &p.fd) == 0);
	CHECK(far_sd, tailscale_listen(far_sd, "tcp", ":1999", &conn) == -1);
	CHECK(far_sd, tailscale_errmsg(far_sd, buf, sizeof(buf)) == 0);
	CHECK(far_sd, strstr(buf, "listener already open"));
	CHECK(far_sd, tailscale_errmsg(far_sd, buf, 4) == ERANGE);
	CHECK(far_sd, strcmp(buf, "lis") == 0);
	CHECK(far_sd, poll(&p, 1, 0) == 0);
	snprintf(address, sizeof(address), "%s:1999", v4);
	CHECK(near_sd, tailscale_dial(near_sd, "tcp", address, &conn) == 0);
	CHECK(far_sd, poll(&p, 1, 30000) == 1);
	CHECK(far_sd, tailscale_accept(p.fd, &accepted) == 0);
	CHECK(near_sd, write(conn, "hello", 5) == 5);
	CHECK(far_sd, read(accepted, buf, sizeof(buf)) == 5);
	CHECK(far_sd,
	      TsnetGetRemoteAddr(p.fd, accepted, buf, sizeof(buf)) == 0);
	CHECK(far_sd, strncmp(buf, "100.", 4) == 0 && !strchr(buf, ':'));
	CHECK(far_sd,
	      tailscale_getremoteaddr(p.fd, accepted, buf, 5) == ERANGE);
	CHECK(far_sd, tailscale_getremoteaddr(p.fd, conn, buf, 64) == EBADF);
	CHECK(far_sd, tailscale_errmsg(far_sd, buf, sizeof(buf)) == 0 && !*buf);
	close(conn);
	CHECK(far_sd, read(accepted, buf, sizeof(buf)) == 0);
	close(accepted);
	close(p.fd);
	CHECK(far_sd, tailscale_accept(p.fd, &accepted) == EBADF);
	CHECK(near_sd, tailscale_dial(near_sd, "tcp", address, &conn) == -1);
	CHECK(near_sd, tailscale_dial(near_sd, "sctp", address, &conn) == -1);
}

static void loopback(tailscale sd)
{
	char addr[64], proxy[33], local[33];

	CHECK(sd, tailscale_loopback(sd, addr, 4, proxy, local) == ERANGE);
	CHECK(sd, !*addr && !*proxy && !*local);
	CHECK(sd,
	      tailscale_loopback(sd, addr, sizeof(addr), proxy, local) == 0);
	CHECK(sd, strncmp(addr, "127.0.0.1:", 10) == 0);
	CHECK(sd, strlen(proxy) == 32 && strlen(local) == 32);
}

int main(int argc, char **argv)
{
	tailscale s1 = tailscale_new(), s2 = TsnetNewServer();
	char ips[128];
	int log = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600);

	if (argc != 3)
		return 64;
	CHECK(s1, s1 == 42 * 65536 + 1 && s2 == s1 + 1);
	bad_numbers();
	CHECK(s1, tailscale_set_logfd(s1, log) == 0);
	CHECK(s1, tailscale_set_control_url(s1, argv[1]) == 0);
	CHECK(s1, tailscale_set_authkey(s1, argv[2]) == 0);
	CHECK(s1, tailscale_set_hostname(s1, "one") == 0);
	CHECK(s1, tailscale_getips(s1, ips, sizeof(ips)) == 0);
	CHECK(s1, strcmp(ips, "invalid IP,invalid IP") == 0);
	CHECK(s1, tailscale_up(s1) == 0);
	CHECK(s1, tailscale_set_hostname(s1, "late") == 0);
	CHECK(s2, TsnetSetLogFD(s2, -1) == 0);
	CHECK(s2, TsnetSetDir(s2, "two") == 0);
	CHECK(s2, TsnetSetControlURL(s2, argv[1]) == 0);
	CHECK(s2, TsnetSetAuthKey(s2, argv[2]) == 0);
	CHECK(s2, TsnetSetEphemeral(s2, 1) == 0);
	CHECK(s2, TsnetStart(s2) == 0 && TsnetUp(s2) == 0);
	CHECK(s1, tailscale_getips(s1, ips, 7) == ERANGE);
	CHECK(s1, strlen(ips) == 6);
	CHECK(s1, tailscale_getips(s1, ips, sizeof(ips)) == 0);
	*strchr(ips, ',') = '\0';
	talk(s2, s1, ips);
	loopback(s1);
	CHECK(s1, tailscale_enable_funnel_to_localhost_plaintext_http1(
			  s1, 65536) == -1);
	CHECK(s1, tailscale_enable_funnel_to_localhost_plaintext_http1(
			  s1, 80) == 0);
	up_is_cancelled();
	CHECK(s1, tailscale_close(tailscale_new()) == 0);
	CHECK(s2, tailscale_close(s2) == 0);
	CHECK(s1, tailscale_close(s1) == 0);
	printf("ok\n");
	return 0;
}
