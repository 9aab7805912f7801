/* SPDX-License-Identifier: BSD-3-Clause
 * own_files.c - a table of descriptors for the engine's thread alone
 *
 * A thread may have a table that it does not share with its process. Then the
 * program cannot close what is ours, by closefrom() for example, nor find its
 * first free number taken; a fork has no copies; and EMFILE on one side is
 * not EMFILE on the other (the limit is the same number for both).
 *
 * close_range() makes such a table in one call (Linux 5.9), and Docker's
 * default profile lets it through; where it is not there, unshare(CLONE_FILES)
 * and a close of each do the same. Sockets cross the border as they do to any
 * host, by SCM_RIGHTS.
 *
 * Standard input and output are given up: a pipe of which we held an end would
 * not end with the program. (Of standard error see log_sink.c.)
 */
#include "core/engine/own_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE 2
#endif

enum { FIRST_FREE = STDERR_FILENO + 1, CLOSE_BATCH = 256 };

/* -- the table ------------------------------------------------------------ */

/* The numbers at or above FIRST_FREE, but for dir's own; 0: no more. */
static size_t list_fds(DIR *dir, int out[static CLOSE_BATCH])
{
	const struct dirent *entry;
	size_t count = 0;

	while (count < CLOSE_BATCH && (entry = readdir(dir))) {
		int fd = atoi(entry->d_name);

		if (fd >= FIRST_FREE && fd != dirfd(dir))
			out[count++] = fd;
	}
	return count;
}

static int close_each(void)
{
	int fds[CLOSE_BATCH];
	size_t count;

	do {
		DIR *dir = opendir("/proc/thread-self/fd");

		if (!dir)
			return -errno;
		count = list_fds(dir, fds);
		closedir(dir);
		for (size_t i = 0; i < count; i++)
			close(fds[i]);
	} while (count > 0);
	return 0;
}

/* Without /proc it would keep the program's connections open: then rather
 * none. The look into /proc comes first, while nothing has changed. */
static int unshare_and_close(void)
{
	if (access("/proc/thread-self/fd", X_OK) != 0)
		return -errno;
	if (unshare(CLONE_FILES) != 0)
		return -errno;
	return close_each();
}

static void close_standard_streams(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0) {
		close(STDIN_FILENO);
		close(STDOUT_FILENO);
		return;
	}
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	if (null >= FIRST_FREE)
		close(null);
}

int own_files_take(void)
{
	int err = 0;

	/* The plain system call: the program may have its own close_range. */
	if (syscall(SYS_close_range, FIRST_FREE, ~0u, CLOSE_RANGE_UNSHARE))
		err = unshare_and_close();
	if (!err)
		close_standard_streams();
	return err;
}
