/* SPDX-License-Identifier: BSD-3-Clause
 * cli_capture.c - tsrun capture: the packets inside the tunnel, as pcapng
 *
 * It ends with Ctrl-C, with the node, or with whoever reads the other end of
 * the pipe; none of these is an error.
 */
#include "core/engine/cli_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/engine/local_client.h"

static volatile sig_atomic_t was_stopped;

#define PCAPNG "/localapi/v0/debug-capture?format=pcapng"

static void on_stop(int signo)
{
	(void)signo;
	was_stopped = 1;
}

/* Without SA_RESTART: a write that waits ends, too. */
static void catch_stops(void)
{
	struct sigaction stop = {.sa_handler = on_stop};

	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && (errno != EINTR || was_stopped))
			return -errno;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* Nobody reads the pipe any more. */
static bool reader_has_gone(int fd)
{
	struct pollfd p = {.fd = fd};

	return poll(&p, 1, 0) > 0 && p.revents & (POLLERR | POLLNVAL);
}

/* data NULL: no packet comes, so this is the time to look. */
static int on_data(void *ctx, const char *data, size_t len)
{
	const int *fd = ctx;

	if (was_stopped)
		return -EINTR;
	if (data)
		return write_all(*fd, data, len);
	return reader_has_gone(*fd) ? -EPIPE : 0;
}

/* 0600: what passes may be anybody's secret. */
static int open_out(const char *path)
{
	int fd;

	if (!path || strcmp(path, "-") == 0)
		return STDOUT_FILENO;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

int cli_capture(const struct cli *cli)
{
	char err[256] = "";
	int fd = open_out(cli->out), code;

	if (fd < 0) {
		snprintf(err, sizeof(err), "cannot write %.160s: %s", cli->out,
			 ts_strerror(fd));
		return cli_fail(err);
	}
	if (isatty(fd))
		return cli_fail("capture: this is a terminal; name a file with "
				"-o, or pipe it: tsrun capture | tshark -r -");
	catch_stops();
	if (fd != STDOUT_FILENO)
		fputs("tsrun: capturing; Ctrl-C ends it\n", stderr);
	code = local_client_stream(cli->socket, "POST",
				   cli->disco ? PCAPNG "&disco=true" : PCAPNG,
				   on_data, &fd, err);
	if (fd != STDOUT_FILENO)
		close(fd);
	return !code || code == -EINTR || code == -EPIPE ? 0 : cli_fail(err);
}
