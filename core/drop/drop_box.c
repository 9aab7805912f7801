/* SPDX-License-Identifier: BSD-3-Clause
 * drop_box.c - the directory for files that peers send: lists, sweeps
 *
 * The directory is opened for each call, as its user may take it away and make
 * it again. Files are opened without following links, and only plain ones
 * count. How old a partial file is says the file, so that those of an earlier
 * run are swept as well; but in a directory of the user's only those of this
 * run, as others call files so, too.
 */
#include "core/drop/drop_box.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/log.h"

enum {
	KEPT_S = 3600,
	SWEEP_MIN_MS = 60 * 1000,
	DIR_MODE = 0700,
	LEFT_MAX = 64, /* partial files that are remembered */
};

struct ts_drop_box {
	struct ts_loop *loop;
	struct ts_timer *sweep;
	uint64_t sweep_ms; /* when it is due; 0: not at all */
	void (*changed)(void *ctx);
	void *ctx;
	char *dir; /* NULL: none */
	bool is_direct, has_waiting;
	struct ts_drop_in *first_in;
	struct ts_drop_file *left; /* in direct mode: partial ones */
	size_t left_count;
};

bool ts_drop_box_has_dir(const struct ts_drop_box *box)
{
	return box->dir != NULL;
}

bool ts_drop_box_is_direct(const struct ts_drop_box *box)
{
	return box->is_direct;
}

bool ts_drop_box_has_waiting(const struct ts_drop_box *box)
{
	return box->has_waiting;
}

const struct ts_drop_in *ts_drop_box_first_in(const struct ts_drop_box *box)
{
	return box->first_in;
}

uint64_t ts_drop_box_now_ms(const struct ts_drop_box *box)
{
	return ts_loop_now_ms(box->loop);
}

void ts_drop_box_tell(struct ts_drop_box *box)
{
	box->changed(box->ctx);
}

/* -- the directory -------------------------------------------------------- */

static int open_existing(const struct ts_drop_box *box)
{
	int fd = box->dir ? open(box->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
			  : -1;

	if (!box->dir)
		return -ENOENT;
	return fd < 0 ? -errno : fd;
}

/* With the one that it is in: "files/LOGIN-uid-NUMBER". */
static int make_dirs(const char *dir)
{
	char *copy = strdup(dir);
	char *slash = copy ? strrchr(copy, '/') : NULL;
	int err = copy ? 0 : -ENOMEM;

	if (slash && slash != copy) {
		*slash = '\0';
		if (mkdir(copy, DIR_MODE) && errno != EEXIST)
			err = -errno;
	}
	if (!err && mkdir(dir, DIR_MODE) && errno != EEXIST)
		err = -errno;
	free(copy);
	return err;
}

int ts_drop_box_open_dir(const struct ts_drop_box *box)
{
	int fd = open_existing(box);
	int err;

	if (fd != -ENOENT || !box->dir)
		return fd;
	err = make_dirs(box->dir);
	return err ? err : open_existing(box);
}

/* -- lists ---------------------------------------------------------------- */

typedef bool (*is_wanted_fn)(const char *file, const char *node);

static bool is_waiting(const char *file, const char *node)
{
	(void)node;
	return ts_drop_name_is_good(file);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct ts_drop_file *)a)->name,
		      ((const struct ts_drop_file *)b)->name);
}

static bool is_plain(int dir, const char *name, struct stat *st)
{
	return fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st->st_mode);
}

static int push(struct ts_drop_file **files, size_t *count, const char *name,
		uint64_t size)
{
	struct ts_drop_file *grown = *files;

	if ((*count & (*count - 1)) == 0) /* room for a power of two */
		grown = reallocarray(*files, *count ? 2 * *count : 1,
				     sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	*files = grown;
	grown[*count].name = strdup(name);
	grown[*count].size = size;
	if (!grown[*count].name)
		return -ENOMEM;
	++*count;
	return 0;
}

void ts_drop_files_free(struct ts_drop_file *files, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(files[i].name);
	free(files);
}

static int list(const struct ts_drop_box *box, is_wanted_fn is_wanted,
		const char *node, struct ts_drop_file **out, size_t *count)
{
	struct dirent *entry;
	struct stat st;
	int fd = open_existing(box), err = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	*out = NULL;
	*count = 0;
	if (fd == -ENOENT)
		return 0;
	if (!dir && fd >= 0)
		close(fd);
	if (!dir)
		return fd < 0 ? fd : -ENOMEM;
	while (!err && *count < TS_DROP_FILES_MAX && (entry = readdir(dir)))
		if (is_wanted(entry->d_name, node) &&
		    is_plain(fd, entry->d_name, &st))
			err = push(out, count, entry->d_name,
				   (uint64_t)st.st_size);
	closedir(dir);
	if (!err && *count > 1)
		qsort(*out, *count, sizeof(**out), by_name);
	if (err)
		ts_drop_files_free(*out, *count);
	return err;
}

int ts_drop_box_waiting(struct ts_drop_box *box, struct ts_drop_file **out,
			size_t *count)
{
	int err = 0;

	*out = NULL;
	*count = 0;
	if (!box->dir)
		return -ENOENT;
	if (!box->is_direct)
		err = list(box, is_waiting, "", out, count);
	box->has_waiting = !err && *count > 0;
	return err;
}

int ts_drop_box_partials(struct ts_drop_box *box, const char *node,
			 struct ts_drop_file **out, size_t *count)
{
	return list(box, ts_drop_name_is_partial_of, node, out, count);
}

static int open_plain(const struct ts_drop_box *box, const char *name,
		      struct stat *st)
{
	int dir = open_existing(box), fd;

	if (dir < 0)
		return dir;
	fd = openat(dir, name,
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	close(dir);
	if (fd >= 0 && (fstat(fd, st) || !S_ISREG(st->st_mode))) {
		close(fd);
		fd = -ENOENT;
	}
	return fd;
}

int ts_drop_box_open_file(struct ts_drop_box *box, const char *name, int *fd,
			  uint64_t *size)
{
	struct stat st = {.st_size = 0};

	if (!ts_drop_name_is_good(name))
		return -EINVAL;
	if (box->is_direct)
		return -EOPNOTSUPP;
	*fd = open_plain(box, name, &st);
	*size = (uint64_t)st.st_size;
	return *fd < 0 ? *fd : 0;
}

int ts_drop_box_open_partial(struct ts_drop_box *box, const char *name,
			     const char *node, int *fd)
{
	char partial[TS_DROP_NAME_CAP];
	struct stat st;

	if (ts_drop_name_partial(name, node, partial))
		return -EINVAL;
	*fd = open_plain(box, partial, &st);
	return *fd < 0 ? *fd : 0;
}

static void look_for_waiting(struct ts_drop_box *box)
{
	struct ts_drop_file *files;
	size_t count;

	if (ts_drop_box_waiting(box, &files, &count) == 0)
		ts_drop_files_free(files, count);
}

/* One that is not there is deleted already. */
int ts_drop_box_delete(struct ts_drop_box *box, const char *name)
{
	int dir, err = 0;

	if (!ts_drop_name_is_good(name))
		return -EINVAL;
	if (box->is_direct)
		return -EOPNOTSUPP;
	dir = open_existing(box);
	if (dir < 0)
		return dir == -ENOENT ? 0 : dir;
	if (unlinkat(dir, name, 0) && errno != ENOENT)
		err = -errno;
	close(dir);
	look_for_waiting(box);
	return err;
}

/* -- what was left -------------------------------------------------------- */

static bool comes_now(const struct ts_drop_box *box, const char *partial)
{
	for (const struct ts_drop_in *in = box->first_in; in; in = in->next)
		if (strcmp(in->partial, partial) == 0)
			return true;
	return false;
}

static bool is_partial(const char *file, const char *node)
{
	(void)node;
	return ts_drop_name_is_partial(file);
}

/* How long until it is to be deleted, in seconds; 0: it was. */
static int64_t sweep_one(int dir, const char *name)
{
	struct stat st;
	int64_t left;

	if (!is_plain(dir, name, &st))
		return 0;
	left = (int64_t)st.st_mtime + KEPT_S - (int64_t)time(NULL);
	if (left > 0)
		return left < KEPT_S ? left : KEPT_S;
	if (unlinkat(dir, name, 0) == 0)
		log_info("taildrop: deleted what was left of a file that did "
			 "not come to its end");
	return 0;
}

static void forget_left(struct ts_drop_box *box, size_t i)
{
	free(box->left[i].name);
	box->left[i] = box->left[--box->left_count];
}

/* Both: when the next one is due, in seconds; 0: none is left. */
static int64_t sweep_left(struct ts_drop_box *box, int dir)
{
	int64_t next = 0;

	for (size_t i = box->left_count; i-- > 0;) {
		int64_t due = comes_now(box, box->left[i].name)
				      ? KEPT_S
				      : sweep_one(dir, box->left[i].name);

		if (due == 0)
			forget_left(box, i);
		else if (!next || due < next)
			next = due;
	}
	return next;
}

static int64_t sweep_all(struct ts_drop_box *box, int dir)
{
	struct ts_drop_file *files;
	int64_t next = 0;
	size_t count;

	if (list(box, is_partial, "", &files, &count))
		return KEPT_S;
	for (size_t i = 0; i < count; i++) {
		int64_t due = comes_now(box, files[i].name)
				      ? KEPT_S
				      : sweep_one(dir, files[i].name);

		if (due && (!next || due < next))
			next = due;
	}
	ts_drop_files_free(files, count);
	return next;
}

/* Never later than it was due, or who leaves one after the other would keep all
 * of them. */
static void sweep_in(struct ts_drop_box *box, int64_t s)
{
	uint64_t at_ms = ts_drop_box_now_ms(box) + SWEEP_MIN_MS +
			 (uint64_t)s * 1000;

	if (box->sweep_ms && box->sweep_ms <= at_ms)
		return;
	box->sweep_ms = at_ms;
	ts_timer_set(box->sweep, at_ms);
}

static void on_sweep(void *ctx)
{
	struct ts_drop_box *box = ctx;
	int dir = open_existing(box);
	int64_t next;

	box->sweep_ms = 0;
	if (dir < 0)
		return;
	next = box->is_direct ? sweep_left(box, dir) : sweep_all(box, dir);
	close(dir);
	if (next)
		sweep_in(box, next);
}

static void remember_left(struct ts_drop_box *box, const char *partial)
{
	for (size_t i = 0; i < box->left_count; i++)
		if (strcmp(box->left[i].name, partial) == 0)
			return;
	if (box->left_count == LEFT_MAX) {
		int dir = open_existing(box);

		if (dir >= 0) {
			unlinkat(dir, box->left[0].name, 0);
			close(dir);
		}
		forget_left(box, 0);
	}
	if (!box->left)
		box->left = calloc(LEFT_MAX, sizeof(*box->left));
	if (!box->left)
		return; /* it stays then */
	box->left[box->left_count].name = strdup(partial);
	box->left_count += box->left[box->left_count].name != NULL;
}

/* -- files that come ------------------------------------------------------ */

void ts_drop_box_add(struct ts_drop_box *box, struct ts_drop_in *in)
{
	in->box = box;
	in->next = box->first_in;
	in->pprev = &box->first_in;
	if (in->next)
		in->next->pprev = &in->next;
	box->first_in = in;
}

static void unlink_in(struct ts_drop_in *in)
{
	*in->pprev = in->next;
	if (in->next)
		in->next->pprev = in->pprev;
	in->box = NULL;
}

void ts_drop_box_remove(struct ts_drop_in *in, bool was_whole)
{
	struct ts_drop_box *box = in->box;

	unlink_in(in);
	box->has_waiting |= was_whole && !box->is_direct;
	if (!was_whole && box->is_direct)
		remember_left(box, in->partial);
	if (!was_whole)
		sweep_in(box, KEPT_S);
	ts_drop_box_tell(box);
}

static void give_all_up(struct ts_drop_box *box)
{
	while (box->first_in)
		unlink_in(box->first_in);
}

/* -- life ----------------------------------------------------------------- */

struct ts_drop_box *ts_drop_box_new(struct ts_loop *loop,
				    void (*changed)(void *ctx), void *ctx)
{
	struct ts_drop_box *box = calloc(1, sizeof(*box));

	if (!box)
		return NULL;
	box->loop = loop;
	box->changed = changed;
	box->ctx = ctx;
	box->sweep = ts_timer_new(loop, on_sweep, box);
	if (box->sweep)
		return box;
	free(box);
	return NULL;
}

void ts_drop_box_free(struct ts_drop_box *box)
{
	if (!box)
		return;
	give_all_up(box);
	ts_timer_free(box->sweep);
	ts_drop_files_free(box->left, box->left_count);
	free(box->dir);
	free(box);
}

int ts_drop_box_set_dir(struct ts_drop_box *box, const char *dir,
			bool is_direct)
{
	char *copy = dir ? strdup(dir) : NULL;

	if (dir && !copy)
		return -ENOMEM;
	if (dir && box->dir && strcmp(dir, box->dir) == 0) {
		free(copy);
		return 0;
	}
	give_all_up(box);
	while (box->left_count > 0)
		forget_left(box, 0);
	free(box->dir);
	box->dir = copy;
	box->is_direct = is_direct;
	box->has_waiting = false;
	if (!copy)
		return 0;
	look_for_waiting(box);
	box->sweep_ms = ts_drop_box_now_ms(box);
	ts_timer_set(box->sweep, box->sweep_ms);
	return 0;
}
