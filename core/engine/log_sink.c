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
 *
 * The loop must not wait for whoever reads the log: where a pipe or a terminal
 * has no room a line is dropped, and the next one that fits is preceded by how
 * many were. (A line is shorter than what a pipe takes at once.)
 */
#include "core/engine/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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
static __thread size_t lost; /* lines that did not fit */
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

/* -1: none. To be let go of. */
static int take_destination(void)
{
	int fd = log_file >= 0 ? log_file
		 : program < 0 ? STDERR_FILENO
			       : fetch_stderr();

	if (log_file >= 0 || fd < 0 || !is_network(fd))
		return fd;
	if (program >= 0)
		close(fd);
	return -1;
}

static void let_go(int fd)
{
	if (log_file < 0 && program >= 0)
		close(fd);
}

/* false: not without waiting. */
static bool write_line(int fd, enum ts_log_level level, const char *line)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	char text[LINE_CAP];
	size_t len = format_line(text, level, line);

	if (poll(&p, 1, 0) == 0)
		return false;
	/* Other errors: nowhere left to complain. */
	return write(fd, text, len) >= 0 || errno != EAGAIN;
}

static bool write_lost(int fd)
{
	char words[80];

	if (lost == 0)
		return true;
	snprintf(words, sizeof(words), "log: %zu lines were lost: nobody read "
		 "them", lost);
	return write_line(fd, TS_LOG_WARN, words);
}

/* One write a line, so that lines of several processes do not mix. */
static void sink(void *ctx, enum ts_log_level level, const char *line)
{
	int fd;

	(void)ctx;
	log_taps_tell(level, line);
	if (level > ts_log_base_level() && !log_component_is_shown(line))
		return;
	if (taker) {
		taker->log(taker->ctx, level, line);
		return;
	}
	fd = take_destination();
	if (fd < 0)
		return;
	if (write_lost(fd))
		lost = write_line(fd, level, line) ? 0 : 1;
	else
		lost++;
	let_go(fd);
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
			O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY |
				O_NONBLOCK,
			0600);
	if (log_file < 0) {
		int code = -errno;

		snprintf(err, 256, "cannot open log_file %.160s: %s",
			 config->log_file,
			 code == -ENXIO ? "nobody reads this pipe"
					: ts_strerror(code));
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
