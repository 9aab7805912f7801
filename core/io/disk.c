/* SPDX-License-Identifier: BSD-3-Clause
 * disk.c - whole files: read with a limit, write atomically
 *
 * A write goes to a temporary file beside the target, is synced, and only then
 * renamed over it: whenever the power goes, the old file or the new one is
 * there, whole. The temporary file has a random name and is made with O_EXCL,
 * so a link planted in a shared directory leads nowhere; the target's own link,
 * if it is one, is followed, since the admin may have put the state elsewhere.
 */
#include "core/io/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/crypto/secret.h"

#define TEMP_MARK ".tmp"
enum { TEMP_TRIES = 16, TEMP_DIGITS = 8, PID_TEXT_CAP = 24 };

/* -- reading -------------------------------------------------------------- */

static ssize_t read_full(int fd, uint8_t *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t got = read(fd, buf + done, len - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			break;
		done += (size_t)got;
	}
	return (ssize_t)done;
}

/* The buffer grows by doubling: pipes and /proc have no size. One byte more
 * than max is asked for, to tell "just fits" from "too long". */
static int read_all(int fd, size_t max, uint8_t **out, size_t *len)
{
	size_t cap = 0, used = 0;
	uint8_t *buf = NULL;
	ssize_t got;

	do {
		size_t next = cap ? cap * 2 : 4096;
		uint8_t *grown;

		if (next > max)
			next = max + 1;
		grown = malloc(next + 1);
		if (!grown) {
			got = -ENOMEM;
			break;
		}
		if (buf) {
			memcpy(grown, buf, used);
			ts_wipe(buf, used);
			free(buf);
		}
		buf = grown;
		cap = next;
		got = read_full(fd, buf + used, cap - used);
		if (got > 0)
			used += (size_t)got;
	} while (got > 0 && used == cap && used <= max);

	if (got >= 0 && used > max)
		got = -EMSGSIZE;
	if (got < 0) {
		if (buf)
			ts_wipe(buf, used);
		free(buf);
		return (int)got;
	}
	buf[used] = '\0';
	*out = buf;
	*len = used;
	return 0;
}

int ts_disk_read(const char *path, size_t max, uint8_t **out, size_t *len)
{
	/* NONBLOCK: a FIFO in place of the file must not hang us. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int err;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		err = -errno;
	else if (S_ISDIR(st.st_mode))
		err = -EISDIR;
	else if (S_ISREG(st.st_mode) && st.st_size > 0 &&
		 (size_t)st.st_size > max)
		err = -EMSGSIZE;
	else
		err = read_all(fd, max, out, len);
	close(fd);
	return err;
}

/* -- writing -------------------------------------------------------------- */

static int write_full(int fd, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t put = write(fd, data, len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		data += put;
		len -= (size_t)put;
	}
	return 0;
}

static int open_temp(const char *target, char temp[static PATH_MAX])
{
	for (int i = 0; i < TEMP_TRIES; i++) {
		int len = snprintf(temp, PATH_MAX, "%s" TEMP_MARK "%08x",
				   target, ts_random_u32());
		int fd;

		if (len < 0 || len >= PATH_MAX)
			return -ENAMETOOLONG;
		fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
					O_CLOEXEC, 0600);
		if (fd >= 0)
			return fd;
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

static int sync_parent(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	int err = 0;
	int fd;

	if (slash == path)
		len = 1;
	if (len >= sizeof(dir))
		return -ENAMETOOLONG;
	memcpy(dir, path, len);
	dir[len] = '\0';
	fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* Some file systems cannot sync a directory; the rename is done. */
	if (fsync(fd) && errno != EINVAL && errno != EROFS)
		err = -errno;
	close(fd);
	return err;
}

static int fill_temp(int fd, const void *data, size_t len, mode_t mode)
{
	int err = write_full(fd, data, len);

	if (!err && fchmod(fd, mode))
		err = -errno;
	if (!err && fsync(fd))
		err = -errno;
	if (close(fd) && !err)
		err = -errno;
	return err;
}

int ts_disk_write(const char *path, const void *data, size_t len, mode_t mode)
{
	char target[PATH_MAX], temp[PATH_MAX];
	struct stat st;
	int err, fd;

	if (!realpath(path, target)) {
		if (errno != ENOENT)
			return -errno;
		if (snprintf(target, sizeof(target), "%s", path) >= PATH_MAX)
			return -ENAMETOOLONG;
		/* A dangling link: renaming would replace it silently. */
		if (lstat(path, &st) == 0)
			return -ENOENT;
	}
	fd = open_temp(target, temp);
	if (fd < 0)
		return fd;
	err = fill_temp(fd, data, len, mode);
	if (!err && rename(temp, target))
		err = -errno;
	if (err) {
		unlink(temp);
		return err;
	}
	return sync_parent(target);
}

/* "state.tmp0123abcd" is one of "state". */
static bool is_temp_of(const char *entry, const char *name)
{
	size_t len = strlen(name);
	const char *rest = entry + len;

	return strncmp(entry, name, len) == 0 &&
	       strncmp(rest, TEMP_MARK, sizeof(TEMP_MARK) - 1) == 0 &&
	       strlen(rest) == sizeof(TEMP_MARK) - 1 + TEMP_DIGITS &&
	       strspn(rest + sizeof(TEMP_MARK) - 1, "0123456789abcdef") ==
		       TEMP_DIGITS;
}

void ts_disk_sweep_temps(const char *path)
{
	char target[PATH_MAX];
	struct dirent *entry;
	char *slash;
	DIR *dir;

	if (!realpath(path, target)) /* where writing puts them */
		snprintf(target, sizeof(target), "%s", path);
	slash = strrchr(target, '/');
	if (!slash)
		return;
	*slash = '\0';
	dir = opendir(slash == target ? "/" : target);
	while (dir && (entry = readdir(dir)))
		if (is_temp_of(entry->d_name, slash + 1))
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
}

bool ts_disk_is_exposed(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       (st.st_mode & (S_IRGRP | S_IROTH));
}

/* -- directories and locks ------------------------------------------------ */

static int make_dir(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (stat(path, &st))
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int ts_disk_make_dirs(const char *path, mode_t mode)
{
	char part[PATH_MAX];
	size_t len = strlen(path);

	if (!len)
		return -ENOENT;
	if (len >= sizeof(part))
		return -ENAMETOOLONG;
	memcpy(part, path, len + 1);
	for (char *at = part + 1; *at; at++) {
		int err;

		if (*at != '/')
			continue;
		*at = '\0';
		err = make_dir(part, mode);
		*at = '/';
		/* A parent that exists may refuse to be made: read-only. */
		if (err && err != -EROFS && err != -EACCES)
			return err;
	}
	return make_dir(part, mode);
}

static pid_t read_pid(int fd)
{
	char text[PID_TEXT_CAP] = "";
	ssize_t len = pread(fd, text, sizeof(text) - 1, 0);
	long pid = len > 0 ? strtol(text, NULL, 10) : 0;

	return pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

static int write_pid(int fd)
{
	char text[PID_TEXT_CAP];
	int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	if (ftruncate(fd, 0) || pwrite(fd, text, (size_t)len, 0) != len)
		return errno ? -errno : -EIO;
	return 0;
}

/* Some network and user-space file systems have no flock. A lock of the open
 * file (OFD) goes with its descriptor as flock's does. */
static int take_lock(int fd)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return -EWOULDBLOCK;
	if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EWOULDBLOCK : -ENOLCK;
}

int ts_disk_lock(const char *path, pid_t *holder_pid)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int err;

	*holder_pid = 0;
	if (fd < 0)
		return -errno;
	err = take_lock(fd);
	if (err) {
		*holder_pid = read_pid(fd);
	} else {
		/* The pid is a courtesy; a full disk must not refuse us. */
		errno = 0;
		err = write_pid(fd);
		if (err == -ENOSPC || err == -EDQUOT)
			err = 0;
	}
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}
