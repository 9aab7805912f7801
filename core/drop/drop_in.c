/* SPDX-License-Identifier: BSD-3-Clause
 * drop_in.c - one file that comes from a peer
 *
 * It gets its name by link(2), which takes no name that there is: nobody's
 * file is ever replaced. One with the same name and the same content is the
 * file already, sent again because an answer was lost; that is found out a
 * block at a time. A disk without links is trusted to have no other writer.
 * Nothing is synced, as upstream does not: who sent it has it still.
 */
#include "core/drop/drop_box.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum {
	FILE_MODE = 0666, /* the user's umask decides */
	TELL_MS = 1000,
	TRIES_MAX = 100, /* names that are taken */
	COMPARE_LEN = 64 * 1024,
	TURN_LEN = 1024 * 1024, /* compared at once */
};

/* -- begin ---------------------------------------------------------------- */

static bool comes_already(const struct ts_drop_box *box, const char *partial)
{
	const struct ts_drop_in *in = ts_drop_box_first_in(box);

	while (in && strcmp(in->partial, partial) != 0)
		in = in->next;
	return in != NULL;
}

static bool has_room(int dir, int64_t length)
{
	struct statvfs fs;

	return length <= 0 || fstatvfs(dir, &fs) || fs.f_blocks == 0 ||
	       (uint64_t)length / fs.f_frsize < fs.f_bavail;
}

/* What is behind the offset is no part of the file. */
static int go_to(int fd, uint64_t offset)
{
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return -EINVAL;
	if (offset > (uint64_t)st.st_size)
		return -ERANGE;
	if (ftruncate(fd, (off_t)offset) ||
	    lseek(fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	return 0;
}

static int open_partial(struct ts_drop_in *in, const struct ts_drop_box *box)
{
	int dir = ts_drop_box_open_dir(box);
	int err = 0;

	if (dir < 0)
		return dir;
	if (!has_room(dir, in->declared))
		err = -ENOSPC;
	else
		in->fd = openat(dir, in->partial,
				O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK |
					O_CLOEXEC,
				FILE_MODE);
	if (!err && in->fd < 0)
		err = -errno;
	close(dir);
	return err ? err : go_to(in->fd, in->offset);
}

static void free_in(struct ts_drop_in *in)
{
	if (in->fd >= 0)
		close(in->fd);
	if (in->other_fd >= 0)
		close(in->other_fd);
	free(in);
}

int ts_drop_in_open(struct ts_drop_box *box, const char *name,
		    const char *node, uint64_t offset, int64_t length,
		    struct ts_drop_in **out)
{
	struct ts_drop_in *in = calloc(1, sizeof(*in));
	int err;

	if (!in)
		return -ENOMEM;
	in->fd = in->other_fd = -1;
	in->offset = offset;
	in->declared = length;
	in->started_unix = time(NULL);
	err = ts_drop_name_partial(name, node, in->partial);
	if (!err && comes_already(box, in->partial))
		err = -EEXIST;
	if (!err)
		err = open_partial(in, box);
	if (err) {
		free_in(in);
		return err;
	}
	snprintf(in->name, sizeof(in->name), "%s", name);
	snprintf(in->final, sizeof(in->final), "%s", name);
	ts_drop_box_add(box, in);
	*out = in;
	return 0;
}

/* -- bytes ---------------------------------------------------------------- */

static void tell(struct ts_drop_in *in)
{
	uint64_t now_ms = ts_drop_box_now_ms(in->box);

	if (in->told_ms && now_ms - in->told_ms < TELL_MS)
		return;
	in->told_ms = now_ms;
	ts_drop_box_tell(in->box);
}

int ts_drop_in_write(struct ts_drop_in *in, const void *data, size_t len)
{
	const char *at = data;

	if (!in->box)
		return -ESTALE;
	while (len > 0) {
		ssize_t n = write(in->fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
		in->received += (uint64_t)n;
	}
	tell(in);
	return 0;
}

/* -- its name ------------------------------------------------------------- */

static int take_name(int dir, const struct ts_drop_in *in)
{
	struct stat st;

	if (linkat(dir, in->partial, dir, in->final, 0) == 0) {
		unlinkat(dir, in->partial, 0);
		return 0;
	}
	if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS)
		return -errno;
	if (fstatat(dir, in->final, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	return renameat(dir, in->partial, dir, in->final) ? -errno : 0;
}

static int next_name(struct ts_drop_in *in)
{
	char next[TS_DROP_NAME_CAP];
	int err = ++in->tries < TRIES_MAX ? ts_drop_name_next(in->final, next)
					  : -EEXIST;

	if (!err)
		memcpy(in->final, next, sizeof(next));
	return err;
}

/* Whether what has the name might be the same file. */
static bool begin_compare(int dir, struct ts_drop_in *in)
{
	struct stat ours, its;
	int fd = openat(dir, in->final,
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (fstat(in->fd, &ours) || fstat(fd, &its) || !S_ISREG(its.st_mode) ||
	    ours.st_size != its.st_size) {
		close(fd);
		return false;
	}
	in->other_fd = fd;
	in->compared = 0;
	return true;
}

/* 1: the same to the end, 0: another file, -EAGAIN: so far the same. */
static int compare_some(struct ts_drop_in *in)
{
	static const size_t blocks = TURN_LEN / COMPARE_LEN;
	char *bufs = malloc(2 * COMPARE_LEN);
	int result = bufs ? -EAGAIN : 0;

	for (size_t i = 0; result == -EAGAIN && i < blocks; i++) {
		ssize_t n = pread(in->fd, bufs, COMPARE_LEN,
				  (off_t)in->compared);
		ssize_t m = pread(in->other_fd, bufs + COMPARE_LEN,
				  COMPARE_LEN, (off_t)in->compared);

		if (n < 0 || n != m ||
		    memcmp(bufs, bufs + COMPARE_LEN, (size_t)n) != 0)
			result = 0;
		else if (n == 0)
			result = 1;
		else
			in->compared += (uint64_t)n;
	}
	free(bufs);
	return result;
}

static int settle(int dir, struct ts_drop_in *in)
{
	int err;

	if (in->other_fd >= 0) {
		int same = compare_some(in);

		if (same == -EAGAIN)
			return same;
		close(in->other_fd);
		in->other_fd = -1;
		if (same)
			return unlinkat(dir, in->partial, 0) ? -errno : 0;
		err = next_name(in);
		if (err)
			return err;
	}
	err = take_name(dir, in);
	if (err != -EEXIST)
		return err;
	err = begin_compare(dir, in) ? 0 : next_name(in);
	return err ? err : -EAGAIN;
}

int ts_drop_in_finish(struct ts_drop_in *in)
{
	int dir, err;

	if (!in->box)
		return -ESTALE;
	if (in->declared >= 0 && in->received != (uint64_t)in->declared)
		return -EPROTO;
	dir = ts_drop_box_open_dir(in->box);
	if (dir < 0)
		return dir;
	err = settle(dir, in);
	close(dir);
	in->is_done = !err;
	if (!err)
		ts_drop_box_tell(in->box);
	return err;
}

void ts_drop_in_close(struct ts_drop_in *in, bool is_useless)
{
	int dir = in->box && is_useless ? ts_drop_box_open_dir(in->box) : -1;

	if (dir >= 0) {
		unlinkat(dir, in->partial, 0);
		close(dir);
	}
	if (in->box)
		ts_drop_box_remove(in, in->is_done);
	free_in(in);
}
