/* SPDX-License-Identifier: BSD-3-Clause
 * log_sink.c - where the lines of a node's log go
 *
 * An engine's thread inside a program has descriptors of its own, so that a
 * number means something on the thread that opened it only: hence one
 * destination a thread. Such a thread keeps no standard error either. It
 * would hold up the reader of a pipe that the program has closed, and miss
 * what the program put in its place; so the program's is fetched for each
 * line (pidfd_getfd, Linux 5.6, always permitted within one process, but a
 * sandbox may deny the call: then the thread keeps its own).
 */
#include "core/engine/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/log.h"
#include "core/base/log_json.h"
#include "core/engine/log_tap.h"
#include "core/engine/program_ops.h"

enum { LINE_CAP = 2048 };

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

/* -1: none. Live as long as the thread. */
static __thread int log_file = -1;
static __thread int program = -1; /* pidfd */
static __thread enum ts_log_format log_format;
/* Who takes the lines in place of all that; NULL: nobody. */
static __thread const struct ts_program_ops *taker;

static size_t format_line(char out[static LINE_CAP], enum ts_log_level level,
			  const char *line)
{
	struct timespec now;
	char stamp[TS_LOG_TIME_CAP];
	int len;

	clock_gettime(CLOCK_REALTIME, &now);
	if (log_format == TS_LOG_FORMAT_JSON)
		return ts_log_write_json(out, LINE_CAP, &now, level, line);
	if (log_file < 0)
		len = snprintf(out, LINE_CAP, "tsnet: %s\n", line);
	else
		len = snprintf(out, LINE_CAP, "%s %s %s\n",
			       ts_log_format_time(&now, stamp),
			       ts_log_level_name(level), line);
	return len < 0 ? 0 : (size_t)len;
}

static bool is_network(int fd)
{
	int domain = 0;
	socklen_t len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       (domain == AF_INET || domain == AF_INET6);
}

static int fetch_stderr(void)
{
	int fd = (int)syscall(SYS_pidfd_getfd, program, STDERR_FILENO, 0);

	return fd < 0 ? -errno : fd;
}

static void write_to_stderr(const char *text, size_t len)
{
	int fd = program < 0 ? STDERR_FILENO : fetch_stderr();

	if (fd >= 0 && !is_network(fd) && write(fd, text, len) < 0)
		len = 0; /* nowhere left to complain */
	if (fd >= 0 && program >= 0)
		close(fd);
}

/* One write a line, so that lines of several processes do not mix. */
static void sink(void *ctx, enum ts_log_level level, const char *line)
{
	char text[LINE_CAP];
	size_t len;

	(void)ctx;
	log_taps_tell(level, line);
	if (level > ts_log_base_level() && !log_component_is_shown(line))
		return;
	if (taker) {
		taker->log(taker->ctx, level, line);
		return;
	}
	len = format_line(text, level, line);
	if (log_file < 0)
		write_to_stderr(text, len);
	else if (write(log_file, text, len) < 0)
		return; /* nowhere left to complain */
}

int log_sink_open(const struct ts_config *config, char err[static 256])
{
	log_format = config->log_format;
	ts_log_set_level(config->log_level);
	ts_log_set_sink(sink, NULL);
	taker = config->program && config->program->log ? config->program
							: NULL;
	if (taker || !config->log_file)
		return 0;
	log_file = open(config->log_file,
			O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY,
			0600);
	if (log_file < 0) {
		int code = -errno;

		snprintf(err, 256, "cannot open log_file %.160s: %s",
			 config->log_file, ts_strerror(code));
		return code;
	}
	return 0;
}

void log_sink_follow_program(void)
{
	int fd;

	program = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (program < 0)
		return;
	fd = fetch_stderr();
	/* EBADF: the program has closed it, which it may do. */
	if (fd < 0 && fd != -EBADF) {
		close(program);
		program = -1;
		return;
	}
	if (fd >= 0)
		close(fd);
	dup2(STDIN_FILENO, STDERR_FILENO); /* /dev/null */
}
